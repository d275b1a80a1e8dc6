/* eval_models: see the header. */
#include "evaluate/eval_models.h"

#include "analyse/head.h"
#include <stdlib.h>

static int read_one(struct eval_model *model, const char *key, const char *folder, struct error *err)
{
    int failed = card_read(&model->card, folder, err);
    return failed ? error_wrap(err, "%s", key) : 0;
}

static int check_kind(const struct eval_model *model, const struct eval_model *first,
                      struct error *err)
{
    bool areas = head_finds_areas(model->card->head.kind);
    if (areas == head_finds_areas(first->card->head.kind))
        return 0;
    return error_set(err, ERROR_CONFIG, "tuned", "%s finds %s, which the model %s does not",
                     model->name, areas ? "areas" : "boxes", first->card->name);
}

int eval_models_read(struct eval_models *models, const struct eval_config *config, struct error *err)
{
    *models = (struct eval_models){ .count = 1 };
    int failed = read_one(&models->items[0], "model", config->model, err);
    for (size_t i = 0; !failed && i < config->tuned.count; i++) {
        struct eval_model *model = &models->items[models->count++];
        char key[64];
        snprintf(key, sizeof key, "tuned %s", config->tuned_list[i].name);
        model->name = config->tuned_list[i].name;
        failed = read_one(model, key, config->tuned_list[i].folder, err);
        if (!failed)
            failed = check_kind(model, &models->items[0], err);
    }
    return failed;
}

static void note_missing(const struct eval_model *model, const struct eval_classes *classes,
                         struct text *note)
{
    bool any = false;
    for (int k = 0; k < (int)classes->count; k++) {
        size_t i = 0;
        while (i < model->card->classes.count && model->of_class[i] != k)
            i++;
        if (i < model->card->classes.count || k == classes->other)
            continue;
        if (!any)
            text_printf(note, "%s never finds: ", model->name);
        text_printf(note, "%s%s", any ? ", " : "", classes->names[k]);
        any = true;
    }
    text_add_str(note, any ? "\n" : "");
}

static int map_one(struct eval_model *model, const struct eval_classes *classes,
                   const struct option_list *groups, struct text *note, struct error *err)
{
    const struct eval_names names = { .names = (const char *const *)model->card->classes.items,
                                      .count = model->card->classes.count,
                                      .ignore = -1 };
    int failed = eval_classes_find(classes, &names, groups, &model->of_class, err);
    if (failed)
        return error_wrap(err, "tuned %s", model->name);
    note_missing(model, classes, note);
    return 0;
}

int eval_models_map(struct eval_models *models, const struct eval_classes *classes,
                    const struct option_list *groups, struct text *note, struct error *err)
{
    struct eval_model *first = &models->items[0];
    int failed = 0;
    first->of_class = malloc(classes->model_count * sizeof *first->of_class);
    if (!first->of_class)
        return error_set(err, ERROR_MEMORY, "classes", "no room for %zu", classes->model_count);
    for (size_t i = 0; i < classes->model_count; i++)
        first->of_class[i] = classes->of_model[i];
    for (size_t i = 1; !failed && i < models->count; i++)
        failed = map_one(&models->items[i], classes, groups, note, err);
    return failed;
}

void eval_models_finish(struct eval_models *models)
{
    for (size_t i = 0; i < models->count; i++) {
        card_free(&models->items[i].card);
        free(models->items[i].of_class);
    }
    *models = (struct eval_models){ 0 };
}
