/* ts_sender: a camera for tests that sends MPEG-TS over UDP to a port of loopback that it found free, with a
 * picture that moves and a keyframe each second. It is silent until it is told to go.
 *
 *     ts_sender [--size WxH] [--codec C] [--fps N]
 *
 * Prints "ready PORT", then "ok LINE" for each line that has been done and "bad LINE" for others:
 *     go         sends
 *     hang       sends no more
 *     size WxH   the stream goes on in another size
 *     codec C    h264 or h265: a new stream in the old one's place, under the same numbers, as of a box that was
 *                set otherwise
 *     lose N     of a thousand packets of the stream so many are lost
 *     damage N   of a thousand so many come with a byte changed, in every second one of them in its header
 *     stray N    after so many of a thousand datagrams comes a packet of private data that no table lists
 * Ends with its standard input. */
#include <arpa/inet.h>
#include <assert.h>
#include <getopt.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TS_BYTES 188
#define TS_HEADER_BYTES 4
#define STRAY_PID 0x1f0
#define DATAGRAM_BYTES (7 * TS_BYTES)
#define SIDE_MAX 4096
#define BITS_PER_S 800000
#define NS_PER_S 1000000000u
#define NS_PER_MS 1000000u

static struct {
    int socket;
    struct sockaddr_in to;
    int width, height, fps;
    bool h265, sends;
    unsigned lost, damaged, stray; /* of a thousand */
    uint64_t random;               /* the same packets in each run that sends the same */
    AVCodecContext *encoder;
    AVFormatContext *mux;
    AVPacket *packet;
    AVFrame *frame;
} sender = { .width = 320, .height = 240, .fps = 15, .random = 20261122 };

/* ---- packets ---- */

static unsigned draw(unsigned below)
{
    sender.random = sender.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(sender.random >> 33) % below;
}

static void damage(uint8_t packet[TS_BYTES])
{
    unsigned place = draw(2) == 0 ? draw(TS_HEADER_BYTES) : draw(TS_BYTES);
    packet[place] ^= (uint8_t)(1 + draw(255));
}

static void send_datagram(const uint8_t *bytes, size_t size)
{
    if (sendto(sender.socket, bytes, size, 0, (const struct sockaddr *)&sender.to,
               sizeof sender.to) < 0)
        perror("ts_sender: sendto");
}

/* A packet that is private data, whole. */
static void send_stray(void)
{
    static uint8_t count;
    static const uint8_t begin[] = { 0x47,
                                     0x40 | STRAY_PID >> 8,
                                     STRAY_PID & 0xff,
                                     0x10,
                                     0,
                                     0,
                                     1,
                                     0xbd,
                                     0,
                                     TS_BYTES - 10,
                                     0x80,
                                     0,
                                     0 };
    uint8_t packet[TS_BYTES];
    memset(packet, 0x55, sizeof packet);
    memcpy(packet, begin, sizeof begin);
    packet[3] |= count++ & 15;
    send_datagram(packet, sizeof packet);
}

/* What the multiplexer has, whole packets: one datagram. Nobody has to listen. */
static int send_packets(void *arg, uint8_t *bytes, int size)
{
    uint8_t datagram[DATAGRAM_BYTES];
    size_t left = 0;
    (void)arg;
    for (int at = 0; at + TS_BYTES <= size; at += TS_BYTES) {
        if (draw(1000) < sender.lost)
            continue;
        memcpy(datagram + left, bytes + at, TS_BYTES);
        if (draw(1000) < sender.damaged)
            damage(datagram + left);
        left += TS_BYTES;
    }
    if (left > 0)
        send_datagram(datagram, left);
    if (left > 0 && draw(1000) < sender.stray)
        send_stray();
    return size;
}

/* ---- the stream ---- */

