/* broadcast: the dimensions are put in the order of the memory that is written and joined where they
 * can be, once; a run is then a loop over rows. Where anything lies blocked, channels are seen as two
 * dimensions, blocks and channels in a block, by all. */
#include "cpu/broadcast.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { LEFT, RIGHT, TO, SIDES };

#define RANK_MAX (SHAPE_RANK_MAX + 1)

struct broadcast_state {
    enum pointwise_kind kind;
    int rank; /* at least 1; the last dimension is the row */
    int64_t dim[RANK_MAX], stride[SIDES][RANK_MAX];
};

static void read_strides(const struct layout *layout, const struct layout *to, bool split,
                         int64_t stride[RANK_MAX]);
static void sort_dimensions(struct broadcast_state *state);
static void join_dimensions(struct broadcast_state *state);
static int run_broadcast(const struct cpu_step *step, struct error *err);
static void compute_row(const struct broadcast_state *state, const float *left, const float *right,
                        float *to);

int broadcast_add_step(struct build *build, enum pointwise_kind kind, struct cpu_place *left,
                       struct cpu_place *right, struct cpu_place *to, struct error *err)
{
    assert(left->layout.type == TENSOR_F32 && right->layout.type == TENSOR_F32 &&
           to->layout.type == TENSOR_F32);
    struct broadcast_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->kind = kind;
    bool split = left->layout.blocked || right->layout.blocked || to->layout.blocked;
    state->rank = to->layout.shape.rank;
    for (int d = 0; d < state->rank; d++)
        state->dim[d] = to->layout.shape.dim[d];
    if (split) {
        state->dim[1] /= LAYOUT_BLOCK;
        state->dim[state->rank++] = LAYOUT_BLOCK;
    }
    read_strides(&left->layout, &to->layout, split, state->stride[LEFT]);
    read_strides(&right->layout, &to->layout, split, state->stride[RIGHT]);
    read_strides(&to->layout, &to->layout, split, state->stride[TO]);
    sort_dimensions(state);
    join_dimensions(state);
    struct cpu_place *places[SIDES] = { left, right, to };
    return build_c_step(build, "broadcast", run_broadcast, state, places, SIDES, err);
}

/* Dimensions are matched from the last; where the layout has one element for many it stands still. */
static void read_strides(const struct layout *layout, const struct layout *to, bool split,
                         int64_t stride[RANK_MAX])
{
    int missing = to->shape.rank - layout->shape.rank;
    assert(missing >= 0);
    for (int d = 0; d < to->shape.rank; d++)
        stride[d] =
            d < missing || layout->shape.dim[d - missing] == 1 ? 0 : layout->stride[d - missing];
    if (split && layout->blocked) {
        stride[to->shape.rank] = 1;
    } else if (split) {
        stride[to->shape.rank] = stride[1];
        stride[1] *= LAYOUT_BLOCK;
    }
}

/* In the order of the memory that is written. */
static void sort_dimensions(struct broadcast_state *state)
{
    for (int i = 1; i < state->rank; i++)
        for (int d = i; d > 0 && state->stride[TO][d - 1] < state->stride[TO][d]; d--) {
            int64_t dim = state->dim[d];
            state->dim[d] = state->dim[d - 1];
            state->dim[d - 1] = dim;
            for (int side = 0; side < SIDES; side++) {
                int64_t stride = state->stride[side][d];
                state->stride[side][d] = state->stride[side][d - 1];
                state->stride[side][d - 1] = stride;
            }
        }
}

/* Dimensions that lie behind each other on all sides are one; those of one element are none. */
static void join_dimensions(struct broadcast_state *state)
{
    int kept = 0;
    for (int d = 0; d < state->rank; d++) {
        if (state->dim[d] == 1)
            continue;
        bool joined = kept > 0;
        for (int side = 0; side < SIDES; side++)
            joined =
                joined && state->stride[side][kept - 1] == state->stride[side][d] * state->dim[d];
        if (!joined)
            kept++;
        state->dim[kept - 1] = joined ? state->dim[kept - 1] * state->dim[d] : state->dim[d];
        for (int side = 0; side < SIDES; side++)
            state->stride[side][kept - 1] = state->stride[side][d];
    }
    if (kept == 0)
        state->dim[kept++] = 1; /* a single element */
    state->rank = kept;
}

static int run_broadcast(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct broadcast_state *state = step->state;
    int64_t at[SIDES] = { 0 }, index[RANK_MAX] = { 0 };
    for (bool more = true; more;) {
        compute_row(state, (const float *)step->places[LEFT]->data + at[LEFT],
                    (const float *)step->places[RIGHT]->data + at[RIGHT],
                    (float *)step->places[TO]->data + at[TO]);
        more = false;
        for (int d = state->rank - 2; d >= 0 && !more; d--) {
            more = ++index[d] < state->dim[d];
            for (int side = 0; side < SIDES; side++)
                at[side] +=
                    more ? state->stride[side][d] : -state->stride[side][d] * (state->dim[d] - 1);
            index[d] = more ? index[d] : 0;
        }
    }
    return 0;
}

/* Rows of neighbours, or of one number against neighbours, are loops that compilers make vectors of
 * (gcc at -O3 only, with which mk/build.mk has this file compiled). */
#define ROW(expression)                             \
    do {                                            \
        if (neighbours && y_step == 1)              \
            for (int64_t i = 0; i < count; i++) {   \
                float x = left[i], y = right[i];    \
                to[i] = (expression);               \
            }                                       \
        else if (neighbours && y_step == 0)         \
            for (int64_t i = 0; i < count; i++) {   \
                float x = left[i], y = right_first; \
                to[i] = (expression);               \
            }                                       \
        else                                        \
            for (int64_t i = 0; i < count; i++) {   \
                float x = left[i * x_step];         \
                float y = right[i * y_step];        \
                to[i * to_step] = (expression);     \
            }                                       \
    } while (0)

static void compute_row(const struct broadcast_state *state, const float *left, const float *right,
                        float *to)
{
    int row = state->rank - 1;
    int64_t count = state->dim[row], x_step = state->stride[LEFT][row],
            y_step = state->stride[RIGHT][row], to_step = state->stride[TO][row];
    float right_first = right[0];
    bool neighbours = x_step == 1 && to_step == 1;
    switch (state->kind) {
    case POINTWISE_ADD:
        ROW(x + y);
        break;
    case POINTWISE_SUB:
        ROW(x - y);
        break;
    case POINTWISE_MUL:
        ROW(x * y);
        break;
    case POINTWISE_DIV:
        ROW(x / y);
        break;
    case POINTWISE_MAX:
        ROW(fmaxf(x, y));
        break;
    case POINTWISE_MIN:
        ROW(fminf(x, y));
        break;
    case POINTWISE_PRELU:
        ROW(x > 0 ? x : x * y);
        break;
    default:
        assert(!"a function of two arguments");
    }
}
