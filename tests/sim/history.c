/* history: what happens to the two daemons, by a seed, and whether all that must hold does.
 *
 * First faults of every kind, then calm. In the calm every stream has to flow again within CALM_NS, whatever
 * was before, and what is asked to end has to end. At every moment, and at the end, the books must balance:
 * agent_side.c, server_side.c and media.c say sim_fail where they do not. */
#include "sim.h"

#include "base/random.h"
#include "net/keys.h"
#include "net/metrics.h"
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX 64u
#define FAULTS_MAX 12u
#define GAP_MS_MAX 1500u /* between faults */
#define CALM_NS (60 * SIM_S)
#define STOP_NS (15 * SIM_S)
#define FLOW_ANSWERS 3u
#define SETS_MAX 64u
#define FULL_WRITES 8u /* until there is room again: some tries, and some starts */
#define SPOOL_QUERY \
    "SELECT s.name, f.number FROM frame f JOIN stream s ON s.id = f.stream WHERE f.answered = 0"
#define MARK_QUERY "SELECT bytes FROM answers"

struct history {
    bool memory; /* memory fails: everything may end by that, and nobody counts right */
    bool lines;  /* answers go to a file */
    uint64_t lines_least, lines_most; /* that may be in it by now */
    size_t streams;
    bool left_out[SIM_STREAMS_MAX];
    /* the configurations */
    uint32_t fps[SIM_STREAMS_MAX], credits, queue, report_ms;
    bool fast[SIM_STREAMS_MAX], live[SIM_STREAMS_MAX], lossless[SIM_STREAMS_MAX];
    unsigned lives; /* of the spool: each killed agent leaves its own behind */
    bool endless;   /* no source ends */
    struct process processes[PROCESSES_MAX];
    struct fiber *fibers[PROCESSES_MAX];
    size_t process_count;
    struct process *agent, *server; /* NULL: none runs */
};

static struct history now;

static bool has_lossless(void);
static char folder[128]; /* with the keys, and the answers */

int __wrap_metrics_create(struct metrics **metrics, struct error *err);
void __wrap_metrics_destroy(struct metrics **metrics);
int __real_metrics_create(struct metrics **metrics, struct error *err);
void __real_metrics_destroy(struct metrics **metrics);

/* ---- what the registry says ---- */

struct sum {
    const char *family, *value;
    double sum;
};

static void add_series(void *arg, const char *name, char kind, const struct metric_label *labels,
                       size_t label_count, const void *handle)
{
    struct sum *sum = arg;
    bool wanted = !sum->value;
    for (size_t i = 0; i < label_count; i++)
        wanted = wanted || strcmp(labels[i].value, sum->value) == 0;
    if (!wanted || strcmp(name, sum->family) != 0 || kind == 'h')
        return;
    sum->sum += kind == 'c' ? (double)metric_counter_get(handle) : metric_gauge_get(handle);
}

double history_metric(const struct process *process, const char *family, const char *value)
{
    struct sum sum = { .family = family, .value = value };
    metrics_visit(process->metrics, add_series, &sum);
    return sum.sum;
}

/* Each frame that came from a source was, in the end, one of these. */
static void check_agent(const struct process *agent)
{
    double captured = history_metric(agent, "edge_frames_captured_total", NULL);
    double answered = history_metric(agent, "edge_frames_answered_total", NULL);
    double capped = history_metric(agent, "edge_frames_capped_total", NULL);
    double dropped = history_metric(agent, "edge_frames_dropped_total", NULL);
    SIM_CHECK(has_lossless() || captured == answered + capped + dropped,
              "%s: %.0f frames were captured, %.0f answered, %.0f capped, %.0f dropped",
              agent->name, captured, answered, capped, dropped);
    double lines = history_metric(agent, "edge_answer_lines_total", NULL);
    double lost = history_metric(agent, "edge_answer_lines_dropped_total", NULL);
    now.lines_most += (uint64_t)lines;
    now.lines_least += agent->dead ? 0 : (uint64_t)(lines - lost);
}

/* Each process of the simulation has its own. */
static void write_answers_path(char *path, size_t path_bytes)
{
    snprintf(path, path_bytes, "%s/answers-%d", folder, (int)getpid());
}

