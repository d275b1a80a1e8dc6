/* agent_config: what only the whole shows is found; what a change of each kind of option takes; settings
 * live as long as their last user. */
#include "agent_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define SETS_MAX 8u

/* Loads two test cameras with one value changed; a third one is a test camera too. */
static int load(struct agent_config *agent, struct config **config, const char *change)
{
    const char *sets[SETS_MAX] = { "cameras.0.name=gate", "cameras.0.source.kind=test",
                                   "cameras.1.name=yard", "cameras.1.source.kind=test" };
    size_t count = 4;
    if (change)
        sets[count++] = change;
    if (change && strncmp(change, "cameras.2", 9) == 0)
        sets[count++] = "cameras.2.source.kind=test";
    return agent_config_load(agent, config, NULL, sets, count, NULL);
}

static void mistakes_of_the_whole(void **state)
{
    static const struct {
        const char *set, *said;
    } cases[] = {
        { "cameras.1.name=gate", "is the name of camera 0" },
        { "cameras.1.name=-x", "cameras.1.name" },
        { "cameras.1.source.kind=file", "needs the path" },
        { "cameras.1.model=a/b", "cameras.1.model" },
        { "name=a b", "name" },
        { "server.backoff_first_ms=20000", "is above backoff_cap_ms" },
        { "server.address=192.0.2.7:5570", "tcp://" },
        { "server.address=tcp://192.0.2.7", "tcp://" },
        { "http.address=nowhere", "http.address" },
        { "log=loud", "not a level" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct agent_config agent;
        struct config *config = NULL;
        assert_int_equal(load(&agent, &config, cases[i].set), -ERROR_CONFIG);
        assert_int_equal(config_problem_count(config), 1);
        if (!strstr(config_problem(config, 0), cases[i].said))
            fail_msg("%s: %s", cases[i].set, config_problem(config, 0));
        config_free(&config);
    }
}

struct differences {
    size_t count;
    char key[64];
    enum option_reload reload;
};

static void note(void *arg, const char *key, enum option_reload reload)
{
    struct differences *differences = arg;
    differences->count++;
    snprintf(differences->key, sizeof differences->key, "%s", key);
    differences->reload = reload;
}

static void expect_difference(const char *change, const char *key, enum option_reload reload)
{
    struct agent_config before, after;
    struct config *first = NULL, *second = NULL;
    struct differences found = { .count = 0 };
    assert_int_equal(load(&before, &first, NULL), 0);
    assert_int_equal(load(&after, &second, change), 0);
    assert_int_equal(config_compare(agent_options, RELOAD_RESTART, &before, &after, note, &found),
                     reload);
    assert_int_equal(found.count, key ? 1 : 0);
    if (key) {
        assert_string_equal(found.key, key);
        assert_int_equal(found.reload, reload);
    }
    config_free(&first);
    config_free(&second);
}

static void what_a_change_takes(void **state)
{
    (void)state;
    expect_difference(NULL, NULL, RELOAD_AS_AROUND);
    expect_difference("log=debug", "log", RELOAD_LIVE);
    expect_difference("probes.share=0.1", "probes.share", RELOAD_LIVE);
    expect_difference("http.address=127.0.0.1:9000", "http.address", RELOAD_PART);
    expect_difference("name=box", "name", RELOAD_RESTART);
    expect_difference("server.connect_ms=1000", "server.connect_ms", RELOAD_RESTART);
    expect_difference("keys.name=other", "keys.name", RELOAD_RESTART);
    expect_difference("answers.path=x.jsonl", "answers.path", RELOAD_RESTART);
    expect_difference("cameras.1.pace=fast", "cameras", RELOAD_PART);
    expect_difference("cameras.2.name=door", "cameras", RELOAD_PART);
}

/* Of one camera: its rung is live, all else starts it again. */
static void what_a_camera_takes(void **state)
{
    static const struct {
        const char *change, *key;
        enum option_reload reload;
    } cases[] = {
        { "cameras.0.rung.fps=5", "rung.fps", RELOAD_LIVE },
        { "cameras.0.rung.width=320", "rung.width", RELOAD_LIVE },
        { "cameras.0.source.fps=11", "source.fps", RELOAD_PART },
        { "cameras.0.source.loop=true", "source.loop", RELOAD_PART },
        { "cameras.0.model=none", "model", RELOAD_PART },
        { "cameras.0.encode_threads=2", "encode_threads", RELOAD_PART },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct agent_config before, after;
        struct config *first = NULL, *second = NULL;
        struct differences found = { .count = 0 };
        assert_int_equal(load(&before, &first, NULL), 0);
        assert_int_equal(load(&after, &second, cases[i].change), 0);
        assert_int_equal(config_compare(camera_options, RELOAD_PART, before.cameras.items,
                                        after.cameras.items, note, &found),
                         cases[i].reload);
        assert_string_equal(found.key, cases[i].key);
        config_free(&first);
        config_free(&second);
    }
}

static void settings_are_shared(void **state)
{
    static const char *const good[] = { "cameras.0.name=gate", "cameras.0.source.kind=test" };
    static const char *const wrong[] = { "cameras.0.name=gate", "cameras.0.source.kind=film" };
    struct agent_settings *settings = NULL, *again;
    struct config *mistakes;
    struct error err;
    (void)state;
    assert_int_equal(agent_settings_load(&settings, &mistakes, NULL, good, 2, &err), 0);
    assert_null(mistakes);
    again = agent_settings_ref(settings);
    agent_settings_unref(&settings);
    assert_null(settings);
    const struct camera_config *cameras = again->values.cameras.items;
    assert_string_equal(cameras[0].name, "gate");
    agent_settings_unref(&again);
    agent_settings_unref(&again); /* NULL */

    assert_int_equal(agent_settings_load(&settings, &mistakes, NULL, wrong, 2, &err), -ERROR_CONFIG);
    assert_null(settings);
    assert_true(config_problem_count(mistakes) > 0);
    config_free(&mistakes);
}

static void rungs_are_compared_by_themselves(void **state)
{
    struct rung a = { .width = 640, .fps = 10, .bitrate_kbps = 800 }, b = a;
    (void)state;
    assert_true(options_equal(rung_options, &a, &b));
    b.fps = 5;
    assert_false(options_equal(rung_options, &a, &b));
    b = a;
    b.keyframe_s = 3; /* the last one of the table */
    assert_false(options_equal(rung_options, &a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_of_the_whole),
        cmocka_unit_test(what_a_change_takes),
        cmocka_unit_test(what_a_camera_takes),
        cmocka_unit_test(settings_are_shared),
        cmocka_unit_test(rungs_are_compared_by_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
