/* cli: commands, flags and arguments reach the command; help and version teach; a wrong command
 * line gives one line with the nearest name and status 2. Output is caught in files. */
#include "config/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char seen[512]; /* what the command got */
static char out[4096], err[1024];

static int run_run(const struct cli_values *values)
{
    size_t count, set_count;
    const char *const *arguments = cli_arguments(values, &count);
    const char *const *sets = cli_flag_all(values, "set", &set_count);
    const char *config = cli_flag(values, "config"), *dry = cli_flag(values, "dry");
    int used = snprintf(seen, sizeof seen, "config=%s dry=%s", config ? config : "(none)",
                        dry ? dry : "(none)");
    for (size_t i = 0; i < set_count; i++)
        used += snprintf(seen + used, sizeof seen - (size_t)used, " set=%s", sets[i]);
    for (size_t i = 0; i < count; i++)
        used += snprintf(seen + used, sizeof seen - (size_t)used, " %s", arguments[i]);
    return 7;
}

static int run_check(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    snprintf(seen, sizeof seen, "check %zu %s", count, arguments[0]);
    return 0;
}

static const struct cli_flag run_flags[] = {
    { .name = "config", .letter = 'c', .value = "FILE", .help = "the configuration" },
    { .name = "set", .value = "KEY=VALUE", .repeats = true, .help = "overrides the file" },
    { .name = "dry", .letter = 'd', .help = "does nothing" },
    { .name = NULL },
};

static const struct cli_command commands[] = {
    { .name = "run",
      .arguments = "[NAME…]",
      .help = "does it",
      .more = "Example:\n  edge-agent run -c a.yaml",
      .flags = run_flags,
      .run = run_run },
    { .name = "check", .arguments = "FILE [OTHER]", .help = "looks at it", .run = run_check },
    { .name = "keys", .arguments = "VERB [NAME FOLDER]", .help = "makes them", .run = run_check },
    { .name = NULL },
};

/* Runs cli_main with what it prints going to out and err. */
static int call(int argc, const char *const *argv)
{
    FILE *files[2] = { tmpfile(), tmpfile() };
    FILE *streams[2] = { stdout, stderr };
    char *texts[2] = { out, err };
    size_t rooms[2] = { sizeof out, sizeof err };
    int kept[2];
    for (int i = 0; i < 2; i++) {
        assert_non_null(files[i]);
        fflush(streams[i]);
        kept[i] = dup(fileno(streams[i]));
        dup2(fileno(files[i]), fileno(streams[i]));
    }
    seen[0] = '\0';
    int status = cli_main("edge-agent", "streams cameras\n\nExample:\n  edge-agent run", commands,
                          argc, (char **)argv);
    for (int i = 0; i < 2; i++) {
        fflush(streams[i]);
        dup2(kept[i], fileno(streams[i]));
        close(kept[i]);
        rewind(files[i]);
        texts[i][fread(texts[i], 1, rooms[i] - 1, files[i])] = '\0';
        fclose(files[i]);
    }
    return status;
}

#define CALL(...)                                                                       \
    call((int)(sizeof((const char *[]){ "edge-agent", __VA_ARGS__ }) / sizeof(char *)), \
         (const char *[]){ "edge-agent", __VA_ARGS__ })

static void assert_seen(const char *expected, int status, int expected_status)
{
    assert_string_equal(err, "");
    assert_string_equal(seen, expected);
    assert_int_equal(status, expected_status);
}

static void values_reach_the_command(void **state)
{
    (void)state;
    assert_seen("config=(none) dry=(none)", CALL("run"), 7);
    assert_seen("config=a dry=", CALL("run", "--config", "a", "--dry"), 7);
    assert_seen("config=a=b dry= x", CALL("run", "--config=a=b", "x", "-d"), 7);
    assert_seen("config= dry=(none)", CALL("run", "--config="), 7);
    assert_seen("config=f dry=(none) set=a=1 set=b=2 x y",
                CALL("run", "x", "--set", "a=1", "-c", "f", "y", "--set=b=2"), 7);
    assert_seen("config=(none) dry=(none) -d --dry", CALL("run", "--", "-d", "--dry"), 7);
    assert_seen("config=- dry=(none) -", CALL("run", "-c", "-", "-"), 7);
    assert_seen("check 1 f", CALL("check", "f"), 0);
    assert_seen("check 2 f", CALL("check", "f", "g"), 0);
    assert_seen("check 1 new", CALL("keys", "new"), 0);
    assert_seen("check 3 new", CALL("keys", "new", "a", "b"), 0);
}

