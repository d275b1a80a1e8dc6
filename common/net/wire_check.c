/* wire_check: one table of rules per message, so that limits are data beside their field; what ties
 * several fields together is code behind the tables. */
#include "net/wire_check.h"

#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum rule_kind {
    RULE_U32,
    RULE_U64,
    RULE_ENUM,
    RULE_REAL, /* float, finite */
    RULE_DOUBLE, /* finite */
    RULE_NAME, /* empty only where min is 0 */
    RULE_TEXT, /* UTF-8 of at most max bytes */
};

struct rule {
    const char *field; /* NULL ends a table */
    enum rule_kind kind;
    size_t offset;
    double min, max; /* exact: every limit is below 2^53 */
};

/* Boxes may reach out of the picture, as a head leaves them; nothing sane reaches further. */
#define COORDINATE_MAX (2.0 * WIRE_SIDE_MAX)

#define RULE(type, field_, kind_, min_, max_)                                                  \
    {                                                                                          \
        .field = #field_, .kind = RULE_##kind_, .offset = offsetof(Runespoor__##type, field_), \
        .min = (min_), .max = (max_)                                                           \
    }
#define RULE_END       \
    {                  \
        .field = NULL, \
    }
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "counts are checked as U64");

static const struct rule hello_name_rules[] = {
    RULE(Hello, agent, NAME, 1, 0),
    RULE(Hello, stream, NAME, 1, 0),
    RULE(Hello, software, TEXT, 0, WIRE_TEXT_BYTES_MAX),
    RULE_END,
};
static const struct rule hello_rules[] = {
    RULE(Hello, n_codecs, U64, 0, WIRE_CODECS_MAX),
    RULE(Hello, width, U32, 0, WIRE_SIDE_MAX),
    RULE(Hello, height, U32, 0, WIRE_SIDE_MAX),
    RULE(Hello, model, NAME, 0, 0),
    RULE_END,
};
static const struct rule welcome_rules[] = {
    RULE(Welcome, stream, NAME, 1, 0),
    RULE(Welcome, session, U64, 1, INFINITY),
    RULE(Welcome, credits, U32, 1, WIRE_CREDITS_MAX),
    RULE(Welcome, report_ms, U32, 1, WIRE_REPORT_MS_MAX),
    RULE(Welcome, probes, ENUM, RUNESPOOR__PROBE_ORDER__PROBES_NONE,
         RUNESPOOR__PROBE_ORDER__PROBES_UNCERTAIN),
    RULE_END,
};
static const struct rule refuse_rules[] = {
    RULE(Refuse, stream, NAME, 0, 0),
    RULE(Refuse, reason, TEXT, 0, WIRE_TEXT_BYTES_MAX),
    RULE(Refuse, code, TEXT, 0, WIRE_LABEL_BYTES_MAX),
    RULE(Refuse, retry_ms, U32, 0, WIRE_RETRY_MS_MAX),
    RULE_END,
};
static const struct rule packet_rules[] = {
    RULE(Packet, session, U64, 1, INFINITY),
    RULE(Packet, codec, ENUM, RUNESPOOR__CODEC__CODEC_H264, RUNESPOOR__CODEC__CODEC_AV1),
    RULE(Packet, width, U32, 1, WIRE_SIDE_MAX),
    RULE(Packet, height, U32, 1, WIRE_SIDE_MAX),
    RULE(Packet, camera_width, U32, 1, WIRE_SIDE_MAX),
    RULE(Packet, camera_height, U32, 1, WIRE_SIDE_MAX),
    RULE(Packet, encode_us, U64, 0, UINT32_MAX), /* the answer has 32 bits for it */
    RULE_END,
};
static const struct rule answer_rules[] = {
    RULE(Answer, session, U64, 1, INFINITY),
    RULE(Answer, stream, NAME, 1, 0),
    RULE(Answer, status, ENUM, RUNESPOOR__ANSWER_STATUS__ANSWER_OK,
         RUNESPOOR__ANSWER_STATUS__ANSWER_FAILED),
    RULE(Answer, reason, TEXT, 0, WIRE_TEXT_BYTES_MAX),
    RULE(Answer, model, NAME, 0, 0),
    RULE(Answer, width, U32, 0, WIRE_SIDE_MAX),
    RULE(Answer, height, U32, 0, WIRE_SIDE_MAX),
    RULE(Answer, restored, TEXT, 0, WIRE_TEXT_BYTES_MAX),
    RULE(Answer, uncertainty, REAL, 0, 1),
    RULE(Answer, n_objects, U64, 0, WIRE_OBJECTS_MAX),
    RULE(Answer, n_areas, U64, 0, WIRE_AREAS_MAX),
    RULE_END,
};
static const struct rule object_rules[] = {
    RULE(Object, class_name, TEXT, 0, WIRE_LABEL_BYTES_MAX),
    RULE(Object, confidence, REAL, 0, 1),
    RULE(Object, x, REAL, -COORDINATE_MAX, COORDINATE_MAX),
    RULE(Object, y, REAL, -COORDINATE_MAX, COORDINATE_MAX),
    RULE(Object, width, REAL, 0, COORDINATE_MAX),
    RULE(Object, height, REAL, 0, COORDINATE_MAX),
    RULE_END,
};
static const struct rule area_rules[] = {
    RULE(Area, class_name, TEXT, 0, WIRE_LABEL_BYTES_MAX),
    RULE(Area, share, REAL, 0, 1),
    RULE(Area, mask_width, U32, 0, WIRE_SIDE_MAX),
    RULE(Area, mask_height, U32, 0, WIRE_SIDE_MAX),
    RULE_END,
};
static const struct rule order_rules[] = {
    RULE(Order, session, U64, 1, INFINITY),
    RULE(Order, reason, TEXT, 0, WIRE_TEXT_BYTES_MAX),
    RULE_END,
};
static const struct rule agent_report_rules[] = {
    RULE(AgentReport, session, U64, 1, INFINITY),
    RULE(AgentReport, n_dropped, U64, 0, WIRE_DROPS_MAX),
    RULE_END,
};
static const struct rule server_report_rules[] = {
    RULE(ServerReport, session, U64, 1, INFINITY),
    RULE(ServerReport, n_dropped, U64, 0, WIRE_DROPS_MAX),
    RULE_END,
};
static const struct rule tail_rules[] = {
    RULE(Tail, rung, TEXT, 0, WIRE_LABEL_BYTES_MAX),
    RULE(Tail, restored, TEXT, 0, WIRE_TEXT_BYTES_MAX),
    RULE(Tail, model, NAME, 1, 0),
    RULE(Tail, golden, NAME, 1, 0),
    RULE(Tail, n_figures, U64, 0, WIRE_FIGURES_MAX),
    RULE_END,
};
static const struct rule tail_figure_rules[] = {
    RULE(TailFigure, name, TEXT, 1, WIRE_LABEL_BYTES_MAX),
    RULE(TailFigure, value, DOUBLE, 0, 1),
    RULE(TailFigure, low, DOUBLE, 0, 1),
    RULE(TailFigure, high, DOUBLE, 0, 1),
    RULE_END,
};
static const struct rule probe_start_rules[] = {
    RULE(ProbeStart, session, U64, 1, INFINITY),
    RULE(ProbeStart, probability, DOUBLE, WIRE_PROBABILITY_MIN, 1),
    RULE(ProbeStart, rung, TEXT, 1, WIRE_LABEL_BYTES_MAX),
    RULE_END,
};
static const struct rule probe_slice_rules[] = {
    RULE(ProbeSlice, session, U64, 1, INFINITY),
    RULE(ProbeSlice, slice, U32, 0, WIRE_PAYLOAD_BYTES_MAX),
    RULE(ProbeSlice, bytes, U32, 1, WIRE_PAYLOAD_BYTES_MAX),
    RULE_END,
};
static const struct rule receipt_rules[] = {
    RULE(Receipt, session, U64, 1, INFINITY),
    RULE(Receipt, slice, U32, 0, WIRE_PAYLOAD_BYTES_MAX),
    RULE(Receipt, refused, TEXT, 0, WIRE_LABEL_BYTES_MAX),
    RULE_END,
};
static const struct rule drop_rules[] = {
    RULE(DropCount, reason, TEXT, 1, WIRE_LABEL_BYTES_MAX),
    RULE_END,
};
static const struct rule bye_rules[] = {
    RULE(Bye, session, U64, 1, INFINITY),
    RULE(Bye, reason, TEXT, 0, WIRE_TEXT_BYTES_MAX),
    RULE_END,
};

