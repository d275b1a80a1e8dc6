/* parallel: a step in C shares its work among threads, the same ones that oneDNN uses. Who does what is
 * fixed by the number of parts, so that sums come out the same every time. */
#ifndef RUNESPOOR_CPU_PARALLEL_H
#define RUNESPOOR_CPU_PARALLEL_H

#include <stdint.h>

typedef void parallel_fn(const void *arg, int part, int parts);

/* Runs fn for each part below `parts`, at the same time where there are as many threads. */
void parallel_run(int parts, parallel_fn *fn, const void *arg);

/* Puts each of the threads that work for this one on a processor of its own, if they and this one are just as
 * many as the processors it may use. This one stays free, so that the scheduler moves it away from others. Does
 * nothing when they are there already. */
void parallel_pin(int threads);

/* Has this thread, and those that parallel_run and oneDNN share its work with, take numbers below the smallest
 * normal one for 0, in results and in operands. Processors take a hundred times as long for one that is not,
 * and weights of some files are full of them. What it was before for this thread: parallel_keep_tiny. */
unsigned parallel_drop_tiny(int threads);
void parallel_keep_tiny(unsigned before);

/* What falls to a part of `count` things: [first, end), in stretches of `grain`. */
void parallel_share(int64_t count, int64_t grain, int part, int parts, int64_t *first, int64_t *end);

/* As many parts as threads, fewer where there would not be `least` things for each; at least one. */
int parallel_parts(int threads, int64_t count, int64_t least);

#endif
