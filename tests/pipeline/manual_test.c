/* manual: what is written for people is what the programs do. The pages and configurations in the
 * tree are compared with what the real binaries print; every flag that --help shows is used. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 30000u
#define ARGUMENTS 24u

static const char *const programs[] = { "edge-agent", "cloud-server" };

/* ---- running and reading ---- */

/* The whole file; the caller frees it. */
static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    char *text = NULL;
    size_t size = 0, room = 0;
    do {
        room += 65536;
        text = realloc(text, room + 1);
        assert_non_null(text);
        size += fread(text + size, 1, room - size, file);
    } while (size == room);
    fclose(file);
    text[size] = '\0';
    return text;
}

/* Runs a program to its end, which must come with this status; gives all that it printed. */
static char *run(const struct scratch *scratch, int status, const char *program, ...)
{
    const char *arguments[ARGUMENTS] = { strchr(program, '/') ? program : program_path(program) };
    size_t count = 1;
    va_list list;
    va_start(list, program);
    for (const char *next; (next = va_arg(list, const char *));) {
        assert_true(count + 1 < ARGUMENTS);
        arguments[count++] = next;
    }
    va_end(list);
    struct process process;
    process_start(&process, scratch, "run", arguments);
    int ended = process_wait(&process, WAIT_MS);
    char *printed = read_whole(process.log);
    if (ended != status) {
        process_stop(&process);
        fail_msg("%s %s %s … ended with %d, not %d:\n%s", program, count > 1 ? arguments[1] : "",
                 count > 2 ? arguments[2] : "", ended, status, printed);
    }
    return printed;
}

static void expect_text(char *printed, const char *text)
{
    if (!strstr(printed, text))
        fail_msg("\"%s\" is not in:\n%s", text, printed);
    free(printed);
}

/* The first line in which two texts differ. */
static void expect_equal(const char *left_name, char *left, const char *right_name, char *right,
                         const char *what_to_do)
{
    const char *a = left, *b = right;
    for (unsigned line = 1; *a || *b; line++) {
        size_t a_size = strcspn(a, "\n"), b_size = strcspn(b, "\n");
        if (a_size != b_size || memcmp(a, b, a_size) != 0)
            fail_msg("line %u: %s has \"%.*s\", %s has \"%.*s\": %s", line, left_name, (int)a_size,
                     a, right_name, (int)b_size, b, what_to_do);
        a += a_size + (a[a_size] == '\n');
        b += b_size + (b[b_size] == '\n');
    }
    free(left);
    free(right);
}

/* ---- pages in the tree ---- */

static void configure_page_is_what_the_programs_print(void **state)
{
    expect_equal("docs/configure.md", read_whole("docs/configure.md"), "mk/docs.sh",
                 run(*state, 0, "mk/docs.sh", NULL), "run make docs");
}

/* Whatever is named edge_… or server_… in the sources (metrics, labels, keys of pages) is in the page
 * too, and the page names nothing else. */
static void operate_page_has_every_metric(void **state)
{
    static const char script[] =
        "export LC_ALL=C; set -e; cd \"$1\"; names='(edge|server|metrics)_[a-z0-9_]+';"
        "grep -rhoE \"\\\"$names\\\"\" --include='*.[ch]' \"$SOURCES/edge-agent\""
        " \"$SOURCES/cloud-server\" \"$SOURCES/common/net\" | tr -d '\"' | sort -u >in-sources;"
        "grep -oE \"\\`$names\\`\" \"$SOURCES/docs/operate.md\" | tr -d '`' | sort -u >in-page;"
        "test -s in-sources; comm -3 in-sources in-page";
    struct scratch *scratch = *state;
    char folder[4096];
    assert_non_null(getcwd(folder, sizeof folder));
    assert_int_equal(setenv("SOURCES", folder, 1), 0);
    char *differences = run(scratch, 0, "/bin/sh", "-c", script, "sh", scratch->folder, NULL);
    if (*differences)
        fail_msg("only in the sources, or (indented) only in docs/operate.md:\n%s", differences);
    free(differences);
}

/* ---- shipped configurations ---- */

static void shipped_configurations_are_good(void **state)
{
    expect_text(run(*state, 0, "edge-agent", "check", "deploy/edge-agent.yaml", NULL), "good");
    expect_text(run(*state, 0, "cloud-server", "check", "deploy/cloud-server.yaml", NULL), "good");
}

