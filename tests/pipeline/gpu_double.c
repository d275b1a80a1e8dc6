/* gpu_double: a kernels-cuda.so that stands in for a GPU where there is none. It computes on one
 * processor and behaves as the environment says:
 *
 *   GPU_DOUBLE_ABSENT=WORDS   opening it fails, for this reason
 *   GPU_DOUBLE_FAILS_AT=N     the N-th run of a process, and each after it, fails
 *   GPU_DOUBLE_TELLS_RUNS=1   it tells when a run begins while another is under way
 *
 * Two runs of a plan may be under way; each computes when it is waited for. States lie in memory of its
 * own, as a GPU's do: what the plan shows is a copy. It tells on standard error what memory it is given. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct double_device {
    struct device device;
    struct device *processor;
    unsigned long runs, fails_at; /* fails_at 0: never */
    unsigned under_way;           /* of all plans */
    bool tells_runs;
};

#define DEPTH 2
#define ALIGNMENT_BYTES 64u

struct double_plan {
    struct plan plan; /* of the inner one, but for the device and the states */
    struct plan *inner;
    void **inputs[DEPTH]; /* memory of the inputs, by run */
    void **reads[DEPTH];  /* the same, or the caller's, of a run under way */
    size_t slot;          /* of the next run */
    size_t under_way;
};

extern const struct device_class cuda_class;

static struct plan *inner_of(const struct plan *plan)
{
    return ((const struct double_plan *)plan)->inner;
}

static int double_open(struct device **device, const char *arguments, struct error *err)
{
    (void)arguments;
    const char *absent = getenv("GPU_DOUBLE_ABSENT"), *fails_at = getenv("GPU_DOUBLE_FAILS_AT");
    if (absent)
        return error_set(err, ERROR_UNSUPPORTED, "cuda", "%s", absent);
    struct double_device *self = calloc(1, sizeof *self);
    if (!self)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    self->device.class = &cuda_class;
    self->fails_at = fails_at ? strtoul(fails_at, NULL, 10) : 0;
    self->tells_runs = getenv("GPU_DOUBLE_TELLS_RUNS") != NULL;
    int rc = device_open(&self->processor, "cpu:threads=1", err);
    if (rc)
        free(self);
    else
        *device = &self->device;
    return rc;
}

static void double_get_info(const struct device *device, struct device_info *info)
{
    device_get_info(((const struct double_device *)device)->processor, info);
    snprintf(info->kind, sizeof info->kind, "cuda");
}

static void double_close(struct device *device)
{
    struct double_device *self = (struct double_device *)device;
    device_close(&self->processor);
    free(self);
}

static int double_pin(struct device *device, void *data, uint64_t bytes, struct error *err)
{
    (void)device;
    (void)data;
    (void)err;
    fprintf(stderr, "gpu double: pins %llu bytes\n", (unsigned long long)bytes);
    return 0;
}

static void double_unpin(struct device *device, void *data)
{
    (void)device;
    (void)data;
    fprintf(stderr, "gpu double: unpins\n");
}

static int copy_states(struct plan *plan, bool in)
{
    for (size_t i = 0; i < plan->state_count; i++) {
        const struct tensor *shown = plan_state(plan, i), *own = plan_state(inner_of(plan), i);
        memcpy(in ? own->data : shown->data, in ? shown->data : own->data, tensor_bytes(own));
    }
    return 0;
}

static int double_get_states(struct plan *plan, struct error *err)
{
    (void)err;
    return copy_states(plan, false);
}

static int double_set_states(struct plan *plan, struct error *err)
{
    (void)err;
    return copy_states(plan, true);
}

static void double_plan_free(struct plan *plan)
{
    struct plan *inner = inner_of(plan);
    for (size_t i = 0; plan->states && i < plan->state_count; i++)
        free(plan->states[i].data);
    free(plan->states);
    for (size_t s = 0; s < DEPTH; s++) {
        void **inputs = ((struct double_plan *)plan)->inputs[s];
        for (size_t i = 0; inputs && i < plan->input_count; i++)
            free(inputs[i]);
        free(inputs);
        free(((struct double_plan *)plan)->reads[s]);
    }
    plan_free(&inner);
    free(plan);
}

static int make_states(struct plan *plan, struct error *err)
{
    plan->states = calloc(plan->state_count + 1, sizeof *plan->states);
    bool made = plan->states != NULL;
    for (size_t i = 0; made && i < plan->state_count; i++) {
        plan->states[i] = *plan_state(inner_of(plan), i);
        plan->states[i].data = malloc(tensor_bytes(&plan->states[i]));
        made = plan->states[i].data != NULL;
    }
    return made ? copy_states(plan, false) : error_set(err, ERROR_MEMORY, "cuda", "no memory left");
}

