/* doctor: each thing that may be wrong is wrong in turn, and both programs' doctors name it, say what to do
 * next, and end with 1; where nothing is wrong they end with 0. */
#include "harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 120000u
#define SETS_MAX 20u
#define FULL_BYTES 65536u /* of a disk for tests */

static struct process server, ended;

/* ---- running ---- */

/* More "--set" values come over those that make all well; ended by NULL. */
static void run_doctor(const struct scratch *scratch, const char *program, int status,
                       const char *const *well, const char *const *more)
{
    const char *arguments[2 * SETS_MAX + 3] = { program_path(program), "doctor" };
    const char *const *const lists[] = { well, more };
    size_t count = 2;
    for (size_t i = 0; i < 2; i++)
        for (const char *const *set = lists[i]; set && *set; set++) {
            assert_true(count + 2 < sizeof arguments / sizeof *arguments);
            arguments[count++] = "--set";
            arguments[count++] = *set;
        }
    process_start(&ended, scratch, "doctor", arguments);
    int got = process_wait(&ended, WAIT_MS);
    if (got == status)
        return;
    process_expect(&ended, status == 0 ? "fail=0" : "an end with 1",
                   1); /* fails, and shows what it said */
    fail_msg("ended with %d", got);
}

static void agent_doctor(const struct scratch *scratch, int status, const char *const *more)
{
    static char texts[4][400];
    static const char *well[] = { texts[0],
                                  texts[1],
                                  texts[2],
                                  texts[3],
                                  "cameras.0.name=cam",
                                  "cameras.0.source.kind=test",
                                  "cameras.0.source.width=320",
                                  "cameras.0.source.height=240",
                                  NULL };
    snprintf(texts[0], sizeof texts[0], "server.address=tcp://127.0.0.1:%u", scratch->port);
    snprintf(texts[1], sizeof texts[1], "server.key=%s/keys/server.pub", scratch->folder);
    snprintf(texts[2], sizeof texts[2], "keys.folder=%s/keys", scratch->folder);
    snprintf(texts[3], sizeof texts[3], "answers.path=%s/agent.jsonl", scratch->folder);
    run_doctor(scratch, "edge-agent", status, well, more);
}

static void server_doctor(const struct scratch *scratch, int status, const char *const *more)
{
    static char texts[3][400];
    static const char *well[] = { texts[0], texts[1], texts[2], "model=none", NULL };
    snprintf(texts[0], sizeof texts[0], "listen.address=tcp://127.0.0.1:%u", scratch->port);
    snprintf(texts[1], sizeof texts[1], "keys.folder=%s/keys", scratch->folder);
    snprintf(texts[2], sizeof texts[2], "keys.allow=%s/keys/allow", scratch->folder);
    run_doctor(scratch, "cloud-server", status, well, more);
}

/* The line of a check has this verdict, and these words. */
static void expect_verdict(const char *verdict, const char *check, const char *found,
                           const char *advice)
{
    char begin[64];
    char *line = NULL;
    size_t capacity = 0;
    bool seen = false;
    FILE *log = fopen(ended.log, "r");
    assert_non_null(log);
    snprintf(begin, sizeof begin, "%-4s  %s ", verdict, check);
    while (!seen && getline(&line, &capacity, log) > 0)
        seen =
            strncmp(line, begin, strlen(begin)) == 0 && strstr(line, found) && strstr(line, advice);
    free(line);
    fclose(log);
    if (!seen) {
        fprintf(stderr, "not found: %s… %s … %s\n", begin, found, advice);
        process_expect(&ended, "a line that is as it should be", 1); /* fails, and shows what it said */
    }
}

/* One thing is wrong: with these values one check has failed. */
static void agent_fails(const struct scratch *scratch, const char *set, const char *check,
                        const char *found, const char *advice)
{
    agent_doctor(scratch, 1, (const char *const[]){ set, NULL });
    expect_verdict("FAIL", check, found, advice);
}

