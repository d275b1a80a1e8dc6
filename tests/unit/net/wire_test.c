/* wire: every kind survives packing and parsing; every rule of the header comment is broken once and
 * the refusal must name field and value; truncations and random bytes never crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "net/wire.h"
#include "wire_samples.h"

#include <math.h>
#include <stdlib.h>

#define KIND(name) RUNESPOOR__HEADER__KIND_##name

static const Runespoor__Header__KindCase all_kinds[] = {
    KIND(HELLO),         KIND(WELCOME), KIND(REFUSE),      KIND(PACKET),      KIND(ANSWER), KIND(ORDER),
    KIND(AGENT_REPORT),  KIND(SERVER_REPORT), KIND(BYE), KIND(PROBE_START), KIND(PROBE_SLICE),
    KIND(RECEIPT),
};
#define KIND_COUNT (sizeof all_kinds / sizeof all_kinds[0])

static size_t payload_of(Runespoor__Header__KindCase kind)
{
    return kind == KIND(PACKET) || kind == KIND(PROBE_SLICE) ? 100 : 0;
}

/* Packs the sample, parses it, and compares the result with text ("" for accepted). */
static void expect(struct wire_sample *s, Runespoor__Header__KindCase kind, const char *text)
{
    Runespoor__Header *header = wire_sample_header(s, kind), *parsed = NULL;
    size_t size = wire_packed_size(header);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    wire_pack(header, bytes);
    struct error err = { 0 };
    int result = wire_parse(&parsed, bytes, size, payload_of(kind), &err);
    if (text[0]) {
        assert_int_equal(result, -ERROR_FORMAT);
        assert_null(parsed);
        if (!strstr(err.text, text))
            fail_msg("\"%s\" instead of \"%s\"", err.text, text);
    } else {
        if (result)
            print_error("%s\n", err.text);
        assert_int_equal(result, 0);
    }
    wire_free(&parsed);
    free(bytes);
}

#define REFUSED(kind, field, value, text) \
    do {                                  \
        struct wire_sample s;             \
        wire_sample_fill(&s);             \
        s.field = (value);                \
        expect(&s, KIND(kind), text);     \
    } while (0)
#define ACCEPTED(kind, field, value) REFUSED(kind, field, value, "")

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct wire_sample s;
        wire_sample_fill(&s);
        Runespoor__Header *header = wire_sample_header(&s, all_kinds[i]), *parsed = NULL;
        uint8_t bytes[1024], again[1024];
        size_t size = wire_packed_size(header);
        assert_true(size > 0 && size <= sizeof bytes);
        wire_pack(header, bytes);
        struct error err = { 0 };
        assert_int_equal(wire_parse(&parsed, bytes, size, payload_of(all_kinds[i]), &err), 0);
        assert_int_equal(parsed->kind_case, all_kinds[i]);
        assert_int_equal(wire_packed_size(parsed), size);
        wire_pack(parsed, again);
        assert_memory_equal(bytes, again, size);
        assert_string_not_equal(wire_kind_word(parsed), "unknown");
        wire_free(&parsed);
        assert_null(parsed);
        wire_free(&parsed); /* takes NULL */
    }
}

static void test_values_arrive(void **state)
{
    (void)state;
    struct wire_sample s;
    wire_sample_fill(&s);
    uint8_t bytes[1024];
    Runespoor__Header *header = wire_sample_header(&s, KIND(ANSWER)), *parsed;
    wire_pack(header, bytes);
    assert_int_equal(wire_parse(&parsed, bytes, wire_packed_size(header), 0, NULL), 0);
    assert_string_equal(wire_kind_word(parsed), "answer");
    assert_string_equal(parsed->answer->stream, "gate-3");
    assert_true(parsed->answer->capture_ns == UINT64_MAX);
    assert_int_equal(parsed->answer->n_objects, SAMPLE_OBJECTS);
    assert_true(parsed->answer->objects[2]->x == -1.5f);
    assert_string_equal(parsed->answer->areas[0]->class_name, "stra\xc3\x9f"
                                                              "e");
    assert_int_equal(parsed->answer->areas[0]->runs.len, 3);
    assert_int_equal(parsed->answer->timings->infer_us, 12000);
    wire_free(&parsed);
}

