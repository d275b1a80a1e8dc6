/* harness: starts the real daemons as processes on loopback, waits for what they say, and stops them
 * by process id. Every wait is bounded (patience.h); everything a test makes lies in one folder that is
 * removed. */
#ifndef RUNESPOOR_TESTS_HARNESS_H
#define RUNESPOOR_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define ARGUMENTS_MAX 320

/* A fresh folder for one test with keys: keys/server, keys/edge, and allow/edge.yaml for all names. */
struct scratch {
    char folder[256];
    uint16_t port; /* free when it was looked for */
};
void scratch_make(struct scratch *scratch);
void scratch_remove(struct scratch *scratch);
/* The same as cmocka's setup and teardown: *state is the struct scratch. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
/* A port that was free a moment ago. */
uint16_t port_find(void);
/* FOLDER/NAME in a static ring of buffers: good for a few uses. */
const char *scratch_path(const struct scratch *scratch, const char *name);

struct process {
    pid_t pid;
    char log[320]; /* standard output and error */
    const char *name;
    struct rusage usage; /* of the process and its children, once it has ended */
};
/* arguments end with NULL; the first one is the program's path. Output goes to FOLDER/NAME.log. */
void process_start(struct process *process, const struct scratch *scratch, const char *name,
                   const char *const *arguments);
/* Exit status, 128 + signal when killed, or -1 when it still runs after timeout_ms. */
int process_wait(struct process *process, uint32_t timeout_ms);
void process_signal(const struct process *process, int number);
/* SIGTERM, then SIGKILL after 10 s; gives the exit status. Harmless when it has ended. */
int process_stop(struct process *process);
/* The same, but fails the test (and prints the log) unless the status is 0. */
void process_stop_well(struct process *process);
bool process_runs(const struct process *process);
/* Waits until the log holds text; fails the test (and prints the log) after timeout_ms. */
void process_expect(struct process *process, const char *text, uint32_t timeout_ms);
bool process_said(const struct process *process, const char *text);
/* How often the log holds text. */
size_t process_count(const struct process *process, const char *text);

/* cloud-server run and edge-agent run with the scratch folder's keys, port and answer files; more are
 * "--set" values, ended by NULL. The agent gets one camera "cam" unless more says otherwise. */
void server_start(struct process *process, const struct scratch *scratch, const char *const *more);
/* The same with another path of the program. */
void server_start_as(struct process *process, const struct scratch *scratch, const char *program,
                     const char *const *more);
void agent_start(struct process *process, const struct scratch *scratch, const char *name,
                 const char *const *more);

/* Asks a daemon's HTTP page until its status and something of its text are as given; fails the test
 * (and prints the page) after some 10 s. */
void page_expect(uint16_t port, const char *path, const char *status, const char *text);
/* The whole response, "" while nobody listens. Holds until the next page is asked for. */
const char *page_get(uint16_t port, const char *path);
/* The sum of those metrics of a page whose lines begin like this ("server_probes_total{stream=\"cam\""); 0
 * where there are none. */
double metric_sum(const char *page, const char *begin);
/* The same of what a daemon's /metrics is now. */
double metric_now(uint16_t port, const char *begin);
/* Waits until it is as large as that; fails the test after timeout_ms. */
void metric_expect(uint16_t port, const char *begin, double least, uint32_t timeout_ms);

/* Answer lines of a JSON-lines file, counted by status; also checks that frames of each stream come
 * in order without repeats (fails the test otherwise). stream NULL: all. Lines of probes are left out. */
struct answer_counts {
    size_t lines, ok, dropped, failed, objects;
};
void answers_count(const char *path, const char *stream, struct answer_counts *counts);

/* A number of the summary line that edge-agent prints at its end ("answered"); 0 for a reason of drops
 * ("dropped_no_credit") that there was not. */
double summary_value(const struct process *process, const char *key);
/* Frames that were dropped, but for those of a late encoder: a box may be busy with other things. */
unsigned summary_lost(const struct process *process);

/* A playable clip of the test picture. */
void clip_make(const char *path, unsigned frames, uint32_t width, uint32_t height);

void file_copy(const char *from, const char *to);
/* A copy of cloud-server in the test's folder, which finds gpu_double.c's device beside it before any
 * real one. Holds until the next call. */
const char *gpu_program(const struct scratch *scratch);
/* The shipped detector again, in FOLDER/NAME, with a network (an ONNX file) in its folder restore/ and
 * in its card. */
void model_copy(const struct scratch *scratch, const char *name, const char *network);

/* The program under test: $B/bin/NAME. */
const char *program_path(const char *name);

#endif
