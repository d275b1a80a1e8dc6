/* sequences: exporters write lists of tensors (torch.cat and torch.stack of a list, an element of it) as values of a
 * type of their own. Where a file itself says what is in such a list, nodes that read it are rewritten over the
 * tensors before the file is read; the lists are then read by none, and their nodes go. Other sequences are refused
 * by the name of their op. */
#include "onnx/proto_edit.h"
#include "onnx/reader.h"
#include "ops/op.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCES_MAX 1000       /* each is looked for among all nodes */
#define UNSQUEEZE_INPUT_OPSET 13 /* since when axes are an input */

/* What a value of type sequence holds: names of tensors, borrowed from the model. */
struct sequence {
    const char *name;
    const char *items[GRAPH_NODE_INPUTS_MAX];
    size_t count;
};

struct sequences {
    Onnx__GraphProto *graph;
    int opset, made;
    struct sequence *all;
    size_t count;
};

static int read_node(struct sequences *s, Onnx__NodeProto *node, struct error *err);
static int hold(struct sequences *s, const Onnx__NodeProto *node, const struct sequence *from,
                struct error *err);
static bool edit(const struct sequences *s, const Onnx__NodeProto *node, struct sequence *sequence);
static const struct sequence *read_by(const struct sequences *s, const Onnx__NodeProto *node);
static int become_item(const struct sequences *s, Onnx__NodeProto *node,
                       const struct sequence *sequence, struct error *err);
static int become_concat(struct sequences *s, Onnx__NodeProto *node,
                         const struct sequence *sequence, struct error *err);
static const char *unsqueeze(struct sequences *s, const char *item, int64_t axis, struct error *err);
static int become(Onnx__NodeProto *node, const char *op, const char *const *inputs, size_t count,
                  struct error *err);
static bool place(const struct sequences *s, const Onnx__NodeProto *node, size_t input,
                  size_t count, bool end, size_t *at);
static bool constant_int(const struct sequences *s, const char *name, int64_t *number);
static bool is_read(const struct sequences *s, const char *name);
static void drop_unread(struct sequences *s);
static bool is_op(const Onnx__NodeProto *node, const char *op);

int onnx_rewrite_sequences(Onnx__ModelProto *model, struct error *err)
{
    struct sequences s = { .graph = model->graph };
    bool any = false;
    for (size_t i = 0; s.graph && i < s.graph->n_node; i++)
        any |= strncmp(onnx_text(s.graph->node[i]->op_type), "Sequence", 8) == 0;
    if (!any || s.graph->n_node > GRAPH_NODES_MAX)
        return 0;
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (!*onnx_text(model->opset_import[i]->domain) ||
            strcmp(model->opset_import[i]->domain, "ai.onnx") == 0)
            s.opset = (int)model->opset_import[i]->version;
    size_t count = s.graph->n_node;
    int rc = 0;
    for (size_t i = 0; !rc && i < count; i++)
        rc = read_node(&s, s.graph->node[i], err);
    if (!rc)
        drop_unread(&s);
    free(s.all);
    return rc;
}

/* Nodes come in an order that can be run, or what comes too early stays as it is. */
static int read_node(struct sequences *s, Onnx__NodeProto *node, struct error *err)
{
    struct sequence sequence = { 0 };
    if (node->n_output != 1 || s->count == SEQUENCES_MAX)
        return 0;
    if (edit(s, node, &sequence))
        return hold(s, node, &sequence, err);
    const struct sequence *from = read_by(s, node);
    if (!from)
        return 0;
    if (is_op(node, "SequenceAt"))
        return become_item(s, node, from, err);
    return is_op(node, "ConcatFromSequence") ? become_concat(s, node, from, err) : 0;
}

static int hold(struct sequences *s, const Onnx__NodeProto *node, const struct sequence *from,
                struct error *err)
{
    struct sequence *more = realloc(s->all, (s->count + 1) * sizeof *more);
    if (!more)
        return error_set(err, ERROR_MEMORY, "sequence", "no memory left");
    s->all = more;
    more[s->count] = *from;
    more[s->count++].name = onnx_text(node->output[0]);
    return 0;
}

/* What the node's output holds, if the node makes or changes a list in a way that the file tells. */
static bool edit(const struct sequences *s, const Onnx__NodeProto *node, struct sequence *sequence)
{
    size_t at;
    if (is_op(node, "SequenceEmpty"))
        return true;
    if (is_op(node, "SequenceConstruct")) {
        for (size_t i = 0; i < node->n_input && i < GRAPH_NODE_INPUTS_MAX; i++)
            sequence->items[sequence->count++] = node->input[i];
        return sequence->count == node->n_input;
    }
    const struct sequence *from = read_by(s, node);
    bool inserts = is_op(node, "SequenceInsert");
    if (!from || (!inserts && !is_op(node, "SequenceErase")) ||
        !place(s, node, inserts ? 2 : 1, from->count, inserts, &at) ||
        (inserts && (node->n_input < 2 || from->count == GRAPH_NODE_INPUTS_MAX)))
        return false;
    for (size_t i = 0; i < from->count; i++) {
        if (inserts && i == at)
            sequence->items[sequence->count++] = node->input[1];
        if (inserts || i != at)
            sequence->items[sequence->count++] = from->items[i];
    }
    if (inserts && at == from->count)
        sequence->items[sequence->count++] = node->input[1];
    return true;
}

static const struct sequence *read_by(const struct sequences *s, const Onnx__NodeProto *node)
{
    for (size_t i = 0; node->n_input > 0 && i < s->count; i++)
        if (strcmp(s->all[i].name, onnx_text(node->input[0])) == 0)
            return &s->all[i];
    return NULL;
}

