/* boxes_steps: what stands behind a detector. */
#include "cuda/boxes.h"
#include "cuda/makers.h"
#include "ops/boxes.h"
#include <stdlib.h>

_Static_assert(BOX_CANDIDATES_MAX <= BOX_WORDS_MAX * BOX_WORD_BITS, "a bit for each candidate");

#define LISTS 4 /* boxes, scores, classes, count */

static cuda_maker make_box_decode, make_box_nms;

static const struct cuda_row rows[] = {
    { "box_decode", make_box_decode },
    { "box_nms", make_box_nms },
};
const struct cuda_family cuda_boxes_family = CUDA_FAMILY(rows);

/* Places: what is read, the lists that the node has, scratch. */
struct made {
    struct cuda_place *places[2 * LISTS + 3];
    int reads, count;
    int lists[LISTS]; /* places; -1: not wanted */
};

struct decode_state {
    struct box_decode decode;
    struct made made;
    int64_t batch;
};

struct nms_state {
    struct box_nms nms;
    struct made made;
    int64_t batch;
};

static void see_cells(struct box_decode *decode, const struct box_form *form,
                      const struct cuda_place *output);
static int run_decode(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static int run_nms(const struct cuda_step *step, struct gpu *gpu, struct error *err);

static int add_lists(struct cuda_build *build, const struct node *node, struct made *made,
                     struct error *err)
{
    made->reads = made->count;
    for (int k = 0; k < LISTS; k++) {
        made->lists[k] = -1;
        if (k >= node->output_count || node->outputs[k] < 0)
            continue;
        const struct value *info = cuda_info(build, node->outputs[k]);
        struct layout layout = layout_dense(info->type, &info->shape);
        made->lists[k] = made->count++;
        int rc = cuda_output(build, node->outputs[k], &layout, &made->places[made->lists[k]], err);
        if (rc)
            return rc;
    }
    return 0;
}

static int add_scratch(struct cuda_build *build, struct made *made, int64_t elements,
                       struct error *err)
{
    return cuda_scratch(build, (uint64_t)elements * sizeof(int32_t), &made->places[made->count++],
                        err);
}

static void *data_of(const struct cuda_step *step, int place)
{
    return place < 0 ? NULL : step->places[place]->data;
}

static struct box_lists lists_of(const struct cuda_step *step, const struct made *made, int32_t limit)
{
    return (struct box_lists){ .boxes = data_of(step, made->lists[0]),
                               .scores = data_of(step, made->lists[1]),
                               .classes = data_of(step, made->lists[2]),
                               .count = data_of(step, made->lists[3]),
                               .limit = limit };
}

/* ---- box_decode ---- */

static int make_box_decode(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct box_form form;
    int rc = box_decode_resolve(node, &cuda_info(build, node->inputs[0])->shape, &form, err);
    if (rc)
        return rc;
    struct decode_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    struct made *made = &state->made;
    made->count = 1;
    rc = cuda_where(build, node->inputs[0], &made->places[0], err);
    if (!rc)
        rc = add_lists(build, node, made, err);
    for (int i = 0; !rc && i < 2; i++)
        rc = add_scratch(build, made, form.batch * form.cells, err);
    if (rc) {
        free(state);
        return rc;
    }
    state->batch = form.batch;
    see_cells(&state->decode, &form, made->places[0]);
    return cuda_add_step(build, "box_decode", run_decode, state, NULL, made->places, made->reads,
                         made->count, err);
}

/* Cells of a list are a single row. */
static void see_cells(struct box_decode *decode, const struct box_form *form,
                      const struct cuda_place *output)
{
    struct view view = cuda_view(output);
    int cells = form->cells_last ? 2 : 1, numbers = form->cells_last ? 1 : 2;
    *decode = (struct box_decode){
        .kind = form->kind,
        .type = view.type,
        .image = view.step[0],
        .number = view.step[numbers],
        .row = view.rank == 4 ? view.step[cells] : 0,
        .column = view.step[view.rank == 4 ? 3 : cells],
        .cells = (int32_t)form->cells,
        .columns = view.rank == 4 ? view.dim[3] : (int32_t)form->cells,
        .classes = (int32_t)form->classes,
        .size = { (int32_t)form->size[0], (int32_t)form->size[1] },
        .threshold = form->score,
        .to = { .limit = (int32_t)form->limit },
    };
}

static int run_decode(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct decode_state *state = step->state;
    const struct made *made = &state->made;
    struct box_decode decode = state->decode;
    (void)err;
    decode.data = step->places[0]->data;
    decode.score = step->places[made->count - 2]->data;
    decode.class_id = step->places[made->count - 1]->data;
    decode.to = lists_of(step, made, decode.to.limit);
    box_score_each(&decode, state->batch * decode.cells, gpu_stream(gpu));
    box_gather(&decode, state->batch, gpu_stream(gpu));
    return 0;
}

/* ---- box_nms ---- */

static int make_box_nms(struct cuda_build *build, const struct node *node, struct error *err)
{
    static const enum tensor_type types[LISTS] = { TENSOR_F32, TENSOR_F32, TENSOR_I32, TENSOR_I32 };
    struct box_choice choice;
    int rc = box_nms_resolve(node, &cuda_info(build, node->inputs[0])->shape, &choice, err);
    if (rc)
        return rc;
    struct nms_state *state = calloc(1, sizeof *state);
    if (!state)
        return cuda_no_memory(err);
    struct made *made = &state->made;
    int64_t candidates = choice.candidates < choice.boxes ? choice.candidates : choice.boxes;
    int64_t words = (candidates + BOX_WORD_BITS - 1) / BOX_WORD_BITS;
    for (int i = 0; !rc && i < LISTS; i++)
        rc = cuda_want_dense(build, node->inputs[i], types[i], &made->places[made->count++], err);
    if (!rc)
        rc = add_lists(build, node, made, err);
    const int64_t scratch[] = { choice.boxes, candidates, candidates * words };
    for (int i = 0; !rc && i < 3; i++)
        rc = add_scratch(build, made, choice.batch * scratch[i], err);
    if (rc) {
        free(state);
        return rc;
    }
    state->batch = choice.batch;
    state->nms = (struct box_nms){ .given = (int32_t)choice.boxes,
                                   .candidates = (int32_t)candidates,
                                   .words = (int32_t)words,
                                   .iou = choice.iou,
                                   .to = { .limit = (int32_t)choice.limit } };
    return cuda_add_step(build, "box_nms", run_nms, state, NULL, made->places, made->reads,
                         made->count, err);
}

static int run_nms(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct nms_state *state = step->state;
    const struct made *made = &state->made;
    struct box_nms nms = state->nms;
    void *stream = gpu_stream(gpu);
    int64_t looked_at = state->batch * nms.candidates;
    nms.boxes = step->places[0]->data;
    nms.scores = step->places[1]->data;
    nms.classes = step->places[2]->data;
    nms.count = step->places[3]->data;
    nms.key = step->places[made->count - 3]->data;
    nms.order = step->places[made->count - 2]->data;
    nms.covered = step->places[made->count - 1]->data;
    nms.to = lists_of(step, made, nms.to.limit);
    int rc = gpu_clear(gpu, nms.order, (uint64_t)looked_at * sizeof *nms.order, err);
    if (rc)
        return rc;
    box_key_each(&nms, state->batch * nms.given, stream);
    box_rank_each(&nms, state->batch * nms.given, stream);
    box_cover_each(&nms, looked_at * nms.words, stream);
    box_choose(&nms, state->batch, stream);
    return 0;
}
