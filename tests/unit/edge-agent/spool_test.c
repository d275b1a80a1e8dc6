/* spool: what was put comes back until it is answered, with what it needs to be decoded, also in a new
 * process; the file of answers agrees with it wherever a kill came, across rotation too; bounds by size
 * and age, both ways of being full; a disk that is full or fails at any sync, damaged pages and packets,
 * foreign files. */
#include "loop_bench.h"

#include "base/log.h"
#include "spool.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define WAIT_MS 20000u
#define GROUP 5u /* frames in a group of pictures */

static struct loop_bench bench;

/* The disk fails for good after so many more syncs; -1: it does not. */
static struct {
    atomic_int good_syncs;
    atomic_bool broken;
} disk = { .good_syncs = -1 };

static struct {
    char db[200], file[200];
    struct spool_config config;
    struct sink_config answers;
    struct figures figures;
    struct spool *spool;
    struct spool_stream *stream;
    uint64_t next_number;
    size_t frame_bytes;
    /* what came back */
    unsigned fates[SPOOL_GROUPLESS + 1], ends[SPOOL_GONE + 1];
    unsigned puts, answers_done, reads;
    struct {
        uint64_t number;
        bool answered, keyframe, same;
    } read[400];
    size_t read_count, read_last; /* last: of the last reading */
} rig;

static int setup(void **state)
{
    (void)state;
    loop_bench_open(&bench);
    log_configure("off", NULL);
    memset(&rig, 0, sizeof rig);
    snprintf(rig.db, sizeof rig.db, "%s", loop_bench_path(&bench, "spool.db"));
    snprintf(rig.file, sizeof rig.file, "%s", loop_bench_path(&bench, "answers.jsonl"));
    rig.config = (struct spool_config){ .path = rig.db, .size_mb = 64, .full = SPOOL_FULL_OLDEST };
    rig.answers = (struct sink_config){ .path = rig.file, .keep = 3 };
    rig.frame_bytes = 3000;
    figures_init(&rig.figures, bench.metrics, "gate");
    return 0;
}

/* ---- the disk: in place of the C library's, SQLite's calls included ---- */

int fdatasync(int file)
{
    disk.broken = disk.broken || disk.good_syncs == 0;
    if (disk.good_syncs > 0)
        disk.good_syncs--;
    if (!disk.broken)
        return (int)syscall(SYS_fdatasync, file);
    errno = EIO;
    return -1;
}

/* Of lines, that is; the loop's own writes are to no file. */
ssize_t write(int file, const void *bytes, size_t size)
{
    struct stat status;
    if (!disk.broken || fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return syscall(SYS_write, file, bytes, size);
    errno = EIO;
    return -1;
}

/* The box's clock is so far ahead of the real one. */
static _Atomic time_t ahead_s;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME)
        time->tv_sec += ahead_s;
    return result;
}

static void break_disk(int good_syncs)
{
    disk.good_syncs = good_syncs;
}

static void repair_disk(void)
{
    disk.good_syncs = -1;
    disk.broken = false;
}

/* ---- the stream's side ---- */

/* Bytes that tell their number. */
static void fill(uint8_t *bytes, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number * 131 + i * 7);
}

static void on_put(void *arg, struct spool_frame *stored, uint64_t previous, enum spool_fate fate)
{
    (void)arg;
    (void)previous;
    assert_non_null(stored->frame.packet);
    rig.fates[fate]++;
    rig.puts++;
}

static void on_answered(void *arg, const struct spool_answer *answer, enum spool_end end)
{
    (void)arg;
    (void)answer;
    rig.ends[end]++;
    rig.answers_done++;
}

static void on_read(void *arg, void *reader, struct spool_frame *frames, size_t count)
{
    static uint8_t expected[1 << 20];
    (void)arg;
    assert_ptr_equal(reader, &rig);
    for (size_t i = 0; i < count; i++) {
        size_t size;
        const uint8_t *bytes = packet_data(frames[i].frame.packet, &size);
        fill(expected, rig.frame_bytes, frames[i].frame.number);
        assert_true(rig.read_count < 400);
        rig.read[rig.read_count].number = frames[i].frame.number;
        rig.read[rig.read_count].answered = frames[i].answered;
        rig.read[rig.read_count].keyframe = frames[i].frame.keyframe;
        rig.read[rig.read_count++].same =
            size == rig.frame_bytes && memcmp(bytes, expected, size) == 0 &&
            frames[i].frame.camera_width == 640 && frames[i].frame.rung.width == 320;
    }
    rig.read_last = count;
    rig.reads++;
}

