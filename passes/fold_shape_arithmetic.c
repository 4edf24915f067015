/* fold_shape_arithmetic.c - values put together from sizes and numbers are made in the fewest nodes.
 *
 *     Shape(x) ─ Gather 2 ─ Unsqueeze ─┐                        Concat (Shape(x), [64]) ─ Gather [0, 4, 2, 3]
 *     Shape(x) ─ Gather 3 ─ Unsqueeze ─┼ Concat ─     ->
 *     Shape(y) ─ Slice [0, 2) ─────────┘                        (y is as wide as x in axis 0, axis 1 of y is 64)
 *
 *     Where (Equal (d, -1), 1, d), d = Concat (n, [-1])   ->    Concat (n, [1])          a size is never negative
 *
 * Each element of a small integer value is followed to a number or to "the size of x in axis i", with x as early in
 * the graph as that size goes back through ops that keep it. A value that something else than such arithmetic reads
 * is made anew when that takes fewer nodes than die with the old way.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ELEMENTS 16
#define MAX_WALK 64  /* producers that a size is followed through */
#define MAX_DYING 64 /* nodes counted that a rewrite would leave dead */

/* The size of `of` in `axis`, or a number when `of` is NULL. */
typedef struct Element {
    Value *of;
    int axis;
    int64_t number;
} Element;

typedef struct Elements {
    int n;
    int rank; /* 0 or 1 */
    Element at[MAX_ELEMENTS];
} Elements;

typedef struct Sweep {
    PassContext *context;
    Elements **known; /* by value id */
    uint32_t n_known;
} Sweep;

/* ---- where a size comes from ------------------------------------------------------------------------------------- */

/* The input and axis that surely have the size of the output in *axis; NULL when this node changes it. */
static Value *step_back(const Node *node, int *axis)
{
    Shape in = infer_shape(node, 0);
    int64_t n;
    if (node->n_in < 1 || node->in[0] == NULL || in.rank < 0 || in.rank > TENSOR_MAX_RANK)
        return NULL;
    if (pass_is_unary(node) || node_is(node, "Softmax") || node_is(node, "LogSoftmax") || node_is(node, "Identity"))
        return node->in[0];
    if (node_is(node, "Transpose")) {
        const int64_t *perm = node_ints(node, "perm", &n);
        if (perm != NULL ? n != in.rank || perm[*axis] < 0 || perm[*axis] >= in.rank : *axis >= in.rank)
            return NULL;
        *axis = perm != NULL ? (int)perm[*axis] : in.rank - 1 - *axis;
        return node->in[0];
    }
    if (node_is(node, "Conv") || node_is(node, "MaxPool") || node_is(node, "AveragePool") ||
        node_is(node, "GlobalAveragePool") || node_is(node, "BatchNormalization"))
        return *axis == 0 ? node->in[0] : NULL;
    if (node_is(node, "Unsqueeze")) {
        const Tensor *axes = pass_constant(node, 1);
        int rank = axes == NULL ? 0 : in.rank + (int)axes->count, before = 0;
        for (int64_t i = 0; axes != NULL && i < axes->count; i++) {
            int64_t added = tensor_get_int(axes, i);
            added += added < 0 ? rank : 0;
            if (added == *axis)
                return NULL;
            before += added < *axis;
        }
        *axis -= before;
        return axes == NULL || *axis < 0 || *axis >= in.rank ? NULL : node->in[0];
    }
    if (node_is(node, "Gather") && node_in(node, 1) != NULL && infer_shape(node, 1).rank == 0) {
        int64_t gone = node_int(node, "axis", 0);
        gone += gone < 0 ? in.rank : 0;
        *axis += *axis >= gone;
        return *axis < in.rank ? node->in[0] : NULL;
    }
    return NULL;
}

