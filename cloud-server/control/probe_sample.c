/* probe_sample: see the header. */
#include "control/probe_sample.h"
#include "base/clock.h"
#include "net/wire.h"
#define json_bool json_c_bool /* a type of the library, a function of base/text.h */
#include <json-c/json.h>
#undef json_bool
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX 16
#define NUMBER_MAX (UINT64_C(1) << 53) /* readers that hold numbers as double agree up to here */
#define US_PER_MS 1000u
#define US_PER_S 1000000u

struct probe_reader {
    struct json_tokener *tokener;
    struct json_object *root; /* of the last line */
    struct probe_class classes[SCORE_CLASSES_MAX];
};

static int parse(struct probe_reader *reader, const char *bytes, size_t size, struct error *err);
static int read_probe(struct probe_reader *reader, struct probe_sample *sample, struct error *err);
static int read_answer(const struct json_object *root, struct probe_sample *sample,
                       struct error *err);

void probe_sample_write(struct text *text, const struct probe_sample *sample)
{
    char capture[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(sample->capture_unix_us, capture);
    json_begin_object(text, NULL);
    json_str(text, "probe", sample->stream);
    json_u64(text, "frame", sample->frame);
    json_str(text, "capture", capture);
    json_str(text, "rung", sample->rung);
    if (sample->restored[0])
        json_str(text, "restored", sample->restored);
    json_str(text, "model", sample->model);
    json_str(text, "golden", sample->golden);
    json_str(text, "kind", score_kind_words[sample->kind]);
    json_f64(text, "accuracy", sample->accuracy, 6);
    json_f64(text, "probability", sample->probability, 9);
    if (sample->uncertainty_rank > 0)
        json_f64(text, "uncertainty_rank", sample->uncertainty_rank, 9);
    json_u64(text, "wire_bytes", sample->wire_bytes);
    json_begin_array(text, "classes");
    for (size_t i = 0; i < sample->class_count; i++) {
        const struct probe_class *class = &sample->classes[i];
        json_begin_object(text, NULL);
        json_str(text, "class", class->name);
        json_u64(text, "hits", class->counts.hits);
        json_u64(text, "false_alarms", class->counts.false_alarms);
        json_u64(text, "misses", class->counts.misses);
        json_end_object(text);
    }
    json_end_array(text);
    json_end_object(text);
    text_add(text, "\n", 1);
}

int probe_reader_open(struct probe_reader **reader, struct error *err)
{
    struct probe_reader *fresh = calloc(1, sizeof *fresh);
    if (fresh)
        fresh->tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!fresh || !fresh->tokener) {
        free(fresh);
        return error_set(err, ERROR_MEMORY, "lines", "no room for a JSON parser");
    }
    json_tokener_set_flags(fresh->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    *reader = fresh;
    return 0;
}

void probe_reader_close(struct probe_reader **reader)
{
    struct probe_reader *closed = *reader;
    if (!closed)
        return;
    *reader = NULL;
    json_object_put(closed->root);
    json_tokener_free(closed->tokener);
    free(closed);
}

int probe_reader_line(struct probe_reader *reader, const char *bytes, size_t size,
                      struct probe_line *line, struct error *err)
{
    if (size > 0 && bytes[size - 1] == '\n')
        size--;
    if (size > PROBE_LINE_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "line", "%zu bytes; at most %u are read", size,
                         PROBE_LINE_BYTES_MAX);
    int failed = parse(reader, bytes, size, err);
    if (failed)
        return failed;
    *line = (struct probe_line){ .kind = PROBE_LINE_ANSWER };
    if (!json_object_object_get_ex(reader->root, "probe", NULL))
        return read_answer(reader->root, &line->sample, err);
    line->kind = PROBE_LINE_PROBE;
    return read_probe(reader, &line->sample, err);
}

static int parse(struct probe_reader *reader, const char *bytes, size_t size, struct error *err)
{
    json_object_put(reader->root);
    json_tokener_reset(reader->tokener);
    reader->root = json_tokener_parse_ex(reader->tokener, bytes, (int)size);
    enum json_tokener_error problem = json_tokener_get_error(reader->tokener);
    if (problem != json_tokener_success)
        return error_set(err, ERROR_FORMAT, "line", "no JSON: %s",
                         problem == json_tokener_continue ? "it ends too early"
                                                          : json_tokener_error_desc(problem));
    if (json_tokener_get_parse_end(reader->tokener) != size ||
        !json_object_is_type(reader->root, json_type_object))
        return error_set(err, ERROR_FORMAT, "line", "must be one object, {…}");
    return 0;
}

/* Fields */

static int take_text(const struct json_object *object, const char *key, size_t bytes_min,
                     size_t bytes_max, const char **value, struct error *err)
{
    struct json_object *member = NULL;
    if (!json_object_object_get_ex(object, key, &member) ||
        !json_object_is_type(member, json_type_string))
        return error_set(err, ERROR_FORMAT, key, "must be a text");
    size_t size = (size_t)json_object_get_string_len(member);
    *value = json_object_get_string(member);
    if (size < bytes_min || size > bytes_max || strlen(*value) != size)
        return error_set(err, ERROR_FORMAT, key, "must have %zu to %zu bytes, and no NUL",
                         bytes_min, bytes_max);
    return 0;
}

static int take_name(const struct json_object *object, const char *key, const char **value,
                     struct error *err)
{
    int failed = take_text(object, key, 1, WIRE_NAME_BYTES_MAX, value, err);
    return failed ? failed : wire_check_name(*value, key, err);
}

static int take_count(const struct json_object *object, const char *key, uint64_t max,
                      uint64_t *value, struct error *err)
{
    struct json_object *member = NULL;
    json_object_object_get_ex(object, key, &member);
    int64_t number = json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : -1;
    if (number < 0 || (uint64_t)number > max)
        return error_set(err, ERROR_FORMAT, key, "must be a whole number, 0..%llu",
                         (unsigned long long)max);
    *value = (uint64_t)number;
    return 0;
}

static int take_share(const struct json_object *object, const char *key, double min, double *value,
                      struct error *err)
{
    struct json_object *member = NULL;
    json_object_object_get_ex(object, key, &member);
    bool number =
        json_object_is_type(member, json_type_double) || json_object_is_type(member, json_type_int);
    *value = number ? json_object_get_double(member) : (double)NAN;
    if (!(*value >= min && *value <= 1))
        return error_set(err, ERROR_FORMAT, key, "must be a number, %g..1", min);
    return 0;
}

/* As clock_format_rfc3339 writes it and nothing else, which that function tells best itself. */
static int take_time(const struct json_object *object, const char *key, uint64_t *unix_us,
                     struct error *err)
{
    const char *text = "";
    char again[CLOCK_RFC3339_BYTES] = "";
    struct tm tm = { 0 };
    int failed = take_text(object, key, 1, CLOCK_RFC3339_BYTES - 1, &text, err);
    if (failed)
        return failed;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S.", &tm);
    time_t seconds = rest ? timegm(&tm) : -1;
    long milliseconds = rest ? strtol(rest, NULL, 10) : -1;
    if (seconds >= 0 && milliseconds >= 0) {
        *unix_us = (uint64_t)seconds * US_PER_S + (uint64_t)milliseconds * US_PER_MS;
        clock_format_rfc3339(*unix_us, again);
    }
    if (strcmp(text, again) != 0)
        return error_set(err, ERROR_FORMAT, key, "must be a time like 2026-11-21T12:00:00.123Z");
    return 0;
}

static int take_kind(const struct json_object *object, const char *key, enum score_kind *kind,
                     struct error *err)
{
    const char *word = "";
    int failed = take_text(object, key, 1, WIRE_LABEL_BYTES_MAX, &word, err);
    for (int k = 0; !failed && k < SCORE_KIND_COUNT; k++) {
        *kind = (enum score_kind)k;
        if (strcmp(word, score_kind_words[k]) == 0)
            return 0;
    }
    return failed ? failed : error_set(err, ERROR_FORMAT, key, "is none of labels, boxes");
}

static int take_class(const struct json_object *object, uint64_t count_max,
                      struct probe_class *class, struct error *err)
{
    uint64_t hits = 0, false_alarms = 0, misses = 0;
    int failed = take_text(object, "class", 1, WIRE_LABEL_BYTES_MAX, &class->name, err);
    if (!failed)
        failed = take_count(object, "hits", count_max, &hits, err);
    if (!failed)
        failed = take_count(object, "false_alarms", count_max, &false_alarms, err);
    if (!failed)
        failed = take_count(object, "misses", count_max, &misses, err);
    class->counts = (struct score_counts){ (uint32_t)hits, (uint32_t)false_alarms, (uint32_t)misses };
    return failed;
}

static int take_classes(struct probe_reader *reader, struct probe_sample *sample, struct error *err)
{
    struct json_object *list = NULL;
    uint64_t count_max = sample->kind == SCORE_BOXES ? SCORE_BOXES_MAX : SCORE_PIXELS_MAX;
    json_object_object_get_ex(reader->root, "classes", &list);
    size_t count =
        json_object_is_type(list, json_type_array) ? json_object_array_length(list) : SIZE_MAX;
    if (count > SCORE_CLASSES_MAX)
        return error_set(err, ERROR_FORMAT, "classes", "must be a list of at most %u",
                         SCORE_CLASSES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct json_object *element = json_object_array_get_idx(list, i);
        if (!json_object_is_type(element, json_type_object))
            return error_set(err, ERROR_FORMAT, "classes", "%zu must be an object, {…}", i);
        if (take_class(element, count_max, &reader->classes[i], err) < 0)
            return error_wrap(err, "classes: %zu", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(reader->classes[k].name, reader->classes[i].name) == 0)
                return error_set(err, ERROR_FORMAT, "classes", "%zu: \"%s\" is there twice", i,
                                 reader->classes[i].name);
    }
    sample->classes = reader->classes;
    sample->class_count = count;
    return 0;
}

/* Lines */

static int read_setting(const struct json_object *root, struct probe_sample *sample, struct error *err)
{
    int failed = take_text(root, "rung", 1, WIRE_LABEL_BYTES_MAX, &sample->rung, err);
    sample->restored = "";
    if (!failed && json_object_object_get_ex(root, "restored", NULL))
        failed = take_text(root, "restored", 1, WIRE_TEXT_BYTES_MAX, &sample->restored, err);
    if (!failed)
        failed = take_name(root, "model", &sample->model, err);
    if (!failed)
        failed = take_name(root, "golden", &sample->golden, err);
    return failed ? failed : take_kind(root, "kind", &sample->kind, err);
}

static int read_probe(struct probe_reader *reader, struct probe_sample *sample, struct error *err)
{
    const struct json_object *root = reader->root;
    int failed = take_name(root, "probe", &sample->stream, err);
    if (!failed)
        failed = take_count(root, "frame", NUMBER_MAX, &sample->frame, err);
    if (!failed)
        failed = take_time(root, "capture", &sample->capture_unix_us, err);
    if (!failed)
        failed = read_setting(root, sample, err);
    if (!failed)
        failed = take_share(root, "accuracy", 0, &sample->accuracy, err);
    if (!failed)
        failed = take_share(root, "probability", WIRE_PROBABILITY_MIN, &sample->probability, err);
    sample->uncertainty_rank = 0;
    if (!failed && json_object_object_get_ex(root, "uncertainty_rank", NULL))
        failed = take_share(root, "uncertainty_rank", 0, &sample->uncertainty_rank, err);
    if (!failed)
        failed = take_count(root, "wire_bytes", NUMBER_MAX, &sample->wire_bytes, err);
    return failed ? failed : take_classes(reader, sample, err);
}

static int read_answer(const struct json_object *root, struct probe_sample *sample, struct error *err)
{
    if (!json_object_object_get_ex(root, "stream", NULL))
        return error_set(err, ERROR_FORMAT, "line", "is neither a probe's nor an answer's");
    int failed = take_name(root, "stream", &sample->stream, err);
    if (!failed)
        failed = take_time(root, "capture", &sample->capture_unix_us, err);
    return failed ? failed : take_count(root, "wire_bytes", NUMBER_MAX, &sample->wire_bytes, err);
}
