/* broadcast.c - every element of a numpy broadcast, in rows as long as can be, split over the team.
 *
 *     axes joined where memory allows:   (2,3,4) contiguous -> (24)     [N,C,H,W] + [C,1,1] -> [N,C,HW] + [1,C,1]
 *
 * Short rows are joined too, by writing out what repeats: an image with the channels last times one number a channel,
 *
 *     x   0 1 2 | 3 4 5 | 6 7 8 | ...         rows of 3 elements
 *     g   a b c | a b c | a b c | ...         g written out for some hundred elements, once: rows of some hundred
 */
#include <string.h>

#include "src/ops/family.h"

enum {
    SHORT = 256,        /* elements: shorter rows are joined */
    LINE = 1024,        /* of joined rows, at most */
    PIECE = 1 << 14,    /* of a long row that is run at once, and least of a team's item */
    WORTH_A_TEAM = 1 << 15,
    WIDEST = 8          /* bytes of an element that is written out */
};

Status broadcast_plan(const EvalCtx *ctx, const Tensor *const *in, int n, Broadcast *ret)
{
    Broadcast plan = {.n_in = n};

    for (int k = 0; k < n; k++)
        plan.out_rank = MAX(plan.out_rank, in[k]->rank);
    for (int i = 0; i < plan.out_rank; i++) {
        plan.out_dims[i] = 1;
        for (int k = 0; k < n; k++) {
            int own = i - (plan.out_rank - in[k]->rank);
            int64_t size = own < 0 ? 1 : in[k]->dims[own];
            if (size != 1 && plan.out_dims[i] != 1 && size != plan.out_dims[i])
                return eval_error(ctx, CODE_MODEL, "shapes %s and %s do not broadcast",
                                  tensor_shape_text(ctx->scratch, in[0]), tensor_shape_text(ctx->scratch, in[k]));
            if (size != 1)
                plan.out_dims[i] = size;
        }
    }
    for (int i = 0; i < plan.out_rank; i++) {
        int64_t steps[BROADCAST_MAX];
        bool join = plan.rank > 0;
        if (plan.out_dims[i] == 1)
            continue;
        for (int k = 0; k < n; k++) {
            int own = i - (plan.out_rank - in[k]->rank);
            bool spread = own < 0 || in[k]->dims[own] == 1;
            steps[k] = spread ? 0 : count_of(in[k]->dims, own + 1, in[k]->rank);
            join = join && plan.strides[k][plan.rank - 1] == steps[k] * plan.out_dims[i];
        }
        if (!join)
            plan.rank++;
        plan.dims[plan.rank - 1] = join ? plan.dims[plan.rank - 1] * plan.out_dims[i] : plan.out_dims[i];
        for (int k = 0; k < n; k++)
            plan.strides[k][plan.rank - 1] = steps[k];
    }
    if (plan.rank == 0) {
        plan.rank = 1;
        plan.dims[0] = 1;
    }
    *ret = plan;
    return NULL;
}

/* How an input lies along a line, the axis of the rows or the two that were joined. */
typedef enum LineKind {
    LINE_STEPS,   /* element i at i * step */
    LINE_REPEATS, /* the same row again and again, written out */
    LINE_SPREADS  /* one element for each row, written out */
} LineKind;

typedef struct Walk {
    BroadcastVisit visit;
    const void *context;
    int n_in;
    const char *in[BROADCAST_MAX];
    size_t bytes[BROADCAST_MAX];
    char *out;
    size_t out_bytes;
    int outer;                /* axes around the line */
    int64_t dims[TENSOR_MAX_RANK], strides[BROADCAST_MAX][TENSOR_MAX_RANK]; /* of them */
    int64_t line, row, piece; /* elements of a line, of the rows joined in it, of what is run at once */
    LineKind kind[BROADCAST_MAX];
    int64_t step[BROADCAST_MAX];
    int64_t pieces, total, each; /* pieces of a line, of all lines, of an item */
} Walk;

