/* child: one state machine (enum child_state) with one timer, whose meaning the state gives. Every
 * life ends the same way: SIGKILL unless it is leaving by itself, wait for the exit, close the
 * handles, back off. A worker has nothing to save, so nothing gentler is worth its waiting time. */
#include "devices/child.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 250u
#define BACKOFF_CAP_MS 30000u
/* A worker that served this long was a good one: the next start after it is a first one again. */
#define GOOD_LIFE_MS 30000u
/* SIGKILL works at once, unless a driver holds the process inside the kernel. */
#define KILL_WAIT_MS 1000u
/* A timer that comes later than this tells that we were stopped ourselves (Ctrl-Z, a suspended
 * machine), and the child with us: it gets a fresh term. */
#define LATE_MS_MAX 1000u
#define ORDERS_PER_WAKEUP 16u

static void start_life(struct child *child);
static int make_process(struct child *child, struct error *err);
static int watch_socket(struct child *child, struct error *err);
static void on_readable(uv_poll_t *poll, int status, int events);
static void end_by_itself(struct child *child, const char *cause);
static bool receive_one(struct child *child);
static void on_process_exit(uv_process_t *process, int64_t exit_status, int term_signal);
static void on_timer(uv_timer_t *timer);
static void on_due(struct child *child);
static void let_leave(struct child *child, const char *cause);
static void kill_process(struct child *child);
static void tell_lost(struct child *child);
static void end_life(struct child *child);
static void close_socket(struct child *child);
static void on_life_closed(uv_handle_t *handle);
static void after_life(struct child *child);
static void on_timer_closed(uv_handle_t *handle);
static void start_timer(struct child *child, uint32_t ms);
static void enter(struct child *child, enum child_state state);

void child_init(struct child *child, uv_loop_t *loop, const struct child_config *config,
                const struct child_handler *handler, void *arg, struct metrics *metrics)
{
    *child = (struct child){ .config = *config,
                             .handler = handler,
                             .arg = arg,
                             .loop = loop,
                             .metrics = metrics,
                             .socket = -1 };
    struct metric_label label = { "worker", config->name };
    child->state_gauge =
        metrics_gauge(metrics, "server_worker_state",
                      "0 stays down, 1 between two starts, 2 starting, 3 ready", &label, 1);
    enter(child, CHILD_WAITING);
    backoff_init(&child->backoff, BACKOFF_FIRST_MS, BACKOFF_CAP_MS, random_entropy());
    int failed = uv_timer_init(loop, &child->timer);
    assert(!failed); /* it only fills in the handle */
    child->timer.data = child;
}

void child_start(struct child *child)
{
    assert(child->state == CHILD_WAITING && !child->closing);
    start_life(child);
}

int child_send(struct child *child, enum order_kind kind, void *order, int passed, struct error *err)
{
    assert(child->state == CHILD_STARTING || child->state == CHILD_READY);
    int failed = orders_send(child->socket, kind, order, passed, err);
    if (failed == -ERROR_AGAIN) /* it has room for hundreds of orders: nobody reads them */
        child_fail(child, CHILD_HANG, CHILD_SOON, "it does not read its orders");
    else if (failed)
        end_by_itself(child, err->text);
    return failed;
}

/* It has gone, perhaps with a last word: why it could not start. */
static void end_by_itself(struct child *child, const char *cause)
{
    while (child->state == CHILD_STARTING && receive_one(child))
        ;
    if (child->state == CHILD_STARTING || child->state == CHILD_READY)
        let_leave(child, cause);
}

void child_set_ready(struct child *child)
{
    assert(child->state == CHILD_STARTING);
    enter(child, CHILD_READY);
    child->ready_ms = uv_now(child->loop);
    child_expect(child, 0);
    log_info("worker", "ready", LOG_STR("worker", child->config.name),
             LOG_I64("pid", child->process.pid));
}

