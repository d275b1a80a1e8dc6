/* nvidia_gpu: the GPU of the double of NVIDIA's driver (tests/unit/media/nvidia_double.h) in a daemon that loads
 * it from NVIDIA_GPU_FOLDER. What it has and does, the test says in the daemon's environment. */
#ifndef RUNESPOOR_TESTS_PIPELINE_NVIDIA_GPU_H
#define RUNESPOOR_TESTS_PIPELINE_NVIDIA_GPU_H

#define NVIDIA_GPU_FOLDER "test/pipeline/nvidia" /* in the build folder */

/* The file of what a trial's pictures are decoded to, in its order, I420; they are known by their size. */
#define NVIDIA_GPU_TRIAL "NVIDIA_GPU_TRIAL"
#define NVIDIA_TRIAL_WIDTH 640u
#define NVIDIA_TRIAL_HEIGHT 360u
#define NVIDIA_TRIAL_FPS 25u
#define NVIDIA_TRIAL_PICTURES 12u
/* A file that gets a byte for each other picture that it has decoded. */
#define NVIDIA_GPU_COUNT "NVIDIA_GPU_COUNT"
/* How many of these it decodes before it decodes no more; not there: any number. */
#define NVIDIA_GPU_FAILS_FROM "NVIDIA_GPU_FAILS_FROM"

#endif