static const struct spool_events events = { on_put, on_answered, on_read };

static int try_open(struct error *err)
{
    int result = spool_open(&rig.spool, &bench.loop, &rig.config, &rig.answers, bench.metrics, err);
    if (result == 0)
        assert_int_equal(spool_join(rig.spool, &rig.stream, "gate", &rig.figures, &events, NULL,
                                    &rig.next_number, err),
                         0);
    return result;
}

static void open_spool(void)
{
    struct error err;
    if (try_open(&err) != 0)
        fail_msg("%s", err.text);
}

static void close_spool(void)
{
    spool_leave(&rig.stream);
    spool_close(&rig.spool);
    loop_bench_run_out(&bench);
}

static int teardown(void **state)
{
    (void)state;
    if (rig.spool)
        close_spool();
    repair_disk();
    ahead_s = 0;
    log_configure("info", NULL);
    loop_bench_close(&bench);
    return 0;
}

static bool all_done(void *arg)
{
    const unsigned *wanted = arg;
    return rig.puts + rig.answers_done + rig.reads >= *wanted;
}

static void wait_done(unsigned more)
{
    unsigned wanted = rig.puts + rig.answers_done + rig.reads + more;
    loop_bench_turn(&bench, all_done, &wanted, WAIT_MS);
}

static void ask_put(uint64_t number, bool keyframe, uint64_t unix_us)
{
    static uint8_t bytes[1 << 20];
    struct error err;
    struct spool_frame stored = { .frame = { .number = number,
                                             .keyframe = keyframe,
                                             .capture_ns = clock_now_ns(),
                                             .capture_unix_us = unix_us,
                                             .rung = { .width = 320, .height = 240 },
                                             .camera_width = 640,
                                             .camera_height = 480 } };
    fill(bytes, rig.frame_bytes, number);
    assert_int_equal(packet_copy(&stored.frame.packet, bytes, rig.frame_bytes, keyframe, &err), 0);
    assert_int_equal(spool_put(rig.stream, &stored, &err), 0);
}

static void put_many(uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++)
        ask_put(number, number % GROUP == 0, clock_wall_us());
    wait_done((unsigned)(to - from));
}

static void ask_answer(uint64_t number, bool final, const char *reason)
{
    Runespoor__Answer answer = RUNESPOOR__ANSWER__INIT;
    struct error err;
    answer.stream = (char *)"gate";
    answer.frame = number;
    answer.reason = (char *)reason;
    answer.status =
        reason[0] ? RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED : RUNESPOOR__ANSWER_STATUS__ANSWER_OK;
    assert_int_equal(spool_put_answer(rig.stream, &answer, 1000, final, 0, &err), 0);
}

static void answer_many(uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++)
        ask_answer(number, true, "");
    wait_done((unsigned)(to - from));
}

/* Reads all that a sender would have to send. */
static void read_all(uint64_t below)
{
    struct error err;
    uint64_t from = 0;
    rig.read_count = 0;
    do {
        assert_int_equal(spool_read(rig.stream, &rig, from, below, &err), 0);
        wait_done(1);
        if (rig.read_last > 0)
            from = rig.read[rig.read_count - 1].number + 1;
    } while (rig.read_last > 0);
    for (size_t i = 0; i < rig.read_count; i++)
        assert_true(rig.read[i].same);
}

static uint64_t drops(const char *reason)
{
    return loop_bench_count(&bench, "edge_frames_dropped_total", reason);
}

/* Frames of whole lines in one file, behind each other. Gives how many. */
static size_t lines_of(const char *path, uint64_t *frames, size_t room)
{
    char line[1 << 17];
    size_t count = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        const char *at = strstr(line, "\"frame\":");
        assert_true(at && line[0] == '{' && strcmp(line + strlen(line) - 2, "}\n") == 0);
        assert_true(count < room);
        frames[count++] = strtoull(at + 8, NULL, 10);
    }
    fclose(file);
    return count;
}

