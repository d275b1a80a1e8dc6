/* device: finds the back end that a spec names and passes calls on to it. What all back ends have in
 * common (names, types and memory of inputs and outputs) is answered here. */
#include "device.h"
#include "base/clock.h"
#include "builtin.h"
#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIND_ALIGNMENT_BYTES 64u
#define KIND_BYTES_MAX 16u

#define CLASSES_MAX 4u
#define PATH_BYTES 4096

/* Back ends that are loaded when they are asked for. */
static const struct {
    const char *kind, *file, *symbol;
} loadable[] = {
    { "cuda", "kernels-cuda.so", "cuda_class" },
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the two below */
static const struct device_class *classes[CLASSES_MAX];  /* that were added */
static size_t class_count;

static const char *const precision_words[] = {
    [PRECISION_F32] = "f32",   [PRECISION_BF16] = "bf16", [PRECISION_BF16X3] = "bf16x3",
    [PRECISION_TF32] = "tf32", [PRECISION_F16] = "f16",
};

static const struct device_class *find_class(const char *kind, size_t kind_bytes);
static bool is_kind(const struct device_class *class, const char *kind, size_t kind_bytes);
static int load_class(const char *kind, size_t kind_bytes, const struct device_class **class,
                      struct error *err);
static void *load_file(const char *file);
static int bind(struct plan *plan, struct tensor *tensor, const char *name, void *data,
                struct error *err);

int device_open(struct device **device, const char *spec, struct error *err)
{
    assert(device && spec);
    size_t kind_bytes = strcspn(spec, ":");
    const char *arguments = spec[kind_bytes] ? spec + kind_bytes + 1 : spec + kind_bytes;
    pthread_mutex_lock(&lock);
    const struct device_class *class = find_class(spec, kind_bytes);
    pthread_mutex_unlock(&lock);
    int rc = class ? 0 : load_class(spec, kind_bytes, &class, err);
    return rc ? rc : class->open(device, arguments, err);
}

void device_add_class(const struct device_class *class)
{
    pthread_mutex_lock(&lock);
    bool known = find_class(class->kind, strlen(class->kind)) != NULL;
    assert(known || class_count < CLASSES_MAX);
    if (!known)
        classes[class_count++] = class;
    pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static const struct device_class *find_class(const char *kind, size_t kind_bytes)
{
    for (size_t i = 0; device_builtin_classes[i]; i++)
        if (is_kind(device_builtin_classes[i], kind, kind_bytes))
            return device_builtin_classes[i];
    for (size_t i = 0; i < class_count; i++)
        if (is_kind(classes[i], kind, kind_bytes))
            return classes[i];
    return NULL;
}

static bool is_kind(const struct device_class *class, const char *kind, size_t kind_bytes)
{
    return strlen(class->kind) == kind_bytes && memcmp(class->kind, kind, kind_bytes) == 0;
}

static int load_class(const char *kind, size_t kind_bytes, const struct device_class **class,
                      struct error *err)
{
    for (size_t i = 0; i < sizeof loadable / sizeof *loadable; i++) {
        if (strlen(loadable[i].kind) != kind_bytes || memcmp(loadable[i].kind, kind, kind_bytes) != 0)
            continue;
        void *object = load_file(loadable[i].file); /* stays until the process ends */
        if (!object)
            return error_set(
                err, ERROR_UNSUPPORTED, loadable[i].kind,
                "cannot load %s: %s; it is built by 'make cuda', and needs cuDNN 9 and "
                "cuBLASLt where the loader finds them",
                loadable[i].file, dlerror());
        *class = dlsym(object, loadable[i].symbol);
        if (!*class)
            return error_set(err, ERROR_UNSUPPORTED, loadable[i].kind,
                             "%s is not one of ours: no %s", loadable[i].file, loadable[i].symbol);
        device_add_class(*class);
        return 0;
    }
    return error_set(err, ERROR_CONFIG, "device",
                     "'%.*s' is not a kind of device here; there are: cpu, cuda",
                     kind_bytes < KIND_BYTES_MAX ? (int)kind_bytes : (int)KIND_BYTES_MAX, kind);
}

/* Beside the program, in ../lib/runespoor from there, or where the loader looks; dlerror() says what
 * was wrong with the last of those that are there. */
static void *load_file(const char *file)
{
    static const char *const folders[] = { "", "../lib/", "../lib/runespoor/" };
    char path[PATH_BYTES];
    ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    path[bytes < 0 ? 0 : bytes] = '\0';
    char *name = strrchr(path, '/');
    for (size_t i = 0; name && i < sizeof folders / sizeof *folders; i++) {
        size_t room = sizeof path - (size_t)(name + 1 - path);
        if ((size_t)snprintf(name + 1, room, "%s%s", folders[i], file) < room &&
            access(path, R_OK) == 0)
            return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return dlopen(file, RTLD_NOW | RTLD_LOCAL);
}

void device_get_info(const struct device *device, struct device_info *info)
{
    device->class->get_info(device, info);
}

bool device_has(const struct device *device, enum precision precision)
{
    struct device_info info;
    device_get_info(device, &info);
    const bool has[] = {
        [PRECISION_F32] = true,           [PRECISION_BF16] = info.bf16,
        [PRECISION_BF16X3] = info.bf16x3, [PRECISION_TF32] = info.tf32,
        [PRECISION_F16] = info.f16,
    };
    return has[precision];
}

void device_close(struct device **device)
{
    if (*device)
        (*device)->class->close(*device);
    *device = NULL;
}

int device_pin(struct device *device, void *data, uint64_t bytes, struct error *err)
{
    const struct device_class *class = device->class;
    return class->pin ? class->pin(device, data, bytes, err) : 0;
}

void device_unpin(struct device *device, void *data)
{
    if (device->class->unpin)
        device->class->unpin(device, data);
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

int plan_get_states(struct plan *plan, struct error *err)
{
    const struct device_class *class = plan->device->class;
    return class->get_states ? class->get_states(plan, err) : 0;
}

int plan_set_states(struct plan *plan, struct error *err)
{
    const struct device_class *class = plan->device->class;
    return class->set_states ? class->set_states(plan, err) : 0;
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

int plan_start(struct plan *plan, struct error *err)
{
    const struct device_class *class = plan->device->class;
    return class->start ? class->start(plan, err) : class->run(plan, err);
}

int plan_finish(struct plan *plan, struct error *err)
{
    const struct device_class *class = plan->device->class;
    return class->finish ? class->finish(plan, err) : 0;
}

uint32_t plan_depth(const struct plan *plan)
{
    const struct device_class *class = plan->device->class;
    return class->start ? class->depth : 1;
}

int plan_run_timed(struct plan *plan, double *ns, struct error *err)
{
    const struct device_class *class = plan->device->class;
    if (class->run_timed)
        return class->run_timed(plan, ns, err);
    uint64_t start_ns = clock_now_ns();
    int rc = class->run(plan, err);
    *ns = (double)(clock_now_ns() - start_ns);
    return rc;
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

int device_measure_peak(struct device *device, enum precision precision, double *gflops,
                        struct error *err)
{
    *gflops = 0;
    return device->class->peak ? device->class->peak(device, precision, gflops, err) : 0;
}

const char *plan_step(const struct plan *plan, size_t index)
{
    return plan->device->class->step(plan, index);
}

void plan_free(struct plan **plan)
{
    if (*plan)
        (*plan)->device->class->plan_free(*plan);
    *plan = NULL;
}

/* ---- for back ends ---- */

static int describe(const struct graph *graph, const int *values, int count,
                    struct tensor **tensors, char ***names, size_t *described, struct error *err)
{
    *tensors = calloc((size_t)count + 1, sizeof **tensors);
    *names = calloc((size_t)count + 1, sizeof **names);
    bool has_memory = *tensors && *names;
    for (int i = 0; has_memory && i < count; i++, ++*described) {
        const struct value *value = &graph->values[values[i]];
        (*tensors)[i] = (struct tensor){ .type = value->type, .shape = value->shape };
        (*names)[i] = strdup(value->name);
        has_memory = (*names)[i] != NULL;
    }
    return has_memory ? 0 : error_set(err, ERROR_MEMORY, "plan", "no memory left");
}

int plan_describe(struct plan *plan, const struct graph *graph, struct error *err)
{
    int rc = describe(graph, graph->inputs, graph->input_count, &plan->inputs, &plan->input_names,
                      &plan->input_count, err);
    if (!rc)
        rc = describe(graph, graph->outputs, graph->output_count, &plan->outputs,
                      &plan->output_names, &plan->output_count, err);
    if (!rc)
        rc = describe(graph, graph->states, graph->state_count, &plan->states, &plan->state_names,
                      &plan->state_count, err);
    for (size_t i = 0; !rc && i < plan->state_count; i++)
        plan->states[i].data = graph->values[graph->states[i]].state.data;
    return rc;
}

static void forget(struct tensor *tensors, char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(tensors);
}

void plan_forget(struct plan *plan)
{
    forget(plan->inputs, plan->input_names, plan->input_count);
    forget(plan->outputs, plan->output_names, plan->output_count);
    forget(plan->states, plan->state_names, plan->state_count);
}
