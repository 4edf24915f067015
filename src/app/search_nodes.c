/* search_nodes.c - what single nodes cost: those that wreck the model alone, and the sensitivity of each.
 *
 *     all in integers: 4 dB ─┬─ first half alone: 31 dB    fine
 *                            └─ second half alone: 4 dB ─┬─ ... ─ one node: it stays float
 *                                                        └─ ...
 *
 * The noises of parts of a model add up, so a half that is fine holds no wrecker: a few nodes are found in a few trials a node.
 */
#include "src/app/search.h"

#include <math.h>
#include <stdlib.h>


/* Outputs below NOISY_DB: what alone makes MOST of the noise stays float where the outputs gain WORTH of their noise by it, while
 * such nodes together hold up to CHEAP of the multiply-accumulates. */
#define NOISY_DB 20.0
#define MOST 0.333
#define WORTH 0.2
#define CHEAP 0.04
#define MAX_NOISY 3 /* each a third */

static const char *const elsewhere = "tried alone";

typedef struct Nodes {
    const Node **items; /* that may run in integers, in order */
    size_t n;
} Nodes;

/* Relu and Clip are absorbed or not with their producers. */
static bool counts(const Node *node)
{
    return node->def != NULL && node->def->quant.kind != QUANT_FLOAT && node->def->quant.kind != QUANT_ABSORBED;
}

static Nodes list_nodes(const Search *search, bool (*wanted)(const Node *node), const char *const *kept_float)
{
    const Graph *graph = search->model->graph;
    Nodes nodes = {arena_array(search->arena, (size_t)graph->n_nodes, sizeof nodes.items[0]), 0};
    for (const Node *node = graph->first; node != NULL; node = node->next)
        if (counts(node) && wanted(node) && (kept_float == NULL || kept_float[node->id] == NULL))
            nodes.items[nodes.n++] = node;
    return nodes;
}

static bool any_node(const Node *node)
{
    (void)node;
    return true;
}

/* Noise with all in integers but what is kept float. */
static Status noise_without(Search *search, const RangeTable *ranges, const char *const *kept, double *ret)
{
    Recipe recipe = {.ranges = ranges, .kept_float = kept, .ignore_costs = true, .means = search->means,
                     .integer_gelu = search->integer_gelu};
    return candidate_noise(search, &recipe, NULL, ret, NULL);
}

/* Noise with [from, to) alone in integers. */
static Status noise_alone(Search *search, const RangeTable *ranges, const Nodes *nodes, size_t from, size_t to, double *ret)
{
    const char **kept = xcalloc(search->model->n_node_ids, sizeof kept[0]);
    for (const Node *node = search->model->graph->first; node != NULL; node = node->next)
        if (counts(node))
            kept[node->id] = elsewhere;
    for (size_t i = from; i < to; i++)
        kept[nodes->items[i]->id] = NULL;
    Status status = noise_without(search, ranges, kept, ret);
    free(kept);
    return status;
}

typedef struct Hunt {
    Search *search;
    const RangeTable *ranges;
    const Nodes *nodes;
    const char **kept_float;
    double threshold; /* noise of what is sought */
    int trials, most_trials, found;
    const Node *noisy[MAX_NOISY]; /* of those found, what does not wreck the model */
    int n_noisy;
    double noisy_macs;
} Hunt;

static double noise_of_db(double db)
{
    return pow(10.0, -db / 10.0);
}

/* A node that does not wreck the model stays float where it has little to compute. */
static bool stays_float(Hunt *h, const Node *node, double noise)
{
    double macs = (double)MAX(op_macs(node, &h->search->counts), 0);
    if (noise >= noise_of_db(WRECK_DB))
        return true;
    if (h->n_noisy == MAX_NOISY || h->noisy_macs + macs > CHEAP * (double)h->search->macs)
        return false;
    h->noisy_macs += macs;
    h->noisy[h->n_noisy++] = node;
    return true;
}

