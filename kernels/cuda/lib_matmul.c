/* lib_matmul: matrix products by cuBLASLt. It counts matrices by columns; c row-major, m x n, is to it
 * c' = b' a', n x m, and the bias of n is one along its columns, as its epilogue adds it. */
#include "cuda/lib_open.h"
#include "cuda/map.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 32
#define BLAS_SCRATCH_BYTES (UINT64_C(32) << 20) /* what cuBLAS itself takes on Hopper */
#define ALGO_WORDS (sizeof(cublasLtMatmulAlgo_t) / sizeof(uint64_t))
#define ALGO_DIGITS 16 /* of a word */

/* One of a and b as cuBLASLt is told: columns of `ld` elements apart, read across where transposed. */
struct side {
    int64_t ld;
    bool transposed;
};

/* A way, and the scratch memory that it wants. */
struct way {
    cublasLtMatmulAlgo_t algo;
    uint64_t scratch_bytes;
};

struct lib_matmul {
    struct cuda_libraries *libraries;
    struct matmul spec;
    bool has_bias, relu;
    bool tried; /* against other ways, now or in another process */
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t b, a, c; /* in the order in which they are multiplied */
    struct way fast, any;           /* for arrays at multiples of LIB_ALIGNMENT_BYTES; for all */
    char name[NAME_BYTES];
};

struct matmul_trial {
    const struct lib_matmul *matmul;
    const struct way *ways;
    void *memory, *a, *b, *c, *bias, *scratch;
};

static void name_way(struct lib_matmul *matmul);
static bool read_side(int64_t rows, int64_t columns, int64_t row, int64_t column, struct side *side);
static bool find_type(int32_t type, cudaDataType_t *found);
static bool describe(struct lib_matmul *matmul, const struct side *a, const struct side *b,
                     enum precision precision);
static bool describe_product(struct lib_matmul *matmul, const struct side *a, const struct side *b,
                             enum precision precision);
static cublasLtMatrixLayout_t matrix(int32_t type, int64_t rows, int64_t columns, int64_t ld,
                                     int32_t batch, int64_t batch_step);
static int choose(struct lib_matmul *matmul, enum precision precision, bool *found,
                  struct error *err);
static int ask(const struct lib_matmul *matmul, uint32_t alignment_bytes, struct way *ways,
               int count_max);
static int find(struct lib_matmul *matmul, const char *key, bool *found, struct error *err);
static int try_ways(const struct lib_matmul *matmul, const struct way *ways, int count,
                    int *fastest, struct error *err);
static int lay_out(struct matmul_trial *trial, int count, struct error *err);
static int run_way(void *arg, int way, struct error *err);
static int run(const struct lib_matmul *matmul, const struct way *way, const void *a, const void *b,
               void *c, const void *bias, void *scratch, struct error *err);
static uint64_t bias_bytes(const struct lib_matmul *matmul);
static const void *narrow_bias(const struct lib_matmul *matmul, const float *bias, void *scratch);
static bool is_aligned(const void *data);
static void write_key(struct text *key, const struct lib_matmul *matmul, enum precision precision);
static void write_algo(const struct way *way, char text[CHOICES_VALUE_BYTES]);
static bool read_algo(const struct lib_matmul *matmul, const char *text, struct way *way);

int lib_matmul_make(struct cuda_libraries *libraries, const struct matmul *spec, bool has_bias,
                    bool relu, enum precision precision, struct lib_matmul **matmul,
                    struct error *err)
{
    struct side a, b;
    bool found = false;
    int rc = 0;
    if (!read_side(spec->m, spec->k, spec->a_row, spec->a_column, &a) ||
        !read_side(spec->k, spec->n, spec->b_row, spec->b_column, &b))
        return 0;
    struct lib_matmul *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    fresh->libraries = libraries;
    fresh->spec = *spec;
    fresh->has_bias = has_bias;
    fresh->relu = relu;
    if (describe(fresh, &a, &b, precision) && ask(fresh, 1, &fresh->any, 1) == 1)
        rc = choose(fresh, precision, &found, err);
    if (rc || !found) {
        lib_matmul_free(fresh);
        return rc;
    }
    name_way(fresh);
    *matmul = fresh;
    return 0;
}