/* False where an input lies in another way than the kinds, or is too wide to be written out. */
static bool join_kind(const Broadcast *plan, int k, size_t bytes, LineKind *ret, int64_t *ret_step)
{
    int last = plan->rank - 1;
    int64_t inner = plan->strides[k][last], outer = plan->strides[k][last - 1];

    *ret_step = 1;
    if (outer == inner * plan->dims[last]) {
        *ret = LINE_STEPS;
        *ret_step = inner; /* 0: one element for all */
        return true;
    }
    *ret = inner == 0 ? LINE_SPREADS : LINE_REPEATS;
    *ret_step = outer;
    return bytes <= WIDEST && (inner == 0 || (inner == 1 && outer == 0));
}

static void find_lines(const Broadcast *plan, Walk *walk)
{
    int last = plan->rank - 1;
    bool join = last > 0 && plan->dims[last] < SHORT;

    for (int k = 0; k < plan->n_in && join; k++)
        join = join_kind(plan, k, walk->bytes[k], &walk->kind[k], &walk->step[k]);
    walk->row = plan->dims[last];
    walk->line = join ? walk->row * plan->dims[last - 1] : walk->row;
    walk->piece = join ? MAX(LINE / walk->row, 1) * walk->row : PIECE;
    walk->outer = join ? last - 1 : last;
    for (int k = 0; k < plan->n_in && !join; k++) {
        walk->kind[k] = LINE_STEPS;
        walk->step[k] = plan->strides[k][last];
    }
    walk->total = walk->pieces = (walk->line - 1) / walk->piece + 1;
    for (int d = 0; d < walk->outer; d++) {
        walk->dims[d] = plan->dims[d];
        walk->total *= plan->dims[d];
        for (int k = 0; k < plan->n_in; k++)
            walk->strides[k][d] = plan->strides[k][d];
    }
    walk->each = MAX(PIECE / MIN(walk->piece, walk->line), 1);
}

/* rows times `row` elements, of each row the same one; those lie `step` apart. The switch is outside: so the loops
 * vectorise. */
#define SPREAD_ROWS(T)                                                                                                 \
    do {                                                                                                               \
        const T *x = (const T *)from;                                                                                  \
        T *y = (T *)to;                                                                                                \
        for (int64_t k = 0; k < rows; k++, y += row)                                                                   \
            for (int64_t i = 0; i < row; i++)                                                                          \
                y[i] = x[k * step];                                                                                    \
    } while (0)

static void spread_rows(const void *from, int64_t step, int64_t rows, int64_t row, size_t bytes, void *to)
{
    switch (bytes) {
    case 1:
        SPREAD_ROWS(uint8_t);
        break;
    case 2:
        SPREAD_ROWS(uint16_t);
        break;
    case 4:
        SPREAD_ROWS(uint32_t);
        break;
    default:
        SPREAD_ROWS(uint64_t); /* WIDEST */
    }
}

/* n elements of a line from `at` on, written out; at is the begin of a row, and n holds whole rows. */
static void write_out(const Walk *walk, int k, const char *from, int64_t at, int64_t n, char *to)
{
    size_t bytes = walk->bytes[k], row = (size_t)walk->row * bytes;

    if (walk->kind[k] == LINE_REPEATS) {
        for (int64_t i = 0; i < n; i += walk->row, to += row)
            memcpy(to, from, row);
        return;
    }
    from += at / walk->row * walk->step[k] * (int64_t)bytes;
    spread_rows(from, walk->step[k], n / walk->row, walk->row, bytes, to);
}

/* What an item keeps of what it has written out: a repeated row serves all pieces of a line. */
typedef struct Written {
    _Alignas(WIDEST) char data[LINE * WIDEST];
    const char *from;
    int64_t n;
} Written;

