/* decoders: see the header. */
#include "ingest/decoders.h"
#include "base/log.h"
#include "media/decode_choice.h"

/* Something that was wanted, or is there, does not work. What the machine simply does not have is no news. */
static void tell_left_out(const char *codec, const struct decoder_left_out *left)
{
    if (left->wanted)
        log_warn("decode", "decoder left out", LOG_STR("codec", codec),
                 LOG_STR("decoder", decoder_kind_words[left->kind]), LOG_STR("reason", left->reason),
                 LOG_CAUSE(&left->cause));
    else
        log_debug("decode", "decoder not here", LOG_STR("codec", codec),
                  LOG_STR("decoder", decoder_kind_words[left->kind]), LOG_CAUSE(&left->cause));
}

static void tell(const struct decoder_choice *choice, struct metrics *metrics)
{
    const struct metric_label labels[] = { { "codec", choice->codec },
                                           { "decoder", decoder_kind_words[choice->kind] },
                                           { "device", decoder_device_name(choice->kind) } };
    for (size_t i = 0; i < choice->left_out_count; i++)
        tell_left_out(choice->codec, &choice->left_out[i]);
    metric_gauge_set(
        metrics_gauge(metrics, "server_decoder_info", "1: what decodes the codec", labels, 3), 1);
    log_info("decode", "decoder chosen", LOG_STR("codec", choice->codec),
             LOG_STR("decoder", decoder_kind_words[choice->kind]),
             LOG_STR("device", decoder_device_name(choice->kind)));
}

void decoders_choose(enum decoder_kind wish, struct metrics *metrics,
                     enum decoder_kind kinds[VIDEO_CODEC_COUNT])
{
    for (enum video_codec codec = 0; codec < VIDEO_CODEC_COUNT; codec++) {
        struct decoder_choice choice;
        decoder_choose(&choice, codec, wish, false);
        kinds[codec] = choice.kind;
        if (wish != DECODER_SOFTWARE)
            tell(&choice, metrics);
    }
}

void decoders_note_fallback(struct metrics *metrics, const char *stream, enum decoder_kind from)
{
    const struct metric_label labels[] = { { "stream", stream }, { "from", decoder_kind_words[from] } };
    metric_counter_add(metrics_counter(metrics, "server_decoder_fallbacks_total",
                                       "Times that software took a decoder's place in a stream",
                                       labels, 2),
                       1);
    log_warn("decode", "decoder failed, software goes on", LOG_STR("stream", stream),
             LOG_STR("decoder", decoder_kind_words[from]));
}
