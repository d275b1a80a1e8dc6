/* restore_stream: restoration in a stream, in real time on two processors. The CamVid validation video plays
 * at its 15 frames a second, a camera of 480x360, and is sent as 240x180 at 110 kbit/s through both daemons
 * (loopback, CURVE, else as shipped); a network brings it back to 480x360 for the model behind it. Part of make
 * bench-restore.
 *
 *     restore_stream NETWORK MODEL_FOLDER        NETWORK: an ONNX file, or card for those of the model's card
 *
 * B is the build folder, TEST_DATA has camvid/. Last line (p99_ms: age of the answers at the agent):
 *     restore-stream: frames=… answered=… dropped=… restored=… fps=… p99_ms=…
 * Exit status 1 unless all frames were answered and restored by a network, at 15 a second. */
#include "harness.h"

#include "base/clock.h"
#include <errno.h>
#include <json-c/json.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define FPS 15
#define SECONDS 30
#define FRAMES (FPS * SECONDS)
/* Captures are told by the wall clock, which may be set right meanwhile. */
#define FPS_LEAST (0.995 * FPS)
#define PROCESSORS 2
#define CLIP_MS 60000u
#define READY_MS 60000u
#define STREAM_MS (2 * SECONDS * 1000u)
#define PATH_BYTES 512
#define SET_BYTES (PATH_BYTES + 64)

/* What the agent's answer file says. */
struct answers {
    size_t ok, restored;
    double age_ms[FRAMES], infer_ms[FRAMES]; /* of those that are ok */
    double first_s, last_s;                  /* captures, of any */
};

static struct scratch scratch;

static _Noreturn void give_up(const char *what, const char *which)
{
    fprintf(stderr, "restore_stream: %s%s%s\n", what, which[0] ? ": " : "", which);
    exit(1);
}

/* Of a larger machine the daemons, as children of this process, get no more. */
static void hold_to_processors(void)
{
    cpu_set_t all, some;
    CPU_ZERO(&some);
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        give_up("cannot ask for processors", strerror(errno));
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&some) < PROCESSORS; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &some);
    if (sched_setaffinity(0, sizeof some, &some) != 0)
        give_up("cannot choose processors", strerror(errno));
    printf("on %d processors\n", CPU_COUNT(&some));
}

/* The video again and again for SECONDS, close to lossless. It ends, so that how many frames there have to
 * be is known beforehand. */
static void make_clip(const char *data, const char *clip)
{
    struct process ffmpeg;
    char pictures[SET_BYTES], part[SET_BYTES], frames[16], rate[16];
    if (access(clip, R_OK) == 0)
        return;
    snprintf(pictures, sizeof pictures, "%s/camvid/val/images/*.jpg", data);
    snprintf(part, sizeof part, "%s.part.mp4", clip);
    snprintf(frames, sizeof frames, "%d", FRAMES);
    snprintf(rate, sizeof rate, "%d", FPS);
    process_start(&ffmpeg, &scratch, "ffmpeg",
                  (const char *const[]){ "/usr/bin/ffmpeg",
                                         "-nostdin",
                                         "-v",
                                         "error",
                                         "-y",
                                         "-f",
                                         "image2",
                                         "-pattern_type",
                                         "glob",
                                         "-loop",
                                         "1",
                                         "-framerate",
                                         rate,
                                         "-i",
                                         pictures,
                                         "-frames:v",
                                         frames,
                                         "-c:v",
                                         "libx264",
                                         "-preset",
                                         "veryfast",
                                         "-crf",
                                         "8",
                                         "-pix_fmt",
                                         "yuv420p",
                                         part,
                                         NULL });
    if (process_wait(&ffmpeg, CLIP_MS) != 0 || rename(part, clip) != 0) {
        process_stop(&ffmpeg);
        give_up("no clip can be made; ffmpeg's log", ffmpeg.log);
    }
}

/* ---- processor time ---- */

/* Of a process and of its children that have ended; 0 when it has ended itself. */
static double read_cpu_s(long pid)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    long children_user = 0, children_system = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    /* The name in brackets may hold anything, brackets too. */
    const char *rest = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (rest)
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &user,
               &system, &children_user, &children_system);
    fclose(file);
    return ((double)(user + system) + (double)(children_user + children_system)) /
           (double)sysconf(_SC_CLK_TCK);
}

/* With the worker, which lives as long as the server. */
static double server_cpu_s(const struct process *server)
{
    char path[64];
    long child;
    double sum = read_cpu_s(server->pid);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server->pid, (int)server->pid);
    FILE *file = fopen(path, "r");
    if (!file)
        give_up("cannot read", path);
    while (fscanf(file, "%ld", &child) == 1)
        sum += read_cpu_s(child);
    fclose(file);
    return sum;
}