static void server_fails(const struct scratch *scratch, const char *set, const char *check,
                         const char *found, const char *advice)
{
    server_doctor(scratch, 1, (const char *const[]){ set, NULL });
    expect_verdict("FAIL", check, found, advice);
}

static const char *set_of(const struct scratch *scratch, const char *key, const char *name)
{
    static char set[600];
    snprintf(set, sizeof set, "%s=%s/%s", key, scratch->folder, name);
    return set;
}

/* Runs a program that has to end well. */
static void run_well(const struct scratch *scratch, const char *const *arguments)
{
    struct process process;
    process_start(&process, scratch, "other", arguments);
    assert_int_equal(process_wait(&process, WAIT_MS), 0);
}

static void make_keys(const struct scratch *scratch, const char *name)
{
    run_well(scratch, (const char *const[]){ program_path("edge-agent"), "keys", "new", "--folder",
                                             scratch_path(scratch, "keys"), "--name", name, NULL });
}

static void start_server(const struct scratch *scratch)
{
    server_start(&server, scratch, (const char *const[]){ "model=none", NULL });
    process_expect(&server, "msg=ready", WAIT_MS);
}

/* ---- edge-agent ---- */

static void an_agent_is_well(void **state)
{
    struct scratch *scratch = *state;
    start_server(scratch);
    agent_doctor(scratch, 0, NULL);
    static const char *const checks[] = { "configuration", "camera cam",     "key",   "server key",
                                          "disk answers",  "server address", "server" };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (strcmp(checks[i], "disk answers") != 0) /* what is free there is not ours to say */
            expect_verdict("OK", checks[i], "", "");
    assert_true(process_said(&ended, "codec cam"));
    assert_true(process_said(&ended, " decoded again, "));
    expect_verdict("OK", "server", "stream cam is welcome with 4 credits", "");
    assert_true(process_said(&ended, " fail=0\n"));
    process_expect(&server, "msg=\"stream ended\" stream=cam", WAIT_MS); /* it has left its place */
    process_stop_well(&server);
}

static void keys_of_an_agent(void **state)
{
    struct scratch *scratch = *state;
    start_server(scratch);
    agent_fails(scratch, "keys.name=none", "key", "none.key: no such file", "edge-agent keys new");
    assert_int_equal(chmod(scratch_path(scratch, "keys/edge.key"), 0644), 0);
    agent_fails(scratch, "log=info", "key", "others may read this secret (mode 0644)", "chmod 600");
    assert_int_equal(chmod(scratch_path(scratch, "keys/edge.key"), 0600), 0);
    make_keys(scratch, "stranger");
    agent_fails(scratch, "keys.name=stranger", "server", "refused by the server",
                "cloud-server keys allow edge '");
    agent_fails(scratch, set_of(scratch, "server.key", "none.pub"), "server key",
                "none.pub: no such file", "cloud-server keys show");
    agent_fails(scratch, set_of(scratch, "server.key", "keys/edge.pub"), "server key",
                "this box's own public key", "copy the server's there");
    agent_fails(scratch, set_of(scratch, "server.key", "keys/stranger.pub"), "server", "",
                "server key probably wrong");
    file_copy(scratch_path(scratch, "keys/stranger.pub"), scratch_path(scratch, "keys/edge.pub"));
    agent_fails(scratch, "log=info", "key", "does not belong to", "");
    process_stop_well(&server);
}

static void a_server_that_is_not_there(void **state)
{
    struct scratch *scratch = *state;
    agent_fails(scratch, "log=info", "server address", "Connection refused", "start cloud-server");
    agent_fails(scratch, "server.address=tcp://no-such-host.invalid:5570", "server address", "", "");

    /* It takes connections and says nothing. */
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char set[64];
    assert_int_equal(bind(silent, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(silent, 16), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &size), 0);
    snprintf(set, sizeof set, "server.address=tcp://127.0.0.1:%u", ntohs(address.sin_port));
    agent_doctor(scratch, 1, (const char *const[]){ set, "server.connect_ms=300", NULL });
    expect_verdict("FAIL", "server", "no answer from the server in time", "is server.address right?");
    close(silent);
}

