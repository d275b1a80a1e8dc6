/* spool_db: the spool's database: frames that were captured and are not all answered yet, by stream and
 * group of pictures, and where the file of answers ended with the last commit. Blocking; the spool's
 * thread alone.
 *
 * Frames come and go in groups of pictures, a keyframe and what needs it: a frame that is answered stays
 * as long as one of its group may have to be sent, for that one cannot be decoded without it. The last
 * group of a stream stays until the next one begins. */
#ifndef RUNESPOOR_EDGE_SPOOL_DB_H
#define RUNESPOOR_EDGE_SPOOL_DB_H

#include "camera.h"
#include "lines.h"

#define SPOOL_VERSION 1

struct spool_db;

/* A frame as it lies in the spool. */
struct spool_frame {
    struct encoded_frame frame; /* owns its packet; without picture, epoch and most of the rung */
    uint64_t group;             /* number of its keyframe */
    bool answered;              /* before: it is there for those behind it */
};

/* Opens, or makes, and checks the whole of it; what is damaged is refused in words and not touched.
 * bytes_max: of the database. */
int spool_db_open(struct spool_db **db, const char *path, uint64_t bytes_max, struct error *err);
/* Sets NULL; takes NULL. */
void spool_db_close(struct spool_db **db);

/* What could not be committed may stand whole in the log all the same, when only the disk's word for it was
 * missing, and would then hold at the next start. This puts something else in its place; until it has
 * succeeded, nothing outside of the database may be taken back. Harmless when all was committed. Outside a
 * transaction. */
int spool_db_settle(struct spool_db *db, struct error *err);

/* All that follows is inside a transaction. */
int spool_db_begin(struct spool_db *db, struct error *err);
int spool_db_commit(struct spool_db *db, struct error *err);
/* Takes back all since begin; harmless outside a transaction. */
void spool_db_roll_back(struct spool_db *db);

/* The stream's number in the database, the number that its next frame has, how many frames wait for an
 * answer, and the group that its next frame may belong to. */
struct spool_place {
    int64_t id;
    uint64_t next_number, waiting, last_group;
    bool has_group;
};
int spool_db_find_stream(struct spool_db *db, const char *name, struct spool_place *place,
                         struct error *err);
/* The frame's packet is borrowed. It has to be a keyframe or go on place's group. Frames of a group
 * that ends by this one, and are all answered, go. */
int spool_db_put(struct spool_db *db, struct spool_place *place, const struct spool_frame *stored,
                 struct error *err);
/* Whether a frame of so many bytes fits beside what is there. */
int spool_db_has_room(struct spool_db *db, size_t bytes, bool *room, struct error *err);

/* A frame has its answer. found: it was there and waited for one. */
int spool_db_answer(struct spool_db *db, struct spool_place *place, uint64_t number, bool *found,
                    struct error *err);
/* It was asked for in vain once more: so often now, 0 when it does not wait. */
int spool_db_count_try(struct spool_db *db, const struct spool_place *place, uint64_t number,
                       uint32_t *tries, struct error *err);
/* The next frame to be sent behind those below from, and before below: the first one that waits, or one
 * that it needs. 0, or -ERROR_END when there is none. A frame whose bytes are not those that were stored
 * comes without its packet. */
int spool_db_read(struct spool_db *db, const struct spool_place *place, uint64_t from,
                  uint64_t below, struct spool_frame *stored, struct error *err);

/* Frames that went without an answer. */
struct spool_loss {
    int64_t id; /* of the stream; 0: none */
    uint64_t frames, group;
};
/* Takes out the oldest group of all streams. */
int spool_db_drop_oldest(struct spool_db *db, struct spool_loss *loss, struct error *err);
/* The same, if it was captured before that time; loss->id is 0 when there is none. oldest_us: when the group
 * that was looked at was captured, 0: there is no frame. */
int spool_db_drop_older(struct spool_db *db, uint64_t unix_us, struct spool_loss *loss,
                        uint64_t *oldest_us, struct error *err);
/* The rest of a group, from a frame on, which is of no use. */
int spool_db_drop_rest(struct spool_db *db, const struct spool_place *place, uint64_t group,
                       uint64_t number, struct spool_loss *loss, struct error *err);

int spool_db_get_mark(struct spool_db *db, struct lines_mark *mark, struct error *err);
int spool_db_set_mark(struct spool_db *db, const struct lines_mark *mark, struct error *err);

/* Of the pages in use, and when the oldest frame that waits was captured (0: none does). */
struct spool_figures {
    uint64_t bytes, oldest_unix_us;
};
int spool_db_get_figures(struct spool_db *db, struct spool_figures *figures, struct error *err);

#endif
