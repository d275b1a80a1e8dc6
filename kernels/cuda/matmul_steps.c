/* matmul_steps: MatMul and Gemm, by the library where there is one, else by the own kernel. Operands are
 * read where they lie, also turned, as long as one of their two steps is 1. */
#include "cuda/iterate.h"
#include "cuda/kernel_step.h"
#include "cuda/libraries.h"
#include "cuda/makers.h"
#include "ops/resolve.h"
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

static cuda_maker make_matmul, make_gemm;

static const struct cuda_row rows[] = {
    { "MatMul", make_matmul },
    { "Gemm", make_gemm },
};
const struct cuda_family cuda_matmul_family = CUDA_FAMILY(rows);

/* Batches that do not follow each other with the same steps are several launches. */
struct outer {
    struct view a, b, c; /* where each begins; no data */
    int64_t count;
};

/* A step: places are a, b, bias, then c and scratch. */
struct matmul_state {
    struct matmul matmul;
    struct outer outer;
    struct lib_matmul *library; /* NULL: the own kernel */
    int bias, c, scratch;       /* places; -1: none */
};

/* What is being made. */
struct making {
    struct matmul_state state;
    const struct node *node;
    struct pointwise posts[FUSED_POSTS_MAX];
    size_t post_count, fused_count; /* the first ones are part of the product's step */
    int added; /* value added as it is, behind the product: Gemm's third input; -1: none */
    float beta;
    struct cuda_place *a, *b, *bias;
};

static int take_operand(struct cuda_build *build, int value, struct cuda_place **place,
                        int64_t *row, int64_t *column, struct error *err);
static bool orient(const struct layout *layout, int64_t *row, int64_t *column);
static void set_batches(struct making *making, const struct matmul_span *span);
static int make(struct cuda_build *build, struct making *making, struct error *err);
static int find_bias(struct cuda_build *build, struct making *making, struct error *err);
static bool is_one_per_column(const struct shape *shape, int64_t columns);
static int choose(struct cuda_build *build, struct making *making, struct error *err);
static int add_product(struct cuda_build *build, struct making *making, struct cuda_place *out,
                       struct error *err);
static int add_addition(struct cuda_build *build, const struct making *making,
                        struct cuda_place *out, struct error *err);
static uint64_t count_flop(const struct matmul_state *state);
static int run_matmul(const struct cuda_step *step, struct gpu *gpu, struct error *err);
static void free_matmul(void *state);

static void launch_add(const void *args, void *stream)
{
    const struct matmul_add *add = args;
    matmul_add_each(add, view_count(&add->to), stream);
}

static int make_matmul(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct matmul_span span;
    struct making making = { .node = node, .added = -1 };
    struct matmul *matmul = &making.state.matmul;
    if (cuda_info(build, node->inputs[0])->type != TENSOR_F32)
        return cuda_cannot(build, err, "product of whole numbers");
    bool goes = matmul_span(&cuda_info(build, node->inputs[0])->shape,
                            &cuda_info(build, node->inputs[1])->shape, &span);
    assert(goes);
    *matmul = (struct matmul){
        .m = (int32_t)span.m, .n = (int32_t)span.n, .k = (int32_t)span.k, .alpha = 1
    };
    int rc = take_operand(build, node->inputs[0], &making.a, &matmul->a_row, &matmul->a_column, err);
    if (!rc)
        rc = take_operand(build, node->inputs[1], &making.b, &matmul->b_row, &matmul->b_column, err);
    if (rc)
        return rc;
    if (making.b->layout.shape.rank == 1) { /* seen as a row so far */
        int64_t row = matmul->b_row;
        matmul->b_row = matmul->b_column;
        matmul->b_column = row;
    }
    set_batches(&making, &span);
    return make(build, &making, err);
}

static int make_gemm(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct making making = {
        .node = node,
        .added = node->input_count > 2 ? node->inputs[2] : -1,
        .beta = node_float(node, "beta", 1),
        .state = { .outer = { .count = 1 } },
    };
    if (cuda_info(build, node->inputs[0])->type != TENSOR_F32)
        return cuda_cannot(build, err, "product of whole numbers");
    struct matmul *matmul = &making.state.matmul;
    bool turn_a = node_int(node, "transA", 0), turn_b = node_int(node, "transB", 0);
    const int64_t *a = cuda_info(build, node->inputs[0])->shape.dim;
    const int64_t *b = cuda_info(build, node->inputs[1])->shape.dim;
    *matmul = (struct matmul){ .m = (int32_t)a[turn_a],
                               .n = (int32_t)b[!turn_b],
                               .k = (int32_t)a[!turn_a],
                               .batch = 1,
                               .alpha = node_float(node, "alpha", 1) };
    int rc =
        take_operand(build, node->inputs[0], &making.a, turn_a ? &matmul->a_column : &matmul->a_row,
                     turn_a ? &matmul->a_row : &matmul->a_column, err);
    if (!rc)
        rc = take_operand(build, node->inputs[1], &making.b,
                          turn_b ? &matmul->b_column : &matmul->b_row,
                          turn_b ? &matmul->b_row : &matmul->b_column, err);
    return rc ? rc : make(build, &making, err);
}

