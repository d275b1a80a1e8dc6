/* labels_coco: COCO's JSON by json-c, which holds the whole tree in memory (about ten times the file).
 * Ids of pictures and categories are sorted once and then searched by halves, so that time grows with
 * the file and not with its square. Mistakes are told by element: "annotations[12].bbox". */
#include "learn/labels.h"
#include "learn/labels_text.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32
#define PLACE_BYTES 128u

/* A picture's or category's id, and what it stands for in the set. */
struct coco_id {
    int64_t id;
    size_t index;   /* of the picture or class; SIZE_MAX: none of ours */
    size_t element; /* where it stands in the file */
};

struct coco_ids {
    struct coco_id *items;
    size_t count;
};

struct coco {
    const char *file;
    struct json_object *root;
    struct label_boxes *boxes;
    struct label_classes *classes;
    const struct label_pictures *pictures;
    struct coco_ids images, categories;
};

static int parse_json(struct coco *coco, const char *bytes, size_t size, struct error *err);
static int read_categories(struct coco *coco, struct error *err);
static int read_images(struct coco *coco, struct error *err);
static int read_annotations(struct coco *coco, struct error *err);

int labels_parse_coco(struct label_boxes *boxes, struct label_classes *classes,
                      const struct label_pictures *pictures, const char *file, const char *bytes,
                      size_t size, struct error *err)
{
    assert(boxes && classes && pictures && file && size <= LABELS_FILE_BYTES_MAX);
    struct coco coco = { .file = file, .boxes = boxes, .classes = classes, .pictures = pictures };
    int failed = parse_json(&coco, bytes, size, err);
    if (!failed)
        failed = read_categories(&coco, err);
    if (!failed)
        failed = read_images(&coco, err);
    if (!failed)
        failed = read_annotations(&coco, err);
    free(coco.images.items);
    free(coco.categories.items);
    json_object_put(coco.root);
    return failed;
}

static uint32_t line_of(const char *bytes, size_t offset)
{
    uint32_t line = 1;
    for (size_t i = 0; i < offset; i++)
        line += bytes[i] == '\n';
    return line;
}

static int parse_json(struct coco *coco, const char *bytes, size_t size, struct error *err)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
    if (!tokener)
        return error_set(err, ERROR_MEMORY, coco->file, "no room for a JSON parser");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    coco->root = json_tokener_parse_ex(tokener, bytes, (int)size);
    enum json_tokener_error problem = json_tokener_get_error(tokener);
    size_t stopped = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    if (problem == json_tokener_success && json_object_is_type(coco->root, json_type_object))
        return 0;
    return error_set(err, ERROR_FORMAT, labels_place(coco->file, line_of(bytes, stopped)).text,
                     "not COCO's JSON: %s",
                     problem == json_tokener_success    ? "must be an object, {…}"
                     : problem == json_tokener_continue ? "it ends too early"
                                                        : json_tokener_error_desc(problem));
}

/* "images[3].id" */
struct coco_place {
    char text[PLACE_BYTES];
};

static struct coco_place place_of(const char *list, size_t element, const char *key)
{
    struct coco_place place;
    snprintf(place.text, sizeof place.text, "%s[%zu]%s%s", list, element, *key ? "." : "", key);
    return place;
}

static int mistake(const struct coco *coco, const char *list, size_t element, const char *key,
                   const char *message, struct error *err)
{
    return error_set(err, ERROR_FORMAT, coco->file, "%s: %s", place_of(list, element, key).text,
                     message);
}

static int take_list(const struct coco *coco, const char *key, struct json_object **list,
                     struct error *err)
{
    if (json_object_object_get_ex(coco->root, key, list) &&
        json_object_is_type(*list, json_type_array))
        return 0;
    return error_set(err, ERROR_FORMAT, coco->file,
                     "has no list \"%s\"; COCO has images, annotations and categories", key);
}

/* The member must be an integer. */
static int take_integer(const struct coco *coco, struct json_object *list, const char *list_name,
                        size_t element, const char *key, int64_t *value, struct error *err)
{
    struct json_object *member = NULL;
    json_object_object_get_ex(json_object_array_get_idx(list, element), key, &member);
    if (!json_object_is_type(member, json_type_int))
        return mistake(coco, list_name, element, key, "must be an integer", err);
    *value = json_object_get_int64(member);
    return 0;
}

