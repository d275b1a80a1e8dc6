/* checkpoint: magic, step, number of parts; of each part the lengths of name and data, the name with its
 * NUL, the data; last a checksum (FNV-1a, 64 bit) of all before. */
#include "learn/checkpoint.h"

#include "base/file.h"
#include "base/hash.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_PREFIX "checkpoint-"
#define FILE_SUFFIX ".state"
#define STEP_DIGITS 12
#define MAGIC "RSPRCK01"
#define MAGIC_BYTES 8u
#define FILES_MAX 100000u

struct checkpoint {
    struct text bytes; /* the parts point into it */
    uint64_t step;
    struct checkpoint_part *parts;
    size_t count;
};

/* What is still to be read of a file. */
struct rest {
    const char *at;
    size_t size;
};

/* Steps of a folder's files, the newest first. */
struct file_list {
    uint64_t *steps;
    size_t count;
};

struct path {
    char text[PATH_MAX];
};

static struct path path_of(const char *folder, uint64_t step);
static int list_files(struct file_list *list, const char *folder, struct error *err);
static int remove_old(const char *folder, struct error *err);
static int parse(struct checkpoint *checkpoint, const char *path, struct error *err);

int checkpoint_write(const char *folder, uint64_t step, const struct checkpoint_part *parts,
                     size_t count, struct error *err)
{
    struct text text = { 0 };
    struct path path = path_of(folder, step);
    uint64_t number = count;
    text_add(&text, MAGIC, MAGIC_BYTES);
    text_add(&text, (const char *)&step, sizeof step);
    text_add(&text, (const char *)&number, sizeof number);
    for (size_t i = 0; i < count; i++) {
        const uint64_t sizes[] = { strlen(parts[i].name) + 1, parts[i].size };
        text_add(&text, (const char *)sizes, sizeof sizes);
        text_add(&text, parts[i].name, sizes[0]);
        text_add(&text, parts[i].data, parts[i].size);
    }
    number = text.failed ? 0 : hash_bytes(HASH_START, text.data, text.size);
    text_add(&text, (const char *)&number, sizeof number);
    int rc = file_write_text(path.text, &text, err);
    text_finish(&text);
    return rc < 0 ? rc : remove_old(folder, err);
}

static int read_one(struct checkpoint **checkpoint, const char *path, struct error *err)
{
    struct checkpoint *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, path, "no room to read it");
    int rc = file_read_text(path, CHECKPOINT_BYTES_MAX, &fresh->bytes, err);
    if (rc == 0)
        rc = parse(fresh, path, err);
    if (rc < 0)
        checkpoint_free(&fresh);
    *checkpoint = fresh;
    return rc;
}

int checkpoint_read(struct checkpoint **checkpoint, const char *folder, struct error *damaged,
                    struct error *err)
{
    struct file_list list;
    *checkpoint = NULL;
    *damaged = (struct error){ .code = ERROR_NONE };
    int rc = list_files(&list, folder, err);
    for (size_t i = 0; rc == 0 && !*checkpoint && i < list.count; i++) {
        rc = read_one(checkpoint, path_of(folder, list.steps[i]).text, err);
        if (rc == -ERROR_FORMAT) { /* only what is damaged may be passed over */
            *damaged = *err;
            rc = 0;
        }
    }
    free(list.steps);
    return rc;
}

uint64_t checkpoint_step(const struct checkpoint *checkpoint)
{
    return checkpoint->step;
}

const struct checkpoint_part *checkpoint_parts(const struct checkpoint *checkpoint, size_t *count)
{
    *count = checkpoint->count;
    return checkpoint->parts;
}

void checkpoint_free(struct checkpoint **checkpoint)
{
    if (!*checkpoint)
        return;
    text_finish(&(*checkpoint)->bytes);
    free((*checkpoint)->parts);
    free(*checkpoint);
    *checkpoint = NULL;
}

/* ---- bytes ---- */

static bool take(struct rest *rest, void *to, size_t size)
{
    if (rest->size < size)
        return false;
    memcpy(to, rest->at, size);
    rest->at += size;
    rest->size -= size;
    return true;
}

static bool take_part(struct rest *rest, struct checkpoint_part *part)
{
    uint64_t sizes[2];
    if (!take(rest, sizes, sizeof sizes) || sizes[0] < 1 || sizes[0] > CHECKPOINT_NAME_BYTES_MAX ||
        sizes[0] > rest->size || sizes[1] > rest->size - sizes[0] || rest->at[sizes[0] - 1] != '\0')
        return false;
    *part = (struct checkpoint_part){ rest->at, rest->at + sizes[0], sizes[1] };
    rest->at += sizes[0] + sizes[1];
    rest->size -= sizes[0] + sizes[1];
    return true;
}

