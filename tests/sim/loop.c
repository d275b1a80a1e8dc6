/* loop: libuv's own loop, but for its sleep: it only looks, and then its fiber waits for the next timer, for
 * another thread, the network, the disk or a signal. Clocks are virtual for everybody, libuv included. */
#include "sim.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define WALL_AHEAD_S 1800000000 /* of the monotonic clock */
#define SIGNALS_MAX 4u
#define LOOPS_MAX 8u

struct task {
    uv_fs_t *write; /* or work */
    uv_fs_cb written;
    uv_work_t *work;
    uv_after_work_cb worked;
    uint64_t due_ns;
    struct task *next;
};

static struct loop {
    uv_loop_t *uv; /* NULL: free */
    struct process *process;
    bool news;
    struct {
        uv_signal_t *handle;
        uv_signal_cb callback;
        int number;
    } signals[SIGNALS_MAX];
    struct task *tasks;
} loops[LOOPS_MAX];

int __wrap_clock_nanosleep(clockid_t id, int flags, const struct timespec *until,
                           struct timespec *rest);

int clock_gettime(clockid_t id, struct timespec *now)
{
    uint64_t ns = fiber_now_ns();
    now->tv_sec = (time_t)(ns / SIM_S) + (id == CLOCK_REALTIME ? WALL_AHEAD_S : 0);
    now->tv_nsec = (long)(ns % SIM_S);
    return 0;
}

int __wrap_clock_nanosleep(clockid_t id, int flags, const struct timespec *until,
                           struct timespec *rest)
{
    (void)id;
    (void)flags; /* TIMER_ABSTIME is what the product uses */
    (void)rest;
    fiber_wait(NULL, (uint64_t)until->tv_sec * SIM_S + (uint64_t)until->tv_nsec);
    return 0;
}

static struct loop *find_loop(const void *uv)
{
    for (size_t i = 0; i < LOOPS_MAX; i++)
        if (loops[i].uv == uv)
            return &loops[i];
    return NULL;
}

static struct loop *add_loop(uv_loop_t *uv)
{
    struct loop *loop = find_loop(uv);
    if (loop)
        return loop;
    loop = find_loop(NULL);
    SIM_CHECK(loop, "more than %u loops", LOOPS_MAX);
    *loop = (struct loop){ .uv = uv, .process = fiber_process() };
    loop->process->loop = uv;
    return loop;
}

void loop_wake(const void *uv)
{
    struct loop *loop = uv ? find_loop(uv) : NULL;
    if (!loop)
        return;
    loop->news = true;
    fiber_wake(loop);
}

void loop_signal(struct process *process, int number)
{
    process->signal = number;
    loop_wake(process->loop);
}

/* ---- signals: only those that the test sends ---- */

int uv_signal_start(uv_signal_t *handle, uv_signal_cb callback, int number)
{
    struct loop *loop = add_loop(handle->loop);
    for (size_t i = 0; i < SIGNALS_MAX; i++) {
        if (loop->signals[i].handle)
            continue;
        loop->signals[i].handle = handle;
        loop->signals[i].callback = callback;
        loop->signals[i].number = number;
        return 0;
    }
    sim_fail("more than %u signals", SIGNALS_MAX);
}

static void take_signal(struct loop *loop)
{
    int number = loop->process->signal;
    if (number == 0)
        return;
    for (size_t i = 0; i < SIGNALS_MAX; i++) {
        if (loop->signals[i].number != number ||
            uv_is_closing((uv_handle_t *)loop->signals[i].handle))
            continue;
        loop->process->signal = 0;
        loop->signals[i].callback(loop->signals[i].handle, number);
        return;
    }
}

/* ---- what libuv's pool of threads does: at once, but it takes a while until the loop hears of it ---- */

static void put_task(uv_loop_t *uv, const struct task *task)
{
    struct task *entry = sim_alloc(sizeof *entry);
    struct loop *loop = add_loop(uv);
    *entry = *task;
    entry->due_ns = fiber_now_ns() + sim_between(10, 20000) * 1000;
    struct task **end = &loop->tasks;
    while (*end)
        end = &(*end)->next;
    *end = entry;
    uv->active_reqs.count++; /* keeps the loop alive, as the library does */
    loop->news = true;
}

int uv_fs_write(uv_loop_t *uv, uv_fs_t *request, uv_file file, const uv_buf_t buffers[],
                unsigned count, int64_t offset, uv_fs_cb callback)
{
    SIM_CHECK(count == 1 && offset == -1, "this write is not foreseen");
    ssize_t result = write(file, buffers[0].base, buffers[0].len);
    request->result = result < 0 ? -errno : result;
    put_task(uv, &(struct task){ .write = request, .written = callback });
    return 0;
}

void uv_fs_req_cleanup(uv_fs_t *request)
{
    (void)request;
}

int uv_queue_work(uv_loop_t *uv, uv_work_t *request, uv_work_cb work, uv_after_work_cb after)
{
    work(request);
    put_task(uv, &(struct task){ .work = request, .worked = after });
    return 0;
}

static uint64_t take_tasks(struct loop *loop)
{
    while (loop->tasks && loop->tasks->due_ns <= fiber_now_ns()) {
        struct task task = *loop->tasks;
        free(loop->tasks);
        loop->tasks = task.next;
        loop->uv->active_reqs.count--;
        if (task.write)
            task.written(task.write);
        else
            task.worked(task.work, 0);
    }
    return loop->tasks ? loop->tasks->due_ns : SIM_NEVER;
}

/* ---- turning ---- */

static int look(uv_loop_t *uv)
{
    static int (*real)(uv_loop_t *, uv_run_mode);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "uv_run");
    return real(uv, UV_RUN_NOWAIT);
}

int uv_async_send(uv_async_t *handle)
{
    static int (*real)(uv_async_t *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "uv_async_send");
    int result = real(handle);
    loop_wake(handle->loop);
    fiber_waver();
    return result;
}

/* When libuv itself would wake. */
static uint64_t timer_ns(uv_loop_t *uv)
{
    int timeout_ms = uv_backend_timeout(uv);
    return timeout_ms < 0 ? SIM_NEVER : (uv_now(uv) + (uint64_t)timeout_ms) * SIM_MS;
}

int uv_run(uv_loop_t *uv, uv_run_mode mode)
{
    (void)mode; /* always UV_RUN_DEFAULT */
    struct loop *loop = add_loop(uv);
    uv_update_time(uv);
    for (;;) {
        loop->news = false;
        take_signal(loop);
        uint64_t next_ns = net_turn(uv), task_ns = take_tasks(loop);
        if (!look(uv) && !loop->tasks)
            break;
        next_ns = next_ns < task_ns ? next_ns : task_ns;
        uint64_t wake_ns = timer_ns(uv);
        wake_ns = wake_ns < next_ns ? wake_ns : next_ns;
        if (!loop->news)
            fiber_wait(loop, wake_ns);
        else
            fiber_yield();
    }
    loop->process->loop = NULL;
    *loop = (struct loop){ 0 };
    return 0;
}
