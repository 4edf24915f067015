/* op_sequence.c - sequences and optionals: SequenceConstruct SequenceEmpty SequenceInsert SequenceErase SequenceAt
 * SequenceLength SplitToSequence ConcatFromSequence SequenceMap; Optional OptionalHasElement OptionalGetElement.
 *
 *     [a, b] ── SequenceInsert c at -1 ──> [a, c, b]
 *
 * While it runs a sequence is a tensor of dtype DT_LIST, see ir.h.
 */
#include <string.h>

#include "src/ops/family.h"

/* ---- types ------------------------------------------------------------------------------------------------------- */

/* Output i is a sequence of `element`, its sizes left open: they may differ from one to the next. */
static void infer_sequence_of(Node *node, int i, const Type *element)
{
    if (i >= node->n_out || node->out[i] == NULL || element->kind == TYPE_UNKNOWN)
        return;
    Type *copy = arena_copy(node->graph->model->arena, element, sizeof *element);
    if (copy->kind == TYPE_TENSOR)
        copy->shape = shape_unknown();
    node->out[i]->type = (Type){.kind = TYPE_SEQUENCE, .shape = {.rank = -1}, .element = copy};
}

static DType element_dtype(const Node *node, int i)
{
    const Type *type = infer_type(node, i);

    return type->kind == TYPE_SEQUENCE && type->element != NULL && type->element->kind == TYPE_TENSOR
               ? type->element->dtype
               : DT_UNDEFINED;
}

static Status infer_as_element_of(Node *node)
{
    const Type *type = infer_type(node, 0);

    if (type->kind == TYPE_SEQUENCE && type->element != NULL && node->out[0] != NULL)
        node->out[0]->type = *type->element;
    return NULL;
}

static Status infer_same_sequence(Node *node)
{
    const Type *type = infer_type(node, 0);

    if (type->kind == TYPE_SEQUENCE && type->element != NULL)
        infer_sequence_of(node, 0, type->element);
    return NULL;
}

/* ---- what the evaluations share ---------------------------------------------------------------------------------- */

static Status require_list(const EvalCtx *ctx, int i)
{
    const Tensor *list = ctx->in[i];

    if (list->dtype != DT_LIST || list->rank != 1)
        return eval_error(ctx, CODE_MODEL, "input %d is no sequence", i);
    return NULL;
}

/* A position from input i; `otherwise` when it is omitted. Position n is allowed where something is inserted. */
static Status position(EvalCtx *ctx, int i, int64_t n, int64_t otherwise, bool insert, int64_t *ret)
{
    int64_t *given, count;

    TRY(eval_ints(ctx, i, &given, &count));
    if (count > 1 || count == 0)
        return eval_error(ctx, CODE_MODEL, "position has %lld elements, expected one", (long long)count);
    int64_t at = count < 0 ? otherwise : given[0];
    if (at < -n || at > (insert ? n : n - 1))
        return eval_error(ctx, CODE_MODEL, "position %lld is outside a sequence of %lld elements", (long long)at,
                          (long long)n);
    *ret = at < 0 ? at + n : at;
    return NULL;
}

/* ---- building and taking apart ----------------------------------------------------------------------------------- */

static Status infer_construct(Node *node)
{
    infer_sequence_of(node, 0, infer_type(node, 0));
    return NULL;
}

static Status eval_construct(EvalCtx *ctx)
{
    Tensor *elements = arena_array(ctx->scratch, (size_t)ctx->n_in, sizeof *elements);

    for (int i = 0; i < ctx->n_in; i++) {
        if (ctx->in[i] == NULL)
            return eval_error(ctx, CODE_MODEL, "input %d is missing", i);
        TRY(eval_require_same_dtype(ctx, 0, i));
        elements[i] = *ctx->in[i];
    }
    return eval_output_list(ctx, 0, elements, ctx->n_in);
}

static Status infer_empty(Node *node)
{
    int64_t dtype = node_int(node, "dtype", DT_FLOAT);

    if (dtype <= 0 || dtype > DT_LAST)
        return node_error(node, CODE_MODEL, "there is no type %lld", (long long)dtype);
    Type element = type_tensor((DType)dtype, NULL);
    infer_sequence_of(node, 0, &element);
    return NULL;
}

