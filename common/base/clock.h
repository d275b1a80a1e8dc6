/* clock: the two times this product knows. Monotonic nanoseconds measure; wall time is for people.
 */
#ifndef RUNESPOOR_BASE_CLOCK_H
#define RUNESPOOR_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_NS_PER_MS 1000000ull
#define CLOCK_NS_PER_S 1000000000ull
#define CLOCK_RFC3339_BYTES 32u

/* Nanoseconds of CLOCK_MONOTONIC. Any thread. */
uint64_t clock_now_ns(void);

/* Microseconds since 1970 (UTC). For people only; may jump. Any thread. */
uint64_t clock_wall_us(void);

/* Writes "2026-11-21T12:00:00.123Z" (UTC, milliseconds) into text. */
void clock_format_rfc3339(uint64_t wall_us, char text[CLOCK_RFC3339_BYTES]);

/* CPU time used by the calling thread, nanoseconds. */
uint64_t clock_thread_cpu_ns(void);

/* Sleeps until clock_now_ns() >= deadline_ns; goes on after signals. Not on the loop thread. */
void clock_sleep_until_ns(uint64_t deadline_ns);

#endif
