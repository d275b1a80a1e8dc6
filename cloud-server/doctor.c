/* doctor: see the header. A model is checked as a worker does it, with its sample picture. */
#include "doctor.h"

#include "analyse/model.h"
#include "base/clock.h"
#include "net/keys.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#define KEY_MS 10000u /* deadlines */
#define GPU_MS 30000u
#define BIND_MS 5000u

/* ---- keys ---- */

static void try_pair(const void *arg, struct doctor_finding *finding)
{
    const struct keys_config *config = arg;
    struct key_pair pair;
    struct error err;

    if (keys_read_pair(config->folder, config->name, &pair, &err) < 0) {
        doctor_found(finding, DOCTOR_FAIL, "%s", err.text);
        if (!strstr(err.text, "chmod"))
            doctor_advise(
                finding, "cloud-server keys new --folder %s --name %s, or keys.folder and keys.name",
                config->folder, config->name);
        return;
    }
    keys_wipe(&pair);
    doctor_found(finding, DOCTOR_OK, "public key %s", pair.public_text);
}

/* Those that would be read; -1: the folder cannot be. */
static int count_files(const char *folder)
{
    DIR *listing = opendir(folder);
    int count = 0;

    if (!listing)
        return -1;
    for (const struct dirent *entry; (entry = readdir(listing));) {
        const char *end = strrchr(entry->d_name, '.');
        count += entry->d_name[0] != '.' && end && strcmp(end, ".yaml") == 0;
    }
    closedir(listing);
    return count;
}

static void try_allow(const void *arg, struct doctor_finding *finding)
{
    const char *folder = arg;
    struct allow_list *list;
    struct error err;

    if (allow_list_open(&list, folder, &err) < 0) {
        doctor_found(finding, DOCTOR_FAIL, "%s", err.text);
        doctor_advise(finding,
                      "'cloud-server keys allow NAME KEY' makes it and lets the first agent in");
        return;
    }
    const int keys = (int)allow_list_count(list), files = count_files(folder);
    allow_list_close(&list);
    doctor_found(finding, keys == files && keys > 0 ? DOCTOR_OK : DOCTOR_WARN,
                 "%s: %d agents may connect, by %d files", folder, keys, files);
    if (keys < files)
        doctor_advise(finding, "'cloud-server run' logs which files are wrong, and why");
    else if (keys == 0)
        doctor_advise(finding, "let an agent in: cloud-server keys allow NAME KEY --stream NAMES");
}

/* ---- models and devices ---- */

struct model_trial {
    const struct model_config *model;
    char device[32]; /* as device_open takes it */
};

static void try_model(const void *arg, struct doctor_finding *finding)
{
    const struct model_trial *trial = arg;
    struct device *device = NULL;
    struct model *model = NULL;
    struct device_info info;
    struct error err;
    uint64_t begin_ns = 0;

    int rc = device_open(&device, trial->device, &err);
    const bool opened = rc == 0;
    if (rc == 0)
        rc = model_open(&model, trial->model->folder, device, &err);
    if (rc == 0)
        rc = model_check(model, &err); /* the first finds all memory cold */
    if (rc == 0) {
        begin_ns = clock_now_ns();
        rc = model_check(model, &err);
    }
    if (rc == 0) {
        device_get_info(device, &info);
        doctor_found(finding, DOCTOR_OK, "finds in its sample what it must, in %.1f ms on %s %s (%s)",
                     (double)(clock_now_ns() - begin_ns) / 1e6, info.kind, info.name,
                     precision_word(model_precision(model)));
    } else {
        doctor_found(finding, DOCTOR_FAIL, "%s", err.text);
        if (opened)
            doctor_advise(finding, "'cloud-server model check %s' tells each comparison",
                          trial->model->folder);
        else
            doctor_advise(finding, "correct pool.devices, or the driver of that device");
    }
    model_close(&model);
    device_close(&device);
}

/* Devices of a kind that are alike are tried once. */
static bool name_device(const struct device_config *devices, size_t index, struct model_trial *trial)
{
    const struct device_config *device = &devices[index];

    if (device->kind == DEVICE_SIMULATED)
        return false; /* it looks at no model */
    for (size_t i = 0; i < index; i++)
        if (devices[i].kind == device->kind && devices[i].gpu == device->gpu)
            return false;
    if (device->kind == DEVICE_CUDA)
        snprintf(trial->device, sizeof trial->device, "cuda:%u", device->gpu);
    else
        snprintf(trial->device, sizeof trial->device, "cpu");
    return true;
}

