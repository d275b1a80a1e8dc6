/* Proves that tickets leave a sequence in the order in which they were opened, each once, for every
 * order of finishing up to seven tickets, and that capacity, reuse of places and nested calls hold. */
#include "devices/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <cmocka.h>

#define TICKETS_MAX 7u

struct seen {
    struct sequence *sequence;
    uint64_t tickets[64];
    void *items[64];
    size_t count;
    bool reopen; /* open and finish one more ticket from inside release */
    size_t inside, inside_max;
};

static void on_release(void *arg, uint64_t ticket, void *item)
{
    struct seen *seen = arg;
    assert_true(seen->count < 64);
    seen->tickets[seen->count] = ticket;
    seen->items[seen->count++] = item;
    if (++seen->inside > seen->inside_max)
        seen->inside_max = seen->inside;
    if (seen->reopen && seen->count < 20) {
        uint64_t next;
        assert_int_equal(sequence_open(seen->sequence, item, &next, NULL), 0);
        sequence_finish(seen->sequence, next);
    }
    seen->inside--;
}

static struct sequence *make(struct seen *seen, size_t capacity)
{
    struct error err = { 0 };
    *seen = (struct seen){ 0 };
    assert_int_equal(sequence_create(&seen->sequence, capacity, on_release, seen, &err), 0);
    return seen->sequence;
}

static void check_one_order(const unsigned *order, unsigned count)
{
    struct seen seen;
    struct sequence *sequence = make(&seen, TICKETS_MAX);
    int items[TICKETS_MAX];
    bool done[TICKETS_MAX] = { false };
    for (unsigned i = 0; i < count; i++) {
        uint64_t ticket;
        assert_int_equal(sequence_open(sequence, &items[i], &ticket, NULL), 0);
        assert_int_equal(ticket, i);
    }
    for (unsigned i = 0; i < count; i++) {
        sequence_finish(sequence, order[i]);
        done[order[i]] = true;
        size_t expected = 0;
        while (expected < count && done[expected])
            expected++;
        assert_int_equal(seen.count, expected); /* as far as possible, and no further */
        assert_int_equal(sequence_depth(sequence), count - expected);
    }
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(seen.tickets[i], i);
        assert_ptr_equal(seen.items[i], &items[i]);
    }
    sequence_destroy(&sequence, NULL);
    assert_null(sequence);
}

/* Heap's algorithm over order[0..size). */
static void permute(unsigned *order, unsigned size, unsigned count, unsigned *checked)
{
    if (size <= 1) {
        check_one_order(order, count);
        ++*checked;
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        permute(order, size - 1, count, checked);
        unsigned other = size % 2 ? 0 : i;
        unsigned swap = order[other];
        order[other] = order[size - 1];
        order[size - 1] = swap;
    }
}

static void test_all_permutations(void **state)
{
    (void)state;
    unsigned factorial = 1;
    for (unsigned count = 1; count <= TICKETS_MAX; count++) {
        unsigned order[TICKETS_MAX], checked = 0;
        for (unsigned i = 0; i < count; i++)
            order[i] = i;
        permute(order, count, count, &checked);
        factorial *= count;
        assert_int_equal(checked, factorial);
    }
}

static void test_capacity(void **state)
{
    (void)state;
    struct seen seen;
    struct error err = { 0 };
    struct sequence *sequence = make(&seen, 2);
    uint64_t ticket = 99;
    assert_int_equal(sequence_open(sequence, NULL, &ticket, &err), 0);
    assert_int_equal(sequence_open(sequence, NULL, &ticket, &err), 0);
    assert_int_equal(sequence_open(sequence, NULL, &ticket, &err), -ERROR_LIMIT);
    assert_int_equal(ticket, 1); /* untouched by the refusal */
    sequence_finish(sequence, 1);
    /* Finished but not released: its place is still taken. */
    assert_int_equal(sequence_open(sequence, NULL, &ticket, &err), -ERROR_LIMIT);
    sequence_finish(sequence, 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(sequence_open(sequence, NULL, &ticket, &err), 0);
    assert_int_equal(ticket, 2);
    sequence_destroy(&sequence, NULL);
}

static void test_places_are_reused(void **state)
{
    (void)state;
    struct seen seen;
    struct sequence *sequence = make(&seen, 3);
    int items[3];
    uint64_t ticket;
    for (uint64_t round = 0; round < 1000; round++) {
        seen.count = 0;
        for (int i = 0; i < 3; i++)
            assert_int_equal(sequence_open(sequence, &items[i], &ticket, NULL), 0);
        assert_ptr_equal(sequence_item(sequence, 3 * round + 1), &items[1]);
        sequence_finish(sequence, 3 * round + 2);
        sequence_finish(sequence, 3 * round + 1);
        assert_int_equal(seen.count, 0);
        sequence_finish(sequence, 3 * round);
        assert_int_equal(seen.count, 3);
        assert_int_equal(seen.tickets[2], 3 * round + 2);
    }
    sequence_destroy(&sequence, NULL);
}

static void test_nested_calls_keep_order(void **state)
{
    (void)state;
    struct seen seen;
    struct sequence *sequence = make(&seen, 1);
    seen.reopen = true;
    uint64_t ticket;
    assert_int_equal(sequence_open(sequence, NULL, &ticket, NULL), 0);
    sequence_finish(sequence, ticket);
    assert_int_equal(seen.count, 20);
    for (size_t i = 0; i < seen.count; i++)
        assert_int_equal(seen.tickets[i], i);
    assert_int_equal(seen.inside_max, 1);
    sequence_destroy(&sequence, NULL);
}

static int dropped;

static void on_drop(void *item)
{
    dropped += *(int *)item;
}

static void test_destroy_drops_open_items(void **state)
{
    (void)state;
    struct seen seen;
    struct sequence *sequence = make(&seen, 8);
    int items[4] = { 1, 10, 100, 1000 };
    uint64_t ticket;
    for (int i = 0; i < 4; i++)
        assert_int_equal(sequence_open(sequence, &items[i], &ticket, NULL), 0);
    sequence_finish(sequence, 0);
    sequence_finish(sequence, 2); /* finished, not released: still ours to drop */
    dropped = 0;
    sequence_destroy(&sequence, on_drop);
    assert_int_equal(dropped, 1110);
    assert_int_equal(seen.count, 1);
    sequence_destroy(&sequence, on_drop); /* takes NULL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_permutations),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_places_are_reused),
        cmocka_unit_test(test_nested_calls_keep_order),
        cmocka_unit_test(test_destroy_drops_open_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
