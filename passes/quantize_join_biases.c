/* quantize_join_biases.c - a product with a weight takes the bias behind it along, as matrices do.
 *
 *     x: B,S,K ─ MatMul W (K,N) ─ Add b ─ y: B,S,N     ==>     x ─ Reshape BS,K ─ Gemm W, b ─ Reshape B,S,N ─ y
 *
 * The integer kernel of Gemm adds the bias among its sums, as an int32; behind that of MatMul it is a pass of its own over 8 bits
 * (or floats, where quantize_open_products left the Q out). Reshape costs the runtime nothing but its call, the one in front serves
 * all products that read x. In ONNX Runtime 256 x 128 by 128 x 128 with its bias: 33 + 12 us and 33 + 2.
 *
 * Where two sizes of x are open the shape behind is read off an input of the model that has the same ones.
 */
#include "passes/pass.h"
#include "passes/quantize.h"
#include "src/ops/ops.h"

#define REMEMBERED 32      /* the last so many shapes and inputs: readers of one value stand near each other */
#define LEAST_ELEMENTS 4096 /* of the result: with fewer the calls cost more than the addition */
#define OPEN_SIZE 8        /* a size that is open counts as this */

typedef struct Flat {
    Value *x, *flat;
} Flat;

typedef struct Back {
    Shape leading; /* with the columns last */
    Value *shape;
} Back;

typedef struct Joiner {
    Flat flats[REMEMBERED];
    Back backs[REMEMBERED];
    size_t n_flats, n_backs; /* ever put there */
} Joiner;

/* ---- what is rewritten --------------------------------------------------------------------------------------------- */

/* The bias that alone reads the product, column by column; NULL: there is none. */
static Node *find_bias(const Node *matmul, int *ret_input)
{
    Node *add = value_only_user(matmul->out[0]);
    if (add == NULL || add->graph != matmul->graph || add->n_in != 2 || !(node_is(add, "Add") || node_is(add, "Sum")))
        return NULL;
    int64_t columns = matmul->in[1]->constant->dims[1];
    for (int i = 0; i < 2; i++) {
        const Tensor *bias = pass_constant(add, i);
        if (bias != NULL && bias->dtype == DT_FLOAT && bias->rank >= 1 && bias->count == columns &&
            bias->dims[bias->rank - 1] == columns && bias->rank < matmul->out[0]->type.shape.rank) {
            *ret_input = i;
            return add;
        }
    }
    return NULL;
}

static bool is_candidate(const PassContext *context, const Node *node)
{
    if (!node_is(node, "MatMul") || quant_fate(context->plan, node) != FATE_INTEGER)
        return false;
    const Tensor *weight = pass_constant(node, 1);
    Shape x = infer_shape(node, 0), y = node->out[0]->type.shape;
    if (weight == NULL || weight->rank != 2 || x.rank < 3 || y.rank != x.rank)
        return false;
    int64_t elements = weight->dims[1];
    for (int i = 0; i < x.rank - 1; i++) {
        if (x.dims[i].size == 0)
            return false;
        elements *= x.dims[i].size < 0 ? OPEN_SIZE : MIN(x.dims[i].size, LEAST_ELEMENTS);
        elements = MIN(elements, (int64_t)LEAST_ELEMENTS << 20);
    }
    return weight->dims[1] > 0 && elements >= LEAST_ELEMENTS;
}

/* ---- shapes -------------------------------------------------------------------------------------------------------- */

static bool same_sizes(const Shape *a, const Shape *b)
{
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = dim_equal(a->dims[i], b->dims[i]);
    return same;
}

/* An input of the model that begins with the sizes of `shape` but its last. */
static Value *find_input(const Graph *graph, const Shape *shape)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        const Type *type = &graph->inputs[i]->type;
        bool fits = type->kind == TYPE_TENSOR && type->shape.rank >= shape->rank - 1;
        for (int d = 0; fits && d < shape->rank - 1; d++)
            fits = dim_equal(type->shape.dims[d], shape->dims[d]);
        if (fits)
            return graph->inputs[i];
    }
    return NULL;
}

/* The first n sizes of `input` and the columns, computed. */
static Status read_shape(Graph *graph, Node *before, Value *input, const Shape *shape, Value **ret)
{
    int64_t n = shape->rank - 1, zero = 0;
    Value *sizes[2];
    Node *node = pass_add_node(graph, before, "Shape", "", 1, &input);
    TRY(ops_infer_node(node));
    sizes[0] = node->out[0];
    if (input->type.shape.rank > n) {
        Value *part[3] = {sizes[0], graph_add_ints(graph, "starts", 1, &zero), graph_add_ints(graph, "ends", 1, &n)};
        node = pass_add_node(graph, before, "Slice", "", 3, part);
        TRY(ops_infer_node(node));
        sizes[0] = node->out[0];
    }
    sizes[1] = graph_add_ints(graph, "shape", 1, &shape->dims[n].size);
    node = pass_add_node(graph, before, "Concat", "", 2, sizes);
    node_set_int(node, "axis", 0);
    *ret = node->out[0];
    return ops_infer_node(node);
}

