/* lib_try: runs ways one after the other and keeps the fastest. */
#include "cuda/lib_open.h"

#define LIB_RUNS 5 /* timed as one: a first kernel hides how long it takes to start the others */

static int run_times(const struct lib_trial *trial, int way, int times, bool *works,
                     struct error *err);
static uint64_t whole_bytes(uint64_t bytes);

int lib_try(const struct lib_trial *trial, int *fastest, struct error *err)
{
    double least_ns = 0;
    *fastest = -1;
    for (int way = 0; way < trial->ways; way++) {
        double ns = 0;
        bool works = true;
        int rc = run_times(trial, way, 1, &works, err);
        if (!rc)
            rc = gpu_wait(trial->gpu, err);
        if (!rc && works && trial->ways > 1) {
            rc = gpu_mark(trial->gpu, 0, err);
            if (!rc)
                rc = run_times(trial, way, LIB_RUNS, &works, err);
            if (!rc)
                rc = gpu_mark(trial->gpu, 1, err);
            if (!rc)
                rc = gpu_between_marks(trial->gpu, &ns, err);
        }
        if (rc)
            return rc;
        if (works && (*fastest < 0 || ns < least_ns)) {
            *fastest = way;
            least_ns = ns;
        }
    }
    return 0;
}

int lib_lay_out(struct gpu *gpu, const uint64_t *bytes, void **const *arrays, int count,
                void **memory, struct error *err)
{
    uint64_t all = 0;
    for (int i = 0; i < count; i++)
        all += whole_bytes(bytes[i]);
    int rc = gpu_allocate(gpu, all, memory, err);
    char *at = *memory;
    for (int i = 0; !rc && i < count; i++) {
        *arrays[i] = at;
        at += whole_bytes(bytes[i]);
    }
    return rc ? rc : gpu_clear(gpu, *memory, all, err);
}

static uint64_t whole_bytes(uint64_t bytes)
{
    return (bytes / GPU_ALIGNMENT_BYTES + 1) * GPU_ALIGNMENT_BYTES;
}

/* A way that the library refuses is left out; what the GPU says counts. */
static int run_times(const struct lib_trial *trial, int way, int times, bool *works, struct error *err)
{
    struct error why;
    for (int i = 0; *works && i < times; i++)
        *works = trial->run(trial->arg, way, &why) == 0;
    return *works ? gpu_check(trial->gpu, err) : 0;
}
