/* gate: the socket that agents talk to. Says who may stream what, gives each stream a session,
 * and carries messages between sessions and agents. Nothing that a peer sends gets past it
 * unchecked. Loop thread. */
#ifndef RUNESPOOR_INGEST_GATE_H
#define RUNESPOOR_INGEST_GATE_H

#include "ingest/guard.h"
#include "ingest/session.h"

struct gate;

/* Binds; rooms and guard are borrowed until gate_close. */
int gate_open(struct gate **gate, uv_loop_t *loop, void *zmq_context, struct session_rooms *rooms,
              struct guard *guard, struct error *err);
/* As bound, with the port that a wildcard has become. */
const char *gate_address(const struct gate *gate);
size_t gate_stream_count(const struct gate *gate);
/* Agents, and whatever else holds a connection. */
size_t gate_connection_count(const struct gate *gate);

/* Hellos are refused with this reason (copied) and a request to come back soon; NULL: welcome. */
void gate_hold(struct gate *gate, const char *reason);

/* The limits in the config have changed: streams that are here keep their picture size, all else holds now. */
void gate_limits_changed(struct gate *gate);

typedef void gate_visit_fn(void *arg, const char *stream, const char *agent,
                           const struct session *session);
void gate_visit(const struct gate *gate, gate_visit_fn *visit, void *arg);

/* No more Hellos and packets; frames on their way are answered, each agent gets a Bye, then
 * drained(arg) is called from the loop (or from inside this call when there is no stream). */
void gate_drain(struct gate *gate, void (*drained)(void *arg), void *arg);
/* While draining: no more waiting for frames on their way, they are answered as dropped. */
void gate_cut_short(struct gate *gate);

/* No session may be left. Takes NULL. */
void gate_close(struct gate **gate);

#endif