static Status hunt(Hunt *h, size_t from, size_t to, double noise)
{
    bool matters = noise >= h->threshold; /* not when there is no output of floats to judge by: NAN */
    if (to == from || !matters || h->trials >= h->most_trials)
        return NULL;
    if (to - from == 1) {
        if (!stays_float(h, h->nodes->items[from], noise))
            return NULL;
        h->kept_float[h->nodes->items[from]->id] =
            arena_printf(h->search->arena, "in integers it alone takes the outputs to %.1f dB", noise_to_db(noise));
        h->found++;
        return NULL;
    }
    size_t middle = from + (to - from) / 2, ends[3] = {from, middle, to};
    for (int half = 0; half < 2; half++) {
        double own = 0.0;
        h->trials++;
        TRY(noise_alone(h->search, h->ranges, h->nodes, ends[half], ends[half + 1], &own));
        TRY(hunt(h, ends[half], ends[half + 1], own));
    }
    return NULL;
}

/* Noise made by a node alone may be noise that the others take back: the noisy stay float only where all of the model gains. */
static Status weigh_noisy(Hunt *h, double noise)
{
    const char *reasons[MAX_NOISY];
    double without = noise, with = 0.0;
    TRY(noise_without(h->search, h->ranges, h->kept_float, &with));
    for (int i = 0; i < h->n_noisy; i++) {
        reasons[i] = h->kept_float[h->noisy[i]->id];
        h->kept_float[h->noisy[i]->id] = NULL;
    }
    if (h->found > h->n_noisy)
        TRY(noise_without(h->search, h->ranges, h->kept_float, &without));
    if (!(with < (1.0 - WORTH) * without)) {
        h->found -= h->n_noisy;
        return NULL;
    }
    for (int i = 0; i < h->n_noisy; i++)
        h->kept_float[h->noisy[i]->id] = reasons[i];
    return NULL;
}

Status search_wreckers(Search *search, const RangeTable *ranges, const char **kept_float, int *ret_found)
{
    Nodes nodes = list_nodes(search, any_node, kept_float);
    Hunt h = {search, ranges, &nodes, kept_float, .threshold = noise_of_db(WRECK_DB), .trials = 1,
              .most_trials = search_trials(search)};
    double noise = 0.0;
    *ret_found = 0;
    TRY(noise_alone(search, ranges, &nodes, 0, nodes.n, &noise));
    if (noise >= noise_of_db(NOISY_DB))
        h.threshold = fmin(h.threshold, MOST * noise);
    TRY(hunt(&h, 0, nodes.n, noise));
    if (h.n_noisy > 0)
        TRY(weigh_noisy(&h, noise));
    *ret_found = h.found;
    return NULL;
}

/* ---- sensitivity ------------------------------------------------------------------------------------------------- */

static int worse_first(const void *left, const void *right)
{
    const Sensitivity *a = left, *b = right;
    if (a->noise != b->noise)
        return a->noise > b->noise ? -1 : 1;
    return a->node->id < b->node->id ? -1 : a->node->id > b->node->id;
}

Status search_sensitivity(Search *search, const RangeTable *ranges, const char *const *kept_float, Sensitivity **ret, size_t *ret_n)
{
    Nodes nodes = list_nodes(search, op_is_weighted, kept_float);
    Sensitivity *rows = arena_array(search->arena, nodes.n, sizeof rows[0]);
    for (size_t i = 0; i < nodes.n; i++) {
        rows[i] = (Sensitivity){nodes.items[i], node_label(nodes.items[i]), MAX(op_macs(nodes.items[i], &search->counts), 0), 0.0};
        TRY(noise_alone(search, ranges, &nodes, i, i + 1, &rows[i].noise));
    }
    if (nodes.n > 1)
        qsort(rows, nodes.n, sizeof rows[0], worse_first);
    *ret = rows;
    *ret_n = nodes.n;
    return NULL;
}
