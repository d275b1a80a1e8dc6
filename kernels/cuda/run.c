/* run: copies of inputs and outputs stand around the recording, in lanes of their own, so that binding
 * other memory needs no new one, and the next run's inputs come in while this one's steps run. */
#include "cuda/run.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int allocate_host(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err);
static int allocate_device(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err);
static bool is_external(const struct cuda_buffer *buffer);
static struct tensor *external(struct cuda_plan *plan, size_t index);
static int record(void *arg, struct error *err);
static int start(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err);
static int finish(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err);
static void *host_memory(struct cuda_plan *plan, const struct cuda_slot *slot, size_t index);
static void show(struct cuda_plan *plan, const struct cuda_slot *slot, size_t first, size_t end);
static int copy_states(struct cuda_plan *plan, bool in, struct error *err);

/* ---- runs ---- */

int cuda_plan_run(struct plan *plan, struct error *err)
{
    struct cuda_plan *self = (struct cuda_plan *)plan;
    struct cuda_slot *slot = &self->slots[self->slot];
    assert(self->under_way == 0);
    int rc = start(self, slot, err);
    return rc ? rc : finish(self, slot, err);
}

int cuda_plan_start(struct plan *plan, struct error *err)
{
    struct cuda_plan *self = (struct cuda_plan *)plan;
    int next = (self->slot + 1) % CUDA_PLAN_SLOTS;
    assert(self->under_way < CUDA_PLAN_SLOTS);
    int rc = self->slots[next].plan ? 0 : cuda_slot_make(self, next, err);
    if (!rc)
        rc = start(self, &self->slots[self->slot], err);
    if (rc)
        return rc;
    self->under_way++;
    self->slot = next;
    show(self, &self->slots[next], 0, plan->input_count);
    return 0;
}

int cuda_plan_finish_run(struct plan *plan, struct error *err)
{
    struct cuda_plan *self = (struct cuda_plan *)plan;
    assert(self->under_way > 0);
    int oldest = (self->slot + CUDA_PLAN_SLOTS - self->under_way) % CUDA_PLAN_SLOTS;
    self->under_way--;
    return finish(self, &self->slots[oldest], err);
}

int cuda_plan_get_states(struct plan *plan, struct error *err)
{
    return copy_states((struct cuda_plan *)plan, false, err);
}

int cuda_plan_set_states(struct plan *plan, struct error *err)
{
    return copy_states((struct cuda_plan *)plan, true, err);
}

int cuda_step_run(struct cuda_plan *plan, const struct cuda_step *step, struct error *err)
{
    int rc = step->run(step, plan->gpu, err);
    if (!rc)
        rc = gpu_check(plan->gpu, err);
    return rc ? error_wrap(err, "%s '%s'", step->op, step->name) : 0;
}

static int start(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err)
{
    struct gpu *gpu = plan->gpu;
    int rc = 0;
    for (int i = 0; !rc && i < plan->buffer_count; i++) {
        const struct cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == CUDA_BUFFER_INPUT)
            rc = gpu_copy_in_beside(gpu, slot->data[i], plan->plan.inputs[buffer->external].data,
                                    buffer->bytes, err);
    }
    if (rc || (rc = gpu_signal(gpu, GPU_IN, slot->in, err)) ||
        (rc = gpu_follow(gpu, GPU_COMPUTE, slot->in, err)) ||
        (rc = gpu_replay(gpu, slot->recording, err)) ||
        (rc = gpu_signal(gpu, GPU_COMPUTE, slot->computed, err)) ||
        (rc = gpu_follow(gpu, GPU_OUT, slot->computed, err)))
        return rc;
    for (int i = 0; !rc && i < plan->buffer_count; i++) {
        const struct cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == CUDA_BUFFER_OUTPUT)
            rc = gpu_copy_out_beside(
                gpu, host_memory(plan, slot, plan->plan.input_count + buffer->external),
                slot->data[i], buffer->bytes, err);
    }
    return rc ? rc : gpu_signal(gpu, GPU_OUT, slot->out, err);
}

static int finish(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err)
{
    int rc = gpu_wait_for(plan->gpu, slot->out, err);
    if (!rc)
        show(plan, slot, plan->plan.input_count, plan->plan.input_count + plan->plan.output_count);
    return rc;
}

/* The caller's memory where it has bound some, the slot's otherwise. */
static void *host_memory(struct cuda_plan *plan, const struct cuda_slot *slot, size_t index)
{
    void *data = external(plan, index)->data;
    for (int s = 0; s < CUDA_PLAN_SLOTS; s++)
        if (plan->slots[s].plan && plan->slots[s].host[index] == data)
            return slot->host[index];
    return data;
}

