/* restore_cost: what restoration networks cost on this processor, each alone and in one plan with the
 * analytics model behind it, in f32 and in bf16. Part of make bench-restore.
 *
 *     restore_cost WIDTHxHEIGHT MODEL_FOLDER [NETWORK]...
 *
 * The networks restore to WIDTH x HEIGHT, each from what its scale makes of that. Memory is that of the
 * plan. Times are medians, ms a picture, on all processors; that of the model has preparing the picture
 * and decoding the answer in it. */
#include "analyse/model.h"
#include "base/clock.h"
#include "onnx/onnx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 30u
#define WARM_RUNS 5u
#define SCALE_MAX 8u
#define MIB (1024.0 * 1024.0)

struct cost {
    double ms, gflop, activation_mib, weight_mib;
};

struct place {
    struct device *device;
    enum precision precision;
    uint32_t width, height; /* restored */
};

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Either the plan alone, or the model with all that is around it. */
static int measure(struct plan *plan, struct model *model, const struct picture_view *picture,
                   struct cost *cost, struct error *err)
{
    double times[RUNS];
    uint64_t activations, weights;
    static struct analysis analysis; /* large */
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < WARM_RUNS + RUNS; i++) {
        uint64_t start = clock_now_ns();
        rc = model ? model_run(model, picture, &analysis, err) : plan_run(plan, err);
        if (i >= WARM_RUNS)
            times[i - WARM_RUNS] = (double)(clock_now_ns() - start) / 1e6;
    }
    if (rc < 0)
        return rc;
    qsort(times, RUNS, sizeof *times, by_value);
    plan_memory(plan, &activations, &weights);
    *cost = (struct cost){ .ms = times[RUNS / 2],
                           .gflop = (double)plan_flop(plan) / 1e9,
                           .activation_mib = (double)activations / MIB,
                           .weight_mib = (double)weights / MIB };
    return 0;
}

/* The network alone, for pictures of width x height. Without cost only *made_width is found, how wide
 * what it makes of them is. */
static int measure_network(const struct place *place, const char *file, uint32_t width,
                           uint32_t height, struct cost *cost, uint32_t *made_width,
                           struct error *err)
{
    const struct shape shape = { .rank = 4, .dim = { 1, 3, height, width } };
    const struct plan_options options = { .precision = place->precision, .input_shapes = &shape };
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    int rc = onnx_read_file(&graph, file, err);
    if (rc == 0)
        rc = device_compile(place->device, graph, &options, &plan, err);
    if (rc == 0)
        *made_width = (uint32_t)plan_output(plan, 0)->shape.dim[3];
    if (rc == 0 && cost) {
        const struct tensor *input = plan_input(plan, 0);
        float *values = input->data;
        for (size_t i = 0; i < tensor_bytes(input) / sizeof *values; i++)
            values[i] = (float)(i % 251) / 250;
        rc = measure(plan, NULL, NULL, cost, err);
    }
    plan_free(&plan);
    graph_free(&graph);
    return rc;
}

static int find_scale(const struct place *place, const char *file, uint32_t *scale, struct error *err)
{
    uint32_t made = 0;
    int rc = measure_network(place, file, SCALE_MAX, SCALE_MAX, NULL, &made, err);
    if (rc < 0)
        return rc;
    *scale = made / SCALE_MAX;
    if (*scale < 1 || *scale > SCALE_MAX)
        return error_set(err, ERROR_UNSUPPORTED, file, "makes pictures %u times as wide", *scale);
    return 0;
}

static int measure_model(const struct place *place, const char *folder, const char *file,
                         uint32_t scale, struct cost *cost, struct error *err)
{
    const struct restore_config config = { .kind = file ? RESTORE_NETWORK : RESTORE_NONE,
                                           .network = file,
                                           .width = place->width / scale,
                                           .height = place->height / scale,
                                           .camera_width = place->width,
                                           .camera_height = place->height };
    struct model *model = NULL;
    struct picture *picture = NULL;
    int rc = model_open_restored(&model, folder, place->device, &config, &place->precision, err);
    if (rc == 0)
        rc = picture_create(&picture, config.width, config.height, err);
    if (rc == 0) {
        struct picture_view view;
        picture_get_view(picture, &view);
        rc = measure(model_plan(model), model, &view, cost, err);
    }
    picture_unref(&picture);
    model_close(&model);
    return rc;
}

static void print_cost(const struct cost *cost)
{
    printf("  %7.2f %6.1f %6.1f %7.2f", cost->gflop, cost->activation_mib, cost->weight_mib,
           cost->ms);
}

/* A row: the network (or NULL), and the model behind it. */
static int print_row(const struct place *place, const char *folder, const char *file,
                     struct error *err)
{
    struct cost alone = { 0 }, whole = { 0 };
    uint32_t scale = 1, made;
    int rc = file ? find_scale(place, file, &scale, err) : 0;
    if (rc == 0 && file)
        rc = measure_network(place, file, place->width / scale, place->height / scale, &alone,
                             &made, err);
    if (rc == 0)
        rc = measure_model(place, folder, file, scale, &whole, err);
    if (rc < 0)
        return rc;
    printf("%-46s %-5s", file ? file : folder, precision_word(place->precision));
    if (file)
        print_cost(&alone);
    else
        printf("  %7s %6s %6s %7s", "-", "-", "-", "-");
    print_cost(&whole);
    printf("\n");
    return 0;
}

static int print_table(struct place *place, const char *folder, char **files, int count,
                       struct error *err)
{
    struct device_info info;
    int rc = 0;
    device_get_info(place->device, &info);
    printf("%s, %u threads, restored to %ux%u\n", info.name, info.threads, place->width,
           place->height);
    printf("%-46s %-5s  %7s %6s %6s %7s  %7s %6s %6s %7s\n", "", "", "alone:", "work", "weight", "",
           "+ model:", "work", "weight", "");
    printf("%-46s %-5s  %7s %6s %6s %7s  %7s %6s %6s %7s\n", "network", "in", "GFLOP", "MiB", "MiB",
           "ms", "GFLOP", "MiB", "MiB", "ms");
    for (int p = PRECISION_F32; rc == 0 && p <= (info.bf16 ? PRECISION_BF16 : PRECISION_F32); p++) {
        place->precision = (enum precision)p;
        rc = print_row(place, folder, NULL, err);
        for (int i = 0; rc == 0 && i < count; i++)
            rc = print_row(place, folder, files[i], err);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct place place = { 0 };
    struct error err = { 0 };
    if (argc < 3 || sscanf(argv[1], "%" SCNu32 "x%" SCNu32, &place.width, &place.height) != 2) {
        fprintf(stderr, "usage: %s WIDTHxHEIGHT MODEL_FOLDER [NETWORK]...\n", argv[0]);
        return 2;
    }
    int rc = device_open(&place.device, "cpu", &err);
    if (rc == 0)
        rc = print_table(&place, argv[2], argv + 3, argc - 3, &err);
    device_close(&place.device);
    if (rc < 0)
        fprintf(stderr, "restore_cost: %s\n", err.text);
    return rc < 0;
}
