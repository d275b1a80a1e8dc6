/* States (state_check.h) on the emulated GPU. */
#include "cuda_emulated.h"
#include "state_check.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_old_contents_are_read),
        cmocka_unit_test(test_next_is_output),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_swap_without_copy_is_refused),
        cmocka_unit_test(test_next_is_input_or_constant),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_convolves_with_a_state),
        cmocka_unit_test(test_caller_reads_and_writes),
    };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
