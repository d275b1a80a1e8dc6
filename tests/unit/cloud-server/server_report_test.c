/* What the server tells others: HTTP pages, published answers, annotated videos, the answer file;
 * and that a full disk stops none of it. */
#include "server_bench.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>

#define PACKETS 20u

static struct clip clip;

/* GETs a page while the loop runs; gives the status, and the whole response in text. */
static unsigned get(struct bench *bench, struct agent *agent, const char *path, char *text,
                    size_t room)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(server_http_port(bench->server)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char request[128];
    size_t used = 0;
    unsigned status = 0;

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             path);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    const uint64_t end_ns = clock_now_ns() + BENCH_WAIT_MS * CLOCK_NS_PER_MS;
    for (;;) {
        ssize_t count = recv(fd, text + used, room - 1 - used, MSG_DONTWAIT);
        if (count == 0)
            break;
        if (count > 0)
            used += (size_t)count;
        else
            assert_int_equal(errno, EAGAIN);
        assert_true(used + 1 < room && clock_now_ns() < end_ns);
        bench_turn(bench);
        agent_read(agent);
    }
    close(fd);
    text[used] = '\0';
    assert_int_equal(sscanf(text, "HTTP/1.1 %u", &status), 1);
    return status;
}

static void pages_tell_the_state(void **state)
{
    struct bench bench;
    static struct agent agent;
    static char text[200000];

    (void)state;
    bench_start(&bench, (const char *[]){ "http.address=127.0.0.1:0", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_stream(&agent, &clip, 0, PACKETS);
    assert_int_equal(get(&bench, &agent, "/livez", text, sizeof text), 200);
    assert_int_equal(get(&bench, &agent, "/readyz", text, sizeof text), 200);
    assert_non_null(strstr(text, "{\"ready\":true,\"reason\":\"\"}"));
    assert_int_equal(get(&bench, &agent, "/metrics", text, sizeof text), 200);
    assert_non_null(strstr(text, "\nserver_frames_received_total 20\n"));
    assert_non_null(strstr(text, "\nserver_stream_frames_answered_total{stream=\"cam\"} 20\n"));
    assert_non_null(strstr(text, "server_time_seconds_count{stream=\"cam\"} 20\n"));
    assert_int_equal(get(&bench, &agent, "/api/streams", text, sizeof text), 200);
    assert_non_null(strstr(text,
                           "{\"streams\":[{\"stream\":\"cam\",\"agent\":\"box\",\"model\":\"\","
                           "\"received\":20,\"answered\":20,\"dropped\":{}"));
    assert_int_equal(get(&bench, &agent, "/api/workers", text, sizeof text), 200);
    assert_non_null(strstr(text, "{\"workers\":[]}"));
    assert_int_equal(get(&bench, &agent, "/nothing", text, sizeof text), 404);
    agent_close(&agent);
    bench_stop(&bench);
}

/* A server whose worker is not ready is alive, says that it is not ready, and refuses Hellos with
 * the reason. */
static void a_server_without_workers_is_not_ready(void **state)
{
    struct bench bench;
    static struct agent agent;
    static char text[20000];
    struct error err;

    (void)state;
    bench_prepare(&bench, (const char *[]){ "http.address=127.0.0.1:0", "model=any",
                                            "models.0.name=any", "models.0.folder=/nowhere", NULL });
    assert_int_equal(bench_open(&bench, &err), 0);
    agent_connect(&agent, &bench, "box");
    agent_hello_with(&agent, &(struct hello){ .stream = "cam" });
    BENCH_UNTIL(&bench, &agent, agent.refused);
    assert_string_equal(agent.refuse_code, "again");
    assert_non_null(strstr(agent.reason, "not ready"));
    assert_int_equal(get(&bench, &agent, "/livez", text, sizeof text), 200);
    assert_int_equal(get(&bench, &agent, "/readyz", text, sizeof text), 503);
    assert_non_null(strstr(text, "\"ready\":false"));
    assert_int_equal(get(&bench, &agent, "/api/workers", text, sizeof text), 200);
    assert_non_null(
        strstr(text, "{\"workers\":[{\"worker\":\"cpu-0\",\"kind\":\"cpu\",\"threads\":"));
    assert_false(bench.ready);
    agent_close(&agent);
    bench_stop(&bench);
}

static void *subscribe(struct bench *bench, const char *key_name, const char *stream)
{
    struct key_pair pair;
    struct error err;
    const int linger = 0;
    void *socket = zmq_socket(bench->zmq_context, ZMQ_SUB);

    assert_int_equal(keys_read_pair(bench->folder, key_name, &pair, &err), 0);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_public_key(bench->server), KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, pair.public_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, pair.secret_text, KEY_TEXT_BYTES);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, stream, strlen(stream));
    assert_int_equal(zmq_connect(socket, server_publish_address(bench->server)), 0);
    return socket;
}

