/* names: a hash table from names to indices, open addressing, never more than half full. */
#include "onnx/reader.h"
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 256 /* a power of two */

static struct name_entry *find_place(struct name_entry *entries, size_t capacity, const char *key);
static int grow(struct names *names, struct error *err);

int names_add(struct names *names, const char *key, int value, struct error *err)
{
    if (names->count * 2 >= names->capacity) {
        int rc = grow(names, err);
        if (rc)
            return rc;
    }
    struct name_entry *entry = find_place(names->entries, names->capacity, key);
    if (entry->key)
        return error_set(err, ERROR_FORMAT, "graph", "two values have the name '%.100s'", key);
    *entry = (struct name_entry){ .key = key, .value = value };
    names->count++;
    return 0;
}

int names_find(const struct names *names, const char *key)
{
    if (names->count == 0)
        return -1;
    const struct name_entry *entry = find_place(names->entries, names->capacity, key);
    return entry->key ? entry->value : -1;
}

void names_finish(struct names *names)
{
    free(names->entries);
    *names = (struct names){ 0 };
}

/* The entry of the key, or the free one where it belongs. */
static struct name_entry *find_place(struct name_entry *entries, size_t capacity, const char *key)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *c = key; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    size_t at = (size_t)(hash ^ hash >> 32) & (capacity - 1);
    while (entries[at].key && strcmp(entries[at].key, key) != 0)
        at = (at + 1) & (capacity - 1);
    return &entries[at];
}

static int grow(struct names *names, struct error *err)
{
    size_t capacity = names->capacity ? names->capacity * 2 : CAPACITY_FIRST;
    struct name_entry *entries = calloc(capacity, sizeof *entries);
    if (!entries)
        return error_set(err, ERROR_MEMORY, "names", "no memory left");
    for (size_t i = 0; i < names->capacity; i++)
        if (names->entries[i].key)
            *find_place(entries, capacity, names->entries[i].key) = names->entries[i];
    free(names->entries);
    names->entries = entries;
    names->capacity = capacity;
    return 0;
}
