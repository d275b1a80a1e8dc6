/* data_labels: which form the labels of a set have, reading them, and what they say of a picture. */
#include "learn/data_parts.h"
#include "learn/labels_text.h"
#include "media/label_file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_VALUES 256u

const char *const data_form_words[] = { "auto", "maps", "mot", "yolo", "coco", "voc", NULL };
/* Of the forms with one label file for each picture; NULL: one file for all. */
static const char *const label_endings[] = {
    [DATA_FORM_MAPS] = ".png", [DATA_FORM_YOLO] = ".txt", [DATA_FORM_VOC] = ".xml"
};
#define LABEL_ENDINGS (sizeof label_endings / sizeof *label_endings)

static bool has_file_each(int form);
static struct data_path label_path(const struct data *data, size_t index);
static int find_form(struct data *data, const struct data_config *config, struct error *err);
static int read_classes(struct data *data, const struct data_config *config, struct error *err);
static int read_labels(struct data *data, const struct data_config *config, struct error *err);
static int find_ignore(struct data *data, const char *ignore, struct error *err);
static int check_video_boxes(struct data *data, struct error *err);
static int make_room(struct data_boxes *boxes, size_t count, struct error *err);
static int outside(const struct data *data, const struct label_box *box, uint32_t width,
                   uint32_t height, struct error *err);

int data_labels_prepare(struct data *data, const struct data_config *config, struct error *err)
{
    int failed = find_form(data, config, err);
    return failed ? failed : read_classes(data, config, err);
}

int data_labels_read(struct data *data, const struct data_config *config, struct error *err)
{
    int failed = read_labels(data, config, err);
    if (!failed)
        failed = find_ignore(data, config->ignore, err);
    return failed ? failed : check_video_boxes(data, err);
}

int data_map(const struct data *data, size_t index, uint32_t width, uint32_t height,
             uint8_t *values, struct error *err)
{
    assert(data && index < data->info.picture_count && values);
    assert(data->info.labels == DATA_LABELS_MAPS);
    struct data_path path = label_path(data, index);
    int failed = label_file_read(values, width, height, path.text, err);
    return failed ? failed
                  : labels_check_map(values, width, height, data->classes.count, data->info.ignore,
                                     path.text, err);
}

int data_get_boxes(const struct data *data, size_t index, uint32_t width, uint32_t height,
                   struct data_boxes *boxes, struct error *err)
{
    assert(data && index < data->info.picture_count && boxes && width > 0 && height > 0);
    assert(data->info.labels == DATA_LABELS_BOXES);
    const size_t first = data->boxes.first[index], count = data->boxes.first[index + 1] - first;
    const struct label_size *size = &data->boxes.sizes[index];
    boxes->count = boxes->clipped = 0;
    if (size->width && size->height && (size->width != width || size->height != height))
        return error_set(err, ERROR_FORMAT, label_path(data, index).text,
                         "was made for %s at %ux%u, but the picture is %ux%u",
                         data_picture_name(data, index), size->width, size->height, width, height);
    int failed = make_room(boxes, count, err);
    for (size_t i = first; !failed && i < first + count; i++) {
        const struct label_box *box = &data->boxes.items[i];
        double placed[4];
        bool clipped;
        if (!label_box_place(box, data->boxes.normalised, width, height, placed, &clipped))
            return outside(data, box, width, height, err);
        boxes->clipped += clipped;
        boxes->items[boxes->count++] = (struct data_box){ .class_id = box->class_id,
                                                          .x = (float)placed[0],
                                                          .y = (float)placed[1],
                                                          .width = (float)placed[2],
                                                          .height = (float)placed[3],
                                                          .ignore = box->ignore };
    }
    return failed;
}

void data_boxes_finish(struct data_boxes *boxes)
{
    free(boxes->items);
    *boxes = (struct data_boxes){ 0 };
}

static bool has_file_each(int form)
{
    return (size_t)form < LABEL_ENDINGS && label_endings[form];
}

/* Where the labels of a picture are. */
static struct data_path label_path(const struct data *data, size_t index)
{
    if (has_file_each(data->info.form))
        return data_join(data->labels, data->folder.entries[index].stem,
                         label_endings[data->info.form]);
    struct data_path path;
    snprintf(path.text, sizeof path.text, "%s", data->labels);
    return path;
}

