/* eval_hash: what a file or folder holds, as one number: two results with equal numbers were measured
 * on the same bytes. Names and times would not tell: a copy has new times and the same bytes, a network
 * that was trained anew the same name. Reading costs less than decoding once what is read. Against
 * accidents, not against forgery. */
#ifndef RUNESPOOR_EVALUATE_EVAL_HASH_H
#define RUNESPOOR_EVALUATE_EVAL_HASH_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

/* Goes on (base/hash.h) with a file's bytes, or with the names and bytes of all files of a folder (not of
 * folders in it, and not what begins with a dot), in the order of their names. */
int eval_hash_path(uint64_t *hash, const char *path, struct error *err);

#endif
