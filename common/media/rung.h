/* rung: words shared by the option table and the encoder. For media/ only. */
#ifndef RUNESPOOR_MEDIA_RUNG_H
#define RUNESPOOR_MEDIA_RUNG_H

extern const char *const rung_presets[]; /* x264's words by struct rung's preset, NULL-ended */

#endif
