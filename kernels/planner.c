/* planner: a small cache of plans. What a plan was made for is kept beside it and compared in full: shapes are
 * few numbers, and values that decide shapes are small (GRAPH_BOUND_BYTES_MAX). */
#include "planner.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct plan *plan;     /* NULL: nothing is kept here */
    struct tensor *inputs; /* what it was made for; with data where the values decided */
    uint64_t used;         /* the planner's clock when it was used last */
};

struct planner {
    struct device *device; /* borrowed */
    struct graph *graph;
    struct planner_options options;
    bool *bound; /* for each input */
    struct kept *kept;
    uint64_t clock; /* uses */
    struct planner_counts counts;
};

static int check_inputs(const struct planner *planner, const struct tensor *const *inputs,
                        struct error *err);
static struct kept *find(struct planner *planner, const struct tensor *const *inputs);
static bool is_for(const struct planner *planner, const struct kept *kept,
                   const struct tensor *const *inputs);
static struct kept *make_room(struct planner *planner);
static int make(struct planner *planner, struct kept *kept, const struct tensor *const *inputs,
                struct error *err);
static int keep_inputs(const struct planner *planner, struct kept *kept,
                       const struct tensor *const *inputs, struct error *err);
static void fill_inputs(const struct planner *planner, const struct kept *kept,
                        const struct tensor *const *inputs);
static void drop(const struct planner *planner, struct kept *kept);

int planner_open(struct planner **planner, struct device *device, const struct graph *graph,
                 const struct planner_options *options, struct error *err)
{
    assert(options->plans <= PLANNER_PLANS_MAX);
    struct planner *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "planner", "no memory left");
    fresh->device = device;
    fresh->options = *options;
    if (fresh->options.plans == 0)
        fresh->options.plans = PLANNER_PLANS_DEFAULT;
    int rc = graph_clone(&fresh->graph, graph, err);
    fresh->bound = calloc((size_t)graph->input_count + 1, sizeof *fresh->bound);
    fresh->kept = calloc(fresh->options.plans, sizeof *fresh->kept);
    if (!rc && (!fresh->bound || !fresh->kept))
        rc = error_set(err, ERROR_MEMORY, "planner", "no memory left");
    if (rc)
        planner_close(&fresh);
    else
        *planner = fresh;
    return rc;
}

void planner_close(struct planner **planner)
{
    struct planner *old = *planner;
    if (!old)
        return;
    for (uint32_t i = 0; old->kept && i < old->options.plans; i++)
        drop(old, &old->kept[i]);
    free(old->kept);
    free(old->bound);
    graph_free(&old->graph);
    free(old);
    *planner = NULL;
}

int planner_plan(struct planner *planner, const struct tensor *const *inputs, struct plan **plan,
                 struct error *err)
{
    int rc = check_inputs(planner, inputs, err);
    if (rc)
        return rc;
    struct kept *kept = find(planner, inputs);
    if (kept) {
        planner->counts.found++;
    } else {
        kept = make_room(planner);
        rc = make(planner, kept, inputs, err);
        if (rc) {
            drop(planner, kept);
            return rc;
        }
        planner->counts.compiled++;
    }
    kept->used = ++planner->clock;
    fill_inputs(planner, kept, inputs);
    *plan = kept->plan;
    return 0;
}

int planner_run(struct planner *planner, const struct tensor *const *inputs, struct plan **plan,
                struct error *err)
{
    int rc = planner_plan(planner, inputs, plan, err);
    return rc ? rc : plan_run(*plan, err);
}

bool planner_is_bound(const struct planner *planner, size_t input)
{
    assert(input < (size_t)planner->graph->input_count);
    return planner->bound[input];
}

void planner_get_counts(const struct planner *planner, struct planner_counts *counts)
{
    *counts = planner->counts;
    counts->kept = counts->bound = 0;
    for (uint32_t i = 0; i < planner->options.plans; i++)
        counts->kept += planner->kept[i].plan != NULL;
    for (int i = 0; i < planner->graph->input_count; i++)
        counts->bound += planner->bound[i];
}

