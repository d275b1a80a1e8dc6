/* decoder_report: see the header. */
#include "decoder_report.h"

#include "base/log.h"
#include <string.h>

/* Something that was wanted, or is there, does not work. What the box simply does not have is no news. */
static void report_left_out(struct figures *figures, const struct decoder_left_out *left)
{
    const struct metric_label labels[] = { { "stream", figures->stream },
                                           { "from", decoder_kind_words[left->kind] },
                                           { "reason", left->reason } };
    if (!left->wanted) {
        log_debug("camera", "decoder not here", LOG_STR("stream", figures->stream),
                  LOG_STR("decoder", decoder_kind_words[left->kind]), LOG_CAUSE(&left->cause));
        return;
    }
    metric_counter_add(metrics_counter(figures->metrics, "edge_decoder_fallbacks_total",
                                       "Decoders left out because they did not work, by reason",
                                       labels, 3),
                       1);
    log_warn("camera", "decoder left out", LOG_STR("stream", figures->stream),
             LOG_STR("decoder", decoder_kind_words[left->kind]), LOG_STR("reason", left->reason),
             LOG_CAUSE(&left->cause));
}

void decoder_report(struct figures *figures, const struct decoder_choice *choice)
{
    if (!choice || (figures->decoder && figures->decoder_kind == choice->kind &&
                    strcmp(figures->decoder_codec, choice->codec) == 0))
        return;
    const char *decoder = decoder_kind_words[choice->kind];
    const char *device = decoder_device_name(choice->kind);
    const struct metric_label labels[] = { { "stream", figures->stream },
                                           { "codec", choice->codec },
                                           { "decoder", decoder },
                                           { "device", device } };
    for (size_t i = 0; i < choice->left_out_count; i++)
        report_left_out(figures, &choice->left_out[i]);
    if (figures->decoder)
        metric_gauge_set(figures->decoder, 0);
    figures->decoder = metrics_gauge(figures->metrics, "edge_decoder_info",
                                     "1: the decoder in use, 0: one that was", labels, 4);
    figures->decoder_kind = choice->kind;
    figures->decoder_codec = choice->codec;
    metric_gauge_set(figures->decoder, 1);
    log_info("camera", "decoder chosen", LOG_STR("stream", figures->stream),
             LOG_STR("codec", choice->codec), LOG_STR("decoder", decoder), LOG_STR("device", device));
}
