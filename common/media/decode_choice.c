/* decode_choice: see the header. */
#include "media/decode_choice.h"
#include "media/decode_trial.h"
#include "media/hardware.h"

#include <pthread.h>

const char *const decoder_kind_words[] = { [DECODER_SOFTWARE] = "software", [DECODER_AUTO] = "auto",
                                           [DECODER_NVDEC] = "nvdec",       [DECODER_VAAPI] = "vaapi",
                                           [DECODER_QSV] = "qsv", [DECODER_V4L2M2M] = "v4l2m2m",
                                           NULL };

/* auto's order. What decodes with libavcodec's help comes first: it tells more, and holds nothing back. */
static const struct {
    enum decoder_kind kind;
    bool delays;
} hardware[] = {
    { DECODER_NVDEC, false },
    { DECODER_VAAPI, false },
    { DECODER_QSV, true },
    { DECODER_V4L2M2M, true },
};

/* What a trial said, per codec and kind. */
static struct {
    bool done, works;
    const char *reason;
    struct error cause;
} trials[VIDEO_CODEC_COUNT][DECODER_KIND_COUNT];
static pthread_mutex_t trials_lock = PTHREAD_MUTEX_INITIALIZER;

static void leave_out(struct decoder_choice *choice, enum decoder_kind kind, const char *reason,
                      bool wanted, const struct error *cause)
{
    choice->left_out[choice->left_out_count++] =
        (struct decoder_left_out){ kind, reason, wanted, *cause };
}

/* True when it works; otherwise it is among what was left out. */
static bool try_hardware(struct decoder_choice *choice, enum video_codec codec,
                         enum decoder_kind kind, bool named)
{
    struct decode_trial trial;
    pthread_mutex_lock(&trials_lock); /* others wait for the trial rather than make it too */
    if (!trials[codec][kind].done) {
        struct error *cause = &trials[codec][kind].cause;
        trials[codec][kind].works = decode_trial_run(&trial, codec, kind, cause) == 0;
        if (!trials[codec][kind].works)
            trials[codec][kind].reason = hardware_explain_failure(cause);
        trials[codec][kind].done = true;
    }
    pthread_mutex_unlock(&trials_lock);
    if (trials[codec][kind].works)
        return true;
    const char *reason = trials[codec][kind].reason;
    leave_out(choice, kind, reason, named || !hardware_reason_is_absence(reason),
              &trials[codec][kind].cause);
    return false;
}

void decoder_choose(struct decoder_choice *choice, enum video_codec codec, enum decoder_kind wish,
                    bool delays)
{
    bool found = false;
    *choice = (struct decoder_choice){ .codec = video_codec_words[codec] };
    for (size_t i = 0; i < sizeof hardware / sizeof *hardware && !found; i++) {
        const enum decoder_kind kind = hardware[i].kind;
        if ((wish != kind && wish != DECODER_AUTO) || (hardware[i].delays && !delays))
            continue;
        found = try_hardware(choice, codec, kind, wish == kind);
        if (found)
            choice->kind = kind;
    }
}

void decoder_choice_leave(struct decoder_choice *choice, const struct error *cause)
{
    struct error explained = *cause;
    const enum decoder_kind kind = choice->kind;
    choice->kind = DECODER_SOFTWARE;
    choice->left_out_count = 0;
    leave_out(choice, kind, hardware_explain_failure(&explained), true, &explained);
}

const char *decoder_device_name(enum decoder_kind kind)
{
    static const char *const names[DECODER_KIND_COUNT] = {
        [DECODER_SOFTWARE] = "cpu",   [DECODER_AUTO] = "",        [DECODER_NVDEC] = "nvidia",
        [DECODER_VAAPI] = "/dev/dri", [DECODER_QSV] = "/dev/dri", [DECODER_V4L2M2M] = "/dev/video",
    };
    return names[kind];
}
