/* agent_side: edge-agent in the simulation. Linked with its own code alone, so that names that both daemons
 * have stay apart (mk/sim.mk). */
#include "sim.h"

#include "agent.h"
#include "credit.h"
#include "sink.h"
#include "spool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREDITS_LIST_MAX 64u
#define PENDING_MAX 4096u

void __wrap_sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us);
void __real_sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us);
int __wrap_spool_db_answer(struct spool_db *db, struct spool_place *place, uint64_t number,
                           bool *found, struct error *err);
int __real_spool_db_answer(struct spool_db *db, struct spool_place *place, uint64_t number,
                           bool *found, struct error *err);
int __wrap_spool_db_find_stream(struct spool_db *db, const char *name, struct spool_place *place,
                                struct error *err);
int __real_spool_db_find_stream(struct spool_db *db, const char *name, struct spool_place *place,
                                struct error *err);
int __wrap_spool_db_put(struct spool_db *db, struct spool_place *place,
                        const struct spool_frame *stored, struct error *err);
int __real_spool_db_put(struct spool_db *db, struct spool_place *place,
                        const struct spool_frame *stored, struct error *err);
int __wrap_spool_db_commit(struct spool_db *db, struct error *err);
int __real_spool_db_commit(struct spool_db *db, struct error *err);
void __wrap_spool_db_roll_back(struct spool_db *db);
void __real_spool_db_roll_back(struct spool_db *db);
int __wrap_spool_db_settle(struct spool_db *db, struct error *err);
int __real_spool_db_settle(struct spool_db *db, struct error *err);
int __wrap_credit_init(struct credit *credit);
void __wrap_credit_finish(struct credit *credit);
int __real_credit_init(struct credit *credit);
void __real_credit_finish(struct credit *credit);

static struct credit *credits[CREDITS_LIST_MAX];
static uint64_t answered[SIM_STREAMS_MAX];
/* Frames of lossless streams that the spool has taken, by number; and those of the present transaction. */
static bool stored[SIM_STREAMS_MAX][SIM_FRAMES_MAX];
static int64_t spool_ids[SIM_STREAMS_MAX];
static struct put {
    size_t stream;
    uint64_t number;
    const struct process *process;
} pending[PENDING_MAX];
static size_t pending_count;
/* Of transactions that the disk failed to commit, and that may be found in its log all the same. */
static struct put perhaps[PENDING_MAX];
static size_t perhaps_count;

void agent_side_configure(struct process *process, const char *const *sets, size_t count)
{
    struct error err;
    struct agent_settings *settings = NULL;
    struct config *mistakes = NULL;
    if (agent_settings_load(&settings, &mistakes, NULL, sets, count, &err) != 0)
        sim_fail("agent's configuration: %s", err.text);
    process->config = settings;
}

void agent_side_run(void *arg)
{
    struct process *process = arg;
    struct agent_settings *settings = process->config;
    const struct agent_run_options options = { .summary_path = "/dev/null" };
    struct error err = { .code = ERROR_NONE };
    process->result = agent_run(settings, &options, &err);
    snprintf(process->why, sizeof process->why, "%s", process->result == 0 ? "" : err.text);
    agent_settings_unref(&settings);
    process->ended = true;
}

void agent_side_reset(void)
{
    memset(answered, 0, sizeof answered);
    memset(stored, 0, sizeof stored);
    memset(spool_ids, 0, sizeof spool_ids);
    pending_count = 0;
    perhaps_count = 0;
}

enum stored agent_side_stored(size_t stream, uint64_t number)
{
    if (number < SIM_FRAMES_MAX && stored[stream][number])
        return STORED;
    for (size_t i = 0; i < perhaps_count; i++)
        if (perhaps[i].stream == stream && perhaps[i].number == number)
            return STORED_PERHAPS;
    return STORED_NEVER;
}

uint64_t agent_side_answered(size_t stream)
{
    return answered[stream];
}

static size_t find_stream(const char *name)
{
    unsigned stream = 0;
    SIM_CHECK(sscanf(name, "cam-%u", &stream) == 1 && stream < SIM_STREAMS_MAX, "a stream named %s",
              name);
    return stream;
}

void __wrap_sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us)
{
    answered[find_stream(answer->stream)] += answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK;
    __real_sink_add_answer(sink, answer, age_us);
}

