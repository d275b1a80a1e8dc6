/* log: logfmt lines on standard error, levels per module, one redactor for secrets.
 *
 *     log_info("uplink", "connected", LOG_STR("server", address), LOG_U64("streams", n));
 *
 * gives  ts=2026-11-21T12:00:00.123Z level=info module=uplink msg=connected server=… streams=2
 *
 * Safe from any thread; a line is written with one write(2). Nothing is allocated. Values are cut
 * at 1 KiB; fields that no longer fit in a line of 4 KiB are left out and it ends in cut=true. */
#ifndef RUNESPOOR_BASE_LOG_H
#define RUNESPOOR_BASE_LOG_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_I64, LOG_FIELD_U64, LOG_FIELD_F64 } kind;
    union {
        const char *str; /* borrowed for the call; quoted and redacted when written */
        int64_t i64;
        uint64_t u64;
        double f64;
    } as;
};

#define LOG_STR(k, v) ((struct log_field){ .key = (k), .kind = LOG_FIELD_STR, .as.str = (v) })
#define LOG_I64(k, v) ((struct log_field){ .key = (k), .kind = LOG_FIELD_I64, .as.i64 = (v) })
#define LOG_U64(k, v) ((struct log_field){ .key = (k), .kind = LOG_FIELD_U64, .as.u64 = (v) })
#define LOG_F64(k, v) ((struct log_field){ .key = (k), .kind = LOG_FIELD_F64, .as.f64 = (v) })
/* The text of a struct error, as field "cause". */
#define LOG_CAUSE(err) LOG_STR("cause", (err)->text)
#define LOG_END ((struct log_field){ .key = NULL })

#define log_error(module, ...) log_emit(LOG_ERROR, module, __VA_ARGS__, LOG_END)
#define log_warn(module, ...) log_emit(LOG_WARN, module, __VA_ARGS__, LOG_END)
#define log_info(module, ...) log_emit(LOG_INFO, module, __VA_ARGS__, LOG_END)
#define log_debug(module, ...) log_emit(LOG_DEBUG, module, __VA_ARGS__, LOG_END)

/* module and message are literals; the fields (struct log_field by value) end with LOG_END. */
void log_emit(enum log_level level, const char *module, const char *message, ...);

/* Level words: "error", "warn", "info", "debug". The spec is "info" or "info,uplink=debug,…".
 * Errors name the word that is wrong, and change nothing. Holds at once, for all threads. */
int log_configure(const char *spec, struct error *err);
/* The same mistakes, without any effect. */
int log_check(const char *spec, struct error *err);

/* True when a line of this level and module would be written. */
bool log_enabled(enum log_level level, const char *module);

/* The redactor. Copies text to out with secrets replaced by "***": the user:password part of URLs
 * (user:pass before the @ of scheme://user:pass@host) and the values of query keys and k=v words
 * whose name is, or ends after "_" or "-" in, password, passwd, pass, pwd, secret, token, key or
 * apikey. When in doubt it hides. Always terminates out; cuts what does not fit. Used by log,
 * config printouts and HTTP alike. */
void log_redact(const char *text, char *out, size_t out_bytes);

#endif
