/* match.c - see match.h. */
#include "passes/match.h"

#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define MAX_VISITS 64 /* nodes that one polynomial may have */

bool match_is_close(double a, double b)
{
    return fabs(a - b) <= MATCH_CLOSE * fabs(b);
}

Node *match_maker(const Value *value, const char *op_type)
{
    Node *node = value == NULL ? NULL : value->producer;
    return node != NULL && node_is(node, op_type) && node->n_out == 1 && value->n_outputs == 0 ? node : NULL;
}

Node *match_own(const Value *value, const char *op_type, const Node *reader)
{
    Node *node = match_maker(value, op_type);
    if (node == NULL || node->graph != reader->graph)
        return NULL;
    for (size_t i = 0; i < value->n_uses; i++)
        if (value->uses[i].node != reader)
            return NULL;
    return node;
}

int match_scalar_operand(const Node *node, double *ret)
{
    for (int data = 0; node->n_in == 2 && data < 2; data++)
        if (node->in[data] != NULL && value_is_float(node->in[data]) &&
            pass_is_scalar_constant(node->in[1 - data], ret) &&
            node->in[1 - data]->constant->rank <= MAX(infer_shape(node, data).rank, 0))
            return data;
    return -1;
}

Value *match_relu(const Value *value)
{
    double v;
    const Node *node = match_maker(value, "Relu");
    if (node != NULL)
        return node_in(node, 0);
    node = match_maker(value, "Max");
    int data = node == NULL ? -1 : match_scalar_operand(node, &v);
    return data >= 0 && v == 0 ? node->in[data] : NULL;
}

Value *match_negated(const Value *value)
{
    double v;
    const Node *node = match_maker(value, "Neg");
    if (node != NULL)
        return node_in(node, 0);
    node = match_maker(value, "Mul");
    int data = node == NULL ? -1 : match_scalar_operand(node, &v);
    if (data >= 0 && v == -1)
        return node->in[data];
    node = match_maker(value, "Div");
    return node != NULL && match_scalar_operand(node, &v) == 0 && v == -1 ? node->in[0] : NULL;
}

/* ---- polynomials --------------------------------------------------------------------------------------------------- */

static bool multiply(const double *a, const double *b, double *ret)
{
    double product[MATCH_DEGREE + 1] = {0};
    for (int i = 0; i <= MATCH_DEGREE; i++) {
        for (int j = 0; j <= MATCH_DEGREE; j++) {
            if (a[i] == 0 || b[j] == 0)
                continue;
            if (i + j > MATCH_DEGREE)
                return false;
            product[i + j] += a[i] * b[j];
        }
    }
    memcpy(ret, product, sizeof(product));
    return true;
}

static bool is_number(const double *p)
{
    for (int i = 1; i <= MATCH_DEGREE; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static bool combine(const Node *node, double *a, const double *b)
{
    if (node_is(node, "Mul"))
        return multiply(a, b, a);
    if (node_is(node, "Div")) {
        double inverse[MATCH_DEGREE + 1] = {1 / b[0]};
        return is_number(b) && b[0] != 0 && multiply(a, inverse, a);
    }
    if (node_is(node, "Pow")) {
        double base[MATCH_DEGREE + 1];
        memcpy(base, a, sizeof(base));
        if (!is_number(b) || (b[0] != 2 && b[0] != 3))
            return false;
        return multiply(a, base, a) && (b[0] == 2 || multiply(a, base, a));
    }
    if (!node_is(node, "Add") && !node_is(node, "Sub"))
        return false;
    for (int i = 0; i <= MATCH_DEGREE; i++)
        a[i] += node_is(node, "Add") ? b[i] : -b[i];
    return true;
}

static bool read_polynomial(const Value *value, const Value *x, int *visits, double *ret)
{
    double right[MATCH_DEGREE + 1], v;
    memset(ret, 0, (MATCH_DEGREE + 1) * sizeof(ret[0]));
    if (value == x) {
        ret[1] = 1;
        return true;
    }
    if (value == NULL || value->n_outputs > 0 || ++*visits > MAX_VISITS)
        return false;
    if (pass_is_scalar_constant(value, &v)) {
        int rank = x->type.kind == TYPE_TENSOR ? MAX(x->type.shape.rank, 0) : 0;
        ret[0] = v;
        return value->constant->rank <= rank && isfinite(v);
    }
    const Node *node = value->producer;
    if (node == NULL || node->n_out != 1 || node->graph != x->graph || !value_is_float(value))
        return false;
    if (node_is(node, "Neg") && node_in(node, 0) != NULL) {
        if (!read_polynomial(node->in[0], x, visits, ret))
            return false;
        for (int i = 0; i <= MATCH_DEGREE; i++)
            ret[i] = -ret[i];
        return true;
    }
    if (node->n_in != 2 || (!node_is(node, "Add") && !node_is(node, "Sub") && !node_is(node, "Mul") &&
                            !node_is(node, "Div") && !node_is(node, "Pow")))
        return false;
    return read_polynomial(node->in[0], x, visits, ret) && read_polynomial(node->in[1], x, visits, right) &&
           combine(node, ret, right);
}

bool match_polynomial(const Value *value, const Value *x, double coefficient[MATCH_DEGREE + 1])
{
    int visits = 0;
    return x != NULL && value_is_float(x) && read_polynomial(value, x, &visits, coefficient);
}

bool match_affine(const Value *value, const Value *x, double *scale, double *shift)
{
    double p[MATCH_DEGREE + 1];
    if (!match_polynomial(value, x, p) || p[2] != 0 || p[3] != 0)
        return false;
    *scale = p[1];
    *shift = p[0];
    return true;
}

bool match_fits_into(const Tensor *constant, const Shape *shape)
{
    if (constant->rank > MAX(shape->rank, 0))
        return false;
    for (int i = 0; i < constant->rank; i++) {
        int64_t size = shape->dims[shape->rank - constant->rank + i].size;
        if (constant->dims[i] != 1 && constant->dims[i] != size)
            return false;
    }
    return true;
}

Status match_replace_unary(PassContext *context, Node *node, const char *op_type, Value *x, const char *attr, double value)
{
    Node *made = pass_add_node(node->graph, node, op_type, node->name, 1, &x);
    if (attr != NULL)
        node_set_float(made, attr, (float)value);
    TRY(ops_infer_node(made));
    ++*context->changes;
    return pass_replace_node(node, made->out[0]);
}
