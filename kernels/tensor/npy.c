/* npy: "\x93NUMPY", two bytes of version, the length of the header, the header, the data. The header is a Python
 * dictionary of three entries: descr (the type), fortran_order and shape. */
#include "tensor/npy.h"
#include "base/file.h"
#include "tensor/number.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "data is little endian and copied as it is"
#endif

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6u
#define HEADER_BYTES_MAX 65535u /* as version 1 has it; what NumPy writes has 118 */
#define DATA_ALIGNMENT 64u      /* where NumPy begins the data */
#define WORD_BYTES 32u

static const struct {
    const char *word; /* NumPy's */
    enum tensor_type type;
} types[] = {
    { "<f4", TENSOR_F32 }, { "<f8", TENSOR_F64 }, { "<f2", TENSOR_F16 }, { "<i8", TENSOR_I64 },
    { "<i4", TENSOR_I32 }, { "<i2", TENSOR_I16 }, { "|i1", TENSOR_I8 },  { "<u8", TENSOR_U64 },
    { "<u4", TENSOR_U32 }, { "<u2", TENSOR_U16 }, { "|u1", TENSOR_U8 },  { "|b1", TENSOR_BOOL },
};

/* What is left of a header. */
struct cursor {
    const char *at, *end;
};

struct header {
    char type[WORD_BYTES];
    bool fortran;
    struct shape shape;
    bool has_type, has_order, has_shape;
};

static int find_header(const uint8_t *bytes, size_t size, struct cursor *header, struct error *err);
static int read_header(struct cursor cursor, struct header *header, struct error *err);
static bool read_entry(struct cursor *cursor, struct header *header);
static bool read_text(struct cursor *cursor, char text[WORD_BYTES]);
static bool read_flag(struct cursor *cursor, bool *flag);
static bool read_shape(struct cursor *cursor, struct shape *shape);
static bool read_size(struct cursor *cursor, int64_t *size);
static bool take(struct cursor *cursor, const char *word);
static int find_type(const char *word, enum tensor_type *type, struct error *err);
static int check_data(const struct header *header, enum tensor_type type, size_t size,
                      struct error *err);
static int write_tensor(const struct tensor *tensor, const char *path, struct error *err);
static void write_header(struct text *text, enum tensor_type type, const struct shape *shape);

int npy_read_file(struct tensor *tensor, const char *path, struct error *err)
{
    struct text text = { 0 };
    int rc = file_read_text(path, HEADER_BYTES_MAX + TENSOR_BYTES_MAX, &text, err);
    if (!rc) {
        rc = npy_read_bytes(tensor, text.data, text.size, err);
        if (rc && err)
            error_wrap(err, "%.200s", path);
    }
    text_finish(&text);
    return rc;
}

int npy_read_bytes(struct tensor *tensor, const void *bytes, size_t size, struct error *err)
{
    struct cursor cursor;
    struct header header = { 0 };
    enum tensor_type type = TENSOR_NONE;
    int rc = find_header(bytes, size, &cursor, err);
    if (rc || (rc = read_header(cursor, &header, err)) || (rc = find_type(header.type, &type, err)))
        return rc;
    size_t data_bytes = size - (size_t)(cursor.end - (const char *)bytes);
    if ((rc = check_data(&header, type, data_bytes, err)) ||
        (rc = tensor_create(tensor, type, &header.shape, err)))
        return rc;
    memcpy(tensor->data, cursor.end, data_bytes);
    for (size_t i = 0; type == TENSOR_BOOL && i < data_bytes; i++)
        ((uint8_t *)tensor->data)[i] = ((uint8_t *)tensor->data)[i] != 0;
    return 0;
}

int npy_write_file(const struct tensor *tensor, const char *path, struct error *err)
{
    if (tensor->type != TENSOR_BF16)
        return write_tensor(tensor, path, err);
    struct tensor wide;
    int rc = tensor_create(&wide, TENSOR_F32, &tensor->shape, err);
    if (rc)
        return rc;
    for (int64_t i = 0, count = shape_elements(&wide.shape); i < count; i++)
        ((float *)wide.data)[i] = float_from_bfloat(((const uint16_t *)tensor->data)[i]);
    rc = write_tensor(&wide, path, err);
    tensor_free(&wide);
    return rc;
}

