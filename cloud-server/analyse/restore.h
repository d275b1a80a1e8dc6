/* restore: puts restoration in front of an analytics network. A small picture is brought back to the
 * camera's size, fitted to what the network's card wants and analysed in one graph, so that one plan
 * does it all and nothing is copied in between. */
#ifndef RUNESPOOR_ANALYSE_RESTORE_H
#define RUNESPOOR_ANALYSE_RESTORE_H

#include "analyse/card.h"
#include "graph/compose.h"

#define RESTORE_OUTPUT_NAME "restored"

enum restore_kind {
    RESTORE_NONE,     /* the picture goes to the analytics network as it was received */
    RESTORE_BILINEAR, /* both between the centres of pixels, */
    RESTORE_BICUBIC,  /* the same as most tools have it (restore.c tells which) */
    RESTORE_NETWORK,
};

struct restore_config {
    int kind;                             /* enum restore_kind */
    const char *network;                  /* an ONNX file, for RESTORE_NETWORK */
    uint32_t width, height;               /* of received pictures */
    uint32_t camera_width, camera_height; /* what they are restored to */
    bool keep; /* the restored picture becomes an output, too: the last, RESTORE_OUTPUT_NAME,
                  1x3xcamera_heightxcamera_width RGB in 0..1 */
};

/* Makes one graph of restoration and analytics. It reads pictures of received size as
 * 1x3xheightxwidth, RGB in 0..1, and has the outputs of analytics under their own names and in their
 * own order. The restored picture is fitted as card->input says, by the same rules as prepare does it.
 * *input becomes what prepare must do for the whole graph. The kind must not be RESTORE_NONE.
 *
 * A network is an ONNX file with one input and one output, told by its input:
 * 1x3xHxW: RGB in 0..1, in and out.
 * 1x1xHxW or 1xHxWx1: luma (BT.601, full range) in 0..1, in and out; chroma is bicubic.
 * Sizes that the file leaves open become those of received pictures. What it gives must have exactly
 * the camera's size; the error says which received size would fit.
 *
 * analytics, card and config are borrowed for the call; *whole, written on success, shares nothing with
 * them. */
int restore_embed(struct graph **whole, const struct graph *analytics, const struct card *card,
                  const struct restore_config *config, struct card_input *input, struct error *err);

/* The same restoring alone: pictures (1x3xheightxwidth) at the camera's size, in 0..1 but for RESTORE_NONE,
 * which leaves them as they are. */
int restore_picture(struct compose *c, const struct restore_config *config, int picture);

/* The same fitting alone, for graphs that are put together elsewhere: pictures (Nx3xHxW, RGB in 0..1) as
 * a network with that input reads them. */
int restore_fit(struct compose *c, const struct card_input *input, int pictures);
/* Nx3xHxW becomes NxHxWx3. */
int restore_channels_last(struct compose *c, int pictures);

/* The same analysing alone: a network of one input reads picture, and its outputs become the graph's. Their
 * names stay as they are: heads look outputs up by them. */
void restore_analyse(struct compose *c, const struct graph *analytics, int picture);

#endif
