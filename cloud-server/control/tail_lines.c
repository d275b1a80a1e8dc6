/* tail_lines: see the header. */
#include "control/tail_lines.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLAINTS_MAX 10u /* of a file */
#define ROOM_FIRST 16u
#define US_PER_S 1000000u
/* Room for the longest line that is read, its newline, and one byte that tells a longer one. */
#define BUFFER_BYTES (PROBE_LINE_BYTES_MAX + 2u)

struct file {
    const char *path;
    FILE *file;
    char *buffer;
    size_t start, end; /* what of the buffer was read and not taken yet */
    uint64_t line;     /* number of the last one taken */
    uint64_t refused_count;
};

static int take_lines(struct tail_lines *lines, struct file *file, struct error *err);
static int add_line(struct tail_lines *lines, const char *bytes, size_t size, struct error *err);

int tail_lines_open(struct tail_lines **lines, struct error *err)
{
    struct tail_lines *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "lines", "no room for %zu bytes", sizeof *fresh);
    int failed = probe_reader_open(&fresh->reader, err);
    if (failed) {
        free(fresh);
        return failed;
    }
    *lines = fresh;
    return 0;
}

void tail_lines_close(struct tail_lines **lines)
{
    struct tail_lines *closed = *lines;
    if (!closed)
        return;
    *lines = NULL;
    for (size_t s = 0; s < closed->stream_count; s++) {
        struct tail_stream *stream = &closed->streams[s];
        for (size_t p = 0; p < stream->probe_count; p++)
            free((void *)(uintptr_t)stream->probes[p].sample.classes); /* ours, const for readers */
        free(stream->settings);
        free(stream->probes);
        free(stream->traffic);
        free(stream->classes);
    }
    free(closed->streams);
    probe_reader_close(&closed->reader);
    free(closed);
}

int tail_lines_read(struct tail_lines *lines, const char *path, struct error *err)
{
    struct file file = { .path = path, .file = fopen(path, "re") };
    if (!file.file)
        return error_set_errno(err, errno, path, "cannot open it");
    file.buffer = malloc(BUFFER_BYTES);
    int failed = file.buffer ? take_lines(lines, &file, err)
                             : error_set(err, ERROR_MEMORY, path, "no room for its lines");
    free(file.buffer);
    fclose(file.file); /* only read: nothing is lost */
    return failed;
}

static int by_time(const void *left, const void *right)
{
    const struct tail_probe *a = left, *b = right;
    return (a->sample.capture_unix_us > b->sample.capture_unix_us) -
           (a->sample.capture_unix_us < b->sample.capture_unix_us);
}

void tail_lines_sort(struct tail_lines *lines)
{
    for (size_t s = 0; s < lines->stream_count; s++) {
        struct tail_stream *stream = &lines->streams[s];
        if (stream->probe_count > 0)
            qsort(stream->probes, stream->probe_count, sizeof *stream->probes, by_time);
    }
}

/* Files */

/* Bytes up to and with the next newline; as many as there is room for where it is further away; those that
 * are left, at the end of the file. 0: there are none, or reading failed. */
static size_t find_line(struct file *file)
{
    for (size_t searched = 0;;) {
        const char *at = file->buffer + file->start;
        const char *newline = memchr(at + searched, '\n', file->end - file->start - searched);
        if (newline)
            return (size_t)(newline - at) + 1;
        searched = file->end - file->start;
        if (searched == BUFFER_BYTES)
            return searched;
        memmove(file->buffer, at, searched);
        file->start = 0;
        size_t more = fread(file->buffer + searched, 1, BUFFER_BYTES - searched, file->file);
        file->end = searched + more;
        if (more == 0)
            return searched;
    }
}

static void complain(struct file *file, const char *why)
{
    if (++file->refused_count <= COMPLAINTS_MAX)
        fprintf(stderr, "%s:%llu: %s\n", file->path, (unsigned long long)file->line, why);
}