static Status eval_empty(EvalCtx *ctx)
{
    return eval_output_list(ctx, 0, NULL, 0);
}

static Status infer_insert(Node *node)
{
    const Type *type = infer_type(node, 0);

    infer_sequence_of(node, 0, type->kind == TYPE_SEQUENCE && type->element != NULL ? type->element
                                                                                     : infer_type(node, 1));
    return NULL;
}

static Status eval_insert(EvalCtx *ctx)
{
    const Tensor *list = ctx->in[0], *from = list->data;
    int64_t n = list->count, at;

    TRY(require_list(ctx, 0));
    TRY(position(ctx, 2, n, n, true, &at));
    if (n > 0 && from[0].dtype != ctx->in[1]->dtype)
        return eval_error(ctx, CODE_MODEL, "%s does not go into a sequence of %s", dtype_name(ctx->in[1]->dtype),
                          dtype_name(from[0].dtype));
    Tensor *elements = arena_array(ctx->scratch, (size_t)n + 1, sizeof *elements);
    for (int64_t i = 0; i <= n; i++)
        elements[i] = i == at ? *ctx->in[1] : from[i < at ? i : i - 1];
    return eval_output_list(ctx, 0, elements, n + 1);
}

static Status eval_erase(EvalCtx *ctx)
{
    const Tensor *list = ctx->in[0], *from = list->data;
    int64_t n = list->count, at;

    TRY(require_list(ctx, 0));
    TRY(position(ctx, 1, n, n - 1, false, &at));
    Tensor *elements = arena_array(ctx->scratch, (size_t)n, sizeof *elements);
    for (int64_t i = 0; i < n - 1; i++)
        elements[i] = from[i < at ? i : i + 1];
    return eval_output_list(ctx, 0, elements, n - 1);
}

static Status eval_at(EvalCtx *ctx)
{
    const Tensor *elements = ctx->in[0]->data;
    int64_t at;

    TRY(require_list(ctx, 0));
    TRY(position(ctx, 1, ctx->in[0]->count, 0, false, &at));
    return eval_output_copy(ctx, 0, &elements[at]);
}

static Status infer_length(Node *node)
{
    Shape scalar = {.rank = 0};

    infer_output(node, 0, DT_INT64, &scalar);
    return NULL;
}

static Status eval_length(EvalCtx *ctx)
{
    TRY(require_list(ctx, 0));
    TRY(eval_output(ctx, 0, DT_INT64, 0, NULL));
    *(int64_t *)ctx->out[0].data = ctx->in[0]->count;
    return NULL;
}

/* ---- SplitToSequence, ConcatFromSequence ------------------------------------------------------------------------- */

static Status infer_split(Node *node)
{
    Type element = type_tensor(infer_dtype(node, 0), NULL);

    if (element.dtype != DT_UNDEFINED)
        infer_sequence_of(node, 0, &element);
    return NULL;
}

/* Sizes along the axis, in scratch. */
static Status split_sizes(EvalCtx *ctx, int64_t size, int64_t **ret, int64_t *ret_n)
{
    int64_t *given, n, sum = 0;

    TRY(eval_ints(ctx, 1, &given, &n));
    if (n >= 0 && ctx->in[1]->rank == 1) {
        for (int64_t i = 0; i < n; i++)
            if (given[i] < 0 || __builtin_add_overflow(sum, given[i], &sum))
                return eval_error(ctx, CODE_MODEL, "a part of %lld elements is not possible", (long long)given[i]);
        if (sum != size)
            return eval_error(ctx, CODE_MODEL, "the parts sum to %lld, the axis has %lld elements", (long long)sum,
                              (long long)size);
        *ret = given;
        *ret_n = n;
        return NULL;
    }
    int64_t each = n < 0 ? 1 : given[0];
    if (each < 1)
        return eval_error(ctx, CODE_MODEL, "parts of %lld elements are not possible", (long long)each);
    *ret_n = size / each + (size % each != 0);
    *ret = arena_array(ctx->scratch, (size_t)*ret_n, sizeof **ret);
    for (int64_t i = 0; i < *ret_n; i++)
        (*ret)[i] = MIN(each, size - i * each);
    return NULL;
}