static int take_string(const struct coco *coco, struct json_object *list, const char *list_name,
                       size_t element, const char *key, const char **value, struct error *err)
{
    struct json_object *member = NULL;
    json_object_object_get_ex(json_object_array_get_idx(list, element), key, &member);
    if (!json_object_is_type(member, json_type_string) ||
        strlen(json_object_get_string(member)) != (size_t)json_object_get_string_len(member))
        return mistake(coco, list_name, element, key, "must be a string", err);
    *value = json_object_get_string(member);
    return 0;
}

static int compare_ids(const void *left, const void *right)
{
    const struct coco_id *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* All ids of a list, sorted; index is still to be filled in. */
static int take_ids(const struct coco *coco, struct json_object *list, const char *list_name,
                    struct coco_ids *ids, struct error *err)
{
    size_t count = json_object_array_length(list);
    ids->items = calloc(count + 1, sizeof *ids->items);
    if (!ids->items)
        return error_set(err, ERROR_MEMORY, coco->file, "no room for %zu %s", count, list_name);
    for (ids->count = 0; ids->count < count; ids->count++) {
        struct coco_id *id = &ids->items[ids->count];
        *id = (struct coco_id){ .index = SIZE_MAX, .element = ids->count };
        if (!json_object_is_type(json_object_array_get_idx(list, ids->count), json_type_object))
            return mistake(coco, list_name, ids->count, "", "must be an object, {…}", err);
        int failed = take_integer(coco, list, list_name, ids->count, "id", &id->id, err);
        if (failed)
            return failed;
    }
    qsort(ids->items, count, sizeof *ids->items, compare_ids);
    for (size_t i = 1; i < count; i++)
        if (ids->items[i].id == ids->items[i - 1].id)
            return mistake(coco, list_name, ids->items[i].element, "id", "is there twice", err);
    return 0;
}

static const struct coco_id *find_id(const struct coco_ids *ids, int64_t id)
{
    const struct coco_id key = { .id = id };
    return bsearch(&key, ids->items, ids->count, sizeof key, compare_ids);
}

/* Without classes of the set's own the categories are its classes; with them, a category may be none
 * of them as long as no box is of it. */
static int read_categories(struct coco *coco, struct error *err)
{
    static const char list_name[] = "categories";
    struct json_object *list;
    bool own_classes = coco->classes->count > 0;
    int failed = take_list(coco, list_name, &list, err);
    if (!failed)
        failed = take_ids(coco, list, list_name, &coco->categories, err);
    for (size_t i = 0; !failed && i < coco->categories.count; i++) {
        struct coco_id *category = &coco->categories.items[i];
        const char *name;
        failed = take_string(coco, list, list_name, category->element, "name", &name, err);
        if (failed)
            break;
        if (own_classes) {
            int class_id = label_classes_find(coco->classes, name);
            category->index = class_id < 0 ? SIZE_MAX : (size_t)class_id;
        } else {
            failed = label_classes_add(coco->classes, name, strlen(name),
                                       place_of(list_name, category->element, "name").text, err);
            if (failed)
                return error_wrap(err, "%s", coco->file);
            category->index = i;
        }
    }
    return failed;
}

/* What the file says of the picture's size, where it does. */
static int take_size(const struct coco *coco, struct json_object *list, const char *list_name,
                     const struct coco_id *image, struct error *err)
{
    struct json_object *object = json_object_array_get_idx(list, image->element);
    int64_t width, height;
    if (!json_object_object_get_ex(object, "width", NULL) ||
        !json_object_object_get_ex(object, "height", NULL))
        return 0;
    int failed = take_integer(coco, list, list_name, image->element, "width", &width, err);
    if (!failed)
        failed = take_integer(coco, list, list_name, image->element, "height", &height, err);
    if (failed)
        return failed;
    if (width < 1 || height < 1 || width > (int64_t)LABELS_NUMBER_MAX ||
        height > (int64_t)LABELS_NUMBER_MAX)
        return mistake(coco, list_name, image->element, "width", "is no size of a picture", err);
    coco->boxes->sizes[image->index] = (struct label_size){ (uint32_t)width, (uint32_t)height };
    return 0;
}

static int match_image(const struct coco *coco, struct json_object *list, const char *list_name,
                       struct coco_id *image, bool *listed, struct error *err)
{
    const char *name;
    int failed = take_string(coco, list, list_name, image->element, "file_name", &name, err);
    if (failed)
        return failed;
    const char *slash = strrchr(name, '/');
    image->index = coco->pictures->find(coco->pictures->arg, slash ? slash + 1 : name);
    if (image->index == SIZE_MAX)
        return 0;
    assert(image->index < coco->boxes->picture_count);
    if (listed[image->index])
        return mistake(coco, list_name, image->element, "file_name", "is there twice", err);
    listed[image->index] = true;
    return take_size(coco, list, list_name, image, err);
}

static int read_images(struct coco *coco, struct error *err)
{
    static const char list_name[] = "images";
    struct json_object *list;
    int failed = take_list(coco, list_name, &list, err);
    if (!failed)
        failed = take_ids(coco, list, list_name, &coco->images, err);
    if (failed)
        return failed;
    bool *listed = calloc(coco->boxes->picture_count, sizeof *listed);
    if (!listed)
        return error_set(err, ERROR_MEMORY, coco->file, "no room for its pictures");
    for (size_t i = 0; !failed && i < coco->images.count; i++)
        failed = match_image(coco, list, list_name, &coco->images.items[i], listed, err);
    for (size_t p = 0; !failed && p < coco->boxes->picture_count; p++)
        if (!listed[p])
            failed = error_set(err, ERROR_FORMAT, coco->file,
                               "%s is not among its images; what is in it would count as nothing",
                               coco->pictures->name(coco->pictures->arg, p));
    free(listed);
    return failed;
}

static int take_bbox(const struct coco *coco, struct json_object *annotation, size_t element,
                     struct label_box *box, struct error *err)
{
    struct json_object *list = NULL;
    double *const numbers[] = { &box->x, &box->y, &box->width, &box->height };
    json_object_object_get_ex(annotation, "bbox", &list);
    if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) != 4)
        return mistake(coco, "annotations", element, "bbox",
                       "must be four numbers: left, top, width, height", err);
    for (size_t i = 0; i < 4; i++) {
        struct json_object *number = json_object_array_get_idx(list, i);
        if (!json_object_is_type(number, json_type_double) &&
            !json_object_is_type(number, json_type_int))
            return mistake(coco, "annotations", element, "bbox", "must be four numbers", err);
        *numbers[i] = json_object_get_double(number);
    }
    return 0;
}

