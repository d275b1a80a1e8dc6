/* einsum: sums of products, with dimensions that are named by letters: "ij,jk->ik". */
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include "tensor/number.h"
#include <ctype.h>
#include <string.h>

#define LETTERS 52
/* Dimensions that "..." stands for come behind the letters, the last one last. */
#define LABELS (LETTERS + SHAPE_RANK_MAX)
/* More products than this are no work for anybody. */
#define PRODUCTS_MAX ((int64_t)1 << 42)

struct einsum {
    int count;                                        /* of the operands */
    int rank[GRAPH_NODE_INPUTS_MAX];                  /* of each, and of the output */
    int label[GRAPH_NODE_INPUTS_MAX][SHAPE_RANK_MAX]; /* of each operand's dimensions */
    int output[SHAPE_RANK_MAX], output_rank;
    int64_t size[LABELS]; /* 0: not there; else 1 more than the dimension */
};

/* One label on its way through the products. */
struct counter {
    int64_t size, index;
    int label;
};

static int einsum_shape(const struct node *node, const struct op_values *values, struct error *err);
static int einsum_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("Einsum", 1, GRAPH_NODE_INPUTS_MAX, 1, 12, OPSET_MAX, einsum_shape, einsum_reference),
      .heavy = true, OP_ATTRIBUTES({ "equation", ATTRIBUTE_STRING }) },
};
const struct op_family einsum_family = OP_FAMILY(rows);

static int label_of(char letter)
{
    return islower((unsigned char)letter) ? letter - 'a' : letter - 'A' + LETTERS / 2;
}

static const char *skip_blanks(const char *text)
{
    while (*text == ' ')
        text++;
    return text;
}

static int wrong(const char *text, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "equation", "is wrong at '%.32s'", text);
}

/* The labels of one term, up to what is none; rank: how many there must be, where "..." stands for what is
 * missing, or -1: "..." stands for `dots`. */
static int read_term(const char **text, int rank, int dots, int labels[SHAPE_RANK_MAX], int *count,
                     struct error *err)
{
    int letters = 0, dots_at = -1;
    const char *at = skip_blanks(*text);
    for (const char *c = at; isalpha((unsigned char)*c) || *c == '.' || *c == ' '; c++)
        letters += isalpha((unsigned char)*c) != 0;
    if (rank >= 0)
        dots = rank - letters;
    *count = 0;
    for (;; at = skip_blanks(at)) {
        if (isalpha((unsigned char)*at)) {
            if (*count == SHAPE_RANK_MAX)
                return wrong(at, err);
            labels[(*count)++] = label_of(*at++);
        } else if (strncmp(at, "...", 3) == 0 && dots_at < 0 && dots >= 0 &&
                   *count + dots <= SHAPE_RANK_MAX) {
            dots_at = *count;
            for (int d = 0; d < dots; d++)
                labels[(*count)++] = LABELS - dots + d;
            at += 3;
        } else {
            break;
        }
    }
    *text = at;
    return rank >= 0 && *count != rank ? wrong(at, err) : 0;
}

static int add_output(struct einsum *einsum, int label, struct error *err)
{
    if (einsum->output_rank == SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "output", "more than %d dimensions", SHAPE_RANK_MAX);
    einsum->output[einsum->output_rank++] = label;
    return 0;
}

/* What "..." stands for, and then the letters that come once, capitals first. */
static int imply_output(struct einsum *einsum, const int *times, struct error *err)
{
    int rc = 0;
    for (int label = LETTERS; !rc && label < LABELS; label++)
        if (einsum->size[label] > 0)
            rc = add_output(einsum, label, err);
    for (char c = 'A'; !rc && c <= 'z'; c++)
        if (isalpha((unsigned char)c) && times[label_of(c)] == 1)
            rc = add_output(einsum, label_of(c), err);
    return rc;
}

/* A size for each label; 1 goes with any other one behind "...". */
static int size_labels(struct einsum *einsum, int operand, const struct shape *shape,
                       struct error *err)
{
    for (int d = 0; d < shape->rank; d++) {
        int label = einsum->label[operand][d];
        int64_t *size = &einsum->size[label], given = shape->dim[d] + 1;
        bool spreads = label >= LETTERS && (*size == 2 || given == 2);
        if (*size > 0 && *size != given && !spreads)
            return error_set(err, ERROR_FORMAT, "inputs",
                             "dimensions of %lld and %lld go by one name", (long long)*size - 1,
                             (long long)shape->dim[d]);
        if (*size == 0 || (spreads && *size == 2))
            *size = given;
    }
    return 0;
}

static int read_output(const char *text, struct einsum *einsum, int dots, struct error *err)
{
    int rc = read_term(&text, -1, dots, einsum->output, &einsum->output_rank, err);
    if (!rc && *text)
        rc = wrong(text, err);
    bool seen[LABELS] = { false };
    for (int d = 0; !rc && d < einsum->output_rank; d++) {
        if (einsum->size[einsum->output[d]] == 0 || seen[einsum->output[d]])
            return error_set(err, ERROR_FORMAT, "equation",
                             "a letter of the result is in no term, or twice");
        seen[einsum->output[d]] = true;
    }
    return rc;
}

