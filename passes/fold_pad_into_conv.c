/* fold_pad_into_conv.c - zero padding before a Conv or AveragePool becomes its own padding.
 *
 *     x -> Pad [0,0,1,1, 0,0,1,1] -> Conv pads 0 -> y      ->      x -> Conv pads 1 -> y
 *
 * An AveragePool counts the zeros of a Pad before it, so it must count its own padding too: with count_include_pad,
 * which may be set when it had no padding before. Not with ceil_mode, where a window may reach beyond the padding.
 */
#include "passes/pass.h"

#include <string.h>

/* Space of the padding: n_space spatial axes, [begin..., end...] into ret[2 * n_space]. */
static bool read_padding(const Node *pad, int *ret_n_space, int64_t *ret)
{
    const Tensor *pads = pass_constant(pad, 1);
    double value = 0;
    if (!node_is(pad, "Pad") || strcmp(node_string(pad, "mode", "constant"), "constant") != 0 || pads == NULL ||
        node_in(pad, 3) != NULL || node_in(pad, 0) == NULL || pads->count < 6 || pads->count > 2 * TENSOR_MAX_RANK)
        return false;
    if (node_in(pad, 2) != NULL && (!pass_is_scalar_constant(pad->in[2], &value) || value != 0))
        return false;
    int rank = (int)(pads->count / 2);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < rank; i++) {
            int64_t amount = tensor_get_int(pads, side * rank + i);
            if (amount < 0 || amount > INT32_MAX || (i < 2 && amount != 0))
                return false;
            if (i >= 2)
                ret[side * (rank - 2) + i - 2] = amount;
        }
    }
    *ret_n_space = rank - 2;
    return true;
}

static bool has_explicit_pads(const Node *node)
{
    const char *mode = node_string(node, "auto_pad", "NOTSET");
    return strcmp(mode, "NOTSET") == 0 || strcmp(mode, "VALID") == 0 || mode[0] == '\0';
}

/* Where the pool had padding of its own that it does not count, or none but a window would lie in padding alone. */
static bool pool_allows(const Node *node, const int64_t *pads, int n_space, bool had_pads)
{
    int64_t n;
    const int64_t *kernel = node_ints(node, "kernel_shape", &n);
    if (node_int(node, "ceil_mode", 0) != 0 || kernel == NULL || n != n_space)
        return false;
    if (had_pads && node_int(node, "count_include_pad", 0) == 0)
        return false;
    for (int i = 0; i < 2 * n_space; i++)
        if (pads[i] >= kernel[i % n_space])
            return false;
    return true;
}

static Status visit(PassContext *context, Node *node)
{
    int64_t pads[2 * TENSOR_MAX_RANK];
    int n_space;
    bool is_pool = node_is(node, "AveragePool"), had_pads = false;
    if ((!is_pool && !node_is(node, "Conv")) || node_in(node, 0) == NULL || node->in[0]->producer == NULL)
        return NULL;
    Node *pad = node->in[0]->producer;
    if (!read_padding(pad, &n_space, pads) || !has_explicit_pads(node))
        return NULL;
    int64_t n_own;
    const int64_t *own = node_ints(node, "pads", &n_own);
    bool valid = strcmp(node_string(node, "auto_pad", "NOTSET"), "VALID") == 0;
    if (own != NULL && !valid) {
        if (n_own != 2 * n_space)
            return NULL;
        for (int i = 0; i < 2 * n_space; i++) {
            if (own[i] < 0 || own[i] > INT32_MAX)
                return NULL;
            had_pads = had_pads || own[i] != 0;
            pads[i] += own[i];
        }
    }
    if (is_pool && !pool_allows(node, pads, n_space, had_pads))
        return NULL;
    node_remove_attr(node, "auto_pad");
    node_set_ints(node, "pads", pads, 2 * n_space);
    if (is_pool)
        node_set_int(node, "count_include_pad", 1);
    node_set_input(node, 0, pad->in[0]);
    pass_remove_dead(pad);
    ++*context->changes;
    return NULL;
}

static Status run(PassContext *context)
{
    return pass_each_node(context, visit);
}

const Pass pass_fold_pad_into_conv = {
    .name = "fold_pad_into_conv",
    .stage = PASS_SIMPLIFY,
    .ops = "AveragePool Conv",
    .summary = "zero padding before Conv or AveragePool becomes its own",
    .run = run,
};