/* Inputs, then outputs, from first to end: their data becomes the slot's. */
static void show(struct cuda_plan *plan, const struct cuda_slot *slot, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        external(plan, i)->data = host_memory(plan, slot, i);
}

static int copy_states(struct cuda_plan *plan, bool in, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < plan->buffer_count; i++) {
        const struct cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind != CUDA_BUFFER_STATE)
            continue;
        void *host = plan->plan.states[buffer->external].data;
        rc = in ? gpu_copy_in(plan->gpu, buffer->data, host, buffer->bytes, err)
                : gpu_copy_out(plan->gpu, host, buffer->data, buffer->bytes, err);
    }
    return rc ? rc : gpu_wait(plan->gpu, err);
}

/* ---- slots ---- */

int cuda_slot_make(struct cuda_plan *plan, int index, struct error *err)
{
    struct cuda_slot *slot = &plan->slots[index];
    slot->plan = plan;
    int rc = allocate_host(plan, slot, err);
    if (!rc)
        rc = allocate_device(plan, slot, err);
    if (!rc)
        rc = gpu_signal_create(plan->gpu, &slot->in, err);
    if (!rc)
        rc = gpu_signal_create(plan->gpu, &slot->computed, err);
    if (!rc)
        rc = gpu_signal_create(plan->gpu, &slot->out, err);
    if (!rc)
        rc = gpu_record(plan->gpu, record, slot, &slot->recording, err);
    if (rc)
        cuda_slot_free(plan, index);
    return rc;
}

void cuda_slot_free(struct cuda_plan *plan, int index)
{
    struct cuda_slot *slot = &plan->slots[index];
    gpu_recording_free(&slot->recording);
    gpu_signal_free(&slot->in);
    gpu_signal_free(&slot->computed);
    gpu_signal_free(&slot->out);
    for (size_t i = 0; slot->host && i < plan->plan.input_count + plan->plan.output_count; i++)
        gpu_free_host(plan->gpu, slot->host[i]);
    gpu_free(plan->gpu, slot->held);
    free(slot->host);
    free(slot->data);
    *slot = (struct cuda_slot){ 0 };
}

static int allocate_host(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err)
{
    size_t count = plan->plan.input_count + plan->plan.output_count;
    slot->host = calloc(count + 1, sizeof *slot->host);
    if (!slot->host)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = tensor_bytes(external(plan, i));
        int rc = gpu_allocate_host(plan->gpu, bytes, &slot->host[i], err);
        if (rc)
            return rc;
        memset(slot->host[i], 0, bytes);
        if (!external(plan, i)->data) /* the first slot */
            external(plan, i)->data = slot->host[i];
    }
    return 0;
}

static int allocate_device(struct cuda_plan *plan, struct cuda_slot *slot, struct error *err)
{
    uint64_t bytes = 0;
    slot->data = calloc((size_t)plan->buffer_count + 1, sizeof *slot->data);
    if (!slot->data)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (int i = 0; i < plan->buffer_count; i++)
        if (is_external(&plan->buffers[i]))
            bytes += gpu_aligned(plan->buffers[i].bytes);
    int rc = bytes > 0 ? gpu_allocate(plan->gpu, bytes, &slot->held, err) : 0;
    char *next = slot->held;
    for (int i = 0; !rc && i < plan->buffer_count; i++)
        if (is_external(&plan->buffers[i])) {
            slot->data[i] = next;
            next += gpu_aligned(plan->buffers[i].bytes);
        }
    return rc;
}

static bool is_external(const struct cuda_buffer *buffer)
{
    return buffer->kind == CUDA_BUFFER_INPUT || buffer->kind == CUDA_BUFFER_OUTPUT;
}

/* Inputs, then outputs. */
static struct tensor *external(struct cuda_plan *plan, size_t index)
{
    return index < plan->plan.input_count ? &plan->plan.inputs[index]
                                          : &plan->plan.outputs[index - plan->plan.input_count];
}

/* All steps of a run, with what is the slot's. */
static int record(void *arg, struct error *err)
{
    const struct cuda_slot *slot = arg;
    struct cuda_plan *plan = slot->plan;
    int rc = 0;
    for (int i = 0; i < plan->buffer_count; i++)
        if (is_external(&plan->buffers[i]))
            plan->buffers[i].data = slot->data[i];
    cuda_point_places(plan);
    for (int s = 0; !rc && s < plan->step_count; s++)
        if (!plan->steps[s].once)
            rc = cuda_step_run(plan, &plan->steps[s], err);
    return rc;
}
