/* doctor: tries in turn what streaming will need, camera by camera, and says what to do next. */
#ifndef RUNESPOOR_EDGE_DOCTOR_H
#define RUNESPOOR_EDGE_DOCTOR_H

#include "agent_config.h"
#include "base/doctor.h"

/* Cameras and their codecs, keys, clock, disk, server; each is bounded in time. Before any thread runs. */
void doctor_check_agent(struct doctor *doctor, const struct agent_config *config);

/* doctor_server.c: reaches each server, shows it this box's key, and asks for a session as the first camera,
 * whose pictures have this size (0: not known). */
void doctor_check_server(struct doctor *doctor, const struct agent_config *config, uint32_t width,
                         uint32_t height);

#endif