static void check_models(struct doctor *doctor, const struct server_config *config)
{
    static const struct device_config one_cpu = { .kind = DEVICE_CPU };
    const struct model_config *models = config->models.items;
    const bool given = config->pool.devices.count > 0;
    const struct device_config *devices = given ? config->pool.devices.items : &one_cpu;
    const size_t count = given ? config->pool.devices.count : 1;
    char name[CONFIG_STRING_BYTES_MAX + 64];

    for (size_t d = 0; d < count; d++) {
        struct model_trial trial;
        if (!name_device(devices, d, &trial))
            continue;
        for (size_t m = 0; m < config->models.count; m++) {
            trial.model = &models[m];
            snprintf(name, sizeof name, "model %s on %s", models[m].name, trial.device);
            doctor_check(doctor, name, config->pool.start_ms, try_model, &trial, NULL);
        }
    }
}

static void try_gpu(const void *arg, struct doctor_finding *finding)
{
    const struct pool_config *pool = arg;
    const struct device_config *devices = pool->devices.items;
    struct device *device = NULL;
    struct device_info info;
    struct error err;
    bool used = false;

    for (size_t i = 0; i < pool->devices.count; i++)
        used = used || devices[i].kind == DEVICE_CUDA;
    if (device_open(&device, "cuda:0", &err) < 0) {
        doctor_found(finding, used ? DOCTOR_FAIL : DOCTOR_OK, "none to use here: %s", err.text);
        if (used)
            doctor_advise(finding, "pool.devices has one: mend the driver, or take it out");
        return;
    }
    device_get_info(device, &info);
    doctor_found(finding, used ? DOCTOR_OK : DOCTOR_WARN, "%s%s", info.name,
                 used ? "" : " is here and pool.devices does not use it");
    if (!used)
        doctor_advise(finding, "add to pool.devices: { kind: cuda }");
    device_close(&device);
}

/* ---- addresses ---- */

static void try_bind(const void *arg, struct doctor_finding *finding)
{
    const char *address = arg;
    void *context = zmq_ctx_new();
    void *socket = context ? zmq_socket(context, ZMQ_ROUTER) : NULL;
    const int ipv6 = strchr(address, '[') != NULL;

    if (!socket) {
        doctor_found(finding, DOCTOR_FAIL, "no socket: %s", zmq_strerror(zmq_errno()));
        return;
    }
    zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
    if (zmq_bind(socket, address) == 0) {
        doctor_found(finding, DOCTOR_OK, "%s is free", address);
    } else if (zmq_errno() == EADDRINUSE) {
        doctor_found(finding, DOCTOR_WARN, "%s is in use", address);
        doctor_advise(
            finding,
            "nothing where cloud-server runs beside this; else end what has it (ss -ltnp), "
            "or choose another port");
    } else {
        doctor_found(finding, DOCTOR_FAIL, "cannot listen on %s (%s)", address,
                     zmq_strerror(zmq_errno()));
        doctor_advise(finding,
                      "choose an address that this host has (ip addr), or tcp://0.0.0.0:5570");
    }
    zmq_close(socket);
    zmq_ctx_term(context);
}

/* ---- all ---- */

/* The recorder makes the folder where it is missing, in one that has to be there. */
static void check_record(struct doctor *doctor, const char *folder)
{
    static const char name[] = "disk record";
    struct stat there;

    if (stat(folder, &there) == 0 || errno != ENOENT)
        doctor_check_folder(doctor, name, folder);
    else
        doctor_check_file(doctor, name, folder);
}

void doctor_check_server(struct doctor *doctor, const struct server_config *config)
{
    doctor_check(doctor, "key", KEY_MS, try_pair, &config->keys, NULL);
    doctor_check(doctor, "allow folder", KEY_MS, try_allow, config->keys.allow, NULL);
    doctor_check(doctor, "gpu", GPU_MS, try_gpu, &config->pool, NULL);
    if (server_config_analyses(config))
        check_models(doctor, config);
    if (config->answers.path[0] != '\0')
        doctor_check_file(doctor, "disk answers", config->answers.path);
    if (config->record.folder[0] != '\0')
        check_record(doctor, config->record.folder);
    doctor_check(doctor, "listen", BIND_MS, try_bind, config->listen.address, NULL);
    if (config->publish.address[0] != '\0')
        doctor_check(doctor, "publish", BIND_MS, try_bind, config->publish.address, NULL);
    doctor_check_clock(doctor);
}
