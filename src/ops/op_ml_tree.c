/* op_ml_tree.c - ai.onnx.ml: TreeEnsembleRegressor and TreeEnsembleClassifier (1, 3), TreeEnsemble (5).
 *
 *     x[feature] <= value?  ─ yes ─ node ... leaf: votes (target, weight)
 *                           └ no ── node ...
 *
 * Both layouts become one forest: inner nodes with two children, leaves with votes. Sums are taken in double and rounded
 * to float where the op gives floats, so that scores on the border of two classes fall as the runtime's do. As in the
 * runtime, of several targets one without any vote scores 0, base value or not, and cannot win.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/ops/ml.h"

typedef enum Branch {
    BRANCH_LEQ,
    BRANCH_LT,
    BRANCH_GTE,
    BRANCH_GT,
    BRANCH_EQ,
    BRANCH_NEQ,
    BRANCH_MEMBER, /* of a set, TreeEnsemble only */
    BRANCH_LEAF
} Branch;
typedef enum Aggregate { AGGREGATE_AVERAGE, AGGREGATE_SUM, AGGREGATE_MIN, AGGREGATE_MAX, AGGREGATES } Aggregate;

typedef struct TreeNode {
    Branch branch;
    bool missing_is_true;
    int64_t feature;
    double value;
    int64_t yes, no;        /* nodes */
    int64_t begin, end;     /* a leaf's votes; a set's members */
} TreeNode;

typedef struct Vote {
    int64_t target;
    double weight;
} Vote;

typedef struct Forest {
    TreeNode *nodes;
    int64_t n_nodes;
    int64_t *roots, n_roots;
    Vote *votes;
    const Tensor *members;
    bool in_float;          /* scores are floats */
    int64_t targets;
    Aggregate aggregate;
    const float *base;      /* (targets), or NULL */
    const Tensor *base_wide;
    int64_t n_base;
} Forest;

/* ---- attributes -------------------------------------------------------------------------------------------------- */

/* A list of floats, or of doubles under the name with _as_tensor behind it. */
typedef struct Reals {
    const float *floats;
    const Tensor *tensor;
    int64_t n;
} Reals;

static Reals reals_attr(const Node *node, const char *name, const char *tensor_name)
{
    Reals reals = {.n = 0};
    const Attr *attr = node_attr(node, tensor_name);

    if (attr != NULL && attr->kind == ATTR_TENSOR) {
        reals.tensor = attr->t;
        reals.n = attr->t->count;
        return reals;
    }
    reals.floats = node_floats(node, name, &reals.n);
    return reals;
}

static double real_at(const Reals *reals, int64_t i)
{
    return reals->tensor != NULL ? tensor_get(reals->tensor, i) : (double)reals->floats[i];
}

static Status ints_attr(const EvalCtx *ctx, const char *name, int64_t n, const int64_t **ret)
{
    int64_t count;

    *ret = node_ints(ctx->node, name, &count);
    if (count != n)
        return eval_error(ctx, CODE_MODEL, "attribute '%s' has %lld numbers, expected %lld", name, (long long)count,
                          (long long)n);
    return NULL;
}

static void *take(EvalCtx *ctx, int64_t n, size_t bytes)
{
    return arena_array(ctx->scratch, (size_t)MAX(n, 1), bytes);
}

/* ---- versions 1 and 3: nodes named by (tree, node) --------------------------------------------------------------- */

typedef struct NodeId {
    int64_t tree, node, at;
} NodeId;

static int compare_ids(const void *left, const void *right)
{
    const NodeId *a = left, *b = right;

    if (a->tree != b->tree)
        return a->tree < b->tree ? -1 : 1;
    return (a->node > b->node) - (a->node < b->node);
}