static int double_bind(struct plan *plan, struct error *err)
{
    struct plan *inner = inner_of(plan);
    return inner->device->class->bind(inner, err); /* the tensors are the same */
}

/* The plan shows the memory of the next run, but for what the caller has bound. */
static int show_next(struct double_plan *self, struct error *err)
{
    size_t next = (self->slot + 1) % DEPTH;
    for (size_t i = 0; i < self->plan.input_count; i++)
        if (self->plan.inputs[i].data == self->inputs[self->slot][i])
            self->plan.inputs[i].data = self->inputs[next][i];
    self->slot = next;
    return double_bind(&self->plan, err);
}

static int make_inputs(struct double_plan *self, struct error *err)
{
    size_t count = self->plan.input_count;
    for (size_t s = 0; s < DEPTH; s++) {
        self->inputs[s] = calloc(count + 1, sizeof *self->inputs[s]);
        self->reads[s] = calloc(count + 1, sizeof *self->reads[s]);
        for (size_t i = 0; self->inputs[s] && i < count; i++) {
            size_t bytes = tensor_bytes(&self->plan.inputs[i]);
            bytes = (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
            self->inputs[s][i] = aligned_alloc(ALIGNMENT_BYTES, bytes);
            if (!self->inputs[s][i])
                return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
        }
        if (!self->inputs[s] || !self->reads[s])
            return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    }
    for (size_t i = 0; i < count; i++)
        self->plan.inputs[i].data = self->inputs[0][i];
    return double_bind(&self->plan, err);
}

static int double_compile(struct device *device, const struct graph *graph,
                          const struct plan_options *options, struct plan **plan, struct error *err)
{
    struct double_plan *self = calloc(1, sizeof *self);
    if (!self)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    struct device *processor = ((struct double_device *)device)->processor;
    int rc = device_compile(processor, graph, options, &self->inner, err);
    if (rc) {
        free(self);
        return rc;
    }
    self->plan = *self->inner;
    self->plan.device = device;
    rc = make_states(&self->plan, err);
    if (!rc)
        rc = make_inputs(self, err);
    if (rc)
        double_plan_free(&self->plan);
    else
        *plan = &self->plan;
    return rc;
}

static int double_run(struct plan *plan, struct error *err)
{
    struct double_device *device = (struct double_device *)plan->device;
    device->runs++;
    if (device->fails_at > 0 && device->runs >= device->fails_at)
        return error_set(err, ERROR_IO, "cuda", "a kernel went astray");
    return plan_run(inner_of(plan), err);
}

static int double_start(struct plan *plan, struct error *err)
{
    struct double_plan *self = (struct double_plan *)plan;
    struct double_device *device = (struct double_device *)plan->device;
    if (device->under_way++ > 0 && device->tells_runs)
        fprintf(stderr, "gpu double: begins beside another\n");
    self->under_way++;
    for (size_t i = 0; i < plan->input_count; i++)
        self->reads[self->slot][i] = plan->inputs[i].data;
    return show_next(self, err);
}

/* Gives the plan the memory in reads, and what it had before back in there. */
static int swap_inputs(struct double_plan *self, void **reads, struct error *err)
{
    for (size_t i = 0; i < self->plan.input_count; i++) {
        void *shown = self->plan.inputs[i].data;
        self->plan.inputs[i].data = reads[i];
        reads[i] = shown;
    }
    return double_bind(&self->plan, err);
}

static int double_finish(struct plan *plan, struct error *err)
{
    struct double_plan *self = (struct double_plan *)plan;
    void **reads = self->reads[(self->slot + DEPTH - self->under_way--) % DEPTH];
    ((struct double_device *)plan->device)->under_way--;
    int rc = swap_inputs(self, reads, err);
    if (!rc)
        rc = double_run(plan, err);
    int back = swap_inputs(self, reads, rc ? NULL : err);
    return rc ? rc : back;
}

static const char *double_step(const struct plan *plan, size_t index)
{
    return plan_step(inner_of(plan), index);
}

static int double_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err)
{
    return plan_print(inner_of(plan), runs, out, err);
}

const struct device_class cuda_class = {
    .kind = "cuda",
    .open = double_open,
    .get_info = double_get_info,
    .close = double_close,
    .pin = double_pin,
    .unpin = double_unpin,
    .compile = double_compile,
    .bind = double_bind,
    .run = double_run,
    .start = double_start,
    .finish = double_finish,
    .depth = DEPTH,
    .get_states = double_get_states,
    .set_states = double_set_states,
    .step = double_step,
    .print = double_print,
    .plan_free = double_plan_free,
};
