/* build: what the makers of steps share while a graph is compiled. Every value has a place; a maker
 * asks for its inputs in the layout it wants (a copy is added where that differs), gives its outputs
 * a place, and adds steps.
 *
 * Some values lie blocked (layout.h), which no arithmetic on strides is right for. A maker sees that
 * only if it asks: build_place gives a plain place whatever there is, and build_want what was wanted.
 * Makers that can work in any layout without gaps (elementwise functions, sums per channel in oneDNN)
 * call build_place_any, so that nothing is rearranged between two convolutions, forwards or back. */
#ifndef RUNESPOOR_CPU_BUILD_H
#define RUNESPOOR_CPU_BUILD_H

#include "cpu/plan.h"
#include "ops/op.h"

/* What a maker says of a node that it does not know in this form: the reference kernel runs it. */
#define BUILD_DECLINED 1

struct build_split; /* cpu/split_steps.c */

struct build_value {
    struct cpu_place **versions; /* the same content in several layouts, the original first */
    int version_count;
    struct build_split *splits; /* and split (cpu/split_steps.h) */
    int split_count;
    int reads_left; /* by nodes to come; being an output of the graph is one that never ends */
    bool leaves;    /* see build_leaves */
};

struct build {
    struct cpu_plan *plan;
    struct cpu_device *device;
    struct graph *graph;
    struct build_value *values;
    const char *op, *name; /* of what is being compiled; new steps and errors carry them */
    struct shape shape;
    enum tensor_type arithmetic; /* of convolutions and matrix products: f32 or bf16 */
    bool splits;                 /* that is f32, and they may split what they read (bf16x3) */
};

typedef int build_fn(struct build *build, const struct node *node, struct error *err);

/* The makers. */
build_fn build_convolution, build_matmul, build_gemm, build_unary, build_binary, build_prelu,
    build_pool, build_global_pool, build_resize, build_resize_grad, build_max_pool_grad,
    build_average_pool_grad, build_depth_to_space, build_slice_grad, build_gather_grad,
    build_pad_grad, build_softmax, build_sum_to, build_reduce, build_pointwise, build_expand,
    build_chain, build_where, build_attention, build_reference;
build_fn build_conv_grad_input, build_conv_grad_weights;
/* Those that mostly need no step at all. */
build_fn build_reshape, build_transpose, build_slice, build_split, build_gather, build_concat,
    build_pad;

/* Of bytes. */
build_fn build_conv_int8, build_matmul_int8, build_binary_int8, build_average_int8,
    build_table_int8, build_quantise, build_dequantise;

/* Of training. */
build_fn build_sgd, build_adam, build_moving_average, build_sum_squares, build_batch_norm_train,
    build_batch_norm_grad, build_cross_entropy, build_cross_entropy_grad, build_log_softmax,
    build_softmax_grad, build_log_softmax_grad, build_instance_norm, build_layer_norm,
    build_instance_norm_grad, build_layer_norm_grad;

/* ---- values ---- */

const struct value *build_info(const struct build *build, int value);
/* Where value is, plain: strides say all. A value that lies blocked is copied (once, channels-last; a
 * copy that nobody reads in the end is dropped again, so asking is free). Constants get a place when
 * asked for. */
int build_place(struct build *build, int value, struct cpu_place **place, struct error *err);
/* Where value is, as its maker left it: perhaps blocked. */
int build_place_any(struct build *build, int value, struct cpu_place **place, struct error *err);
/* The value in the given layout, copied (once) if it lies otherwise. Blocked only where the caller
 * wants it so. */
int build_want(struct build *build, int value, const struct layout *layout,
               struct cpu_place **place, struct error *err);
/* Row-major in the graph's own type. */
int build_want_dense(struct build *build, int value, struct cpu_place **place, struct error *err);
/* Memory of the caller for an input of the graph. */
int build_external(struct build *build, int value, size_t index, const struct layout *layout,
                   struct error *err);
/* New memory for a value. */
int build_output(struct build *build, int value, const struct layout *layout,
                 struct cpu_place **place, struct error *err);
/* The value is (a part of) what lies at place already. */
int build_view(struct build *build, int value, const struct cpu_place *of, int64_t offset,
               const struct layout *layout, struct error *err);
