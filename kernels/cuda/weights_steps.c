/* weights_steps: the step that copies weights. */
#include "cuda/combine.h"
#include "cuda/iterate.h"
#include "cuda/parts.h"
#include "cuda/weights.h"
#include <assert.h>
#include <stdlib.h>

struct weights_state {
    enum tensor_type type; /* of all copies */
    struct parts parts;
};

static struct part part_of(struct cuda_place *from, struct cuda_place *to);
static int start(struct cuda_build *build, struct cuda_place *const *places,
                 const struct part *part, struct error *err);
static bool takes(const struct cuda_step *step, const void *arg);
static int run_weights(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static void free_weights(void *state);

bool cuda_is_weight(const struct cuda_build *build, const struct cuda_place *from,
                    const struct cuda_place *to)
{
    return build->plan->buffers[from->buffer].kind == CUDA_BUFFER_STATE &&
           from->layout.type == TENSOR_F32 && !element_is_whole(to->layout.type);
}

int cuda_copy_weight(struct cuda_build *build, struct cuda_place *from, struct cuda_place *to,
                     struct error *err)
{
    struct cuda_place *const places[] = { from, to };
    struct part part = part_of(from, to);
    struct cuda_step *step;
    int rc = cuda_combine(build, run_weights, takes, to, places, 1, 2, &step, err);
    if (rc)
        return rc;
    return step ? parts_add(&((struct weights_state *)step->state)->parts, &part, err)
                : start(build, places, &part, err);
}

/* In the order of `to`'s memory. */
static struct part part_of(struct cuda_place *from, struct cuda_place *to)
{
    struct view target = cuda_view(to);
    struct part part = {
        .view = cuda_view(from),
        .count = shape_elements(&to->layout.shape),
        .fresh = from,
        .after = { to },
    };
    assert(layout_bytes(&to->layout) == (uint64_t)part.count * tensor_type_bytes(to->layout.type));
    iterate_join((struct view *const[]){ &target, &part.view }, 2);
    return part;
}

static int start(struct cuda_build *build, struct cuda_place *const *places,
                 const struct part *part, struct error *err)
{
    const char *op = build->op;
    const struct shape shape = build->shape;
    struct weights_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    state->type = places[1]->layout.type;
    int rc = parts_add(&state->parts, part, err);
    if (rc) {
        free_weights(state);
        return rc;
    }
    build->op = "weights"; /* of many nodes */
    build->shape = places[1]->layout.shape;
    rc = cuda_add_step(build, "weights", run_weights, state, free_weights, places, 1, 2, err);
    build->op = op;
    build->shape = shape;
    return rc;
}

static bool takes(const struct cuda_step *step, const void *arg)
{
    const struct cuda_place *to = arg;
    return ((const struct weights_state *)step->state)->type == to->layout.type;
}

static int run_weights(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct weights_state *state = step->state;
    struct optimise_copies copies = { .type = (int32_t)state->type };
    (void)err;
    for (int first = 0; first < state->parts.count; first += OPTIMISE_PARTS_MAX) {
        int64_t blocks = parts_fill(&state->parts, first, &copies.parts);
        optimise_copy_all(&copies, blocks, gpu_stream(gpu));
    }
    return 0;
}

static void free_weights(void *state)
{
    free(((struct weights_state *)state)->parts.part);
    free(state);
}
