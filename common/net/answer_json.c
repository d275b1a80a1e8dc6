/* answer_json: see the header. */
#include "net/answer_json.h"

#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES_MAX (4 << 20) /* above any line that is looked for when a torn one is cut */

const char *answer_status_word(Runespoor__AnswerStatus status)
{
    switch (status) {
    case RUNESPOOR__ANSWER_STATUS__ANSWER_OK:
        return "ok";
    case RUNESPOOR__ANSWER_STATUS__ANSWER_DROPPED:
        return "dropped";
    default:
        return "failed";
    }
}

static void write_objects(struct text *text, const Runespoor__Answer *answer)
{
    json_begin_array(text, "objects");
    for (size_t i = 0; i < answer->n_objects; i++) {
        const Runespoor__Object *object = answer->objects[i];
        json_begin_object(text, NULL);
        json_str(text, "class", object->class_name);
        json_f64(text, "confidence", object->confidence, 3);
        json_begin_array(text, "box");
        json_f64(text, NULL, object->x, 1);
        json_f64(text, NULL, object->y, 1);
        json_f64(text, NULL, object->width, 1);
        json_f64(text, NULL, object->height, 1);
        json_end_array(text);
        json_end_object(text);
    }
    json_end_array(text);
}

/* Run lengths are decoded from varints: a reader of JSON should not have to. */
static void write_runs(struct text *text, const ProtobufCBinaryData *runs)
{
    uint64_t value = 0;
    unsigned shift = 0;
    json_begin_array(text, "runs");
    for (size_t i = 0; i < runs->len && shift < 64; i++) {
        value |= (uint64_t)(runs->data[i] & 0x7f) << shift;
        shift += 7;
        if (!(runs->data[i] & 0x80)) {
            json_u64(text, NULL, value);
            value = 0;
            shift = 0;
        }
    }
    json_end_array(text);
}

static void write_areas(struct text *text, const Runespoor__Answer *answer)
{
    json_begin_array(text, "areas");
    for (size_t i = 0; i < answer->n_areas; i++) {
        const Runespoor__Area *area = answer->areas[i];
        json_begin_object(text, NULL);
        json_str(text, "class", area->class_name);
        json_f64(text, "share", area->share, 5);
        if (area->runs.len > 0) {
            json_u64(text, "mask_width", area->mask_width);
            json_u64(text, "mask_height", area->mask_height);
            write_runs(text, &area->runs);
        }
        json_end_object(text);
    }
    json_end_array(text);
}

static void write_timings(struct text *text, const Runespoor__Timings *timings)
{
    json_begin_object(text, "timings_us");
    json_u64(text, "encode", timings->encode_us);
    json_u64(text, "decode_wait", timings->decode_wait_us);
    json_u64(text, "decode", timings->decode_us);
    json_u64(text, "device_wait", timings->device_wait_us);
    json_u64(text, "prepare", timings->prepare_us);
    json_u64(text, "infer", timings->infer_us);
    json_u64(text, "head", timings->head_us);
    json_u64(text, "server", timings->server_us);
    json_end_object(text);
}

void answer_write_json(struct text *text, const Runespoor__Answer *answer, const uint64_t *age_us)
{
    char capture[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(answer->capture_unix_us, capture);
    json_begin_object(text, NULL);
    json_str(text, "stream", answer->stream);
    json_u64(text, "frame", answer->frame);
    json_str(text, "capture", capture);
    if (age_us)
        json_f64(text, "age_ms", (double)*age_us / 1000.0, 3);
    json_str(text, "status", answer_status_word(answer->status));
    if (answer->reason[0])
        json_str(text, "reason", answer->reason);
    if (answer->late)
        json_bool(text, "late", true);
    json_str(text, "model", answer->model);
    if (answer->restored[0])
        json_str(text, "restored", answer->restored);
    json_u64(text, "width", answer->width);
    json_u64(text, "height", answer->height);
    if (answer->status == RUNESPOOR__ANSWER_STATUS__ANSWER_OK && answer->model[0])
        json_f64(text, "uncertainty", (double)answer->uncertainty, 4);
    write_objects(text, answer);
    if (answer->n_areas > 0)
        write_areas(text, answer);
    if (answer->timings)
        write_timings(text, answer->timings);
    json_u64(text, "wire_bytes", answer->wire_bytes);
    json_end_object(text);
    text_add(text, "\n", 1);
}

/* The offset behind the last newline among the LINE_BYTES_MAX bytes before end, 0 when the file has
 * none, or -1 (errno is set). */
static off_t find_line_start(int fd, off_t end)
{
    char block[4096];
    off_t floor = end > LINE_BYTES_MAX ? end - LINE_BYTES_MAX : 0;
    while (end > floor) {
        size_t size = end - floor < (off_t)sizeof block ? (size_t)(end - floor) : sizeof block;
        ssize_t count = pread(fd, block, size, end - (off_t)size);
        if (count != (ssize_t)size) {
            errno = count < 0 ? errno : EIO; /* somebody has cut it meanwhile */
            return -1;
        }
        end -= (off_t)size;
        const char *newline = memrchr(block, '\n', size);
        if (newline)
            return end + (newline - block) + 1;
    }
    errno = EFBIG;
    return floor == 0 ? 0 : -1;
}

static int repair_end(int fd, const char *path, struct error *err)
{
    struct stat status;
    char first = '{';
    if (fstat(fd, &status) != 0)
        return error_set_errno(err, errno, path, "cannot look at it");
    off_t start = find_line_start(fd, status.st_size);
    if (start == status.st_size)
        return 0;
    if (start < 0 || pread(fd, &first, 1, start) != 1)
        return error_set_errno(err, errno, path, "cannot find its last line");
    if (first != '{') /* nobody is to lose the end of another file because of a mistyped path */
        return error_set(err, ERROR_FORMAT, path,
                         "does not end like a file of answers: move it away");
    if (ftruncate(fd, start) != 0)
        return error_set_errno(err, errno, path, "cannot cut its torn last line");
    log_warn("answers", "torn last line cut off", LOG_STR("path", path),
             LOG_I64("bytes", status.st_size - start));
    return 0;
}

int answer_lines_repair(const char *path, struct error *err)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return 0; /* what is wrong with it, opening it for writing will tell */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, path, "cannot read and write it");
    int result = repair_end(fd, path, err);
    close(fd);
    return result;
}