static void write_spool_path(char *path, size_t path_bytes, unsigned life)
{
    snprintf(path, path_bytes, "%s/spool-%d-%u", folder, (int)getpid(), life);
}

static void remove_files(void)
{
    static const char *const parts[] = { "", "-wal", "-shm", "-journal" };
    char path[160], part[170];
    for (unsigned life = 0; life <= FAULTS_MAX; life++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            write_spool_path(path, sizeof path, life);
            snprintf(part, sizeof part, "%s%s", path, parts[i]);
            unlink(part);
        }
    write_answers_path(path, sizeof path);
    unlink(path);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1u << 16];
    FILE *in = fopen(from, "r"), *out = in ? fopen(to, "w") : NULL;
    if (!in)
        return;
    SIM_CHECK(out, "no copy %s", to);
    for (size_t size; (size = fread(bytes, 1, sizeof bytes, in)) > 0;)
        SIM_CHECK(fwrite(bytes, 1, size, out) == size, "no room for a copy");
    fclose(in);
    SIM_CHECK(fclose(out) == 0, "no room for a copy");
}

/* The disk as it is now is what the next agent finds; what a killed one does to its own is not seen. */
static void leave_spool(void)
{
    static const char *const parts[] = { "", "-wal", "-journal" };
    char path[160], from[170], to[170];
    write_spool_path(path, sizeof path, now.lives);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(from, sizeof from, "%s%s", path, parts[i]);
        write_spool_path(path, sizeof path, now.lives + 1);
        snprintf(to, sizeof to, "%s%s", path, parts[i]);
        write_spool_path(path, sizeof path, now.lives);
        copy_file(from, to);
    }
    now.lives++;
}

/* Frames that wait for their answers in the last agent's spool, and where the file of answers ends for it. */
static void read_spool(bool waiting[SIM_STREAMS_MAX][SIM_FRAMES_MAX], int64_t *end)
{
    char path[160];
    sqlite3 *db;
    sqlite3_stmt *rows, *mark;
    write_spool_path(path, sizeof path, now.lives);
    SIM_CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                  sqlite3_prepare_v2(db, SPOOL_QUERY, -1, &rows, NULL) == SQLITE_OK &&
                  sqlite3_prepare_v2(db, MARK_QUERY, -1, &mark, NULL) == SQLITE_OK &&
                  sqlite3_step(mark) == SQLITE_ROW,
              "the spool cannot be read: %s", sqlite3_errmsg(db));
    while (sqlite3_step(rows) == SQLITE_ROW) {
        unsigned stream = 0;
        sscanf((const char *)sqlite3_column_text(rows, 0), "cam-%u", &stream);
        waiting[stream % SIM_STREAMS_MAX][sqlite3_column_int64(rows, 1) % SIM_FRAMES_MAX] = true;
    }
    *end = sqlite3_column_int64(mark, 0);
    sqlite3_finalize(rows);
    sqlite3_finalize(mark);
    sqlite3_close(db);
}

static void check_frame(size_t stream, size_t number, bool written, bool waiting)
{
    static const char *const words[] = { "was never stored", "was perhaps stored", "was stored" };
    enum stored stored = agent_side_stored(stream, number);
    bool there = written || waiting;
    SIM_CHECK(!(written && waiting) && (stored == STORED_PERHAPS || there == (stored == STORED)),
              "frame %zu of cam-%zu: %s, %s, %s", number, stream, words[stored],
              written ? "is in the file" : "is not in the file",
              waiting ? "waits in the spool" : "does not wait in the spool");
}

