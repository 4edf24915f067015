/* fallback.c - the fewest multiply-accumulates in float that reach the figures asked for.
 *
 *     weighted nodes by noise for each MAC, worst first:  n1 n2 n3 n4 ... nk ... | beyond FLOAT_SHARE of all MACs
 *     float: none (measured), all k (measured); between them the least count that reaches the target, by halving;
 *     then nodes are given back to the integers one by one, the largest first, while the target holds.
 *
 * A quantized model with most of its work in float is none: what needs more than FLOAT_SHARE counts as out of reach, and the best
 * model found is kept.
 */
#include "src/app/fallback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLOAT_SHARE 0.5 /* of the MACs, at most */
#define GIVE_BACK 12    /* nodes tried, at most */

static int dearest_first(const void *left, const void *right)
{
    const Sensitivity *a = left, *b = right;
    double x = a->noise / (double)MAX(a->macs, 1), y = b->noise / (double)MAX(b->macs, 1);
    if (x != y)
        return x > y ? -1 : 1;
    return a->node->id < b->node->id ? -1 : a->node->id > b->node->id;
}

/* Keeps the product as the best when it is, else lets go of it. */
static Status measure(Fallback *f, const bool *chosen, bool *ret_met)
{
    const char **kept = xcalloc(f->search->model->n_node_ids, sizeof kept[0]);
    memcpy(kept, f->kept_float, f->search->model->n_node_ids * sizeof kept[0]);
    for (size_t i = 0; i < f->n_nodes; i++)
        if (chosen[i])
            kept[f->nodes[i].node->id] = f->nodes[i].reason;
    Product product;
    Status status = f->make(f->context, kept, &product);
    free(kept);
    TRY(status);
    f->rounds++;
    double distance = targets_distance(f->search->options, &product.evaluation);
    *ret_met = distance == 0.0;
    int64_t macs = 0;
    for (size_t i = 0; i < f->n_nodes; i++)
        macs += chosen[i] ? f->nodes[i].macs : 0;
    if (distance < f->distance || (distance == f->distance && macs < f->float_macs)) {
        product_release(f->best);
        *f->best = product;
        f->distance = distance;
        f->float_macs = macs;
    } else {
        product_release(&product);
    }
    return NULL;
}

static Status measure_first(Fallback *f, size_t count, bool *chosen, bool *ret_met)
{
    for (size_t i = 0; i < f->n_nodes; i++)
        chosen[i] = i < count;
    return measure(f, chosen, ret_met);
}

static Status give_back(Fallback *f, bool *chosen)
{
    for (int round = 0; round < GIVE_BACK; round++) {
        size_t largest = f->n_nodes;
        for (size_t i = 0; i < f->n_nodes; i++)
            if (chosen[i] && !f->nodes[i].needed && (largest == f->n_nodes || f->nodes[i].macs > f->nodes[largest].macs))
                largest = i;
        if (largest == f->n_nodes)
            return NULL;
        bool met = false;
        chosen[largest] = false;
        TRY(measure(f, chosen, &met));
        if (!met)
            f->nodes[largest].needed = chosen[largest] = true;
    }
    return NULL;
}

/* The nodes that may become float, in order, while their MACs are within bounds. */
static void list_nodes(Fallback *f, Sensitivity *rows, size_t n)
{
    int64_t all = 0, taken = 0;
    if (n > 1)
        qsort(rows, n, sizeof rows[0], dearest_first);
    for (size_t i = 0; i < n; i++)
        all += rows[i].macs;
    f->nodes = arena_array(f->search->arena, n, sizeof f->nodes[0]);
    for (size_t i = 0; i < n; i++) {
        if ((double)(taken + rows[i].macs) > FLOAT_SHARE * (double)all)
            continue;
        taken += rows[i].macs;
        f->nodes[f->n_nodes++] =
            (FallbackNode){rows[i].node, rows[i].macs, rows[i].noise,
                           arena_printf(f->search->arena, "left float to reach the target: alone it takes the outputs to %.1f dB",
                                        noise_to_db(rows[i].noise)),
                           false};
    }
}

Status fallback_reach(Fallback *f, Sensitivity *rows, size_t n)
{
    list_nodes(f, rows, n);
    f->distance = targets_distance(f->search->options, &f->best->evaluation);
    if (f->n_nodes == 0 || f->distance == 0.0 || isinf(f->distance))
        return NULL;
    bool *chosen = arena_array(f->search->arena, f->n_nodes, sizeof chosen[0]), met = false;
    size_t low = 0, high = f->n_nodes; /* low does not reach it, high does */
    TRY(measure_first(f, high, chosen, &met));
    if (!met)
        return NULL;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        TRY(measure_first(f, middle, chosen, &met));
        *(met ? &high : &low) = middle;
    }
    for (size_t i = 0; i < f->n_nodes; i++)
        chosen[i] = i < high;
    return give_back(f, chosen);
}
