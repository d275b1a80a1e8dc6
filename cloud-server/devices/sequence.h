/* sequence: gives each stream its answers in the order of its frames, whatever order the workers
 * finish in. Bounded; loop thread only. */
#ifndef RUNESPOOR_DEVICES_SEQUENCE_H
#define RUNESPOOR_DEVICES_SEQUENCE_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

#define SEQUENCE_CAPACITY_MAX 65536u

struct sequence;

/* release(arg, ticket, item) is called in ticket order, from sequence_finish; the ticket is no
 * longer open then. It may open and finish tickets, but not destroy the sequence. */
typedef void sequence_release_fn(void *arg, uint64_t ticket, void *item);

/* capacity: tickets that may be open at once, 1..SEQUENCE_CAPACITY_MAX. */
int sequence_create(struct sequence **sequence, size_t capacity, sequence_release_fn *release,
                    void *arg, struct error *err);
/* The next ticket (0, 1, 2, …), opened with item; -ERROR_LIMIT when capacity are open. */
int sequence_open(struct sequence *sequence, void *item, uint64_t *ticket, struct error *err);
/* Marks an open ticket finished (once) and releases it and all finished ones behind it, if it is
 * the oldest. */
void sequence_finish(struct sequence *sequence, uint64_t ticket);
/* The item of an open ticket. */
void *sequence_item(struct sequence *sequence, uint64_t ticket);
size_t sequence_depth(const struct sequence *sequence);
/* Releases nothing; items still open go to drop (unless NULL). Takes NULL. */
void sequence_destroy(struct sequence **sequence, void (*drop)(void *item));

#endif
