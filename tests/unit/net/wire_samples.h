/* wire_samples: one valid message of each kind, for tests to pack, and to spoil one field at a time.
 */
#ifndef RUNESPOOR_TESTS_WIRE_SAMPLES_H
#define RUNESPOOR_TESTS_WIRE_SAMPLES_H

#include "net/wire.h"

#define SAMPLE_OBJECTS 3

struct wire_sample {
    Runespoor__Hello hello;
    Runespoor__Codec codecs[2];
    Runespoor__Welcome welcome;
    Runespoor__Refuse refuse;
    Runespoor__Packet packet;
    Runespoor__Answer answer;
    Runespoor__Timings timings;
    Runespoor__Object objects[SAMPLE_OBJECTS], *object_list[SAMPLE_OBJECTS];
    Runespoor__Area area, *area_list[1];
    uint8_t runs[4];
    Runespoor__Order order;
    Runespoor__AgentReport agent_report;
    Runespoor__ServerReport server_report;
    Runespoor__DropCount drop, *drop_list[1];
    Runespoor__Tail tail;
    Runespoor__TailFigure figure, *figure_list[1];
    Runespoor__Bye bye;
    Runespoor__ProbeStart probe_start;
    Runespoor__ProbeSlice probe_slice;
    Runespoor__Receipt receipt;
    Runespoor__Header header;
};

static inline void wire_sample_fill_answer(struct wire_sample *s)
{
    s->answer = (Runespoor__Answer)RUNESPOOR__ANSWER__INIT;
    s->answer.session = 7;
    s->answer.stream = "gate-3";
    s->answer.frame = 41;
    s->answer.capture_ns = UINT64_MAX;
    s->answer.reason = "";
    s->answer.model = "street_det";
    s->answer.width = 768;
    s->answer.height = 576;
    for (size_t i = 0; i < SAMPLE_OBJECTS; i++) {
        s->objects[i] = (Runespoor__Object)RUNESPOOR__OBJECT__INIT;
        s->objects[i].class_name = "person";
        s->objects[i].confidence = 0.5f;
        s->objects[i].x = -1.5f;
        s->objects[i].width = 20;
        s->objects[i].height = 40;
        s->object_list[i] = &s->objects[i];
    }
    s->answer.n_objects = SAMPLE_OBJECTS;
    s->answer.objects = s->object_list;
    s->area = (Runespoor__Area)RUNESPOOR__AREA__INIT;
    s->area.class_name = "stra\xc3\x9f"
                         "e";
    s->area.share = 1;
    s->area.mask_width = 16;
    s->area.mask_height = 10;
    memcpy(s->runs, "\x0a\x96\x01", 3); /* 10 + 150 = 16 * 10 */
    s->area.runs = (ProtobufCBinaryData){ .len = 3, .data = s->runs };
    s->area_list[0] = &s->area;
    s->answer.n_areas = 1;
    s->answer.areas = s->area_list;
    s->timings = (Runespoor__Timings)RUNESPOOR__TIMINGS__INIT;
    s->timings.infer_us = 12000;
    s->answer.timings = &s->timings;
    s->answer.wire_bytes = 5000;
}

static inline void wire_sample_fill_probes(struct wire_sample *s)
{
    s->tail = (Runespoor__Tail)RUNESPOOR__TAIL__INIT;
    s->tail.rung = "240x180 15 fps h264 108 kbit/s";
    s->tail.restored = "network x2";
    s->tail.model = s->tail.golden = "street_det";
    s->tail.probes = 31;
    s->figure = (Runespoor__TailFigure)RUNESPOOR__TAIL_FIGURE__INIT;
    s->figure.name = "tail90";
    s->figure.value = 0.6;
    s->figure.low = 0.5;
    s->figure.high = 0.7;
    s->figure_list[0] = &s->figure;
    s->tail.n_figures = 1;
    s->tail.figures = s->figure_list;
    s->server_report.tail = &s->tail;

    s->probe_start = (Runespoor__ProbeStart)RUNESPOOR__PROBE_START__INIT;
    s->probe_start.session = 7;
    s->probe_start.frame = 41;
    s->probe_start.probability = 0.25;
    s->probe_start.rung = s->tail.rung;

    s->probe_slice = (Runespoor__ProbeSlice)RUNESPOOR__PROBE_SLICE__INIT;
    s->probe_slice.session = 7;
    s->probe_slice.frame = 41;
    s->probe_slice.slice = 3;
    s->probe_slice.bytes = 30000;

    s->receipt = (Runespoor__Receipt)RUNESPOOR__RECEIPT__INIT;
    s->receipt.session = 7;
    s->receipt.frame = 41;
    s->receipt.probe = true;
    s->receipt.slice = 3;
}

