/* server_side: cloud-server in the simulation, and a ledger of what it owes: each packet that a session takes
 * is to be answered once, in its turn. */
#include "sim.h"

#include "config.h"
#include "ingest/gate_parts.h"
#include "run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEDGERS_MAX 256u
#define OWED_MAX 4096u

struct ledger {
    uint64_t session; /* 0: free */
    struct process *process;
    uint64_t owed[OWED_MAX]; /* numbers of frames, oldest first, round */
    size_t first, count;
};

int __wrap_session_receive(struct session *session, const Runespoor__Packet *packet,
                           zmq_msg_t *payload, uint32_t wire_bytes, enum frame_fate verdict,
                           struct error *err);
int __real_session_receive(struct session *session, const Runespoor__Packet *packet,
                           zmq_msg_t *payload, uint32_t wire_bytes, enum frame_fate verdict,
                           struct error *err);
void __wrap_gate_send(struct gate *gate, const struct identity *to, const Runespoor__Header *header);
void __real_gate_send(struct gate *gate, const struct identity *to, const Runespoor__Header *header);
void __wrap_gate_on_session_closed(void *seat);
void __real_gate_on_session_closed(void *seat);

struct own_config {
    struct server_config config;
    struct config *loaded;
};

static struct ledger ledgers[LEDGERS_MAX];

void server_side_configure(struct process *process, const char *const *sets, size_t count)
{
    struct error err;
    struct own_config *own = process->config = sim_alloc(sizeof *own);
    if (server_config_load(&own->loaded, &own->config, NULL, sets, count, &err) != 0)
        sim_fail("server's configuration: %s", err.text);
}

void server_side_run(void *arg)
{
    struct process *process = arg;
    struct own_config *own = process->config;
    static const struct server_run_options no_options;
    struct error err = { .code = ERROR_NONE };
    process->result = server_run(&own->config, &no_options, &err);
    snprintf(process->why, sizeof process->why, "%s", process->result == 0 ? "" : err.text);
    config_free(&own->loaded);
    free(own);
    process->ended = true;
}

void server_side_reset(void)
{
    for (size_t i = 0; i < LEDGERS_MAX; i++)
        SIM_CHECK(ledgers[i].session == 0, "session %llx was never closed",
                  (unsigned long long)ledgers[i].session);
}

size_t server_side_unanswered(void)
{
    size_t count = 0;
    for (size_t i = 0; i < LEDGERS_MAX; i++)
        count += ledgers[i].session != 0 && !ledgers[i].process->dead ? ledgers[i].count : 0;
    return count;
}

static struct ledger *find_ledger(uint64_t session)
{
    for (size_t i = 0; i < LEDGERS_MAX; i++)
        if (ledgers[i].session == session)
            return &ledgers[i];
    return NULL;
}

int __wrap_session_receive(struct session *session, const Runespoor__Packet *packet,
                           zmq_msg_t *payload, uint32_t wire_bytes, enum frame_fate verdict,
                           struct error *err)
{
    struct ledger *ledger = find_ledger(packet->session);
    if (!ledger) {
        ledger = find_ledger(0);
        SIM_CHECK(ledger, "more than %u sessions", LEDGERS_MAX);
        *ledger = (struct ledger){ .session = packet->session, .process = fiber_process() };
    }
    SIM_CHECK(ledger->count < OWED_MAX, "more than %u answers are owed", OWED_MAX);
    ledger->owed[(ledger->first + ledger->count++) % OWED_MAX] = packet->frame;
    int result = __real_session_receive(session, packet, payload, wire_bytes, verdict, err);
    if (result < 0)
        ledger->count--; /* not taken; nothing behind it can have been */
    return result;
}

static void settle(const Runespoor__Answer *answer)
{
    struct ledger *ledger = find_ledger(answer->session);
    SIM_CHECK(ledger && ledger->count > 0, "frame %llu is answered, and no answer is owed",
              (unsigned long long)answer->frame);
    uint64_t owed = ledger->owed[ledger->first];
    SIM_CHECK(owed == answer->frame, "frame %llu is answered where frame %llu is owed",
              (unsigned long long)answer->frame, (unsigned long long)owed);
    ledger->first = (ledger->first + 1) % OWED_MAX;
    ledger->count--;
}

void __wrap_gate_send(struct gate *gate, const struct identity *to, const Runespoor__Header *header)
{
    if (header->kind_case == RUNESPOOR__HEADER__KIND_ANSWER)
        settle(header->answer);
    __real_gate_send(gate, to, header);
}

void __wrap_gate_on_session_closed(void *arg)
{
    const struct seat *seat = arg;
    struct ledger *ledger = find_ledger(seat->id);
    if (ledger) {
        SIM_CHECK(ledger->count == 0, "a session of %s is closed with %zu frames unanswered",
                  seat->stream, ledger->count);
        ledger->session = 0;
    }
    __real_gate_on_session_closed(arg);
}
