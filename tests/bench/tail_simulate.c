/* tail_simulate: see the header. What probes.c does with sockets around it is done here frame by frame: a
 * probe is drawn when there is none under way, and its slices go at the budget's pace, one behind a frame at
 * most. */
#include "tail_simulate.h"

#include "../../edge-agent/probe_budget.h"
#include "control/uncertainty_ranks.h"

/* What the agent expects of its first probe (edge-agent/probes.c). */
#define FIRST_BYTES_PER_PIXEL 0.2
#define START_UNIX_US 1767225600000000u /* of 2026 */
#define WINDOW_SECONDS UINT32_MAX       /* it ends by number */
#define SEED_OF_PHASE 0x7461696cu       /* another sequence than the budget's */
#define SEED_OF_LOTS 0x72616e6bu        /* and another one */

const size_t tail_checks[TAIL_CHECKS] = { 30,  40,  50,  60,  70,  80,  90,  100, 120,
                                          140, 170, 200, 250, 300, 400, 500, 700, 1000 };

struct run {
    const struct tail_stream *stream;
    struct probe_budget budget;
    struct tail_window *window;
    struct uncertainty_ranks ranks;
    uint64_t frames;
    double live_bytes, probe_bytes;
    /* The probe under way. */
    bool under_way;
    size_t frame;
    double relative, uncertainty_rank;
    uint32_t left, wire_bytes;
    double pace_s; /* when the next slice may go */
};

static size_t collect_classes(const struct scores *scores, size_t frame,
                              struct tail_class classes[SCORE_CLASSES_MAX])
{
    const struct score_counts *counts = scores_frame_counts(scores, frame);
    size_t count = 0;
    for (uint32_t c = 0; c < scores_class_count(scores); c++)
        if (counts[c].hits + counts[c].false_alarms + counts[c].misses > 0)
            classes[count++] = (struct tail_class){ .class_id = c, .counts = counts[c] };
    return count;
}

static uint64_t now_unix_us(const struct run *run)
{
    return START_UNIX_US + (uint64_t)((double)run->frames * 1e6 / run->stream->rung->truth->fps);
}

static int add_sample(struct run *run, struct error *err)
{
    const struct scores *seen = run->stream->rung->seen[run->stream->quality];
    struct tail_class classes[SCORE_CLASSES_MAX];
    const struct tail_sample sample = {
        .capture_unix_us = now_unix_us(run),
        .accuracy = scores_frame_accuracy(seen, run->frame),
        .weight = 1 / run->relative,
        .classes = classes,
        .class_count = collect_classes(seen, run->frame, classes),
        .uncertainty_rank = run->uncertainty_rank,
    };
    return tail_window_add(run->window, &sample, err);
}

static void spend(struct run *run, uint32_t bytes)
{
    run->wire_bytes += bytes;
    run->probe_bytes += bytes;
    probe_budget_spend(&run->budget, bytes);
}

/* True when the probe has gone whole. */
static bool send_slice(struct run *run)
{
    uint32_t bytes = run->left < TAIL_SLICE_BYTES ? run->left : TAIL_SLICE_BYTES;
    double now_s = (double)run->frames / run->stream->rung->truth->fps;
    if (now_s < run->pace_s || !probe_budget_allows(&run->budget, bytes))
        return false;
    run->left -= bytes;
    spend(run, bytes + TAIL_SLICE_HEADER_BYTES);
    run->pace_s = now_s + probe_budget_pace_s(&run->budget, bytes + TAIL_SLICE_HEADER_BYTES);
    return run->left == 0;
}

static void begin_probe(struct run *run, size_t frame, double relative)
{
    const struct tail_stream *stream = run->stream;
    const struct tail_truth *truth = stream->rung->truth;
    run->under_way = true;
    run->frame = frame;
    run->relative = relative;
    run->uncertainty_rank =
        stream->plain ? 0
                      : uncertainty_ranks_of(&run->ranks, (float)stream->rung->uncertainty[frame]);
    run->left = truth->probe_bytes[stream->quality][frame % truth->count];
    run->wire_bytes = 0;
    run->pace_s = 0;
    spend(run, TAIL_START_BYTES);
}

/* One frame; *ended says that a probe's sample has been added. */
static int step(struct run *run, size_t frame, bool *ended, struct error *err)
{
    const struct tail_rung *rung = run->stream->rung;
    double relative = 1;
    run->frames++;
    run->live_bytes += rung->wire_bytes[frame];
    probe_budget_on_frame(&run->budget, rung->wire_bytes[frame], 1 / rung->truth->fps);
    *ended = run->under_way && send_slice(run);
    uncertainty_ranks_add(&run->ranks, (float)rung->uncertainty[frame]);
    if (run->stream->uncertain)
        relative = probe_budget_relative(&run->budget, rung->uncertainty[frame]);
    if (*ended) {
        run->under_way = false;
        probe_budget_on_probe(&run->budget, run->wire_bytes);
        int rc = add_sample(run, err);
        if (rc < 0)
            return rc;
    }
    if (!run->under_way && probe_budget_draw(&run->budget, relative))
        begin_probe(run, frame, relative);
    return 0;
}

static void look(struct run *run, struct tail_check *check)
{
    *check = (struct tail_check){
        .hours = (double)run->frames / run->stream->rung->truth->fps / 3600,
        .bits_share = run->probe_bytes / (run->probe_bytes + run->live_bytes),
        .figures = *tail_window_figures(run->window, now_unix_us(run)),
    };
}

static int play(struct run *run, struct tail_check *checks, size_t checks_count, struct error *err)
{
    const size_t count = run->stream->rung->count;
    struct random_state random;
    random_seed(&random, run->stream->seed ^ SEED_OF_PHASE);
    size_t frame = random_next_u64(&random) % count;
    for (size_t probes = 0, done = 0; done < checks_count; frame = (frame + 1) % count) {
        bool ended;
        int rc = step(run, frame, &ended, err);
        if (rc < 0)
            return rc;
        probes += ended;
        if (ended && probes == tail_checks[done])
            look(run, &checks[done++]);
    }
    return 0;
}

int tail_simulate(const struct tail_stream *stream, struct tail_check *checks, size_t checks_count,
                  struct error *err)
{
    const struct tail_truth *truth = stream->rung->truth;
    const struct tail_window_config window = { .probes_max = (uint32_t)tail_checks[TAIL_CHECKS - 1],
                                               .seconds = WINDOW_SECONDS };
    const struct probe_budget_config budget = { .share = stream->share };
    struct run run = { .stream = stream };
    uncertainty_ranks_init(&run.ranks, stream->seed ^ SEED_OF_LOTS);
    probe_budget_init(&run.budget, &budget, FIRST_BYTES_PER_PIXEL * truth->width * truth->height,
                      stream->seed);
    int rc = tail_window_open(&run.window, truth->kind, truth->class_count, &window, err);
    if (rc == 0)
        rc = play(&run, checks, checks_count, err);
    tail_window_close(&run.window);
    return rc;
}
