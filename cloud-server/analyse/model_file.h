/* model_file: `cloud-server model show|run|bench` for an ONNX file without a card. */
#ifndef RUNESPOOR_ANALYSE_MODEL_FILE_H
#define RUNESPOOR_ANALYSE_MODEL_FILE_H

#include "analyse/model_inputs.h"
#include "device.h"

#define MODEL_BATCH_MAX 1024u

struct model_file_request {
    const char *path;
    struct model_words words;
    struct device *device; /* borrowed */
    enum precision precision;
    bool int8; /* was asked for: the model must be quantised */
    uint32_t runs, batch;
    const char *output; /* run: the folder, NULL for the present one */
    bool json;          /* bench */
};

/* Inputs, outputs and the plan; without the plan where sizes are open. */
int model_file_show(const struct model_file_request *request, struct error *err);
/* Inputs from files, outputs into files. */
int model_file_run(const struct model_file_request *request, struct error *err);
int model_file_bench(const struct model_file_request *request, struct error *err);

#endif