static void name_way(struct lib_matmul *matmul)
{
    int32_t id = 0;
    size_t written = 0;
    if (cublasLtMatmulAlgoConfigGetAttribute(&matmul->fast.algo, CUBLASLT_ALGO_CONFIG_ID, &id,
                                             sizeof id, &written))
        id = 0;
    snprintf(matmul->name, sizeof matmul->name, "cublaslt %" PRId32 "%s", id,
             matmul->tried ? "" : " untried");
}

uint64_t lib_matmul_scratch_bytes(const struct lib_matmul *matmul)
{
    uint64_t fast = matmul->fast.scratch_bytes, any = matmul->any.scratch_bytes;
    return bias_bytes(matmul) + (fast > any ? fast : any);
}

const char *lib_matmul_name(const struct lib_matmul *matmul)
{
    return matmul->name;
}

int lib_matmul_run(const struct lib_matmul *matmul, struct gpu *gpu, const void *a, const void *b,
                   void *c, const float *bias, void *scratch, struct error *err)
{
    (void)gpu; /* the libraries' own */
    bool aligned = is_aligned(a) && is_aligned(b) && is_aligned(c);
    const void *taken = matmul->has_bias ? narrow_bias(matmul, bias, scratch) : NULL;
    return run(matmul, aligned ? &matmul->fast : &matmul->any, a, b, c, taken,
               (char *)scratch + bias_bytes(matmul), err);
}

void lib_matmul_free(struct lib_matmul *matmul)
{
    if (!matmul)
        return;
    if (matmul->product)
        (void)cublasLtMatmulDescDestroy(matmul->product);
    cublasLtMatrixLayout_t layouts[] = { matmul->a, matmul->b, matmul->c };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i])
            (void)cublasLtMatrixLayoutDestroy(layouts[i]);
    free(matmul);
}

/* ---- describing ---- */

/* rows x columns elements with those steps, whose transposed is what cuBLASLt multiplies: where columns
 * are next to each other it already lies so. False where neither rows nor columns are. */
static bool read_side(int64_t rows, int64_t columns, int64_t row, int64_t column, struct side *side)
{
    if ((column == 1 || columns == 1) && (row >= columns || rows == 1)) {
        *side = (struct side){ .ld = rows == 1 ? columns : row };
        return true;
    }
    *side = (struct side){ .ld = columns == 1 ? rows : column, .transposed = true };
    return (row == 1 || rows == 1) && side->ld >= rows;
}

static bool find_type(int32_t type, cudaDataType_t *found)
{
    *found = type == TENSOR_F16 ? CUDA_R_16F : type == TENSOR_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    return type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16;
}

static bool describe(struct lib_matmul *matmul, const struct side *a, const struct side *b,
                     enum precision precision)
{
    const struct matmul *spec = &matmul->spec;
    if (spec->a_type != spec->b_type || (spec->c_type != spec->a_type && spec->c_type != TENSOR_F32))
        return false;
    matmul->a = matrix(spec->a_type, a->transposed ? spec->m : spec->k,
                       a->transposed ? spec->k : spec->m, a->ld, spec->batch, spec->a_batch);
    matmul->b = matrix(spec->b_type, b->transposed ? spec->k : spec->n,
                       b->transposed ? spec->n : spec->k, b->ld, spec->batch, spec->b_batch);
    matmul->c = matrix(spec->c_type, spec->n, spec->m, spec->n, spec->batch, spec->c_batch);
    return matmul->a && matmul->b && matmul->c && describe_product(matmul, a, b, precision);
}

