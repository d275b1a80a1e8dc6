/* device: finds the back end that a spec names and passes calls on to it. What all back ends have in
 * common (names, types and memory of inputs and outputs) is answered here. */
#include "device.h"
#include "cpu/cpu.h"
#include <assert.h>
#include <string.h>

#define BIND_ALIGNMENT_BYTES 64u
#define KIND_BYTES_MAX 16u

static const struct device_class *const classes[] = { &cpu_class };

static const char *const precision_words[] = {
    [PRECISION_F32] = "f32",
    [PRECISION_BF16] = "bf16",
    [PRECISION_BF16X3] = "bf16x3",
};

static int bind(struct plan *plan, struct tensor *tensor, const char *name, void *data,
                struct error *err);

int device_open(struct device **device, const char *spec, struct error *err)
{
    assert(device && spec);
    size_t kind_bytes = strcspn(spec, ":");
    const char *arguments = spec[kind_bytes] ? spec + kind_bytes + 1 : spec + kind_bytes;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strlen(classes[i]->kind) == kind_bytes && memcmp(classes[i]->kind, spec, kind_bytes) == 0)
            return classes[i]->open(device, arguments, err);
    return error_set(err, ERROR_CONFIG, "device",
                     "'%.*s' is not a kind of device here; there is: cpu",
                     kind_bytes < KIND_BYTES_MAX ? (int)kind_bytes : (int)KIND_BYTES_MAX, spec);
}

void device_get_info(const struct device *device, struct device_info *info)
{
    device->class->get_info(device, info);
}

void device_close(struct device **device)
{
    if (*device)
        (*device)->class->close(*device);
    *device = NULL;
}

int device_compile(struct device *device, const struct graph *graph,
                   const struct plan_options *options, struct plan **plan, struct error *err)
{
    assert(device && graph && options && plan);
    return device->class->compile(device, graph, options, plan, err);
}

const char *precision_word(enum precision precision)
{
    return precision_words[precision];
}

bool precision_from_word(const char *word, enum precision *precision)
{
    for (size_t i = 0; i < sizeof precision_words / sizeof *precision_words; i++)
        if (strcmp(precision_words[i], word) == 0) {
            *precision = (enum precision)i;
            return true;
        }
    return false;
}

size_t plan_input_count(const struct plan *plan)
{
    return plan->input_count;
}

size_t plan_output_count(const struct plan *plan)
{
    return plan->output_count;
}

const struct tensor *plan_input(const struct plan *plan, size_t index)
{
    assert(index < plan->input_count);
    return &plan->inputs[index];
}

const struct tensor *plan_output(const struct plan *plan, size_t index)
{
    assert(index < plan->output_count);
    return &plan->outputs[index];
}

const char *plan_input_name(const struct plan *plan, size_t index)
{
    assert(index < plan->input_count);
    return plan->input_names[index];
}

const char *plan_output_name(const struct plan *plan, size_t index)
{
    assert(index < plan->output_count);
    return plan->output_names[index];
}

size_t plan_state_count(const struct plan *plan)
{
    return plan->state_count;
}

const struct tensor *plan_state(const struct plan *plan, size_t index)
{
    assert(index < plan->state_count);
    return &plan->states[index];
}

const char *plan_state_name(const struct plan *plan, size_t index)
{
    assert(index < plan->state_count);
    return plan->state_names[index];
}

int plan_bind_input(struct plan *plan, size_t index, void *data, struct error *err)
{
    assert(index < plan->input_count);
    return bind(plan, &plan->inputs[index], plan->input_names[index], data, err);
}

int plan_bind_output(struct plan *plan, size_t index, void *data, struct error *err)
{
    assert(index < plan->output_count);
    return bind(plan, &plan->outputs[index], plan->output_names[index], data, err);
}

static int bind(struct plan *plan, struct tensor *tensor, const char *name, void *data,
                struct error *err)
{
    assert(data);
    if ((uintptr_t)data % BIND_ALIGNMENT_BYTES)
        return error_set(err, ERROR_UNSUPPORTED, name, "memory must be aligned to %u bytes",
                         BIND_ALIGNMENT_BYTES);
    if (tensor->data == data)
        return 0;
    tensor->data = data;
    return plan->device->class->bind(plan, err);
}

int plan_run(struct plan *plan, struct error *err)
{
    return plan->device->class->run(plan, err);
}

void plan_memory(const struct plan *plan, uint64_t *activation_bytes, uint64_t *weight_bytes)
{
    *activation_bytes = plan->activation_bytes;
    *weight_bytes = plan->weight_bytes;
}

uint64_t plan_flop(const struct plan *plan)
{
    return plan->flop;
}

int plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err)
{
    return plan->device->class->print(plan, runs, out, err);
}

void plan_free(struct plan **plan)
{
    if (*plan)
        (*plan)->device->class->plan_free(*plan);
    *plan = NULL;
}
