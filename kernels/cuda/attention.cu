/* attention: both products are those of piece.h; weights of 64 keys lie in shared memory between them. */
#include "cuda/attention.h"
#include "cuda/piece.h"

#if ATTENTION_ROWS != PIECE_EDGE || ATTENTION_VALUES_MAX != 2 * PIECE_EDGE
#error "a block has as many rows as piece.h says, and columns in two halves"
#endif

#define ATTENTION_KEYS PIECE_EDGE /* between two changes of what weights are relative to */
#define ATTENTION_LANES (LAUNCH_THREADS / ATTENTION_ROWS)  /* threads that share a row's weights */
#define ATTENTION_SHARE (ATTENTION_KEYS / ATTENTION_LANES) /* keys of each */
#define ATTENTION_HALVES 2 /* of keys, to fit a piece's depth; and of columns */

struct attention_shared {
    struct piece pieces[ATTENTION_HALVES]; /* of q and of k; then of v, half of the columns each */
    struct piece weights[ATTENTION_HALVES]; /* scores, then weights: at[key][row], half of the keys each */
    float most[ATTENTION_LANES][ATTENTION_ROWS], sums[ATTENTION_LANES][ATTENTION_ROWS];
    float factor[ATTENTION_ROWS]; /* what older sums are multiplied with */
};

struct attention_own {
    float scores[PIECE_SUMS][PIECE_SUMS];
    float out[ATTENTION_HALVES][PIECE_SUMS][PIECE_SUMS];
    float most, sum; /* of the thread's row: the largest score, and of its own share of weights */
};

/* What a block works at in a stage. */
struct attention_where {
    int64_t n; /* of the batch */
    int32_t row, key;
};

/* Stages for each piece of keys: two for each piece of depth, then those of attention_weigh. */
enum {
    ATTENTION_LARGEST,
    ATTENTION_WEIGHTS,
    ATTENTION_SUM,
    ATTENTION_LOAD,
    ATTENTION_SUM_MORE,
    ATTENTION_WEIGH_STAGES
};

CUDA_FN int attention_score_stages(const struct attention *args)
{
    return 2 * ((args->depth + PIECE_DEPTH - 1) / PIECE_DEPTH);
}

/* Two more at the end: to add up shares and to store. */
CUDA_FN int attention_stages(const struct attention *args)
{
    int pieces = (args->keys + ATTENTION_KEYS - 1) / ATTENTION_KEYS;
    return pieces * (attention_score_stages(args) + ATTENTION_WEIGH_STAGES) + 2;
}

/* ---- scores ---- */

CUDA_FN void attention_load_scores(const struct attention *args, struct attention_where where,
                                   int32_t first, int thread, struct attention_shared *shared)
{
    struct piece_source q, k;
    q.data = args->q.data;
    q.type = args->q.type;
    q.start = view_at(&args->q, where.n) + where.row * args->q_step[0] + first * args->q_step[1];
    q.depth_step = args->q_step[1];
    q.edge_step = args->q_step[0];
    q.depth = args->depth - first;
    q.edge = args->rows - where.row;
    k.data = args->k.data;
    k.type = args->k.type;
    k.start = view_at(&args->k, where.n) + first * args->k_step[0] + where.key * args->k_step[1];
    k.depth_step = args->k_step[0];
    k.edge_step = args->k_step[1];
    k.depth = args->depth - first;
    k.edge = args->keys - where.key;
    piece_load(&shared->pieces[0], &q, thread);
    piece_load(&shared->pieces[1], &k, thread);
}

/* Keys that are not there get no weight. */
CUDA_FN void attention_put_scores(const struct attention *args, struct attention_where where,
                                  int thread, struct attention_shared *shared,
                                  struct attention_own *own)
{
    for (int r = 0; r < PIECE_SUMS; r++)
        for (int c = 0; c < PIECE_SUMS; c++) {
            int key = piece_column(thread, c);
            shared->weights[key / PIECE_DEPTH].at[key % PIECE_DEPTH][piece_row(thread, r)] =
                where.key + key < args->keys ? args->scale * own->scores[r][c] : -INFINITY;
            own->scores[r][c] = 0;
        }
}

/* ---- weights ---- */

CUDA_FN void attention_find_largest(int thread, struct attention_shared *shared)
{
    int row = thread % ATTENTION_ROWS, lane = thread / ATTENTION_ROWS;
    float most = -INFINITY;
    for (int i = 0; i < ATTENTION_SHARE; i++) {
        int key = lane * ATTENTION_SHARE + i;
        most = fmaxf(most, shared->weights[key / PIECE_DEPTH].at[key % PIECE_DEPTH][row]);
    }
    shared->most[lane][row] = most;
}

/* Relative to the largest score of the row so far; while that is -infinity, to 0. */
CUDA_FN void attention_make_weights(bool first, int thread, struct attention_shared *shared,
                                    struct attention_own *own)
{
    int row = thread % ATTENTION_ROWS, lane = thread / ATTENTION_ROWS;
    float before = first ? -INFINITY : own->most, most = before, sum = 0;
    for (int l = 0; l < ATTENTION_LANES; l++)
        most = fmaxf(most, shared->most[l][row]);
    float base = most == -INFINITY ? 0 : most, factor = expf(before - base);
    for (int i = 0; i < ATTENTION_SHARE; i++) {
        int key = lane * ATTENTION_SHARE + i;
        float *weight = &shared->weights[key / PIECE_DEPTH].at[key % PIECE_DEPTH][row];
        *weight = expf(*weight - base);
        sum += *weight;
    }
    own->sum = own->sum * factor + sum;
    own->most = most;
    if (lane == 0)
        shared->factor[row] = factor;
}