/* The first picture that has a label file tells the form. */
static int form_of_folder(const struct data *data)
{
    static const int forms[] = { DATA_FORM_MAPS, DATA_FORM_YOLO, DATA_FORM_VOC };
    for (size_t i = 0; i < data->folder.count; i++)
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
            if (access(
                    data_join(data->labels, data->folder.entries[i].stem, label_endings[forms[f]]).text,
                    F_OK) == 0)
                return forms[f];
    return DATA_FORM_AUTO;
}

static int form_of_file(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".json") == 0)
        return DATA_FORM_COCO;
    return dot && strcmp(dot, ".txt") == 0 ? DATA_FORM_MOT : DATA_FORM_AUTO;
}

static int find_form(struct data *data, const struct data_config *config, struct error *err)
{
    struct stat status;
    if (!*data->labels)
        return 0;
    if (stat(data->labels, &status) < 0) {
        error_set_errno(err, errno, data->labels, "cannot open the labels");
        return error_wrap(err, "data.labels");
    }
    bool folder = S_ISDIR(status.st_mode);
    int form = config->form;
    if (form == DATA_FORM_AUTO)
        form = folder ? form_of_folder(data) : form_of_file(data->labels);
    if (form == DATA_FORM_AUTO)
        return error_set(err, ERROR_CONFIG, data->labels,
                         "%s; say how labels are written with data.form",
                         folder ? "has no .png, .txt or .xml of the same name as any picture"
                                : "ends in neither .json (coco) nor .txt (mot)");
    if (has_file_each(form) != folder)
        return error_set(err, ERROR_CONFIG, data->labels, "is a %s; labels of form %s are %s",
                         folder ? "folder" : "file", data_form_words[form],
                         folder ? "one file" : "a folder with a file for each picture");
    if (data->info.is_video && form != DATA_FORM_MOT)
        return error_set(err, ERROR_CONFIG, "data.form",
                         "labels of a video are of form mot; for %s take its pictures apart into a "
                         "folder",
                         data_form_words[form]);
    data->info.form = form;
    data->info.labels = form == DATA_FORM_MAPS ? DATA_LABELS_MAPS : DATA_LABELS_BOXES;
    return 0;
}

static int read_classes(struct data *data, const struct data_config *config, struct error *err)
{
    char *bytes;
    size_t size;
    int form = data->info.form;
    if (*config->classes) {
        int failed =
            labels_read_file(&bytes, &size, config->classes, LABELS_PICTURE_FILE_BYTES_MAX, err);
        if (failed)
            return error_wrap(err, "data.classes");
        failed = label_classes_parse(&data->classes, config->classes, bytes, size, err);
        free(bytes);
        if (!failed && form == DATA_FORM_MAPS && data->classes.count > MAP_VALUES)
            failed = error_set(err, ERROR_LIMIT, config->classes,
                               "has %zu classes; a label map has room for %u", data->classes.count,
                               MAP_VALUES);
        return failed;
    }
    if (form == DATA_FORM_MOT)
        return label_classes_add(&data->classes, config->box_class, strlen(config->box_class),
                                 "data.box_class", err);
    if (form == DATA_FORM_AUTO || form == DATA_FORM_COCO)
        return 0;
    return error_set(err, ERROR_CONFIG, "data.classes",
                     "is empty; labels of form %s need a file with the names of the classes, one a "
                     "line",
                     data_form_words[form]);
}

static size_t find_picture(const void *arg, const char *name)
{
    return data_folder_find(arg, name);
}

static const char *name_picture(const void *arg, size_t picture)
{
    const struct data_folder *folder = arg;
    return folder->entries[picture].name;
}

/* The form with one file for all pictures. */
static int read_one_file(struct data *data, const struct data_config *config, struct error *err)
{
    char *bytes;
    size_t size;
    int class_id = 0;
    if (data->info.form == DATA_FORM_MOT) {
        class_id = label_classes_find(&data->classes, config->box_class);
        if (class_id < 0)
            return error_set(err, ERROR_CONFIG, "data.box_class",
                             "\"%s\" is not one of the classes", config->box_class);
    }
    int failed = labels_read_file(&bytes, &size, data->labels, LABELS_FILE_BYTES_MAX, err);
    if (failed)
        return failed;
    if (data->info.form == DATA_FORM_MOT)
        failed = labels_parse_mot(&data->boxes, (uint32_t)class_id, data->labels, bytes, size, err);
    else
        failed =
            labels_parse_coco(&data->boxes, &data->classes,
                              &(struct label_pictures){ find_picture, name_picture, &data->folder },
                              data->labels, bytes, size, err);
    free(bytes);
    return failed;
}