static Status eval_split(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    int64_t *sizes, n, from[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK], start = 0;
    size_t bytes;
    int axis;

    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), x->rank, &axis));
    TRY(eval_element_bytes(ctx, 0, &bytes));
    TRY(split_sizes(ctx, x->dims[axis], &sizes, &n));
    bool squeeze = eval_in(ctx, 1) == NULL && node_int(ctx->node, "keepdims", 1) == 0;
    Tensor *parts = arena_array(ctx->scratch, (size_t)n, sizeof *parts);
    row_major_strides(x->rank, x->dims, from);
    for (int64_t i = 0; i < n; i++) {
        int64_t dims[TENSOR_MAX_RANK];
        void *data;
        memcpy(dims, x->dims, sizeof dims);
        dims[axis] = sizes[i];
        TRY(eval_scratch(ctx, (size_t)count_of(dims, 0, x->rank) * bytes, &data));
        row_major_strides(x->rank, dims, to);
        if (count_of(dims, 0, x->rank) > 0)
            strided_copy(data, to, (const char *)x->data + (size_t)(start * from[axis]) * bytes, from, x->rank, dims,
                         bytes);
        if (squeeze)
            memmove(dims + axis, dims + axis + 1, (size_t)(x->rank - axis - 1) * sizeof dims[0]);
        TRY(tensor_view(&parts[i], x->dtype, x->rank - squeeze, dims, data));
        start += sizes[i];
    }
    return eval_output_list(ctx, 0, parts, n);
}

static Status infer_concat(Node *node)
{
    Shape unknown = shape_unknown();

    infer_output(node, 0, element_dtype(node, 0), &unknown);
    return NULL;
}

static Status eval_concat(EvalCtx *ctx)
{
    const Tensor *parts = ctx->in[0]->data;
    bool stack = node_int(ctx->node, "new_axis", 0) != 0;
    int64_t n = ctx->in[0]->count, dims[TENSOR_MAX_RANK], to[TENSOR_MAX_RANK], from[TENSOR_MAX_RANK], at = 0;
    int axis;

    TRY(require_list(ctx, 0));
    if (n == 0)
        return eval_error(ctx, CODE_MODEL, "an empty sequence cannot be concatenated");
    int rank = parts[0].rank + stack;
    if (rank > TENSOR_MAX_RANK)
        return eval_error(ctx, CODE_MODEL, "the result would have rank %d", rank);
    TRY(eval_axis(ctx, node_int(ctx->node, "axis", 0), rank, &axis));
    if (dtype_bits(parts[0].dtype) < 8 && parts[0].dtype != DT_STRING)
        return eval_error(ctx, CODE_UNSUPPORTED, "%s is not supported", dtype_name(parts[0].dtype));
    size_t bytes = parts[0].dtype == DT_STRING ? sizeof(TensorString) : (size_t)dtype_bits(parts[0].dtype) / 8;
    for (int k = 0; k < rank; k++)
        dims[k] = stack && k == axis ? n : parts[0].dims[k - (stack && k > axis)];
    if (!stack)
        dims[axis] = 0;
    for (int64_t i = 0; i < n; i++) {
        bool fits = parts[i].rank == parts[0].rank && parts[i].dtype == parts[0].dtype;
        for (int k = 0; fits && k < parts[0].rank; k++)
            fits = parts[i].dims[k] == parts[0].dims[k] || (!stack && k == axis);
        if (!fits || (!stack && __builtin_add_overflow(dims[axis], parts[i].dims[axis], &dims[axis])))
            return eval_error(ctx, CODE_MODEL, "element %lld of the sequence (%s) does not fit the first (%s)",
                              (long long)i, tensor_shape_text(ctx->scratch, &parts[i]),
                              tensor_shape_text(ctx->scratch, &parts[0]));
    }
    TRY(eval_output(ctx, 0, parts[0].dtype, rank, dims));
    row_major_strides(rank, dims, to);
    int64_t step = to[axis];
    if (stack)
        memmove(to + axis, to + axis + 1, (size_t)(rank - axis - 1) * sizeof to[0]);
    for (int64_t i = 0; i < n; i++) {
        row_major_strides(parts[i].rank, parts[i].dims, from);
        if (parts[i].count > 0)
            strided_copy((char *)ctx->out[0].data + (size_t)(at * step) * bytes, to, parts[i].data, from, parts[i].rank,
                         parts[i].dims, bytes);
        at += stack ? 1 : parts[i].dims[axis];
    }
    return NULL;
}

