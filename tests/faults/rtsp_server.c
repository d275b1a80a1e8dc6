/* rtsp_server: a camera for tests, on GStreamer's RTSP server, with a picture that moves. What fails in the
 * field is done to it by a line on standard input, or to the way there by bad_proxy.c.
 *
 *     rtsp_server [--port N] [--path /P] [--codec C] [--size WxH] [--fps N] [--bframes N] [--keyframe-s N]
 *                 [--transport tcp|udp] [--user NAME --password WORD [--digest]]
 *
 * Prints "ready PORT", then "ok LINE" for each line that has been done and "bad LINE" for others:
 *     size WxH   the stream goes on in another size, as after a click in the camera's web page
 *     codec C    h264, mjpeg, or h265 (with gstreamer1.0-plugins-bad); drops all clients, whoever comes next
 *                gets it
 *     hang       no more pictures; connections stay, and requests are still answered
 *     go         pictures again
 *     kick       closes all connections
 *     stop       closes them and listens no more
 *     start      listens again
 * Ends with its standard input. */
#include <gio/gio.h>
#include <glib-unix.h>
#include <gst/rtsp-server/rtsp-server.h>
#include <gst/rtsp/gstrtspconnection.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX 256
#define SIDE_MAX 4096
#define ROLE "viewer"

static struct {
    int port, fps, bframes, keyframe_s;
    char *path, *codec, *size, *transport, *user, *password;
    gboolean digest;
} options = { .fps = 15, .keyframe_s = 1 };

static struct {
    GMainLoop *loop;
    GstRTSPServer *server;
    GstRTSPMediaFactory *factory;
    GstElement *pipeline; /* of the present media; NULL: nobody looks */
    GSocket *listener;    /* NULL: stopped */
    GSource *watch;       /* of the listener */
    char codec[16];
    int width, height;
    gint hanging; /* read by streaming threads */
} camera;

/* ---- the picture ---- */

static bool parse_size(const char *text, int *width, int *height)
{
    char *end;
    long w = strtol(text, &end, 10), h = *end == 'x' ? strtol(end + 1, &end, 10) : 0;
    if (*end != '\0' || w < 16 || h < 16 || w > SIDE_MAX || h > SIDE_MAX || w % 2 || h % 2)
        return false;
    *width = (int)w;
    *height = (int)h;
    return true;
}

/* The part of the pipeline that makes packets; NULL: not known. */
static char *describe_codec(const char *codec)
{
    int gop = options.keyframe_s * options.fps;
    if (strcmp(codec, "h264") == 0)
        return g_strdup_printf(
            "x264enc speed-preset=ultrafast bitrate=800 threads=1 key-int-max=%d %s "
            "option-string=scenecut=0:b-adapt=0:bframes=%d ! "
            "video/x-h264,profile=main ! rtph264pay name=pay0 pt=96 config-interval=-1",
            gop, options.bframes > 0 ? "" : "tune=zerolatency", options.bframes);
    if (strcmp(codec, "h265") == 0)
        return g_strdup_printf("x265enc speed-preset=ultrafast tune=zerolatency bitrate=800 "
                               "key-int-max=%d option-string=pools=1:log-level=error ! "
                               "rtph265pay name=pay0 pt=96 config-interval=-1",
                               gop);
    if (strcmp(codec, "mjpeg") == 0)
        return g_strdup("jpegenc quality=70 ! rtpjpegpay name=pay0 pt=26");
    return NULL;
}

/* For media made from now on. */
static bool describe_media(const char *codec)
{
    char *packets = describe_codec(codec);
    if (!packets)
        return false;
    char *launch = g_strdup_printf(
        "( videotestsrc is-live=true pattern=ball background-color=0xff406080 ! "
        "capsfilter name=size caps=video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1 ! %s "
        ")",
        camera.width, camera.height, options.fps, packets);
    gst_rtsp_media_factory_set_launch(camera.factory, launch);
    g_free(launch);
    g_free(packets);
    return true;
}

static void forget_pipeline(GstRTSPMedia *media, gpointer data)
{
    (void)media;
    (void)data;
    gst_clear_object(&camera.pipeline);
}

static GstPadProbeReturn hold_back(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
    (void)pad;
    (void)info;
    (void)data;
    return g_atomic_int_get(&camera.hanging) ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
}

