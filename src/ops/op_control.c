/* op_control.c - If, Loop, Scan: ops that run graphs held in their attributes.
 *
 *     Loop   (iteration, condition, v...) ── body ──> (condition, v..., scan...) scan outputs are stacked on axis 0
 *     Scan   (state..., slice of each scan input) ── body ──> (state..., slice of each scan output)
 *
 * Outer values that a body reads are the business of whoever runs it.
 */
#include <string.h>

#include "src/ops/family.h"


static Status inner_graph(const Node *node, const char *name, Graph **ret)
{
    const Attr *attr = node_attr(node, name);

    if (attr == NULL || attr->kind != ATTR_GRAPH || attr->g == NULL)
        return node_error(node, CODE_MODEL, "attribute '%s' is missing", name);
    *ret = attr->g;
    return NULL;
}

/* What is true of both types. */
static Type common_type(const Type *a, const Type *b)
{
    Type ret = *a;

    if (a->kind != TYPE_TENSOR || b->kind != TYPE_TENSOR)
        return a->kind == b->kind ? *a : (Type){.kind = TYPE_UNKNOWN, .shape = {.rank = -1}};
    if (a->dtype != b->dtype)
        ret.dtype = a->dtype == DT_UNDEFINED ? b->dtype : a->dtype;
    if (a->shape.rank != b->shape.rank)
        ret.shape = shape_unknown();
    for (int i = 0; i < ret.shape.rank; i++)
        if (!dim_equal(a->shape.dims[i], b->shape.dims[i]))
            ret.shape.dims[i] = DIM_UNKNOWN;
    return ret;
}

/* Tells a body's input what is sure of it; what the file declares beyond stays. */
static void set_input_type(Graph *graph, int i, DType dtype, const Shape *shape)
{
    Type *type;
    Shape merged;
    Status status;

    if (i >= graph->n_inputs)
        return;
    type = &graph->inputs[i]->type;
    if (type->kind == TYPE_UNKNOWN)
        *type = (Type){.kind = TYPE_TENSOR, .dtype = DT_UNDEFINED, .shape = {.rank = -1}};
    if (type->kind != TYPE_TENSOR)
        return;
    if (type->dtype == DT_UNDEFINED)
        type->dtype = dtype;
    status = shape_merge(shape, &type->shape, &merged);
    if (status == NULL)
        type->shape = merged;
    status_free(status); /* a contradiction shows where the body uses it, if it matters */
}

static Status require_counts(const Node *node, const Graph *graph, int n_inputs, int n_outputs)
{
    if (graph->n_inputs != n_inputs || graph->n_outputs != n_outputs)
        return node_error(node, CODE_MODEL, "inner graph '%s' has %d inputs and %d outputs, expected %d and %d",
                          graph->name, graph->n_inputs, graph->n_outputs, n_inputs, n_outputs);
    return NULL;
}

/* A scalar bool or int64, also as a list of one. */
static Status scalar_of(const EvalCtx *ctx, const Tensor *tensor, DType dtype, const char *what, int64_t *ret)
{
    if (tensor->dtype != dtype || tensor->count != 1)
        return eval_error(ctx, CODE_MODEL, "%s is %s of %lld elements, expected one %s", what,
                          dtype_name(tensor->dtype), (long long)tensor->count, dtype_name(dtype));
    *ret = tensor_get_int(tensor, 0);
    return NULL;
}

static Status copy_to_output(EvalCtx *ctx, int i, const Tensor *from)
{
    if (!eval_wants(ctx, i))
        return NULL;
    return eval_output_copy(ctx, i, from);
}

static void release_all(Tensor *tensors, int n)
{
    for (int i = 0; i < n; i++)
        tensor_release(&tensors[i]);
}

/* ---- If ---------------------------------------------------------------------------------------------------------- */

static Status infer_if(Node *node)
{
    Graph *yes, *no;

    TRY(inner_graph(node, "then_branch", &yes));
    TRY(inner_graph(node, "else_branch", &no));
    TRY(require_counts(node, yes, 0, node->n_out));
    TRY(require_counts(node, no, 0, node->n_out));
    TRY(infer_graph(yes));
    TRY(infer_graph(no));
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL)
            node->out[i]->type = common_type(&yes->outputs[i]->type, &no->outputs[i]->type);
    return NULL;
}

