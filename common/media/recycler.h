/* recycler: a small bounded shelf of shells (pictures, packets) that wait to be used again, so that
 * the frame path takes no memory once warm. Static storage, any thread. For media/ only. */
#ifndef RUNESPOOR_MEDIA_RECYCLER_H
#define RUNESPOOR_MEDIA_RECYCLER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define RECYCLER_ITEMS_MAX 64u

struct recycler {
    pthread_mutex_t lock;
    size_t count; /* under lock, as are the items */
    void *items[RECYCLER_ITEMS_MAX];
};

#define RECYCLER_INIT                     \
    {                                     \
        .lock = PTHREAD_MUTEX_INITIALIZER \
    }

/* The item given last (its memory is the warmest), or NULL when the shelf is empty. */
static inline void *recycler_take(struct recycler *recycler)
{
    pthread_mutex_lock(&recycler->lock);
    void *item = recycler->count > 0 ? recycler->items[--recycler->count] : NULL;
    pthread_mutex_unlock(&recycler->lock);
    return item;
}

/* False when the shelf is full: the caller frees the item. */
static inline bool recycler_give(struct recycler *recycler, void *item)
{
    pthread_mutex_lock(&recycler->lock);
    bool kept = recycler->count < RECYCLER_ITEMS_MAX;
    if (kept)
        recycler->items[recycler->count++] = item;
    pthread_mutex_unlock(&recycler->lock);
    return kept;
}

#endif
