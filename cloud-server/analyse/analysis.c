/* analysis: most of the struct is room that few pictures need, so a copy takes what is used. */
#include "analyse/analysis.h"

#include <stddef.h>
#include <string.h>

void analysis_copy(struct analysis *to, const struct analysis *from)
{
    memcpy(to, from, offsetof(struct analysis, objects));
    memcpy(to->objects, from->objects, from->object_count * sizeof to->objects[0]);
    memcpy(to->areas, from->areas, from->area_count * sizeof to->areas[0]);
    memcpy(to->runs, from->runs, from->runs_bytes);
}
