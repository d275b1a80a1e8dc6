/* cli: the command line of both daemons, read by tables, so that what --help says is what holds. */
#include "config/cli.h"

#include "base/text.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2
#define HELP_COLUMN 26 /* where the sentences of --help start */

struct cli_values {
    const struct cli_command *command;
    struct given {
        const char **items; /* room for argc */
        size_t count;
    } * flags; /* one for each of command->flags */
    const char **arguments;
    size_t argument_count;
    const char **memory; /* what items and arguments point into */
};

struct line {
    const char *program;
    int argc;
    char **argv;
    int at; /* the word that is read next */
};

static int print_help(const char *program, const char *summary, const struct cli_command *commands);
static int print_command_help(const char *program, const struct cli_command *command);
static const struct cli_command *find_command(const char *program,
                                              const struct cli_command *commands, const char *name);
static int values_create(struct cli_values *values, const struct cli_command *command, int argc);
static void values_free(struct cli_values *values);
static int parse(struct line *line, struct cli_values *values, bool *help);
static int check_arguments(const char *program, const struct cli_values *values);

int cli_main(const char *program, const char *summary, const struct cli_command *commands, int argc,
             char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "%s: no command given; `%s --help` lists them\n", program, program);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help(program, summary, commands);
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s %s (%s)\n", program, RUNESPOOR_VERSION, RUNESPOOR_COMMIT);
        return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    const struct cli_command *command = find_command(program, commands, argv[1]);
    if (!command)
        return EXIT_USAGE;

    struct cli_values values;
    struct line line = { .program = program, .argc = argc, .argv = argv, .at = 2 };
    bool help = false;
    if (values_create(&values, command, argc) != 0) {
        fprintf(stderr, "%s: no memory to read the command line\n", program);
        return EXIT_FAILURE;
    }
    int status = parse(&line, &values, &help);
    if (status == 0 && help)
        status = print_command_help(program, command);
    else if (status == 0)
        status = check_arguments(program, &values);
    if (status == 0 && !help)
        status = command->run(&values);
    values_free(&values);
    return status;
}

static size_t flag_index(const struct cli_values *values, const char *name)
{
    size_t index = 0;
    const struct cli_flag *flags = values->command->flags;
    while (flags && flags[index].name && strcmp(flags[index].name, name) != 0)
        index++;
    assert(flags && flags[index].name); /* a command asks only for flags of its own table */
    return index;
}

const char *cli_flag(const struct cli_values *values, const char *name)
{
    const struct given *given = &values->flags[flag_index(values, name)];
    return given->count ? given->items[given->count - 1] : NULL;
}

const char *const *cli_flag_all(const struct cli_values *values, const char *name, size_t *count)
{
    const struct given *given = &values->flags[flag_index(values, name)];
    *count = given->count;
    return given->items;
}

const char *const *cli_arguments(const struct cli_values *values, size_t *count)
{
    *count = values->argument_count;
    return values->arguments;
}

static size_t count_flags(const struct cli_command *command)
{
    size_t count = 0;
    while (command->flags && command->flags[count].name)
        count++;
    return count;
}

static int values_create(struct cli_values *values, const struct cli_command *command, int argc)
{
    size_t count = count_flags(command), room = (size_t)argc;
    *values = (struct cli_values){ .command = command };
    values->flags = calloc(count + 1, sizeof *values->flags);
    values->memory = calloc((count + 1) * room, sizeof *values->memory);
    if (!values->flags || !values->memory) {
        values_free(values);
        return -ERROR_MEMORY;
    }
    for (size_t i = 0; i < count; i++)
        values->flags[i].items = values->memory + i * room;
    values->arguments = values->memory + count * room;
    return 0;
}

static void values_free(struct cli_values *values)
{
    free(values->flags);
    free(values->memory);
}

static const struct cli_command *find_command(const char *program,
                                              const struct cli_command *commands, const char *name)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    for (; commands->name; commands++) {
        if (strcmp(commands->name, name) == 0)
            return commands;
        if (text_is_nearer(name, commands->name, &best))
            nearest = commands->name;
    }
    if (nearest)
        fprintf(stderr, "%s: no command \"%s\", did you mean \"%s\"?\n", program, name, nearest);
    else
        fprintf(stderr, "%s: no command \"%s\"; `%s --help` lists them\n", program, name, program);
    return NULL;
}

/* name has size bytes and no dashes: "config" of --config=FILE, or one letter. */
static const struct cli_flag *find_flag(const struct line *line, const struct cli_command *command,
                                        const char *word, const char *name, size_t size)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    char given[64];
    bool is_long = word[1] == '-';
    snprintf(given, sizeof given, "%.*s", size < sizeof given ? (int)size : 0, name);
    for (const struct cli_flag *flag = command->flags; flag && flag->name; flag++) {
        if (is_long ? strcmp(flag->name, given) == 0 : size == 1 && flag->letter == *name)
            return flag;
        if (is_long && text_is_nearer(given, flag->name, &best))
            nearest = flag->name;
    }
    if (nearest)
        fprintf(stderr, "%s %s: no flag %s, did you mean --%s?\n", line->program, command->name,
                word, nearest);
    else
        fprintf(stderr, "%s %s: no flag %s; `%s %s --help` lists them\n", line->program,
                command->name, word, line->program, command->name);
    return NULL;
}

