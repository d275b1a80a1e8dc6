/* orders: one table says how long each kind is and whether a descriptor travels with it; the checks
 * of single fields follow. */
#include "devices/orders.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    const char *word;
    size_t bytes;
    bool carries;
} kinds[ORDER_KIND_COUNT] = {
    [ORDER_SETUP] = { "setup", sizeof(struct order_setup), true },
    [ORDER_MODEL] = { "model", sizeof(struct order_model), false },
    [ORDER_POOL] = { "pool", sizeof(struct order_pool), true },
    [ORDER_FORGET] = { "forget", sizeof(struct order_forget), false },
    [ORDER_JOB] = { "job", sizeof(struct order_job), false },
    [REPLY_CLASSES] = { "classes", sizeof(struct reply_classes), false },
    [REPLY_READY] = { "ready", sizeof(struct reply_ready), false },
    [REPLY_PREPARING] = { "preparing", sizeof(struct reply_preparing), false },
    [REPLY_DONE] = { "done", sizeof(struct reply_done), false },
    [REPLY_REFUSED] = { "refused", sizeof(struct reply_refused), false },
};

/* Room for one descriptor, aligned as the kernel wants it. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static int check_order(const union order *order, size_t bytes, bool passed, struct error *err);
static int check_fields(const union order *order, struct error *err);
static bool model_is_sound(const struct order_model *model);
static bool network_is_sound(const struct reply_done *done);
static int check_classes(const struct reply_classes *classes, struct error *err);
static int take_descriptor(struct msghdr *message);
static bool ends(const char *text, size_t bytes);
static bool plane_fits(const struct order_job *job, unsigned plane, uint32_t row_bytes,
                       uint32_t rows, uint64_t bytes);
static bool analysis_is_sound(const struct analysis *analysis, uint32_t class_count);

int orders_send(int fd, enum order_kind kind, void *order, int passed, struct error *err)
{
    assert(kind < ORDER_KIND_COUNT && kinds[kind].carries == (passed >= 0));
    *(struct order_head *)order = (struct order_head){ .version = ORDER_VERSION, .kind = kind };
    struct iovec part = { .iov_base = order, .iov_len = kinds[kind].bytes };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    union control control = { 0 };
    if (passed >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(head), &passed, sizeof passed);
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return error_set(err, errno == EAGAIN ? ERROR_AGAIN : ERROR_NETWORK, "orders",
                         "cannot send %s: %s", kinds[kind].word, strerror(errno));
    return 0; /* SOCK_SEQPACKET sends all or nothing */
}

int orders_receive(int fd, union order *order, int *passed, struct error *err)
{
    struct iovec part = { .iov_base = order, .iov_len = sizeof *order };
    union control control;
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = CMSG_LEN(sizeof(int)) };
    /* CMSG_SPACE would have room for a second descriptor, which would then stay open. */
    *passed = -1;
    ssize_t got;
    do /* that a side has left without reading all is told once, before what it said last */
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0 && errno == EAGAIN)
        return error_set(err, ERROR_AGAIN, "orders", "nothing there yet");
    if (got < 0)
        return error_set_errno(err, errno, "orders", "cannot receive");
    if (got == 0)
        return error_set(err, ERROR_END, "orders", "the other side has gone");
    int descriptor = take_descriptor(&message);
    int failed;
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        failed = error_set(err, ERROR_FORMAT, "orders", "an order is too long");
    else
        failed = check_order(order, (size_t)got, descriptor >= 0, err);
    if (failed && descriptor >= 0)
        close(descriptor);
    if (!failed)
        *passed = descriptor;
    return failed;
}

const char *orders_word(uint32_t kind)
{
    assert(kind < ORDER_KIND_COUNT);
    return kinds[kind].word;
}

