/* arena: largest first, each at the lowest offset where nothing that lives at the same time is in the
 * way. Not the optimum, which is hard to find, but close to it for the chains that networks are. */
#include "tensor/arena.h"
#include <stdlib.h>

static void place_piece(struct arena_piece **placed, int placed_count, struct arena_piece *piece);
static int by_size(const void *a, const void *b);

int arena_lay_out(struct arena_piece *pieces, int count, uint64_t alignment, uint64_t *arena_bytes,
                  struct error *err)
{
    struct arena_piece **wanted = calloc((size_t)count + 1, sizeof *wanted);
    struct arena_piece **placed = calloc((size_t)count + 1, sizeof *placed); /* by offset */
    int rc = 0;
    *arena_bytes = 0;
    if (!wanted || !placed) {
        rc = error_set(err, ERROR_MEMORY, "arena", "no memory left");
        goto done;
    }
    for (int i = 0; i < count; i++) {
        pieces[i].bytes = (pieces[i].bytes + alignment - 1) / alignment * alignment;
        wanted[i] = &pieces[i];
    }
    qsort(wanted, (size_t)count, sizeof *wanted, by_size);
    for (int i = 0; i < count; i++) {
        place_piece(placed, i, wanted[i]);
        uint64_t end = wanted[i]->offset_bytes + wanted[i]->bytes;
        if (end > *arena_bytes)
            *arena_bytes = end;
    }
done:
    free(wanted);
    free(placed);
    return rc;
}

/* Walks what is placed by rising offset: each that is in the way moves the offset behind itself, and
 * the first that begins late enough ends the search. */
static void place_piece(struct arena_piece **placed, int placed_count, struct arena_piece *piece)
{
    uint64_t offset = 0;
    for (int i = 0; i < placed_count; i++) {
        const struct arena_piece *other = placed[i];
        if (other->last < piece->first || piece->last < other->first)
            continue;
        if (other->offset_bytes >= offset + piece->bytes)
            break;
        uint64_t end = other->offset_bytes + other->bytes;
        offset = end > offset ? end : offset;
    }
    piece->offset_bytes = offset;
    int at = placed_count;
    for (; at > 0 && placed[at - 1]->offset_bytes > offset; at--)
        placed[at] = placed[at - 1];
    placed[at] = piece;
}

static int by_size(const void *a, const void *b)
{
    const struct arena_piece *left = *(struct arena_piece *const *)a;
    const struct arena_piece *right = *(struct arena_piece *const *)b;
    if (left->bytes != right->bytes)
        return left->bytes < right->bytes ? 1 : -1;
    return left < right ? -1 : left > right; /* the same plan every time: pieces of one array */
}
