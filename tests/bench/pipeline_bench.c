/* pipeline_bench: what the way of a frame costs beside its codecs. Both daemons (CURVE on, analysis
 * off) and the ffmpeg command line do the same work on the same clip in turn: decode, scale, encode,
 * decode, with the same x264 settings and one thread each. CPU time is that of all processes.
 *
 * Then: the age at the answer beyond encode and decode when the clip is played at its own pace, and
 * the growth of both daemons' memory over many frames. Last line:
 *   pipeline: ratio=… ratio_ultrafast=… overhead_us=… overhead_p50_ms=… overhead_p99_ms=… rss_growth_kib=… */
#include "harness.h"

#include "base/clock.h"
#include <errno.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define ROUNDS 5
#define WIDTH 512
#define HEIGHT 384
#define KBPS 600
#define VBV_MS 500
#define RSS_FRAMES 20000
#define RSS_WARM_UP 2000
#define SAMPLES_MAX 4000

static struct scratch scratch;
static const char *clip;

static double cpu_ms(const struct process *process)
{
    const struct rusage *usage = &process->usage;
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e3 +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e3;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void must_end(struct process *process, uint32_t timeout_ms)
{
    int status = process_wait(process, timeout_ms);
    if (status != 0) {
        process_stop(process);
        fprintf(stderr, "%s ended with %d; its log is %s\n", process->name, status, process->log);
        exit(1);
    }
}

/* ---- ours ---- */

static double run_ours(const char *preset, double *frames)
{
    struct process server, agent;
    char path[600], preset_set[64], width[64], height[64], kbps[64], vbv[64];
    snprintf(path, sizeof path, "cameras.0.source.path=%s", clip);
    snprintf(preset_set, sizeof preset_set, "cameras.0.rung.preset=%s", preset);
    snprintf(width, sizeof width, "cameras.0.rung.width=%d", WIDTH);
    snprintf(height, sizeof height, "cameras.0.rung.height=%d", HEIGHT);
    snprintf(kbps, sizeof kbps, "cameras.0.rung.bitrate_kbps=%d", KBPS);
    snprintf(vbv, sizeof vbv, "cameras.0.rung.vbv_ms=%d", VBV_MS);
    server_start(&server, &scratch,
                 (const char *const[]){ "model=none", "decode.threads=1", "answers.path=", NULL });
    agent_start(&agent, &scratch, "agent",
                (const char *const[]){ path, preset_set, width, height, kbps, vbv,
                                       "cameras.0.source.kind=file", "cameras.0.pace=fast",
                                       "cameras.0.rung.mode=bitrate", "answers.path=", NULL });
    must_end(&agent, 300000);
    *frames = summary_value(&agent, "answered");
    if (summary_value(&agent, "dropped") != 0 || process_stop(&server) != 0) {
        fprintf(stderr, "the pipeline dropped frames or did not end well\n");
        exit(1);
    }
    unlink(agent.log);
    unlink(server.log);
    return cpu_ms(&agent) + cpu_ms(&server);
}

/* ---- the peer ---- */

static double run_ffmpeg(const char *preset)
{
    struct process encode, decode;
    char filter[64], rate[32], buffer[32];
    const char *stream = scratch_path(&scratch, "peer.h264");
    snprintf(filter, sizeof filter, "scale=%d:%d:flags=area", WIDTH, HEIGHT);
    snprintf(rate, sizeof rate, "%dk", KBPS);
    snprintf(buffer, sizeof buffer, "%dk", KBPS * VBV_MS / 1000);
    process_start(&encode, &scratch, "ffmpeg-encode",
                  (const char *const[]){ "/usr/bin/ffmpeg",
                                         "-nostdin",
                                         "-v",
                                         "error",
                                         "-y",
                                         "-threads",
                                         "1",
                                         "-i",
                                         clip,
                                         "-an",
                                         "-filter_threads",
                                         "1",
                                         "-vf",
                                         filter,
                                         "-c:v",
                                         "libx264",
                                         "-preset",
                                         preset,
                                         "-tune",
                                         "zerolatency",
                                         "-bf",
                                         "0",
                                         "-threads",
                                         "1",
                                         "-x264-params",
                                         "scenecut=0",
                                         "-g",
                                         "100",
                                         "-b:v",
                                         rate,
                                         "-maxrate",
                                         rate,
                                         "-bufsize",
                                         buffer,
                                         "-f",
                                         "h264",
                                         stream,
                                         NULL });
    must_end(&encode, 300000);
    process_start(&decode, &scratch, "ffmpeg-decode",
                  (const char *const[]){ "/usr/bin/ffmpeg", "-nostdin", "-v", "error", "-threads",
                                         "1", "-flags", "low_delay", "-f", "h264", "-i", stream,
                                         "-f", "null", "-", NULL });
    must_end(&decode, 300000);
    return cpu_ms(&encode) + cpu_ms(&decode);
}

/* ---- measurements ---- */

static double compare(const char *preset, double *overhead_us)
{
    double ratios[ROUNDS], overheads[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        double frames;
        double ours = run_ours(preset, &frames), peer = run_ffmpeg(preset);
        ratios[round] = ours / peer;
        overheads[round] = (ours - peer) * 1000 / frames;
        printf("%-10s round %d: ours %.0f us/frame, ffmpeg %.0f us/frame, ratio %.3f\n", preset,
               round + 1, ours * 1000 / frames, peer * 1000 / frames, ratios[round]);
        fflush(stdout);
    }
    *overhead_us = median(overheads, ROUNDS);
    return median(ratios, ROUNDS);
}

/* Milliseconds of an answer that are neither encoding nor decoding. */
static double read_overhead(struct json_object *answer)
{
    struct json_object *age, *timings, *encode, *decode;
    if (!json_object_object_get_ex(answer, "age_ms", &age) ||
        !json_object_object_get_ex(answer, "timings_us", &timings) ||
        !json_object_object_get_ex(timings, "encode", &encode) ||
        !json_object_object_get_ex(timings, "decode", &decode))
        return 1e9;
    return json_object_get_double(age) -
           (json_object_get_double(encode) + json_object_get_double(decode)) / 1e3;
}

static void measure_age(double *p50_ms, double *p99_ms)
{
    static double samples[SAMPLES_MAX];
    struct process server, agent;
    char path[600];
    size_t count = 0, capacity = 0;
    char *line = NULL;
    snprintf(path, sizeof path, "cameras.0.source.path=%s", clip);
    server_start(&server, &scratch, (const char *const[]){ "model=none", NULL });
    agent_start(&agent, &scratch, "agent",
                (const char *const[]){ path, "cameras.0.source.kind=file", NULL });
    must_end(&agent, 300000);
    process_stop(&server);
    FILE *file = fopen(scratch_path(&scratch, "agent.jsonl"), "r");
    while (file && count < SAMPLES_MAX && getline(&line, &capacity, file) > 0) {
        struct json_object *answer = json_tokener_parse(line);
        samples[count++] = read_overhead(answer);
        json_object_put(answer);
    }
    if (file)
        fclose(file);
    free(line);
    qsort(samples, count, sizeof *samples, compare_doubles);
    *p50_ms = count ? samples[(count + 1) / 2 - 1] : -1;
    *p99_ms = count ? samples[(99 * count + 99) / 100 - 1] : -1;
}

static long rss_kib(const struct process *process)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process->pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmRSS: %ld", &kib);
    if (file)
        fclose(file);
    return kib;
}

