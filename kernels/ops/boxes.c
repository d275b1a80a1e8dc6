/* boxes: a detector's raw output becomes candidates, and these become boxes of which no two of one class
 * cover each other. Lists have a fixed size and a count; what lies behind is 0. */
#include "ops/boxes.h"
#include "ops/families.h"
#include "ops/rules.h"
#include <string.h>

/* Outputs of both ops; box_nms reads the same four. */
enum { BOXES, SCORES, CLASSES, COUNT, LISTS };

#define CORNERS 4

static int box_decode_shape(const struct node *node, const struct op_values *values,
                            struct error *err);
static int box_decode_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);
static int box_nms_shape(const struct node *node, const struct op_values *values, struct error *err);
static int box_nms_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* output -> (boxes, scores, classes, count): f32 of N x limit x 4 (x1, y1, x2, y2 in pixels of the
     * network's input), f32 and i32 of N x limit, i32 of N. The first `limit` cells whose score is
     * `score` at least, in their order. kind:
     *
     *     "yolox"       N x cells x (5 + classes); grids of stride 8, 16, 32 (and 64), row by row.
     *                   Centre from the cell's corner and logarithm of the sides in cells, objectness,
     *                   classes' scores; both multiplied, and objectness alone is `score` at least, too
     *     "yolov8"      N x (4 + classes) x cells or the last two swapped; centre and sides in pixels
     *     "fastestdet"  N x (5 + classes) x rows x columns; objectness, offset of the centre (of which
     *                   tanh, in cells), sides (of which the sigmoid, of the input), classes' scores.
     *                   Score: objectness^0.6 * class^0.4
     *
     * size: rows and columns of the network's input; yolov8 needs none. */
    { OP_ROW("box_decode", 1, 1, LISTS, OPSET_OWN, OPSET_OWN, box_decode_shape, box_decode_reference),
      OP_ATTRIBUTES({ "kind", ATTRIBUTE_STRING }, { "classes", ATTRIBUTE_INT },
                    { "size", ATTRIBUTE_INTS }, { "score", ATTRIBUTE_FLOAT },
                    { "limit", ATTRIBUTE_INT }) },
    /* (boxes, scores, classes, count) -> the same, `limit` of them by falling score, the first one of
     * equals; without those that a better one of their class covers by more than `iou`. Not taken are
     * a score or a box that is not finite and a box without an area. Of the others the `candidates`
     * best are looked at, 1,024 without. */
    { OP_ROW("box_nms", LISTS, LISTS, LISTS, OPSET_OWN, OPSET_OWN, box_nms_shape, box_nms_reference),
      OP_ATTRIBUTES({ "iou", ATTRIBUTE_FLOAT }, { "limit", ATTRIBUTE_INT },
                    { "candidates", ATTRIBUTE_INT }) },
};
const struct op_family boxes_family = OP_FAMILY(rows);

static int read_limit(const struct node *node, int64_t *limit, struct error *err)
{
    *limit = node_int(node, "limit", 0);
    if (*limit < 1 || *limit > INT32_MAX / CORNERS)
        return error_set(err, ERROR_FORMAT, "limit", "%lld", (long long)*limit);
    return 0;
}

static void put_lists(const struct op_values *values, int64_t batch, int64_t limit)
{
    rule_output(values, BOXES, TENSOR_REAL, &(struct shape){ 3, { batch, limit, CORNERS } });
    rule_output(values, SCORES, TENSOR_REAL, &(struct shape){ 2, { batch, limit } });
    rule_output(values, CLASSES, TENSOR_I32, &(struct shape){ 2, { batch, limit } });
    rule_output(values, COUNT, TENSOR_I32, &(struct shape){ 1, { batch } });
}

/* One image of the lists that a kernel writes. */
struct list {
    struct tensor *const *out;
    int64_t image, limit, count;
};

static struct list start_list(struct tensor *const *out, int64_t image, int64_t limit)
{
    return (struct list){ .out = out, .image = image, .limit = limit };
}

static void add_box(struct list *list, const real box[CORNERS], real score, int32_t class)
{
    int64_t at = list->image * list->limit + list->count++;
    if (list->out[BOXES])
        memcpy((real *)list->out[BOXES]->data + at * CORNERS, box, CORNERS * sizeof *box);
    if (list->out[SCORES])
        ((real *)list->out[SCORES]->data)[at] = score;
    if (list->out[CLASSES])
        ((int32_t *)list->out[CLASSES]->data)[at] = class;
}

