/* loss: makers of cross-entropy and its gradient, tile by tile (tile.h): the probabilities are never
 * written. Sums are doubles; each thread has its own, and they are added up in a fixed order. */
#include "cpu/lanes.h"
#include "cpu/parallel.h"
#include "cpu/tile.h"
#include "ops/resolve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 2048 /* positions for a thread, below which it is not woken */

enum { SCORES, LABELS, WEIGHTS, DLOSS, RESULT, TILES, SUMS, PLACES };

struct entropy {
    struct cross_entropy loss;
    struct tiles tiles;
    enum tensor_type label_type;
    int at[PLACES]; /* place of each, -1: none */
    int parts;
    bool back;
};

/* What comes together in a part. */
struct entropy_sums {
    double cost, weight;
    int64_t bad_label;
    bool bad;
};

/* Positions that are worked on together: two tiles, and rows of one number for each position. */
struct columns {
    float *tile, *room, *largest, *sum, *picked, *weight;
    int32_t *label; /* -1: ignored */
};
#define COLUMN_ROWS 5

typedef void columns_fn(const struct cpu_step *step, const struct columns *c, int64_t position,
                        int64_t count, struct entropy_sums *sums);

static int add_entropy(struct build *build, const struct node *node, bool back, struct error *err);
static int place_inputs(struct build *build, const struct node *node, struct entropy *entropy,
                        struct cpu_place **places, int *count, struct error *err);
static int place_outputs(struct build *build, const struct node *node, struct entropy *entropy,
                         struct cpu_place **places, int *count, struct error *err);
static void *data_of(const struct cpu_step *step, int what);
static struct columns columns_of(const struct cpu_step *step, int part);
static int run_loss(const struct cpu_step *step, struct error *err);
static int run_back(const struct cpu_step *step, struct error *err);
static int add_up(const struct cpu_step *step, struct entropy_sums *total, struct error *err);
static void loss_part(const void *arg, int part, int parts);
static void weigh_part(const void *arg, int part, int parts);
static void back_part(const void *arg, int part, int parts);
static struct entropy_sums go_through(const struct cpu_step *step, int part, int parts,
                                      columns_fn *work);
static columns_fn loss_columns, back_columns;
static void read_labels(const struct cpu_step *step, const struct columns *c, int64_t position,
                        int64_t count, struct entropy_sums *sums);

int build_cross_entropy(struct build *build, const struct node *node, struct error *err)
{
    if (node->output_count > 1 && node->outputs[1] >= 0)
        return BUILD_DECLINED; /* logarithms of probabilities are wanted as well */
    return add_entropy(build, node, false, err);
}

int build_cross_entropy_grad(struct build *build, const struct node *node, struct error *err)
{
    return add_entropy(build, node, true, err);
}

/* ---- making ---- */

static int add_entropy(struct build *build, const struct node *node, bool back, struct error *err)
{
    struct cpu_place *places[PLACES];
    int count = 0;
    struct entropy *entropy = calloc(1, sizeof *entropy);
    if (!entropy)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    entropy->back = back;
    memset(entropy->at, -1, sizeof entropy->at);
    int rc = place_inputs(build, node, entropy, places, &count, err);
    if (!rc)
        rc = place_outputs(build, node, entropy, places, &count, err);
    if (rc) {
        free(entropy);
        return rc;
    }
    return build_c_step(build, "own", back ? run_back : run_loss, entropy, places, count, err);
}

static int place_inputs(struct build *build, const struct node *node, struct entropy *entropy,
                        struct cpu_place **places, int *count, struct error *err)
{
    const int *inputs = node->inputs + entropy->back;
    bool weighted = node->input_count > entropy->back + 2 && inputs[2] >= 0;
    cross_entropy_resolve(node, &build_info(build, inputs[0])->shape, &entropy->loss);
    entropy->label_type = build_info(build, inputs[1])->type;
    entropy->at[SCORES] = (*count)++;
    int rc = tiles_place(build, inputs[0], 1, false, &entropy->tiles, &places[0], err);
    if (rc)
        return rc;
    entropy->at[LABELS] = (*count)++;
    rc = build_want_dense(build, inputs[1], &places[entropy->at[LABELS]], err);
    if (!rc && weighted) {
        entropy->at[WEIGHTS] = (*count)++;
        rc = build_want_dense(build, inputs[2], &places[entropy->at[WEIGHTS]], err);
    }
    if (!rc && entropy->back) {
        entropy->at[DLOSS] = (*count)++;
        rc = build_want_dense(build, node->inputs[0], &places[entropy->at[DLOSS]], err);
    }
    return rc;
}