static int find_header(const uint8_t *bytes, size_t size, struct cursor *header, struct error *err)
{
    if (size < MAGIC_BYTES + 2 || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0)
        return error_set(err, ERROR_FORMAT, "file", "is no .npy file: numpy.save writes them");
    int major = bytes[MAGIC_BYTES], minor = bytes[MAGIC_BYTES + 1];
    if (major < 1 || major > 3 || minor != 0)
        return error_set(err, ERROR_UNSUPPORTED, "file",
                         "version %d.%d of the .npy format; 1.0 to 3.0 are supported", major, minor);
    size_t at = MAGIC_BYTES + 2, length_bytes = major == 1 ? 2 : 4, length = 0;
    if (size < at + length_bytes)
        return error_set(err, ERROR_FORMAT, "file", "is cut short in the header");
    for (size_t i = 0; i < length_bytes; i++)
        length |= (size_t)bytes[at + i] << 8 * i;
    at += length_bytes;
    if (length > HEADER_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "header", "%zu bytes; at most %u", length,
                         HEADER_BYTES_MAX);
    if (size - at < length)
        return error_set(err, ERROR_FORMAT, "file", "is cut short in the header");
    *header = (struct cursor){ (const char *)bytes + at, (const char *)bytes + at + length };
    return 0;
}

/* All three entries, each once, and white space behind. */
static int read_header(struct cursor cursor, struct header *header, struct error *err)
{
    bool good = take(&cursor, "{");
    while (good && !take(&cursor, "}")) {
        good = read_entry(&cursor, header);
        if (good && !take(&cursor, ",")) {
            good = take(&cursor, "}");
            break;
        }
    }
    good = good && header->has_type && header->has_order && header->has_shape;
    while (good && cursor.at < cursor.end)
        good = *cursor.at == ' ' || *cursor.at == '\n', cursor.at++;
    return good ? 0
                : error_set(err, ERROR_FORMAT, "header",
                            "is not as numpy.save writes it: {'descr': '<f4', 'fortran_order': "
                            "False, 'shape': (1, 3), } with at most %d sizes",
                            SHAPE_RANK_MAX);
}

static bool read_entry(struct cursor *cursor, struct header *header)
{
    char key[WORD_BYTES];
    bool *has;
    if (!read_text(cursor, key) || !take(cursor, ":"))
        return false;
    if (strcmp(key, "descr") == 0)
        has = read_text(cursor, header->type) ? &header->has_type : NULL;
    else if (strcmp(key, "fortran_order") == 0)
        has = read_flag(cursor, &header->fortran) ? &header->has_order : NULL;
    else
        has = strcmp(key, "shape") == 0 && read_shape(cursor, &header->shape) ? &header->has_shape
                                                                              : NULL;
    if (!has || *has)
        return false;
    *has = true;
    return true;
}

static bool read_text(struct cursor *cursor, char text[WORD_BYTES])
{
    char quote = take(cursor, "'") ? '\'' : '"';
    size_t used = 0;
    if (quote == '"' && !take(cursor, "\""))
        return false;
    while (cursor->at < cursor->end && *cursor->at != quote) {
        if (used == WORD_BYTES - 1 || *cursor->at == '\\' || *cursor->at == '\0')
            return false;
        text[used++] = *cursor->at++;
    }
    text[used] = '\0';
    if (cursor->at == cursor->end)
        return false;
    cursor->at++;
    return true;
}

static bool read_flag(struct cursor *cursor, bool *flag)
{
    *flag = take(cursor, "True");
    return *flag || take(cursor, "False");
}

