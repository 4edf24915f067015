/* helpers.c - what several passes need: replacing and removing nodes with respect for names, uses and inner graphs. */
#include "passes/roster.h"

#include "src/ops/ops.h"

#include <string.h>

#include <stdlib.h>

static void release_tensor(void *tensor)
{
    tensor_release(tensor);
}

Tensor *pass_keep_tensor(Model *model, Tensor *from)
{
    Tensor *tensor = arena_alloc(model->arena, sizeof(*tensor));
    *tensor = *from;
    *from = (Tensor){0};
    arena_on_free(model->arena, release_tensor, tensor);
    return tensor;
}

bool node_has_graph(const Node *node)
{
    for (int i = 0; i < node_graph_attrs(node); i++)
        if (node->attrs[i].kind == ATTR_GRAPH || node->attrs[i].kind == ATTR_GRAPHS)
            return true;
    return false;
}

static int compare_row(const void *key, const void *row)
{
    return strcmp(key, *(const char *const *)row);
}

const void *pass_find_row(const char *op_type, const void *rows, size_t n, size_t size)
{
    return bsearch(op_type, rows, n, size, compare_row);
}

bool pass_is_elementwise(const Node *node)
{
#define LISTED(op) op,
    static const char *const ops[] = {PASS_ELEMENTWISE(LISTED)};
    return node->def != NULL && node->domain[0] == '\0' && node->n_out == 1 && node->out[0] != NULL &&
           PASS_ROW(node->op_type, ops) != NULL;
}

bool pass_is_unary(const Node *node)
{
    return pass_is_elementwise(node) && (node->n_in == 1 || node_is(node, "Clip"));
}

bool pass_value_is_constant(const Value *value)
{
    return value != NULL && value->constant != NULL && !value->is_input;
}

const Tensor *pass_constant(const Node *node, int i)
{
    const Value *value = node_in(node, i);
    return pass_value_is_constant(value) ? value->constant : NULL;
}

bool pass_is_scalar_constant(const Value *value, double *ret)
{
    if (!pass_value_is_constant(value) || value->constant->count != 1)
        return false;
    DType dtype = value->constant->dtype;
    if (!dtype_is_float(dtype) && !dtype_is_integer(dtype))
        return false;
    *ret = tensor_get(value->constant, 0);
    return true;
}

bool pass_read_axes(const Node *node, int rank, int *ret_n, int ret[TENSOR_MAX_RANK])
{
    int64_t n;
    const int64_t *list = node_ints(node, "axes", &n);
    const Tensor *tensor = pass_constant(node, 1);
    bool seen[TENSOR_MAX_RANK] = {false};
    if (rank < 0 || (node_in(node, 1) != NULL && tensor == NULL))
        return false;
    n = tensor != NULL ? tensor->count : n;
    bool all = n == 0 && node_int(node, "noop_with_empty_axes", 0) == 0;
    if (n > rank || (n == 0 && !all))
        return false;
    *ret_n = all ? rank : (int)n;
    for (int i = 0; i < *ret_n; i++) {
        int64_t axis = all ? i : tensor != NULL ? tensor_get_int(tensor, i) : list[i];
        axis += axis < 0 ? rank : 0;
        if (axis < 0 || axis >= rank || seen[axis])
            return false;
        seen[axis] = true;
        ret[i] = (int)axis;
    }
    return true;
}

bool pass_can_replace(const Node *node, const Value *replacement)
{
    const Value *out = node->out[0];
    return out->n_outputs == 0 || value_can_take_name(replacement, out);
}

static bool is_dead(const Node *node)
{
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL && (node->out[i]->n_uses > 0 || node->out[i]->n_outputs > 0))
            return false;
    return true;
}

