/* model_networks: what `cloud-server model` says of the networks that a model's card names. */
#ifndef RUNESPOOR_ANALYSE_MODEL_NETWORKS_H
#define RUNESPOOR_ANALYSE_MODEL_NETWORKS_H

#include "analyse/model.h"

/* Each is put in front of the model, on a picture that it makes as large as the model's input or close to
 * that. show prints what it is and costs. check runs both on the sample as well, prints a line for each,
 * also after mistakes, and gives the first one's error, which names the file. device is that of the
 * model. */
int model_networks_show(struct model *model, struct device *device, struct error *err);
int model_networks_check(struct model *model, struct device *device, struct error *err);

#endif