static inline void wire_sample_fill(struct wire_sample *s)
{
    memset(s, 0, sizeof *s);
    s->hello = (Runespoor__Hello)RUNESPOOR__HELLO__INIT;
    s->hello.version = WIRE_VERSION;
    s->hello.agent = "box-1";
    s->hello.stream = "gate-3";
    s->hello.software = "edge-agent 0.1.0";
    s->codecs[0] = RUNESPOOR__CODEC__CODEC_H264;
    s->codecs[1] = RUNESPOOR__CODEC__CODEC_AV1;
    s->hello.n_codecs = 2;
    s->hello.codecs = s->codecs;
    s->hello.width = 1920;
    s->hello.height = 1080;
    s->hello.nonce = 99;
    s->hello.model = "";

    s->welcome = (Runespoor__Welcome)RUNESPOOR__WELCOME__INIT;
    s->welcome.stream = "gate-3";
    s->welcome.nonce = 99;
    s->welcome.session = 7;
    s->welcome.credits = 8;
    s->welcome.version = WIRE_VERSION;
    s->welcome.report_ms = 1000;

    s->refuse = (Runespoor__Refuse)RUNESPOOR__REFUSE__INIT;
    s->refuse.stream = "gate-3";
    s->refuse.reason = "the key of box-1 may not use gate-3";
    s->refuse.code = "auth";
    s->refuse.retry_ms = 10000;

    s->packet = (Runespoor__Packet)RUNESPOOR__PACKET__INIT;
    s->packet.session = 7;
    s->packet.frame = 41;
    s->packet.codec = RUNESPOOR__CODEC__CODEC_H264;
    s->packet.keyframe = true;
    s->packet.width = 640;
    s->packet.height = 360;
    s->packet.camera_width = WIRE_SIDE_MAX;
    s->packet.camera_height = 1;
    s->packet.encode_us = 2500;

    wire_sample_fill_answer(s);

    s->order = (Runespoor__Order)RUNESPOOR__ORDER__INIT;
    s->order.session = 7;
    s->order.keyframe = true;
    s->order.reason = "packet 12 was lost";

    s->drop = (Runespoor__DropCount)RUNESPOOR__DROP_COUNT__INIT;
    s->drop.reason = "queue_full";
    s->drop.count = 3;
    s->drop_list[0] = &s->drop;
    s->agent_report = (Runespoor__AgentReport)RUNESPOOR__AGENT_REPORT__INIT;
    s->agent_report.session = 7;
    s->agent_report.n_dropped = 1;
    s->agent_report.dropped = s->drop_list;
    s->server_report = (Runespoor__ServerReport)RUNESPOOR__SERVER_REPORT__INIT;
    s->server_report.session = 7;
    s->server_report.n_dropped = 1;
    s->server_report.dropped = s->drop_list;

    wire_sample_fill_probes(s);

    s->bye = (Runespoor__Bye)RUNESPOOR__BYE__INIT;
    s->bye.session = 7;
    s->bye.reason = "the clip ended";
}

/* The header with the sample of one kind in it. */
static inline Runespoor__Header *wire_sample_header(struct wire_sample *s,
                                                    Runespoor__Header__KindCase kind)
{
    s->header = (Runespoor__Header)RUNESPOOR__HEADER__INIT;
    s->header.kind_case = kind;
    switch (kind) {
    case RUNESPOOR__HEADER__KIND_HELLO:
        s->header.hello = &s->hello;
        break;
    case RUNESPOOR__HEADER__KIND_WELCOME:
        s->header.welcome = &s->welcome;
        break;
    case RUNESPOOR__HEADER__KIND_REFUSE:
        s->header.refuse = &s->refuse;
        break;
    case RUNESPOOR__HEADER__KIND_PACKET:
        s->header.packet = &s->packet;
        break;
    case RUNESPOOR__HEADER__KIND_ANSWER:
        s->header.answer = &s->answer;
        break;
    case RUNESPOOR__HEADER__KIND_ORDER:
        s->header.order = &s->order;
        break;
    case RUNESPOOR__HEADER__KIND_AGENT_REPORT:
        s->header.agent_report = &s->agent_report;
        break;
    case RUNESPOOR__HEADER__KIND_SERVER_REPORT:
        s->header.server_report = &s->server_report;
        break;
    case RUNESPOOR__HEADER__KIND_BYE:
        s->header.bye = &s->bye;
        break;
    case RUNESPOOR__HEADER__KIND_PROBE_START:
        s->header.probe_start = &s->probe_start;
        break;
    case RUNESPOOR__HEADER__KIND_PROBE_SLICE:
        s->header.probe_slice = &s->probe_slice;
        break;
    case RUNESPOOR__HEADER__KIND_RECEIPT:
        s->header.receipt = &s->receipt;
        break;
    default:
        break;
    }
    return &s->header;
}

#endif
