/* eval_classes: see the header. */
#include "evaluate/eval_classes.h"
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int find_name(const struct eval_names *side, const char *name);
static int take_common(struct eval_classes *classes, const struct eval_names *model,
                       const struct eval_names *truth, struct error *err);
static int take_groups(struct eval_classes *classes, const struct eval_names *model,
                       const struct eval_names *truth, const struct option_list *groups,
                       struct error *err);
static bool add_rest(struct eval_classes *classes, const struct eval_names *model,
                     const struct eval_names *truth);
static void note_left_out(const char *whose, const struct eval_names *side, const int *scored,
                          bool other, struct text *note);

static int *no_classes(size_t count)
{
    int *of = calloc(count > 0 ? count : 1, sizeof *of);
    for (size_t i = 0; of && i < count; i++)
        of[i] = EVAL_CLASS_NONE;
    return of;
}

int eval_classes_open(struct eval_classes *classes, enum score_kind kind,
                      const struct eval_names *model, const struct eval_names *truth,
                      const struct option_list *groups, struct text *note, struct error *err)
{
    size_t names_max = (groups->count > 0 ? groups->count : truth->count) + 1; /* with "other" */
    *classes = (struct eval_classes){ .kind = kind,
                                      .names = calloc(names_max, sizeof *classes->names),
                                      .of_model = no_classes(model->count),
                                      .of_truth = no_classes(truth->count),
                                      .model_count = model->count,
                                      .truth_count = truth->count,
                                      .other = -1 };
    int failed = 0;
    if (!classes->names || !classes->of_model || !classes->of_truth)
        failed = error_set(err, ERROR_MEMORY, "classes", "no room for %zu", names_max);
    if (!failed)
        failed = groups->count > 0 ? take_groups(classes, model, truth, groups, err)
                                   : take_common(classes, model, truth, err);
    if (failed) {
        eval_classes_finish(classes);
        return failed;
    }
    bool other = kind == SCORE_LABELS && add_rest(classes, model, truth);
    note_left_out("the model", model, classes->of_model, other, note);
    note_left_out("the truth", truth, classes->of_truth, other, note);
    if (other) {
        for (size_t i = 0; i < model->count; i++)
            if (classes->of_model[i] == EVAL_CLASS_NONE)
                classes->of_model[i] = classes->other;
        for (size_t i = 0; i < truth->count; i++)
            if (classes->of_truth[i] == EVAL_CLASS_NONE && (int)i != truth->ignore)
                classes->of_truth[i] = classes->other;
    }
    return 0;
}

/* Whether a class of that name is in scored class k. */
static bool is_in(const struct eval_classes *classes, uint32_t k, const char *name,
                  const struct option_list *groups)
{
    const struct eval_group *group = groups->items;
    if ((int)k == classes->other)
        return false; /* even if it is called so */
    if (groups->count == 0)
        return strcasecmp(classes->names[k], name) == 0;
    for (size_t i = 0; i < group[k].classes.count; i++)
        if (strcasecmp(group[k].classes.items[i], name) == 0)
            return true;
    return false;
}

int eval_classes_find(const struct eval_classes *classes, const struct eval_names *model,
                      const struct option_list *groups, int **of, struct error *err)
{
    int *found = no_classes(model->count);
    bool any = false;
    if (!found)
        return error_set(err, ERROR_MEMORY, "classes", "no room for %zu", model->count);
    for (size_t i = 0; i < model->count; i++) {
        for (uint32_t k = 0; found[i] == EVAL_CLASS_NONE && k < classes->count; k++)
            if (is_in(classes, k, model->names[i], groups))
                found[i] = (int)k;
        any = any || found[i] != EVAL_CLASS_NONE;
        if (found[i] == EVAL_CLASS_NONE && classes->other >= 0)
            found[i] = classes->other;
    }
    if (!any) {
        free(found);
        return error_set(err, ERROR_CONFIG, "classes",
                         "it has none of those that are scored: %s, …", classes->names[0]);
    }
    *of = found;
    return 0;
}

void eval_classes_finish(struct eval_classes *classes)
{
    free(classes->names);
    free(classes->of_model);
    free(classes->of_truth);
    *classes = (struct eval_classes){ 0 };
}

static int find_name(const struct eval_names *side, const char *name)
{
    for (size_t i = 0; i < side->count; i++)
        if ((int)i != side->ignore && strcasecmp(side->names[i], name) == 0)
            return (int)i;
    return -1;
}

