/* nets: the networks that `cloud-server train` trains, written as graphs. Each has two forms of the same
 * function: the trained one with batch normalisations and parallel convolutions, which learn better, and
 * the folded one of plain convolutions with biases, which runs. */
#ifndef RUNESPOOR_LEARN_NETS_H
#define RUNESPOOR_LEARN_NETS_H

#include "graph/compose.h"

#define NET_SCORES "scores"     /* the segmenter's output */
#define NET_RESTORED "restored" /* the restorer's */
#define NET_PICTURE "picture"   /* the input of both, 1x3xHxW, RGB in 0..1 */
#define NET_FACTOR_MAX 4u

enum net_size { NET_SMALL, NET_MEDIUM, NET_LARGE };
extern const char *const net_size_words[]; /* NULL-ended */

enum net_form { NET_TRAINED, NET_FOLDED };

struct net_config {
    int size; /* enum net_size */
    enum net_form form;
    uint64_t seed; /* of first weights; the folded form begins with zeros */
};

/* A residual encoder-decoder: pictures (NxCxHxW) down to a sixteenth of their sides and up again. Gives
 * scores, N x class_count x H x W. */
int net_segmenter(struct compose *c, int pictures, const struct net_config *config,
                  uint32_t class_count);

/* What is missing in a bicubically enlarged picture (factor 1: in the picture itself), added to it: 3x3
 * convolutions at the size that came (factor 1: at half of it, so sides must be even), and a pixel shuffle.
 * Gives pictures of factor times the size. Its nodes hold for any size, not only the one that it was made
 * for. */
int net_restorer(struct compose *c, int pictures, const struct net_config *config, uint32_t factor);

/* Lets a graph with one network hold for any height and width, which are open then: a segmenter's is made
 * for one size, and what it enlarges takes its size now from what that is added to. */
int net_free_sizes(struct graph *graph, struct error *err);

/* Gives the folded form the weights of the trained one, whatever learnt in between: normalisations go
 * into the convolution before, parallel convolutions into one. Exact but for rounding to f32. */
int net_fold(const struct graph *trained, struct graph *folded, struct error *err);

#endif