/* Takes away the '#' before keys that are taken out. Sentences have one blank behind it. */
static void take_keys_in(const char *from, const char *to)
{
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    char line[1024];
    assert_non_null(in);
    assert_non_null(out);
    while (fgets(line, sizeof line, in)) {
        bool sentence = line[0] == '#' && (line[1] == '\n' || (line[1] == ' ' && line[2] != ' '));
        fputs(line[0] == '#' && !sentence ? line + 1 : line, out);
    }
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* Cuts the origin ("  # default") off each line. */
static char *without_origins(char *printed)
{
    char *to = printed;
    for (const char *from = printed; *from;) {
        size_t size = strcspn(from, "\n");
        const char *origin = strstr(from, "  # ");
        size_t kept = origin && origin < from + size ? (size_t)(origin - from) : size;
        memmove(to, from, kept);
        to += kept;
        *to++ = '\n';
        from += size + (from[size] == '\n');
    }
    *to = '\0';
    return printed;
}

/* With all its keys taken in, a shipped file says the same as without, and leaves none out but
 * `but`: so each key that it takes out shows its default. */
static void expect_all_defaults(const struct scratch *scratch, const char *program,
                                const char *file, const char *but)
{
    const char *all = scratch_path(scratch, "all.yaml");
    take_keys_in(file, all);
    char *with_all = run(scratch, 0, program, "run", "-c", all, "--print-config", NULL);
    for (const char *at = with_all; (at = strstr(at, "  # default")); at++) {
        const char *line = at;
        while (line > with_all && line[-1] != '\n')
            line--;
        if (!but || strncmp(line, but, strlen(but)) != 0)
            fail_msg("%s does not show the key of \"%.*s\"", file, (int)(at - line), line);
    }
    char *shipped = run(scratch, 0, program, "run", "-c", file, "--print-config", NULL);
    expect_equal(file, without_origins(shipped), "the same with all keys",
                 without_origins(with_all), "a key that is taken out has to show its default");
}

static void shipped_configurations_show_all_defaults(void **state)
{
    expect_all_defaults(*state, "edge-agent", "deploy/edge-agent.yaml", NULL);
    expect_all_defaults(*state, "cloud-server", "deploy/cloud-server.yaml", "  devices: []");
}

/* ---- the command line ---- */

static void versions(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        char *printed = run(*state, 0, programs[i], "--version", NULL);
        char name[32], version[64];
        assert_int_equal(sscanf(printed, "%31s %63s", name, version), 2);
        assert_string_equal(name, programs[i]);
        assert_true(strchr(version, '.'));
        free(printed);
    }
}

static void mistakes_name_what_is_nearest(void **state)
{
    expect_text(run(*state, 2, "edge-agent", "inspct", NULL), "did you mean \"inspect\"?");
    expect_text(run(*state, 2, "cloud-server", "modle", NULL), "did you mean \"model\"?");
    expect_text(run(*state, 2, "cloud-server", "run", "--print-confg", NULL),
                "did you mean --print-config?");
    expect_text(run(*state, 2, "cloud-server", NULL), "--help");
    expect_text(run(*state, 2, "edge-agent", "run", "--seconds", NULL), "needs a value");
    expect_text(run(*state, 2, "edge-agent", "run", "--seconds", "soon", NULL), "1 to");
    expect_text(run(*state, 2, "edge-agent", "check", NULL), "needs FILE");
    expect_text(run(*state, 2, "cloud-server", "keys", "forget", NULL), "new, show, allow");
    expect_text(run(*state, 2, "cloud-server", "worker", NULL), "run");
}

/* "edge-agent run --live" for each flag that the tests below use. */
static const char *const used_flags[] = {
    "edge-agent run --config",
    "edge-agent run --set",
    "edge-agent run --live",
    "edge-agent run --seconds",
    "edge-agent run --summary",
    "edge-agent run --print-config",
    "edge-agent check --config", /* accepted beside FILE, which counts */
    "edge-agent check --set",
    "edge-agent inspect --config",
    "edge-agent inspect --set",
    "edge-agent doctor --config",
    "edge-agent doctor --set",
    "edge-agent keys --folder",
    "edge-agent keys --name",
    "edge-agent keys --switch",
    "cloud-server run --config",
    "cloud-server run --set",
    "cloud-server run --print-config",
    "cloud-server check --set",
    "cloud-server doctor --config",
    "cloud-server doctor --set",
    "cloud-server keys --folder",
    "cloud-server keys --name",
    "cloud-server keys --allow",
    "cloud-server keys --stream",
    "cloud-server keys --reads",
    "cloud-server keys --switch",
    "cloud-server model --runs",
    "cloud-server model --device",
    "cloud-server model --threads",
    "cloud-server model --precision",
    "cloud-server model --shape",
    "cloud-server model --size",
    "cloud-server model --batch",
    "cloud-server model --json",
    "cloud-server model --output",
    "cloud-server model --restore",
    "cloud-server model --camera",
    "cloud-server worker --fd",
    "cloud-server eval --config",
    "cloud-server eval --set",
    "cloud-server train --config",
    "cloud-server train --set",
    "cloud-server train --print-config",
    "cloud-server tail --window",
    "cloud-server tail --step",
    "cloud-server tail --svg",
};
#define USED_FLAGS (sizeof used_flags / sizeof *used_flags)