int orders_view_picture(const struct order_job *job, uint8_t *base, uint64_t bytes,
                        struct picture_view *view, struct error *err)
{
    uint32_t half_width = (job->width + 1) / 2, half_height = (job->height + 1) / 2;
    bool planar = job->format == PIXEL_I420;
    bool fits = plane_fits(job, 0, job->width, job->height, bytes) &&
                plane_fits(job, 1, planar ? half_width : 2 * half_width, half_height, bytes) &&
                (!planar || plane_fits(job, 2, half_width, half_height, bytes));
    if (!fits)
        return error_set(err, ERROR_FORMAT, "orders", "job %llu: its picture leaves its pool",
                         (unsigned long long)job->job);
    *view = (struct picture_view){
        .format = (enum pixel_format)job->format,
        .matrix = (enum pixel_matrix)job->matrix,
        .full_range = job->full_range != 0,
        .width = job->width,
        .height = job->height,
    };
    for (unsigned plane = 0; plane < (planar ? 3u : 2u); plane++) {
        view->plane[plane] = base + job->offset[plane];
        view->stride[plane] = job->stride[plane];
    }
    return 0;
}

int orders_copy_analysis(const struct analysis *from, uint32_t class_count, struct analysis *to,
                         struct error *err)
{
    memcpy(to, from, offsetof(struct analysis, objects));
    bool sound = to->object_count <= ANALYSIS_OBJECTS_MAX && to->area_count <= ANALYSIS_AREAS_MAX &&
                 to->runs_bytes <= ANALYSIS_RUNS_BYTES_MAX;
    if (sound) {
        memcpy(to->objects, from->objects, to->object_count * sizeof to->objects[0]);
        memcpy(to->areas, from->areas, to->area_count * sizeof to->areas[0]);
        memcpy(to->runs, from->runs, to->runs_bytes);
        sound = analysis_is_sound(to, class_count);
    }
    if (sound)
        return 0;
    to->object_count = to->area_count = to->runs_bytes = 0;
    to->uncertainty = 0;
    return error_set(err, ERROR_FORMAT, "orders", "an analysis holds impossible values");
}

static int check_order(const union order *order, size_t bytes, bool passed, struct error *err)
{
    if (bytes < sizeof order->head)
        return error_set(err, ERROR_FORMAT, "orders", "an order of %zu bytes", bytes);
    if (order->head.version != ORDER_VERSION)
        return error_set(err, ERROR_FORMAT, "orders",
                         "version %08x, this is %08x: was the program replaced? restart the server",
                         order->head.version, ORDER_VERSION);
    if (order->head.kind >= ORDER_KIND_COUNT)
        return error_set(err, ERROR_FORMAT, "orders", "unknown kind %u", order->head.kind);
    const char *word = kinds[order->head.kind].word;
    if (bytes != kinds[order->head.kind].bytes)
        return error_set(err, ERROR_FORMAT, "orders", "%s of %zu bytes", word, bytes);
    if (passed != kinds[order->head.kind].carries)
        return error_set(err, ERROR_FORMAT, "orders", "%s %s a descriptor", word,
                         passed ? "with" : "without");
    if (check_fields(order, err))
        return error_wrap(err, "orders: %s", word);
    return 0;
}

static int check_fields(const union order *order, struct error *err)
{
    bool good = true;
    switch ((enum order_kind)order->head.kind) {
    case ORDER_SETUP:
        good = order->setup.device_kind <= DEVICE_SIMULATED &&
               order->setup.gpu <= POOL_GPU_NUMBER_MAX &&
               order->setup.model_count <= POOL_MODELS_MAX && order->setup.batch >= 1 &&
               order->setup.batch <= POOL_BATCH_MAX &&
               ends(order->setup.name, sizeof order->setup.name);
        break;
    case ORDER_MODEL:
        good = model_is_sound(&order->model);
        break;
    case ORDER_POOL:
        good = order->pool.slot < WORKER_POOLS_MAX && order->pool.id != 0 && order->pool.bytes != 0;
        break;
    case ORDER_FORGET:
        good = order->forget.slot < WORKER_POOLS_MAX;
        break;
    case ORDER_JOB:
        good = order->job.model < POOL_MODELS_MAX && order->job.result < WORKER_PICTURES_MAX &&
               order->job.more < POOL_BATCH_MAX && order->job.pool_slot < WORKER_POOLS_MAX &&
               order->job.format <= PIXEL_NV12 && order->job.matrix <= MATRIX_BT709 &&
               order->job.full_range <= 1 && order->job.plain <= 1 && order->job.width >= 1 &&
               order->job.width <= PICTURE_SIDE_MAX && order->job.height >= 1 &&
               order->job.height <= PICTURE_SIDE_MAX && order->job.camera_width >= 1 &&
               order->job.camera_width <= PICTURE_SIDE_MAX && order->job.camera_height >= 1 &&
               order->job.camera_height <= PICTURE_SIDE_MAX;
        break;
    case REPLY_CLASSES:
        return check_classes(&order->classes, err);
    case REPLY_DONE:
        good = order->done.failed <= 1 && order->done.restored <= RESTORE_NETWORK &&
               order->done.restored != RESTORE_BILINEAR && network_is_sound(&order->done) &&
               ends(order->done.reason, sizeof order->done.reason) &&
               ends(order->done.fallback, sizeof order->done.fallback);
        break;
    case REPLY_REFUSED:
        good = (order->refused.model < POOL_MODELS_MAX || order->refused.model == ORDER_MODEL_NONE) &&
               order->refused.code > ERROR_NONE && order->refused.code < ERROR_CODE_COUNT &&
               ends(order->refused.text, sizeof order->refused.text);
        break;
    case REPLY_READY:
    case REPLY_PREPARING:
    case ORDER_KIND_COUNT:
        break;
    }
    return good ? 0 : error_set(err, ERROR_FORMAT, "fields", "a value is out of range");
}

