/* bad input: what comes from outside may be anything; each case here goes through the real binaries.
 * Nothing crashes or hangs, the message says what, where and what to do, and other streams go on. */
#include "card_text.h"
#include "client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>
#include <cmocka.h>

/* With so many credits a machine that stalls for a moment drops no frame. */
static const char *const no_analysis[] = { "model=none", "credits=64", NULL };
static const char *const moving_picture[] = { "cameras.0.source.kind=test",
                                              "cameras.0.source.width=320",
                                              "cameras.0.source.height=240",
                                              "cameras.0.source.fps=20", NULL };

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void configs_with_several_errors(void **state)
{
    struct scratch *scratch = *state;
    static const char agent_yaml[] = "name: box\n"
                                     "server: {adress: tcp://127.0.0.1:1}\n"
                                     "cameras:\n"
                                     "  - name: gate\n"
                                     "    pace: realtiem\n"
                                     "    rung: {width: 100000}\n";
    static const char server_yaml[] = "listen: [1, 2]\n"
                                      "credits: many\n"
                                      "limitz: {width: 10}\n";
    struct process process;
    const char *path = scratch_path(scratch, "agent.yaml");
    write_file(path, agent_yaml, sizeof agent_yaml - 1);
    process_start(&process, scratch, "check-agent",
                  (const char *const[]){ program_path("edge-agent"), "check", path, NULL });
    assert_int_equal(process_wait(&process, 10000), 1);
    assert_true(process_said(&process, "agent.yaml:2"));
    assert_true(process_said(&process, "address"));
    assert_true(process_said(&process, "agent.yaml:5"));
    assert_true(process_said(&process, "realtime"));
    assert_true(process_said(&process, "agent.yaml:6"));
    assert_true(process_said(&process, "8192"));

    path = scratch_path(scratch, "server.yaml");
    write_file(path, server_yaml, sizeof server_yaml - 1);
    process_start(&process, scratch, "run-server",
                  (const char *const[]){ program_path("cloud-server"), "run", "-c", path, NULL });
    assert_int_equal(process_wait(&process, 10000), 1);
    assert_true(process_said(&process, "server.yaml:1"));
    assert_true(process_said(&process, "server.yaml:2"));
    assert_true(process_said(&process, "server.yaml:3"));
    assert_true(process_said(&process, "limits"));
}

/* One camera with a broken file; the other one, good, is answered to its end. */
static void run_with_file(struct scratch *scratch, const char *name, const char *file, int status,
                          const char *said)
{
    struct process server, agent;
    char path[600];
    snprintf(path, sizeof path, "cameras.0.source.path=%s", file);
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", 15000);
    agent_start(
        &agent, scratch, name,
        (const char *const[]){ path, "cameras.0.source.kind=file", "cameras.0.pace=fast", NULL });
    int ended = process_wait(&agent, 30000);
    if (ended != status || !process_said(&agent, said)) {
        process_expect(&agent, said, 1);
        fail_msg("%s ended with %d, expected %d", name, ended, status);
    }
    process_stop_well(&server);
}

static void broken_videos(void **state)
{
    struct scratch *scratch = *state;
    char noise[4096], *bytes;
    struct stat info;
    const char *clip = scratch_path(scratch, "clip.mp4"), *cut = scratch_path(scratch, "cut.mp4");
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 131 + i / 7);
    write_file(scratch_path(scratch, "noise.mp4"), noise, sizeof noise);
    write_file(scratch_path(scratch, "empty.mp4"), noise, 0);
    run_with_file(scratch, "noise", scratch_path(scratch, "noise.mp4"), 1, "noise.mp4");
    run_with_file(scratch, "empty", scratch_path(scratch, "empty.mp4"), 1, "empty.mp4");
    run_with_file(scratch, "absent", scratch_path(scratch, "absent.mp4"), 1, "absent.mp4");

    /* Cut in the middle: what is there is streamed, then the source ends. */
    clip_make(clip, 60, 320, 240);
    assert_int_equal(stat(clip, &info), 0);
    bytes = malloc((size_t)info.st_size);
    assert_non_null(bytes);
    int fd = open(clip, O_RDONLY);
    assert_int_equal(read(fd, bytes, (size_t)info.st_size), info.st_size);
    close(fd);
    write_file(cut, bytes, (size_t)info.st_size * 6 / 10);
    free(bytes);
    struct process server, agent;
    char path[600];
    snprintf(path, sizeof path, "cameras.0.source.path=%s", cut);
    server_start(&server, scratch, no_analysis);
    agent_start(
        &agent, scratch, "cut",
        (const char *const[]){ path, "cameras.0.source.kind=file", "cameras.0.pace=fast", NULL });
    assert_true(process_wait(&agent, 30000) >= 0);
    process_stop_well(&server);
    assert_true(summary_value(&agent, "answered") < 60);
    assert_int_equal((int)summary_value(&agent, "dropped"), 0);
}

