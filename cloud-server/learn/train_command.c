/* train_command: `cloud-server train`. */
#include "learn/train_run.h"

#include <stdio.h>
#include <string.h>

const char train_command_more[] =
    "Trains a network as FILE says and writes a model folder. A run that is ended, by a signal or "
    "by\n"
    "anything else, goes on from its last checkpoint when the same command is given again.\n\n"
    "  cloud-server train -c train.yaml\n"
    "  cloud-server train -c train.yaml -s seed=2 -s out=build/train2\n";

const struct cli_flag train_command_flags[] = {
    { "config", 'c', "FILE", false, "what to train on what (YAML); deploy/train.yaml is one" },
    { "set", 's', "KEY=VALUE", true, "sets one value over the file: steps=100" },
    { "print-config", 0, NULL, false, "print every value and where it came from, and exit" },
    { NULL, 0, NULL, false, NULL },
};

static volatile sig_atomic_t stop;

/* The first one ends the training with a checkpoint; a second one, at once. */
static void on_signal(int number)
{
    stop = 1;
    signal(number, SIG_DFL);
}

static int load(struct config **loaded, struct train_config *config, const struct cli_values *values)
{
    size_t set_count;
    const char *const *sets = cli_flag_all(values, "set", &set_count);
    struct error err;
    if (train_config_load(loaded, config, cli_flag(values, "config"), sets, set_count, &err) == 0)
        return 0;
    size_t count = *loaded ? config_problem_count(*loaded) : 0;
    if (count == 0)
        fprintf(stderr, "cloud-server: %s\n", err.text);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s\n", config_problem(*loaded, i));
    return 1;
}

int train_command(const struct cli_values *values)
{
    struct train_config config = { 0 };
    struct config *loaded = NULL;
    struct error err;
    bool finished = false;
    int status = load(&loaded, &config, values);
    if (status == 0 && cli_flag(values, "print-config")) {
        config_print(loaded, stdout);
    } else if (status == 0) {
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        if (train_run(&config, &stop, &finished, &err) < 0) {
            fprintf(stderr, "cloud-server: %s\n", err.text);
            status = 1;
        } else if (finished) {
            printf("%s/model: done\n", config.out);
        } else {
            printf("stopped; the same command goes on from the checkpoint in %s\n", config.out);
        }
    }
    train_config_free(&loaded, &config);
    return status;
}
