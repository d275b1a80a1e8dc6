/* log: lines as they reach standard error (caught in a pipe), quoting, redaction, levels. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int caught[2], real_stderr;

static int catch_stderr(void **state)
{
    (void)state;
    struct error err;
    if (log_configure("info", &err) != 0 || pipe2(caught, O_NONBLOCK) != 0)
        return -1;
    real_stderr = dup(STDERR_FILENO);
    return dup2(caught[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int give_back_stderr(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(caught[0]);
    close(caught[1]);
    return 0;
}

/* One read gives one write's bytes here, as only one line waits. */
static const char *read_line(void)
{
    static char line[8192];
    ssize_t size = read(caught[0], line, sizeof line - 1);
    line[size > 0 ? size : 0] = '\0';
    return line;
}

/* The line behind its time stamp. */
static void assert_line(const char *expected)
{
    const char *line = read_line();
    size_t stamp = strlen("ts=2026-11-21T12:00:00.123Z ");
    assert_true(strlen(line) > stamp);
    assert_memory_equal(line, "ts=20", 5);
    assert_int_equal(line[stamp - 2], 'Z');
    assert_string_equal(line + stamp, expected);
}

static void writes_logfmt(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERROR_IO, "disk", "is full");
    log_info("uplink", "connected", LOG_STR("server", "tcp://127.0.0.1:5570"),
             LOG_U64("streams", 2), LOG_I64("offset_ms", -5), LOG_F64("share", 0.25));
    assert_line("level=info module=uplink msg=connected server=tcp://127.0.0.1:5570 streams=2 "
                "offset_ms=-5 share=0.25\n");
    log_error("spool", "cannot write", LOG_CAUSE(&err));
    assert_line("level=error module=spool msg=\"cannot write\" cause=\"disk: is full\"\n");
    log_warn("main", "bare");
    assert_line("level=warn module=main msg=bare\n");
}

static void assert_quoted(const char *value, const char *expected)
{
    char line[256];
    log_info("m", "q", LOG_STR("v", value));
    snprintf(line, sizeof line, "level=info module=m msg=q v=%s\n", expected);
    assert_line(line);
}

static void quotes_what_needs_it(void **state)
{
    (void)state;
    assert_quoted("plain-1.0/x:y", "plain-1.0/x:y");
    assert_quoted("", "\"\"");
    assert_quoted(NULL, "\"\"");
    assert_quoted("two words", "\"two words\"");
    assert_quoted("a=b", "\"a=b\"");
    assert_quoted("say \"hi\"", "\"say \\\"hi\\\"\"");
    assert_quoted("back\\slash", "\"back\\\\slash\"");
    assert_quoted("caf\xc3\xa9", "caf\xc3\xa9");
}

static void one_line_whatever_the_value(void **state)
{
    (void)state;
    assert_quoted("a\nlevel=error", "\"a\\nlevel=error\"");
    assert_quoted("\r\t\x1b[31m\x7f", "\"\\x0d\\t\\x1b[31m\\x7f\"");
    assert_quoted("\xc2\x9b", "\"\\xc2\\x9b\""); /* a terminal's escape as one character */
    assert_quoted("\xff\xc3", "\"\\xff\\xc3\"");
}

static void redacts_string_fields(void **state)
{
    (void)state;
    assert_quoted("rtsp://admin:hunter2@cam/1", "rtsp://***@cam/1");
    assert_quoted("http://cam/?user=a&password=b", "\"http://cam/?user=a&password=***\"");
}

static void assert_redacted(const char *text, const char *expected)
{
    char out[256];
    log_redact(text, out, sizeof out);
    assert_string_equal(out, expected);
}

static void redacts_logins_in_urls(void **state)
{
    (void)state;
    assert_redacted("", "");
    assert_redacted("rtsp://u:p@h:554/x", "rtsp://***@h:554/x");
    assert_redacted("ssh://root@h", "ssh://***@h");
    assert_redacted("rtsp://u:p/a@ss?w#d@h/x", "rtsp://***@h/x");
    assert_redacted("two: rtsp://a:b@c, http://d:e@f.", "two: rtsp://***@c, http://***@f.");
    assert_redacted("cannot open \"rtsp://a:b@c\": 401", "cannot open \"rtsp://***@c\": 401");
    assert_redacted("rtsp://admin:hunt", "rtsp://***"); /* cut off before its '@' */
    assert_redacted("rtsp://admin:hunt: cut", "rtsp://*** cut");
    assert_redacted("udp://10.0.0.1:5000: nobody sends", "udp://10.0.0.1:5000: nobody sends");
    assert_redacted("rtsp://cam: no way there", "rtsp://cam: no way there");
    assert_redacted("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5570");
    assert_redacted("tcp://*:5570 tcp://[::1]:* ipc:///run/x",
                    "tcp://*:5570 tcp://[::1]:* ipc:///run/x");
    assert_redacted("http://h/a@b", "http://h/a@b");
    assert_redacted("://", "://");
}

