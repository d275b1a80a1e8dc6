/* source_kinds: what is behind a source, one per kind. For media/ only. */
#ifndef RUNESPOOR_MEDIA_SOURCE_KINDS_H
#define RUNESPOOR_MEDIA_SOURCE_KINDS_H

#include "media/source.h"

struct source_file;

int source_file_open(struct source_file **file, const struct source_config *config,
                     struct source_info *info, struct error *err);
/* info is brought up to date where pictures change. */
int source_file_next(struct source_file *file, struct picture **picture, uint64_t *time_ns,
                     struct source_info *info, struct error *err);
uint64_t source_file_skipped(const struct source_file *file);
const struct decoder_choice *source_file_decoder(const struct source_file *file);
void source_file_close(struct source_file **file);

struct source_live; /* rtsp, v4l2, mpegts */

int source_live_open(struct source_live **live, const struct source_config *config,
                     struct source_watch *watch, struct source_info *info, struct error *err);
int source_live_next(struct source_live *live, struct picture **picture, uint64_t *time_ns,
                     struct source_info *info, struct error *err);
uint64_t source_live_skipped(const struct source_live *live);
const struct decoder_choice *source_live_decoder(const struct source_live *live);
void source_live_close(struct source_live **live);

struct test_picture;

int test_picture_open(struct test_picture **test, const struct source_config *config,
                      struct source_info *info, struct error *err);
int test_picture_next(struct test_picture *test, struct picture **picture, uint64_t *time_ns,
                      struct error *err);
void test_picture_close(struct test_picture **test);

#endif