/* Each flag of a command's --help must be among the used ones, and be taken in both its forms. */
static void check_command(const struct scratch *scratch, const char *program, const char *command,
                          size_t *found)
{
    char *help = run(scratch, 0, program, command, "--help", NULL);
    for (const char *at = help; (at = strstr(at, "--")); at++) {
        char word[32], full[96], letter[3] = "-?";
        if (at - help < 6 || (strncmp(at - 4, "  ", 2) != 0 && at[-2] != ','))
            continue; /* in a sentence */
        assert_int_equal(sscanf(at, "--%31[a-z-]", word), 1);
        if (strcmp(word, "help") == 0)
            continue;
        snprintf(full, sizeof full, "%s %s --%s", program, command, word);
        bool used = false;
        for (size_t i = 0; i < USED_FLAGS; i++)
            used = used || strcmp(used_flags[i], full) == 0;
        if (!used)
            fail_msg("no test uses %s", full);
        ++*found;
        const char *value = at[2 + strlen(word)] == ' ' && at[3 + strlen(word)] != ' ' ? "1" : NULL;
        letter[1] = (char)(at[-2] == ',' ? at[-3] : '?');
        snprintf(full, sizeof full, "--%s", word);
        for (const char *flag = full; flag; flag = flag == full && letter[1] != '?' ? letter : NULL)
            free(run(scratch, 0, program, command, flag, value ? value : "--help", "--help", NULL));
    }
    free(help);
}

static void every_flag_is_used_here(void **state)
{
    size_t found = 0;
    for (size_t i = 0; i < 2; i++) {
        char *help = run(*state, 0, programs[i], "--help", NULL), *rest = NULL;
        char *commands = strstr(help, "commands:\n");
        assert_non_null(commands);
        char *line;
        strtok_r(commands, "\n", &rest); /* the heading */
        while ((line = strtok_r(NULL, "\n", &rest)) && line[0] == ' ') {
            char command[32];
            assert_int_equal(sscanf(line, "%31s", command), 1);
            check_command(*state, programs[i], command, &found);
        }
        free(help);
    }
    assert_int_equal(found, USED_FLAGS);
}

static void values_tell_where_they_come_from(void **state)
{
    struct scratch *scratch = *state;
    const char *path = scratch_path(scratch, "agent.yaml");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("name: box\ncameras:\n  - name: gate\n    source: {path: clip.mp4}\n", file);
    assert_int_equal(fclose(file), 0);
    char *printed = run(scratch, 0, "edge-agent", "run", "--config", path, "--print-config", "--set",
                        "cameras.0.rung.fps=5", "-s", "server.address=tcp://me:geheim@box:1", NULL);
    assert_non_null(strstr(printed, "name: box  # "));
    assert_non_null(strstr(printed, "agent.yaml:1\n"));
    assert_non_null(strstr(printed, "name: gate  # "));
    assert_non_null(strstr(printed, "agent.yaml:3\n"));
    assert_non_null(strstr(printed, "fps: 5  # --set\n"));
    assert_non_null(strstr(printed, "preset: veryfast  # default\n"));
    assert_non_null(strstr(printed, "***@box:1"));
    assert_null(strstr(printed, "geheim"));
    free(printed);

    expect_text(run(scratch, 0, "cloud-server", "run", "--print-config", "-s", "credits=7",
                    "--config", "deploy/cloud-server.yaml", NULL),
                "credits: 7  # --set\n");
    expect_text(run(scratch, 1, "cloud-server", "check", "-s", "credits=many",
                    "deploy/cloud-server.yaml", NULL),
                "credits");
    expect_text(run(scratch, 1, "edge-agent", "check", "--set", "cameras.0.rung.fsp=5",
                    "deploy/edge-agent.yaml", NULL),
                "fps");
}

