/* The file of choices: what is added is found again by another process, whatever else lies in the file:
 * lines cut off by a kill, damaged ones, foreign bytes, too many bytes. A file that cannot be written or
 * read is no error. Nor is content beside it that is missing or damaged. */
#include "cuda/choices.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define WRITERS 4
#define LINES_EACH 50
#define MANY_KEYS 64u

static char folder[] = "/tmp/choices-XXXXXX", path[128];

static struct choices *open_at(const char *where)
{
    struct choices *choices = NULL;
    struct error err = { 0 };
    assert_int_equal(choices_open(&choices, where, &err), 0);
    assert_non_null(choices);
    return choices;
}

static void add(struct choices *choices, const char *key, const char *value)
{
    struct error err;
    assert_int_equal(choices_add(choices, key, value, &err), 0);
}

static void must_find(const char *where, const char *key, const char *value)
{
    struct choices *choices = open_at(where);
    const char *found = choices_find(choices, key);
    if (value) {
        assert_non_null(found);
        assert_string_equal(found, value);
    } else {
        assert_null(found);
    }
    choices_close(&choices);
    assert_null(choices);
}

static off_t file_bytes(void)
{
    struct stat info;
    return stat(path, &info) ? -1 : info.st_size;
}

static void put_bytes(const char *bytes, size_t count, int flags)
{
    int file = open(path, O_WRONLY | O_CREAT | flags, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, count), count);
    close(file);
}

static void test_kept(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/deep/er/choices", folder);
    struct choices *choices = open_at(path);
    assert_null(choices_find(choices, "gpu|conv 1"));
    add(choices, "gpu|conv 1", "e23 k2=5");
    add(choices, "gpu|conv 12", "e1");
    assert_string_equal(choices_find(choices, "gpu|conv 1"), "e23 k2=5");
    choices_close(&choices);
    must_find(path, "gpu|conv 1", "e23 k2=5");
    must_find(path, "gpu|conv 12", "e1");
    must_find(path, "gpu|conv", NULL);
    choices = open_at(path);
    add(choices, "gpu|conv 1", "e7");
    choices_close(&choices);
    must_find(path, "gpu|conv 1", "e7"); /* the last one holds */
}

/* Killed amid a line, at each place of it: that line alone is lost. */
static void test_torn(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/torn", folder);
    struct choices *choices = open_at(path);
    add(choices, "first", "1");
    off_t one = file_bytes();
    add(choices, "second", "2");
    off_t two = file_bytes();
    choices_close(&choices);
    for (off_t cut = one; cut < two - 1; cut++) {
        assert_int_equal(truncate(path, cut), 0);
        must_find(path, "second", NULL);
        choices = open_at(path);
        add(choices, "third", "3");
        choices_close(&choices);
        must_find(path, "first", "1");
        must_find(path, "third", "3");
        must_find(path, "second", NULL);
        assert_int_equal(truncate(path, one), 0);
        choices = open_at(path);
        add(choices, "second", "2");
        choices_close(&choices);
    }
    must_find(path, "second", "2");
}

static void test_damaged(void **state)
{
    (void)state;
    static const char foreign[] = "\0\xff\t\n\n\t\t\nkey\tvalue\t0123456789abcdef\nno tabs at all";
    snprintf(path, sizeof path, "%s/damaged", folder);
    put_bytes(foreign, sizeof foreign - 1, O_TRUNC);
    struct choices *choices = open_at(path);
    assert_null(choices_find(choices, "key"));
    add(choices, "mine", "1");
    add(choices, "yours", "2");
    choices_close(&choices);
    must_find(path, "mine", "1");
    int file = open(path, O_RDWR);
    assert_int_equal(pwrite(file, "M", 1, (off_t)sizeof foreign), 1); /* of "mine" */
    close(file);
    must_find(path, "mine", NULL);
    must_find(path, "Mine", NULL);
    must_find(path, "yours", "2");
}

static void test_limits(void **state)
{
    (void)state;
    char key[CHOICES_KEY_BYTES + 1];
    snprintf(path, sizeof path, "%s/limits", folder);
    struct choices *choices = open_at(path);
    memset(key, 'k', sizeof key);
    key[CHOICES_KEY_BYTES] = '\0';
    add(choices, key, "too long");
    add(choices, "tab\there", "no");
    add(choices, "here", "line\nbreak");
    assert_int_equal(file_bytes(), -1);
    key[CHOICES_KEY_BYTES - 1] = '\0';
    add(choices, key, "fits");
    choices_close(&choices);
    must_find(path, key, "fits");

    /* A file that has grown too large is begun anew. */
    assert_int_equal(truncate(path, CHOICES_FILE_BYTES + 1), 0);
    must_find(path, key, NULL);
    choices = open_at(path);
    add(choices, "small", "again");
    choices_close(&choices);
    must_find(path, "small", "again");
    assert_true(file_bytes() < 100);
}

