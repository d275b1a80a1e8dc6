/* ops_build: from a case's text to a graph and content for its inputs. A mistake in the text is an
 * error that says where. */
#include "lab/ops.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 64
#define WORD_BYTES 64

/* One input as written. */
struct token {
    bool absent, constant;
    enum tensor_type type;
    struct shape shape;
    bool literal; /* content is numbers, which are all there is to it */
    double numbers[NUMBERS_MAX];
    int number_count;
    char mark;        /* '+', '!', '~', '@', '<' or 0 */
    double low, high; /* of '@'; high of '<' */
};

static int parse_token(const char **text, struct token *token, struct error *err);
static int parse_shape(const char **text, struct shape *shape, struct error *err);
static int parse_numbers(const char **text, char end, struct token *token, struct error *err);
static int wrong(const char *text, const char *expected, struct error *err);
static int add_input(struct graph *graph, const struct token *token, struct error *err);
static int add_convolution(struct graph *graph, int value, struct error *err);
static int convolve_outputs(struct graph *graph, struct error *err);
static bool is_image(const struct value *value);
static int add_node(struct graph *graph, const struct ops_case *c, const int *inputs, int count,
                    struct error *err);
static int add_attributes(struct graph *graph, int node, const char *text, struct error *err);
static int parse_attribute(const char **text, struct attribute *attribute, struct error *err);
static int parse_attribute_numbers(const char **text, struct attribute *attribute, struct error *err);
static int fill_token(const struct token *token, unsigned content, bool first,
                      struct random_state *random, struct tensor *tensor);
static void fill_floats(const struct token *token, unsigned content, bool first,
                        struct random_state *random, float *data, int64_t count);
static void fill_ints(const struct token *token, unsigned content, struct random_state *random,
                      struct tensor *tensor);
static void shuffle(struct random_state *random, float *data, int64_t count);
static void expand(const char *text, unsigned index, char *out);
static unsigned letter_size(char letter, unsigned index);
static const char *next_letter(const char *text);

const struct op *ops_row(const struct ops_case *c)
{
    return op_find(c->op, c->opset);
}

unsigned ops_variant_count(const struct ops_case *c)
{
    return next_letter(c->inputs) ? OPS_VARIANTS : 1;
}

void ops_expand(const struct ops_case *c, unsigned index, struct ops_variant *variant)
{
    variant->c = *c;
    expand(c->inputs, index, variant->inputs);
    expand(c->attributes ? c->attributes : "", index, variant->attributes);
    variant->c.inputs = variant->inputs;
    variant->c.attributes = c->attributes ? variant->attributes : NULL;
}

int ops_build(const struct ops_case *c, bool among, struct graph **graph, struct error *err)
{
    int inputs[OPS_INPUTS_MAX], count = 0;
    const char *text = c->inputs;
    *graph = NULL;
    int rc = graph_create(graph, err);
    if (rc)
        return rc;
    (*graph)->opset = c->opset ? c->opset : OPSET_MAX;
    while (rc >= 0 && *text) {
        struct token token;
        if (count == OPS_INPUTS_MAX)
            rc = wrong(text, "no more inputs", err);
        else
            rc = parse_token(&text, &token, err);
        if (rc < 0)
            break;
        rc = token.absent ? -1 : add_input(*graph, &token, err);
        if (token.absent)
            rc = 0, inputs[count++] = -1;
        else if (rc >= 0 && among && !token.constant && is_image(&(*graph)->values[rc]))
            inputs[count++] = rc = add_convolution(*graph, rc, err);
        else
            inputs[count++] = rc;
    }
    if (rc >= 0)
        rc = add_node(*graph, c, inputs, count, err);
    if (rc >= 0)
        rc = graph_infer(*graph, NULL, err);
    if (rc >= 0 && among)
        rc = convolve_outputs(*graph, err);
    if (rc < 0)
        graph_free(graph);
    return rc < 0 ? rc : 0;
}

