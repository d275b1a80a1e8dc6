/* post: pointwise functions on what a step has just computed, inside the step where oneDNN can, as
 * steps of their own where it cannot. */
#ifndef RUNESPOOR_CPU_POST_H
#define RUNESPOOR_CPU_POST_H

#include "cpu/build.h"
#include "passes/fused.h"

struct post_list {
    size_t count;
    struct pointwise posts[FUSED_POSTS_MAX];
    struct cpu_place *operands[FUSED_POSTS_MAX]; /* NULL where a post takes none */
    struct layout out;
    struct cpu_place *target; /* of the first post's addition, in its operand's memory; or NULL */
};

/* The posts of a fused node (none for other nodes), with their operands in the layout that goes with
 * the output's. `out` may be a flattened view of the output: rows, then its last dimension.
 * BUILD_DECLINED when an operand cannot be seen that way. */
int post_prepare(struct build *build, const struct node *node, const struct layout *out,
                 struct post_list *list, struct error *err);
/* One more post before all others. */
int post_prepend(struct build *build, const struct node *node, enum pointwise_kind kind, int value,
                 const struct layout *out, struct post_list *list, struct error *err);
/* The same with an operand that is there already, of the rank of the output. */
int post_prepend_place(enum pointwise_kind kind, struct cpu_place *operand, struct post_list *list);

/* Where the first post adds something that nobody needs afterwards, lets the primitive add to that
 * memory: the only way to add that Winograd's method has. */
void post_accumulate(struct build *build, const struct node *node, const struct layout *out,
                     struct post_list *list);

/* Finds an implementation of desc that takes as many of the posts as any fast one does; *taken says
 * how many. */
int post_describe(struct build *build, const void *desc, const struct post_list *list,
                  dnnl_primitive_desc_t *pd, size_t *taken, struct error *err);
/* Where the output has to be for the posts inside; NULL if that is open. */
struct cpu_place *post_target(const struct post_list *list, size_t taken);
/* The operands of the posts inside, as arguments of the primitive. */
void post_add_args(const struct post_list *list, size_t taken, struct build_args *args);
/* Steps for the others, of what is at `from`: that is `out`, or as that but in f32. */
int post_add_steps(struct build *build, const struct post_list *list, size_t taken,
                   struct cpu_place *from, struct cpu_place *out, struct error *err);
/* The same as one step of our own (chain_posts.c); BUILD_DECLINED where that cannot. */
int post_add_chain(struct build *build, const struct post_list *list, size_t first,
                   struct cpu_place *from, struct cpu_place *out, struct error *err);

#endif