/* Takes what is there; every message is a name and an Answer of it. Gives the last frame, or -1. */
static int64_t take_published(void *socket, const char *stream)
{
    int64_t last = -1;
    char name[65], bytes[4096];
    int size;

    while ((size = zmq_recv(socket, name, sizeof name, ZMQ_DONTWAIT)) >= 0) {
        assert_int_equal(size, strlen(stream));
        assert_memory_equal(name, stream, (size_t)size);
        size = zmq_recv(socket, bytes, sizeof bytes, 0);
        assert_true(size > 0 && size <= (int)sizeof bytes);
        Runespoor__Answer *answer = runespoor__answer__unpack(NULL, (size_t)size, (uint8_t *)bytes);
        assert_non_null(answer);
        assert_string_equal(answer->stream, stream);
        last = (int64_t)answer->frame;
        runespoor__answer__free_unpacked(answer, NULL);
    }
    return last;
}

static void add_reader(struct bench *bench, const char *name)
{
    struct key_pair pair;
    struct error err;

    bench_add_key(bench, name, NULL);
    assert_int_equal(keys_read_pair(bench->folder, name, &pair, &err), 0);
    const struct allowed_agent agent = { .key = pair.public_text, .reads = true };
    assert_int_equal(keys_allow_agent(bench_path(bench, "allow"), name, &agent, &err), 0);
    keys_wipe(&pair);
}

static void answers_are_published_to_keys_that_read(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "publish.address=tcp://127.0.0.1:*", NULL });
    bench_add_key(&bench, "stranger", NULL);
    add_reader(&bench, "reader");
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    void *known = subscribe(&bench, "reader", "cam");
    void *other = subscribe(&bench, "reader", "elsewhere");
    void *sender = subscribe(&bench, "box", "cam"); /* may stream, not read */
    void *stranger = subscribe(&bench, "stranger", "");
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_handshakes_total", "not_reader") == 1);
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_handshakes_total", "unknown_key") == 1);
    bench_idle(&bench, &agent, 300); /* subscriptions travel */
    agent_stream(&agent, &clip, 0, PACKETS);
    BENCH_UNTIL(&bench, &agent, take_published(known, "cam") == PACKETS - 1);
    assert_int_equal(take_published(other, "elsewhere"), -1);
    assert_int_equal(take_published(sender, "cam"), -1);
    assert_int_equal(take_published(stranger, ""), -1);
    zmq_close(known);
    zmq_close(other);
    zmq_close(sender);
    zmq_close(stranger);
    agent_close(&agent);
    bench_stop(&bench);
}

