/* run: chance, the trace, the verdict; and many histories, each reckoned by itself, in a few processes. */
#include "sim.h"

#include "base/random.h"
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINES_KEPT 48u
#define LINE_BYTES 400u
#define PROCESSES_MAX 64u
#define HANG_S 120u /* of real time, for one history */
#define PROGRESS_S 5

/* Shared by the processes. */
struct board {
    atomic_uint_fast64_t next, done, events;
    uint64_t at[PROCESSES_MAX]; /* which one each is at */
};

static struct random_state chance;
static uint64_t number, events;
static enum sim_kind kind;
static bool trace;
static const char *const kind_words[] = {
    [SIM_HISTORIES] = "seed",
    [SIM_ALLOCATIONS] = "allocation",
    [SIM_WRITES] = "write",
    [SIM_SPOOL_ALLOCATIONS] = "spool-allocation",
    [SIM_SPOOL_WRITES] = "spool-write",
    [SIM_SPOOL_DISKS] = "spool-disk",
    [SIM_HOURS] = "hour",
};
static char lines[LINES_KEPT][LINE_BYTES];
static uint64_t line_count;

uint64_t __wrap_random_entropy(void);

/* ---- chance ---- */

uint64_t sim_random(void)
{
    return random_next_u64(&chance);
}

uint64_t __wrap_random_entropy(void)
{
    return sim_random();
}

uint64_t sim_between(uint64_t lo, uint64_t hi)
{
    return lo + sim_random() % (hi - lo + 1);
}

bool sim_chance(double probability)
{
    return random_next_unit(&chance) < probability;
}

void sim_count_event(void)
{
    events++;
}

/* ---- the trace and the verdict ---- */

static void keep_line(const char *line, size_t bytes)
{
    char *kept = lines[line_count++ % LINES_KEPT];
    bytes = bytes < LINE_BYTES - 1 ? bytes : LINE_BYTES - 1;
    memcpy(kept, line, bytes);
    kept[bytes] = '\0';
    if (bytes > 0 && kept[bytes - 1] == '\n')
        kept[bytes - 1] = '\0';
}