int ops_fill(const struct ops_case *c, const struct graph *graph, unsigned content,
             struct random_state *random, struct tensor *inputs, struct error *err)
{
    const char *text = c->inputs;
    int rc = 0, filled = 0;
    while (!rc && *text) {
        struct token token;
        rc = parse_token(&text, &token, err);
        if (rc || token.absent || token.constant)
            continue;
        assert(filled < graph->input_count);
        rc = tensor_create(&inputs[filled], token.type, &token.shape, err);
        if (!rc)
            rc = fill_token(&token, content, filled == 0, random, &inputs[filled]);
        filled++;
    }
    return rc;
}

/* ---- text ---- */

static int parse_token(const char **text, struct token *token, struct error *err)
{
    static const struct {
        const char *word;
        enum tensor_type type;
    } types[] = { { "i64", TENSOR_I64 }, { "i32", TENSOR_I32 },   { "u8", TENSOR_U8 },
                  { "i8", TENSOR_I8 },   { "bool", TENSOR_BOOL }, { "f32", TENSOR_F32 } };
    const char *at = *text;
    int rc = 0;
    *token = (struct token){ .type = TENSOR_F32 };
    if (*at == '-' && (at[1] == ' ' || !at[1])) {
        token->absent = true;
        at++;
    } else {
        token->constant = *at == '=';
        at += *at == '=';
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (strncmp(at, types[i].word, strlen(types[i].word)) == 0) {
                token->type = types[i].type;
                at += strlen(types[i].word);
                at += *at == ':';
                break;
            }
        if (*at == '{' || *at == '(')
            rc = parse_numbers(&at, *at == '{' ? '}' : ')', token, err);
        else
            rc = parse_shape(&at, &token->shape, err);
        if (!rc && *at && *at != ' ')
            token->mark = *at++;
        if (!rc && token->mark == '<')
            token->high = strtod(at, (char **)&at);
        if (!rc && token->mark == '@') {
            token->low = strtod(at, (char **)&at);
            at += *at == ':';
            token->high = strtod(at, (char **)&at);
        }
        if (!rc && ((token->mark && !strchr("+!~@<", token->mark)) || (*at && *at != ' ')))
            rc = wrong(at, "the end of an input", err);
    }
    while (*at == ' ')
        at++;
    *text = at;
    return rc;
}

static int parse_shape(const char **text, struct shape *shape, struct error *err)
{
    char *end;
    *shape = (struct shape){ .rank = 0 };
    if (strncmp(*text, "0d", 2) == 0) {
        *text += 2;
        return 0;
    }
    do {
        if (shape->rank == SHAPE_RANK_MAX)
            return wrong(*text, "no more dimensions", err);
        shape->dim[shape->rank++] = strtoll(*text, &end, 10);
        if (end == *text)
            return wrong(*text, "a dimension", err);
        *text = end;
    } while (*(*text)++ == 'x');
    (*text)--;
    return 0;
}

/* From the opening bracket on. */
static int parse_numbers(const char **text, char end, struct token *token, struct error *err)
{
    const char *at = *text + 1;
    while (*at != end) {
        char *behind;
        if (token->number_count == NUMBERS_MAX)
            return wrong(at, "no more numbers", err);
        token->numbers[token->number_count++] = strtod(at, &behind);
        if (behind == at)
            return wrong(at, "a number", err);
        at = behind + (*behind == ',');
    }
    token->literal = true;
    token->shape = (struct shape){ .rank = end == '}', .dim = { token->number_count } };
    *text = at + 1;
    return 0;
}

static int wrong(const char *text, const char *expected, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "case", "%s expected at '%.60s'", expected, text);
}

/* ---- graph ---- */