/* The lines are those of frames from .. to, in order. */
static void expect_lines(uint64_t from, uint64_t to)
{
    uint64_t frames[400];
    size_t count = lines_of(rig.file, frames, 400);
    assert_int_equal(count, to - from);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(frames[i], from + i);
}

/* ---- frames ---- */

static void frames_wait_until_they_are_answered(void **state)
{
    (void)state;
    open_spool();
    assert_int_equal(rig.next_number, 0);
    put_many(0, 12); /* 0..4, 5..9, 10, 11 */
    assert_int_equal(rig.fates[SPOOL_STORED], 12);
    assert_int_equal(spool_waiting(rig.stream), 12);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 12);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(rig.read[i].number, i);
        assert_false(rig.read[i].answered);
        assert_int_equal(rig.read[i].keyframe, i % GROUP == 0);
    }
    answer_many(0, 7);
    expect_lines(0, 7);
    assert_int_equal(spool_waiting(rig.stream), 5);
    read_all(UINT32_MAX); /* the first group is gone, the second is needed from its keyframe on */
    assert_int_equal(rig.read_count, 7);
    assert_int_equal(rig.read[0].number, 5);
    assert_true(rig.read[0].answered && rig.read[1].answered && !rig.read[2].answered);
    read_all(9); /* a backlog ends before the live stream's part */
    assert_int_equal(rig.read_count, 4);
    /* An answer given twice, and one to a frame that is gone, leave no line. */
    ask_answer(6, true, "");
    ask_answer(1, true, "");
    wait_done(2);
    assert_int_equal(rig.ends[SPOOL_GONE], 2);
    expect_lines(0, 7);
    answer_many(7, 12);
    expect_lines(0, 12);
    assert_int_equal(spool_waiting(rig.stream), 0);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 0);
    assert_int_equal(loop_bench_count(&bench, "edge_answer_lines_total", NULL), 12);
}

/* All answered, but the next frame of the group will need them. */
static void an_open_group_stays(void **state)
{
    (void)state;
    open_spool();
    put_many(0, 3);
    answer_many(0, 3);
    put_many(3, 4);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(rig.read[i].answered, i < 3);
    answer_many(3, 4);
    put_many(5, 6); /* the next group begins: the one before goes */
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 1);
    assert_int_equal(rig.read[0].number, 5);
}

static void another_process_goes_on(void **state)
{
    (void)state;
    open_spool();
    put_many(0, 8);
    answer_many(0, 6);
    close_spool();
    open_spool();
    assert_int_equal(rig.next_number, 8);
    assert_int_equal(spool_waiting(rig.stream), 2);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 3); /* 5 for 6 and 7 */
    assert_true(rig.read[0].answered);
    put_many(8, 9); /* it needs a group that this process has not encoded */
    assert_int_equal(rig.fates[SPOOL_GROUPLESS], 1);
    put_many(10, 11);
    assert_int_equal(rig.fates[SPOOL_STORED], 9);
    answer_many(6, 8);
    answer_many(10, 11);
    close_spool();
    open_spool(); /* numbers are never used again, though no frame is left */
    assert_int_equal(rig.next_number, 11);
    assert_int_equal(spool_waiting(rig.stream), 0);
}

static void nothing_is_asked_for_for_ever(void **state)
{
    (void)state;
    open_spool();
    put_many(0, 1);
    for (unsigned i = 1; i < SPOOL_TRIES_MAX; i++) {
        ask_answer(0, false, "worker_lost");
        wait_done(1);
        assert_int_equal(rig.ends[SPOOL_AGAIN], i);
        close_spool(); /* it is remembered */
        open_spool();
    }
    expect_lines(0, 0);
    ask_answer(0, false, "worker_lost");
    wait_done(1);
    assert_int_equal(rig.ends[SPOOL_ANSWERED], 1);
    expect_lines(0, 1);
}

