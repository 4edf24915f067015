/* test_ml.c - ai.onnx.ml: features, labels, linear models, trees. */
#include "tests/test.h"

#include <math.h>

#include "tests/ops/one_node.h"

static void set_floats(Node *node, const char *name, float *values, int64_t n)
{
    Attr *attr = node_add_attr(node, name, ATTR_FLOATS);

    attr->floats = values;
    attr->n = n;
}

static void set_strings(Node *node, const char *name, TensorString *values, int64_t n)
{
    Attr *attr = node_add_attr(node, name, ATTR_STRINGS);

    attr->strings = values;
    attr->n = n;
}

static OneNode ml_node(const char *type, int opset, const Tensor *in, int n_in, int n_out)
{
    OneNode one = one_node(type, DOMAIN_ML, 17, in, n_in, n_out);

    model_set_opset(one.model, DOMAIN_ML, opset);
    ops_bind_node(one.node);
    return one;
}

static void check_output(OneNode *one, int output, const double *expected, int64_t n)
{
    if (!CHECK_OK(one_node_run(one, true)))
        return;
    CHECK_INT(one->out[output].count, n);
    for (int64_t i = 0; i < n && i < one->out[output].count; i++)
        CHECK_NEAR(tensor_get(&one->out[output], i), expected[i], 1e-5);
}

TEST(ml_features)
{
    const float x[] = {3, -4, 0, 0};
    const int64_t columns[] = {1, 1, 0}, beyond[] = {2};
    Tensor in = over(DT_FLOAT, 2, DIMS(2, 2), x);
    OneNode normal = ml_node("Normalizer", 1, &in, 1, 1), scaler = ml_node("Scaler", 1, &in, 1, 1);
    OneNode imputer = ml_node("Imputer", 1, &in, 1, 1), binary = ml_node("Binarizer", 1, &in, 1, 1);
    OneNode pick = ml_node("ArrayFeatureExtractor", 1, (Tensor[]){in, over(DT_INT64, 1, DIMS(3), columns)}, 2, 1);
    OneNode wrong = ml_node("ArrayFeatureExtractor", 1, (Tensor[]){in, over(DT_INT64, 1, DIMS(1), beyond)}, 2, 1);

    node_set_string(normal.node, "norm", "L2");
    check_output(&normal, 0, (double[]){0.6, -0.8, 0, 0}, 4);
    node_set_string(normal.node, "norm", "L3");
    CHECK_FAILS(one_node_eval(&normal), CODE_MODEL, "norm 'L3' is none of MAX, L1, L2");
    set_floats(scaler.node, "offset", (float[]){1, 2}, 2);
    set_floats(scaler.node, "scale", (float[]){10}, 1);
    check_output(&scaler, 0, (double[]){20, -60, -10, -20}, 4);
    set_floats(imputer.node, "imputed_value_floats", (float[]){7, 8}, 2);
    check_output(&imputer, 0, (double[]){3, -4, 7, 8}, 4);
    check_output(&binary, 0, (double[]){1, 0, 0, 0}, 4);
    check_output(&pick, 0, (double[]){-4, -4, 3, 0, 0, 0}, 6);
    CHECK_FAILS(one_node_eval(&wrong), CODE_MODEL, "index 2 is beyond the 2 features");
    one_node_free(&normal), one_node_free(&scaler), one_node_free(&imputer);
    one_node_free(&binary), one_node_free(&pick), one_node_free(&wrong);
}

TEST(ml_labels_are_looked_up)
{
    TensorString words[] = {{"b", 1}, {"zz", 2}, {"a", 1}}, keys[] = {{"a", 1}, {"b", 1}, {"a", 1}};
    const int64_t values[] = {5, 6, 9};
    Tensor in = over(DT_STRING, 1, DIMS(3), words);
    OneNode one = ml_node("LabelEncoder", 4, &in, 1, 1), old = ml_node("LabelEncoder", 1, &in, 1, 1);

    set_strings(one.node, "keys_strings", keys, 3);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "keys or values are missing");
    node_set_ints(one.node, "values_int64s", values, 2);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "3 keys and 2 values");
    node_set_ints(one.node, "values_int64s", values, 3);
    check_output(&one, 0, (double[]){6, -1, 9}, 3); /* of two equal keys the last */
    set_strings(old.node, "classes_strings", keys, 2);
    node_set_int(old.node, "default_int64", 7);
    check_output(&old, 0, (double[]){1, 7, 0}, 3);
    one_node_free(&one), one_node_free(&old);
}

TEST(ml_linear_models)
{
    const float x[] = {1, 2, 3, -4};
    TensorString names[] = {{"no", 2}, {"yes", 3}};
    Tensor in = over(DT_FLOAT, 2, DIMS(2, 2), x);
    OneNode regressor = ml_node("LinearRegressor", 1, &in, 1, 1), one = ml_node("LinearClassifier", 1, &in, 1, 2);

    set_floats(regressor.node, "coefficients", (float[]){1, 10, 0, 1}, 4);
    set_floats(regressor.node, "intercepts", (float[]){0.5F, 0}, 2);
    node_set_int(regressor.node, "targets", 2);
    check_output(&regressor, 0, (double[]){21.5, 2, -36.5, -4}, 4);
    node_set_int(regressor.node, "targets", 3);
    CHECK_FAILS(one_node_eval(&regressor), CODE_MODEL, "4 coefficients do not fit 2 features");
    set_floats(one.node, "coefficients", (float[]){0, 1}, 2);
    set_strings(one.node, "classlabels_strings", names, 2);
    node_set_string(one.node, "post_transform", "LOGISTIC");
    check_output(&one, 1, (double[]){0.11920292, 0.88079708, 0.98201379, 0.01798621}, 4);
    CHECK_INT(((const TensorString *)one.out[0].data)[0].length, 3);
    CHECK_INT(((const TensorString *)one.out[0].data)[1].length, 2);
    one_node_free(&regressor), one_node_free(&one);
}

