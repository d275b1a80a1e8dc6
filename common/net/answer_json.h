/* answer_json: an Answer as one JSON line, the same at both daemons. docs/protocol.md lists the keys. */
#ifndef RUNESPOOR_NET_ANSWER_JSON_H
#define RUNESPOOR_NET_ANSWER_JSON_H

#include "answer.pb-c.h"
#include "base/text.h"

/* "ok", "dropped" or "failed". */
const char *answer_status_word(Runespoor__AnswerStatus status);

/* Appends one line with its newline. age_us is left out when NULL (only the agent knows it). */
void answer_write_json(struct text *text, const Runespoor__Answer *answer, const uint64_t *age_us);

#endif