static bool open_encoder(void)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(sender.h265 ? "libx265" : "libx264");
    AVCodecContext *encoder = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!encoder)
        return false;
    encoder->width = sender.width;
    encoder->height = sender.height;
    encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder->time_base = (AVRational){ 1, sender.fps };
    encoder->framerate = (AVRational){ sender.fps, 1 };
    encoder->gop_size = sender.fps / 3; /* a lost one is soon over */
    encoder->bit_rate = BITS_PER_S;
    encoder->thread_count = 1;
    av_opt_set(encoder->priv_data, "preset", "ultrafast", 0);
    av_opt_set(encoder->priv_data, "tune", "zerolatency", 0);
    av_opt_set(encoder->priv_data, "x265-params", "pools=1:log-level=error", 0); /* or no such */
    sender.encoder = encoder;
    return avcodec_open2(encoder, codec, NULL) == 0;
}

static bool open_mux(void)
{
    uint8_t *buffer = av_malloc(DATAGRAM_BYTES);
    AVFormatContext *mux = NULL;
    if (!buffer || avformat_alloc_output_context2(&mux, NULL, "mpegts", NULL) < 0 || !mux)
        return false;
    sender.mux = mux;
    mux->pb = avio_alloc_context(buffer, DATAGRAM_BYTES, 1, NULL, NULL, send_packets, NULL);
    AVStream *stream = avformat_new_stream(mux, NULL);
    if (!mux->pb || !stream || avcodec_parameters_from_context(stream->codecpar, sender.encoder) < 0)
        return false;
    stream->time_base = sender.encoder->time_base;
    return avformat_write_header(mux, NULL) >= 0;
}

static _Noreturn void give_up(void)
{
    fprintf(stderr, "ts_sender: libavcodec or libavformat fails\n");
    exit(EXIT_FAILURE);
}

static void open_stream(void)
{
    if (!open_encoder() || !open_mux())
        give_up();
}

static void close_stream(void)
{
    AVFormatContext *mux = sender.mux;
    assert(mux);
    avcodec_free_context(&sender.encoder);
    av_freep(&mux->pb->buffer);
    avio_context_free(&mux->pb);
    avformat_free_context(mux);
}

static void paint(AVFrame *frame, int64_t number)
{
    for (int y = 0; y < frame->height; y++)
        for (int x = 0; x < frame->width; x++)
            frame->data[0][y * frame->linesize[0] + x] =
                (uint8_t)(32 + ((x + 3 * number) ^ (y + number)) % 192);
    for (int plane = 1; plane < 3; plane++)
        for (int y = 0; y < frame->height / 2; y++)
            memset(frame->data[plane] + y * frame->linesize[plane], 128, (size_t)frame->width / 2);
}

/* One picture more; false when a library fails. */
static bool send_picture(int64_t number)
{
    AVFrame *frame = sender.frame;
    AVCodecContext *encoder = sender.encoder;
    AVFormatContext *mux = sender.mux;
    AVPacket *packet = sender.packet;
    assert(encoder && mux && packet);
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = sender.width;
    frame->height = sender.height;
    frame->pts = number;
    if (av_frame_get_buffer(frame, 0) < 0)
        return false;
    paint(frame, number);
    int rc = avcodec_send_frame(encoder, frame);
    av_frame_unref(frame);
    while (rc >= 0 && (rc = avcodec_receive_packet(encoder, packet)) >= 0) {
        av_packet_rescale_ts(packet, encoder->time_base, mux->streams[0]->time_base);
        packet->stream_index = 0;
        rc = av_write_frame(mux, packet);
        av_packet_unref(packet);
    }
    avio_flush(mux->pb);
    return rc == AVERROR(EAGAIN);
}

/* ---- orders ---- */

static bool read_size(const char *text)
{
    char *end;
    long width = strtol(text, &end, 10), height = *end == 'x' ? strtol(end + 1, &end, 10) : 0;
    if (*end != '\0' || width < 16 || height < 16 || width > SIDE_MAX || height > SIDE_MAX ||
        width % 2 || height % 2)
        return false;
    sender.width = (int)width;
    sender.height = (int)height;
    return true;
}

