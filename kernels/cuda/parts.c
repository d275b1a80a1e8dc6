/* parts: tables. */
#include "cuda/parts.h"
#include <stdlib.h>

int parts_add(struct parts *parts, const struct part *part, struct error *err)
{
    struct part *more = realloc(parts->part, ((size_t)parts->count + 1) * sizeof *more);
    if (!more)
        return cuda_no_memory(err);
    parts->part = more;
    more[parts->count++] = *part;
    return 0;
}

int64_t parts_chunks(int64_t count)
{
    return (count + OPTIMISE_CHUNK - 1) / OPTIMISE_CHUNK;
}

int64_t parts_fill(const struct parts *parts, int first, struct optimise_parts *table)
{
    int64_t blocks = 0;
    table->count =
        parts->count - first < OPTIMISE_PARTS_MAX ? parts->count - first : OPTIMISE_PARTS_MAX;
    for (int i = 0; i < table->count; i++) {
        const struct part *part = &parts->part[first + i];
        struct optimise_part *to = &table->part[i];
        *to =
            (struct optimise_part){ .fresh = part->view, .count = part->count, .first_block = blocks };
        to->fresh.data = part->fresh->data;
        for (int k = 0; k < OPTIMISE_STATES_MAX; k++) {
            to->before[k] = parts_data(part->before[k]);
            to->after[k] = parts_data(part->after[k]);
        }
        blocks += parts_chunks(part->count);
    }
    return blocks;
}

float *parts_data(const struct cuda_place *place)
{
    return place ? place->data : NULL;
}
