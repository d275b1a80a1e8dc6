/* report_arm_read: reads an arm's file. Not any JSON, but what report_arm.c writes: the keys in
 * their order, whole numbers, texts with the writer's escapes. So whatever else stands there is an
 * error with its place, and nothing is guessed. */
#include "evaluate/report_arm.h"
#include "base/file.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *path;
    const char *start, *at, *end;
    struct error *err; /* filled at the first mistake; from then on nothing is read */
    int rc;
};

/* What arm_open wants, with room of its own. */
struct facts_read {
    char recipe[ARM_TEXT_BYTES_MAX + 1], name[ARM_TEXT_BYTES_MAX + 1];
    char codec[ARM_TEXT_BYTES_MAX + 1], rung[ARM_TEXT_BYTES_MAX + 1], kind[16];
    uint64_t width, height, stream_bytes, stream_us;
    char *classes[SCORE_CLASSES_MAX];
    uint32_t class_count;
};

static void read_facts(struct reader *reader, struct facts_read *facts);
static void read_frames(struct reader *reader, struct arm *arm);

static void fail(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(struct reader *reader, const char *format, ...)
{
    char what[ERROR_TEXT_BYTES];
    va_list args;
    if (reader->rc < 0)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    reader->rc = error_set(reader->err, ERROR_FORMAT, reader->path,
                           "broken at byte %td; delete it, and its arm is run again: %s",
                           reader->at - reader->start, what);
}

/* What a part below says of the values. */
static void fail_by(struct reader *reader, const struct error *cause)
{
    if (cause->code == ERROR_MEMORY)
        reader->rc = error_set(reader->err, ERROR_MEMORY, reader->path, "%s", cause->text);
    else
        fail(reader, "%s", cause->text);
}

static int make_arm(struct reader *reader, const struct facts_read *facts, struct arm **arm)
{
    struct error cause;
    bool is_boxes = strcmp(facts->kind, score_kind_words[SCORE_BOXES]) == 0;
    if (!is_boxes && strcmp(facts->kind, score_kind_words[SCORE_LABELS]) != 0)
        fail(reader, "kind \"%s\" is neither labels nor boxes", facts->kind);
    if (reader->rc < 0)
        return reader->rc;
    struct arm_facts wanted = { facts->recipe,
                                facts->name,
                                facts->codec,
                                facts->rung,
                                (uint32_t)facts->width,
                                (uint32_t)facts->height,
                                is_boxes ? SCORE_BOXES : SCORE_LABELS,
                                (const char *const *)facts->classes,
                                facts->class_count };
    if (arm_open(arm, &wanted, &cause) < 0) {
        fail_by(reader, &cause);
        return reader->rc;
    }
    (*arm)->stream_bytes = facts->stream_bytes;
    (*arm)->stream_us = facts->stream_us;
    return 0;
}

static int read_arm(struct reader *reader, const char *recipe, struct facts_read *facts,
                    struct arm **arm)
{
    read_facts(reader, facts);
    if (reader->rc == 0 && recipe && strcmp(recipe, facts->recipe) != 0)
        return error_set(reader->err, ERROR_CONFIG, reader->path,
                         "holds arm %s of other data, settings or models: delete it, or choose "
                         "another folder",
                         facts->name);
    if (make_arm(reader, facts, arm) == 0)
        read_frames(reader, *arm);
    return reader->rc;
}

int arm_read(struct arm **arm, const char *path, const char *recipe, struct error *err)
{
    struct text text = { 0 };
    struct arm *fresh = NULL;
    struct facts_read *facts = calloc(1, sizeof *facts);
    if (!facts)
        return error_set(err, ERROR_MEMORY, path, "no room to read it");
    int rc = file_read_text(path, ARM_FILE_BYTES_MAX, &text, err);
    if (rc == 0) {
        const char *bytes = text.data ? text.data : "";
        struct reader reader = { path, bytes, bytes, bytes + text.size, err, 0 };
        rc = read_arm(&reader, recipe, facts, &fresh);
    }
    for (uint32_t c = 0; c < facts->class_count; c++)
        free(facts->classes[c]);
    free(facts);
    text_finish(&text);
    if (rc < 0)
        arm_close(&fresh);
    else
        *arm = fresh;
    return rc;
}

/* Tokens */

/* These bytes come next; white space may stand before them. */
static bool accept(struct reader *reader, const char *token)
{
    size_t size = strlen(token);
    if (reader->rc < 0)
        return false;
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) && *reader->at)
        reader->at++;
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, token, size) != 0)
        return false;
    reader->at += size;
    return true;
}

static void expect(struct reader *reader, const char *token)
{
    if (!accept(reader, token))
        fail(reader, "%s expected", token);
}

/* separator: "{" before the first key, "," before others. */
static void expect_key(struct reader *reader, const char *separator, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    expect(reader, separator);
    expect(reader, quoted);
    expect(reader, ":");
}

static uint64_t read_number(struct reader *reader, uint64_t least, uint64_t most)
{
    uint64_t value = 0;
    accept(reader, ""); /* white space */
    const char *first = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        uint64_t digit = (uint64_t)(*reader->at - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            fail(reader, "a number too large");
            return least;
        }
        value = value * 10 + digit;
        reader->at++;
    }
    if (reader->at == first || (*first == '0' && reader->at - first > 1))
        fail(reader, "a whole number expected");
    else if (value < least || value > most)
        fail(reader, "%" PRIu64 " is not between %" PRIu64 " and %" PRIu64, value, least, most);
    return reader->rc < 0 ? least : value;
}

