/* thin: a copy for each pixel, whose channels lie together; rows are dealt to the threads. */
#include "cpu/thin.h"
#include "cpu/parallel.h"
#include <stdlib.h>
#include <string.h>

#define PIXEL_BYTES_MIN 32 /* of fewer, a call for each pixel costs more than it saves */
#define PART_BYTES_MIN ((int64_t)32 << 10) /* less is not worth a thread */

struct thin_state {
    int64_t step[2];
    int parts;
};

static int run_thin(const struct cpu_step *step, struct error *err);
static void thin_part(const void *arg, int part, int parts);

int thin_add_step(struct build *build, struct cpu_place *from, const int64_t step[2],
                  struct cpu_place *to, struct error *err)
{
    struct thin_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    memcpy(state->step, step, sizeof state->step);
    state->parts =
        parallel_parts(build->device->threads, (int64_t)layout_bytes(&to->layout), PART_BYTES_MIN);
    struct cpu_place *places[] = { from, to };
    return build_c_step(build, "own:thin", run_thin, state, places, 2, err);
}

bool thin_copies(const struct layout *from, const struct layout *to)
{
    const int64_t *dim = to->shape.dim;
    return from->shape.rank == 4 && to->shape.rank == 4 && from->type == to->type &&
           !from->blocked && !to->blocked && from->stride[1] == 1 && to->stride[1] == 1 &&
           dim[1] * (int64_t)tensor_type_bytes(to->type) >= PIXEL_BYTES_MIN &&
           (from->stride[3] != dim[1] || to->stride[3] != dim[1]);
}

static int run_thin(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct thin_state *)step->state)->parts, thin_part, step);
    return 0;
}

static void thin_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct thin_state *state = step->state;
    const struct layout *from = &step->places[0]->layout, *to = &step->places[1]->layout;
    int64_t rows = to->shape.dim[2], columns = to->shape.dim[3], first, end;
    size_t unit = tensor_type_bytes(to->type), pixel = (size_t)to->shape.dim[1] * unit;
    size_t stride = (size_t)(state->step[1] * from->stride[3]) * unit;
    size_t to_stride = (size_t)to->stride[3] * unit;
    parallel_share(to->shape.dim[0] * rows, 1, part, parts, &first, &end);
    for (int64_t at = first; at < end; at++) {
        int64_t image = at / rows, row = at % rows;
        int64_t start = image * from->stride[0] + row * state->step[0] * from->stride[2];
        int64_t to_start = image * to->stride[0] + row * to->stride[2];
        const char *source = (const char *)step->places[0]->data + (size_t)start * unit;
        char *target = (char *)step->places[1]->data + (size_t)to_start * unit;
        for (int64_t column = 0; column < columns; column++)
            memcpy(target + (size_t)column * to_stride, source + (size_t)column * stride, pixel);
    }
}
