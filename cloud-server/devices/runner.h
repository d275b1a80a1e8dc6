/* runner: what a worker process does with its device. runner.c fills the table with the compute engine,
 * runner_simulated.c with a stand-in. */
#ifndef RUNESPOOR_DEVICES_RUNNER_H
#define RUNESPOOR_DEVICES_RUNNER_H

#include "analyse/analysis.h"
#include "analyse/planes.h"
#include "config/config.h"
#include "devices/orders.h"
#include "media/picture.h"
#include <stdbool.h>

/* Runs, of one picture or several, that may be under way in a runner at a time. */
#define RUNNER_DEPTH_MAX 2u

struct runner; /* each table has its own */

struct runner_picture {
    struct picture_view view;
    uint32_t model; /* one that was added */
    struct camera_size camera;
    bool plain;          /* nothing restores it */
    enum planes_way way; /* in which its planes may come to the device */
};

/* What its card says of a model; the names are the runner's own. */
struct runner_model {
    const struct option_strings *classes;
    bool masks;                        /* areas are answered with their masks */
    uint32_t run_us[POOL_BATCH_STEPS]; /* as in struct reply_classes */
};

struct runner_class {
    int (*open)(struct runner **runner, const struct order_setup *setup, struct error *err);
    /* Opens and checks the next model (they come in order). *added is all zeros. */
    int (*add_model)(struct runner *runner, const struct order_model *order,
                     struct runner_model *added, struct error *err);
    /* Makes memory in which pictures will lie known to the device, until unpin; both NULL where that
     * helps nobody. False: it could not be done, which makes copies slower and nothing wrong. */
    bool (*pin)(struct runner *runner, void *data, uint64_t bytes);
    void (*unpin)(struct runner *runner, void *data);
    /* True when start would have to make a plan for these pictures first. NULL: never. Nothing is
     * under way when such pictures are started. */
    bool (*must_prepare)(const struct runner *runner, const struct runner_picture *pictures,
                         uint32_t count);
    /* How many runs may be started and not finished, at most RUNNER_DEPTH_MAX; known when a model
     * is open. NULL: one. */
    uint32_t (*depth)(const struct runner *runner);
    /* Begins to analyse pictures together, one or as many as add_model gave a time for; all of one model, and
     * of one size where a plan is for that. They stay as they are until they are finished. Writes what is done
     * to them into reply (restored, network, fallback), whose other fields are the caller's. After an
     * error nothing has begun, and after -ERROR_DEVICE the runner is of no further use. */
    int (*start)(struct runner *runner, const struct runner_picture *pictures, uint32_t count,
                 struct reply_done *reply, struct error *err);
    /* Waits for the oldest run that was started: analyses, one for each picture. An error, with the same
     * meaning, ends it, too. */
    int (*finish)(struct runner *runner, struct analysis *const *analyses, struct error *err);
    void (*close)(struct runner **runner); /* takes NULL */
};

extern const struct runner_class runner_engine;
extern const struct runner_class runner_simulated;

/* What the simulated device finds in a picture: one object, whose place and class follow from the
 * mean brightness of the picture's quadrants. Whoever has the same picture can compute the same. */
#define SIMULATED_CLASS_COUNT 4u
void simulated_analyse(const struct picture_view *picture, struct analysis *analysis);

#endif