/* ---- operands ---- */

/* A value as matrices of its last two dimensions, or as one row. */
static int take_operand(struct cuda_build *build, int value, struct cuda_place **place,
                        int64_t *row, int64_t *column, struct error *err)
{
    int rc = cuda_where(build, value, place, err);
    if (rc)
        return rc;
    const struct layout *like = &(*place)->layout;
    struct layout wanted = orient(like, row, column)
                               ? layout_packed_like(build->arithmetic, &like->shape, like)
                               : layout_dense(build->arithmetic, &like->shape);
    if (orient(like, row, column) && like->type == build->arithmetic)
        return 0;
    rc = cuda_want(build, value, &wanted, place, err);
    if (rc)
        return rc;
    bool fits = orient(&(*place)->layout, row, column);
    assert(fits);
    return 0;
}

/* The steps between rows and between columns; false where neither is 1. A dimension of one element may
 * have any step: it gets one that fits. */
static bool orient(const struct layout *layout, int64_t *row, int64_t *column)
{
    int rank = layout->shape.rank;
    int64_t height = rank > 1 ? layout->shape.dim[rank - 2] : 1;
    int64_t width = layout->shape.dim[rank - 1];
    *row = rank > 1 ? layout->stride[rank - 2] : width;
    *column = layout->stride[rank - 1];
    if (height == 1)
        *row = *column == 1 ? width : 1;
    else if (width == 1)
        *column = *row == 1 ? height : 1;
    return (*column == 1 && *row >= width) || (*row == 1 && *column >= height);
}

/* Batches that all follow each other evenly are one dimension; what is left of them is outer. Where b is
 * the same for all, rows of all of them are rows of one tall product. */
static void set_batches(struct making *making, const struct matmul_span *span)
{
    struct matmul *matmul = &making->state.matmul;
    struct outer *outer = &making->state.outer;
    struct cuda_place a = *making->a, b = *making->b;
    struct cuda_place c = { .layout = layout_dense(TENSOR_F32, &span->batch) };
    a.layout.shape.rank = span->left.rank;
    b.layout.shape.rank = span->right.rank;
    *outer = (struct outer){ .a = cuda_view_broadcast(&a, &span->batch),
                             .b = cuda_view_broadcast(&b, &span->batch),
                             .c = cuda_view_broadcast(&c, &span->batch) };
    for (int d = 0; d < outer->c.rank; d++)
        outer->c.step[d] *= span->m * span->n;
    iterate_join((struct view *const[]){ &outer->c, &outer->a, &outer->b }, 3);
    matmul->batch = 1;
    if (outer->c.rank > 0) {
        int last = --outer->c.rank;
        outer->a.rank = outer->b.rank = last;
        matmul->batch = outer->c.dim[last];
        matmul->a_batch = outer->a.step[last];
        matmul->b_batch = outer->b.step[last];
        matmul->c_batch = outer->c.step[last];
    }
    outer->count = view_count(&outer->c);
    if (matmul->batch > 1 && matmul->b_batch == 0 && matmul->a_column == 1 &&
        matmul->a_batch == matmul->m * matmul->a_row) {
        matmul->m *= matmul->batch;
        matmul->batch = 1;
    }
}

/* ---- steps ---- */

static int make(struct cuda_build *build, struct making *making, struct error *err)
{
    struct matmul *matmul = &making->state.matmul;
    int to = making->node->outputs[0];
    struct layout layout = layout_dense(cuda_product_type(build, to), &cuda_info(build, to)->shape);
    matmul->a_type = matmul->b_type = build->arithmetic;
    matmul->c_type = layout.type;
    making->post_count = fused_get_posts(making->node, making->posts);
    int rc = find_bias(build, making, err);
    if (!rc)
        rc = choose(build, making, err);
    struct cuda_place *out = NULL;
    if (!rc)
        rc = cuda_output(build, to, &layout, &out, err);
    if (rc) {
        if (making->state.library)
            lib_matmul_free(making->state.library);
        return rc;
    }
    rc = add_product(build, making, out, err);
    if (!rc && making->added >= 0)
        rc = add_addition(build, making, out, err);
    if (!rc && making->fused_count < making->post_count)
        rc = cuda_map_posts(build, making->node, making->fused_count, out, out, err);
    return rc;
}

/* One number for each column, either Gemm's third input or what an Add behind the product has. */
static int find_bias(struct cuda_build *build, struct making *making, struct error *err)
{
    const struct pointwise *first = &making->posts[0];
    int bias = making->added;
    if (bias >= 0 && making->beta != 1)
        return 0;
    if (bias < 0 && making->post_count > 0 && first->kind == POINTWISE_ADD)
        bias = making->node->inputs[first->operand];
    if (bias < 0 || !is_one_per_column(&cuda_info(build, bias)->shape, making->state.matmul.n))
        return 0;
    making->fused_count = making->added < 0;
    making->added = -1;
    return cuda_want_dense(build, bias, TENSOR_F32, &making->bias, err);
}