static int take_lines(struct tail_lines *lines, struct file *file, struct error *err)
{
    bool inside = false; /* of a line that is too long and was refused */
    for (size_t size = find_line(file); size > 0; size = find_line(file)) {
        const char *bytes = file->buffer + file->start;
        bool whole = bytes[size - 1] == '\n', beyond = inside;
        file->start += size;
        inside = !whole;
        if (beyond)
            continue;
        file->line++;
        if (!whole && size < BUFFER_BYTES) {
            fprintf(stderr, "%s:%llu: torn last line, passed over\n", file->path,
                    (unsigned long long)file->line);
            break;
        }
        int failed = add_line(lines, bytes, size, err);
        if (failed == -ERROR_MEMORY)
            return error_wrap(err, "%s:%llu", file->path, (unsigned long long)file->line);
        *(failed ? &lines->refused_count : &lines->line_count) += 1;
        if (failed)
            complain(file, err->text);
    }
    if (ferror(file->file))
        return error_set_errno(err, errno, file->path, "cannot read it");
    if (file->refused_count > COMPLAINTS_MAX)
        fprintf(stderr, "%s: %llu more lines were refused\n", file->path,
                (unsigned long long)(file->refused_count - COMPLAINTS_MAX));
    return 0;
}

/* Lines */

/* The items, with room for one more behind count of them; NULL where there is none, and they stay. */
static void *grown(void *items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room)
        return items;
    size_t larger = *room ? 2 * *room : ROOM_FIRST;
    void *moved = realloc(items, larger * item_bytes);
    *room = moved ? larger : *room;
    return moved;
}

static int no_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "lines", "no room for more of them");
}

static int find_stream(struct tail_lines *lines, const char *name, struct tail_stream **stream,
                       struct error *err)
{
    for (size_t i = 0; i < lines->stream_count; i++) {
        *stream = &lines->streams[i];
        if (strcmp((*stream)->name, name) == 0)
            return 0;
    }
    if (lines->stream_count == TAIL_LINES_STREAMS_MAX)
        return error_set(err, ERROR_LIMIT, "stream", "more than %u of them", TAIL_LINES_STREAMS_MAX);
    struct tail_stream *streams =
        grown(lines->streams, &lines->stream_room, lines->stream_count, sizeof *streams);
    if (!streams)
        return no_memory(err);
    lines->streams = streams;
    *stream = &streams[lines->stream_count++];
    **stream = (struct tail_stream){ .first_us = UINT64_MAX };
    snprintf((*stream)->name, sizeof(*stream)->name, "%s", name);
    return 0;
}

static int find_setting(struct tail_stream *stream, const struct probe_sample *line, size_t *index,
                        struct error *err)
{
    struct tail_setting setting = { .kind = line->kind, .class_count = SCORE_CLASSES_MAX };
    snprintf(setting.rung, sizeof setting.rung, "%s", line->rung);
    snprintf(setting.restored, sizeof setting.restored, "%s", line->restored);
    snprintf(setting.model, sizeof setting.model, "%s", line->model);
    snprintf(setting.golden, sizeof setting.golden, "%s", line->golden);
    for (*index = 0; *index < stream->setting_count; ++*index)
        if (tail_setting_equal(&stream->settings[*index], &setting))
            return 0;
    if (stream->setting_count == TAIL_LINES_SETTINGS_MAX)
        return error_set(err, ERROR_LIMIT, "rung", "more than %u settings of one stream",
                         TAIL_LINES_SETTINGS_MAX);
    struct tail_setting *settings =
        grown(stream->settings, &stream->setting_room, stream->setting_count, sizeof *settings);
    if (!settings)
        return no_memory(err);
    stream->settings = settings;
    settings[stream->setting_count++] = setting;
    return 0;
}