/* Each frame that ever was in the spool is in the file once, or waits in the spool. */
static void check_once(void)
{
    static bool waiting[SIM_STREAMS_MAX][SIM_FRAMES_MAX], written[SIM_STREAMS_MAX][SIM_FRAMES_MAX];
    char path[160], *line = NULL;
    size_t room = 0;
    int64_t end;
    memset(waiting, 0, sizeof waiting);
    memset(written, 0, sizeof written);
    read_spool(waiting, &end);
    write_answers_path(path, sizeof path);
    FILE *file = fopen(path, "r");
    SIM_CHECK(file, "there is no file of answers");
    /* What stands behind the end, the next agent cuts off. */
    while (ftell(file) < end && getline(&line, &room, file) > 0) {
        const char *stream_at = strstr(line, "\"stream\":\"cam-"),
                   *frame_at = strstr(line, "\"frame\":");
        SIM_CHECK(stream_at && frame_at, "not an answer: %s", line);
        size_t stream = strtoul(stream_at + 14, NULL, 10), number = strtoul(frame_at + 8, NULL, 10);
        SIM_CHECK(stream < now.streams && number < SIM_FRAMES_MAX, "not an answer: %s", line);
        if (!now.lossless[stream])
            continue;
        SIM_CHECK(!written[stream][number], "frame %zu of cam-%zu is in the file twice", number,
                  stream);
        written[stream][number] = true;
    }
    SIM_CHECK(ftell(file) == end, "the file of answers ends before its end in the spool");
    free(line);
    fclose(file);
    for (size_t stream = 0; stream < now.streams; stream++)
        for (size_t number = 0; now.lossless[stream] && number < SIM_FRAMES_MAX; number++)
            check_frame(stream, number, written[stream][number], waiting[stream][number]);
}

/* Whole lines, and as many as the agents say. */
static void check_lines(void)
{
    char path[160], *line = NULL;
    size_t room = 0;
    uint64_t count = 0;
    write_answers_path(path, sizeof path);
    FILE *file = fopen(path, "r");
    SIM_CHECK(file, "there is no file of answers");
    for (ssize_t size; (size = getline(&line, &room, file)) > 0; count++) {
        bool whole = size > 2 && line[0] == '{' && line[size - 2] == '}' && line[size - 1] == '\n';
        /* The last agent may have been killed in the middle of a line. */
        SIM_CHECK(whole || (feof(file) && now.lines_least < now.lines_most), "a torn line: %s", line);
    }
    free(line);
    fclose(file);
    SIM_CHECK(now.memory || has_lossless() || (count >= now.lines_least && count <= now.lines_most),
              "%llu answers are in the file, %llu to %llu were written", (unsigned long long)count,
              (unsigned long long)now.lines_least, (unsigned long long)now.lines_most);
    unlink(path);
}

static void check_server(const struct process *server)
{
    double received = history_metric(server, "server_frames_received_total", NULL);
    double answered = history_metric(server, "server_frames_answered_total", NULL);
    SIM_CHECK(received == answered, "%s: %.0f frames were received, %.0f answered", server->name,
              received, answered);
}

int __wrap_metrics_create(struct metrics **metrics, struct error *err)
{
    int result = __real_metrics_create(metrics, err);
    if (result == 0)
        fiber_process()->metrics = *metrics;
    return result;
}

void __wrap_metrics_destroy(struct metrics **metrics)
{
    struct process *process = fiber_process();
    if (process->metrics && !now.memory) {
        if (process->agent)
            check_agent(process);
        else
            check_server(process);
    }
    process->metrics = NULL;
    __real_metrics_destroy(metrics);
}

/* ---- what they are told ---- */

static bool has_lossless(void)
{
    for (size_t i = 0; i < now.streams; i++)
        if (now.lossless[i])
            return true;
    return false;
}

struct sets {
    char text[SETS_MAX][160];
    const char *list[SETS_MAX];
    size_t count;
};

