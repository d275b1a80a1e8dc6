/* net: an agent's network, a server's, and a router between them, each a network namespace, joined by pairs of
 * virtual Ethernet devices: a line that the kernel slows down (tc tbf) or that swallows every packet both ways
 * without a word (the router stops forwarding, and both ends see a carrier all the time).
 *
 * The namespaces belong to this process: whatever way it ends, the kernel takes them away. Root. One at a
 * time. */
#ifndef RUNESPOOR_TESTS_NET_H
#define RUNESPOOR_TESTS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_SERVER "198.51.100.2" /* TEST-NET-2 */

enum net_side { NET_HOME, NET_AGENT, NET_ROUTER, NET_SERVER_SIDE };

/* Whether this machine lets us; otherwise says why not, for people. */
bool net_possible(char *reason, size_t reason_bytes);
/* Fails the test where it cannot be. */
void net_open(void);
/* On the home side again afterwards. */
void net_close(void);
/* What this thread opens and starts from now on is on that side. */
void net_enter(enum net_side side);
/* From the agent to the server; the router holds what waits, queue_ms of it. 0: as fast as it gets. */
void net_set_rate(unsigned kbps, unsigned queue_ms);
/* Whether packets get through. */
void net_set_passing(bool passing);

#endif
