/* fiber: threads that take turns in one thread, and time that passes only while all of them wait. Which of
 * those that could go on does is left to chance. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define START_SWITCH(save, to)                                                   \
    __sanitizer_start_switch_fiber(save, (to)->stack ? (to)->stack : main_stack, \
                                   (to)->stack ? STACK_BYTES : main_stack_bytes)
#define FINISH_SWITCH(save) __sanitizer_finish_switch_fiber(save, &from_stack, &from_bytes)
#else
#define START_SWITCH(save, to)
#define FINISH_SWITCH(save)
#endif

#define FIBERS_MAX 96u
#define STACK_BYTES (512u << 10)
#define TURNS_MAX 20000000u /* of one history: far beyond, it goes round in circles */
#define WAVER 0.03

enum fiber_state { FIBER_FREE, FIBER_READY, FIBER_WAITING, FIBER_ENDED };

struct fiber {
    ucontext_t context;
    void *stack; /* kept for the next one */
    void *fake;  /* the sanitizer's */
    enum fiber_state state;
    void (*entry)(void *arg);
    void *arg;
    struct process *process;
    char name[24];
    const void *channel;
    uint64_t until_ns;
    bool woken;
};

static struct fiber fibers[FIBERS_MAX], scheduler, *current = &scheduler;
static uint64_t now_ns;
#ifdef __SANITIZE_ADDRESS__
static const void *main_stack, *from_stack;
static size_t main_stack_bytes, from_bytes;
#endif

void fiber_init(void)
{
    now_ns = SIM_START_NS;
    for (size_t i = 0; i < FIBERS_MAX; i++)
        SIM_CHECK(fibers[i].state == FIBER_FREE, "fiber %s is left over", fibers[i].name);
}

uint64_t fiber_now_ns(void)
{
    return now_ns;
}

struct process *fiber_process(void)
{
    return current->process;
}

bool fiber_has_ended(const struct fiber *fiber)
{
    return fiber->state == FIBER_ENDED;
}

void fiber_release(struct fiber *fiber)
{
    SIM_CHECK(fiber->state == FIBER_ENDED, "fiber %s has not ended", fiber->name);
    fiber->state = FIBER_FREE;
}

static void switch_to(struct fiber *to)
{
    struct fiber *from = current;
    current = to;
    START_SWITCH(from->state == FIBER_ENDED ? NULL : &from->fake, to);
    swapcontext(&from->context, &to->context);
    FINISH_SWITCH(from->fake);
}

static void fiber_main(void)
{
    FINISH_SWITCH(NULL);
#ifdef __SANITIZE_ADDRESS__
    if (!main_stack) {
        main_stack = from_stack;
        main_stack_bytes = from_bytes;
    }
#endif
    current->entry(current->arg);
    current->state = FIBER_ENDED;
    fiber_wake(current);
    switch_to(&scheduler);
}

struct fiber *fiber_start(struct process *process, const char *name, void (*entry)(void *arg),
                          void *arg)
{
    struct fiber *fiber = NULL;
    for (size_t i = 0; i < FIBERS_MAX && !fiber; i++)
        if (fibers[i].state == FIBER_FREE)
            fiber = &fibers[i];
    SIM_CHECK(fiber, "more than %u fibers", FIBERS_MAX);
    if (!fiber->stack) {
        fiber->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        SIM_CHECK(fiber->stack != MAP_FAILED, "no memory for a stack");
    }
    fiber->state = FIBER_READY;
    fiber->entry = entry;
    fiber->arg = arg;
    fiber->process = process;
    fiber->fake = NULL;
    size_t length = strnlen(name, sizeof fiber->name - 1);
    memcpy(fiber->name, name, length);
    fiber->name[length] = '\0';
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, fiber_main, 0);
    return fiber;
}

void fiber_yield(void)
{
    SIM_CHECK(current != &scheduler, "nothing to give way to");
    switch_to(&scheduler);
}

void fiber_waver(void)
{
    if (current != &scheduler && sim_chance(WAVER))
        fiber_yield();
}

bool fiber_wait(const void *channel, uint64_t until_ns)
{
    SIM_CHECK(current != &scheduler, "the scheduler cannot wait");
    if (until_ns <= now_ns) {
        fiber_yield();
        return false;
    }
    current->state = FIBER_WAITING;
    current->channel = channel;
    current->until_ns = until_ns;
    current->woken = false;
    switch_to(&scheduler);
    return current->woken;
}

void fiber_sleep(uint64_t ns)
{
    fiber_wait(NULL, now_ns + ns);
}

static void make_ready(struct fiber *fiber, bool woken)
{
    fiber->state = FIBER_READY;
    fiber->channel = NULL;
    fiber->woken = woken;
}

void fiber_wake(const void *channel)
{
    for (size_t i = 0; i < FIBERS_MAX; i++)
        if (fibers[i].state == FIBER_WAITING && fibers[i].channel == channel)
            make_ready(&fibers[i], true);
}

void fiber_wake_one(const void *channel)
{
    size_t count = 0, chosen = 0;
    for (size_t i = 0; i < FIBERS_MAX; i++)
        if (fibers[i].state == FIBER_WAITING && fibers[i].channel == channel &&
            sim_random() % ++count == 0)
            chosen = i;
    if (count > 0)
        make_ready(&fibers[chosen], true);
}

/* One of those that can go on, by chance; NULL when all wait. */
static struct fiber *choose(void)
{
    struct fiber *ready[FIBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < FIBERS_MAX; i++)
        if (fibers[i].state == FIBER_READY)
            ready[count++] = &fibers[i];
    return count == 0 ? NULL : count == 1 ? ready[0] : ready[sim_random() % count];
}

/* All wait: the time of the first that waits for a time has come. */
static void pass_time(void)
{
    uint64_t first_ns = SIM_NEVER;
    for (size_t i = 0; i < FIBERS_MAX; i++)
        if (fibers[i].state == FIBER_WAITING && fibers[i].until_ns < first_ns)
            first_ns = fibers[i].until_ns;
    SIM_CHECK(first_ns != SIM_NEVER, "everybody waits for somebody, for ever");
    now_ns = first_ns;
    for (size_t i = 0; i < FIBERS_MAX; i++)
        if (fibers[i].state == FIBER_WAITING && fibers[i].until_ns <= now_ns)
            make_ready(&fibers[i], false);
}

void fiber_run_all(void (*director)(void *arg), void *arg)
{
    struct fiber *first = fiber_start(NULL, "director", director, arg);
    uint64_t turns = 0;
    while (first->state != FIBER_ENDED) {
        struct fiber *next = choose();
        if (!next) {
            pass_time();
            continue;
        }
        SIM_CHECK(++turns < TURNS_MAX, "%u turns, and no end", TURNS_MAX);
        sim_count_event();
        switch_to(next);
    }
    fiber_release(first);
}