/* The content of constants does not depend on that of inputs. */
static int add_input(struct graph *graph, const struct token *token, struct error *err)
{
    if (!token->constant) {
        int value = graph_add_value(graph, "input", token->type, &token->shape, err);
        int rc = value < 0 ? value : graph_mark_input(graph, value, err);
        return rc < 0 ? rc : value;
    }
    struct tensor tensor;
    struct random_state random;
    random_seed(&random, (uint64_t)graph->value_count);
    int rc = tensor_create(&tensor, token->type, &token->shape, err);
    if (rc)
        return rc;
    fill_token(token, 0, false, &random, &tensor);
    int value = graph_add_constant(graph, "constant", &tensor, err);
    tensor_free(&tensor); /* blank after success */
    return value;
}

/* Of 1x1, each channel to itself. */
static int add_convolution(struct graph *graph, int value, struct error *err)
{
    int64_t channels = graph->values[value].shape.dim[1];
    struct shape shape = { .rank = 4, .dim = { channels, channels, 1, 1 } };
    struct tensor weights;
    int rc = tensor_create(&weights, TENSOR_F32, &shape, err);
    if (rc)
        return rc;
    for (int64_t i = 0; i < channels; i++)
        ((float *)weights.data)[i * channels + i] = 1;
    int constant = graph_add_constant(graph, "identity", &weights, err);
    tensor_free(&weights);
    if (constant < 0)
        return constant;
    int output = graph_add_value(graph, "handed on", TENSOR_NONE, NULL, err);
    if (output < 0)
        return output;
    int node = graph_add_node(graph, op_find("Conv", 0), "hands on", (int[]){ value, constant }, 2,
                              &output, 1, err);
    return node < 0 ? node : output;
}

static int convolve_outputs(struct graph *graph, struct error *err)
{
    for (int i = 0; i < graph->output_count; i++) {
        int value = graph->outputs[i];
        if (!is_image(&graph->values[value]) || graph->values[value].producer < 0)
            continue;
        int output = add_convolution(graph, value, err);
        if (output < 0)
            return output;
        graph->values[value].is_output = false;
        graph->values[output].is_output = true;
        graph->outputs[i] = output;
    }
    return graph_infer(graph, NULL, err);
}

static bool is_image(const struct value *value)
{
    return value->type == TENSOR_F32 && value->shape.rank == 4;
}

static int add_node(struct graph *graph, const struct ops_case *c, const int *inputs, int count,
                    struct error *err)
{
    const struct op *op = ops_row(c);
    int outputs[OPS_INPUTS_MAX], output_count = c->outputs ? c->outputs : 1;
    if (!op)
        return error_set(err, ERROR_FORMAT, c->op, "no such row in opset %d", c->opset);
    assert(output_count <= OPS_INPUTS_MAX);
    for (int i = 0; i < output_count; i++) {
        outputs[i] = graph_add_value(graph, "output", TENSOR_NONE, NULL, err);
        int rc = outputs[i] < 0 ? outputs[i] : graph_mark_output(graph, outputs[i], err);
        if (rc < 0)
            return rc;
    }
    int node = graph_add_node(graph, op, "case", inputs, count, outputs, output_count, err);
    return node < 0 || !c->attributes ? node : add_attributes(graph, node, c->attributes, err);
}

static int add_attributes(struct graph *graph, int node, const char *text, struct error *err)
{
    int rc = 0;
    while (rc >= 0 && *text) {
        struct attribute attribute = { 0 };
        rc = parse_attribute(&text, &attribute, err);
        if (!rc)
            rc = graph_add_attribute(graph, node, &attribute, err);
        free(attribute.name);
        free(attribute.s);
        free(attribute.ints);
        free(attribute.floats);
        tensor_free(&attribute.t);
        while (*text == ' ')
            text++;
    }
    return rc < 0 ? rc : 0;
}

