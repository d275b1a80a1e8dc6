/* keys: files have the right modes whatever the umask, nothing is overwritten, and whatever is wrong
 * with a file is named; the allow folder follows the disk, reads only what changed, and leaves out
 * what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/keys.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define ROOT_BYTES 64u

static char root[ROOT_BYTES], *saved_directory;

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/runespoor-keys-XXXXXX");
    saved_directory = getcwd(NULL, 0);
    return mkdtemp(root) && saved_directory && chdir(root) == 0 ? 0 : -1;
}

static void remove_all(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char inner[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (unlink(inner) != 0)
            remove_all(inner);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

static int remove_root(void **state)
{
    (void)state;
    int result = chdir(saved_directory);
    free(saved_directory);
    remove_all(root);
    return result;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static unsigned mode_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return (unsigned)info.st_mode & 07777;
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2;
}

static void expect_text(const struct error *err, const char *text)
{
    if (!strstr(err->text, text))
        fail_msg("\"%s\" instead of \"%s\"", err->text, text);
}

static void test_create_and_read(void **state)
{
    (void)state;
    struct key_pair made, pair;
    struct error err = { 0 };
    mode_t masks[] = { 022, 0, 0377 };
    for (size_t i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "box%zu", i);
        mode_t saved = umask(masks[i]);
        int result = keys_create("a/b/keys", name, &made, &err);
        umask(saved);
        if (result)
            fail_msg("%s", err.text);
        char path[64];
        snprintf(path, sizeof path, "a/b/keys/%s.key", name);
        assert_int_equal(mode_of(path), 0600);
        snprintf(path, sizeof path, "a/b/keys/%s.pub", name);
        assert_int_equal(mode_of(path), 0644);
        assert_int_equal(strlen(made.public_text), 40);
        assert_int_equal(strlen(made.secret_text), 40);
        assert_int_equal(keys_read_pair("a/b/keys", name, &pair, &err), 0);
        assert_string_equal(pair.public_text, made.public_text);
        assert_string_equal(pair.secret_text, made.secret_text);
        char public_text[KEY_TEXT_BYTES];
        assert_int_equal(keys_read_public(path, public_text, &err), 0);
        assert_string_equal(public_text, made.public_text);
    }
    assert_int_equal(mode_of("a/b/keys"), 0700);
    assert_int_equal(count_entries("a/b/keys"), 6); /* no leftovers */
    keys_wipe(&pair);
    for (size_t i = 0; i < sizeof pair.secret_text; i++)
        assert_int_equal(pair.secret_text[i], 0);
}

static void test_never_overwrites(void **state)
{
    (void)state;
    struct key_pair first, second, pair;
    struct error err;
    assert_int_equal(keys_create("once", "box", &first, &err), 0);
    assert_int_equal(keys_create("once", "box", &second, &err), -ERROR_IO);
    expect_text(&err, "once/box.key: exists already and is not overwritten");
    assert_int_equal(keys_read_pair("once", "box", &pair, &err), 0);
    assert_string_equal(pair.public_text, first.public_text);
    assert_int_equal(unlink("once/box.key"), 0);
    assert_int_equal(keys_create("once", "box", &second, &err), -ERROR_IO);
    expect_text(&err, "once/box.pub: exists already");
    assert_int_equal(access("once/box.key", F_OK), -1); /* no half of a pair */
    assert_int_equal(count_entries("once"), 1);
}

static void test_create_refusals(void **state)
{
    (void)state;
    struct key_pair pair;
    struct error err;
    assert_int_equal(keys_create("k", "../box", &pair, &err), -ERROR_FORMAT);
    expect_text(&err, "key name: the name \"../box\"");
    write_file("plain", "");
    assert_int_equal(keys_create("plain", "box", &pair, &err), -ERROR_IO);
    expect_text(&err, "plain: is not a folder");
    assert_int_equal(keys_create("plain/deeper", "box", &pair, &err), -ERROR_IO);
    expect_text(&err, "plain/deeper: cannot make this folder: Not a directory");
    static char deep[PATH_MAX + 10];
    memset(deep, 'd', sizeof deep - 1);
    assert_int_equal(keys_create(deep, "box", &pair, &err), -ERROR_CONFIG);
    expect_text(&err, "longer than 4095 bytes");
}

