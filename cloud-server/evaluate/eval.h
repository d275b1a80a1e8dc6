/* eval: what compression, scaling and restoration leave of a model's accuracy, on recorded pictures:
 * sends them at every rung through the product's own encoder and decoder, restores and analyses what
 * arrives, and compares with labels or with a golden model. */
#ifndef RUNESPOOR_EVALUATE_EVAL_H
#define RUNESPOOR_EVALUATE_EVAL_H

#include "config/cli.h"
#include "evaluate/eval_config.h"
#include <signal.h>

/* Prints the report to standard output and writes it to config->out. *stop becomes not 0 when it is to
 * end early: then -ERROR_AGAIN, with the arms that are finished kept. */
int eval_all(const struct eval_config *config, const volatile sig_atomic_t *stop, struct error *err);

/* `cloud-server eval`: as in model.h. */
extern const char eval_command_more[];
extern const struct cli_flag eval_command_flags[];
int eval_command(const struct cli_values *values);

#endif
