/* log_limit: entries are found by a hash of both words; the one that ends first makes room. */
#include "ingest/log_limit.h"
#include "base/clock.h"
#include <stddef.h>

static uint64_t hash_word(uint64_t hash, const char *word)
{
    for (; *word != '\0'; word++)
        hash = (hash ^ (unsigned char)*word) * 1099511628211u; /* FNV-1a */
    return (hash ^ 0xffu) * 1099511628211u; /* the end counts: "ab","c" is not "a","bc" */
}

bool log_limit_pass(struct log_limit *limit, const char *subject, const char *reason,
                    uint32_t period_ms)
{
    const uint64_t now_ns = clock_now_ns();
    const uint64_t hash = hash_word(hash_word(14695981039346656037u, subject), reason);
    size_t place = 0;

    for (size_t i = 0; i < LOG_LIMIT_ENTRIES; i++) {
        if (limit->entries[i].hash == hash) {
            place = i;
            if (limit->entries[i].until_ns > now_ns)
                return false;
            break;
        }
        if (limit->entries[i].until_ns < limit->entries[place].until_ns)
            place = i;
    }
    limit->entries[place].hash = hash;
    limit->entries[place].until_ns = now_ns + period_ms * CLOCK_NS_PER_MS;
    return true;
}
