/* report_file: a file that is there whole or not at all. */
#ifndef RUNESPOOR_EVALUATE_REPORT_FILE_H
#define RUNESPOOR_EVALUATE_REPORT_FILE_H

#include "base/error.h"
#include "base/text.h"

/* Writes the text under another name beside path, makes it last, and gives it its name, replacing
 * what was there. After an error what was there before is untouched. */
int report_file_write(const char *path, const struct text *text, struct error *err);

/* Appends a whole file to text, which is empty. place in errors is the path. */
int report_file_read(const char *path, size_t bytes_max, struct text *text, struct error *err);

#endif
