/* cloud-server: decodes and analyses the streams of edge-agents, and answers every frame. */
#include "analyse/card.h"
#include "analyse/model.h"
#include "base/log.h"
#include "config.h"
#include "config/cli.h"
#include "control/tail_command.h"
#include "devices/worker.h"
#include "doctor.h"
#include "evaluate/eval.h"
#include "keys.h"
#include "learn/train_run.h"
#include "run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_flag config_flags[] = {
    { "set", 's', "KEY=VALUE", true, "sets one value over the file: limits.streams=8" },
    { NULL, 0, NULL, false, NULL },
};

static const struct cli_flag run_flags[] = {
    { "config", 'c', "FILE", false, "configuration (YAML); without it the defaults hold" },
    { "set", 's', "KEY=VALUE", true, "sets one value over the file: limits.streams=8" },
    { "print-config", 0, NULL, false, "print every value and where it came from, and exit" },
    { NULL, 0, NULL, false, NULL },
};

static const struct cli_flag doctor_flags[] = {
    { "config", 'c', "FILE", false, "configuration (YAML); without it the defaults hold" },
    { "set", 's', "KEY=VALUE", true, "sets one value over the file: limits.streams=8" },
    { NULL, 0, NULL, false, NULL },
};

static const struct cli_flag worker_flags[] = {
    { "fd", 0, "N", false, "descriptor of the orders" },
    { NULL, 0, NULL, false, NULL },
};

/* Prints every mistake, one a line. */
static int load(struct server_config *config, struct config **loaded,
                const struct cli_values *values, const char *path)
{
    size_t set_count;
    const char *const *sets = cli_flag_all(values, "set", &set_count);
    struct error err;

    *config = (struct server_config){ 0 };
    *loaded = NULL;
    if (server_config_load(loaded, config, path, sets, set_count, &err) == 0) {
        log_configure(config->log, &err); /* it was checked when it was loaded */
        return 0;
    }
    size_t count = *loaded ? config_problem_count(*loaded) : 0;
    if (count == 0)
        fprintf(stderr, "cloud-server: %s\n", err.text);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s\n", config_problem(*loaded, i));
    return 1;
}

static int run(const struct cli_values *values)
{
    struct server_run_options options = { .config_path = cli_flag(values, "config") };
    struct server_config config;
    struct config *loaded;
    struct error err;

    options.sets = cli_flag_all(values, "set", &options.set_count);
    int status = load(&config, &loaded, values, options.config_path);
    if (status == 0 && cli_flag(values, "print-config")) {
        config_print(loaded, stdout);
    } else if (status == 0 && server_run(&config, &options, &err) < 0) {
        fprintf(stderr, "cloud-server: %s\n", err.text);
        status = 1;
    }
    config_free(&loaded);
    return status;
}

static int check(const struct cli_values *values)
{
    struct server_config config;
    struct config *loaded;
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);

    if (count != 1) {
        fprintf(stderr, "cloud-server: check needs one FILE\n");
        return 2;
    }
    int status = load(&config, &loaded, values, arguments[0]);
    if (status == 0)
        printf("%s: good\n", arguments[0]);
    config_free(&loaded);
    return status;
}

static int doctor(const struct cli_values *values)
{
    struct server_config config;
    struct config *loaded;
    struct doctor doctor = { .out = stdout };
    struct doctor_finding mistakes = { .verdict = DOCTOR_OK, .found = "no mistakes" };

    int status = load(&config, &loaded, values, cli_flag(values, "config"));
    if (status != 0) {
        doctor_found(&mistakes, DOCTOR_FAIL, "has the mistakes above");
        doctor_advise(&mistakes, "correct them; nothing else was tried");
    }
    doctor_tell(&doctor, "configuration", &mistakes);
    if (status == 0)
        doctor_check_server(&doctor, &config);
    config_free(&loaded);
    return doctor_end(&doctor);
}