void pass_remove_dead(Node *node)
{
    Node **stack = NULL;
    size_t n = 0, cap = 0;
    if (!is_dead(node))
        return;
    stack = array_reserve(stack, &cap, 1, sizeof(*stack));
    stack[n++] = node;
    while (n > 0) {
        Node *dead = stack[--n];
        /* Taking away the last use of a producer is what kills it, so each is pushed once. */
        for (int i = 0; i < dead->n_in; i++) {
            Value *in = dead->in[i];
            if (in == NULL)
                continue;
            node_set_input(dead, i, NULL);
            if (in->producer != NULL && is_dead(in->producer)) {
                stack = array_reserve(stack, &cap, n + 1, sizeof(*stack));
                stack[n++] = in->producer;
            }
        }
        node_remove(dead);
    }
    free(stack);
}

/* The types of both are true of one value: keep the more exact. A contradiction keeps what `to` says. */
static void merge_type(Value *to, const Value *from)
{
    if (to->type.kind == TYPE_UNKNOWN) {
        to->type = from->type;
        return;
    }
    Shape merged;
    if (to->type.kind != TYPE_TENSOR || from->type.kind != TYPE_TENSOR)
        return;
    if (to->type.dtype == DT_UNDEFINED)
        to->type.dtype = from->type.dtype;
    Status status = shape_merge(&to->type.shape, &from->type.shape, &merged);
    if (status == NULL)
        to->type.shape = merged;
    status_free(status);
}

Status pass_replace_node(Node *node, Value *replacement)
{
    Value *out = node->out[0];
    if (out->n_outputs == 0) {
        merge_type(replacement, out);
        value_replace_uses(out, replacement);
    } else if (value_can_take_name(replacement, out)) {
        merge_type(replacement, out);
        value_replace_node_uses(out, replacement);
        value_take_name(replacement, out);
    } else {
        value_replace_node_uses(out, replacement);
        Node *identity = pass_add_node(node->graph, node, "Identity", node->name, 1, &replacement);
        TRY(ops_infer_node(identity));
        value_take_name(identity->out[0], out);
    }
    pass_remove_dead(node);
    return NULL;
}

Status pass_make_constant(Node *node, int i, Tensor *tensor)
{
    Graph *graph = node->graph;
    Value *out = node->out[i];
    if (out->n_outputs > 0) {
        Value *constant = graph_add_constant(graph, model_fresh_name(graph->model, out->name), tensor);
        Node *identity = pass_add_node(graph, node, "Identity", node->name, 1, &constant);
        TRY(ops_infer_node(identity));
        value_replace_node_uses(out, constant);
        value_take_name(identity->out[0], out);
        return NULL;
    }
    node_set_output(node, i, NULL);
    value_set_constant(out, tensor);
    return NULL;
}

Node *pass_add_node(Graph *graph, Node *before, const char *op_type, const char *name, int n_in, Value *const *in)
{
    Node *node = graph_add_node(graph, before, op_type, "", name, n_in, in, 1, NULL);
    ops_bind_node(node);
    return node;
}

Node *pass_copy_node(const Node *from, Graph *graph, Node *before, Value *const *in)
{
    Node *node = graph_add_node(graph, before, from->op_type, from->domain, from->name, from->n_in, in, from->n_out, NULL);
    node->overload = from->overload;
    for (int i = 0; i < from->n_attrs; i++) {
        Attr *attr = node_add_attr(node, from->attrs[i].name, from->attrs[i].kind);
        *attr = from->attrs[i];
    }
    for (int i = 0; i < from->n_out; i++) {
        Value *out = node->out[i];
        if (from->out[i] != NULL) {
            out->type = from->out[i]->type;
            continue;
        }
        node_set_output(node, i, NULL);
        value_remove(out);
    }
    ops_bind_node(node);
    return node;
}

static Status visit_graph(PassContext *context, Graph *graph, PassVisit visit)
{
    for (Node *node = graph->first, *next; node != NULL; node = next) {
        next = node->next;
        for (int i = 0; i < node_graph_attrs(node); i++) {
            Graph *const *inner;
            int64_t n = attr_graphs(&node->attrs[i], &inner);
            for (int64_t j = 0; j < n; j++)
                TRY(visit_graph(context, inner[j], visit));
        }
        if (node->graph == NULL) /* gone in this very sweep */
            continue;
        context->model->steps++;
        TRY(visit(context, node));
    }
    return NULL;
}

