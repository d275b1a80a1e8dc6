/* decode_unit: see the header. Headers only: nothing here reads inside a slice. */
#include "media/decode_unit.h"

enum h264_nal { H264_SLICE = 1, H264_IDR = 5, H264_VCL_LAST = 5 };
enum h265_nal {
    H265_VCL_LAST = 31,
    H265_IDR_W_RADL = 19,
    H265_IDR_N_LP = 20,
    H265_PARAMETERS_FIRST = 32,
    H265_PARAMETERS_LAST = 34
};
enum obu { OBU_SEQUENCE_HEADER = 1, OBU_FRAME_HEADER = 3, OBU_FRAME = 6 };

#define LEB128_BYTES_MAX 8u

/* The position behind the next start code, or size. */
static size_t next_nal(const uint8_t *bytes, size_t size, size_t from)
{
    for (size_t i = from; i + 3 < size; i++)
        if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1)
            return i + 3;
    return size;
}

/* Parameter sets come before the first slice, so this ends after a few dozen bytes. */
static bool h264_starts_with_idr(const uint8_t *bytes, size_t size)
{
    for (size_t at = next_nal(bytes, size, 0); at < size; at = next_nal(bytes, size, at)) {
        unsigned type = bytes[at] & 0x1f;
        if (type >= H264_SLICE && type <= H264_VCL_LAST)
            return type == H264_IDR;
    }
    return false;
}

static int h265_check(const uint8_t *bytes, size_t size, bool keyframe, struct error *err)
{
    bool slices = false, idr = false;
    for (size_t at = next_nal(bytes, size, 0); at < size; at = next_nal(bytes, size, at)) {
        unsigned type = bytes[at] >> 1 & 0x3f;
        if (type <= H265_VCL_LAST && !slices) {
            slices = true;
            idr = type == H265_IDR_W_RADL || type == H265_IDR_N_LP;
        } else if (type >= H265_PARAMETERS_FIRST && type <= H265_PARAMETERS_LAST && slices) {
            return error_set(err, ERROR_FORMAT, "decoder", "a parameter set comes after a slice");
        }
    }
    if (keyframe && !idr)
        return error_set(err, ERROR_FORMAT, "decoder", "what is said to be a keyframe is no IDR");
    return 0;
}

/* The number at *at, little end first, seven bits a byte. False when it does not end in time. */
static bool read_leb128(const uint8_t *bytes, size_t size, size_t *at, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < LEB128_BYTES_MAX && *at < size; i++) {
        uint8_t byte = bytes[(*at)++];
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* Steps over the unit at *at. False when it reaches beyond the packet. */
static bool next_obu(const uint8_t *bytes, size_t size, size_t *at, unsigned *type, size_t *content)
{
    uint8_t header = bytes[(*at)++];
    uint64_t length;
    bool extended = header & 0x04, sized = header & 0x02;
    *type = header >> 3 & 0x0f;
    *at += extended;
    if (header & 0x80 || *at > size)
        return false;
    if (!sized)
        length = size - *at;
    else if (!read_leb128(bytes, size, at, &length) || length > size - *at)
        return false;
    *content = *at;
    *at += (size_t)length;
    return true;
}

static int av1_check(const uint8_t *bytes, size_t size, bool keyframe, struct error *err)
{
    unsigned frames = 0;
    bool sequence = false, key = false;
    for (size_t at = 0; at < size;) {
        unsigned type;
        size_t content;
        if (!next_obu(bytes, size, &at, &type, &content))
            return error_set(err, ERROR_FORMAT, "decoder", "the packet is cut off or no AV1");
        sequence |= type == OBU_SEQUENCE_HEADER && frames == 0;
        if (type != OBU_FRAME_HEADER && type != OBU_FRAME)
            continue;
        frames++;
        /* show_existing_frame 0, frame_type 00, show_frame 1 */
        key = sequence && content < at && (bytes[content] & 0xf0) == 0x10;
    }
    if (frames != 1)
        return error_set(err, ERROR_FORMAT, "decoder", "%u frames in one packet, not one", frames);
    if (keyframe && !key)
        return error_set(err, ERROR_FORMAT, "decoder", "what is said to be a keyframe is none");
    return 0;
}

int decode_unit_check(enum video_codec codec, const uint8_t *bytes, size_t size, bool keyframe,
                      struct error *err)
{
    switch (codec) {
    case VIDEO_H264:
        if (keyframe && !h264_starts_with_idr(bytes, size))
            return error_set(err, ERROR_FORMAT, "decoder", "what is said to be a keyframe is no IDR");
        return 0;
    case VIDEO_H265:
        return h265_check(bytes, size, keyframe, err);
    case VIDEO_AV1:
        return av1_check(bytes, size, keyframe, err);
    }
    return error_set(err, ERROR_UNSUPPORTED, "decoder", "codec %d is not known", (int)codec);
}
