/* keys_command: see the header. Prints public keys only: on standard output what other programs read, on
 * standard error what a person does next. */
#include "net/keys_command.h"

#include "net/keys.h"
#include <stdio.h>
#include <string.h>

const struct cli_flag keys_command_flags[] = {
    { "folder", 'd', "FOLDER", false, "where the key files are (default: keys)" },
    { "name", 'n', "NAME", false, "name of the pair: NAME.pub and NAME.key" },
    { "switch", 0, NULL, false, "rotate: the next pair becomes the present one" },
    { NULL, 0, NULL, false, NULL },
};

static int make(const char *folder, const char *name, const struct keys_words *words);
static int show(const char *folder, const char *name);
static int rotate(const char *folder, const char *name, const struct keys_words *words);
static int change_over(const char *folder, const char *name, const struct keys_words *words);
static int fail(const struct error *err);
static void tell(const char *text, const char *name);

int keys_command(const struct cli_values *values, const struct keys_words *words)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    const char *verb = count > 0 ? arguments[0] : "";
    const char *folder = keys_command_folder(values), *name = keys_command_name(values, words);
    bool is_new = strcmp(verb, "new") == 0, is_show = strcmp(verb, "show") == 0;
    if (!is_new && !is_show && strcmp(verb, "rotate") != 0)
        return -1;
    if (count > 1) {
        fprintf(stderr, "keys %s: what is \"%s\" for? A name is given as --name %s\n", verb,
                arguments[1], arguments[1]);
        return 2;
    }
    if (is_new)
        return make(folder, name, words);
    if (is_show)
        return show(folder, name);
    return cli_flag(values, "switch") ? change_over(folder, name, words)
                                      : rotate(folder, name, words);
}

const char *keys_command_folder(const struct cli_values *values)
{
    return cli_flag(values, "folder") ? cli_flag(values, "folder") : "keys";
}

const char *keys_command_name(const struct cli_values *values, const struct keys_words *words)
{
    return cli_flag(values, "name") ? cli_flag(values, "name") : words->name;
}

static int make(const char *folder, const char *name, const struct keys_words *words)
{
    struct key_pair pair;
    struct error err;
    if (keys_create(folder, name, &pair, &err) < 0)
        return fail(&err);
    printf("%s\n", pair.public_text);
    keys_wipe(&pair);
    fprintf(stderr, "made %s/%s.pub (give this one away) and %s/%s.key (keep it secret)\n", folder,
            name, folder, name);
    tell(words->after_new, name);
    return 0;
}

/* The present key, and below it the one that is to follow: what a peer's key file has to hold. */
static int show(const char *folder, const char *name)
{
    char next[300];
    struct key_pair pair;
    struct error err;
    if (keys_read_pair(folder, name, &pair, &err) < 0)
        return fail(&err);
    printf("%s\n", pair.public_text);
    snprintf(next, sizeof next, "%s" KEYS_NEXT_SUFFIX, name);
    if (keys_read_pair(folder, next, &pair, &err) == 0)
        printf("%s\n", pair.public_text);
    keys_wipe(&pair);
    return 0;
}

static int rotate(const char *folder, const char *name, const struct keys_words *words)
{
    struct key_pair pair;
    struct error err;
    if (keys_rotate(folder, name, &pair, &err) < 0) {
        fail(&err);
        tell("one that waits already becomes the present one with --switch", name);
        return 1;
    }
    printf("%s\n", pair.public_text);
    keys_wipe(&pair);
    fprintf(stderr,
            "made %s/%s" KEYS_NEXT_SUFFIX ".pub and .key beside the present pair, which stays\n",
            folder, name);
    tell(words->after_rotate, name);
    return 0;
}

static int change_over(const char *folder, const char *name, const struct keys_words *words)
{
    struct key_pair old, pair;
    struct error err;
    bool whole = keys_read_pair(folder, name, &old, &err) == 0; /* not after a switch cut short */
    keys_wipe(&old);
    if (keys_switch(folder, name, &pair, &err) < 0)
        return fail(&err);
    printf("%s\n", pair.public_text);
    keys_wipe(&pair);
    fprintf(stderr, "%s/%s is the new pair now; the old one is gone", folder, name);
    fprintf(stderr, whole ? " (%s)\n" : "\n", old.public_text);
    tell(words->after_switch, name);
    return 0;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "keys: %s\n", err->text);
    return 1;
}

/* text is one of the daemons' own, with at most two %s. */
static void tell(const char *text, const char *name)
{
    fputs("next: ", stderr);
    for (const char *at = text; *at; at++) {
        if (at[0] == '%' && at[1] == 's') {
            fputs(name, stderr);
            at++;
        } else {
            fputc(*at, stderr);
        }
    }
    fputc('\n', stderr);
}
