/* map: an interpreter. All threads of a warp take the same way through it, so what it costs is the
 * switch, which memory hides as long as a chain has few links. */
#include "cuda/map.h"

#ifdef __CUDACC__
#define POINTWISE_FN static __device__ __forceinline__
#endif
#include "passes/pointwise_functions.h"

CUDA_FN void map_compute(const struct map *args, float *registers)
{
    for (int k = 0; k < args->link_count; k++) {
        const struct map_link *link = &args->links[k];
        float x = registers[link->in[0]];
        float y = link->in[1] < 0 ? 0 : registers[link->in[1]];
        float z = link->in[2] < 0 ? 0 : registers[link->in[2]];
        registers[args->input_count + k] =
            pointwise_value(link->kind, link->alpha, link->beta, x, y, z);
    }
}

CUDA_FN void map_at(const struct map *args, int64_t i)
{
    float registers[MAP_INPUTS_MAX + MAP_LINKS_MAX];
    int64_t at[MAP_INPUTS_MAX + MAP_OUTPUTS_MAX] = { 0 };
    int operands = args->input_count + args->output_count;
    uint32_t rest = (uint32_t)i;
    for (int d = args->rank - 1; d >= 0; d--) {
        uint32_t quotient = d > 0 ? rest / (uint32_t)args->dim[d] : 0;
        uint32_t index = rest - quotient * (uint32_t)args->dim[d];
        for (int k = 0; k < operands; k++)
            at[k] += (int64_t)index * args->operands[k].step[d];
        rest = quotient;
    }
    for (int k = 0; k < args->input_count; k++)
        registers[k] = element_load(args->operands[k].data, args->operands[k].type, at[k]);
    map_compute(args, registers);
    for (int k = 0, o = args->input_count; k < args->output_count; k++, o++)
        element_store(args->operands[o].data, args->operands[o].type, at[o],
                      registers[args->outputs[k]]);
}

CUDA_FN void map_one_at(const struct map *args, int64_t i)
{
    float registers[MAP_INPUTS_MAX + MAP_LINKS_MAX];
    for (int k = 0; k < args->input_count; k++)
        registers[k] = element_load(args->operands[k].data, args->operands[k].type, i);
    map_compute(args, registers);
    for (int k = 0, o = args->input_count; k < args->output_count; k++, o++)
        element_store(args->operands[o].data, args->operands[o].type, i, registers[args->outputs[k]]);
}

CUDA_FN void map_link_fours(const struct map_link *link, const struct vector *registers,
                            struct vector *to)
{
    struct vector x = registers[link->in[0]], none = { { 0, 0, 0, 0 } };
    struct vector y = link->in[1] < 0 ? none : registers[link->in[1]];
    struct vector z = link->in[2] < 0 ? none : registers[link->in[2]];
    switch (link->kind) {
#define FOURS(kind, name, inputs, post)                                                     \
    case POINTWISE_##kind:                                                                  \
        for (int k = 0; k < VECTOR; k++)                                                    \
            to->at[k] = pointwise_value(POINTWISE_##kind, link->alpha, link->beta, x.at[k], \
                                        y.at[k], z.at[k]);                                  \
        break;
        POINTWISE_KINDS(FOURS)
#undef FOURS
    default: /* there are no others */
        break;
    }
}

CUDA_FN void map_fours_at(const struct map *args, int64_t i)
{
    struct vector registers[MAP_FOURS_MAX];
    for (int k = 0; k < args->input_count; k++)
        registers[k] = vector_load(args->operands[k].data, args->operands[k].type, i * VECTOR);
    for (int k = 0; k < args->link_count; k++)
        map_link_fours(&args->links[k], registers, &registers[args->input_count + k]);
    for (int k = 0, o = args->input_count; k < args->output_count; k++, o++)
        vector_store(args->operands[o].data, args->operands[o].type, i * VECTOR,
                     &registers[args->outputs[k]]);
}

EACH_KERNEL(map_each, struct map, map_at)
EACH_KERNEL(map_ones, struct map, map_one_at)
EACH_KERNEL(map_fours, struct map, map_fours_at)
