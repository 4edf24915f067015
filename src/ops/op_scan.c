/* op_scan.c - Scan: a graph run over the slices of its inputs.
 *
 *     (state..., slice of each scan input) ── body ──> (state..., slice of each scan output)
 *
 * Opset 8 had a batch: each of its samples is a Scan of its own, of a length of its own.
 */
#include <string.h>

#include "src/ops/inner.h"

/* Element i of an INTS attribute that has one entry a scan input or output. */
static Status scan_entry(const Node *node, const char *name, int i, int n, int64_t *ret)
{
    int64_t count;
    const int64_t *list = node_ints(node, name, &count);

    if (list != NULL && count != n)
        return node_error(node, CODE_MODEL, "%s has %lld entries, expected %d", name, (long long)count, n);
    *ret = list != NULL ? list[i] : 0;
    return NULL;
}

/* Opset 8 had sequence_lens as input 0 and a batch axis before every other. */
static int scan_first(const Node *node)
{
    return node->opset < 9 ? 1 : 0;
}

static Status scan_counts(const Node *node, const Graph *body, int *ret_state, int *ret_scans, int *ret_stacks)
{
    int64_t scans = node_int(node, "num_scan_inputs", 0);
    int n_in = node->n_in - scan_first(node);

    if (scans < 1 || scans > n_in || n_in - scans > node->n_out)
        return node_error(node, CODE_MODEL, "num_scan_inputs is %lld for %d inputs and %d outputs", (long long)scans,
                          n_in, node->n_out);
    *ret_scans = (int)scans;
    *ret_state = n_in - (int)scans;
    *ret_stacks = node->n_out - *ret_state;
    return inner_counts(node, body, n_in, node->n_out);
}