static int check_inputs(const struct planner *planner, const struct tensor *const *inputs,
                        struct error *err)
{
    for (int i = 0; i < planner->graph->input_count; i++) {
        const struct value *value = &planner->graph->values[planner->graph->inputs[i]];
        if (inputs[i]->type != value->type)
            return error_set(err, ERROR_FORMAT, value->name, "%s given, %s wanted",
                             tensor_type_word(inputs[i]->type), tensor_type_word(value->type));
        if (shape_elements(&inputs[i]->shape) < 0)
            return error_set(err, ERROR_LIMIT, value->name, "the input is too large");
    }
    return 0;
}

static struct kept *find(struct planner *planner, const struct tensor *const *inputs)
{
    for (uint32_t i = 0; i < planner->options.plans; i++)
        if (planner->kept[i].plan && is_for(planner, &planner->kept[i], inputs))
            return &planner->kept[i];
    return NULL;
}

/* Values that were not bound when the plan was made did not matter to it. */
static bool is_for(const struct planner *planner, const struct kept *kept,
                   const struct tensor *const *inputs)
{
    for (int i = 0; i < planner->graph->input_count; i++) {
        const struct tensor *made_for = &kept->inputs[i];
        if (!shape_equal(&made_for->shape, &inputs[i]->shape) ||
            (made_for->data && memcmp(made_for->data, inputs[i]->data, tensor_bytes(made_for)) != 0))
            return false;
    }
    return true;
}

/* An empty place, or that of the plan that was used longest ago. */
static struct kept *make_room(struct planner *planner)
{
    struct kept *oldest = &planner->kept[0];
    for (uint32_t i = 0; i < planner->options.plans; i++) {
        struct kept *kept = &planner->kept[i];
        if (!kept->plan)
            return kept;
        if (kept->used < oldest->used)
            oldest = kept;
    }
    drop(planner, oldest);
    planner->counts.dropped++;
    return oldest;
}

static int make(struct planner *planner, struct kept *kept, const struct tensor *const *inputs,
                struct error *err)
{
    const struct plan_options options = { .precision = planner->options.precision };
    struct graph *inferred = NULL;
    int rc = graph_infer_for(&inferred, planner->graph, inputs, planner->bound, err);
    if (!rc)
        rc = device_compile(planner->device, inferred, &options, &kept->plan, err);
    graph_free(&inferred);
    return rc ? rc : keep_inputs(planner, kept, inputs, err);
}

static int keep_inputs(const struct planner *planner, struct kept *kept,
                       const struct tensor *const *inputs, struct error *err)
{
    int count = planner->graph->input_count, rc = 0;
    kept->inputs = calloc((size_t)count + 1, sizeof *kept->inputs);
    if (!kept->inputs)
        return error_set(err, ERROR_MEMORY, "planner", "no memory left");
    for (int i = 0; !rc && i < count; i++) {
        struct tensor *to = &kept->inputs[i];
        *to = (struct tensor){ .type = inputs[i]->type, .shape = inputs[i]->shape };
        if (!planner->bound[i])
            continue;
        rc = tensor_create(to, inputs[i]->type, &inputs[i]->shape, err);
        if (!rc)
            memcpy(to->data, inputs[i]->data, tensor_bytes(to));
    }
    return rc;
}

static void fill_inputs(const struct planner *planner, const struct kept *kept,
                        const struct tensor *const *inputs)
{
    size_t at = 0;
    for (int i = 0; i < planner->graph->input_count; i++) {
        if (kept->inputs[i].data)
            continue;
        const struct tensor *to = plan_input(kept->plan, at++);
        assert(shape_equal(&to->shape, &inputs[i]->shape));
        memcpy(to->data, inputs[i]->data, tensor_bytes(to));
    }
    assert(at == plan_input_count(kept->plan));
}

static void drop(const struct planner *planner, struct kept *kept)
{
    for (int i = 0; kept->inputs && i < planner->graph->input_count; i++)
        tensor_free(&kept->inputs[i]);
    free(kept->inputs);
    plan_free(&kept->plan);
    *kept = (struct kept){ 0 };
}
