/* wire_fuzz: any bytes as a header with any payload size (the first four bytes, little endian). What
 * is accepted must survive packing, and is the same kind when it is parsed again. It may be refused
 * then: protobuf-c carries unknown fields along, and writes a few of them as it does not read them.
 */
#include "net/wire.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    uint32_t payload_size = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                            (uint32_t)data[3] << 24;
    Runespoor__Header *header = NULL, *again = NULL;
    struct error err;
    if (wire_parse(&header, data + 4, size - 4, payload_size, &err) < 0)
        return 0;
    size_t packed_size = wire_packed_size(header);
    void *packed = malloc(packed_size);
    assert(packed);
    wire_pack(header, packed);
    if (wire_parse(&again, packed, packed_size, payload_size, &err) == 0)
        assert(again->kind_case == header->kind_case);
    wire_free(&again);
    wire_free(&header);
    free(packed);
    return 0;
}
