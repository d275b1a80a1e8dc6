/* data_folder: which files are pictures, their order, and where clips begin.
 *
 * Clips by name: what stands before the last '_' (without one: before the last digits) is the clip,
 * the last digits are the number of the picture. Cameras number in even steps; where a step is half
 * as long again as the commonest one, pictures are missing and a new clip begins. (One and a half,
 * as taking every 30th picture may well give a step of 31 somewhere.) */
#include "learn/data_folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_DIGITS_MAX 18u

static const char *const picture_endings[] = { "jpg", "jpeg", "png",  "bmp", "ppm",
                                               "pgm", "tif",  "tiff", "webp" };

static int list_folder(struct data_folder *folder, DIR *listing, struct error *err);
static int compare_entries(const void *left, const void *right);

int data_folder_read(struct data_folder *folder, const char *path, struct error *err)
{
    assert(folder && path);
    *folder = (struct data_folder){ .path = strdup(path) };
    if (!folder->path)
        return error_set(err, ERROR_MEMORY, "data", "no room for a folder of pictures");
    DIR *listing = opendir(path);
    if (!listing) {
        int failed = error_set_errno(err, errno, path, "cannot read the folder of pictures");
        data_folder_finish(folder);
        return failed;
    }
    int failed = list_folder(folder, listing, err);
    closedir(listing);
    if (!failed && folder->count == 0)
        failed = error_set(err, ERROR_CONFIG, path,
                           "has no pictures (jpg, png, bmp, ppm, pgm, tif, webp)");
    if (!failed)
        qsort(folder->entries, folder->count, sizeof *folder->entries, compare_entries);
    for (size_t i = 1; !failed && i < folder->count; i++)
        if (strcmp(folder->entries[i].stem, folder->entries[i - 1].stem) == 0)
            failed = error_set(err, ERROR_CONFIG, path,
                               "has both %s and %s; labels belong to a folder of their own",
                               folder->entries[i - 1].name, folder->entries[i].name);
    if (failed)
        data_folder_finish(folder);
    return failed;
}

void data_folder_finish(struct data_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        free(folder->entries[i].name);
        free(folder->entries[i].stem);
    }
    free(folder->entries);
    free(folder->path);
    *folder = (struct data_folder){ 0 };
}

static bool is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name || *name == '.')
        return false;
    for (size_t i = 0; i < sizeof picture_endings / sizeof *picture_endings; i++)
        if (strcasecmp(dot + 1, picture_endings[i]) == 0)
            return true;
    return false;
}

static int add_entry(struct data_folder *folder, size_t *capacity, const char *name, struct error *err)
{
    if (folder->count == DATA_PICTURES_MAX)
        return error_set(err, ERROR_LIMIT, folder->path, "has more than %u pictures",
                         DATA_PICTURES_MAX);
    if (folder->count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 256;
        struct data_entry *grown = realloc(folder->entries, more * sizeof *grown);
        if (!grown)
            return error_set(err, ERROR_MEMORY, folder->path, "no room for %zu names", more);
        folder->entries = grown;
        *capacity = more;
    }
    struct data_entry entry = { strdup(name), strndup(name, (size_t)(strrchr(name, '.') - name)) };
    if (!entry.name || !entry.stem) {
        free(entry.name);
        free(entry.stem);
        return error_set(err, ERROR_MEMORY, folder->path, "no room for a name");
    }
    folder->entries[folder->count++] = entry;
    return 0;
}

