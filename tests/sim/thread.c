/* thread: the functions of libuv and pthread that the daemons' threads use, over fibers. A lock that is free
 * is the real one; where one is held, its fiber waits. Those of libuv take the place of the library's by their
 * names; those of pthread are renamed at the link (mk/sim.mk), because libraries need the real ones. */
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*entry)(void *), void *arg);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until);

/* The virtual wall clock starts later than the other will ever be: one bound tells them apart. */
static uint64_t deadline_ns(const struct timespec *until)
{
    struct timespec wall, monotonic;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    uint64_t ns = (uint64_t)until->tv_sec * SIM_S + (uint64_t)until->tv_nsec;
    uint64_t ahead_ns = (uint64_t)(wall.tv_sec - monotonic.tv_sec) * SIM_S;
    return ns >= ahead_ns ? ns - ahead_ns : ns;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    fiber_waver();
    int result;
    while ((result = pthread_mutex_trylock(mutex)) == EBUSY)
        fiber_wait(mutex, SIM_NEVER);
    return result;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int result = __real_pthread_mutex_unlock(mutex);
    fiber_wake_one(mutex);
    fiber_waver();
    return result;
}

static int wait_on(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t until_ns)
{
    __real_pthread_mutex_unlock(mutex);
    fiber_wake_one(mutex);
    bool woken = fiber_wait(cond, until_ns);
    __wrap_pthread_mutex_lock(mutex);
    return woken ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    return wait_on(cond, mutex, SIM_NEVER);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    return wait_on(cond, mutex, deadline_ns(until));
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    fiber_wake_one(cond);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    fiber_wake(cond);
    return 0;
}

/* ---- threads ---- */

struct thread {
    struct fiber *fiber;
    struct process *process;
    void *(*entry)(void *);
    uv_thread_cb uv_entry;
    void *arg;
};

static void run(void *arg)
{
    struct thread *thread = arg;
    if (thread->uv_entry)
        thread->uv_entry(thread->arg);
    else
        thread->entry(thread->arg);
    if (thread->process)
        thread->process->threads--;
}

static int create(struct thread **out, const struct thread *start)
{
    struct thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return EAGAIN;
    *thread = *start;
    thread->process = fiber_process();
    thread->fiber = fiber_start(thread->process, "thread", run, thread);
    if (thread->process)
        thread->process->threads++;
    *out = thread;
    return 0;
}

static int join(struct thread *thread, uint64_t until_ns)
{
    while (!fiber_has_ended(thread->fiber))
        if (!fiber_wait(thread->fiber, until_ns))
            return ETIMEDOUT;
    fiber_release(thread->fiber);
    free(thread);
    return 0;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*entry)(void *), void *arg)
{
    struct thread *fresh;
    (void)attributes;
    int result = create(&fresh, &(struct thread){ .entry = entry, .arg = arg });
    if (result == 0)
        *thread = (pthread_t)fresh;
    return result;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    if (result)
        *result = NULL;
    return join((struct thread *)thread, SIM_NEVER);
}

int __wrap_pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until)
{
    if (result)
        *result = NULL;
    return join((struct thread *)thread, deadline_ns(until));
}

int uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg)
{
    struct thread *fresh;
    int result = create(&fresh, &(struct thread){ .uv_entry = entry, .arg = arg });
    if (result == 0)
        *thread = (uv_thread_t)fresh;
    return -result;
}

int uv_thread_join(uv_thread_t *thread)
{
    return -join((struct thread *)*thread, SIM_NEVER);
}

void uv_mutex_lock(uv_mutex_t *mutex)
{
    __wrap_pthread_mutex_lock(mutex);
}

void uv_mutex_unlock(uv_mutex_t *mutex)
{
    __wrap_pthread_mutex_unlock(mutex);
}

void uv_cond_wait(uv_cond_t *cond, uv_mutex_t *mutex)
{
    wait_on(cond, mutex, SIM_NEVER);
}

int uv_cond_timedwait(uv_cond_t *cond, uv_mutex_t *mutex, uint64_t timeout_ns)
{
    return -wait_on(cond, mutex, fiber_now_ns() + timeout_ns);
}

void uv_cond_signal(uv_cond_t *cond)
{
    fiber_wake_one(cond);
}

void uv_cond_broadcast(uv_cond_t *cond)
{
    fiber_wake(cond);
}
