/* What serves in place of an arithmetic that a device does not have, on devices that have this and that. */
#include "analyse/precision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct device_info has;

static void get_info(const struct device *device, struct device_info *info)
{
    (void)device;
    *info = has;
}

static const struct device_class class = { .kind = "any", .get_info = get_info };
static const struct device device = { .class = &class };

static void what_it_has_is_used(void **state)
{
    (void)state;
    has = (struct device_info){ .bf16 = true, .bf16x3 = true, .tf32 = true, .f16 = true };
    for (int p = PRECISION_F32; p <= PRECISION_F16; p++)
        assert_int_equal(precision_for(&device, (enum precision)p), p);
}

static void narrow_ones_replace_each_other_one_way(void **state)
{
    (void)state;
    has = (struct device_info){ .bf16 = true };
    assert_int_equal(precision_for(&device, PRECISION_F16), PRECISION_BF16);
    has = (struct device_info){ .f16 = true }; /* whose range is smaller than bf16's */
    assert_int_equal(precision_for(&device, PRECISION_BF16), PRECISION_F32);
}

static void f32_replaces_all_others(void **state)
{
    (void)state;
    has = (struct device_info){ 0 };
    for (int p = PRECISION_F32; p <= PRECISION_F16; p++)
        assert_int_equal(precision_for(&device, (enum precision)p), PRECISION_F32);
    has = (struct device_info){ .bf16 = true, .bf16x3 = true };
    assert_int_equal(precision_for(&device, PRECISION_TF32), PRECISION_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_has_is_used),
        cmocka_unit_test(narrow_ones_replace_each_other_one_way),
        cmocka_unit_test(f32_replaces_all_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
