/* files: protobuf and JSON of a case. They are the standard's own files, and each is read in a process of
 * its own, so protobuf-c may read them as they are. */
#include "files.h"
#include "onnx/reader.h"
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define RELATIVE 1e-3
#define ABSOLUTE 1e-7

static void *read_whole(const char *path, size_t *size);

bool file_is_there(const char *format, ...)
{
    char path[PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    return access(path, R_OK) == 0;
}

int file_read_tensor(const char *path, struct tensor *tensor, struct error *err)
{
    size_t size;
    void *bytes = read_whole(path, &size);
    if (!bytes)
        return error_set_errno(err, errno, path, "cannot read");
    Onnx__TensorProto *proto = onnx__tensor_proto__unpack(NULL, size, bytes);
    free(bytes);
    if (!proto)
        return error_set(err, ERROR_UNSUPPORTED, "file", "is no tensor");
    int rc = onnx_read_tensor(proto, tensor, err);
    onnx__tensor_proto__free_unpacked(proto, NULL);
    return rc;
}

void file_read_op(const char *path, char *op, size_t op_bytes)
{
    size_t size;
    void *bytes = read_whole(path, &size);
    Onnx__ModelProto *model = bytes ? onnx__model_proto__unpack(NULL, size, bytes) : NULL;
    free(bytes);
    snprintf(op, op_bytes, "%s",
             model && model->graph && model->graph->n_node > 1 ? "several nodes" : "?");
    if (model && model->graph && model->graph->n_node == 1)
        snprintf(op, op_bytes, "%s", onnx_text(model->graph->node[0]->op_type));
    if (model)
        onnx__model_proto__free_unpacked(model, NULL);
}

void file_read_tolerance(const char *folder, struct tolerance *tolerance)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/data.json", folder);
    *tolerance = (struct tolerance){ .relative = RELATIVE, .absolute = ABSOLUTE };
    json_object *json = file_is_there("%s", path) ? json_object_from_file(path) : NULL, *number;
    if (json && json_object_object_get_ex(json, "rtol", &number))
        tolerance->relative = json_object_get_double(number);
    if (json && json_object_object_get_ex(json, "atol", &number))
        tolerance->absolute = json_object_get_double(number);
    json_object_put(json);
}

/* NULL, and errno, when that fails. */
static void *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *bytes = NULL;
    size_t room = 0;
    for (*size = 0;; *size += fread(bytes + *size, 1, room - *size, file)) {
        if (feof(file) || ferror(file))
            break;
        if (*size == room) {
            room = room ? 2 * room : 1 << 16;
            char *more = realloc(bytes, room);
            if (!more)
                break;
            bytes = more;
        }
    }
    bool good = feof(file);
    fclose(file);
    if (!good) {
        free(bytes);
        return NULL;
    }
    return bytes;
}
