/* files: what lies in a case's folder. */
#ifndef RUNESPOOR_TESTS_CONFORMANCE_FILES_H
#define RUNESPOOR_TESTS_CONFORMANCE_FILES_H

#include "compare.h"

bool file_is_there(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A TensorProto; the caller owns the tensor's data then. */
int file_read_tensor(const char *path, struct tensor *tensor, struct error *err);
/* The op of a model of one node; "several nodes" of others, "?" where the file says nothing. */
void file_read_op(const char *path, char *op, size_t op_bytes);
/* ONNX's own, unless the folder's data.json has "rtol" or "atol". */
void file_read_tolerance(const char *folder, struct tolerance *tolerance);

#endif
