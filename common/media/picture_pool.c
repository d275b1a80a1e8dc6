/* picture_pool: slots in one sealed memfd, so that a worker process maps them once and reads
 * pictures where the decoder put them. AVBufferPool keeps the free slots and the pool's life: it
 * asks for a slot while it has none free, and ends the pool when the last one is back. */
#include "media/frame_pool.h"
#include "media/picture.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libavutil/buffer.h>
#include <libavutil/frame.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PICTURE_POOL_SLOTS_MAX 4096u

struct picture_pool {
    uint64_t id;
    int fd;
    uint8_t *base;
    size_t bytes, slot_bytes; /* slots are whole pages */
    struct frame_layout layout;
    uint32_t slot_count;
    uint32_t slots_made; /* under the lock of slots */
    AVBufferPool *slots; /* NULL once released */
};

static atomic_uint_fast64_t last_id;

static void keep_slot(void *opaque, uint8_t *data)
{
    (void)opaque; /* the mapping goes as a whole, in free_pool */
    (void)data;
}

static AVBufferRef *make_slot(void *opaque, size_t size)
{
    struct picture_pool *pool = opaque;
    if (pool->slots_made == pool->slot_count)
        return NULL;
    uint8_t *block = pool->base + (size_t)pool->slots_made * pool->slot_bytes;
    AVBufferRef *slot = av_buffer_create(block, size, keep_slot, NULL, 0);
    if (slot)
        pool->slots_made++;
    return slot;
}

static void free_pool(void *opaque)
{
    struct picture_pool *pool = opaque;
    if (pool->base)
        munmap(pool->base, pool->bytes);
    if (pool->fd >= 0)
        close(pool->fd);
    free(pool);
}

/* Memory that other processes may map but not resize under our feet. */
static int map_shared(struct picture_pool *pool, struct error *err)
{
    pool->fd = memfd_create("runespoor-pictures", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (pool->fd < 0)
        return error_set_errno(err, errno, "picture pool", "cannot create shared memory");
    if (ftruncate(pool->fd, (off_t)pool->bytes) < 0)
        return error_set_errno(err, errno, "picture pool", "cannot get %zu bytes of shared memory",
                               pool->bytes);
    if (fcntl(pool->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return error_set_errno(err, errno, "picture pool", "cannot seal shared memory");
    void *base = mmap(NULL, pool->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pool->fd, 0);
    if (base == MAP_FAILED)
        return error_set_errno(err, errno, "picture pool", "cannot map %zu bytes", pool->bytes);
    pool->base = base;
    return 0;
}

int picture_pool_create(struct picture_pool **pool, uint32_t width, uint32_t height,
                        uint32_t slot_count, struct error *err)
{
    assert(pool);
    struct frame_layout layout;
    int failed = frame_layout_init(&layout, width, height, err);
    if (failed)
        return failed;
    if (slot_count == 0 || slot_count > PICTURE_POOL_SLOTS_MAX)
        return error_set(err, ERROR_LIMIT, "picture pool", "%u slots are not within 1 and %u",
                         slot_count, PICTURE_POOL_SLOTS_MAX);
    struct picture_pool *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "picture pool", "no room for %zu bytes", sizeof *fresh);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    fresh->id = atomic_fetch_add(&last_id, 1) + 1;
    fresh->fd = -1;
    fresh->layout = layout;
    fresh->slot_count = slot_count;
    fresh->slot_bytes = (layout.bytes + page - 1) / page * page;
    fresh->bytes = fresh->slot_bytes * slot_count;
    failed = map_shared(fresh, err);
    if (failed)
        goto fail;
    fresh->slots = av_buffer_pool_init2(fresh->slot_bytes, fresh, make_slot, free_pool);
    if (!fresh->slots) {
        failed = error_set(err, ERROR_MEMORY, "picture pool", "no room for a pool");
        goto fail;
    }
    *pool = fresh;
    return 0;
fail:
    free_pool(fresh);
    return failed;
}

uint64_t picture_pool_id(const struct picture_pool *pool)
{
    return pool->id;
}

int picture_pool_fd(const struct picture_pool *pool)
{
    return pool->fd;
}

uint64_t picture_pool_bytes(const struct picture_pool *pool)
{
    return pool->bytes;
}

int picture_pool_take_frame(struct picture_pool *pool, AVFrame *frame, struct error *err)
{
    assert(pool && pool->slots && frame && !frame->buf[0]);
    AVBufferRef *slot = av_buffer_pool_get(pool->slots);
    if (!slot)
        return error_set(err, ERROR_LIMIT, "picture pool", "empty: all %u pictures are in use",
                         pool->slot_count);
    frame->buf[0] = slot;
    frame->opaque = pool; /* copied with every reference: tells picture_get_place where it lies */
    frame_layout_apply(&pool->layout, frame, slot->data);
    return 0;
}

int picture_pool_take(struct picture_pool *pool, struct picture **picture, struct error *err)
{
    int failed = picture_create_blank(picture, err);
    if (failed)
        return failed;
    failed = picture_pool_take_frame(pool, picture_frame(*picture), err);
    if (failed)
        picture_unref(picture);
    return failed;
}

const struct picture_pool *picture_get_pool(const struct picture *picture)
{
    return picture_frame(picture)->opaque;
}

void picture_get_place(const struct picture *picture, struct picture_place *place)
{
    const AVFrame *frame = picture_frame(picture);
    const struct picture_pool *pool = picture_get_pool(picture);
    *place = (struct picture_place){ .pool_id = pool ? pool->id : 0 };
    for (int plane = 0; pool && plane < 3 && frame->data[plane]; plane++) {
        assert(frame->data[plane] >= pool->base && frame->data[plane] < pool->base + pool->bytes);
        place->offset[plane] = (uint64_t)(frame->data[plane] - pool->base);
    }
}

void picture_pool_release(struct picture_pool **pool)
{
    assert(pool);
    struct picture_pool *old = *pool;
    *pool = NULL;
    if (!old)
        return;
    AVBufferPool *slots = old->slots;
    old->slots = NULL;             /* old may be gone after the next line */
    av_buffer_pool_uninit(&slots); /* free_pool is called now, or with the last slot */
}
