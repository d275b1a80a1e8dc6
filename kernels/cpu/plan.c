/* plan: memory and running. The arena is laid out once: buffers that never live at the same time
 * share memory. */
#include "cpu/plan.h"
#include "cpu/parallel.h"
#include "tensor/arena.h"
#include <assert.h>
#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#undef cpu_dnnl_error /* what only an analyser sees around the function below */

static int drop_unread_copies(struct cpu_plan *plan, struct error *err);
static void free_step(struct cpu_step *step);
static void extend_lives(struct cpu_plan *plan);
static int lay_out_arena(struct cpu_plan *plan, uint64_t *arena_bytes, struct error *err);
static int allocate_externals(struct cpu_plan *plan, struct error *err);
static void *allocate_zeros(uint64_t bytes, void **room);
static int point_places(struct cpu_plan *plan, bool externals_only, struct error *err);
static uint64_t round_up(uint64_t bytes);

int cpu_root(const struct cpu_plan *plan, int index, uint64_t *offset_bytes)
{
    uint64_t offset = 0;
    while (plan->buffers[index].parent >= 0) {
        offset += plan->buffers[index].parent_offset_bytes;
        index = plan->buffers[index].parent;
    }
    if (offset_bytes)
        *offset_bytes = offset;
    return index;
}

int cpu_plan_finish(struct cpu_plan *plan, struct error *err)
{
    uint64_t arena_bytes = 0;
    int rc = drop_unread_copies(plan, err);
    if (rc)
        return rc;
    extend_lives(plan);
    rc = lay_out_arena(plan, &arena_bytes, err);
    if (rc)
        return rc;
    char *arena = allocate_zeros(arena_bytes, &plan->arena_room);
    if (!arena)
        return error_set(err, ERROR_MEMORY, "cpu", "no room for %" PRIu64 " bytes of activations",
                         arena_bytes);
    plan->plan.activation_bytes = arena_bytes;
    for (int i = 0; i < plan->buffer_count; i++) {
        struct cpu_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == CPU_BUFFER_ARENA && buffer->parent < 0)
            buffer->data = arena + buffer->arena_offset_bytes;
        if (buffer->kind == CPU_BUFFER_CONSTANT || buffer->kind == CPU_BUFFER_STATE)
            plan->plan.weight_bytes += buffer->bytes;
    }
    rc = allocate_externals(plan, err);
    return rc ? rc : point_places(plan, false, err);
}

int cpu_plan_bind(struct plan *plan, struct error *err)
{
    return point_places((struct cpu_plan *)plan, true, err);
}

int cpu_plan_run(struct plan *plan, struct error *err)
{
    struct cpu_plan *self = (struct cpu_plan *)plan;
    const struct cpu_device *device = (const struct cpu_device *)plan->device;
    omp_set_num_threads(device->threads);
    parallel_pin(device->threads);
    unsigned before = self->drops_tiny ? parallel_drop_tiny(device->threads) : 0;
    int rc = 0;
    for (int i = 0; !rc && i < self->step_count; i++)
        rc = cpu_step_run(device, &self->steps[i], err);
    if (self->drops_tiny)
        parallel_keep_tiny(before);
    return rc;
}

int cpu_step_run(const struct cpu_device *device, const struct cpu_step *step, struct error *err)
{
    if (step->run)
        return step->run(step, err);
    dnnl_status_t status =
        dnnl_primitive_execute(step->primitive, device->stream, step->place_count, step->args);
    return status ? cpu_dnnl_error(err, status, step->op, step->name, "running it") : 0;
}

const char *cpu_plan_step(const struct plan *plan, size_t index)
{
    const struct cpu_plan *self = (const struct cpu_plan *)plan;
    if (index >= (size_t)self->step_count)
        return NULL;
    return self->steps[index].implementation ? self->steps[index].implementation : "own";
}

void cpu_plan_free(struct plan *plan)
{
    struct cpu_plan *self = (struct cpu_plan *)plan;
    for (int i = 0; i < self->step_count; i++)
        free_step(&self->steps[i]);
    for (int i = 0; i < self->place_count; i++) {
        if (self->places[i]->memory)
            dnnl_memory_destroy(self->places[i]->memory);
        free(self->places[i]);
    }
    for (int i = 0; i < self->buffer_count; i++)
        if (self->buffers[i].owned)
            free(self->buffers[i].data);
    for (size_t i = 0; self->own_rooms && i < plan->input_count + plan->output_count; i++)
        free(self->own_rooms[i]);
    plan_forget(plan);
    free(self->own_rooms);
    free(self->steps);
    free(self->places);
    free(self->buffers);
    free(self->arena_room);
    graph_free(&self->graph);
    free(self);
}

void *cpu_allocate(uint64_t bytes)
{
    return aligned_alloc(CPU_ALIGNMENT_BYTES, round_up(bytes));
}

int cpu_dnnl_error(struct error *err, dnnl_status_t status, const char *op, const char *name,
                   const char *what)
{
    static const char *const words[] = {
        [dnnl_out_of_memory] = "no memory left",
        [dnnl_invalid_arguments] = "arguments that it does not take",
        [dnnl_unimplemented] = "not implemented there",
        [dnnl_runtime_error] = "a failure at run time",
    };
    const char *word = (size_t)status < sizeof words / sizeof *words ? words[status] : NULL;
    enum error_code code = status == dnnl_out_of_memory ? ERROR_MEMORY : ERROR_UNSUPPORTED;
    return error_set(err, code, op, "node '%s': %s with oneDNN: %s", name, what,
                     word ? word : "an unknown failure");
}

/* Makers may ask for a value in a layout only to look at it. From the last step to the first, as the
 * copy of a copy is unread when that is. */