static void end_list(struct list *list)
{
    int64_t count = list->count;
    while (list->count < list->limit)
        add_box(list, (const real[CORNERS]){ 0 }, 0, 0);
    if (list->out[COUNT])
        ((int32_t *)list->out[COUNT]->data)[list->image] = (int32_t)count;
}

/* ---- box_decode ---- */

static int64_t grid_side(int64_t pixels, int64_t stride)
{
    return (pixels + stride - 1) / stride;
}

/* True when YOLOX has so many cells for the size. */
static bool has_grids(const struct box_form *form)
{
    int64_t cells = 0;
    for (int64_t stride = BOX_STRIDE_FIRST; stride <= BOX_STRIDE_LAST_MAX; stride *= 2) {
        cells += grid_side(form->size[0], stride) * grid_side(form->size[1], stride);
        if (stride >= 32 && cells == form->cells)
            return true;
    }
    return false;
}

static int read_kind(const struct node *node, enum box_kind *kind, struct error *err)
{
    static const char *const words[] = { "yolox", "yolov8", "fastestdet" };
    const char *word = node_string(node, "kind", "");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) {
            *kind = (enum box_kind)i;
            return 0;
        }
    return error_set(err, ERROR_FORMAT, "kind", "'%.30s' is none", word);
}

static int read_size(const struct node *node, struct box_form *form, struct error *err)
{
    const int64_t *size;
    if (form->kind == BOX_YOLOV8)
        return 0;
    if (node_ints(node, "size", &size) != 2 || size[0] < 1 || size[1] < 1 || size[0] > INT16_MAX ||
        size[1] > INT16_MAX)
        return error_set(err, ERROR_FORMAT, "size", "rows and columns of the input expected");
    form->size[0] = size[0];
    form->size[1] = size[1];
    return 0;
}

int box_decode_resolve(const struct node *node, const struct shape *output, struct box_form *form,
                       struct error *err)
{
    *form = (struct box_form){ .batch = output->dim[0],
                               .classes = node_int(node, "classes", 0),
                               .cell_grid = 1,
                               .score = node_float(node, "score", 0) };
    int rc = read_kind(node, &form->kind, err);
    if (rc || (rc = read_limit(node, &form->limit, err)) || (rc = read_size(node, form, err)))
        return rc;
    if (form->classes < 1 || form->classes > INT16_MAX)
        return error_set(err, ERROR_FORMAT, "classes", "%lld", (long long)form->classes);
    int64_t numbers = form->classes + (form->kind == BOX_YOLOV8 ? 4 : 5);
    bool matches = output->rank == (form->kind == BOX_FASTESTDET ? 4 : 3);
    form->cells_last =
        form->kind == BOX_FASTESTDET || (form->kind == BOX_YOLOV8 && output->dim[1] == numbers);
    if (matches) {
        form->cells = form->cells_last ? shape_span(output, 2, output->rank) : output->dim[1];
        form->cell_grid = output->rank == 4 ? output->dim[3] : 1;
        matches = output->dim[form->cells_last ? 1 : 2] == numbers && form->cells > 0 &&
                  (form->kind != BOX_YOLOX || has_grids(form));
    }
    if (matches)
        return 0;
    char text[128];
    shape_format(output, text, sizeof text);
    return error_set(err, ERROR_FORMAT, "output", "shape %s is not that of %s with %lld classes",
                     text, node_string(node, "kind", ""), (long long)form->classes);
}

static int box_decode_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct box_form form;
    int rc = rule_input(values, 0, "output", TYPE(REAL), 3, 4, err);
    if (!rc)
        rc = box_decode_resolve(node, &values->in[0]->shape, &form, err);
    if (!rc)
        put_lists(values, form.batch, form.limit);
    return rc;
}

/* The numbers of a cell. */
struct cell {
    const real *data;
    int64_t step, index;
};

static real number_of(const struct cell *cell, int64_t k)
{
    return cell->data[k * cell->step];
}

/* Of the classes' scores, which begin at number k. */
static int64_t best_class(const struct cell *cell, int64_t k, int64_t classes)
{
    int64_t best = 0;
    for (int64_t c = 1; c < classes; c++)
        if (number_of(cell, k + c) > number_of(cell, k + best))
            best = c;
    return best;
}

