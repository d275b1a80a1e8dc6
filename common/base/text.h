/* text: a growing byte buffer and the JSON writer on top of it. */
#ifndef RUNESPOOR_BASE_TEXT_H
#define RUNESPOOR_BASE_TEXT_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All-zero is an empty text. Growth keeps its memory, so a reused text allocates nothing once warm.
 * A failed allocation sets `failed` and later writes do nothing: check once at the end. */
struct text {
    char *data; /* NUL-terminated when size > 0 or data != NULL */
    size_t size, capacity;
    bool failed;
};

void text_finish(struct text *text);
void text_clear(struct text *text); /* keeps the memory */
void text_add(struct text *text, const char *bytes, size_t count);
void text_add_str(struct text *text, const char *str);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* JSON writer: commas and escapes are its business, nesting is the caller's.
 *     json_begin_object(t, NULL); json_str(t, "stream", name); json_end_object(t);
 * key is NULL inside arrays and at the top. Non-finite numbers are written as null; invalid UTF-8
 * bytes are replaced by U+FFFD. */
void json_begin_object(struct text *text, const char *key);
void json_end_object(struct text *text);
void json_begin_array(struct text *text, const char *key);
void json_end_array(struct text *text);
void json_str(struct text *text, const char *key, const char *value);
void json_u64(struct text *text, const char *key, uint64_t value);
void json_i64(struct text *text, const char *key, int64_t value);
void json_f64(struct text *text, const char *key, double value, int decimals);
void json_bool(struct text *text, const char *key, bool value);

/* Bytes of the valid UTF-8 character at the start of bytes; 0 when there is none. */
size_t text_utf8_bytes(const char *bytes, size_t size);

/* Edit distance (Levenshtein), for "did you mean". Strings of 64 bytes and more are UINT_MAX apart
 * from everything. */
unsigned text_distance(const char *a, const char *b);

/* For "did you mean": true, and *best updated, when known is near enough to given to be meant and
 * nearer than *best. Start with UINT_MAX. */
bool text_is_nearer(const char *given, const char *known, unsigned *best);

#endif
