/* idle: which worker may take an idle job, a picture that must cost live ones nothing. A worker cannot
 * be interrupted in a picture, so a live one that comes while it has an idle one at work waits for it.
 * Hence an idle job is given only while no live picture waits, to a worker without any job, and only
 * when one of these holds:
 *
 *   others   another worker stands idle too, so that the next live picture finds one, and those
 *            without an idle job at work can do all live pictures in half their time;
 *   gap      the worker is expected to be done before the next live picture comes, by margins for
 *            both. While no live stream is active the gap has no end.
 *
 * How long an idle job of a model takes on a worker is taken from the model's sample picture at first. Where
 * that is not known only the others or a gap without end will do. Nothing restores an idle job's picture,
 * so no plan has to be made for it.
 *
 * Pure functions of what is known, like choose.h. Times are those of clock_now_ns. */
#ifndef RUNESPOOR_DEVICES_IDLE_H
#define RUNESPOOR_DEVICES_IDLE_H

#include "devices/choose.h"

/* A stream whose next picture is overdue holds idle jobs back, for it may come at any moment; after so
 * many intervals without one it is no longer active. Not before so long, though: pictures that come
 * in bursts have short intervals, and of a stream with one picture nobody knows any. */
#define IDLE_SILENT_INTERVALS 8u
#define IDLE_SILENT_MIN_NS UINT64_C(1000000000)

/* A stream's first two pictures say nothing about its interval when they are farther apart. */
#define IDLE_INTERVAL_MAX_NS UINT64_C(10000000000)

/* Margins: a picture may come this part of its interval early (cameras, networks and decoders
 * jitter), and an idle job may take this part longer than its mean. */
#define IDLE_EARLY_PART 8u
#define IDLE_LATE_PART 4u

/* The others can do the live pictures when these take no more than one part in so many of their time:
 * at half load a picture rarely finds all of them busy. */
#define IDLE_OTHERS_PART 2u

/* When the pictures of one live stream came; all zeros before the first. */
struct idle_arrivals {
    uint64_t last_ns;
    uint64_t interval_ns; /* between two, lately; 0: not known */
};

/* What is to be expected of all live streams. */
struct idle_forecast {
    uint64_t next_ns;   /* no picture comes before, unless one is earlier than its margin allows;
                         * UINT64_MAX: no stream is active */
    uint64_t silent_ns; /* when the first of the active streams stops being so; else UINT64_MAX */
    double rate_hz;     /* pictures a second, all streams together */
};

/* A picture of the stream came at now_ns. The interval is a mean as choose_mean_ns makes it, and begins
 * anew with the first picture after a silence. */
void idle_note_arrival(struct idle_arrivals *arrivals, uint64_t now_ns);

/* A forecast without streams; then each is added, as it stands at now_ns. */
void idle_forecast_init(struct idle_forecast *forecast);
void idle_forecast_add(struct idle_forecast *forecast, const struct idle_arrivals *arrivals,
                       uint64_t now_ns);

/* The index of the worker to give an idle job of a model to, or CHOOSE_NONE: keep it. Only asked while
 * no live picture waits. Of several workers it is the slowest, which live pictures miss least. When it is kept although a worker stands idle, *again_ns is
 * the time at which to ask again if nothing has happened until then; else 0. */
size_t idle_choose(const struct worker_load *loads, size_t count, size_t model,
                   const struct idle_forecast *forecast, uint64_t now_ns, uint64_t *again_ns);

/* The mean after another idle job took took_ns (mean_ns 0: the first). One counts for no more than twice
 * the mean: had a disturbed one its full weight, jobs might never fit a gap again, and none would
 * come to correct it. */
uint64_t idle_mean_ns(uint64_t mean_ns, uint64_t took_ns);

#endif