static void set_box(real x, real y, real half_width, real half_height, real box[CORNERS])
{
    box[0] = x - half_width;
    box[1] = y - half_height;
    box[2] = x + half_width;
    box[3] = y + half_height;
}

static void yolox_box(const struct box_form *form, const struct cell *cell, real box[CORNERS])
{
    int64_t stride = BOX_STRIDE_FIRST, index = cell->index, columns;
    for (;; stride *= 2) {
        columns = grid_side(form->size[1], stride);
        int64_t cells = grid_side(form->size[0], stride) * columns;
        if (index < cells)
            break;
        index -= cells;
    }
    int64_t row = index / columns, column = index % columns;
    real scale = (real)stride;
    set_box((number_of(cell, 0) + (real)column) * scale, (number_of(cell, 1) + (real)row) * scale,
            exp(number_of(cell, 2)) * scale / 2, exp(number_of(cell, 3)) * scale / 2, box);
}

static void fastestdet_box(const struct box_form *form, const struct cell *cell, real box[CORNERS])
{
    int64_t columns = form->cell_grid, cell_rows = form->cells / columns;
    int64_t row = cell->index / columns, column = cell->index % columns;
    real width = (real)form->size[1], height = (real)form->size[0];
    set_box(((real)column + tanh(number_of(cell, 1))) * (width / (real)columns),
            ((real)row + tanh(number_of(cell, 2))) * (height / (real)cell_rows),
            width / (1 + exp(-number_of(cell, 3))) / 2, height / (1 + exp(-number_of(cell, 4))) / 2,
            box);
}

/* Score and class of a cell, and its box. */
static real decode_cell(const struct box_form *form, const struct cell *cell, int32_t *class,
                        real box[CORNERS])
{
    int64_t first = form->kind == BOX_YOLOV8 ? 4 : 5, best = best_class(cell, first, form->classes);
    real objectness, of_class = number_of(cell, first + best);
    *class = (int32_t)best;
    switch (form->kind) {
    case BOX_YOLOX:
        yolox_box(form, cell, box);
        objectness = number_of(cell, 4);
        return objectness >= (real)form->score ? objectness * of_class : objectness;
    case BOX_FASTESTDET:
        fastestdet_box(form, cell, box);
        return pow(number_of(cell, 0), (real)0.6f) * pow(of_class, (real)0.4f);
    default:
        set_box(number_of(cell, 0), number_of(cell, 1), number_of(cell, 2) / 2,
                number_of(cell, 3) / 2, box);
        return of_class;
    }
}

static int box_decode_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    struct box_form form;
    int rc = box_decode_resolve(node, &in[0]->shape, &form, err);
    if (rc)
        return rc;
    int64_t numbers = form.classes + (form.kind == BOX_YOLOV8 ? 4 : 5);
    for (int64_t image = 0; image < form.batch; image++) {
        struct list list = start_list(out, image, form.limit);
        const real *data = (const real *)in[0]->data + image * form.cells * numbers;
        for (int64_t n = 0; n < form.cells && list.count < form.limit; n++) {
            struct cell cell = { data + n * (form.cells_last ? 1 : numbers),
                                 form.cells_last ? form.cells : 1, n };
            real box[CORNERS];
            int32_t class;
            real score = decode_cell(&form, &cell, &class, box);
            if (score >= (real)form.score)
                add_box(&list, box, score, class);
        }
        end_list(&list);
    }
    return 0;
}

/* ---- box_nms ---- */

int box_nms_resolve(const struct node *node, const struct shape *boxes, struct box_choice *choice,
                    struct error *err)
{
    *choice = (struct box_choice){ .batch = boxes->dim[0],
                                   .boxes = boxes->dim[1],
                                   .candidates = node_int(node, "candidates", BOX_CANDIDATES_MAX),
                                   .iou = node_float(node, "iou", 0) };
    if (choice->candidates < 1 || choice->candidates > BOX_CANDIDATES_MAX)
        return error_set(err, ERROR_FORMAT, "candidates", "%lld; 1 to %d expected",
                         (long long)choice->candidates, BOX_CANDIDATES_MAX);
    return read_limit(node, &choice->limit, err);
}

