/* Proves that pictures count their references across threads, that views and places tell the truth,
 * and that a pool's memory is seen by another process, sealed, bounded and freed with its last
 * picture. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <libavutil/frame.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_create_view(void **state)
{
    (void)state;
    struct error err;
    struct picture *picture;
    assert_ok(picture_create(&picture, 17, 9, &err), &err);
    struct picture_view view;
    picture_get_view(picture, &view);
    assert_int_equal(view.format, PIXEL_I420);
    assert_int_equal(view.matrix, MATRIX_BT601);
    assert_false(view.full_range);
    assert_int_equal(view.width, 17);
    assert_int_equal(view.height, 9);
    assert_true(view.stride[0] >= 17 && view.stride[1] >= 9 && view.stride[2] >= 9);
    for (int plane = 0; plane < 3; plane++) {
        assert_int_equal(view.stride[plane] % 64, 0);
        for (uint32_t row = 0; row < (plane ? 5 : 9); row++)
            assert_int_equal(view.plane[plane][row * view.stride[plane]], plane ? 128 : 16);
    }
    struct picture_place place;
    picture_get_place(picture, &place);
    assert_int_equal(place.pool_id, 0);
    picture_unref(&picture);
    assert_null(picture);
    picture_unref(&picture);
}

static void test_sizes_refused(void **state)
{
    (void)state;
    struct error err;
    struct picture *picture = NULL;
    struct picture_pool *pool = NULL;
    assert_int_equal(picture_create(&picture, 0, 16, &err), -ERROR_LIMIT);
    assert_int_equal(picture_create(&picture, 16, PICTURE_SIDE_MAX + 1, &err), -ERROR_LIMIT);
    assert_int_equal(picture_create(&picture, UINT32_MAX, UINT32_MAX, &err), -ERROR_LIMIT);
    assert_int_equal(picture_pool_create(&pool, 16, 0, 1, &err), -ERROR_LIMIT);
    assert_int_equal(picture_pool_create(&pool, 16, 16, 0, &err), -ERROR_LIMIT);
    assert_int_equal(picture_pool_create(&pool, 16, 16, UINT32_MAX, &err), -ERROR_LIMIT);
    assert_null(picture);
    assert_null(pool);
}

static AVFrame *make_frame(enum AVPixelFormat format, int width, int height)
{
    AVFrame *frame = av_frame_alloc();
    assert_non_null(frame);
    frame->format = format;
    frame->width = width;
    frame->height = height;
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    return frame;
}

static void test_from_frame(void **state)
{
    (void)state;
    struct error err;
    struct picture *picture = NULL;
    struct picture_view view;

    AVFrame *frame = make_frame(AV_PIX_FMT_YUVJ420P, 64, 48);
    assert_ok(picture_from_frame(&picture, frame, &err), &err);
    assert_null(frame->buf[0]);
    picture_get_view(picture, &view);
    assert_true(view.full_range);
    assert_int_equal(view.format, PIXEL_I420);
    assert_int_equal(view.matrix, MATRIX_BT601);
    picture_unref(&picture);
    av_frame_free(&frame);

    frame = make_frame(AV_PIX_FMT_NV12, 1280, 720);
    assert_ok(picture_from_frame(&picture, frame, &err), &err);
    picture_get_view(picture, &view);
    assert_int_equal(view.format, PIXEL_NV12);
    assert_int_equal(view.matrix, MATRIX_BT709); /* untold, but high definition */
    assert_false(view.full_range);
    assert_null(view.plane[2]);
    picture_unref(&picture);
    av_frame_free(&frame);

    frame = make_frame(AV_PIX_FMT_YUV444P, 64, 48);
    assert_int_equal(picture_from_frame(&picture, frame, &err), -ERROR_UNSUPPORTED);
    assert_non_null(frame->buf[0]); /* still the caller's */
    av_frame_free(&frame);

    frame = make_frame(AV_PIX_FMT_YUV420P, 64, 48);
    frame->linesize[0] = -frame->linesize[0];
    assert_int_equal(picture_from_frame(&picture, frame, &err), -ERROR_UNSUPPORTED);
    av_frame_free(&frame);
}

static void *ref_and_unref(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        struct picture *again = picture_ref(arg);
        picture_unref(&again);
    }
    struct picture *mine = arg; /* the reference that was taken for this thread */
    picture_unref(&mine);
    return NULL;
}

static void test_references_across_threads(void **state)
{
    (void)state;
    struct error err;
    struct picture_pool *pool;
    struct picture *picture, *second = NULL;
    assert_ok(picture_pool_create(&pool, 32, 32, 1, &err), &err);
    assert_ok(picture_pool_take(pool, &picture, &err), &err);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, picture_ref(picture)), 0);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(picture_pool_take(pool, &second, &err), -ERROR_LIMIT); /* still held here */
    picture_unref(&picture);
    assert_ok(picture_pool_take(pool, &second, &err), &err);
    picture_unref(&second);
    picture_pool_release(&pool);
}