/* ---- sums ---- */

CUDA_FN void attention_load_values(const struct attention *args, struct attention_where where,
                                   int thread, struct attention_shared *shared)
{
    struct piece_source v;
    v.data = args->v.data;
    v.type = args->v.type;
    v.depth_step = args->v_step[0];
    v.edge_step = args->v_step[1];
    v.depth = args->keys - where.key;
    for (int half = 0; half < ATTENTION_HALVES && half * PIECE_EDGE < args->columns; half++) {
        v.start = view_at(&args->v, where.n) + where.key * args->v_step[0] +
                  half * PIECE_EDGE * args->v_step[1];
        v.edge = args->columns - half * PIECE_EDGE;
        piece_load(&shared->pieces[half], &v, thread);
    }
}

/* Halves are written out below, as sums stay in registers only where their index is no variable. */
CUDA_FN void attention_add(const struct attention *args, int64_t keys, const struct piece *weights,
                           int thread, const struct attention_shared *shared,
                           struct attention_own *own)
{
    piece_multiply(weights, &shared->pieces[0], keys, thread, own->out[0]);
    if (args->columns > PIECE_EDGE)
        piece_multiply(weights, &shared->pieces[1], keys, thread, own->out[1]);
}

CUDA_FN void attention_shrink(int thread, const struct attention_shared *shared,
                              struct attention_own *own)
{
    for (int r = 0; r < PIECE_SUMS; r++)
        for (int c = 0; c < PIECE_SUMS; c++) {
            float factor = shared->factor[piece_row(thread, r)];
            own->out[0][r][c] *= factor;
            own->out[1][r][c] *= factor;
        }
}

CUDA_FN void attention_store(const struct attention *args, struct attention_where where,
                             int32_t first, int thread, const struct attention_shared *shared,
                             float sums[PIECE_SUMS][PIECE_SUMS])
{
    int64_t start = view_at(&args->to, where.n);
    for (int r = 0; r < PIECE_SUMS; r++)
        for (int c = 0; c < PIECE_SUMS; c++) {
            int row = piece_row(thread, r), column = first + piece_column(thread, c);
            float weights = 0;
            if (where.row + row >= args->rows || column >= args->columns)
                continue;
            for (int l = 0; l < ATTENTION_LANES; l++)
                weights += shared->sums[l][row];
            element_store(args->to.data, args->to.type,
                          start + (int64_t)(where.row + row) * args->columns + column,
                          sums[r][c] / weights);
        }
}

/* ---- stages ---- */

CUDA_FN void attention_score(const struct attention *args, struct attention_where where, int stage,
                             int thread, struct attention_shared *shared, struct attention_own *own)
{
    int32_t first = stage / 2 * PIECE_DEPTH;
    if (stage % 2 == 0) {
        attention_load_scores(args, where, first, thread, shared);
        return;
    }
    piece_multiply(&shared->pieces[0], &shared->pieces[1], args->depth - first, thread, own->scores);
    if (first + PIECE_DEPTH >= args->depth)
        attention_put_scores(args, where, thread, shared, own);
}

CUDA_FN void attention_weigh(const struct attention *args, struct attention_where where, int stage,
                             int thread, struct attention_shared *shared, struct attention_own *own)
{
    struct attention_where more = where;
    more.key += PIECE_DEPTH;
    switch (stage) {
    case ATTENTION_LARGEST:
        attention_find_largest(thread, shared);
        attention_load_values(args, where, thread, shared);
        break;
    case ATTENTION_WEIGHTS:
        attention_make_weights(where.key == 0, thread, shared, own);
        break;
    case ATTENTION_SUM:
        attention_shrink(thread, shared, own);
        attention_add(args, args->keys - where.key, &shared->weights[0], thread, shared, own);
        break;
    case ATTENTION_LOAD:
        attention_load_values(args, more, thread, shared);
        break;
    default:
        attention_add(args, args->keys - more.key, &shared->weights[1], thread, shared, own);
        break;
    }
}

CUDA_FN void attention_stage(const struct attention *args, int64_t block, int thread, int stage,
                             struct attention_shared *shared, struct attention_own *own)
{
    int64_t across = (args->rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS;
    int scores = attention_score_stages(args), stages = scores + ATTENTION_WEIGH_STAGES;
    int left = attention_stages(args) - stage;
    struct attention_where where;
    where.n = block / across;
    where.row = (int32_t)(block % across * ATTENTION_ROWS);
    where.key = stage / stages * ATTENTION_KEYS;
    if (left == 2) {
        shared->sums[thread / ATTENTION_ROWS][thread % ATTENTION_ROWS] = own->sum;
    } else if (left == 1) {
        attention_store(args, where, 0, thread, shared, own->out[0]);
        attention_store(args, where, PIECE_EDGE, thread, shared, own->out[1]);
    } else if (stage % stages < scores) {
        attention_score(args, where, stage % stages, thread, shared, own);
    } else {
        attention_weigh(args, where, stage % stages - scores, thread, shared, own);
    }
}

STAGED_KERNEL(attention_tiles, struct attention, struct attention_shared, struct attention_own,
              attention_stages, attention_stage)