static Status eval_if(EvalCtx *ctx)
{
    Tensor *results = arena_array(ctx->scratch, (size_t)ctx->n_out + 1, sizeof *results);
    int64_t condition;
    Status status = NULL;
    Graph *branch;

    TRY(scalar_of(ctx, ctx->in[0], DT_BOOL, "the condition", &condition));
    TRY(inner_graph(ctx->node, condition != 0 ? "then_branch" : "else_branch", &branch));
    TRY(require_counts(ctx->node, branch, 0, ctx->n_out));
    TRY(eval_subgraph(ctx, branch, NULL, 0, results, ctx->n_out));
    for (int i = 0; i < ctx->n_out && status == NULL; i++)
        status = copy_to_output(ctx, i, &results[i]);
    release_all(results, ctx->n_out);
    return status;
}

/* ---- results stacked over iterations ----------------------------------------------------------------------------- */

typedef struct Stack {
    DType dtype;
    int rank;
    int64_t dims[TENSOR_MAX_RANK]; /* of one item */
    int64_t n;
    size_t item_bytes, cap;
    char *data;                    /* memory_alloc() */
} Stack;

static Status stack_push(const EvalCtx *ctx, Stack *stack, const Tensor *item)
{
    size_t used, need;
    bool same = stack->n == 0 || (stack->dtype == item->dtype && stack->rank == item->rank);

    if (stack->n == 0) {
        stack->dtype = item->dtype;
        stack->rank = item->rank;
        memcpy(stack->dims, item->dims, sizeof stack->dims);
        stack->item_bytes = item->bytes;
    }
    for (int i = 0; same && i < item->rank; i++)
        same = stack->dims[i] == item->dims[i];
    if (!same || item->rank >= TENSOR_MAX_RANK || item->dtype == DT_LIST)
        return eval_error(ctx, CODE_MODEL, "a scan output changes its shape from iteration to iteration");
    if (!size_mul((size_t)stack->n, stack->item_bytes, &used) || !size_add(used, stack->item_bytes, &need))
        return eval_error(ctx, CODE_MEMORY, "a scan output is too large");
    if (need > stack->cap) {
        void *grown;
        size_t cap = MAX(need, need > SIZE_MAX / 2 ? need : 2 * stack->cap);
        TRY(memory_alloc(cap, &grown));
        if (used > 0)
            memcpy(grown, stack->data, used);
        memory_free(stack->data);
        stack->data = grown;
        stack->cap = cap;
    }
    if (stack->item_bytes > 0)
        memcpy(stack->data + used, item->data, stack->item_bytes);
    stack->n++;
    return NULL;
}

/* Item k of the output is item k of the stack, or from the end; the new axis stands at `axis`. Without a single item
 * the shape is that of the body's output as far as it is known. */
static Status stack_output(EvalCtx *ctx, int i, const Stack *stack, const Value *declared, int64_t axis, bool reverse)
{
    int64_t dims[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK], inner_to[TENSOR_MAX_RANK], inner_from[TENSOR_MAX_RANK];
    const Type *type = &declared->type;
    int rank = stack->n > 0 ? stack->rank : type->kind == TYPE_TENSOR ? MAX(type->shape.rank, 0) : 0, at;
    DType dtype = stack->n > 0 ? stack->dtype : type->dtype != DT_UNDEFINED ? type->dtype : DT_FLOAT;
    size_t bytes;

    if (!eval_wants(ctx, i))
        return NULL;
    if (rank >= TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "a scan output has a rank above %d", TENSOR_MAX_RANK);
    TRY(eval_axis(ctx, axis, rank + 1, &at));
    for (int k = 0; k <= rank; k++) {
        int own = k < at ? k : k - 1;
        dims[k] = k == at ? stack->n : stack->n > 0 ? stack->dims[own] : MAX(type->shape.dims[own].size, 0);
    }
    TRY(eval_output(ctx, i, dtype, rank + 1, dims));
    if (ctx->out[i].count == 0)
        return NULL;
    if (dtype != DT_STRING && dtype_bits(dtype) < 8)
        return eval_error(ctx, CODE_UNSUPPORTED, "scan outputs of type %s are not supported", dtype_name(dtype));
    bytes = dtype == DT_STRING ? sizeof(TensorString) : (size_t)dtype_bits(dtype) / 8;
    row_major_strides(rank + 1, dims, to);
    row_major_strides(rank, stack->dims, inner_from);
    for (int k = 0; k < rank; k++)
        inner_to[k] = to[k < at ? k : k + 1];
    for (int64_t k = 0; k < stack->n; k++) {
        int64_t place = reverse ? stack->n - 1 - k : k;
        strided_copy((char *)ctx->out[i].data + (size_t)(place * to[at]) * bytes, inner_to,
                     stack->data + (size_t)k * stack->item_bytes, inner_from, rank, stack->dims, bytes);
    }
    return NULL;
}