static void what_a_server_refuses(void **state)
{
    struct scratch *scratch = *state;
    server_start(&server, scratch,
                 (const char *const[]){ "model=none", "limits.width=160", "limits.height=120", NULL });
    process_expect(&server, "msg=ready", WAIT_MS);
    agent_fails(scratch, "log=info", "server", "larger than the server's limit of 160x120",
                "correct what it says");
    agent_fails(scratch, "cameras.0.model=nonsense", "server", "", "correct what it says");
    run_well(scratch, (const char *const[]){ program_path("cloud-server"), "keys", "allow", "edge",
                                             scratch_path(scratch, "keys/edge.pub"), "--allow",
                                             scratch_path(scratch, "keys/allow"), "--stream",
                                             "yard", NULL });
    process_expect(&server, "allow folder read again", WAIT_MS);
    agent_fails(scratch, "log=info", "server", "this key may not use this stream name",
                "--stream cam");
    process_stop_well(&server);
}

static void cameras_of_an_agent(void **state)
{
    struct scratch *scratch = *state;
    FILE *file = fopen(scratch_path(scratch, "noise.mp4"), "w");
    assert_non_null(file);
    fputs("this is no video", file);
    assert_int_equal(fclose(file), 0);
    start_server(scratch);
    agent_doctor(scratch, 1,
                 (const char *const[]){ "cameras.0.source.kind=file",
                                        set_of(scratch, "cameras.0.source.path", "none.mp4"), NULL });
    expect_verdict("FAIL", "camera cam", "none.mp4", "check cameras[].source");
    assert_true(process_said(&ended, "codec cam")); /* is tried nevertheless */
    expect_verdict("OK", "server", "is welcome", "");
    agent_doctor(scratch, 1,
                 (const char *const[]){ "cameras.0.source.kind=file",
                                        set_of(scratch, "cameras.0.source.path", "noise.mp4"), NULL });
    expect_verdict("FAIL", "camera cam", "noise.mp4", "check cameras[].source");
    process_stop_well(&server);
}

static void mistakes_come_first(void **state)
{
    struct scratch *scratch = *state;
    agent_fails(scratch, "log=loud", "configuration", "has the mistakes above", "correct them");
    assert_true(process_said(&ended, "\"loud\" is not a level"));
    assert_true(process_said(&ended, "doctor: ok=0 warn=0 fail=1\n"));
    server_fails(scratch, "credits=none", "configuration", "has the mistakes above", "correct them");
    assert_true(process_said(&ended, "doctor: ok=0 warn=0 fail=1\n"));
}

/* ---- disks ---- */

/* Makes FOLDER/disk a full one, and FOLDER/fixed one that is read-only, for this process and its children
 * alone. False where this user may not. */
static bool mount_disks(const struct scratch *scratch, const char *test)
{
    const char *disk = scratch_path(scratch, "disk"), *fixed = scratch_path(scratch, "fixed");
    static const char filling[FULL_BYTES];
    assert_int_equal(mkdir(disk, 0755), 0);
    assert_int_equal(mkdir(fixed, 0755), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", disk, "tmpfs", 0, "size=64k") != 0 ||
        mount("tmpfs", fixed, "tmpfs", MS_RDONLY, "size=64k") != 0) {
        fprintf(stderr, "SKIP REASON: %s: cannot mount a small disk: %s\n", test, strerror(errno));
        return false;
    }
    FILE *file = fopen(scratch_path(scratch, "disk/full"), "w");
    assert_non_null(file);
    setvbuf(file, NULL, _IONBF, 0);
    fwrite(filling, 1, sizeof filling, file);
    fclose(file);
    return true;
}

