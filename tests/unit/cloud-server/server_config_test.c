/* The server's own configuration: what defaults mean, and which contradictions are named. */
#include "config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct server_config config;
static struct config *loaded;

static int load(const char *const *sets, struct error *err)
{
    size_t count = 0;

    while (sets && sets[count])
        count++;
    config_free(&loaded);
    config = (struct server_config){ 0 };
    return server_config_load(&loaded, &config, NULL, sets, count, err);
}

static void expect_problem(const char *const *sets, const char *key, const char *words)
{
    struct error err;

    assert_int_equal(load(sets, &err), -ERROR_CONFIG);
    for (size_t i = 0; i < config_problem_count(loaded); i++)
        if (strstr(config_problem(loaded, i), key) && strstr(config_problem(loaded, i), words))
            return;
    fail_msg("no problem about %s says '%s', but: %s", key, words, err.text);
}

static void defaults_are_complete(void **state)
{
    struct error err;
    size_t index;

    (void)state;
    if (load(NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(config.listen.address, "tcp://127.0.0.1:5570");
    assert_int_equal(config.models.count, 1);
    assert_true(server_config_analyses(&config));
    assert_int_equal(server_config_find_model(&config, "", &index, &err), 0);
    assert_int_equal(index, 0);
    assert_int_equal(server_config_find_model(&config, NULL, &index, &err), 0);
    assert_int_equal(server_config_find_model(&config, "none", &index, &err), 0);
    assert_true(index == MODEL_INDEX_NONE);
    assert_int_equal(server_config_find_model(&config, "street_dat", &index, &err),
                     -ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "'street_det'")); /* the nearest */
}

static void devices_are_processors_or_gpus(void **state)
{
    struct error err;

    (void)state;
    assert_int_equal(load((const char *[]){ "pool.devices.0.kind=cuda", "pool.devices.0.gpu=1",
                                            "pool.devices.1.kind=cpu", NULL },
                          &err),
                     0);
    const struct device_config *devices = config.pool.devices.items;
    assert_int_equal(config.pool.devices.count, 2);
    assert_int_equal(devices[0].kind, DEVICE_CUDA);
    assert_int_equal(devices[0].gpu, 1);
    assert_int_equal(devices[1].kind, DEVICE_CPU);
    expect_problem((const char *[]){ "pool.devices.0.kind=gpu", NULL }, "pool.devices.0.kind",
                   "cuda");
    expect_problem((const char *[]){ "pool.devices.0.gpu=64", NULL }, "pool.devices.0.gpu", "63");
}

static void the_default_model_may_be_another_or_none(void **state)
{
    struct error err;
    size_t index;

    (void)state;
    assert_int_equal(load((const char *[]){ "models.0.name=a", "models.0.folder=x",
                                            "models.1.name=b", "models.1.folder=y", "model=b", NULL },
                          &err),
                     0);
    assert_int_equal(server_config_find_model(&config, "", &index, &err), 0);
    assert_int_equal(index, 1);
    assert_int_equal(server_config_find_model(&config, "a", &index, &err), 0);
    assert_int_equal(index, 0);
    assert_int_equal(load((const char *[]){ "model=none", NULL }, &err), 0);
    assert_false(server_config_analyses(&config));
    assert_int_equal(server_config_find_model(&config, "", &index, &err), 0);
    assert_true(index == MODEL_INDEX_NONE);
    assert_int_equal(server_config_find_model(&config, "street_det", &index, &err),
                     -ERROR_UNSUPPORTED);
}

static void networks_are_those_of_the_card_unless_named(void **state)
{
    static const char *const name = "models.0.name=a", *const folder = "models.0.folder=x";
    static const struct {
        const char *set; /* of restore.networks; NULL: not given */
        size_t count;
        const char *first;
    } cases[] = {
        { NULL, 1, "card" },
        { "models.0.restore.networks=", 0, NULL },
        { "models.0.restore.networks=nets/x2.onnx,x4", 2, "nets/x2.onnx" },
        { "models.0.restore.networks=card,p/card.onnx", 2, "card" },
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (load((const char *[]){ name, folder, cases[i].set, NULL }, &err) < 0)
            fail_msg("%s", err.text);
        const struct model_restore_config *restore =
            &((const struct model_config *)config.models.items)->restore;
        assert_int_equal(restore->fallback, FALLBACK_AUTO);
        assert_int_equal(restore->networks.count, cases[i].count);
        if (cases[i].first)
            assert_string_equal(restore->networks.items[0], cases[i].first);
    }
    if (load((const char *[]){ NULL }, &err) < 0) /* without a list of models */
        fail_msg("%s", err.text);
    const struct model_config *model = config.models.items;
    assert_int_equal(model->restore.networks.count, 1);
    assert_string_equal(model->restore.networks.items[0], "card");
    const char *const key = "models.0.restore.networks";
    expect_problem((const char *[]){ name, folder, "models.0.restore.networks=a b.onnx", NULL },
                   key, "a b");
    expect_problem(
        (const char *[]){ name, folder, "models.0.restore.networks=p/n.onnx,q/n.onnx", NULL }, key,
        "two networks are named 'n'");
    expect_problem(
        (const char *[]){ name, folder, "models.0.restore.networks=card,n.onnx,card", NULL }, key,
        "'card' is there twice");
    expect_problem(
        (const char *[]){ name, folder, "models.0.restore.networks=1,2,3,4,5,6,7,8,9", NULL }, key,
        "8");
    expect_problem((const char *[]){ name, folder, "models.0.restore.fallback=lanczos", NULL },
                   "models.0.restore.fallback", "lanczos");
}

static void contradictions_are_named(void **state)
{
    (void)state;
    expect_problem((const char *[]){ "listen.address=5570", NULL }, "listen.address", "tcp://");
    expect_problem((const char *[]){ "publish.address=tcp://nowhere", NULL }, "publish.address",
                   "tcp://");
    expect_problem((const char *[]){ "http.address=here:there", NULL }, "http.address", "here:there");
    expect_problem((const char *[]){ "models.0.name=a b", "models.0.folder=x", NULL },
                   "models.0.name", "a b");
    expect_problem((const char *[]){ "models.0.name=none", "models.0.folder=x", NULL },
                   "models.0.name", "none");
    expect_problem((const char *[]){ "models.0.name=a", "models.0.folder=x", "models.1.name=a",
                                     "models.1.folder=y", NULL },
                   "models.1.name", "already");
    expect_problem((const char *[]){ "model=other", NULL }, "model", "other");
    expect_problem((const char *[]){ "log=loud", NULL }, "log", "loud");
    expect_problem((const char *[]){ "credits=0", NULL }, "credits", "1");
}

static void note(void *arg, const char *key, enum option_reload reload)
{
    snprintf(arg, 80, "%s %d", key, (int)reload);
}

static void what_a_change_takes(void **state)
{
    static const struct {
        const char *set, *key;
        enum option_reload reload;
    } cases[] = {
        { "log=debug", "log", RELOAD_LIVE },
        { "limits.width=640", "limits.width", RELOAD_LIVE },
        { "limits.height=480", "limits.height", RELOAD_LIVE },
        { "limits.streams_per_key=2", "limits.streams_per_key", RELOAD_LIVE },
        { "limits.bitrate_kbps=99", "limits.bitrate_kbps", RELOAD_LIVE },
        { "limits.streams=2", "limits.streams", RELOAD_RESTART },
        { "limits.message_bytes=9999", "limits.message_bytes", RELOAD_RESTART },
        { "probes.order=none", "probes.order", RELOAD_LIVE },
        { "probes.window.seconds=99", "probes.window.seconds", RELOAD_RESTART },
        { "answers.path=x", "answers.path", RELOAD_PART },
        { "answers.queue=99", "answers.queue", RELOAD_RESTART },
        { "record.folder=x", "record.folder", RELOAD_PART },
        { "record.queue=9", "record.queue", RELOAD_PART },
        { "http.address=127.0.0.1:9", "http.address", RELOAD_PART },
        { "keys.allow=x", "keys.allow", RELOAD_RESTART },
        { "listen.address=tcp://127.0.0.1:9", "listen.address", RELOAD_RESTART },
        { "credits=9", "credits", RELOAD_RESTART },
        { "pool.hang_ms=999", "pool.hang_ms", RELOAD_RESTART },
        { "model=none", "model", RELOAD_RESTART },
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server_config before = { .credits = 0 };
        struct config *first = NULL;
        char found[80] = "", expected[80];
        assert_int_equal(server_config_load(&first, &before, NULL, NULL, 0, &err), 0);
        assert_int_equal(load((const char *const[]){ cases[i].set, NULL }, &err), 0);
        assert_int_equal(config_compare(server_options, RELOAD_RESTART, &before, &config, note, found),
                         cases[i].reload);
        snprintf(expected, sizeof expected, "%s %d", cases[i].key, (int)cases[i].reload);
        assert_string_equal(found, expected);
        config_free(&first);
    }
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&loaded);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_complete),
        cmocka_unit_test(devices_are_processors_or_gpus),
        cmocka_unit_test(the_default_model_may_be_another_or_none),
        cmocka_unit_test(networks_are_those_of_the_card_unless_named),
        cmocka_unit_test(contradictions_are_named),
        cmocka_unit_test(what_a_change_takes),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