static void keys_are_made_shown_and_let_in(void **state)
{
    struct scratch *scratch = *state;
    const char *folder = scratch_path(scratch, "fresh"), *allow = scratch_path(scratch, "fresh/in");
    free(run(scratch, 0, "edge-agent", "keys", "new", "-d", folder, "-n", "yard", NULL));
    char *shown =
        run(scratch, 0, "edge-agent", "keys", "--folder", folder, "--name", "yard", "show", NULL);
    char *public = read_whole(scratch_path(scratch, "fresh/yard.pub"));
    assert_int_equal(strcspn(shown, "\n"), 40);
    assert_memory_equal(shown, public, 40);
    free(shown);
    free(public);
    expect_text(run(scratch, 1, "edge-agent", "keys", "new", "-d", folder, "-n", "yard", NULL),
                "yard");
    expect_text(run(scratch, 0, "cloud-server", "keys", "allow", "yard-box",
                    scratch_path(scratch, "fresh/yard.pub"), "--allow", allow, "--stream", "yard-*",
                    "-s", "gate", NULL),
                "yard-box.yaml");
    expect_text(read_whole(scratch_path(scratch, "fresh/in/yard-box.yaml")), "yard-*");
    free(run(scratch, 0, "cloud-server", "keys", "new", "--folder", folder, "--name", "main", NULL));
    assert_int_equal(access(scratch_path(scratch, "fresh/main.key"), R_OK), 0);

    /* Replaced, and removed. What the daemons make of it is in keys_test.c. */
    free(run(scratch, 0, "edge-agent", "keys", "rotate", "-d", folder, "-n", "yard", NULL));
    free(run(scratch, 0, "edge-agent", "keys", "rotate", "--switch", "-d", folder, "-n", "yard",
             NULL));
    free(run(scratch, 1, "cloud-server", "keys", "rotate", "--switch", "-d", folder, "-n", "main",
             NULL));
    free(run(scratch, 0, "edge-agent", "keys", "revoke", "-d", folder, "-n", "yard", NULL));
    assert_int_not_equal(access(scratch_path(scratch, "fresh/yard.key"), F_OK), 0);
    free(run(scratch, 0, "cloud-server", "keys", "allow", "screen",
             scratch_path(scratch, "fresh/main.pub"), "--allow", allow, "--reads", NULL));
    expect_text(read_whole(scratch_path(scratch, "fresh/in/screen.yaml")), "reads: true");
    free(run(scratch, 0, "cloud-server", "keys", "revoke", "screen", "-a", allow, NULL));
    assert_int_not_equal(access(scratch_path(scratch, "fresh/in/screen.yaml"), F_OK), 0);
}

