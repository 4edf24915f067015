/* infer.c - types and shapes of a graph's values, and the elements of small integer tensors that shapes come from.
 *
 *     x: float[N,3,8,8]  Shape ─> [N,3,8,8] ─ Gather 0 ─> N ─ Concat(., [-1]) ─> [N,-1] ─ Reshape ─> float[N,192]
 *
 * A Value's `content` holds what is known of its elements: a number, the name of a symbolic dim, or nothing.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/ir/ahead.h"
#include "src/ops/family.h"

const char dim_minus_one[] = "-1";

static Status contradicted(Node *node, const Value *value, const Shape *declared)
{
    Model *model = node->graph->model;
    Status status = node_error(node, CODE_MODEL, "output '%s' is declared %s but the op gives %s", value->name,
                               shape_text(model->arena, declared), shape_text(model->arena, &value->type.shape));
    if (!model->as_filed)
        return status;
    if (model->n_contradicted++ == 0)
        model->contradiction = arena_strdup(model->arena, status_message(status));
    status_free(status);
    return NULL;
}

/* What the file declared of an output meets what was inferred. */
static Status merge_output(Node *node, int i, const Type *declared)
{
    Value *value = node->out[i];
    Type *type = &value->type;
    Shape merged;
    Status status;

    if (type->kind == TYPE_UNKNOWN || (type->kind == TYPE_TENSOR && declared->kind != TYPE_TENSOR &&
                                       declared->kind != TYPE_UNKNOWN && type->dtype == DT_UNDEFINED)) {
        type_copy(type, declared);
        return NULL;
    }
    if (declared->kind == TYPE_UNKNOWN)
        return NULL;
    if (declared->kind != type->kind)
        return node_error(node, CODE_MODEL, "output '%s' is declared with another kind of type than the op gives",
                          value->name);
    if (type->kind != TYPE_TENSOR)
        return NULL;
    if (type->dtype == DT_UNDEFINED)
        type->dtype = declared->dtype;
    else if (declared->dtype != DT_UNDEFINED && declared->dtype != type->dtype)
        return node_error(node, CODE_MODEL, "output '%s' is declared %s but the op gives %s", value->name,
                          dtype_name(declared->dtype), dtype_name(type->dtype));
    status = shape_merge(&type->shape, &declared->shape, &merged);
    if (status == NULL) {
        shape_copy(&type->shape, &merged);
        return NULL;
    }
    status_free(status);
    return contradicted(node, value, &declared->shape);
}

int content_of_tensor(const Tensor *tensor, Dim *ret, int max)
{
    bool whole = dtype_is_integer(tensor->dtype) || tensor->dtype == DT_BOOL;

    if (tensor->rank > 1 || tensor->count > max || !(whole || dtype_is_float(tensor->dtype)))
        return -1;
    for (int64_t i = 0; i < tensor->count; i++) {
        double x = whole ? 0 : tensor_get(tensor, i);
        if (whole)
            ret[i] = content_element(tensor_get_int(tensor, i));
        else
            ret[i] = fabs(x) < 1e15 && x == floor(x) ? content_element((int64_t)x) : DIM_UNKNOWN;
    }
    return (int)tensor->count;
}

bool content_literal(Dim dim, int64_t *ret)
{
    if (dim.size == -1 && dim.name != dim_minus_one)
        return false;
    *ret = dim.size;
    return true;
}

Dim content_element(int64_t literal)
{
    return (Dim){literal, literal == -1 ? dim_minus_one : NULL};
}

Dim content_to_dim(Dim element)
{
    if (element.size >= 0)
        return dim_known(element.size);
    if (element.size < -1 || element.name == dim_minus_one)
        return DIM_UNKNOWN;
    return element;
}

Dim dim_product(const Dim *dims, int n)
{
    int64_t known = 1;
    const char *name = NULL;
    int unknown = 0;

    for (int i = 0; i < n; i++) {
        if (!dim_is_known(dims[i])) {
            name = dims[i].name;
            unknown++;
        } else if (__builtin_mul_overflow(known, dims[i].size, &known)) {
            return DIM_UNKNOWN;
        }
    }
    if (known == 0 || unknown == 0)
        return dim_known(known);
    return unknown == 1 && known == 1 ? (Dim){-1, name} : DIM_UNKNOWN;
}

