/* doctor_server: what the server says to this box: whether it can be reached at all, whether the keys fit, and
 * its answer to a Hello. The uplink does all the talking, as it would for a stream. */
#include "doctor.h"

#include "base/clock.h"
#include "base/random.h"
#include "messages.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#define REACH_MS 8000u /* deadlines */
#define CONNECT_MS 5000
#define SERVER_MS 20000u
#define TALK_MS 15000u
#define TICK_MS 100u
#define HELLO_AGAIN_MS 1000u
#define TRIES 3u /* that fail before the last cause is believed */

struct visit {
    uv_loop_t loop;
    uv_timer_t tick;
    const struct agent_config *config;
    struct server_link_config link; /* the config's, but with short waits */
    struct source_info info;
    struct metrics *metrics;
    struct uplink *uplink;
    struct key_pair keys;
    struct doctor_finding *finding;
    uint64_t nonce, begin_ns, hello_ns, up_ns;
    bool done;
};

static void on_tick(uv_timer_t *timer);

/* ---- TCP ---- */

/* "tcp://HOST:PORT" in its two parts. The configuration's check has seen that there is a colon. */
static void split_address(const char *address, char host[256], char port[16])
{
    const char *begin = address + strlen("tcp://"), *colon = strrchr(begin, ':');
    bool brackets = begin[0] == '[' && colon > begin && colon[-1] == ']';
    snprintf(host, 256, "%.*s", (int)(colon - begin - (brackets ? 2 : 0)),
             begin + (brackets ? 1 : 0));
    snprintf(port, 16, "%s", colon + 1);
}

static int connect_in_time(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int cause = fd < 0 ? errno : 0;
    socklen_t size = sizeof cause;
    if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        cause = errno;
    if (cause == EINPROGRESS) {
        struct pollfd watched = { .fd = fd, .events = POLLOUT };
        int ready = poll(&watched, 1, CONNECT_MS);
        cause = ready < 0 ? errno : ETIMEDOUT;
        if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &cause, &size) != 0)
            cause = errno;
    }
    if (fd >= 0)
        close(fd);
    return cause;
}

static void advise_reach(int cause, struct doctor_finding *finding)
{
    if (cause == ECONNREFUSED)
        doctor_advise(finding,
                      "nothing listens there: start cloud-server on that host (listen.address must "
                      "not be 127.0.0.1 for other hosts), or correct server.address");
    else
        doctor_advise(finding,
                      "check the network and the firewalls on the way, and server.address");
}

static void try_reach(const void *arg, struct doctor_finding *finding)
{
    const struct server_link_config *server = arg;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char host[256], port[16];
    uint64_t begin_ns = clock_now_ns();
    split_address(server->address, host, port);
    int result = getaddrinfo(host, port, &hints, &found);
    if (result != 0) {
        doctor_found(finding, DOCTOR_FAIL, "no address of %s: %s", host, gai_strerror(result));
        doctor_advise(finding, "correct the host in server.address, or this box's name server");
        return;
    }
    int cause = ETIMEDOUT;
    for (const struct addrinfo *at = found; at && cause != 0; at = at->ai_next)
        cause = connect_in_time(at);
    freeaddrinfo(found);
    if (cause != 0) {
        doctor_found(finding, DOCTOR_FAIL, "cannot reach %s (%s)", server->address, strerror(cause));
        advise_reach(cause, finding);
        return;
    }
    doctor_found(finding, DOCTOR_OK, "%s reached over TCP in %.1f ms", server->address,
                 (double)(clock_now_ns() - begin_ns) / 1e6);
}

/* ---- handshake and Hello ---- */

static void end_visit(struct visit *visit)
{
    if (visit->done)
        return;
    visit->done = true;
    uv_close((uv_handle_t *)&visit->tick, NULL);
    uplink_close(&visit->uplink);
}

static const struct camera_config *first_camera(const struct visit *visit)
{
    return visit->config->cameras.items;
}

static void say_hello(struct visit *visit)
{
    visit->hello_ns = clock_now_ns();
    messages_send_hello(visit->uplink, visit->config->name, first_camera(visit), &visit->info,
                        visit->nonce, false);
}

