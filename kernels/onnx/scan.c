/* scan: looks at the protobuf encoding itself before it is unpacked. protobuf-c's unpacking recurses
 * as deep as a file says and makes a structure of a few hundred bytes from two bytes of the file; a
 * file of 50 KB could overflow the stack, one of 10 MB take gigabytes. */
#include "onnx/reader.h"

/* model, graph, node, attribute, tensor, … : 8 in a usual file, and 3 more for each graph that a node holds */
#define DEPTH_MAX 32
#define FIELDS_MAX 2000000u /* a network of 20,000 nodes has about 400,000 */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct cursor {
    const uint8_t *at, *end;
};

static int scan_message(const ProtobufCMessageDescriptor *descriptor, struct cursor cursor,
                        int depth, size_t *fields, struct error *err);
static bool read_varint(struct cursor *cursor, uint64_t *number);
static bool skip_field(struct cursor *cursor, unsigned wire, struct cursor *inside);

int onnx_scan(const ProtobufCMessageDescriptor *message, const void *bytes, size_t size,
              size_t *fields, struct error *err)
{
    struct cursor cursor = { .at = bytes, .end = (const uint8_t *)bytes + size };
    return scan_message(message, cursor, 0, fields, err);
}

static int scan_message(const ProtobufCMessageDescriptor *descriptor, struct cursor cursor,
                        int depth, size_t *fields, struct error *err)
{
    if (depth > DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "file", "messages nest deeper than %d", DEPTH_MAX);
    uint64_t seen = 0; /* single messages met, by place in the descriptor */
    while (cursor.at < cursor.end) {
        uint64_t tag;
        struct cursor inside = { 0 };
        if (!read_varint(&cursor, &tag) || tag > UINT32_MAX ||
            !skip_field(&cursor, (unsigned)tag & 7, &inside))
            return error_set(err, ERROR_FORMAT, "file", "is cut short or not an ONNX model (%s)",
                             descriptor->short_name);
        if (++*fields > FIELDS_MAX)
            return error_set(err, ERROR_LIMIT, "file", "more than %u fields", FIELDS_MAX);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE || !inside.at)
            continue;
        uint64_t bit = (uint64_t)1 << ((unsigned)(field - descriptor->fields) & 63);
        if (field->label != PROTOBUF_C_LABEL_REPEATED && (seen & bit))
            return error_set(err, ERROR_FORMAT, "file", "%s has two of %s", descriptor->short_name,
                             field->name);
        seen |= bit;
        int rc = scan_message(field->descriptor, inside, depth + 1, fields, err);
        if (rc)
            return rc;
    }
    return 0;
}

static bool read_varint(struct cursor *cursor, uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;
        *number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* Steps over a field's value; inside is what a length-delimited one holds. */
static bool skip_field(struct cursor *cursor, unsigned wire, struct cursor *inside)
{
    uint64_t number, length;
    switch (wire) {
    case WIRE_VARINT:
        return read_varint(cursor, &number);
    case WIRE_64:
        length = 8;
        break;
    case WIRE_32:
        length = 4;
        break;
    case WIRE_BYTES:
        if (!read_varint(cursor, &length))
            return false;
        break;
    default:
        return false; /* groups, which nobody writes any more, and nonsense */
    }
    if (length > (size_t)(cursor->end - cursor->at))
        return false;
    if (wire == WIRE_BYTES)
        *inside = (struct cursor){ .at = cursor->at, .end = cursor->at + length };
    cursor->at += length;
    return true;
}
