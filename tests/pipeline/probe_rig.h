/* probe_rig: what tests of probes share: the lines that a server writes of them, the figures that it tells,
 * and a client that announces and sends probes as it likes. */
#ifndef RUNESPOOR_TESTS_PROBE_RIG_H
#define RUNESPOOR_TESTS_PROBE_RIG_H

#include "client.h"

#define PROBES_MAX 2000u
#define SLICE_BYTES 1100u /* what edge-agent sends at a time */

/* ---- lines ---- */

struct probe_seen {
    uint64_t frame, wire_bytes;
    char rung[WIRE_LABEL_BYTES_MAX + 1];
    double accuracy, probability, uncertainty_rank;
};

/* Reads a stream's probes from a server's JSON-lines file, all told that way and no other: of the model
 * street_det, which was its own golden one, with boxes, in the order of frames, each of a frame whose answer
 * "ok" stands in the same file with the same capture time. Fails the test otherwise. A line that is being
 * written does not count. Gives their number. */
size_t probes_read(const char *path, const char *stream, struct probe_seen seen[PROBES_MAX]);
/* How many the file has, read as it is. */
size_t probes_count(const char *path, const char *stream);

/* ---- figures ---- */

/* What /api/streams tells of a stream's tail; probes 0 and rung "" where it tells nothing. */
struct tail_seen {
    char rung[WIRE_LABEL_BYTES_MAX + 1];
    unsigned probes;
    bool mean_known, tail99_known;
    double mean, low, high;
};
void tail_get(uint16_t server_port, const char *stream, struct tail_seen *tail);

/* The process that a server started last for a worker of this name. */
pid_t worker_pid(const struct process *server, const char *name);

/* ---- a client's probes ---- */

/* Frame's picture once more, of this size and at source quality. The caller frees with packet_unref. */
struct packet *probe_encode(uint64_t frame, uint32_t width, uint32_t height);

void probe_send_start(struct client *client, uint64_t frame, const char *rung);
/* bytes: of the whole picture, as the slice says. */
void probe_send_slice(struct client *client, uint64_t frame, uint32_t slice, uint32_t bytes,
                      const void *payload, size_t payload_bytes);
/* The next receipt for something of a probe; fails the test when none comes. Answers on the way are passed
 * over. */
struct receipt {
    uint64_t frame;
    uint32_t slice;
    char refused[WIRE_LABEL_BYTES_MAX + 1];
};
struct receipt probe_wait_receipt(struct client *client);
/* Slices first..last - 1 of bytes, each after the receipt of the one before; all are taken, or the test
 * fails. */
void probe_send_slices(struct client *client, uint64_t frame, const void *bytes, size_t size,
                       uint32_t first, uint32_t last);
uint32_t probe_slices(size_t size);
void probe_send_bye(struct client *client);

#endif
