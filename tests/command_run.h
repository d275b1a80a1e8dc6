/* A command of a program, run inside the test, and what it said. */
#ifndef RUNESPOOR_TESTS_COMMAND_RUN_H
#define RUNESPOOR_TESTS_COMMAND_RUN_H

#include "config/cli.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define COMMAND_ARGUMENTS_MAX 16
#define COMMAND_OUTPUT_BYTES 65536u

static char command_output[COMMAND_OUTPUT_BYTES]; /* standard output and error of the last run */

/* Further arguments up to NULL; gives the exit status. */
static inline int command_run(const struct cli_command *commands, const char *command,
                              const char *first, va_list more)
{
    char *argv[COMMAND_ARGUMENTS_MAX + 2] = { (char *)"cloud-server", (char *)command };
    int argc = 2;
    for (const char *a = first; a; a = va_arg(more, const char *)) {
        assert_true(argc < COMMAND_ARGUMENTS_MAX + 2);
        argv[argc++] = (char *)a;
    }
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    fflush(stderr);
    int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int status = cli_main("cloud-server", "", commands, argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(saved_out, STDOUT_FILENO);
    dup2(saved_err, STDERR_FILENO);
    close(saved_out);
    close(saved_err);
    rewind(file);
    command_output[fread(command_output, 1, sizeof command_output - 1, file)] = '\0';
    fclose(file);
    return status;
}

static inline void assert_says(const char *text)
{
    if (!strstr(command_output, text))
        fail_msg("\"%s\" is not in:\n%s", text, command_output);
}

#endif
