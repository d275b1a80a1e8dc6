/* onnx: the file as a whole: its bytes and its versions. */
#include "onnx/onnx.h"
#include "onnx/reader.h"
#include "ops/op.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IR_VERSION_MIN 3
/* What 9 to 13 added is types, which are refused one by one, and fields that inference may skip. */
#define IR_VERSION_MAX 13

static int read_whole(const char *path, void **bytes, size_t *size, struct error *err);
static int read_model(const Onnx__ModelProto *model, struct graph *graph, struct error *err);
static int check_versions(const Onnx__ModelProto *model, int *opset, struct error *err);

int onnx_read_file(struct graph **graph, const char *path, struct error *err)
{
    void *bytes = NULL;
    size_t size = 0;
    int rc = read_whole(path, &bytes, &size, err);
    if (!rc)
        rc = onnx_read_bytes(graph, bytes, size, path, err);
    free(bytes);
    return rc;
}

int onnx_read_bytes(struct graph **graph, const void *bytes, size_t size, const char *name,
                    struct error *err)
{
    struct graph *fresh = NULL;
    Onnx__ModelProto *model = NULL;
    size_t fields = 0;
    int rc = 0;
    if (size > ONNX_FILE_BYTES_MAX)
        rc = error_set(err, ERROR_LIMIT, "file", "larger than %zu bytes", ONNX_FILE_BYTES_MAX);
    else if (size == 0)
        rc = error_set(err, ERROR_FORMAT, "file", "is empty");
    else
        rc = onnx_scan(&onnx__model_proto__descriptor, bytes, size, &fields, err);
    if (!rc) {
        model = onnx__model_proto__unpack(NULL, size, bytes);
        if (!model)
            rc = error_set(err, ERROR_FORMAT, "file", "is not an ONNX model");
    }
    if (!rc)
        rc = onnx_modernise(model, err);
    if (!rc)
        rc = onnx_rewrite_sequences(model, err);
    if (!rc)
        rc = graph_create(&fresh, err);
    if (!rc)
        rc = read_model(model, fresh, err);
    if (model)
        onnx__model_proto__free_unpacked(model, NULL);
    if (rc) {
        graph_free(&fresh);
        if (err)
            error_wrap(err, "%.200s", name);
        return rc;
    }
    *graph = fresh;
    return 0;
}

int onnx_find_opset(Onnx__OperatorSetIdProto *const *imports, size_t count, int *opset,
                    struct error *err)
{
    long long found = 0;
    *opset = 0;
    for (size_t i = 0; i < count; i++) {
        if (!onnx_is_default_domain(onnx_text(imports[i]->domain)))
            continue; /* matters only if a node is of that domain */
        if (found)
            return error_set(err, ERROR_FORMAT, "opset_import", "two of the same domain");
        found = (long long)imports[i]->version;
        if (found < OPSET_MIN || found > OPSET_MAX)
            return error_set(err, ERROR_UNSUPPORTED, "opset",
                             "%lld of domain 'ai.onnx'; %d to %d are supported", found, OPSET_MIN,
                             OPSET_MAX);
    }
    *opset = (int)found;
    return 0;
}

const char *onnx_text(const char *text)
{
    return text ? text : "";
}

bool onnx_is_default_domain(const char *domain)
{
    return !*domain || strcmp(domain, "ai.onnx") == 0;
}

static int read_whole(const char *path, void **bytes, size_t *size, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, path, "cannot open");
    struct stat status;
    int rc = 0;
    if (fstat(fd, &status) < 0)
        rc = error_set_errno(err, errno, path, "cannot look at");
    else if (!S_ISREG(status.st_mode))
        rc = error_set(err, ERROR_IO, path, "is not a file");
    else if ((uint64_t)status.st_size > ONNX_FILE_BYTES_MAX)
        rc = error_set(err, ERROR_LIMIT, path, "larger than %zu bytes", ONNX_FILE_BYTES_MAX);
    char *room = rc ? NULL : malloc((size_t)status.st_size + 1);
    if (!rc && !room)
        rc = error_set(err, ERROR_MEMORY, path, "no room for %lld bytes", (long long)status.st_size);
    size_t used = 0;
    while (!rc && used < (size_t)status.st_size) {
        ssize_t count = read(fd, room + used, (size_t)status.st_size - used);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            rc = error_set_errno(err, errno, path, "cannot read");
        else if (count == 0)
            rc = error_set(err, ERROR_IO, path, "became shorter while it was read");
        else
            used += (size_t)count;
    }
    close(fd);
    if (rc) {
        free(room);
        return rc;
    }
    *bytes = room;
    *size = used;
    return 0;
}

static int read_model(const Onnx__ModelProto *model, struct graph *graph, struct error *err)
{
    struct reader reader = { .model = model };
    struct draft draft = { .graph = graph };
    struct scope scope = { .reader = &reader, .draft = &draft };
    int rc = check_versions(model, &scope.opset, err);
    graph->opset = scope.opset;
    if (!rc)
        rc = onnx_open_functions(&reader, err);
    if (!rc)
        rc = onnx_read_graph(&scope, model->graph, err);
    if (!rc)
        rc = onnx_name_sizes(graph, model->graph, err);
    onnx_close_functions(&reader);
    scope_close(&scope);
    return rc;
}

static int check_versions(const Onnx__ModelProto *model, int *opset, struct error *err)
{
    if (!model->graph)
        return error_set(err, ERROR_FORMAT, "file", "is not an ONNX model, or has no graph");
    if (!model->has_ir_version || model->ir_version < IR_VERSION_MIN ||
        model->ir_version > IR_VERSION_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "ir_version", "%lld; %d to %d are supported",
                         (long long)model->ir_version, IR_VERSION_MIN, IR_VERSION_MAX);
    int rc = onnx_find_opset(model->opset_import, model->n_opset_import, opset, err);
    return rc || *opset
               ? rc
               : error_set(err, ERROR_UNSUPPORTED, "opset",
                           "0 of domain 'ai.onnx'; %d to %d are supported", OPSET_MIN, OPSET_MAX);
}
