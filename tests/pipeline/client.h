/* client: a bare agent for tests that have to say what edge-agent never would: a blocking DEALER with
 * CURVE, the wire's messages, and an encoder for real packets. */
#ifndef RUNESPOOR_TESTS_CLIENT_H
#define RUNESPOOR_TESTS_CLIENT_H

#include "harness.h"
#include "net/wire.h"

struct client {
    void *context, *socket;
    uint64_t session, sequence, frame;
    uint32_t credits;
    struct encoder *encoder;
    struct picture *picture;
};

/* Connects with the key pair NAME of the scratch folder. */
void client_open(struct client *client, const struct scratch *scratch, const char *key_name);
void client_close(struct client *client);

/* Raw parts as they are; NULL payload: one part. */
void client_send_raw(struct client *client, const void *header, size_t header_bytes,
                     const void *payload, size_t payload_bytes);
void client_send(struct client *client, const Runespoor__Header *header, const void *payload,
                 size_t payload_bytes);
/* The next valid header, or NULL after timeout_ms; free with wire_free. */
Runespoor__Header *client_receive(struct client *client, uint32_t timeout_ms);

/* Hello for a 320x240 stream, sent again until Welcome (session is set) or Refuse comes. True when welcomed;
 * otherwise reason says why. */
bool client_hello(struct client *client, const char *stream, char *reason, size_t reason_bytes);

/* Draws what the frame of this number shows; any size will do. */
void client_draw(struct picture *picture, uint64_t frame);
/* Encodes the next picture and sends it; harm may change the bytes first. */
typedef void client_harm_fn(uint8_t *bytes, size_t *size);
void client_send_frame(struct client *client, bool keyframe, client_harm_fn *harm);
/* Waits for the answer to a frame; other messages are counted on the way. */
struct client_heard {
    bool answered;
    Runespoor__AnswerStatus status;
    unsigned keyframe_orders;
};
void client_wait_answer(struct client *client, uint64_t frame, uint32_t timeout_ms,
                        struct client_heard *heard);

#endif