/* New memory for what a state takes on, or the state's own where nothing reads it any more, so that
 * an optimiser works in place. */
int build_renew(struct build *build, int state, int value, const struct layout *layout,
                struct cpu_place **place, struct error *err);
/* True when nothing else needs the memory of value after its one read by the present node, so that
 * the node may write its output there. */
bool build_dies(const struct build *build, int value);
/* Reads to come of whatever lies in the same memory. */
int build_reads(const struct build *build, const struct cpu_place *place);
/* True of an answer: the value leaves the graph and is not multiplied by anything on its way, so that it
 * keeps the accuracy that it was summed with. */
bool build_leaves(const struct build *build, int value);
/* True when the value lies in memory that the plan may move: not an input or a constant. */
bool build_is_arena(const struct build *build, const struct cpu_place *place);

/* ---- places ---- */

int build_new_place(struct build *build, const struct layout *layout, struct cpu_place **place,
                    struct error *err);
/* Memory in a layout that oneDNN made up. */
int build_new_opaque(struct build *build, const dnnl_memory_desc_t *md, struct cpu_place **place,
                     struct error *err);
/* The same memory as another place, seen otherwise. */
int build_alias(struct build *build, const struct cpu_place *of, int64_t offset,
                const struct layout *layout, struct cpu_place **place, struct error *err);
/* What `from` holds, seen as `as`, put into the layout `want` of oneDNN; at once if it is constant.
 */
int build_reorder_weights(struct build *build, const struct cpu_place *from,
                          const dnnl_memory_desc_t *as, const dnnl_memory_desc_t *want,
                          struct cpu_place **place, struct error *err);
/* What a place holds when the plan is made; NULL where that changes as it runs. */
const void *build_constant_data(const struct build *build, const struct cpu_place *place);
/* Constants made by the maker itself: from cpu_allocate, taken over, also when it fails. */
int build_take_constant(struct build *build, void *data, const struct layout *layout,
                        struct cpu_place **place, struct error *err);
/* The same of f32, copied. */
int build_constant(struct build *build, const float *numbers, int64_t count,
                   struct cpu_place **place, struct error *err);

/* ---- steps ---- */

/* Copies between layouts of the same shape, blocked ones too. */
int build_copy(struct build *build, struct cpu_place *from, struct cpu_place *to, struct error *err);
/* The same between any places that oneDNN knows. */
int build_reorder(struct build *build, struct cpu_place *from, struct cpu_place *to,
                  struct error *err);

#define BUILD_ARGS_MAX 24
struct build_args {
    int count;
    int ids[BUILD_ARGS_MAX]; /* DNNL_ARG_… */
    struct cpu_place *places[BUILD_ARGS_MAX];
};
void build_add_arg(struct build_args *args, int id, struct cpu_place *place);
/* Adds scratch memory to args, makes the primitive and a step of it. Takes over pd. */
int build_primitive(struct build *build, dnnl_primitive_desc_t pd, struct build_args *args,
                    uint64_t flop, struct error *err);
/* A primitive descriptor with user scratch memory; attr may be NULL. */
int build_describe(struct build *build, const void *desc, dnnl_primitive_attr_t attr,
                   dnnl_primitive_desc_t *pd, struct error *err);
/* The same for a gradient; oneDNN wants to see what it is the gradient of. */
int build_describe_gradient(struct build *build, const void *desc, dnnl_primitive_desc_t forward,
                            dnnl_primitive_desc_t *pd, struct error *err);
const char *build_implementation(dnnl_primitive_desc_t pd);
bool build_is_slow(dnnl_primitive_desc_t pd);

/* The sum of a value, f32 or bf16, over some of its dimensions (folded[d]), written row-major as another
 * value; for makers whose primitive leaves a sum out. */
int build_sum(struct build *build, int from, int to, const bool *folded, struct error *err);

/* A step in C. Takes over state, also when it fails. */
int build_c_step(struct build *build, const char *implementation,
                 int (*run)(const struct cpu_step *step, struct error *err), void *state,
                 struct cpu_place *const *places, int place_count, struct error *err);
/* What the last step computes. */
void build_set_flop(struct build *build, uint64_t flop);

#endif