static int check_rules(const struct rule *rules, const void *message, struct error *err);
static int check_number(const struct rule *rule, uint64_t value, struct error *err);
static int check_real(const struct rule *rule, double value, struct error *err);
static int check_text(const struct rule *rule, const char *text, struct error *err);
static int check_hello(const void *message, struct error *err);
static int check_answer(const void *message, struct error *err);
static int check_agent_report(const void *message, struct error *err);
static int check_server_report(const void *message, struct error *err);
static int check_tail(const Runespoor__Tail *tail, struct error *err);
static int check_drops(Runespoor__DropCount *const *drops, size_t count, struct error *err);
static int check_sides(uint32_t width, uint32_t height, struct error *err);
static int check_runs(const Runespoor__Area *area, struct error *err);

static const struct {
    const struct rule *rules;
    int (*check_rest)(const void *message, struct error *err); /* NULL: the rules say it all */
} kinds[] = {
    [RUNESPOOR__HEADER__KIND_HELLO] = { hello_name_rules, check_hello },
    [RUNESPOOR__HEADER__KIND_WELCOME] = { welcome_rules, NULL },
    [RUNESPOOR__HEADER__KIND_REFUSE] = { refuse_rules, NULL },
    [RUNESPOOR__HEADER__KIND_PACKET] = { packet_rules, NULL },
    [RUNESPOOR__HEADER__KIND_ANSWER] = { answer_rules, check_answer },
    [RUNESPOOR__HEADER__KIND_ORDER] = { order_rules, NULL },
    [RUNESPOOR__HEADER__KIND_AGENT_REPORT] = { agent_report_rules, check_agent_report },
    [RUNESPOOR__HEADER__KIND_SERVER_REPORT] = { server_report_rules, check_server_report },
    [RUNESPOOR__HEADER__KIND_BYE] = { bye_rules, NULL },
    [RUNESPOOR__HEADER__KIND_PROBE_START] = { probe_start_rules, NULL },
    [RUNESPOOR__HEADER__KIND_PROBE_SLICE] = { probe_slice_rules, NULL },
    [RUNESPOOR__HEADER__KIND_RECEIPT] = { receipt_rules, NULL },
};