static void type_forget(Type *type)
{
    type->kind = TYPE_UNKNOWN;
    type->dtype = DT_UNDEFINED;
    type->element = NULL;
    type->shape.rank = -1;
}

const Type *infer_type(const Node *node, int i)
{
    static const Type unknown = {TYPE_UNKNOWN, DT_UNDEFINED, {-1, {{0, NULL}}}, NULL};
    const Value *value = node_in(node, i);

    return value != NULL ? &value->type : &unknown;
}

DType infer_dtype(const Node *node, int i)
{
    const Type *type = infer_type(node, i);

    return type->kind == TYPE_TENSOR ? type->dtype : DT_UNDEFINED;
}

Shape infer_shape(const Node *node, int i)
{
    const Type *type = infer_type(node, i);
    Shape shape;

    shape.rank = -1;
    if (type->kind == TYPE_TENSOR)
        shape_copy(&shape, &type->shape);
    return shape;
}

void infer_output(Node *node, int i, DType dtype, const Shape *shape)
{
    Type *type;

    if (i >= node->n_out || node->out[i] == NULL)
        return;
    type = &node->out[i]->type;
    type->kind = TYPE_TENSOR;
    type->dtype = dtype;
    type->element = NULL;
    shape_copy(&type->shape, shape);
}

int infer_content(const Node *node, int i, Dim *ret, int max)
{
    const Value *value = node_in(node, i);
    int n;

    if (value == NULL)
        return -1;
    if (value->constant != NULL)
        return content_of_tensor(value->constant, ret, max);
    if (value->content != NULL) {
        if (value->n_content > max)
            return -1;
        for (int k = 0; k < value->n_content; k++)
            ret[k] = value->content[k];
        return value->n_content;
    }
    /* Not one element is known, but how many there are. */
    if (value->type.kind != TYPE_TENSOR || value->type.shape.rank < 0 || value->type.shape.rank > 1)
        return -1;
    if (value->type.shape.rank == 1 &&
        (!dim_is_known(value->type.shape.dims[0]) || value->type.shape.dims[0].size > max))
        return -1;
    n = value->type.shape.rank == 0 ? 1 : (int)value->type.shape.dims[0].size;
    for (int k = 0; k < n && k < max; k++)
        ret[k] = DIM_UNKNOWN;
    return n <= max ? n : -1;
}

void infer_set_content(Node *node, int i, const Dim *dims, int n)
{
    bool any = false;
    Value *value;

    if (i >= node->n_out || node->out[i] == NULL || n < 0 || n > INFER_MAX_CONTENT)
        return;
    for (int k = 0; k < n; k++)
        any = any || dims[k].size != -1 || dims[k].name != NULL;
    if (!any)
        return;
    value = node->out[i];
    if (value->room_content < n) {
        value->content_room = arena_array(node->graph->model->arena, (size_t)n, sizeof(Dim));
        value->room_content = n;
    }
    value->content = value->content_room;
    node->graph->model->learned += memcmp(value->content, dims, (size_t)n * sizeof(Dim)) != 0;
    memcpy(value->content, dims, (size_t)n * sizeof(Dim));
    value->n_content = n;
}

Status infer_axis(const Node *node, int64_t axis, int rank, int *ret)
{
    if (axis < -rank || axis >= rank)
        return node_error(node, CODE_MODEL, "axis %lld is out of range for rank %d", (long long)axis, rank);
    *ret = (int)(axis < 0 ? axis + rank : axis);
    return NULL;
}

Status infer_rank_at_least(const Node *node, int i, int rank)
{
    Shape shape = infer_shape(node, i);

    if (shape.rank >= 0 && shape.rank < rank)
        return node_error(node, CODE_MODEL, "input %d has rank %d, %s needs at least %d", i, shape.rank, node->op_type,
                          rank);
    return NULL;
}

