/* probe_encoder: a thread that encodes pictures for probes, each as an intra picture of the camera's size, one
 * after the other: so that a camera's own thread never does, and a live frame waits for none. */
#ifndef RUNESPOOR_EDGE_PROBE_ENCODER_H
#define RUNESPOOR_EDGE_PROBE_ENCODER_H

#include "media/encode.h"

/* A picture on its way through the thread, and what became of it. */
struct probe_job {
    void *owner;             /* the caller's */
    uint32_t epoch;          /* the caller's */
    struct picture *picture; /* owned; NULL when it comes back */
    uint64_t frame;
    double quality;        /* CRF */
    struct packet *packet; /* owned; NULL when it failed, and err says why */
    struct error err;
};

struct probe_encoder;

/* wake(arg) is called from the thread when a job is done. jobs_max: put and not yet taken back. */
int probe_encoder_open(struct probe_encoder **encoder, size_t jobs_max, void (*wake)(void *arg),
                       void *arg, struct error *err);
/* Takes the job and its picture over; frees both when there is no room (false). */
bool probe_encoder_put(struct probe_encoder *encoder, const struct probe_job *job);
/* The next job that is done, in order, its packet the caller's; false when there is none. */
bool probe_encoder_take(struct probe_encoder *encoder, struct probe_job *job);
/* Waits for the thread, which finishes one picture at most. Sets NULL; takes NULL. */
void probe_encoder_close(struct probe_encoder **encoder);

#endif
