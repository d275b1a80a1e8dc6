/* Ten steps of training (ten_steps_check.h) on the emulated GPU. */
#include "cuda_emulated.h"
#include "ten_steps_check.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adam_gives_the_losses_of_pytorch),
        cmocka_unit_test(sgd_gives_the_losses_of_pytorch),
        cmocka_unit_test(recomputing_changes_nothing),
        cmocka_unit_test(frozen_parts_stay_and_weights_come_back),
    };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
