/* walk: strided iteration for the reference kernels; plain counters, no allocation. */
#include "ops/walk.h"
#include <assert.h>
#include <string.h>

static void join_dimensions(struct walk *walk);

void shape_steps(const struct shape *shape, int64_t steps[SHAPE_RANK_MAX])
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        steps[i] = step;
        step *= shape->dim[i];
    }
}

void walk_init(struct walk *walk, const struct shape *shape)
{
    assert(shape->rank >= 0);
    *walk = (struct walk){ .rank = shape->rank };
    memcpy(walk->dim, shape->dim, sizeof walk->dim);
}

void walk_add_broadcast(struct walk *walk, const struct shape *shape)
{
    assert(shape->rank <= walk->rank);
    int64_t own[SHAPE_RANK_MAX], steps[SHAPE_RANK_MAX] = { 0 };
    shape_steps(shape, own);
    int missing = walk->rank - shape->rank;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] != 1)
            steps[missing + i] = own[i];
    walk_add_steps(walk, 0, steps);
}

void walk_add_steps(struct walk *walk, int64_t start, const int64_t *steps)
{
    assert(walk->tensors < WALK_TENSORS);
    for (int i = 0; i < walk->rank; i++)
        walk->step[walk->tensors][i] = steps[i];
    walk->at[walk->tensors++] = start;
}

bool walk_begin(struct walk *walk)
{
    for (int i = 0; i < walk->rank; i++)
        if (walk->dim[i] == 0)
            return false;
    join_dimensions(walk);
    walk->row = 1;
    if (walk->rank > 0) { /* the last dimension is the row */
        walk->rank--;
        walk->row = walk->dim[walk->rank];
        for (int t = 0; t < walk->tensors; t++)
            walk->row_step[t] = walk->step[t][walk->rank];
    }
    return true;
}

bool walk_next(struct walk *walk)
{
    for (int i = walk->rank - 1; i >= 0; i--) {
        for (int t = 0; t < walk->tensors; t++)
            walk->at[t] += walk->step[t][i];
        if (++walk->index[i] < walk->dim[i])
            return true;
        for (int t = 0; t < walk->tensors; t++)
            walk->at[t] -= walk->step[t][i] * walk->dim[i];
        walk->index[i] = 0;
    }
    return false;
}

static void join_dimensions(struct walk *walk)
{
    int kept = 0;
    for (int i = 0; i < walk->rank; i++) {
        if (walk->dim[i] == 1)
            continue;
        bool join = kept > 0;
        for (int t = 0; t < walk->tensors && join; t++)
            join = walk->step[t][kept - 1] == walk->step[t][i] * walk->dim[i];
        if (join)
            walk->dim[--kept] *= walk->dim[i];
        else
            walk->dim[kept] = walk->dim[i];
        for (int t = 0; t < walk->tensors; t++)
            walk->step[t][kept] = walk->step[t][i];
        kept++;
    }
    walk->rank = kept;
}

#define COPY_ROWS(type)                                                \
    for (bool more = walk_begin(walk); more; more = walk_next(walk)) { \
        type *out = (type *)to + walk->at[0];                          \
        const type *in = (const type *)from + walk->at[1];             \
        for (int64_t i = 0; i < walk->row; i++)                        \
            out[i * walk->row_step[0]] = in[i * walk->row_step[1]];    \
    }

void walk_copy(struct walk *walk, void *to, const void *from, size_t element_bytes)
{
    assert(walk->tensors == 2);
    switch (element_bytes) {
    case 1:
        COPY_ROWS(uint8_t)
        break;
    case 2:
        COPY_ROWS(uint16_t)
        break;
    case 4:
        COPY_ROWS(uint32_t)
        break;
    default:
        assert(element_bytes == 8);
        COPY_ROWS(uint64_t)
        break;
    }
}

void walk_fill(const struct shape *shape, const int64_t *steps, const struct tensor *in,
               struct tensor *out)
{
    struct walk walk;
    walk_init(&walk, shape);
    walk_add_broadcast(&walk, shape);
    walk_add_steps(&walk, 0, steps);
    walk_copy(&walk, out->data, in->data, tensor_type_bytes(in->type));
}
