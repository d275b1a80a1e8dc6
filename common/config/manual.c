/* manual: what can be configured, from the tables alone: an example file to start from, and the
 * tables of docs/configure.md. */
#include "config/parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COMMENT_COLUMNS 96

/* Where an example's line stands. */
struct place {
    FILE *out;
    int indent;
    bool off;  /* a '#' in the first column takes the line out */
    bool dash; /* the next key opens a list's element */
};

static void write_options(struct place *place, const struct option_spec *table);
static void write_tables(const struct option_spec *table, const char *title, const char *help,
                         enum option_reload around, struct key_path *path, FILE *out);

void config_write_example(const struct option_spec *root, FILE *out)
{
    struct place place = { .out = out };
    fputs("# Keys behind a '#' in the first column show their defaults: to change one, take that "
          "'#' away,\n"
          "# and those of the lines it belongs to. The command `check` names every mistake.\n",
          out);
    write_options(&place, root);
}

void config_write_markdown(const struct option_spec *root, const char *title, const char *told_by,
                           bool reloads, FILE *out)
{
    struct key_path path = { 0 };
    fprintf(out, "# %s\n\n", title);
    fprintf(out, "A key that is not listed here is a mistake, and `%s` says so.\n", told_by);
    write_tables(root, "Top level", NULL, reloads ? RELOAD_RESTART : RELOAD_AS_AROUND, &path, out);
}

/* Help, unit, range and default above a key, broken at words. */
static void write_comment(const struct place *place, const char *text)
{
    int column = COMMENT_COLUMNS;
    bool first = true;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (first || column + 1 + word > COMMENT_COLUMNS) {
            fprintf(place->out, "%s%s%*s#", first ? "" : "\n", place->off ? "#" : "", place->indent,
                    "");
            column = place->off + place->indent + 1;
            first = false;
        }
        fprintf(place->out, " %.*s", word, text);
        column += 1 + word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', place->out);
}

/* "help (required; 1 to 240 fps; default 25)", of which all but the help may be missing. */
static void describe(const struct option_spec *spec, char text[CONFIG_PROBLEM_BYTES])
{
    char allowed[CONFIG_ALLOWED_BYTES], standard[CONFIG_ALLOWED_BYTES] = "";
    value_allowed(spec, allowed);
    if (spec->kind == OPTION_KIND_STRING && spec->max == CONFIG_STRING_BYTES_MAX)
        allowed[0] = '\0'; /* the length that all texts may have */
    if (!option_nests(spec) && spec->fallback && *spec->fallback)
        snprintf(standard, sizeof standard, "default %s", spec->fallback);
    const char *const notes[] = { spec->kind == OPTION_KIND_LIST ? "list" : "",
                                  option_is_required(spec) ? "required" : "", allowed, standard };
    int used = snprintf(text, CONFIG_PROBLEM_BYTES, "%s", spec->help);
    const char *before = " (";
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        if (!*notes[i] || used >= (int)CONFIG_PROBLEM_BYTES)
            continue;
        used += snprintf(text + used, CONFIG_PROBLEM_BYTES - (size_t)used, "%s%s", before, notes[i]);
        before = "; ";
    }
    if (*before == ';' && used < (int)CONFIG_PROBLEM_BYTES)
        snprintf(text + used, CONFIG_PROBLEM_BYTES - (size_t)used, ")");
}

/* "key:" at its place; off takes the line out even where the lines around it hold. */
static void write_key(struct place *place, const struct option_spec *spec, bool off)
{
    fputs(off || place->off ? "#" : "", place->out);
    if (place->dash)
        fprintf(place->out, "%*s- %s:", place->indent - 2, "", spec->name);
    else
        fprintf(place->out, "%*s%s:", place->indent, "", spec->name);
    place->dash = false;
}

/* "one,two" as ["one", "two"] */
static void write_items(FILE *out, const char *text)
{
    const char *before = "[";
    for (; *text; text += *text == ',') {
        int size = (int)strcspn(text, ",");
        fprintf(out, "%s\"%.*s\"", before, size, text);
        before = ", ";
        text += size;
    }
    fputs(*before == '[' ? "[]" : "]", out);
}

/* What stands behind a key: the default, or something to be replaced where one is required. */
static void write_example_value(const struct place *place, const struct option_spec *spec)
{
    const char *text = option_is_required(spec) ? spec->example : spec->fallback;
    fputc(' ', place->out);
    if (spec->kind == OPTION_KIND_STRINGS) {
        write_items(place->out, text ? text : option_is_required(spec) ? spec->name : "");
    } else if (spec->kind == OPTION_KIND_STRING) {
        value_print_string(text ? text : spec->name, place->out);
    } else if (text) {
        fputs(text, place->out);
    } else if (spec->kind == OPTION_KIND_ENUM) {
        fputs(spec->words[0], place->out);
    } else if (spec->kind == OPTION_KIND_BOOL) {
        fputs("false", place->out);
    } else {
        fprintf(place->out, "%.15g", spec->min);
    }
    fputc('\n', place->out);
}

