/* edge-agent: compresses video at the edge and streams it to cloud-server. */
#include "agent.h"
#include "base/log.h"
#include "config/cli.h"
#include "doctor.h"
#include "inspect.h"
#include "keys.h"
#include "net/keys_command.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_flag config_flags[] = {
    { "config", 'c', "FILE", false, "configuration (YAML); without it the defaults hold" },
    { "set", 's', "KEY=VALUE", true, "sets one value over the file: cameras.0.rung.fps=5" },
    { NULL, 0, NULL, false, NULL },
};

static const struct cli_flag run_flags[] = {
    { "config", 'c', "FILE", false, "configuration (YAML); without it the defaults hold" },
    { "set", 's', "KEY=VALUE", true, "sets one value over the file: cameras.0.rung.fps=5" },
    { "live", 'l', NULL, false, "show a live table (plain lines when not on a terminal)" },
    { "seconds", 't', "N", false, "stop after N seconds of streaming" },
    { "summary", 0, "FILE", false, "write the summary line to FILE, not to standard output" },
    { "print-config", 0, NULL, false, "print every value and where it came from, and exit" },
    { NULL, 0, NULL, false, NULL },
};

/* Prints all mistakes, one a line. */
static int report_mistakes(const struct config *config, const struct error *err)
{
    if (!config || config_problem_count(config) == 0)
        fprintf(stderr, "edge-agent: %s\n", err->text);
    for (size_t i = 0; config && i < config_problem_count(config); i++)
        fprintf(stderr, "%s\n", config_problem(config, i));
    return 1;
}

static int load(struct agent_settings **settings, const struct cli_values *values, const char *path)
{
    size_t set_count;
    const char *const *sets = cli_flag_all(values, "set", &set_count);
    struct config *mistakes;
    struct error err;
    int result = agent_settings_load(settings, &mistakes, path, sets, set_count, &err);
    int status = result == 0 ? 0 : report_mistakes(mistakes, &err);
    config_free(&mistakes);
    if (result == 0)
        log_configure((*settings)->values.log, &err); /* it was checked when it was loaded */
    return status;
}

static int run(const struct cli_values *values)
{
    struct agent_settings *settings = NULL;
    struct agent_run_options options = {
        .config_path = cli_flag(values, "config"),
        .live = cli_flag(values, "live") != NULL,
        .summary_path = cli_flag(values, "summary"),
    };
    options.sets = cli_flag_all(values, "set", &options.set_count);
    const char *seconds = cli_flag(values, "seconds");
    if (seconds) {
        char *end;
        unsigned long given = strtoul(seconds, &end, 10);
        if (*end || given == 0 || given > 100000000) {
            fprintf(stderr, "edge-agent: --seconds %s: give a number from 1 to 100000000\n", seconds);
            return 2;
        }
        options.seconds = (uint32_t)given;
    }
    int status = load(&settings, values, options.config_path);
    if (status == 0 && cli_flag(values, "print-config")) {
        config_print(settings->config, stdout);
    } else if (status == 0) {
        struct error err;
        if (agent_run(settings, &options, &err) != 0) {
            fprintf(stderr, "edge-agent: %s\n", err.text);
            status = 1;
        }
    }
    agent_settings_unref(&settings);
    return status;
}

static int check(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    if (count != 1) {
        fprintf(stderr, "edge-agent: check needs one FILE\n");
        return 2;
    }
    struct agent_settings *settings = NULL;
    int status = load(&settings, values, arguments[0]);
    if (status == 0)
        printf("%s: good, %zu camera(s)\n", arguments[0], settings->values.cameras.count);
    agent_settings_unref(&settings);
    return status;
}

static int inspect(const struct cli_values *values)
{
    struct agent_settings *settings = NULL;
    size_t sets;
    cli_flag_all(values, "set", &sets);
    if (!cli_flag(values, "config") && sets == 0) { /* no cameras are known */
        inspect_encoders(stdout);
        printf("\n");
        inspect_decoders(stdout);
        return 0;
    }
    int status = load(&settings, values, cli_flag(values, "config"));
    if (status == 0) {
        inspect_encoders(stdout);
        printf("\n");
        inspect_decoders(stdout);
        printf("\n");
        status = inspect_cameras(&settings->values, stdout) > 0;
    }
    agent_settings_unref(&settings);
    return status;
}

static int doctor(const struct cli_values *values)
{
    struct agent_settings *settings = NULL;
    struct doctor doctor = { .out = stdout };
    struct doctor_finding config = { .verdict = DOCTOR_OK, .found = "no mistakes" };
    if (load(&settings, values, cli_flag(values, "config")) != 0) {
        doctor_found(&config, DOCTOR_FAIL, "has the mistakes above");
        doctor_advise(&config, "correct them; nothing else was tried");
    }
    doctor_tell(&doctor, "configuration", &config);
    if (settings) {
        log_configure("error", NULL); /* what is to be said stands in the lines */
        doctor_check_agent(&doctor, &settings->values);
    }
    agent_settings_unref(&settings);
    return doctor_end(&doctor);
}

static int example(const struct cli_values *values)
{
    (void)values;
    config_write_example(agent_options, stdout);
    return 0;
}

static int manual(const struct cli_values *values)
{
    (void)values;
    config_write_markdown(agent_options, "edge-agent", "edge-agent check FILE", true, stdout);
    return 0;
}

static const struct cli_command commands[] = {
    { "run", "", "capture, compress and stream",
      "Streams every camera of the configuration until its source ends or a signal comes.\n"
      "SIGTERM ends within seconds. SIGHUP reads the configuration again: cameras come and go, "
      "the\n"
      "others stream on (docs/operate.md).\n\n"
      "  edge-agent run -c edge-agent.yaml --live\n"
      "  edge-agent run -s cameras.0.name=gate -s cameras.0.source.path=clip.mp4\n",
      run_flags, run },
    { "check", "FILE", "name every mistake in a configuration", NULL, config_flags, check },
    { "inspect", "", "try each camera and encoder, and show how fast they are", NULL, config_flags,
      inspect },
    { "doctor", "", "try camera, codec, keys, clock, disk and server, and say what to do next",
      "One line for each, OK, WARN or FAIL; the last one counts them. Ends with 1 when anything "
      "has\n"
      "failed. Nothing waits for ever: each has a deadline.\n\n"
      "  edge-agent doctor -c edge-agent.yaml\n",
      config_flags, doctor },
    { "keys", AGENT_KEYS_ARGUMENTS, "make, show, replace or remove this box's key pair",
      agent_keys_more, keys_command_flags, agent_keys_command },
    { "example", "", "print an example configuration with every key explained", NULL, NULL, example },
    { "manual", "", "print the manual of all keys as Markdown", NULL, NULL, manual },
    { NULL, NULL, NULL, NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
    return cli_main("edge-agent", "compress video at the edge and stream it to cloud-server",
                    commands, argc, argv);
}
