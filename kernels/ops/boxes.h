/* boxes: what the attributes of box_decode and box_nms mean. */
#ifndef RUNESPOOR_OPS_BOXES_H
#define RUNESPOOR_OPS_BOXES_H

#include "graph/graph.h"

#define BOX_CANDIDATES_MAX 1024 /* beyond the thousand best, candidates are noise */
#define BOX_STRIDE_FIRST 8      /* of YOLOX's grids */
#define BOX_STRIDE_LAST_MAX 64

/* How a detector says its boxes; cloud-server/analyse/head_*.c say whose each is. */
enum box_kind { BOX_YOLOX, BOX_YOLOV8, BOX_FASTESTDET };

struct box_form {
    enum box_kind kind;
    int64_t batch, cells, classes, limit;
    int64_t size[2];   /* of the network's input: rows, columns */
    int64_t cell_grid; /* cells in a row of the grid, where the output is a picture */
    bool cells_last;   /* numbers of a cell lie apart: N x numbers x cells */
    float score;
};
int box_decode_resolve(const struct node *node, const struct shape *output, struct box_form *form,
                       struct error *err);

struct box_choice {
    int64_t batch, boxes;      /* as they come */
    int64_t candidates, limit; /* at most so many of them are looked at, and taken */
    float iou;
};
int box_nms_resolve(const struct node *node, const struct shape *boxes, struct box_choice *choice,
                    struct error *err);

#endif
