/* fault_run: see the header. */
#include "fault_run.h"

#include "base/clock.h"
#include "base/random.h"
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define RUN_MS 60000u
#define LOOK_US 2000u

/* Where a daemon is killed: at a call, or after some time. */
struct kill_point {
    bool server;
    const char *call; /* NULL: after wait_ms */
    const char *where;
    unsigned number, wait_ms;
};

struct run {
    const struct scratch *scratch;
    struct process server, agent;
    uint64_t killed_ns; /* 0: the file has grown since */
    uint64_t file_bytes;
    bool killed_by_time;
    struct fault_result *result;
};

/* How often each is called, about, in a run. */
static const struct {
    const char *call;
    bool server;
    unsigned number_max;
} calls[] = {
    { "write", false, 12 }, { "pwrite", false, 160 }, { "sync", false, 40 },
    { "send", false, 40 },  { "send", true, 40 },
};
#define CALLS (sizeof calls / sizeof calls[0])

void fault_clip(const struct scratch *scratch)
{
    clip_make(scratch_path(scratch, "clip.mp4"), FAULT_FRAMES, 160, 128);
}

static void draw_point(struct random_state *random, struct kill_point *point)
{
    static const char *const wheres[] = { "before", "half", "after" };
    uint64_t kind = random_next_u64(random) % (CALLS + 2);
    *point = (struct kill_point){ .server = kind == CALLS + 1,
                                  .wait_ms = 20 + (unsigned)(random_next_u64(random) % 700) };
    if (kind >= CALLS)
        return;
    point->server = calls[kind].server;
    point->call = calls[kind].call;
    point->where = wheres[random_next_u64(random) % 3];
    point->number = 1 + (unsigned)(random_next_u64(random) % calls[kind].number_max);
}

static const char *kill_library(void)
{
    static char path[600];
    const char *build = getenv("B");
    char relative[400];
    snprintf(relative, sizeof relative, "%s/test/pipeline/fault_kill.so", build ? build : "build");
    return realpath(relative, path) ? path : NULL;
}

/* For the process that is started next; NULL: none. */
static void set_point(const struct kill_point *point)
{
    char text[64];
    unsetenv("LD_PRELOAD");
    unsetenv("FAULT_POINT");
    if (!point || !point->call || !kill_library())
        return;
    snprintf(text, sizeof text, "%s:%u:%s", point->call, point->number, point->where);
    setenv("FAULT_POINT", text, 1);
    setenv("LD_PRELOAD", kill_library(), 1);
}

static void start_server(struct run *run, const struct kill_point *point)
{
    set_point(point && point->server ? point : NULL);
    server_start(&run->server, run->scratch,
                 (const char *const[]){ "model=none", "report_ms=200", NULL });
    set_point(NULL);
}

static void start_agent(struct run *run, const struct kill_point *point)
{
    char source[400], spool[400];
    snprintf(source, sizeof source, "cameras.0.source.path=%s",
             scratch_path(run->scratch, "clip.mp4"));
    snprintf(spool, sizeof spool, "spool.path=%s", scratch_path(run->scratch, "spool.db"));
    set_point(point && !point->server ? point : NULL);
    agent_start(&run->agent, run->scratch, "agent",
                (const char *const[]){ source, spool, "cameras.0.source.kind=file",
                                       "cameras.0.mode=lossless", "cameras.0.pace=fast",
                                       "cameras.0.rung.keyframe_s=1", "server.backoff_first_ms=20",
                                       "server.backoff_cap_ms=200", NULL });
    set_point(NULL);
}

static uint64_t file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* Notes that there are new answers since the kill. */
static void look_at_file(struct run *run)
{
    uint64_t bytes = file_bytes(scratch_path(run->scratch, "agent.jsonl"));
    if (run->killed_ns != 0 && bytes > run->file_bytes) {
        uint64_t took_ms = (clock_now_ns() - run->killed_ns) / CLOCK_NS_PER_MS;
        if (took_ms > run->result->recovery_ms)
            run->result->recovery_ms = took_ms;
        run->killed_ns = 0;
    }
}

static void note_kill(struct run *run)
{
    run->result->kills++;
    run->killed_ns = clock_now_ns();
    run->file_bytes = file_bytes(scratch_path(run->scratch, "agent.jsonl"));
}

