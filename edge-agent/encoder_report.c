/* encoder_report: see the header. */
#include "encoder_report.h"

#include "base/log.h"

/* Something that was wanted, or is there, does not work. What the box simply does not have is no news. */
static void report_left_out(struct figures *figures, const struct encoder_left_out *left)
{
    const struct metric_label labels[] = { { "stream", figures->stream },
                                           { "from", encoder_kind_words[left->kind] },
                                           { "reason", left->reason } };
    if (!left->wanted) {
        log_debug("camera", "encoder not here", LOG_STR("stream", figures->stream),
                  LOG_STR("encoder", encoder_kind_words[left->kind]), LOG_CAUSE(&left->cause));
        return;
    }
    metric_counter_add(metrics_counter(figures->metrics, "edge_encoder_fallbacks_total",
                                       "Encoders left out because they did not work, by reason",
                                       labels, 3),
                       1);
    log_warn("camera", "encoder left out", LOG_STR("stream", figures->stream),
             LOG_STR("encoder", encoder_kind_words[left->kind]), LOG_STR("reason", left->reason),
             LOG_CAUSE(&left->cause));
}

void encoder_report(void *arg, const struct encoder_choice *choice)
{
    struct figures *figures = arg;
    const char *encoder = encoder_kind_words[choice->kind];
    const char *device = encoder_device_name(choice->kind);
    const struct metric_label labels[] = { { "stream", figures->stream },
                                           { "codec", video_codec_words[choice->codec] },
                                           { "encoder", encoder },
                                           { "device", device } };
    for (size_t i = 0; i < choice->left_out_count; i++)
        report_left_out(figures, &choice->left_out[i]);
    if (figures->encoder)
        metric_gauge_set(figures->encoder, 0);
    figures->encoder = metrics_gauge(figures->metrics, "edge_encoder_info",
                                     "1: the encoder in use, 0: one that was", labels, 4);
    metric_gauge_set(figures->encoder, 1);
    log_info("camera", "encoder chosen", LOG_STR("stream", figures->stream),
             LOG_STR("codec", video_codec_words[choice->codec]), LOG_STR("encoder", encoder),
             LOG_STR("library", encoder_library_name(choice->codec, choice->kind)),
             LOG_STR("device", device));
}
