/* codec: streams in H.265 and AV1 beside one in H.264, through the real daemons: every frame is answered,
 * rungs and codecs change on SIGHUP within the session, and an encoder that the box does not have is left
 * out in words. */
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 60000u

static const char *const codecs[] = { "h264", "h265", "av1" };

/* One camera a codec, named by it; of the second one on with the rung given. */
static void write_config(const struct scratch *scratch, uint16_t http, const char *rung)
{
    FILE *file = fopen(scratch_path(scratch, "agent.yaml"), "w");
    assert_non_null(file);
    fprintf(file,
            "server: { address: 'tcp://127.0.0.1:%u', key: %s/keys/server.pub }\n"
            "keys: { folder: %s/keys }\n"
            "answers: { path: %s/agent.jsonl }\n"
            "http: { address: '127.0.0.1:%u' }\n"
            "cameras:\n",
            scratch->port, scratch->folder, scratch->folder, scratch->folder, http);
    for (size_t i = 0; i < 3; i++)
        fprintf(
            file,
            "  - name: %s\n"
            "    source: { kind: test, width: 160, height: 128, fps: 10 }\n"
            "    rung: { codec: %s, encoder: software, preset: ultrafast, keyframe_s: 600, %s }\n",
            codecs[i], codecs[i], rung);
    assert_int_equal(fclose(file), 0);
}

/* Waits for so many more analysed frames of every stream. */
static void wait_answers(uint16_t http, unsigned more)
{
    for (size_t i = 0; i < 3; i++) {
        char begin[80];
        snprintf(begin, sizeof begin, "edge_frames_answered_total{stream=\"%s\"}", codecs[i]);
        metric_expect(http, begin, metric_now(http, begin) + more, WAIT_MS);
    }
}

static void every_codec_streams_and_changes(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts counts;
    const uint16_t http = port_find();
    server_start(&server, scratch, (const char *const[]){ "model=none", NULL });
    process_expect(&server, "msg=ready", WAIT_MS);
    write_config(scratch, http, "bitrate_kbps: 600");
    process_start(&agent, scratch, "agent",
                  (const char *const[]){ program_path("edge-agent"), "run", "-c",
                                         scratch_path(scratch, "agent.yaml"), NULL });
    for (size_t i = 0; i < 3; i++) {
        char info[160];
        process_expect(&agent, "msg=streaming", WAIT_MS);
        snprintf(
            info, sizeof info,
            "edge_encoder_info{stream=\"%s\",codec=\"%s\",encoder=\"software\",device=\"cpu\"}",
            codecs[i], codecs[i]);
        metric_expect(http, info, 1, WAIT_MS);
    }
    wait_answers(http, 10);

    /* Less bitrate: libx264 goes on, the others open anew. */
    write_config(scratch, http, "bitrate_kbps: 100");
    process_signal(&agent, SIGHUP);
    process_expect(&agent, "rungs_changed=3", WAIT_MS);
    process_expect(&agent, "stream=h265 width=160 height=128 fps=10 kbps=100", WAIT_MS);
    process_expect(&agent, "stream=av1 width=160 height=128 fps=10 kbps=100", WAIT_MS);
    wait_answers(http, 10);
    assert_int_equal(process_count(&agent, "msg=\"rung changed\" stream=h264"), 1);
    assert_int_equal(process_count(&agent, "msg=\"encoder opened\""), 5);

    /* Another size, for all. */
    write_config(scratch, http, "bitrate_kbps: 100, width: 80");
    process_signal(&agent, SIGHUP);
    for (size_t i = 0; i < 3; i++) {
        char opened[80];
        snprintf(opened, sizeof opened, "stream=%s width=80 height=64", codecs[i]);
        process_expect(&agent, opened, WAIT_MS);
    }
    wait_answers(http, 10);
    assert_int_equal(process_count(&agent, "msg=streaming"), 3); /* all in one session */
    process_stop_well(&agent);
    process_stop_well(&server);
    for (size_t i = 0; i < 3; i++) {
        answers_count(scratch_path(scratch, "agent.jsonl"), codecs[i], &counts);
        assert_true(counts.ok >= 30);
        assert_int_equal(counts.failed, 0);
    }
}