static cublasLtMatrixLayout_t matrix(int32_t type, int64_t rows, int64_t columns, int64_t ld,
                                     int32_t batch, int64_t batch_step)
{
    cublasLtMatrixLayout_t layout = NULL;
    cudaDataType_t found;
    if (!find_type(type, &found) ||
        cublasLtMatrixLayoutCreate(&layout, found, (uint64_t)rows, (uint64_t)columns, ld))
        return NULL;
    if (cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                         sizeof batch) ||
        cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                         &batch_step, sizeof batch_step)) {
        (void)cublasLtMatrixLayoutDestroy(layout);
        return NULL;
    }
    return layout;
}

/* The bias has c's type, as the epilogues want it. Where it lies is told when it runs; until then
 * heuristics are to see a place of good alignment. */
static bool describe_product(struct lib_matmul *matmul, const struct side *a, const struct side *b,
                             enum precision precision)
{
    const cublasComputeType_t compute =
        precision == PRECISION_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasOperation_t first = b->transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = a->transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t epilogue =
        matmul->has_bias ? (matmul->relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
                         : (matmul->relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT);
    const void *const somewhere = (const void *)(uintptr_t)GPU_ALIGNMENT_BYTES;
    cudaDataType_t type;
    (void)find_type(matmul->spec.c_type, &type);
    const struct {
        cublasLtMatmulDescAttributes_t attribute;
        const void *value;
        size_t bytes;
    } settings[] = {
        { CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first },
        { CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second },
        { CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue },
        { CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type },
        { CUBLASLT_MATMUL_DESC_BIAS_POINTER, &somewhere, sizeof somewhere },
    };
    if (cublasLtMatmulDescCreate(&matmul->product, compute, CUDA_R_32F))
        return false;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (cublasLtMatmulDescSetAttribute(matmul->product, settings[i].attribute,
                                           settings[i].value, settings[i].bytes))
            return false;
    return true;
}

/* ---- choosing ---- */

static int choose(struct lib_matmul *matmul, enum precision precision, bool *found, struct error *err)
{
    struct text key = { 0 };
    write_key(&key, matmul, precision);
    int rc = key.failed ? error_set(err, ERROR_MEMORY, "cuda", "no memory left") : 0;
    const char *value = rc ? NULL : choices_find(matmul->libraries->choices, key.data);
    if (value && read_algo(matmul, value, &matmul->fast)) {
        int fastest; /* once, as kernels are loaded then */
        rc = try_ways(matmul, &matmul->fast, 1, &fastest, err);
        *found = matmul->tried = !rc && fastest == 0;
    }
    if (!rc && !*found)
        rc = find(matmul, key.data, found, err);
    text_finish(&key);
    return rc;
}

/* Ways in the order in which cuBLASLt expects them to be fast. */
static int ask(const struct lib_matmul *matmul, uint32_t alignment_bytes, struct way *ways,
               int count_max)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
    };
    const uint64_t scratch_bytes = BLAS_SCRATCH_BYTES;
    /* Parts of a sum are added in f32, and in a fixed order. */
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t results[LIB_WAYS_MAX];
    int count = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (!status)
        status = cublasLtMatmulPreferenceSetAttribute(preference,
                                                      CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                      &scratch_bytes, sizeof scratch_bytes);
    if (!status)
        status = cublasLtMatmulPreferenceSetAttribute(
            preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
    for (size_t i = 0; !status && i < sizeof alignments / sizeof *alignments; i++)
        status = cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &alignment_bytes,
                                                      sizeof alignment_bytes);
    if (!status)
        status = cublasLtMatmulAlgoGetHeuristic(matmul->libraries->blas, matmul->product, matmul->b,
                                                matmul->a, matmul->c, matmul->c, preference,
                                                count_max, results, &count);
    if (preference)
        (void)cublasLtMatmulPreferenceDestroy(preference);
    int good = 0;
    for (int i = 0; !status && i < count; i++)
        if (results[i].state == CUBLAS_STATUS_SUCCESS)
            ways[good++] = (struct way){ results[i].algo, results[i].workspaceSize };
    return good;
}

/* Where there is no time to try several ways, others are looked at only if the first cannot be run, and
 * nothing is kept. */