static bool read_codec(const char *text)
{
    sender.h265 = strcmp(text, "h265") == 0;
    return sender.h265 || strcmp(text, "h264") == 0;
}

static bool read_share(const char *text, unsigned *share)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value > 1000)
        return false;
    *share = (unsigned)value;
    return true;
}

static bool obey(const char *line)
{
    if (strcmp(line, "go") == 0 || strcmp(line, "hang") == 0) {
        sender.sends = line[0] == 'g';
        return true;
    }
    if (strncmp(line, "lose ", 5) == 0)
        return read_share(line + 5, &sender.lost);
    if (strncmp(line, "damage ", 7) == 0)
        return read_share(line + 7, &sender.damaged);
    if (strncmp(line, "stray ", 6) == 0)
        return read_share(line + 6, &sender.stray);
    if (strncmp(line, "size ", 5) == 0 && read_size(line + 5)) {
        avcodec_free_context(&sender.encoder);
        if (!open_encoder())
            give_up();
        return true;
    }
    if (strncmp(line, "codec ", 6) == 0 && read_codec(line + 6)) {
        close_stream();
        open_stream();
        return true;
    }
    return false;
}

/* False at the end of the input. */
static bool take_orders(void)
{
    static char line[256];
    static size_t size;
    char bytes[256];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] != '\n') {
            size = size < sizeof line - 1 ? size : 0;
            line[size++] = bytes[i];
            continue;
        }
        line[size] = '\0';
        size = 0;
        printf("%s %s\n", obey(line) ? "ok" : "bad", line);
    }
    return got > 0;
}

/* ---- the start ---- */

static bool read_options(int argc, char **argv)
{
    static const struct option options[] = { { "size", required_argument, NULL, 's' },
                                             { "codec", required_argument, NULL, 'c' },
                                             { "fps", required_argument, NULL, 'f' },
                                             { NULL, 0, NULL, 0 } };
    bool good = true;
    for (int option; good && (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 's':
            good = read_size(optarg);
            break;
        case 'c':
            good = read_codec(optarg);
            break;
        case 'f':
            sender.fps = atoi(optarg);
            good = sender.fps > 0 && sender.fps <= 100;
            break;
        default:
            good = false;
        }
    return good && optind == argc;
}

/* A port where nobody listens yet. */
static bool find_port(void)
{
    socklen_t size = sizeof sender.to;
    sender.to.sin_family = AF_INET;
    sender.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found = probe >= 0 && bind(probe, (const struct sockaddr *)&sender.to, size) == 0 &&
                 getsockname(probe, (struct sockaddr *)&sender.to, &size) == 0;
    if (probe >= 0)
        close(probe);
    sender.socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return found && sender.socket >= 0;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

/* Pictures at their time; what was due while it was silent, or late, is left out. */
static int run(void)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    const uint64_t period_ns = NS_PER_S / (uint64_t)sender.fps, begin_ns = now();
    for (int64_t number = 0;;) {
        const uint64_t due_ns = begin_ns + (uint64_t)number * period_ns, now_ns = now();
        const int wait_ms = due_ns > now_ns ? (int)((due_ns - now_ns) / NS_PER_MS) + 1 : 0;
        if (poll(&input, 1, wait_ms) > 0) {
            if (!take_orders())
                return EXIT_SUCCESS;
        } else {
            if (sender.sends && !send_picture(number))
                give_up();
            number = (int64_t)((now() - begin_ns) / period_ns) + 1;
        }
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    av_log_set_level(AV_LOG_ERROR);
    sender.packet = av_packet_alloc();
    sender.frame = av_frame_alloc();
    if (!read_options(argc, argv) || !find_port() || !sender.packet || !sender.frame) {
        fprintf(stderr, "ts_sender: cannot start; its options are at the top of its source\n");
        return EXIT_FAILURE;
    }
    open_stream();
    printf("ready %u\n", ntohs(sender.to.sin_port));
    return run();
}