/* ---- the state that Loop and Scan carry -------------------------------------------------------------------------- */

typedef struct Carried {
    int n_state, n_stacks;
    const Tensor **state; /* (n_state) what the next iteration reads: an input of the node, or owned[i] */
    Tensor *owned;        /* (n_state) */
    Stack *stacks;        /* (n_stacks) */
    Tensor *results;      /* outputs of one run of the body */
    Tensor *inputs;       /* inputs of one run of the body */
} Carried;

static Carried carried_new(EvalCtx *ctx, const Graph *body, int first_input, int n_state, int n_stacks)
{
    Carried ret = {.n_state = n_state, .n_stacks = n_stacks};

    ret.state = arena_array(ctx->scratch, (size_t)n_state + 1, sizeof *ret.state);
    ret.owned = arena_array(ctx->scratch, (size_t)n_state + 1, sizeof *ret.owned);
    ret.stacks = arena_array(ctx->scratch, (size_t)n_stacks + 1, sizeof *ret.stacks);
    ret.results = arena_array(ctx->scratch, (size_t)body->n_outputs + 1, sizeof *ret.results);
    ret.inputs = arena_array(ctx->scratch, (size_t)body->n_inputs + 1, sizeof *ret.inputs);
    for (int i = 0; i < n_state; i++)
        ret.state[i] = eval_in(ctx, first_input + i);
    return ret;
}

static void carried_free(Carried *carried)
{
    release_all(carried->owned, carried->n_state);
    for (int i = 0; i < carried->n_stacks; i++)
        memory_free(carried->stacks[i].data);
}

/* Runs the body on carried->inputs; results from `first` on become state, then stacked items. */
static Status carried_step(EvalCtx *ctx, Carried *carried, const Graph *body, int first)
{
    int n = body->n_outputs;
    Status status = NULL;

    memset(carried->results, 0, (size_t)n * sizeof(Tensor));
    TRY(eval_subgraph(ctx, body, carried->inputs, body->n_inputs, carried->results, n));
    for (int i = 0; i < carried->n_state; i++) {
        tensor_release(&carried->owned[i]);
        carried->owned[i] = carried->results[first + i];
        carried->results[first + i] = (Tensor){0};
        carried->state[i] = &carried->owned[i];
    }
    for (int i = 0; i < carried->n_stacks && status == NULL; i++)
        status = stack_push(ctx, &carried->stacks[i], &carried->results[first + carried->n_state + i]);
    return status;
}

static Tensor view_of(const Tensor *tensor)
{
    Tensor view = *tensor;

    view.owned = false;
    return view;
}

/* ---- Loop -------------------------------------------------------------------------------------------------------- */

static Status infer_loop(Node *node)
{
    Shape scalar = {.rank = 0}, unknown = shape_unknown();
    int n_state = MAX(node->n_in - 2, 0);
    Graph *body;

    TRY(inner_graph(node, "body", &body));
    if (node->n_out < n_state)
        return node_error(node, CODE_MODEL, "has %d outputs for %d carried values", node->n_out, n_state);
    TRY(require_counts(node, body, n_state + 2, node->n_out + 1));
    set_input_type(body, 0, DT_INT64, &scalar);
    set_input_type(body, 1, DT_BOOL, &scalar);
    for (int i = 0; i < n_state; i++) /* the shape may change from iteration to iteration */
        if (infer_type(node, i + 2)->kind == TYPE_TENSOR)
            set_input_type(body, i + 2, infer_dtype(node, i + 2), &unknown);
    TRY(infer_graph(body));
    for (int i = 0; i < node->n_out; i++) {
        const Type *inner = &body->outputs[i + 1]->type;
        Shape shape = inner->shape;
        if (node->out[i] == NULL)
            continue;
        if (i < n_state) {
            node->out[i]->type = common_type(infer_type(node, i + 2), inner);
            continue;
        }
        if (inner->kind != TYPE_TENSOR)
            continue;
        if (shape.rank >= 0 && shape.rank < TENSOR_MAX_RANK) {
            memmove(shape.dims + 1, shape.dims, (size_t)shape.rank * sizeof(Dim));
            shape.dims[0] = DIM_UNKNOWN;
            shape.rank++;
        }
        infer_output(node, i, inner->dtype, &shape);
    }
    return NULL;
}

