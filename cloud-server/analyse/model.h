/* model: a card, its graph and a plan on one device: pictures in, analyses out. One thread. */
#ifndef RUNESPOOR_ANALYSE_MODEL_H
#define RUNESPOOR_ANALYSE_MODEL_H

#include "analyse/analysis.h"
#include "analyse/card.h"
#include "device.h"
#include "media/picture.h"

struct model;

/* Reads folder, compares card and graph (inputs, outputs, head, class count), compiles for device
 * (borrowed until model_close). Does not run the sample: model_check does. */
int model_open(struct model **model, const char *folder, struct device *device, struct error *err);
const struct card *model_card(const struct model *model);
struct plan *model_plan(struct model *model);

/* Prepares, runs and decodes one picture. Allocates nothing once warm. */
int model_run(struct model *model, const struct picture_view *picture, struct analysis *analysis,
              struct error *err);

/* Runs the sample picture and compares; the error names what was expected and what was found. A
 * model that fails does not serve. */
int model_check(struct model *model, struct error *err);
void model_close(struct model **model);

/* `cloud-server model check|show|run|bench PATH` */
struct cli_values;
int model_command(const struct cli_values *values);

#endif
