/* Checkpoints: what is written comes back, the newest two stay, and a file that is cut at any place or
 * has any byte changed is passed over for the one before. A disk without room (a limit on the size of
 * files stands for it) leaves what was there. */
#include "learn/checkpoint.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH_BYTES 320u

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/checkpoint_test_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Removes what is in the folder, and gives how many files that were. */
static size_t empty_folder(void)
{
    size_t count = 0;
    DIR *handle = opendir(folder);
    assert_non_null(handle);
    for (struct dirent *entry; (entry = readdir(handle));)
        if (entry->d_name[0] != '.') {
            count++;
            assert_int_equal(unlink(path_of(entry->d_name)), 0);
        }
    closedir(handle);
    return count;
}

static int remove_folder(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

static void write_step(uint64_t step)
{
    struct error err;
    const float weights[] = { 1, 2, (float)step };
    const struct checkpoint_part parts[] = {
        { "recipe", "task: segment\n", 14 },
        { "", weights, sizeof weights },
        { "", weights + 1, 4 },
        { "empty", NULL, 0 },
    };
    if (checkpoint_write(folder, step, parts, 4, &err))
        fail_msg("%s", err.text);
}

/* 0: none. */
static void expect_step(uint64_t step, bool damage)
{
    struct error err = { 0 }, damaged;
    struct checkpoint *checkpoint;
    size_t count;
    if (checkpoint_read(&checkpoint, folder, &damaged, &err))
        fail_msg("%s", err.text);
    assert_int_equal(damaged.code, damage ? ERROR_FORMAT : ERROR_NONE);
    if (step == 0) {
        assert_null(checkpoint);
        return;
    }
    assert_non_null(checkpoint);
    assert_int_equal(checkpoint_step(checkpoint), step);
    const struct checkpoint_part *parts = checkpoint_parts(checkpoint, &count);
    const float weights[] = { 1, 2, (float)step };
    assert_int_equal(count, 4);
    assert_string_equal(parts[0].name, "recipe");
    assert_string_equal(parts[1].name, "");
    assert_int_equal(parts[1].size, sizeof weights);
    assert_memory_equal(parts[1].data, weights, sizeof weights);
    assert_memory_equal(parts[2].data, weights + 1, 4);
    assert_int_equal(parts[3].size, 0);
    checkpoint_free(&checkpoint);
}

static void the_newest_two_are_kept(void **state)
{
    (void)state;
    struct error err, damaged;
    struct checkpoint *checkpoint;
    expect_step(0, false);
    for (uint64_t step = 1; step < 12; step += 5) {
        write_step(step);
        expect_step(step, false);
    }
    /* A run that was killed has left half a file. */
    FILE *stray = fopen(path_of("checkpoint-000000000012.state.Ab12xY"), "wb");
    assert_non_null(stray);
    fclose(stray);
    write_step(100);
    assert_int_equal(access(path_of("checkpoint-000000000011.state"), F_OK), 0);
    assert_int_equal(empty_folder(), 2);
    assert_int_equal(checkpoint_read(&checkpoint, path_of("nowhere"), &damaged, &err), -ERROR_IO);
}

static char *read_file(const char *name, size_t *size)
{
    static char bytes[65536];
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    *size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return bytes;
}

static void write_file(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void damage_is_passed_over(void **state)
{
    (void)state;
    static const char newest[] = "checkpoint-000000000020.state";
    size_t size;
    write_step(10);
    write_step(20);
    char *bytes = read_file(newest, &size);
    for (size_t cut = 0; cut < size; cut++) {
        write_file(newest, bytes, cut);
        expect_step(10, true);
    }
    for (size_t at = 0; at < size; at++) {
        bytes[at] ^= 0x10;
        write_file(newest, bytes, size);
        expect_step(10, true);
        bytes[at] ^= 0x10;
    }
    write_file(newest, bytes, size);
    expect_step(20, false);
    write_file(newest, bytes, 10);
    write_file("checkpoint-000000000010.state", bytes, 9);
    expect_step(0, true);
    empty_folder();
}

/* Lengths that lie, with a checksum that fits. */
static void lengths_are_checked(void **state)
{
    (void)state;
    static const char newest[] = "checkpoint-000000000020.state";
    const size_t lengths[] = { 16, 24, 32 }; /* number of parts, name, data */
    size_t size;
    write_step(20);
    char *bytes = read_file(newest, &size);
    for (size_t i = 0; i < 3; i++) {
        char changed[4096];
        uint64_t wrong[] = { 0, 99, UINT64_MAX, UINT64_MAX - 8 };
        for (size_t k = 0; k < 4; k++) {
            memcpy(changed, bytes, size);
            memcpy(changed + lengths[i], &wrong[k], sizeof wrong[k]);
            uint64_t sum = UINT64_C(0xCBF29CE484222325);
            for (size_t b = 0; b + 8 < size; b++)
                sum = (sum ^ (uint8_t)changed[b]) * UINT64_C(0x100000001B3);
            memcpy(changed + size - 8, &sum, 8);
            write_file(newest, changed, size);
            expect_step(0, true);
        }
    }
    empty_folder();
}

static void a_full_disk_leaves_the_last_one(void **state)
{
    (void)state;
    struct rlimit before, little;
    struct error err;
    char large[8192] = { 0 };
    const struct checkpoint_part part = { "large", large, sizeof large };
    write_step(10);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    int rc = checkpoint_write(folder, 20, &part, 1, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, -ERROR_IO);
    assert_non_null(strstr(err.text, "checkpoint-000000000020.state: cannot write"));
    expect_step(10, false);
    assert_int_equal(empty_folder(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_two_are_kept),
        cmocka_unit_test(damage_is_passed_over),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(a_full_disk_leaves_the_last_one),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
