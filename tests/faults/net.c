/* net: see the header. */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SIDES 4
#define AGENT_NET "192.0.2" /* TEST-NET-1 */
#define SERVER_NET "198.51.100"
#define BURST_BYTES 3200u /* two full packets */

static int sides[SIDES] = { -1, -1, -1, -1 }; /* by enum net_side */

static int open_namespace(void)
{
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

bool net_possible(char *reason, size_t reason_bytes)
{
    int home = open_namespace();
    reason[0] = '\0';
    if (home < 0 || unshare(CLONE_NEWNET) != 0) {
        snprintf(reason, reason_bytes, "no network namespaces: %s", strerror(errno));
    } else {
        if (system("ip link set lo up && ip link add one type veth peer name two && "
                   "tc qdisc add dev one root tbf rate 1mbit burst 3200 latency 50ms") != 0)
            snprintf(reason, reason_bytes, "no veth devices or no tc tbf (iproute2, the kernel)");
        if (setns(home, CLONE_NEWNET) != 0)
            fail_msg("setns: %s", strerror(errno));
    }
    if (home >= 0)
        close(home);
    return !reason[0];
}

/* A line for the shell, on this side. */
static void do_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void do_line(const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (system(line) != 0)
        fail_msg("failed: %s", line);
}

void net_enter(enum net_side side)
{
    if (setns(sides[side], CLONE_NEWNET) != 0)
        fail_msg("setns: %s", strerror(errno));
}

static void make_side(enum net_side side)
{
    if (unshare(CLONE_NEWNET) != 0 || (sides[side] = open_namespace()) < 0)
        fail_msg("a namespace: %s", strerror(errno));
    do_line("ip link set lo up");
}

/* One end here, with address 1; the other, which side has for itself, with address 2. */
static void make_line(const char *name, const char *net, enum net_side side)
{
    do_line("ip link add %s type veth peer name far netns /proc/%d/fd/%d", name, getpid(),
            sides[side]);
    do_line("ip address add %s.1/24 dev %s && ip link set %s up", net, name, name);
    net_enter(side);
    do_line("ip address add %s.2/24 dev far && ip link set far up", net);
    do_line("ip route add default via %s.1", net);
    net_enter(NET_ROUTER);
}

void net_open(void)
{
    sides[NET_HOME] = open_namespace();
    assert_true(sides[NET_HOME] >= 0);
    make_side(NET_AGENT);
    make_side(NET_SERVER_SIDE);
    make_side(NET_ROUTER);
    make_line("agent", AGENT_NET, NET_AGENT);
    make_line("server", SERVER_NET, NET_SERVER_SIDE);
    net_set_passing(true);
    net_enter(NET_HOME);
}

void net_close(void)
{
    net_enter(NET_HOME);
    for (size_t i = 0; i < SIDES; i++) {
        close(sides[i]);
        sides[i] = -1;
    }
}

/* Comes back to the side that this thread was on. */
static void on_router(const char *line)
{
    int here = open_namespace();
    assert_true(here >= 0);
    net_enter(NET_ROUTER);
    do_line("%s", line);
    if (setns(here, CLONE_NEWNET) != 0)
        fail_msg("setns: %s", strerror(errno));
    close(here);
}

void net_set_rate(unsigned kbps, unsigned queue_ms)
{
    char line[200];
    if (kbps > 0)
        snprintf(line, sizeof line,
                 "tc qdisc replace dev server root tbf rate %ukbit burst %u latency %ums", kbps,
                 BURST_BYTES, queue_ms);
    else
        snprintf(line, sizeof line, "tc qdisc del dev server root");
    on_router(line);
}

void net_set_passing(bool passing)
{
    on_router(passing ? "echo 1 >/proc/sys/net/ipv4/ip_forward"
                      : "echo 0 >/proc/sys/net/ipv4/ip_forward");
}
