/* log_limit: lets a peer's mistakes be logged once in a while and not once a message. A small fixed
 * table, so that inventing names cannot fill the memory; what is forgotten is logged again. */
#ifndef RUNESPOOR_INGEST_LOG_LIMIT_H
#define RUNESPOOR_INGEST_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_ENTRIES 128u

/* All-zero is empty. */
struct log_limit {
    struct {
        uint64_t hash, until_ns;
    } entries[LOG_LIMIT_ENTRIES];
};

/* True when subject and reason have not passed within the last period_ms. */
bool log_limit_pass(struct log_limit *limit, const char *subject, const char *reason,
                    uint32_t period_ms);

#endif
