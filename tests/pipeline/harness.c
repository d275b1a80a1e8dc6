/* harness: see the header. Failures go through cmocka's fail_msg, after the log was printed. */
#include "harness.h"

#include "base/clock.h"
#include "card_text.h"
#include "media/record.h"
#include "net/keys.h"
#include "patience.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define LOOK_MS 10u
#define STOP_MS 10000u
#define PAGE_MS 10000u

/* ---- scratch ---- */

uint16_t port_find(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

const char *scratch_path(const struct scratch *scratch, const char *name)
{
    static char ring[16][512];
    static unsigned next;
    char *path = ring[next++ % 16];
    snprintf(path, sizeof ring[0], "%s/%s", scratch->folder, name);
    return path;
}

void scratch_make(struct scratch *scratch)
{
    const char *temporary = getenv("TMPDIR");
    struct key_pair server, edge;
    struct error err;
    const char *all[] = { "*" };
    snprintf(scratch->folder, sizeof scratch->folder, "%s/runespoor-XXXXXX",
             temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(scratch->folder));
    scratch->port = port_find();
    if (keys_create(scratch_path(scratch, "keys"), "server", &server, &err) != 0 ||
        keys_create(scratch_path(scratch, "keys"), "edge", &edge, &err) != 0 ||
        keys_allow(scratch_path(scratch, "keys/allow"), "edge", edge.public_text, all, 1, &err) != 0)
        fail_msg("%s", err.text);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void scratch_remove(struct scratch *scratch)
{
    nftw(scratch->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int scratch_setup(void **state)
{
    struct scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        return -1;
    scratch_make(scratch);
    *state = scratch;
    return 0;
}

int scratch_teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

/* ---- processes ---- */

const char *program_path(const char *name)
{
    static char paths[2][512];
    char *path = paths[strcmp(name, "edge-agent") == 0];
    const char *build = getenv("B");
    snprintf(path, sizeof paths[0], "%s/bin/%s", build ? build : "build", name);
    return path;
}

void process_start(struct process *process, const struct scratch *scratch, const char *name,
                   const char *const *arguments)
{
    process->name = name;
    snprintf(process->log, sizeof process->log, "%s/%s.log", scratch->folder, name);
    unlink(process->log); /* what an earlier process said must not be taken for this one's */
    pid_t parent = getpid();
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives a test that crashed */
    if (getppid() != parent)
        _exit(126);
    int fd = open(process->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(126);
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    fprintf(stderr, "cannot start %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

/* Reaps the process if it has ended. */
static int look(struct process *process)
{
    int status;
    if (process->pid <= 0)
        return -1;
    if (wait4(process->pid, &status, WNOHANG, &process->usage) != process->pid)
        return -1;
    process->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_wait(struct process *process, uint32_t timeout_ms)
{
    uint64_t deadline = patience_until_ns(timeout_ms);
    for (;;) {
        int status = look(process);
        if (status >= 0 || clock_now_ns() >= deadline)
            return status;
        usleep(LOOK_MS * 1000);
    }
}

void process_signal(const struct process *process, int number)
{
    if (process->pid > 0)
        kill(process->pid, number);
}

int process_stop(struct process *process)
{
    if (process->pid <= 0)
        return -1;
    process_signal(process, SIGTERM);
    int status = process_wait(process, STOP_MS);
    if (status >= 0)
        return status;
    process_signal(process, SIGKILL);
    return process_wait(process, STOP_MS);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    if (text && fread(text, 1, (size_t)size, file) != (size_t)size)
        text[0] = '\0';
    fclose(file);
    return text;
}

static void print_log(const struct process *process)
{
    char *log = read_file(process->log);
    fprintf(stderr, "---- %s ----\n%s----\n", process->log, log ? log : "(no log)\n");
    free(log);
}

void process_stop_well(struct process *process)
{
    int status = process_stop(process);
    if (status != 0) {
        print_log(process);
        fail_msg("%s ended with %d", process->name, status);
    }
}

bool process_runs(const struct process *process)
{
    return process->pid > 0 && kill(process->pid, 0) == 0;
}

size_t process_count(const struct process *process, const char *text)
{
    char *log = read_file(process->log);
    size_t count = 0;
    for (char *at = log; at && (at = strstr(at, text)); at += strlen(text))
        count++;
    free(log);
    return count;
}

bool process_said(const struct process *process, const char *text)
{
    return process_count(process, text) > 0;
}

void process_expect(struct process *process, const char *text, uint32_t timeout_ms)
{
    uint64_t deadline = patience_until_ns(timeout_ms);
    while (!process_said(process, text)) {
        if (clock_now_ns() < deadline) {
            usleep(LOOK_MS * 1000);
            continue;
        }
        print_log(process);
        fail_msg("%s did not say \"%s\" in %u ms", process->name, text, timeout_ms);
    }
}

/* ---- the daemons ---- */

struct arguments {
    const char *items[ARGUMENTS_MAX];
    size_t count;
    char texts[16][600];
    size_t text_count;
};

static void add(struct arguments *arguments, const char *item)
{
    assert_true(arguments->count + 1 < ARGUMENTS_MAX);
    arguments->items[arguments->count++] = item;
}

static void add_set(struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add_set(struct arguments *arguments, const char *format, ...)
{
    va_list list;
    assert_true(arguments->text_count < 16);
    char *text = arguments->texts[arguments->text_count++];
    va_start(list, format);
    vsnprintf(text, sizeof arguments->texts[0], format, list);
    va_end(list);
    add(arguments, "--set");
    add(arguments, text);
}

static void add_more(struct arguments *arguments, const char *const *more)
{
    for (; more && *more; more++) {
        add(arguments, "--set");
        add(arguments, *more);
    }
}

void server_start(struct process *process, const struct scratch *scratch, const char *const *more)
{
    server_start_as(process, scratch, program_path("cloud-server"), more);
}

void server_start_as(struct process *process, const struct scratch *scratch, const char *program,
                     const char *const *more)
{
    struct arguments arguments = { .count = 0 };
    add(&arguments, program);
    add(&arguments, "run");
    add_set(&arguments, "listen.address=tcp://127.0.0.1:%u", scratch->port);
    add_set(&arguments, "keys.folder=%s/keys", scratch->folder);
    add_set(&arguments, "keys.allow=%s/keys/allow", scratch->folder);
    add_set(&arguments, "answers.path=%s/server.jsonl", scratch->folder);
    add_more(&arguments, more);
    process_start(process, scratch, "cloud-server", arguments.items);
}

void agent_start(struct process *process, const struct scratch *scratch, const char *name,
                 const char *const *more)
{
    struct arguments arguments = { .count = 0 };
    add(&arguments, program_path("edge-agent"));
    add(&arguments, "run");
    add_set(&arguments, "server.address=tcp://127.0.0.1:%u", scratch->port);
    add_set(&arguments, "server.key=%s/keys/server.pub", scratch->folder);
    add_set(&arguments, "keys.folder=%s/keys", scratch->folder);
    add_set(&arguments, "answers.path=%s/%s.jsonl", scratch->folder, name);
    add_set(&arguments, "cameras.0.name=cam");
    add_more(&arguments, more);
    process_start(process, scratch, name, arguments.items);
}

/* ---- their pages ---- */

const char *page_get(uint16_t port, const char *path)
{
    static char response[1 << 18];
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval limit = { .tv_sec = 5 };
    size_t size = 0;
    char request[200];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        for (ssize_t got; size < sizeof response - 1 &&
                          (got = recv(fd, response + size, sizeof response - 1 - size, 0)) > 0;)
            size += (size_t)got;
    response[size] = '\0';
    close(fd);
    return response;
}

void page_expect(uint16_t port, const char *path, const char *status, const char *text)
{
    for (uint64_t end_ns = patience_until_ns(PAGE_MS); clock_now_ns() < end_ns;) {
        const char *response = page_get(port, path);
        if (strncmp(response, "HTTP/1.1 ", 9) == 0 && strncmp(response + 9, status, 3) == 0 &&
            strstr(response, text))
            return;
        usleep(LOOK_MS * 1000);
    }
    fail_msg("%s is not %s with \"%s\": %s", path, status, text, page_get(port, path));
}

double metric_sum(const char *page, const char *begin)
{
    char line[256];
    double sum = 0;
    snprintf(line, sizeof line, "\n%s", begin);
    for (const char *at = page; (at = strstr(at, line)); at++) {
        const char *end = strchr(at + 1, '\n'), *value = end;
        while (value && value > at && *value != ' ')
            value--;
        sum += value ? strtod(value, NULL) : 0;
    }
    return sum;
}

double metric_now(uint16_t port, const char *begin)
{
    return metric_sum(page_get(port, "/metrics"), begin);
}

void metric_expect(uint16_t port, const char *begin, double least, uint32_t timeout_ms)
{
    uint64_t deadline = patience_until_ns(timeout_ms);
    double sum;
    while (!((sum = metric_now(port, begin)) >= least)) {
        if (clock_now_ns() >= deadline)
            fail_msg("%s is %g, not %g, after %u ms", begin, sum, least, timeout_ms);
        usleep(LOOK_MS * 1000);
    }
}

/* ---- results ---- */

#define STREAMS_MAX 64u

struct order {
    char stream[80];
    int64_t last;
};

static void check_order(struct order *orders, size_t *count, const char *stream, int64_t frame)
{
    size_t i = 0;
    while (i < *count && strcmp(orders[i].stream, stream) != 0)
        i++;
    if (i == *count) {
        assert_true(*count < STREAMS_MAX);
        snprintf(orders[i].stream, sizeof orders[i].stream, "%s", stream);
        orders[i].last = -1;
        ++*count;
    }
    if (frame <= orders[i].last)
        fail_msg("stream %s: frame %lld after %lld", stream, (long long)frame,
                 (long long)orders[i].last);
    orders[i].last = frame;
}

static const char *field_text(struct json_object *line, const char *name)
{
    struct json_object *field;
    assert_true(json_object_object_get_ex(line, name, &field));
    return json_object_get_string(field);
}

void answers_count(const char *path, const char *stream, struct answer_counts *counts)
{
    struct order orders[STREAMS_MAX];
    size_t order_count = 0;
    char *line = NULL;
    size_t capacity = 0;
    *counts = (struct answer_counts){ 0 };
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    while (getline(&line, &capacity, file) > 0) {
        struct json_object *answer = json_tokener_parse(line), *field;
        if (!answer)
            fail_msg("%s: not JSON: %s", path, line);
        bool probe = json_object_object_get_ex(answer, "probe", &field);
        const char *name = field_text(answer, probe ? "probe" : "stream");
        if (probe || (stream && strcmp(stream, name) != 0)) {
            json_object_put(answer);
            continue;
        }
        assert_true(json_object_object_get_ex(answer, "frame", &field));
        check_order(orders, &order_count, name, json_object_get_int64(field));
        const char *status = field_text(answer, "status");
        counts->lines++;
        counts->ok += strcmp(status, "ok") == 0;
        counts->dropped += strcmp(status, "dropped") == 0;
        counts->failed += strcmp(status, "failed") == 0;
        if (json_object_object_get_ex(answer, "objects", &field))
            counts->objects += json_object_array_length(field);
        json_object_put(answer);
    }
    free(line);
    fclose(file);
}

double summary_value(const struct process *process, const char *key)
{
    char *log = read_file(process->log), *line = log ? strstr(log, "frames=") : NULL;
    char word[64];
    snprintf(word, sizeof word, "%s=", key);
    char *at = line ? strstr(line, word) : NULL;
    if (!line || (!at && strncmp(key, "dropped_", strlen("dropped_")) != 0)) {
        fprintf(stderr, "%s\n", log ? log : "(no log)");
        fail_msg("%s printed no summary with %s", process->name, key);
    }
    double value = at ? strtod(at + strlen(word), NULL) : 0;
    free(log);
    return value;
}

unsigned summary_lost(const struct process *process)
{
    return (unsigned)(summary_value(process, "dropped") -
                      summary_value(process, "dropped_encoder_late"));
}

void clip_make(const char *path, unsigned frames, uint32_t width, uint32_t height)
{
    struct error err;
    struct record *record = NULL;
    struct picture *picture = NULL;
    if (record_open(&record, path, width, height, &err) != 0 ||
        picture_create(&picture, width, height, &err) != 0)
        fail_msg("%s", err.text);
    struct picture_view view;
    picture_get_view(picture, &view);
    for (unsigned frame = 0; frame < frames; frame++) {
        for (uint32_t y = 0; y < height; y++)
            for (uint32_t x = 0; x < width; x++)
                view.plane[0][y * view.stride[0] + x] =
                    (uint8_t)(32 + ((x + 3 * frame) ^ (y + frame)) % 192);
        for (int plane = 1; plane < 3; plane++)
            for (uint32_t y = 0; y < height / 2; y++)
                memset(view.plane[plane] + y * view.stride[plane], 128, width / 2);
        if (record_add(record, picture, frame * CLOCK_NS_PER_S / 10, NULL, 0, "", &err) != 0)
            fail_msg("%s", err.text);
    }
    picture_unref(&picture);
    if (record_close(&record, &err) != 0)
        fail_msg("%s", err.text);
}

void file_copy(const char *from, const char *to)
{
    char block[65536];
    size_t count;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    if (!in || !out)
        fail_msg("cannot copy %s to %s", from, to);
    while ((count = fread(block, 1, sizeof block, in)) > 0)
        assert_int_equal(fwrite(block, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
    fclose(in);
}

const char *gpu_program(const struct scratch *scratch)
{
    static char program[512];
    const char *build = getenv("B");
    char device[512];
    snprintf(program, sizeof program, "%s", scratch_path(scratch, "cloud-server"));
    snprintf(device, sizeof device, "%s/test/pipeline/kernels-cuda.so", build ? build : "build");
    file_copy(program_path("cloud-server"), program);
    assert_int_equal(chmod(program, 0755), 0);
    file_copy(device, scratch_path(scratch, "kernels-cuda.so"));
    return program;
}

void model_copy(const struct scratch *scratch, const char *name, const char *network)
{
    static const char *const files[] = { "street_det.onnx", "sample.jpg" };
    const char *slash = strrchr(network, '/'), *base = slash ? slash + 1 : network;
    char from[64], folder[512], path[1024], text[8192];
    snprintf(folder, sizeof folder, "%s", scratch_path(scratch, name));
    snprintf(path, sizeof path, "%s/restore", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(from, sizeof from, "models/street_det/%s", files[i]);
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        file_copy(from, path);
    }
    snprintf(path, sizeof path, "%s/restore/%s", folder, base);
    file_copy(network, path);
    snprintf(path, sizeof path, "%s/card.yaml", folder);
    assert_non_null(card_text_read("models/street_det/card.yaml", text, sizeof text));
    FILE *card = fopen(path, "w");
    assert_non_null(card);
    assert_true(fprintf(card, "%s\nrestore: [restore/%s]\n", text, base) > 0);
    assert_int_equal(fclose(card), 0);
}