/* x0 <= 1 ? (x1 < 0 ? leaf 10 : leaf 20) : leaf 30 */
static void set_tree(Node *node)
{
    static TensorString modes[] = {{"BRANCH_LEQ", 10}, {"BRANCH_LT", 9}, {"LEAF", 4}, {"LEAF", 4}, {"LEAF", 4}};
    static float values[] = {1, 0, 0, 0, 0};

    node_set_ints(node, "nodes_treeids", (int64_t[]){0, 0, 0, 0, 0}, 5);
    node_set_ints(node, "nodes_nodeids", (int64_t[]){0, 1, 2, 3, 4}, 5);
    node_set_ints(node, "nodes_featureids", (int64_t[]){0, 1, 0, 0, 0}, 5);
    node_set_ints(node, "nodes_truenodeids", (int64_t[]){1, 3, 0, 0, 0}, 5);
    node_set_ints(node, "nodes_falsenodeids", (int64_t[]){2, 4, 0, 0, 0}, 5);
    set_strings(node, "nodes_modes", modes, 5);
    set_floats(node, "nodes_values", values, 5);
}

TEST(ml_trees_of_named_nodes)
{
    const float x[] = {1, -1, 1, 0, 2, 0, NAN, 0};
    Tensor in = over(DT_FLOAT, 2, DIMS(4, 2), x);
    OneNode one = ml_node("TreeEnsembleRegressor", 3, &in, 1, 1);
    OneNode classes = ml_node("TreeEnsembleClassifier", 3, &in, 1, 2);

    set_tree(one.node);
    node_set_ints(one.node, "target_treeids", (int64_t[]){0, 0, 0}, 3);
    node_set_ints(one.node, "target_nodeids", (int64_t[]){3, 4, 2}, 3);
    node_set_ints(one.node, "target_ids", (int64_t[]){0, 0, 0}, 3);
    set_floats(one.node, "target_weights", (float[]){10, 20, 30}, 3);
    set_floats(one.node, "base_values", (float[]){1}, 1);
    check_output(&one, 0, (double[]){11, 21, 31, 31}, 4);
    node_set_ints(one.node, "nodes_missing_value_tracks_true", (int64_t[]){1, 0, 0, 0, 0}, 5);
    check_output(&one, 0, (double[]){11, 21, 31, 21}, 4);
    node_set_ints(one.node, "nodes_truenodeids", (int64_t[]){1, 1, 0, 0, 0}, 5);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "a tree leads back to itself");
    node_set_ints(one.node, "nodes_truenodeids", (int64_t[]){1, 9, 0, 0, 0}, 5);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "tree 0 has no node 9");
    set_tree(classes.node);
    node_set_ints(classes.node, "class_treeids", (int64_t[]){0, 0, 0}, 3);
    node_set_ints(classes.node, "class_nodeids", (int64_t[]){3, 4, 2}, 3);
    node_set_ints(classes.node, "class_ids", (int64_t[]){0, 1, 2}, 3);
    set_floats(classes.node, "class_weights", (float[]){1, 1, 1}, 3);
    node_set_ints(classes.node, "classlabels_int64s", (int64_t[]){7, 8, 9}, 3);
    check_output(&classes, 0, (double[]){7, 8, 9, 9}, 4);
    one_node_free(&one), one_node_free(&classes);
}

/* x < 5 ? leaf 0 : x in {7, 8} ? leaf 1 : leaf 2 */
TEST(ml_trees_of_numbered_nodes)
{
    const double x[] = {1, 7, 9};
    const uint8_t modes[] = {1, 6};
    const double splits[] = {5, 0}, weights[] = {0.5, 1, 2};
    const float members[] = {7, 8, NAN};
    Tensor in = over(DT_DOUBLE, 2, DIMS(3, 1), x);
    OneNode one = ml_node("TreeEnsemble", 5, &in, 1, 1);

    node_set_int(one.node, "n_targets", 2);
    node_set_ints(one.node, "tree_roots", (int64_t[]){0}, 1);
    node_set_ints(one.node, "nodes_featureids", (int64_t[]){0, 0}, 2);
    node_set_ints(one.node, "nodes_truenodeids", (int64_t[]){0, 1}, 2);
    node_set_ints(one.node, "nodes_trueleafs", (int64_t[]){1, 1}, 2);
    node_set_ints(one.node, "nodes_falsenodeids", (int64_t[]){1, 2}, 2);
    node_set_ints(one.node, "nodes_falseleafs", (int64_t[]){0, 1}, 2);
    node_set_ints(one.node, "leaf_targetids", (int64_t[]){0, 1, 0}, 3);
    Tensor tensors[] = {over(DT_UINT8, 1, DIMS(2), modes), over(DT_DOUBLE, 1, DIMS(2), splits),
                        over(DT_DOUBLE, 1, DIMS(3), weights), over(DT_FLOAT, 1, DIMS(3), members)};
    node_set_tensor(one.node, "nodes_modes", &tensors[0]);
    node_set_tensor(one.node, "nodes_splits", &tensors[1]);
    node_set_tensor(one.node, "leaf_weights", &tensors[2]);
    CHECK_FAILS(one_node_eval(&one), CODE_MODEL, "membership_values has no set for node 1");
    node_set_tensor(one.node, "membership_values", &tensors[3]);
    check_output(&one, 0, (double[]){0.5, 0, 0, 1, 2, 0}, 6);
    CHECK_INT(one.out[0].dtype, DT_DOUBLE);
    one_node_free(&one);
}