static Status run_loop(EvalCtx *ctx, const Graph *body, Carried *carried, int64_t limit, int64_t condition)
{
    for (int64_t k = 0; k < limit && condition != 0; k++) {
        uint8_t go_on = 1;
        int64_t iteration = k;
        Status status;
        TRY(tensor_view(&carried->inputs[0], DT_INT64, 0, NULL, &iteration));
        TRY(tensor_view(&carried->inputs[1], DT_BOOL, 0, NULL, &go_on));
        for (int i = 0; i < carried->n_state; i++)
            carried->inputs[i + 2] = view_of(carried->state[i]);
        status = carried_step(ctx, carried, body, 1);
        if (status == NULL)
            status = scalar_of(ctx, &carried->results[0], DT_BOOL, "the condition", &condition);
        release_all(carried->results, body->n_outputs);
        if (status != NULL)
            return status;
    }
    return NULL;
}

static Status eval_loop(EvalCtx *ctx)
{
    const Tensor *trips = eval_in(ctx, 0), *start = eval_in(ctx, 1);
    int64_t limit = INT64_MAX, condition = 1;
    int n_state = MAX(ctx->n_in - 2, 0);
    Status status;
    Carried carried;
    Graph *body;

    TRY(inner_graph(ctx->node, "body", &body));
    TRY(require_counts(ctx->node, body, n_state + 2, ctx->n_out + 1));
    if (trips != NULL)
        TRY(scalar_of(ctx, trips, DT_INT64, "the trip count", &limit));
    if (start != NULL)
        TRY(scalar_of(ctx, start, DT_BOOL, "the condition", &condition));
    for (int i = 0; i < n_state; i++)
        if (eval_in(ctx, i + 2) == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i + 2);
    carried = carried_new(ctx, body, 2, n_state, ctx->n_out - n_state);
    status = run_loop(ctx, body, &carried, limit, condition);
    for (int i = 0; i < n_state && status == NULL; i++)
        status = copy_to_output(ctx, i, carried.state[i]);
    for (int i = 0; i < carried.n_stacks && status == NULL; i++)
        status = stack_output(ctx, n_state + i, &carried.stacks[i], body->outputs[n_state + 1 + i], 0, false);
    carried_free(&carried);
    return status;
}

/* ---- Scan -------------------------------------------------------------------------------------------------------- */

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
    return require_counts(node, body, n_in, node->n_out);
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
        set_input_type(body, i, infer_dtype(node, first + i), &shape);
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

/* Slice k of `from` along `axis` as a tensor of its own in `ret` (data allocated before). */
static void take_slice(const Tensor *from, int axis, int64_t k, size_t bytes, Tensor *ret)
{
    int64_t strides[TENSOR_MAX_RANK], inner[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK];

    if (ret->count == 0)
        return;
    row_major_strides(from->rank, from->dims, strides);
    row_major_strides(ret->rank, ret->dims, to);
    for (int i = 0; i < ret->rank; i++)
        inner[i] = strides[i < axis ? i : i + 1];
    strided_copy(ret->data, to, (const char *)from->data + (size_t)(k * strides[axis]) * bytes, inner, ret->rank,
                 ret->dims, bytes);
}

