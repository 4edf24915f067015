/* op_einsum.c - Einsum: sums of products by subscripts.
 *
 *     "bij,bjk->bik"     y[b,i,k] = sum over j of a[b,i,j] * b[b,j,k]
 *
 * Every subscript is an axis of one index space; each operand walks it with a stride of its own (the sum of the strides
 * of its axes with that letter, 0 where it has none). An ellipsis stands for axes that broadcast.
 */
#include <ctype.h>
#include <string.h>

#include "src/ops/family.h"

enum {
    ELLIPSIS = 0,                   /* labels 0..15: axes of the ellipsis, counted from the last */
    LETTERS = TENSOR_MAX_RANK,      /* labels 16..67: a-z, A-Z */
    N_LABELS = TENSOR_MAX_RANK + 52,
    MAX_OPERANDS = 16
};

typedef struct Term {
    int n;
    unsigned char label[2 * TENSOR_MAX_RANK];
} Term;

typedef struct Equation {
    int n_in;
    Term in[MAX_OPERANDS], out;
    int n_ellipsis; /* axes it stands for */
} Equation;

static int label_of(char c)
{
    return c >= 'a' && c <= 'z' ? LETTERS + c - 'a' : LETTERS + 26 + c - 'A';
}

/* One comma-separated term; the ellipsis takes `spare` axes. Returns the end, or NULL when it is malformed. */
static const char *read_term(const char *s, int spare, Term *ret, bool *ret_ellipsis)
{
    ret->n = 0;
    *ret_ellipsis = false;
    for (; *s != '\0' && *s != ',' && !(s[0] == '-' && s[1] == '>'); s++) {
        if (*s == ' ')
            continue;
        if (strncmp(s, "...", 3) == 0 && !*ret_ellipsis) {
            for (int k = spare - 1; k >= 0; k--)
                if (ret->n < 2 * TENSOR_MAX_RANK)
                    ret->label[ret->n++] = (unsigned char)(ELLIPSIS + k);
            *ret_ellipsis = true;
            s += 2;
        } else if (isalpha((unsigned char)*s) && ret->n < 2 * TENSOR_MAX_RANK) {
            ret->label[ret->n++] = (unsigned char)label_of(*s);
        } else {
            return NULL;
        }
    }
    return s;
}

/* Letters of a term, for the number of axes that are left to its ellipsis. */
static int count_letters(const char *s)
{
    int n = 0;

    for (; *s != '\0' && *s != ','; s++)
        if (s[0] == '-' && s[1] == '>')
            break;
        else
            n += isalpha((unsigned char)*s) != 0;
    return n;
}

/* ranks[n]: of the operands. */
static Status parse(const Node *node, const int *ranks, int n, Equation *ret)
{
    const char *text = node_string(node, "equation", ""), *s = text;
    bool ellipsis;
    int seen[N_LABELS] = {0};

    *ret = (Equation){.n_in = n};
    if (n > MAX_OPERANDS)
        return node_error(node, CODE_UNSUPPORTED, "%d operands; at most %d are supported", n, MAX_OPERANDS);
    for (int i = 0; i < n; i++) {
        while (*s == ' ')
            s++;
        int spare = ranks[i] - count_letters(s);
        s = read_term(s, MAX(spare, 0), &ret->in[i], &ellipsis);
        if (s == NULL || ret->in[i].n != ranks[i] || (!ellipsis && spare != 0))
            return node_error(node, CODE_MODEL, "equation '%s' does not fit operand %d of rank %d", text, i, ranks[i]);
        ret->n_ellipsis = MAX(ret->n_ellipsis, ellipsis ? spare : 0);
        for (int k = 0; k < ret->in[i].n; k++)
            seen[ret->in[i].label[k]]++;
        if (i + 1 < n && *s++ != ',')
            return node_error(node, CODE_MODEL, "equation '%s' has fewer terms than the %d operands", text, n);
    }
    if (s[0] == '-' && s[1] == '>') {
        s = read_term(s + 2, ret->n_ellipsis, &ret->out, &ellipsis);
        if (s == NULL || *s != '\0')
            return node_error(node, CODE_MODEL, "equation '%s' is malformed", text);
    } else if (*s != '\0') {
        return node_error(node, CODE_MODEL, "equation '%s' has more terms than the %d operands", text, n);
    } else { /* implicit: the ellipsis, then letters that occur once, in ASCII order */
        for (int k = ret->n_ellipsis - 1; k >= 0; k--)
            ret->out.label[ret->out.n++] = (unsigned char)(ELLIPSIS + k);
        for (int half = 1; half >= 0; half--)
            for (int k = 0; k < 26; k++)
                if (seen[LETTERS + 26 * half + k] == 1 && ret->out.n < 2 * TENSOR_MAX_RANK)
                    ret->out.label[ret->out.n++] = (unsigned char)(LETTERS + 26 * half + k);
    }
    if (ret->out.n > TENSOR_MAX_RANK)
        return node_error(node, CODE_MODEL, "gives rank %d, at most %d is supported", ret->out.n, TENSOR_MAX_RANK);
    for (int k = 0; k < ret->out.n; k++) {
        if (seen[ret->out.label[k]] == 0)
            return node_error(node, CODE_MODEL, "equation '%s' has an output subscript that no operand has", text);
        for (int m = 0; m < k; m++)
            if (ret->out.label[m] == ret->out.label[k])
                return node_error(node, CODE_MODEL, "equation '%s' repeats an output subscript", text);
    }
    return NULL;
}

