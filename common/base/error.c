/* error: texts are put together in a buffer of our own first, so that a cause may be wrapped into
 * the very struct it stands in. */
#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef error_set /* what only an analyser sees around the functions below */
#undef error_wrap
#undef error_set_errno

static const char *const error_words[ERROR_CODE_COUNT] = { [ERROR_NONE] = "none",
#define X(name, word, meaning) [ERROR_##name] = word,
                                                           ERROR_CODES(X)
#undef X
};

static void append(char text[ERROR_TEXT_BYTES], int used, const char *tail);
static int fill(struct error *err, enum error_code code, const char *place, const char *tail,
                const char *format, va_list args) __attribute__((format(printf, 5, 0)));

int error_set(struct error *err, enum error_code code, const char *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = fill(err, code, place, NULL, format, args);
    va_end(args);
    return result;
}

int error_set_errno(struct error *err, int errno_value, const char *place, const char *format, ...)
{
    char buffer[128];
    const char *reason = strerror_r(errno_value, buffer, sizeof buffer); /* the GNU kind */
    va_list args;
    va_start(args, format);
    int result = fill(err, ERROR_IO, place, reason, format, args);
    va_end(args);
    return result;
}

int error_wrap(struct error *err, const char *format, ...)
{
    assert(format);
    if (!err)
        return -ERROR_IO; /* nobody asked for the cause, but it failed all the same */
    char text[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    append(text, used, err->text);
    memcpy(err->text, text, sizeof text);
    return -(int)err->code;
}

const char *error_word(int code)
{
    if (code <= -ERROR_CODE_COUNT || code >= ERROR_CODE_COUNT)
        return "unknown";
    return error_words[code < 0 ? -code : code];
}

/* ": tail" behind used bytes, as much as fits. */
static void append(char text[ERROR_TEXT_BYTES], int used, const char *tail)
{
    if (used < 0)
        used = 0;
    for (const char *more = ": "; *more && used < (int)ERROR_TEXT_BYTES - 1; more++)
        text[used++] = *more;
    for (; *tail && used < (int)ERROR_TEXT_BYTES - 1; tail++)
        text[used++] = *tail;
    if (used < (int)ERROR_TEXT_BYTES)
        text[used] = '\0';
}

/* "place: message", then ": tail" where there is one. */
static int fill(struct error *err, enum error_code code, const char *place, const char *tail,
                const char *format, va_list args)
{
    assert(code > ERROR_NONE && code < ERROR_CODE_COUNT && place && format);
    if (!err)
        return -(int)code;
    char text[ERROR_TEXT_BYTES];
    int used = snprintf(text, sizeof text, "%s: ", place);
    if (used >= 0 && (size_t)used < sizeof text) {
        int more = vsnprintf(text + used, sizeof text - (size_t)used, format, args);
        used = more < 0 ? used : used + more;
    }
    if (tail)
        append(text, used, tail);
    err->code = code;
    memcpy(err->text, text, sizeof text);
    return -(int)code;
}
