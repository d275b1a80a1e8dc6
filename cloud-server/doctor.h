/* doctor: tries in turn what serving will need, and says what to do next. */
#ifndef RUNESPOOR_SERVER_DOCTOR_H
#define RUNESPOOR_SERVER_DOCTOR_H

#include "base/doctor.h"
#include "config.h"

/* Keys, allow folder, each model on each device, GPU, disk, addresses, clock; each is bounded in time.
 * Before any thread runs. */
void doctor_check_server(struct doctor *doctor, const struct server_config *config);

#endif