static void on_media(GstRTSPMediaFactory *factory, GstRTSPMedia *media, gpointer data)
{
    (void)factory;
    (void)data;
    gst_clear_object(&camera.pipeline);
    camera.pipeline = gst_rtsp_media_get_element(media);
    GstElement *pay = gst_bin_get_by_name_recurse_up(GST_BIN(camera.pipeline), "pay0");
    GstPad *pad = gst_element_get_static_pad(pay, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, hold_back,
                      NULL, NULL);
    gst_object_unref(pad);
    gst_object_unref(pay);
    g_signal_connect(media, "unprepared", G_CALLBACK(forget_pipeline), NULL);
}

/* In the running stream, and for media made later. */
static bool set_size(const char *text)
{
    if (!parse_size(text, &camera.width, &camera.height))
        return false;
    if (camera.pipeline) {
        GstElement *filter = gst_bin_get_by_name(GST_BIN(camera.pipeline), "size");
        GstCaps *caps =
            gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "width", G_TYPE_INT,
                                camera.width, "height", G_TYPE_INT, camera.height, "framerate",
                                GST_TYPE_FRACTION, options.fps, 1, NULL);
        g_object_set(filter, "caps", caps, NULL);
        gst_caps_unref(caps);
        gst_object_unref(filter);
    }
    return describe_media(camera.codec);
}

/* ---- clients ---- */

static GstRTSPFilterResult drop_client(GstRTSPServer *server, GstRTSPClient *client, gpointer data)
{
    (void)server;
    (void)client;
    (void)data;
    return GST_RTSP_FILTER_REMOVE;
}

static void kick(void)
{
    GList *left = gst_rtsp_server_client_filter(camera.server, drop_client, NULL);
    g_list_free_full(left, g_object_unref);
}

static void stop_listening(void)
{
    if (!camera.listener)
        return;
    g_source_destroy(camera.watch);
    g_source_unref(camera.watch);
    g_socket_close(camera.listener, NULL);
    g_clear_object(&camera.listener);
}

/* On the port that it had, once it has one. */
static bool listen_again(void)
{
    char port[16];
    GError *error = NULL;
    if (camera.listener)
        return true;
    snprintf(port, sizeof port, "%d", options.port);
    gst_rtsp_server_set_service(camera.server, port);
    camera.listener = gst_rtsp_server_create_socket(camera.server, NULL, &error);
    if (!camera.listener) {
        fprintf(stderr, "rtsp_server: port %d: %s\n", options.port, error->message);
        g_error_free(error);
        return false;
    }
    camera.watch = g_socket_create_source(camera.listener, G_IO_IN, NULL);
    g_source_set_callback(camera.watch, G_SOURCE_FUNC(gst_rtsp_server_io_func), camera.server, NULL);
    g_source_attach(camera.watch, NULL);
    GSocketAddress *bound = g_socket_get_local_address(camera.listener, NULL);
    options.port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
    g_object_unref(bound);
    return true;
}

/* ---- orders ---- */

static bool obey(const char *line)
{
    if (strncmp(line, "size ", 5) == 0)
        return set_size(line + 5);
    if (strncmp(line, "codec ", 6) == 0) {
        if (!describe_media(line + 6))
            return false;
        g_strlcpy(camera.codec, line + 6, sizeof camera.codec);
        kick();
    } else if (strcmp(line, "hang") == 0) {
        g_atomic_int_set(&camera.hanging, 1);
    } else if (strcmp(line, "go") == 0) {
        g_atomic_int_set(&camera.hanging, 0);
    } else if (strcmp(line, "kick") == 0) {
        kick();
    } else if (strcmp(line, "stop") == 0) {
        stop_listening();
        kick();
    } else if (strcmp(line, "start") == 0) {
        return listen_again();
    } else {
        return false;
    }
    return true;
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer data)
{
    static char line[LINE_BYTES_MAX];
    static size_t size;
    char bytes[LINE_BYTES_MAX];
    (void)condition;
    (void)data;
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got <= 0) {
        g_main_loop_quit(camera.loop);
        return G_SOURCE_REMOVE;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] != '\n') {
            size = size < sizeof line - 1 ? size : 0;
            line[size++] = bytes[i];
            continue;
        }
        line[size] = '\0';
        size = 0;
        printf("%s %s\n", obey(line) ? "ok" : "bad", line);
    }
    return G_SOURCE_CONTINUE;
}

/* ---- the start ---- */