static void visit_piece(const Walk *walk, const char *const *line, int64_t at, char *out, Written *written)
{
    int64_t n = MIN(walk->line - at, walk->piece);
    const void *in[BROADCAST_MAX] = {NULL};

    for (int k = 0; k < walk->n_in; k++) {
        if (walk->kind[k] == LINE_STEPS) {
            in[k] = line[k] + at * walk->step[k] * (int64_t)walk->bytes[k];
            continue;
        }
        if (walk->kind[k] == LINE_SPREADS || written[k].from != line[k] || written[k].n < n) {
            write_out(walk, k, line[k], at, n, written[k].data);
            written[k].from = line[k];
            written[k].n = n;
        }
        in[k] = written[k].data;
    }
    int64_t step[BROADCAST_MAX];
    for (int k = 0; k < BROADCAST_MAX; k++)
        step[k] = k < walk->n_in && walk->kind[k] == LINE_STEPS ? walk->step[k] : 1;
    walk->visit(walk->context, n, in, step, out);
}

static void visit_item(void *context, int64_t item, int worker)
{
    const Walk *walk = context;
    int64_t first = item * walk->each, end = MIN(first + walk->each, walk->total), rest = first / walk->pieces;
    int64_t index[TENSOR_MAX_RANK] = {0}, piece = first % walk->pieces;
    const char *line[BROADCAST_MAX] = {walk->in[0], walk->in[1], walk->in[2]};
    Written written[BROADCAST_MAX];

    (void)worker;
    for (int k = 0; k < walk->n_in; k++)
        written[k].from = NULL;
    char *out = walk->out + rest * walk->line * (int64_t)walk->out_bytes;
    for (int d = walk->outer - 1; d >= 0; d--) {
        index[d] = rest % walk->dims[d];
        rest /= walk->dims[d];
        for (int k = 0; k < walk->n_in; k++)
            line[k] += index[d] * walk->strides[k][d] * (int64_t)walk->bytes[k];
    }
    for (int64_t i = first; i < end; i++) {
        visit_piece(walk, line, piece * walk->piece, out + piece * walk->piece * (int64_t)walk->out_bytes, written);
        if (++piece < walk->pieces)
            continue;
        piece = 0;
        out += walk->line * (int64_t)walk->out_bytes;
        for (int d = walk->outer - 1; d >= 0; d--) {
            bool wraps = ++index[d] == walk->dims[d];
            for (int k = 0; k < walk->n_in; k++)
                line[k] += walk->strides[k][d] * (int64_t)walk->bytes[k] * (wraps ? 1 - walk->dims[d] : 1);
            if (!wraps)
                break;
            index[d] = 0;
        }
    }
}

void broadcast_visit(Team *team, const Broadcast *plan, const Tensor *const *in, void *out, size_t out_bytes,
                     BroadcastVisit visit, const void *context)
{
    Walk walk = {.visit = visit, .context = context, .n_in = plan->n_in, .out = out, .out_bytes = out_bytes};
    int64_t count = count_of(plan->dims, 0, plan->rank);

    if (count == 0)
        return;
    for (int k = 0; k < plan->n_in; k++) {
        walk.in[k] = in[k]->data;
        walk.bytes[k] = in[k]->dtype == DT_STRING ? sizeof(TensorString) : (size_t)dtype_bits(in[k]->dtype) / 8;
    }
    find_lines(plan, &walk);
    team_run(count < WORTH_A_TEAM ? NULL : team, (walk.total - 1) / walk.each + 1, visit_item, &walk);
}

typedef struct RowOf {
    BroadcastRow row;
} RowOf;

static void visit_row(const void *context, int64_t n, const void *const *in, const int64_t *step, void *out)
{
    ((const RowOf *)context)->row(n, in, step, out);
}

void broadcast_run(Team *team, const Broadcast *plan, const Tensor *const *in, void *out, size_t out_bytes, BroadcastRow row)
{
    RowOf context = {row};

    broadcast_visit(team, plan, in, out, out_bytes, visit_row, &context);
}
