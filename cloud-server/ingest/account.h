/* account: what a key uses of its limits: streams and bitrate. Loop thread. */
#ifndef RUNESPOOR_INGEST_ACCOUNT_H
#define RUNESPOOR_INGEST_ACCOUNT_H

#include "config.h"

struct accounts;
struct account;

int accounts_create(struct accounts **accounts, const struct limits_config *limits,
                    struct error *err);
/* No stream may be left. Takes NULL. */
void accounts_destroy(struct accounts **accounts);

/* Other limits from now on, but for limits->streams. */
void accounts_set_limits(struct accounts *accounts, const struct limits_config *limits);

/* One more stream for this key; -ERROR_LIMIT when it has as many as it may. Its account lives until
 * its last stream has left. */
int account_join(struct accounts *accounts, const char *key, struct account **account,
                 struct error *err);
void account_leave(struct account *account);
const char *account_key(const struct account *account);

/* A token bucket of one second and one largest packet. False when the key is above its bitrate. */
bool account_pay(struct account *account, uint32_t bytes, uint64_t now_ns);

#endif