/* The result, and memory to work in. */
static int place_outputs(struct build *build, const struct node *node, struct entropy *entropy,
                         struct cpu_place **places, int *count, struct error *err)
{
    const struct tiles *tiles = &entropy->tiles;
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    struct layout layout =
        entropy->back ? places[entropy->at[SCORES]]->layout : layout_dense(TENSOR_F32, shape);
    entropy->at[RESULT] = (*count)++;
    int rc = build_output(build, node->outputs[0], &layout, &places[entropy->at[RESULT]], err);
    if (rc)
        return rc;
    entropy->parts = parallel_parts(build->device->threads, tiles_positions(tiles), LEAST);
    int64_t floats = 2 * tiles_floats(tiles) + COLUMN_ROWS * tiles->columns;
    layout =
        layout_dense(TENSOR_F32, &(struct shape){ .rank = 2, .dim = { entropy->parts, floats } });
    entropy->at[TILES] = (*count)++;
    rc = build_new_place(build, &layout, &places[entropy->at[TILES]], err);
    if (rc)
        return rc;
    int64_t bytes = entropy->parts * (int64_t)sizeof(struct entropy_sums);
    layout = layout_dense(TENSOR_U8, &(struct shape){ .rank = 1, .dim = { bytes } });
    entropy->at[SUMS] = (*count)++;
    return build_new_place(build, &layout, &places[entropy->at[SUMS]], err);
}

/* ---- running ---- */

static void *data_of(const struct cpu_step *step, int what)
{
    const struct entropy *entropy = step->state;
    return entropy->at[what] < 0 ? NULL : step->places[entropy->at[what]]->data;
}

static struct columns columns_of(const struct cpu_step *step, int part)
{
    const struct entropy *entropy = step->state;
    int64_t tile = tiles_floats(&entropy->tiles), columns = entropy->tiles.columns;
    float *at =
        (float *)step->places[entropy->at[TILES]]->data + part * (2 * tile + COLUMN_ROWS * columns);
    float *rows = at + 2 * tile;
    return (struct columns){
        .tile = at,
        .room = at + tile,
        .largest = rows,
        .sum = rows + columns,
        .picked = rows + 2 * columns,
        .weight = rows + 3 * columns,
        .label = (int32_t *)(rows + 4 * columns),
    };
}

static int run_loss(const struct cpu_step *step, struct error *err)
{
    const struct entropy *entropy = step->state;
    struct entropy_sums total;
    parallel_run(entropy->parts, loss_part, step);
    int rc = add_up(step, &total, err);
    if (rc || entropy->loss.reduction == REDUCTION_NONE)
        return rc;
    bool mean = entropy->loss.reduction == REDUCTION_MEAN;
    double result = !mean ? total.cost : total.weight != 0 ? total.cost / total.weight : 0;
    *(float *)data_of(step, RESULT) = (float)result;
    return 0;
}

/* Goes over the labels first: what they weigh together is what a mean is divided by. */
static int run_back(const struct cpu_step *step, struct error *err)
{
    const struct entropy *entropy = step->state;
    struct entropy_sums total, *sums = data_of(step, SUMS);
    parallel_run(entropy->parts, weigh_part, step);
    int rc = add_up(step, &total, err);
    if (rc)
        return rc;
    sums[0].weight = total.weight;
    parallel_run(entropy->parts, back_part, step);
    return 0;
}

static int add_up(const struct cpu_step *step, struct entropy_sums *total, struct error *err)
{
    const struct entropy *entropy = step->state;
    const struct entropy_sums *sums = data_of(step, SUMS);
    *total = (struct entropy_sums){ 0 };
    for (int part = 0; part < entropy->parts; part++) {
        if (sums[part].bad) {
            cross_entropy_bad_label(&entropy->loss, sums[part].bad_label, err);
            return error_wrap(err, "node '%s'", step->name);
        }
        total->cost += sums[part].cost;
        total->weight += sums[part].weight;
    }
    return 0;
}

static void loss_part(const void *arg, int part, int parts)
{
    struct entropy_sums *sums = data_of(arg, SUMS);
    sums[part] = go_through(arg, part, parts, loss_columns);
}

static void weigh_part(const void *arg, int part, int parts)
{
    struct entropy_sums *sums = data_of(arg, SUMS);
    sums[part] = go_through(arg, part, parts, NULL);
}

static void back_part(const void *arg, int part, int parts)
{
    go_through(arg, part, parts, back_columns);
}

