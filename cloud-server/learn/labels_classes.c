/* labels_classes: the names of a set's classes, whose number is their place in the list. */
#include "base/text.h"
#include "learn/labels.h"
#include "learn/labels_text.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int take_name(struct labels_lines *lines, const struct label_classes *classes,
                     bool *numbered, struct labels_field *name, struct error *err);

int label_classes_parse(struct label_classes *classes, const char *file, const char *bytes,
                        size_t size, struct error *err)
{
    assert(classes && classes->count == 0 && file);
    struct labels_lines lines;
    bool numbered = false;
    labels_lines_init(&lines, file, bytes, size);
    while (labels_lines_next(&lines)) {
        struct labels_field name;
        int failed = take_name(&lines, classes, &numbered, &name, err);
        if (!failed)
            failed = label_classes_add(classes, name.text, name.bytes,
                                       labels_place(file, lines.number).text, err);
        if (failed)
            return failed;
    }
    if (classes->count == 0)
        return error_set(err, ERROR_FORMAT, file, "is empty; write one class name a line");
    return 0;
}

/* The first line settles whether numbers stand in front. */
static int take_name(struct labels_lines *lines, const struct label_classes *classes,
                     bool *numbered, struct labels_field *name, struct error *err)
{
    *name = lines->line;
    size_t digits = 0;
    unsigned long number = 0;
    while (digits < name->bytes && digits < 6 && name->text[digits] >= '0' &&
           name->text[digits] <= '9')
        number = number * 10 + (unsigned long)(name->text[digits++] - '0');
    bool has_number = digits > 0 && digits < name->bytes &&
                      (name->text[digits] == ' ' || name->text[digits] == '\t') &&
                      number == classes->count;
    if (classes->count == 0)
        *numbered = has_number;
    if (!*numbered)
        return 0;
    if (!has_number)
        return labels_lines_error(lines, err,
                                  "\"%s\" does not begin with its number %zu, as the lines before",
                                  labels_quote(*name).text, classes->count);
    while (digits < name->bytes && (name->text[digits] == ' ' || name->text[digits] == '\t'))
        digits++;
    name->text += digits;
    name->bytes -= digits;
    return 0;
}

int label_classes_add(struct label_classes *classes, const char *name, size_t bytes,
                      const char *place, struct error *err)
{
    struct labels_quote quote = labels_quote((struct labels_field){ name, bytes });
    if (bytes == 0 || bytes > LABELS_NAME_BYTES_MAX || memchr(name, '\0', bytes))
        return error_set(err, ERROR_FORMAT, place, "class name \"%s\" must have 1 to %u letters",
                         quote.text, LABELS_NAME_BYTES_MAX);
    if (classes->count == LABELS_CLASSES_MAX)
        return error_set(err, ERROR_LIMIT, place, "more than %u classes", LABELS_CLASSES_MAX);
    char *copy = strndup(name, bytes);
    if (copy && label_classes_find(classes, copy) >= 0) {
        int known = label_classes_find(classes, copy);
        free(copy);
        return error_set(err, ERROR_FORMAT, place, "\"%s\" is class %d already", quote.text, known);
    }
    if (!classes->names)
        classes->names = calloc(LABELS_CLASSES_MAX, sizeof *classes->names);
    if (!copy || !classes->names) {
        free(copy);
        return error_set(err, ERROR_MEMORY, place, "no room for a class name");
    }
    classes->names[classes->count++] = copy;
    return 0;
}

int label_classes_find(const struct label_classes *classes, const char *name)
{
    for (size_t i = 0; i < classes->count; i++)
        if (strcmp(classes->names[i], name) == 0)
            return (int)i;
    return -1;
}

const char *label_classes_nearest(const struct label_classes *classes, const char *name)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    for (size_t i = 0; i < classes->count; i++)
        if (text_is_nearer(name, classes->names[i], &best))
            nearest = classes->names[i];
    return nearest;
}

void label_classes_finish(struct label_classes *classes)
{
    for (size_t i = 0; i < classes->count; i++)
        free(classes->names[i]);
    free(classes->names);
    *classes = (struct label_classes){ 0 };
}