static Status infer_scan(Node *node)
{
    int n_state, n_scans, n_stacks, first = scan_first(node), batch = first;
    Dim length = DIM_UNKNOWN;
    Graph *body;

    TRY(inner_graph(node, "body", &body));
    TRY(scan_counts(node, body, &n_state, &n_scans, &n_stacks));
    for (int i = 0; i < n_state + n_scans; i++) {
        Shape shape = infer_shape(node, first + i);
        int axis = 0, rank = shape.rank;
        if (infer_type(node, first + i)->kind != TYPE_TENSOR)
            continue;
        if (rank >= batch && batch > 0)
            memmove(shape.dims, shape.dims + 1, (size_t)(--shape.rank) * sizeof(Dim));
        if (i >= n_state && shape.rank >= 1) {
            int64_t at = 0;
            if (batch == 0)
                TRY(scan_entry(node, "scan_input_axes", i - n_state, n_scans, &at));
            TRY(infer_axis(node, at, shape.rank, &axis));
            if (!dim_is_known(length))
                length = shape.dims[axis];
            memmove(shape.dims + axis, shape.dims + axis + 1, (size_t)(shape.rank - axis - 1) * sizeof(Dim));
            shape.rank--;
        }
        inner_input_type(body, i, infer_dtype(node, first + i), &shape);
    }
    TRY(infer_graph(body));
    for (int i = 0; i < node->n_out; i++) {
        const Type *inner = &body->outputs[i]->type;
        Shape shape = inner->shape;
        int axis = 0, extra = (i >= n_state) + batch;
        if (node->out[i] == NULL || inner->kind != TYPE_TENSOR)
            continue;
        if (shape.rank >= 0 && shape.rank + extra <= TENSOR_MAX_RANK) {
            if (i >= n_state) {
                int64_t at = 0;
                if (batch == 0)
                    TRY(scan_entry(node, "scan_output_axes", i - n_state, n_stacks, &at));
                TRY(infer_axis(node, at, shape.rank + 1, &axis));
                memmove(shape.dims + axis + 1, shape.dims + axis, (size_t)(shape.rank - axis) * sizeof(Dim));
                shape.dims[axis] = length;
                shape.rank++;
            }
            if (batch > 0) {
                memmove(shape.dims + 1, shape.dims, (size_t)shape.rank * sizeof(Dim));
                shape.dims[0] = infer_shape(node, first).rank > 0 ? infer_shape(node, first).dims[0] : DIM_UNKNOWN;
                shape.rank++;
            }
        } else {
            shape = shape_unknown();
        }
        infer_output(node, i, inner->dtype, &shape);
    }
    return NULL;
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

/* Of opset 9 and later, or of one sample of opset 8. */
typedef struct Form {
    const char *directions; /* the attribute with the directions of the scan inputs */
    int64_t most;           /* slices to be taken, -1: all */
} Form;

/* Slice k of `from` along `axis` as a tensor of its own in `ret` (data allocated before). */
static void take_slice(const Tensor *from, int axis, int64_t k, Tensor *ret)
{
    int64_t strides[TENSOR_MAX_RANK], inner[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK];

    row_major_strides(from->rank, from->dims, strides);
    row_major_strides(ret->rank, ret->dims, to);
    for (int i = 0; i < ret->rank; i++)
        inner[i] = strides[i < axis ? i : i + 1];
    if (ret->count > 0)
        strided_copy_elements(ret, 0, to, from, k * strides[axis], inner, ret->rank, ret->dims);
}

/* Room for a slice of each scan input; the axes, the directions and the number of slices. */
static Status prepare_slices(EvalCtx *ctx, const Form *form, Carried *carried, int n_scans, int *axes, bool *backward,
                             int64_t *ret_length)
{
    int64_t length = -1;

    for (int i = 0; i < n_scans; i++) {
        const Tensor *x = ctx->in[carried->n_state + i];
        int64_t at, direction, dims[TENSOR_MAX_RANK];
        size_t bytes;
        void *data;
        TRY(scan_entry(ctx->node, "scan_input_axes", i, n_scans, &at));
        TRY(scan_entry(ctx->node, form->directions, i, n_scans, &direction));
        TRY(eval_axis(ctx, at, x->rank, &axes[i]));
        backward[i] = direction != 0;
        if (length >= 0 && x->dims[axes[i]] != length)
            return eval_error(ctx, CODE_MODEL, "scan inputs have lengths %lld and %lld", (long long)length,
                              (long long)x->dims[axes[i]]);
        length = x->dims[axes[i]];
        for (int k = 0; k < x->rank - 1; k++)
            dims[k] = x->dims[k < axes[i] ? k : k + 1];
        TRY(tensor_measure(x->dtype, x->rank - 1, dims, NULL, &bytes));
        TRY(eval_scratch(ctx, bytes, &data));
        TRY(tensor_view(&carried->inputs[carried->n_state + i], x->dtype, x->rank - 1, dims, data));
    }
    *ret_length = form->most >= 0 ? MIN(form->most, length) : length;
    return NULL;
}

static Status run_scan(EvalCtx *ctx, const Graph *body, const Form *form, Carried *carried, int n_scans)
{
    int *axes = arena_array(ctx->scratch, (size_t)n_scans, sizeof *axes);
    bool *backward = arena_array(ctx->scratch, (size_t)n_scans, sizeof *backward);
    int n_state = carried->n_state;
    int64_t length;

    TRY(prepare_slices(ctx, form, carried, n_scans, axes, backward, &length));
    for (int64_t k = 0; k < length; k++) {
        Status status;
        for (int i = 0; i < n_state; i++)
            carried->inputs[i] = inner_view(carried->state[i]);
        for (int i = 0; i < n_scans; i++)
            take_slice(ctx->in[n_state + i], axes[i], backward[i] ? length - 1 - k : k, &carried->inputs[n_state + i]);
        status = carried_step(ctx, carried, body, 0);
        inner_release(carried->results, body->n_outputs);
        if (status != NULL)
            return status;
    }
    return NULL;
}

/* ---- opset 8: a batch -------------------------------------------------------------------------------------------- */

/* Sample b of `from` as a view. */
static Status sample_of(EvalCtx *ctx, int input, int64_t b, int64_t batch, Tensor *ret)
{
    const Tensor *from = ctx->in[input];
    size_t bytes;

    if (from->rank < 1 || from->dims[0] != batch)
        return eval_error(ctx, CODE_MODEL, "input %d is %s, expected a batch of %lld", input,
                          tensor_shape_text(ctx->scratch, from), (long long)batch);
    TRY(eval_element_bytes(ctx, input, &bytes));
    size_t each = (size_t)(batch > 0 ? from->count / batch : 0) * bytes;
    return tensor_view(ret, from->dtype, from->rank - 1, from->dims + 1, (char *)from->data + (size_t)b * each);
}

/* What output i holds for sample b: `dims` (rank) in room for `room` along the first axis, the rest stays 0. */
static Status put_sample(EvalCtx *ctx, int i, int64_t b, int64_t batch, DType dtype, int rank, const int64_t *dims,
                         int64_t room, const void *data)
{
    int64_t wide[TENSOR_MAX_RANK];
    Tensor sample;

    if (!eval_wants(ctx, i))
        return NULL;
    if (rank >= TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "output %d has a rank above %d", i, TENSOR_MAX_RANK);
    TRY(tensor_view(&sample, dtype, rank, dims, (void *)(uintptr_t)data));
    wide[0] = batch;
    for (int k = 0; k < rank; k++)
        wide[k + 1] = k == 0 && room >= 0 ? room : dims[k];
    if (b == 0) {
        TRY(eval_output(ctx, i, dtype, rank + 1, wide));
        if (ctx->out[i].bytes > 0)
            memset(ctx->out[i].data, 0, ctx->out[i].bytes);
    }
    Tensor *out = &ctx->out[i];
    bool same = out->dtype == dtype && out->rank == rank + 1 && dtype_bits(dtype) >= 8;
    for (int k = 0; same && k <= rank; k++)
        same = out->dims[k] == wide[k];
    if (!same)
        return eval_error(ctx, CODE_MODEL, "output %d changes its shape from sample to sample, or is not of whole bytes", i);
    if (sample.bytes > 0)
        memcpy((char *)out->data + (size_t)b * (out->bytes / (size_t)batch), sample.data, sample.bytes);
    return NULL;
}

static Status put_results(EvalCtx *ctx, const Carried *carried, int64_t b, int64_t batch, int64_t length)
{
    for (int i = 0; i < carried->n_state; i++) {
        const Tensor *state = carried->state[i];
        TRY(put_sample(ctx, i, b, batch, state->dtype, state->rank, state->dims, -1, state->data));
    }
    for (int i = 0; i < carried->n_stacks; i++) {
        const Stack *stack = &carried->stacks[i];
        int64_t dims[TENSOR_MAX_RANK] = {stack->n};
        if (stack->n == 0)
            return eval_error(ctx, CODE_UNSUPPORTED, "sample %lld has no step", (long long)b);
        for (int k = 0; k < MIN(stack->rank, TENSOR_MAX_RANK - 1); k++)
            dims[k + 1] = stack->dims[k];
        TRY(put_sample(ctx, carried->n_state + i, b, batch, stack->dtype, stack->rank + 1, dims, length, stack->data));
    }
    return NULL;
}

static Status eval_batch(EvalCtx *ctx, const Graph *body, int n_state, int n_scans, int n_stacks)
{
    const Tensor *lengths = eval_in(ctx, 0), *last = ctx->in[ctx->n_in - 1];
    int64_t batch = last->rank > 1 ? last->dims[0] : 0, most = last->rank > 1 ? last->dims[1] : 0;
    const Tensor *const *in_batch = ctx->in;
    int n_in = ctx->n_in;

    TRY(eval_require_dtype(ctx, 0, DT_INT64));
    if (batch == 0 || (lengths != NULL && lengths->count != batch))
        return eval_error(ctx, CODE_MODEL, "the last input is %s and there are %lld lengths; expected a batch of sequences",
                          tensor_shape_text(ctx->scratch, last), (long long)(lengths != NULL ? lengths->count : 0));
    for (int64_t b = 0; b < batch; b++) {
        const Tensor **in = arena_array(ctx->scratch, (size_t)(n_state + n_scans), sizeof *in);
        Tensor *views = arena_array(ctx->scratch, (size_t)(n_state + n_scans), sizeof *views);
        Form form = {"directions", lengths != NULL ? MAX(tensor_get_int(lengths, b), 0) : -1};
        for (int i = 0; i < n_state + n_scans; i++) {
            TRY(sample_of(ctx, i + 1, b, batch, &views[i]));
            in[i] = &views[i];
        }
        ctx->in = in; /* the host knows this context, a copy would be a stranger */
        ctx->n_in = n_state + n_scans;
        Carried carried = carried_new(ctx, body, 0, n_state, n_stacks);
        Status status = run_scan(ctx, body, &form, &carried, n_scans);
        ctx->in = in_batch;
        ctx->n_in = n_in;
        if (status == NULL)
            status = put_results(ctx, &carried, b, batch, most);
        carried_free(&carried);
        if (status != NULL)
            return status;
    }
    return NULL;
}

static Status eval_scan(EvalCtx *ctx)
{
    int n_state, n_scans, n_stacks, first = scan_first(ctx->node);
    Status status;
    Carried carried;
    Graph *body;

    TRY(inner_graph(ctx->node, "body", &body));
    TRY(scan_counts(ctx->node, body, &n_state, &n_scans, &n_stacks));
    for (int i = first; i < ctx->n_in; i++)
        if (ctx->in[i] == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
    if (first > 0)
        return eval_batch(ctx, body, n_state, n_scans, n_stacks);
    carried = carried_new(ctx, body, 0, n_state, n_stacks);
    status = run_scan(ctx, body, &(Form){"scan_input_directions", -1}, &carried, n_scans);
    for (int i = 0; i < n_state && status == NULL; i++)
        status = inner_output(ctx, i, carried.state[i]);
    for (int i = 0; i < n_stacks && status == NULL; i++) {
        int64_t axis = 0, direction = 0;
        status = scan_entry(ctx->node, "scan_output_axes", i, n_stacks, &axis);
        if (status == NULL)
            status = scan_entry(ctx->node, "scan_output_directions", i, n_stacks, &direction);
        if (status == NULL)
            status =
                stack_output(ctx, n_state + i, &carried.stacks[i], body->outputs[n_state + i], axis, direction != 0);
    }
    carried_free(&carried);
    return status;
}

static const AttrSpec scan_attrs[] = {
    {"body", ATTR_GRAPH, true},
    {"num_scan_inputs", ATTR_INT, true},
    {"scan_input_axes", ATTR_INTS, false},
    {"scan_input_directions", ATTR_INTS, false},
    {"scan_output_axes", ATTR_INTS, false},
    {"scan_output_directions", ATTR_INTS, false},
    {"directions", ATTR_INTS, false}, /* opset 8 */
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_scan = {
    .type = "Scan", .domain = "", .versions = {8, 9, 11, 16, 19, 21, 23, 24, 25}, .min_in = 0, .max_in = OP_VARIADIC,
    .min_out = 1, .max_out = OP_VARIADIC, .attrs = scan_attrs, .infer = infer_scan, .eval = eval_scan,
    .quant = RULE_FLOAT, .lists = true,
};