/* One picture's file. *missing counts pictures without one, which in YOLO's form means no boxes. */
static int read_picture_file(struct data *data, size_t index, size_t *missing, struct error *err)
{
    struct data_path path = label_path(data, index);
    if (access(path.text, F_OK) != 0) {
        (*missing)++;
        return data->info.form == DATA_FORM_YOLO && errno == ENOENT
                   ? 0
                   : error_set_errno(err, errno, path.text, "picture %s has no labels",
                                     data->folder.entries[index].name);
    }
    if (data->info.form == DATA_FORM_MAPS) /* read when they are wanted */
        return 0;
    char *bytes;
    size_t size;
    int failed = labels_read_file(&bytes, &size, path.text, LABELS_PICTURE_FILE_BYTES_MAX, err);
    if (failed)
        return failed;
    if (data->info.form == DATA_FORM_YOLO)
        failed = labels_parse_yolo(&data->boxes, (uint32_t)index, data->classes.count, path.text,
                                   bytes, size, err);
    else
        failed = labels_parse_voc(&data->boxes, (uint32_t)index, &data->classes, path.text, bytes,
                                  size, err);
    free(bytes);
    return failed;
}

static int read_labels(struct data *data, const struct data_config *config, struct error *err)
{
    size_t missing = 0, count = data->info.picture_count;
    if (data->info.labels == DATA_LABELS_NONE)
        return 0;
    int failed = 0;
    if (data->info.labels == DATA_LABELS_BOXES)
        failed = label_boxes_init(&data->boxes, count, err);
    if (!failed && !has_file_each(data->info.form))
        failed = read_one_file(data, config, err);
    for (size_t i = 0; !failed && has_file_each(data->info.form) && i < count; i++)
        failed = read_picture_file(data, i, &missing, err);
    if (!failed && missing == count)
        failed =
            error_set(err, ERROR_CONFIG, data->labels, "has no %s of the same name as any picture",
                      label_endings[data->info.form]);
    if (!failed && data->info.labels == DATA_LABELS_BOXES)
        failed = label_boxes_sort(&data->boxes, data->labels, err);
    return failed;
}

/* By name, or a value of label maps beyond the classes. */
static int find_ignore(struct data *data, const char *ignore, struct error *err)
{
    double value;
    if (!*ignore)
        return 0;
    int class_id = label_classes_find(&data->classes, ignore);
    if (class_id < 0 && data->info.labels == DATA_LABELS_MAPS &&
        labels_number((struct labels_field){ ignore, strlen(ignore) }, &value) && value >= 0 &&
        value < MAP_VALUES && value == (int)value)
        class_id = (int)value;
    if (class_id < 0) {
        const char *nearest = label_classes_nearest(&data->classes, ignore);
        return error_set(err, ERROR_CONFIG, "data.ignore", "\"%s\" is not one of the classes%s%s%s",
                         ignore, nearest ? " (did you mean \"" : "", nearest ? nearest : "",
                         nearest ? "\"?)" : "");
    }
    data->info.ignore = class_id;
    for (size_t i = 0; i < data->boxes.count; i++)
        if (data->boxes.items[i].class_id == (uint32_t)class_id)
            data->boxes.items[i].ignore = true;
    return 0;
}

static int outside(const struct data *data, const struct label_box *box, uint32_t width,
                   uint32_t height, struct error *err)
{
    struct data_path path = label_path(data, box->picture);
    if (data->info.form == DATA_FORM_COCO)
        return error_set(err, ERROR_FORMAT, path.text,
                         "annotations[%u].bbox: lies outside of its picture of %ux%u", box->line,
                         width, height);
    return error_set(err, ERROR_FORMAT, labels_place(path.text, box->line).text,
                     "the box lies outside of its picture of %ux%u", width, height);
}

static int make_room(struct data_boxes *boxes, size_t count, struct error *err)
{
    if (count <= boxes->capacity)
        return 0;
    struct data_box *grown = realloc(boxes->items, count * sizeof *grown);
    if (!grown)
        return error_set(err, ERROR_MEMORY, "data", "no room for %zu boxes", count);
    boxes->items = grown;
    boxes->capacity = count;
    return 0;
}

/* All pictures of a video have one size, so nobody has to wait for a mistake at its end. */
static int check_video_boxes(struct data *data, struct error *err)
{
    struct data_boxes boxes = { 0 };
    int failed = 0;
    for (size_t i = 0;
         !failed && data->info.is_video && data->boxes.count > 0 && i < data->info.picture_count; i++)
        failed = data_get_boxes(data, i, data->video_width, data->video_height, &boxes, err);
    data_boxes_finish(&boxes);
    return failed;
}