static void assert_refused(int status, const char *expected)
{
    assert_string_equal(err, expected);
    assert_string_equal(out, "");
    assert_string_equal(seen, "");
    assert_int_equal(status, 2);
}

static void wrong_lines_get_one_sentence(void **state)
{
    (void)state;
    const char *const alone[] = { "edge-agent", NULL };
    assert_refused(call(1, alone),
                   "edge-agent: no command given; `edge-agent --help` lists them\n");
    assert_refused(CALL("rum"), "edge-agent: no command \"rum\", did you mean \"run\"?\n");
    assert_refused(CALL("fly"), "edge-agent: no command \"fly\"; `edge-agent --help` lists them\n");
    assert_refused(CALL("-c", "x"),
                   "edge-agent: no command \"-c\"; `edge-agent --help` lists them\n");
    assert_refused(CALL("run", "--confg", "x"),
                   "edge-agent run: no flag --confg, did you mean --config?\n");
    assert_refused(CALL("run", "-x"),
                   "edge-agent run: no flag -x; `edge-agent run --help` lists them\n");
    assert_refused(CALL("run", "-cx"),
                   "edge-agent run: no flag -cx; `edge-agent run --help` lists them\n");
    assert_refused(CALL("run", "--config"),
                   "edge-agent run: --config needs a value after it; `edge-agent run --help` says "
                   "more\n");
    assert_refused(CALL("run", "--dry=1"),
                   "edge-agent run: --dry takes no value; `edge-agent run --help` says more\n");
    assert_refused(CALL("run", "-c", "a", "-c", "b"),
                   "edge-agent run: --config may be given once only; `edge-agent run --help` says "
                   "more\n");
    assert_refused(CALL("check"),
                   "edge-agent check: needs FILE [OTHER]; `edge-agent check --help` says more\n");
    assert_refused(
        CALL("check", "a", "b", "c"),
        "edge-agent check: \"c\" is one argument too many; `edge-agent check --help` says "
        "more\n");
    assert_refused(CALL("check", "a", "--dry"),
                   "edge-agent check: no flag --dry; `edge-agent check --help` lists them\n");
}

static void help_teaches(void **state)
{
    (void)state;
    assert_int_equal(CALL("--help"), 0);
    assert_string_equal(err, "");
    assert_string_equal(out,
                        "edge-agent: streams cameras\n"
                        "\n"
                        "usage: edge-agent COMMAND [FLAGS] [ARGUMENTS]\n"
                        "\n"
                        "commands:\n"
                        "  run                     does it\n"
                        "  check                   looks at it\n"
                        "  keys                    makes them\n"
                        "\n"
                        "`edge-agent COMMAND --help` explains a command, `edge-agent --version` "
                        "tells the version.\n"
                        "\n"
                        "Example:\n"
                        "  edge-agent run\n");
    assert_int_equal(CALL("run", "a", "--help", "--wrong"), 0);
    assert_string_equal(out, "edge-agent run: does it\n"
                             "\n"
                             "usage: edge-agent run [FLAGS] [NAME…]\n"
                             "\n"
                             "flags:\n"
                             "  -c, --config FILE       the configuration\n"
                             "      --set KEY=VALUE     overrides the file (may be given several "
                             "times)\n"
                             "  -d, --dry               does nothing\n"
                             "  -h, --help              this text\n"
                             "\n"
                             "Example:\n"
                             "  edge-agent run -c a.yaml\n");
    assert_string_equal(seen, "");
    assert_int_equal(CALL("check", "-h"), 0);
    assert_string_equal(out, "edge-agent check: looks at it\n"
                             "\n"
                             "usage: edge-agent check FILE [OTHER]\n"
                             "\n"
                             "flags:\n"
                             "  -h, --help              this text\n");
}

static void version_is_name_number_and_commit(void **state)
{
    (void)state;
    char number[32], commit[64], end;
    assert_int_equal(CALL("--version"), 0);
    assert_int_equal(sscanf(out, "edge-agent %31[0-9.] (%63[0-9a-z])%c", number, commit, &end), 3);
    assert_int_equal(end, '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_reach_the_command),
        cmocka_unit_test(wrong_lines_get_one_sentence),
        cmocka_unit_test(help_teaches),
        cmocka_unit_test(version_is_name_number_and_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