static int read_annotation(struct coco *coco, struct json_object *list, size_t element,
                           struct error *err)
{
    static const char list_name[] = "annotations";
    struct json_object *annotation = json_object_array_get_idx(list, element), *crowd = NULL;
    if (!json_object_is_type(annotation, json_type_object))
        return mistake(coco, list_name, element, "", "must be an object, {…}", err);
    int64_t image_id, category_id;
    int failed = take_integer(coco, list, list_name, element, "image_id", &image_id, err);
    if (!failed)
        failed = take_integer(coco, list, list_name, element, "category_id", &category_id, err);
    if (failed)
        return failed;
    const struct coco_id *image = find_id(&coco->images, image_id);
    const struct coco_id *category = find_id(&coco->categories, category_id);
    if (!image)
        return mistake(coco, list_name, element, "image_id", "is not among the images", err);
    if (!category)
        return mistake(coco, list_name, element, "category_id", "is not among the categories", err);
    if (image->index == SIZE_MAX)
        return 0;
    if (category->index == SIZE_MAX)
        return mistake(coco, list_name, element, "category_id",
                       "its category's name is not one of data.classes", err);
    json_object_object_get_ex(annotation, "iscrowd", &crowd);
    struct label_box box = { .picture = (uint32_t)image->index,
                             .class_id = (uint32_t)category->index,
                             .line = (uint32_t)element,
                             .ignore = json_object_get_boolean(crowd) };
    failed = take_bbox(coco, annotation, element, &box, err);
    if (!failed && label_boxes_add(coco->boxes, &box, place_of(list_name, element, "bbox").text, err))
        failed = error_wrap(err, "%s", coco->file);
    return failed;
}

static int read_annotations(struct coco *coco, struct error *err)
{
    struct json_object *list;
    int failed = take_list(coco, "annotations", &list, err);
    size_t count = failed ? 0 : json_object_array_length(list);
    if (count > UINT32_MAX)
        return error_set(err, ERROR_LIMIT, coco->file, "has %zu annotations", count);
    for (size_t i = 0; !failed && i < count; i++)
        failed = read_annotation(coco, list, i, err);
    return failed;
}
