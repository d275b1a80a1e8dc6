/* error: what went wrong, where, and what to do, in one value that travels up the call chain.
 * Functions return 0, or the negative error code, and fill a struct error given as last argument.
 * Only the owner of a retry or of the exit logs it, once. */
#ifndef RUNESPOOR_BASE_ERROR_H
#define RUNESPOOR_BASE_ERROR_H

/* code, word used in logs and metrics, meaning */
#define ERROR_CODES(X)                                                  \
    X(CONFIG, "config", "the configuration or command line is wrong")   \
    X(MEMORY, "memory", "no memory left")                               \
    X(IO, "io", "a file, device or socket failed")                      \
    X(FORMAT, "format", "input from outside is malformed")              \
    X(UNSUPPORTED, "unsupported", "valid, but not something we can do") \
    X(LIMIT, "limit", "above a configured or built-in limit")           \
    X(AUTH, "auth", "a key is unknown, or not allowed to do this")      \
    X(NETWORK, "network", "the other side is unreachable or broke off") \
    X(TIMEOUT, "timeout", "it took too long")                           \
    X(END, "end", "regular end of the input")                           \
    X(AGAIN, "again", "nothing now, ask again later")                   \
    X(DEVICE, "device", "what computes has failed in the middle of it")

enum error_code {
    ERROR_NONE = 0,
#define X(name, word, meaning) ERROR_##name,
    ERROR_CODES(X)
#undef X
        ERROR_CODE_COUNT
};

#define ERROR_TEXT_BYTES 512u

struct error {
    enum error_code code;
    char text[ERROR_TEXT_BYTES]; /* "place: message", outermost place first; cut when too long */
};

/* Sets *err to "place: message" and returns -code. err may be NULL (then only the code is
 * given). */
int error_set(struct error *err, enum error_code code, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "place: " before the text that is already there and returns -err->code, so that causes read
 * outermost first: "camera yard: cannot open: RTSP 401". */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_set, with ": strerror(errno_value)" appended. */
int error_set_errno(struct error *err, int errno_value, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#ifdef __clang_analyzer__ /* it sees one file at a time and is told here that errors are negative */
#define error_negative(failed)       \
    ({                               \
        int failed_ = (failed);      \
        if (failed_ >= 0)            \
            __builtin_unreachable(); \
        failed_;                     \
    })
#define error_set(...) error_negative(error_set(__VA_ARGS__))
#define error_wrap(...) error_negative(error_wrap(__VA_ARGS__))
#define error_set_errno(...) error_negative(error_set_errno(__VA_ARGS__))
#endif

/* The word of a code or of a negative return value ("io"); "none" for 0. Never NULL. */
const char *error_word(int code);

#endif
