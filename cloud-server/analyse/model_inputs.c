/* model_inputs: words of the command line become shapes and tensors. */
#include "analyse/model_inputs.h"
#include "tensor/npy.h"
#include "tensor/number.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 256
#define SIZE_MAX_GIVEN ((int64_t)1 << 31)

static int set_size(struct graph *graph, const char *word, struct error *err);
static int set_shape(struct graph *graph, int input, const char *text, struct error *err);
static int read_file(struct model_inputs *inputs, const struct graph *graph, int input,
                     const char *path, struct error *err);
static int narrow(struct tensor *tensor, struct error *err);
static int pick_input(const struct graph *graph, const char *word, int *next, const char **rest,
                      const char *what, struct error *err);
static int find_input(const struct graph *graph, const char *name, size_t name_bytes);
static void fill(struct tensor *tensor);
static const char *dtype_of(enum tensor_type type);

int model_inputs_size(struct graph *graph, const struct model_words *words, struct error *err)
{
    int result = 0, next = 0;
    for (size_t i = 0; result == 0 && i < words->size_count; i++)
        result = set_size(graph, words->sizes[i], err);
    for (size_t i = 0; result == 0 && i < words->shape_count; i++) {
        const char *shape;
        int input = pick_input(graph, words->shapes[i], &next, &shape, "--shape", err);
        result = input < 0 ? input : set_shape(graph, input, shape, err);
    }
    return result;
}

int model_inputs_read(struct model_inputs *inputs, const struct graph *graph,
                      const struct model_words *words, struct error *err)
{
    size_t count = (size_t)graph->input_count;
    int result = 0, next = 0;
    *inputs = (struct model_inputs){ .count = graph->input_count };
    inputs->tensors = calloc(count + 1, sizeof *inputs->tensors);
    inputs->list = calloc(count + 1, sizeof *inputs->list);
    inputs->bound = calloc(count + 1, sizeof *inputs->bound);
    if (!inputs->tensors || !inputs->list || !inputs->bound)
        return error_set(err, ERROR_MEMORY, "model", "no room for %zu inputs", count);
    for (size_t i = 0; i < count; i++)
        inputs->list[i] = &inputs->tensors[i];
    for (size_t i = 0; result == 0 && i < words->file_count; i++) {
        const char *path;
        int input = pick_input(graph, words->files[i], &next, &path, words->files[i], err);
        result = input < 0 ? input : read_file(inputs, graph, input, path, err);
    }
    return result;
}

int model_inputs_make_up(struct model_inputs *inputs, const struct graph *graph, struct error *err)
{
    for (int i = 0; i < inputs->count; i++) {
        const struct value *value = &graph->values[graph->inputs[i]];
        if (inputs->tensors[i].data)
            continue;
        int result = tensor_create(&inputs->tensors[i], value->type, &value->shape, err);
        if (result < 0)
            return result;
        fill(&inputs->tensors[i]);
    }
    return 0;
}

void model_inputs_free(struct model_inputs *inputs)
{
    for (int i = 0; inputs->tensors && i < inputs->count; i++)
        tensor_free(&inputs->tensors[i]);
    free(inputs->tensors);
    free(inputs->list);
    free(inputs->bound);
    *inputs = (struct model_inputs){ 0 };
}

int model_inputs_missing(const struct model_inputs *inputs)
{
    for (int i = 0; i < inputs->count; i++)
        if (!inputs->tensors[i].data)
            return i;
    return -1;
}

bool model_input_is_known(const struct value *input)
{
    return shape_elements(&input->shape) >= 0;
}

int model_read_shape(const char *text, const char *what, struct shape *shape, struct error *err)
{
    const char *at = text;
    for (shape->rank = 0; shape->rank < SHAPE_RANK_MAX; at++) {
        char *end;
        errno = 0;
        long long size = strtoll(at, &end, 10);
        if (errno || *at < '0' || *at > '9' || size < 1 || (*end && *end != 'x'))
            break;
        shape->dim[shape->rank++] = size;
        at = end;
        if (!*at)
            return 0;
    }
    return error_set(err, ERROR_CONFIG, what, "\"%.60s\" is not a shape, such as 1x3x224x224", text);
}

static int set_size(struct graph *graph, const char *word, struct error *err)
{
    char name[NAME_BYTES], *end;
    const char *equals = strrchr(word, '=');
    errno = 0;
    long long size = equals ? strtoll(equals + 1, &end, 10) : 0;
    if (!equals || equals == word || (size_t)(equals - word) >= sizeof name || errno ||
        equals[1] < '0' || equals[1] > '9' || *end || size < 1 || size > SIZE_MAX_GIVEN)
        return error_set(err, ERROR_CONFIG, "--size", "\"%.60s\" is not NAME=N, such as batch=1",
                         word);
    memcpy(name, word, (size_t)(equals - word));
    name[equals - word] = '\0';
    int result = graph_set_size(graph, name, size, err);
    if (result < 0 && err)
        error_wrap(err, "--size");
    return result;
}