static void test_read_refusals(void **state)
{
    (void)state;
    struct key_pair pair;
    struct error err;
    char text[KEY_TEXT_BYTES];
    assert_int_equal(keys_create("r", "box", &pair, &err), 0);
    assert_int_equal(keys_create("r", "fox", &pair, &err), 0);
    assert_int_equal(keys_read_pair("r", "none", &pair, &err), -ERROR_CONFIG);
    expect_text(&err, "r/none.key: no such file; make a key pair with `keys new` first");

    chmod("r/box.key", 0640);
    assert_int_equal(keys_read_pair("r", "box", &pair, &err), -ERROR_CONFIG);
    expect_text(&err, "others may read this secret (mode 0640); run: chmod 600 r/box.key");
    chmod("r/box.key", 0400);
    assert_int_equal(keys_read_pair("r", "box", &pair, &err), 0);

    rename("r/fox.pub", "r/box.pub");
    assert_int_equal(keys_read_pair("r", "box", &pair, &err), -ERROR_CONFIG);
    expect_text(&err, "r/box.pub: does not belong to r/box.key");
    assert_null(strstr(err.text, pair.secret_text));

    static const struct {
        const char *content, *text;
    } files[] = {
        { "", "found 0" },
        { "too short\n", "found 9" },
        { "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf", "found 39" },
        { "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf~\n", "is not a key" },
        { "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\nsecond line and so on and on\n",
          "is longer than a key" },
        { "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\nx\n", "found 42" },
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        write_file("r/odd.pub", files[i].content);
        assert_int_equal(keys_read_public("r/odd.pub", text, &err), -ERROR_FORMAT);
        expect_text(&err, files[i].text);
    }
    write_file("r/odd.pub", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7 \r\n");
    assert_int_equal(keys_read_public("r/odd.pub", text, &err), 0);
    assert_int_equal(keys_read_public("r", text, &err), -ERROR_CONFIG);
    expect_text(&err, "r: is not a file");
    assert_int_equal(mkfifo("r/pipe.pub", 0600), 0);
    assert_int_equal(keys_read_public("r/pipe.pub", text, &err), -ERROR_CONFIG);
    assert_int_equal(keys_check_public("short", "server.key", &err), -ERROR_CONFIG);
    expect_text(&err, "server.key: is not a public key: 5 characters");
}

/* Keys for the allow list. */
static void make_public(char public_text[KEY_TEXT_BYTES])
{
    char secret[KEY_TEXT_BYTES];
    assert_int_equal(zmq_curve_keypair(public_text, secret), 0);
}

static void test_allow_and_find(void **state)
{
    (void)state;
    char a[KEY_TEXT_BYTES], b[KEY_TEXT_BYTES], stranger[KEY_TEXT_BYTES];
    make_public(a), make_public(b), make_public(stranger);
    struct error err = { 0 };
    struct allow_list *list = NULL;
    const char *a_streams[] = { "gate-1", "yard-*" }, *b_streams[] = { "*" };
    assert_int_equal(keys_allow("allow", "box-a", a, a_streams, 2, &err), 0);
    assert_int_equal(allow_list_open(&list, "allow", &err), 0);
    assert_int_equal(allow_list_count(list), 1);
    assert_string_equal(allow_list_find(list, a), "box-a");
    assert_null(allow_list_find(list, stranger));
    assert_null(allow_list_find(list, ""));
    assert_true(allow_list_permits(list, a, "gate-1"));
    assert_true(allow_list_permits(list, a, "yard-east"));
    assert_false(allow_list_permits(list, a, "gate-11"));
    assert_false(allow_list_permits(list, a, "yard"));
    assert_false(allow_list_permits(list, stranger, "gate-1"));
    assert_false(allow_list_refresh(list));

    assert_int_equal(keys_allow("allow", "box-b", b, b_streams, 1, &err), 0);
    assert_true(allow_list_refresh(list));
    assert_int_equal(allow_list_count(list), 2);
    assert_true(allow_list_permits(list, b, "whatever"));

    assert_int_equal(keys_allow("allow", "box-a", a, b_streams, 1, &err), 0); /* replaces */
    assert_true(allow_list_refresh(list));
    assert_true(allow_list_permits(list, a, "gate-11"));
    assert_int_equal(mode_of("allow/box-a.yaml"), 0644);
    assert_int_equal(count_entries("allow"), 2);

    assert_int_equal(unlink("allow/box-a.yaml"), 0);
    assert_true(allow_list_refresh(list));
    assert_null(allow_list_find(list, a));
    assert_string_equal(allow_list_find(list, b), "box-b");
    assert_false(allow_list_refresh(list));

    assert_int_equal(rename("allow", "moved"), 0); /* unreadable: what was known stays */
    assert_false(allow_list_refresh(list));
    assert_string_equal(allow_list_find(list, b), "box-b");
    assert_int_equal(rename("moved", "allow"), 0);
    assert_false(allow_list_refresh(list));
    allow_list_close(&list);
    assert_null(list);
    allow_list_close(&list);
}

static void test_allow_refusals(void **state)
{
    (void)state;
    char a[KEY_TEXT_BYTES];
    make_public(a);
    struct error err;
    struct allow_list *list = NULL;
    const char *good[] = { "gate" }, *bad[] = { "gate", "ya*rd" };
    assert_int_equal(keys_allow("no", "box/a", a, good, 1, &err), -ERROR_FORMAT);
    assert_int_equal(keys_allow("no", "box", "short", good, 1, &err), -ERROR_CONFIG);
    assert_int_equal(keys_allow("no", "box", a, bad, 2, &err), -ERROR_FORMAT);
    expect_text(&err, "streams: the name \"ya*rd\"");
    assert_int_equal(keys_allow("no", "box", a, NULL, 0, &err), -ERROR_CONFIG);
    expect_text(&err, "streams: 0 names given");
    assert_int_equal(allow_list_open(&list, "no", &err), -ERROR_IO); /* nothing was made */
    expect_text(&err, "no: cannot read this folder of allowed keys; make it, or name another");
    assert_null(list);
}

/* What the log says meanwhile, on standard error, is caught in a file. */
static int log_begin(void)
{
    fflush(stderr);
    int saved = dup(2), file = open("log", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(saved >= 0 && file >= 0);
    dup2(file, 2);
    close(file);
    return saved;
}

static unsigned log_end(int saved, const char *text)
{
    dup2(saved, 2);
    close(saved);
    unsigned lines = 0;
    char line[2048];
    FILE *file = fopen("log", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        lines += strstr(line, text) != NULL;
    fclose(file);
    return lines;
}

static void test_wrong_files_are_left_out(void **state)
{
    (void)state;
    char a[KEY_TEXT_BYTES], text[256];
    make_public(a);
    struct error err;
    struct allow_list *list = NULL;
    const char *streams[] = { "gate" };
    assert_int_equal(keys_allow("some", "good", a, streams, 1, &err), 0);
    write_file("some/notes.txt", "not a key");
    write_file("some/.hidden.yaml", "not a key");
    write_file("some/broken.yaml", "key: [\n");
    write_file("some/nokey.yaml", "streams: [gate]\n");
    write_file("some/short.yaml", "key: 'abc'\nstreams: [gate]\n");
    write_file("some/bad name.yaml", "key: 'abc'\nstreams: [gate]\n");
    snprintf(text, sizeof text, "key: '%s'\nstreams: [gate]\nstream: [yard]\n", a);
    write_file("some/typo.yaml", text);
    snprintf(text, sizeof text, "key: '%s'\nstreams: ['a b']\n", a);
    write_file("some/pattern.yaml", text);
    snprintf(text, sizeof text, "key: '%s'\n", a);
    write_file("some/nostreams.yaml", text);
    FILE *large = fopen("some/large.yaml", "w");
    for (unsigned i = 0; i <= KEYS_ALLOWED_FILE_BYTES_MAX; i++)
        fputc('#', large);
    fclose(large);
    assert_int_equal(mkdir("some/folder.yaml", 0700), 0);

    int saved = log_begin();
    assert_int_equal(allow_list_open(&list, "some", &err), 0);
    assert_int_equal(log_end(saved, "left out"), 8);
    assert_int_equal(allow_list_count(list), 1);
    assert_string_equal(allow_list_find(list, a), "good");

    saved = log_begin(); /* once is enough */
    assert_false(allow_list_refresh(list));
    write_file("some/zzz.txt", "");
    assert_false(allow_list_refresh(list));
    assert_int_equal(unlink("some/large.yaml"), 0);
    assert_true(allow_list_refresh(list));
    assert_int_equal(log_end(saved, "left out"), 0);

    saved = log_begin(); /* changed, and still wrong */
    write_file("some/short.yaml", "key: 'abcd'\nstreams: [gate]\n");
    assert_true(allow_list_refresh(list));
    assert_int_equal(log_end(saved, "short.yaml"), 1);
    allow_list_close(&list);
}

static void test_key_in_two_files(void **state)
{
    (void)state;
    char a[KEY_TEXT_BYTES];
    make_public(a);
    struct error err;
    struct allow_list *list = NULL;
    const char *first[] = { "one" }, *second[] = { "two" };
    assert_int_equal(keys_allow("twice", "b-first", a, first, 1, &err), 0);
    assert_int_equal(keys_allow("twice", "c-second", a, second, 1, &err), 0);
    int saved = log_begin();
    assert_int_equal(allow_list_open(&list, "twice", &err), 0);
    assert_int_equal(log_end(saved, "agent=c-second other=b-first"), 1);
    assert_int_equal(allow_list_count(list), 1);
    assert_string_equal(allow_list_find(list, a), "b-first");
    assert_false(allow_list_permits(list, a, "two"));

    assert_int_equal(keys_allow("twice", "a-third", a, second, 1, &err), 0);
    saved = log_begin(); /* now b-first is left out too; c-second was reported */
    assert_true(allow_list_refresh(list));
    assert_int_equal(log_end(saved, "left out"), 1);
    assert_string_equal(allow_list_find(list, a), "a-third");

    assert_int_equal(unlink("twice/a-third.yaml"), 0);
    assert_int_equal(unlink("twice/b-first.yaml"), 0);
    assert_true(allow_list_refresh(list));
    assert_string_equal(allow_list_find(list, a), "c-second");
    allow_list_close(&list);
}

static void test_two_keys_and_readers(void **state)
{
    (void)state;
    char a[KEY_TEXT_BYTES], b[KEY_TEXT_BYTES], c[KEY_TEXT_BYTES];
    struct error err;
    struct allow_list *list = NULL;
    const char *streams[] = { "gate-*" };
    make_public(a);
    make_public(b);
    make_public(c);
    assert_int_equal(keys_allow_next("pairs", "box", b, &err), -ERROR_IO); /* nobody of that name */
    assert_int_equal(keys_allow("pairs", "box", a, streams, 1, &err), 0);
    assert_int_equal(allow_list_open(&list, "pairs", &err), 0);
    assert_int_equal(keys_allow_next("pairs", "box", a, &err), -ERROR_CONFIG);
    assert_int_equal(keys_allow_next("pairs", "box", b, &err), 0);
    assert_int_equal(keys_allow_next("pairs", "box", b, &err), 0); /* again */
    assert_int_equal(keys_allow_next("pairs", "box", c, &err), -ERROR_CONFIG);
    assert_true(allow_list_refresh(list));
    assert_int_equal(allow_list_count(list), 2);
    assert_string_equal(allow_list_find(list, a), "box");
    assert_string_equal(allow_list_find(list, b), "box");
    assert_true(allow_list_permits(list, b, "gate-1"));
    assert_false(allow_list_reads(list, a));

    assert_int_equal(keys_disallow("pairs", "box", c, &err), -ERROR_CONFIG);
    assert_int_equal(keys_disallow("pairs", "box", a, &err), 0);
    assert_true(allow_list_refresh(list));
    assert_null(allow_list_find(list, a));
    assert_true(allow_list_permits(list, b, "gate-1"));
    assert_int_equal(keys_disallow("pairs", "box", b, &err), 0); /* the last one: so is the file */
    assert_int_equal(keys_disallow("pairs", "box", NULL, &err), -ERROR_IO);
    assert_true(allow_list_refresh(list));
    assert_int_equal(allow_list_count(list), 0);

    const struct allowed_agent reader = { .key = c, .reads = true };
    assert_int_equal(keys_allow_agent("pairs", "screen", &reader, &err), 0);
    assert_true(allow_list_refresh(list));
    assert_true(allow_list_reads(list, c));
    assert_false(allow_list_permits(list, c, "gate-1"));
    assert_int_equal(keys_disallow("pairs", "screen", NULL, &err), 0);
    allow_list_close(&list);
}

static void test_rotation(void **state)
{
    (void)state;
    struct key_pair first, next, now;
    struct error err;
    assert_int_equal(keys_rotate("turn", "box", &next, &err), -ERROR_CONFIG); /* of nothing */
    assert_int_equal(keys_create("turn", "box", &first, &err), 0);
    assert_int_equal(keys_switch("turn", "box", &now, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "keys rotate"));
    assert_int_equal(keys_rotate("turn", "box", &next, &err), 0);
    assert_int_equal(keys_rotate("turn", "box", &now, &err), -ERROR_IO); /* not a third one */
    assert_int_equal(keys_read_pair("turn", "box", &now, &err), 0);
    assert_string_equal(now.public_text, first.public_text);
    assert_int_equal(keys_switch("turn", "box", &now, &err), 0);
    assert_string_equal(now.public_text, next.public_text);
    assert_int_equal(count_entries("turn"), 2);

    /* Killed in between: the secret has its new name, the public key has not. */
    assert_int_equal(keys_rotate("turn", "box", &next, &err), 0);
    assert_int_equal(rename("turn/box-next.key", "turn/box.key"), 0);
    assert_int_equal(keys_read_pair("turn", "box", &now, &err), -ERROR_CONFIG);
    assert_int_equal(keys_switch("turn", "box", &now, &err), 0);
    assert_string_equal(now.public_text, next.public_text);

    /* A next pair that does not fit together stays where it is. */
    assert_int_equal(keys_rotate("turn", "box", &next, &err), 0);
    write_file("turn/box-next.pub", first.public_text);
    assert_int_equal(keys_switch("turn", "box", &first, &err), -ERROR_CONFIG);
    assert_int_equal(keys_read_pair("turn", "box", &first, &err), 0);
    assert_string_equal(first.public_text, now.public_text);

    assert_int_equal(keys_destroy("turn", "box", &err), 0);
    assert_int_equal(keys_destroy("turn", "box", &err), -ERROR_IO);
    assert_int_equal(keys_destroy("turn", "../box", &err), -ERROR_FORMAT);
}

static void test_key_lists(void **state)
{
    (void)state;
    char a[KEY_TEXT_BYTES], b[KEY_TEXT_BYTES], keys[KEYS_SERVER_MAX][KEY_TEXT_BYTES], text[400];
    size_t count = 7;
    struct error err;
    make_public(a);
    make_public(b);
    assert_int_equal(keys_read_list("list.pub", keys, &count, &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "keys show"));
    write_file("list.pub", "\n \n");
    assert_int_equal(keys_read_list("list.pub", keys, &count, &err), -ERROR_FORMAT);
    assert_int_equal(count, 7);
    snprintf(text, sizeof text, "%s\r\n\n%s  \n\n", a, b);
    write_file("list.pub", text);
    assert_int_equal(keys_read_list("list.pub", keys, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(keys[0], a);
    assert_string_equal(keys[1], b);
    snprintf(text, sizeof text, "%s\nabc\n", a);
    write_file("list.pub", text);
    assert_int_equal(keys_read_list("list.pub", keys, &count, &err), -ERROR_FORMAT);
    snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%s\n", a, b, a, b, a);
    write_file("list.pub", text);
    assert_int_equal(keys_read_list("list.pub", keys, &count, &err), -ERROR_LIMIT);
}

/* Looking at 1,000 unchanged files costs far less than reading them. */
static void test_many_files(void **state)
{
    (void)state;
    struct error err;
    struct allow_list *list = NULL;
    char key[KEY_TEXT_BYTES], last[KEY_TEXT_BYTES], name[80], text[128];
    assert_int_equal(mkdir("many", 0700), 0);
    for (unsigned i = 0; i < 1000; i++) {
        make_public(key);
        snprintf(name, sizeof name, "many/box-%u.yaml", i);
        snprintf(text, sizeof text, "key: '%s'\nstreams: ['s%u']\n", key, i);
        write_file(name, text);
        memcpy(last, key, sizeof last);
    }
    uint64_t start = clock_thread_cpu_ns();
    assert_int_equal(allow_list_open(&list, "many", &err), 0);
    uint64_t opened = clock_thread_cpu_ns();
    assert_false(allow_list_refresh(list));
    uint64_t looked = clock_thread_cpu_ns();
    assert_int_equal(allow_list_count(list), 1000);
    assert_string_equal(allow_list_find(list, last), "box-999");
    assert_true(allow_list_permits(list, last, "s999"));
    print_message("1000 files: read in %u us, looked at in %u us\n",
                  (unsigned)((opened - start) / 1000), (unsigned)((looked - opened) / 1000));
    assert_true(looked - opened < (opened - start) / 2);
    allow_list_close(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_read),
        cmocka_unit_test(test_never_overwrites),
        cmocka_unit_test(test_create_refusals),
        cmocka_unit_test(test_read_refusals),
        cmocka_unit_test(test_allow_and_find),
        cmocka_unit_test(test_allow_refusals),
        cmocka_unit_test(test_wrong_files_are_left_out),
        cmocka_unit_test(test_key_in_two_files),
        cmocka_unit_test(test_two_keys_and_readers),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_key_lists),
        cmocka_unit_test(test_many_files),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
