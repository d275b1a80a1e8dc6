/* data: the option table, opening and closing, and the way from a number to a picture and its labels.
 * Its labels: data_labels.c; what is in a folder: data_folder.c; what label files say: labels_*.c. */
#include "learn/data_parts.h"
#include "media/record.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What all tables of sets have. */
#define SET_OPTIONS                                                                              \
    OPTION_STRING(data_config, pictures, "",                                                     \
                  "a folder of pictures (taken in the order of their names), or a video file"),  \
        OPTION_STRING(                                                                           \
            data_config, labels, "",                                                             \
            "their labels: a folder with a file of the same name for each picture, or one "      \
            "file; without it a model answers for them"),                                        \
        OPTION_ENUM(                                                                             \
            data_config, form, "auto", data_form_words,                                          \
            "how labels are written: PNG label maps, or boxes as of MOTChallenge, YOLO, COCO "   \
            "or Pascal VOC; auto: by the files' endings"),                                       \
        OPTION_STRING(                                                                           \
            data_config, classes, "",                                                            \
            "a file with the names of the classes, one a line, from class 0; coco and mot "      \
            "can do without"),                                                                   \
        OPTION_STRING(                                                                           \
            data_config, ignore, "",                                                             \
            "a class that counts for nothing, by name; of label maps also a value that is "      \
            "none of the classes"),                                                              \
        OPTION_STRING(data_config, box_class, "person", "form mot: the class of all its boxes"), \
        OPTION_F64(data_config, fps, "15", 0.01, 1000, "1/s",                                    \
                   "how fast a folder's pictures follow each other; a video knows for itself"),  \
        OPTION_STRINGS(                                                                          \
            data_config, clips, 0, DATA_CLIPS_MAX,                                               \
            "pictures of a folder, without their ending, with which a new clip begins; "         \
            "without it, by the names: the part before the last _, and gaps in the numbers")

const struct option_spec data_options[] = { SET_OPTIONS, OPTION_END };

const struct option_spec data_options_to_learn[] = {
    SET_OPTIONS,
    OPTION_U32(
        data_config, every, "1", 1, 100000, "pictures",
        "takes each so many-th picture of a clip; where pictures are damaged, those of a video "
        "are still sent behind the frames before them"),
    OPTION_END,
};

static int open_pictures(struct data *data, const struct data_config *config, struct error *err);
static int count_video(struct data *data, struct error *err);

int data_open(struct data **data, const struct data_config *config, struct error *err)
{
    assert(data && config);
    struct data *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "data", "no room for a set of pictures");
    fresh->info.ignore = -1;
    fresh->info.fps = config->fps;
    fresh->pictures = strdup(config->pictures);
    fresh->labels = strdup(config->labels);
    int failed = 0;
    if (!fresh->pictures || !fresh->labels)
        failed = error_set(err, ERROR_MEMORY, "data", "no room for a set of pictures");
    if (!failed)
        failed = open_pictures(fresh, config, err);
    if (!failed)
        failed = data_labels_prepare(fresh, config, err);
    if (!failed && fresh->info.is_video) /* the only long wait comes after what is quickly checked */
        failed = count_video(fresh, err);
    if (!failed)
        failed = data_labels_read(fresh, config, err);
    if (failed) {
        data_close(&fresh);
        return failed;
    }
    fresh->info.class_count = fresh->classes.count;
    *data = fresh;
    return 0;
}

void data_close(struct data **data)
{
    assert(data);
    struct data *old = *data;
    *data = NULL;
    if (!old)
        return;
    source_close(&old->source);
    data_folder_finish(&old->folder);
    label_classes_finish(&old->classes);
    label_boxes_finish(&old->boxes);
    free(old->clips);
    free(old->video_name);
    free(old->pictures);
    free(old->labels);
    free(old);
}

void data_get_info(const struct data *data, struct data_info *info)
{
    *info = data->info;
}

const char *data_class_name(const struct data *data, size_t class_id)
{
    assert(class_id < data->classes.count);
    return data->classes.names[class_id];
}

const char *data_picture_name(const struct data *data, size_t index)
{
    assert(index < data->info.picture_count);
    return data->info.is_video ? data->video_name : data->folder.entries[index].stem;
}

