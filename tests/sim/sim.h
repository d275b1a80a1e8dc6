/* sim: both daemons whole, in one process and one thread, in a world that a seed decides.
 *
 * Nothing of the daemons is left out or switched: agent_run and server_run run as they are, each in a
 * fiber, and so does each thread that they start. What is outside of them has a stand-in, chosen when the
 * program is linked (mk/sim.mk): time, threads and the loop's sleep (fiber.c, thread.c, loop.c), the
 * network below net/zmq_loop.h (net.c), the disk, below SQLite too (disk.c, database.c), cameras, encoders
 * and decoders below media/ (media.c), the worker processes below devices/pool.h (pool.c). history.c lets a
 * seeded list of faults happen to them and judges. All chance comes from one generator, so a seed is a
 * history.
 *
 * Everything here runs in one thread. */
#ifndef RUNESPOOR_TESTS_SIM_H
#define RUNESPOOR_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SIM_MS 1000000ull /* ns */
#define SIM_S 1000000000ull
#define SIM_NEVER UINT64_MAX
#define SIM_START_NS (1000 * SIM_S)
#define SIM_STREAMS_MAX 4u
#define SIM_FRAMES_MAX 65536u /* of a stream */

/* ---- run.c: chance, the trace, the verdict ---- */

uint64_t sim_random(void);
/* lo..hi, both included. */
uint64_t sim_between(uint64_t lo, uint64_t hi);
bool sim_chance(double probability);

/* A line of the trace: kept for the case that the history fails, printed with --trace. */
void sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for a line of a daemon's log. Gives size. */
ssize_t sim_log(const char *line, size_t size);
/* Something that must hold does not: says so with the seed and the last lines of the trace, and ends. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SIM_CHECK(condition, ...)  \
    do {                           \
        if (!(condition))          \
            sim_fail(__VA_ARGS__); \
    } while (0)
/* Counted for the last line. */
void sim_count_event(void);

/* ---- a daemon, from its start to its end ---- */

struct metrics;

/* dead: it was killed. What it does from then on reaches nobody; it is only led to its end, so that its
 * memory can be accounted for. */
struct process {
    char name[16];
    bool agent;
    bool dead, ended;
    int result;              /* of its run, once ended */
    char why[512];           /* the error's text */
    int signal;              /* for its loop, 0: none */
    struct metrics *metrics; /* while it has them */
    const void *loop;
    unsigned threads;
    void *config; /* its side's */
};

/* ---- fiber.c ---- */

struct fiber;

void fiber_init(void);
/* Runs all fibers until the director (the first one) has ended. */
void fiber_run_all(void (*director)(void *arg), void *arg);
/* NULL without memory. */
struct fiber *fiber_start(struct process *process, const char *name, void (*entry)(void *arg),
                          void *arg);
bool fiber_has_ended(const struct fiber *fiber);
/* It must have ended. */
void fiber_release(struct fiber *fiber);
/* Whose fiber runs now; NULL for the director. */
struct process *fiber_process(void);
uint64_t fiber_now_ns(void);
void fiber_yield(void);
/* Gives way now and then, by chance. */
void fiber_waver(void);
/* Until somebody wakes the channel (true) or that time has come (false). */
bool fiber_wait(const void *channel, uint64_t until_ns);
void fiber_sleep(uint64_t ns);
void fiber_wake(const void *channel);
void fiber_wake_one(const void *channel);

/* ---- loop.c ---- */

/* A signal for a daemon's loop; or news for it from the network. */
void loop_signal(struct process *process, int number);
void loop_wake(const void *loop);

/* ---- disk.c ---- */

struct disk_faults {
    double fails, is_short;
    uint64_t failing; /* this call, counted from the begin of the history; 0: none */
    uint64_t full;    /* and so many behind it that want room */
    uint64_t writes;  /* calls so far: syncs and the like, too */
};
extern struct disk_faults disk;
/* Counts a call of the daemon that runs, and gives whether it is to fail; never one of a dead one, or of the
 * director. wants_room: it is one that a full disk refuses. */
bool disk_fails(const char *what, bool wants_room);

/* ---- database.c ---- */

/* Before the first use of SQLite. */
void database_open(void);

/* ---- net.c ---- */

struct net_faults {
    uint32_t delay_us, jitter_us;
    uint32_t bytes_per_s;     /* of each direction; 0: no limit */
    double handshake_fails;   /* probability */
    uint64_t silent_until_ns; /* nothing arrives before */
    bool unreachable;         /* no new connection comes about */
    int send_queue; /* messages that a socket takes before they are gone; 0: as it is set */
};
extern struct net_faults net;

