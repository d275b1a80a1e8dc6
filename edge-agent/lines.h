/* lines: the file of answer lines, with rotation. Blocking, so for a thread of the disk's; one thread at
 * a time.
 *
 * Rotation moves PATH to PATH.1, PATH.1 to PATH.2 and so on, between two lines. A mark says where the
 * file ended when something else was committed; opened with it, a file is cut back to there. */
#ifndef RUNESPOOR_EDGE_LINES_H
#define RUNESPOOR_EDGE_LINES_H

#include "agent_config.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines;

/* The file by its inode (its name changes), and its end in bytes. All-zero: none. */
struct lines_mark {
    uint64_t inode, bytes;
};

/* config is borrowed until lines_close; its path is not "". Without a mark a torn last line is cut off.
 * With one, which needs a regular file, all behind it is, wherever rotation has moved the file to; a
 * file that is not the mark's (somebody moved or changed it) is gone on with as without a mark, and
 * that is logged. */
int lines_open(struct lines **lines, const struct sink_config *config,
               const struct lines_mark *mark, struct error *err);
/* Appends; *written says how much, also after an error. */
int lines_write(struct lines *lines, const char *bytes, size_t size, size_t *written,
                struct error *err);
/* Returns when all that was written is on the disk. */
int lines_sync(struct lines *lines, struct error *err);
/* Cuts off what was written behind the mark, which is of this file. */
int lines_cut(struct lines *lines, const struct lines_mark *mark, struct error *err);
/* The file has rotate_mb. */
bool lines_are_full(const struct lines *lines);
/* Begins a new file. To be called between two lines. After an error the old one may be gone on with. */
int lines_rotate(struct lines *lines, struct error *err);
void lines_get_mark(const struct lines *lines, struct lines_mark *mark);
/* An error in closing is one of writing. Sets NULL; takes NULL. */
int lines_close(struct lines **lines, struct error *err);

#endif