/* A path of forty characters could be a key by its looks. */
static void a_file_comes_before_a_key(void **state)
{
    struct scratch *scratch = *state;
    const char *folder = scratch_path(scratch, "long"), *allow = scratch_path(scratch, "long/in");
    char name[41], file[512], public[1024];
    size_t begun = (size_t)snprintf(file, sizeof file, "%s/", folder);
    if (begun > 36) {
        fprintf(stderr, "SKIP REASON: a_file_comes_before_a_key: %s is too long a path\n", folder);
        skip();
    }
    snprintf(name, sizeof name, "%.*s", (int)(36 - begun), "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
    snprintf(public, sizeof public, "%s%s.pub", file, name);
    assert_int_equal(strlen(public), 40);
    free(run(scratch, 0, "edge-agent", "keys", "new", "-d", folder, "-n", name, NULL));
    free(run(scratch, 0, "cloud-server", "keys", "allow", "box", public, "--allow", allow, "-s",
             "gate", NULL));
    char *key = read_whole(public),
         *allowed = read_whole(scratch_path(scratch, "long/in/box.yaml"));
    key[40] = 0;
    assert_non_null(strstr(allowed, key));
    free(key);
    free(allowed);
}

static void a_model_is_timed_by_its_flags(void **state)
{
    expect_text(run(*state, 0, "cloud-server", "model", "bench", "models/street_det", "--runs", "2",
                    "--threads", "1", "--precision", "f32", NULL),
                "precision=f32 threads=1 runs=2");
    expect_text(run(*state, 1, "cloud-server", "model", "bench", "models/street_det", "--threads",
                    "none", NULL),
                "--threads");
    expect_text(run(*state, 0, "cloud-server", "model", "bench", "models/street_det", "--runs", "2",
                    "--device", "cpu:threads=1", NULL),
                "threads=1 runs=2");
    expect_text(run(*state, 0, "cloud-server", "model", "bench", "models/street_det", "--runs", "2",
                    "--restore", "models/restore/generic_x4.onnx", "--camera", "480x360", NULL),
                "x4, 120x90 to 480x360");
    expect_text(run(*state, 0, "cloud-server", "model", "show", "models/street_det/street_det.onnx",
                    "--shape", "1x3x64x64", "--runs", "1", NULL),
                "input images f32 1x3x64x64");
}

static void mistakes_of_an_evaluation_are_named(void **state)
{
    struct scratch *scratch = *state;
    const char *path = scratch_path(scratch, "eval.yaml");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("model: models/street_det\n", file);
    assert_int_equal(fclose(file), 0);
    expect_text(run(scratch, 1, "cloud-server", "eval", "--config", path, "--set", "scored=5", NULL),
                "scored");
    expect_text(run(scratch, 1, "cloud-server", "eval", "-c", path, "-s", "seed=2", NULL),
                "data.pictures");
    expect_text(run(scratch, 2, "cloud-server", "eval", NULL), "--help");
}

static void a_training_tells_what_holds(void **state)
{
    expect_text(run(*state, 0, "cloud-server", "train", "--config", "deploy/train.yaml",
                    "--print-config", NULL),
                "pictures: data/train/images  # deploy/train.yaml:");
    expect_text(run(*state, 0, "cloud-server", "train", "-c", "deploy/train.yaml", "-s", "seed=5",
                    "--set", "batch=3", "--print-config", NULL),
                "seed: 5  # --set");
    expect_text(run(*state, 0, "cloud-server", "train", "-c", "deploy/train-restore.yaml",
                    "--print-config", NULL),
                "task: superres  # deploy/train-restore.yaml:");
    expect_text(run(*state, 1, "cloud-server", "train", "--set", "bach=3", NULL), "\"batch\"");
}

static void cameras_are_inspected(void **state)
{
    struct scratch *scratch = *state;
    const char *clip = scratch_path(scratch, "clip.mp4");
    char path[600];
    clip_make(clip, 20, 320, 240);
    snprintf(path, sizeof path, "cameras.0.source.path=%s", clip);
    expect_text(run(scratch, 0, "edge-agent", "inspect", "-c", "deploy/edge-agent.yaml", "-s",
                    "cameras.0.source.kind=file", "--set", path, NULL),
                "320x240");
    expect_text(run(scratch, 1, "edge-agent", "inspect", "--set", "cameras.0.name=none", "--set",
                    "cameras.0.source.path=absent.mp4", NULL),
                "absent.mp4");
}

/* --live, --seconds and --summary: lines while it runs, an end by itself, the summary in its file. */
static void a_run_is_watched_and_bounded(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    char set[3][600];
    const char *summary = scratch_path(scratch, "summary.txt");
    server_start(&server, scratch, (const char *const[]){ "model=none", NULL });
    process_expect(&server, "msg=ready", WAIT_MS);
    snprintf(set[0], sizeof set[0], "server.address=tcp://127.0.0.1:%u", scratch->port);
    snprintf(set[1], sizeof set[1], "server.key=%s/keys/server.pub", scratch->folder);
    snprintf(set[2], sizeof set[2], "keys.folder=%s/keys", scratch->folder);
    char *printed = run(scratch, 0, "edge-agent", "run", "-c", "deploy/edge-agent.yaml", "-l", "-t",
                        "2", "--summary", summary, "-s", set[0], "-s", set[1], "-s", set[2], NULL);
    assert_non_null(strstr(printed, "link=up"));
    assert_null(strstr(printed, "latency_p50_ms="));
    free(printed);
    expect_text(read_whole(summary), "latency_p50_ms=");
    process_stop_well(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(configure_page_is_what_the_programs_print, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(operate_page_has_every_metric, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(shipped_configurations_are_good, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(shipped_configurations_show_all_defaults, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(versions, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(mistakes_name_what_is_nearest, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(every_flag_is_used_here, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(values_tell_where_they_come_from, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(keys_are_made_shown_and_let_in, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_file_comes_before_a_key, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_model_is_timed_by_its_flags, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(mistakes_of_an_evaluation_are_named, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_training_tells_what_holds, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(cameras_are_inspected, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_run_is_watched_and_bounded, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("manual", tests, NULL, NULL);
}