static void write_list(struct place *place, const struct option_spec *spec)
{
    bool off_before = place->off;
    place->off = place->off || spec->min == 0; /* an empty list is the default */
    place->indent += 4;
    place->dash = true;
    write_options(place, spec->section);
    place->indent -= 4;
    place->off = off_before;
}

/* The first key of an element is never taken out, or the element would lose its dash. */
static void write_options(struct place *place, const struct option_spec *table)
{
    char comment[CONFIG_PROBLEM_BYTES];
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        if (place->indent == 0)
            fputc('\n', place->out);
        describe(spec, comment);
        write_comment(place, comment);
        bool required =
            spec->kind == OPTION_KIND_STRINGS ? spec->min > 0 && !*spec->fallback : !spec->fallback;
        bool off = !option_nests(spec) && !required && !place->dash;
        write_key(place, spec, off);
        if (!option_nests(spec)) {
            write_example_value(place, spec);
            continue;
        }
        fputc('\n', place->out);
        if (spec->kind == OPTION_KIND_LIST) {
            write_list(place, spec);
        } else {
            place->indent += 2;
            write_options(place, spec->section);
            place->indent -= 2;
        }
    }
}

/* Text inside a Markdown table: a bar would end the cell. */
static void write_cell(const char *text, FILE *out)
{
    for (; *text; text++)
        fprintf(out, "%s%c", *text == '|' ? "\\" : "", *text);
}

/* What a change takes; the column is there only where around says anything. */
static void write_reload(const struct option_spec *spec, enum option_reload around, FILE *out)
{
    static const char *const words[] = {
        [RELOAD_LIVE] = "at once", [RELOAD_PART] = "part", [RELOAD_RESTART] = "restart"
    };
    if (around != RELOAD_AS_AROUND)
        fprintf(out, "%s | ", words[option_reload_in(spec, around)]);
}

static void write_row(const struct option_spec *spec, enum option_reload around, FILE *out)
{
    char allowed[CONFIG_ALLOWED_BYTES];
    struct option_spec bare = *spec;
    bare.unit = ""; /* has a column of its own */
    value_allowed(&bare, allowed);
    fprintf(out, "| `%s` | ", spec->name);
    if (option_is_required(spec)) {
        fputs("required", out);
    } else if (spec->fallback && *spec->fallback) {
        fputc('`', out);
        write_cell(spec->fallback, out);
        fputc('`', out);
    }
    fputs(" | ", out);
    if (spec->kind != OPTION_KIND_STRING || spec->max != CONFIG_STRING_BYTES_MAX)
        write_cell(allowed, out);
    fprintf(out, " | %s | ", spec->unit ? spec->unit : "");
    write_reload(spec, around, out);
    write_cell(spec->help, out);
    fprintf(out, "%s |\n", spec->secret ? " (secret: never printed)" : "");
}

/* A heading and table for these keys, then one for each section and list in them. */
static void write_tables(const struct option_spec *table, const char *title, const char *help,
                         enum option_reload around, struct key_path *path, FILE *out)
{
    bool reloads = around != RELOAD_AS_AROUND;
    bool leaves = false;
    fprintf(out, "\n## %s\n\n", title);
    if (help)
        fprintf(out, "%c%s.\n\n", toupper((unsigned char)*help), help + 1);
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        if (option_nests(spec))
            continue;
        if (!leaves)
            fprintf(out,
                    "| key | default | allowed | unit |%s what it does |\n"
                    "| --- | --- | --- | --- |%s --- |\n",
                    reloads ? " a change |" : "", reloads ? " --- |" : "");
        leaves = true;
        write_row(spec, around, out);
    }
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        if (!option_nests(spec))
            continue;
        char about[CONFIG_PROBLEM_BYTES], heading[sizeof path->text + 4], name[64];
        bool list = spec->kind == OPTION_KIND_LIST;
        snprintf(name, sizeof name, "%s%s", spec->name, list ? "[]" : "");
        size_t before = path_push(path, name);
        describe(spec, about);
        snprintf(heading, sizeof heading, "`%s`", path->text);
        write_tables(spec->section, heading, about,
                     reloads ? option_reload_in(spec, around) : RELOAD_AS_AROUND, path, out);
        path_pop(path, before);
    }
}
