/* norm.h - a normalization that is written out, as several passes look for it.
 *
 *     d = x - ReduceMean(x),  v = ReduceMean(d^2),  n = d / Sqrt(v + epsilon)
 *         or  d * Reciprocal(Sqrt(v + epsilon))  or  d * Pow(v + epsilon, -0.5)
 *     y = n [* gamma] [+ beta]
 *     r = Reciprocal(Sqrt(v + epsilon)) [* gamma],  y = x * r + (beta - ReduceMean(x) * r)        as TensorFlow writes it
 */
#ifndef QUANTIZE_PASSES_NORM_H
#define QUANTIZE_PASSES_NORM_H

#include "passes/pass.h"

typedef struct Norm {
    Value *x;
    int rank, n_axes, axes[TENSOR_MAX_RANK]; /* of x, ascending */
    double epsilon;
    Node *last;            /* makes y */
    Value *gamma, *beta;   /* constants, or NULL */
} Norm;

/* node makes n or y of the second form; gamma and beta are those of that form, or NULL. Nothing between is read elsewhere. */
bool norm_match(Node *node, Norm *ret);
/* Take in the Mul (Add) by a constant behind it that `fits` says yes to, where there is no gamma (beta) yet. */
void norm_take_gamma(Norm *norm, bool (*fits)(const Norm *norm, const Tensor *constant));
void norm_take_beta(Norm *norm, bool (*fits)(const Norm *norm, const Tensor *constant));
/* The axes are the last ones, from ret_first on. */
bool norm_over_last(const Norm *norm, int *ret_first);
/* value / Sqrt(ReduceMean(square) + epsilon), or the Mul of it: the numerator, and the ReduceMean. */
Value *norm_match_root(const Node *node, Node **ret_mean, double *ret_epsilon);
/* The constant stretches along its one channel axis only: gamma of a normalization of each channel. */
bool norm_is_per_channel(const Norm *norm, const Tensor *constant);
/* A constant of `count` elements: those of `from` in order, repeated when it has one; `otherwise` where it is NULL. */
MUST_USE Status norm_constant(Graph *graph, const char *name, const Tensor *from, int64_t count, double otherwise, Value **ret);

#endif
