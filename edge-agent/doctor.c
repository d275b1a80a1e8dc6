/* doctor: see the header. What a server has to say is asked in doctor_server.c. */
#include "doctor.h"

#include "base/clock.h"
#include "media/decode.h"
#include "media/encode_rung.h"
#include "net/keys.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define CAMERA_MS 20000u /* deadlines: to be opened and to give a picture */
#define CODEC_MS 20000u
#define KEY_MS 10000u
#define CODEC_FRAMES 25u
#define CODEC_WIDTH 1280u /* where the camera has given no picture */
#define CODEC_HEIGHT 720u
#define CODEC_FPS 25u
#define BUSY_SHARE 0.9 /* of a frame's time, from which on encoding it is too slow */

/* ---- cameras ---- */

static void try_camera(const void *arg, struct doctor_finding *finding)
{
    const struct camera_config *camera = arg;
    struct source *source = NULL;
    struct picture *picture = NULL;
    struct source_info info;
    uint64_t time_ns, begin_ns = clock_now_ns();
    struct error err;
    int result = source_open(&source, &camera->source, &err);
    if (result == 0)
        result = source_next(source, &picture, &time_ns, &err);
    if (result != 0) {
        doctor_found(finding, DOCTOR_FAIL, "%s", err.text);
        doctor_advise(finding,
                      "check cameras[].source; does another program on this box show its picture?");
    } else {
        source_get_info(source, &info);
        doctor_found(finding, DOCTOR_OK, "%s, first picture after %llu ms", info.description,
                     (unsigned long long)(clock_now_ns() - begin_ns) / CLOCK_NS_PER_MS);
        finding->numbers[0] = info.width;
        finding->numbers[1] = info.height;
        finding->numbers[2] = (uint32_t)(info.fps + 0.5);
    }
    picture_unref(&picture);
    source_close(&source);
}

/* ---- codecs ---- */

struct codec_trial {
    const struct camera_config *camera;
    uint32_t width, height, fps;
};

struct codec_tools {
    struct source *source; /* the test picture: it moves */
    struct rung_encoder *encoder;
    struct decoder *decoder;
    uint64_t encode_ns, bytes;
};

static int open_tools(struct codec_tools *tools, const struct codec_trial *trial, struct error *err)
{
    const struct camera_config *camera = trial->camera;
    const struct source_config moving = { .kind = SOURCE_TEST,
                                          .path = (char *)"",
                                          .width = trial->width,
                                          .height = trial->height,
                                          .fps = trial->fps };
    const struct rung_encoder_config encoder = { .camera_width = trial->width,
                                                 .camera_height = trial->height,
                                                 .camera_fps = trial->fps,
                                                 .threads = camera->encode_threads };
    int result = source_open(&tools->source, &moving, err);
    if (result == 0)
        result = rung_encoder_create(&tools->encoder, &encoder, &camera->rung, err);
    if (result == 0)
        result = rung_encoder_start(tools->encoder, err);
    if (result != 0)
        return result;
    const struct rung *rung = rung_encoder_rung(tools->encoder);
    const struct decoder_config decoder = { .codec = (enum video_codec)rung->codec,
                                            .width_max = rung->width,
                                            .height_max = rung->height,
                                            .pictures = 1 };
    return decoder_open(&tools->decoder, &decoder, err);
}

static int code_frame(struct codec_tools *tools, uint64_t number, struct error *err)
{
    struct picture *picture = NULL, *decoded = NULL;
    struct packet *packet = NULL;
    uint64_t time_ns, begin_ns = 0;
    size_t size = 0;
    int result = source_next(tools->source, &picture, &time_ns, err);
    if (result == 0) {
        begin_ns = clock_now_ns();
        result = rung_encoder_encode(tools->encoder, picture, number, number == 0, &packet, err);
    }
    if (result == 0) {
        tools->encode_ns += clock_now_ns() - begin_ns;
        const void *bytes = packet_data(packet, &size);
        tools->bytes += size;
        result =
            decoder_decode(tools->decoder, bytes, size, packet_is_keyframe(packet), &decoded, err);
    }
    picture_unref(&picture);
    picture_unref(&decoded);
    packet_unref(&packet);
    return result;
}

static void judge_codec(const struct codec_tools *tools, struct doctor_finding *finding)
{
    const struct rung *rung = rung_encoder_rung(tools->encoder);
    double fps = rung_encoder_fps(tools->encoder);
    double ms = (double)tools->encode_ns / 1e6 / CODEC_FRAMES;
    bool slow = ms * fps > 1000 * BUSY_SHARE;
    doctor_found(finding, slow ? DOCTOR_WARN : DOCTOR_OK,
                 "%s %ux%u: %.1f ms a frame, decoded again, %.0f kbit/s at %.0f fps",
                 video_codec_words[rung->codec], rung->width, rung->height, ms,
                 (double)tools->bytes * 8 * fps / 1000 / CODEC_FRAMES, fps);
    if (slow)
        doctor_advise(finding,
                      "a smaller rung (width, fps) or a faster preset: frames will be dropped");
}