static Element follow_size(Value *of, int axis)
{
    for (int i = 0; i < MAX_WALK; i++) {
        Dim dim = of->type.shape.dims[axis];
        if (dim_is_known(dim))
            return (Element){NULL, 0, dim.size};
        int back_axis = axis;
        Node *node = of->producer;
        Value *back = node == NULL || node->domain[0] != '\0' || of->producer_output != 0 || node->graph != of->graph
                          ? NULL : step_back(node, &back_axis);
        if (back == NULL || back->graph != of->graph || back->type.kind != TYPE_TENSOR ||
            back_axis >= back->type.shape.rank)
            break;
        of = back;
        axis = back_axis;
    }
    return (Element){of, axis, 0};
}

static bool same_element(const Element *a, const Element *b)
{
    if (a->of == NULL || b->of == NULL)
        return a->of == b->of && a->number == b->number;
    if (a->of == b->of && a->axis == b->axis)
        return true;
    return dim_equal(a->of->type.shape.dims[a->axis], b->of->type.shape.dims[b->axis]);
}

/* ---- the elements of each value ---------------------------------------------------------------------------------- */

static bool read_value(const Sweep *sweep, const Value *value, Elements *ret)
{
    if (value == NULL)
        return false;
    if (value->id < sweep->n_known && sweep->known[value->id] != NULL) {
        *ret = *sweep->known[value->id];
        return true;
    }
    const Tensor *tensor = value->constant;
    if (!pass_value_is_constant(value) || tensor->rank > 1 || tensor->count > MAX_ELEMENTS ||
        (tensor->dtype != DT_INT64 && tensor->dtype != DT_INT32 && tensor->dtype != DT_BOOL))
        return false;
    ret->n = (int)tensor->count;
    ret->rank = tensor->rank;
    for (int i = 0; i < ret->n; i++)
        ret->at[i] = (Element){NULL, 0, tensor_get_int(tensor, i)};
    return true;
}

static bool read_input(const Sweep *sweep, const Node *node, int i, Elements *ret)
{
    return read_value(sweep, node_in(node, i), ret);
}

static bool only_numbers(const Elements *e)
{
    for (int i = 0; i < e->n; i++)
        if (e->at[i].of != NULL)
            return false;
    return true;
}

static bool shape_elements(const Node *node, Elements *ret)
{
    Shape shape = infer_shape(node, 0);
    if (shape.rank < 0 || shape.rank > MAX_ELEMENTS || node->in[0]->graph != node->graph)
        return false;
    int64_t start = node_int(node, "start", 0), end = node_int(node, "end", shape.rank);
    start = MIN(MAX(start < 0 ? start + shape.rank : start, 0), shape.rank);
    end = MIN(MAX(end < 0 ? end + shape.rank : end, 0), shape.rank);
    ret->rank = 1;
    ret->n = 0;
    for (int64_t i = start; i < end; i++)
        ret->at[ret->n++] = follow_size(node->in[0], (int)i);
    return true;
}

static bool gather_elements(const Elements *data, const Elements *indices, Elements *ret)
{
    if (data->rank != 1 || !only_numbers(indices))
        return false;
    ret->rank = indices->rank;
    ret->n = indices->n;
    for (int i = 0; i < indices->n; i++) {
        int64_t index = indices->at[i].number;
        index += index < 0 ? data->n : 0;
        if (index < 0 || index >= data->n)
            return false;
        ret->at[i] = data->at[index];
    }
    return true;
}

static bool slice_elements(const Sweep *sweep, const Node *node, const Elements *data, Elements *ret)
{
    Elements start, end, steps;
    if (data->rank != 1 || !read_input(sweep, node, 1, &start) || !read_input(sweep, node, 2, &end) || start.n != 1 ||
        end.n != 1 || !only_numbers(&start) || !only_numbers(&end))
        return false;
    if (node_in(node, 4) != NULL &&
        (!read_input(sweep, node, 4, &steps) || !only_numbers(&steps) || steps.n != 1 || steps.at[0].number != 1))
        return false;
    int64_t from = start.at[0].number, to = end.at[0].number;
    from = from < 0 ? MAX(from + data->n, 0) : MIN(from, data->n);
    to = to < 0 ? (to < -data->n ? 0 : to + data->n) : MIN(to, data->n);
    ret->rank = 1;
    ret->n = 0;
    for (int64_t i = from; i < to; i++)
        ret->at[ret->n++] = data->at[i];
    return true;
}