static bool read_options(int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        { "port", 0, 0, G_OPTION_ARG_INT, &options.port, "0: a free one", "N" },
        { "path", 0, 0, G_OPTION_ARG_STRING, &options.path, "default /cam", "/P" },
        { "codec", 0, 0, G_OPTION_ARG_STRING, &options.codec, "default h264", "C" },
        { "size", 0, 0, G_OPTION_ARG_STRING, &options.size, "default 320x240", "WxH" },
        { "fps", 0, 0, G_OPTION_ARG_INT, &options.fps, "pictures a second", "N" },
        { "bframes", 0, 0, G_OPTION_ARG_INT, &options.bframes, "H.264 only", "N" },
        { "keyframe-s", 0, 0, G_OPTION_ARG_INT, &options.keyframe_s, "between keyframes", "N" },
        { "transport", 0, 0, G_OPTION_ARG_STRING, &options.transport, "default both", "tcp|udp" },
        { "user", 0, 0, G_OPTION_ARG_STRING, &options.user, "default: no login", "NAME" },
        { "password", 0, 0, G_OPTION_ARG_STRING, &options.password, "", "WORD" },
        { "digest", 0, 0, G_OPTION_ARG_NONE, &options.digest, "a login by digest, not basic", NULL },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    GError *error = NULL;
    GOptionContext *context = g_option_context_new("- a camera for tests");
    g_option_context_add_main_entries(context, entries, NULL);
    bool good = g_option_context_parse(context, argc, argv, &error);
    g_option_context_free(context);
    if (!good)
        fprintf(stderr, "rtsp_server: %s\n", error->message);
    g_clear_error(&error);
    return good && *argc == 1 && options.fps > 0 && options.keyframe_s > 0 && options.bframes >= 0 &&
           parse_size(options.size ? options.size : "320x240", &camera.width, &camera.height);
}

static void ask_for_login(void)
{
    GstRTSPAuth *auth = gst_rtsp_auth_new();
    GstRTSPToken *token =
        gst_rtsp_token_new(GST_RTSP_TOKEN_MEDIA_FACTORY_ROLE, G_TYPE_STRING, ROLE, NULL);
    const char *password = options.password ? options.password : "";
    if (options.digest) {
        gst_rtsp_auth_set_supported_methods(auth, GST_RTSP_AUTH_DIGEST);
        gst_rtsp_auth_add_digest(auth, options.user, password, token);
    } else {
        char *basic = gst_rtsp_auth_make_basic(options.user, password);
        gst_rtsp_auth_add_basic(auth, basic, token);
        g_free(basic);
    }
    gst_rtsp_media_factory_add_role(camera.factory, ROLE, GST_RTSP_PERM_MEDIA_FACTORY_ACCESS,
                                    G_TYPE_BOOLEAN, TRUE, GST_RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
                                    G_TYPE_BOOLEAN, TRUE, NULL);
    gst_rtsp_server_set_auth(camera.server, auth);
    gst_rtsp_token_unref(token);
    g_object_unref(auth);
}

static bool open_camera(void)
{
    camera.server = gst_rtsp_server_new();
    camera.factory = gst_rtsp_media_factory_new();
    gst_rtsp_server_set_address(camera.server, "0.0.0.0");
    gst_rtsp_media_factory_set_shared(camera.factory, TRUE);
    if (options.transport)
        gst_rtsp_media_factory_set_protocols(camera.factory, strcmp(options.transport, "udp") == 0
                                                                 ? GST_RTSP_LOWER_TRANS_UDP
                                                                 : GST_RTSP_LOWER_TRANS_TCP);
    g_signal_connect(camera.factory, "media-configure", G_CALLBACK(on_media), NULL);
    g_strlcpy(camera.codec, options.codec ? options.codec : "h264", sizeof camera.codec);
    if (!describe_media(camera.codec)) {
        fprintf(stderr, "rtsp_server: no codec %s\n", camera.codec);
        return false;
    }
    if (options.user)
        ask_for_login();
    GstRTSPMountPoints *mounts = gst_rtsp_server_get_mount_points(camera.server);
    gst_rtsp_mount_points_add_factory(mounts, options.path ? options.path : "/cam", camera.factory);
    g_object_unref(mounts);
    return listen_again();
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    gst_init(&argc, &argv);
    if (!read_options(&argc, &argv)) {
        fprintf(stderr, "rtsp_server: see --help\n");
        return EXIT_FAILURE;
    }
    camera.loop = g_main_loop_new(NULL, FALSE);
    if (!open_camera())
        return EXIT_FAILURE;
    g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_input, NULL);
    printf("ready %d\n", options.port);
    g_main_loop_run(camera.loop);
    return EXIT_SUCCESS;
}
