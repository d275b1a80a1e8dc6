/* account: one entry per key that has streams now, in a table as long as there may be streams. */
#include "ingest/account.h"
#include "base/clock.h"
#include "net/keys.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct account {
    const struct limits_config *limits;
    char key[KEY_TEXT_BYTES];
    uint32_t streams; /* 0: the entry is free */
    double credit_bytes;
    uint64_t filled_ns;
};

struct accounts {
    struct limits_config limits;
    struct account entries[];
};

static double bytes_per_s(const struct limits_config *limits)
{
    return limits->bitrate_kbps * 1000.0 / 8;
}

static double bucket_bytes(const struct limits_config *limits)
{
    return bytes_per_s(limits) + limits->message_bytes;
}

int accounts_create(struct accounts **out, const struct limits_config *limits, struct error *err)
{
    struct accounts *accounts =
        calloc(1, sizeof *accounts + limits->streams * sizeof accounts->entries[0]);
    if (!accounts)
        return error_set(err, ERROR_MEMORY, "limits", "no room for %u keys", limits->streams);
    accounts->limits = *limits;
    *out = accounts;
    return 0;
}

void accounts_set_limits(struct accounts *accounts, const struct limits_config *limits)
{
    const uint32_t streams = accounts->limits.streams; /* that there is room for */
    accounts->limits = *limits;
    accounts->limits.streams = streams;
}

void accounts_destroy(struct accounts **accounts)
{
    free(*accounts);
    *accounts = NULL;
}

int account_join(struct accounts *accounts, const char *key, struct account **out, struct error *err)
{
    const struct limits_config *limits = &accounts->limits;
    struct account *account = NULL;

    for (uint32_t i = 0; i < limits->streams; i++) {
        struct account *entry = &accounts->entries[i];
        if (entry->streams > 0 && strcmp(entry->key, key) == 0) {
            account = entry;
            break;
        }
        if (entry->streams == 0 && !account)
            account = entry;
    }
    assert(account); /* as many entries as streams */
    if (account->streams >= limits->streams_per_key)
        return error_set(err, ERROR_LIMIT, "key", "it has all the %u streams that one key may have",
                         limits->streams_per_key);
    if (account->streams == 0) {
        *account = (struct account){ .limits = limits,
                                     .credit_bytes = bucket_bytes(limits),
                                     .filled_ns = clock_now_ns() };
        snprintf(account->key, sizeof account->key, "%s", key);
    }
    account->streams++;
    *out = account;
    return 0;
}

void account_leave(struct account *account)
{
    assert(account->streams > 0);
    account->streams--;
}

const char *account_key(const struct account *account)
{
    return account->key;
}

bool account_pay(struct account *account, uint32_t bytes, uint64_t now_ns)
{
    const double full = bucket_bytes(account->limits);

    if (now_ns > account->filled_ns) {
        account->credit_bytes +=
            (double)(now_ns - account->filled_ns) / CLOCK_NS_PER_S * bytes_per_s(account->limits);
        account->filled_ns = now_ns;
    }
    if (account->credit_bytes > full)
        account->credit_bytes = full;
    if (account->credit_bytes < bytes)
        return false;
    account->credit_bytes -= bytes;
    return true;
}
