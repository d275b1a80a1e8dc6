/* reader: what the files of this folder share: an ONNX model on its way into a graph. */
#ifndef RUNESPOOR_ONNX_READER_H
#define RUNESPOOR_ONNX_READER_H

#include "graph/graph.h"
#include "onnx.pb-c.h"

/* Names of values and their indices in the graph. Keys are borrowed from the unpacked model. */
struct names {
    struct name_entry {
        const char *key;
        int value;
    } * entries;
    size_t capacity, count;
};

int names_add(struct names *names, const char *key, int value, struct error *err);
int names_find(const struct names *names, const char *key); /* -1 when it is not there */
void names_finish(struct names *names);

/* Graphs within graphs and functions within functions, together. */
#define READER_DEPTH_MAX 16
#define READER_LABEL_BYTES 256

struct reader {
    const Onnx__ModelProto *model;
    struct function *functions;  /* as many as the model has */
    struct names function_names; /* the whole one: domain, name, overload */
    uint64_t function_bytes;     /* what calls have copied so far */
    size_t function_fields;      /* of functions, seen by a scan of their own */
};

/* A graph on its way: the model's own, or one that a node holds. */
struct draft {
    struct graph *graph;
    struct draft *outer; /* the graph with the node; NULL: this is the model's own */
    int *captured;       /* values of the outer graph that the last inputs of this one stand for */
    int captured_count, captured_capacity;
};

/* Where a name counts: a graph, or the nodes of one call of a function, which become part of the caller's. */
struct scope {
    struct reader *reader;
    struct draft *draft;
    struct scope *outer; /* its names can be seen, too; NULL: none */
    struct names names;
    int opset;               /* of the default domain; 0: none is imported */
    const struct call *call; /* of the function that the nodes belong to; NULL: none */
    int depth;
    char prefix[READER_LABEL_BYTES]; /* of labels of nodes */
};

struct call {
    const struct function *function;
    const Onnx__NodeProto *node;
    const struct scope *scope; /* of the node */
};

/* A value that is absent has a name all the same: an input of a function that a caller leaves out. */
#define SCOPE_NONE (-1)
#define SCOPE_ABSENT (-2)

/* The value in this scope's graph, SCOPE_NONE or SCOPE_ABSENT. One of an outer graph is captured: it becomes an
 * input of this one. */
int scope_find(struct scope *scope, const char *name, int *value, struct error *err);
/* Adds a name that must be new. */
int scope_add(struct scope *scope, const char *name, int value, struct error *err);
/* A new value under a new name. */
int scope_add_value(struct scope *scope, const char *name, enum tensor_type type,
                    const struct shape *shape, struct error *err);
/* Takes over data of tensor on success. Bodies hold no constants: it goes into the model's own graph and is
 * captured, so that copies of a body share it. */
int scope_add_constant(struct scope *scope, const char *name, struct tensor *tensor,
                       struct error *err);
/* In a function: each call copies what its nodes hold, and there may be many calls. */
int scope_pay(struct scope *scope, uint64_t bytes, struct error *err);
void scope_close(struct scope *scope);

/* Walks over packed bytes of a message before protobuf-c unpacks them, because that recurses without a limit and
 * allocates for every field: refuses what nests too deep, has too many fields or is malformed. *fields counts on
 * over all parts of a file. */
int onnx_scan(const ProtobufCMessageDescriptor *message, const void *bytes, size_t size,
              size_t *fields, struct error *err);

/* A tensor of the file; on success the caller owns its data. */
int onnx_read_tensor(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err);

/* Inputs, constants, nodes and outputs, sorted and swept. */
int onnx_read_graph(struct scope *scope, const Onnx__GraphProto *proto, struct error *err);
/* All nodes with their attributes. What they may read is in the scope already. */
int onnx_read_nodes(struct scope *scope, Onnx__NodeProto *const *nodes, size_t count,
                    struct error *err);
/* The opset of the default domain in a list of imports; 0: none. */
int onnx_find_opset(Onnx__OperatorSetIdProto *const *imports, size_t count, int *opset,
                    struct error *err);

/* An attribute as a function's caller has it, if this one refers to that; NULL when that one is absent. */
int onnx_resolve(const struct scope *scope, const Onnx__AttributeProto *proto,
                 const Onnx__AttributeProto **resolved, struct error *err);
/* One attribute for a node of that op; *given is false when it refers to one that a function's caller leaves out.
 * A graph in it becomes one of ours, and *body says what it captured. Name and lists of numbers are borrowed from
 * the file; onnx_free_attribute frees the rest once it is given. The caller frees body->captured in any case. */
int onnx_read_attribute(struct scope *scope, const struct op *op, const Onnx__AttributeProto *proto,
                        struct attribute *attribute, struct draft *body, bool *given,
                        struct error *err);
void onnx_free_attribute(struct attribute *attribute);
/* What a file calls it. */
Onnx__AttributeProto__AttributeType onnx_attribute_type(enum attribute_kind kind);

/* The model's functions. */
int onnx_open_functions(struct reader *reader, struct error *err);
void onnx_close_functions(struct reader *reader);
/* NULL when the node calls none. */
const struct function *onnx_find_function(const struct reader *reader, const Onnx__NodeProto *node);
/* The default of a function's attribute, or NULL. */
const Onnx__AttributeProto *onnx_function_default(const struct function *function, const char *name);
/* Puts the function's nodes into the caller's graph, where the node's outputs are values already. */
int onnx_inline(struct scope *scope, const Onnx__NodeProto *node, const struct function *function,
                struct error *err);

/* A file of opsets 1 to 6 becomes one of opset 7; others stay as they are. */
int onnx_modernise(Onnx__ModelProto *model, struct error *err);

/* Nodes over lists of tensors become nodes over the tensors, where the file says what the lists hold. */
int onnx_rewrite_sequences(Onnx__ModelProto *model, struct error *err);

/* The graph's inputs and outputs get the names that the file has for their free sizes. */
int onnx_name_sizes(struct graph *graph, const Onnx__GraphProto *proto, struct error *err);

/* NULL (absent in the file) as "". */
const char *onnx_text(const char *text);
/* Many exporters give nodes no names; the first output's is as good. */
const char *onnx_label(const Onnx__NodeProto *proto);
bool onnx_is_default_domain(const char *domain);

#endif