static Status run_scan(EvalCtx *ctx, const Graph *body, Carried *carried, int n_scans)
{
    int *axes = arena_array(ctx->scratch, (size_t)n_scans, sizeof *axes);
    bool *backward = arena_array(ctx->scratch, (size_t)n_scans, sizeof *backward);
    size_t *bytes = arena_array(ctx->scratch, (size_t)n_scans, sizeof *bytes);
    int n_state = carried->n_state;
    int64_t length = -1;

    for (int i = 0; i < n_scans; i++) {
        const Tensor *x = ctx->in[n_state + i];
        Tensor *slice = &carried->inputs[n_state + i];
        int64_t at, direction, dims[TENSOR_MAX_RANK];
        void *data;
        TRY(scan_entry(ctx->node, "scan_input_axes", i, n_scans, &at));
        TRY(scan_entry(ctx->node, "scan_input_directions", i, n_scans, &direction));
        TRY(eval_axis(ctx, at, x->rank, &axes[i]));
        TRY(eval_element_bytes(ctx, n_state + i, &bytes[i]));
        backward[i] = direction != 0;
        if (length >= 0 && x->dims[axes[i]] != length)
            return eval_error(ctx, CODE_MODEL, "scan inputs have lengths %lld and %lld", (long long)length,
                              (long long)x->dims[axes[i]]);
        length = x->dims[axes[i]];
        for (int k = 0; k < x->rank - 1; k++)
            dims[k] = x->dims[k < axes[i] ? k : k + 1];
        TRY(tensor_measure(x->dtype, x->rank - 1, dims, NULL, &(size_t){0}));
        TRY(eval_scratch(ctx, (size_t)count_of(dims, 0, x->rank - 1) * bytes[i], &data));
        TRY(tensor_view(slice, x->dtype, x->rank - 1, dims, data));
    }
    for (int64_t k = 0; k < length; k++) {
        Status status;
        for (int i = 0; i < n_state; i++)
            carried->inputs[i] = view_of(carried->state[i]);
        for (int i = 0; i < n_scans; i++)
            take_slice(ctx->in[n_state + i], axes[i], backward[i] ? length - 1 - k : k, bytes[i],
                       &carried->inputs[n_state + i]);
        status = carried_step(ctx, carried, body, 0);
        release_all(carried->results, body->n_outputs);
        if (status != NULL)
            return status;
    }
    return NULL;
}

static Status eval_scan(EvalCtx *ctx)
{
    int n_state, n_scans, n_stacks;
    Status status;
    Carried carried;
    Graph *body;

    if (ctx->node->opset < 9)
        return eval_error(ctx, CODE_UNSUPPORTED,
                          "the batched form of opset 8 is not supported; convert the model to opset 9");
    TRY(inner_graph(ctx->node, "body", &body));
    TRY(scan_counts(ctx->node, body, &n_state, &n_scans, &n_stacks));
    for (int i = 0; i < ctx->n_in; i++)
        if (ctx->in[i] == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
    carried = carried_new(ctx, body, 0, n_state, n_stacks);
    status = run_scan(ctx, body, &carried, n_scans);
    for (int i = 0; i < n_state && status == NULL; i++)
        status = copy_to_output(ctx, i, carried.state[i]);
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

static const AttrSpec if_attrs[] = {
    {"then_branch", ATTR_GRAPH, true},
    {"else_branch", ATTR_GRAPH, true},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec loop_attrs[] = {{"body", ATTR_GRAPH, true}, {NULL, ATTR_UNDEFINED, false}};
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

const OpDef op_if = {
    .type = "If", .domain = "", .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = OP_VARIADIC, .attrs = if_attrs, .infer = infer_if, .eval = eval_if, .quant = RULE_FLOAT,
    .lists = true,
};
const OpDef op_loop = {
    .type = "Loop", .domain = "", .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25}, .min_in = 0, .max_in = OP_VARIADIC,
    .min_out = 1, .max_out = OP_VARIADIC, .attrs = loop_attrs, .infer = infer_loop, .eval = eval_loop,
    .quant = RULE_FLOAT, .lists = true,
};
const OpDef op_scan = {
    .type = "Scan", .domain = "", .versions = {8, 9, 11, 16, 19, 21, 23, 24, 25}, .min_in = 0, .max_in = OP_VARIADIC,
    .min_out = 1, .max_out = OP_VARIADIC, .attrs = scan_attrs, .infer = infer_scan, .eval = eval_scan,
    .quant = RULE_FLOAT, .lists = true,
};
