/* export: files of the model folder. The card is written twice: what must be found in the sample picture
 * is what the network, opened as a worker opens it, finds there. */
#include "learn/export.h"

#include "analyse/model.h"
#include "base/file.h"
#include "media/record.h"
#include "media/scale.h"
#include "onnx/write.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_MODE 0755
#define SAMPLE "sample"
#define EXTENSION_BYTES_MAX 8u

struct path {
    char text[PATH_MAX];
};

static struct path path_of(const struct train *train, const char *name)
{
    struct path path;
    snprintf(path.text, sizeof path.text, "%s/" EXPORT_FOLDER "%s%s", train->config->out,
             *name ? "/" : "", name);
    return path;
}

/* ---- the sample picture ---- */

/* As it is; its ending says to readers what it is. */
static int copy_sample(const struct train *train, char *name, size_t name_bytes, struct error *err)
{
    const char *from = train->config->model.sample, *dot = strrchr(from, '.');
    struct text bytes = { 0 };
    if (!dot || strlen(dot) > EXTENSION_BYTES_MAX || strchr(dot, '/'))
        return error_set(err, ERROR_CONFIG, "model.sample", "%s has no ending such as .jpg", from);
    snprintf(name, name_bytes, SAMPLE "%s", dot);
    int rc = file_read_text(from, CARD_SAMPLE_BYTES_MAX, &bytes, err);
    if (rc == 0)
        rc = file_write_text(path_of(train, name).text, &bytes, err);
    text_finish(&bytes);
    return rc;
}

/* RGB triples behind a short head: PPM, which needs no encoder. */
static int write_ppm(const struct train *train, struct picture *picture, const char *name,
                     struct error *err)
{
    struct scaler *scaler = NULL;
    struct picture_view view;
    struct text ppm = { 0 };
    picture_get_view(picture, &view);
    size_t plane = (size_t)view.width * view.height;
    uint8_t *planes = malloc(3 * plane);
    int rc = planes ? scaler_create(&scaler, err)
                    : error_set(err, ERROR_MEMORY, SAMPLE, "no room for a picture");
    if (rc == 0) {
        uint8_t *const rgb[3] = { planes, planes + plane, planes + 2 * plane };
        rc = scaler_to_rgb_planes(scaler, &view, view.width, view.height, rgb, view.width, err);
    }
    text_printf(&ppm, "P6\n%u %u\n255\n", view.width, view.height);
    for (size_t i = 0; rc == 0 && i < plane; i++) {
        const char pixel[3] = { (char)planes[i], (char)planes[plane + i],
                                (char)planes[2 * plane + i] };
        text_add(&ppm, pixel, sizeof pixel);
    }
    if (rc == 0)
        rc = file_write_text(path_of(train, name).text, &ppm, err);
    if (scaler)
        scaler_destroy(&scaler);
    text_finish(&ppm);
    free(planes);
    return rc;
}

static int write_sample(const struct train *train, char *name, size_t name_bytes, struct error *err)
{
    const struct samples_set *set = train->measured->count > 0 ? train->measured : &train->learnt;
    struct picture *picture = NULL;
    if (*train->config->model.sample)
        return copy_sample(train, name, name_bytes, err);
    snprintf(name, name_bytes, SAMPLE ".ppm");
    int rc = data_picture(samples_set_source(set, 0)->data, set->pictures[0].number, &picture, err);
    if (rc == 0)
        rc = write_ppm(train, picture, name, err);
    picture_unref(&picture);
    return rc;
}

/* ---- the card ---- */

static int write_card(const struct train *train, const char *sample,
                      const struct analysis *analysis, struct error *err)
{
    struct text card = { 0 };
    export_write_card(&card, train, sample, analysis);
    int rc = file_write_text(path_of(train, CARD_FILE_NAME).text, &card, err);
    text_finish(&card);
    return rc;
}

static int look_at_sample(const struct train *train, struct analysis *analysis, struct error *err)
{
    struct model *model = NULL;
    struct picture *picture = NULL;
    struct picture_view view;
    int rc = model_open(&model, path_of(train, "").text, train->device, err);
    if (rc == 0)
        rc = picture_read_file(&picture, model_card(model)->picture_path, err);
    if (rc == 0) {
        picture_get_view(picture, &view);
        rc = model_run(model, &view, analysis, err);
    }
    picture_unref(&picture);
    model_close(&model);
    return rc;
}

static int check_model(const struct train *train, struct error *err)
{
    struct model *model = NULL;
    int rc = model_open(&model, path_of(train, "").text, train->device, err);
    if (rc == 0)
        rc = model_check(model, err);
    model_close(&model);
    return rc;
}

static int make_card(const struct train *train, struct error *err)
{
    char sample[sizeof SAMPLE + EXTENSION_BYTES_MAX + 1];
    struct analysis *analysis = malloc(sizeof *analysis);
    if (!analysis)
        return error_set(err, ERROR_MEMORY, "export", "no room for an analysis");
    int rc = write_sample(train, sample, sizeof sample, err);
    if (rc == 0)
        rc = write_card(train, sample, NULL, err);
    if (rc == 0)
        rc = look_at_sample(train, analysis, err);
    if (rc == 0)
        rc = write_card(train, sample, analysis, err);
    if (rc == 0)
        rc = check_model(train, err);
    free(analysis);
    return rc;
}

/* For pictures of any size: a segmenter may have to read crops, where a restorer learns for it. */
static int write_network(const struct train *train, const char *path, struct error *err)
{
    struct graph *open = NULL;
    int rc = graph_clone(&open, train->folded, err);
    if (rc == 0)
        rc = net_free_sizes(open, err);
    if (rc == 0)
        rc = onnx_write_file(open, path, err);
    graph_free(&open);
    return rc;
}

int train_export(struct train *train, struct error *err)
{
    char name[CARD_NAME_BYTES_MAX + sizeof ".onnx"];
    struct text page = { 0 };
    snprintf(name, sizeof name, "%.*s.onnx", (int)CARD_NAME_BYTES_MAX, train->config->model.name);
    int rc = file_make_folder(path_of(train, "").text, FOLDER_MODE, err);
    if (rc == 0)
        rc = write_network(train, path_of(train, name).text, err);
    if (rc == 0 && train->config->task == TRAIN_SEGMENT)
        rc = make_card(train, err);
    export_write_page(&page, train);
    if (rc == 0)
        rc = file_write_text(path_of(train, EXPORT_PAGE).text, &page, err);
    text_finish(&page);
    return rc < 0 ? error_wrap(err, "export") : 0;
}