/* Answer lines at the server: a count of frames that needs nothing from the daemons. */
static size_t count_lines(const char *path, long *offset)
{
    size_t lines = 0;
    static char chunk[1 << 16];
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    fseek(file, *offset, SEEK_SET);
    for (size_t got; (got = fread(chunk, 1, sizeof chunk, file)) > 0;)
        for (size_t i = 0; i < got; i++)
            lines += chunk[i] == '\n';
    *offset = ftell(file);
    fclose(file);
    return lines;
}

static long measure_memory(void)
{
    struct process server, agent;
    const char *answers = scratch_path(&scratch, "server.jsonl");
    long offset = 0, before = 0;
    size_t frames = 0;
    unlink(answers);
    server_start(&server, &scratch, (const char *const[]){ "model=none", NULL });
    agent_start(&agent, &scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.width=320",
                                       "cameras.0.source.height=240", "cameras.0.pace=fast",
                                       "cameras.0.rung.preset=ultrafast", NULL });
    while (frames < RSS_WARM_UP + RSS_FRAMES && process_runs(&agent) && process_runs(&server)) {
        usleep(20000);
        frames += count_lines(answers, &offset);
        if (before == 0 && frames >= RSS_WARM_UP)
            before = rss_kib(&agent) + rss_kib(&server);
    }
    long growth = rss_kib(&agent) + rss_kib(&server) - before;
    if (process_stop(&agent) != 0 || process_stop(&server) != 0)
        fprintf(stderr, "a daemon did not end well\n");
    printf("memory: %ld KiB after %d frames, %+ld KiB after %zu more\n", before, RSS_WARM_UP,
           growth, frames - RSS_WARM_UP);
    return growth;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "pipeline_bench CLIP SHIPPED_PRESET\n");
        return 2;
    }
    clip = argv[1];
    scratch_make(&scratch);
    double overhead_us, overhead_ultrafast_us, p50_ms, p99_ms;
    double ratio = compare(argv[2], &overhead_us);
    double ratio_ultrafast = compare("ultrafast", &overhead_ultrafast_us);
    measure_age(&p50_ms, &p99_ms);
    long growth = measure_memory();
    scratch_remove(&scratch);
    printf("pipeline: ratio=%.3f ratio_ultrafast=%.3f overhead_us=%.0f overhead_p50_ms=%.2f "
           "overhead_p99_ms=%.2f rss_growth_kib=%ld\n",
           ratio, ratio_ultrafast, overhead_us, p50_ms, p99_ms, growth);
    return 0;
}