void sim_note(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    uint64_t now_us = (fiber_now_ns() - SIM_START_NS) / 1000;
    int used = snprintf(line, sizeof line, "%4llu.%06llu ", (unsigned long long)(now_us / 1000000),
                        (unsigned long long)(now_us % 1000000));
    va_start(args, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    keep_line(line, strlen(line));
    if (trace)
        fprintf(stderr, "%s\n", line);
}

ssize_t sim_log(const char *line, size_t size)
{
    const struct process *process = fiber_process();
    const char *from = memmem(line, size, "level=", 6);
    from = from ? from : line;
    history_on_line(from, size - (size_t)(from - line));
    sim_note("%s: %.*s", process ? process->name : "-", (int)(size - (size_t)(from - line) - 1),
             from);
    return (ssize_t)size;
}

static void tell(const char *what)
{
    uint64_t first = line_count > LINES_KEPT ? line_count - LINES_KEPT : 0;
    if (!trace)
        for (uint64_t i = first; i < line_count; i++)
            fprintf(stderr, "    %s\n", lines[i % LINES_KEPT]);
    fprintf(stderr, "%s=%llu: %s\n", kind_words[kind], (unsigned long long)number, what);
}

void sim_fail(const char *format, ...)
{
    char what[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    tell(what);
    _exit(EXIT_FAILURE);
}

static void on_abort(int signal_number)
{
    tell(signal_number == SIGALRM ? "it does not come to its end" : "a daemon has crashed");
    _exit(EXIT_FAILURE);
}

/* ---- many histories ---- */

static uint64_t run_short(uint64_t n)
{
    static const enum failing what[] = {
        [SIM_ALLOCATIONS] = FAILING_ALLOCATION,
        [SIM_WRITES] = FAILING_WRITE,
        [SIM_SPOOL_ALLOCATIONS] = FAILING_ALLOCATION,
        [SIM_SPOOL_WRITES] = FAILING_WRITE,
        [SIM_SPOOL_DISKS] = FULL_DISK,
    };
    return history_run_short(what[kind], kind >= SIM_SPOOL_ALLOCATIONS, n);
}

static void run_one(uint64_t which)
{
    number = which;
    line_count = 0;
    bool seeded = kind == SIM_HISTORIES || kind == SIM_HOURS;
    random_seed(&chance, seeded ? which : 1);
    alarm(HANG_S);
    if (kind == SIM_HISTORIES)
        history_run();
    else if (kind == SIM_HOURS)
        hour_run();
    else
        run_short(which);
    alarm(0);
}

static void make_folder(char folder[32])
{
    bool memory_disk = access("/dev/shm", W_OK) == 0; /* nobody pulls the plug of this machine */
    snprintf(folder, 32, "%s/sim-XXXXXX", memory_disk ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        sim_fail("no folder: %s", strerror(errno));
    random_seed(&chance, 0);
    database_open();
    history_open(folder);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_folder(const char *folder)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void work(const struct sim_job *job, struct board *board, unsigned own)
{
    signal(SIGABRT, on_abort);
    signal(SIGALRM, on_abort);
    for (uint64_t i; (i = atomic_fetch_add(&board->next, 1)) < job->count;) {
        board->at[own] = job->first + i * job->step;
        events = 0;
        run_one(board->at[own]);
        atomic_fetch_add(&board->events, events);
        atomic_fetch_add(&board->done, 1);
    }
    exit(EXIT_SUCCESS); /* the sanitizer looks for leaks */
}

static pid_t start_worker(const struct sim_job *job, struct board *board, unsigned own)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        work(job, board, own);
    if (child < 0)
        sim_fail("no process: %s", strerror(errno));
    return child;
}

static void show_progress(const struct sim_job *job, const struct board *board, uint64_t failed)
{
    static time_t last;
    time_t time_now = time(NULL);
    if (!job->progress || time_now - last < PROGRESS_S)
        return;
    last = time_now;
    printf("sim: %llu of %llu, failed=%llu\n", (unsigned long long)board->done,
           (unsigned long long)job->count, (unsigned long long)failed);
    fflush(stdout);
}

struct sim_sum sim_run(const struct sim_job *job)
{
    char folder[32];
    pid_t workers[PROCESSES_MAX] = { 0 };
    uint64_t failed = 0;
    unsigned running = 0, count = job->processes < PROCESSES_MAX ? job->processes : PROCESSES_MAX;
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        sim_fail("no memory");
    kind = job->kind;
    make_folder(folder);
    for (; running < count; running++)
        workers[running] = start_worker(job, board, running);
    while (running > 0) {
        int status;
        pid_t child = waitpid(-1, &status, WNOHANG);
        show_progress(job, board, failed);
        if (child <= 0) {
            usleep(20000);
            continue;
        }
        unsigned own = 0;
        while (workers[own] != child)
            own++;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            running--;
            continue;
        }
        failed++;
        fprintf(stderr, "sim: failed: --%s %llu (%s %d)\n", kind_words[kind],
                (unsigned long long)board->at[own], WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        workers[own] = start_worker(job, board, own);
    }
    struct sim_sum sum = { board->done + failed, failed, board->events };
    munmap(board, sizeof *board);
    remove_folder(folder);
    return sum;
}

bool sim_replay(enum sim_kind of_kind, uint64_t which)
{
    struct sim_job job = { .kind = of_kind, .first = which, .count = 1, .step = 1, .processes = 1 };
    if (of_kind != SIM_HISTORIES && of_kind != SIM_HOURS)
        sim_count(of_kind); /* as before all of them: what a process allocates once is there */
    trace = true;
    struct sim_sum sum = sim_run(&job);
    fprintf(stderr, "sim: %s, events=%llu\n", sum.failed == 0 ? "it held" : "it failed",
            (unsigned long long)sum.events);
    return sum.failed == 0;
}

uint64_t sim_count(enum sim_kind of_kind)
{
    char folder[32];
    kind = of_kind;
    make_folder(folder);
    random_seed(&chance, 1);
    uint64_t count = run_short(0);
    remove_folder(folder);
    return count;
}
