/* client: see the header. */
#include "client.h"

#include "base/clock.h"
#include "base/random.h"
#include "media/encode.h"
#include "net/keys.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>
#include <cmocka.h>

#define WIDTH 320u
#define HEIGHT 240u

void client_open(struct client *client, const struct scratch *scratch, const char *key_name)
{
    struct key_pair pair;
    char server_key[KEY_TEXT_BYTES], address[64];
    struct error err;
    const int linger = 0;
    *client = (struct client){ .session = 0 };
    if (keys_read_pair(scratch_path(scratch, "keys"), key_name, &pair, &err) != 0 ||
        keys_read_public(scratch_path(scratch, "keys/server.pub"), server_key, &err) != 0)
        fail_msg("%s", err.text);
    client->context = zmq_ctx_new();
    client->socket = zmq_socket(client->context, ZMQ_DEALER);
    assert_non_null(client->socket);
    assert_int_equal(zmq_setsockopt(client->socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_TEXT_BYTES),
                     0);
    assert_int_equal(
        zmq_setsockopt(client->socket, ZMQ_CURVE_PUBLICKEY, pair.public_text, KEY_TEXT_BYTES), 0);
    assert_int_equal(
        zmq_setsockopt(client->socket, ZMQ_CURVE_SECRETKEY, pair.secret_text, KEY_TEXT_BYTES), 0);
    assert_int_equal(zmq_setsockopt(client->socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", scratch->port);
    assert_int_equal(zmq_connect(client->socket, address), 0);
    keys_wipe(&pair);

    const struct encoder_config config = {
        .rung = { .width = WIDTH,
                  .height = HEIGHT,
                  .mode = RATE_BITRATE,
                  .bitrate_kbps = 500,
                  .vbv_ms = 500,
                  .keyframe_s = 60 },
        .fps = 10,
        .threads = 1,
    };
    if (encoder_open(&client->encoder, &config, &err) != 0 ||
        picture_create(&client->picture, WIDTH, HEIGHT, &err) != 0)
        fail_msg("%s", err.text);
}

void client_close(struct client *client)
{
    encoder_close(&client->encoder);
    picture_unref(&client->picture);
    zmq_close(client->socket);
    zmq_ctx_term(client->context);
}

void client_send_raw(struct client *client, const void *header, size_t header_bytes,
                     const void *payload, size_t payload_bytes)
{
    zmq_send(client->socket, header, header_bytes, payload ? ZMQ_SNDMORE : 0);
    if (payload)
        zmq_send(client->socket, payload, payload_bytes, 0);
}

void client_send(struct client *client, const Runespoor__Header *header, const void *payload,
                 size_t payload_bytes)
{
    size_t size = wire_packed_size(header);
    void *bytes = malloc(size);
    assert_non_null(bytes);
    wire_pack(header, bytes);
    client_send_raw(client, bytes, size, payload, payload_bytes);
    free(bytes);
}

Runespoor__Header *client_receive(struct client *client, uint32_t timeout_ms)
{
    uint64_t deadline = clock_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
    for (uint64_t now; (now = clock_now_ns()) < deadline;) {
        zmq_pollitem_t item = { .socket = client->socket, .events = ZMQ_POLLIN };
        if (zmq_poll(&item, 1, (long)((deadline - now) / CLOCK_NS_PER_MS) + 1) <= 0)
            continue;
        zmq_msg_t message;
        Runespoor__Header *header = NULL;
        struct error err;
        zmq_msg_init(&message);
        int size = zmq_msg_recv(&message, client->socket, ZMQ_DONTWAIT);
        int result =
            size < 0 ? -1
                     : wire_parse(&header, zmq_msg_data(&message), zmq_msg_size(&message), 0, &err);
        zmq_msg_close(&message);
        if (result == 0)
            return header;
    }
    return NULL;
}

static void send_hello(struct client *client, const char *stream, uint64_t nonce)
{
    Runespoor__Hello hello = RUNESPOOR__HELLO__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Codec codecs[] = { RUNESPOOR__CODEC__CODEC_H264 };
    hello.version = WIRE_VERSION;
    hello.agent = (char *)"test";
    hello.stream = (char *)(uintptr_t)stream;
    hello.n_codecs = 1;
    hello.codecs = codecs;
    hello.width = WIDTH;
    hello.height = HEIGHT;
    hello.nonce = nonce;
    header.kind_case = RUNESPOOR__HEADER__KIND_HELLO;
    header.hello = &hello;
    client_send(client, &header, NULL, 0);
}

bool client_hello(struct client *client, const char *stream, char *reason, size_t reason_bytes)
{
    uint64_t nonce = random_entropy();
    snprintf(reason, reason_bytes, "no reply");
    for (unsigned tries = 0; tries < 20; tries++) {
        send_hello(client, stream, nonce);
        Runespoor__Header *header = client_receive(client, 500);
        if (!header)
            continue;
        if (header->kind_case == RUNESPOOR__HEADER__KIND_WELCOME && header->welcome->nonce == nonce) {
            client->session = header->welcome->session;
            client->credits = header->welcome->credits;
            client->sequence = 0;
            wire_free(&header);
            return true;
        }
        if (header->kind_case == RUNESPOOR__HEADER__KIND_REFUSE && header->refuse->nonce == nonce) {
            snprintf(reason, reason_bytes, "%s", header->refuse->reason);
            wire_free(&header);
            return false;
        }
        wire_free(&header);
    }
    return false;
}

void client_draw(struct picture *picture, uint64_t frame)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    for (uint32_t y = 0; y < view.height; y++)
        for (uint32_t x = 0; x < view.width; x++)
            view.plane[0][y * view.stride[0] + x] = (uint8_t)(32 + ((x + 5 * frame) ^ y) % 192);
    for (int plane = 1; plane < 3; plane++)
        for (uint32_t y = 0; y < view.height / 2; y++)
            memset(view.plane[plane] + y * view.stride[plane], 128, view.width / 2);
}

void client_send_frame(struct client *client, bool keyframe, client_harm_fn *harm)
{
    struct packet *packet = NULL;
    struct error err;
    client_draw(client->picture, client->frame);
    if (encoder_encode(client->encoder, client->picture, client->frame, keyframe, &packet, &err) != 0)
        fail_msg("%s", err.text);

    size_t size;
    const uint8_t *bytes = packet_data(packet, &size);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    Runespoor__Packet message = RUNESPOOR__PACKET__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    message.session = client->session;
    message.frame = client->frame++;
    message.sequence = client->sequence++;
    message.capture_ns = clock_now_ns();
    message.capture_unix_us = clock_wall_us();
    message.codec = RUNESPOOR__CODEC__CODEC_H264;
    message.keyframe = packet_is_keyframe(packet);
    message.width = message.camera_width = WIDTH;
    message.height = message.camera_height = HEIGHT;
    header.kind_case = RUNESPOOR__HEADER__KIND_PACKET;
    header.packet = &message;
    if (harm)
        harm(copy, &size);
    client_send(client, &header, copy, size);
    free(copy);
    packet_unref(&packet);
}

void client_wait_answer(struct client *client, uint64_t frame, uint32_t timeout_ms,
                        struct client_heard *heard)
{
    uint64_t deadline = clock_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
    heard->answered = false;
    while (!heard->answered && clock_now_ns() < deadline) {
        Runespoor__Header *header = client_receive(client, 100);
        if (!header)
            continue;
        if (header->kind_case == RUNESPOOR__HEADER__KIND_ORDER && header->order->keyframe)
            heard->keyframe_orders++;
        if (header->kind_case == RUNESPOOR__HEADER__KIND_ANSWER && header->answer->frame == frame) {
            heard->answered = true;
            heard->status = header->answer->status;
        }
        wire_free(&header);
    }
}
