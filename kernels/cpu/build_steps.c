/* build_steps: steps of a plan in the making: primitives of oneDNN, copies, our own. */
#include "cpu/build_inside.h"
#include "cpu/thin.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int add_copy(struct build *build, struct cpu_place *from, struct cpu_place *to,
                    struct error *err);
static int add_step(struct build *build, struct cpu_step step, struct cpu_place *const *places,
                    int place_count, struct error *err);
static int describe(struct build *build, const void *desc, dnnl_primitive_attr_t attr,
                    dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *pd, struct error *err);
static int ensure_memory(struct build *build, struct cpu_place *place, struct error *err);
static int describe_reorder(struct build *build, const dnnl_memory_desc_t *from,
                            const dnnl_memory_desc_t *to, dnnl_primitive_desc_t *pd,
                            struct error *err);
static int run_copy_bytes(const struct cpu_step *step, struct error *err);
static int failed(const struct build *build, dnnl_status_t status, const char *what,
                  struct error *err);

int build_copy(struct build *build, struct cpu_place *from, struct cpu_place *to, struct error *err)
{
    int rc = add_copy(build, from, to, err);
    if (!rc)
        build->plan->steps[build->plan->step_count - 1].is_copy = true;
    return rc;
}

int build_reorder(struct build *build, struct cpu_place *from, struct cpu_place *to, struct error *err)
{
    dnnl_primitive_desc_t pd = NULL;
    int rc = describe_reorder(build, &from->md, &to->md, &pd, err);
    if (rc)
        return rc;
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_FROM, from);
    build_add_arg(&args, DNNL_ARG_TO, to);
    return build_primitive(build, pd, &args, 0, err);
}

void build_add_arg(struct build_args *args, int id, struct cpu_place *place)
{
    assert(place && args->count < BUILD_ARGS_MAX);
    args->ids[args->count] = id;
    args->places[args->count++] = place;
}

int build_primitive(struct build *build, dnnl_primitive_desc_t pd, struct build_args *args,
                    uint64_t flop, struct error *err)
{
    int rc = 0;
    struct cpu_step step = { .flop = flop };
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    if (scratch && dnnl_memory_desc_get_size(scratch) > 0) {
        struct cpu_place *place = NULL;
        rc = build_new_opaque(build, scratch, &place, err);
        if (rc)
            goto fail;
        build_add_arg(args, DNNL_ARG_SCRATCHPAD, place);
    }
    step.implementation = strdup(build_implementation(pd));
    step.args = calloc((size_t)args->count, sizeof *step.args);
    if (!step.implementation || !step.args) {
        rc = build_out_of_memory(err);
        goto fail;
    }
    for (int i = 0; i < args->count; i++) {
        rc = ensure_memory(build, args->places[i], err);
        if (rc)
            goto fail;
        step.args[i] = (dnnl_exec_arg_t){ .arg = args->ids[i], .memory = args->places[i]->memory };
    }
    dnnl_status_t status = dnnl_primitive_create(&step.primitive, pd);
    if (status) {
        rc = failed(build, status, "making its code", err);
        goto fail;
    }
    dnnl_primitive_desc_destroy(pd);
    return add_step(build, step, args->places, args->count, err);
fail:
    dnnl_primitive_desc_destroy(pd);
    free(step.implementation);
    free(step.args);
    return rc;
}

int build_describe(struct build *build, const void *desc, dnnl_primitive_attr_t attr,
                   dnnl_primitive_desc_t *pd, struct error *err)
{
    return describe(build, desc, attr, NULL, pd, err);
}

int build_describe_gradient(struct build *build, const void *desc, dnnl_primitive_desc_t forward,
                            dnnl_primitive_desc_t *pd, struct error *err)
{
    return describe(build, desc, NULL, forward, pd, err);
}

const char *build_implementation(dnnl_primitive_desc_t pd)
{
    const char *text = NULL;
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &text) || !text)
        return "unknown";
    return text;
}

/* oneDNN's plain reference code is hundreds of times slower than its generated code. */
bool build_is_slow(dnnl_primitive_desc_t pd)
{
    return strncmp(build_implementation(pd), "ref", 3) == 0;
}

int build_c_step(struct build *build, const char *implementation,
                 int (*run)(const struct cpu_step *step, struct error *err), void *state,
                 struct cpu_place *const *places, int place_count, struct error *err)
{
    struct cpu_step step = {
        .implementation = strdup(implementation),
        .run = run,
        .state = state,
    };
    if (!step.implementation) {
        free(state);
        return build_out_of_memory(err);
    }
    return add_step(build, step, places, place_count, err);
}

void build_set_flop(struct build *build, uint64_t flop)
{
    struct cpu_plan *plan = build->plan;
    plan->plan.flop += flop - plan->steps[plan->step_count - 1].flop;
    plan->steps[plan->step_count - 1].flop = flop;
}

/* ---- inside ---- */

int build_grow(void **items, int *capacity, int count, size_t item_bytes, struct error *err)
{
    if (count < *capacity)
        return 0;
    int wanted = *capacity ? *capacity * 2 : 64;
    void *more = realloc(*items, (size_t)wanted * item_bytes);
    if (!more)
        return build_out_of_memory(err);
    *items = more;
    *capacity = wanted;
    return 0;
}

