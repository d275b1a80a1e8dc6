/* train.yaml: what holds without it, mistakes that no single key shows, and the recipe, which has all that
 * changes what is learnt and nothing else. */
#include "learn/train_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *const needed[] = { "data.pictures=p", "data.labels=l" };

static int load(struct config **loaded, struct train_config *config, const char *const *more,
                size_t count)
{
    const char *sets[16] = { needed[0], needed[1] };
    struct error err;
    *config = (struct train_config){ 0 };
    for (size_t i = 0; i < count; i++)
        sets[2 + i] = more[i];
    return train_config_load(loaded, config, NULL, sets, 2 + count, &err);
}

static void defaults_hold(void **state)
{
    (void)state;
    struct train_config config;
    struct config *loaded;
    assert_int_equal(load(&loaded, &config, NULL, 0), 0);
    assert_int_equal(config.width, 480);
    assert_int_equal(config.rate.count, 0);
    train_config_free(&loaded, &config);
    assert_null(config.recipe);
}

static void expect_mistake(const char *set, const char *more, const char *words)
{
    struct train_config config;
    struct config *loaded;
    const char *const sets[] = { set, more };
    if (load(&loaded, &config, sets, more ? 2 : 1) == 0)
        fail_msg("%s is taken", set);
    bool found = false;
    for (size_t i = 0; i < config_problem_count(loaded); i++)
        found |= strstr(config_problem(loaded, i), words) != NULL;
    if (!found)
        fail_msg("\"%s\" is not said: %s", words, config_problem(loaded, 0));
    train_config_free(&loaded, &config);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    expect_mistake("data.pictures=", NULL, "data.pictures: is required");
    expect_mistake("data.labels=", NULL, "data.labels: is required");
    expect_mistake("validation.pictures=v", NULL, "validation.labels: is required");
    expect_mistake("more.0.pictures=p", NULL, "more.0.labels: is required");
    expect_mistake("more.0.labels=l", NULL, "more.0.pictures: is required");
    expect_mistake("data.every=0", NULL, "data.every");
    expect_mistake("golden=m", NULL, "golden: answers for sets without labels, but all have some");
    expect_mistake("crop_width=500", NULL, "crop_width: a crop of 500x240 is larger than");
    expect_mistake("augment.scale_min=2", NULL, "augment.scale_min: 2 is above");
    expect_mistake("out=", NULL, "out: is empty");
    expect_mistake("model.name=a b", NULL, "model.name: must be");
    expect_mistake("model.name=", NULL, "model.name: must be");
    expect_mistake("height=361", NULL, "width: 480x361: sides must be even");
    expect_mistake("weights=tail", "held_back=0", "held_back: must be above 0");
    expect_mistake("analytics.model=m", NULL, "analytics.model: is for superres");
    expect_mistake("task=superres", NULL, "damage.factors: must be one number: 1 to 4");
    expect_mistake("task=superres", "damage.factors=1,2", "damage.factors: must be one number");
    expect_mistake("damage.factors=1,5", NULL, "damage.factors.1: \"5\" is not one of 1 to 4");
    expect_mistake("damage.factors=half", NULL, "damage.factors.0: \"half\" is not one of");
    expect_mistake("damage.factors=2,2", NULL, "damage.factors.1: \"2\" is there twice");
    expect_mistake("damage.factors=1,4", "width=484", "damage.factors.1: 484x360 by 4 makes no even");
    expect_mistake("damage.factors=1", "damage.bitrate_min_kbps=300", "is above bitrate_max_kbps");
    expect_mistake("rate.0.policy=cosinus", NULL, "rate.0.policy");
    expect_mistake("device=cuda:1", "threads=2", "threads: is for the cpu, not for device cuda:1");
    expect_mistake("precision=f16", NULL, "precision");
}

/* What is sent takes the source's place for a segmenter, and stands beside it for a restorer. */
static void factors_mean_what_the_task_needs(void **state)
{
    (void)state;
    struct train_config config;
    struct config *loaded;
    const char *const segment[] = { "damage.factors=4,1" };
    assert_int_equal(load(&loaded, &config, segment, 1), 0);
    assert_int_equal(config.damage.factor, 0);
    assert_int_equal(config.damage.drawn_count, 2);
    assert_int_equal(config.damage.drawn[0], 4);
    assert_int_equal(config.damage.drawn[1], 1);
    train_config_free(&loaded, &config);
    const char *const superres[] = { "task=superres", "damage.factors=2" };
    assert_int_equal(load(&loaded, &config, superres, 2), 0);
    assert_int_equal(config.damage.factor, 2);
    assert_int_equal(config.damage.drawn_count, 0);
    train_config_free(&loaded, &config);
}