static void on_up(void *arg)
{
    struct visit *visit = arg;
    visit->up_ns = clock_now_ns();
    say_hello(visit);
}

static void on_down(void *arg, const char *cause)
{
    (void)arg;
    (void)cause; /* on_tick looks at the uplink's */
}

static void note_welcome(struct visit *visit, const Runespoor__Welcome *welcome)
{
    messages_send_bye(visit->uplink, welcome->session, "edge-agent doctor has seen enough");
    doctor_found(visit->finding, DOCTOR_OK,
                 "keys fit, stream %s is welcome with %u credits, %llu ms after the Hello",
                 first_camera(visit)->name, welcome->credits,
                 (unsigned long long)(clock_now_ns() - visit->hello_ns) / CLOCK_NS_PER_MS);
}

static void note_refuse(struct visit *visit, const Runespoor__Refuse *refuse)
{
    bool later = strcmp(refuse->code, error_word(ERROR_AGAIN)) == 0;
    bool key = strcmp(refuse->code, error_word(ERROR_AUTH)) == 0;
    doctor_found(visit->finding, later ? DOCTOR_WARN : DOCTOR_FAIL,
                 "keys fit, and the server refuses stream %s: %s", first_camera(visit)->name,
                 refuse->reason);
    if (later)
        doctor_advise(visit->finding,
                      "nothing where edge-agent runs beside this (it has the name); else try "
                      "again later");
    else if (key)
        doctor_advise(visit->finding, "on the server: cloud-server keys allow %s '%s' --stream %s",
                      visit->config->name, visit->keys.public_text, first_camera(visit)->name);
    else
        doctor_advise(visit->finding,
                      "correct what it says, here or in the server's configuration");
}

static void on_message(void *arg, const Runespoor__Header *header)
{
    struct visit *visit = arg;
    bool welcome = header->kind_case == RUNESPOOR__HEADER__KIND_WELCOME &&
                   header->welcome->nonce == visit->nonce;
    bool refuse = header->kind_case == RUNESPOOR__HEADER__KIND_REFUSE &&
                  header->refuse->nonce == visit->nonce;
    if (welcome)
        note_welcome(visit, header->welcome);
    else if (refuse)
        note_refuse(visit, header->refuse);
    if (welcome || refuse)
        uv_timer_start(&visit->tick, on_tick, 0, 0); /* not from inside the uplink */
}

/* The word of the cause that was counted most often, and how many tries have failed. */
struct losses {
    char cause[32];
    uint64_t most, all;
};

static void add_losses(void *arg, const char *name, char kind, const struct metric_label *labels,
                       size_t label_count, const void *handle)
{
    struct losses *losses = arg;
    if (kind != 'c' || label_count == 0 || strcmp(name, "edge_link_losses_total") != 0)
        return;
    uint64_t count = metric_counter_get(handle);
    losses->all += count;
    if (count <= losses->most)
        return;
    losses->most = count;
    snprintf(losses->cause, sizeof losses->cause, "%s", labels[0].value);
}

static void advise_link(const struct visit *visit, const char *cause)
{
    if (strcmp(cause, "key_refused") == 0)
        doctor_advise(visit->finding, "on the server: cloud-server keys allow %s '%s' --stream %s",
                      visit->config->name, visit->keys.public_text, first_camera(visit)->name);
    else if (strcmp(cause, "timeout") == 0)
        doctor_advise(visit->finding, "something takes connections there and does not answer as "
                                      "cloud-server would: is server.address right?");
    else
        doctor_advise(visit->finding,
                      "server key probably wrong: compare %s with what 'cloud-server keys "
                      "show' prints on that host",
                      visit->link.key);
}