int wire_check_header(const Runespoor__Header *header, size_t payload_size, struct error *err)
{
    if (header->kind_case == RUNESPOOR__HEADER__KIND__NOT_SET) {
        if (header->base.n_unknown_fields == 0)
            return error_set(err, ERROR_FORMAT, "header", "has no kind");
        return error_set(err, ERROR_UNSUPPORTED, "header", "kind %" PRIu32 " is not known here",
                         header->base.unknown_fields[0].tag);
    }
    assert((size_t)header->kind_case < sizeof kinds / sizeof kinds[0]);
    const void *message = header->hello; /* whichever it is: one pointer in a union of pointers */

    bool slice = header->kind_case == RUNESPOOR__HEADER__KIND_PROBE_SLICE;
    bool has_payload = slice || header->kind_case == RUNESPOOR__HEADER__KIND_PACKET;
    int result;
    if (has_payload && payload_size == 0)
        result = error_set(err, ERROR_FORMAT, "payload", "is missing");
    else if (slice && payload_size > WIRE_SLICE_BYTES_MAX)
        result = error_set(err, ERROR_FORMAT, "payload", "has %zu bytes, a slice at most %u",
                           payload_size, WIRE_SLICE_BYTES_MAX);
    else if (!has_payload && payload_size > 0)
        result = error_set(err, ERROR_FORMAT, "payload",
                           "has %zu bytes, but this kind of message has none", payload_size);
    else
        result = check_rules(kinds[header->kind_case].rules, message, err);
    if (result == 0 && kinds[header->kind_case].check_rest)
        result = kinds[header->kind_case].check_rest(message, err);
    if (result < 0)
        error_wrap(err, "%s", wire_kind_word(header));
    return result;
}

static int check_rules(const struct rule *rules, const void *message, struct error *err)
{
    int result = 0;
    for (const struct rule *rule = rules; result == 0 && rule->field; rule++) {
        const void *field = (const char *)message + rule->offset;
        switch (rule->kind) {
        case RULE_U32:
            result = check_number(rule, *(const uint32_t *)field, err);
            break;
        case RULE_U64:
            result = check_number(rule, *(const uint64_t *)field, err);
            break;
        case RULE_ENUM: {
            int32_t value = *(const int32_t *)field;
            result = check_number(rule, (uint64_t)value, err); /* a negative one becomes huge */
            break;
        }
        case RULE_REAL:
            result = check_real(rule, (double)*(const float *)field, err);
            break;
        case RULE_DOUBLE:
            result = check_real(rule, *(const double *)field, err);
            break;
        case RULE_NAME: {
            const char *name = *(char *const *)field;
            if (rule->min > 0 || name[0])
                result = wire_check_name(name, rule->field, err);
            break;
        }
        case RULE_TEXT:
            result = check_text(rule, *(char *const *)field, err);
            break;
        }
    }
    return result;
}

static int check_number(const struct rule *rule, uint64_t value, struct error *err)
{
    if ((double)value >= rule->min && (double)value <= rule->max)
        return 0;
    return error_set(err, ERROR_FORMAT, rule->field, "%" PRIu64 " is outside %.0f..%.0f", value,
                     rule->min, rule->max);
}

