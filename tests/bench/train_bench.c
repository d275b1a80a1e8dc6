/* train_bench: trains a network of train_nets.h, our side of make bench-train; also the way to look at
 * a training plan.
 *
 *     train_bench [-p] NETWORK PRECISION DETECTOR [DEVICE]
 *
 * PRECISION is f32, bf16x3 or bf16. For each number N that a line of stdin has, N steps are made and a
 * line of their losses, then a line of their times in ms, is written: as train_peer.py does. -p prints
 * the table of steps instead. Status 3: the device does not have the precision. */
#include "base/clock.h"
#include "train/train.h"
#include "train_nets.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_WITHOUT 3
#define STEPS_MAX 10000
#define RUNS_PRINTED 3

static bool find_precision(const char *word, const struct device *device, enum precision *precision);
static int prepare(const char *const *arguments, enum precision precision, struct device *device,
                   struct plan **plan, struct error *err);
static bool learns(const char *name, void *arg);
static int serve(struct plan *plan, struct error *err);
static int make_steps(struct plan *plan, int count, struct error *err);

int main(int argc, char **argv)
{
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct error err = { 0 };
    bool print = argc > 1 && strcmp(argv[1], "-p") == 0;
    const char *const *arguments = (const char *const *)argv + 1 + print;
    int count = argc - 1 - print;
    if (count != 3 && count != 4) {
        fprintf(stderr, "usage: %s [-p] NETWORK PRECISION DETECTOR [DEVICE]\n", argv[0]);
        return 2;
    }
    enum precision precision;
    int rc = device_open(&device, count == 4 ? arguments[3] : "cpu:threads=2", &err);
    if (!rc && !find_precision(arguments[1], device, &precision)) {
        fprintf(stderr, "train_bench: %s is not to be had here\n", arguments[1]);
        device_close(&device);
        return STATUS_WITHOUT;
    }
    if (!rc)
        rc = prepare(arguments, precision, device, &plan, &err);
    if (!rc)
        rc = print ? plan_print(plan, RUNS_PRINTED, stdout, &err) : serve(plan, &err);
    plan_free(&plan);
    device_close(&device);
    if (rc)
        fprintf(stderr, "train_bench: %s\n", err.text);
    return rc ? 1 : 0;
}

static bool find_precision(const char *word, const struct device *device, enum precision *precision)
{
    struct device_info info;
    device_get_info(device, &info);
    return precision_from_word(word, precision) && (*precision == PRECISION_F32 || info.bf16);
}

static int prepare(const char *const *arguments, enum precision precision, struct device *device,
                   struct plan **plan, struct error *err)
{
    struct train_net net = { 0 };
    struct train_options training = TRAIN_OPTIONS_DEFAULT;
    const struct plan_options options = { .precision = precision };
    training.clip_norm = TRAIN_NETS_CLIP_NORM;
    training.learns = learns;
    int rc = train_net_make(&net, arguments[0], arguments[2], err);
    if (!rc)
        rc = train_make(net.graph, net.loss, &training, err);
    if (!rc)
        rc = device_compile(device, net.graph, &options, plan, err);
    if (!rc)
        rc = train_net_fill(&net, device, *plan, err);
    train_net_finish(&net);
    return rc;
}

static bool learns(const char *name, void *arg)
{
    (void)arg;
    return strncmp(name, TRAIN_NETS_FROZEN, strlen(TRAIN_NETS_FROZEN)) != 0;
}

static int serve(struct plan *plan, struct error *err)
{
    char line[32];
    int rc = 0;
    printf("ready\n");
    fflush(stdout);
    while (!rc && fgets(line, sizeof line, stdin)) {
        int count = atoi(line);
        if (count < 1 || count > STEPS_MAX)
            return error_set(err, ERROR_CONFIG, "steps", "must be 1 to %d", STEPS_MAX);
        rc = make_steps(plan, count, err);
    }
    return rc;
}

static int make_steps(struct plan *plan, int count, struct error *err)
{
    const struct tensor *loss = plan_output(plan, plan_output_count(plan) - 1);
    double *times_ms = calloc((size_t)count, sizeof *times_ms);
    int rc = times_ms ? 0 : error_set(err, ERROR_MEMORY, "train_bench", "no memory left");
    for (int i = 0; !rc && i < count; i++) {
        uint64_t start_ns = clock_now_ns();
        rc = plan_run(plan, err);
        times_ms[i] = (double)(clock_now_ns() - start_ns) / 1e6;
        printf("%.9g ", *(const float *)loss->data);
    }
    printf("\n");
    for (int i = 0; !rc && i < count; i++)
        printf("%.3f ", times_ms[i]);
    printf("\n");
    fflush(stdout);
    free(times_ms);
    return rc;
}