#ifdef QUANTIZE_DEBUG
/* Does the pass rewrite nodes that its list of ops does not name? */
static Status check_unlisted(PassContext *context, Graph *graph, PassVisit visit)
{
    for (Node *node = graph->first, *next; node != NULL; node = next) {
        int64_t before = *context->changes;
        const char *op_type = node->op_type;
        next = node->next;
        for (int i = 0; i < node_graph_attrs(node); i++) {
            Graph *const *inner;
            int64_t n = attr_graphs(&node->attrs[i], &inner);
            for (int64_t j = 0; j < n; j++)
                TRY(check_unlisted(context, inner[j], visit));
        }
        if (node->graph == NULL || roster_holds(context->wanted, node))
            continue;
        TRY(visit(context, node));
        if (*context->changes != before)
            return status_new(CODE_MODEL, "rewrites %s, which its list of ops lacks", op_type);
    }
    return NULL;
}
#endif

Status pass_each_node(PassContext *context, PassVisit visit)
{
    if (context->wanted == NULL)
        return visit_graph(context, context->model->graph, visit);
    TRY(roster_each(context->roster, context->wanted, context, visit));
#ifdef QUANTIZE_DEBUG
    TRY(check_unlisted(context, context->model->graph, visit));
#endif
    return NULL;
}

Status pass_each_outer(PassContext *context, PassVisit visit)
{
    for (Node *node = context->model->graph->first, *next; node != NULL; node = next) {
        next = node->next;
        TRY(visit(context, node));
    }
    return NULL;
}

bool pass_has_elements(const Shape *shape, int from, int64_t n)
{
    int64_t elements = 1;
    for (int i = from; i < shape->rank; i++) { /* never above n * n, which is far from overflow */
        int64_t size = shape->dims[i].size < 0 ? n : MIN(shape->dims[i].size, n);
        elements = MIN(elements * size, n);
    }
    return elements >= n;
}

void pass_replace_constant(Node *node, int i, Tensor *tensor)
{
    Value *old = node_in(node, i);
    if (old != NULL && old->n_uses == 1 && old->n_outputs == 0) {
        value_set_constant(old, tensor);
        return;
    }
    const char *base = old != NULL ? old->name : "bias";
    node_set_input(node, i, graph_add_constant(node->graph, model_fresh_name(node->graph->model, base), tensor));
}

Status pass_widen_constant(Node *node, int i, int axis, int64_t size)
{
    const Tensor *from = node->in[i]->constant;
    Tensor *to = NULL;
    int64_t dims[TENSOR_MAX_RANK], outer = 1;
    for (int k = 0; k < from->rank; k++) {
        dims[k] = k == axis ? size : from->dims[k];
        outer *= k < axis ? from->dims[k] : 1;
    }
    TRY(tensor_new(node->graph->model->arena, from->dtype, from->rank, dims, &to));
    memset(to->data, 0, to->bytes);
    size_t before = from->bytes / (size_t)MAX(outer, 1), after = to->bytes / (size_t)MAX(outer, 1);
    for (size_t k = 0; k < (size_t)outer; k++)
        memcpy((char *)to->data + k * after, (const char *)from->data + k * before, before);
    pass_replace_constant(node, i, to);
    return NULL;
}

Status pass_column_bias(const Node *add, int i, int64_t columns, Value **ret)
{
    Model *model = add->graph->model;
    Value *value = add->in[i];
    const Tensor *from = value->constant;
    Tensor *to;
    if (from->rank == 1 && from->count == columns) {
        *ret = value;
        return NULL;
    }
    TRY(tensor_new(model->arena, from->dtype, 1, &columns, &to));
    for (int64_t c = 0; c < columns; c++)
        tensor_set(to, c, tensor_get(from, from->count == 1 ? 0 : c));
    *ret = graph_add_constant(add->graph, model_fresh_name(model, value->name), to);
    return NULL;
}
