/* agent_side: edge-agent in the simulation. Linked with its own code alone, so that names that both daemons
 * have stay apart (mk/sim.mk). */
#include "sim.h"

#include "agent.h"
#include "credit.h"
#include "sink.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREDITS_LIST_MAX 64u

void __wrap_sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us);
void __real_sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us);
int __wrap_credit_init(struct credit *credit);
void __wrap_credit_finish(struct credit *credit);
int __real_credit_init(struct credit *credit);
void __real_credit_finish(struct credit *credit);

struct own_config {
    struct agent_config config;
    struct config *loaded;
};

static struct credit *credits[CREDITS_LIST_MAX];
static uint64_t answered[SIM_STREAMS_MAX];

void agent_side_configure(struct process *process, const char *const *sets, size_t count)
{
    struct error err;
    struct own_config *own = process->config = sim_alloc(sizeof *own);
    if (agent_config_load(&own->config, &own->loaded, NULL, sets, count, &err) != 0)
        sim_fail("agent's configuration: %s", err.text);
}

void agent_side_run(void *arg)
{
    struct process *process = arg;
    struct own_config *own = process->config;
    const struct agent_run_options options = { .summary_path = "/dev/null" };
    struct error err = { .code = ERROR_NONE };
    process->result = agent_run(&own->config, &options, &err);
    snprintf(process->why, sizeof process->why, "%s", process->result == 0 ? "" : err.text);
    config_free(&own->loaded);
    free(own);
    process->ended = true;
}

void agent_side_reset(void)
{
    memset(answered, 0, sizeof answered);
}

uint64_t agent_side_answered(size_t stream)
{
    return answered[stream];
}

void __wrap_sink_add_answer(struct sink *sink, const Runespoor__Answer *answer, uint64_t age_us)
{
    unsigned stream = 0;
    SIM_CHECK(sscanf(answer->stream, "cam-%u", &stream) == 1 && stream < SIM_STREAMS_MAX,
              "an answer to stream %s", answer->stream);
    answered[stream] += answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK;
    __real_sink_add_answer(sink, answer, age_us);
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