/* ---- SequenceMap: the body runs once for each element ------------------------------------------------------------ */

static Status map_body(const Node *node, Graph **ret)
{
    const Attr *attr = node_attr(node, "body");

    if (attr == NULL || attr->kind != ATTR_GRAPH || attr->g == NULL)
        return node_error(node, CODE_MODEL, "attribute 'body' is missing");
    if (attr->g->n_inputs != node->n_in || attr->g->n_outputs != node->n_out)
        return node_error(node, CODE_MODEL, "the body has %d inputs and %d outputs, expected %d and %d",
                          attr->g->n_inputs, attr->g->n_outputs, node->n_in, node->n_out);
    *ret = attr->g;
    return NULL;
}

static Status infer_map(Node *node)
{
    Graph *body;

    TRY(map_body(node, &body));
    TRY(infer_graph(body));
    for (int i = 0; i < node->n_out; i++)
        infer_sequence_of(node, i, &body->outputs[i]->type);
    return NULL;
}

/* results (rounds, n_out), owned elements */
static Status run_map(EvalCtx *ctx, const Graph *body, int64_t rounds, Tensor *results)
{
    Tensor *inputs = arena_array(ctx->scratch, (size_t)ctx->n_in, sizeof *inputs);

    for (int64_t k = 0; k < rounds; k++) {
        for (int i = 0; i < ctx->n_in; i++) {
            const Tensor *in = ctx->in[i], *elements = in->data;
            inputs[i] = in->dtype == DT_LIST ? elements[k] : *in;
            inputs[i].owned = false;
        }
        TRY(eval_subgraph(ctx, body, inputs, ctx->n_in, results + k * ctx->n_out, ctx->n_out));
    }
    return NULL;
}

static Status eval_map(EvalCtx *ctx)
{
    int64_t rounds = ctx->in[0]->count;
    Graph *body;

    TRY(require_list(ctx, 0));
    TRY(map_body(ctx->node, &body));
    for (int i = 0; i < ctx->n_in; i++)
        if (ctx->in[i] == NULL || (ctx->in[i]->dtype == DT_LIST && ctx->in[i]->count != rounds))
            return eval_error(ctx, CODE_MODEL, "input %d is missing or a sequence of another length", i);
    Tensor *results = arena_array(ctx->scratch, (size_t)rounds * (size_t)ctx->n_out + 1, sizeof *results);
    Tensor *column = arena_array(ctx->scratch, (size_t)rounds + 1, sizeof *column);
    Status status = run_map(ctx, body, rounds, results);
    for (int i = 0; i < ctx->n_out && status == NULL; i++) {
        for (int64_t k = 0; k < rounds; k++)
            column[k] = results[k * ctx->n_out + i];
        status = eval_output_list(ctx, i, column, rounds);
    }
    for (int64_t k = 0; k < rounds * ctx->n_out; k++)
        tensor_release(&results[k]);
    return status;
}

/* ---- optionals --------------------------------------------------------------------------------------------------- */

static bool is_none(const Tensor *tensor)
{
    return tensor == NULL || (tensor->dtype == DT_LIST && tensor->rank == LIST_NONE_RANK);
}

static Status infer_optional(Node *node)
{
    const Type *type = infer_type(node, 0);

    if (type->kind != TYPE_UNKNOWN && node->out[0] != NULL)
        node->out[0]->type = (Type){.kind = TYPE_OPTIONAL, .shape = {.rank = -1},
                                    .element = arena_copy(node->graph->model->arena, type, sizeof *type)};
    return NULL;
}

static Status eval_optional(EvalCtx *ctx)
{
    const Tensor *x = eval_in(ctx, 0);

    return x == NULL ? eval_output_none(ctx, 0) : eval_output_alias(ctx, 0, x, x->rank, x->dims);
}

