/* tool: see the header. */
#include "tool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define READY "ready "
#define WAIT_MS 30000u
#define TOOL_ARGUMENTS_MAX 32u

/* The child gets its end as its standard input by having it as ours for a moment. */
static void start_with_input(struct tool *tool, const struct scratch *scratch, const char *name,
                             const char *const *arguments)
{
    int ends[2], saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(saved >= 0 && dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    close(ends[0]);
    process_start(&tool->process, scratch, name, arguments);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
    tool->input = ends[1];
}

void tool_start(struct tool *tool, const struct scratch *scratch, const char *program,
                const char *name, const char *const *arguments)
{
    const char *build = getenv("B"), *all[TOOL_ARGUMENTS_MAX] = { NULL };
    char path[512], line[64];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/test/faults/%s", build ? build : "build", program);
    all[count++] = path;
    for (; *arguments; arguments++) {
        assert_true(count + 1 < TOOL_ARGUMENTS_MAX);
        all[count++] = *arguments;
    }
    start_with_input(tool, scratch, name, all);
    process_expect(&tool->process, READY, WAIT_MS);
    FILE *log = fopen(tool->process.log, "r");
    assert_non_null(log);
    tool->port = 0;
    while (tool->port == 0 && fgets(line, sizeof line, log))
        if (strncmp(line, READY, strlen(READY)) == 0)
            tool->port = (uint16_t)strtoul(line + strlen(READY), NULL, 10);
    fclose(log);
    assert_true(tool->port > 0);
}

void tool_do(struct tool *tool, const char *line)
{
    char text[128], done[140];
    int size = snprintf(text, sizeof text, "%s\n", line);
    snprintf(done, sizeof done, "ok %s", text);
    size_t before = process_count(&tool->process, done);
    assert_int_equal(write(tool->input, text, (size_t)size), size);
    for (unsigned waited_ms = 0; process_count(&tool->process, done) == before; waited_ms += 10) {
        if (waited_ms > WAIT_MS)
            fail_msg("%s did not do \"%s\"", tool->process.name, line);
        usleep(10000);
    }
}

void tool_stop(struct tool *tool)
{
    if (tool->process.pid <= 0)
        return;
    close(tool->input);
    assert_int_equal(process_wait(&tool->process, WAIT_MS), 0);
}