/* ---- the file ---- */

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A kill between the file and the commit. */
static void what_was_not_committed_is_cut_off(void **state)
{
    (void)state;
    open_spool();
    put_many(0, 5);
    answer_many(0, 3);
    close_spool();
    append(rig.file, "{\"stream\":\"gate\",\"frame\":3}\n{\"stream\":\"ga");
    open_spool();
    expect_lines(0, 3);
    answer_many(3, 5);
    expect_lines(0, 5);
}

static size_t lines_of_rotated(unsigned number, uint64_t *frames)
{
    char path[250];
    snprintf(path, sizeof path, "%s.%u", rig.file, number);
    return lines_of(path, frames, 400);
}

static void rotation_loses_and_repeats_nothing(void **state)
{
    static char reason[60000];
    uint64_t frames[400];
    (void)state;
    memset(reason, 'r', sizeof reason - 1);
    rig.answers.rotate_mb = 1;
    open_spool();
    put_many(0, 60);
    for (uint64_t number = 0; number < 60; number++) {
        ask_answer(number, true, reason);
        if (number % 3 == 2)
            wait_done(3);
    }
    close_spool();
    size_t count = lines_of_rotated(3, frames);
    for (unsigned number = 2; number > 0; number--)
        count += lines_of_rotated(number, frames + count);
    count += lines_of(rig.file, frames + count, 400 - count);
    assert_true(lines_of_rotated(1, frames + count) > 0);
    assert_int_equal(count, 60);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(frames[i], i);
}

/* A kill between the renaming and the next commit; in the new file nothing can be then. */
static void a_rotation_that_was_cut_short_is_found(void **state)
{
    char rotated[250];
    uint64_t frames[400];
    (void)state;
    open_spool();
    put_many(0, 10);
    answer_many(0, 4);
    close_spool();
    append(rig.file, "{\"stream\":\"gate\",\"frame\":4}\n");
    snprintf(rotated, sizeof rotated, "%s.1", rig.file);
    assert_int_equal(rename(rig.file, rotated), 0);
    open_spool();
    assert_int_equal(lines_of(rotated, frames, 400), 4);
    answer_many(4, 10);
    expect_lines(4, 10);
}

static void a_file_that_somebody_has_changed_is_gone_on_with(void **state)
{
    uint64_t frames[400];
    (void)state;
    open_spool();
    put_many(0, 6);
    answer_many(0, 4);
    close_spool();
    assert_int_equal(unlink(rig.file), 0);
    append(rig.file, "{\"stream\":\"x\",\"frame\":77}\n{\"torn");
    open_spool();
    answer_many(4, 6);
    assert_int_equal(lines_of(rig.file, frames, 400), 3);
    assert_int_equal(frames[0], 77);
    assert_int_equal(frames[2], 5);
}

/* ---- bounds ---- */

static uint64_t file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void the_oldest_groups_go_when_it_is_full(void **state)
{
    (void)state;
    rig.config.size_mb = 2;
    rig.frame_bytes = 40000;
    open_spool();
    for (uint64_t number = 0; number < 200; number += GROUP)
        put_many(number, number + GROUP);
    assert_int_equal(rig.fates[SPOOL_STORED], 200);
    uint64_t left = spool_waiting(rig.stream), lost = drops("spool_full");
    assert_int_equal(left + lost, 200);
    assert_int_equal(lost % GROUP, 0); /* whole groups */
    assert_true(left >= 25);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, left);
    assert_int_equal(rig.read[0].number, lost);
    assert_true(rig.read[0].keyframe);
    assert_true(file_bytes(rig.db) <= 2u << 20);
    ask_answer(0, true, ""); /* it was counted as dropped, so it has no line */
    wait_done(1);
    assert_int_equal(rig.ends[SPOOL_GONE], 1);
    expect_lines(0, 0);
    close_spool();
    assert_true(file_bytes(rig.db) <= 2u << 20);
}

static void or_new_frames_are_refused(void **state)
{
    (void)state;
    rig.config.size_mb = 2;
    rig.config.full = SPOOL_FULL_REFUSE;
    rig.frame_bytes = 40000;
    open_spool();
    put_many(0, 100);
    unsigned stored = rig.fates[SPOOL_STORED];
    assert_true(stored >= 25 && stored < 60);
    assert_int_equal(rig.fates[SPOOL_FULL] + rig.fates[SPOOL_GROUPLESS] + stored, 100);
    assert_int_equal(drops("spool_full"), 0); /* its stream counts what it was refused */
    answer_many(0, stored);
    expect_lines(0, stored);
    put_many(100, 105); /* there is room again */
    assert_int_equal(rig.fates[SPOOL_STORED], stored + 5);
}

