/* ops: runs all cases of the op table (lab/ops.h) and asks for those that are missing.
 *
 *     ops [--time] [OP]     only the cases of this op
 *     ops --list            the ops that have cases, one a line */
#include "lab/ops.h"
#include "ops/gradient.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 512

struct totals {
    unsigned rows, gradients, cases, failed;
};

static int list_ops(void);
static bool is_listed(size_t section, size_t index);
static void run_cases(const char *only, struct device *device, struct ops_result *results,
                      size_t row_count, struct totals *totals);
static struct ops_result *find_result(struct ops_result *results, size_t row_count,
                                      const struct op *op);
static void report_row(const struct ops_result *result, bool all, struct totals *totals);
static void print_row(const struct ops_result *result);
static void print_opsets(const struct op *op, char *text, size_t text_bytes);

int main(int argc, char **argv)
{
    bool timed = argc > 1 && strcmp(argv[1], "--time") == 0;
    const char *only = argc > 1 + timed ? argv[1 + timed] : NULL;
    static struct ops_result results[ROWS_MAX];
    struct totals totals = { 0 };
    struct device *device = NULL;
    struct error err;
    size_t row_count;
    const struct op *const *rows = op_all(&row_count);
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list_ops();
    if (argc > 2 + timed || (only && *only == '-')) {
        fprintf(stderr, "usage: %s [--time] [OP] | --list\n", argv[0]);
        return 2;
    }
    assert(row_count <= ROWS_MAX);
    for (size_t i = 0; i < row_count; i++)
        results[i].op = rows[i];
    if (ops_open_device(&device, &err)) {
        fprintf(stderr, "ops: %s\n", err.text);
        return 1;
    }
    run_cases(only, device, results, row_count, &totals);
    for (size_t i = 0; i < row_count; i++)
        report_row(&results[i], !only, &totals);
    if (timed && ops_bench(device, only, &err)) {
        fprintf(stderr, "ops: %s\n", err.text);
        totals.failed++;
    }
    device_close(&device);
    printf("lab: kernel=ops rows=%u gradients=%u cases=%u failed=%u\n", totals.rows,
           totals.gradients, totals.cases, totals.failed);
    printf("[  PASSED  ] %u test(s).\n", totals.cases - totals.failed);
    if (totals.failed > 0)
        printf("[  FAILED  ] %u test(s).\n", totals.failed);
    return totals.failed > 0;
}

static int list_ops(void)
{
    for (size_t s = 0; s < ops_section_count; s++)
        for (size_t i = 0; i < ops_sections[s].case_count; i++)
            if (!is_listed(s, i))
                puts(ops_sections[s].cases[i].op);
    return 0;
}

static bool is_listed(size_t section, size_t index)
{
    const char *op = ops_sections[section].cases[index].op;
    for (size_t s = 0; s <= section; s++)
        for (size_t i = 0; i < (s < section ? ops_sections[s].case_count : index); i++)
            if (strcmp(ops_sections[s].cases[i].op, op) == 0)
                return true;
    return false;
}

static void run_cases(const char *only, struct device *device, struct ops_result *results,
                      size_t row_count, struct totals *totals)
{
    for (size_t s = 0; s < ops_section_count; s++)
        for (size_t i = 0; i < ops_sections[s].case_count; i++) {
            const struct ops_case *c = &ops_sections[s].cases[i];
            struct ops_result *result = find_result(results, row_count, ops_row(c));
            if (only && strcmp(only, c->op) != 0)
                continue;
            if (!result) {
                printf("ops: there is no row '%s' in opset %d\n", c->op, c->opset);
                totals->cases++;
                totals->failed++;
                continue;
            }
            unsigned before = result->failures;
            for (unsigned v = 0; v < ops_variant_count(c); v++, totals->cases++) {
                struct ops_variant variant;
                ops_expand(c, v, &variant);
                ops_check(&ops_sections[s], &variant.c, device, result);
            }
            totals->failed += result->failures - before;
        }
}

static struct ops_result *find_result(struct ops_result *results, size_t row_count,
                                      const struct op *op)
{
    for (size_t i = 0; op && i < row_count; i++)
        if (results[i].op == op)
            return &results[i];
    return NULL;
}

/* Prints the row and what it lacks. all: every row has to have cases, but for those that are never run. */
static void report_row(const struct ops_result *result, bool all, struct totals *totals)
{
    const struct op *op = result->op;
    char opsets[32];
    print_opsets(op, opsets, sizeof opsets);
    totals->rows += result->cases > 0;
    totals->gradients += result->gradient_cases > 0;
    if (result->cases > 0)
        print_row(result);
    if (all && result->cases == 0 && !op->has_bodies) {
        printf("ops: row %s%s has no case\n", op->name, opsets);
        totals->cases++;
        totals->failed++;
    } else if (all && op->gradient && op->gradient != gradient_none &&
               result->gradient_cases == 0 && result->failures == 0 &&
               result->left_out < result->cases) {
        printf("ops: row %s%s has no case of its gradient\n", op->name, opsets);
        totals->cases++;
        totals->failed++;
    } else if (all && result->may_split && result->split_cases == 0) {
        printf("ops: row %s%s has no case that bf16x3 splits\n", op->name, opsets);
        totals->cases++;
        totals->failed++;
    }
}

static void print_row(const struct ops_result *result)
{
    char opsets[32], parts[48] = "", gradient[48] = "", reference[48] = "";
    print_opsets(result->op, opsets, sizeof opsets);
    if (result->gradient_cases > 0)
        snprintf(gradient, sizeof gradient, "gradient %.1g, f32 %.1g", result->difference_error,
                 result->gradient_error);
    if (result->may_split)
        snprintf(parts, sizeof parts, "bf16x3 %.1g (%u)", result->bf16x3_error, result->split_cases);
    if (*result->how && result->by_reference > 0)
        snprintf(reference, sizeof reference, " (%u: reference)", result->by_reference);
    printf("%-28s%-6s %2u cases  f32 %-6.1g bf16 %-6.1g %-18s %-28s %s%s\n", result->op->name,
           opsets, result->cases, result->f32_error, result->bf16_error, parts, gradient,
           *result->how ? result->how : "reference", reference);
}

/* Where a name has several rows: " 7-12". */
static void print_opsets(const struct op *op, char *text, size_t text_bytes)
{
    *text = '\0';
    if (op->opset_min != OPSET_OWN && (op->opset_min > OPSET_MIN || op->opset_max < OPSET_MAX))
        snprintf(text, text_bytes, " %d-%d", op->opset_min, op->opset_max);
}
