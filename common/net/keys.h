/* keys: CURVE key pairs on disk, and the server's folder of agents it lets in.
 *
 * A key pair is two files: NAME.pub and NAME.key (mode 0600), each one line of Z85 (40 characters).
 * While a pair is being replaced, the one to follow lies beside it as NAME-next.
 * The allow folder holds one YAML file per agent, NAME.yaml:
 *     key: <Z85 public key>
 *     next_key: <the one that follows it>   # while it is being replaced; both come in
 *     streams: [gate-1, "yard-*"]           # names it may use; * at the end stands for any rest
 *     reads: true                           # it may subscribe to all answers
 * Secrets are never logged; memory that held one is wiped. */
#ifndef RUNESPOOR_NET_KEYS_H
#define RUNESPOOR_NET_KEYS_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define KEY_TEXT_BYTES 41u                 /* Z85 of 32 bytes, and NUL */
#define KEYS_ALLOWED_MAX 10000u            /* files in an allow folder */
#define KEYS_ALLOWED_FILE_BYTES_MAX 65536u /* of one of them */
#define KEYS_STREAMS_MAX 1000u             /* names and patterns in one of them */
#define KEYS_SERVER_MAX 4u                 /* public keys of one server, in one file */
#define KEYS_NEXT_SUFFIX "-next"

struct key_pair {
    char public_text[KEY_TEXT_BYTES];
    char secret_text[KEY_TEXT_BYTES];
};

/* Makes folder (0700) where missing and writes both files; refuses to overwrite. A crash leaves no
 * half of a file behind. */
int keys_create(const char *folder, const char *name, struct key_pair *pair, struct error *err);
/* Reads both files. A secret readable by others is an error that names the chmod to do; so are two
 * files that do not belong together. */
int keys_read_pair(const char *folder, const char *name, struct key_pair *pair, struct error *err);
/* Reads a file with a public key. */
int keys_read_public(const char *path, char public_text[KEY_TEXT_BYTES], struct error *err);
/* Reads a file with the public keys of one server, one a line (old and new while it replaces its own);
 * keys and count are written only on success. */
int keys_read_list(const char *path, char keys[KEYS_SERVER_MAX][KEY_TEXT_BYTES], size_t *count,
                   struct error *err);
/* Says whether a text is a public key at all (40 characters of Z85). */
int keys_check_public(const char *public_text, const char *place, struct error *err);
/* Overwrites the secret. */
void keys_wipe(struct key_pair *pair);

/* Makes the pair that is to follow NAME, beside it; refuses to overwrite one. */
int keys_rotate(const char *folder, const char *name, struct key_pair *pair, struct error *err);
/* The next pair becomes the present one, which is gone then. Cut short, it can be done again. */
int keys_switch(const char *folder, const char *name, struct key_pair *pair, struct error *err);
/* Removes both files. */
int keys_destroy(const char *folder, const char *name, struct error *err);

/* What an agent's file in the allow folder says. */
struct allowed_agent {
    const char *key, *next_key; /* next_key NULL: none */
    const char *const *streams;
    size_t stream_count; /* at least 1, unless it reads */
    bool reads;
};
/* Writes FOLDER/NAME.yaml (replacing it). Makes the folder where missing. */
int keys_allow_agent(const char *folder, const char *name, const struct allowed_agent *agent,
                     struct error *err);
/* The same for one that streams, and does not read. */
int keys_allow(const char *folder, const char *name, const char *public_text,
               const char *const *streams, size_t stream_count, struct error *err);
/* Lets the agent NAME in with a second key too. */
int keys_allow_next(const char *folder, const char *name, const char *public_text, struct error *err);
/* Takes back one of the agent's keys (the other one stays), or with NULL all of the agent. */
int keys_disallow(const char *folder, const char *name, const char *public_text, struct error *err);

/* The allow folder, kept in memory. One thread. */
struct allow_list;

/* Reads the folder (borrowed for the call), which must exist but may be empty. */
int allow_list_open(struct allow_list **list, const char *folder, struct error *err);
/* Looks at the folder, and reads those files again that changed (names, sizes, times). A file that is
 * wrong, or has the key of another (the first by name counts), is reported once per change through
 * the log and left out; the others count. When the folder itself cannot be read, the list stays as
 * it was. Hidden files and names that do not end in .yaml are passed over. Returns true if anything
 * changed. */
bool allow_list_refresh(struct allow_list *list);
/* The agent's name for a key, or NULL when the key is not known. Valid until the next refresh. */
const char *allow_list_find(const struct allow_list *list, const char *public_text);
/* True when this key may use this stream name. */
bool allow_list_permits(const struct allow_list *list, const char *public_text, const char *stream);
/* True when this key may subscribe to the answers. */
bool allow_list_reads(const struct allow_list *list, const char *public_text);
/* Keys that come in. */
size_t allow_list_count(const struct allow_list *list);
void allow_list_close(struct allow_list **list);

#endif