static void redacts_named_values(void **state)
{
    (void)state;
    assert_redacted("password=a&x=1", "password=***&x=1");
    assert_redacted("?PassWD=a b", "?PassWD=*** b");
    assert_redacted("x&pwd=1 secret=2 token=3 key=4 pass=5",
                    "x&pwd=*** secret=*** token=*** key=*** pass=***");
    assert_redacted("api_key=1 access-token=2 client.secret=3",
                    "api_key=*** access-token=*** client.secret=***");
    assert_redacted("password=\"a b\" c", "password=*** c");
    assert_redacted("password='open", "password=***");
    assert_redacted("password=", "password=");
    assert_redacted("password=a=b", "password=***");
    assert_redacted("monkey=1 keys=2 bypass=3 key_file=4", "monkey=1 keys=2 bypass=3 key_file=4");
    assert_redacted("=x", "=x");
}

static void redacts_into_any_room(void **state)
{
    (void)state;
    const char *text = "x rtsp://user:hunter2@host password=hunter2 tail";
    for (size_t room = 1; room < 64; room++) {
        char out[80];
        memset(out, '!', sizeof out);
        log_redact(text, out, room);
        assert_true(strlen(out) < room);
        assert_null(strstr(out, "hunt"));
        assert_int_equal(out[room], '!');
    }
    char untouched = '!';
    log_redact(text, &untouched, 0);
    assert_int_equal(untouched, '!');
}

static void levels_by_module(void **state)
{
    (void)state;
    struct error err;
    assert_true(log_enabled(LOG_INFO, "uplink"));
    assert_false(log_enabled(LOG_DEBUG, "uplink"));
    assert_int_equal(log_configure("warn,uplink=debug,sink=error", &err), 0);
    assert_true(log_enabled(LOG_DEBUG, "uplink"));
    assert_false(log_enabled(LOG_WARN, "sink"));
    assert_true(log_enabled(LOG_WARN, "main"));
    assert_false(log_enabled(LOG_INFO, "main"));
    log_info("main", "hidden");
    assert_string_equal(read_line(), "");
    log_debug("uplink", "shown");
    assert_line("level=debug module=uplink msg=shown\n");
    assert_int_equal(log_configure("uplink=debug", &err), 0);
    assert_true(log_enabled(LOG_INFO, "main")); /* info where nothing is said */
}

static void wrong_levels_are_named(void **state)
{
    (void)state;
    const char *const wrong[] = { "",
                                  "loud",
                                  "info,",
                                  ",info",
                                  "=info",
                                  "INFO",
                                  "uplink",
                                  "uplink=all",
                                  "info,a=b=c",
                                  "info uplink=debug",
                                  "info,this-name-is-far-too-long-for-a-module=info" };
    struct error err;
    log_configure("error", &err);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(log_configure(wrong[i], &err), -ERROR_CONFIG);
        assert_false(log_enabled(LOG_WARN, "x")); /* nothing changed */
    }
    log_configure("info,uplink=laud", &err);
    assert_string_equal(err.text, "log level: \"uplink=laud\" is not a level; write error, warn, "
                                  "info or debug, or module=level, with commas between");
    char many[1024] = "info";
    for (int i = 0; i < 33; i++)
        strcat(many, ",m=info");
    assert_int_equal(log_configure(many, &err), -ERROR_LIMIT);
}

static void long_lines_are_cut_at_a_field(void **state)
{
    (void)state;
    char value[3000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_info("m", "long", LOG_STR("a", value), LOG_STR("b", value), LOG_STR("c", value),
             LOG_STR("d", value), LOG_STR("e", value));
    const char *line = read_line();
    size_t size = strlen(line);
    assert_true(size <= 4096);
    assert_string_equal(line + size - strlen(" cut=true\n"), " cut=true\n");
    assert_non_null(strstr(line, " c=v"));
    assert_null(strstr(line, " d=v"));
}

static void keeps_errno(void **state)
{
    (void)state;
    errno = ENOTTY;
    log_info("m", "x");
    assert_int_equal(errno, ENOTTY);
    static const char page[4096];
    while (write(caught[1], page, sizeof page) > 0)
        ;
    errno = ENOTTY;
    log_info("m", "lost"); /* a full pipe: neither blocks nor fails */
    assert_int_equal(errno, ENOTTY);
}

static void *log_many(void *arg)
{
    for (int i = 0; i < 400; i++)
        log_info("t", "line", LOG_STR("who", arg), LOG_STR("pad", "0123456789012345678901234567890"));
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    char path[] = "/tmp/log_test.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    fcntl(file, F_SETFL, O_APPEND);
    dup2(file, STDERR_FILENO);
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, log_many, "other"), 0);
    log_many("main");
    pthread_join(other, NULL);
    FILE *lines = fdopen(file, "r");
    assert_non_null(lines);
    rewind(lines);
    char line[256];
    int count = 0;
    for (; fgets(line, sizeof line, lines); count++) {
        assert_memory_equal(line, "ts=", 3);
        assert_string_equal(strstr(line, " pad="), " pad=0123456789012345678901234567890\n");
    }
    assert_int_equal(count, 800);
    fclose(lines);
}

#define logs(test) cmocka_unit_test_setup_teardown(test, catch_stderr, give_back_stderr)

int main(void)
{
    const struct CMUnitTest tests[] = {
        logs(writes_logfmt),
        logs(quotes_what_needs_it),
        logs(one_line_whatever_the_value),
        logs(redacts_string_fields),
        cmocka_unit_test(redacts_logins_in_urls),
        cmocka_unit_test(redacts_named_values),
        cmocka_unit_test(redacts_into_any_room),
        logs(levels_by_module),
        logs(wrong_levels_are_named),
        logs(long_lines_are_cut_at_a_field),
        logs(keeps_errno),
        logs(threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
