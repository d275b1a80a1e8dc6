/* value: one option's value from and to text. Strict: a number that could be read in two ways, or a
 * word that is nearly right, is a mistake and not a guess. */
#include "config/parts.h"

#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool parse_bool(const char *text, bool *value);
static const char *parse_number(const struct option_spec *spec, const char *text, double *value);
static bool parse_strings(const char *text, struct option_strings *strings, struct arena *arena);
static int find_word(const struct option_spec *spec, const char *text);
static const char *nearest_word(const struct option_spec *spec, const char *text);

static bool has_range(const struct option_spec *spec)
{
    return spec->min != 0 || spec->max != 0;
}

/* A default may stand outside of the range, as "" for "not set": it can then be written as well. */
static bool is_length_allowed(const struct option_spec *spec, const char *text)
{
    double length = (double)strlen(text);
    return !has_range(spec) || (length >= spec->min && length <= spec->max) ||
           (spec->fallback && strcmp(text, spec->fallback) == 0);
}

/* "12x" is not a number, allowed 1 to 240 fps, did you mean … */
static bool refuse(const struct option_spec *spec, const char *text, const char *what,
                   char why[CONFIG_PROBLEM_BYTES])
{
    char allowed[CONFIG_ALLOWED_BYTES];
    value_allowed(spec, allowed);
    const char *near = nearest_word(spec, text);
    bool hidden = spec->secret;
    snprintf(why, CONFIG_PROBLEM_BYTES, "%s%.*s%s %s%s%s%s%s%s", hidden ? "" : "\"",
             CONFIG_SHOWN_BYTES, hidden ? "the value" : text, hidden ? "" : "\"", what,
             *allowed ? ", allowed " : "", allowed, near ? ", did you mean \"" : "",
             near ? near : "", near ? "\"?" : "");
    return false;
}

bool value_parse(const struct option_spec *spec, const char *text, void *field, struct arena *arena,
                 char why[CONFIG_PROBLEM_BYTES])
{
    double number;
    const char *what;
    char length[40];
    switch (spec->kind) {
    case OPTION_KIND_BOOL:
        return parse_bool(text, field) || refuse(spec, text, "is not a truth value", why);
    case OPTION_KIND_U32:
        what = parse_number(spec, text, &number);
        if (what)
            return refuse(spec, text, what, why);
        *(uint32_t *)field = (uint32_t)number;
        return true;
    case OPTION_KIND_F64:
        what = parse_number(spec, text, &number);
        if (what)
            return refuse(spec, text, what, why);
        *(double *)field = number;
        return true;
    case OPTION_KIND_STRING:
        if (!is_length_allowed(spec, text)) {
            snprintf(length, sizeof length, "has %zu bytes", strlen(text));
            return refuse(spec, text, length, why);
        }
        *(char **)field = arena_copy(arena, text, strlen(text));
        return *(char **)field != NULL;
    case OPTION_KIND_ENUM: {
        int index = find_word(spec, text);
        if (index < 0)
            return refuse(spec, text, "is not known", why);
        *(int *)field = index;
        return true;
    }
    case OPTION_KIND_STRINGS:
        return parse_strings(text, field, arena);
    default:
        assert(!"sections and lists have no text");
        return false;
    }
}

void value_allowed(const struct option_spec *spec, char allowed[CONFIG_ALLOWED_BYTES])
{
    const char *unit = spec->unit && *spec->unit ? spec->unit : NULL;
    allowed[0] = '\0';
    switch (spec->kind) {
    case OPTION_KIND_BOOL:
        snprintf(allowed, CONFIG_ALLOWED_BYTES, "true or false");
        return;
    case OPTION_KIND_STRING:
        unit = "bytes";
        break;
    case OPTION_KIND_STRINGS:
    case OPTION_KIND_LIST:
        unit = "elements";
        break;
    case OPTION_KIND_ENUM:
        for (const char *const *word = spec->words; *word; word++) {
            size_t used = strlen(allowed);
            snprintf(allowed + used, CONFIG_ALLOWED_BYTES - used, "%s%s", used ? ", " : "", *word);
        }
        return;
    default:
        break;
    }
    if (has_range(spec))
        snprintf(allowed, CONFIG_ALLOWED_BYTES, "%.15g to %.15g%s%s", spec->min, spec->max,
                 unit ? " " : "", unit ? unit : "");
}

static void print_shown(const struct option_spec *spec, const char *text, FILE *out)
{
    char shown[2 * CONFIG_STRING_BYTES_MAX];
    if (spec->secret)
        snprintf(shown, sizeof shown, "%s", *text ? "***" : "");
    else
        log_redact(text, shown, sizeof shown);
    value_print_string(shown, out);
}