static int find(struct lib_matmul *matmul, const char *key, bool *found, struct error *err)
{
    struct way ways[LIB_WAYS_MAX];
    char value[CHOICES_VALUE_BYTES];
    int fastest = -1, rc = 0;
    uint64_t begun_ns = clock_now_ns();
    int count = ask(matmul, LIB_ALIGNMENT_BYTES, ways, LIB_WAYS_MAX);
    matmul->tried = lib_may_try(matmul->libraries);
    if (!matmul->tried && count > 0)
        rc = try_ways(matmul, ways, 1, &fastest, err);
    if (!rc && fastest < 0 && count > 0)
        rc = try_ways(matmul, ways, count, &fastest, err);
    if (matmul->tried)
        matmul->libraries->trying_ns += clock_now_ns() - begun_ns;
    *found = !rc && fastest >= 0;
    if (!*found)
        return rc;
    matmul->fast = ways[fastest];
    write_algo(&matmul->fast, value);
    return matmul->tried ? choices_add(matmul->libraries->choices, key, value, err) : 0;
}

static int try_ways(const struct lib_matmul *matmul, const struct way *ways, int count,
                    int *fastest, struct error *err)
{
    struct matmul_trial trial = { .matmul = matmul, .ways = ways };
    int rc = lay_out(&trial, count, err);
    if (!rc)
        rc = lib_try(
            &(struct lib_trial){
                .gpu = matmul->libraries->gpu, .ways = count, .run = run_way, .arg = &trial },
            fastest, err);
    gpu_free(matmul->libraries->gpu, trial.memory);
    return rc;
}

/* Up to the last element of the last matrix. */
static uint64_t matrices_bytes(int64_t rows, int64_t columns, int64_t row, int64_t column,
                               int32_t batch, int64_t batch_step, int32_t type)
{
    int64_t last = (rows - 1) * row + (columns - 1) * column + (batch - 1) * batch_step;
    return (uint64_t)(last + 1) * tensor_type_bytes((enum tensor_type)type);
}

static int lay_out(struct matmul_trial *trial, int count, struct error *err)
{
    const struct matmul *spec = &trial->matmul->spec;
    struct gpu *gpu = trial->matmul->libraries->gpu;
    uint64_t bytes[] = {
        matrices_bytes(spec->m, spec->k, spec->a_row, spec->a_column, spec->batch, spec->a_batch,
                       spec->a_type),
        matrices_bytes(spec->k, spec->n, spec->b_row, spec->b_column, spec->batch, spec->b_batch,
                       spec->b_type),
        matrices_bytes(spec->m, spec->n, spec->n, 1, spec->batch, spec->c_batch, spec->c_type),
        (uint64_t)spec->n * tensor_type_bytes((enum tensor_type)spec->c_type),
        0,
    };
    void **arrays[] = { &trial->a, &trial->b, &trial->c, &trial->bias, &trial->scratch };
    for (int i = 0; i < count; i++)
        if (bytes[4] < trial->ways[i].scratch_bytes)
            bytes[4] = trial->ways[i].scratch_bytes;
    return lib_lay_out(gpu, bytes, arrays, sizeof bytes / sizeof *bytes, &trial->memory, err);
}

static int run_way(void *arg, int way, struct error *err)
{
    const struct matmul_trial *trial = arg;
    return run(trial->matmul, &trial->ways[way], trial->a, trial->b, trial->c, trial->bias,
               trial->scratch, err);
}

/* ---- running ---- */

/* The one thing that changes in the description is where the bias lies; it is read before this
 * returns. */
static int run(const struct lib_matmul *matmul, const struct way *way, const void *a, const void *b,
               void *c, const void *bias, void *scratch, struct error *err)
{
    const float zero = 0;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (matmul->has_bias)
        status = cublasLtMatmulDescSetAttribute(matmul->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                &bias, sizeof bias);
    if (!status)
        status =
            cublasLtMatmul(matmul->libraries->blas, matmul->product, &matmul->spec.alpha, b,
                           matmul->b, a, matmul->a, &zero, c, matmul->c, c, matmul->c, &way->algo,
                           scratch, way->scratch_bytes, gpu_stream(matmul->libraries->gpu));
    return status ? error_set(err, ERROR_DEVICE, "cuda", "cuBLASLt cannot run the product: %s",
                              cublasLtGetStatusString(status))
                  : 0;
}

