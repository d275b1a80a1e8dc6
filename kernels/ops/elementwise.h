/* elementwise: what the files of elementwise ops share: shape rules, and the walk over two inputs. Their
 * kernels compute on `real` where the elements are that, and on every other type through number.h: fractions
 * as doubles, whole numbers as int64_t, and u64, of which that is too narrow, as uint64_t. */
#ifndef RUNESPOOR_OPS_ELEMENTWISE_H
#define RUNESPOOR_OPS_ELEMENTWISE_H

#include "ops/op.h"
#include "ops/walk.h"

/* One input; the output has its shape, and its type unless `result` says another. */
int elementwise_shape(const struct op_values *values, unsigned types, enum tensor_type result,
                      struct error *err);
/* All inputs have one of the types, the same one, and shapes that go together. */
int elementwise_broadcast(const struct node *node, const struct op_values *values, unsigned types,
                          enum tensor_type result, struct error *err);
/* The shapes of all inputs together, whatever their types. */
int elementwise_together(const struct node *node, const struct op_values *values,
                         struct shape *shape, struct error *err);

/* out = x op y, where out may be x itself: tensors 0, 1 and 2. */
struct walk elementwise_walk(const struct tensor *out, const struct tensor *x,
                             const struct tensor *y);

#endif
