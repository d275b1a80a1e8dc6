/* kernel_step: a copy of a kernel's arguments, and where addresses go in it. */
#include "cuda/kernel_step.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct held {
    void (*launch)(const void *args, void *stream);
    struct kernel_slot slots[KERNEL_PLACES_MAX];
    _Alignas(max_align_t) unsigned char args[];
};

static void add_place(struct kernel_step *step, struct cuda_place *place, struct kernel_slot slot);
static int run_kernel(const struct cuda_step *step, struct gpu *gpu, struct error *err);

struct kernel_step kernel_begin(void (*launch)(const void *args, void *stream), const void *args,
                                size_t args_bytes)
{
    return (struct kernel_step){ .launch = launch, .args = args, .args_bytes = args_bytes };
}

void kernel_read(struct kernel_step *step, struct cuda_place *place, size_t slot)
{
    kernel_read_behind(step, place, 0, slot);
}

void kernel_read_behind(struct kernel_step *step, struct cuda_place *place, int64_t behind_bytes,
                        size_t slot)
{
    assert(step->read_count == step->count);
    add_place(step, place, (struct kernel_slot){ slot, behind_bytes });
    step->read_count = step->count;
}

void kernel_write(struct kernel_step *step, struct cuda_place *place, size_t slot)
{
    add_place(step, place, (struct kernel_slot){ .at = slot });
}

int kernel_add(struct cuda_build *build, const struct kernel_step *step, const char *implementation,
               struct error *err)
{
    struct held *held = calloc(1, sizeof *held + step->args_bytes);
    if (!held)
        return cuda_no_memory(err);
    held->launch = step->launch;
    memcpy(held->slots, step->slots, sizeof held->slots);
    memcpy(held->args, step->args, step->args_bytes);
    return cuda_add_step(build, implementation, run_kernel, held, NULL, step->places,
                         step->read_count, step->count, err);
}

static void add_place(struct kernel_step *step, struct cuda_place *place, struct kernel_slot slot)
{
    if (!place)
        return;
    assert(step->count < KERNEL_PLACES_MAX && slot.at + sizeof(void *) <= step->args_bytes);
    step->places[step->count] = place;
    step->slots[step->count++] = slot;
}

static int run_kernel(const struct cuda_step *step, struct gpu *gpu, struct error *err)
{
    struct held *held = step->state;
    (void)err;
    for (int p = 0; p < step->place_count; p++) {
        char *data = step->places[p]->data;
        data += held->slots[p].behind_bytes;
        memcpy(held->args + held->slots[p].at, &data, sizeof data);
    }
    held->launch(held->args, gpu_stream(gpu));
    return 0;
}
