/* wire: stream.proto messages to and from bytes, with every length checked before use.
 *
 * The protobuf-c structs (Runespoor__Header and friends) are what both daemons fill and read; this
 * module packs, parses and validates them, so that no other code looks at bytes from a peer. */
#ifndef RUNESPOOR_NET_WIRE_H
#define RUNESPOOR_NET_WIRE_H

#include "base/error.h"
#include "stream.pb-c.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION_MAJOR 1u
#define WIRE_VERSION_MINOR 0u
#define WIRE_VERSION ((WIRE_VERSION_MAJOR << 16) | WIRE_VERSION_MINOR)

#define WIRE_HEADER_BYTES_MAX (256u << 10) /* an answer with its runs fits */
#define WIRE_PAYLOAD_BYTES_MAX (8u << 20)    /* the largest keyframe; config may lower it */
#define WIRE_SLICE_BYTES_MAX 1200u           /* of a probe: a short message on the slowest link */
#define WIRE_NAME_BYTES_MAX 64u              /* stream, agent, model: [A-Za-z0-9._-], 1..64 */
#define WIRE_TEXT_BYTES_MAX 512u             /* reasons and software: UTF-8 for people */
#define WIRE_LABEL_BYTES_MAX 64u             /* class names, reasons of drops, error words: UTF-8 */
#define WIRE_OBJECTS_MAX 1000u
#define WIRE_AREAS_MAX 256u
#define WIRE_DROPS_MAX 32u
#define WIRE_CODECS_MAX 16u
#define WIRE_FIGURES_MAX 16u      /* of a tail */
#define WIRE_PROBABILITY_MIN 1e-6 /* one so rare would weigh a million others */
#define WIRE_SIDE_MAX 8192u       /* pixels */
#define WIRE_CREDITS_MAX 1024u    /* frames in flight */
#define WIRE_REPORT_MS_MAX 60000u /* between two reports */
#define WIRE_RETRY_MS_MAX 3600000u
#define WIRE_CODE_LEAVING "leaving" /* Refuse.code: the server stops, another one may serve at once */
/* What a header may unfold to in memory: a few bytes on the wire can name many empty objects. */
#define WIRE_UNFOLDED_BYTES_MAX (1u << 20)

/* Parses and validates a header: names well-formed, sizes and counts in range, a payload present
 * exactly where the kind has one, finite coordinates, mask runs within their mask, session never 0.
 * Every string is valid UTF-8 and bounded. A Hello of another major version is only checked as far
 * as it must be read to refuse it in words (names, software).
 * Returns 0 and *header (free with wire_free); -ERROR_FORMAT with field and value; -ERROR_LIMIT
 * when it would unfold to too much; -ERROR_UNSUPPORTED for an unknown kind. */
int wire_parse(Runespoor__Header **header, const void *bytes, size_t size, size_t payload_size,
               struct error *err);
void wire_free(Runespoor__Header **header);

/* Size of the packed header, and packing into a buffer of at least that size. */
size_t wire_packed_size(const Runespoor__Header *header);
void wire_pack(const Runespoor__Header *header, void *bytes);

/* 1..WIRE_NAME_BYTES_MAX characters of [A-Za-z0-9._-], not starting with '.' or '-'. */
int wire_check_name(const char *name, const char *place, struct error *err);

/* The same, with an optional '*' at the end that stands for any rest ("yard-*", "*"). */
int wire_check_pattern(const char *pattern, const char *place, struct error *err);
bool wire_pattern_matches(const char *pattern, const char *name);

/* Copies text for people into out, so that the peer will take it: invalid UTF-8 becomes '?', what
 * does not fit is cut between two characters. out_bytes includes the NUL; for a reason
 * WIRE_TEXT_BYTES_MAX + 1, for a label WIRE_LABEL_BYTES_MAX + 1. */
void wire_copy_text(char *out, size_t out_bytes, const char *text);

/* The word of a header's kind ("packet"), for logs and metrics; "unknown" otherwise. */
const char *wire_kind_word(const Runespoor__Header *header);

#endif