static bool model_is_sound(const struct order_model *model)
{
    if (model->index >= POOL_MODELS_MAX || model->fallback > FALLBACK_BICUBIC ||
        model->network_count > POOL_NETWORKS_MAX || !ends(model->folder, sizeof model->folder))
        return false;
    for (uint32_t i = 0; i < model->network_count; i++)
        if (!ends(model->networks[i], sizeof model->networks[i]))
            return false;
    return true;
}

/* Its name goes into answers. */
static bool network_is_sound(const struct reply_done *done)
{
    if (done->restored != RESTORE_NETWORK)
        return done->network[0] == '\0';
    return ends(done->network, sizeof done->network) &&
           wire_check_name(done->network, "network", NULL) == 0;
}

static int check_classes(const struct reply_classes *classes, struct error *err)
{
    if (classes->model >= POOL_MODELS_MAX || classes->count > CARD_CLASSES_MAX || classes->masks > 1)
        return error_set(err, ERROR_FORMAT, "fields", "model %u with %u classes", classes->model,
                         classes->count);
    size_t at = 0;
    for (uint32_t i = 0; i < classes->count; i++) {
        size_t left = sizeof classes->names - at;
        size_t length = strnlen(classes->names + at, left);
        if (length == left)
            return error_set(err, ERROR_FORMAT, "fields", "the name of class %u does not end", i);
        at += length + 1;
    }
    return 0;
}

static int take_descriptor(struct msghdr *message)
{
    int descriptor = -1;
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof descriptor))
        memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
    return descriptor;
}

static bool ends(const char *text, size_t bytes)
{
    return memchr(text, '\0', bytes) != NULL;
}

static bool plane_fits(const struct order_job *job, unsigned plane, uint32_t row_bytes,
                       uint32_t rows, uint64_t bytes)
{
    uint64_t stride = job->stride[plane], offset = job->offset[plane];
    if (stride < row_bytes || stride > ORDER_STRIDE_MAX || offset > bytes)
        return false;
    return stride * (rows - 1) + row_bytes <= bytes - offset;
}

static bool analysis_is_sound(const struct analysis *analysis, uint32_t class_count)
{
    if (!(analysis->uncertainty >= 0 && analysis->uncertainty <= 1)) /* nor NaN */
        return false;
    for (uint32_t i = 0; i < analysis->object_count; i++) {
        const struct analysis_object *object = &analysis->objects[i];
        if (object->class_id >= class_count || !isfinite(object->confidence) || !isfinite(object->x) ||
            !isfinite(object->y) || !isfinite(object->width) || !isfinite(object->height))
            return false;
    }
    for (uint32_t i = 0; i < analysis->area_count; i++) {
        const struct analysis_area *area = &analysis->areas[i];
        if (area->class_id >= class_count || !isfinite(area->share) ||
            area->runs_offset > analysis->runs_bytes ||
            area->runs_bytes > analysis->runs_bytes - area->runs_offset)
            return false;
    }
    return true;
}