static int parse_flag(struct line *line, struct cli_values *values)
{
    const struct cli_command *command = values->command;
    const char *word = line->argv[line->at++];
    const char *name = word + (word[1] == '-' ? 2 : 1);
    size_t size = strcspn(name, "=");
    const char *value = name[size] ? name + size + 1 : NULL;
    const struct cli_flag *flag = find_flag(line, command, word, name, size);
    if (!flag)
        return EXIT_USAGE;
    struct given *given = &values->flags[flag - command->flags];
    const char *problem = NULL;
    if (flag->value && !value && line->at < line->argc)
        value = line->argv[line->at++];
    if (!flag->value && value)
        problem = "takes no value";
    else if (flag->value && !value)
        problem = "needs a value after it";
    else if (given->count > 0 && !flag->repeats)
        problem = "may be given once only";
    if (problem) {
        fprintf(stderr, "%s %s: --%s %s; `%s %s --help` says more\n", line->program, command->name,
                flag->name, problem, line->program, command->name);
        return EXIT_USAGE;
    }
    assert(given->items); /* values_create gave every flag room */
    given->items[given->count++] = value ? value : "";
    return 0;
}

/* "-" alone is an argument; all that follows "--" is. */
static int parse(struct line *line, struct cli_values *values, bool *help)
{
    bool flags_ended = false;
    while (line->at < line->argc) {
        const char *word = line->argv[line->at];
        if (flags_ended || word[0] != '-' || word[1] == '\0') {
            values->arguments[values->argument_count++] = word;
            line->at++;
        } else if (strcmp(word, "--") == 0) {
            flags_ended = true;
            line->at++;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *help = true;
            return 0;
        } else {
            int status = parse_flag(line, values);
            if (status)
                return status;
        }
    }
    return 0;
}

/* The table's "FILE [NAME…]" says how many there may be. */
static int check_arguments(const char *program, const struct cli_values *values)
{
    const struct cli_command *command = values->command;
    const char *form = command->arguments ? command->arguments : "";
    size_t needed = 0, allowed = 0;
    bool optional = false; /* between '[' and ']' */
    for (const char *word = form + strspn(form, " "); *word;) {
        size_t size = strcspn(word, " ");
        optional = optional || *word == '[';
        needed += !optional;
        allowed++;
        if (memchr(word, ']', size))
            optional = false;
        word += size;
        word += strspn(word, " ");
    }
    if (strstr(form, "…") || strstr(form, "..."))
        allowed = SIZE_MAX;
    if (values->argument_count < needed)
        fprintf(stderr, "%s %s: needs %s; `%s %s --help` says more\n", program, command->name, form,
                program, command->name);
    else if (values->argument_count > allowed)
        fprintf(stderr, "%s %s: \"%s\" is one argument too many; `%s %s --help` says more\n",
                program, command->name, values->arguments[allowed], program, command->name);
    else
        return 0;
    return EXIT_USAGE;
}

/* The summary's first line heads the page, the rest ends it. */
static int print_help(const char *program, const char *summary, const struct cli_command *commands)
{
    size_t first = strcspn(summary, "\n");
    const char *rest = summary + first + strspn(summary + first, "\n");
    printf("%s: %.*s\n\n", program, (int)first, summary);
    printf("usage: %s COMMAND [FLAGS] [ARGUMENTS]\n\ncommands:\n", program);
    for (; commands->name; commands++)
        printf("  %-*s%s\n", HELP_COLUMN - 2, commands->name, commands->help);
    printf("\n`%s COMMAND --help` explains a command, `%s --version` tells the version.\n", program,
           program);
    if (*rest)
        printf("\n%s%s", rest, rest[strlen(rest) - 1] == '\n' ? "" : "\n");
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void print_flag(char letter, const char *name, const char *value, const char *help)
{
    char left[64];
    int used = letter ? snprintf(left, sizeof left, "  -%c, ", letter)
                      : snprintf(left, sizeof left, "      ");
    snprintf(left + used, sizeof left - (size_t)used, "--%s%s%s", name, value ? " " : "",
             value ? value : "");
    if (strlen(left) < HELP_COLUMN)
        printf("%-*s%s\n", HELP_COLUMN, left, help);
    else
        printf("%s\n%*s%s\n", left, HELP_COLUMN, "", help);
}

static int print_command_help(const char *program, const struct cli_command *command)
{
    const char *form = command->arguments ? command->arguments : "";
    printf("%s %s: %s\n\n", program, command->name, command->help);
    printf("usage: %s %s%s%s%s\n\nflags:\n", program, command->name,
           count_flags(command) ? " [FLAGS]" : "", *form ? " " : "", form);
    for (const struct cli_flag *flag = command->flags; flag && flag->name; flag++) {
        char help[512];
        snprintf(help, sizeof help, "%s%s", flag->help,
                 flag->repeats ? " (may be given several times)" : "");
        print_flag(flag->letter, flag->name, flag->value, help);
    }
    print_flag('h', "help", NULL, "this text");
    if (command->more)
        printf("\n%s%s", command->more,
               *command->more && command->more[strlen(command->more) - 1] == '\n' ? "" : "\n");
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
