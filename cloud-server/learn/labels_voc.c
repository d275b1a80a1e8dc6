/* labels_voc: Pascal VOC's XML by expat. Of the tree only these are looked at, each at its place and
 * once; everything else (parts of objects have names and boxes too) is passed over:
 *
 *     annotation > size > width, height
 *     annotation > object > name, difficult
 *     annotation > object > bndbox > xmin, ymin, xmax, ymax
 *
 * A document type is refused, and with it every entity that could grow. */
#include "learn/labels.h"
#include "learn/labels_text.h"

#include <assert.h>
#include <expat.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64u
#define VALUE_BYTES_MAX 128u
#define MESSAGE_BYTES 256u

enum element {
    ELEMENT_NONE, /* above the root */
    ANNOTATION,
    SIZE,
    OBJECT,
    BNDBOX,
    WIDTH, /* from here on: elements with a value */
    HEIGHT,
    NAME,
    DIFFICULT,
    XMIN,
    YMIN,
    XMAX,
    YMAX,
    ELEMENT_COUNT
};

static const struct {
    const char *name;
    enum element parent;
} elements[ELEMENT_COUNT] = {
    [ANNOTATION] = { "annotation", ELEMENT_NONE },
    [SIZE] = { "size", ANNOTATION },
    [OBJECT] = { "object", ANNOTATION },
    [BNDBOX] = { "bndbox", OBJECT },
    [WIDTH] = { "width", SIZE },
    [HEIGHT] = { "height", SIZE },
    [NAME] = { "name", OBJECT },
    [DIFFICULT] = { "difficult", OBJECT },
    [XMIN] = { "xmin", BNDBOX },
    [YMIN] = { "ymin", BNDBOX },
    [XMAX] = { "xmax", BNDBOX },
    [YMAX] = { "ymax", BNDBOX },
};

struct voc {
    XML_Parser parser;
    const char *file;
    struct label_boxes *boxes;
    const struct label_classes *classes;
    uint32_t picture;
    struct error *err;
    int failed;
    enum element at; /* the innermost element that is looked at */
    unsigned passed; /* elements open inside of it that are not */
    char value[VALUE_BYTES_MAX + 1];
    size_t value_bytes;
    bool seen[ELEMENT_COUNT]; /* of the annotation's size, and of the present object */
    double numbers[ELEMENT_COUNT];
    int class_id;
    uint32_t object_line;
};

static void on_start(void *arg, const char *name, const char **attributes);
static void on_text(void *arg, const char *text, int bytes);
static void on_end(void *arg, const char *name);
static void on_doctype(void *arg, const char *name, const char *system, const char *public,
                       int has_subset);

int labels_parse_voc(struct label_boxes *boxes, uint32_t picture, const struct label_classes *classes,
                     const char *file, const char *bytes, size_t size, struct error *err)
{
    assert(boxes && classes && file && size <= LABELS_PICTURE_FILE_BYTES_MAX);
    struct voc voc = { .file = file,
                       .boxes = boxes,
                       .classes = classes,
                       .picture = picture,
                       .err = err,
                       .parser = XML_ParserCreate(NULL) };
    if (!voc.parser)
        return error_set(err, ERROR_MEMORY, file, "no room for an XML parser");
    XML_SetUserData(voc.parser, &voc);
    XML_SetElementHandler(voc.parser, on_start, on_end);
    XML_SetCharacterDataHandler(voc.parser, on_text);
    XML_SetStartDoctypeDeclHandler(voc.parser, on_doctype);
    if (XML_Parse(voc.parser, bytes, (int)size, XML_TRUE) != XML_STATUS_OK && !voc.failed)
        voc.failed =
            error_set(err, ERROR_FORMAT,
                      labels_place(file, (uint32_t)XML_GetCurrentLineNumber(voc.parser)).text,
                      "the XML is broken: %s", XML_ErrorString(XML_GetErrorCode(voc.parser)));
    XML_ParserFree(voc.parser);
    return voc.failed;
}

/* The first mistake ends the parsing. */
static void fail(struct voc *voc, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct voc *voc, uint32_t line, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    if (voc->failed)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    voc->failed =
        error_set(voc->err, ERROR_FORMAT, labels_place(voc->file, line).text, "%s", message);
    XML_StopParser(voc->parser, XML_FALSE);
}

static uint32_t line_now(const struct voc *voc)
{
    return (uint32_t)XML_GetCurrentLineNumber(voc->parser);
}

