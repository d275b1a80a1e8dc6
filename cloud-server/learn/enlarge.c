/* enlarge: see the header. */
#include "learn/enlarge.h"

#include "analyse/restore.h"
#include "device.h"
#include "pixels.h"

#include <math.h>
#include <stdlib.h>

#define COLOURS 3u
#define LEVEL_MAX 255.0f
/* Others prepare pictures beside this one, and a training has the processors. */
#define DEVICE "cpu:threads=1"

struct enlarge {
    struct device *device;
    struct plan *plan;
};

static int compile(struct enlarge *enlarge, const struct enlarge_sizes *sizes, struct error *err)
{
    const struct restore_config restore = { .kind = RESTORE_BICUBIC,
                                            .width = sizes->width,
                                            .height = sizes->height,
                                            .camera_width = sizes->camera_width,
                                            .camera_height = sizes->camera_height };
    const struct plan_options options = { .precision = PRECISION_F32 };
    struct compose c;
    int rc = compose_start(&c, "enlarge", err);
    int received = compose_input(&c, "received", TENSOR_F32,
                                 COMPOSE_SHAPE(1, COLOURS, sizes->height, sizes->width));
    compose_output(&c, restore_picture(&c, &restore, received), "enlarged");
    if (rc == 0)
        rc = c.rc;
    if (rc == 0)
        rc = device_compile(enlarge->device, c.graph, &options, &enlarge->plan, err);
    graph_free(&c.graph);
    return rc;
}

int enlarge_open(struct enlarge **enlarge, const struct enlarge_sizes *sizes, struct error *err)
{
    struct enlarge *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "enlarge", "no memory");
    int rc = device_open(&fresh->device, DEVICE, err);
    if (rc == 0)
        rc = compile(fresh, sizes, err);
    if (rc < 0)
        enlarge_close(&fresh);
    else
        *enlarge = fresh;
    return rc;
}

int enlarge_run(struct enlarge *enlarge, const uint8_t *from, uint8_t *to, struct error *err)
{
    const struct tensor *in = plan_input(enlarge->plan, 0), *out = plan_output(enlarge->plan, 0);
    pixels_to_floats(from, in->data, (size_t)shape_elements(&in->shape), 1 / LEVEL_MAX, 0);
    int rc = plan_run(enlarge->plan, err);
    if (rc < 0)
        return rc;
    const float *levels = out->data; /* 0..1 */
    for (size_t i = 0, count = (size_t)shape_elements(&out->shape); i < count; i++)
        to[i] = (uint8_t)lrintf(levels[i] * LEVEL_MAX);
    return 0;
}

void enlarge_close(struct enlarge **enlarge)
{
    struct enlarge *old = *enlarge;
    *enlarge = NULL;
    if (!old)
        return;
    plan_free(&old->plan);
    device_close(&old->device);
    free(old);
}