static void test_bad_names(void **state)
{
    (void)state;
    char longest[WIRE_NAME_BYTES_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[WIRE_NAME_BYTES_MAX + 1] = '\0';
    REFUSED(HELLO, hello.stream, longest, "hello: stream: the name \"aaaa");
    longest[WIRE_NAME_BYTES_MAX] = '\0';
    ACCEPTED(HELLO, hello.stream, longest);
    REFUSED(HELLO, hello.stream, "", "hello: stream: the name \"\" has 0 characters");
    REFUSED(HELLO, hello.stream, "gate 3", "hello: stream: the name \"gate 3\"");
    REFUSED(HELLO, hello.stream, "../etc", "starts with '.'");
    REFUSED(HELLO, hello.stream, "-x", "starts with '-'");
    REFUSED(HELLO, hello.agent, "b\n\x1b[2J", "hello: agent: the name \"b??[2J\"");
    REFUSED(HELLO, hello.agent, "b\xc3\xb6x", "hello: agent: the name \"b??x\"");
    REFUSED(HELLO, hello.model, "a/b", "hello: model: ");
    REFUSED(WELCOME, welcome.stream, "", "welcome: stream: ");
    REFUSED(REFUSE, refuse.stream, "a b", "refuse: stream: ");
    ACCEPTED(REFUSE, refuse.stream, "");
    REFUSED(ANSWER, answer.stream, "", "answer: stream: ");
    REFUSED(ANSWER, answer.model, "*", "answer: model: ");
    ACCEPTED(ANSWER, answer.model, "");
}

static void test_bad_texts(void **state)
{
    (void)state;
    char text[WIRE_TEXT_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    text[WIRE_TEXT_BYTES_MAX + 1] = '\0';
    REFUSED(ORDER, order.reason, text, "order: reason: has 513 bytes, outside 0..512");
    REFUSED(BYE, bye.reason, text, "bye: reason: has 513 bytes");
    REFUSED(REFUSE, refuse.reason, text, "refuse: reason: has 513 bytes");
    REFUSED(ANSWER, answer.reason, text, "answer: reason: has 513 bytes");
    REFUSED(HELLO, hello.software, text, "hello: software: has 513 bytes");
    text[WIRE_TEXT_BYTES_MAX] = '\0';
    ACCEPTED(BYE, bye.reason, text);
    text[WIRE_LABEL_BYTES_MAX + 1] = '\0';
    REFUSED(ANSWER, objects[1].class_name, text, "answer: objects.1: class_name: has 65 bytes");
    REFUSED(ANSWER, area.class_name, text, "answer: areas.0: class_name: has 65 bytes");
    REFUSED(REFUSE, refuse.code, text, "refuse: code: has 65 bytes");
    REFUSED(AGENT_REPORT, drop.reason, text, "agent_report: dropped.0: reason: has 65 bytes");
    REFUSED(SERVER_REPORT, drop.reason, "", "server_report: dropped.0: reason: has 0 bytes");
    REFUSED(BYE, bye.reason, "ab\xc3", "bye: reason: byte 2 (0xc3) is not valid UTF-8");
    REFUSED(BYE, bye.reason, "\xed\xa0\x80", "bye: reason: byte 0 (0xed)");
    REFUSED(HELLO, hello.software, "\xff", "hello: software: byte 0 (0xff)");
    REFUSED(ANSWER, objects[0].class_name, "\x80", "answer: objects.0: class_name: byte 0");
}

static void test_bad_numbers(void **state)
{
    (void)state;
    REFUSED(WELCOME, welcome.session, 0, "welcome: session: 0 is outside 1..inf");
    REFUSED(PACKET, packet.session, 0, "packet: session: 0");
    REFUSED(ANSWER, answer.session, 0, "answer: session: 0");
    REFUSED(ORDER, order.session, 0, "order: session: 0");
    REFUSED(AGENT_REPORT, agent_report.session, 0, "agent_report: session: 0");
    REFUSED(SERVER_REPORT, server_report.session, 0, "server_report: session: 0");
    REFUSED(BYE, bye.session, 0, "bye: session: 0");
    ACCEPTED(BYE, bye.session, UINT64_MAX);
    REFUSED(HELLO, hello.width, WIRE_SIDE_MAX + 1, "hello: width: 8193 is outside 0..8192");
    REFUSED(HELLO, hello.height, 0, "hello: width: 1920 with a height of 0");
    REFUSED(HELLO, hello.height, UINT32_MAX, "hello: height: 4294967295");
    REFUSED(WELCOME, welcome.credits, 0, "welcome: credits: 0 is outside 1..1024");
    REFUSED(WELCOME, welcome.credits, WIRE_CREDITS_MAX + 1, "welcome: credits: 1025");
    REFUSED(WELCOME, welcome.report_ms, 0, "welcome: report_ms: 0");
    REFUSED(WELCOME, welcome.report_ms, WIRE_REPORT_MS_MAX + 1, "welcome: report_ms: 60001");
    REFUSED(REFUSE, refuse.retry_ms, WIRE_RETRY_MS_MAX + 1, "refuse: retry_ms: 3600001");
    REFUSED(PACKET, packet.codec, RUNESPOOR__CODEC__CODEC_UNKNOWN, "packet: codec: 0");
    REFUSED(PACKET, packet.codec, (Runespoor__Codec)4, "packet: codec: 4 is outside 1..3");
    REFUSED(PACKET, packet.codec, (Runespoor__Codec)-1, "packet: codec: 18446744073709551615");
    REFUSED(PACKET, packet.width, 0, "packet: width: 0 is outside 1..8192");
    REFUSED(PACKET, packet.height, 8193, "packet: height: 8193");
    REFUSED(PACKET, packet.camera_width, 0, "packet: camera_width: 0");
    REFUSED(PACKET, packet.camera_height, 8193, "packet: camera_height: 8193");
    REFUSED(PACKET, packet.encode_us, 1ull << 32, "packet: encode_us: 4294967296");
    REFUSED(ANSWER, answer.status, (Runespoor__AnswerStatus)3, "answer: status: 3 is outside 0..2");
    REFUSED(ANSWER, answer.width, 0, "answer: width: 0 with a height of 576");
    REFUSED(ANSWER, area.mask_width, 8193, "answer: areas.0: mask_width: 8193");
}

static void test_bad_reals(void **state)
{
    (void)state;
    REFUSED(ANSWER, objects[2].confidence, NAN, "answer: objects.2: confidence: nan is outside 0..1");
    REFUSED(ANSWER, objects[0].confidence, 1.01f, "objects.0: confidence: 1.01");
    REFUSED(ANSWER, objects[0].confidence, -0.01f, "objects.0: confidence: -0.01");
    REFUSED(ANSWER, objects[0].x, INFINITY, "objects.0: x: inf");
    REFUSED(ANSWER, objects[0].y, -INFINITY, "objects.0: y: -inf");
    REFUSED(ANSWER, objects[0].y, -16385, "objects.0: y: -16385 is outside -16384..16384");
    REFUSED(ANSWER, objects[0].width, -1, "objects.0: width: -1");
    REFUSED(ANSWER, objects[0].height, 1e30f, "objects.0: height: 1e+30");
    REFUSED(ANSWER, area.share, 1.5f, "areas.0: share: 1.5");
    ACCEPTED(ANSWER, objects[0].confidence, 1);
}

static void test_bad_runs(void **state)
{
    (void)state;
    struct wire_sample s;
    wire_sample_fill(&s);
    s.runs[0] = 11; /* 161 pixels in a mask of 160 */
    expect(&s, KIND(ANSWER), "answer: areas.0: runs: the run before byte 3 leads out of the mask");
    wire_sample_fill(&s);
    s.area.runs.len = 2; /* ends inside a varint */
    expect(&s, KIND(ANSWER), "answer: areas.0: runs: the run before byte 2 has no end");
    wire_sample_fill(&s);
    s.area.mask_width = 0;
    expect(&s, KIND(ANSWER), "answer: areas.0: runs: the run before byte 1 leads out");
    wire_sample_fill(&s);
    uint8_t endless[16];
    memset(endless, 0x80, sizeof endless);
    s.area.runs = (ProtobufCBinaryData){ .len = sizeof endless, .data = endless };
    expect(&s, KIND(ANSWER), "runs: the run before byte 5 has no end");
    wire_sample_fill(&s);
    s.area.runs.len = 0;
    expect(&s, KIND(ANSWER), "");
}

static void test_counts(void **state)
{
    (void)state;
    struct wire_sample s;
    wire_sample_fill(&s);
    static Runespoor__Object *objects[WIRE_OBJECTS_MAX + 1];
    for (size_t i = 0; i <= WIRE_OBJECTS_MAX; i++)
        objects[i] = &s.objects[0];
    s.answer.objects = objects;
    s.answer.n_objects = WIRE_OBJECTS_MAX;
    expect(&s, KIND(ANSWER), "");
    s.answer.n_objects = WIRE_OBJECTS_MAX + 1;
    expect(&s, KIND(ANSWER), "answer: n_objects: 1001 is outside 0..1000");

    wire_sample_fill(&s);
    Runespoor__DropCount *drops[WIRE_DROPS_MAX + 1];
    for (size_t i = 0; i <= WIRE_DROPS_MAX; i++)
        drops[i] = &s.drop;
    s.agent_report.dropped = s.server_report.dropped = drops;
    s.agent_report.n_dropped = s.server_report.n_dropped = WIRE_DROPS_MAX + 1;
    expect(&s, KIND(AGENT_REPORT), "agent_report: n_dropped: 33");
    expect(&s, KIND(SERVER_REPORT), "server_report: n_dropped: 33");

    Runespoor__Codec codecs[WIRE_CODECS_MAX + 1] = { 0 };
    s.hello.codecs = codecs;
    s.hello.n_codecs = WIRE_CODECS_MAX + 1;
    expect(&s, KIND(HELLO), "hello: n_codecs: 17");
}

/* The largest answer that is allowed at all must fit the bound on memory. */
static void test_largest_answer(void **state)
{
    (void)state;
    struct wire_sample s;
    wire_sample_fill(&s);
    char name[WIRE_LABEL_BYTES_MAX + 1];
    memset(name, 'n', WIRE_LABEL_BYTES_MAX);
    name[WIRE_LABEL_BYTES_MAX] = '\0';
    static Runespoor__Object *objects[WIRE_OBJECTS_MAX];
    s.objects[0].class_name = name;
    for (size_t i = 0; i < WIRE_OBJECTS_MAX; i++)
        objects[i] = &s.objects[0];
    s.answer.objects = objects;
    s.answer.n_objects = WIRE_OBJECTS_MAX;
    static uint8_t runs[128 * 1024];
    memset(runs, 1, sizeof runs);
    s.area.mask_width = s.area.mask_height = 512;
    s.area.runs = (ProtobufCBinaryData){ .len = sizeof runs, .data = runs };
    assert_true(wire_packed_size(wire_sample_header(&s, KIND(ANSWER))) > 200 * 1024);
    expect(&s, KIND(ANSWER), "");
}

static void test_payload_where_it_belongs(void **state)
{
    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct wire_sample s;
        wire_sample_fill(&s);
        Runespoor__Header *header = wire_sample_header(&s, all_kinds[i]), *parsed = NULL;
        uint8_t bytes[1024];
        size_t size = wire_packed_size(header);
        wire_pack(header, bytes);
        struct error err;
        bool has_one = payload_of(all_kinds[i]) > 0;
        assert_int_equal(wire_parse(&parsed, bytes, size, has_one ? 0 : 1, &err), -ERROR_FORMAT);
        assert_non_null(
            strstr(err.text, has_one ? "payload: is missing" : "payload: has 1 bytes, but this kind"));
        assert_int_equal(wire_parse(&parsed, bytes, size, WIRE_PAYLOAD_BYTES_MAX + 1, &err),
                         -ERROR_FORMAT);
        assert_non_null(strstr(err.text, "payload: has 8388609 bytes"));
        assert_null(parsed);
    }
}

static void test_bad_probes(void **state)
{
    (void)state;
    REFUSED(WELCOME, welcome.probes, (Runespoor__ProbeOrder)3, "welcome: probes: 3 is outside 0..2");
    REFUSED(PROBE_START, probe_start.session, 0, "probe_start: session: 0");
    REFUSED(PROBE_START, probe_start.probability, 0, "probe_start: probability: 0 is outside");
    REFUSED(PROBE_START, probe_start.probability, NAN, "probe_start: probability: nan");
    REFUSED(PROBE_START, probe_start.probability, 1.01, "probe_start: probability: 1.01");
    ACCEPTED(PROBE_START, probe_start.probability, 1);
    REFUSED(PROBE_START, probe_start.rung, "", "probe_start: rung: has 0 bytes");
    REFUSED(PROBE_SLICE, probe_slice.session, 0, "probe_slice: session: 0");
    REFUSED(PROBE_SLICE, probe_slice.bytes, 0, "probe_slice: bytes: 0 is outside");
    REFUSED(PROBE_SLICE, probe_slice.bytes, WIRE_PAYLOAD_BYTES_MAX + 1, "probe_slice: bytes: 8388609");
    REFUSED(PROBE_SLICE, probe_slice.slice, UINT32_MAX, "probe_slice: slice: 4294967295");
    REFUSED(RECEIPT, receipt.session, 0, "receipt: session: 0");
    REFUSED(RECEIPT, receipt.refused, "\xff", "receipt: refused: byte 0 (0xff)");
    REFUSED(SERVER_REPORT, tail.model, "a b", "server_report: tail: model: ");
    ACCEPTED(SERVER_REPORT, tail.n_figures, 0); /* none is known */
    REFUSED(SERVER_REPORT, figure.value, 1.5, "server_report: tail: figures.0: value: 1.5 is outside 0..1");
    REFUSED(SERVER_REPORT, figure.low, NAN, "figures.0: low: nan");
    REFUSED(SERVER_REPORT, figure.high, -1, "figures.0: high: -1");
    REFUSED(SERVER_REPORT, figure.name, "", "figures.0: name: has 0 bytes");
    REFUSED(ANSWER, answer.uncertainty, 1.5f, "answer: uncertainty: 1.5");
}

static void test_slices_and_figures(void **state)
{
    (void)state;
    struct wire_sample s;
    uint8_t bytes[1024];
    struct error err;
    Runespoor__Header *parsed = NULL;
    wire_sample_fill(&s);
    Runespoor__Header *header = wire_sample_header(&s, KIND(PROBE_SLICE));
    size_t size = wire_packed_size(header);
    wire_pack(header, bytes);
    assert_int_equal(wire_parse(&parsed, bytes, size, WIRE_SLICE_BYTES_MAX, &err), 0);
    wire_free(&parsed);
    assert_int_equal(wire_parse(&parsed, bytes, size, WIRE_SLICE_BYTES_MAX + 1, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "probe_slice: payload: has 1201 bytes, a slice at most 1200"));
    wire_sample_fill(&s);
    Runespoor__TailFigure *figures[WIRE_FIGURES_MAX + 1];
    for (size_t i = 0; i <= WIRE_FIGURES_MAX; i++)
        figures[i] = &s.figure;
    s.tail.figures = figures;
    s.tail.n_figures = WIRE_FIGURES_MAX + 1;
    expect(&s, KIND(SERVER_REPORT), "server_report: tail: n_figures: 17");
}

static void test_version_is_left_to_the_refuser(void **state)
{
    (void)state;
    struct wire_sample s;
    wire_sample_fill(&s);
    s.hello.version = 2u << 16;
    s.hello.width = UINT32_MAX;
    expect(&s, KIND(HELLO), "");
    s.hello.agent = "a b";
    expect(&s, KIND(HELLO), "hello: agent: ");
}

static void test_not_a_message(void **state)
{
    (void)state;
    Runespoor__Header *parsed = NULL;
    struct error err;
    static uint8_t bytes[WIRE_HEADER_BYTES_MAX + 1];
    assert_int_equal(wire_parse(&parsed, NULL, 0, 0, &err), -ERROR_FORMAT);
    assert_string_equal(err.text, "header: is empty");
    assert_int_equal(wire_parse(&parsed, bytes, sizeof bytes, 0, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "header: has 262145 bytes, at most 262144"));
    assert_int_equal(wire_parse(&parsed, "\xff\xff\xff", 3, 0, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "3 bytes are not a message"));
    /* field 100, length 2: a kind of the future */
    assert_int_equal(wire_parse(&parsed, "\xa2\x06\x02hi", 5, 0, &err), -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "kind 100 is not known"));
    assert_null(parsed);
}

