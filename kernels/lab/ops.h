/* ops: every row of the op table on the cpu device against the reference kernels, and its gradient
 * against differences. Cases are lines of a table (ops_cases.c): an op, its inputs and its attributes
 * as text. Whoever adds a row adds a line; a row without one fails the check.
 *
 * Inputs, separated by spaces:
 *     2x3x8x8        f32, random in [-1, 1]        -           left out
 *     0d             a scalar                      =…          a constant instead of an input
 *     i64:4x5<10     whole numbers from 0 to 9     =i64{1,2}   a list of these numbers
 *     bool:3         i64, i32, u8 as well          =f32(0.5)   a scalar
 * and, behind the shape of floats, where they are to lie:
 *     +  in [0.1, 1.1]    !  in [-1, 1], 0.2 from 0 at least    ~  any two 1/64 apart at least
 *     @-0.5:2  in between
 * `!` and `~` keep differences off the kinks of Relu or Max.
 *
 * A capital letter stands for a size, the same one all over the case, that changes from variant to
 * variant (ops_expand): N of a batch, C and K channels, others up to 13. At first all are 1.
 *
 * Attributes: axis=1 alpha=0.5 pads=1,1,1,1 scales=1.0,2.0 axes=2, mode='linear' value=f32{3}
 * (a comma makes a list, alone an empty one; a point makes a float). */
#ifndef RUNESPOOR_LAB_OPS_H
#define RUNESPOOR_LAB_OPS_H

#include "base/random.h"
#include "device.h"
#include "lab/compare.h"
#include "ops/op.h"

#define OPS_INPUTS_MAX 16

/* Content that is tried besides random numbers. */
enum {
    OPS_ZERO = 1,      /* all inputs are 0 */
    OPS_TINY = 2,      /* the first input is denormal */
    OPS_HUGE = 4,      /* up to 1e12: products of three stay finite */
    OPS_LARGE = 8,     /* up to 1e4, as logits */
    OPS_INFINITE = 16, /* infinities, -0 and the limits of each type among other numbers */
    OPS_NAN = 32,      /* the same with NaN among them */
    OPS_COARSE = 64    /* random, but only what bf16 can hold: what bf16 plans are given. No number
                          is round, so that none lies on a kink */
};
#define OPS_CONTENTS 7
#define OPS_FINITE (OPS_ZERO | OPS_TINY | OPS_HUGE)
#define OPS_ANY (OPS_FINITE | OPS_LARGE | OPS_INFINITE | OPS_NAN)

struct ops_case {
    const char *op, *inputs, *attributes; /* attributes NULL: none */
    int outputs;                          /* 0: one */
    int opset;                            /* 0: the newest row of the name */
    unsigned without;                     /* contents that are not tried */
    int seeded;       /* outputs that are differentiated, the first ones; 0: all */
    bool no_gradient; /* not checked here: too large, or not smooth */
    /* What no maker knows, so that a device which cannot run reference kernels refuses it. */
    bool reference_only;
};

/* Cases of one kind, with what an output may be off: `how` and f32_bound on f32 plans, and bf16_bound
 * of COMPARE_LARGEST on bf16 plans. Gradients are held to 1e-5 in f32 and to gradient_bf16_bound in
 * bf16, of COMPARE_NORM; ops that bf16x3 splits, and their gradients, to 2e-5 of it. */
struct ops_section {
    const char *title;
    enum compare how;
    double f32_bound, bf16_bound, gradient_bf16_bound;
    unsigned contents;
    const struct ops_case *cases;
    size_t case_count;
};

extern const struct ops_section ops_sections[];
extern const size_t ops_section_count;
/* Shapes of real work, for times. */
extern const struct ops_case ops_benches[];
extern const size_t ops_bench_count;

/* What is known of a row of the op table after its cases have been run. */
struct ops_result {
    const struct op *op;
    unsigned cases, gradient_cases, failures;
    unsigned left_out; /* reference_only, where the device runs none */
    double f32_error, bf16_error, tf32_error; /* the largest, of forward runs; bf16: and of f16 */
    double difference_error, gradient_error;  /* of doubles and, on the device, of f32 */
    /* Where the device has bf16x3 for the op: forwards and gradients, and how many cases are large
     * enough that it splits them; the others it leaves to f32. */
    bool may_split;
    double bf16x3_error;
    unsigned split_cases;
    /* How the cpu device does it, where it has something faster than the reference kernel, and how
     * many cases were left to that. */
    char how[64];
    unsigned by_reference;
};

#define OPS_VARIANTS 6
#define OPS_TEXT_BYTES 256

/* A case with numbers in the place of letters. */
struct ops_variant {
    struct ops_case c;
    char inputs[OPS_TEXT_BYTES], attributes[OPS_TEXT_BYTES];
};
/* How many variants there are: 1 without letters. */
unsigned ops_variant_count(const struct ops_case *c);
void ops_expand(const struct ops_case *c, unsigned index, struct ops_variant *variant);

/* The case as an inferred graph, every output an output of the graph. among: f32 inputs and outputs of
 * four dimensions go through convolutions that hand them on, so that the op meets channels-last arrays
 * and, in bf16 plans, bf16. */
int ops_build(const struct ops_case *c, bool among, struct graph **graph, struct error *err);
/* Content for the graph's inputs: one of the above, 0 for random. */
int ops_fill(const struct ops_case *c, const struct graph *graph, unsigned content,
             struct random_state *random, struct tensor *inputs, struct error *err);
const struct op *ops_row(const struct ops_case *c);

/* The device that the program is about: device_*.c, one of which it is linked with. */
int ops_open_device(struct device **device, struct error *err);

/* Runs a case and its gradient; adds to the result and prints what fails. */
void ops_check(const struct ops_section *section, const struct ops_case *c, struct device *device,
               struct ops_result *result);

/* Times of all benches (of the op `only`, if not NULL), against what the machine can do. Of the
 * processor; elsewhere there is nothing to print. */
int ops_bench(struct device *device, const char *only, struct error *err);

/* What the steps of a compiled case are called, into text. */
void ops_implementation(const struct plan *plan, char *text, size_t text_bytes);

#endif
