/* tail_lines: recorded lines of answers and probes, gathered by stream, and the probes of a stream by
 * setting, for figures that are made later. */
#ifndef RUNESPOOR_CONTROL_TAIL_LINES_H
#define RUNESPOOR_CONTROL_TAIL_LINES_H

#include "control/probe_sample.h"
#include "control/tail_window.h"

#define TAIL_LINES_STREAMS_MAX 4096u
#define TAIL_LINES_SETTINGS_MAX 4096u      /* of a stream */
#define TAIL_LINES_SECONDS_MAX (16u << 20) /* of a stream: half a year */

/* Bytes in one second. Lines come about in order, so a second may be there more than once. */
struct tail_traffic {
    uint64_t second; /* since 1970 */
    uint64_t answer_bytes, probe_bytes;
};

struct tail_probe {
    struct tail_sample sample; /* owns its classes */
    size_t setting;            /* index */
};

struct tail_class_name {
    char text[WIRE_LABEL_BYTES_MAX + 1];
};

struct tail_stream {
    char name[WIRE_NAME_BYTES_MAX + 1];
    uint64_t first_us, last_us;      /* capture times of its lines; last_us >= first_us */
    struct tail_setting *settings;   /* as they came first; class_count: SCORE_CLASSES_MAX */
    struct tail_probe *probes;       /* by capture time, once tail_lines_sort was called */
    struct tail_traffic *traffic;    /* as it came */
    struct tail_class_name *classes; /* their index is the class_id */
    size_t setting_count, probe_count, traffic_count, class_count;
    size_t setting_room, probe_room, traffic_room, class_room;
};

/* Filled by the functions below; others only read. */
struct tail_lines {
    struct tail_stream *streams; /* as they came first */
    size_t stream_count, stream_room;
    uint64_t line_count;    /* that were read */
    uint64_t refused_count; /* and that were not */
    struct probe_reader *reader;
};

int tail_lines_open(struct tail_lines **lines, struct error *err);
void tail_lines_close(struct tail_lines **lines); /* takes NULL */

/* Adds the lines of a file. One that cannot be read, or is beyond the limits above, is told on standard
 * error with file and line (ten of a file; then how many more) and counted, and so is a torn last line,
 * which is not. -ERROR_IO where the file cannot be read, -ERROR_MEMORY: what was added stays. */
int tail_lines_read(struct tail_lines *lines, const char *path, struct error *err);

/* Puts the probes of each stream in the order of their capture. */
void tail_lines_sort(struct tail_lines *lines);

#endif
