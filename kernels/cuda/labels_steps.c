/* labels_steps: label maps and what is counted of them. Scores are read as they lie. */
#include "cuda/labels.h"
#include "cuda/iterate.h"
#include "cuda/makers.h"
#include "ops/labels.h"
#include <stdlib.h>

_Static_assert(LABEL_PLANES_MAX == LABELS_MAX && LABEL_NONE == LABELS_NONE, "the op's limits");
_Static_assert(LABEL_PLANES_MAX <= LABEL_BINS, "a block counts all planes");

static cuda_maker make_label_map, make_confusion;

static const struct cuda_row rows[] = {
    { "label_map", make_label_map },
    { "confusion", make_confusion },
};
const struct cuda_family cuda_labels_family = CUDA_FAMILY(rows);

struct label_state {
    struct label_map map;
    int64_t blocks;
    int labels, counts; /* places; -1: not wanted */
};

static int64_t count_chunks(int64_t positions);
static void set_scores(struct label_state *state, const struct cuda_place *scores);
static int run_label_map(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static int run_confusion(const struct cuda_step *step, struct gpu *gpu, struct error *err);

/* A row-major place for output k, if the node has it; *place -1 if not. */
static int add_output(struct cuda_build *build, const struct node *node, int k,
                      struct cuda_place **places, int *count, int *place, struct error *err)
{
    *place = -1;
    if (k >= node->output_count || node->outputs[k] < 0)
        return 0;
    const struct value *info = cuda_info(build, node->outputs[k]);
    struct layout layout = layout_dense(info->type, &info->shape);
    *place = (*count)++;
    return cuda_output(build, node->outputs[k], &layout, &places[*place], err);
}

static int make_label_map(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *places[3];
    int count = 1;
    struct label_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    int rc = label_map_resolve(node, cuda_info(build, node->inputs[0])->shape.dim[1],
                               state->map.names, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &places[0], err);
    if (!rc)
        rc = add_output(build, node, 0, places, &count, &state->labels, err);
    if (!rc)
        rc = add_output(build, node, 1, places, &count, &state->counts, err);
    if (rc) {
        free(state);
        return rc;
    }
    set_scores(state, places[0]);
    return cuda_add_step(build, "label_map", run_label_map, state, NULL, places, 1, count, err);
}

/* Positions in the order of the labels, as few dimensions as that takes. */
static void set_scores(struct label_state *state, const struct cuda_place *scores)
{
    struct view all = cuda_view(scores), labels = { .type = TENSOR_U8, .rank = all.rank - 2 };
    struct label_map *map = &state->map;
    map->scores = (struct view){ .type = all.type, .rank = all.rank - 2 };
    map->image = all.step[0];
    map->planes = all.dim[1];
    map->step = all.step[1];
    map->positions = 1;
    for (int d = all.rank - 3; d >= 0; d--) {
        map->scores.dim[d] = labels.dim[d] = all.dim[2 + d];
        map->scores.step[d] = all.step[2 + d];
        labels.step[d] = map->positions;
        map->positions *= all.dim[2 + d];
    }
    iterate_join((struct view *const[]){ &labels, &map->scores }, 2);
    map->chunks = (int32_t)count_chunks(map->positions);
    state->blocks = (int64_t)all.dim[0] * map->chunks;
}

static int64_t count_chunks(int64_t positions)
{
    return (positions + LABEL_POSITIONS - 1) / LABEL_POSITIONS;
}

static int run_label_map(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct label_state *state = step->state;
    struct label_map map = state->map;
    int rc = 0;
    map.scores.data = step->places[0]->data;
    map.labels = state->labels < 0 ? NULL : step->places[state->labels]->data;
    if (state->counts >= 0) {
        const struct cuda_place *counts = step->places[state->counts];
        map.counts = counts->data;
        rc = gpu_clear(gpu, counts->data, layout_bytes(&counts->layout), err);
    }
    if (!rc)
        label_map_chunks(&map, state->blocks, gpu_stream(gpu));
    return rc;
}

static int make_confusion(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *places[3];
    int64_t classes = 0;
    int count = 2, counts;
    int rc = confusion_resolve(node, &classes, err);
    for (int i = 0; !rc && i < 2; i++)
        rc = cuda_want_dense(build, node->inputs[i], TENSOR_U8, &places[i], err);
    if (!rc)
        rc = add_output(build, node, 0, places, &count, &counts, err);
    if (rc)
        return rc;
    struct confusion *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    state->classes = (int32_t)classes;
    state->positions = shape_elements(&places[0]->layout.shape);
    state->chunks = count_chunks(state->positions);
    return cuda_add_step(build, "confusion", run_confusion, state, NULL, places, 2, count, err);
}

static int run_confusion(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    struct confusion confusion = *(const struct confusion *)step->state;
    const struct cuda_place *counts = step->places[2];
    confusion.labels = step->places[0]->data;
    confusion.wanted = step->places[1]->data;
    confusion.counts = counts->data;
    int rc = gpu_clear(gpu, counts->data, layout_bytes(&counts->layout), err);
    int64_t bins = shape_elements(&counts->layout.shape);
    int64_t slices = (bins + LABEL_BINS - 1) / LABEL_BINS;
    if (!rc)
        confusion_chunks(&confusion, confusion.chunks * slices, gpu_stream(gpu));
    return rc;
}