/* The codec is part of the rung: another one on SIGHUP, and back, in one session and answered. */
static void the_codec_changes_while_it_streams(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    struct answer_counts counts;
    const uint16_t http = port_find();
    server_start(&server, scratch, (const char *const[]){ "model=none", NULL });
    process_expect(&server, "msg=ready", WAIT_MS);
    for (size_t i = 0; i < 4; i++) {
        FILE *file = fopen(scratch_path(scratch, "agent.yaml"), "w");
        assert_non_null(file);
        fprintf(file,
                "server: { address: 'tcp://127.0.0.1:%u', key: %s/keys/server.pub }\n"
                "keys: { folder: %s/keys }\n"
                "answers: { path: %s/agent.jsonl }\n"
                "http: { address: '127.0.0.1:%u' }\n"
                "cameras:\n"
                "  - name: cam\n"
                "    source: { kind: test, width: 160, height: 128, fps: 10 }\n"
                "    rung: { codec: %s, encoder: software, preset: ultrafast }\n",
                scratch->port, scratch->folder, scratch->folder, scratch->folder, http,
                codecs[i % 3]);
        assert_int_equal(fclose(file), 0);
        if (i == 0)
            process_start(&agent, scratch, "agent",
                          (const char *const[]){ program_path("edge-agent"), "run", "-c",
                                                 scratch_path(scratch, "agent.yaml"), NULL });
        else
            process_signal(&agent, SIGHUP);
        char info[160];
        snprintf(info, sizeof info, "edge_encoder_info{stream=\"cam\",codec=\"%s\",", codecs[i % 3]);
        metric_expect(http, info, 1, WAIT_MS);
        const char *answered = "edge_frames_answered_total{stream=\"cam\"}";
        metric_expect(http, answered, metric_now(http, answered) + 8, WAIT_MS);
    }
    assert_int_equal((int)metric_now(http, "edge_encoder_info{stream=\"cam\""), 1); /* one at a time */
    process_stop_well(&agent);
    process_stop_well(&server);
    assert_int_equal(process_count(&agent, "msg=streaming"), 1);
    answers_count(scratch_path(scratch, "agent.jsonl"), "cam", &counts);
    assert_int_equal(counts.failed, 0);
}

/* libavcodec 5.1 has no av1_vaapi, and few boxes that a later one would find a GPU on run tests: either it
 * streams with it, or says why not and streams in software. */
static void an_encoder_that_is_not_here_is_left_out(void **state)
{
    struct scratch *scratch = *state;
    struct process server, agent;
    const uint16_t http = port_find();
    char address[80];
    snprintf(address, sizeof address, "http.address=127.0.0.1:%u", http);
    server_start(&server, scratch, (const char *const[]){ "model=none", NULL });
    agent_start(&agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.width=160",
                                       "cameras.0.source.height=128", "cameras.0.source.fps=10",
                                       "cameras.0.rung.codec=av1", "cameras.0.rung.encoder=vaapi",
                                       "cameras.0.rung.preset=ultrafast", address, NULL });
    metric_expect(http, "edge_frames_answered_total{stream=\"cam\"}", 5, WAIT_MS);
    metric_expect(http, "edge_encoder_info{stream=\"cam\",codec=\"av1\",", 1, WAIT_MS);
    if (!process_said(&agent, "encoder=vaapi library=av1_vaapi")) {
        process_expect(&agent, "msg=\"encoder left out\" stream=cam encoder=vaapi reason=", WAIT_MS);
        metric_expect(http, "edge_encoder_fallbacks_total{stream=\"cam\",from=\"vaapi\",reason=", 1,
                      WAIT_MS);
    }
    process_stop_well(&agent);
    process_stop_well(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_codec_streams_and_changes, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(the_codec_changes_while_it_streams, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(an_encoder_that_is_not_here_is_left_out, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