/* 128 Ki empty objects in 256 KiB: refused before they take megabytes. */
static void test_many_empty_objects(void **state)
{
    (void)state;
    static uint8_t bytes[WIRE_HEADER_BYTES_MAX];
    size_t inner = sizeof bytes - 4;
    bytes[0] = 0x2a; /* answer */
    for (unsigned i = 0; i < 3; i++)
        bytes[1 + i] = (uint8_t)((inner >> (7 * i) & 0x7f) | (i < 2 ? 0x80 : 0));
    for (size_t i = 4; i < sizeof bytes; i += 2)
        bytes[i] = 0x5a; /* objects, length 0 */
    Runespoor__Header *parsed = NULL;
    struct error err;
    assert_int_equal(wire_parse(&parsed, bytes, sizeof bytes, 0, &err), -ERROR_LIMIT);
    assert_non_null(strstr(err.text, "would unfold to more than 1048576"));
    assert_null(parsed);
}

/* Unknown fields are skipped: what a newer minor version adds does no harm. */
static void test_unknown_field_is_skipped(void **state)
{
    (void)state;
    struct wire_sample s;
    wire_sample_fill(&s);
    uint8_t bytes[1024];
    Runespoor__Header *header = wire_sample_header(&s, KIND(BYE)), *parsed = NULL;
    size_t size = wire_packed_size(header);
    wire_pack(header, bytes);
    memcpy(bytes + size, "\xa2\x06\x02hi", 5);
    assert_int_equal(wire_parse(&parsed, bytes, size + 5, 0, NULL), 0);
    assert_int_equal(parsed->bye->session, 7);
    wire_free(&parsed);
}