void child_expect(struct child *child, uint32_t pictures)
{
    assert(child->state == CHILD_READY);
    child->due = pictures > 0;
    child->term_ms = pictures * child->config.hang_ms;
    if (child->due)
        start_timer(child, child->term_ms);
    else
        uv_timer_stop(&child->timer);
}

void child_expect_start(struct child *child)
{
    assert(child->state == CHILD_READY && child->due);
    if (child->config.start_ms > child->term_ms)
        child->term_ms = child->config.start_ms;
    start_timer(child, child->term_ms);
}

void child_fail(struct child *child, enum child_fault fault, enum child_again again, const char *cause)
{
    assert(child->state == CHILD_STARTING || child->state == CHILD_READY);
    child->known = again == CHILD_LATER && child->fault == fault && strcmp(child->cause, cause) == 0;
    child->fault = fault;
    child->again = again;
    snprintf(child->cause, sizeof child->cause, "%s", cause);
    kill_process(child);
}

void child_describe(const struct child *child, char *text, size_t text_bytes)
{
    int used = snprintf(text, text_bytes, "worker %s %s", child->config.name,
                        child_state_word(child->state));
    if (child->cause[0] != '\0' && used >= 0 && (size_t)used < text_bytes)
        snprintf(text + used, text_bytes - (size_t)used, " (last end: %s: %s)",
                 child_fault_word(child->fault), child->cause);
}

const char *child_fault_word(enum child_fault fault)
{
    static const char *const words[] = {
#define X(name, word) [CHILD_##name] = (word),
        CHILD_FAULTS(X)
#undef X
    };
    return words[fault];
}

const char *child_state_word(enum child_state state)
{
    static const char *const words[] = {
        [CHILD_WAITING] = "waits for its next start",
        [CHILD_STARTING] = "is starting",
        [CHILD_READY] = "is ready",
        [CHILD_LEAVING] = "is leaving",
        [CHILD_KILLED] = "was killed",
        [CHILD_ENDED] = "has ended",
        [CHILD_DOWN] = "stays down",
    };
    return words[state];
}

void child_close(struct child *child, uint32_t grace_ms)
{
    assert(!child->closing);
    child->closing = true;
    switch (child->state) {
    case CHILD_WAITING:
    case CHILD_DOWN:
        uv_close((uv_handle_t *)&child->timer, on_timer_closed);
        break;
    case CHILD_READY:
        close_socket(child);
        enter(child, CHILD_LEAVING);
        start_timer(child, grace_ms);
        break;
    case CHILD_STARTING:
        kill_process(child);
        break;
    case CHILD_LEAVING:
        start_timer(child, grace_ms);
        break;
    case CHILD_KILLED:
        start_timer(child, KILL_WAIT_MS);
        break;
    case CHILD_ENDED:
        break;
    }
}

static void start_life(struct child *child)
{
    struct error err;
    child->lost_told = false;
    child->again = CHILD_SOON;
    child->known = false;
    child->ready_ms = 0;
    child->due = true; /* READY is */
    if (make_process(child, &err) == 0) {
        enter(child, CHILD_STARTING);
        child->term_ms = child->config.start_ms;
        start_timer(child, child->term_ms);
        if (watch_socket(child, &err) == 0)
            child->handler->on_spawned(child->arg);
        else
            child_fail(child, CHILD_SPAWN, CHILD_SOON, err.text);
        return;
    }
    child->fault = CHILD_SPAWN;
    memcpy(child->cause, err.text, sizeof child->cause);
    child->lost_told = true; /* it never had work */
    end_life(child);
}

