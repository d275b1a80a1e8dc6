/* spool: frames of lossless streams on the disk, from capture to answer, and the file of answers that
 * agrees with it.
 *
 * One thread of its own has the database (spool_db.h) and the file (lines.h): the loop never waits for
 * the disk. What waits is done in one go: lines are written and brought to the disk, then one
 * transaction stores new frames, marks answered ones and notes where the file ends. So a frame is in
 * the file once it is no longer in the spool, and never twice: what was written behind the noted end is
 * cut off at the next start, and its frames are asked for again.
 *
 * Loop thread, but for what is said otherwise. */
#ifndef RUNESPOOR_EDGE_SPOOL_H
#define RUNESPOOR_EDGE_SPOOL_H

#include "figures.h"
#include "spool_db.h"

#define SPOOL_READ_MAX 8u /* frames that one reading gives */
/* A frame that was asked for so often in vain gets what the server said last for its answer. */
#define SPOOL_TRIES_MAX 3u
/* Lines of live streams wait in memory while the disk is busy; beyond this new ones are dropped. */
#define SPOOL_LINES_BYTES_MAX (4u << 20)

struct spool;
struct spool_stream;

/* What became of a frame that was put. */
enum spool_fate {
    SPOOL_STORED,
    SPOOL_FULL,     /* no room, and none is to be made */
    SPOOL_FAILED,   /* the disk, which is logged */
    SPOOL_GROUPLESS /* it needs a frame that is not there: an IDR please */
};

/* What became of an answer. */
enum spool_end {
    SPOOL_ANSWERED,
    SPOOL_AGAIN, /* it is to be asked for again */
    SPOOL_GONE   /* the frame did not wait any more */
};

/* What is kept of an answer while the disk has it. */
struct spool_answer {
    uint64_t number, age_us;
    bool late;
    Runespoor__AnswerStatus status;
    bool final; /* else the frame is asked for again, SPOOL_TRIES_MAX times in all */
};

/* To the stream, from the loop, in the order in which they were asked for. */
struct spool_events {
    /* stored is given back: packet and picture may be taken out of it. previous: the frame of its stream
     * that was stored before it. */
    void (*put)(void *arg, struct spool_frame *stored, uint64_t previous, enum spool_fate fate);
    void (*answered)(void *arg, const struct spool_answer *answer, enum spool_end end);
    /* Of spool_read: frames whose packets may be taken out; none: there are no more. */
    void (*read)(void *arg, void *reader, struct spool_frame *frames, size_t count);
};

/* Opens database and file (answers->path "": none), which may take some seconds, and starts the thread.
 * The configs are borrowed until the close callback has run. A damaged database is refused in words. */
int spool_open(struct spool **spool, uv_loop_t *loop, const struct spool_config *config,
               const struct sink_config *answers, struct metrics *metrics, struct error *err);
/* Waits for the disk, so only at a start or a change of the configuration. next_number: of the first frame to come. figures are
 * borrowed until spool_leave; any drop is counted there. */
int spool_join(struct spool *spool, struct spool_stream **stream, const char *name,
               struct figures *figures, const struct spool_events *events, void *arg,
               uint64_t *next_number, struct error *err);
/* No event comes any more; what was put or answered is still done. Takes NULL. */
void spool_leave(struct spool_stream **stream);
/* Frames of the stream in the spool that wait for an answer, as of the last event. */
uint64_t spool_waiting(const struct spool_stream *stream);

/* Takes the frame's packet and picture over. -ERROR_MEMORY when it cannot even be noted. */
int spool_put(struct spool_stream *stream, const struct spool_frame *frame, struct error *err);
/* The frame's answer, for the file. final: see struct spool_answer. ticket 0: now; another: it is held in
 * memory until spool_release, and the frame waits as long. -ERROR_MEMORY: as if it had not come. */
int spool_put_answer(struct spool_stream *stream, const Runespoor__Answer *answer, uint64_t age_us,
                     bool final, uint64_t ticket, struct error *err);
/* Any ticket; one that is not held is let be. */
void spool_release(struct spool *spool, uint64_t ticket);
/* Answers of the stream that are held. */
size_t spool_held(const struct spool_stream *stream);
/* Asks for up to SPOOL_READ_MAX frames to be sent: the next ones from a number on and below another
 * that wait, and those that they need. reader comes back with them. */
int spool_read(struct spool_stream *stream, void *reader, uint64_t from, uint64_t below,
               struct error *err);

/* A line for the file that belongs to no frame in the spool. False when it was dropped, counted. */
bool spool_add_line(struct spool *spool, const Runespoor__Answer *answer, uint64_t age_us);

/* Does what waits, with one last try where the disk fails, and ends. All streams have left. The memory
 * is freed by the loop. Sets NULL; takes NULL. */
void spool_close(struct spool **spool);

#endif