static void test_truncated_and_flipped(void **state)
{
    (void)state;
    struct random_state random;
    random_seed(&random, 1);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct wire_sample s;
        wire_sample_fill(&s);
        Runespoor__Header *header = wire_sample_header(&s, all_kinds[i]);
        uint8_t bytes[1024];
        size_t size = wire_packed_size(header);
        wire_pack(header, bytes);
        for (size_t cut = 1; cut < size; cut++) {
            uint8_t *exact = malloc(cut); /* reads past the end show under ASan */
            Runespoor__Header *parsed = NULL;
            memcpy(exact, bytes, cut);
            assert_true(wire_parse(&parsed, exact, cut, payload_of(all_kinds[i]), NULL) < 0);
            assert_null(parsed);
            free(exact);
        }
        for (int round = 0; round < 2000; round++) {
            uint8_t *spoilt = malloc(size);
            memcpy(spoilt, bytes, size);
            spoilt[random_next_u64(&random) % size] = (uint8_t)random_next_u64(&random);
            spoilt[random_next_u64(&random) % size] = (uint8_t)random_next_u64(&random);
            Runespoor__Header *parsed = NULL;
            int result = wire_parse(&parsed, spoilt, size, payload_of(all_kinds[i]), NULL);
            assert_true((result == 0) == (parsed != NULL));
            wire_free(&parsed);
            free(spoilt);
        }
    }
}