static void kill_by_time(struct run *run, const struct kill_point *point, uint64_t begin_ns)
{
    struct process *victim = point->server ? &run->server : &run->agent;
    if (point->call || run->killed_by_time ||
        clock_now_ns() - begin_ns < point->wait_ms * CLOCK_NS_PER_MS)
        return;
    process_signal(victim, SIGKILL);
    run->killed_by_time = true;
}

static void show_logs(const struct run *run)
{
    char command[800];
    snprintf(command, sizeof command, "tail -n 40 %s %s >&2", run->agent.log, run->server.log);
    (void)!system(command);
}

/* Until the agent has ended by itself, whoever is killed meanwhile. */
static void run_to_the_end(struct run *run, const struct kill_point *point)
{
    uint64_t begin_ns = clock_now_ns();
    for (;;) {
        usleep(LOOK_US);
        look_at_file(run);
        kill_by_time(run, point, begin_ns);
        int server = process_wait(&run->server, 0), agent = process_wait(&run->agent, 0);
        if (agent == 0)
            return;
        if (clock_now_ns() - begin_ns > RUN_MS * CLOCK_NS_PER_MS ||
            (agent > 0 && agent != 128 + SIGKILL) || (server >= 0 && server != 128 + SIGKILL)) {
            show_logs(run);
            fail_msg("%s: the agent's status is %d, the server's %d", run->result->point, agent,
                     server);
        }
        if (server >= 0 || agent > 0)
            note_kill(run);
        if (server >= 0)
            start_server(run, NULL);
        if (agent > 0)
            start_agent(run, NULL);
    }
}

static void remove_files(const struct scratch *scratch)
{
    static const char *const names[] = { "spool.db",  "spool.db-wal", "spool.db-shm", "agent.jsonl",
                                         "agent.log", "server.log",   "server.jsonl" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(scratch_path(scratch, names[i]));
}

void fault_run(const struct scratch *scratch, uint64_t seed, struct fault_result *result)
{
    struct random_state random;
    struct kill_point point;
    struct run run = { .scratch = scratch, .result = result };
    random_seed(&random, seed);
    draw_point(&random, &point);
    if (point.call && !kill_library())
        point.call = NULL; /* a sanitizer wants to be first itself: by time then */
    *result = (struct fault_result){ .kills = 0 };
    if (point.call)
        snprintf(result->point, sizeof result->point, "%s %s %s %u",
                 point.server ? "server" : "agent", point.where, point.call, point.number);
    else
        snprintf(result->point, sizeof result->point, "%s after %u ms",
                 point.server ? "server" : "agent", point.wait_ms);
    remove_files(scratch);
    start_server(&run, &point);
    start_agent(&run, &point);
    run_to_the_end(&run, &point);
    process_stop(&run.server);
    fault_compare(scratch, "agent.jsonl", FAULT_FRAMES, &result->missing, &result->twice);
    if (result->missing + result->twice > 0)
        show_logs(&run);
}

void fault_compare(const struct scratch *scratch, const char *name, size_t count, size_t *missing,
                   size_t *twice)
{
    char pattern[400], *line = NULL;
    size_t capacity = 0;
    unsigned *seen = calloc(count, sizeof *seen);
    glob_t files;
    assert_non_null(seen);
    snprintf(pattern, sizeof pattern, "%s*", scratch_path(scratch, name));
    assert_true(glob(pattern, 0, NULL, &files) == 0 || files.gl_pathc == 0);
    *missing = *twice = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        FILE *file = fopen(files.gl_pathv[i], "r");
        assert_non_null(file);
        while (getline(&line, &capacity, file) > 0) {
            const char *at = strstr(line, "\"frame\":");
            bool whole = line[0] == '{' && at && strchr(line, '\n');
            uint64_t number = whole ? strtoull(at + 8, NULL, 10) : 0;
            if (!whole)
                fail_msg("a torn line: %s", line);
            assert_true(number < count);
            *twice += seen[number]++ > 0;
        }
        fclose(file);
    }
    globfree(&files);
    free(line);
    for (size_t i = 0; i < count; i++)
        *missing += seen[i] == 0;
    free(seen);
}