static bool concat_elements(const Sweep *sweep, const Node *node, Elements *ret)
{
    Elements part;
    ret->rank = 1;
    ret->n = 0;
    for (int i = 0; i < node->n_in; i++) {
        if (!read_input(sweep, node, i, &part) || part.rank != 1 || ret->n + part.n > MAX_ELEMENTS)
            return false;
        memcpy(&ret->at[ret->n], part.at, (size_t)part.n * sizeof(part.at[0]));
        ret->n += part.n;
    }
    return true;
}

/* Numbers 0 and 1 for false and true. */
static bool equal_elements(const Elements *a, const Elements *b, Elements *ret)
{
    if (a->n != b->n && a->n != 1 && b->n != 1)
        return false;
    ret->rank = MAX(a->rank, b->rank);
    ret->n = MAX(a->n, b->n);
    for (int i = 0; i < ret->n; i++) {
        const Element *x = &a->at[a->n == 1 ? 0 : i], *y = &b->at[b->n == 1 ? 0 : i];
        bool same = same_element(x, y);
        bool differ = (x->of == NULL && y->of == NULL) || (x->of == NULL && x->number < 0) ||
                      (y->of == NULL && y->number < 0);
        if (!same && !differ)
            return false;
        ret->at[i] = (Element){NULL, 0, same};
    }
    return true;
}

static bool where_elements(const Sweep *sweep, const Node *node, Elements *ret)
{
    Elements condition, yes, no;
    if (!read_input(sweep, node, 0, &condition) || !only_numbers(&condition) || !read_input(sweep, node, 1, &yes) ||
        !read_input(sweep, node, 2, &no))
        return false;
    ret->n = MAX(condition.n, MAX(yes.n, no.n));
    ret->rank = MAX(condition.rank, MAX(yes.rank, no.rank));
    if ((condition.n != ret->n && condition.n != 1) || (yes.n != ret->n && yes.n != 1) ||
        (no.n != ret->n && no.n != 1))
        return false;
    for (int i = 0; i < ret->n; i++) {
        const Elements *from = condition.at[condition.n == 1 ? 0 : i].number != 0 ? &yes : &no;
        ret->at[i] = from->at[from->n == 1 ? 0 : i];
    }
    return true;
}

/* Same elements under another shape of rank 0 or 1. */
static bool reshaped_elements(const Node *node, const Elements *data, Elements *ret)
{
    const Type *type = &node->out[0]->type;
    if (type->kind != TYPE_TENSOR || type->shape.rank < 0 || type->shape.rank > 1)
        return false;
    *ret = *data;
    ret->rank = type->shape.rank;
    return ret->rank == 1 || ret->n == 1;
}

static bool is_arithmetic(const Node *node)
{
    static const char *const ops[] = {"Shape", "Gather", "Slice", "Concat", "Unsqueeze", "Squeeze", "Reshape",
                                      "Identity", "Equal", "Where", NULL};
    for (const char *const *op = ops; *op != NULL; op++)
        if (node_is(node, *op))
            return true;
    return false;
}

static bool node_elements(const Sweep *sweep, const Node *node, Elements *ret)
{
    Elements data, other;
    if (!is_arithmetic(node) || node->n_out != 1 || node->out[0] == NULL || node->out[0]->type.kind != TYPE_TENSOR)
        return false;
    DType dtype = node->out[0]->type.dtype;
    if (node_is(node, "Equal"))
        return read_input(sweep, node, 0, &data) && read_input(sweep, node, 1, &other) &&
               equal_elements(&data, &other, ret);
    if (dtype != DT_INT64)
        return false;
    if (node_is(node, "Shape"))
        return node_in(node, 0) != NULL && shape_elements(node, ret);
    if (node_is(node, "Concat"))
        return concat_elements(sweep, node, ret);
    if (node_is(node, "Where"))
        return where_elements(sweep, node, ret);
    if (!read_input(sweep, node, 0, &data))
        return false;
    if (node_is(node, "Gather"))
        return read_input(sweep, node, 1, &other) && gather_elements(&data, &other, ret);
    if (node_is(node, "Slice"))
        return slice_elements(sweep, node, &data, ret);
    return reshaped_elements(node, &data, ret);
}