/* "()", "(3,)", "(3, 4)" and "(3, 4,)". */
static bool read_shape(struct cursor *cursor, struct shape *shape)
{
    *shape = (struct shape){ 0 };
    if (!take(cursor, "("))
        return false;
    bool comma = true;
    while (!take(cursor, ")")) {
        if (!comma || shape->rank == SHAPE_RANK_MAX || !read_size(cursor, &shape->dim[shape->rank++]))
            return false;
        comma = take(cursor, ",");
    }
    return shape->rank != 1 || comma; /* (3) is a number in Python */
}

static bool read_size(struct cursor *cursor, int64_t *size)
{
    bool any = false;
    take(cursor, "");
    for (*size = 0; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; any = true) {
        *size = 10 * *size + (*cursor->at++ - '0');
        if ((uint64_t)*size > TENSOR_BYTES_MAX)
            return false;
    }
    return any;
}

/* Steps over spaces, and over the word if it comes next. */
static bool take(struct cursor *cursor, const char *word)
{
    while (cursor->at < cursor->end && *cursor->at == ' ')
        cursor->at++;
    size_t bytes = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < bytes || memcmp(cursor->at, word, bytes) != 0)
        return false;
    cursor->at += bytes;
    return true;
}

static int find_type(const char *word, enum tensor_type *type, struct error *err)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].word, word) == 0) {
            *type = types[i].type;
            return 0;
        }
    if (word[0] == '>')
        return error_set(err, ERROR_UNSUPPORTED, "type",
                         "'%s' is big endian; save array.astype(array.dtype.newbyteorder('<'))",
                         word);
    return error_set(err, ERROR_UNSUPPORTED, "type",
                     "'%s' is not supported; floats, whole numbers and bool are, little endian",
                     word);
}

static int check_data(const struct header *header, enum tensor_type type, size_t size,
                      struct error *err)
{
    char text[128];
    int64_t elements = shape_elements(&header->shape);
    shape_format(&header->shape, text, sizeof text);
    if (header->fortran && header->shape.rank > 1)
        return error_set(err, ERROR_UNSUPPORTED, "order",
                         "the array lies in Fortran's order; save numpy.ascontiguousarray(array)");
    if (elements < 0)
        return error_set(err, ERROR_LIMIT, "shape", "%s is larger than %llu bytes", text,
                         (unsigned long long)TENSOR_BYTES_MAX);
    uint64_t wanted = (uint64_t)elements * tensor_type_bytes(type);
    if (size != wanted)
        return error_set(err, ERROR_FORMAT, "file",
                         "%zu bytes of data for %s of %s, which needs %llu", size, text,
                         tensor_type_word(type), (unsigned long long)wanted);
    return 0;
}

static int write_tensor(const struct tensor *tensor, const char *path, struct error *err)
{
    struct text text = { 0 };
    write_header(&text, tensor->type, &tensor->shape);
    text_add(&text, tensor->data, tensor_bytes(tensor));
    int rc = file_write_text(path, &text, err);
    text_finish(&text);
    return rc;
}

static void write_header(struct text *text, enum tensor_type type, const struct shape *shape)
{
    char header[256];
    size_t used = 0, begin = MAGIC_BYTES + 4;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type)
            used = (size_t)snprintf(header, sizeof header,
                                    "{'descr': '%s', 'fortran_order': False, 'shape': (",
                                    types[i].word);
    for (int i = 0; i < shape->rank; i++)
        used += (size_t)snprintf(header + used, sizeof header - used, "%s%lld", i ? ", " : "",
                                 (long long)shape->dim[i]);
    used +=
        (size_t)snprintf(header + used, sizeof header - used, "%s), }", shape->rank == 1 ? "," : "");
    while ((begin + used + 1) % DATA_ALIGNMENT)
        header[used++] = ' ';
    header[used++] = '\n';
    const char start[] = { 1, 0, (char)(used & 0xff), (char)(used >> 8) };
    text_add(text, MAGIC, MAGIC_BYTES);
    text_add(text, start, sizeof start);
    text_add(text, header, used);
}