static int find_class(struct tail_stream *stream, const char *name, uint32_t *class_id,
                      struct error *err)
{
    for (*class_id = 0; *class_id < stream->class_count; ++*class_id)
        if (strcmp(stream->classes[*class_id].text, name) == 0)
            return 0;
    if (stream->class_count == SCORE_CLASSES_MAX)
        return error_set(err, ERROR_LIMIT, "classes", "more than %u of one stream",
                         SCORE_CLASSES_MAX);
    struct tail_class_name *classes =
        grown(stream->classes, &stream->class_room, stream->class_count, sizeof *classes);
    if (!classes)
        return no_memory(err);
    stream->classes = classes;
    snprintf(classes[stream->class_count++].text, sizeof classes->text, "%s", name);
    return 0;
}

/* *classes stays the caller's to free, on error too. */
static int copy_classes(struct tail_stream *stream, const struct probe_sample *line,
                        struct tail_class **classes, struct error *err)
{
    int failed = 0;
    *classes = calloc(line->class_count + 1, sizeof **classes);
    if (!*classes)
        return no_memory(err);
    for (size_t i = 0; !failed && i < line->class_count; i++) {
        (*classes)[i].counts = line->classes[i].counts;
        failed = find_class(stream, line->classes[i].name, &(*classes)[i].class_id, err);
    }
    return failed;
}

static int add_probe(struct tail_stream *stream, const struct probe_sample *line, struct error *err)
{
    struct tail_class *classes = NULL;
    struct tail_probe *probes = NULL;
    size_t setting = 0;
    if (stream->probe_count == TAIL_SAMPLES_MAX)
        return error_set(err, ERROR_LIMIT, "probe", "more than %u of one stream", TAIL_SAMPLES_MAX);
    int failed = find_setting(stream, line, &setting, err);
    if (!failed)
        failed = copy_classes(stream, line, &classes, err);
    if (!failed) {
        probes = grown(stream->probes, &stream->probe_room, stream->probe_count, sizeof *probes);
        failed = probes ? 0 : no_memory(err);
    }
    if (failed) {
        free(classes);
        return failed;
    }
    stream->probes = probes;
    probes[stream->probe_count++] =
        (struct tail_probe){ .sample = { .capture_unix_us = line->capture_unix_us,
                                         .accuracy = line->accuracy,
                                         .weight = 1 / line->probability,
                                         .classes = classes,
                                         .class_count = line->class_count,
                                         .uncertainty_rank = line->uncertainty_rank },
                             .setting = setting };
    return 0;
}

static int add_traffic(struct tail_stream *stream, const struct probe_line *line, struct error *err)
{
    uint64_t second = line->sample.capture_unix_us / US_PER_S;
    size_t count = stream->traffic_count;
    if (count == 0 || stream->traffic[count - 1].second != second) {
        if (count == TAIL_LINES_SECONDS_MAX)
            return error_set(err, ERROR_LIMIT, "capture", "more than %u seconds of one stream",
                             TAIL_LINES_SECONDS_MAX);
        struct tail_traffic *traffic =
            grown(stream->traffic, &stream->traffic_room, count, sizeof *traffic);
        if (!traffic)
            return no_memory(err);
        stream->traffic = traffic;
        traffic[count] = (struct tail_traffic){ .second = second };
        stream->traffic_count = ++count;
    }
    struct tail_traffic *last = &stream->traffic[count - 1];
    *(line->kind == PROBE_LINE_PROBE ? &last->probe_bytes : &last->answer_bytes) +=
        line->sample.wire_bytes;
    return 0;
}

static int add_line(struct tail_lines *lines, const char *bytes, size_t size, struct error *err)
{
    struct probe_line line;
    struct tail_stream *stream = NULL;
    int failed = probe_reader_line(lines->reader, bytes, size, &line, err);
    if (!failed)
        failed = find_stream(lines, line.sample.stream, &stream, err);
    if (failed)
        return failed;
    uint64_t capture_us = line.sample.capture_unix_us;
    stream->first_us = capture_us < stream->first_us ? capture_us : stream->first_us;
    stream->last_us = capture_us > stream->last_us ? capture_us : stream->last_us;
    failed = add_traffic(stream, &line, err);
    if (!failed && line.kind == PROBE_LINE_PROBE)
        failed = add_probe(stream, &line.sample, err);
    return failed;
}
