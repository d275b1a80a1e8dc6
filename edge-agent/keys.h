/* keys: `edge-agent keys new|show|rotate|revoke`. */
#ifndef RUNESPOOR_EDGE_KEYS_H
#define RUNESPOOR_EDGE_KEYS_H

#include "config/cli.h"

#define AGENT_KEYS_ARGUMENTS "new|show|rotate|revoke"
extern const char agent_keys_more[];
int agent_keys_command(const struct cli_values *values);

#endif