static int parse_attribute(const char **text, struct attribute *attribute, struct error *err)
{
    const char *equals = strchr(*text, '=');
    if (!equals)
        return wrong(*text, "name=", err);
    attribute->name = strndup(*text, (size_t)(equals - *text));
    *text = equals + 1;
    if (**text == '\'') {
        const char *end = strchr(*text + 1, '\'');
        if (!end)
            return wrong(*text, "a closing quote", err);
        attribute->kind = ATTRIBUTE_STRING;
        attribute->s = strndup(*text + 1, (size_t)(end - *text - 1));
        *text = end + 1;
        return 0;
    }
    if (**text == 'i' || **text == 'f') {
        struct token token;
        struct random_state random = { 0 };
        int rc = parse_token(text, &token, err);
        if (!rc && !token.literal)
            rc = wrong(*text, "numbers in brackets before this", err);
        if (!rc)
            rc = tensor_create(&attribute->t, token.type, &token.shape, err);
        attribute->kind = ATTRIBUTE_TENSOR;
        return rc ? rc : fill_token(&token, 0, false, &random, &attribute->t);
    }
    return parse_attribute_numbers(text, attribute, err);
}

static int parse_attribute_numbers(const char **text, struct attribute *attribute, struct error *err)
{
    size_t length = strcspn(*text, " "), count = 0;
    bool list = memchr(*text, ',', length), floats = memchr(*text, '.', length);
    const char *end = *text + length;
    attribute->ints = calloc(NUMBERS_MAX, sizeof *attribute->ints);
    attribute->floats = calloc(NUMBERS_MAX, sizeof *attribute->floats);
    if (!attribute->ints || !attribute->floats)
        return error_set(err, ERROR_MEMORY, "case", "no memory left");
    while (*text < end) {
        char *behind;
        if (list && length == 1) { /* a comma alone: an empty list */
            ++*text;
            break;
        }
        double number = strtod(*text, &behind);
        if (behind == *text || count == NUMBERS_MAX)
            return wrong(*text, "a number", err);
        attribute->ints[count] = (int64_t)number;
        attribute->floats[count++] = (float)number;
        *text = behind + (*behind == ',');
    }
    attribute->count = count;
    attribute->i = attribute->ints[0];
    attribute->f = attribute->floats[0];
    attribute->kind = floats ? (list ? ATTRIBUTE_FLOATS : ATTRIBUTE_FLOAT)
                             : (list ? ATTRIBUTE_INTS : ATTRIBUTE_INT);
    return 0;
}

/* ---- content ---- */

static int fill_token(const struct token *token, unsigned content, bool first,
                      struct random_state *random, struct tensor *tensor)
{
    int64_t count = shape_elements(&tensor->shape);
    if (tensor->type == TENSOR_F32 && token->literal)
        for (int64_t i = 0; i < count; i++)
            ((float *)tensor->data)[i] = (float)token->numbers[i];
    else if (tensor->type == TENSOR_F32)
        fill_floats(token, content, first, random, tensor->data, count);
    else
        fill_ints(token, content, random, tensor);
    return 0;
}

static void fill_floats(const struct token *token, unsigned content, bool first,
                        struct random_state *random, float *data, int64_t count)
{
    static const float special[] = { (float)NAN, 0,      -0.0f,   1,        -1,       FLT_MIN,
                                     1e30f,      -1e30f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY,
                                     0.5f,       -2.5f,  1.5f,    -0.5f,    100,      3.7f };
    const size_t specials = sizeof special / sizeof *special;
    bool kept = token->mark == '@' || (content == OPS_TINY && !first);
    for (int64_t i = 0; i < count; i++) {
        double unit = random_next_unit(random), x = 2 * unit - 1;
        if (token->mark == '~')
            x = ((double)i - floor((double)count / 2)) / 64;
        else if (token->mark == '!')
            x = x < 0 ? 0.8 * x - 0.2 : 0.8 * x + 0.2;
        else if (token->mark == '+')
            x = unit + 0.1;
        else if (token->mark == '@')
            x = token->low + unit * (token->high - token->low);
        if (!kept && content == OPS_NAN)
            x = (double)special[random_next_u64(random) % specials];
        else if (!kept && content == OPS_INFINITE)
            x = (double)special[1 + random_next_u64(random) % (specials - 1)];
        else if (!kept && content)
            x *= content == OPS_ZERO    ? 0
                 : content == OPS_TINY  ? 1e-39
                 : content == OPS_HUGE  ? 1e12
                 : content == OPS_LARGE ? 1e4
                                        : 1;
        data[i] = (float)(token->mark == '+' ? fabs(x) : x);
        if (content == OPS_COARSE) {
            uint32_t bits;
            memcpy(&bits, &data[i], sizeof bits);
            bits = (bits & 0xffff0000u) | (token->mark == '~' ? 0 : 0x10000u);
            memcpy(&data[i], &bits, sizeof bits);
        }
    }
    if (token->mark == '~')
        shuffle(random, data, count);
}

