/* bf16_boxes: reads a detector's raw outputs from stdin, one frame after the other, and prints the boxes
 * that the server's own head finds in them: frame, class, confidence, x, y, width, height.
 *
 *     bf16_boxes KIND SCORE IOU CLASSES WIDTH HEIGHT SHAPE
 *
 * KIND is the head's word in a card, WIDTH x HEIGHT the network's input, SHAPE the output's (1x4032x11). */
#include "analyse/head.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find_kind(const char *word);
static void read_shape(const char *text, struct shape *shape);
static void print_boxes(struct head *head, const struct tensor *output, const struct card *card,
                        struct analysis *analysis);

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: %s KIND SCORE IOU CLASSES WIDTH HEIGHT SHAPE\n", argv[0]);
        return 2;
    }
    struct card card = {
        .head = { .kind = find_kind(argv[1]),
                  .score = strtod(argv[2], NULL),
                  .iou = strtod(argv[3], NULL),
                  .objects_max = ANALYSIS_OBJECTS_MAX },
        .classes = { .count = strtoul(argv[4], NULL, 10) }, /* no head reads their names */
        .input = { .width = (uint32_t)strtoul(argv[5], NULL, 10),
                   .height = (uint32_t)strtoul(argv[6], NULL, 10) },
    };
    struct shape shape;
    struct tensor output = { 0 };
    const struct tensor *outputs = &output;
    struct head *head = NULL;
    struct error err = { 0 };
    struct analysis *analysis = calloc(1, sizeof *analysis);
    read_shape(argv[7], &shape);
    int rc = analysis && card.head.kind >= 0 ? 0 : -ERROR_CONFIG;
    if (rc)
        error_set(&err, ERROR_CONFIG, argv[1], "is no head");
    else if (!(rc = tensor_create(&output, TENSOR_F32, &shape, &err)) &&
             !(rc = head_open(&head, &card, &outputs, 1, &err)))
        print_boxes(head, &output, &card, analysis);
    head_close(&head);
    tensor_free(&output);
    free(analysis);
    if (rc)
        fprintf(stderr, "bf16_boxes: %s\n", err.text);
    return rc ? 1 : 0;
}

static int find_kind(const char *word)
{
    for (int i = 0; head_words[i]; i++)
        if (strcmp(head_words[i], word) == 0)
            return i;
    return -1;
}

static void read_shape(const char *text, struct shape *shape)
{
    *shape = (struct shape){ 0 };
    while (*text && shape->rank < SHAPE_RANK_MAX) {
        char *end;
        shape->dim[shape->rank++] = strtol(text, &end, 10);
        text = *end == 'x' ? end + 1 : "";
    }
}

static void print_boxes(struct head *head, const struct tensor *output, const struct card *card,
                        struct analysis *analysis)
{
    const struct card_input *input = &card->input;
    const struct placement whole = { input->width, input->height, input->width, input->height };
    size_t bytes = (size_t)tensor_bytes(output);
    for (int frame = 0; fread(output->data, 1, bytes, stdin) == bytes; frame++) {
        head_decode(head, &whole, (float)card->head.score, analysis);
        for (uint32_t i = 0; i < analysis->object_count; i++) {
            const struct analysis_object *box = &analysis->objects[i];
            printf("%d %u %.6f %.3f %.3f %.3f %.3f\n", frame, box->class_id, box->confidence,
                   box->x, box->y, box->width, box->height);
        }
    }
}
