/* sizes: names of free sizes. A file says "batch x 3 x height x width", and who runs it says how much that is, by
 * name. A value keeps its names in one text, as most values have none: "batch,,height,width". */
#include "graph/graph.h"
#include "graph/parts.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_NAME_BYTES 64u /* the rest of a longer one is left off */

static void list_names(const struct graph *graph, char *text, size_t text_bytes);

int graph_name_sizes(struct graph *graph, int value, const char *const *names, struct error *err)
{
    char text[SHAPE_RANK_MAX * SIZE_NAME_BYTES];
    size_t used = 0;
    struct value *named = &graph->values[value];
    for (int i = 0; i < named->shape.rank; i++) {
        const char *name = names[i] ? names[i] : "";
        for (size_t k = 0; name[k] && k < SIZE_NAME_BYTES - 1; k++)
            text[used++] = name[k] == ',' || name[k] < ' ' ? '_' : name[k];
        text[used++] = ',';
    }
    char *copy = strndup(text, used);
    if (!copy)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    free(named->size_names);
    named->size_names = copy;
    return 0;
}

bool value_size_name(const struct value *value, int dim, char *name, size_t name_bytes)
{
    assert(dim >= 0 && dim < value->shape.rank);
    const char *at = value->size_names;
    name[0] = '\0';
    if (!at || value->shape.dim[dim] >= 0)
        return false;
    for (int i = 0; i < dim; i++) {
        at = strchr(at, ',');
        if (!at++)
            return false; /* the shape has become another since */
    }
    snprintf(name, name_bytes, "%.*s", (int)strcspn(at, ","), at);
    return *name != '\0';
}

void value_format_shape(const struct value *value, char *text, size_t text_bytes)
{
    size_t used = 0;
    char name[SIZE_NAME_BYTES];
    bool named = false;
    for (int i = 0; i < value->shape.rank; i++)
        named |= value_size_name(value, i, name, sizeof name);
    if (!named) {
        shape_format(&value->shape, text, text_bytes);
        return;
    }
    for (int i = 0; i < value->shape.rank && used < text_bytes; i++) {
        if (value->shape.dim[i] >= 0)
            snprintf(name, sizeof name, "%lld", (long long)value->shape.dim[i]);
        else if (!value_size_name(value, i, name, sizeof name))
            snprintf(name, sizeof name, "?");
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", i ? " x " : "", name);
    }
}

int graph_set_size(struct graph *graph, const char *name, int64_t size, struct error *err)
{
    bool found = false;
    for (int i = 0; i < graph->input_count; i++) {
        struct value *input = &graph->values[graph->inputs[i]];
        for (int d = 0; d < input->shape.rank; d++) {
            char known[SIZE_NAME_BYTES];
            if (!value_size_name(input, d, known, sizeof known) || strcmp(known, name) != 0)
                continue;
            input->shape.dim[d] = size;
            found = true;
        }
    }
    if (found)
        return 0;
    char names[256];
    list_names(graph, names, sizeof names);
    return error_set(err, ERROR_CONFIG, name, "is no free size of the model; it has %s",
                     *names ? names : "none that has a name");
}

/* "batch, height, width": each once. */
static void list_names(const struct graph *graph, char *text, size_t text_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < graph->input_count; i++) {
        const struct value *input = &graph->values[graph->inputs[i]];
        for (int d = 0; d < input->shape.rank; d++) {
            char name[SIZE_NAME_BYTES], *known;
            if (!value_size_name(input, d, name, sizeof name) ||
                ((known = strstr(text, name)) && (known[strlen(name)] == ',' || !known[strlen(name)])))
                continue;
            if (used + strlen(name) + 3 > text_bytes)
                return;
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", used ? ", " : "", name);
        }
    }
}
