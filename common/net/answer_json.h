/* answer_json: an Answer as one JSON line, the same at both daemons, and the end of a file of such
 * lines. docs/protocol.md lists the keys. */
#ifndef RUNESPOOR_NET_ANSWER_JSON_H
#define RUNESPOOR_NET_ANSWER_JSON_H

#include "answer.pb-c.h"
#include "base/text.h"

/* "ok", "dropped" or "failed". */
const char *answer_status_word(Runespoor__AnswerStatus status);

/* Appends one line with its newline. age_us is left out when NULL (only the agent knows it). */
void answer_write_json(struct text *text, const Runespoor__Answer *answer, const uint64_t *age_us);

/* Before a file of lines is appended to: cuts off what a kill or a full disk has left of its last
 * line. A file that is not there, or not a regular one, is let be; one that does not look like lines
 * of answers is refused and not touched. */
int answer_lines_repair(const char *path, struct error *err);

#endif
