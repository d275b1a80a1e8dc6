/* Optimisers (optimise_check.h) on the cpu device. */
#include "cpu_device.h"
#include "optimise_check.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_clipping),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