static Status infer_has_element(Node *node)
{
    Shape scalar = {.rank = 0};

    infer_output(node, 0, DT_BOOL, &scalar);
    return NULL;
}

static Status eval_has_element(EvalCtx *ctx)
{
    TRY(eval_output(ctx, 0, DT_BOOL, 0, NULL));
    *(uint8_t *)ctx->out[0].data = !is_none(eval_in(ctx, 0));
    return NULL;
}

static Status infer_get_element(Node *node)
{
    const Type *type = infer_type(node, 0);

    if (node->out[0] != NULL)
        node->out[0]->type = type->kind == TYPE_OPTIONAL && type->element != NULL ? *type->element : *type;
    return NULL;
}

static Status eval_get_element(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];

    if (is_none(x))
        return eval_error(ctx, CODE_MODEL, "the optional is empty");
    return eval_output_alias(ctx, 0, x, x->rank, x->dims);
}

static const AttrSpec empty_attrs[] = {{"dtype", ATTR_INT, false}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec split_attrs[] = {
    {"axis", ATTR_INT, false},
    {"keepdims", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec concat_attrs[] = {
    {"axis", ATTR_INT, true},
    {"new_axis", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec map_attrs[] = {{"body", ATTR_GRAPH, true}, {NULL, ATTR_UNDEFINED, false}};
static const AttrSpec optional_attrs[] = {{"type", ATTR_TYPE_PROTO, false}, {NULL, ATTR_UNDEFINED, false}};

#define SEQUENCE_OP(symbol, name, since, least, most, spec, infer_function, eval_function)                             \
    const OpDef symbol = {                                                                                             \
        .type = name, .domain = "", .versions = {since}, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1,  \
        .attrs = spec, .infer = infer_function, .eval = eval_function, .quant = RULE_FLOAT, .lists = true,             \
    };

SEQUENCE_OP(op_sequenceconstruct, "SequenceConstruct", 11, 1, OP_VARIADIC, NULL, infer_construct, eval_construct)
SEQUENCE_OP(op_sequenceempty, "SequenceEmpty", 11, 0, 0, empty_attrs, infer_empty, eval_empty)
SEQUENCE_OP(op_sequenceinsert, "SequenceInsert", 11, 2, 3, NULL, infer_insert, eval_insert)
SEQUENCE_OP(op_sequenceerase, "SequenceErase", 11, 1, 2, NULL, infer_same_sequence, eval_erase)
SEQUENCE_OP(op_sequenceat, "SequenceAt", 11, 2, 2, NULL, infer_as_element_of, eval_at)
SEQUENCE_OP(op_sequencelength, "SequenceLength", 11, 1, 1, NULL, infer_length, eval_length)
SEQUENCE_OP(op_concatfromsequence, "ConcatFromSequence", 11, 1, 1, concat_attrs, infer_concat, eval_concat)
SEQUENCE_OP(op_optional, "Optional", 15, 0, 1, optional_attrs, infer_optional, eval_optional)

const OpDef op_splittosequence = {
    .type = "SplitToSequence", .domain = "", .versions = {11, 24}, .min_in = 1, .max_in = 2, .min_out = 1, .max_out = 1,
    .attrs = split_attrs, .infer = infer_split, .eval = eval_split, .quant = RULE_FLOAT,
};
const OpDef op_sequencemap = {
    .type = "SequenceMap", .domain = "", .versions = {17}, .min_in = 1, .max_in = OP_VARIADIC, .min_out = 1,
    .max_out = OP_VARIADIC, .attrs = map_attrs, .infer = infer_map, .eval = eval_map, .quant = RULE_FLOAT,
    .lists = true,
};
const OpDef op_optionalhaselement = {
    .type = "OptionalHasElement", .domain = "", .versions = {15, 18}, .min_in = 0, .max_in = 1, .min_out = 1,
    .max_out = 1, .infer = infer_has_element, .eval = eval_has_element, .quant = RULE_FLOAT, .lists = true,
};
const OpDef op_optionalgetelement = {
    .type = "OptionalGetElement", .domain = "", .versions = {15, 18}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .infer = infer_get_element, .eval = eval_get_element, .quant = RULE_FLOAT, .lists = true,
};