/* Reads the labels of the part's positions and gives each tile of them to work, if any. */
static struct entropy_sums go_through(const struct cpu_step *step, int part, int parts,
                                      columns_fn *work)
{
    const struct entropy *entropy = step->state;
    const struct columns c = columns_of(step, part);
    struct entropy_sums sums = { 0 };
    int64_t position, end;
    parallel_share(tiles_positions(&entropy->tiles), entropy->tiles.columns, part, parts, &position,
                   &end);
    for (int64_t count; position < end && !sums.bad; position += count) {
        count = tiles_count(&entropy->tiles, position, end);
        read_labels(step, &c, position, count, &sums);
        if (work && !sums.bad)
            work(step, &c, position, count, &sums);
    }
    return sums;
}

/* The logarithm of the sum less what the label's score is below the largest. */
static void loss_columns(const struct cpu_step *step, const struct columns *c, int64_t position,
                         int64_t count, struct entropy_sums *sums)
{
    const struct entropy *entropy = step->state;
    bool each = entropy->loss.reduction == REDUCTION_NONE;
    float *losses = each ? (float *)data_of(step, RESULT) + position : NULL;
    tiles_load(&entropy->tiles, data_of(step, SCORES), position, count, c->tile, c->room);
    for (int64_t i = 0; i < count; i++)
        c->picked[i] = c->label[i] < 0 ? 0 : c->tile[c->label[i] * entropy->tiles.columns + i];
    tiles_exponentials(&entropy->tiles, c->tile, count, c->largest, c->sum);
    lanes_find(POINTWISE_LOG)(c->sum, NULL, NULL, c->sum, count, 0, 0);
    for (int64_t i = 0; i < count; i++) {
        double cost = (double)c->sum[i] - ((double)c->picked[i] - (double)c->largest[i]);
        cost = c->weight[i] != 0 ? (double)c->weight[i] * cost : 0;
        if (each)
            losses[i] = (float)cost;
        sums->cost += cost;
    }
}

/* Probabilities less 1 at the label, times what the position weighs and what comes from above. */
static void back_columns(const struct cpu_step *step, const struct columns *c, int64_t position,
                         int64_t count, struct entropy_sums *unused)
{
    (void)unused;
    const struct entropy *entropy = step->state;
    const struct tiles *tiles = &entropy->tiles;
    const float *dloss = data_of(step, DLOSS);
    const struct entropy_sums *all = data_of(step, SUMS);
    bool each = entropy->loss.reduction == REDUCTION_NONE;
    double total = entropy->loss.reduction == REDUCTION_MEAN ? all[0].weight : 1;
    double share = total != 0 ? 1 / total : 0;
    lanes_fn *multiply = lanes_find(POINTWISE_MUL);
    tiles_load(tiles, data_of(step, SCORES), position, count, c->tile, c->room);
    tiles_exponentials(tiles, c->tile, count, c->largest, c->sum);
    for (int64_t i = 0; i < count; i++) {
        double slope = share * (double)c->weight[i] * (double)dloss[each ? position + i : 0];
        c->picked[i] = (float)slope;
        c->sum[i] = (float)(slope / (double)c->sum[i]);
    }
    for (int64_t k = 0; k < tiles->size; k++)
        multiply(c->tile + k * tiles->columns, c->sum, NULL, c->tile + k * tiles->columns, count, 0,
                 0);
    for (int64_t i = 0; i < count; i++) {
        if (c->weight[i] != 0)
            c->tile[c->label[i] * tiles->columns + i] -= c->picked[i];
        else /* even where scores are no numbers */
            for (int64_t k = 0; k < tiles->size; k++)
                c->tile[k * tiles->columns + i] = 0;
    }
    tiles_store(tiles, c->tile, position, count, data_of(step, RESULT), c->room);
}

static void read_labels(const struct cpu_step *step, const struct columns *c, int64_t position,
                        int64_t count, struct entropy_sums *sums)
{
    const struct entropy *entropy = step->state;
    const struct cross_entropy *loss = &entropy->loss;
    const float *weights = data_of(step, WEIGHTS);
    const void *labels = data_of(step, LABELS);
    bool wide = entropy->label_type == TENSOR_I64;
    for (int64_t i = 0; i < count; i++) {
        int64_t label = wide ? ((const int64_t *)labels)[position + i]
                             : ((const int32_t *)labels)[position + i];
        bool counts = !loss->ignores || label != loss->ignore;
        if (counts && (label < 0 || label >= loss->classes)) {
            sums->bad = true;
            sums->bad_label = label;
            return;
        }
        c->label[i] = counts ? (int32_t)label : -1;
        c->weight[i] = !counts ? 0 : weights ? weights[label] : 1;
        sums->weight += (double)c->weight[i];
    }
}