/* By (tree, node), then as listed: what qsort alone does not promise. */
static int compare_ids_stable(const void *left, const void *right)
{
    const NodeId *a = left, *b = right;
    int order = compare_ids(a, b);

    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

static NodeId *sorted_ids(EvalCtx *ctx, const int64_t *trees, const int64_t *nodes, int64_t n)
{
    NodeId *ids = take(ctx, n, sizeof *ids);

    for (int64_t i = 0; i < n; i++)
        ids[i] = (NodeId){trees[i], nodes[i], i};
    qsort(ids, (size_t)n, sizeof *ids, compare_ids_stable);
    return ids;
}

static Status find_node(const EvalCtx *ctx, const NodeId *ids, int64_t n, int64_t tree, int64_t node, int64_t *ret)
{
    NodeId wanted = {tree, node, 0};
    const NodeId *found = bsearch(&wanted, ids, (size_t)n, sizeof *ids, compare_ids);

    if (found == NULL)
        return eval_error(ctx, CODE_MODEL, "tree %lld has no node %lld", (long long)tree, (long long)node);
    *ret = found->at;
    return NULL;
}

static Status branch_of(const EvalCtx *ctx, TensorString mode, Branch *ret)
{
    static const char *const names[] = {
        [BRANCH_LEQ] = "BRANCH_LEQ", [BRANCH_LT] = "BRANCH_LT",   [BRANCH_GTE] = "BRANCH_GTE",
        [BRANCH_GT] = "BRANCH_GT",   [BRANCH_EQ] = "BRANCH_EQ",   [BRANCH_NEQ] = "BRANCH_NEQ",
        [BRANCH_MEMBER] = "",        [BRANCH_LEAF] = "LEAF",
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (i != BRANCH_MEMBER && strlen(names[i]) == mode.length && memcmp(names[i], mode.data, mode.length) == 0) {
            *ret = (Branch)i;
            return NULL;
        }
    return eval_error(ctx, CODE_MODEL, "nodes_modes holds '%.*s', which is no mode", (int)MIN(mode.length, 40),
                      mode.data);
}

/* The votes of leaves: attributes PREFIX_treeids, _nodeids, _ids, _weights. */
static Status read_votes(EvalCtx *ctx, bool classifier, const NodeId *ids, Forest *forest)
{
    const char *const *names =
        classifier ? (const char *const[]){"class_treeids", "class_nodeids", "class_ids"}
                   : (const char *const[]){"target_treeids", "target_nodeids", "target_ids"};
    Reals weights = classifier ? reals_attr(ctx->node, "class_weights", "class_weights_as_tensor")
                               : reals_attr(ctx->node, "target_weights", "target_weights_as_tensor");
    const int64_t *trees, *nodes, *targets;
    NodeId *order;
    int64_t at;

    TRY(ints_attr(ctx, names[0], weights.n, &trees));
    TRY(ints_attr(ctx, names[1], weights.n, &nodes));
    TRY(ints_attr(ctx, names[2], weights.n, &targets));
    order = sorted_ids(ctx, trees, nodes, weights.n);
    forest->votes = take(ctx, weights.n, sizeof *forest->votes);
    for (int64_t i = 0; i < weights.n; i++) {
        int64_t from = order[i].at;
        if (targets[from] < 0 || targets[from] >= forest->targets)
            return eval_error(ctx, CODE_MODEL, "a vote goes to target %lld of %lld", (long long)targets[from],
                              (long long)forest->targets);
        forest->votes[i] = (Vote){targets[from], real_at(&weights, from)};
        TRY(find_node(ctx, ids, forest->n_nodes, trees[from], nodes[from], &at));
        if (i == 0 || compare_ids(&order[i - 1], &order[i]) != 0)
            forest->nodes[at].begin = i;
        forest->nodes[at].end = i + 1;
    }
    return NULL;
}

static Status read_named_forest(EvalCtx *ctx, bool classifier, Forest *forest)
{
    const Attr *modes = node_attr(ctx->node, "nodes_modes");
    Reals values = reals_attr(ctx->node, "nodes_values", "nodes_values_as_tensor");
    Reals base = reals_attr(ctx->node, "base_values", "base_values_as_tensor");
    int64_t n = modes != NULL && modes->kind == ATTR_STRINGS ? modes->n : 0, n_missing;
    const int64_t *trees, *nodes, *features, *yes, *no;
    const int64_t *missing = node_ints(ctx->node, "nodes_missing_value_tracks_true", &n_missing);
    bool *is_child = take(ctx, n, sizeof *is_child);
    NodeId *ids;

    TRY(ints_attr(ctx, "nodes_treeids", n, &trees));
    TRY(ints_attr(ctx, "nodes_nodeids", n, &nodes));
    TRY(ints_attr(ctx, "nodes_featureids", n, &features));
    TRY(ints_attr(ctx, "nodes_truenodeids", n, &yes));
    TRY(ints_attr(ctx, "nodes_falsenodeids", n, &no));
    if (n == 0 || values.n != n || (n_missing != 0 && n_missing != n))
        return eval_error(ctx, CODE_MODEL, "%lld nodes with %lld values", (long long)n, (long long)values.n);
    forest->nodes = take(ctx, n, sizeof *forest->nodes);
    forest->n_nodes = n;
    ids = sorted_ids(ctx, trees, nodes, n);
    for (int64_t i = 0; i < n; i++) {
        TreeNode *node = &forest->nodes[i];
        TRY(branch_of(ctx, modes->strings[i], &node->branch));
        node->feature = features[i];
        node->value = real_at(&values, i);
        node->missing_is_true = n_missing != 0 && missing[i] != 0;
        if (node->branch == BRANCH_LEAF)
            continue;
        TRY(find_node(ctx, ids, n, trees[i], yes[i], &node->yes));
        TRY(find_node(ctx, ids, n, trees[i], no[i], &node->no));
        is_child[node->yes] = is_child[node->no] = true;
    }
    forest->roots = take(ctx, n, sizeof *forest->roots);
    for (int64_t i = 0; i < n; i++)
        if (!is_child[i])
            forest->roots[forest->n_roots++] = i;
    forest->base = base.floats;
    forest->base_wide = base.tensor;
    forest->n_base = base.n;
    return read_votes(ctx, classifier, ids, forest);
}

/* ---- version 5: children by number, leaves in lists of their own ------------------------------------------------- */

static Status tensor_attr(const EvalCtx *ctx, const char *name, int64_t n, const Tensor **ret)
{
    const Attr *attr = node_attr(ctx->node, name);

    if (attr == NULL || attr->kind != ATTR_TENSOR || (n >= 0 && attr->t->count != n))
        return eval_error(ctx, CODE_MODEL, "attribute '%s' has %lld elements, expected %lld", name,
                          attr == NULL || attr->kind != ATTR_TENSOR ? 0LL : (long long)attr->t->count, (long long)n);
    *ret = attr->t;
    return NULL;
}

/* Nodes first, the leaves behind them. */
static Status child_at(const EvalCtx *ctx, int64_t id, bool leaf, int64_t inner, int64_t leaves, int64_t *ret)
{
    if (id < 0 || id >= (leaf ? leaves : inner))
        return eval_error(ctx, CODE_MODEL, "a branch leads to %s %lld of %lld", leaf ? "leaf" : "node", (long long)id,
                          (long long)(leaf ? leaves : inner));
    *ret = leaf ? inner + id : id;
    return NULL;
}

/* Members of the sets, in the order of their nodes, a NaN behind each set. */
static Status read_members(const EvalCtx *ctx, Forest *forest, int64_t inner)
{
    const Attr *attr = node_attr(ctx->node, "membership_values");
    int64_t at = 0;

    forest->members = attr != NULL && attr->kind == ATTR_TENSOR ? attr->t : NULL;
    for (int64_t i = 0; i < inner; i++) {
        TreeNode *node = &forest->nodes[i];
        if (node->branch != BRANCH_MEMBER)
            continue;
        node->begin = at;
        while (forest->members != NULL && at < forest->members->count && !isnan(tensor_get(forest->members, at)))
            at++;
        if (forest->members == NULL || at == forest->members->count)
            return eval_error(ctx, CODE_MODEL, "membership_values has no set for node %lld", (long long)i);
        node->end = at++;
    }
    return NULL;
}

static Status read_numbered_forest(EvalCtx *ctx, Forest *forest)
{
    const int64_t *features, *yes, *no, *yes_leaf, *no_leaf, *targets, *roots;
    const Tensor *modes, *splits, *weights;
    int64_t n, n_leaves, n_roots, n_missing;
    const int64_t *missing = node_ints(ctx->node, "nodes_missing_value_tracks_true", &n_missing);

    TRY(tensor_attr(ctx, "nodes_modes", -1, &modes));
    TRY(tensor_attr(ctx, "leaf_weights", -1, &weights));
    n = modes->count;
    n_leaves = weights->count;
    TRY(tensor_attr(ctx, "nodes_splits", n, &splits));
    TRY(ints_attr(ctx, "nodes_featureids", n, &features));
    TRY(ints_attr(ctx, "nodes_truenodeids", n, &yes));
    TRY(ints_attr(ctx, "nodes_falsenodeids", n, &no));
    TRY(ints_attr(ctx, "nodes_trueleafs", n, &yes_leaf));
    TRY(ints_attr(ctx, "nodes_falseleafs", n, &no_leaf));
    TRY(ints_attr(ctx, "leaf_targetids", n_leaves, &targets));
    roots = node_ints(ctx->node, "tree_roots", &n_roots);
    if (n_missing != 0 && n_missing != n)
        return eval_error(ctx, CODE_MODEL, "nodes_missing_value_tracks_true has %lld numbers for %lld nodes",
                          (long long)n_missing, (long long)n);
    forest->n_nodes = n + n_leaves;
    forest->nodes = take(ctx, forest->n_nodes, sizeof *forest->nodes);
    forest->votes = take(ctx, n_leaves, sizeof *forest->votes);
    forest->roots = take(ctx, n_roots, sizeof *forest->roots);
    forest->n_roots = n_roots;
    for (int64_t i = 0; i < n; i++) {
        TreeNode *node = &forest->nodes[i];
        int64_t mode = tensor_get_int(modes, i);
        if (mode < BRANCH_LEQ || mode > BRANCH_MEMBER)
            return eval_error(ctx, CODE_MODEL, "nodes_modes holds %lld, expected 0 to 6", (long long)mode);
        *node = (TreeNode){.branch = (Branch)mode, .feature = features[i], .value = tensor_get(splits, i)};
        node->missing_is_true = n_missing != 0 && missing[i] != 0;
        TRY(child_at(ctx, yes[i], yes_leaf[i] != 0, n, n_leaves, &node->yes));
        TRY(child_at(ctx, no[i], no_leaf[i] != 0, n, n_leaves, &node->no));
    }
    for (int64_t i = 0; i < n_leaves; i++) {
        if (targets[i] < 0 || targets[i] >= forest->targets)
            return eval_error(ctx, CODE_MODEL, "a leaf votes for target %lld of %lld", (long long)targets[i],
                              (long long)forest->targets);
        forest->nodes[n + i] = (TreeNode){.branch = BRANCH_LEAF, .begin = i, .end = i + 1};
        forest->votes[i] = (Vote){targets[i], tensor_get(weights, i)};
    }
    for (int64_t i = 0; i < n_roots; i++) {
        if (roots[i] < 0 || roots[i] >= n)
            return eval_error(ctx, CODE_MODEL, "tree_roots holds %lld of %lld nodes", (long long)roots[i],
                              (long long)n);
        forest->roots[i] = roots[i];
    }
    return read_members(ctx, forest, n);
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

static bool is_member(const Tensor *members, int64_t begin, int64_t end, double x)
{
    for (int64_t i = begin; i < end; i++)
        if (tensor_get(members, i) == x)
            return true;
    return false;
}

static bool takes_yes(const Forest *forest, const TreeNode *node, double x)
{
    switch (node->branch) {
    case BRANCH_LEQ:
        return x <= node->value;
    case BRANCH_LT:
        return x < node->value;
    case BRANCH_GTE:
        return x >= node->value;
    case BRANCH_GT:
        return x > node->value;
    case BRANCH_EQ:
        return x == node->value;
    case BRANCH_NEQ:
        return x != node->value;
    case BRANCH_MEMBER:
        return is_member(forest->members, node->begin, node->end, x);
    default:
        return false;
    }
}

static Status find_leaf(const EvalCtx *ctx, const Forest *forest, int64_t root, const double *x, int64_t features,
                        const TreeNode **ret)
{
    const TreeNode *node = &forest->nodes[root];

    for (int64_t steps = 0; node->branch != BRANCH_LEAF; steps++) {
        if (steps > forest->n_nodes)
            return eval_error(ctx, CODE_MODEL, "a tree leads back to itself");
        if (node->feature < 0 || node->feature >= features)
            return eval_error(ctx, CODE_MODEL, "a node asks for feature %lld of %lld", (long long)node->feature,
                              (long long)features);
        double value = x[node->feature];
        bool yes = takes_yes(forest, node, value) || (node->missing_is_true && isnan(value));
        node = &forest->nodes[yes ? node->yes : node->no];
    }
    *ret = node;
    return NULL;
}

static double rounded(const Forest *forest, double score)
{
    return forest->in_float ? (double)(float)score : score;
}

static double base_of(const Forest *forest, int64_t t)
{
    return forest->base_wide != NULL ? tensor_get(forest->base_wide, t) : (double)forest->base[t];
}

/* Scores of one row; `voted` marks targets that anything was said of. */
static Status score_row(const EvalCtx *ctx, const Forest *forest, const double *x, int64_t features, double *scores,
                        bool *voted)
{
    for (int64_t t = 0; t < forest->targets; t++) {
        scores[t] = 0;
        voted[t] = false;
    }
    for (int64_t i = 0; i < forest->n_roots; i++) {
        const TreeNode *leaf;
        TRY(find_leaf(ctx, forest, forest->roots[i], x, features, &leaf));
        for (int64_t k = leaf->begin; k < leaf->end; k++) {
            const Vote *vote = &forest->votes[k];
            double *score = &scores[vote->target];
            if (forest->aggregate == AGGREGATE_SUM || forest->aggregate == AGGREGATE_AVERAGE)
                *score += vote->weight;
            else if (!voted[vote->target] ||
                     (forest->aggregate == AGGREGATE_MIN ? vote->weight < *score : vote->weight > *score))
                *score = vote->weight;
            voted[vote->target] = true;
        }
    }
    for (int64_t t = 0; t < forest->targets; t++) {
        if (forest->aggregate == AGGREGATE_AVERAGE && forest->n_roots > 0)
            scores[t] /= (double)forest->n_roots;
        if (forest->n_base == forest->targets && (voted[t] || forest->targets == 1))
            scores[t] = rounded(forest, rounded(forest, scores[t]) + base_of(forest, t));
        scores[t] = rounded(forest, scores[t]);
    }
    return NULL;
}

/* ---- regression -------------------------------------------------------------------------------------------------- */

static Status run_regression(EvalCtx *ctx, const Forest *forest, MlTransform transform, DType dtype)
{
    MlRows rows;
    double *scores = take(ctx, forest->targets, sizeof *scores);
    bool *voted = take(ctx, forest->targets, sizeof *voted);

    TRY(ml_rows(ctx, &rows));
    TRY(eval_output(ctx, 0, dtype, 2, (int64_t[]){rows.n, forest->targets}));
    for (int64_t row = 0; row < rows.n; row++) {
        TRY(score_row(ctx, forest, rows.data + row * rows.features, rows.features, scores, voted));
        ml_transform(transform, scores, forest->targets);
        for (int64_t t = 0; t < forest->targets; t++)
            tensor_set(&ctx->out[0], row * forest->targets + t, scores[t]);
    }
    return NULL;
}

static Status check_targets(const EvalCtx *ctx, int64_t targets)
{
    if (targets < 1 || targets > INT32_MAX)
        return eval_error(ctx, CODE_MODEL, "attribute 'n_targets' is %lld, expected 1 or more", (long long)targets);
    return NULL;
}

static Status eval_tree_regressor(EvalCtx *ctx)
{
    static const char *const names[AGGREGATES] = {"AVERAGE", "SUM", "MIN", "MAX"};
    const char *name = node_string(ctx->node, "aggregate_function", "SUM");
    Forest forest = {.targets = node_int(ctx->node, "n_targets", 1), .aggregate = AGGREGATES, .in_float = true};
    MlTransform transform;

    for (int i = 0; i < AGGREGATES; i++)
        if (strcmp(names[i], name) == 0)
            forest.aggregate = (Aggregate)i;
    if (forest.aggregate == AGGREGATES)
        return eval_error(ctx, CODE_MODEL, "aggregate_function '%s' is not known", name);
    TRY(check_targets(ctx, forest.targets));
    TRY(ml_transform_attr(ctx, &transform));
    TRY(read_named_forest(ctx, false, &forest));
    return run_regression(ctx, &forest, transform, DT_FLOAT);
}

static Status eval_tree_ensemble(EvalCtx *ctx)
{
    int64_t aggregate = node_int(ctx->node, "aggregate_function", AGGREGATE_SUM);
    int64_t transform = node_int(ctx->node, "post_transform", ML_NONE);
    Forest forest = {.targets = node_int(ctx->node, "n_targets", 1)};

    if (aggregate < 0 || aggregate >= AGGREGATES || transform < 0 || transform >= ML_TRANSFORMS)
        return eval_error(ctx, CODE_MODEL, "aggregate_function %lld or post_transform %lld is not known",
                          (long long)aggregate, (long long)transform);
    forest.aggregate = (Aggregate)aggregate;
    forest.in_float = ctx->in[0]->dtype != DT_DOUBLE;
    if (!dtype_is_float(ctx->in[0]->dtype))
        return eval_bad_dtype(ctx, 0);
    TRY(check_targets(ctx, forest.targets));
    TRY(read_numbered_forest(ctx, &forest));
    return run_regression(ctx, &forest, (MlTransform)transform, ctx->in[0]->dtype);
}

static Status infer_trees(Node *node)
{
    Shape out = ml_rows_shape(node, MAX(node_int(node, "n_targets", 1), -1));

    infer_output(node, 0, strcmp(node->op_type, "TreeEnsemble") == 0 ? infer_dtype(node, 0) : DT_FLOAT, &out);
    return NULL;
}

/* ---- classification ---------------------------------------------------------------------------------------------- */

/* A model of two classes whose leaves speak of one: the score of the second class. */
static bool one_class_votes(const Forest *forest, int64_t n, bool *ret_positive)
{
    *ret_positive = true;
    for (int64_t i = 0; i < n; i++) {
        *ret_positive = *ret_positive && forest->votes[i].weight >= 0;
        if (forest->votes[i].target != forest->votes[0].target)
            return false;
    }
    return n > 0;
}

static Status eval_tree_classifier(EvalCtx *ctx)
{
    MlLabels labels = ml_labels(ctx->node, "classlabels_int64s", "classlabels_strings");
    Forest forest = {.targets = labels.n, .aggregate = AGGREGATE_SUM, .in_float = true};
    MlTransform transform;
    MlRows rows;
    int64_t n_votes;
    bool positive = true;
    float *z = NULL;

    if (labels.n < 1)
        return eval_error(ctx, CODE_MODEL, "the class labels are missing");
    (void)node_ints(ctx->node, "class_ids", &n_votes);
    TRY(ml_transform_attr(ctx, &transform));
    TRY(read_named_forest(ctx, true, &forest));
    TRY(ml_rows(ctx, &rows));
    bool binary = labels.n == 2 && one_class_votes(&forest, n_votes, &positive);
    TRY(ml_labels_output(ctx, &labels, rows.n));
    if (eval_wants(ctx, 1)) {
        TRY(eval_output(ctx, 1, DT_FLOAT, 2, (int64_t[]){rows.n, labels.n}));
        z = ctx->out[1].data;
    }
    double *scores = take(ctx, labels.n, sizeof *scores);
    bool *voted = take(ctx, labels.n, sizeof *voted);
    for (int64_t row = 0; row < rows.n; row++) {
        int64_t best = 0;
        TRY(score_row(ctx, &forest, rows.data + row * rows.features, rows.features, scores, voted));
        if (binary) {
            double s = scores[forest.votes[0].target];
            if (forest.n_base == 1)
                s = rounded(&forest, s + base_of(&forest, 0));
            best = s > (positive ? 0.5 : 0);
            ml_second_class(transform, positive, s, scores);
        } else {
            for (int64_t t = 1; t < labels.n; t++)
                best = voted[t] && (scores[t] > scores[best] || !voted[best]) ? t : best;
            ml_transform(transform, scores, labels.n);
        }
        ml_label_set(ctx, &labels, row, best);
        for (int64_t t = 0; z != NULL && t < labels.n; t++)
            z[row * labels.n + t] = (float)scores[t];
    }
    return NULL;
}

static Status infer_tree_classifier(Node *node)
{
    MlLabels labels = ml_labels(node, "classlabels_int64s", "classlabels_strings");
    Shape scores = ml_rows_shape(node, labels.n), list = {.rank = 1, .dims = {scores.dims[0]}};

    infer_output(node, 0, ml_labels_dtype(&labels), &list);
    infer_output(node, 1, DT_FLOAT, &scores);
    return NULL;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define NAMED_NODES                                                                                                    \
    {"base_values", ATTR_FLOATS, false}, {"base_values_as_tensor", ATTR_TENSOR, false},                                \
        {"nodes_falsenodeids", ATTR_INTS, false}, {"nodes_featureids", ATTR_INTS, false},                              \
        {"nodes_hitrates", ATTR_FLOATS, false}, {"nodes_hitrates_as_tensor", ATTR_TENSOR, false},                      \
        {"nodes_missing_value_tracks_true", ATTR_INTS, false}, {"nodes_modes", ATTR_STRINGS, false},                   \
        {"nodes_nodeids", ATTR_INTS, false}, {"nodes_treeids", ATTR_INTS, false},                                      \
        {"nodes_truenodeids", ATTR_INTS, false}, {"nodes_values", ATTR_FLOATS, false},                                 \
        {"nodes_values_as_tensor", ATTR_TENSOR, false}, {"post_transform", ATTR_STRING, false}

static const AttrSpec tree_regressor_attrs[] = {
    NAMED_NODES,
    {"aggregate_function", ATTR_STRING, false},
    {"n_targets", ATTR_INT, false},
    {"target_ids", ATTR_INTS, false},
    {"target_nodeids", ATTR_INTS, false},
    {"target_treeids", ATTR_INTS, false},
    {"target_weights", ATTR_FLOATS, false},
    {"target_weights_as_tensor", ATTR_TENSOR, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec tree_classifier_attrs[] = {
    NAMED_NODES,
    {"class_ids", ATTR_INTS, false},
    {"class_nodeids", ATTR_INTS, false},
    {"class_treeids", ATTR_INTS, false},
    {"class_weights", ATTR_FLOATS, false},
    {"class_weights_as_tensor", ATTR_TENSOR, false},
    {"classlabels_int64s", ATTR_INTS, false},
    {"classlabels_strings", ATTR_STRINGS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec tree_ensemble_attrs[] = {
    {"aggregate_function", ATTR_INT, false},  {"leaf_targetids", ATTR_INTS, true},
    {"leaf_weights", ATTR_TENSOR, true},      {"membership_values", ATTR_TENSOR, false},
    {"n_targets", ATTR_INT, false},           {"nodes_falseleafs", ATTR_INTS, true},
    {"nodes_falsenodeids", ATTR_INTS, true},  {"nodes_featureids", ATTR_INTS, true},
    {"nodes_hitrates", ATTR_TENSOR, false},   {"nodes_missing_value_tracks_true", ATTR_INTS, false},
    {"nodes_modes", ATTR_TENSOR, true},       {"nodes_splits", ATTR_TENSOR, true},
    {"nodes_trueleafs", ATTR_INTS, true},     {"nodes_truenodeids", ATTR_INTS, true},
    {"post_transform", ATTR_INT, false},      {"tree_roots", ATTR_INTS, true},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_ml_treeensembleregressor = {
    .type = "TreeEnsembleRegressor", .domain = DOMAIN_ML, .versions = {1, 3, 5}, .min_in = 1, .max_in = 1, .min_out = 1,
    .max_out = 1, .attrs = tree_regressor_attrs, .infer = infer_trees, .eval = eval_tree_regressor, .quant = RULE_FLOAT,
};
const OpDef op_ml_treeensembleclassifier = {
    .type = "TreeEnsembleClassifier", .domain = DOMAIN_ML, .versions = {1, 3, 5}, .min_in = 1, .max_in = 1,
    .min_out = 1, .max_out = 2, .attrs = tree_classifier_attrs, .infer = infer_tree_classifier,
    .eval = eval_tree_classifier, .quant = RULE_FLOAT,
};
const OpDef op_ml_treeensemble = {
    .type = "TreeEnsemble", .domain = DOMAIN_ML, .versions = {5}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = tree_ensemble_attrs, .infer = infer_trees, .eval = eval_tree_ensemble, .quant = RULE_FLOAT,
};