static int become_item(const struct sequences *s, Onnx__NodeProto *node,
                       const struct sequence *sequence, struct error *err)
{
    size_t at;
    return place(s, node, 1, sequence->count, false, &at)
               ? become(node, "Identity", &sequence->items[at], 1, err)
               : 0;
}

static int become_concat(struct sequences *s, Onnx__NodeProto *node,
                         const struct sequence *sequence, struct error *err)
{
    const char *items[GRAPH_NODE_INPUTS_MAX];
    const Onnx__AttributeProto *axis = proto_find(node, "axis");
    size_t count = sequence->count;
    if (!axis || count == 0)
        return 0;
    int64_t along = axis->i;
    memcpy(items, sequence->items, count * sizeof *items);
    bool stacks = proto_take_int(node, "new_axis", 0) != 0;
    for (size_t i = 0; stacks && i < count; i++)
        if (!(items[i] = unsqueeze(s, items[i], along, err)))
            return -ERROR_MEMORY;
    return become(node, "Concat", items, count, err);
}

static const char *unsqueeze(struct sequences *s, const char *item, int64_t axis, struct error *err)
{
    bool by_input = s->opset >= UNSQUEEZE_INPUT_OPSET;
    Onnx__AttributeProto *const attributes[] = {
        proto_make_ints(by_input ? "value_ints" : "axes", &axis, 1), NULL
    };
    if (!by_input)
        return proto_add_node(s->graph, &s->made, "Unsqueeze", item, NULL, attributes, err);
    const char *axes = proto_add_node(s->graph, &s->made, "Constant", NULL, NULL, attributes, err);
    return axes ? proto_add_node(s->graph, &s->made, "Unsqueeze", item, axes, NULL, err) : NULL;
}

static int become(Onnx__NodeProto *node, const char *op, const char *const *inputs, size_t count,
                  struct error *err)
{
    char *name = strdup(op);
    int rc = name ? 0 : error_set(err, ERROR_MEMORY, "sequence", "no memory left");
    while (node->n_input > count)
        free(node->input[--node->n_input]);
    for (size_t i = 0; !rc && i < count; i++)
        rc = proto_set_input(node, i, inputs[i], err);
    if (name) {
        free(node->op_type);
        node->op_type = name;
    }
    return rc;
}

/* Where in a list of `count` an input says, counted from the end when negative; without the input the end, or what is
 * last. False where the file does not tell, or it is outside. */
static bool place(const struct sequences *s, const Onnx__NodeProto *node, size_t input,
                  size_t count, bool end, size_t *at)
{
    int64_t number = (int64_t)count - !end, most = number;
    if (node->n_input > input && *onnx_text(node->input[input]) &&
        !constant_int(s, node->input[input], &number))
        return false;
    if (number < 0)
        number += (int64_t)count;
    *at = (size_t)number;
    return number >= 0 && number <= most;
}

static bool constant_int(const struct sequences *s, const char *name, int64_t *number)
{
    const Onnx__TensorProto *held = NULL;
    struct tensor tensor;
    for (size_t i = 0; i < s->graph->n_initializer; i++)
        if (strcmp(onnx_text(s->graph->initializer[i]->name), name) == 0)
            held = s->graph->initializer[i];
    for (size_t i = 0; i < s->graph->n_node; i++) {
        const Onnx__NodeProto *node = s->graph->node[i];
        const Onnx__AttributeProto *value = proto_find(node, "value");
        if (is_op(node, "Constant") && node->n_output == 1 && value &&
            strcmp(onnx_text(node->output[0]), name) == 0)
            held = value->t;
    }
    if (!held || onnx_read_tensor(held, &tensor, NULL))
        return false;
    bool one = shape_elements(&tensor.shape) == 1 &&
               (tensor.type == TENSOR_I64 || tensor.type == TENSOR_I32);
    if (one)
        *number = tensor.type == TENSOR_I64 ? *(int64_t *)tensor.data : *(int32_t *)tensor.data;
    tensor_free(&tensor);
    return one;
}

/* From the last list to the first, as one may be made of another. */
static void drop_unread(struct sequences *s)
{
    for (size_t k = s->count; k-- > 0;) {
        size_t kept = 0;
        if (is_read(s, s->all[k].name))
            continue;
        for (size_t i = 0; i < s->graph->n_node; i++) {
            Onnx__NodeProto *node = s->graph->node[i];
            if (node->n_output == 1 && node->output[0] == s->all[k].name)
                onnx__node_proto__free_unpacked(node, NULL);
            else
                s->graph->node[kept++] = node;
        }
        s->graph->n_node = kept;
    }
}

/* A graph within a node may read it by its name, too. */
static bool is_read(const struct sequences *s, const char *name)
{
    for (size_t i = 0; i < s->graph->n_output; i++)
        if (strcmp(onnx_text(s->graph->output[i]->name), name) == 0)
            return true;
    for (size_t i = 0; i < s->graph->n_node; i++) {
        const Onnx__NodeProto *node = s->graph->node[i];
        for (size_t k = 0; k < node->n_input; k++)
            if (strcmp(onnx_text(node->input[k]), name) == 0)
                return true;
        for (size_t k = 0; k < node->n_attribute; k++)
            if (node->attribute[k]->g)
                return true;
    }
    return false;
}

static bool is_op(const Onnx__NodeProto *node, const char *op)
{
    return strcmp(onnx_text(node->op_type), op) == 0 &&
           (!*onnx_text(node->domain) || strcmp(node->domain, "ai.onnx") == 0);
}