int __wrap_spool_db_find_stream(struct spool_db *db, const char *name, struct spool_place *place,
                                struct error *err)
{
    int result = __real_spool_db_find_stream(db, name, place, err);
    for (size_t i = 0; result == 0 && i < SIM_STREAMS_MAX; i++)
        if (spool_ids[i] == place->id)
            spool_ids[i] = 0; /* it was never committed */
    if (result == 0)
        spool_ids[find_stream(name)] = place->id;
    return result;
}

static size_t find_place(const struct spool_place *place)
{
    size_t stream = 0;
    while (stream < SIM_STREAMS_MAX && spool_ids[stream] != place->id)
        stream++;
    SIM_CHECK(stream < SIM_STREAMS_MAX, "the spool has a stream that nobody asked for");
    return stream;
}

/* A frame that no server can make anything of has its line, too, after some tries. */
int __wrap_spool_db_answer(struct spool_db *db, struct spool_place *place, uint64_t number,
                           bool *found, struct error *err)
{
    int result = __real_spool_db_answer(db, place, number, found, err);
    answered[find_place(place)] += result == 0 && *found;
    return result;
}

int __wrap_spool_db_put(struct spool_db *db, struct spool_place *place,
                        const struct spool_frame *frame, struct error *err)
{
    int result = __real_spool_db_put(db, place, frame, err);
    size_t stream = find_place(place);
    SIM_CHECK(frame->frame.number < SIM_FRAMES_MAX && pending_count < PENDING_MAX,
              "the simulation has no room for this frame");
    if (result == 0 && !fiber_process()->dead) {
        pending[pending_count++] = (struct put){ stream, frame->frame.number, fiber_process() };
    }
    return result;
}

static void keep_pending(void)
{
    for (size_t i = 0; i < pending_count; i++) {
        bool *frame = &stored[pending[i].stream][pending[i].number];
        SIM_CHECK(!*frame, "frame %llu of cam-%zu is stored twice",
                  (unsigned long long)pending[i].number, pending[i].stream);
        *frame = true;
    }
    pending_count = 0;
}

static void doubt_pending(void)
{
    SIM_CHECK(perhaps_count + pending_count <= PENDING_MAX, "the disk fails too often");
    for (size_t i = 0; i < pending_count; i++)
        perhaps[perhaps_count++] = pending[i];
    pending_count = 0;
}

int __wrap_spool_db_commit(struct spool_db *db, struct error *err)
{
    int result = __real_spool_db_commit(db, err);
    if (fiber_process()->dead)
        return result;
    if (result == 0)
        keep_pending();
    else
        doubt_pending();
    return result;
}

/* What this process failed to commit is not found any more. */
int __wrap_spool_db_settle(struct spool_db *db, struct error *err)
{
    int result = __real_spool_db_settle(db, err);
    size_t left = 0;
    for (size_t i = 0; i < perhaps_count; i++)
        if (result != 0 || fiber_process()->dead || perhaps[i].process != fiber_process())
            perhaps[left++] = perhaps[i];
    perhaps_count = left;
    return result;
}

void __wrap_spool_db_roll_back(struct spool_db *db)
{
    if (!fiber_process()->dead)
        pending_count = 0;
    __real_spool_db_roll_back(db);
}

int __wrap_credit_init(struct credit *credit)
{
    size_t i = 0;
    while (i < CREDITS_LIST_MAX && credits[i])
        i++;
    SIM_CHECK(i < CREDITS_LIST_MAX, "too many streams");
    int result = __real_credit_init(credit);
    if (result == 0)
        credits[i] = credit;
    return result;
}

void __wrap_credit_finish(struct credit *credit)
{
    for (size_t i = 0; i < CREDITS_LIST_MAX; i++)
        if (credits[i] == credit)
            credits[i] = NULL;
    __real_credit_finish(credit);
}

void agent_side_check(void)
{
    for (size_t i = 0; i < CREDITS_LIST_MAX; i++)
        if (credits[i])
            SIM_CHECK(credits[i]->left <= credits[i]->granted && credits[i]->granted <= CREDITS_MAX,
                      "%u credits are left of %u", credits[i]->left, credits[i]->granted);
}