int build_reorder_now(struct build *build, const dnnl_memory_desc_t *from_md, void *from,
                      const dnnl_memory_desc_t *to_md, void *to, struct error *err)
{
    dnnl_memory_t from_memory = NULL, to_memory = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_engine_t engine = build->device->engine;
    dnnl_status_t status = dnnl_memory_create(&from_memory, from_md, engine, from);
    if (!status)
        status = dnnl_memory_create(&to_memory, to_md, engine, to);
    if (!status)
        status = dnnl_reorder_primitive_desc_create(&pd, from_md, engine, to_md, engine, NULL);
    if (!status)
        status = dnnl_primitive_create(&primitive, pd);
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from_memory }, { DNNL_ARG_TO, to_memory } };
    if (!status)
        status = dnnl_primitive_execute(primitive, build->device->stream, 2, args);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    if (to_memory)
        dnnl_memory_destroy(to_memory);
    if (from_memory)
        dnnl_memory_destroy(from_memory);
    return status ? failed(build, status, "rearranging weights", err) : 0;
}

static int add_copy(struct build *build, struct cpu_place *from, struct cpu_place *to,
                    struct error *err)
{
    if (!layout_md(&from->layout, &from->md) || !layout_md(&to->layout, &to->md)) {
        assert(layout_equal(&from->layout, &to->layout) && layout_is_dense(&to->layout));
        struct cpu_place *places[] = { from, to };
        return build_c_step(build, "copy", run_copy_bytes, NULL, places, 2, err);
    }
    if (thin_copies(&from->layout, &to->layout))
        return thin_add_step(build, from, (int64_t[]){ 1, 1 }, to, err);
    return build_reorder(build, from, to, err);
}

/* Takes over what step owns, also when it fails. */
static int add_step(struct build *build, struct cpu_step step, struct cpu_place *const *places,
                    int place_count, struct error *err)
{
    struct cpu_plan *plan = build->plan;
    step.op = build->op;
    step.name = build->name;
    step.shape = build->shape;
    step.type = places[0]->layout.shape.rank >= 0 ? places[0]->layout.type : TENSOR_F32;
    step.place_count = place_count;
    step.places = calloc((size_t)place_count + 1, sizeof *step.places);
    int rc = step.places ? 0 : build_out_of_memory(err);
    if (!rc)
        rc = build_grow((void **)&plan->steps, &plan->step_capacity, plan->step_count,
                        sizeof *plan->steps, err);
    if (rc) {
        if (step.primitive)
            dnnl_primitive_destroy(step.primitive);
        free(step.implementation);
        free(step.state);
        free(step.places);
        free(step.args);
        return rc;
    }
    memcpy(step.places, places, (size_t)place_count * sizeof *places);
    plan->steps[plan->step_count++] = step;
    plan->plan.flop += step.flop;
    return 0;
}

/* attr and forward may be NULL. */
static int describe(struct build *build, const void *desc, dnnl_primitive_attr_t attr,
                    dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *pd, struct error *err)
{
    dnnl_primitive_attr_t own = attr;
    if (!own && dnnl_primitive_attr_create(&own))
        return build_out_of_memory(err);
    dnnl_status_t status = dnnl_primitive_attr_set_scratchpad_mode(own, dnnl_scratchpad_mode_user);
    if (!status)
        status = dnnl_primitive_desc_create(pd, desc, own, build->device->engine, forward);
    if (!attr)
        dnnl_primitive_attr_destroy(own);
    return status ? failed(build, status, "choosing an implementation", err) : 0;
}

static int ensure_memory(struct build *build, struct cpu_place *place, struct error *err)
{
    if (place->memory)
        return 0;
    assert(place->md.ndims > 0);
    dnnl_status_t status =
        dnnl_memory_create(&place->memory, &place->md, build->device->engine, DNNL_MEMORY_NONE);
    return status ? failed(build, status, "describing memory", err) : 0;
}

static int describe_reorder(struct build *build, const dnnl_memory_desc_t *from,
                            const dnnl_memory_desc_t *to, dnnl_primitive_desc_t *pd,
                            struct error *err)
{
    dnnl_primitive_attr_t attr;
    if (dnnl_primitive_attr_create(&attr))
        return build_out_of_memory(err);
    dnnl_engine_t engine = build->device->engine;
    dnnl_status_t status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (!status)
        status = dnnl_reorder_primitive_desc_create(pd, from, engine, to, engine, attr);
    dnnl_primitive_attr_destroy(attr);
    return status ? failed(build, status, "rearranging data", err) : 0;
}

static int run_copy_bytes(const struct cpu_step *step, struct error *err)
{
    (void)err;
    memcpy(step->places[1]->data, step->places[0]->data, layout_bytes(&step->places[0]->layout));
    return 0;
}

static int failed(const struct build *build, dnnl_status_t status, const char *what, struct error *err)
{
    return cpu_dnnl_error(err, status, build->op, build->name, what);
}

#undef build_out_of_memory /* what only an analyser sees around it above */

int build_out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
}