static void old_frames_go(void **state)
{
    const uint64_t hour_us = UINT64_C(3600000000);
    (void)state;
    open_spool();
    uint64_t now_us = clock_wall_us();
    for (uint64_t number = 0; number < 10; number++)
        ask_put(number, number % GROUP == 0, now_us - (number < 5 ? 3 : 1) * hour_us);
    wait_done(10);
    close_spool();
    rig.config.age_h = 2;
    open_spool();
    put_many(10, 11);
    assert_int_equal(drops("spool_age"), 5);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 6);
    assert_int_equal(rig.read[0].number, 5);
}

/* A box begins without the time, as long as there is no link; then its clock is put right. What waits is no
 * older by that, and once it has gone ages are by the new time. */
static void a_clock_put_right_makes_nothing_old(void **state)
{
    const int64_t hour_s = 3600;
    (void)state;
    rig.config.age_h = 2;
    ahead_s = -1000 * hour_s;
    open_spool();
    put_many(0, 10);
    ahead_s = 0;
    put_many(10, 20);
    assert_int_equal(drops("spool_age"), 0);
    assert_true(loop_bench_count(&bench, "edge_spool_oldest_seconds", NULL) < 100);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 20);
    answer_many(0, 20);
    uint64_t old_us = clock_wall_us() - 3 * (uint64_t)hour_s * 1000000;
    for (uint64_t number = 20; number < 25; number++)
        ask_put(number, number % GROUP == 0, old_us);
    wait_done(5);
    put_many(25, 26);
    assert_true(drops("spool_age") > 0);
}

/* ---- bad disks and files ---- */

/* No file grows any more: what comes is refused and said so, and nothing that is there is lost. */
static void a_full_disk_is_survived(void **state)
{
    struct rlimit before, limit;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    open_spool();
    put_many(0, 10);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 60000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (uint64_t number = 10; number < 30; number++)
        ask_put(number, number % GROUP == 0, clock_wall_us());
    wait_done(20);
    unsigned failed = rig.fates[SPOOL_FAILED];
    assert_true(failed > 0);
    assert_true(loop_bench_count(&bench, "edge_spool_errors_total", NULL) > 0);
    for (uint64_t number = 0; number < 10; number++)
        ask_answer(number, true, "");
    loop_bench_turn(&bench, NULL, NULL, 50);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    if (rig.answers_done < 10)
        wait_done(10 - rig.answers_done);
    assert_int_equal(rig.ends[SPOOL_ANSWERED], 10);
    expect_lines(0, 10);
    put_many(30, 35);
    assert_int_equal(rig.fates[SPOOL_FAILED], failed);
    read_all(UINT32_MAX);
    assert_int_equal(rig.read[rig.read_count - 1].number, 34);
}

/* The commit of an answer stands whole in the log, but the disk does not say so, and takes nothing more: the
 * line may not be cut off as long as the next start would find the frame answered. */
static void a_commit_that_failed_loses_no_answer(void **state)
{
    (void)state;
    open_spool();
    put_many(0, 5);
    answer_many(0, 2);
    break_disk(1); /* of the file; not of the log */
    ask_answer(2, true, "");
    close_spool();
    repair_disk();
    open_spool();
    answer_many(2, 5);
    expect_lines(0, 5);
}

static void a_rotation_that_cannot_be_noted_is_survived(void **state)
{
    static char reason[60000];
    uint64_t frames[400];
    (void)state;
    memset(reason, 'r', sizeof reason - 1);
    rig.answers.rotate_mb = 1;
    open_spool();
    put_many(0, 20);
    for (uint64_t number = 0; number < 18; number++)
        ask_answer(number, true, reason);
    wait_done(18);
    assert_true(file_bytes(rig.file) >= 1u << 20);
    break_disk(0);
    ask_answer(18, true, "");
    loop_bench_turn(&bench, NULL, NULL, 50);
    repair_disk();
    wait_done(1);
    answer_many(19, 20);
    expect_lines(18, 20);
    assert_int_equal(lines_of_rotated(1, frames), 18);
    assert_int_equal(lines_of_rotated(2, frames), 0);
}

