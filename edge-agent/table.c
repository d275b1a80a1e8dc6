/* table: see the header. A tick reads the whole registry into rows; rates are differences to the rows
 * of WINDOW_TICKS ago. */
#include "table.h"

#include "agent_config.h"
#include "base/clock.h"
#include "figures.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_TICKS 5u
#define CLASSES_MAX 16u
#define NAME_BYTES 65u

struct row {
    char stream[NAME_BYTES];
    uint64_t captured, answered, dropped, sent_bytes, objects;
    double in_flight, outbox, server_decode, server_device;
    double tail[3]; /* accuracy that 90 % of frames reach: value, low, high; NaN: not known */
    double probes;
    struct metric_snapshot age;
};

struct class_row {
    char name[NAME_BYTES];
    uint64_t objects;
};

/* One reading of the registry. */
struct reading {
    uint64_t at_ns;
    size_t row_count, class_count;
    struct row rows[AGENT_CAMERAS_MAX];
    struct class_row classes[CLASSES_MAX];
    uint64_t dropped[DROP_REASON_COUNT]; /* of all streams */
    double link_state;
};

struct table {
    struct metrics *metrics;
    FILE *out;
    bool terminal;
    unsigned lines_drawn;
    uint64_t ticks, begin_ns;
    struct reading readings[WINDOW_TICKS + 1]; /* ring by tick */
};

static void read_all(struct metrics *metrics, struct reading *reading, uint64_t now_ns);

int table_create(struct table **out, struct metrics *metrics, FILE *file, bool terminal,
                 struct error *err)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return error_set(err, ERROR_MEMORY, "table", "no memory");
    table->metrics = metrics;
    table->out = file;
    table->terminal = terminal;
    *out = table;
    return 0;
}

void table_destroy(struct table **table)
{
    free(*table);
    *table = NULL;
}

void table_write_summary(struct metrics *metrics, uint64_t elapsed_ns, FILE *out)
{
    struct reading *now = calloc(1, sizeof *now);
    if (!now)
        return;
    read_all(metrics, now, 0);
    struct row sum = { .stream = "" };
    for (size_t i = 0; i < now->row_count; i++) {
        const struct row *row = &now->rows[i];
        sum.captured += row->captured;
        sum.answered += row->answered;
        sum.dropped += row->dropped;
        sum.sent_bytes += row->sent_bytes;
        sum.objects += row->objects;
        metric_snapshot_add(&sum.age, &row->age);
    }
    double seconds = elapsed_ns > 0 ? (double)elapsed_ns / 1e9 : 1;
    fprintf(out,
            "frames=%llu answered=%llu dropped=%llu fps=%.2f latency_p50_ms=%.1f "
            "latency_p99_ms=%.1f uplink_kbps=%.0f objects=%llu",
            (unsigned long long)sum.captured, (unsigned long long)sum.answered,
            (unsigned long long)sum.dropped, (double)sum.answered / seconds,
            metric_snapshot_quantile_us(&sum.age, 0.5) / 1e3,
            metric_snapshot_quantile_us(&sum.age, 0.99) / 1e3,
            (double)sum.sent_bytes * 8 / 1000 / seconds, (unsigned long long)sum.objects);
    for (size_t i = 0; i < DROP_REASON_COUNT; i++)
        if (now->dropped[i] > 0)
            fprintf(out, " dropped_%s=%llu", figures_drop_word((enum drop_reason)i),
                    (unsigned long long)now->dropped[i]);
    fputc('\n', out);
    fflush(out);
    free(now);
}

/* ---- reading the registry ---- */

static const char *label_value(const struct metric_label *labels, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(labels[i].name, name) == 0)
            return labels[i].value;
    return NULL;
}

static struct row *find_row(struct reading *reading, const char *stream)
{
    for (size_t i = 0; i < reading->row_count; i++)
        if (strcmp(reading->rows[i].stream, stream) == 0)
            return &reading->rows[i];
    if (reading->row_count == AGENT_CAMERAS_MAX)
        return NULL;
    struct row *row = &reading->rows[reading->row_count++];
    *row = (struct row){ .stream = "", .tail = { (double)NAN, (double)NAN, (double)NAN } };
    snprintf(row->stream, sizeof row->stream, "%s", stream);
    return row;
}

static void read_queue(struct row *row, const char *queue, double depth)
{
    if (strcmp(queue, "in_flight") == 0)
        row->in_flight = depth;
    else if (strcmp(queue, "outbox") == 0)
        row->outbox = depth;
    else if (strcmp(queue, "server_decode") == 0)
        row->server_decode = depth;
    else if (strcmp(queue, "server_device") == 0)
        row->server_device = depth;
}