void data_get_clip(const struct data *data, size_t clip, struct data_clip *out)
{
    assert(clip < data->info.clip_count);
    if (data->info.is_video) {
        *out = (struct data_clip){ .count = data->info.picture_count };
        snprintf(out->name, sizeof out->name, "%s", data->video_name);
        return;
    }
    const struct data_span *span = &data->clips[clip];
    size_t end = clip + 1 < data->info.clip_count ? span[1].first : data->info.picture_count;
    *out = (struct data_clip){ .first = span->first, .count = end - span->first };
    snprintf(out->name, sizeof out->name, "%.*s", (int)span->name_bytes,
             data->folder.entries[span->first].stem);
}

struct data_path data_join(const char *folder, const char *name, const char *ending)
{
    struct data_path path;
    snprintf(path.text, sizeof path.text, "%s/%s%s", folder, name, ending);
    return path;
}

static int open_video(struct data *data, struct error *err)
{
    const struct source_config config = { .kind = SOURCE_FILE, .path = data->pictures };
    source_close(&data->source);
    data->next = 0;
    return source_open(&data->source, &config, err);
}

/* Headers lie and pictures may be damaged: only decoding tells how many there are. */
static int count_video(struct data *data, struct error *err)
{
    struct source_info info;
    uint64_t time_ns;
    int failed = open_video(data, err);
    if (failed)
        return failed;
    source_get_info(data->source, &info);
    while (!failed) {
        struct picture *picture = NULL;
        failed = source_next(data->source, &picture, &time_ns, err);
        picture_unref(&picture);
        if (!failed && data->info.picture_count++ == DATA_PICTURES_MAX)
            failed = error_set(err, ERROR_LIMIT, data->pictures, "has more than %u pictures",
                               DATA_PICTURES_MAX);
    }
    if (failed != -ERROR_END)
        return failed;
    if (source_skipped(data->source) > 0 && *data->labels)
        return error_set(err, ERROR_FORMAT, data->pictures,
                         "has %llu damaged pictures, so that the numbers of its labels do not fit; "
                         "mend it, or take its pictures apart into a folder",
                         (unsigned long long)source_skipped(data->source));
    source_close(&data->source);
    data->info.fps = info.fps > 0 ? info.fps : data->info.fps;
    data->video_width = info.width;
    data->video_height = info.height;
    return 0;
}

static int name_video(struct data *data, struct error *err)
{
    const char *slash = strrchr(data->pictures, '/');
    const char *name = slash ? slash + 1 : data->pictures;
    const char *dot = strrchr(name, '.');
    data->video_name = strndup(name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
    return data->video_name ? 0 : error_set(err, ERROR_MEMORY, "data", "no room for a name");
}

static int open_pictures(struct data *data, const struct data_config *config, struct error *err)
{
    struct stat status;
    if (!*data->pictures)
        return error_set(err, ERROR_CONFIG, "data.pictures",
                         "is empty; name a folder of pictures, or a video file");
    if (stat(data->pictures, &status) < 0) {
        error_set_errno(err, errno, data->pictures, "cannot open the pictures");
        return error_wrap(err, "data.pictures");
    }
    if (!S_ISDIR(status.st_mode)) {
        if (config->clips.count > 0)
            return error_set(err, ERROR_CONFIG, "data.clips",
                             "is for folders of pictures; a video is one clip");
        data->info.is_video = true;
        data->info.clip_count = 1;
        return name_video(data, err);
    }
    int failed = data_folder_read(&data->folder, data->pictures, err);
    if (!failed)
        failed = data_folder_clips(&data->folder, &config->clips, &data->clips,
                                   &data->info.clip_count, err);
    data->info.picture_count = data->folder.count;
    return failed;
}

int data_picture(struct data *data, size_t index, struct picture **picture, struct error *err)
{
    assert(data && index < data->info.picture_count && picture);
    if (!data->info.is_video)
        return picture_read_file(
            picture, data_join(data->folder.path, data->folder.entries[index].name, "").text, err);
    int failed = data->source && data->next <= index ? 0 : open_video(data, err);
    struct picture *found = NULL;
    while (!failed && data->next <= index) {
        uint64_t time_ns;
        picture_unref(&found);
        failed = source_next(data->source, &found, &time_ns, err);
        data->next++;
    }
    if (failed) {
        source_close(&data->source);
        return failed == -ERROR_END ? error_set(err, ERROR_IO, data->pictures,
                                                "has become shorter since it was opened")
                                    : failed;
    }
    *picture = found;
    return 0;
}