static void mistakes_of_restoring_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *set, *words;
    } mistakes[] = {
        { "width=250", "250x360 by 4 makes no even size" },
        { "crop_width=242", "242x240 is no multiple" },
        { "damage.bitrate_min_kbps=300", "300 is above bitrate_max_kbps 200" },
        { "damage.rung.width=120", "damage.rung.width: follows" },
        { "damage.rung.mode=quality", "damage.rung.mode: must be bitrate" },
        { "golden=m", "golden: answers for sets without labels, but all have some" },
        { "more.0.labels=l", "more.0.pictures: is required" },
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const char *const sets[] = { "task=superres",     "damage.factors=4",      "crop_width=240",
                                     "analytics.model=m", "analytics.loss=labels", mistakes[i].set };
        struct train_config config;
        struct config *loaded;
        assert_int_equal(load(&loaded, &config, sets, 6), -ERROR_CONFIG);
        if (!strstr(config_problem(loaded, 0), mistakes[i].words))
            fail_msg("%s", config_problem(loaded, 0));
        train_config_free(&loaded, &config);
    }
}

/* Somebody has to say what the pictures show: labels, a golden model, or the network that is restored for. */
static void labels_may_be_golden(void **state)
{
    (void)state;
    static const char *const superres[] = { "task=superres",     "damage.factors=2",
                                            "data.labels=",      "more.0.pictures=q",
                                            "analytics.model=m", "analytics.loss=labels" };
    static const char *const distant[] = { "task=superres", "damage.factors=2",
                                           "data.labels=", "golden=m" };
    static const char *const segment[] = { "data.labels=", "validation.pictures=v",
                                           "more.0.pictures=q", "golden=m" };
    struct train_config config;
    struct config *loaded;
    assert_int_equal(load(&loaded, &config, superres, 6), 0);
    train_config_free(&loaded, &config);
    assert_int_equal(load(&loaded, &config, segment, 4), 0);
    assert_int_equal(config.more.count, 1);
    assert_int_equal(((const struct data_config *)config.more.items)[0].every, 1);
    train_config_free(&loaded, &config);
    assert_int_equal(load(&loaded, &config, segment, 3), -ERROR_CONFIG);
    assert_int_equal(config_problem_count(loaded), 3); /* data, validation, more */
    train_config_free(&loaded, &config);
    assert_int_equal(load(&loaded, &config, distant, 4), -ERROR_CONFIG);
    assert_non_null(strstr(config_problem(loaded, 0), "golden: is for labels"));
    train_config_free(&loaded, &config);
}

static char *recipe_of(const char *set)
{
    struct train_config config;
    struct config *loaded;
    assert_int_equal(load(&loaded, &config, &set, set ? 1 : 0), 0);
    char *recipe = strdup(config.recipe);
    train_config_free(&loaded, &config);
    return recipe;
}

static void the_recipe_has_all_sets(void **state)
{
    (void)state;
    static const char *const sets[] = { "more.0.pictures=street.mp4", "more.0.every=7",
                                        "more.0.labels=none", "seed=3" };
    struct train_config config;
    struct config *loaded;
    assert_int_equal(load(&loaded, &config, sets, 4), 0);
    assert_non_null(strstr(config.recipe, "street.mp4\n"));
    assert_non_null(strstr(config.recipe, "    every: 7\n"));
    assert_non_null(strstr(config.recipe, "\ngolden: "));
    train_config_free(&loaded, &config);
}

static void the_recipe_is_what_counts(void **state)
{
    (void)state;
    static const char *const same[] = { "out=elsewhere",      "loaders=3",        "cache_mib=1",
                                        "checkpoint_steps=7", "model.name=other", "seed=1" };
    static const char *const different[] = {
        "seed=2",        "batch=9",          "augment.jitter=0", "size=large",  "threads=2",
        "rate.0.k1=0.1", "optimiser.clip=2", "damage.factors=2", "data.every=2"
    };
    char *plain = recipe_of(NULL);
    assert_non_null(strstr(plain, "\nseed: 1\n"));
    assert_null(strstr(plain, "#"));
    assert_null(strstr(plain, "\nout:"));
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char *recipe = recipe_of(same[i]);
        assert_string_equal(recipe, plain);
        free(recipe);
    }
    for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
        char *recipe = recipe_of(different[i]);
        if (strcmp(recipe, plain) == 0)
            fail_msg("%s is not in the recipe", different[i]);
        free(recipe);
    }
    free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(factors_mean_what_the_task_needs),
        cmocka_unit_test(mistakes_of_restoring_are_named),
        cmocka_unit_test(labels_may_be_golden),
        cmocka_unit_test(the_recipe_is_what_counts),
        cmocka_unit_test(the_recipe_has_all_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