static int set_shape(struct graph *graph, int input, const char *text, struct error *err)
{
    struct value *value = &graph->values[graph->inputs[input]];
    struct shape shape;
    int result = model_read_shape(text, "--shape", &shape, err);
    if (result == 0 && value->shape.rank >= 0 && shape.rank != value->shape.rank)
        result = error_set(err, ERROR_CONFIG, "--shape", "input %.100s has %d dimensions, not %d",
                           value->name, value->shape.rank, shape.rank);
    if (result == 0)
        value->shape = shape;
    return result;
}

static int read_file(struct model_inputs *inputs, const struct graph *graph, int input,
                     const char *path, struct error *err)
{
    struct tensor *tensor = &inputs->tensors[input];
    const struct value *value = &graph->values[graph->inputs[input]];
    if (tensor->data)
        return error_set(err, ERROR_CONFIG, path, "input %.100s is given twice", value->name);
    int result = npy_read_file(tensor, path, err);
    if (result == 0 && value->type == TENSOR_BF16 && tensor->type == TENSOR_F32)
        result = narrow(tensor, err);
    if (result < 0)
        return result;
    char given[128], wanted[512];
    shape_format(&tensor->shape, given, sizeof given);
    value_format_shape(value, wanted, sizeof wanted);
    if (tensor->type != value->type)
        return error_set(err, ERROR_FORMAT, path,
                         "is %s, and input %.100s is %s: save array.astype('%s')",
                         tensor_type_word(tensor->type), value->name, tensor_type_word(value->type),
                         dtype_of(value->type));
    bool fits = value->shape.rank < 0 || value->shape.rank == tensor->shape.rank;
    for (int i = 0; fits && i < value->shape.rank; i++)
        fits = value->shape.dim[i] < 0 || value->shape.dim[i] == tensor->shape.dim[i];
    if (!fits)
        return error_set(err, ERROR_FORMAT, path,
                         "is %s, and input %.100s is %.200s; --shape gives the input another shape",
                         given, value->name, wanted);
    return 0;
}

/* NumPy has no bf16: what a model wants so comes as f32. */
static int narrow(struct tensor *tensor, struct error *err)
{
    struct tensor bf16;
    int result = tensor_create(&bf16, TENSOR_BF16, &tensor->shape, err);
    if (result < 0)
        return result;
    for (int64_t i = 0, count = shape_elements(&bf16.shape); i < count; i++)
        ((uint16_t *)bf16.data)[i] = float_to_bfloat(((const float *)tensor->data)[i]);
    tensor_free(tensor);
    *tensor = bf16;
    return 0;
}

/* The input that a word is for, and what is behind "NAME=" in it. Words without a name are for the inputs in
 * order. A path may have a '=', so only what is an input's name counts as one. */
static int pick_input(const struct graph *graph, const char *word, int *next, const char **rest,
                      const char *what, struct error *err)
{
    const char *equals = strchr(word, '=');
    int input = -1;
    for (; equals && input < 0; equals = input < 0 ? strchr(equals + 1, '=') : equals) {
        input = find_input(graph, word, (size_t)(equals - word));
        *rest = equals + 1;
    }
    if (input >= 0)
        return input;
    *rest = word;
    if (*next < graph->input_count)
        return (*next)++;
    return error_set(err, ERROR_CONFIG, what, "the model has %d input%s, and this is one more",
                     graph->input_count, graph->input_count == 1 ? "" : "s");
}

static int find_input(const struct graph *graph, const char *name, size_t name_bytes)
{
    for (int i = 0; i < graph->input_count; i++) {
        const char *known = graph->values[graph->inputs[i]].name;
        if (strlen(known) == name_bytes && memcmp(known, name, name_bytes) == 0)
            return i;
    }
    return -1;
}

/* The numbers that the tests and benches use, too. */
static void fill(struct tensor *tensor)
{
    if (tensor_type_is_whole(tensor->type))
        return;
    for (int64_t i = 0, count = shape_elements(&tensor->shape); i < count; i++)
        number_store(tensor, i,
                     (double)(((uint64_t)i * 1103515245u + 12345u) % 2147483648u) / 2147483648.0);
}

/* As NumPy calls it. */
static const char *dtype_of(enum tensor_type type)
{
    static const char *const words[] = {
        [TENSOR_F32] = "float32",  [TENSOR_F64] = "float64", [TENSOR_F16] = "float16",
        [TENSOR_BF16] = "float32", [TENSOR_I64] = "int64",   [TENSOR_I32] = "int32",
        [TENSOR_I16] = "int16",    [TENSOR_I8] = "int8",     [TENSOR_U64] = "uint64",
        [TENSOR_U32] = "uint32",   [TENSOR_U16] = "uint16",  [TENSOR_U8] = "uint8",
        [TENSOR_BOOL] = "bool",
    };
    return words[type];
}