static void disks_that_take_nothing(void **state)
{
    struct scratch *scratch = *state;
    if (!mount_disks(scratch, "disks_that_take_nothing"))
        skip();
    agent_fails(scratch, set_of(scratch, "answers.path", "disk/a.jsonl"), "disk answers",
                "No space left on device", "free some room");
    agent_fails(scratch, set_of(scratch, "answers.path", "fixed/a.jsonl"), "disk answers",
                "Read-only file system", "mounted read-only");
    agent_fails(scratch, set_of(scratch, "answers.path", "none/a.jsonl"), "disk answers",
                "No such file or directory", "mkdir -p ");
    server_fails(scratch, set_of(scratch, "answers.path", "disk/a.jsonl"), "disk answers",
                 "No space left on device", "free some room");
    server_fails(scratch, set_of(scratch, "record.folder", "fixed"), "disk record",
                 "Read-only file system", "mounted read-only");
    server_fails(scratch, set_of(scratch, "record.folder", "none/video"), "disk record",
                 "No such file or directory", "mkdir -p ");
    umount2(scratch_path(scratch, "disk"), MNT_DETACH);
    umount2(scratch_path(scratch, "fixed"), MNT_DETACH);
}

/* ---- cloud-server ---- */

static void a_server_is_well(void **state)
{
    struct scratch *scratch = *state;
    server_doctor(scratch, 0,
                  (const char *const[]){ "model=street_det", "pool.devices.0.kind=cpu", NULL });
    expect_verdict("OK", "key", "public key ", "");
    expect_verdict("OK", "allow folder", "1 agents may connect, by 1 files", "");
    expect_verdict("OK", "model street_det on cpu", "finds in its sample what it must", "");
    expect_verdict("OK", "listen", "is free", "");
    assert_true(process_said(&ended, " fail=0\n"));

    start_server(scratch); /* beside one that runs: no mistake */
    server_doctor(scratch, 0, NULL);
    expect_verdict("WARN", "listen", "is in use", "nothing where cloud-server runs beside this");
    process_stop_well(&server);
}

static void keys_of_a_server(void **state)
{
    struct scratch *scratch = *state;
    server_fails(scratch, "keys.name=none", "key", "none.key: no such file", "cloud-server keys new");
    assert_int_equal(chmod(scratch_path(scratch, "keys/server.key"), 0640), 0);
    server_fails(scratch, "log=info", "key", "others may read this secret (mode 0640)", "chmod 600");
    assert_int_equal(chmod(scratch_path(scratch, "keys/server.key"), 0600), 0);
    server_fails(scratch, set_of(scratch, "keys.allow", "none"), "allow folder",
                 "No such file or directory", "keys allow");
    FILE *file = fopen(scratch_path(scratch, "keys/allow/wrong.yaml"), "w");
    assert_non_null(file);
    fputs("key: too short\n", file);
    assert_int_equal(fclose(file), 0);
    server_doctor(scratch, 0, NULL);
    expect_verdict("WARN", "allow folder", "1 agents may connect, by 2 files",
                   "which files are wrong");
    unlink(scratch_path(scratch, "keys/allow/wrong.yaml"));
    unlink(scratch_path(scratch, "keys/allow/edge.yaml"));
    server_doctor(scratch, 0, NULL);
    expect_verdict("WARN", "allow folder", "0 agents may connect", "let an agent in");
}

static void models_devices_and_addresses(void **state)
{
    struct scratch *scratch = *state;
    server_doctor(scratch, 1,
                  (const char *const[]){ "model=mine", "models.0.name=mine",
                                         set_of(scratch, "models.0.folder", "none"), NULL });
    expect_verdict("FAIL", "model mine on cpu", "none", "cloud-server model check");
    server_doctor(scratch, 1,
                  (const char *const[]){ "model=street_det", "pool.devices.0.kind=cuda",
                                         "pool.devices.0.gpu=31", NULL });
    expect_verdict("FAIL", "model street_det on cuda:31", "", "correct pool.devices");
    server_fails(scratch, "listen.address=tcp://192.0.2.1:5570", "listen",
                 "Cannot assign requested address", "an address that this host has");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_agent_is_well, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(keys_of_an_agent, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_server_that_is_not_there, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_a_server_refuses, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(cameras_of_an_agent, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(mistakes_come_first, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_server_is_well, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(keys_of_a_server, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(models_devices_and_addresses, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(disks_that_take_nothing, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
