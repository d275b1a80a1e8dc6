/* clock: thin over the kernel's clocks; the only file that reads them. */
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;
    int failed = clock_gettime(id, &now);
    assert(!failed); /* only a wrong id or pointer can fail */
    (void)failed;
    return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
    return read_ns(CLOCK_REALTIME) / 1000;
}

uint64_t clock_thread_cpu_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

void clock_format_rfc3339(uint64_t wall_us, char text[CLOCK_RFC3339_BYTES])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || tm.tm_year > 9999 - 1900) {
        /* RFC 3339 has four digits for the year: later times are shown as its last moment. */
        snprintf(text, CLOCK_RFC3339_BYTES, "9999-12-31T23:59:59.999Z");
        return;
    }
    size_t used = strftime(text, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + used, CLOCK_RFC3339_BYTES - used, ".%03uZ", (unsigned)(wall_us / 1000 % 1000));
}

void clock_sleep_until_ns(uint64_t deadline_ns)
{
    struct timespec until = { .tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                              .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}