static void set(struct sets *sets, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void set(struct sets *sets, const char *format, ...)
{
    va_list args;
    SIM_CHECK(sets->count < SETS_MAX, "more than %u settings", SETS_MAX);
    va_start(args, format);
    vsnprintf(sets->text[sets->count], sizeof sets->text[0], format, args);
    va_end(args);
    sets->list[sets->count] = sets->text[sets->count];
    sets->count++;
}

static void configure_agent(struct process *process)
{
    struct sets sets = { .count = 0 };
    set(&sets, "name=box");
    set(&sets, "server.address=tcp://192.0.2.9:5570");
    set(&sets, "server.key=%s/server.pub", folder);
    set(&sets, "server.backoff_cap_ms=4000");
    set(&sets, "keys.folder=%s", folder);
    set(&sets, "keys.name=edge");
    set(&sets, "probes.share=0");
    if (now.lines) {
        char path[160];
        write_answers_path(path, sizeof path);
        set(&sets, "answers.path=%s", path);
    }
    if (has_lossless()) {
        char path[160];
        write_spool_path(path, sizeof path, now.lives);
        set(&sets, "spool.path=%s", path);
    }
    for (size_t i = 0; i < now.streams; i++) {
        set(&sets, "cameras.%zu.name=cam-%zu", i, i);
        if (now.lossless[i])
            set(&sets, "cameras.%zu.mode=lossless", i);
        if (now.live[i])
            set(&sets, "cameras.%zu.source.url=rtsp://192.0.2.20/%zu", i, i);
        set(&sets, "cameras.%zu.source.kind=%s", i, now.live[i] ? "rtsp" : "test");
        set(&sets, "cameras.%zu.source.fps=%u", i, now.fps[i]);
        if (now.fast[i] && !now.live[i])
            set(&sets, "cameras.%zu.pace=fast", i);
    }
    agent_side_configure(process, sets.list, sets.count);
}

static void configure_server(struct process *process)
{
    struct sets sets = { .count = 0 };
    set(&sets, "listen.address=tcp://192.0.2.9:5570");
    set(&sets, "keys.folder=%s", folder);
    set(&sets, "keys.allow=%s/allow", folder);
    set(&sets, "probes.order=none");
    set(&sets, "decode.threads=2");
    set(&sets, "limits.streams=8");
    set(&sets, "credits=%u", now.credits);
    set(&sets, "pool.queue_per_stream=%u", now.queue);
    set(&sets, "report_ms=%u", now.report_ms);
    server_side_configure(process, sets.list, sets.count);
}

/* ---- the daemons ---- */

static struct process *start(bool agent)
{
    SIM_CHECK(now.process_count < PROCESSES_MAX, "more than %u daemons", PROCESSES_MAX);
    size_t at = now.process_count++;
    struct process *process = &now.processes[at];
    *process = (struct process){ .agent = agent };
    snprintf(process->name, sizeof process->name, "%s-%zu", agent ? "agent" : "server", at);
    sim_note("start %s", process->name);
    if (agent)
        configure_agent(process);
    else
        configure_server(process);
    now.fibers[at] =
        fiber_start(process, process->name, agent ? agent_side_run : server_side_run, process);
    return process;
}

static void start_agent(void)
{
    memset(now.left_out, 0, sizeof now.left_out);
    now.agent = start(true);
}

static void start_server(void)
{
    now.server = start(false);
}

static void ask_to_end(struct process *process)
{
    if (!process)
        return;
    sim_note("ask %s to end", process->name);
    loop_signal(process, SIGTERM);
}

/* As SIGKILL does. What follows only frees its memory. */
static void shoot(struct process *process)
{
    if (!process)
        return;
    sim_note("kill %s", process->name);
    if (process->agent && has_lossless())
        leave_spool();
    process->dead = true;
    net_kill(process);
    loop_signal(process, SIGTERM);
}

/* A dead one goes through its end until nothing is left of it; an agent wants to be told twice. */
static void bury(void)
{
    for (size_t i = 0; i < now.process_count; i++)
        if (now.processes[i].dead && !now.processes[i].ended && now.processes[i].agent)
            loop_signal(&now.processes[i], SIGTERM);
}

static bool has_ended(const struct process *process)
{
    return !process || process->ended;
}

static bool all_have_ended(void)
{
    for (size_t i = 0; i < now.process_count; i++)
        if (!now.processes[i].ended)
            return false;
    return true;
}

/* Time passes, looked at step by step. */
void history_pass(uint64_t ns)
{
    uint64_t until_ns = fiber_now_ns() + ns;
    while (fiber_now_ns() < until_ns) {
        uint64_t step_ns = sim_between(1, 20) * SIM_MS, left_ns = until_ns - fiber_now_ns();
        fiber_sleep(step_ns < left_ns ? step_ns : left_ns);
        agent_side_check();
        bury();
    }
}

/* ---- faults ---- */

static void restart(struct process **process, bool kill)
{
    if (kill)
        shoot(*process);
    else
        ask_to_end(*process);
    struct process *old = *process;
    *process = NULL;
    if (!kill) /* a service manager waits for the end */
        for (uint64_t until_ns = fiber_now_ns() + STOP_NS; !has_ended(old); history_pass(10 * SIM_MS))
            SIM_CHECK(fiber_now_ns() < until_ns, "%s does not end", old->name);
    history_pass(sim_between(0, 500) * SIM_MS);
}

static void flap(void)
{
    for (uint64_t i = sim_between(2, 6); i > 0; i--) {
        net_cut();
        history_pass(sim_between(1, 120) * SIM_MS);
    }
}

static void change_link(void)
{
    static const uint32_t rates[] = { 0, 20000, 62500, 250000, 1000000 };
    net.bytes_per_s = rates[sim_random() % (sizeof rates / sizeof *rates)];
    net.delay_us = (uint32_t)sim_between(50, 400000);
    net.jitter_us = (uint32_t)sim_between(0, 100000);
    net.send_queue = sim_chance(0.3) ? (int)sim_between(1, 4) : 0;
    sim_note("net: %u bytes/s, %u us, %u us jitter", net.bytes_per_s, net.delay_us, net.jitter_us);
}

static void cause_trouble(void)
{
    media.encoder_fails = !now.endless && sim_chance(0.2) ? 0.002 : 0; /* a camera ends by that */
    media.live_fails = sim_chance(0.3) ? 0.03 : 0;
    media.packet_corrupt = sim_chance(0.5) ? 0.05 : 0;
    media.encode_us_max = (uint32_t)sim_between(0, 40000);
    media.decode_us_max = (uint32_t)sim_between(0, 40000);
    media.stall_ms_max = sim_chance(0.3) ? 800 : 0;
    pool_faults.service_us_max = (uint32_t)sim_between(1000, 200000);
    pool_faults.fails = sim_chance(0.3) ? 0.05 : 0;
    pool_faults.crashes = sim_chance(0.3) ? 0.05 : 0;
    disk.fails = sim_chance(0.3) ? sim_chance(0.5) ? 0.1 : 0.01 : 0; /* a commit is some ten calls */
    disk.is_short = sim_chance(0.5) ? 0.2 : 0;
}

static void do_harm(void)
{
    switch (sim_random() % 10) {
    case 0:
        net_cut();
        break;
    case 1:
        net_silence(sim_between(10, sim_chance(0.3) ? 15000 : 3000) * SIM_MS);
        break;
    case 2:
        flap();
        break;
    case 3:
        net.handshake_fails = sim_chance(0.5) ? 0.5 : 0;
        net_cut();
        break;
    case 4:
        net.unreachable = !net.unreachable;
        net_cut();
        break;
    case 5:
        restart(&now.server, true);
        start_server();
        break;
    case 6:
        restart(&now.server, false);
        start_server();
        break;
    case 7:
        restart(&now.agent, sim_chance(0.7));
        start_agent();
        break;
    case 8:
        change_link();
        break;
    default:
        cause_trouble();
        break;
    }
}

static void calm_down(void)
{
    net.delay_us = 2000;
    net.jitter_us = 1000;
    net.bytes_per_s = 0;
    net.send_queue = 0;
    net.handshake_fails = 0;
    net.unreachable = false;
    media = (struct media_faults){ .encode_us_max = 2000, .decode_us_max = 2000 };
    pool_faults = (struct pool_faults){ .service_us_max = 5000 };
    disk.fails = disk.is_short = 0;
    sim_note("calm");
}

/* ---- the judgement ---- */

/* A daemon may have ended: by the end of its sources, or because it got no memory. */
static bool can_flow(void)
{
    return !now.agent->ended && !now.server->ended && now.endless;
}

static bool flows(size_t stream, uint64_t before)
{
    return agent_side_answered(stream) >= before + FLOW_ANSWERS || now.left_out[stream];
}

/* A camera that could not be opened, which only happens for want of memory; or of a place in the spool. */
void history_on_line(const char *line, size_t bytes)
{
    const char *camera = memmem(line, bytes, "camera left out", 15);
    unsigned stream;
    if (!camera)
        return;
    camera = memmem(line, bytes, "cam-", 4);
    SIM_CHECK(camera && sscanf(camera, "cam-%u", &stream) == 1 && stream < SIM_STREAMS_MAX,
              "it is not said which camera is left out");
    SIM_CHECK(now.memory || now.lossless[stream], "camera %u is left out", stream);
    now.left_out[stream] = true;
}

/* A lossless stream may have a second one for its backlog, or begin another just now. */
static bool has_its_sessions(void)
{
    double sessions = history_metric(now.server, "server_streams", NULL);
    return sessions == (double)now.streams ||
           (has_lossless() && sessions <= 2.0 * (double)now.streams);
}

/* What flows may be the last words of a server before this one, which were on their way when the calm
 * began: so sessions are waited for, too. */
static void wait_for_flow(void)
{
    uint64_t before[SIM_STREAMS_MAX] = { 0 }, until_ns = fiber_now_ns() + CALM_NS;
    for (size_t i = 0; i < now.streams; i++)
        before[i] = agent_side_answered(i);
    for (size_t i = 0; i < now.streams; i++)
        while (can_flow() && !flows(i, before[i])) {
            SIM_CHECK(fiber_now_ns() < until_ns,
                      "stream %zu does not flow %llu s after the last fault", i, CALM_NS / SIM_S);
            history_pass(50 * SIM_MS);
        }
    while (can_flow() && !now.memory && !has_its_sessions()) {
        SIM_CHECK(fiber_now_ns() < until_ns, "%.0f sessions for %zu streams",
                  history_metric(now.server, "server_streams", NULL), now.streams);
        history_pass(50 * SIM_MS);
    }
}

static bool has_left_out(void)
{
    for (size_t i = 0; i < now.streams; i++)
        if (now.left_out[i])
            return true;
    return false;
}

/* As a service manager does with a daemon that ended by an error, and whoever sees that an agent is not ready
 * with that agent. False when there is none such. */
static bool start_failed_again(void)
{
    bool agent = now.agent->ended && now.agent->result != 0, server = now.server->ended;
    if (!agent && !now.agent->ended && has_left_out()) {
        restart(&now.agent, false);
        agent = true;
    }
    if (agent)
        start_agent();
    if (server)
        start_server();
    return agent || server;
}

/* Whatever was before, all comes back. */
static void wait_for_all(void)
{
    do
        wait_for_flow();
    while (start_failed_again());
}

static void end_all(void)
{
    uint64_t until_ns = fiber_now_ns() + STOP_NS;
    ask_to_end(now.agent);
    while (!has_ended(now.agent)) {
        SIM_CHECK(fiber_now_ns() < until_ns, "%s does not end", now.agent->name);
        history_pass(20 * SIM_MS);
    }
    history_pass(sim_between(0, 300) * SIM_MS);
    until_ns = fiber_now_ns() + STOP_NS;
    ask_to_end(now.server);
    while (!all_have_ended()) {
        for (size_t i = 0; i < now.process_count; i++)
            SIM_CHECK(fiber_now_ns() < until_ns || now.processes[i].ended, "%s does not end",
                      now.processes[i].name);
        history_pass(20 * SIM_MS);
    }
    for (size_t i = 0; i < now.process_count; i++) {
        while (!fiber_has_ended(now.fibers[i])) /* its last turn */
            fiber_yield();
        SIM_CHECK(now.memory || now.processes[i].dead || now.processes[i].agent ||
                      now.processes[i].result == 0,
                  "%s failed: %s", now.processes[i].name, now.processes[i].why);
        SIM_CHECK(now.processes[i].threads == 0, "%s leaves a thread behind", now.processes[i].name);
        fiber_release(now.fibers[i]);
    }
    server_side_reset();
    SIM_CHECK(net_socket_count() == 0, "a socket is left behind");
    if (has_lossless())
        check_once();
    if (now.lines && now.lines_most > 0)
        check_lines();
}

/* ---- the history ---- */

void history_open(const char *path)
{
    struct key_pair server, edge;
    static const char *const streams[] = { "*" };
    struct error err;
    char allow[160];
    snprintf(folder, sizeof folder, "%s", path);
    snprintf(allow, sizeof allow, "%s/allow", path);
    if (keys_create(path, "server", &server, &err) != 0 ||
        keys_create(path, "edge", &edge, &err) != 0 ||
        keys_allow(allow, "box", edge.public_text, streams, 1, &err) != 0)
        sim_fail("keys: %s", err.text);
}

static void begin(void)
{
    memset(&now, 0, sizeof now);
    fiber_init();
    net_init();
    memory_fail_at(0);
    remove_files();
    agent_side_reset();
    memset(&disk, 0, sizeof disk);
    now.credits = (uint32_t)sim_between(1, 8);
    now.queue = (uint32_t)sim_between(1, 4);
    now.report_ms = sim_chance(0.5) ? 1000 : 300;
    for (size_t i = 0; i < SIM_STREAMS_MAX; i++) {
        now.fps[i] = (uint32_t)sim_between(5, 30);
        now.fast[i] = sim_chance(0.25);
        now.live[i] = sim_chance(0.4);
    }
}

static void direct(void *arg)
{
    (void)arg;
    change_link();
    cause_trouble();
    start_server();
    start_agent();
    for (uint64_t i = sim_between(0, FAULTS_MAX); i > 0; i--) {
        history_pass(sim_between(0, GAP_MS_MAX) * SIM_MS);
        do_harm();
    }
    history_pass(sim_between(0, GAP_MS_MAX) * SIM_MS);
    calm_down();
    wait_for_all();
    end_all();
}

void history_run(void)
{
    begin();
    now.streams = sim_between(1, 3);
    now.lines = sim_chance(0.5);
    for (size_t i = 0; i < now.streams; i++) {
        now.lossless[i] = sim_chance(0.3);
        now.lines = now.lines || now.lossless[i];
    }
    now.endless = sim_chance(0.8);
    media_frames_max = now.endless ? 0 : (uint32_t)sim_between(1, 60);
    fiber_run_all(direct, NULL);
}

/* ---- one without faults of its own ---- */

static void (*calm_body)(struct process *agent, struct process *server);

static void direct_calm(void *arg)
{
    (void)arg;
    calm_down();
    start_server();
    start_agent();
    wait_for_flow();
    calm_body(now.agent, now.server);
    wait_for_flow();
    end_all();
}

void history_run_calm(size_t cameras, void (*body)(struct process *agent, struct process *server))
{
    begin();
    now.streams = cameras;
    for (size_t i = 0; i < cameras; i++)
        now.live[i] = true;
    now.endless = true;
    calm_body = body;
    fiber_run_all(direct_calm, NULL);
}

/* ---- a short one, in which something of the daemons' own fails ---- */

static void direct_short(void *arg)
{
    (void)arg;
    calm_down();
    start_server();
    start_agent();
    history_pass(400 * SIM_MS);
    net_cut();
    history_pass(600 * SIM_MS);
    wait_for_all();
    end_all();
}

static void direct_short_spool(void *arg)
{
    (void)arg;
    calm_down();
    start_server();
    start_agent();
    history_pass(400 * SIM_MS);
    net_cut();
    history_pass(200 * SIM_MS);
    restart(&now.agent, true); /* what waits for its answers is found by the next one */
    start_agent();
    history_pass(200 * SIM_MS);
    wait_for_all();
    end_all();
}

uint64_t history_run_short(enum failing what, bool spool, uint64_t n)
{
    begin();
    now.memory = what == FAILING_ALLOCATION;
    now.streams = 2;
    now.lossless[0] = spool;
    now.fps[0] = now.fps[1] = 10;
    now.fast[0] = now.fast[1] = false;
    now.live[0] = true;
    now.live[1] = false;
    now.credits = 4;
    now.queue = 2;
    now.report_ms = 500;
    now.lines = true;
    now.endless = true;
    media_frames_max = 0;
    memory_fail_at(what == FAILING_ALLOCATION ? n : 0);
    disk.failing = what == FAILING_ALLOCATION ? 0 : n;
    disk.full = what == FULL_DISK ? FULL_WRITES : 0;
    fiber_run_all(spool ? direct_short_spool : direct_short, NULL);
    return what == FAILING_ALLOCATION ? memory_count() : disk.writes;
}