static void test_no_file(void **state)
{
    (void)state;
    static const char *const bad[] = { "/proc/no/such/place", "/dev/full", "/" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct choices *choices = open_at(bad[i]);
        add(choices, "key", "value");
        assert_string_equal(choices_find(choices, "key"), "value");
        choices_close(&choices);
    }
}

static void test_default_path(void **state)
{
    (void)state;
    char expected[256];
    setenv("XDG_CACHE_HOME", folder, 1);
    struct choices *choices = open_at(NULL);
    add(choices, "key", "xdg");
    choices_close(&choices);
    snprintf(expected, sizeof expected, "%s/runespoor/cuda-choices", folder);
    must_find(expected, "key", "xdg");
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", folder, 1);
    choices = open_at(NULL);
    add(choices, "key", "home");
    choices_close(&choices);
    snprintf(expected, sizeof expected, "%s/.cache/runespoor/cuda-choices", folder);
    must_find(expected, "key", "home");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    choices = open_at(NULL);
    assert_null(choices_find(choices, "key"));
    choices_close(&choices);
}

/* Several processes append at once: no line is lost. */
static void test_together(void **state)
{
    (void)state;
    pid_t writers[WRITERS];
    char key[32];
    snprintf(path, sizeof path, "%s/together", folder);
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = fork();
        assert_true(writers[w] >= 0);
        if (writers[w] > 0)
            continue;
        struct choices *own = NULL;
        int rc = choices_open(&own, path, NULL);
        for (int i = 0; !rc && i < LINES_EACH; i++) {
            snprintf(key, sizeof key, "%d of %d", i, w);
            rc = choices_add(own, key, "value", NULL);
        }
        choices_close(&own);
        _exit(rc ? 1 : 0);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(writers[w], &status, 0), writers[w]);
        assert_int_equal(status, 0);
    }
    struct choices *choices = open_at(path);
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < LINES_EACH; i++) {
            snprintf(key, sizeof key, "%d of %d", i, w);
            assert_non_null(choices_find(choices, key));
        }
    choices_close(&choices);
}

static bool is_kept(const char *key, const char *content)
{
    struct choices *choices = open_at(path);
    struct text found = { 0 };
    bool kept = choices_load(choices, key, &found);
    if (kept)
        assert_string_equal(found.data, content);
    else
        assert_int_equal(found.size, 0);
    text_finish(&found);
    choices_close(&choices);
    return kept;
}

/* Content beside the file: by its key alone, whole or not at all. */
static void test_beside(void **state)
{
    (void)state;
    char beside[160], byte;
    unsigned files = 0;
    snprintf(path, sizeof path, "%s/beside", folder);
    struct choices *choices = open_at(path);
    assert_false(is_kept("one", ""));
    choices_store(choices, "one", "content\nof\tone", 14);
    assert_true(is_kept("one", "content\nof\tone"));
    assert_false(is_kept("two", ""));
    choices_store(choices, "one", "other", 5);
    assert_true(is_kept("one", "other"));
    choices_store(choices, "too\tlong", "x", 1); /* no key */
    assert_false(is_kept("too\tlong", ""));
    for (unsigned i = 0; i < CHOICES_KEPT_FILES; i++) {
        snprintf(beside, sizeof beside, "%s-kept/%03x", path, i);
        int file = open(beside, O_RDWR);
        if (file < 0)
            continue;
        files++;
        off_t last = lseek(file, -1, SEEK_END);
        assert_int_equal(pread(file, &byte, 1, last), 1);
        byte ^= 1;
        assert_int_equal(pwrite(file, &byte, 1, last), 1);
        close(file);
    }
    assert_int_equal(files, 1);
    assert_false(is_kept("one", ""));
    choices_close(&choices);
}

/* However many keys there are, no file has a number above the last; what is too large is left out. */
static void test_beside_limits(void **state)
{
    (void)state;
    char key[16], command[192];
    char *large = calloc(1, CHOICES_KEPT_BYTES + 1);
    assert_non_null(large);
    snprintf(path, sizeof path, "%s/many", folder);
    struct choices *choices = open_at(path);
    choices_store(choices, "large", large, CHOICES_KEPT_BYTES + 1);
    assert_false(is_kept("large", ""));
    struct text found = { 0 };
    choices_store(choices, "large", large, CHOICES_KEPT_BYTES);
    assert_true(choices_load(choices, "large", &found));
    assert_int_equal(found.size, CHOICES_KEPT_BYTES);
    text_finish(&found);
    for (unsigned i = 0; i < MANY_KEYS; i++) {
        snprintf(key, sizeof key, "%u", i);
        choices_store(choices, key, key, strlen(key));
    }
    assert_true(is_kept(key, key)); /* the last one */
    choices_close(&choices);
    snprintf(command, sizeof command, "! ls %s-kept | grep -v '^[0-3][0-9a-f][0-9a-f]$'", path);
    assert_int_equal(system(command), 0);
    free(large);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),          cmocka_unit_test(test_torn),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_file),       cmocka_unit_test(test_default_path),
        cmocka_unit_test(test_together),      cmocka_unit_test(test_beside),
        cmocka_unit_test(test_beside_limits),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
