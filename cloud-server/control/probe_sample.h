/* probe_sample: what one probe said of the frame it was, as one JSON line among the answer lines
 * (net/answer_json.h); docs/protocol.md lists the keys. And the reader of such lines, for figures that are
 * made later. */
#ifndef RUNESPOOR_CONTROL_PROBE_SAMPLE_H
#define RUNESPOOR_CONTROL_PROBE_SAMPLE_H

#include "base/text.h"
#include "evaluate/scores.h"
#include "net/wire.h"

#define PROBE_LINE_BYTES_MAX (1u << 20)
struct probe_class {
    const char *name;
    struct score_counts counts;
};

/* All pointers are borrowed. */
struct probe_sample {
    const char *stream;
    uint64_t frame;
    uint64_t capture_unix_us; /* a line holds milliseconds */
    const char *rung;         /* at which the frame was sent, in words */
    const char *restored;     /* as in answers; "" where nothing was */
    const char *model;        /* that gave the answer */
    const char *golden;       /* whose answer counts as the truth */
    enum score_kind kind;
    double accuracy;    /* of the frame, 0..1; a line holds six decimals, and nine of the next */
    double probability; /* that it became a probe: WIRE_PROBABILITY_MIN..1 */
    double uncertainty_rank; /* of the answer (tail_figures.h); 0: not known */
    uint64_t wire_bytes; /* of the probe's slices, without their headers; an answer's: with them */
    const struct probe_class *classes; /* those that occur in either answer */
    size_t class_count;
};

/* Appends one line with its newline. Any thread. */
void probe_sample_write(struct text *text, const struct probe_sample *sample);

enum probe_line_kind { PROBE_LINE_PROBE, PROBE_LINE_ANSWER };

struct probe_line {
    enum probe_line_kind kind;
    struct probe_sample sample; /* of an answer: stream, capture_unix_us and wire_bytes alone */
};

/* What reading lines takes; one thread. */
struct probe_reader;

int probe_reader_open(struct probe_reader **reader, struct error *err);
void probe_reader_close(struct probe_reader **reader); /* takes NULL */

/* Reads one line, with its newline or without. What *line points to holds until the next call. Refuses
 * (ERROR_FORMAT, with the key) a line that is neither a probe's nor an answer's: names, texts, times and
 * numbers that could not be written, of a class twice; (ERROR_LIMIT) one of more than PROBE_LINE_BYTES_MAX
 * bytes; -ERROR_MEMORY. Keys that it does not know are skipped. */
int probe_reader_line(struct probe_reader *reader, const char *bytes, size_t size,
                      struct probe_line *line, struct error *err);

#endif
