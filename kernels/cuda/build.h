/* build: what the makers of steps share while a graph is compiled. Every value has a place; a maker asks
 * for its inputs in the layout and type that it wants (a step that copies is added where that differs),
 * gives its outputs a place, and adds steps. Steps that read constants alone run once (plan.h), so
 * rearranging weights is asked for like anything else. */
#ifndef RUNESPOOR_CUDA_BUILD_H
#define RUNESPOOR_CUDA_BUILD_H

#include "cuda/plan.h"
#include "cuda/view.h"
#include "ops/op.h"
#include "passes/pointwise.h"

struct cuda_value {
    struct cuda_place **versions; /* the same content in several layouts, the original first */
    int version_count;
    int reads_left; /* by nodes to come; being an output of the graph is one that never ends */
    bool leaves;    /* see cuda_leaves */
    /* What makes it and is left to the one node that reads it: a DepthToSpace (tail.h), a convolution
     * (conv_parts.h); or NULL. */
    const struct node *later;
};

struct cuda_build {
    struct cuda_plan *plan;
    struct cuda_device *device;
    struct graph *graph;
    struct cuda_value *values;
    const char *op, *name; /* of what is being compiled; new steps and errors carry them */
    struct shape shape;
    enum precision precision;
    enum tensor_type arithmetic; /* of convolutions and matrix products, as they are stored */
};

/* Makes the steps of a node. -ERROR_UNSUPPORTED, with what it is that this back end cannot do. */
typedef int cuda_maker(struct cuda_build *build, const struct node *node, struct error *err);

/* ---- values ---- */

const struct value *cuda_info(const struct cuda_build *build, int value);
/* The tensor of a node's input that is known when the graph is compiled; NULL: the node does not have it. */
const struct tensor *cuda_constant_input(const struct cuda_build *build, const struct node *node,
                                         int input);
/* Where the value is. Constants and states get a place when asked for. */
int cuda_where(struct cuda_build *build, int value, struct cuda_place **place, struct error *err);
/* The value in that layout and type, copied (once) if it lies otherwise. */
int cuda_want(struct cuda_build *build, int value, const struct layout *layout,
              struct cuda_place **place, struct error *err);
/* Row-major; channels-last. TENSOR_NONE: of the type that it is stored in. */
int cuda_want_dense(struct cuda_build *build, int value, enum tensor_type type,
                    struct cuda_place **place, struct error *err);
int cuda_want_last(struct cuda_build *build, int value, enum tensor_type type,
                   struct cuda_place **place, struct error *err);
/* New memory for a value. */
int cuda_output(struct cuda_build *build, int value, const struct layout *layout,
                struct cuda_place **place, struct error *err);
/* The value is (a part of) what lies at place already. */
int cuda_alias(struct cuda_build *build, int value, const struct cuda_place *of, int64_t offset,
               const struct layout *layout, struct error *err);
/* New memory for what a state takes on, or the state's own where nothing reads it any more, so that an
 * optimiser works in place. Row-major f32. */
int cuda_renew(struct cuda_build *build, int state, int value, struct cuda_place **place,
               struct error *err);
/* True of an answer: the value leaves the graph and is not multiplied by anything on its way, so that it
 * is kept in f32 from where it was summed. */
bool cuda_leaves(const struct cuda_build *build, int value);
/* The type that a product is stored in: the plan's arithmetic, f32 if it leaves. */
enum tensor_type cuda_product_type(const struct cuda_build *build, int value);
/* The type that a value computed from others without sums over many is stored in: whole types as they
 * are; of floats the narrow one if one of the inputs with as many elements is stored so, f32 if it
 * leaves. inputs: values; -1 is skipped. */
enum tensor_type cuda_result_type(struct cuda_build *build, int value, const int *inputs, int count);
/* Channels-last if one of the inputs of the same shape is, row-major otherwise. */
struct layout cuda_result_layout(struct cuda_build *build, int value, const int *inputs, int count);

/* ---- places ---- */

int cuda_new_place(struct cuda_build *build, const struct layout *layout, struct cuda_place **place,
                   struct error *err);
/* Memory that a step needs beside its inputs and outputs. */
int cuda_scratch(struct cuda_build *build, uint64_t bytes, struct cuda_place **place,
                 struct error *err);
/* The same memory, seen otherwise. */
int cuda_see(struct cuda_build *build, const struct cuda_place *of, int64_t offset,
             const struct layout *layout, struct cuda_place **place, struct error *err);
/* A constant of the maker's own, row-major; the content is borrowed until the plan is freed. */
int cuda_constant(struct cuda_build *build, const struct tensor *content, struct cuda_place **place,
                  struct error *err);
/* The same with content from malloc, which the plan takes over, also when it fails. */
int cuda_take_constant(struct cuda_build *build, const struct tensor *content,
                       struct cuda_place **place, struct error *err);
bool cuda_is_constant(const struct cuda_build *build, const struct cuda_place *place);

/* ---- steps ---- */

/* Adds a step, takes over state, also when it fails; free_state NULL: it is from malloc. The first
 * read_count places are read, the others written (scratch too); one that is both is among both. */
int cuda_add_step(struct cuda_build *build, const char *implementation,
                  int (*run)(const struct cuda_step *step, struct gpu *gpu, struct error *err),
                  void *state, void (*free_state)(void *state), struct cuda_place *const *places,
                  int read_count, int place_count, struct error *err);
/* What the last step computes. */
void cuda_set_flop(struct cuda_build *build, uint64_t flop);

/* A view of a place, without its data, which is known when a step runs. */
struct view cuda_view(const struct cuda_place *place);
/* The same repeated to shape (NumPy's rule): steps of 0. */
struct view cuda_view_broadcast(const struct cuda_place *place, const struct shape *shape);

int cuda_no_memory(struct error *err);
int cuda_cannot(const struct cuda_build *build, struct error *err, const char *what);

#endif