static void fill_ints(const struct token *token, unsigned content, struct random_state *random,
                      struct tensor *tensor)
{
    static const int64_t special[] = { 0, 1, -1, INT64_MAX, INT64_MIN, INT32_MAX, INT32_MIN, 7 };
    for (int64_t i = 0, count = shape_elements(&tensor->shape); i < count; i++) {
        uint64_t draw = random_next_u64(random);
        int64_t x = (int64_t)(draw % 201) - 100;
        if (token->literal)
            x = (int64_t)token->numbers[i];
        else if (token->mark == '<')
            x = (int64_t)(draw % (uint64_t)token->high);
        else if (content == OPS_ZERO)
            x = 0;
        else if (content == OPS_INFINITE)
            x = special[draw % (sizeof special / sizeof *special)];
        switch (tensor->type) {
        case TENSOR_I64:
            ((int64_t *)tensor->data)[i] = x;
            break;
        case TENSOR_I32:
            ((int32_t *)tensor->data)[i] = (int32_t)x;
            break;
        case TENSOR_BOOL:
            ((uint8_t *)tensor->data)[i] = x & 1;
            break;
        default:
            ((uint8_t *)tensor->data)[i] = (uint8_t)x;
        }
    }
}

static void shuffle(struct random_state *random, float *data, int64_t count)
{
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t k = (int64_t)(random_next_u64(random) % (uint64_t)(i + 1));
        float x = data[i];
        data[i] = data[k];
        data[k] = x;
    }
}

/* ---- letters ---- */

static void expand(const char *text, unsigned index, char *out)
{
    size_t used = 0;
    for (const char *next; (next = next_letter(text)); text = next + 1)
        used += (size_t)snprintf(out + used, OPS_TEXT_BYTES - used, "%.*s%u", (int)(next - text),
                                 text, letter_size(*next, index));
    used += (size_t)snprintf(out + used, OPS_TEXT_BYTES - used, "%s", text);
    assert(used < OPS_TEXT_BYTES);
}

static unsigned letter_size(char letter, unsigned index)
{
    static const unsigned batches[] = { 2, 1, 3, 5 }, channels[] = { 17, 3, 16, 15, 33, 8, 1, 32 };
    static const unsigned others[] = { 5, 2, 8, 7, 3, 13, 1, 4, 6 };
    struct random_state random;
    random_seed(&random, index * 256u + (unsigned char)letter);
    uint64_t draw = random_next_u64(&random);
    if (index == 0)
        return 1;
    if (letter == 'N')
        return batches[draw % (sizeof batches / sizeof *batches)];
    if (letter == 'C' || letter == 'K')
        return channels[draw % (sizeof channels / sizeof *channels)];
    return others[draw % (sizeof others / sizeof *others)];
}

/* The next capital letter that stands where a number might. */
static const char *next_letter(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at >= 'A' && *at <= 'Z' && (at == text || strchr(" x=,{(:<", at[-1])) &&
            strchr(" x,})+!~@<", at[1]))
            return at;
    return NULL;
}