/* Of two readers one loses the right: it gets nothing more, the other one goes on. */
static void a_reader_is_sent_away(void **state)
{
    struct bench bench;
    static struct agent agent;
    int64_t last = -1;
    uint64_t frame = 0;

    (void)state;
    bench_start(&bench,
                (const char *[]){ "publish.address=tcp://127.0.0.1:*", "report_ms=5000", NULL });
    bench_add_key(&bench, "stranger", NULL);
    add_reader(&bench, "stays");
    add_reader(&bench, "goes");
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    void *stays = subscribe(&bench, "stays", "cam"), *goes = subscribe(&bench, "goes", "cam");
    while (take_published(goes, "cam") < 0 || take_published(stays, "cam") < 0) {
        agent_stream(&agent, &clip, frame, frame + 1);
        frame++;
        bench_idle(&bench, &agent, 50);
        assert_true(frame < PACKETS / 2);
    }
    assert_int_equal(unlink(bench_path(&bench, "allow/goes.yaml")), 0);
    void *stranger = subscribe(&bench, "stranger", ""); /* makes the guard look at the folder */
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_handshakes_total", "unknown_key") >= 2);
    take_published(goes, "cam");
    while (last < 0 && frame < PACKETS) { /* until the other one has come back */
        agent_stream(&agent, &clip, frame, frame + 1);
        frame++;
        bench_idle(&bench, &agent, 100);
        last = take_published(stays, "cam");
    }
    assert_true(last >= 0);
    assert_int_equal(take_published(goes, "cam"), -1);
    zmq_close(stays);
    zmq_close(goes);
    zmq_close(stranger);
    agent_close(&agent);
    bench_stop(&bench);
}

static void videos_and_answers_lie_on_the_disk(void **state)
{
    struct bench bench;
    static struct agent agent;
    char folder[256], record[300], answers[300];
    unsigned videos = 0, lines = 0;

    (void)state;
    strcpy(folder, "/tmp/server-report-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(record, sizeof record, "record.folder=%s/videos", folder);
    snprintf(answers, sizeof answers, "answers.path=%s/answers.jsonl", folder);
    bench_start(&bench, (const char *[]){ record, answers, NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    for (size_t i = 0; i < PACKETS; i++) { /* no faster than the recorder */
        agent_stream(&agent, &clip, i, i + 1);
        const uint64_t until = i + 1;
        BENCH_UNTIL(&bench, &agent,
                    bench_metric(&bench, "server_record_pictures_written_total", NULL) >= until);
    }
    agent_close(&agent);
    server_stop(&bench.server, bench_on_stopped, &bench);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    assert_int_equal(bench_metric(&bench, "server_record_pictures_written_total", NULL), PACKETS);
    bench_stop(&bench);

    snprintf(record, sizeof record, "%s/videos", folder);
    DIR *dir = opendir(record);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        videos += strncmp(entry->d_name, "cam-", 4) == 0 && strstr(entry->d_name, "Z.mp4") != NULL;
    closedir(dir);
    assert_int_equal(videos, 1);
    snprintf(answers, sizeof answers, "%s/answers.jsonl", folder);
    FILE *file = fopen(answers, "r");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    assert_int_equal(lines, PACKETS);
    snprintf(record, sizeof record, "rm -rf %s", folder);
    assert_int_equal(system(record), 0);
}

static void a_full_disk_stops_nothing(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench,
                (const char *[]){ "answers.path=/dev/full", "record.folder=/proc/self/fd", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_stream(&agent, &clip, 0, PACKETS);
    for (size_t i = 0; i < PACKETS; i++)
        agent_expect(&agent, i, i, STATUS_OK, "");
    BENCH_UNTIL(&bench, &agent, bench_metric(&bench, "server_answer_write_errors_total", NULL) >= 1);
    BENCH_UNTIL(&bench, &agent,
                bench_metric(&bench, "server_record_pictures_dropped_total", "write_error") >= 1);
    agent_close(&agent);
    const uint64_t begin_ns = clock_now_ns();
    bench_stop(&bench);
    assert_true(clock_now_ns() - begin_ns < 5 * CLOCK_NS_PER_S);
}

static int set_up(void **state)
{
    (void)state;
    clip_make(&clip, 320, 240, PACKETS, 10);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clip_free(&clip);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_tell_the_state),
        cmocka_unit_test(a_server_without_workers_is_not_ready),
        cmocka_unit_test(answers_are_published_to_keys_that_read),
        cmocka_unit_test(a_reader_is_sent_away),
        cmocka_unit_test(videos_and_answers_lie_on_the_disk),
        cmocka_unit_test(a_full_disk_stops_nothing),
    };
    if (argc > 1 && strcmp(argv[1], "worker") == 0) { /* a worker that never gets ready */
        char byte;
        while (read(3, &byte, 1) > 0)
            continue;
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
