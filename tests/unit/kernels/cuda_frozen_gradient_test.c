/* Gradients through a frozen network (frozen_gradient_check.h) on the emulated GPU. */
#include "cuda_emulated.h"
#include "frozen_gradient_check.h"

/* Relus turn over, and the restorer stands before all of them: f16 was 0.06 off, bf16, with 3 bits fewer,
 * 0.346; the processor in bf16 0.347. */
#define F16_BOUND 0.1
#define BF16_BOUND 0.5

static void through_the_default_detector(void **state)
{
    static const struct {
        enum precision precision;
        double bound;
    } runs[] = {
        { PRECISION_F32, DEVICE_BOUND },
        { PRECISION_F16, F16_BOUND },
        { PRECISION_BF16, BF16_BOUND },
    };
    struct trial trial;
    (void)state;
    trial_begin(&trial, DETECTOR, DETECTOR_ROWS, DETECTOR_COLUMNS);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        compare_device(&trial.net, trial.net.graph, runs[i].precision, runs[i].bound, &trial.input,
                       trial.results, "gradients");
    trial_end(&trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_the_default_detector),
    };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
