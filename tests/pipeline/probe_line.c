/* probe_line: see the header. Each side has a TUN device, whose packets one thread carries over. A namespace
 * lives as long as somebody is in it or has it open, so nothing has a name that could be left behind. */
#include "probe_line.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#define DEVICE "line"
#define PACKET_BYTES_MAX 2048u /* above the devices' 1,500 */
#define WAITING_MAX 512u       /* packets; credits bound what is on its way, so none is lost */
#define LOOK_NS (20 * CLOCK_NS_PER_MS)

struct packet {
    uint64_t due_ns;
    size_t size;
    uint8_t bytes[PACKET_BYTES_MAX];
};

struct line {
    int namespaces[3]; /* by enum line_side */
    int agent, server; /* TUN devices */
    double up_bps;
    uint64_t burst_ns; /* that what a burst lets through takes at that speed */
    struct line_watch watch;
    pthread_t thread;
    atomic_bool stop;
    pthread_mutex_t lock;
    struct line_seen seen; /* under lock */
    /* the thread's */
    uint64_t free_ns; /* when the packet that came last will have gone */
    struct packet waiting[WAITING_MAX];
    size_t first, count, waiting_bytes;
};

static void *run_line(void *arg);

/* ---- namespaces and devices ---- */

static int open_namespace(void)
{
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* In the namespace that we are in; its packets are read and written without waiting. -1: see errno. */
static int open_device(void)
{
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    snprintf(request.ifr_name, sizeof request.ifr_name, DEVICE);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

bool line_possible(char *reason, size_t reason_bytes)
{
    int home = open_namespace(), device = -1;
    reason[0] = '\0';
    if (home < 0 || unshare(CLONE_NEWNET) != 0) {
        snprintf(reason, reason_bytes, "no network namespaces: %s", strerror(errno));
    } else {
        device = open_device();
        if (device < 0)
            snprintf(reason, reason_bytes, "no TUN device: %s", strerror(errno));
        if (setns(home, CLONE_NEWNET) != 0)
            fail_msg("setns: %s", strerror(errno));
    }
    if (device >= 0)
        close(device);
    if (home >= 0)
        close(home);
    return !reason[0];
}

static void set_device(const char *name, const char *address)
{
    struct ifreq request = { .ifr_flags = 0 };
    struct sockaddr_in in = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool failed = fd < 0;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (address) {
        failed = failed || inet_pton(AF_INET, address, &in.sin_addr) != 1;
        memcpy(&request.ifr_addr, &in, sizeof in);
        failed = failed || ioctl(fd, SIOCSIFADDR, &request) != 0;
        failed = failed || inet_pton(AF_INET, "255.255.255.0", &in.sin_addr) != 1;
        memcpy(&request.ifr_netmask, &in, sizeof in);
        failed = failed || ioctl(fd, SIOCSIFNETMASK, &request) != 0;
    }
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (failed || ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        fail_msg("%s: %s", name, strerror(errno));
    close(fd);
}

/* Goes into a new namespace and gives it its devices. */
static int make_side(const char *address, int *device)
{
    if (unshare(CLONE_NEWNET) != 0)
        fail_msg("unshare: %s", strerror(errno));
    int namespace = open_namespace();
    *device = open_device();
    if (namespace < 0 || *device < 0)
        fail_msg("a side of the line: %s", strerror(errno));
    set_device(DEVICE, address);
    set_device("lo", NULL);
    return namespace;
}

void line_open(struct line **out, uint32_t up_kbps, uint32_t burst_bytes, struct line_watch watch)
{
    struct line *line = calloc(1, sizeof *line);
    assert_non_null(line);
    line->up_bps = up_kbps * 1000.0;
    line->burst_ns = (uint64_t)(burst_bytes * 8e9 / line->up_bps);
    line->watch = watch;
    pthread_mutex_init(&line->lock, NULL);
    line->namespaces[SIDE_HOME] = open_namespace();
    assert_true(line->namespaces[SIDE_HOME] >= 0);
    line->namespaces[SIDE_AGENT] = make_side(LINE_AGENT, &line->agent);
    line->namespaces[SIDE_SERVER] = make_side(LINE_SERVER, &line->server);
    assert_int_equal(pthread_create(&line->thread, NULL, run_line, line), 0);
    line_enter(line, SIDE_HOME);
    *out = line;
}

void line_close(struct line **closed)
{
    struct line *line = *closed;
    *closed = NULL;
    atomic_store(&line->stop, true);
    pthread_join(line->thread, NULL);
    line_enter(line, SIDE_HOME);
    for (size_t i = 0; i < 3; i++)
        close(line->namespaces[i]);
    close(line->agent);
    close(line->server);
    pthread_mutex_destroy(&line->lock);
    free(line);
}

void line_enter(const struct line *line, enum line_side side)
{
    if (setns(line->namespaces[side], CLONE_NEWNET) != 0)
        fail_msg("setns: %s", strerror(errno));
}

void line_get_seen(struct line *line, struct line_seen *seen)
{
    pthread_mutex_lock(&line->lock);
    *seen = line->seen;
    pthread_mutex_unlock(&line->lock);
}

/* ---- the thread ---- */

static void note_packet(struct line *line, size_t bytes)
{
    struct line_seen *seen = &line->seen;
    pthread_mutex_lock(&line->lock);
    seen->bytes += bytes;
    if (bytes >= line->watch.bytes_min && bytes <= line->watch.bytes_max) {
        seen->watched++;
        seen->watched_behind += line->waiting_bytes > line->watch.empty_bytes_max;
    }
    pthread_mutex_unlock(&line->lock);
}

static void take_up(struct line *line)
{
    while (line->count < WAITING_MAX) {
        struct packet *packet = &line->waiting[(line->first + line->count) % WAITING_MAX];
        ssize_t got = read(line->agent, packet->bytes, sizeof packet->bytes);
        uint64_t now_ns = clock_now_ns();
        if (got <= 0)
            return;
        packet->size = (size_t)got;
        line->free_ns = (line->free_ns > now_ns ? line->free_ns : now_ns) +
                        (uint64_t)((double)got * 8e9 / line->up_bps);
        packet->due_ns =
            line->free_ns > now_ns + line->burst_ns ? line->free_ns - line->burst_ns : now_ns;
        note_packet(line, packet->size);
        line->waiting_bytes += packet->size;
        line->count++;
    }
}

/* A packet that finds no room is lost, as on any line. */
static void hand_over(struct line *line, int device, const void *bytes, size_t size)
{
    if (write(device, bytes, size) < 0 && errno != EAGAIN && errno != ENOBUFS)
        atomic_store(&line->stop, true);
}

static void carry_up(struct line *line)
{
    while (line->count > 0 && line->waiting[line->first].due_ns <= clock_now_ns()) {
        const struct packet *packet = &line->waiting[line->first];
        hand_over(line, line->server, packet->bytes, packet->size);
        line->waiting_bytes -= packet->size;
        line->first = (line->first + 1) % WAITING_MAX;
        line->count--;
    }
}

static void carry_down(struct line *line)
{
    uint8_t bytes[PACKET_BYTES_MAX];
    ssize_t got;
    while ((got = read(line->server, bytes, sizeof bytes)) > 0)
        hand_over(line, line->agent, bytes, (size_t)got);
}

static void *run_line(void *arg)
{
    struct line *line = arg;
    struct pollfd fds[] = { { .fd = line->agent, .events = POLLIN },
                            { .fd = line->server, .events = POLLIN } };
    while (!atomic_load(&line->stop)) {
        uint64_t now_ns = clock_now_ns(), wait_ns = LOOK_NS;
        if (line->count > 0) {
            uint64_t due_ns = line->waiting[line->first].due_ns;
            uint64_t left_ns = due_ns > now_ns ? due_ns - now_ns : 0;
            wait_ns = left_ns < wait_ns ? left_ns : wait_ns;
        }
        const struct timespec wait = { .tv_nsec = (long)wait_ns };
        if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR)
            break;
        take_up(line);
        carry_up(line);
        carry_down(line);
    }
    return NULL;
}
