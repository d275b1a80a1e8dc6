/* flights: the frames of a session that were sent and have no answer yet, oldest first. */
#ifndef RUNESPOOR_EDGE_FLIGHTS_H
#define RUNESPOOR_EDGE_FLIGHTS_H

#include "credit.h"
#include <stdbool.h>
#include <stddef.h>

struct flight {
    uint64_t number; /* of the frame; growing */
    uint64_t capture_ns, capture_unix_us, sent_ns;
    uint32_t bytes;   /* of the packet */
    bool decode_only; /* answered before */
};

/* All-zero is empty. */
struct flights {
    struct flight ring[CREDITS_MAX]; /* a frame in flight has a credit */
    size_t first, count;
    size_t bytes; /* of all of them */
};

void flights_add(struct flights *flights, const struct flight *flight);
/* NULL when there is none. */
const struct flight *flights_oldest(const struct flights *flights);
/* Takes out the frame of this number and all before it, which will not be answered any more, for
 * answers come in order. Gives how many, the frame itself included, or 0 when it is not in flight. */
size_t flights_take(struct flights *flights, uint64_t number, struct flight *taken);
/* Empties it and gives how many there were. */
size_t flights_clear(struct flights *flights);

#endif
