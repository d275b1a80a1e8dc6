/* model_list: models.txt and the files beside it. */
#include "model_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 1024
#define PATH_BYTES 1024

static int read_line(char *line, struct model_entry *entry, struct error *err);
static int read_word(const char *key, char *text, struct model_entry *entry, struct error *err);
static int read_shapes(char *text, struct model_entry *entry, struct error *err);
static int read_scores(const char *text, struct model_scores *scores, struct error *err);
static void find_file(const char *bundle, struct model_entry *entry);
static void data_path(const char *bundle, const struct model_entry *entry, const char *kind,
                      size_t index, char path[PATH_BYTES]);

int model_find(const char *bundle, const char *name, struct model_entry *entry, struct error *err)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    bool found = false;
    snprintf(path, sizeof path, "%s/models.txt", bundle);
    FILE *file = fopen(path, "r");
    if (!file)
        return error_set(err, ERROR_IO, path, "cannot be read");
    int rc = 0;
    while (!rc && !found && fgets(line, sizeof line, file)) {
        rc = read_line(line, entry, err);
        found = !rc && strcmp(entry->name, name) == 0;
    }
    fclose(file);
    if (!rc && !found)
        rc = error_set(err, ERROR_CONFIG, path, "has no network '%s'", name);
    if (!rc)
        find_file(bundle, entry);
    return rc;
}

static int read_line(char *line, struct model_entry *entry, struct error *err)
{
    char *rest;
    int rc = 0;
    *entry = (struct model_entry){ .scores.output = -1 };
    for (char *word = strtok_r(line, " \n", &rest); !rc && word; word = strtok_r(NULL, " \n", &rest)) {
        char *text = strchr(word, '=');
        if (!text)
            return error_set(err, ERROR_FORMAT, "models.txt", "'%s' is not key=value", word);
        *text++ = '\0';
        rc = read_word(word, text, entry, err);
    }
    return rc;
}

static int read_word(const char *key, char *text, struct model_entry *entry, struct error *err)
{
    if (strcmp(key, "name") == 0)
        snprintf(entry->name, sizeof entry->name, "%s", text);
    else if (strcmp(key, "file") == 0)
        snprintf(entry->file, sizeof entry->file, "%s", text);
    else if (strcmp(key, "shapes") == 0)
        return read_shapes(text, entry, err);
    else if (strcmp(key, "outputs") == 0)
        entry->output_count = atoi(text);
    else if (strcmp(key, "scores") == 0)
        return read_scores(text, &entry->scores, err);
    else
        return error_set(err, ERROR_FORMAT, "models.txt", "there is no key '%s'", key);
    if (entry->output_count > MODEL_OUTPUTS_MAX)
        return error_set(err, ERROR_FORMAT, "models.txt", "at most %d outputs", MODEL_OUTPUTS_MAX);
    return 0;
}

static int read_shapes(char *text, struct model_entry *entry, struct error *err)
{
    char *rest;
    int rc = 0;
    for (char *one = strtok_r(text, ",", &rest); !rc && one; one = strtok_r(NULL, ",", &rest)) {
        if (entry->input_count == MODEL_INPUTS_MAX)
            return error_set(err, ERROR_FORMAT, "models.txt", "at most %d inputs", MODEL_INPUTS_MAX);
        rc = model_read_shape(one, &entry->shapes[entry->input_count++], err);
    }
    return rc;
}

int model_read_shape(const char *text, struct shape *shape, struct error *err)
{
    const char *at = text;
    *shape = (struct shape){ 0 };
    while (*at && shape->rank < SHAPE_RANK_MAX) {
        char *end;
        shape->dim[shape->rank++] = strtol(at, &end, 10);
        if (end == at || (*end && *end != 'x'))
            break;
        at = *end == 'x' ? end + 1 : end;
    }
    return *at || shape->rank == 0
               ? error_set(err, ERROR_FORMAT, "shape", "'%s' is not like 1x3x384x512", text)
               : 0;
}

static int read_scores(const char *text, struct model_scores *scores, struct error *err)
{
    char layout;
    int got = sscanf(text, "%d:%c:%d:%lf:%d:%d:%lf:%lf", &scores->output, &layout, &scores->object,
                     &scores->object_power, &scores->first_class, &scores->class_count,
                     &scores->class_power, &scores->threshold);
    scores->rows = layout == 'r';
    return got == 8 ? 0 : error_set(err, ERROR_FORMAT, "models.txt", "scores '%s'", text);
}

static void find_file(const char *bundle, struct model_entry *entry)
{
    char path[2 * MODEL_TEXT_BYTES];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", bundle, entry->file) < sizeof entry->file &&
        access(path, R_OK) == 0)
        memcpy(entry->file, path, strlen(path) + 1);
}

int model_read(const char *bundle, const struct model_entry *entry, const char *kind, size_t index,
               const struct tensor *tensor, struct error *err)
{
    char path[PATH_BYTES];
    data_path(bundle, entry, kind, index, path);
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set(err, ERROR_IO, path, "cannot be read");
    size_t got = fread(tensor->data, 1, tensor_bytes(tensor), file);
    bool more = fgetc(file) != EOF;
    fclose(file);
    return got == tensor_bytes(tensor) && !more
               ? 0
               : error_set(err, ERROR_FORMAT, path, "has not %" PRIu64 " bytes",
                           tensor_bytes(tensor));
}

int model_write(const char *bundle, const struct model_entry *entry, const char *kind, size_t index,
                const struct tensor *tensor, struct error *err)
{
    char path[PATH_BYTES];
    data_path(bundle, entry, kind, index, path);
    FILE *file = fopen(path, "wb");
    if (!file)
        return error_set(err, ERROR_IO, path, "cannot be written");
    size_t put = fwrite(tensor->data, 1, tensor_bytes(tensor), file);
    return fclose(file) == 0 && put == tensor_bytes(tensor)
               ? 0
               : error_set(err, ERROR_IO, path, "cannot be written");
}

static void data_path(const char *bundle, const struct model_entry *entry, const char *kind,
                      size_t index, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/data/%s.%s.%zu", bundle, entry->name, kind, index);
}