/* On success `process` runs and `socket` is our end of the pair. */
static int make_process(struct child *child, struct error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_set_errno(err, errno, child->config.name, "cannot make a socket pair");
    /* Nothing is read from standard input, and what a library prints belongs with the log. */
    uv_stdio_container_t stdio[] = {
        { .flags = UV_IGNORE },
        { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
        { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
        { .flags = UV_INHERIT_FD, .data.fd = ends[1] },
    };
    const char *arguments[] = { child->config.program, "worker", "--fd", "3", NULL };
    uv_process_options_t options = {
        .file = child->config.program,
        .args = (char **)arguments, /* libuv does not write to them */
        .stdio = stdio,
        .stdio_count = sizeof stdio / sizeof stdio[0],
        .exit_cb = on_process_exit,
    };
    int failed = uv_spawn(child->loop, &child->process, &options);
    child->process.data = child;
    child->handles = 1; /* to be closed also after a failure */
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        return error_set(err, ERROR_IO, child->config.name, "cannot start %s: %s",
                         child->config.program, uv_strerror(failed));
    }
    child->socket = ends[0];
    return 0;
}

static int watch_socket(struct child *child, struct error *err)
{
    int failed = uv_poll_init(child->loop, &child->poll, child->socket);
    if (failed)
        return error_set(err, ERROR_IO, child->config.name, "cannot watch its socket: %s",
                         uv_strerror(failed));
    child->poll.data = child;
    child->handles++;
    failed = uv_poll_start(&child->poll, UV_READABLE, on_readable);
    if (failed)
        return error_set(err, ERROR_IO, child->config.name, "cannot watch its socket: %s",
                         uv_strerror(failed));
    return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error shows in the next read */
    (void)events;
    struct child *child = poll->data;
    for (unsigned i = 0; i < ORDERS_PER_WAKEUP && receive_one(child); i++)
        ;
}

/* False when there is nothing more to read, for now or for ever. */
static bool receive_one(struct child *child)
{
    struct error err;
    int passed;
    if (child->state != CHILD_STARTING && child->state != CHILD_READY)
        return false;
    int failed = orders_receive(child->socket, &child->received, &passed, &err);
    if (failed == -ERROR_AGAIN)
        return false;
    if (failed == -ERROR_END) {
        let_leave(child, "it closed its socket and did not end");
        return false;
    }
    if (!failed)
        failed = child->handler->on_order(child->arg, &child->received, &err);
    if (passed >= 0) {
        close(passed); /* replies carry none */
        failed = error_set(&err, ERROR_FORMAT, "orders", "a reply carries a descriptor");
    }
    if (failed && (child->state == CHILD_STARTING || child->state == CHILD_READY))
        child_fail(child, CHILD_PROTOCOL, CHILD_SOON, err.text);
    return failed == 0;
}

static void on_process_exit(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct child *child = process->data;
    while (receive_one(child)) /* what it said before it died counts */
        ;
    bool by_itself = child->state == CHILD_LEAVING && !child->closing;
    if (by_itself && term_signal)
        snprintf(child->cause, sizeof child->cause, "ended by signal %d (%s)", term_signal,
                 strsignal(term_signal));
    else if (by_itself)
        snprintf(child->cause, sizeof child->cause, "ended with status %lld", (long long)exit_status);
    end_life(child);
}

static void on_timer(uv_timer_t *timer)
{
    struct child *child = timer->data;
    switch (child->state) {
    case CHILD_WAITING:
        start_life(child);
        break;
    case CHILD_STARTING:
    case CHILD_READY:
        on_due(child);
        break;
    case CHILD_LEAVING:
        kill_process(child);
        break;
    case CHILD_KILLED:
        log_error("worker", "does not die", LOG_STR("worker", child->config.name),
                  LOG_I64("pid", child->process.pid));
        tell_lost(child);
        if (child->closing)
            end_life(child);
        break;
    case CHILD_ENDED:
    case CHILD_DOWN:
        break;
    }
}

/* Something should have come by now. Perhaps it is there, and only we are late. */
static void on_due(struct child *child)
{
    enum child_state before = child->state;
    bool late = uv_now(child->loop) > child->due_ms + LATE_MS_MAX;
    while (receive_one(child) && child->state == before && child->due &&
           !uv_is_active((uv_handle_t *)&child->timer))
        ;
    if (child->state != before || !child->due || uv_is_active((uv_handle_t *)&child->timer))
        return;
    char cause[64];
    snprintf(cause, sizeof cause, "%s within %u ms",
             before == CHILD_READY ? "no answer" : "not ready", child->term_ms);
    if (late)
        start_timer(child, child->term_ms);
    else
        child_fail(child, before == CHILD_READY ? CHILD_HANG : CHILD_START, CHILD_SOON, cause);
}

/* It is ending by itself: its own exit status tells more than being killed by us. */
static void let_leave(struct child *child, const char *cause)
{
    child->fault = CHILD_EXIT;
    snprintf(child->cause, sizeof child->cause, "%s", cause);
    close_socket(child);
    enter(child, CHILD_LEAVING);
    start_timer(child, KILL_WAIT_MS);
}

static void kill_process(struct child *child)
{
    enter(child, CHILD_KILLED);
    close_socket(child);
    uv_process_kill(&child->process,
                    SIGKILL); /* it may be gone already: on_process_exit follows anyway */
    start_timer(child, KILL_WAIT_MS);
}

static void tell_lost(struct child *child)
{
    if (child->lost_told)
        return;
    child->lost_told = true;
    child->handler->on_lost(child->arg);
}

/* The process is gone, or we stop waiting for that, or it never was. */
static void end_life(struct child *child)
{
    enter(child, CHILD_ENDED);
    uv_timer_stop(&child->timer);
    close_socket(child);
    if (child->handles > 0)
        uv_close((uv_handle_t *)&child->process, on_life_closed);
    else
        after_life(child);
    tell_lost(child);
}

/* The socket has its poll handle, except when watch_socket could not make it. */
static void close_socket(struct child *child)
{
    if (child->socket < 0)
        return;
    if (child->handles == 2)
        uv_close((uv_handle_t *)&child->poll, on_life_closed);
    close(child->socket);
    child->socket = -1;
}

static void on_life_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    if (--child->handles == 0)
        after_life(child);
}

