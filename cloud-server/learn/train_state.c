/* train_state: a training as a checkpoint: recipe, history, what was summed up since its last row, the
 * weights of classes, and every state of the plan in the plan's order. */
#include "base/log.h"
#include "learn/checkpoint.h"
#include "learn/train_parts.h"
#include "onnx/onnx.h"
#include "train/train.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PARTS 4u /* before the states */

static const char *const part_names[FIRST_PARTS] = { "recipe", "history", "sum", "class_weights" };

static struct checkpoint_part *make_parts(const struct train *train, size_t *count)
{
    *count = FIRST_PARTS + plan_state_count(train->plan);
    struct checkpoint_part *parts = calloc(*count, sizeof *parts);
    const struct checkpoint_part first[FIRST_PARTS] = {
        { part_names[0], train->config->recipe, strlen(train->config->recipe) },
        { part_names[1], train->history.rows, train->history.count * sizeof *train->history.rows },
        { part_names[2], &train->sum, sizeof train->sum },
        { part_names[3], train->class_weights, sizeof train->class_weights },
    };
    if (!parts)
        return NULL;
    memcpy(parts, first, sizeof first);
    for (size_t i = FIRST_PARTS; i < *count; i++) {
        const struct tensor *state = plan_state(train->plan, i - FIRST_PARTS);
        parts[i] = (struct checkpoint_part){ plan_state_name(train->plan, i - FIRST_PARTS),
                                             state->data, tensor_bytes(state) };
    }
    return parts;
}

/* ---- saving ---- */

static int check_finite(const struct train *train, struct error *err)
{
    for (size_t i = 0; i < plan_state_count(train->plan); i++) {
        const struct tensor *state = plan_state(train->plan, i);
        for (int64_t k = 0, n = shape_elements(&state->shape); state->type == TENSOR_F32 && k < n; k++)
            if (!isfinite(((const float *)state->data)[k]))
                return error_set(
                    err, ERROR_LIMIT, "train",
                    "%s has grown beyond all numbers by step %llu: lower the rate; the "
                    "last good checkpoint in %s stays",
                    plan_state_name(train->plan, i), (unsigned long long)train->step,
                    train->config->out);
    }
    return 0;
}

int train_save(const struct train *train, struct error *err)
{
    size_t count;
    int rc = plan_get_states(train->plan, err);
    if (rc == 0)
        rc = check_finite(train, err);
    if (rc < 0)
        return rc;
    struct checkpoint_part *parts = make_parts(train, &count);
    if (!parts)
        return error_set(err, ERROR_MEMORY, "checkpoint", "no room for its parts");
    rc = checkpoint_write(train->config->out, train->step, parts, count, err);
    free(parts);
    return rc;
}

/* ---- going on ---- */

/* The first line that differs, of two texts that do. */
static int refuse_recipe(const struct train *train, const char *theirs, size_t size, struct error *err)
{
    const char *ours = train->config->recipe, *end = theirs + size;
    while (*ours && theirs < end) {
        size_t a = strcspn(ours, "\n");
        const char *line_end = memchr(theirs, '\n', (size_t)(end - theirs));
        size_t b = line_end ? (size_t)(line_end - theirs) : (size_t)(end - theirs);
        if (a != b || memcmp(ours, theirs, a) != 0)
            return error_set(
                err, ERROR_CONFIG, train->config->out,
                "has checkpoints of another training, with \"%.*s\" where this one has "
                "\"%.*s\": take them away, or name another folder",
                (int)(b < 80 ? b : 80), theirs, (int)(a < 80 ? a : 80), ours);
        ours += a + (ours[a] == '\n');
        theirs += b + (line_end != NULL);
    }
    return error_set(err, ERROR_CONFIG, train->config->out,
                     "has checkpoints of another training: take them away, or name another folder");
}

