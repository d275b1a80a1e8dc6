/* plan: memory of a plan: what stays, and what lives for some steps. */
#include "cuda/run.h"
#include "tensor/arena.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int keep_constants(struct cuda_plan *plan, struct error *err);
static void find_lives(struct cuda_plan *plan);
static int lay_out_arena(struct cuda_plan *plan, uint64_t *arena_bytes, struct error *err);
static bool is_held(const struct cuda_buffer *buffer);
static int allocate_held(struct cuda_plan *plan, struct error *err);
static int allocate_states(struct cuda_plan *plan, struct error *err);
static int fill_buffers(struct cuda_plan *plan, struct error *err);

int cuda_plan_finish(struct cuda_plan *plan, struct error *err)
{
    uint64_t arena_bytes = 0;
    int rc = keep_constants(plan, err);
    if (rc)
        return rc;
    find_lives(plan);
    rc = lay_out_arena(plan, &arena_bytes, err);
    if (!rc && arena_bytes > 0)
        rc = gpu_allocate(plan->gpu, arena_bytes, &plan->arena, err);
    if (rc)
        return rc;
    plan->plan.activation_bytes = arena_bytes;
    rc = allocate_held(plan, err);
    if (!rc)
        rc = allocate_states(plan, err);
    if (rc)
        return rc;
    cuda_point_places(plan);
    rc = fill_buffers(plan, err);
    return rc ? rc : cuda_slot_make(plan, 0, err);
}

int cuda_plan_bind(struct plan *plan, struct error *err)
{
    (void)plan;
    (void)err;
    return 0; /* copies take the memory that is bound when they are enqueued */
}

const char *cuda_plan_step(const struct plan *plan, size_t index)
{
    const struct cuda_plan *self = (const struct cuda_plan *)plan;
    return index < (size_t)self->step_count ? self->steps[index].implementation : NULL;
}

void cuda_plan_free(struct plan *plan)
{
    struct cuda_plan *self = (struct cuda_plan *)plan;
    struct error why;
    while (self->under_way > 0) /* they still use what is freed here, and the caller's memory */
        (void)cuda_plan_finish_run(plan, &why);
    for (int i = 0; i < CUDA_PLAN_SLOTS; i++)
        cuda_slot_free(self, i);
    for (int i = 0; i < self->step_count; i++) {
        struct cuda_step *step = &self->steps[i];
        step->free_state(step->state);
        free(step->places);
    }
    for (int i = 0; i < self->place_count; i++)
        free(self->places[i]);
    for (int i = 0; i < self->buffer_count; i++)
        free(self->buffers[i].own_content);
    gpu_free(self->gpu, self->arena);
    gpu_free(self->gpu, self->held);
    for (size_t i = 0; self->state_memory && i < plan->state_count; i++)
        gpu_free_host(self->gpu, self->state_memory[i]);
    plan_forget(plan);
    free(self->state_memory);
    free(self->steps);
    free(self->places);
    free(self->buffers);
    graph_free(&self->graph);
    free(self);
}

/* A step that reads constants alone computes one: it runs once, and what it writes stays. Memory that
 * several steps write may be constant in parts only, so they all run every time. */
static int keep_constants(struct cuda_plan *plan, struct error *err)
{
    int *writers = calloc((size_t)plan->buffer_count + 1, sizeof *writers);
    if (!writers)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (int s = 0; s < plan->step_count; s++)
        for (int p = plan->steps[s].read_count; p < plan->steps[s].place_count; p++)
            writers[plan->steps[s].places[p]->buffer]++;
    for (int s = 0; s < plan->step_count; s++) {
        struct cuda_step *step = &plan->steps[s];
        step->once = true;
        for (int p = 0; p < step->place_count; p++) {
            int buffer = step->places[p]->buffer;
            enum cuda_buffer_kind kind = plan->buffers[buffer].kind;
            if (p < step->read_count ? kind != CUDA_BUFFER_CONSTANT
                                     : kind != CUDA_BUFFER_ARENA || writers[buffer] > 1)
                step->once = false;
        }
        for (int p = step->read_count; step->once && p < step->place_count; p++)
            plan->buffers[step->places[p]->buffer].kind = CUDA_BUFFER_CONSTANT;
    }
    free(writers);
    return 0;
}