static void test_pool_is_bounded_and_reused(void **state)
{
    (void)state;
    struct error err;
    struct picture_pool *pool;
    struct picture *taken[3], *extra = NULL;
    assert_ok(picture_pool_create(&pool, 100, 50, 3, &err), &err);
    struct picture_place places[3], again;
    for (size_t i = 0; i < 3; i++) {
        assert_ok(picture_pool_take(pool, &taken[i], &err), &err);
        picture_get_place(taken[i], &places[i]);
        assert_int_equal(places[i].pool_id, picture_pool_id(pool));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(places[i].offset[0], places[j].offset[0]);
        assert_int_equal(places[i].offset[0] % (uint64_t)sysconf(_SC_PAGESIZE), 0);
        assert_true(places[i].offset[0] < places[i].offset[1] &&
                    places[i].offset[1] < places[i].offset[2] &&
                    places[i].offset[2] < picture_pool_bytes(pool));
    }
    assert_int_equal(picture_pool_take(pool, &extra, &err), -ERROR_LIMIT);
    assert_non_null(strstr(err.text, "3 pictures are in use"));
    picture_unref(&taken[1]);
    assert_ok(picture_pool_take(pool, &taken[1], &err), &err);
    picture_get_place(taken[1], &again);
    assert_memory_equal(&again, &places[1], sizeof again);
    for (size_t i = 0; i < 3; i++)
        picture_unref(&taken[i]);
    picture_pool_release(&pool);
    assert_null(pool);
    picture_pool_release(&pool);
}

static void test_pool_outlives_its_owner(void **state)
{
    (void)state;
    struct error err;
    struct picture_pool *pool, *other;
    struct picture *picture;
    assert_ok(picture_pool_create(&pool, 64, 64, 2, &err), &err);
    assert_ok(picture_pool_create(&other, 64, 64, 2, &err), &err);
    assert_int_not_equal(picture_pool_id(pool), picture_pool_id(other));
    uint64_t id = picture_pool_id(pool);
    int fd = picture_pool_fd(pool);
    assert_ok(picture_pool_take(pool, &picture, &err), &err);
    picture_pool_release(&pool);
    struct picture_view view;
    struct picture_place place;
    picture_get_view(picture, &view);
    memset(view.plane[0], 7, view.stride[0] * view.height);
    picture_get_place(picture, &place);
    assert_int_equal(place.pool_id, id);
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);
    picture_unref(&picture);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed with the last picture */
    picture_pool_release(&other);
}

static void test_pool_is_sealed(void **state)
{
    (void)state;
    struct error err;
    struct picture_pool *pool;
    assert_ok(picture_pool_create(&pool, 64, 64, 2, &err), &err);
    int fd = picture_pool_fd(pool);
    off_t bytes = (off_t)picture_pool_bytes(pool);
    assert_int_equal(ftruncate(fd, bytes / 2), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, bytes * 2), -1);
    assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    picture_pool_release(&pool);
}

/* The child knows the descriptor, the place and the strides, nothing else. Gives its exit status. */
static int compare_in_child(int fd, size_t bytes, const struct picture_place *place,
                            const struct picture_view *expected)
{
    uint8_t *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return 2;
    for (int plane = 0; plane < 3; plane++) {
        uint32_t width = plane ? expected->width / 2 : expected->width;
        uint32_t height = plane ? expected->height / 2 : expected->height;
        for (uint32_t row = 0; row < height; row++)
            if (memcmp(base + place->offset[plane] + row * expected->stride[plane],
                       expected->plane[plane] + row * expected->stride[plane], width) != 0)
                return 1;
    }
    return 0;
}

static void test_pool_is_shared_across_processes(void **state)
{
    (void)state;
    struct error err;
    struct picture_pool *pool;
    struct picture *first, *picture;
    assert_ok(picture_pool_create(&pool, 96, 64, 2, &err), &err);
    assert_ok(picture_pool_take(pool, &first, &err), &err);
    assert_ok(picture_pool_take(pool, &picture, &err), &err);
    testing_paint(first, 1, 100, 5);
    testing_paint(picture, 9, 100, 6);
    struct picture_view view, wrong;
    struct picture_place place;
    picture_get_view(picture, &view);
    picture_get_view(first, &wrong);
    picture_get_place(picture, &place);
    const struct picture_view *expected[2] = { &view, &wrong };
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(compare_in_child(picture_pool_fd(pool), picture_pool_bytes(pool), &place,
                                   expected[i]));
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), i); /* 1: it noticed the wrong picture */
    }
    picture_unref(&first);
    picture_unref(&picture);
    picture_pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_view),
        cmocka_unit_test(test_sizes_refused),
        cmocka_unit_test(test_from_frame),
        cmocka_unit_test(test_references_across_threads),
        cmocka_unit_test(test_pool_is_bounded_and_reused),
        cmocka_unit_test(test_pool_outlives_its_owner),
        cmocka_unit_test(test_pool_is_sealed),
        cmocka_unit_test(test_pool_is_shared_across_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
