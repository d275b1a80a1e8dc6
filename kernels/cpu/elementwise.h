/* elementwise: pointwise functions as steps of their own. */
#ifndef RUNESPOOR_CPU_ELEMENTWISE_H
#define RUNESPOOR_CPU_ELEMENTWISE_H

#include "cpu/post.h"

/* to = f(from), of one layout without gaps; they may be the same place. */
int elementwise_add_unary(struct build *build, const struct pointwise *pointwise,
                          struct cpu_place *from, struct cpu_place *to, struct error *err);
/* to = f(from, operand); the operand's place has the rank of the others and broadcasts to them. */
int elementwise_add_binary(struct build *build, enum pointwise_kind kind, struct cpu_place *from,
                           struct cpu_place *operand, struct cpu_place *to, struct error *err);
/* The same, then the posts, in one step where oneDNN can. */
int elementwise_add_fused(struct build *build, enum pointwise_kind kind, struct cpu_place *from,
                          struct cpu_place *operand, struct cpu_place *to,
                          const struct post_list *posts, struct error *err);

/* What oneDNN calls a function without an operand: one or two of its own. */
struct elementwise_part {
    dnnl_alg_kind_t kind;
    float alpha, beta;
};
int elementwise_parts(const struct pointwise *pointwise, struct elementwise_part parts[2]);
bool elementwise_binary_kind(enum pointwise_kind kind, dnnl_alg_kind_t *dnnl_kind);

#endif
