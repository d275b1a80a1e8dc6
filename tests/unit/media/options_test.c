/* Proves that the option tables of rungs and sources give the defaults that the code expects, and
 * refuse what the code could not do. */
#include "testing.h"

#include "config/config.h"
#include "media/source.h"

static int load(struct config **config, const struct option_spec *table, void *target,
                const char *text, struct error *err)
{
    return config_load_text(config, table, target, "test.yaml", text, strlen(text), err);
}

static void test_rung_defaults_encode(void **state)
{
    (void)state;
    struct error err;
    struct rung rung = { 0 };
    struct config *config = NULL;
    assert_ok(load(&config, rung_options, &rung, "preset: ultrafast\nmode: quality\n", &err), &err);
    assert_int_equal(rung.width, 0);
    assert_int_equal(rung.mode, RATE_QUALITY);
    assert_int_equal(rung.preset, 0);
    assert_int_equal(rung.codec, VIDEO_H264);
    assert_int_equal(rung.encoder, ENCODER_AUTO);
    rung_resolve(&rung, 101, 75);
    rung.encoder = ENCODER_SOFTWARE;
    struct encoder_config encoder_config = { .rung = rung, .fps = 10, .threads = 1 };
    struct encoder *encoder = NULL;
    assert_ok(encoder_open(&encoder, &encoder_config, &err), &err);
    struct picture *picture = testing_picture(100, 74, 0, 0, 0);
    struct packet *packet = NULL;
    assert_ok(encoder_encode(encoder, picture, 0, false, &packet, &err), &err);
    assert_non_null(packet);
    packet_unref(&packet);
    picture_unref(&picture);
    encoder_close(&encoder);
    config_free(&config);
}

static void test_source_defaults_open(void **state)
{
    (void)state;
    struct error err;
    struct source_config source_config = { 0 };
    struct config *config = NULL;
    assert_ok(load(&config, source_options, &source_config, "kind: test\n", &err), &err);
    struct source *source = NULL;
    assert_ok(source_open(&source, &source_config, &err), &err);
    struct source_info info;
    source_get_info(source, &info);
    assert_string_equal(info.description, "test picture 768x576 10 fps");
    source_close(&source);
    config_free(&config);

    source_config = (struct source_config){ 0 };
    assert_ok(load(&config, source_options, &source_config, "{}", &err), &err);
    assert_int_equal(source_config.kind, SOURCE_FILE);
    assert_int_equal(source_open(&source, &source_config, &err), -ERROR_CONFIG); /* no path */
    config_free(&config);
}

static void test_what_the_tables_refuse(void **state)
{
    (void)state;
    const struct {
        const struct option_spec *table;
        const char *text;
    } cases[] = { { rung_options, "bitrate_kbps: 0" }, { rung_options, "vbv_ms: 5001" },
                  { rung_options, "preset: placebo" }, { rung_options, "quality: -1" },
                  { rung_options, "keyframe_s: 0" },   { rung_options, "fps: -5" },
                  { source_options, "kind: onvif" },   { source_options, "fps: 0" },
                  { source_options, "width: 8" },      { source_options, "pathh: x.mp4" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        union {
            struct rung rung;
            struct source_config source;
        } target;
        memset(&target, 0, sizeof target);
        struct config *config = NULL;
        assert_int_equal(load(&config, cases[i].table, &target, cases[i].text, &err), -ERROR_CONFIG);
        config_free(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rung_defaults_encode),
        cmocka_unit_test(test_source_defaults_open),
        cmocka_unit_test(test_what_the_tables_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