/* What Reshape needs to make `shape` of a matrix; NULL: it cannot be told. */
static Status shape_back(Joiner *joiner, Graph *graph, Node *before, const Shape *shape, Value **ret)
{
    int64_t sizes[TENSOR_MAX_RANK];
    int open = 0;
    *ret = NULL;
    for (size_t k = 0; k < MIN(joiner->n_backs, (size_t)REMEMBERED); k++)
        if (same_sizes(&joiner->backs[k].leading, shape)) {
            *ret = joiner->backs[k].shape;
            return NULL;
        }
    for (int i = 0; i < shape->rank; i++) {
        open += shape->dims[i].size < 0;
        sizes[i] = shape->dims[i].size < 0 ? -1 : shape->dims[i].size;
    }
    Value *input = open < 2 ? NULL : find_input(graph, shape);
    if (open < 2)
        *ret = graph_add_ints(graph, "shape", shape->rank, sizes);
    else if (input != NULL)
        TRY(read_shape(graph, before, input, shape, ret));
    if (*ret != NULL)
        joiner->backs[joiner->n_backs++ % REMEMBERED] = (Back){*shape, *ret};
    return NULL;
}

/* ---- the rewrite --------------------------------------------------------------------------------------------------- */

static void decide_reshape(QuantPlan *plan, const Node *reshape, const ValueDecision *like)
{
    ValueDecision *decision = quant_value_decision(plan, reshape->out[0]);
    *decision = *like;
    decision->range = NULL; /* one row of the report for one range */
    decision->by_integer = true;
    plan->nodes[reshape->id].fate = like->quantized ? FATE_INTEGER : FATE_FLOAT;
}

/* x as a matrix, with the scale that it has. */
static Status flatten(PassContext *context, Joiner *joiner, Node *before, Value **ret)
{
    Value *x = before->in[0];
    for (size_t k = 0; k < MIN(joiner->n_flats, (size_t)REMEMBERED); k++)
        if (joiner->flats[k].x == x) {
            *ret = joiner->flats[k].flat;
            return NULL;
        }
    Graph *graph = before->graph;
    int64_t sizes[2] = {-1, before->in[1]->constant->dims[0]};
    Node *reshape = pass_add_node(graph, before, "Reshape", "", 2, (Value *[]){x, graph_add_ints(graph, "shape", 2, sizes)});
    TRY(ops_infer_node(reshape));
    quant_plan_grow(context->plan, context->model);
    decide_reshape(context->plan, reshape, quant_value_decision(context->plan, x));
    joiner->flats[joiner->n_flats++ % REMEMBERED] = (Flat){x, reshape->out[0]};
    *ret = reshape->out[0];
    return NULL;
}

static Status join(PassContext *context, Joiner *joiner, Node *matmul, Node *add, int bias)
{
    Graph *graph = matmul->graph;
    QuantPlan *plan = context->plan;
    Value *product = matmul->out[0], *flat = NULL, *shape = NULL, *row = NULL;
    TRY(shape_back(joiner, graph, matmul, &product->type.shape, &shape));
    if (shape == NULL)
        return NULL;
    TRY(flatten(context, joiner, matmul, &flat));
    TRY(pass_column_bias(add, bias, matmul->in[1]->constant->dims[1], &row));
    matmul->op_type = "Gemm";
    node_set_input(matmul, 0, flat);
    node_set_input(matmul, 2, row);
    ops_bind_node(matmul);
    Shape matrix = {.rank = 2, .dims = {DIM_UNKNOWN, product->type.shape.dims[product->type.shape.rank - 1]}};
    product->type = type_tensor(DT_FLOAT, &matrix);
    TRY(ops_infer_node(matmul));
    plan->nodes[matmul->id].runs_as = "QGemm";

    Node *reshape = pass_add_node(graph, add, "Reshape", "", 2, (Value *[]){product, shape});
    TRY(ops_infer_node(reshape));
    quant_plan_grow(plan, context->model);
    ValueDecision *after = quant_value_decision(plan, add->out[0]);
    *quant_value_decision(plan, product) = *after;
    decide_reshape(plan, reshape, after);
    after->quantized = false;
    plan->nodes[add->id].fate = FATE_ABSORBED;
    plan->nodes[add->id].runs_as = "part of the product in front of it";
    ++*context->changes;
    return pass_replace_node(add, reshape->out[0]);
}

static Status run(PassContext *context)
{
    if (!context->target->open_products)
        return NULL;
    Joiner *joiner = arena_alloc(context->scratch, sizeof *joiner);
    for (Node *node = context->model->graph->first; node != NULL; node = node->next) {
        int bias = 0;
        Node *add = is_candidate(context, node) ? find_bias(node, &bias) : NULL;
        if (add == NULL)
            continue;
        bool integers = quant_fate(context->plan, add) == FATE_INTEGER;
        const ValueDecision *product = quant_value_decision(context->plan, node->out[0]);
        const ValueDecision *sum = quant_value_decision(context->plan, add->out[0]);
        if (integers ? sum != NULL && sum->quantized : !product->quantized)
            TRY(join(context, joiner, node, add, bias));
    }
    return NULL;
}

const Pass pass_quantize_join_biases = {
    .name = "quantize_join_biases",
    .stage = PASS_QUANTIZE,
    .summary = "makes a Gemm between two Reshapes of a MatMul with a weight and the bias behind it",
    .run = run,
};