static void test_patterns(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(wire_check_pattern("yard-*", "streams.0", &err), 0);
    assert_int_equal(wire_check_pattern("*", "streams.0", &err), 0);
    assert_int_equal(wire_check_pattern("gate-1", "streams.0", &err), 0);
    assert_int_equal(wire_check_pattern("ya*rd", "streams.0", &err), -ERROR_FORMAT);
    assert_int_equal(wire_check_pattern("**", "streams.0", &err), -ERROR_FORMAT);
    assert_int_equal(wire_check_pattern("", "streams.0", &err), -ERROR_FORMAT);
    assert_int_equal(wire_check_pattern("-*", "streams.0", &err), -ERROR_FORMAT);
    assert_true(strncmp(err.text, "streams.0: ", 11) == 0);
    assert_true(wire_pattern_matches("yard-*", "yard-7"));
    assert_true(wire_pattern_matches("yard-*", "yard-"));
    assert_false(wire_pattern_matches("yard-*", "yard"));
    assert_true(wire_pattern_matches("*", "any"));
    assert_true(wire_pattern_matches("gate", "gate"));
    assert_false(wire_pattern_matches("gate", "gate-1"));
    assert_false(wire_pattern_matches("gate-1", "gate"));
}

static void test_copy_text(void **state)
{
    (void)state;
    char out[8];
    wire_copy_text(out, sizeof out, "short");
    assert_string_equal(out, "short");
    wire_copy_text(out, sizeof out, "123456\xc3\xa9"); /* é would take bytes 7 and 8 */
    assert_string_equal(out, "123456");
    wire_copy_text(out, sizeof out,
                   "a\xff\xc3"
                   "b");
    assert_string_equal(out, "a??b");
    wire_copy_text(out, 1, "x");
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_values_arrive),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_bad_numbers),
        cmocka_unit_test(test_bad_reals),
        cmocka_unit_test(test_bad_runs),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_largest_answer),
        cmocka_unit_test(test_payload_where_it_belongs),
        cmocka_unit_test(test_bad_probes),
        cmocka_unit_test(test_slices_and_figures),
        cmocka_unit_test(test_version_is_left_to_the_refuser),
        cmocka_unit_test(test_not_a_message),
        cmocka_unit_test(test_many_empty_objects),
        cmocka_unit_test(test_unknown_field_is_skipped),
        cmocka_unit_test(test_truncated_and_flipped),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_copy_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