static void read_tail(struct row *row, const char *figure, const char *bound, double accuracy)
{
    static const char *const bounds[] = { "value", "low", "high" };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (strcmp(figure, "tail90") == 0 && strcmp(bound, bounds[i]) == 0)
            row->tail[i] = accuracy;
}

static void read_drops(struct reading *reading, struct row *row, const char *word, uint64_t frames)
{
    row->dropped += frames;
    for (size_t i = 0; i < DROP_REASON_COUNT; i++)
        if (strcmp(word, figures_drop_word((enum drop_reason)i)) == 0)
            reading->dropped[i] += frames;
}

static void read_class(struct reading *reading, const char *name, uint64_t objects)
{
    if (reading->class_count == CLASSES_MAX)
        return;
    struct class_row *row = &reading->classes[reading->class_count++];
    snprintf(row->name, sizeof row->name, "%s", name);
    for (char *at = row->name; *at; at++) /* it came over the wire, and goes to a terminal */
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    row->objects = objects;
}

static void read_series(void *arg, const char *name, char kind, const struct metric_label *labels,
                        size_t label_count, const void *handle)
{
    struct reading *reading = arg;
    (void)kind;
    if (strcmp(name, "edge_link_state") == 0)
        reading->link_state = metric_gauge_get(handle);
    if (strcmp(name, "edge_class_objects_total") == 0)
        read_class(reading, label_value(labels, label_count, "class"), metric_counter_get(handle));
    const char *stream = label_value(labels, label_count, "stream");
    struct row *row = stream ? find_row(reading, stream) : NULL;
    if (!row)
        return;
    if (strcmp(name, "edge_frames_captured_total") == 0)
        row->captured = metric_counter_get(handle);
    else if (strcmp(name, "edge_frames_answered_total") == 0)
        row->answered = metric_counter_get(handle);
    else if (strcmp(name, "edge_frames_dropped_total") == 0)
        read_drops(reading, row, label_value(labels, label_count, "reason"),
                   metric_counter_get(handle));
    else if (strcmp(name, "edge_sent_bytes_total") == 0)
        row->sent_bytes = metric_counter_get(handle);
    else if (strcmp(name, "edge_objects_total") == 0)
        row->objects = metric_counter_get(handle);
    else if (strcmp(name, "edge_queue_depth") == 0)
        read_queue(row, label_value(labels, label_count, "queue"), metric_gauge_get(handle));
    else if (strcmp(name, "edge_accuracy") == 0)
        read_tail(row, label_value(labels, label_count, "figure"),
                  label_value(labels, label_count, "bound"), metric_gauge_get(handle));
    else if (strcmp(name, "edge_probes_in_window") == 0)
        row->probes = metric_gauge_get(handle);
    else if (strcmp(name, "edge_answer_age_seconds") == 0)
        metric_histogram_get(handle, &row->age);
}

static void read_all(struct metrics *metrics, struct reading *reading, uint64_t now_ns)
{
    *reading = (struct reading){ .at_ns = now_ns };
    metrics_visit(metrics, read_series, reading);
}

/* ---- drawing ---- */

/* What changed in a row over the window. */
struct rates {
    double fps, kbps, p50_ms, p99_ms;
};

static struct rates row_rates(const struct reading *now, const struct reading *then, size_t index)
{
    const struct row *row = &now->rows[index];
    double seconds = (double)(now->at_ns - then->at_ns) / 1e9;
    if (seconds <= 0)
        return (struct rates){ 0 };
    struct row before = { .stream = "" };        /* the stream may be younger than the window */
    for (size_t i = 0; i < then->row_count; i++) /* at another place where a camera has gone */
        if (strcmp(then->rows[i].stream, row->stream) == 0)
            before = then->rows[i];
    struct metric_snapshot age = row->age;
    metric_snapshot_subtract(&age, &before.age);
    return (struct rates){
        .fps = (double)(row->answered - before.answered) / seconds,
        .kbps = (double)(row->sent_bytes - before.sent_bytes) * 8 / 1000 / seconds,
        .p50_ms = metric_snapshot_quantile_us(&age, 0.5) / 1e3,
        .p99_ms = metric_snapshot_quantile_us(&age, 0.99) / 1e3,
    };
}