/* Scratch memory begins with the bias where it is to be rounded. */
static uint64_t bias_bytes(const struct lib_matmul *matmul)
{
    if (!matmul->has_bias || matmul->spec.c_type == TENSOR_F32)
        return 0;
    uint64_t bytes =
        (uint64_t)matmul->spec.n * tensor_type_bytes((enum tensor_type)matmul->spec.c_type);
    return (bytes / GPU_ALIGNMENT_BYTES + 1) * GPU_ALIGNMENT_BYTES;
}

static const void *narrow_bias(const struct lib_matmul *matmul, const float *bias, void *scratch)
{
    if (bias_bytes(matmul) == 0)
        return bias;
    struct map map = { .rank = 1, .input_count = 1, .output_count = 1 };
    map.dim[0] = matmul->spec.n;
    map.operands[0] = (struct map_operand){ .data = (void *)bias, .type = TENSOR_F32, .step = { 1 } };
    map.operands[1] =
        (struct map_operand){ .data = scratch, .type = matmul->spec.c_type, .step = { 1 } };
    map_flat(&map, matmul->spec.n, gpu_stream(matmul->libraries->gpu));
    return scratch;
}

static bool is_aligned(const void *data)
{
    return (uintptr_t)data % LIB_ALIGNMENT_BYTES == 0;
}

/* ---- choices as text ---- */

static void write_key(struct text *key, const struct lib_matmul *matmul, enum precision precision)
{
    const struct matmul *spec = &matmul->spec;
    text_printf(key, "%s|matmul %s %" PRId32 ",%" PRId32 ",%" PRId32 " %" PRId32,
                matmul->libraries->device, precision_word(precision), spec->m, spec->n, spec->k,
                spec->batch);
    text_printf(key, " %" PRId64 ",%" PRId64 ",%" PRId64 " %" PRId64 ",%" PRId64 ",%" PRId64,
                spec->a_row, spec->a_column, spec->a_batch, spec->b_row, spec->b_column,
                spec->b_batch);
    text_printf(key, " %" PRId64 " %" PRId32 ",%" PRId32 ",%" PRId32 "%s%s", spec->c_batch,
                spec->a_type, spec->b_type, spec->c_type, matmul->has_bias ? " bias" : "",
                matmul->relu ? " relu" : "");
}

/* The words of an algorithm may be kept for the same version of cuBLASLt (cublasLt.h), which is part of
 * the key. */
static void write_algo(const struct way *way, char text[CHOICES_VALUE_BYTES])
{
    for (size_t i = 0; i < ALGO_WORDS; i++)
        snprintf(text + i * ALGO_DIGITS, ALGO_DIGITS + 1, "%016" PRIx64, way->algo.data[i]);
}

static bool read_algo(const struct lib_matmul *matmul, const char *text, struct way *way)
{
    cublasLtMatmulHeuristicResult_t result;
    char word[ALGO_DIGITS + 1] = "", *end;
    if (strlen(text) != ALGO_WORDS * ALGO_DIGITS)
        return false;
    for (size_t i = 0; i < ALGO_WORDS; i++) {
        memcpy(word, text + i * ALGO_DIGITS, ALGO_DIGITS);
        way->algo.data[i] = strtoull(word, &end, 16);
        if (*end)
            return false;
    }
    cublasStatus_t status =
        cublasLtMatmulAlgoCheck(matmul->libraries->blas, matmul->product, matmul->b, matmul->a,
                                matmul->c, matmul->c, &way->algo, &result);
    way->scratch_bytes = status ? 0 : result.workspaceSize;
    return !status && way->scratch_bytes <= BLAS_SCRATCH_BYTES;
}