static void on_tick(uv_timer_t *timer)
{
    struct visit *visit = timer->data;
    const uint64_t now_ns = clock_now_ns();
    const char *cause = uplink_cause(visit->uplink);
    struct losses losses = { .all = 0 };
    metrics_visit(visit->metrics, add_losses, &losses);
    bool refused = strcmp(losses.cause, "key_refused") == 0;
    bool late = now_ns - visit->begin_ns > TALK_MS * CLOCK_NS_PER_MS;
    if (visit->finding->found[0]) {
        end_visit(visit);
    } else if (cause && (refused || losses.all >= TRIES || late)) {
        doctor_found(visit->finding, DOCTOR_FAIL, "%s", cause);
        advise_link(visit, losses.cause);
        end_visit(visit);
    } else if (late) {
        doctor_found(visit->finding, DOCTOR_FAIL, "keys fit, and the server does not answer a Hello");
        doctor_advise(visit->finding, "look at its log and its /readyz");
        end_visit(visit);
    } else if (!cause && now_ns - visit->hello_ns > HELLO_AGAIN_MS * CLOCK_NS_PER_MS) {
        say_hello(visit);
    }
}

static int open_visit(struct visit *visit, void *context, struct error *err)
{
    static const struct uplink_events events = { on_up, on_down, on_message };
    const struct agent_keys_config *keys = &visit->config->keys;
    int result = keys_read_pair(keys->folder, keys->name, &visit->keys, err);
    if (result == 0)
        result = metrics_create(&visit->metrics, err);
    if (result == 0)
        result = uplink_open(&visit->uplink, &visit->loop, &visit->link, context, &visit->keys,
                             visit->metrics, &events, visit, err);
    if (result != 0)
        return result;
    uv_timer_init(&visit->loop, &visit->tick);
    visit->tick.data = visit;
    uv_timer_start(&visit->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

struct server_trial {
    const struct agent_config *config;
    struct server_link_config link; /* to this server alone */
    uint32_t width, height;
};

static void try_server(const void *arg, struct doctor_finding *finding)
{
    const struct server_trial *trial = arg;
    struct visit visit = { .config = trial->config,
                           .link = trial->link,
                           .info = { .width = trial->width, .height = trial->height },
                           .finding = finding,
                           .nonce = random_entropy(),
                           .begin_ns = clock_now_ns() };
    struct error err;
    void *context = zmq_ctx_new();
    visit.link.backoff_first_ms = visit.link.backoff_cap_ms = 200;
    if (visit.link.connect_ms > CONNECT_MS)
        visit.link.connect_ms = CONNECT_MS;
    if (!context || uv_loop_init(&visit.loop) != 0) {
        doctor_found(finding, DOCTOR_FAIL, "no memory for a connection");
        return;
    }
    if (open_visit(&visit, context, &err) != 0) {
        doctor_found(finding, DOCTOR_FAIL, "cannot be asked: %s", err.text);
        doctor_advise(finding, "mend the keys first");
    }
    uv_run(&visit.loop, UV_RUN_DEFAULT);
    zmq_ctx_term(context); /* the Bye goes out */
    uv_loop_close(&visit.loop);
    metrics_destroy(&visit.metrics);
    keys_wipe(&visit.keys);
}

/* number: 0 for the only one. */
static void check_one(struct doctor *doctor, const struct server_trial *trial, size_t number)
{
    char name[32] = "server", address[48];
    struct doctor_finding reached;
    if (number > 0)
        snprintf(name, sizeof name, "server %zu", number);
    snprintf(address, sizeof address, "%s address", name);
    doctor_check(doctor, address, REACH_MS, try_reach, &trial->link, &reached);
    if (reached.verdict != DOCTOR_FAIL) /* else said already */
        doctor_check(doctor, name, SERVER_MS, try_server, trial, NULL);
}

void doctor_check_server(struct doctor *doctor, const struct agent_config *config, uint32_t width,
                         uint32_t height)
{
    const struct server_config *others = config->server.others.items;
    const size_t count = config->server.others.count;
    struct server_trial trial = { config, config->server, width > 0 ? width : 16,
                                  height > 0 ? height : 16 };
    trial.link.others = (struct option_list){ .count = 0 };
    check_one(doctor, &trial, count > 0 ? 1 : 0);
    for (size_t i = 0; i < count; i++) {
        trial.link.address = others[i].address;
        trial.link.key = others[i].key;
        check_one(doctor, &trial, i + 2);
    }
}
