/* eval_config: what eval.yaml says: data, models, the rungs to send at and the ways to restore. */
#ifndef RUNESPOOR_EVALUATE_EVAL_CONFIG_H
#define RUNESPOOR_EVALUATE_EVAL_CONFIG_H

#include "learn/data.h"
#include "media/encode.h"

#define EVAL_SIZES_MAX 8u
#define EVAL_BITRATES_MAX 16u
#define EVAL_CODECS_MAX 3u
#define EVAL_RESTORES_MAX 12u
#define EVAL_GROUPS_MAX 64u
#define EVAL_TUNED_MAX 8u
#define EVAL_NAME_BYTES 33u /* of a way to restore or a model: it becomes part of file names */

/* As config says it; 0 means that the camera's size decides. */
struct eval_size {
    uint32_t width, height; /* 0: by divisor */
    uint32_t divisor;       /* of each side; 1: full size */
};

struct eval_restore {
    char name[EVAL_NAME_BYTES];
    int kind;         /* enum restore_kind */
    const char *file; /* RESTORE_NETWORK: the ONNX file; in config NULL for those of the card */
};

/* The word for the networks of the model's card, and the name of the arms that they restore for. */
#define EVAL_RESTORE_CARD "card"
bool eval_restore_is_card(const struct eval_restore *restore);

/* A further model. */
struct eval_tuned {
    char name[EVAL_NAME_BYTES];
    const char *folder;
};

struct eval_group {
    char *name;
    struct option_strings classes;
};

/* Above 0: enum precision, and one. */
#define EVAL_PRECISION_CARD 0

struct eval_config {
    struct data_config data;
    char *model, *golden;
    struct option_list groups; /* struct eval_group */
    struct option_strings sizes, bitrates, codecs, restore, tuned;
    char *baseline, *preset;
    bool stills;
    double fps;
    uint32_t score_every;
    char *out, *device;
    int precision; /* EVAL_PRECISION_CARD or above */
    uint32_t block_frames, seed;

    /* Not keys: what the lists above say, once eval_config_load has read them. */
    struct eval_size size_list[EVAL_SIZES_MAX];
    uint32_t bitrate_list[EVAL_BITRATES_MAX];
    enum video_codec codec_list[EVAL_CODECS_MAX];
    struct eval_restore restore_list[EVAL_RESTORES_MAX];
    struct eval_tuned tuned_list[EVAL_TUNED_MAX];
    struct rung rung; /* an agent's defaults, with fps and preset */
};
extern const struct option_spec eval_options[];
extern const char *const eval_codec_words[]; /* by enum video_codec, NULL-ended */

/* config_load with the checks of this file; *loaded as config_load leaves it. */
int eval_config_load(struct config **loaded, struct eval_config *config, const char *path,
                     const char *const *sets, size_t set_count, struct error *err);

#endif