/* The escapes that the JSON writer uses: gives bytes read, 0 for any other. */
static size_t read_escape(const char *at, size_t left, char *byte)
{
    static const char digits[] = "0123456789abcdef";
    if (left < 2)
        return 0;
    if (at[1] == '"' || at[1] == '\\' || at[1] == 'n') {
        *byte = (char)(at[1] == 'n' ? '\n' : at[1]);
        return 2;
    }
    if (left < 6 || memcmp(at + 1, "u00", 3) != 0 || (at[4] != '0' && at[4] != '1'))
        return 0;
    const char *digit = memchr(digits, at[5], 16);
    *byte = (char)(digit ? (at[4] - '0') * 16 + (int)(digit - digits) : 0);
    return *byte ? 6 : 0;
}

static void read_string(struct reader *reader, char *out, size_t out_bytes)
{
    size_t size = 0;
    expect(reader, "\"");
    while (reader->rc == 0) {
        size_t left = (size_t)(reader->end - reader->at), bytes = text_utf8_bytes(reader->at, left);
        char escaped[4] = { 0 };
        const char *from = reader->at;
        if (bytes == 1 && *from == '"')
            break;
        if (bytes == 1 && *from == '\\') {
            bytes = read_escape(from, left, escaped);
            from = escaped;
        } else if (bytes == 1 && (unsigned char)*from < 0x20) {
            bytes = 0;
        }
        size_t added = from == escaped ? 1 : bytes;
        if (bytes == 0)
            fail(reader, "a text that is cut off, or a byte that may not stand in it");
        else if (size + added >= out_bytes)
            fail(reader, "a text longer than %zu bytes", out_bytes - 1);
        else {
            memcpy(out + size, from, added);
            size += added;
            reader->at += bytes;
        }
    }
    out[size] = '\0';
    expect(reader, "\"");
}

/* Fields */

static void read_classes(struct reader *reader, struct facts_read *facts)
{
    char name[ARM_TEXT_BYTES_MAX + 1];
    expect_key(reader, ",", "classes");
    do {
        expect(reader, facts->class_count == 0 ? "[" : "");
        if (facts->class_count == SCORE_CLASSES_MAX)
            fail(reader, "more than %u classes", SCORE_CLASSES_MAX);
        read_string(reader, name, sizeof name);
        if (reader->rc < 0)
            return;
        char *copy = strdup(name);
        if (!copy) {
            reader->rc = error_set(reader->err, ERROR_MEMORY, reader->path, "no room for classes");
            return;
        }
        facts->classes[facts->class_count++] = copy;
    } while (accept(reader, ","));
    expect(reader, "]");
}

static void read_facts(struct reader *reader, struct facts_read *facts)
{
    expect_key(reader, "{", "version");
    read_number(reader, ARM_FILE_VERSION, ARM_FILE_VERSION);
    expect_key(reader, ",", "recipe");
    read_string(reader, facts->recipe, sizeof facts->recipe);
    expect_key(reader, ",", "name");
    read_string(reader, facts->name, sizeof facts->name);
    expect_key(reader, ",", "codec");
    read_string(reader, facts->codec, sizeof facts->codec);
    expect_key(reader, ",", "rung");
    read_string(reader, facts->rung, sizeof facts->rung);
    expect_key(reader, ",", "width");
    facts->width = read_number(reader, 1, ARM_SIDE_MAX);
    expect_key(reader, ",", "height");
    facts->height = read_number(reader, 1, ARM_SIDE_MAX);
    expect_key(reader, ",", "stream_bytes");
    facts->stream_bytes = read_number(reader, 0, ARM_STREAM_BYTES_MAX);
    expect_key(reader, ",", "stream_us");
    facts->stream_us = read_number(reader, 0, ARM_STREAM_US_MAX);
    expect_key(reader, ",", "kind");
    read_string(reader, facts->kind, sizeof facts->kind);
    read_classes(reader, facts);
}

static void read_frame(struct reader *reader, struct scores *scores)
{
    struct score_counts counts[SCORE_CLASSES_MAX];
    struct score_cost cost;
    struct error cause;
    expect_key(reader, "{", "squared_error");
    cost.squared_error = read_number(reader, 0, UINT64_MAX);
    expect_key(reader, ",", "samples");
    cost.samples = read_number(reader, 0, UINT64_MAX);
    expect_key(reader, ",", "time_us");
    cost.time_us = read_number(reader, 0, ARM_STREAM_US_MAX);
    expect_key(reader, ",", "counts");
    for (uint32_t c = 0; c < scores_class_count(scores); c++) {
        expect(reader, c == 0 ? "[" : ",");
        counts[c].hits = (uint32_t)read_number(reader, 0, UINT32_MAX);
        expect(reader, ",");
        counts[c].false_alarms = (uint32_t)read_number(reader, 0, UINT32_MAX);
        expect(reader, ",");
        counts[c].misses = (uint32_t)read_number(reader, 0, UINT32_MAX);
    }
    expect(reader, "]");
    expect(reader, "}");
    if (reader->rc == 0 && scores_add_counts(scores, counts, &cost, &cause) < 0)
        fail_by(reader, &cause);
}

/* The number of frames stands before them: a list that lost its middle does not pass. */
static void read_frames(struct reader *reader, struct arm *arm)
{
    expect_key(reader, ",", "frame_count");
    uint64_t frame_count = read_number(reader, 1, SCORE_FRAMES_MAX);
    expect_key(reader, ",", "frames");
    for (uint64_t i = 0; i < frame_count && reader->rc == 0; i++) {
        expect(reader, i == 0 ? "[" : ",");
        read_frame(reader, arm->scores);
    }
    expect(reader, "]");
    expect(reader, "}");
    accept(reader, "");
    if (reader->at != reader->end)
        fail(reader, "something behind the end");
}
