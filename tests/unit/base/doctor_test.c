/* doctor: what a check found is printed and counted; one that hangs or crashes is ended and has failed; what
 * clocks and disks may look like. */
#include "base/doctor.h"

#include "base/clock.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define SECOND_US 1000000ull

static struct doctor doctor;
static char *printed;
static size_t printed_size;

static int setup(void **state)
{
    (void)state;
    doctor = (struct doctor){ .out = open_memstream(&printed, &printed_size) };
    return doctor.out ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fclose(doctor.out);
    free(printed);
    printed = NULL;
    return 0;
}

static void expect_line(const char *line)
{
    fflush(doctor.out);
    if (!strstr(printed, line))
        fail_msg("\"%s\" is not in:\n%s", line, printed);
}

static void find_well(const void *arg, struct doctor_finding *finding)
{
    doctor_found(finding, DOCTOR_OK, "%s", (const char *)arg);
    finding->numbers[1] = 7;
}

static void find_warning(const void *arg, struct doctor_finding *finding)
{
    (void)arg;
    fputs("not for the operator\n", stderr);
    doctor_found(finding, DOCTOR_WARN, "warm\nrtsp://user:geheim@box/1");
    doctor_advise(finding, "open a window");
}

static void hang(const void *arg, struct doctor_finding *finding)
{
    (void)finding;
    signal(SIGTERM, SIG_IGN);
    for (;;)
        usleep(*(const unsigned *)arg);
}

static void crash(const void *arg, struct doctor_finding *finding)
{
    const struct rlimit none = { 0, 0 };
    (void)arg;
    (void)finding;
    setrlimit(RLIMIT_CORE, &none);
    kill(getpid(), SIGKILL);
}

static void leave(const void *arg, struct doctor_finding *finding)
{
    (void)finding;
    _exit(*(const int *)arg);
}

static void findings_are_printed_and_counted(void **state)
{
    struct doctor_finding finding;
    (void)state;
    doctor_check(&doctor, "first", 20000, find_well, "all well", &finding);
    assert_int_equal(finding.verdict, DOCTOR_OK);
    assert_int_equal(finding.numbers[1], 7);
    expect_line("OK    first             all well\n");
    doctor_check(&doctor, "second", 20000, find_warning, NULL, NULL);
    expect_line("WARN  second            warm rtsp://***@box/1; next: open a window\n");
    assert_null(strstr(printed, "geheim"));
    assert_int_equal(doctor_end(&doctor), 0);
    expect_line("doctor: ok=1 warn=1 fail=0\n");
}

static void what_hangs_or_crashes_has_failed(void **state)
{
    static const unsigned nap_us = 1000;
    static const int status = 3;
    uint64_t begin_ns = clock_now_ns();
    (void)state;
    doctor_check(&doctor, "slow", 1000, hang, &nap_us, NULL);
    assert_true(clock_now_ns() - begin_ns >= CLOCK_NS_PER_S);
    expect_line("FAIL  slow              hangs: no result within 1 s\n");
    doctor_check(&doctor, "gone", 20000, crash, NULL, NULL);
    expect_line("FAIL  gone              the check itself was ended by signal 9 (Killed)\n");
    doctor_check(&doctor, "left", 20000, leave, &status, NULL);
    expect_line("FAIL  left              the check itself has ended without a result\n");
    assert_int_equal(doctor_end(&doctor), 1);
    expect_line("doctor: ok=0 warn=0 fail=3\n");
}

static void clocks_are_judged(void **state)
{
    const uint64_t now_us = 1790000000 * SECOND_US; /* September 2026 */
    static const struct {
        int64_t off_s;
        uint64_t gone_ns;
        bool synchronised;
        enum doctor_verdict verdict;
        const char *found;
    } cases[] = {
        { 0, 50000000, true, DOCTOR_OK, "2026-09-21T" },
        { 0, 50000000, false, DOCTOR_WARN, "nothing keeps it right" },
        { 0, 49000000, true, DOCTOR_FAIL, "monotonic clock went 49000 us" },
        { -1780000000, 50000000, true, DOCTOR_FAIL, "the wall clock says 1970-" },
        { 3000000000, 50000000, true, DOCTOR_FAIL, "the wall clock says 2121-" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct doctor_finding finding = { .verdict = DOCTOR_OK };
        doctor_judge_clock(now_us + (uint64_t)(cases[i].off_s * (int64_t)SECOND_US),
                           cases[i].gone_ns, 50000000, cases[i].synchronised, &finding);
        assert_int_equal(finding.verdict, cases[i].verdict);
        if (!strstr(finding.found, cases[i].found))
            fail_msg("%s", finding.found);
        assert_int_equal(finding.advice[0] == '\0', finding.verdict == DOCTOR_OK);
    }
    doctor_check_clock(&doctor); /* this machine's: whatever it says of its wall clock, it runs */
    assert_int_equal(doctor.counts[DOCTOR_FAIL], 0);
}

static void folders_and_files_are_tried(void **state)
{
    char folder[] = "/tmp/runespoor-doctor-XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    doctor_check_folder(&doctor, "disk", folder);
    assert_int_equal(doctor.counts[DOCTOR_FAIL], 0);
    expect_line(": can be written, ");
    snprintf(path, sizeof path, "%s/answers.jsonl", folder);
    doctor_check_file(&doctor, "file", path);
    assert_int_equal(doctor.counts[DOCTOR_FAIL], 0);
    assert_int_not_equal(access(path, F_OK), 0); /* not made */
    assert_int_equal(mkfifo(path, 0600), 0);
    doctor_check_file(&doctor, "pipe", path);
    expect_line("FAIL  pipe ");
    expect_line("No such device or address"); /* nobody reads it */
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing was left behind */
    doctor_check_folder(&doctor, "gone", folder);
    expect_line("FAIL  gone ");
    expect_line("next: mkdir -p /tmp/runespoor-doctor-");
    doctor_check_file(&doctor, "null", "/dev/null");
    expect_line("OK    null              /dev/null: can be written\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(findings_are_printed_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_hangs_or_crashes_has_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(clocks_are_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_and_files_are_tried, setup, teardown),
    };
    return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
