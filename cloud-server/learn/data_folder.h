/* data_folder: the pictures of a folder in the order of their names, and the clips that they make.
 * For learn/data.c. */
#ifndef RUNESPOOR_LEARN_DATA_FOLDER_H
#define RUNESPOOR_LEARN_DATA_FOLDER_H

#include "config/config.h"
#include "learn/data.h"

struct data_entry {
    char *name; /* "0016E5_07959.jpg" */
    char *stem; /* "0016E5_07959" */
};

struct data_folder {
    char *path;
    struct data_entry *entries;
    size_t count;
};

/* Numbers in names count as numbers: frame9 comes before frame10. */
int data_folder_read(struct data_folder *folder, const char *path, struct error *err);
/* The picture of this file name, or SIZE_MAX. */
size_t data_folder_find(const struct data_folder *folder, const char *name);
void data_folder_finish(struct data_folder *folder);

/* A clip goes from its first picture to the next one's; the first name_bytes of that picture's stem
 * are its name. */
struct data_span {
    size_t first, name_bytes;
};

/* starts: stems of the pictures with which clips begin, beside the first; none: by the names. The
 * caller frees *clips. */
int data_folder_clips(const struct data_folder *folder, const struct option_strings *starts,
                      struct data_span **clips, size_t *count, struct error *err);

#endif
