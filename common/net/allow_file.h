/* allow_file: one agent's file of the allow folder, read and written. Private to keys. */
#ifndef RUNESPOOR_NET_ALLOW_FILE_H
#define RUNESPOOR_NET_ALLOW_FILE_H

#include "config/config.h"
#include "net/keys.h"

#define ALLOW_FILE_SUFFIX ".yaml"

struct allow_text {
    char *key, *next_key;
    struct option_strings streams;
    bool reads;
};

/* Reads and checks FOLDER/NAME.yaml; text lives until config_free, which is due in any case. */
int allow_file_read(struct config **config, struct allow_text *text, const char *folder,
                    const char *name, struct error *err);

#endif