/* ---- making a value anew ----------------------------------------------------------------------------------------- */

/* The sizes of one value, a number after them at index rank + k, and which of both each element is. */
typedef struct Recipe {
    Value *of;
    int n_numbers;
    int64_t numbers[MAX_ELEMENTS];
    int index[MAX_ELEMENTS]; /* into sizes and numbers */
    bool whole;              /* index is 0..rank-1: the Shape alone will do */
    int cost;                /* nodes, later less those that die */
} Recipe;

/* The axis of `of` that has the size; the place of the element is preferred. */
static int find_axis(const Element *element, Value *of, int place)
{
    const Shape *shape = &of->type.shape;
    for (int i = -1; i < shape->rank; i++) {
        int axis = i < 0 ? place : i;
        if (axis >= shape->rank)
            continue;
        Element size = {of, axis, 0};
        if (dim_is_known(shape->dims[axis]))
            size = (Element){NULL, 0, shape->dims[axis].size};
        if (same_element(&size, element) && (element->of != NULL || axis == place))
            return axis;
    }
    return -1;
}

/* A Shape of the value that stays when those nodes die: the new one will be merged with it. */
static bool has_shape_node(const Value *of, const Node *near, Node *const *dying, int n_dying)
{
    for (size_t i = 0; i < of->n_uses && i < MAX_WALK; i++) {
        const Node *node = of->uses[i].node;
        bool stays = node_is(node, "Shape") && node->n_attrs == 0 && node->graph == near->graph;
        for (int d = 0; d < n_dying && stays; d++)
            stays = dying[d] != node;
        if (stays)
            return true;
    }
    return false;
}

static bool make_recipe(const Elements *e, Value *of, Recipe *ret)
{
    Recipe recipe = {.of = of, .whole = e->n == of->type.shape.rank && e->rank == 1};
    int rank = of->type.shape.rank, n_sizes = 0;
    for (int i = 0; i < e->n; i++) { /* numbers only where they are needed */
        recipe.index[i] = find_axis(&e->at[i], of, i);
        if (recipe.index[i] < 0 && e->at[i].of != NULL)
            return false;
        recipe.whole = recipe.whole && recipe.index[i] == i;
    }
    for (int i = 0; i < e->n && !recipe.whole; i++) {
        if (e->at[i].of != NULL) {
            n_sizes++;
            continue;
        }
        int k = 0;
        while (k < recipe.n_numbers && recipe.numbers[k] != e->at[i].number)
            k++;
        if (k == recipe.n_numbers)
            recipe.numbers[recipe.n_numbers++] = e->at[i].number;
        recipe.index[i] = rank + k;
    }
    /* Shape, Gather, and a Concat where there are numbers. */
    recipe.cost = recipe.whole ? 1 : recipe.n_numbers > 0 ? 3 : 2;
    *ret = recipe;
    return recipe.whole || n_sizes > 0;
}

/* Nodes that die when `node` does while `kept` is still read, `node` included. */
static int collect_dying(Node *node, const Value *kept, Node *dying[MAX_DYING])
{
    int n = 1;
    dying[0] = node;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < dying[i]->n_in; j++) {
            const Value *in = dying[i]->in[j];
            Node *producer = in == NULL ? NULL : in->producer;
            if (producer == NULL || in == kept || producer->n_out != 1 || in->n_outputs > 0 || n == MAX_DYING)
                continue;
            bool dies = true, known = false;
            for (size_t k = 0; k < in->n_uses && dies; k++) {
                dies = false;
                for (int d = 0; d < n && !dies; d++)
                    dies = dying[d] == in->uses[k].node;
            }
            for (int d = 0; d < n; d++)
                known = known || dying[d] == producer;
            if (dies && !known)
                dying[n++] = producer;
        }
    }
    return n;
}

