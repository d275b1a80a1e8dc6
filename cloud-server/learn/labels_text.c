/* labels_text: the little that MOT, YOLO and lists of names need of a text. */
#include "learn/labels_text.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NUMBER_BYTES_MAX 40u
#define MESSAGE_BYTES 256u

int labels_read_file(char **bytes, size_t *size, const char *path, size_t bytes_max, struct error *err)
{
    assert(bytes && size && path);
    struct stat status;
    if (stat(path, &status) < 0)
        return error_set_errno(err, errno, path, "cannot open the labels");
    if (!S_ISREG(status.st_mode)) /* a pipe or a device would make us wait for ever */
        return error_set(err, ERROR_IO, path, "is not a regular file");
    if ((uint64_t)status.st_size > bytes_max)
        return error_set(err, ERROR_LIMIT, path, "has %lld bytes, read are at most %zu",
                         (long long)status.st_size, bytes_max);
    size_t expected = (size_t)status.st_size;
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set_errno(err, errno, path, "cannot open the labels");
    char *fresh = malloc(expected + 1);
    if (!fresh) {
        fclose(file);
        return error_set(err, ERROR_MEMORY, path, "no room for %zu bytes", expected);
    }
    size_t got = fread(fresh, 1, expected, file);
    fclose(file);
    if (got != expected) {
        free(fresh);
        return error_set(err, ERROR_IO, path, "%zu of %zu bytes can be read", got, expected);
    }
    fresh[expected] = '\0';
    *bytes = fresh;
    *size = expected;
    return 0;
}

struct labels_place labels_place(const char *file, uint32_t line)
{
    struct labels_place place;
    const size_t room = sizeof place.text - sizeof ":4294967295";
    size_t length = strlen(file);
    snprintf(place.text, sizeof place.text, "%s:%u", length > room ? file + length - room : file,
             line);
    return place;
}

struct labels_quote labels_quote(struct labels_field field)
{
    struct labels_quote quote;
    size_t bytes = field.bytes < sizeof quote.text ? field.bytes : sizeof quote.text - 1;
    for (size_t i = 0; i < bytes; i++)
        quote.text[i] = (char)(field.text[i] >= ' ' && field.text[i] <= '~' ? field.text[i] : '?');
    quote.text[bytes] = '\0';
    if (field.bytes > bytes)
        memcpy(quote.text + bytes - 3, "...", 3);
    return quote;
}

bool labels_number(struct labels_field field, double *number)
{
    char text[NUMBER_BYTES_MAX + 1];
    if (field.bytes == 0 || field.bytes > NUMBER_BYTES_MAX)
        return false;
    for (size_t i = 0; i < field.bytes; i++) {
        if (!field.text[i] || !strchr("0123456789+-.eE", field.text[i]))
            return false;
        text[i] = field.text[i];
    }
    text[field.bytes] = '\0';
    char *end;
    *number = strtod(text, &end);
    return end == text + field.bytes && isfinite(*number);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct labels_field trim(const char *start, const char *end)
{
    while (start < end && is_blank(*start))
        start++;
    while (start < end && is_blank(end[-1]))
        end--;
    return (struct labels_field){ .text = start, .bytes = (size_t)(end - start) };
}

void labels_lines_init(struct labels_lines *lines, const char *file, const char *bytes, size_t size)
{
    static const char mark[] = { '\xef', '\xbb', '\xbf' };
    size_t skip = size >= sizeof mark && memcmp(bytes, mark, sizeof mark) == 0 ? sizeof mark : 0;
    *lines = (struct labels_lines){ .file = file, .at = bytes + skip, .end = bytes + size };
}

bool labels_lines_next(struct labels_lines *lines)
{
    while (lines->at < lines->end) {
        const char *end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
        if (!end)
            end = lines->end;
        lines->line = trim(lines->at, end);
        lines->at = end < lines->end ? end + 1 : end;
        lines->number++;
        if (lines->line.bytes > 0)
            return true;
    }
    return false;
}

size_t labels_split(const struct labels_lines *lines, char separator, struct labels_field *fields,
                    size_t fields_max)
{
    const char *at = lines->line.text, *end = at + lines->line.bytes;
    for (size_t count = 0;; count++) {
        const char *stop = at;
        while (stop < end && *stop != separator && !(separator == ' ' && is_blank(*stop)))
            stop++;
        if (count < fields_max)
            fields[count] = trim(at, stop);
        if (stop == end)
            return count + 1;
        at = stop + 1;
        while (separator == ' ' && is_blank(*at)) /* the line's end is not blank */
            at++;
    }
}

int labels_lines_error(const struct labels_lines *lines, struct error *err, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return error_set(err, ERROR_FORMAT, labels_place(lines->file, lines->number).text, "%s", message);
}
