/* bad_peers: many connections that fail in their handshake, each in a way that it is told for: a wrong key of
 * the server, a key that the server does not know, bytes that are no ZeroMQ. */
#ifndef RUNESPOOR_TESTS_BAD_PEERS_H
#define RUNESPOOR_TESTS_BAD_PEERS_H

#include "harness.h"

/* Makes count of them (a third each of wrong, unknown and malformed), a few at a time, and waits for each
 * to end. Gives the seconds that it took. */
double bad_peers_knock(const struct scratch *scratch, unsigned count);

/* Opens a connection that never says a word. */
int bad_peers_dial(const struct scratch *scratch);

/* What a process holds now. */
size_t bad_peers_descriptors(const struct process *process);
size_t bad_peers_memory_kib(const struct process *process);

#endif
