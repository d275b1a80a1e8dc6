/* file: files appear whole or not at all: what was there before survives a write that fails in its middle
 * (a size limit stands for a full disk), nothing is left beside it, and an existing file is kept where
 * it may not be replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[PATH_MAX], path[PATH_MAX];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/file_test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    return snprintf(path, sizeof path, "%.4000s/it", folder) > 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails where anything was left beside it */
}

static void assert_holds(const char *expected)
{
    struct text text = { 0 };
    struct error err;
    assert_int_equal(file_read_text(path, 1000, &text, &err), 0);
    assert_string_equal(text.data, expected);
    text_finish(&text);
}

static void test_replace(void **state)
{
    (void)state;
    struct error err;
    struct stat info;
    assert_int_equal(file_write(path, "one", 3, 0600, false, &err), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(file_write(path, "two", 3, 0640, false, &err), -ERROR_IO);
    assert_non_null(strstr(err.text, "exists already"));
    assert_holds("one");
    assert_int_equal(file_write(path, "two", 3, 0640, true, &err), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_holds("two");
}

static void test_no_room(void **state)
{
    (void)state;
    struct error err;
    struct rlimit before, small;
    char *large = calloc(1, 100000);
    assert_non_null(large);
    assert_int_equal(file_write(path, "before", 6, 0644, true, &err), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){ .rlim_cur = 50000, .rlim_max = before.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = file_write(path, large, 100000, 0644, true, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, -ERROR_IO);
    assert_non_null(strstr(err.text, "100000 bytes"));
    assert_holds("before");
    free(large);
}

static void test_refused(void **state)
{
    (void)state;
    struct error err;
    char longer[PATH_MAX + 10];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(file_write(longer, "x", 1, 0644, true, &err), -ERROR_CONFIG);
    assert_int_equal(file_write(folder, "x", 1, 0644, true, &err), -ERROR_IO);
    assert_int_equal(file_write("/nowhere/at/all", "x", 1, 0644, true, &err), -ERROR_IO);
    assert_int_equal(file_write_text(path, &(struct text){ .failed = true }, &err), -ERROR_MEMORY);
    assert_int_equal(file_write(path, "0123456789", 10, 0644, true, &err), 0);
    struct text text = { 0 };
    assert_int_equal(file_read_text(path, 9, &text, &err), -ERROR_LIMIT);
    text_finish(&text);
}

/* A name without a folder lies in the working one. */
static void test_relative(void **state)
{
    (void)state;
    struct error err;
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    int rc = file_write("it", "here", 4, 0644, true, &err);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rc, 0);
    assert_holds("here");
}

static void test_folders(void **state)
{
    (void)state;
    struct error err;
    struct stat info;
    char deep[PATH_MAX + 8];
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    assert_int_equal(file_make_folder(deep, 0700, &err), 0);
    assert_int_equal(file_make_folder(deep, 0755, &err), 0); /* left alone */
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(rmdir(deep), 0);
    *strrchr(deep, '/') = '\0';
    assert_int_equal(rmdir(deep), 0);
    assert_int_equal(file_write(path, "x", 1, 0644, true, &err), 0);
    assert_int_equal(file_make_folder(path, 0755, &err), -ERROR_IO);
    assert_int_equal(file_make_folder("", 0755, &err), -ERROR_CONFIG);
}

static void test_lock(void **state)
{
    (void)state;
    struct error err;
    int mine = -1, other = -1;
    assert_int_equal(file_lock_folder(folder, &mine, &err), 0);
    assert_int_equal(file_lock_folder(folder, &other, &err), -ERROR_IO);
    assert_int_equal(other, -1);
    assert_non_null(strstr(err.text, folder));
    assert_non_null(strstr(err.text, "another process"));
    file_unlock(&mine);
    assert_int_equal(mine, -1);
    file_unlock(&mine); /* does nothing */
    assert_int_equal(file_lock_folder(folder, &other, &err), 0);
    file_unlock(&other);
    assert_int_equal(file_lock_folder("/nowhere/at/all", &other, &err), -ERROR_IO);
    snprintf(path, sizeof path, "%.4000s/" FILE_LOCK_NAME, folder); /* to be removed */
}

static void test_lock_of_the_killed(void **state)
{
    (void)state;
    struct error err;
    int locked[2], mine = -1;
    bool done;
    assert_int_equal(pipe(locked), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        done = file_lock_folder(folder, &mine, &err) == 0;
        if (write(locked[1], &done, sizeof done) == sizeof done)
            pause();
        _exit(1);
    }
    assert_int_equal(read(locked[0], &done, sizeof done), sizeof done);
    assert_true(done);
    assert_int_equal(file_lock_folder(folder, &mine, &err), -ERROR_IO);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(file_lock_folder(folder, &mine, &err), 0);
    file_unlock(&mine);
    close(locked[0]);
    close(locked[1]);
    snprintf(path, sizeof path, "%.4000s/" FILE_LOCK_NAME, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replace, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_no_room, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_relative, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_folders, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_lock, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_lock_of_the_killed, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
