/* npy_fuzz: any bytes as a NumPy file. What is read has a type, a shape that fits its data, and whole bools. */
#include "tensor/npy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor tensor = { 0 };
    struct error err;
    if (npy_read_bytes(&tensor, data, size, &err) < 0) {
        assert(!tensor.data && err.text[0]);
        return 0;
    }
    assert(tensor.type != TENSOR_NONE && tensor_bytes(&tensor) < size);
    for (uint64_t i = 0; tensor.type == TENSOR_BOOL && i < tensor_bytes(&tensor); i++)
        assert(((const uint8_t *)tensor.data)[i] <= 1);
    tensor_free(&tensor);
    return 0;
}
