/* keys: `cloud-server keys new|show|allow|rotate|revoke`. */
#ifndef RUNESPOOR_SERVER_KEYS_H
#define RUNESPOOR_SERVER_KEYS_H

#include "config/cli.h"

#define SERVER_KEYS_ARGUMENTS "new|show|allow|rotate|revoke [NAME] [KEY]"
extern const char server_keys_more[];
extern const struct cli_flag server_keys_flags[];
int server_keys_command(const struct cli_values *values);

#endif
