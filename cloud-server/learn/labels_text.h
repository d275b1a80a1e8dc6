/* labels_text: lines, fields and numbers of label files, and errors that name the line. For learn/
 * only. */
#ifndef RUNESPOOR_LEARN_LABELS_TEXT_H
#define RUNESPOOR_LEARN_LABELS_TEXT_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LABELS_PLACE_BYTES 320u

/* A whole regular file of at most bytes_max bytes with a NUL behind it; the caller frees it. */
int labels_read_file(char **bytes, size_t *size, const char *path, size_t bytes_max,
                     struct error *err);

/* "file:line", for error_set. The end of a long path says more than its start. */
struct labels_place {
    char text[LABELS_PLACE_BYTES];
};
struct labels_place labels_place(const char *file, uint32_t line);

/* A part of the input, borrowed, without blanks around it. */
struct labels_field {
    const char *text;
    size_t bytes;
};

/* A field for a message: cut, and with ? for what is not printable. */
struct labels_quote {
    char text[40];
};
struct labels_quote labels_quote(struct labels_field field);

/* A decimal number and nothing else; not nan, inf or 0x. */
bool labels_number(struct labels_field field, double *number);

struct labels_lines {
    const char *file, *at, *end;
    uint32_t number; /* of the present line, from 1 */
    struct labels_field line;
};

/* A byte order mark in front is skipped. */
void labels_lines_init(struct labels_lines *lines, const char *file, const char *bytes, size_t size);
/* Goes to the next line that is not blank; false at the end. */
bool labels_lines_next(struct labels_lines *lines);
/* Splits the line at a separator; ' ' stands for any run of blanks. Gives the number of fields, also
 * when it is above fields_max (fields then has the first ones). */
size_t labels_split(const struct labels_lines *lines, char separator, struct labels_field *fields,
                    size_t fields_max);
int labels_lines_error(const struct labels_lines *lines, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