static void after_life(struct child *child)
{
    if (child->closing) {
        uv_close((uv_handle_t *)&child->timer, on_timer_closed);
        return;
    }
    const char *word = child_fault_word(child->fault);
    struct metric_label labels[] = { { "worker", child->config.name }, { "reason", word } };
    metric_counter_add(metrics_counter(child->metrics, "server_worker_restarts_total",
                                       "ends of a worker process by reason", labels, 2),
                       1);
    if (child->again == CHILD_NEVER) {
        log_warn("worker", "stays down", LOG_STR("worker", child->config.name),
                 LOG_STR("reason", word), LOG_STR("cause", child->cause));
        enter(child, CHILD_DOWN);
        return;
    }
    if (child->again == CHILD_LATER)
        backoff_raise(&child->backoff);
    else if (child->ready_ms != 0 && uv_now(child->loop) - child->ready_ms >= GOOD_LIFE_MS)
        backoff_reset(&child->backoff);
    uint32_t wait_ms = backoff_next_ms(&child->backoff);
    log_emit(child->known ? LOG_DEBUG : LOG_WARN, "worker", "lost, starts again",
             LOG_STR("worker", child->config.name), LOG_STR("reason", word),
             LOG_STR("cause", child->cause), LOG_U64("wait_ms", wait_ms), LOG_END);
    enter(child, CHILD_WAITING);
    start_timer(child, wait_ms);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    child->handler->on_closed(child->arg);
}

static void start_timer(struct child *child, uint32_t ms)
{
    child->due_ms = uv_now(child->loop) + ms;
    int failed = uv_timer_start(&child->timer, on_timer, ms, 0);
    assert(!failed);
}

static void enter(struct child *child, enum child_state state)
{
    static const double levels[] = {
        [CHILD_DOWN] = 0,  [CHILD_WAITING] = 1,  [CHILD_LEAVING] = 1, [CHILD_KILLED] = 1,
        [CHILD_ENDED] = 1, [CHILD_STARTING] = 2, [CHILD_READY] = 3,
    };
    child->state = state;
    metric_gauge_set(child->state_gauge, levels[state]);
}