static void find_lives(struct cuda_plan *plan)
{
    for (int i = 0; i < plan->buffer_count; i++)
        plan->buffers[i].first_step = plan->buffers[i].last_step = -1;
    for (int s = 0; s < plan->step_count; s++)
        for (int p = 0; p < plan->steps[s].place_count; p++) {
            struct cuda_buffer *buffer = &plan->buffers[plan->steps[s].places[p]->buffer];
            if (buffer->first_step < 0)
                buffer->first_step = s;
            buffer->last_step = s;
        }
}

static int lay_out_arena(struct cuda_plan *plan, uint64_t *arena_bytes, struct error *err)
{
    size_t room = (size_t)plan->buffer_count + 1;
    struct arena_piece *pieces = calloc(room, sizeof *pieces);
    int *buffers = calloc(room, sizeof *buffers);
    int rc = 0, count = 0;
    if (!pieces || !buffers)
        rc = error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (int i = 0; !rc && i < plan->buffer_count; i++) {
        const struct cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind != CUDA_BUFFER_ARENA || buffer->first_step < 0)
            continue;
        buffers[count] = i;
        pieces[count++] = (struct arena_piece){ .bytes = buffer->bytes,
                                                .first = buffer->first_step,
                                                .last = buffer->last_step };
    }
    if (!rc)
        rc = arena_lay_out(pieces, count, GPU_ALIGNMENT_BYTES, arena_bytes, err);
    for (int i = 0; !rc && i < count; i++)
        plan->buffers[buffers[i]].arena_offset_bytes = pieces[i].offset_bytes;
    free(pieces);
    free(buffers);
    return rc;
}

/* Constants that no step reads stay on the host. */
static bool is_held(const struct cuda_buffer *buffer)
{
    return buffer->kind == CUDA_BUFFER_STATE ||
           (buffer->kind == CUDA_BUFFER_CONSTANT && buffer->first_step >= 0);
}

/* One piece of memory for all that stays. */
static int allocate_held(struct cuda_plan *plan, struct error *err)
{
    uint64_t bytes = 0;
    for (int i = 0; i < plan->buffer_count; i++)
        if (is_held(&plan->buffers[i]))
            bytes += gpu_aligned(plan->buffers[i].bytes);
    int rc = bytes > 0 ? gpu_allocate(plan->gpu, bytes, &plan->held, err) : 0;
    char *next = plan->held;
    for (int i = 0; !rc && i < plan->buffer_count; i++) {
        struct cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == CUDA_BUFFER_ARENA && plan->arena)
            buffer->data = (char *)plan->arena + buffer->arena_offset_bytes;
        if (!is_held(buffer))
            continue;
        buffer->data = next;
        next += gpu_aligned(buffer->bytes);
        plan->plan.weight_bytes += buffer->bytes;
    }
    return rc;
}

static int allocate_states(struct cuda_plan *plan, struct error *err)
{
    plan->state_memory = calloc(plan->plan.state_count + 1, sizeof *plan->state_memory);
    if (!plan->state_memory)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (size_t i = 0; i < plan->plan.state_count; i++) {
        struct tensor *state = &plan->plan.states[i];
        uint64_t bytes = tensor_bytes(state);
        int rc = gpu_allocate_host(plan->gpu, bytes, &plan->state_memory[i], err);
        if (rc)
            return rc;
        memcpy(plan->state_memory[i], state->data, bytes); /* what it holds at first, the graph's */
        state->data = plan->state_memory[i];
    }
    return 0;
}

void cuda_point_places(struct cuda_plan *plan)
{
    for (int i = 0; i < plan->place_count; i++) {
        struct cuda_place *place = plan->places[i];
        char *data = plan->buffers[place->buffer].data;
        place->data = data ? data + place->offset_bytes : NULL;
    }
}

static int fill_buffers(struct cuda_plan *plan, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < plan->buffer_count; i++) {
        struct cuda_buffer *buffer = &plan->buffers[i];
        if (buffer->kind == CUDA_BUFFER_ARENA || !buffer->data)
            continue;
        rc = buffer->content
                 ? gpu_copy_in(plan->gpu, buffer->data, buffer->content, buffer->bytes, err)
                 : gpu_clear(plan->gpu, buffer->data, buffer->bytes, err);
    }
    for (int s = 0; !rc && s < plan->step_count; s++)
        if (plan->steps[s].once)
            rc = cuda_step_run(plan, &plan->steps[s], err);
    return rc ? rc : gpu_wait(plan->gpu, err);
}