static void try_codec(const void *arg, struct doctor_finding *finding)
{
    struct codec_tools tools = { .encode_ns = 0 };
    struct error err;
    int result = open_tools(&tools, arg, &err);
    for (uint64_t i = 0; result == 0 && i < CODEC_FRAMES; i++)
        result = code_frame(&tools, i, &err);
    if (result == 0) {
        judge_codec(&tools, finding);
    } else {
        doctor_found(finding, DOCTOR_FAIL, "%s", err.text);
        doctor_advise(finding, "'edge-agent inspect' tries each; check cameras[].rung");
    }
    decoder_close(&tools.decoder);
    rung_encoder_destroy(&tools.encoder);
    source_close(&tools.source);
}

static void check_camera(struct doctor *doctor, const struct camera_config *camera,
                         struct doctor_finding *finding)
{
    char name[CONFIG_STRING_BYTES_MAX + 16];
    snprintf(name, sizeof name, "camera %s", camera->name);
    doctor_check(doctor, name, CAMERA_MS, try_camera, camera, finding);
    const bool known = finding->numbers[0] > 0;
    const struct codec_trial trial = { camera, known ? finding->numbers[0] : CODEC_WIDTH,
                                       known ? finding->numbers[1] : CODEC_HEIGHT,
                                       finding->numbers[2] > 0 ? finding->numbers[2] : CODEC_FPS };
    snprintf(name, sizeof name, "codec %s", camera->name);
    doctor_check(doctor, name, CODEC_MS, try_codec, &trial, NULL);
}

/* ---- keys ---- */

static void try_pair(const void *arg, struct doctor_finding *finding)
{
    const struct agent_keys_config *config = arg;
    struct key_pair pair;
    struct error err;
    struct stat folder;
    if (keys_read_pair(config->folder, config->name, &pair, &err) != 0) {
        doctor_found(finding, DOCTOR_FAIL, "%s", err.text);
        if (!strstr(err.text, "chmod"))
            doctor_advise(finding,
                          "edge-agent keys new --folder %s --name %s, or keys.folder and keys.name",
                          config->folder, config->name);
        return;
    }
    keys_wipe(&pair);
    bool open_to_others =
        stat(config->folder, &folder) == 0 && (folder.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    doctor_found(finding, open_to_others ? DOCTOR_WARN : DOCTOR_OK, "public key %s%s",
                 pair.public_text,
                 open_to_others ? "; others may put keys of theirs into the folder" : "");
    if (open_to_others)
        doctor_advise(finding, "chmod go-w %s", config->folder);
}

static void try_server_key(const void *arg, struct doctor_finding *finding)
{
    const struct agent_config *config = arg;
    const struct server_config *others = config->server.others.items;
    struct key_pair own = { .public_text = "" };
    struct error err;
    if (keys_read_pair(config->keys.folder, config->keys.name, &own, &err) == 0)
        keys_wipe(&own);
    for (size_t i = 0; i <= config->server.others.count; i++) {
        const char *path = i == 0 ? config->server.key : others[i - 1].key;
        char keys[KEYS_SERVER_MAX][KEY_TEXT_BYTES];
        size_t count;
        if (keys_read_list(path, keys, &count, &err) != 0) {
            doctor_found(finding, DOCTOR_FAIL, "%s", err.text);
            doctor_advise(finding, "copy it from the server (cloud-server keys show) to %s", path);
            return;
        }
        for (size_t k = 0; k < count; k++)
            if (strcmp(own.public_text, keys[k]) == 0) {
                doctor_found(finding, DOCTOR_FAIL, "%s has this box's own public key", path);
                doctor_advise(finding, "copy the server's there (cloud-server keys show)");
                return;
            }
        if (i == 0)
            doctor_found(finding, DOCTOR_OK, "public key %s%s", keys[0],
                         count > 1 ? " and others" : "");
    }
}

/* ---- all ---- */

static void check_answers(struct doctor *doctor, const struct sink_config *config)
{
    struct doctor_finding none = { .verdict = DOCTOR_OK };
    if (config->path[0]) {
        doctor_check_file(doctor, "disk answers", config->path);
        return;
    }
    doctor_found(&none, DOCTOR_OK, "no answers are written here (answers.path is empty)");
    doctor_tell(doctor, "disk answers", &none);
}

void doctor_check_agent(struct doctor *doctor, const struct agent_config *config)
{
    const struct camera_config *cameras = config->cameras.items;
    struct doctor_finding camera, first = { .verdict = DOCTOR_OK };
    for (size_t i = 0; i < config->cameras.count; i++) {
        check_camera(doctor, &cameras[i], &camera);
        first = i == 0 ? camera : first;
    }
    doctor_check(doctor, "key", KEY_MS, try_pair, &config->keys, NULL);
    doctor_check(doctor, "server key", KEY_MS, try_server_key, config, NULL);
    doctor_check_clock(doctor);
    check_answers(doctor, &config->answers);
    if (config->spool.path[0])
        doctor_check_file(doctor, "disk spool", config->spool.path);
    doctor_check_server(doctor, config, first.numbers[0], first.numbers[1]);
}
