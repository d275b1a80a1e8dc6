/* The blocked layout: its arithmetic against the place of each element, worked out one by one. */
#include "cpu/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SHAPE(...)                                                                         \
    (&(struct shape){ .rank = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                      .dim = { __VA_ARGS__ } })

/* Where an element of an image is, by what struct layout says of its members. */
static int64_t place_of(const struct layout *layout, const int64_t index[4])
{
    int64_t place = 0;
    for (int d = 0; d < 4; d++)
        if (layout->blocked && d == 1)
            place += index[d] / LAYOUT_BLOCK * layout->stride[d] + index[d] % LAYOUT_BLOCK;
        else
            place += index[d] * layout->stride[d];
    return place;
}

static bool next_index(const struct shape *shape, int64_t index[4])
{
    for (int d = 3; d >= 0; d--) {
        if (++index[d] < shape->dim[d])
            return true;
        index[d] = 0;
    }
    return false;
}

/* Element for element; shapes and types are the same. */
static bool same_places(const struct layout *a, const struct layout *b)
{
    int64_t index[4] = { 0 };
    do
        if (place_of(a, index) != place_of(b, index))
            return false;
    while (next_index(&a->shape, index));
    return true;
}

static const struct shape *const shapes[] = {
    SHAPE(1, 16, 3, 5), SHAPE(2, 16, 1, 1), SHAPE(1, 32, 1, 1), SHAPE(2, 48, 1, 1),
    SHAPE(3, 32, 4, 2), SHAPE(1, 64, 1, 7), SHAPE(2, 32, 5, 1), SHAPE(1, 16, 1, 1),
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static void test_blocked(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = shapes[i];
        struct layout blocked = layout_blocked(TENSOR_F32, shape);
        int64_t count = shape_elements(shape), index[4] = { 0 };
        char *seen = calloc((size_t)count, 1);
        assert_non_null(seen);
        do {
            int64_t place = place_of(&blocked, index), blocks = shape->dim[1] / LAYOUT_BLOCK;
            int64_t pixel = index[2] * shape->dim[3] + index[3];
            int64_t block = index[0] * blocks + index[1] / LAYOUT_BLOCK;
            assert_int_equal(place, (block * shape->dim[2] * shape->dim[3] + pixel) * LAYOUT_BLOCK +
                                        index[1] % LAYOUT_BLOCK);
            assert_true(place < count && !seen[place]);
            seen[place] = 1;
        } while (next_index(shape, index));
        free(seen);
        assert_int_equal(layout_span(&blocked), count);
        assert_int_equal(layout_bytes(&blocked), (uint64_t)count * sizeof(float));
        assert_true(layout_is_packed(&blocked) && layout_is_usual(&blocked));
        struct layout wide = blocked; /* as a part of something with more channels */
        wide.stride[0] *= 3;
        assert_int_equal(layout_is_packed(&wide), shape->dim[0] == 1);
        assert_int_equal(layout_span(&wide), count + (shape->dim[0] - 1) * 2 * blocked.stride[0]);
    }
}

/* Layouts are equal exactly when all elements lie in the same places, however they are described. */
static void test_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct layout all[3] = {
            layout_dense(TENSOR_F32, shapes[i]),
            layout_channels_last(TENSOR_F32, shapes[i]),
            layout_blocked(TENSOR_F32, shapes[i]),
        };
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++)
                assert_int_equal(layout_equal(&all[a], &all[b]), same_places(&all[a], &all[b]));
        assert_int_equal(layout_is_dense(&all[2]), same_places(&all[0], &all[2]));
        struct layout plain = { 0 };
        bool possible = layout_unblock(&all[2], &plain);
        assert_int_equal(possible, same_places(&all[0], &all[2]) || same_places(&all[1], &all[2]));
        if (possible)
            assert_true(!plain.blocked && same_places(&plain, &all[2]));
        struct layout half = layout_blocked(TENSOR_BF16, shapes[i]);
        assert_false(layout_equal(&half, &all[2]));
    }
}

static void test_like(void **state)
{
    (void)state;
    struct layout blocked = layout_blocked(TENSOR_F32, SHAPE(2, 32, 4, 5));
    struct layout last = layout_channels_last(TENSOR_F32, SHAPE(2, 32, 4, 5));
    struct layout wanted = layout_blocked(TENSOR_F32, SHAPE(1, 48, 2, 2));
    struct layout got = layout_packed_like(TENSOR_F32, SHAPE(1, 48, 2, 2), &blocked);
    assert_true(got.blocked && layout_equal(&got, &wanted));
    got = layout_channels_like(TENSOR_F32, SHAPE(1, 48, 2, 2), &blocked);
    assert_true(got.blocked && layout_equal(&got, &wanted));
    got = layout_packed_like(TENSOR_F32, SHAPE(1, 40, 2, 2), &blocked); /* half a block */
    wanted = layout_channels_last(TENSOR_F32, SHAPE(1, 40, 2, 2));
    assert_true(!got.blocked && layout_equal(&got, &wanted));
    got = layout_channels_like(TENSOR_F32, SHAPE(1, 48, 2, 2), &last);
    wanted = layout_channels_last(TENSOR_F32, SHAPE(1, 48, 2, 2));
    assert_true(!got.blocked && layout_equal(&got, &wanted));
    assert_false(layout_can_block(SHAPE(1, 40, 2, 2)));
    assert_false(layout_can_block(SHAPE(1, 32, 2)));
    assert_int_equal(layout_offset(&blocked, 1, 16), 4 * 5 * LAYOUT_BLOCK);
    assert_int_equal(layout_offset(&blocked, 0, 1), 4 * 5 * 32);
    assert_int_equal(layout_offset(&last, 1, 3), 3);
}

/* oneDNN means the same places. */
static void test_memory_desc(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct layout blocked = layout_blocked(TENSOR_F32, shapes[i]);
        dnnl_memory_desc_t md, tagged;
        dnnl_dims_t dims;
        for (int d = 0; d < 4; d++)
            dims[d] = shapes[i]->dim[d];
        assert_true(layout_md(&blocked, &md));
        assert_int_equal(dnnl_memory_desc_init_by_tag(&tagged, 4, dims, dnnl_f32, dnnl_nChw16c), 0);
        assert_true(dnnl_memory_desc_equal(&md, &tagged));
        assert_int_equal(dnnl_memory_desc_get_size(&md), layout_bytes(&blocked));
        blocked.stride[0] *= 2;
        assert_true(layout_md(&blocked, &md));
        assert_int_equal(md.format_desc.blocking.strides[0], blocked.stride[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocked),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_like),
        cmocka_unit_test(test_memory_desc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