static int drop_unread_copies(struct cpu_plan *plan, struct error *err)
{
    int *touches = calloc((size_t)plan->buffer_count + 1, sizeof *touches); /* by steps kept so far */
    if (!touches)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    int kept = plan->step_count;
    for (int s = plan->step_count - 1; s >= 0; s--) {
        struct cpu_step *step = &plan->steps[s];
        int to = step->is_copy ? cpu_root(plan, step->places[1]->buffer, NULL) : -1;
        if (to >= 0 && plan->buffers[to].kind == CPU_BUFFER_ARENA && touches[to] == 0) {
            free_step(step);
            continue;
        }
        for (int p = 0; p < step->place_count; p++)
            touches[cpu_root(plan, step->places[p]->buffer, NULL)]++;
        plan->steps[--kept] = *step;
    }
    plan->step_count -= kept;
    if (plan->step_count > 0) /* a plan of no steps has no list of them */
        memmove(plan->steps, plan->steps + kept, (size_t)plan->step_count * sizeof *plan->steps);
    free(touches);
    return 0;
}

static void free_step(struct cpu_step *step)
{
    if (step->primitive)
        dnnl_primitive_destroy(step->primitive);
    free(step->implementation);
    free(step->state);
    free(step->places);
    free(step->args);
}

/* A buffer lives from the first to the last step that touches a place in it or in a part of it. */
static void extend_lives(struct cpu_plan *plan)
{
    for (int i = 0; i < plan->buffer_count; i++)
        plan->buffers[i].first_step = plan->buffers[i].last_step = -1;
    for (int s = 0; s < plan->step_count; s++)
        for (int p = 0; p < plan->steps[s].place_count; p++) {
            int root = cpu_root(plan, plan->steps[s].places[p]->buffer, NULL);
            if (plan->buffers[root].first_step < 0)
                plan->buffers[root].first_step = s;
            plan->buffers[root].last_step = s;
        }
}

static int lay_out_arena(struct cpu_plan *plan, uint64_t *arena_bytes, struct error *err)
{
    size_t room = (size_t)plan->buffer_count + 1;
    struct arena_piece *pieces = calloc(room, sizeof *pieces);
    int *buffers = calloc(room, sizeof *buffers);
    int rc = 0, count = 0;
    if (!pieces || !buffers)
        rc = error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    for (int i = 0; !rc && i < plan->buffer_count; i++) {
        const struct cpu_buffer *buffer = &plan->buffers[i];
        if (buffer->kind != CPU_BUFFER_ARENA || buffer->parent >= 0 || buffer->first_step < 0)
            continue;
        buffers[count] = i;
        pieces[count++] = (struct arena_piece){ .bytes = buffer->bytes,
                                                .first = buffer->first_step,
                                                .last = buffer->last_step };
    }
    if (!rc)
        rc = arena_lay_out(pieces, count, CPU_ALIGNMENT_BYTES, arena_bytes, err);
    for (int i = 0; !rc && i < count; i++)
        plan->buffers[buffers[i]].arena_offset_bytes = pieces[i].offset_bytes;
    free(pieces);
    free(buffers);
    return rc;
}

static int allocate_externals(struct cpu_plan *plan, struct error *err)
{
    size_t inputs = plan->plan.input_count, outputs = plan->plan.output_count;
    plan->own_rooms = calloc(inputs + outputs + 1, sizeof *plan->own_rooms);
    if (!plan->own_rooms)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    for (size_t i = 0; i < inputs + outputs; i++) {
        struct tensor *tensor = i < inputs ? &plan->plan.inputs[i] : &plan->plan.outputs[i - inputs];
        uint64_t bytes = tensor_bytes(tensor);
        tensor->data = allocate_zeros(bytes, &plan->own_rooms[i]);
        if (!tensor->data)
            return error_set(err, ERROR_MEMORY, "cpu", "no room for %" PRIu64 " bytes", bytes);
    }
    return 0;
}

/* As cpu_allocate, inside a room of calloc's, which is what to free: most pages come into being in the
 * first run only, when what the graph was read from and compiled with is gone. */
static void *allocate_zeros(uint64_t bytes, void **room)
{
    *room = calloc(1, round_up(bytes) + CPU_ALIGNMENT_BYTES);
    if (!*room)
        return NULL;
    uintptr_t past = (uintptr_t)*room % CPU_ALIGNMENT_BYTES;
    return (char *)*room + (CPU_ALIGNMENT_BYTES - past);
}

static int point_places(struct cpu_plan *plan, bool externals_only, struct error *err)
{
    const struct cpu_device *device = (const struct cpu_device *)plan->plan.device;
    for (int i = 0; i < plan->place_count; i++) {
        struct cpu_place *place = plan->places[i];
        uint64_t offset;
        struct cpu_buffer *root = &plan->buffers[cpu_root(plan, place->buffer, &offset)];
        if (root->kind == CPU_BUFFER_INPUT)
            root->data = plan->plan.inputs[root->external].data;
        else if (root->kind == CPU_BUFFER_OUTPUT)
            root->data = plan->plan.outputs[root->external].data;
        else if (externals_only)
            continue;
        if (!root->data)
            continue; /* no step touches it */
        place->data = (char *)root->data + offset + place->offset_bytes;
        if (!place->memory)
            continue;
        dnnl_status_t status =
            dnnl_memory_set_data_handle_v2(place->memory, place->data, device->stream);
        if (status)
            return cpu_dnnl_error(err, status, "cpu", "memory", "setting it");
    }
    return 0;
}

static uint64_t round_up(uint64_t bytes)
{
    return (bytes / CPU_ALIGNMENT_BYTES + 1) * CPU_ALIGNMENT_BYTES;
}
