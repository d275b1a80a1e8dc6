/* spool_parts: what the two sides of the spool share: spool.c on the loop, spool_writer.c in its thread.
 * Nobody else includes this. */
#ifndef RUNESPOOR_EDGE_SPOOL_PARTS_H
#define RUNESPOOR_EDGE_SPOOL_PARTS_H

#include "base/text.h"
#include "spool.h"
#include <stdatomic.h>

enum request_kind { REQUEST_PUT, REQUEST_ANSWER, REQUEST_READ, REQUEST_LINE };

/* Belongs to the loop, then to the thread, and to the loop again. */
struct request {
    struct request *next;
    enum request_kind kind;
    struct spool_stream *stream; /* NULL: a line */
    /* put: the frame, and what became of it; read: those that were read */
    struct spool_frame frames[SPOOL_READ_MAX];
    size_t frame_count;
    uint64_t previous;
    enum spool_fate fate;
    /* answer, line */
    struct spool_answer answer;
    enum spool_end end;
    uint64_t ticket; /* 0: it is not held */
    struct text line;
    /* read */
    void *reader;
    uint64_t from, below;
};

struct request_list {
    struct request *first, *last;
};

void request_list_add(struct request_list *list, struct request *request);
/* NULL when it is empty. */
struct request *request_list_take(struct request_list *list);

struct spool_stream {
    struct spool *spool;
    struct spool_stream *next;
    char name[WIRE_NAME_BYTES_MAX + 1];
    /* the loop's */
    const struct spool_events *events; /* NULL: it has left */
    void *arg;
    size_t held;
    /* the thread's, or whoever has the disk */
    struct spool_place place, place_before; /* before the transaction */
    uint64_t previous;                      /* the frame stored last */
    uint64_t lost[DROP_REASON_COUNT];       /* in the transaction */
    struct figures *figures;                /* under the spool's mutex; NULL: it has left */
    atomic_uint_fast64_t waiting;
};

/* The thread's side. */
struct spool_writer {
    struct spool_db *db;
    struct lines *lines;    /* NULL: no file */
    struct lines_mark mark; /* as committed */
    struct request_list pending;
    struct text text;                 /* the lines of a transaction */
    uint64_t lost[DROP_REASON_COUNT]; /* of streams that nobody has joined, in the transaction */
    uint64_t untold[DROP_REASON_COUNT], told_ns[DROP_REASON_COUNT]; /* of losses, in the log */
    uint64_t failed_ns;                                             /* when that was told last */
    uint64_t looked_us, looked_ns;                                  /* at both clocks */
    uint64_t behind_us, jumped_us;                                  /* see follow_clock */
    bool failing;  /* told; until a transaction succeeds that is like the one that failed */
    bool refusing; /* that one had new frames */
    struct metric_gauge *bytes, *waiting, *oldest;
    struct metric_counter *errors, *lines_written, *lines_dropped;
    struct metric_histogram *commit;
};

struct spool {
    uv_async_t wake; /* first, so that its close callback can free the spool */
    const struct spool_config *config;
    struct metrics *metrics;
    struct request *unused;   /* the loop's */
    struct request_list held; /* the loop's */
    uv_thread_t thread;
    uv_mutex_t disk; /* database and file, while they are worked with */
    struct spool_writer writer;

    uv_mutex_t mutex; /* all that follows */
    uv_cond_t changed;
    struct request_list asked, done;
    struct spool_stream *streams; /* only ever grows */
    bool stopping, stopped;
    atomic_size_t line_bytes; /* of lines that wait */
};

/* spool_writer.c */
int spool_writer_open(struct spool_writer *writer, struct spool *spool,
                      const struct sink_config *answers, struct error *err);
void spool_writer_main(void *spool);
/* When its thread has ended. */
void spool_writer_close(struct spool_writer *writer);

#endif