static int take_common(struct eval_classes *classes, const struct eval_names *model,
                       const struct eval_names *truth, struct error *err)
{
    for (size_t i = 0; i < truth->count; i++) {
        int known = find_name(model, truth->names[i]);
        if ((int)i == truth->ignore || known < 0)
            continue;
        classes->of_truth[i] = classes->of_model[known] = (int)classes->count;
        classes->names[classes->count++] = truth->names[i];
    }
    if (classes->count > 0)
        return 0;
    return error_set(
        err, ERROR_CONFIG, "groups",
        "the truth has no class that the model knows by the same name: %s, …; the model "
        "has %s, …; say in groups which belong together",
        truth->count > 0 ? truth->names[0] : "none", model->names[0]);
}

/* The one of both sides' names that was probably meant. */
static const char *nearest_name(const char *given, const struct eval_names *model,
                                const struct eval_names *truth)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    for (size_t i = 0; i < model->count + truth->count; i++) {
        const char *name = i < model->count ? model->names[i] : truth->names[i - model->count];
        if (text_is_nearer(given, name, &best))
            nearest = name;
    }
    return nearest;
}

/* Sets of[class] where the side has the class; false when another group has it. */
static bool take_class(int *of, int class_id, uint32_t group)
{
    if (class_id < 0)
        return true;
    if (of[class_id] != EVAL_CLASS_NONE && of[class_id] != (int)group)
        return false;
    of[class_id] = (int)group;
    return true;
}

static bool has_group(const int *of, size_t count, uint32_t group)
{
    for (size_t i = 0; i < count; i++)
        if (of[i] == (int)group)
            return true;
    return false;
}

static int take_group(struct eval_classes *classes, const struct eval_names *model,
                      const struct eval_names *truth, const struct eval_group *group,
                      struct error *err)
{
    uint32_t number = classes->count;
    char place[96];
    snprintf(place, sizeof place, "groups: %.80s", group->name);
    for (size_t i = 0; i < group->classes.count; i++) {
        const char *name = group->classes.items[i];
        int of_model = find_name(model, name), of_truth = find_name(truth, name);
        if (of_model < 0 && of_truth < 0) {
            const char *nearest = nearest_name(name, model, truth);
            return error_set(err, ERROR_CONFIG, place,
                             "\"%.80s\" is a class neither of the model nor of the truth%s%s%s",
                             name, nearest ? " (did you mean \"" : "", nearest ? nearest : "",
                             nearest ? "\"?)" : "");
        }
        if (!take_class(classes->of_model, of_model, number) ||
            !take_class(classes->of_truth, of_truth, number))
            return error_set(err, ERROR_CONFIG, place, "%.80s is in another group already", name);
    }
    bool of_model = has_group(classes->of_model, model->count, number);
    if (!of_model || !has_group(classes->of_truth, truth->count, number))
        return error_set(err, ERROR_CONFIG, place, "has no class of %s, so nothing could match",
                         of_model ? "the truth" : "the model");
    classes->names[classes->count++] = group->name;
    return 0;
}

static int take_groups(struct eval_classes *classes, const struct eval_names *model,
                       const struct eval_names *truth, const struct option_list *groups,
                       struct error *err)
{
    const struct eval_group *items = groups->items;
    int failed = 0;
    for (size_t i = 0; !failed && i < groups->count; i++)
        failed = take_group(classes, model, truth, &items[i], err);
    return failed;
}

static bool any_left(const struct eval_names *side, const int *scored)
{
    for (size_t i = 0; i < side->count; i++)
        if (scored[i] == EVAL_CLASS_NONE && (int)i != side->ignore)
            return true;
    return side->gaps;
}

/* Every pixel is of some class: what is in none of those that are scored is scored as one more, so
 * that a pedestrian found on the bare road counts as wrong. */
static bool add_rest(struct eval_classes *classes, const struct eval_names *model,
                     const struct eval_names *truth)
{
    if (!any_left(model, classes->of_model) && !any_left(truth, classes->of_truth))
        return false;
    classes->other = (int)classes->count;
    classes->names[classes->count++] = "other";
    return true;
}

static void note_left_out(const char *whose, const struct eval_names *side, const int *scored,
                          bool other, struct text *note)
{
    bool any = false;
    for (size_t i = 0; i < side->count; i++) {
        if (scored[i] != EVAL_CLASS_NONE || (int)i == side->ignore)
            continue;
        if (any)
            text_printf(note, ", %s", side->names[i]);
        else
            text_printf(note, "%s of %s: %s", other ? "scored as \"other\"" : "not scored", whose,
                        side->names[i]);
        any = true;
    }
    text_add_str(note, any ? "\n" : "");
}