static double agent_cpu_s(const struct process *agent)
{
    const struct rusage *usage = &agent->usage;
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/* ---- answers ---- */

static struct json_object *field(struct json_object *object, const char *name)
{
    struct json_object *found;
    if (!json_object_object_get_ex(object, name, &found))
        give_up("an answer has no", name);
    return found;
}

static double read_time_s(const char *text)
{
    struct tm day = { 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &day);
    if (!rest)
        give_up("not a time", text);
    return (double)timegm(&day) + (*rest == '.' ? strtod(rest, NULL) : 0);
}

static void read_answer(struct json_object *answer, struct answers *answers)
{
    struct json_object *restored;
    double capture_s = read_time_s(json_object_get_string(field(answer, "capture")));
    if (answers->first_s == 0)
        answers->first_s = capture_s;
    answers->last_s = capture_s;
    if (strcmp(json_object_get_string(field(answer, "status")), "ok") != 0)
        return;
    if (answers->ok == FRAMES)
        give_up("there are more answers than frames", "");
    answers->age_ms[answers->ok] = json_object_get_double(field(answer, "age_ms"));
    answers->infer_ms[answers->ok] =
        json_object_get_double(field(field(answer, "timings_us"), "infer")) / 1e3;
    answers->ok++;
    if (json_object_object_get_ex(answer, "restored", &restored) &&
        strncmp(json_object_get_string(restored), "network ", strlen("network ")) == 0)
        answers->restored++;
}

static void read_answers(const char *path, struct answers *answers)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        give_up(path, strerror(errno));
    while (getline(&line, &capacity, file) > 0) {
        struct json_object *answer = json_tokener_parse(line);
        if (!answer)
            give_up("not JSON", line);
        read_answer(answer, answers);
        json_object_put(answer);
    }
    free(line);
    fclose(file);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank of sorted values; -1 when there are none. */
static double quantile(const double *values, size_t count, size_t percent)
{
    return count > 0 ? values[(percent * count + 99) / 100 - 1] : -1;
}

/* ---- the stream ---- */

/* Gives the agent after its end, and the server's processor time since it was ready. */
static void run_stream(const char *network, const char *model, const char *clip,
                       struct process *agent, double *server_s)
{
    struct process server;
    char network_set[SET_BYTES], model_set[SET_BYTES], clip_set[SET_BYTES];
    snprintf(network_set, sizeof network_set, "models.0.restore.networks=%s", network);
    snprintf(model_set, sizeof model_set, "models.0.folder=%s", model);
    snprintf(clip_set, sizeof clip_set, "cameras.0.source.path=%s", clip);
    server_start(&server, &scratch,
                 (const char *const[]){ "models.0.name=model", model_set, network_set, NULL });
    process_expect(&server, "module=server msg=ready", READY_MS);
    double before_s = server_cpu_s(&server);
    agent_start(agent, &scratch, "agent",
                (const char *const[]){ clip_set, "cameras.0.source.kind=file",
                                       "cameras.0.pace=realtime", "cameras.0.rung.width=240",
                                       "cameras.0.rung.height=180", "cameras.0.rung.mode=bitrate",
                                       "cameras.0.rung.bitrate_kbps=110", NULL });
    int status = process_wait(agent, STREAM_MS);
    *server_s = server_cpu_s(&server) - before_s;
    process_stop_well(&server);
    if (status != 0) {
        process_stop(agent);
        give_up("edge-agent failed, or took too long; its log", agent->log);
    }
}

/* Whether all went well. */
static bool report(const struct process *agent, double server_s)
{
    static struct answers answers; /* large */
    read_answers(scratch_path(&scratch, "agent.jsonl"), &answers);
    qsort(answers.age_ms, answers.ok, sizeof *answers.age_ms, compare_doubles);
    qsort(answers.infer_ms, answers.ok, sizeof *answers.infer_ms, compare_doubles);
    double seconds = answers.last_s - answers.first_s + 1.0 / FPS;
    double fps = (double)answers.restored / seconds;
    printf("age of answers: p50 %.1f ms, p99 %.1f ms; infer: p50 %.1f ms, p99 %.1f ms\n",
           quantile(answers.age_ms, answers.ok, 50), quantile(answers.age_ms, answers.ok, 99),
           quantile(answers.infer_ms, answers.ok, 50), quantile(answers.infer_ms, answers.ok, 99));
    printf("processors busy: edge-agent %.2f, cloud-server %.2f\n", agent_cpu_s(agent) / seconds,
           server_s / seconds);
    printf(
        "restore-stream: frames=%.0f answered=%zu dropped=%.0f restored=%zu fps=%.2f p99_ms=%.1f\n",
        summary_value(agent, "frames"), answers.ok, summary_value(agent, "dropped"),
        answers.restored, fps, quantile(answers.age_ms, answers.ok, 99));
    return answers.restored == FRAMES && fps >= FPS_LEAST;
}

int main(int argc, char **argv)
{
    struct process agent;
    char clip[PATH_BYTES];
    double server_s;
    const char *build = getenv("B"), *data = getenv("TEST_DATA");
    if (argc != 3 || !build || !data) {
        fprintf(stderr, "usage: B=BUILD TEST_DATA=FOLDER %s NETWORK|card MODEL_FOLDER\n", argv[0]);
        return 2;
    }
    snprintf(clip, sizeof clip, "%s/bench-restore", build);
    if (mkdir(clip, 0755) != 0 && errno != EEXIST)
        give_up(clip, strerror(errno));
    snprintf(clip, sizeof clip, "%s/bench-restore/stream.mp4", build);
    scratch_make(&scratch);
    hold_to_processors();
    make_clip(data, clip);
    run_stream(argv[1], argv[2], clip, &agent, &server_s);
    bool good = report(&agent, server_s);
    scratch_remove(&scratch);
    return good ? 0 : 1;
}
