/* planner: a graph that runs with tensors of any shapes. A plan is compiled for fixed shapes, so there is one
 * for each set of shapes that comes, and for each content of those inputs whose values decide shapes (a
 * Reshape's target, a TopK's k; which ones these are is learned from inference). Few are kept: of a stream of
 * ever new shapes each run compiles. As with a device, one thread uses a planner at a time. */
#ifndef RUNESPOOR_KERNELS_PLANNER_H
#define RUNESPOOR_KERNELS_PLANNER_H

#include "device.h"

/* Plans that are kept, each with weights and activations of its own; the one that was used longest ago goes. */
#define PLANNER_PLANS_DEFAULT 4u
#define PLANNER_PLANS_MAX 64u

struct planner;

struct planner_options {
    enum precision precision;
    uint32_t plans; /* 1 to PLANNER_PLANS_MAX; 0: PLANNER_PLANS_DEFAULT */
};

struct planner_counts {
    uint64_t found, compiled, dropped; /* plans: that were there, that were made, that had to go */
    uint32_t kept, bound;              /* plans now; inputs whose values have decided shapes */
};

/* The graph is only borrowed for the call, the device until planner_close. */
int planner_open(struct planner **planner, struct device *device, const struct graph *graph,
                 const struct planner_options *options, struct error *err);
void planner_close(struct planner **planner); /* before device_close */

/* The plan for these inputs, which are in the graph's order, of its types, and dense. Their contents are in the
 * plan's inputs then. The plan is the planner's own, and there until the next call of this or of
 * planner_close; its outputs are the graph's, in the same order. Of its inputs those whose values decided are
 * missing. */
int planner_plan(struct planner *planner, const struct tensor *const *inputs, struct plan **plan,
                 struct error *err);

/* planner_plan and plan_run. */
int planner_run(struct planner *planner, const struct tensor *const *inputs, struct plan **plan,
                struct error *err);

/* Whether the values of an input have decided shapes so far. */
bool planner_is_bound(const struct planner *planner, size_t input);
void planner_get_counts(const struct planner *planner, struct planner_counts *counts);

#endif