static int read_equation(const struct node *node, const struct shape *const *shapes,
                         struct einsum *einsum, struct error *err)
{
    const char *text = node_string(node, "equation", "");
    int times[LABELS] = { 0 }, dots = 0;
    *einsum = (struct einsum){ .count = node->input_count };
    for (int i = 0; i < node->input_count; i++) {
        int rc = read_term(&text, shapes[i]->rank, 0, einsum->label[i], &einsum->rank[i], err);
        if (!rc)
            rc = size_labels(einsum, i, shapes[i], err);
        if (rc)
            return rc;
        for (int d = 0; d < einsum->rank[i]; d++)
            times[einsum->label[i][d]]++;
        if (i + 1 < einsum->count && *text++ != ',')
            return wrong(text - 1, err);
    }
    while (dots < SHAPE_RANK_MAX && einsum->size[LABELS - 1 - dots] > 0)
        dots++;
    if (strncmp(text, "->", 2) == 0)
        return read_output(text + 2, einsum, dots, err);
    if (*text)
        return wrong(text, err);
    return imply_output(einsum, times, err);
}

static int einsum_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct einsum einsum;
    const struct shape *shapes[GRAPH_NODE_INPUTS_MAX] = { NULL };
    for (int i = 0; i < node->input_count; i++) {
        unsigned types = i == 0 ? TYPES_NUMERIC : 1u << values->in[0]->type;
        int rc = rule_input(values, i, "input", types, 0, SHAPE_RANK_MAX, err);
        if (rc)
            return rc;
        shapes[i] = &values->in[i]->shape;
    }
    int rc = read_equation(node, shapes, &einsum, err);
    if (rc)
        return rc;
    int64_t products = 1;
    for (int label = 0; label < LABELS; label++)
        if (einsum.size[label] > 1 && einsum.size[label] - 1 > PRODUCTS_MAX / products)
            return error_set(err, ERROR_LIMIT, "equation", "stands for too many products");
        else if (einsum.size[label] > 1)
            products *= einsum.size[label] - 1;
    struct shape shape = { .rank = einsum.output_rank };
    for (int d = 0; d < shape.rank; d++)
        shape.dim[d] = einsum.size[einsum.output[d]] - 1;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* How far a step along each label leads in the operand: over all of its dimensions of that name. */
static void find_steps(const struct einsum *einsum, int operand, const struct shape *shape,
                       int64_t steps[LABELS])
{
    int64_t own[SHAPE_RANK_MAX];
    shape_steps(shape, own);
    memset(steps, 0, LABELS * sizeof *steps);
    for (int d = 0; d < shape->rank; d++)
        if (shape->dim[d] > 1)
            steps[einsum->label[operand][d]] += own[d];
}

/* Goes to the next element of the labels [first, count); false behind the last. */
static bool advance(struct counter *counters, int first, int count)
{
    for (int i = count - 1; i >= first; i--) {
        if (++counters[i].index < counters[i].size)
            return true;
        counters[i].index = 0;
    }
    return false;
}

static int64_t place_of(const struct counter *counters, int count, const int64_t *steps)
{
    int64_t at = 0;
    for (int i = 0; i < count; i++)
        at += counters[i].index * steps[counters[i].label];
    return at;
}

/* Output labels first, then those that are summed over. */
static int order_labels(const struct einsum *einsum, struct counter counters[LABELS])
{
    int count = 0;
    for (; count < einsum->output_rank; count++)
        counters[count].label = einsum->output[count];
    for (int label = 0; label < LABELS; label++) {
        bool is_output = false;
        for (int d = 0; d < einsum->output_rank; d++)
            is_output = is_output || einsum->output[d] == label;
        if (!is_output && einsum->size[label] > 0)
            counters[count++].label = label;
    }
    for (int i = 0; i < count; i++) {
        counters[i].size = einsum->size[counters[i].label] - 1;
        counters[i].index = 0;
    }
    return count;
}

static int einsum_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct einsum einsum;
    const struct shape *shapes[GRAPH_NODE_INPUTS_MAX] = { NULL };
    int64_t steps[GRAPH_NODE_INPUTS_MAX][LABELS];
    for (int i = 0; i < node->input_count; i++)
        shapes[i] = &in[i]->shape;
    int rc = read_equation(node, shapes, &einsum, err);
    if (rc)
        return rc;
    for (int i = 0; i < node->input_count; i++)
        find_steps(&einsum, i, shapes[i], steps[i]);
    struct counter counters[LABELS];
    int count = order_labels(&einsum, counters), outer = einsum.output_rank;
    bool whole = tensor_type_is_whole(out[0]->type), none = false;
    for (int i = outer; i < count; i++)
        none = none || counters[i].size == 0;
    for (int64_t at = 0, elements = shape_elements(&out[0]->shape); at < elements; at++) {
        double sum = 0;
        uint64_t whole_sum = 0;
        for (bool more = !none; more; more = advance(counters, outer, count)) {
            double product = 1;
            uint64_t whole_product = 1;
            for (int i = 0; i < einsum.count; i++) {
                int64_t from = place_of(counters, count, steps[i]);
                if (whole)
                    whole_product *= (uint64_t)number_load_whole(in[i], from);
                else
                    product *= number_load(in[i], from);
            }
            sum += product;
            whole_sum += whole_product;
        }
        if (whole)
            number_store_whole(out[0], at, (int64_t)whole_sum);
        else
            number_store(out[0], at, sum);
        advance(counters, 0, outer);
    }
    return 0;
}
