/* wire: stream.proto messages to and from bytes, with every length checked before use.
 *
 * The protobuf-c structs (Runespoor__Header and friends) are what both daemons fill and read; this
 * module packs, parses and validates them, so that no other code looks at bytes from a peer. */
#ifndef RUNESPOOR_NET_WIRE_H
#define RUNESPOOR_NET_WIRE_H

#include "base/error.h"
#include "stream.pb-c.h"
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION_MAJOR 1u
#define WIRE_VERSION_MINOR 0u
#define WIRE_VERSION ((WIRE_VERSION_MAJOR << 16) | WIRE_VERSION_MINOR)

#define WIRE_HEADER_BYTES_MAX (256u * 1024u) /* an answer with its runs fits */
#define WIRE_PAYLOAD_BYTES_MAX (8u << 20)    /* the largest keyframe; config may lower it */
#define WIRE_NAME_BYTES_MAX 64u              /* stream, agent, model: [A-Za-z0-9._-], 1..64 */
#define WIRE_OBJECTS_MAX 1000u
#define WIRE_SIDE_MAX 8192u /* pixels */

/* Parses and validates a header: names well-formed, sizes and counts in range, a payload present
 * exactly where the kind has one, finite coordinates. Returns 0 and *header (free with
 * wire_free); -ERROR_FORMAT with field and value otherwise; -ERROR_UNSUPPORTED for an unknown kind.
 */
int wire_parse(Runespoor__Header **header, const void *bytes, size_t size, size_t payload_size,
               struct error *err);
void wire_free(Runespoor__Header **header);

/* Size of the packed header, and packing into a buffer of at least that size. */
size_t wire_packed_size(const Runespoor__Header *header);
void wire_pack(const Runespoor__Header *header, void *bytes);

/* 1..WIRE_NAME_BYTES_MAX characters of [A-Za-z0-9._-], not starting with '.' or '-'. */
int wire_check_name(const char *name, const char *place, struct error *err);

/* The word of a header's kind ("packet"), for logs and metrics; "unknown" otherwise. */
const char *wire_kind_word(const Runespoor__Header *header);

#endif