static int check_parts(const struct train *train, const struct checkpoint_part *parts, size_t count,
                       struct error *err)
{
    const char *recipe = train->config->recipe;
    if (count < FIRST_PARTS || strcmp(parts[0].name, part_names[0]) != 0)
        return error_set(err, ERROR_FORMAT, train->config->out, "has checkpoints of something else");
    if (parts[0].size != strlen(recipe) || memcmp(parts[0].data, recipe, parts[0].size) != 0)
        return refuse_recipe(train, parts[0].data, parts[0].size, err);
    bool fits = count == FIRST_PARTS + plan_state_count(train->plan) &&
                parts[1].size % sizeof(struct train_row) == 0 &&
                parts[2].size == sizeof train->sum && parts[3].size == sizeof train->class_weights;
    for (size_t i = FIRST_PARTS; fits && i < count; i++)
        fits = strcmp(parts[i].name, plan_state_name(train->plan, i - FIRST_PARTS)) == 0 &&
               parts[i].size == tensor_bytes(plan_state(train->plan, i - FIRST_PARTS));
    return fits ? 0
                : error_set(err, ERROR_FORMAT, train->config->out,
                            "has checkpoints of another version of this program: take them away");
}

static int take_parts(struct train *train, const struct checkpoint_part *parts, size_t count,
                      struct error *err)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < parts[1].size; at += sizeof(struct train_row)) {
        struct train_row row;
        memcpy(&row, (const char *)parts[1].data + at, sizeof row);
        rc = train_history_add(&train->history, &row, err);
    }
    memcpy(&train->sum, parts[2].data, sizeof train->sum);
    memcpy(train->class_weights, parts[3].data, sizeof train->class_weights);
    for (size_t i = FIRST_PARTS; i < count; i++)
        memcpy(plan_state(train->plan, i - FIRST_PARTS)->data, parts[i].data, parts[i].size);
    return rc < 0 ? rc : plan_set_states(train->plan, err);
}

int train_resume(struct train *train, struct error *err)
{
    struct checkpoint *checkpoint;
    struct error damaged;
    size_t count;
    int rc = checkpoint_read(&checkpoint, train->config->out, &damaged, err);
    if (rc < 0)
        return rc;
    if (damaged.code != ERROR_NONE)
        log_warn("train", "a checkpoint is passed over", LOG_CAUSE(&damaged));
    if (!checkpoint)
        return 0;
    const struct checkpoint_part *parts = checkpoint_parts(checkpoint, &count);
    rc = check_parts(train, parts, count, err);
    if (rc == 0)
        rc = take_parts(train, parts, count, err);
    if (rc == 0)
        train->step = checkpoint_step(checkpoint);
    checkpoint_free(&checkpoint);
    return rc;
}

/* ---- beginning with what another has learnt ---- */

static bool ends_with(const char *name, const char *suffix)
{
    size_t size = strlen(name), behind = strlen(suffix);
    return size >= behind && strcmp(name + size - behind, suffix) == 0;
}

/* What was exported of it: the average, where there is one. `name`: of a state without its suffix. */
static const struct checkpoint_part *find_part(const struct checkpoint *checkpoint,
                                               const char *name, size_t name_bytes)
{
    size_t count;
    const struct checkpoint_part *parts = checkpoint_parts(checkpoint, &count), *found = NULL;
    for (size_t i = FIRST_PARTS; i < count; i++) {
        if (strncmp(parts[i].name, name, name_bytes) != 0)
            continue;
        if (strcmp(parts[i].name + name_bytes, TRAIN_AVERAGE_SUFFIX) == 0)
            return &parts[i];
        if (parts[i].name[name_bytes] == '\0')
            found = &parts[i];
    }
    return found;
}

/* Bytes of the name that a state has in the network: of a weight or its average; 0: it is neither. */
static size_t name_in_network(const char *name)
{
    size_t bytes = strlen(name);
    if (ends_with(name, ".moment") || ends_with(name, ".moment2"))
        return 0;
    return ends_with(name, TRAIN_AVERAGE_SUFFIX) ? bytes - strlen(TRAIN_AVERAGE_SUFFIX) : bytes;
}

