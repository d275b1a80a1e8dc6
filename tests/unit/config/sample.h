/* A table with every kind of option, for the tests of config and its fuzzer. */
#ifndef RUNESPOOR_TESTS_CONFIG_SAMPLE_H
#define RUNESPOOR_TESTS_CONFIG_SAMPLE_H

#include "config/config.h"

struct sample_rung {
    uint32_t fps;
    double quality;
    int codec;
};

struct sample_camera {
    char *name;
    char *url;
    char *password;
    struct sample_rung rung;
    struct option_strings tags;
    bool live;
};

struct sample_link {
    char *address;
    double timeout_s;
    uint32_t any;
    double real;
};

struct sample {
    char *log;
    struct option_list cameras;
    struct sample_link link;
    struct option_list spare;
    struct option_strings classes;
    bool quiet;
};

static const char *const sample_codecs[] = { "h264", "mjpeg", "raw", NULL };

static const struct option_spec sample_rung_options[] = {
    OPTION_U32(sample_rung, fps, "25", 1, 240, "fps", "frames per second"),
    OPTION_F64(sample_rung, quality, "0.5", 0, 1, "", "share of the best quality"),
    OPTION_ENUM(sample_rung, codec, "h264", sample_codecs, "how frames are packed"),
    OPTION_END,
};

static const struct option_spec sample_camera_options[] = {
    OPTION_STRING_REQUIRED(sample_camera, name, "gate", "name of the stream"),
    OPTION_STRING(sample_camera, url, "", "where the pictures come from"),
    { .name = "password",
      .kind = OPTION_KIND_STRING,
      .offset = offsetof(struct sample_camera, password),
      .fallback = "",
      .min = 4,
      .max = 16,
      .secret = true,
      .help = "for the camera" },
    OPTION_SECTION(sample_camera, rung, sample_rung_options, "what is sent"),
    OPTION_STRINGS(sample_camera, tags, 0, 3, "words for your own use"),
    OPTION_BOOL(sample_camera, live, "true", "newest frames first"),
    OPTION_END,
};

static const struct option_spec sample_link_options[] = {
    OPTION_STRING(sample_link, address, "tcp://127.0.0.1:5570", "where the server listens"),
    OPTION_F64(sample_link, timeout_s, "2.5", 0.1, 60, "s", "wait that long | then try again"),
    OPTION_U32(sample_link, any, "7", 0, 0, "", "any whole number"),
    OPTION_F64(sample_link, real, "-1e-3", 0, 0, "", "any number"),
    OPTION_END,
};

static const struct option_spec sample_options[] = {
    { .name = "log",
      .kind = OPTION_KIND_STRING,
      .offset = offsetof(struct sample, log),
      .fallback = "info",
      .max = CONFIG_STRING_BYTES_MAX,
      .help = "log level, then levels by module with commas between, so that one module can be "
              "watched closely while the others stay quiet" },
    OPTION_LIST(sample, cameras, sample_camera, sample_camera_options, 0, 3, "one entry per camera"),
    OPTION_SECTION(sample, link, sample_link_options, "the link to the server"),
    OPTION_LIST(sample, spare, sample_rung, sample_rung_options, 0, 0, "rungs to fall back to"),
    { .name = "classes",
      .kind = OPTION_KIND_STRINGS,
      .offset = offsetof(struct sample, classes),
      .fallback = "person,car",
      .min = 1,
      .max = 4,
      .help = "what is looked for" },
    OPTION_BOOL(sample, quiet, "false", "say nothing"),
    OPTION_END,
};

#endif