static struct labels_quote quote(const char *text)
{
    return labels_quote((struct labels_field){ text, strlen(text) });
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public,
                       int has_subset)
{
    (void)name, (void)system, (void)public, (void)has_subset;
    struct voc *voc = arg;
    fail(voc, line_now(voc), "has a document type; VOC labels have none");
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    (void)attributes;
    struct voc *voc = arg;
    if (voc->failed)
        return;
    enum element found = ELEMENT_NONE;
    for (enum element e = ANNOTATION; !voc->passed && e < ELEMENT_COUNT; e++)
        if (elements[e].parent == voc->at && strcmp(elements[e].name, name) == 0)
            found = e;
    if (voc->at == ELEMENT_NONE && found == ELEMENT_NONE) {
        fail(voc, line_now(voc), "begins with <%s>; VOC labels begin with <annotation>",
             quote(name).text);
    } else if (found == ELEMENT_NONE) {
        if (++voc->passed > DEPTH_MAX)
            fail(voc, line_now(voc), "elements lie more than %u deep", DEPTH_MAX);
    } else if (found != OBJECT && voc->seen[found]) {
        fail(voc, line_now(voc), "there is a second <%s> in <%s>", name, elements[voc->at].name);
    } else {
        voc->seen[found] = true;
        voc->at = found;
        voc->value_bytes = 0;
        if (found == OBJECT) {
            voc->object_line = line_now(voc);
            for (enum element e = BNDBOX; e < ELEMENT_COUNT; e++)
                voc->seen[e] = e == WIDTH || e == HEIGHT ? voc->seen[e] : false;
        }
    }
}

static void on_text(void *arg, const char *text, int bytes)
{
    struct voc *voc = arg;
    if (voc->failed || voc->passed || voc->at < WIDTH)
        return;
    if (voc->value_bytes + (size_t)bytes > VALUE_BYTES_MAX) {
        fail(voc, line_now(voc), "<%s> has more than %u bytes", elements[voc->at].name,
             VALUE_BYTES_MAX);
        return;
    }
    memcpy(voc->value + voc->value_bytes, text, (size_t)bytes);
    voc->value_bytes += (size_t)bytes;
}

static struct labels_field trimmed_value(const struct voc *voc)
{
    static const char blanks[] = " \t\r\n";
    const char *start = voc->value, *end = voc->value + voc->value_bytes;
    while (start < end && memchr(blanks, *start, sizeof blanks - 1))
        start++;
    while (start < end && memchr(blanks, end[-1], sizeof blanks - 1))
        end--;
    return (struct labels_field){ start, (size_t)(end - start) };
}

static void take_name(struct voc *voc)
{
    struct labels_field field = trimmed_value(voc);
    char name[VALUE_BYTES_MAX + 1];
    memcpy(name, field.text, field.bytes);
    name[field.bytes] = '\0';
    voc->class_id = label_classes_find(voc->classes, name);
    if (voc->class_id >= 0)
        return;
    const char *nearest = label_classes_nearest(voc->classes, name);
    fail(voc, line_now(voc), "\"%s\" is not one of the classes%s%s%s", quote(name).text,
         nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
}

static void take_number(struct voc *voc)
{
    double *number = &voc->numbers[voc->at];
    if (!labels_number(trimmed_value(voc), number))
        fail(voc, line_now(voc), "\"%s\" in <%s> is not a number",
             labels_quote(trimmed_value(voc)).text, elements[voc->at].name);
    else if ((voc->at == WIDTH || voc->at == HEIGHT) &&
             !(*number >= 0 && *number <= LABELS_NUMBER_MAX && *number == floor(*number)))
        fail(voc, line_now(voc), "%g in <%s> is no size of a picture", *number,
             elements[voc->at].name);
}

static void take_size(struct voc *voc)
{
    if (voc->seen[WIDTH] && voc->seen[HEIGHT])
        voc->boxes->sizes[voc->picture] =
            (struct label_size){ (uint32_t)voc->numbers[WIDTH], (uint32_t)voc->numbers[HEIGHT] };
}

static void take_object(struct voc *voc)
{
    static const enum element needed[] = { NAME, BNDBOX, XMIN, YMIN, XMAX, YMAX };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!voc->seen[needed[i]]) {
            fail(voc, voc->object_line, "the <object> has no <%s>", elements[needed[i]].name);
            return;
        }
    const double *numbers = voc->numbers;
    const struct label_box box = {
        .x = numbers[XMIN] - 1, /* VOC counts pixels from 1, and both ends belong to the box */
        .y = numbers[YMIN] - 1,
        .width = numbers[XMAX] - numbers[XMIN] + 1,
        .height = numbers[YMAX] - numbers[YMIN] + 1,
        .picture = voc->picture,
        .class_id = (uint32_t)voc->class_id,
        .line = voc->object_line,
        .ignore = voc->seen[DIFFICULT] && numbers[DIFFICULT] != 0,
    };
    voc->failed =
        label_boxes_add(voc->boxes, &box, labels_place(voc->file, voc->object_line).text, voc->err);
    if (voc->failed)
        XML_StopParser(voc->parser, XML_FALSE);
}

static void on_end(void *arg, const char *name)
{
    (void)name;
    struct voc *voc = arg;
    if (voc->failed)
        return;
    if (voc->passed) {
        voc->passed--;
        return;
    }
    if (voc->at == NAME)
        take_name(voc);
    else if (voc->at >= WIDTH)
        take_number(voc);
    else if (voc->at == SIZE)
        take_size(voc);
    else if (voc->at == OBJECT)
        take_object(voc);
    voc->at = elements[voc->at].parent;
}
