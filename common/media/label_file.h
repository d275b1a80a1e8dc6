/* label_file: a label map from a PNG file, its numbers unchanged. One call, any thread. */
#ifndef RUNESPOOR_MEDIA_LABEL_FILE_H
#define RUNESPOOR_MEDIA_LABEL_FILE_H

#include "base/error.h"
#include <stdint.h>

#define LABEL_FILE_BYTES_MAX (256u << 20)

/* Writes width * height numbers to values, row after row without gaps: the grey value of an 8-bit
 * grey picture, the index (not the colour) of one with a palette. -ERROR_UNSUPPORTED for any other
 * kind of picture, -ERROR_FORMAT for another size, or a file that is damaged. */
int label_file_read(uint8_t *values, uint32_t width, uint32_t height, const char *path,
                    struct error *err);

#endif