static int box_nms_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct box_choice choice;
    int rc = rule_input(values, BOXES, "boxes", TYPE(REAL), 3, 3, err);
    if (!rc)
        rc = rule_input(values, SCORES, "scores", TYPE(REAL), 2, 2, err);
    if (!rc)
        rc = rule_input(values, CLASSES, "classes", TYPE(I32), 2, 2, err);
    if (!rc)
        rc = rule_input(values, COUNT, "count", TYPE(I32), 1, 1, err);
    if (!rc)
        rc = box_nms_resolve(node, &values->in[BOXES]->shape, &choice, err);
    if (rc)
        return rc;
    const struct shape *boxes = &values->in[BOXES]->shape;
    const struct shape *scores = &values->in[SCORES]->shape;
    if (boxes->dim[2] != CORNERS || boxes->dim[1] < 1 || scores->dim[0] != boxes->dim[0] ||
        scores->dim[1] != boxes->dim[1] || !shape_equal(scores, &values->in[CLASSES]->shape) ||
        values->in[COUNT]->shape.dim[0] != boxes->dim[0])
        return error_set(err, ERROR_FORMAT, "boxes", "N x M x 4, N x M, N x M and N expected");
    put_lists(values, choice.batch, choice.limit);
    return 0;
}

/* The candidates of an image. */
struct pool {
    const real *boxes, *scores;
    const int32_t *classes;
    int64_t count;
};

static bool is_candidate(const struct pool *pool, int64_t i)
{
    const real *box = pool->boxes + i * CORNERS;
    return isfinite(pool->scores[i]) && isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) &&
           isfinite(box[3]) && box[2] > box[0] && box[3] > box[1];
}

static bool is_better(const struct pool *pool, int64_t a, int64_t b)
{
    return pool->scores[a] > pool->scores[b] || (pool->scores[a] == pool->scores[b] && a < b);
}

/* The best of those that are worse than `after`, of all if that is -1; -1: there is none. */
static int64_t next_best(const struct pool *pool, int64_t after)
{
    int64_t best = -1;
    for (int64_t i = 0; i < pool->count; i++)
        if (is_candidate(pool, i) && (after < 0 || is_better(pool, after, i)) &&
            (best < 0 || is_better(pool, i, best)))
            best = i;
    return best;
}

/* Intersection over union, in double: the product of two large floats must not overflow. */
static float overlap(const real *a, const real *b)
{
    double width = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
    double height = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    if (width <= 0 || height <= 0)
        return 0;
    double area_a = ((double)a[2] - (double)a[0]) * ((double)a[3] - (double)a[1]);
    double area_b = ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]);
    return (float)(width * height / (area_a + area_b - width * height));
}

/* taken: those that are in the list already, which may be of a node that leaves its boxes out. */
static bool is_covered(const struct pool *pool, int64_t i, const int32_t *taken, int64_t count,
                       float iou)
{
    for (int64_t k = 0; k < count; k++)
        if (pool->classes[taken[k]] == pool->classes[i] &&
            overlap(pool->boxes + (int64_t)taken[k] * CORNERS, pool->boxes + i * CORNERS) > iou)
            return true;
    return false;
}

static void choose_boxes(const struct pool *pool, const struct box_choice *choice, struct list *list)
{
    int32_t taken[BOX_CANDIDATES_MAX];
    int64_t next = -1;
    for (int64_t k = 0; k < choice->candidates && list->count < choice->limit; k++) {
        next = next_best(pool, next);
        if (next < 0)
            break;
        if (is_covered(pool, next, taken, list->count, choice->iou))
            continue;
        taken[list->count] = (int32_t)next;
        add_box(list, pool->boxes + next * CORNERS, pool->scores[next], pool->classes[next]);
    }
}

static int box_nms_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    struct box_choice choice;
    int rc = box_nms_resolve(node, &in[BOXES]->shape, &choice, err);
    for (int64_t image = 0; !rc && image < choice.batch; image++) {
        int64_t first = image * choice.boxes, count = ((const int32_t *)in[COUNT]->data)[image];
        struct list list = start_list(out, image, choice.limit);
        struct pool pool = { .boxes = (const real *)in[BOXES]->data + first * CORNERS,
                             .scores = (const real *)in[SCORES]->data + first,
                             .classes = (const int32_t *)in[CLASSES]->data + first,
                             .count = count < choice.boxes ? count : choice.boxes };
        choose_boxes(&pool, &choice, &list);
        end_list(&list);
    }
    return rc;
}
