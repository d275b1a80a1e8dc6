/* proto_edit: what rewrites an unpacked model before it is read: old opsets, sequences. */
#ifndef RUNESPOOR_ONNX_PROTO_EDIT_H
#define RUNESPOOR_ONNX_PROTO_EDIT_H

#include "base/error.h"
#include "onnx.pb-c.h"

/* Adds a node of one output with a name of its own, counted by *made. a and b are its inputs, NULL where it has none
 * (of a Constant alone a). Takes over the attributes, which end with NULL; one that could not be made ends them, and
 * the op's row misses it. The name of the output; NULL where memory, or an operand, is missing. */
char *proto_add_node(Onnx__GraphProto *graph, int *made, const char *op, const char *a,
                     const char *b, Onnx__AttributeProto *const *attributes, struct error *err);
/* The next input, or another one for one that is there. */
int proto_set_input(Onnx__NodeProto *node, size_t index, const char *name, struct error *err);

Onnx__AttributeProto *proto_find(const Onnx__NodeProto *node, const char *name);
/* An attribute's number; the node does not have it any more. */
int64_t proto_take_int(Onnx__NodeProto *node, const char *name, int64_t fallback);
void proto_drop(Onnx__NodeProto *node, const char *name);

/* NULL without memory. */
Onnx__AttributeProto *proto_make_int(const char *name, int64_t i);
Onnx__AttributeProto *proto_make_ints(const char *name, const int64_t *ints, size_t count);
/* Takes it over; NULL is -ERROR_MEMORY. */
int proto_add_attribute(Onnx__NodeProto *node, Onnx__AttributeProto *attribute, struct error *err);

int proto_append(void ***list, size_t *count, void *item); /* not 0: no memory */

#endif
