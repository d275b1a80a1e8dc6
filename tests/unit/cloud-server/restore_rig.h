/* restore_rig: what the tests of restoration share: a model folder of their own, an analytics network
 * that hands its input on, the plan of a whole graph, and pictures as planes of floats. */
#ifndef RUNESPOOR_TESTS_RESTORE_RIG_H
#define RUNESPOOR_TESTS_RESTORE_RIG_H

#include "analyse/model.h"
#include "analyse/prepare.h"
#include "analyse/restore.h"
#include "device.h"
#include "graph/compose.h"
#include "media/record.h"
#include "media/scale.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SHIPPED "models/street_det"
#define SAMPLE SHIPPED "/sample.jpg"
#define PATH_BYTES 512u

static struct device *device;
static struct scaler *scaler;
static char folder[] = "/tmp/restore_test_XXXXXX";

static inline void in_folder(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

static inline void copy_file(const char *from, const char *name)
{
    char path[PATH_BYTES], block[65536];
    size_t count;
    in_folder(path, name);
    FILE *in = fopen(from, "rb"), *out = fopen(path, "wb");
    if (!in || !out)
        fail_msg("cannot copy %s to %s", from, path);
    while ((count = fread(block, 1, sizeof block, in)) > 0)
        assert_int_equal(fwrite(block, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
    fclose(in);
}

/* Of net.onnx. */
static inline void write_card(const char *lines)
{
    char path[PATH_BYTES];
    in_folder(path, CARD_FILE_NAME);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fprintf(out, "name: test\nfile: net.onnx\n%s", lines) > 0);
    assert_int_equal(fclose(out), 0);
}

static inline int rig_open(void **state)
{
    (void)state;
    struct error err;
    if (!mkdtemp(folder) || device_open(&device, "cpu:threads=2", &err) < 0 ||
        scaler_create(&scaler, &err) < 0)
        return -1;
    copy_file(SAMPLE, "sample.jpg");
    return 0;
}

static inline int rig_close(void **state)
{
    (void)state;
    const char *const names[] = { "sample.jpg", "net.onnx", "x2.onnx", CARD_FILE_NAME };
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        in_folder(path, names[i]);
        unlink(path);
    }
    rmdir(folder);
    scaler_destroy(&scaler);
    device_close(&device);
    return 0;
}

static inline void must(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s", err->text);
}

static inline struct picture *read_picture(const char *path)
{
    struct picture *picture = NULL;
    struct error err = { 0 };
    must(picture_read_file(&picture, path, &err), &err);
    return picture;
}

/* As the sender scales. */
static inline struct picture *scaled(struct picture *from, uint32_t width, uint32_t height)
{
    struct picture *to = NULL;
    struct error err = { 0 };
    must(scaler_to_picture(scaler, from, width, height, &to, &err), &err);
    return to;
}

static inline struct model *open_model(const char *path, const struct restore_config *config)
{
    const enum precision precision = PRECISION_F32;
    struct model *model = NULL;
    struct error err = { 0 };
    must(model_open_restored(&model, path, device, config, &precision, &err), &err);
    return model;
}

static inline void run_model(struct model *model, const struct picture *picture,
                             struct analysis *analysis)
{
    struct picture_view view;
    struct error err = { 0 };
    picture_get_view(picture, &view);
    must(model_run(model, &view, analysis, &err), &err);
}

/* As prepare makes them of a picture of the same size: 3 planes of RGB in 0..1. */
static inline float *picture_floats(const struct picture *picture)
{
    struct picture_view view;
    struct placement placement;
    struct prepare *prepare = NULL;
    struct error err = { 0 };
    picture_get_view(picture, &view);
    const struct card_input input = { .width = view.width,
                                      .height = view.height,
                                      .fit = FIT_STRETCH,
                                      .divisor = 255,
                                      .deviation = { 1, 1, 1 } };
    float *floats = calloc(3 * (size_t)view.width * view.height, sizeof *floats);
    assert_non_null(floats);
    must(prepare_create(&prepare, &input, &err), &err);
    must(prepare_run(prepare, &view, floats, &placement, &err), &err);
    prepare_destroy(&prepare);
    return floats;
}

/* Has one output, "seen": what it gets. */
static inline struct graph *make_mirror(const struct card_input *input)
{
    struct compose c;
    struct error err = { 0 };
    bool planar = input->layout == LAYOUT_NCHW;
    const int64_t width = input->width, height = input->height;
    compose_start(&c, "mirror", &err);
    int seen = compose_input(&c, "picture", TENSOR_F32,
                             planar ? COMPOSE_SHAPE(1, 3, height, width)
                                    : COMPOSE_SHAPE(1, height, width, 3));
    compose_output(&c, seen, "seen");
    must(c.rc, &err);
    return c.graph;
}

/* The plan of restoration in front of a mirror. */
static inline struct plan *make_plan(const struct card_input *input,
                                     const struct restore_config *config)
{
    const struct plan_options options = { .precision = PRECISION_F32 };
    const struct card card = { .input = *input };
    struct card_input prepared;
    struct graph *mirror = make_mirror(input), *whole = NULL;
    struct plan *plan = NULL;
    struct error err = { 0 };
    must(restore_embed(&whole, mirror, &card, config, &prepared, &err), &err);
    assert_int_equal(prepared.width, config->width);
    assert_int_equal(prepared.height, config->height);
    must(device_compile(device, whole, &options, &plan, &err), &err);
    assert_int_equal(plan_input_count(plan), 1);
    assert_int_equal(plan_output_count(plan), config->keep ? 2 : 1);
    assert_string_equal(plan_output_name(plan, 0), "seen");
    graph_free(&mirror);
    graph_free(&whole);
    return plan;
}

/* In dB, of luma. */
static inline double psnr(const float *planes, const float *truth, size_t pixels)
{
    double sum = 0;
    for (size_t i = 0; i < pixels; i++) {
        double off = 0.299 * (double)(planes[i] - truth[i]) +
                     0.587 * (double)(planes[i + pixels] - truth[i + pixels]) +
                     0.114 * (double)(planes[i + 2 * pixels] - truth[i + 2 * pixels]);
        sum += off * off;
    }
    return 10 * log10((double)pixels / sum);
}

#endif
