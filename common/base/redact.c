/* redact: hides secrets in text that people will see. Where a text can be read in two ways it hides
 * more rather than less: passwords hold '/', '?' and '@' more often than paths hold '@'. */
#include "base/log.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define HIDDEN "***"

static const char *const secret_names[] = { "password", "passwd", "pass", "pwd",
                                            "secret",   "token",  "key",  "apikey" };

struct output {
    char *data;
    size_t size, capacity;
};

static void emit(struct output *out, const char *bytes, size_t count);
static size_t user_info_bytes(const char *rest);
static bool names_secret(const char *text, const char *equals);
static size_t value_bytes(const char *value);

void log_redact(const char *text, char *out, size_t out_bytes)
{
    if (out_bytes == 0)
        return;
    struct output output = { .data = out, .capacity = out_bytes - 1 };
    const char *at = text;
    while (*at && output.size < output.capacity) {
        if (strncmp(at, "://", 3) == 0) {
            emit(&output, at, 3);
            at += 3;
            size_t hidden = user_info_bytes(at);
            if (hidden > 0)
                emit(&output, HIDDEN, strlen(HIDDEN));
            at += hidden;
        } else if (*at == '=' && names_secret(text, at)) {
            emit(&output, at++, 1);
            size_t hidden = value_bytes(at);
            if (hidden > 0)
                emit(&output, HIDDEN, strlen(HIDDEN));
            at += hidden;
        } else {
            emit(&output, at++, 1);
        }
    }
    out[output.size] = '\0';
}

static void emit(struct output *out, const char *bytes, size_t count)
{
    if (count > out->capacity - out->size)
        count = out->capacity - out->size;
    memcpy(out->data + out->size, bytes, count);
    out->size += count;
}

/* How much after "://" is to be hidden: all up to the last '@' of the word. A "name:letters" with
 * no '@' is hidden too: that is a login whose rest was cut off, since a port has digits or '*'. */
static size_t user_info_bytes(const char *rest)
{
    size_t word = strcspn(rest, " \t\r\n\"'<>");
    size_t authority = strcspn(rest, "/?# \t\r\n\"'<>");
    if (authority > 0 && authority == word && rest[authority - 1] == ':')
        authority--; /* of the sentence, as in "udp://host:port: what is wrong" */
    const char *at_sign = memrchr(rest, '@', word);
    const char *colon = memchr(rest, ':', authority);
    if (at_sign && (colon || (size_t)(at_sign - rest) < authority))
        return (size_t)(at_sign - rest);
    if (!colon || rest[0] == '[')
        return 0;
    size_t port = strspn(colon + 1, "0123456789*");
    return colon + 1 + port == rest + authority ? 0 : word;
}

/* The last part of the word before '=': "api_key=" and "access-token=" are secrets as well. */
static bool names_secret(const char *text, const char *equals)
{
    const char *name = equals;
    while (name > text && isalnum((unsigned char)name[-1]))
        name--;
    size_t size = (size_t)(equals - name);
    for (size_t i = 0; i < sizeof secret_names / sizeof *secret_names; i++)
        if (strlen(secret_names[i]) == size && strncasecmp(secret_names[i], name, size) == 0)
            return true;
    return false;
}

/* Up to the next query key or the end of the word; to the closing quote where one was opened. */
static size_t value_bytes(const char *value)
{
    if (*value != '"' && *value != '\'')
        return strcspn(value, "& \t\r\n\"'");
    const char quote[] = { *value, '\0' };
    size_t inside = strcspn(value + 1, quote);
    return inside + 1 + (value[1 + inside] != '\0');
}