static int list_folder(struct data_folder *folder, DIR *listing, struct error *err)
{
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(listing); /* this listing is ours alone */
        if (!entry)
            return errno ? error_set_errno(err, errno, folder->path, "cannot be read to its end") : 0;
        int failed = is_picture(entry->d_name) ? add_entry(folder, &capacity, entry->d_name, err) : 0;
        if (failed)
            return failed;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits as numbers of any length; equal numbers of unequal length are settled by the caller. */
static int compare_numbers(const char **left, const char **right)
{
    const char *a = *left, *b = *right;
    while (*a == '0')
        a++;
    while (*b == '0')
        b++;
    size_t a_digits = 0, b_digits = 0;
    while (is_digit(a[a_digits]))
        a_digits++;
    while (is_digit(b[b_digits]))
        b_digits++;
    *left = a + a_digits;
    *right = b + b_digits;
    if (a_digits != b_digits)
        return a_digits < b_digits ? -1 : 1;
    return memcmp(a, b, a_digits);
}

static int compare_names(const char *left, const char *right)
{
    const char *a = left, *b = right;
    while (*a && *b) {
        int order;
        if (is_digit(*a) && is_digit(*b)) {
            order = compare_numbers(&a, &b);
        } else {
            order = (unsigned char)*a - (unsigned char)*b;
            a++;
            b++;
        }
        if (order)
            return order;
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(left, right); /* 7 and 07 */
}

static int compare_entries(const void *left, const void *right)
{
    const struct data_entry *a = left, *b = right;
    int order = compare_names(a->stem, b->stem);
    return order ? order : strcmp(a->name, b->name);
}

size_t data_folder_find(const struct data_folder *folder, const char *name)
{
    size_t low = 0, high = folder->count;
    const char *dot = strrchr(name, '.');
    struct data_entry key = { (char *)(uintptr_t)name,
                              dot ? strndup(name, (size_t)(dot - name)) : NULL };
    while (key.stem && low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_entries(&key, &folder->entries[middle]);
        if (order == 0) {
            free(key.stem);
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    free(key.stem);
    return SIZE_MAX;
}

/* A stem as clip and number; number is -1 where there is none. */
struct position {
    size_t prefix_bytes;
    int64_t number;
};

static struct position position_of(const char *stem)
{
    size_t length = strlen(stem), digits = 0;
    const char *underscore = strrchr(stem, '_');
    while (digits < length && is_digit(stem[length - 1 - digits]))
        digits++;
    struct position position = { underscore ? (size_t)(underscore - stem) : length - digits, -1 };
    if (digits > 0 && digits <= NUMBER_DIGITS_MAX)
        position.number = strtoll(stem + length - digits, NULL, 10);
    return position;
}

static bool same_prefix(const struct data_entry *a, const struct data_entry *b)
{
    size_t bytes = position_of(a->stem).prefix_bytes;
    return bytes == position_of(b->stem).prefix_bytes && strncmp(a->stem, b->stem, bytes) == 0;
}

/* From the picture before; -1 where one of them has no number. */
static int64_t step_to(const struct data_folder *folder, size_t index)
{
    int64_t before = position_of(folder->entries[index - 1].stem).number;
    int64_t number = position_of(folder->entries[index].stem).number;
    return before < 0 || number < before ? -1 : number - before;
}

static int compare_steps(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* The commonest one, of several the shortest. steps is for us to sort. */
static int64_t usual_step(int64_t *steps, size_t count)
{
    int64_t best = 0;
    size_t best_times = 0, times = 0;
    qsort(steps, count, sizeof *steps, compare_steps);
    for (size_t i = 0; i < count; i++) {
        times = i > 0 && steps[i] == steps[i - 1] ? times + 1 : 1;
        if (times > best_times) {
            best_times = times;
            best = steps[i];
        }
    }
    return best;
}

static bool is_gap(int64_t step, int64_t usual)
{
    return step > usual + usual / 2;
}

/* Marks where the clips of the pictures from first to end begin, which share a prefix. */
static void mark_run(const struct data_folder *folder, size_t first, size_t end, bool *begins,
                     int64_t *steps)
{
    for (size_t i = first + 1; i < end; i++)
        steps[i - first - 1] = step_to(folder, i);
    int64_t usual = usual_step(steps, end - first - 1);
    begins[first] = true;
    for (size_t i = first + 1; i < end; i++)
        begins[i] = is_gap(step_to(folder, i), usual);
}

static int mark_by_names(const struct data_folder *folder, bool *begins, struct error *err)
{
    int64_t *steps = malloc(folder->count * sizeof *steps);
    if (!steps)
        return error_set(err, ERROR_MEMORY, folder->path, "no room for its clips");
    for (size_t first = 0, end; first < folder->count; first = end) {
        end = first + 1;
        while (end < folder->count && same_prefix(&folder->entries[end - 1], &folder->entries[end]))
            end++;
        mark_run(folder, first, end, begins, steps);
    }
    free(steps);
    return 0;
}

static int mark_by_config(const struct data_folder *folder, const struct option_strings *starts,
                          bool *begins, struct error *err)
{
    begins[0] = true;
    for (size_t s = 0; s < starts->count; s++) {
        size_t low = 0, high = folder->count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (compare_names(folder->entries[middle].stem, starts->items[s]) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == folder->count || strcmp(folder->entries[low].stem, starts->items[s]) != 0)
            return error_set(err, ERROR_CONFIG, "data.clips",
                             "\"%s\" is no picture of %s; give file names without their ending",
                             starts->items[s], folder->path);
        begins[low] = true;
    }
    return 0;
}

int data_folder_clips(const struct data_folder *folder, const struct option_strings *starts,
                      struct data_span **clips, size_t *count, struct error *err)
{
    assert(folder && folder->count > 0 && starts && clips && count);
    bool *begins = calloc(folder->count, sizeof *begins);
    struct data_span *fresh = NULL;
    int failed = begins ? 0 : error_set(err, ERROR_MEMORY, folder->path, "no room for its clips");
    if (!failed)
        failed = starts->count > 0 ? mark_by_config(folder, starts, begins, err)
                                   : mark_by_names(folder, begins, err);
    size_t clip_count = 0;
    for (size_t i = 0; !failed && i < folder->count; i++)
        clip_count += begins[i];
    if (!failed && !(fresh = calloc(clip_count, sizeof *fresh)))
        failed = error_set(err, ERROR_MEMORY, folder->path, "no room for its clips");
    for (size_t i = 0, clip = 0; !failed && i < folder->count; i++) {
        if (!begins[i])
            continue;
        /* The first clip of a prefix bears it alone. */
        const struct data_entry *entry = &folder->entries[i];
        size_t prefix_bytes = position_of(entry->stem).prefix_bytes;
        bool alone =
            starts->count == 0 && prefix_bytes > 0 && (i == 0 || !same_prefix(entry - 1, entry));
        fresh[clip++] = (struct data_span){ i, alone ? prefix_bytes : strlen(entry->stem) };
    }
    free(begins);
    if (failed)
        return failed;
    *clips = fresh;
    *count = clip_count;
    return 0;
}
