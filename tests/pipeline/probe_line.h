/* probe_line: a line between two network namespaces, as slow in one direction as it is told to be. A packet
 * begins when the one before has ended, takes as long as its bits do, and arrives as a whole then, as on a
 * serial line; or as through a token bucket, which lets a burst through at once and the rest at that speed.
 * (The kernel's holds one full packet at least, a tenth of a second at 108 kbit/s.)
 *
 * Namespaces and devices belong to the process that made them: whatever way it ends, the kernel takes them
 * away. One line at a time. */
#ifndef RUNESPOOR_TESTS_PROBE_LINE_H
#define RUNESPOOR_TESTS_PROBE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_AGENT "192.0.2.1" /* TEST-NET-1 */
#define LINE_SERVER "192.0.2.2"

enum line_side { SIDE_HOME, SIDE_AGENT, SIDE_SERVER };

struct line;

/* Whether this machine lets us; otherwise says why not, for people. */
bool line_possible(char *reason, size_t reason_bytes);

/* What to look at, by size in bytes, and what is held to be a line with nothing in it. */
struct line_watch {
    size_t bytes_min, bytes_max, empty_bytes_max;
};

/* Makes both namespaces, each with its loopback, and the line; starts its thread. up_kbps: from the agent's
 * side to the server's, by the bits of IP packets. burst_bytes: of the bucket; 0: a serial line. Fails the test where that cannot be. */
void line_open(struct line **line, uint32_t up_kbps, uint32_t burst_bytes, struct line_watch watch);
/* On the home side again afterwards. */
void line_close(struct line **line);

/* What this thread opens and starts from now on is on that side. */
void line_enter(const struct line *line, enum line_side side);

/* Of IP packets that went up so far. */
struct line_seen {
    uint64_t bytes;
    uint64_t watched;        /* packets of the sizes to look at */
    uint64_t watched_behind; /* of these: that found more in the line than an empty one has */
};
void line_get_seen(struct line *line, struct line_seen *seen);

#endif