static int worker(const struct cli_values *values)
{
    const char *text = cli_flag(values, "fd");
    char *end;
    long fd = text ? strtol(text, &end, 10) : -1;

    if (!text || *end != '\0' || fd < 0) {
        fprintf(stderr, "cloud-server: worker is started by 'cloud-server run' alone\n");
        return 2;
    }
    return worker_main((int)fd);
}

static int example(const struct cli_values *values)
{
    (void)values;
    config_write_example(server_options, stdout);
    return 0;
}

static int manual(const struct cli_values *values)
{
    (void)values;
    config_write_markdown(server_options, "cloud-server", "cloud-server check FILE", true, stdout);
    fputc('\n', stdout);
    config_write_markdown(card_options, "card.yaml", "cloud-server model check FOLDER", false,
                          stdout);
    fputc('\n', stdout);
    config_write_markdown(eval_options, "eval.yaml", "cloud-server eval -c FILE", false, stdout);
    fputc('\n', stdout);
    config_write_markdown(train_options, "train.yaml", "cloud-server train -c FILE", false, stdout);
    return 0;
}

static const struct cli_command commands[] = {
    { "run", "", "decode, analyse and answer",
      "Serves until SIGTERM or SIGINT; what is on its way is answered first. SIGHUP reads the\n"
      "configuration again, as far as that drops no stream (docs/operate.md).\n\n"
      "  cloud-server run -c cloud-server.yaml\n"
      "  cloud-server run -s listen.address=tcp://0.0.0.0:5570 -s answers.path=answers.jsonl\n",
      run_flags, run },
    { "check", "FILE", "name every mistake in a configuration", NULL, config_flags, check },
    { "doctor", "", "try keys, models, devices, disk and addresses, and say what to do next",
      "One line for each, OK, WARN or FAIL; the last one counts them. Ends with 1 when anything "
      "has\n"
      "failed. Nothing waits for ever: each has a deadline.\n\n"
      "  cloud-server doctor -c cloud-server.yaml\n",
      doctor_flags, doctor },
    { "keys", SERVER_KEYS_ARGUMENTS, "make, show or replace the server's key pair, let agents in",
      server_keys_more, server_keys_flags, server_keys_command },
    { "model", MODEL_COMMAND_ARGUMENTS, "try a model folder, or an ONNX file", model_command_more,
      model_command_flags, model_command },
    { "eval", "", "measure what compression and restoration leave of a model's accuracy",
      eval_command_more, eval_command_flags, eval_command },
    { "train", "", "train a network for what a camera sees", train_command_more,
      train_command_flags, train_command },
    { "tail", TAIL_COMMAND_ARGUMENTS, "what recorded probes say of a stream's accuracy",
      tail_command_more, tail_command_flags, tail_command },
    { "example", "", "print an example configuration with every key explained", NULL, NULL, example },
    { "manual", "",
      "print the manual of all keys, those of cards, eval.yaml and train.yaml too, as Markdown",
      NULL, NULL, manual },
    { "worker", "", "(started by run) own one device", NULL, worker_flags, worker },
    { NULL, NULL, NULL, NULL, NULL, NULL },
};

/* How long libgomp's threads spin before they sleep. By default that is for milliseconds, and as soon
 * as a processor is shared with anything else (a decoder, an encoder) the threads of a network wait
 * for each other spinning: the default detector then took 116 ms a picture in place of 17 (2 threads,
 * 2 busy processors). libgomp looks at its environment before main, so the program is begun anew. What
 * the operator has set stays. Should it fail, the default holds: slower, not wrong. */
static void calm_threads(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    if (setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
        execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "worker") == 0 || strcmp(argv[1], "model") == 0 ||
                     strcmp(argv[1], "doctor") == 0 || strcmp(argv[1], "eval") == 0 ||
                     strcmp(argv[1], "train") == 0))
        calm_threads(argv);
    return cli_main("cloud-server", "decodes and analyses video streams, and answers every frame",
                    commands, argc, argv);
}
