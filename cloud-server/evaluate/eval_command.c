/* eval_command: `cloud-server eval`, its flags and its --help. */
#include "evaluate/eval.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STATUS_INTERRUPTED 130 /* as of a shell whose command SIGINT ended */

const char eval_command_more[] =
    "Takes pictures with labels, or any video, and sends them as an edge-agent would: at each size "
    "and\n"
    "bitrate that the file lists, through the same encoder. What arrives is scaled back in each of "
    "the\n"
    "ways to restore, analysed, and compared with the labels; without labels, with what a golden "
    "model\n"
    "says of the source pictures. With stills: true, pictures that are seconds apart are sent each "
    "for\n"
    "itself. Each codec, size, bitrate and way to restore is an arm; with "
    "tuned, "
    "of\n"
    "each further model, too. For each arm:\n"
    "\n"
    "  mean, tail90, tail99  mean accuracy, and what 90 % and 99 % of the pictures reach or "
    "exceed\n"
    "  class tail            mean over the quarter of classes that are worst in the baseline arm\n"
    "  worst quarter, class  of the arm's own classes\n"
    "  PSNR, ms              of the restored picture's luma; restoration and analytics per "
    "picture\n"
    "\n"
    "with 95 % intervals of the differences, and the bits that restoration and other codecs save "
    "at\n"
    "equal accuracy. Results are printed, and in the folder `out`: report.csv, report.json,\n"
    "bits_saved.json, and a plot of each figure over the bitrate as SVG. Finished arms are kept "
    "in\n"
    "out/arms: after an interruption, or with more arms in the file, the same command measures "
    "only\n"
    "what is missing. All keys: docs/configure.md; a worked example: docs/evaluate.md.\n"
    "\n"
    "Pictures with label maps (PNG, a class number for each pixel), as CamVid's:\n"
    "\n"
    "  # camvid.yaml\n"
    "  data:\n"
    "    pictures: camvid/val/images\n"
    "    labels: camvid/val/labels\n"
    "    classes: camvid/classes.txt    # names, one a line\n"
    "    ignore: void\n"
    "    fps: 15\n"
    "  model: models/my_segmenter\n"
    "  bitrates: [35, 60, 110, 225, 450, 650]\n"
    "  restore: [none, bicubic, mine=restore_x2.onnx, mine=restore_x4.onnx]\n"
    "  out: build/eval-camvid\n"
    "\n"
    "  cloud-server eval -c camvid.yaml\n"
    "\n"
    "Any video, with what the model itself finds at source quality as the truth:\n"
    "\n"
    "  cloud-server eval -s data.pictures=street.mp4 -s model=models/street_det -s sizes=full,1/2 "
    "\\\n"
    "    -s bitrates=100,200,400 -s score_every=5 -s out=build/eval-street\n";

const struct cli_flag eval_command_flags[] = {
    { "config", 'c', "FILE", false, "what to evaluate (YAML)" },
    { "set", 's', "KEY=VALUE", true, "sets one value over the file: score_every=5" },
    { NULL, 0, NULL, false, NULL },
};

static volatile sig_atomic_t stop;

/* The second time it ends at once: SA_RESETHAND. */
static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND | SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int load(struct config **loaded, struct eval_config *config, const struct cli_values *values)
{
    size_t set_count;
    const char *const *sets = cli_flag_all(values, "set", &set_count);
    struct error err;
    if (eval_config_load(loaded, config, cli_flag(values, "config"), sets, set_count, &err) == 0)
        return 0;
    size_t count = *loaded ? config_problem_count(*loaded) : 0;
    if (count == 0)
        fprintf(stderr, "cloud-server eval: %s\n", err.text);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s\n", config_problem(*loaded, i));
    return 1;
}

int eval_command(const struct cli_values *values)
{
    struct eval_config config = { 0 };
    struct config *loaded = NULL;
    struct error err;
    if (!cli_flag(values, "config") && !cli_flag(values, "set")) {
        fprintf(stderr, "cloud-server eval: needs --config FILE, or --set for what it says; "
                        "`cloud-server eval --help` has examples\n");
        return 2;
    }
    int status = load(&loaded, &config, values);
    if (status == 0) {
        catch_signals();
        int failed = eval_all(&config, &stop, &err);
        if (failed == 0 && fflush(stdout) != 0)
            failed = error_set_errno(&err, errno, "standard output", "cannot write");
        if (failed)
            fprintf(stderr, "cloud-server eval: %s\n", err.text);
        status = failed == -ERROR_AGAIN ? STATUS_INTERRUPTED : failed ? 1 : 0;
    }
    config_free(&loaded);
    return status;
}
