/* parallel: OpenMP, because oneDNN brings its threads: others beside them would fight for the cores.
 * Without it (clang has another library, which is not asked for) parts run one after the other. */
#include "cpu/parallel.h"
#include <sched.h>
#include <stddef.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#define CONTROL_GET() _mm_getcsr()
#define CONTROL_SET(control) _mm_setcsr(control)
#define CONTROL_DROP_TINY 0x8040u /* flush to zero, denormals are zeros */
#else
#define CONTROL_GET() 0u
#define CONTROL_SET(control) (void)(control)
#define CONTROL_DROP_TINY 0u
#endif

/* ThreadSanitizer does not see how libgomp's threads wait for each other. */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(to) __tsan_release(&(to))
#define TAKE_OVER(from) __tsan_acquire(&(from))
#else
#define HAND_OVER(to) (void)(to)
#define TAKE_OVER(from) (void)(from)
#endif

static void drop_tiny(const void *arg, int part, int parts);
static void pin(const void *arg, int part, int parts);

void parallel_run(int parts, parallel_fn *fn, const void *arg)
{
    char begun = 0, done = 0;
    if (parts == 1) {
        fn(arg, 0, 1);
        return;
    }
    HAND_OVER(begun);
#if defined(_OPENMP)
#pragma omp parallel for num_threads(parts) schedule(static, 1)
#endif
    for (int part = 0; part < parts; part++) {
        TAKE_OVER(begun);
        fn(arg, part, parts);
        HAND_OVER(done);
    }
    TAKE_OVER(done);
}

void parallel_pin(int threads)
{
    static _Thread_local int pinned;
    cpu_set_t own;
    if (threads == pinned)
        return;
    pinned = threads;
    if (threads > 1 && sched_getaffinity(0, sizeof own, &own) == 0 && CPU_COUNT(&own) == threads)
        parallel_run(threads, pin, &own);
}

unsigned parallel_drop_tiny(int threads)
{
    unsigned before = CONTROL_GET();
    if (CONTROL_DROP_TINY)
        parallel_run(threads, drop_tiny, NULL);
    return before;
}

void parallel_keep_tiny(unsigned before)
{
    CONTROL_SET(before);
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

static void drop_tiny(const void *arg, int part, int parts)
{
    (void)arg;
    (void)part;
    (void)parts;
    CONTROL_SET(CONTROL_GET() | CONTROL_DROP_TINY);
}

/* The processor of the set that comes in this part's turn. Where it fails nothing is lost but time. */
static void pin(const void *arg, int part, int parts)
{
    const cpu_set_t *set = arg;
    cpu_set_t one;
    int left = part;
    (void)parts;
    if (part == 0)
        return;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, set) && left-- == 0)
            CPU_SET(i, &one);
    sched_setaffinity(0, sizeof one, &one);
}