void net_init(void);
/* Does what is due for this loop; gives when to look again. */
uint64_t net_turn(const void *loop);
/* Breaks every connection: what is on its way is lost, both ends hear of it. */
void net_cut(void);
/* Nothing arrives for that long; connections that do not outlive it break by their heartbeats. */
void net_silence(uint64_t ns);
/* The process is gone: its connections break, its sockets are deaf. */
void net_kill(struct process *process);
size_t net_socket_count(void);

/* ---- media.c ---- */

struct media_faults {
    double encoder_fails, packet_corrupt;
    double live_fails; /* a live camera, at a picture; 20 times that when it is opened */
    uint32_t encode_us_max, decode_us_max;
    uint32_t stall_ms_max; /* of a camera, now and then */
    uint32_t away;         /* live cameras that are not there: a bit for each stream's number */
};
extern struct media_faults media;
/* Frames of a recording; 0: for ever. */
extern uint32_t media_frames_max;

/* ---- pool.c ---- */

struct pool_faults {
    uint32_t service_us_max;
    double fails, crashes; /* of a job */
};
extern struct pool_faults pool_faults;

/* ---- agent_side.c, server_side.c ---- */

/* Reads a configuration from `sets`, which must be right, for the run of a daemon. */
void agent_side_configure(struct process *process, const char *const *sets, size_t count);
void server_side_configure(struct process *process, const char *const *sets, size_t count);
/* The run: arg is its struct process. The configuration goes with it. */
void agent_side_run(void *process);
void server_side_run(void *process);
/* Answers of stream cam-N that an agent has taken in so far, dead or not: to analysed frames; of a
 * lossless stream, those that are a frame's last. */
uint64_t agent_side_answered(size_t stream);
void agent_side_reset(void);
/* Whether the spool has committed this frame, some time. Perhaps: the disk failed at that, and the
 * agent has written nothing in its place (spool_db_settle), so that its successor may find the frame. */
enum stored { STORED_NEVER, STORED_PERHAPS, STORED };
enum stored agent_side_stored(size_t stream, uint64_t number);
/* Holds at every moment: no credit more than granted, and none below zero. */
void agent_side_check(void);
/* What the server took in and has not answered. */
size_t server_side_unanswered(void);
void server_side_reset(void);

/* ---- history.c ---- */

/* Makes the keys of both sides in this folder, once. */
void history_open(const char *folder);
/* Lets the history of the generator's seed happen; comes back when all of it held. */
void history_run(void);
/* A short history, in which the n-th allocation of the daemons, or their n-th write, fails (0: none); or
 * the disk is full from that write on, for a while. Gives how many there were. spool: one with a lossless
 * stream, whose agent is killed in the middle. */
enum failing { FAILING_ALLOCATION, FAILING_WRITE, FULL_DISK };
uint64_t history_run_short(enum failing what, bool spool, uint64_t n);
/* One with that many live cameras and no faults; body is called when all flow, and they have to flow
 * again after it. */
void history_run_calm(size_t cameras, void (*body)(struct process *agent, struct process *server));
/* Lets time pass; for the director alone. */
void history_pass(uint64_t ns);
/* A line of a daemon's log. */
void history_on_line(const char *line, size_t bytes);
/* Of a counter or gauge family of the registry, added up over series with this label value (NULL: all). */
double history_metric(const struct process *process, const char *family, const char *value);

/* ---- hour.c ---- */

/* A camera that stays away for an hour of the simulation's time. */
void hour_run(void);

/* ---- memory.c ---- */

/* For stand-ins: never fails. Freed with free. */
void *sim_alloc(size_t bytes);
/* The n-th allocation of the daemons from now on fails; 0: none. */
void memory_fail_at(uint64_t n);
uint64_t memory_count(void);
/* Bytes that are allocated, by whomever. */
size_t memory_in_use(void);

/* ---- run.c: many histories ---- */

enum sim_kind {
    SIM_HISTORIES,
    SIM_ALLOCATIONS,
    SIM_WRITES,
    SIM_SPOOL_ALLOCATIONS,
    SIM_SPOOL_WRITES,
    SIM_SPOOL_DISKS,
    SIM_HOURS
};
struct sim_job {
    enum sim_kind kind;
    uint64_t first, count, step; /* seeds, or numbers of what fails */
    unsigned processes;
    bool progress;
};
struct sim_sum {
    uint64_t histories, failed, events;
};
/* Runs them in processes of their own, so that one that crashes is one that failed. */
struct sim_sum sim_run(const struct sim_job *job);
/* One, in this process, with its trace on standard error. */
bool sim_replay(enum sim_kind kind, uint64_t number);
/* How many allocations, or writes, the short history has. */
uint64_t sim_count(enum sim_kind kind);

#endif
