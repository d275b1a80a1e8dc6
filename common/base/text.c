/* text: growth doubles. The JSON writer knows from the last byte whether a comma is due, so it
 * keeps no state beside the bytes. */
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_FIRST_BYTES 256u
#define DISTANCE_BYTES_MAX 64u

static bool reserve(struct text *text, size_t count);
static void json_start(struct text *text, const char *key);
static void json_quote(struct text *text, const char *value);

void text_finish(struct text *text)
{
    free(text->data);
    *text = (struct text){ 0 };
}

void text_clear(struct text *text)
{
    text->size = 0;
    text->failed = false;
    if (text->data)
        text->data[0] = '\0';
}

void text_add(struct text *text, const char *bytes, size_t count)
{
    if (count == 0 || !reserve(text, count))
        return;
    memcpy(text->data + text->size, bytes, count);
    text->size += count;
    text->data[text->size] = '\0';
}

void text_add_str(struct text *text, const char *str)
{
    text_add(text, str, strlen(str));
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;
    if (!reserve(text, 1))
        return;
    for (;;) {
        size_t room = text->capacity - text->size;
        va_start(args, format);
        int needed = vsnprintf(text->data + text->size, room, format, args);
        va_end(args);
        if (needed < 0) {
            text->data[text->size] = '\0';
            text->failed = true;
            return;
        }
        if ((size_t)needed < room) {
            text->size += (size_t)needed;
            return;
        }
        text->data[text->size] = '\0';
        if (!reserve(text, (size_t)needed))
            return;
    }
}

void json_begin_object(struct text *text, const char *key)
{
    json_start(text, key);
    text_add(text, "{", 1);
}

void json_end_object(struct text *text)
{
    text_add(text, "}", 1);
}

void json_begin_array(struct text *text, const char *key)
{
    json_start(text, key);
    text_add(text, "[", 1);
}

void json_end_array(struct text *text)
{
    text_add(text, "]", 1);
}

void json_str(struct text *text, const char *key, const char *value)
{
    json_start(text, key);
    json_quote(text, value);
}

void json_u64(struct text *text, const char *key, uint64_t value)
{
    json_start(text, key);
    text_printf(text, "%" PRIu64, value);
}

void json_i64(struct text *text, const char *key, int64_t value)
{
    json_start(text, key);
    text_printf(text, "%" PRId64, value);
}

void json_f64(struct text *text, const char *key, double value, int decimals)
{
    json_start(text, key);
    if (isfinite(value))
        text_printf(text, "%.*f", decimals, value);
    else
        text_add_str(text, "null");
}

void json_bool(struct text *text, const char *key, bool value)
{
    json_start(text, key);
    text_add_str(text, value ? "true" : "false");
}

size_t text_utf8_bytes(const char *bytes, size_t size)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (size == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    size_t length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
    bool surrogate = b[0] == 0xed && b[1] >= 0xa0;
    bool beyond = b[0] == 0xf4 && b[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

unsigned text_distance(const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b);
    if (a_size >= DISTANCE_BYTES_MAX || b_size >= DISTANCE_BYTES_MAX)
        return UINT_MAX;
    unsigned row[DISTANCE_BYTES_MAX]; /* distances from a's first i bytes to b's first j */
    for (size_t j = 0; j <= b_size; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_size];
}

bool text_is_nearer(const char *given, const char *known, unsigned *best)
{
    size_t length = strlen(given);
    unsigned distance = text_distance(given, known);
    if (distance >= length || distance > 1 + length / 4 || distance >= *best)
        return false;
    *best = distance;
    return true;
}

/* Room for count more bytes and the final NUL. */
static bool reserve(struct text *text, size_t count)
{
    if (text->failed)
        return false;
    if (text->capacity > text->size && count < text->capacity - text->size)
        return true;
    size_t capacity = text->capacity ? text->capacity : TEXT_FIRST_BYTES;
    while (capacity - text->size <= count) {
        if (capacity > SIZE_MAX / 2) {
            text->failed = true;
            return false;
        }
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    if (!text->data)
        data[0] = '\0';
    text->data = data;
    text->capacity = capacity;
    return true;
}

/* A comma after anything that is complete, then the key. */
static void json_start(struct text *text, const char *key)
{
    char last = (char)(text->size ? text->data[text->size - 1] : '\n');
    if (last != '{' && last != '[' && last != '\n')
        text_add(text, ",", 1);
    if (key) {
        json_quote(text, key);
        text_add(text, ":", 1);
    }
}

/* Runs of plain bytes are added at once; what needs an escape is rare. */
static void json_quote(struct text *text, const char *value)
{
    assert(value);
    size_t size = strlen(value), plain = 0, at = 0;
    text_add(text, "\"", 1);
    while (at < size) {
        unsigned char c = (unsigned char)value[at];
        size_t bytes = text_utf8_bytes(value + at, size - at);
        if (bytes > 0 && c >= 0x20 && c != '"' && c != '\\') {
            at += bytes;
            continue;
        }
        text_add(text, value + plain, at - plain);
        if (bytes == 0)
            text_add_str(text, "\xef\xbf\xbd"); /* U+FFFD */
        else if (c == '"' || c == '\\')
            text_printf(text, "\\%c", c);
        else if (c == '\n')
            text_add(text, "\\n", 2);
        else
            text_printf(text, "\\u%04x", (unsigned)c);
        plain = ++at;
    }
    text_add(text, value + plain, size - plain);
    text_add(text, "\"", 1);
}