static unsigned draw_classes(struct table *table, const struct reading *now)
{
    uint64_t answered = 0;
    for (size_t i = 0; i < now->row_count; i++)
        answered += now->rows[i].answered;
    fprintf(table->out, table->terminal ? "\033[K objects" : "objects");
    for (size_t i = 0; i < now->class_count; i++)
        fprintf(table->out, "  %s %llu", now->classes[i].name,
                (unsigned long long)now->classes[i].objects);
    if (answered > 0 && now->class_count > 0) {
        uint64_t objects = 0;
        for (size_t i = 0; i < now->row_count; i++)
            objects += now->rows[i].objects;
        fprintf(table->out, "  (%.1f a frame)", (double)objects / (double)answered);
    }
    fprintf(table->out, "%s\n", now->class_count > 0 ? "" : "  none yet");
    return 1;
}

#define TAIL_BYTES 24u

/* "0.67 [0.57 0.73]", or of how many probes it is not known yet. */
static const char *tail_words(const struct row *row, char words[TAIL_BYTES])
{
    if (isnan(row->tail[0]))
        snprintf(words, TAIL_BYTES, "? (%.0f probes)", fmin(row->probes, 999999));
    else
        snprintf(words, TAIL_BYTES, "%.2f [%.2f %.2f]", row->tail[0], row->tail[1], row->tail[2]);
    return words;
}

static const char *link_word(double state)
{
    return state >= 2 ? "up" : state >= 1 ? "connecting" : "waiting";
}

static void draw_terminal(struct table *table, const struct reading *now, const struct reading *then)
{
    FILE *out = table->out;
    if (table->lines_drawn > 0)
        fprintf(out, "\033[%uA", table->lines_drawn);
    unsigned lines = 0;
    /* Lines longer than the terminal is wide are cut: wrapped ones would be counted wrongly. */
    fprintf(out, "\033[?7l\033[K\033[1m edge-agent\033[0m  link %s  %llu s\n",
            link_word(now->link_state),
            (unsigned long long)((now->at_ns - table->begin_ns) / CLOCK_NS_PER_S));
    fprintf(out, "\033[K\033[7m %-16s %6s %9s %9s %8s %-16s %9s %13s %9s %8s \033[0m\n", "stream",
            "fps", "age p50", "age p99", "kbit/s", "90 % tail", "in flight", "server queue",
            "answered", "dropped");
    lines += 2;
    for (size_t i = 0; i < now->row_count; i++, lines++) {
        const struct row *row = &now->rows[i];
        struct rates rates = row_rates(now, then, i);
        char tail[TAIL_BYTES];
        fprintf(out, "\033[K %-16s %6.1f %6.0f ms %6.0f ms %8.0f %-16s %9.0f %13.0f %9llu %8llu\n",
                row->stream, rates.fps, rates.p50_ms, rates.p99_ms, rates.kbps,
                tail_words(row, tail), row->in_flight, row->server_decode + row->server_device,
                (unsigned long long)row->answered, (unsigned long long)row->dropped);
    }
    lines += draw_classes(table, now);
    fprintf(out, "\033[?7h");
    table->lines_drawn = lines;
}

static void draw_lines(struct table *table, const struct reading *now, const struct reading *then)
{
    for (size_t i = 0; i < now->row_count; i++) {
        const struct row *row = &now->rows[i];
        struct rates rates = row_rates(now, then, i);
        fprintf(
            table->out,
            "%s link=%s fps=%.1f age_p50_ms=%.0f age_p99_ms=%.0f uplink_kbps=%.0f in_flight=%.0f "
            "outbox=%.0f server_decode=%.0f server_device=%.0f answered=%llu dropped=%llu",
            row->stream, link_word(now->link_state), rates.fps, rates.p50_ms, rates.p99_ms,
            rates.kbps, row->in_flight, row->outbox, row->server_decode, row->server_device,
            (unsigned long long)row->answered, (unsigned long long)row->dropped);
        if (row->probes > 0)
            fprintf(table->out, " probes=%.0f", row->probes);
        if (!isnan(row->tail[0]))
            fprintf(table->out, " tail90=%.3f tail90_low=%.3f tail90_high=%.3f", row->tail[0],
                    row->tail[1], row->tail[2]);
        fputc('\n', table->out);
    }
    draw_classes(table, now);
}

void table_draw(struct table *table, uint64_t now_ns)
{
    struct reading *now = &table->readings[table->ticks % (WINDOW_TICKS + 1)];
    read_all(table->metrics, now, now_ns);
    if (table->ticks == 0)
        table->begin_ns = now_ns;
    uint64_t back = table->ticks < WINDOW_TICKS ? table->ticks : WINDOW_TICKS;
    const struct reading *then = &table->readings[(table->ticks - back) % (WINDOW_TICKS + 1)];
    table->ticks++;
    if (table->terminal)
        draw_terminal(table, now, then);
    else if (back > 0)
        draw_lines(table, now, then);
    fflush(table->out);
}