static int check_real(const struct rule *rule, double value, struct error *err)
{
    if (isfinite(value) && value >= rule->min && value <= rule->max)
        return 0;
    return error_set(err, ERROR_FORMAT, rule->field, "%g is outside %g..%g", value, rule->min,
                     rule->max);
}

static int check_text(const struct rule *rule, const char *text, struct error *err)
{
    size_t size = strlen(text);
    if ((double)size < rule->min || (double)size > rule->max)
        return error_set(err, ERROR_FORMAT, rule->field, "has %zu bytes, outside %.0f..%.0f", size,
                         rule->min, rule->max);
    for (size_t at = 0; at < size;) {
        size_t bytes = text_utf8_bytes(text + at, size - at);
        if (bytes == 0)
            return error_set(err, ERROR_FORMAT, rule->field, "byte %zu (0x%02x) is not valid UTF-8",
                             at, (unsigned char)text[at]);
        at += bytes;
    }
    return 0;
}

/* Another major version may mean other things by the rest; it is refused by its number. */
static int check_hello(const void *message, struct error *err)
{
    const Runespoor__Hello *hello = message;
    if (hello->version >> 16 != WIRE_VERSION_MAJOR)
        return 0;
    int result = check_rules(hello_rules, hello, err);
    if (result == 0 && hello->late && !hello->lossless)
        result = error_set(err, ERROR_FORMAT, "late", "but not lossless: only such a stream has a backlog");
    return result < 0 ? result : check_sides(hello->width, hello->height, err);
}

static int check_answer(const void *message, struct error *err)
{
    const Runespoor__Answer *answer = message;
    int result = check_sides(answer->width, answer->height, err);
    for (size_t i = 0; result == 0 && i < answer->n_objects; i++) {
        result = check_rules(object_rules, answer->objects[i], err);
        if (result < 0)
            error_wrap(err, "objects.%zu", i);
    }
    for (size_t i = 0; result == 0 && i < answer->n_areas; i++) {
        result = check_rules(area_rules, answer->areas[i], err);
        if (result == 0)
            result = check_runs(answer->areas[i], err);
        if (result < 0)
            error_wrap(err, "areas.%zu", i);
    }
    return result;
}

static int check_agent_report(const void *message, struct error *err)
{
    const Runespoor__AgentReport *report = message;
    return check_drops(report->dropped, report->n_dropped, err);
}

static int check_server_report(const void *message, struct error *err)
{
    const Runespoor__ServerReport *report = message;
    int result = check_drops(report->dropped, report->n_dropped, err);
    if (result == 0 && report->tail)
        result = check_tail(report->tail, err);
    return result;
}

static int check_tail(const Runespoor__Tail *tail, struct error *err)
{
    int result = check_rules(tail_rules, tail, err);
    for (size_t i = 0; result == 0 && i < tail->n_figures; i++) {
        result = check_rules(tail_figure_rules, tail->figures[i], err);
        if (result < 0)
            error_wrap(err, "figures.%zu", i);
    }
    return result < 0 ? error_wrap(err, "tail") : 0;
}

static int check_drops(Runespoor__DropCount *const *drops, size_t count, struct error *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = check_rules(drop_rules, drops[i], err);
        if (result < 0)
            error_wrap(err, "dropped.%zu", i);
    }
    return result;
}

/* A size is known or unknown, not half known. */
static int check_sides(uint32_t width, uint32_t height, struct error *err)
{
    if ((width == 0) == (height == 0))
        return 0;
    return error_set(err, ERROR_FORMAT, "width", "%" PRIu32 " with a height of %" PRIu32, width,
                     height);
}

/* Varint run lengths: none may lead out of the mask, so that a reader can fill one without looking.
 */
static int check_runs(const Runespoor__Area *area, struct error *err)
{
    uint64_t room = (uint64_t)area->mask_width * area->mask_height;
    for (size_t at = 0; at < area->runs.len;) {
        uint64_t run = 0;
        unsigned shift = 0;
        bool more = true;
        for (; more && at < area->runs.len && shift < 35; at++, shift += 7) {
            run |= (uint64_t)(area->runs.data[at] & 0x7f) << shift;
            more = area->runs.data[at] & 0x80;
        }
        if (more)
            return error_set(err, ERROR_FORMAT, "runs", "the run before byte %zu has no end", at);
        if (run > room)
            return error_set(err, ERROR_FORMAT, "runs",
                             "the run before byte %zu leads out of the mask of %" PRIu32
                             "x%" PRIu32,
                             at, area->mask_width, area->mask_height);
        room -= run;
    }
    return 0;
}