static bool is_one_per_column(const struct shape *shape, int64_t columns)
{
    return shape_elements(shape) == columns &&
           (columns == 1 || shape->dim[shape->rank - 1] == columns);
}

/* The library with a Relu that follows, or without. */
static int choose(struct cuda_build *build, struct making *making, struct error *err)
{
    struct matmul_state *state = &making->state;
    struct cuda_libraries *libraries = build->device->libraries;
    bool relu = making->added < 0 && making->fused_count < making->post_count &&
                making->posts[making->fused_count].kind == POINTWISE_RELU;
    if (!libraries || count_flop(state) == 0)
        return 0;
    int rc = lib_matmul_make(libraries, &state->matmul, making->bias != NULL, relu,
                             build->precision, &state->library, err);
    if (state->library)
        making->fused_count += relu;
    else if (!rc && relu)
        rc = lib_matmul_make(libraries, &state->matmul, making->bias != NULL, false,
                             build->precision, &state->library, err);
    return rc;
}

static int add_product(struct cuda_build *build, struct making *making, struct cuda_place *out,
                       struct error *err)
{
    struct matmul_state *state = malloc(sizeof *state);
    struct cuda_place *places[5] = { making->a, making->b, making->bias };
    int reads = making->bias ? 3 : 2, count = reads;
    if (!state) {
        if (making->state.library)
            lib_matmul_free(making->state.library);
        return cuda_no_memory(err);
    }
    *state = making->state;
    state->bias = making->bias ? 2 : -1;
    state->scratch = -1;
    places[state->c = count++] = out;
    uint64_t scratch_bytes = state->library ? lib_matmul_scratch_bytes(state->library) : 0;
    if (scratch_bytes > 0) {
        int rc = cuda_scratch(build, scratch_bytes, &places[state->scratch = count++], err);
        if (rc) {
            free_matmul(state);
            return rc;
        }
    }
    uint64_t flop = count_flop(state);
    int rc = cuda_add_step(build, state->library ? lib_matmul_name(state->library) : "matmul",
                           run_matmul, state, free_matmul, places, reads, count, err);
    if (!rc)
        cuda_set_flop(build, flop);
    return rc;
}

static int add_addition(struct cuda_build *build, const struct making *making,
                        struct cuda_place *out, struct error *err)
{
    struct cuda_place *added;
    int rc = cuda_where(build, making->added, &added, err);
    if (rc)
        return rc;
    struct matmul_add args = { .to = cuda_view(out),
                               .from = cuda_view_broadcast(added, &out->layout.shape),
                               .beta = making->beta };
    iterate_join((struct view *const[]){ &args.to, &args.from }, 2);
    struct kernel_step step = kernel_begin(launch_add, &args, sizeof args);
    kernel_read(&step, added, offsetof(struct matmul_add, from.data));
    kernel_read(&step, out, offsetof(struct matmul_add, to.data));
    kernel_write(&step, out, offsetof(struct matmul_add, to.data));
    return kernel_add(build, &step, "matmul add", err);
}

static uint64_t count_flop(const struct matmul_state *state)
{
    const struct matmul *matmul = &state->matmul;
    return 2u * (uint64_t)state->outer.count * (uint64_t)matmul->batch * (uint64_t)matmul->m *
           (uint64_t)matmul->n * (uint64_t)matmul->k;
}

/* ---- running ---- */

static void *from_element(const struct cuda_place *place, int64_t element)
{
    return (char *)place->data + element * (int64_t)tensor_type_bytes(place->layout.type);
}

static int run_matmul(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    const struct matmul_state *state = step->state;
    struct matmul matmul = state->matmul;
    void *scratch = state->scratch < 0 ? NULL : step->places[state->scratch]->data;
    int rc = 0;
    matmul.bias = state->bias < 0 ? NULL : step->places[state->bias]->data;
    for (int64_t n = 0; !rc && n < state->outer.count; n++) {
        matmul.a = from_element(step->places[0], view_at(&state->outer.a, n));
        matmul.b = from_element(step->places[1], view_at(&state->outer.b, n));
        matmul.c = from_element(step->places[state->c], view_at(&state->outer.c, n));
        if (state->library)
            rc = lib_matmul_run(state->library, gpu, matmul.a, matmul.b, matmul.c, matmul.bias,
                                scratch, err);
        else
            matmul_tiles(&matmul, matmul_blocks(&matmul), gpu_stream(gpu));
    }
    return rc;
}

static void free_matmul(void *state)
{
    struct matmul_state *matmul = state;
    if (matmul->library)
        lib_matmul_free(matmul->library);
    free(matmul);
}