static Value *make_numbers(Model *model, Graph *graph, int64_t n, const int64_t *numbers, int rank)
{
    return graph_add_constant(graph, model_fresh_name(model, "sizes"),
                              tensor_new_ints(model->arena, rank, &n, numbers));
}

static Status make_value(Node *node, const Recipe *recipe, const Elements *e, Value **ret)
{
    Graph *graph = node->graph;
    Model *model = graph->model;
    Node *made = pass_add_node(graph, node, "Shape", node->name, 1, (Value *[]){recipe->of});
    TRY(ops_infer_node(made));
    if (recipe->whole) {
        *ret = made->out[0];
        return NULL;
    }
    if (recipe->n_numbers > 0) {
        Value *in[2] = {made->out[0], make_numbers(model, graph, recipe->n_numbers, recipe->numbers, 1)};
        made = pass_add_node(graph, node, "Concat", node->name, 2, in);
        node_set_int(made, "axis", 0);
        TRY(ops_infer_node(made));
    }
    int64_t index[MAX_ELEMENTS];
    for (int i = 0; i < e->n; i++)
        index[i] = recipe->index[i];
    Value *in[2] = {made->out[0], make_numbers(model, graph, e->n, index, e->rank)};
    made = pass_add_node(graph, node, "Gather", node->name, 2, in);
    node_set_int(made, "axis", 0);
    TRY(ops_infer_node(made));
    *ret = made->out[0];
    return NULL;
}

/* Read by something that does more with it than pick and join elements. */
static bool is_root(const Value *value)
{
    for (size_t i = 0; i < value->n_uses; i++) {
        const Node *user = value->uses[i].node;
        if (!is_arithmetic(user) || (node_is(user, "Reshape") && value->uses[i].input == 1) ||
            (node_is(user, "Slice") && value->uses[i].input > 0))
            return true;
    }
    return value->n_outputs > 0;
}

static Status rewrite(Sweep *sweep, Node *node, const Elements *e)
{
    Recipe best = {.cost = INT32_MAX}, recipe;
    Node *dying[MAX_DYING];
    if (only_numbers(e) || !is_root(node->out[0]) || node_is(node, "Shape") || node->out[0]->n_outputs > 0)
        return NULL;
    for (int i = 0; i < e->n; i++) {
        Value *of = e->at[i].of;
        if (of == NULL || of->graph != node->graph || !make_recipe(e, of, &recipe))
            continue;
        int n_dying = collect_dying(node, of, dying);
        recipe.cost -= n_dying + has_shape_node(of, node, dying, n_dying);
        best = recipe.cost < best.cost ? recipe : best;
    }
    if (best.cost >= 0)
        return NULL;
    Value *value;
    TRY(make_value(node, &best, e, &value));
    ++*sweep->context->changes;
    return pass_replace_node(node, value);
}

static Status visit(PassContext *context, Node *node)
{
    Sweep *sweep = context->own;
    Elements elements;
    if (!node_elements(sweep, node, &elements))
        return NULL;
    if (node->out[0]->id < sweep->n_known)
        sweep->known[node->out[0]->id] = arena_copy(context->scratch, &elements, sizeof(elements));
    return rewrite(sweep, node, &elements);
}

static Status run(PassContext *context)
{
    Sweep *sweep = arena_array(context->scratch, 1, sizeof(*sweep));
    *sweep = (Sweep){context, NULL, context->model->n_ids};
    sweep->known = arena_array(context->scratch, sweep->n_known, sizeof(sweep->known[0]));
    context->own = sweep;
    return pass_each_node(context, visit);
}

const Pass pass_fold_shape_arithmetic = {
    .name = "fold_shape_arithmetic",
    .stage = PASS_SIMPLIFY,
    .ops = "Shape Gather Slice Concat Unsqueeze Squeeze Reshape Identity Equal Where",
    .summary = "values put together from sizes and numbers are made in the fewest nodes",
    .run = run,
};