static Status infer_einsum(Node *node)
{
    Dim size[N_LABELS];
    int *ranks = arena_array(node->graph->model->arena, (size_t)node->n_in + 1, sizeof *ranks);
    Shape out = shape_unknown();
    Equation equation;

    for (int i = 0; i < node->n_in; i++) {
        ranks[i] = infer_shape(node, i).rank;
        if (ranks[i] < 0) {
            infer_output(node, 0, infer_dtype(node, 0), &out);
            return NULL;
        }
    }
    TRY(parse(node, ranks, node->n_in, &equation));
    for (int l = 0; l < N_LABELS; l++)
        size[l] = dim_known(1);
    for (int i = 0; i < node->n_in; i++) {
        Shape in = infer_shape(node, i);
        for (int k = 0; k < in.rank; k++) {
            Dim *dim = &size[equation.in[i].label[k]];
            if (dim->size == 1 || (!dim_is_known(*dim) && dim_is_known(in.dims[k]) && in.dims[k].size != 1))
                *dim = in.dims[k];
        }
    }
    out.rank = equation.out.n;
    for (int k = 0; k < out.rank; k++)
        out.dims[k] = size[equation.out.label[k]];
    infer_output(node, 0, infer_dtype(node, 0), &out);
    return NULL;
}

/* The index space: output axes first, then the summed ones. */
typedef struct Space {
    int rank, n_out;
    int64_t dims[N_LABELS];
    int64_t strides[MAX_OPERANDS][N_LABELS];
} Space;

static Status plan_space(EvalCtx *ctx, const Equation *equation, Space *space)
{
    int64_t size[N_LABELS];
    int axis_of[N_LABELS];

    memset(space, 0, sizeof *space);
    for (int l = 0; l < N_LABELS; l++) {
        size[l] = -1;
        axis_of[l] = -1;
    }
    for (int i = 0; i < equation->n_in; i++)
        for (int k = 0; k < ctx->in[i]->rank; k++) {
            int64_t *known = &size[equation->in[i].label[k]], dim = ctx->in[i]->dims[k];
            if (*known >= 0 && *known != dim && *known != 1 && dim != 1)
                return eval_error(ctx, CODE_MODEL, "operand %d has size %lld on axis %d, others %lld", i,
                                  (long long)dim, k, (long long)*known);
            *known = *known < 0 || *known == 1 ? dim : *known;
        }
    for (int k = 0; k < equation->out.n; k++)
        axis_of[equation->out.label[k]] = space->rank++;
    space->n_out = space->rank;
    for (int l = 0; l < N_LABELS; l++) {
        if (size[l] >= 0 && axis_of[l] < 0)
            axis_of[l] = space->rank++;
        if (size[l] >= 0)
            space->dims[axis_of[l]] = size[l];
    }
    for (int i = 0; i < equation->n_in; i++)
        for (int k = 0; k < ctx->in[i]->rank; k++)
            if (ctx->in[i]->dims[k] != 1)
                space->strides[i][axis_of[equation->in[i].label[k]]] +=
                    count_of(ctx->in[i]->dims, k + 1, ctx->in[i]->rank);
    return NULL;
}

