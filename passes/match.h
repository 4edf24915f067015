/* match.h - what passes ask of a pattern that is written out in small ops.
 *
 *     Mul (Add (Mul (x, x), 3), x)      match_polynomial()      ->      0 + 3 x + 0 x^2 + 1 x^3
 */
#ifndef QUANTIZE_PASSES_MATCH_H
#define QUANTIZE_PASSES_MATCH_H

#include "passes/pass.h"

#define MATCH_DEGREE 3
#define MATCH_CLOSE 1e-5 /* relative: constants that went through float arithmetic of an exporter */

bool match_is_close(double a, double b);
/* The node of this type that makes the value; NULL when another makes it, it is a graph output or one of several. */
Node *match_maker(const Value *value, const char *op_type);
/* As match_maker, and `reader` alone reads it. */
Node *match_own(const Value *value, const char *op_type, const Node *reader);
/* The index of the operand of a node with two, whose other one is a constant of one element that does not widen it; -1
 * for other nodes. */
int match_scalar_operand(const Node *node, double *ret);
/* x of Relu(x), Max(x, 0); NULL for others. Of Neg(x), x * -1, x / -1. */
Value *match_relu(const Value *value);
Value *match_negated(const Value *value);
/* The value as a polynomial in x with scalar coefficients, coefficient[k] of x^k, through Add, Sub, Mul, Div, Neg and Pow. */
bool match_polynomial(const Value *value, const Value *x, double coefficient[MATCH_DEGREE + 1]);
/* The same, and it is shift + scale * x. */
bool match_affine(const Value *value, const Value *x, double *scale, double *shift);
/* fuse_gelu.c: x and "none" or "tanh" of a GELU written out whose last node this is; NULL: it is none. */
const char *match_gelu(Node *node, Value **ret_x);
/* A constant of this shape stretches to `shape` and does not widen it. */
bool match_fits_into(const Tensor *constant, const Shape *shape);
/* The node gives way to a node of this type on x, with a float attribute or none (NULL). */
MUST_USE Status match_replace_unary(PassContext *context, Node *node, const char *op_type, Value *x, const char *attr,
                                    double value);

#endif