static void garble(uint8_t *bytes, size_t *size)
{
    for (size_t i = *size / 4; i < *size; i++)
        bytes[i] = (uint8_t)(bytes[i] * 7 + 13);
}

static void corrupt_packet_asks_for_a_keyframe(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct client client;
    struct client_heard heard = { .keyframe_orders = 0 };
    char reason[200];
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent", moving_picture);
    process_expect(&agent, "msg=streaming", 15000);
    client_open(&client, scratch, "edge");
    assert_true(client_hello(&client, "hurt", reason, sizeof reason));

    client_send_frame(&client, true, NULL);
    client_wait_answer(&client, 0, 5000, &heard);
    assert_true(heard.answered);
    assert_int_equal(heard.status, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    client_send_frame(&client, false, garble);
    client_wait_answer(&client, 1, 5000, &heard);
    assert_true(heard.answered);
    assert_int_equal(heard.status, RUNESPOOR__ANSWER_STATUS__ANSWER_FAILED);
    client_send_frame(&client, false, NULL); /* not decodable without the one before */
    client_wait_answer(&client, 2, 5000, &heard);
    assert_true(heard.answered);
    assert_int_not_equal(heard.status, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    assert_in_range(heard.keyframe_orders, 1, 2);
    client_send_frame(&client, true, NULL);
    client_wait_answer(&client, 3, 5000, &heard);
    assert_true(heard.answered);
    assert_int_equal(heard.status, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    client_close(&client);

    sleep(1);
    process_stop_well(&agent); /* the other stream saw nothing of it */
    assert_int_equal(summary_lost(&agent), 0);
    assert_true(summary_value(&agent, "answered") > 5);
    process_stop_well(&server);
}

static void malformed_messages_are_dropped(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct client client;
    struct client_heard heard = { .keyframe_orders = 0 };
    char reason[200];
    static uint8_t big[9 << 20], small[300];
    server_start(&server, scratch, no_analysis);
    agent_start(&agent, scratch, "agent", moving_picture);
    process_expect(&agent, "msg=streaming", 15000);
    client_open(&client, scratch, "edge");
    assert_true(client_hello(&client, "odd", reason, sizeof reason));
    for (unsigned round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof small; i++)
            small[i] = (uint8_t)(round * 31 + i * i);
        client_send_raw(&client, small, round, round % 3 ? NULL : small, sizeof small);
    }
    for (unsigned part = 0; part < 8; part++) /* far too many parts */
        zmq_send(client.socket, small, sizeof small, part < 7 ? ZMQ_SNDMORE : 0);
    client_send_frame(&client, true, NULL); /* it may still stream */
    client_wait_answer(&client, 0, 5000, &heard);
    assert_true(heard.answered);
    assert_int_equal(heard.status, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    client_send_raw(&client, small, sizeof small, big, sizeof big); /* the socket cuts this peer off */
    client_wait_answer(&client, 99, 1000, &heard);
    client_close(&client);

    process_stop_well(&agent);
    assert_int_equal(summary_lost(&agent), 0);
    process_stop_well(&server);
    assert_in_range(process_count(&server, "message refused"), 1, 10); /* said, but not 200 times */
}

static void unknown_key_is_refused_and_let_in_later(void **state)
{
    struct scratch *scratch = *state;
    struct process server, stranger, keys;
    const char *folder = scratch_path(scratch, "keys");
    const char *const sets[] = { "keys.name=stranger", "cameras.0.source.kind=test",
                                 "server.backoff_first_ms=100", "server.backoff_cap_ms=400", NULL };
    process_start(&keys, scratch, "keys",
                  (const char *const[]){ program_path("edge-agent"), "keys", "new", "--folder",
                                         folder, "--name", "stranger", NULL });
    assert_int_equal(process_wait(&keys, 10000), 0);
    server_start(&server, scratch, no_analysis);
    process_expect(&server, "msg=ready", 15000);
    agent_start(&stranger, scratch, "stranger", sets);
    process_expect(&stranger, "no connection", 15000);
    sleep(2); /* several more tries */
    assert_false(process_said(&stranger, "msg=streaming"));
    assert_int_equal(process_count(&server, "refused an unknown key"), 1);

    /* The operator lets it in: no restart on either side. */
    process_start(&keys, scratch, "allow",
                  (const char *const[]){ program_path("cloud-server"), "keys", "allow", "stranger",
                                         scratch_path(scratch, "keys/stranger.pub"), "--allow",
                                         scratch_path(scratch, "keys/allow"), "--stream", "cam",
                                         NULL });
    assert_int_equal(process_wait(&keys, 10000), 0);
    process_expect(&stranger, "msg=streaming", 30000);
    process_stop_well(&stranger);
    process_stop_well(&server);
}

static void stream_names_are_held_to_the_key(void **state)
{
    struct scratch *scratch = *state;
    struct process server, keys;
    struct client client, other;
    char reason[200];
    process_start(&keys, scratch, "allow",
                  (const char *const[]){ program_path("cloud-server"), "keys", "allow", "edge",
                                         scratch_path(scratch, "keys/edge.pub"), "--allow",
                                         scratch_path(scratch, "keys/allow"), "--stream", "gate-*",
                                         NULL });
    assert_int_equal(process_wait(&keys, 10000), 0);
    server_start(&server, scratch, no_analysis);
    client_open(&client, scratch, "edge");
    assert_false(client_hello(&client, "yard-1", reason, sizeof reason));
    assert_non_null(strstr(reason, "yard-1"));
    assert_true(client_hello(&client, "gate-1", reason, sizeof reason));
    client_open(&other, scratch, "edge");
    assert_false(client_hello(&other, "gate-1", reason, sizeof reason)); /* the name is in use */
    assert_non_null(strstr(reason, "gate-1"));
    client_close(&other);
    client_close(&client);
    process_stop_well(&server);
}

/* A copy of the default model's folder whose network is replaced. */
static void make_model(const struct scratch *scratch, const char *name, const void *onnx,
                       size_t size, char *folder, size_t folder_bytes)
{
    char path[700], bytes[1 << 16];
    snprintf(folder, folder_bytes, "%s/%s", scratch->folder, name);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/card.yaml", folder);
    assert_non_null(card_text_read("models/street_det/card.yaml", bytes, sizeof bytes));
    write_file(path, bytes, strlen(bytes));
    char *key = NULL, *line = strtok_r(bytes, "\n", &key);
    while (line && strncmp(line, "file: ", 6) != 0)
        line = strtok_r(NULL, "\n", &key);
    assert_non_null(line);
    snprintf(path, sizeof path, "%s/%s", folder, line + 6);
    write_file(path, onnx, size);
    FILE *sample = fopen("models/street_det/sample.jpg", "r");
    if (sample) {
        size_t got = fread(bytes, 1, sizeof bytes, sample);
        fclose(sample);
        snprintf(path, sizeof path, "%s/sample.jpg", folder);
        write_file(path, bytes, got);
    }
}

/* ONNX by hand: ir_version 7, one node `op` named "odd" from x to y, opset 13. */
static size_t make_onnx(uint8_t *out, const char *op)
{
    uint8_t node[64], graph[128];
    size_t n = 0, g = 0, size = 0;
    node[n++] = 0x0a, node[n++] = 1, node[n++] = 'x';
    node[n++] = 0x12, node[n++] = 1, node[n++] = 'y';
    node[n++] = 0x1a, node[n++] = 3, memcpy(node + n, "odd", 3), n += 3;
    node[n++] = 0x22, node[n++] = (uint8_t)strlen(op), memcpy(node + n, op, strlen(op));
    n += strlen(op);
    static const uint8_t info[] = { 0x0a, 1,    0, 0x12, 10, 0x0a, 8, 0x08,
                                    1,    0x12, 4, 0x0a, 2,  0x08, 4 }; /* float [4] */
    graph[g++] = 0x0a, graph[g++] = (uint8_t)n, memcpy(graph + g, node, n), g += n;
    graph[g++] = 0x12, graph[g++] = 1, graph[g++] = 'g';
    for (int i = 0; i < 2; i++) {
        graph[g++] = i ? 0x62 : 0x5a, graph[g++] = sizeof info;
        memcpy(graph + g, info, sizeof info);
        graph[g + 2] = i ? 'y' : 'x';
        g += sizeof info;
    }
    out[size++] = 0x08, out[size++] = 7;
    out[size++] = 0x3a, out[size++] = (uint8_t)g, memcpy(out + size, graph, g), size += g;
    out[size++] = 0x42, out[size++] = 4, out[size++] = 0x0a, out[size++] = 0, out[size++] = 0x10;
    out[size++] = 13;
    return size;
}

static void bad_models_do_not_serve(void **state)
{
    struct scratch *scratch = *state;
    uint8_t onnx[512];
    char folder[300], set[400];
    struct process server;
    size_t size = make_onnx(onnx, "FancyUnknownOp");
    make_model(scratch, "unsupported", onnx, size, folder, sizeof folder);
    snprintf(set, sizeof set, "models.0.folder=%s", folder);
    server_start(&server, scratch, (const char *const[]){ "models.0.name=odd", set, NULL });
    assert_int_equal(process_wait(&server, 30000), 1);
    process_expect(&server, "FancyUnknownOp", 1);
    process_expect(&server, "odd", 1);

    memset(onnx, 0xee, sizeof onnx);
    make_model(scratch, "corrupt", onnx, sizeof onnx, folder, sizeof folder);
    snprintf(set, sizeof set, "models.0.folder=%s", folder);
    server_start(&server, scratch, (const char *const[]){ "models.0.name=odd", set, NULL });
    assert_int_equal(process_wait(&server, 30000), 1);
    process_expect(&server, ".onnx", 1);
}

static void port_in_use(void **state)
{
    struct scratch *scratch = *state;
    struct process first, second;
    server_start(&first, scratch, no_analysis);
    process_expect(&first, "msg=ready", 15000);
    char name[] = "second";
    struct scratch copy = *scratch;
    (void)name;
    server_start(&second, &copy, no_analysis);
    assert_int_equal(process_wait(&second, 10000), 1);
    char port[16];
    snprintf(port, sizeof port, "%u", scratch->port);
    assert_true(process_said(&second, "in use"));
    assert_true(process_said(&second, port));
    process_stop_well(&first);
}

static void full_disk_for_results(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    server_start(&server, scratch,
                 (const char *const[]){ "model=none", "credits=64", "answers.path=/dev/full", NULL });
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.seconds=3",
                                       "cameras.0.source.fps=20", "answers.path=/dev/full", NULL });
    assert_int_equal(process_wait(&agent, 30000), 0);
    process_stop_well(&server);
    assert_int_equal((int)summary_value(&agent, "frames"), 60);
    assert_int_equal(summary_lost(&agent), 0);
    assert_in_range(process_count(&agent, "No space left"), 0, 2);
    assert_true(process_said(&agent, "cannot write answers"));
    assert_true(process_said(&server, "/dev/full"));
    assert_in_range(process_count(&server, "/dev/full"), 1, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(configs_with_several_errors, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(broken_videos, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(corrupt_packet_asks_for_a_keyframe, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(malformed_messages_are_dropped, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(unknown_key_is_refused_and_let_in_later, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(stream_names_are_held_to_the_key, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(bad_models_do_not_serve, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(port_in_use, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(full_disk_for_results, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
