/* print_table: columns as wide as what is in them, numbers of three digits. */
#include "print_table.h"
#include <inttypes.h>
#include <string.h>

#define SHAPE_BYTES 128
#define UNIT_BYTES 16

struct widths {
    int op, shape, implementation;
};

/* Of one step or of all. least_ns is the time at the device's peak. */
struct cost {
    uint64_t flop, bytes;
    double time_ns, least_ns;
    bool by_flop; /* arithmetic needs longer than moving the data */
};

static struct widths find_widths(const struct table_step *steps, int count);
static struct cost find_cost(const struct table_step *step);
static void print_names(const struct widths *widths, bool timed, FILE *out);
static void print_step(const struct table_step *step, const struct widths *widths,
                       const struct cost *total, FILE *out);
static void print_numbers(const struct cost *cost, const struct cost *total, FILE *out);
static void print_total(const struct plan *plan, int count, const struct widths *widths,
                        const struct cost *total, FILE *out);
static void format_count(uint64_t count, char text[UNIT_BYTES]);
static void format_bytes(uint64_t bytes, char text[UNIT_BYTES]);

void table_print(const struct plan *plan, const struct table_step *steps, int count, bool timed,
                 FILE *out)
{
    struct widths widths = find_widths(steps, count);
    struct cost total = { 0 };
    for (int i = 0; i < count; i++) {
        struct cost cost = find_cost(&steps[i]);
        total.flop += cost.flop;
        total.bytes += cost.bytes;
        total.time_ns += cost.time_ns;
        total.least_ns += cost.least_ns;
    }
    print_names(&widths, timed, out);
    for (int i = 0; i < count; i++)
        print_step(&steps[i], &widths, &total, out);
    print_total(plan, count, &widths, &total, out);
}

void table_print_copies(const struct peak_copy *copies, int count, FILE *out)
{
    const char *between = "";
    for (int i = 0; i < count; i++) {
        if (copies[i].gbps <= 0)
            continue;
        fprintf(out, "%s%.0f", between, copies[i].gbps);
        between = ", ";
    }
    fputs(" GB/s in copies of ", out);
    between = "";
    for (int i = 0; i < count; i++) {
        if (copies[i].gbps <= 0)
            continue;
        fprintf(out, "%s%" PRIu64, between, copies[i].bytes >> 20);
        between = ", ";
    }
    fputs(" MiB", out);
}

double peak_copies_ns(const struct peak_copy *copies, int count, uint64_t bytes)
{
    double gbps = 0;
    for (int i = 0; i < count; i++)
        if (copies[i].gbps > 0)
            gbps = copies[i].gbps;
    for (int i = 0; i < count; i++)
        if (copies[i].bytes >= bytes && copies[i].gbps > gbps)
            gbps = copies[i].gbps;
    return gbps > 0 ? (double)bytes / gbps : 0;
}

static struct widths find_widths(const struct table_step *steps, int count)
{
    struct widths widths = { .op = 2, .shape = 5, .implementation = 14 };
    for (int i = 0; i < count; i++) {
        char shape[SHAPE_BYTES];
        shape_format(steps[i].shape, shape, sizeof shape);
        int op = (int)strlen(steps[i].op), dims = (int)strlen(shape);
        int implementation = (int)strlen(steps[i].implementation);
        widths.op = op > widths.op ? op : widths.op;
        widths.shape = dims > widths.shape ? dims : widths.shape;
        widths.implementation =
            implementation > widths.implementation ? implementation : widths.implementation;
    }
    return widths;
}

static struct cost find_cost(const struct table_step *step)
{
    bool by_flop = step->flop_ns > step->bytes_ns;
    return (struct cost){ .flop = step->flop,
                          .bytes = step->bytes,
                          .time_ns = step->time_ns,
                          .least_ns = by_flop ? step->flop_ns : step->bytes_ns,
                          .by_flop = by_flop };
}

static void print_names(const struct widths *widths, bool timed, FILE *out)
{
    fprintf(out, "\n%-*s  %-*s  type  %-*s  ", widths->op, "op", widths->shape, "shape",
            widths->implementation, "implementation");
    if (timed)
        fputs("       us  of all  ", out);
    fputs("  FLOP     bytes  ", out);
    if (timed)
        fputs("    of peak  ", out);
    fputs("node\n", out);
}

static void print_step(const struct table_step *step, const struct widths *widths,
                       const struct cost *total, FILE *out)
{
    char shape[SHAPE_BYTES];
    struct cost cost = find_cost(step);
    shape_format(step->shape, shape, sizeof shape);
    fprintf(out, "%-*s  %-*s  %-4s  %-*s  ", widths->op, step->op, widths->shape, shape,
            tensor_type_word(step->type), widths->implementation, step->implementation);
    print_numbers(&cost, total, out);
    fprintf(out, "%s\n", step->name);
}

static void print_numbers(const struct cost *cost, const struct cost *total, FILE *out)
{
    char flop[UNIT_BYTES], bytes[UNIT_BYTES];
    format_count(cost->flop, flop);
    format_bytes(cost->bytes, bytes);
    if (total->time_ns > 0)
        fprintf(out, "%9.1f  %5.1f%%  ", cost->time_ns / 1e3, 100.0 * cost->time_ns / total->time_ns);
    fprintf(out, "%6s  %8s  ", flop, bytes);
    if (total->time_ns <= 0)
        return;
    double share = cost->time_ns > 0 ? 100.0 * cost->least_ns / cost->time_ns : 0;
    const char *by = cost == total ? "" : cost->by_flop ? "flop" : "bytes";
    fprintf(out, "%4.0f%% %-5s  ", share, by);
}

static void print_total(const struct plan *plan, int count, const struct widths *widths,
                        const struct cost *total, FILE *out)
{
    char steps[32];
    snprintf(steps, sizeof steps, "%d steps", count);
    int width = widths->op + widths->shape + widths->implementation + 10;
    fprintf(out, "%-*s  ", width, steps);
    print_numbers(total, total, out);
    fprintf(out, "weights %.1f MiB, activations %.1f MiB", (double)plan->weight_bytes / 1048576,
            (double)plan->activation_bytes / 1048576);
    if (total->time_ns > 0)
        fprintf(out, ", %.3f ms, %.1f GFLOP/s", total->time_ns / 1e6,
                (double)total->flop / total->time_ns);
    fputc('\n', out);
}

/* Three digits and a unit: "1.21G", "0" for nothing. */
static void format_count(uint64_t count, char text[UNIT_BYTES])
{
    static const char units[] = { ' ', 'k', 'M', 'G', 'T', 'P', 'E' };
    double number = (double)count;
    size_t unit = 0;
    while (number >= 999.5 && unit + 1 < sizeof units) {
        number /= 1000;
        unit++;
    }
    if (count == 0)
        snprintf(text, UNIT_BYTES, "-");
    else if (unit == 0)
        snprintf(text, UNIT_BYTES, "%.0f", number);
    else
        snprintf(text, UNIT_BYTES, "%.*f%c",
                 number < 9.995   ? 2
                 : number < 99.95 ? 1
                                  : 0,
                 number, units[unit]);
}

static void format_bytes(uint64_t bytes, char text[UNIT_BYTES])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double number = (double)bytes;
    size_t unit = 0;
    while (number >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        number /= 1024;
        unit++;
    }
    snprintf(text, UNIT_BYTES, "%.*f %s",
             unit == 0 || number >= 99.95 ? 0
             : number < 9.995             ? 2
                                          : 1,
             number, units[unit]);
}
