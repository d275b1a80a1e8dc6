/* model: a card, its graph and a plan on one device: pictures in, analyses out. One thread. */
#ifndef RUNESPOOR_ANALYSE_MODEL_H
#define RUNESPOOR_ANALYSE_MODEL_H

#include "analyse/analysis.h"
#include "analyse/card.h"
#include "analyse/planes.h"
#include "analyse/restore.h"
#include "base/text.h"
#include "config/cli.h"
#include "device.h"
#include "media/picture.h"

/* Runs of one model that may be under way at a time. */
#define MODEL_DEPTH_MAX 2u

struct model;

/* Reads folder, compares card and graph (inputs, outputs, head, class count), compiles for device
 * (borrowed until model_close) in the card's precision, or what serves in its place on this device
 * (precision.h). Does not run the sample: model_check does. */
int model_open(struct model **model, const char *folder, struct device *device, struct error *err);
/* The same in a precision of the caller's choice, whatever the card allows. */
int model_open_in(struct model **model, const char *folder, struct device *device,
                  enum precision precision, struct error *err);
/* The same with restoration in front, in one plan: for pictures of config's received size (others are
 * scaled to it first). precision NULL: as model_open does. RESTORE_NONE: nothing in front. config is
 * borrowed for the call. */
int model_open_restored(struct model **model, const char *folder, struct device *device,
                        const struct restore_config *config, const enum precision *precision,
                        struct error *err);
/* The same for pictures alone that are like this one (planes_alike) and, where config restores, of its
 * received size: the device makes its input of their planes itself. In place, model_start needs them until
 * model_finish. config and like are borrowed for the call. */
int model_open_planes(struct model **model, const char *folder, struct device *device,
                      const struct restore_config *config, const struct picture_view *like,
                      enum planes_way way, struct error *err);
const struct card *model_card(const struct model *model);
struct plan *model_plan(struct model *model);
enum precision model_precision(const struct model *model);

/* Prepares, runs and decodes one picture. What is found is in its pixels, restored or not. Allocates
 * nothing once warm. -ERROR_DEVICE when the device has failed in the middle of it: it may be of no use
 * any more. */
int model_run(struct model *model, const struct picture_view *picture, struct analysis *analysis,
              struct error *err);

/* The same in two halves: model_start prepares a picture and begins to run it, model_finish waits for the
 * oldest begun and decodes it. model_depth pictures may be begun and not finished: more than one where a
 * device beside the processor computes; elsewhere model_start does it all but the decoding. After an error
 * of model_start nothing has begun. But for planes in
 * place, the picture is not needed any more when model_start returns. */
int model_start(struct model *model, const struct picture_view *picture, struct error *err);
int model_finish(struct model *model, struct analysis *analysis, struct error *err);
uint32_t model_depth(const struct model *model);

/* The restored picture of the run that ended last, 1x3x(rows)x(columns) of f32, RGB in 0..1; NULL unless
 * the config said to keep it. Holds until the next call of any of the three. */
const struct tensor *model_restored(const struct model *model);
/* Labels of the run that ended last for a picture of any size, which they are laid over by nearest
 * neighbour: the number of the card's class that each pixel belongs to (where classes may overlap, the
 * last of them), PIXELS_NO_LABEL where there is none. map takes width * height of them. The head must be
 * one that finds areas (head_finds_areas). */
void model_label_map(struct model *model, uint32_t width, uint32_t height, uint8_t *map);

/* Runs the sample picture (a model of planes: if it is like those) and compares; the error names what was
 * expected and what was found. A model that fails does not serve. */
int model_check(struct model *model, struct error *err);
/* The same; report gets a line for each comparison. */
int model_check_report(struct model *model, struct text *report, struct error *err);
/* Waits for what has begun. Takes NULL. */
void model_close(struct model **model);

/* `cloud-server model check|show|run|bench FOLDER` (show takes an ONNX file too): the arguments of the
 * subcommand, its flags, the text of its --help, and what runs it and gives the exit status. */
#define MODEL_COMMAND_ARGUMENTS "check|show|run|bench FOLDER|FILE [PICTURE]"
extern const char model_command_more[];
extern const struct cli_flag model_command_flags[]; /* --runs, --threads, … */
int model_command(const struct cli_values *values);

#endif
