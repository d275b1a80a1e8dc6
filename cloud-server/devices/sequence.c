/* sequence: a ring of open tickets. A ticket that finishes early waits in its place until all older
 * ones have finished, so that order costs no search and no allocation. */
#include "devices/sequence.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

struct place {
    void *item;
    bool finished;
};

/* Tickets oldest <= t < next are open; ticket t lies in places[t % capacity]. */
struct sequence {
    sequence_release_fn *release;
    void *arg;
    uint64_t oldest, next;
    bool releasing; /* inside release(): what finishes meanwhile waits for the loop outside */
    size_t capacity;
    struct place places[];
};

static struct place *place_of(struct sequence *sequence, uint64_t ticket);

int sequence_create(struct sequence **out, size_t capacity, sequence_release_fn *release, void *arg,
                    struct error *err)
{
    assert(out && capacity >= 1 && capacity <= SEQUENCE_CAPACITY_MAX && release);
    struct sequence *sequence = calloc(1, sizeof *sequence + capacity * sizeof sequence->places[0]);
    if (!sequence)
        return error_set(err, ERROR_MEMORY, "sequence", "no room for %zu tickets", capacity);
    sequence->release = release;
    sequence->arg = arg;
    sequence->capacity = capacity;
    *out = sequence;
    return 0;
}

int sequence_open(struct sequence *sequence, void *item, uint64_t *ticket, struct error *err)
{
    if (sequence_depth(sequence) == sequence->capacity)
        return error_set(err, ERROR_LIMIT, "sequence",
                         "%zu frames wait for their answers, no more are taken", sequence->capacity);
    *ticket = sequence->next++;
    *place_of(sequence, *ticket) = (struct place){ .item = item };
    return 0;
}

void sequence_finish(struct sequence *sequence, uint64_t ticket)
{
    struct place *place = place_of(sequence, ticket);
    assert(!place->finished);
    place->finished = true;
    if (sequence->releasing)
        return;
    sequence->releasing = true;
    while (sequence->oldest < sequence->next) {
        place = place_of(sequence, sequence->oldest);
        if (!place->finished)
            break;
        uint64_t released = sequence->oldest++; /* first: release() may open the next ticket here */
        sequence->release(sequence->arg, released, place->item);
    }
    sequence->releasing = false;
}

void *sequence_item(struct sequence *sequence, uint64_t ticket)
{
    return place_of(sequence, ticket)->item;
}

size_t sequence_depth(const struct sequence *sequence)
{
    return (size_t)(sequence->next - sequence->oldest);
}

void sequence_destroy(struct sequence **sequence, void (*drop)(void *item))
{
    struct sequence *old = *sequence;
    if (!old)
        return;
    assert(!old->releasing);
    for (uint64_t ticket = old->oldest; drop && ticket < old->next; ticket++)
        drop(place_of(old, ticket)->item);
    free(old);
    *sequence = NULL;
}

/* Tickets are given out here and nowhere else, so a wrong one is our own mistake. */
static struct place *place_of(struct sequence *sequence, uint64_t ticket)
{
    assert(ticket >= sequence->oldest && ticket < sequence->next);
    return &sequence->places[ticket % sequence->capacity];
}