static void overwrite(const char *path, uint64_t from, uint64_t to)
{
    static const uint8_t noise[4096] = { 0xa5, 0x5a, 0xff };
    int file = open(path, O_WRONLY);
    assert_true(file >= 0);
    for (uint64_t at = from; at < to; at += sizeof noise)
        assert_int_equal(pwrite(file, noise, sizeof noise, (off_t)at), sizeof noise);
    close(file);
}

static void a_damaged_page_is_a_clear_error(void **state)
{
    struct error err;
    (void)state;
    open_spool();
    put_many(0, 50);
    close_spool();
    uint64_t bytes = file_bytes(rig.db);
    overwrite(rig.db, 4096, 4 * 4096);
    assert_int_equal(try_open(&err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, rig.db));
    assert_non_null(strstr(err.text, "damaged"));
    assert_non_null(strstr(err.text, "move it away"));
    assert_int_equal(file_bytes(rig.db), bytes); /* nothing of it was touched */
    rig.spool = NULL;
}

/* Damage that only the packet itself can show: what depends on it goes, counted, and no more. */
static void a_damaged_packet_is_counted(void **state)
{
    sqlite3 *sqlite;
    (void)state;
    open_spool();
    put_many(0, 15);
    close_spool();
    assert_int_equal(sqlite3_open(rig.db, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite,
                                  "UPDATE packet SET bytes = zeroblob(length(bytes)) WHERE id ="
                                  " (SELECT id FROM frame WHERE number = 7)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(sqlite);
    open_spool();
    read_all(UINT32_MAX);
    assert_int_equal(rig.read_count, 12); /* all but 7, 8, 9 */
    assert_int_equal(rig.read[7].number, 10);
    assert_int_equal(drops("spool_damaged"), 3);
    assert_int_equal(spool_waiting(rig.stream), 12);
}

static void a_spool_is_for_one_agent(void **state)
{
    struct error err;
    struct spool *second = NULL;
    (void)state;
    open_spool();
    assert_int_equal(
        spool_open(&second, &bench.loop, &rig.config, &rig.answers, bench.metrics, &err), -ERROR_IO);
    assert_non_null(strstr(err.text, "another process"));
}

static void foreign_files_are_refused(void **state)
{
    sqlite3 *sqlite;
    struct error err;
    (void)state;
    append(rig.db,
           "this is a text of some length, and no database at all; nobody may write into it\n");
    assert_int_equal(try_open(&err), -ERROR_FORMAT);
    unlink(rig.db);
    assert_int_equal(sqlite3_open(rig.db, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, "CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
    assert_int_equal(try_open(&err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "no spool"));
    unlink(rig.db);
    open_spool();
    close_spool();
    assert_int_equal(sqlite3_open(rig.db, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
    assert_int_equal(try_open(&err), -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "version 2"));
    rig.spool = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_wait_until_they_are_answered),
        TEST(an_open_group_stays),
        TEST(another_process_goes_on),
        TEST(nothing_is_asked_for_for_ever),
        TEST(what_was_not_committed_is_cut_off),
        TEST(rotation_loses_and_repeats_nothing),
        TEST(a_rotation_that_was_cut_short_is_found),
        TEST(a_file_that_somebody_has_changed_is_gone_on_with),
        TEST(the_oldest_groups_go_when_it_is_full),
        TEST(or_new_frames_are_refused),
        TEST(old_frames_go),
        TEST(a_clock_put_right_makes_nothing_old),
        TEST(a_full_disk_is_survived),
        TEST(a_commit_that_failed_loses_no_answer),
        TEST(a_rotation_that_cannot_be_noted_is_survived),
        TEST(a_damaged_page_is_a_clear_error),
        TEST(a_damaged_packet_is_counted),
        TEST(a_spool_is_for_one_agent),
        TEST(foreign_files_are_refused),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
