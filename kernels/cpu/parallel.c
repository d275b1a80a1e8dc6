/* parallel: OpenMP, because oneDNN brings its threads: others beside them would fight for the cores. */
#include "cpu/parallel.h"

void parallel_run(int parts, parallel_fn *fn, const void *arg)
{
    if (parts == 1) {
        fn(arg, 0, 1);
        return;
    }
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int part = 0; part < parts; part++)
        fn(arg, part, parts);
}

void parallel_share(int64_t count, int64_t grain, int part, int parts, int64_t *first, int64_t *end)
{
    int64_t grains = (count + grain - 1) / grain;
    *first = grains * part / parts * grain;
    *end = grains * (part + 1) / parts * grain;
    *first = *first < count ? *first : count;
    *end = *end < count ? *end : count;
}

int parallel_parts(int threads, int64_t count, int64_t least)
{
    int64_t parts = count / least;
    return parts < 1 ? 1 : parts < threads ? (int)parts : threads;
}
