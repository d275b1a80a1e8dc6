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

/* Runs of one model that may be under way at a time, and pictures of a run. */
#define MODEL_DEPTH_MAX 2u
#define MODEL_PICTURES_MAX 16u

struct model;

/* Reads folder, compares card and graph (inputs, outputs, head, class count), compiles for device
 * (borrowed until model_close) in the card's precision, or what serves in its place on this device
 * (precision.h). Does not run the sample: model_check does. */
int model_open(struct model **model, const char *folder, struct device *device, struct error *err);
/* The same in a precision of the caller's choice, whatever the card allows. */
int model_open_in(struct model **model, const char *folder, struct device *device,
                  enum precision precision, struct error *err);
/* What a model is opened for beyond that. Pointers are borrowed for the call. */
struct model_form {
    /* Pictures that are analysed together: 1 to MODEL_PICTURES_MAX. Where the network cannot take several,
     * -ERROR_UNSUPPORTED or the error of one of its nodes. */
    uint32_t pictures;
    const enum precision *precision; /* NULL: as model_open does */
    /* Restoration in front, in one plan: for pictures of its received size (others are scaled to it first).
     * NULL or RESTORE_NONE: nothing in front. Not kept (keep) with several pictures. */
    const struct restore_config *restore;
    /* For pictures alone that are like this one (planes_alike) and, with restoration, of its received size:
     * the device makes its input of their planes itself. In place, model_start needs them until
     * model_finish. NULL: the processor makes it. */
    const struct picture_view *like;
    enum planes_way way;
};
int model_open_as(struct model **model, const char *folder, struct device *device,
                  const struct model_form *form, struct error *err);
/* The same for one picture, with restoration alone. precision may be NULL. */
int model_open_restored(struct model **model, const char *folder, struct device *device,
                        const struct restore_config *config, const enum precision *precision,
                        struct error *err);
const struct card *model_card(const struct model *model);
struct plan *model_plan(struct model *model);
enum precision model_precision(const struct model *model);
uint32_t model_pictures(const struct model *model);

/* Prepares, runs and decodes one picture, of a model opened for one. What is found is in its pixels, restored
 * or not. Allocates nothing once warm. -ERROR_DEVICE when the device has failed in the middle of it: it may be
 * of no use any more. */
int model_run(struct model *model, const struct picture_view *picture, struct analysis *analysis,
              struct error *err);

/* The same in two halves, for as many pictures as the model was opened for: model_start prepares them and
 * begins a run, model_finish waits for the oldest begun and decodes it. model_depth runs may be begun and not
 * finished: more than one where a device beside the processor computes; elsewhere model_start does it all but
 * the decoding. After an error of model_start nothing has begun. But for planes in place, the pictures are
 * not needed any more when model_start returns. */
int model_start(struct model *model, const struct picture_view *const *pictures, struct error *err);
int model_finish(struct model *model, struct analysis *const *analyses, struct error *err);
uint32_t model_depth(const struct model *model);

/* The restored picture of the run that ended last, 1x3x(rows)x(columns) of f32, RGB in 0..1; NULL unless
 * the config said to keep it. Holds until the next call of any of the three. */
const struct tensor *model_restored(const struct model *model);
/* Labels of the picture decoded last for a picture of any size, which they are laid over by nearest
 * neighbour: the number of the card's class that each pixel belongs to (where classes may overlap, the
 * last of them), PIXELS_NO_LABEL where there is none. map takes width * height of them. The head must be
 * one that finds areas (head_finds_areas). */
void model_label_map(struct model *model, uint32_t width, uint32_t height, uint8_t *map);

/* Runs the sample picture (a model of planes: if it is like those) and compares; the error names what was
 * expected and what was found. A model that fails does not serve. Of one for several pictures it is seen
 * whether they are kept apart: model_check of the same folder comes before. */
int model_check(struct model *model, struct error *err);
/* The same; report gets a line for each comparison. */
int model_check_report(struct model *model, struct text *report, struct error *err);
/* How long a run takes, with the sample picture in all places, by the faster one of two. */
int model_time(struct model *model, uint32_t *us, struct error *err);
/* Waits for what has begun. Takes NULL. */
void model_close(struct model **model);

/* `cloud-server model check|show|run|bench FOLDER` (show takes an ONNX file too): the arguments of the
 * subcommand, its flags, the text of its --help, and what runs it and gives the exit status. */
#define MODEL_COMMAND_ARGUMENTS "check|show|run|bench PATH [INPUT…]"
extern const char model_command_more[];
extern const struct cli_flag model_command_flags[]; /* --runs, --threads, … */
int model_command(const struct cli_values *values);

#endif
