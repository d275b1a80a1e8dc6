/* cli: subcommands and their flags; --help and --version of both daemons come from these tables. */
#ifndef RUNESPOOR_CONFIG_CLI_H
#define RUNESPOOR_CONFIG_CLI_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

struct cli_flag {
    const char *name;  /* "config" for --config; NULL ends the table */
    char letter;       /* 'c' for -c, or 0 */
    const char *value; /* "FILE" when it takes one, else NULL */
    bool repeats;      /* may be given several times */
    const char *help;
};

struct cli_values; /* what was given */

struct cli_command {
    const char *name;      /* "run"; NULL ends the table */
    const char *arguments; /* "FILE" or "[NAME…]" or "" */
    const char *help;      /* one line */
    const char *more;      /* paragraphs with examples, for `PROGRAM COMMAND --help`, or NULL */
    const struct cli_flag *flags;
    int (*run)(const struct cli_values *values); /* gives the exit status */
};

/* Parses and runs. The summary's first line heads `PROGRAM --help`; what follows it (an example)
 * ends that page. In a command's arguments, words in brackets may be left out and "…" means any
 * number. --help, `COMMAND --help` and --version print to standard output and give 0; a wrong
 * command line prints one line with the nearest name to standard error and gives 2. */
int cli_main(const char *program, const char *summary, const struct cli_command *commands, int argc,
             char **argv);

/* The last value of a flag, "" for a flag without a value that was given, NULL when not given. */
const char *cli_flag(const struct cli_values *values, const char *name);
/* All values of a repeated flag. */
const char *const *cli_flag_all(const struct cli_values *values, const char *name, size_t *count);
const char *const *cli_arguments(const struct cli_values *values, size_t *count);

#endif
