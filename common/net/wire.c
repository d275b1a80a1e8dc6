/* wire: nothing from a peer is used before it passed here. The header's bytes are bounded first,
 * then what they unfold to (protobuf-c allocates as the bytes demand), then each field by the tables
 * of wire_check.c. */
#include "net/wire.h"

#include "base/text.h"
#include "net/wire_check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NAME_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define PRINTABLE_BYTES 41u /* of a bad value, shown in the error */

/* Given to protobuf-c for the time of one unpacking. */
struct budget {
    size_t left;
    bool exceeded;
};

static void *budget_alloc(void *arg, size_t size);
static void budget_free(void *arg, void *memory);
static void make_printable(char out[PRINTABLE_BYTES], const char *value);

int wire_parse(Runespoor__Header **header, const void *bytes, size_t size, size_t payload_size,
               struct error *err)
{
    assert(header && (bytes || size == 0));
    if (size == 0)
        return error_set(err, ERROR_FORMAT, "header", "is empty");
    if (size > WIRE_HEADER_BYTES_MAX)
        return error_set(err, ERROR_FORMAT, "header", "has %zu bytes, at most %u are taken", size,
                         WIRE_HEADER_BYTES_MAX);
    if (payload_size > WIRE_PAYLOAD_BYTES_MAX)
        return error_set(err, ERROR_FORMAT, "payload", "has %zu bytes, at most %u are taken",
                         payload_size, WIRE_PAYLOAD_BYTES_MAX);

    struct budget budget = { .left = WIRE_UNFOLDED_BYTES_MAX };
    ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
    Runespoor__Header *fresh = runespoor__header__unpack(&allocator, size, bytes);
    if (!fresh && budget.exceeded)
        return error_set(err, ERROR_LIMIT, "header", "%zu bytes would unfold to more than %u", size,
                         WIRE_UNFOLDED_BYTES_MAX);
    if (!fresh)
        return error_set(err, ERROR_FORMAT, "header", "%zu bytes are not a message of stream.proto",
                         size);

    int result = wire_check_header(fresh, payload_size, err);
    if (result < 0) {
        wire_free(&fresh);
        return result;
    }
    *header = fresh;
    return 0;
}

void wire_free(Runespoor__Header **header)
{
    assert(header);
    /* The budget's allocator is plain malloc underneath, as is protobuf-c's own. */
    if (*header)
        runespoor__header__free_unpacked(*header, NULL);
    *header = NULL;
}

size_t wire_packed_size(const Runespoor__Header *header)
{
    return runespoor__header__get_packed_size(header);
}

void wire_pack(const Runespoor__Header *header, void *bytes)
{
    runespoor__header__pack(header, bytes);
}

int wire_check_name(const char *name, const char *place, struct error *err)
{
    assert(name && place);
    size_t size = strlen(name);
    char shown[PRINTABLE_BYTES];
    make_printable(shown, name);
    if (size < 1 || size > WIRE_NAME_BYTES_MAX)
        return error_set(err, ERROR_FORMAT, place,
                         "the name \"%s\" has %zu characters, 1 to %u are allowed", shown, size,
                         WIRE_NAME_BYTES_MAX);
    if (name[0] == '.' || name[0] == '-')
        return error_set(err, ERROR_FORMAT, place, "the name \"%s\" starts with '%c'", shown,
                         name[0]);
    if (strspn(name, NAME_ALPHABET) != size)
        return error_set(err, ERROR_FORMAT, place,
                         "the name \"%s\" has other characters than A-Z a-z 0-9 . _ -", shown);
    return 0;
}

int wire_check_pattern(const char *pattern, const char *place, struct error *err)
{
    assert(pattern && place);
    size_t size = strlen(pattern);
    if (size == 0 || size > WIRE_NAME_BYTES_MAX || pattern[size - 1] != '*')
        return wire_check_name(pattern, place, err);
    if (size == 1)
        return 0;
    char start[WIRE_NAME_BYTES_MAX + 1];
    memcpy(start, pattern, size - 1);
    start[size - 1] = '\0';
    return wire_check_name(start, place, err);
}

bool wire_pattern_matches(const char *pattern, const char *name)
{
    size_t size = strlen(pattern);
    if (size > 0 && pattern[size - 1] == '*')
        return strncmp(pattern, name, size - 1) == 0;
    return strcmp(pattern, name) == 0;
}

void wire_copy_text(char *out, size_t out_bytes, const char *text)
{
    assert(out && out_bytes > 0 && text);
    size_t size = strlen(text), used = 0;
    for (size_t at = 0; at < size;) {
        size_t bytes = text_utf8_bytes(text + at, size - at);
        size_t room = bytes ? bytes : 1;
        if (used + room >= out_bytes)
            break;
        if (bytes)
            memcpy(out + used, text + at, bytes);
        else
            out[used] = '?';
        used += room;
        at += room;
    }
    out[used] = '\0';
}

const char *wire_kind_word(const Runespoor__Header *header)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
        &runespoor__header__descriptor, (unsigned)header->kind_case);
    return field ? field->name : "unknown";
}

static void *budget_alloc(void *arg, size_t size)
{
    struct budget *budget = arg;
    if (size > budget->left) {
        budget->exceeded = true;
        return NULL;
    }
    budget->left -= size;
    return malloc(size);
}

static void budget_free(void *arg, void *memory)
{
    (void)arg;
    free(memory);
}

/* A bad value as it may stand in a log: cut, and without control characters. */
static void make_printable(char out[PRINTABLE_BYTES], const char *value)
{
    size_t used = 0;
    for (; value[used] && used < PRINTABLE_BYTES - 1; used++)
        out[used] = (char)(value[used] >= ' ' && value[used] <= '~' ? value[used] : '?');
    out[used] = '\0';
}
