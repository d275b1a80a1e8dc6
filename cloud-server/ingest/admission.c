/* admission: see the header. */
#include "ingest/admission.h"

void admission_init(struct admission *admission)
{
    *admission = (struct admission){ .keyframe_needed = true };
}

static bool find_codec(Runespoor__Codec wire, enum video_codec *codec)
{
    switch (wire) {
    case RUNESPOOR__CODEC__CODEC_H264:
        *codec = VIDEO_H264;
        return true;
    case RUNESPOOR__CODEC__CODEC_H265:
        *codec = VIDEO_H265;
        return true;
    case RUNESPOOR__CODEC__CODEC_AV1:
        *codec = VIDEO_AV1;
        return true;
    default:
        return false;
    }
}

enum frame_fate admission_judge(struct admission *admission, const struct limits_config *limits,
                                uint32_t credits, const Runespoor__Packet *packet,
                                uint32_t in_flight, uint64_t *lost, enum video_codec *codec)
{
    *lost = 0;
    if (packet->sequence < admission->next_sequence || packet->frame < admission->next_number)
        return FATE_ORDER;
    *lost = packet->sequence - admission->next_sequence;
    if (*lost > 0)
        admission->keyframe_needed = true;
    admission->next_sequence = packet->sequence + 1;
    admission->next_number = packet->frame + 1;
    if (in_flight > credits)
        return FATE_NO_CREDIT;
    if (!find_codec(packet->codec, codec))
        return FATE_CODEC;
    if (packet->width > limits->width || packet->height > limits->height ||
        packet->camera_width > limits->width || packet->camera_height > limits->height)
        return FATE_TOO_LARGE;
    if (admission->keyframe_needed && !packet->keyframe)
        return FATE_NO_KEYFRAME;
    return FATE_OK;
}

void admission_settle(struct admission *admission, enum frame_fate fate)
{
    if (fate != FATE_ORDER) /* one that came twice leaves no hole */
        admission->keyframe_needed = fate != FATE_OK;
}

const char *admission_advice(enum frame_fate fate)
{
    switch (fate) {
    case FATE_TOO_LARGE:
        return "above limits.message_bytes, limits.width or limits.height: raise the limit here, "
               "or "
               "send a smaller rung";
    case FATE_BITRATE:
        return "this key's streams are above limits.bitrate_kbps: raise it here, or send less";
    case FATE_NO_CREDIT:
        return "the agent sends more than its credits allow";
    case FATE_CODEC:
        return "this codec is not decoded here";
    default:
        return "packets came twice or out of order";
    }
}
