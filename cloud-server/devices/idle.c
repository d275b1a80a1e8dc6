/* idle: see the header for the rule. */
#include "devices/idle.h"

#include "base/clock.h"

#include <assert.h>

static uint64_t silence_ns(uint64_t interval_ns);
static bool stands_idle(const struct worker_load *load);
static bool others_suffice(const struct worker_load *loads, size_t count, size_t but, double rate_hz);
static bool fits_gap(const struct worker_load *load, size_t model,
                     const struct idle_forecast *forecast, uint64_t now_ns);

void idle_note_arrival(struct idle_arrivals *arrivals, uint64_t now_ns)
{
    uint64_t gap_ns = now_ns - arrivals->last_ns;
    uint64_t limit_ns =
        arrivals->interval_ns > 0 ? silence_ns(arrivals->interval_ns) : IDLE_INTERVAL_MAX_NS;
    if (arrivals->last_ns == 0 || gap_ns > limit_ns)
        arrivals->interval_ns = 0;
    else
        arrivals->interval_ns = choose_mean_ns(arrivals->interval_ns, gap_ns);
    arrivals->last_ns = now_ns;
}

void idle_forecast_init(struct idle_forecast *forecast)
{
    *forecast = (struct idle_forecast){ .next_ns = UINT64_MAX, .silent_ns = UINT64_MAX };
}

void idle_forecast_add(struct idle_forecast *forecast, const struct idle_arrivals *arrivals,
                       uint64_t now_ns)
{
    uint64_t interval_ns = arrivals->interval_ns;
    uint64_t silent_ns = arrivals->last_ns + silence_ns(interval_ns);
    if (arrivals->last_ns == 0 || now_ns >= silent_ns)
        return;
    uint64_t next_ns = now_ns; /* while the interval is not known, at any moment */
    if (interval_ns > 0) {
        next_ns = arrivals->last_ns + interval_ns - interval_ns / IDLE_EARLY_PART;
        forecast->rate_hz += (double)CLOCK_NS_PER_S / (double)interval_ns;
    }
    if (next_ns < forecast->next_ns)
        forecast->next_ns = next_ns;
    if (silent_ns < forecast->silent_ns)
        forecast->silent_ns = silent_ns;
}

size_t idle_choose(const struct worker_load *loads, size_t count, size_t model,
                   const struct idle_forecast *forecast, uint64_t now_ns, uint64_t *again_ns)
{
    assert(count <= POOL_WORKERS_MAX && model < POOL_MODELS_MAX);
    size_t best = CHOOSE_NONE;
    bool kept = false;
    for (size_t i = 0; i < count; i++) {
        if (!stands_idle(&loads[i]))
            continue;
        if (!others_suffice(loads, count, i, forecast->rate_hz) &&
            !fits_gap(&loads[i], model, forecast, now_ns))
            kept = true;
        else if (best == CHOOSE_NONE || loads[i].mean_ns > loads[best].mean_ns)
            best = i;
    }
    /* Time alone makes a gap only shorter, until a stream turns silent; what else may bring one, a
     * picture that comes or is done, asks by itself. */
    *again_ns = best == CHOOSE_NONE && kept ? forecast->silent_ns : 0;
    return best;
}

uint64_t idle_mean_ns(uint64_t mean_ns, uint64_t took_ns)
{
    bool disturbed = mean_ns > 0 && took_ns > 2 * mean_ns;
    return choose_mean_ns(mean_ns, disturbed ? 2 * mean_ns : took_ns);
}

/* How long after its last picture a stream is active; interval_ns 0: not known. */
static uint64_t silence_ns(uint64_t interval_ns)
{
    uint64_t ns = IDLE_SILENT_INTERVALS * interval_ns;
    return ns > IDLE_SILENT_MIN_NS ? ns : IDLE_SILENT_MIN_NS;
}

static bool stands_idle(const struct worker_load *load)
{
    return load->ready && load->jobs == 0;
}

/* A stream of which nobody knows the interval adds nothing to rate_hz: its second picture finds the
 * other idle worker, and then it is known. A worker of unknown speed adds nothing to theirs. */
static bool others_suffice(const struct worker_load *loads, size_t count, size_t but, double rate_hz)
{
    bool idle = false;
    double speed_hz = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == but || !loads[i].ready || (loads[i].jobs > 0 && loads[i].idle))
            continue;
        idle = idle || loads[i].jobs == 0;
        if (loads[i].mean_ns > 0)
            speed_hz += (double)CLOCK_NS_PER_S / (double)loads[i].mean_ns;
    }
    return idle && IDLE_OTHERS_PART * rate_hz <= speed_hz;
}

static bool fits_gap(const struct worker_load *load, size_t model,
                     const struct idle_forecast *forecast, uint64_t now_ns)
{
    uint64_t needs_ns = load->idle_mean_ns[model];
    if (forecast->next_ns == UINT64_MAX)
        return true;
    return needs_ns > 0 && now_ns + needs_ns + needs_ns / IDLE_LATE_PART <= forecast->next_ns;
}
