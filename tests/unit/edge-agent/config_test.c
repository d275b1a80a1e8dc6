/* agent_config: what only the whole shows is found, and two configurations are compared without their
 * rungs. */
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

/* The option of the first difference, or NULL. */
static const char *first_difference(const char *change)
{
    struct agent_config before, after;
    struct config *first = NULL, *second = NULL;
    assert_int_equal(load(&before, &first, NULL), 0);
    assert_int_equal(load(&after, &second, change), 0);
    const struct option_spec *option = agent_options;
    while (option->kind != OPTION_KIND_END && option_equal(option, &before, &after))
        option++;
    assert_int_equal(options_equal(agent_options, &before, &after), option->kind == OPTION_KIND_END);
    config_free(&first);
    config_free(&second);
    return option->name;
}

static void differences(void **state)
{
    (void)state;
    assert_null(first_difference(NULL));
    assert_null(first_difference("cameras.1.rung.fps=5"));
    assert_null(first_difference("cameras.0.rung.width=320"));
    assert_string_equal(first_difference("name=box"), "name");
    assert_string_equal(first_difference("server.connect_ms=1000"), "server");
    assert_string_equal(first_difference("answers.path=x.jsonl"), "answers");
    assert_string_equal(first_difference("cameras.1.pace=fast"), "cameras");
    assert_string_equal(first_difference("cameras.0.source.fps=11"), "cameras");
    assert_string_equal(first_difference("cameras.0.source.loop=true"), "cameras");
    assert_string_equal(first_difference("cameras.2.name=door"), "cameras");
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
        cmocka_unit_test(differences),
        cmocka_unit_test(rungs_are_compared_by_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
