/* packet: a reference count around an AVPacket and the memory it was encoded into. Both are used
 * again, so that the frame path takes no memory once the largest keyframe has been seen. */
#include "media/packet.h"
#include "media/recycler.h"

#include <assert.h>
#include <limits.h>
#include <libavcodec/defs.h>
#include <libavcodec/packet.h>
#include <libavutil/error.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct packet {
    atomic_uint refs;
    AVPacket *av;        /* never NULL; blank while the shell waits to be used again */
    AVBufferRef *memory; /* NULL at first; grows to the largest packet it had to hold */
};

static struct recycler shells = RECYCLER_INIT;

static void packet_free(struct packet *packet)
{
    av_buffer_unref(&packet->memory);
    av_packet_free(&packet->av);
    free(packet);
}

int packet_create(struct packet **packet, struct error *err)
{
    struct packet *fresh = recycler_take(&shells);
    if (!fresh) {
        fresh = calloc(1, sizeof *fresh);
        if (fresh)
            fresh->av = av_packet_alloc();
        if (!fresh || !fresh->av) {
            free(fresh);
            return error_set(err, ERROR_MEMORY, "encoder", "no room for a packet");
        }
    }
    atomic_init(&fresh->refs, 1);
    *packet = fresh;
    return 0;
}

int packet_lend_memory(struct packet *packet, AVPacket *av)
{
    size_t needed = (size_t)av->size + AV_INPUT_BUFFER_PADDING_SIZE;
    if (!packet->memory || packet->memory->size < needed || !av_buffer_is_writable(packet->memory)) {
        av_buffer_unref(&packet->memory);
        packet->memory = av_buffer_alloc(needed + needed / 2);
        if (!packet->memory)
            return AVERROR(ENOMEM);
    }
    av->buf = av_buffer_ref(packet->memory);
    if (!av->buf)
        return AVERROR(ENOMEM);
    av->data = av->buf->data;
    return 0;
}

int packet_copy(struct packet **packet, const void *bytes, size_t size, bool keyframe,
                struct error *err)
{
    struct packet *fresh;
    assert(size > 0 && size <= INT_MAX);
    int result = packet_create(&fresh, err);
    if (result != 0)
        return result;
    fresh->av->size = (int)size;
    if (packet_lend_memory(fresh, fresh->av) != 0) {
        packet_unref(&fresh);
        return error_set(err, ERROR_MEMORY, "packet", "no room for %zu bytes", size);
    }
    memcpy(fresh->av->data, bytes, size);
    memset(fresh->av->data + size, 0, AV_INPUT_BUFFER_PADDING_SIZE);
    fresh->av->flags = keyframe ? AV_PKT_FLAG_KEY : 0;
    *packet = fresh;
    return 0;
}

AVPacket *packet_av(struct packet *packet)
{
    return packet->av;
}

const uint8_t *packet_data(const struct packet *packet, size_t *size)
{
    *size = (size_t)packet->av->size;
    return packet->av->data;
}

bool packet_is_keyframe(const struct packet *packet)
{
    return packet->av->flags & AV_PKT_FLAG_KEY;
}

struct packet *packet_ref(struct packet *packet)
{
    unsigned before = atomic_fetch_add_explicit(&packet->refs, 1, memory_order_relaxed);
    assert(before > 0);
    return packet;
}

void packet_unref(struct packet **packet)
{
    assert(packet);
    struct packet *old = *packet;
    *packet = NULL;
    if (!old)
        return;
    unsigned before = atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    av_packet_unref(old->av);
    if (!recycler_give(&shells, old))
        packet_free(old);
}