Status infer_axes(const Node *node, int input, int rank, int ret[TENSOR_MAX_RANK], int *ret_n)
{
    int64_t axes[TENSOR_MAX_RANK];
    int64_t n = 0;
    const int64_t *listed = NULL;
    bool seen[TENSOR_MAX_RANK] = {false};

    if (input >= 0 && node_in(node, input) != NULL) {
        Dim dims[TENSOR_MAX_RANK];
        n = infer_content(node, input, dims, TENSOR_MAX_RANK);
        for (int i = 0; i < n; i++)
            if (!content_literal(dims[i], &axes[i]))
                n = -1;
        if (n < 0) {
            *ret_n = -1;
            return NULL;
        }
        listed = axes;
    } else if (input < 0) {
        listed = node_ints(node, "axes", &n);
    }
    if (n > rank)
        return node_error(node, CODE_MODEL, "%lld axes for rank %d", (long long)n, rank);
    for (int64_t i = 0; i < n; i++) {
        TRY(infer_axis(node, listed[i], rank, &ret[i]));
        if (seen[ret[i]])
            return node_error(node, CODE_MODEL, "axis %lld is given twice", (long long)listed[i]);
        seen[ret[i]] = true;
    }
    *ret_n = (int)n;
    return NULL;
}

Status infer_same_as_input(Node *node)
{
    Shape shape = infer_shape(node, 0);

    infer_output(node, 0, infer_dtype(node, 0), &shape);
    return NULL;
}

Status infer_broadcast(Node *node)
{
    Shape shape = infer_shape(node, 0);

    for (int i = 1; i < node->n_in; i++) {
        Shape other = infer_shape(node, i), joined;
        Status status = shape_broadcast(&shape, &other, &joined);
        if (status != NULL) {
            Arena *arena = node->graph->model->arena;
            status_free(status);
            return node_error(node, CODE_MODEL, "shapes %s and %s do not broadcast", shape_text(arena, &shape),
                              shape_text(arena, &other));
        }
        shape_copy(&shape, &joined);
    }
    infer_output(node, 0, infer_dtype(node, 0), &shape);
    return NULL;
}

static bool type_is_same(const Type *a, const Type *b)
{
    if (a->kind != b->kind || a->dtype != b->dtype || a->element != b->element || a->shape.rank != b->shape.rank)
        return false;
    for (int i = 0; i < a->shape.rank; i++)
        if (a->shape.dims[i].size != b->shape.dims[i].size || a->shape.dims[i].name != b->shape.dims[i].name)
            return false;
    return true;
}

Status ops_infer_node(Node *node)
{
    Type few[2], *declared = few;
    int few_contents[2], *contents = few_contents; /* elements that were known; whether they changed infer_set_content() tells */
    Status status;

    if (node->def == NULL || node->def->infer == NULL)
        return NULL;
    node->graph->model->steps++;
    if ((size_t)node->n_out > COUNT_OF(few))
        declared = xcalloc((size_t)node->n_out, sizeof *declared), contents = xcalloc((size_t)node->n_out, sizeof *contents);
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == NULL)
            continue;
        type_copy(&declared[i], &node->out[i]->type);
        type_forget(&node->out[i]->type);
        contents[i] = node->out[i]->content == NULL ? -1 : node->out[i]->n_content;
        node->out[i]->content = NULL;
        node->out[i]->n_content = 0;
    }
    status = node->def->infer(node);
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == NULL)
            continue;
        if (status == NULL)
            status = merge_output(node, i, &declared[i]);
        else
            type_copy(&node->out[i]->type, &declared[i]);
        node->graph->model->learned += !type_is_same(&node->out[i]->type, &declared[i]) ||
                                       contents[i] != (node->out[i]->content == NULL ? -1 : node->out[i]->n_content);
    }
    if (declared != few) {
        free(declared);
        free(contents);
    }
    return status;
}

Status infer_graph(Graph *graph)
{
    Ahead ahead = ahead_of(graph);
    for (Node *node = graph->first; node != NULL; node = node->next) {
        ahead_step(&ahead);
        TRY(ops_infer_node(node));
    }
    return NULL;
}

Status ops_infer(Model *model)
{
    return infer_graph(model->graph);
}

Status ops_infer_file(Model *model)
{
    model->as_filed = true;
    Status status = ops_infer(model);
    model->as_filed = false;
    return status;
}
