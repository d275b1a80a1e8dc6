/* labels: scores per pixel become labels, and labels are held against what they should be. Counts are
 * whole numbers, so every way to add them up gives the same. */
#include "ops/labels.h"
#include "ops/families.h"
#include "ops/rules.h"
#include <string.h>

enum { LABELS, COUNTS };
enum { FOUND, WANTED };

static int label_map_shape(const struct node *node, const struct op_values *values,
                           struct error *err);
static int label_map_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err);
static int confusion_shape(const struct node *node, const struct op_values *values,
                           struct error *err);
static int confusion_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* scores -> (labels, [counts]); f32 of N x C x positions, u8 of N x positions, i32 of N x C. The plane
     * with the largest score labels a position, the first one of equals; 255 where that score is not
     * finite. NaN never wins over a number, but in plane 0 it stays. counts: positions that each plane
     * has labelled. `names`: the planes' labels, 0, 1, … without. */
    { OP_ROW("label_map", 1, 1, 2, OPSET_OWN, OPSET_OWN, label_map_shape, label_map_reference),
      OP_ATTRIBUTES({ "names", ATTRIBUTE_INTS }) },
    /* (labels, wanted) -> counts; u8 of one shape, i32 of `classes` x (classes + 1). Row c counts
     * positions that should be c, by what they are labelled; in the last column what is labelled as no
     * class. What should be no class counts nowhere. */
    { OP_ROW("confusion", 2, 2, 1, OPSET_OWN, OPSET_OWN, confusion_shape, confusion_reference),
      OP_ATTRIBUTES({ "classes", ATTRIBUTE_INT }) },
};
const struct op_family labels_family = OP_FAMILY(rows);

/* ---- label_map ---- */

int label_map_resolve(const struct node *node, int64_t planes, uint8_t names[LABELS_MAX],
                      struct error *err)
{
    const int64_t *listed;
    size_t count = node_ints(node, "names", &listed);
    if (planes < 1 || planes > (count ? LABELS_MAX : LABELS_CLASSES_MAX))
        return error_set(err, ERROR_UNSUPPORTED, "scores", "%lld planes; 1 to %d expected",
                         (long long)planes, count ? LABELS_MAX : LABELS_CLASSES_MAX);
    if (count && count != (size_t)planes)
        return error_set(err, ERROR_FORMAT, "names", "%zu for %lld planes", count, (long long)planes);
    for (int64_t p = 0; p < planes; p++) {
        int64_t name = count ? listed[p] : p;
        if (name < 0 || name > UINT8_MAX)
            return error_set(err, ERROR_FORMAT, "names", "%lld is no byte", (long long)name);
        names[p] = (uint8_t)name;
    }
    return 0;
}

static int label_map_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    uint8_t names[LABELS_MAX];
    int rc = rule_input(values, 0, "scores", TYPE(REAL), 2, SHAPE_RANK_MAX, err);
    if (!rc)
        rc = label_map_resolve(node, values->in[0]->shape.dim[1], names, err);
    if (rc)
        return rc;
    const struct shape *scores = &values->in[0]->shape;
    struct shape labels = { .rank = scores->rank - 1, .dim = { scores->dim[0] } };
    for (int d = 2; d < scores->rank; d++)
        labels.dim[d - 1] = scores->dim[d];
    rule_output(values, LABELS, TENSOR_U8, &labels);
    rule_output(values, COUNTS, TENSOR_I32, &(struct shape){ 2, { scores->dim[0], scores->dim[1] } });
    return 0;
}

/* The plane that wins, or -1. */
static int64_t winner(const real *scores, int64_t step, int64_t planes)
{
    int64_t best = 0;
    for (int64_t p = 1; p < planes; p++)
        if (scores[p * step] > scores[best * step])
            best = p;
    return isfinite(scores[best * step]) ? best : -1;
}

static int label_map_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err)
{
    uint8_t names[LABELS_MAX];
    const struct shape *shape = &in[0]->shape;
    const int64_t planes = shape->dim[1], positions = shape_span(shape, 2, shape->rank);
    int rc = label_map_resolve(node, planes, names, err);
    if (rc)
        return rc;
    uint8_t *labels = out[LABELS] ? out[LABELS]->data : NULL;
    int32_t *counts = out[COUNTS] ? out[COUNTS]->data : NULL;
    if (counts)
        memset(counts, 0, tensor_bytes(out[COUNTS]));
    for (int64_t i = 0; i < shape->dim[0] * positions; i++) {
        int64_t image = i / positions;
        const real *scores = (const real *)in[0]->data + image * planes * positions + i % positions;
        int64_t best = winner(scores, positions, planes);
        if (labels)
            labels[i] = best < 0 ? LABELS_NONE : names[best];
        if (counts && best >= 0)
            counts[image * planes + best]++;
    }
    return 0;
}

/* ---- confusion ---- */

int confusion_resolve(const struct node *node, int64_t *classes, struct error *err)
{
    *classes = node_int(node, "classes", 0);
    if (*classes < 1 || *classes > LABELS_CLASSES_MAX)
        return error_set(err, ERROR_FORMAT, "classes", "%lld; 1 to %d expected",
                         (long long)*classes, LABELS_CLASSES_MAX);
    return 0;
}

static int confusion_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t classes;
    int rc = confusion_resolve(node, &classes, err);
    if (!rc)
        rc = rule_input(values, FOUND, "labels", TYPE(U8), 0, SHAPE_RANK_MAX, err);
    if (!rc)
        rc = rule_input(values, WANTED, "wanted", TYPE(U8), 0, SHAPE_RANK_MAX, err);
    if (!rc && !shape_equal(&values->in[FOUND]->shape, &values->in[WANTED]->shape))
        rc = error_set(err, ERROR_FORMAT, "wanted", "its shape is not that of the labels");
    if (rc)
        return rc;
    rule_output(values, 0, TENSOR_I32, &(struct shape){ 2, { classes, classes + 1 } });
    return 0;
}

static int confusion_reference(const struct node *node, const struct tensor *const *in,
                               struct tensor *const *out, struct error *err)
{
    int64_t classes;
    const uint8_t *found = in[FOUND]->data, *wanted = in[WANTED]->data;
    int rc = confusion_resolve(node, &classes, err);
    if (rc)
        return rc;
    int32_t *counts = out[0]->data;
    memset(counts, 0, tensor_bytes(out[0]));
    for (int64_t i = 0, count = shape_elements(&in[FOUND]->shape); i < count; i++)
        if (wanted[i] < classes)
            counts[wanted[i] * (classes + 1) + (found[i] < classes ? found[i] : classes)]++;
    return 0;
}