void value_print(const struct option_spec *spec, const void *field, FILE *out)
{
    switch (spec->kind) {
    case OPTION_KIND_BOOL:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case OPTION_KIND_U32:
        fprintf(out, "%u", *(const uint32_t *)field);
        break;
    case OPTION_KIND_F64: {
        double value = *(const double *)field;
        char text[40];
        snprintf(text, sizeof text, "%.15g", value);
        if (strtod(text, NULL) != value) /* 17 digits always come back as they were */
            snprintf(text, sizeof text, "%.17g", value);
        fputs(text, out);
        break;
    }
    case OPTION_KIND_STRING: {
        const char *text = *(char *const *)field;
        print_shown(spec, text, out);
        break;
    }
    case OPTION_KIND_ENUM:
        fputs(spec->words[*(const int *)field], out);
        break;
    case OPTION_KIND_STRINGS: {
        const struct option_strings *strings = field;
        fputc('[', out);
        for (size_t i = 0; i < strings->count; i++) {
            fputs(i ? ", " : "", out);
            print_shown(spec, strings->items[i], out);
        }
        fputc(']', out);
        break;
    }
    default:
        assert(!"sections and lists are printed by their options");
    }
}

/* The code of a character that YAML takes for a line end or does not take at all: controls, U+2028,
 * U+2029, the byte order mark, and what is no character. 0 for all others. */
static unsigned unsafe_character(const char *text, size_t bytes)
{
    const unsigned char *b = (const unsigned char *)text;
    unsigned code = b[0];
    if (bytes == 2)
        code = (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
    if (bytes == 3)
        code = (b[0] & 0xfu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool other = code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe;
    return control || (bytes == 3 && other) ? code : 0;
}

/* Plain where no reader could take it for something else. Bytes that are not UTF-8 become
 * U+FFFD. */
void value_print_string(const char *text, FILE *out)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+";
    static const char inside[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-@=";
    size_t size = strlen(text);
    if (size > 0 && strchr(plain, text[0]) && strspn(text, inside) == size &&
        strcmp(text, "null") != 0) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (size_t at = 0, bytes; at < size; at += bytes ? bytes : 1) {
        bytes = text_utf8_bytes(text + at, size - at);
        unsigned code = bytes ? unsafe_character(text + at, bytes) : 0xfffd;
        if (code)
            fprintf(out, "\\u%04x", code);
        else if (text[at] == '"' || text[at] == '\\')
            fprintf(out, "\\%c", text[at]);
        else
            fwrite(text + at, 1, bytes, out);
    }
    fputc('"', out);
}

static bool parse_bool(const char *text, bool *value)
{
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return false;
    *value = is_true;
    return true;
}

/* NULL, or what is wrong. Decimal only: "010" is ten to some and eight to others, so neither. */
static const char *parse_number(const struct option_spec *spec, const char *text, double *value)
{
    bool whole = spec->kind == OPTION_KIND_U32;
    const char *digits = *text == '-' && !whole ? text + 1 : text;
    if (!*text || text[strspn(text, whole ? "0123456789" : "0123456789.eE+-")])
        return whole ? "is not a whole number" : "is not a number";
    if (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9')
        return "starts with a 0";
    char *end;
    double number = strtod(text, &end);
    if (*end || *text == '+')
        return whole ? "is not a whole number" : "is not a number";
    double max = has_range(spec) ? spec->max : HUGE_VAL;
    double min = has_range(spec) ? spec->min : -HUGE_VAL;
    if (whole && max > UINT32_MAX)
        max = UINT32_MAX;
    if (!isfinite(number) || number < min || number > max)
        return "is out of range";
    *value = number;
    return NULL;
}

static bool parse_strings(const char *text, struct option_strings *strings, struct arena *arena)
{
    size_t count = *text ? 1 : 0;
    for (const char *at = text; *at; at++)
        count += *at == ',';
    char **items = arena_alloc(arena, count * sizeof *items);
    if (!items)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(text, ",");
        items[i] = arena_copy(arena, text, size);
        if (!items[i])
            return false;
        text += size + 1;
    }
    *strings = (struct option_strings){ .items = items, .count = count };
    return true;
}

static int find_word(const struct option_spec *spec, const char *text)
{
    for (int i = 0; spec->words[i]; i++)
        if (strcmp(spec->words[i], text) == 0)
            return i;
    return -1;
}

static const char *nearest_word(const struct option_spec *spec, const char *text)
{
    static const char *const truths[] = { "true", "false", NULL };
    if (spec->kind == OPTION_KIND_BOOL && (strcmp(text, "yes") == 0 || strcmp(text, "on") == 0))
        return "true";
    if (spec->kind == OPTION_KIND_BOOL && (strcmp(text, "no") == 0 || strcmp(text, "off") == 0))
        return "false";
    const char *const *words = spec->kind == OPTION_KIND_BOOL   ? truths
                               : spec->kind == OPTION_KIND_ENUM ? spec->words
                                                                : NULL;
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    for (; words && *words; words++)
        if (text_is_nearer(text, *words, &best))
            nearest = *words;
    return nearest;
}
