/* row_tile: what a tile is for. */
#include "cuda/row_tile.h"

static bool is_packed(const struct fold_array *array, int64_t length);

bool row_tile_suits(const struct fold *fold, const struct fold_array *const *arrays, int count)
{
    if (fold->length > ROW_TILE_LENGTH_MAX)
        return false;
    for (int k = 0; k < count; k++)
        if (!is_packed(arrays[k], fold->length))
            return false;
    return true;
}

static bool is_packed(const struct fold_array *array, int64_t length)
{
    const struct view *kept = &array->kept, *folded = &array->folded;
    return kept->rank == 1 && kept->step[0] == length && folded->rank == 1 && folded->step[0] == 1;
}
