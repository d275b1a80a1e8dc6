/* messages: see the header. Strings are only borrowed: protobuf-c wants them without const. */
#include "messages.h"

#include "base/log.h"

static const Runespoor__Codec wire_codecs[VIDEO_CODEC_COUNT] = {
    [VIDEO_H264] = RUNESPOOR__CODEC__CODEC_H264,
    [VIDEO_H265] = RUNESPOOR__CODEC__CODEC_H265,
    [VIDEO_AV1] = RUNESPOOR__CODEC__CODEC_AV1,
};

/* What is lost here is said again (Hello, report) or need not be said (Bye). */
static void send_control(struct uplink *uplink, const Runespoor__Header *header)
{
    struct error err;
    if (uplink_send(uplink, header, NULL, NULL, &err) != 0)
        log_debug("uplink", "message not sent", LOG_STR("kind", wire_kind_word(header)),
                  LOG_CAUSE(&err));
}

void messages_send_hello(struct uplink *uplink, const char *agent, const struct camera_config *config,
                         const struct source_info *info, uint64_t nonce, bool late)
{
    Runespoor__Hello hello = RUNESPOOR__HELLO__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    hello.version = WIRE_VERSION;
    hello.agent = (char *)agent;
    hello.stream = config->name;
    hello.software = (char *)"edge-agent";
    /* All: a reload may bring another one while the session lasts. */
    hello.n_codecs = VIDEO_CODEC_COUNT;
    hello.codecs = (Runespoor__Codec *)wire_codecs;
    hello.width = info->width;
    hello.height = info->height;
    hello.nonce = nonce;
    hello.model = config->model;
    hello.lossless = config->mode == MODE_LOSSLESS;
    hello.late = late;
    header.kind_case = RUNESPOOR__HEADER__KIND_HELLO;
    header.hello = &hello;
    send_control(uplink, &header);
}

void messages_send_report(struct uplink *uplink, uint64_t session, const struct figures *figures)
{
    struct figures_report report;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    figures_fill_report(figures, &report);
    report.message.session = session;
    header.kind_case = RUNESPOOR__HEADER__KIND_AGENT_REPORT;
    header.agent_report = &report.message;
    send_control(uplink, &header);
}

void messages_send_bye(struct uplink *uplink, uint64_t session, const char *reason)
{
    Runespoor__Bye bye = RUNESPOOR__BYE__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    bye.session = session;
    bye.reason = (char *)reason;
    header.kind_case = RUNESPOOR__HEADER__KIND_BYE;
    header.bye = &bye;
    send_control(uplink, &header);
}

int messages_send_frame(struct uplink *uplink, uint64_t session, uint64_t sequence,
                        const struct frame_marks *marks, struct encoded_frame *frame,
                        size_t *wire_bytes, struct error *err)
{
    Runespoor__Packet packet = RUNESPOOR__PACKET__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    packet.session = session;
    packet.frame = frame->number;
    packet.capture_ns = frame->capture_ns;
    packet.capture_unix_us = frame->capture_unix_us;
    packet.codec = wire_codecs[frame->rung.codec];
    packet.keyframe = frame->keyframe;
    packet.width = frame->rung.width;
    packet.height = frame->rung.height;
    packet.camera_width = frame->camera_width;
    packet.camera_height = frame->camera_height;
    packet.encode_us = frame->encode_us;
    packet.sequence = sequence;
    packet.receipt = marks->receipt;
    packet.decode_only = marks->decode_only;
    header.kind_case = RUNESPOOR__HEADER__KIND_PACKET;
    header.packet = &packet;
    return uplink_send(uplink, &header, &frame->packet, wire_bytes, err);
}

size_t messages_send_probe_start(struct uplink *uplink, uint64_t session, uint64_t frame,
                                 const struct rung *rung, double probability)
{
    Runespoor__ProbeStart start = RUNESPOOR__PROBE_START__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    char words[RUNG_WORDS_BYTES];
    size_t wire_bytes = 0;
    struct error err;
    rung_write_words(rung, words);
    start.session = session;
    start.frame = frame;
    start.probability = probability;
    start.rung = words;
    header.kind_case = RUNESPOOR__HEADER__KIND_PROBE_START;
    header.probe_start = &start;
    if (uplink_send(uplink, &header, NULL, &wire_bytes, &err) != 0) /* its slices are refused then */
        log_debug("uplink", "message not sent", LOG_STR("kind", wire_kind_word(&header)),
                  LOG_CAUSE(&err));
    return wire_bytes;
}

int messages_send_slice(struct uplink *uplink, uint64_t session, uint64_t frame, uint32_t slice,
                        const struct packet *packet, size_t first, size_t bytes,
                        size_t *wire_bytes, struct error *err)
{
    Runespoor__ProbeSlice message = RUNESPOOR__PROBE_SLICE__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    size_t all;
    const uint8_t *data = packet_data(packet, &all);
    message.session = session;
    message.frame = frame;
    message.slice = slice;
    message.bytes = (uint32_t)all;
    header.kind_case = RUNESPOOR__HEADER__KIND_PROBE_SLICE;
    header.probe_slice = &message;
    return uplink_send_bytes(uplink, &header, data + first, bytes, wire_bytes, err);
}
