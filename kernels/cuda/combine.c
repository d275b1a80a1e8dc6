/* combine: goes back through the steps as long as none is in the way. */
#include "cuda/combine.h"
#include <stdlib.h>
#include <string.h>

static bool in_the_way(const struct cuda_step *step, struct cuda_place *const *places,
                       int read_count, int place_count);
static int add_places(struct cuda_step *step, struct cuda_place *const *places, int read_count,
                      int place_count, struct error *err);

int cuda_combine(struct cuda_build *build,
                 int (*run)(const struct cuda_step *step, struct gpu *gpu, struct error *err),
                 bool (*takes)(const struct cuda_step *step, const void *arg), const void *arg,
                 struct cuda_place *const *places, int read_count, int place_count,
                 struct cuda_step **step, struct error *err)
{
    *step = NULL;
    for (int s = build->plan->step_count - 1; s >= 0; s--) {
        struct cuda_step *earlier = &build->plan->steps[s];
        if (in_the_way(earlier, places, read_count, place_count))
            return 0;
        if (earlier->run != run || !takes(earlier, arg))
            continue;
        *step = earlier;
        return add_places(earlier, places, read_count, place_count, err);
    }
    return 0;
}

/* One of the two writes what the other one reads or writes. */
static bool in_the_way(const struct cuda_step *step, struct cuda_place *const *places,
                       int read_count, int place_count)
{
    for (int s = 0; s < step->place_count; s++)
        for (int p = s < step->read_count ? read_count : 0; p < place_count; p++)
            if (step->places[s]->buffer == places[p]->buffer)
                return true;
    return false;
}

/* Those that are read stay before the others. */
static int add_places(struct cuda_step *step, struct cuda_place *const *places, int read_count,
                      int place_count, struct error *err)
{
    size_t own_reads = (size_t)step->read_count, reads = (size_t)read_count;
    size_t own_writes = (size_t)step->place_count - own_reads, writes = (size_t)place_count - reads;
    struct cuda_place **more =
        realloc(step->places, (own_reads + reads + own_writes + writes) * sizeof *more);
    if (!more)
        return cuda_no_memory(err);
    memmove(more + own_reads + reads, more + own_reads, own_writes * sizeof *more);
    memcpy(more + own_reads, places, reads * sizeof *more);
    memcpy(more + own_reads + reads + own_writes, places + reads, writes * sizeof *more);
    step->places = more;
    step->read_count += read_count;
    step->place_count += place_count;
    return 0;
}
