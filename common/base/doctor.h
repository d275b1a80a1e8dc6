/* doctor: looks for what is wrong before a daemon runs into it. Each check is tried in a process of its own
 * with a deadline, so that a driver, a disk or a name server that hangs costs its time and no more; it gives
 * one line: OK, WARN or FAIL, what was found, and what to do next. To be used before any thread is
 * started. */
#ifndef RUNESPOOR_BASE_DOCTOR_H
#define RUNESPOOR_BASE_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define DOCTOR_TEXT_BYTES 768u

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_finding {
    enum doctor_verdict verdict;
    char found[DOCTOR_TEXT_BYTES];
    char advice[DOCTOR_TEXT_BYTES]; /* what to do next; "": nothing */
    uint32_t numbers[3];            /* for checks that come later, if they ask for them */
};

struct doctor {
    FILE *out;
    unsigned counts[DOCTOR_FAIL + 1];
};

/* Runs in the process of its own; what it writes to standard error is not shown. A finding that it does not
 * touch is OK and says nothing. */
typedef void doctor_check_fn(const void *arg, struct doctor_finding *finding);

void doctor_found(struct doctor_finding *finding, enum doctor_verdict verdict, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));
void doctor_advise(struct doctor_finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Tries, and prints the line of name. *finding (may be NULL) is what it printed. One that does not come to its
 * end within deadline_ms is killed, and has failed. */
void doctor_check(struct doctor *doctor, const char *name, uint32_t deadline_ms,
                  doctor_check_fn *check, const void *arg, struct doctor_finding *finding);
/* Prints the line of something that was found without trying. */
void doctor_tell(struct doctor *doctor, const char *name, const struct doctor_finding *finding);
/* Prints the last line, "doctor: ok=… warn=… fail=…", and gives the exit status: 1 when anything has
 * failed. */
int doctor_end(struct doctor *doctor);

/* ---- checks of the host that both daemons share ---- */

/* That the monotonic clock runs, and what the wall clock says. */
void doctor_check_clock(struct doctor *doctor);
/* What they mean: the wall clock's time, how far the monotonic one went while it should have gone wanted_ns,
 * and whether the kernel calls the wall clock synchronised. */
void doctor_judge_clock(uint64_t wall_us, uint64_t gone_ns, uint64_t wanted_ns, bool synchronised,
                        struct doctor_finding *finding);
/* That a file can be appended to (the folder it lies in takes a new one and has room). It is not made, and
 * nothing is left behind. */
void doctor_check_file(struct doctor *doctor, const char *name, const char *path);
/* The same of a folder. */
void doctor_check_folder(struct doctor *doctor, const char *name, const char *path);

#endif
