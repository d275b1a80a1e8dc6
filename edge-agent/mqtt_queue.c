/* mqtt_queue: see the header. A message's head lies before its bytes; both may go over the end. */
#include "mqtt_queue.h"

#include <stdlib.h>
#include <string.h>

struct head {
    uint64_t ticket;
    size_t bytes;
};

int mqtt_queue_init(struct mqtt_queue *queue, size_t capacity, struct error *err)
{
    *queue = (struct mqtt_queue){ .bytes = malloc(capacity), .capacity = capacity };
    if (!queue->bytes)
        return error_set(err, ERROR_MEMORY, "mqtt", "no room for %zu bytes", capacity);
    return 0;
}

void mqtt_queue_finish(struct mqtt_queue *queue)
{
    free(queue->bytes);
    *queue = (struct mqtt_queue){ .bytes = NULL };
}

static void put_bytes(struct mqtt_queue *queue, const void *bytes, size_t size)
{
    size_t at = (queue->first + queue->size) % queue->capacity, rest = queue->capacity - at;
    size_t part = size < rest ? size : rest;
    memcpy(queue->bytes + at, bytes, part);
    memcpy(queue->bytes, (const char *)bytes + part, size - part);
    queue->size += size;
}

/* The first bytes; they stay. */
static void look_at_bytes(const struct mqtt_queue *queue, void *bytes, size_t size)
{
    size_t rest = queue->capacity - queue->first, part = size < rest ? size : rest;
    memcpy(bytes, queue->bytes + queue->first, part);
    memcpy((char *)bytes + part, queue->bytes, size - part);
}

static void skip_bytes(struct mqtt_queue *queue, size_t size)
{
    queue->first = (queue->first + size) % queue->capacity;
    queue->size -= size;
}

static bool drop_oldest(struct mqtt_queue *queue)
{
    struct head head;
    if (queue->count == 0)
        return false;
    look_at_bytes(queue, &head, sizeof head);
    if (head.ticket != 0)
        return false;
    skip_bytes(queue, sizeof head + head.bytes);
    queue->count--;
    return true;
}

bool mqtt_queue_put(struct mqtt_queue *queue, uint64_t ticket, const char *topic,
                    const struct text *payload, size_t *dropped)
{
    const struct head head = { ticket, strlen(topic) + 1 + payload->size };
    if (sizeof head + head.bytes > queue->capacity)
        return false;
    for (; queue->capacity - queue->size < sizeof head + head.bytes; ++*dropped)
        if (!drop_oldest(queue))
            return false;
    put_bytes(queue, &head, sizeof head);
    put_bytes(queue, topic, strlen(topic) + 1);
    put_bytes(queue, payload->data, payload->size);
    queue->count++;
    return true;
}

bool mqtt_queue_take(struct mqtt_queue *queue, uint64_t *ticket, struct text *bytes)
{
    struct head head;
    text_clear(bytes);
    if (queue->count == 0)
        return false;
    look_at_bytes(queue, &head, sizeof head);
    size_t at = (queue->first + sizeof head) % queue->capacity, rest = queue->capacity - at;
    size_t part = head.bytes < rest ? head.bytes : rest;
    text_add(bytes, queue->bytes + at, part);
    text_add(bytes, queue->bytes, head.bytes - part);
    if (bytes->failed)
        return false;
    *ticket = head.ticket;
    skip_bytes(queue, sizeof head + head.bytes);
    queue->count--;
    return true;
}