/* Moves every operand's offset to the next index of axes [begin, end); false when they wrap. */
static bool advance(const Space *space, int n_in, int begin, int end, int64_t *index, int64_t *offset)
{
    for (int a = end - 1; a >= begin; a--) {
        bool wraps = ++index[a] == space->dims[a];
        for (int i = 0; i < n_in; i++)
            offset[i] += space->strides[i][a] * (wraps ? 1 - space->dims[a] : 1);
        if (!wraps)
            return true;
        index[a] = 0;
    }
    return false;
}

#define SUM_PRODUCTS(suffix, T, wide)                                                                                  \
    static void sum_products_##suffix(EvalCtx *ctx, const Space *space, int n_in)                                      \
    {                                                                                                                  \
        int64_t index[N_LABELS] = {0}, offset[MAX_OPERANDS] = {0};                                                     \
        T *y = ctx->out[0].data;                                                                                       \
        for (int64_t o = 0; o < ctx->out[0].count; o++) {                                                              \
            wide sum = 0;                                                                                              \
            do {                                                                                                       \
                wide term = 1;                                                                                         \
                for (int i = 0; i < n_in; i++)                                                                         \
                    term *= (wide)((const T *)ctx->in[i]->data)[offset[i]];                                            \
                sum += term;                                                                                           \
            } while (advance(space, n_in, space->n_out, space->rank, index, offset));                                  \
            y[o] = (T)sum;                                                                                             \
            advance(space, n_in, 0, space->n_out, index, offset);                                                      \
        }                                                                                                              \
    }
typedef void (*SumProducts)(EvalCtx *ctx, const Space *space, int n_in);
SUM_PRODUCTS(FLOAT, float, double)
SUM_PRODUCTS(DOUBLE, double, double)
FAMILY_INTEGERS(SUM_PRODUCTS, uint64_t)
static const SumProducts sum_products[FAMILY_DTYPES] = {FAMILY_NUMBERS(FAMILY_ENTRY, sum_products)};

static Status eval_einsum(EvalCtx *ctx)
{
    Equation *equation = arena_alloc(ctx->scratch, sizeof *equation);
    Space *space = arena_alloc(ctx->scratch, sizeof *space);
    int *ranks = arena_array(ctx->scratch, (size_t)ctx->n_in + 1, sizeof *ranks);
    bool nothing = false;

    for (int i = 0; i < ctx->n_in; i++) {
        if (ctx->in[i] == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
        TRY(eval_require_same_dtype(ctx, 0, i));
        ranks[i] = ctx->in[i]->rank;
    }
    if (sum_products[ctx->in[0]->dtype] == NULL)
        return eval_bad_dtype(ctx, 0);
    TRY(parse(ctx->node, ranks, ctx->n_in, equation));
    TRY(plan_space(ctx, equation, space));
    TRY(eval_output(ctx, 0, ctx->in[0]->dtype, space->n_out, space->dims));
    if (ctx->out[0].count == 0)
        return NULL;
    for (int a = space->n_out; a < space->rank; a++)
        nothing = nothing || space->dims[a] == 0;
    if (nothing)
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    else
        sum_products[ctx->in[0]->dtype](ctx, space, ctx->n_in);
    return NULL;
}

static const AttrSpec einsum_attrs[] = {{"equation", ATTR_STRING, true}, {NULL, ATTR_UNDEFINED, false}};

const OpDef op_einsum = {
    .type = "Einsum", .domain = "", .versions = {12}, .min_in = 1, .max_in = OP_VARIADIC, .min_out = 1, .max_out = 1,
    .attrs = einsum_attrs, .infer = infer_einsum, .eval = eval_einsum, .quant = RULE_FLOAT, .widen_half = true,
};