static size_t take_weights(struct train *train, const struct checkpoint *checkpoint)
{
    size_t taken = 0;
    for (size_t i = 0; i < plan_state_count(train->plan); i++) {
        const char *name = plan_state_name(train->plan, i);
        const struct tensor *state = plan_state(train->plan, i);
        size_t bytes = name_in_network(name);
        if (bytes == 0)
            continue;
        const struct checkpoint_part *part = find_part(checkpoint, name, bytes);
        if (!part || part->size != tensor_bytes(state))
            continue;
        memcpy(state->data, part->data, part->size);
        taken++;
    }
    return taken;
}

/* ---- beginning with a finished model ---- */

bool train_starts_from_model(const struct train_config *config)
{
    char path[PATH_MAX];
    int bytes = snprintf(path, sizeof path, "%s/" CARD_FILE_NAME, config->start);
    return *config->start && bytes < (int)sizeof path && access(path, F_OK) == 0;
}

/* Scores have the order of the classes. */
static int check_classes(const struct train *train, const struct card *card, struct error *err)
{
    bool same = card->classes.count == train->class_count;
    for (uint32_t k = 0; same && k < train->class_count; k++)
        same = strcmp(card->classes.items[k], train->class_names[k]) == 0;
    return same ? 0
                : error_set(err, ERROR_CONFIG, card->name,
                            "has other classes than data.classes, or in another order");
}

static const struct tensor *find_constant(const struct graph *graph, const char *name, size_t bytes)
{
    for (int v = 0; v < graph->value_count; v++) {
        const struct value *value = &graph->values[v];
        if (value->constant.data && strncmp(value->name, name, bytes) == 0 && !value->name[bytes])
            return &value->constant;
    }
    return NULL;
}

static int take_constants(struct train *train, const struct graph *graph, struct error *err)
{
    for (size_t i = 0; i < plan_state_count(train->plan); i++) {
        const char *name = plan_state_name(train->plan, i);
        const struct tensor *state = plan_state(train->plan, i);
        size_t bytes = name_in_network(name);
        if (bytes == 0)
            continue;
        const struct tensor *constant = find_constant(graph, name, bytes);
        if (!constant || constant->type != state->type ||
            !shape_equal(&constant->shape, &state->shape))
            return error_set(err, ERROR_CONFIG, train->config->start,
                             "is no model of this task and size: its %.*s does not fit", (int)bytes,
                             name);
        memcpy(state->data, constant->data, tensor_bytes(state));
    }
    return 0;
}

static int start_from_model(struct train *train, const char *folder, struct error *err)
{
    struct card *card = NULL;
    struct graph *graph = NULL;
    int rc = card_read(&card, folder, err);
    if (rc == 0 && train->config->task == TRAIN_SEGMENT)
        rc = check_classes(train, card, err);
    if (rc == 0)
        rc = onnx_read_file(&graph, card->file_path, err);
    if (rc == 0)
        rc = take_constants(train, graph, err);
    graph_free(&graph);
    card_free(&card);
    return rc;
}

static int start_from_training(struct train *train, const char *folder, struct error *err)
{
    struct checkpoint *checkpoint;
    struct error damaged;
    int rc = checkpoint_read(&checkpoint, folder, &damaged, err);
    if (rc == 0 && !checkpoint)
        rc = error_set(err, ERROR_CONFIG, folder,
                       "has no checkpoint to begin with, and no " CARD_FILE_NAME);
    if (rc == 0 && take_weights(train, checkpoint) == 0)
        rc = error_set(err, ERROR_CONFIG, folder, "is of another network: none of its weights fits");
    checkpoint_free(&checkpoint);
    return rc;
}

int train_start_from(struct train *train, const char *folder, struct error *err)
{
    int rc = plan_get_states(train->plan, err); /* some of them stay */
    if (rc == 0)
        rc = train_starts_from_model(train->config) ? start_from_model(train, folder, err)
                                                    : start_from_training(train, folder, err);
    if (rc == 0)
        rc = plan_set_states(train->plan, err);
    return rc < 0 ? error_wrap(err, "start") : 0;
}
