/* eval_run: measures the arms of a rung. Every picture is encoded and decoded once, and what was
 * received goes through all arms before the next one is sent: so all arms of a rung see the same
 * damage and cost the same bits whatever the encoder does, the slow encoders run once, and no more
 * than one picture is in memory (of stills, the pan over one as well). The price: their models are open side by side, with
 * the memory of each. */
#ifndef RUNESPOOR_EVALUATE_EVAL_RUN_H
#define RUNESPOOR_EVALUATE_EVAL_RUN_H

#include "device.h"
#include "evaluate/eval_arms.h"
#include "evaluate/eval_progress.h"
#include "evaluate/eval_reference.h"

struct eval_run {
    const struct eval_config *config;
    const struct eval_classes *classes;
    const struct eval_frames *frames;
    const struct eval_reference *reference;
    struct data *data;
    struct device *device;
    struct eval_progress *progress;
    struct eval_arms *arms;
};

/* The arms of a rung that are not done; each is written to its file. -ERROR_AGAIN when progress says that
 * it was interrupted: they are as not begun then. */
int eval_run_rung(const struct eval_run *run, size_t rung, struct error *err);

/* A model alone, in the precision that config asks for. */
int eval_run_open_model(const struct eval_config *config, const char *folder, struct device *device,
                        struct model **model, struct error *err);

#endif