static int parse(struct checkpoint *checkpoint, const char *path, struct error *err)
{
    struct rest rest = { checkpoint->bytes.data, checkpoint->bytes.size };
    char magic[MAGIC_BYTES];
    uint64_t count = 0, sum;
    if (!take(&rest, magic, sizeof magic) || memcmp(magic, MAGIC, MAGIC_BYTES) != 0)
        return error_set(err, ERROR_FORMAT, path, "is not a checkpoint of this version");
    if (rest.size < sizeof sum)
        return error_set(err, ERROR_FORMAT, path, "is cut short");
    size_t summed = checkpoint->bytes.size - sizeof sum;
    memcpy(&sum, checkpoint->bytes.data + summed, sizeof sum);
    rest.size -= sizeof sum;
    if (sum != hash_bytes(HASH_START, checkpoint->bytes.data, summed))
        return error_set(err, ERROR_FORMAT, path, "is damaged: its checksum does not fit");
    if (!take(&rest, &checkpoint->step, sizeof checkpoint->step) ||
        !take(&rest, &count, sizeof count) || count > CHECKPOINT_PARTS_MAX)
        return error_set(err, ERROR_FORMAT, path, "is damaged: it has no list of parts");
    checkpoint->parts = calloc(count + 1, sizeof *checkpoint->parts);
    if (!checkpoint->parts)
        return error_set(err, ERROR_MEMORY, path, "no room for %llu parts",
                         (unsigned long long)count);
    for (; checkpoint->count < count; checkpoint->count++)
        if (!take_part(&rest, &checkpoint->parts[checkpoint->count]))
            return error_set(err, ERROR_FORMAT, path, "is damaged: part %zu is not whole",
                             checkpoint->count);
    return rest.size == 0
               ? 0
               : error_set(err, ERROR_FORMAT, path, "is damaged: it goes on behind its last part");
}

/* ---- files ---- */

static struct path path_of(const char *folder, uint64_t step)
{
    struct path path;
    snprintf(path.text, sizeof path.text, "%s/" FILE_PREFIX "%0*llu" FILE_SUFFIX, folder,
             STEP_DIGITS, (unsigned long long)step);
    return path;
}

static bool is_checkpoint(const char *name, uint64_t *step)
{
    char *end;
    size_t prefix = strlen(FILE_PREFIX);
    if (strncmp(name, FILE_PREFIX, prefix) != 0 || name[prefix] < '0' || name[prefix] > '9')
        return false;
    *step = strtoull(name + prefix, &end, 10);
    return strcmp(end, FILE_SUFFIX) == 0;
}

/* What a run that was killed while it wrote has left: the name with six letters behind it. */
static bool is_stray(const char *name)
{
    const char *suffix = strstr(name, FILE_SUFFIX ".");
    return strncmp(name, FILE_PREFIX, strlen(FILE_PREFIX)) == 0 && suffix &&
           strlen(suffix) == strlen(FILE_SUFFIX ".XXXXXX");
}

static int newest_first(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a > b ? -1 : a < b;
}

static int list_files(struct file_list *list, const char *folder, struct error *err)
{
    DIR *handle = opendir(folder);
    *list = (struct file_list){ 0 };
    if (!handle)
        return error_set_errno(err, errno, folder, "cannot look for checkpoints");
    uint64_t step;
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(handle));) {
        if (!is_checkpoint(entry->d_name, &step))
            continue;
        uint64_t *more = list->count < FILES_MAX
                             ? realloc(list->steps, (list->count + 1) * sizeof *list->steps)
                             : NULL;
        if (!more) {
            rc = error_set(err, ERROR_MEMORY, folder, "no room for a list of its checkpoints");
            break;
        }
        list->steps = more;
        list->steps[list->count++] = step;
    }
    closedir(handle);
    if (list->count > 0)
        qsort(list->steps, list->count, sizeof *list->steps, newest_first);
    return rc;
}

static void remove_strays(const char *folder)
{
    DIR *handle = opendir(folder);
    for (struct dirent *entry; handle && (entry = readdir(handle));)
        if (is_stray(entry->d_name))
            unlinkat(dirfd(handle), entry->d_name, 0); /* should it stay, it only takes room */
    if (handle)
        closedir(handle);
}

static int remove_old(const char *folder, struct error *err)
{
    struct file_list list;
    remove_strays(folder);
    int rc = list_files(&list, folder, err);
    for (size_t i = CHECKPOINTS_KEPT; rc == 0 && i < list.count; i++) {
        struct path path = path_of(folder, list.steps[i]);
        if (unlink(path.text) != 0)
            rc = error_set_errno(err, errno, path.text, "cannot remove this old checkpoint");
    }
    free(list.steps);
    return rc;
}
