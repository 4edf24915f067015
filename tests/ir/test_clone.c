/* clone.c: the same graph twice, ids and all, and no link between the two */
#include "src/ir/ir.h"
#include "tests/test.h"

#include <stdlib.h>

/* If around an inner graph that reads an outer value, and an initializer that is an input too. */
static Model *build(void)
{
    static const int64_t shape[] = {2};
    static const float numbers[] = {1.0f, 2.0f};
    Model *m = model_new();
    m->ir_version = 8;
    model_set_opset(m, "", 13);
    Graph *g = graph_new(m, "main", NULL);
    Shape two = shape_of(1, shape);
    Value *x = graph_value(g, "x"), *shadowed = graph_value(g, "shadowed");
    x->type = shadowed->type = type_tensor(DT_FLOAT, &two);
    graph_add_input(g, x);
    graph_add_input(g, shadowed);
    value_set_constant(shadowed, tensor_new_floats(m->arena, 1, shape, numbers));
    Value *dead = graph_value(g, "dead"); /* a hole in the ids */
    value_remove(dead);
    Value *w = graph_add_constant(g, "w", tensor_new_floats(m->arena, 1, shape, numbers));
    Node *add = graph_add_node(g, NULL, "Add", "", "add", 2, (Value *[]){x, w}, 1, NULL);
    Value *condition = graph_add_constant(g, "condition", tensor_new_scalar(m->arena, DT_BOOL, 1));
    Node *branch = graph_add_node(g, NULL, "If", "", "if", 1, &condition, 1, NULL);
    static const char *const names[] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        Attr *attr = node_add_attr(branch, names[i], ATTR_GRAPH);
        attr->g = graph_new(m, names[i], branch);
        Node *inner = graph_add_node(attr->g, NULL, "Mul", "", "", 2, (Value *[]){add->out[0], shadowed}, 1, NULL);
        graph_add_output(attr->g, inner->out[0]);
    }
    node_set_int(add, "odd", 3);
    graph_add_output(g, branch->out[0]);
    return m;
}

static char *text_of(const Model *model)
{
    Text text = {0};
    model_print(model, &text, false);
    return text.data;
}

TEST(a_clone_reads_the_same_and_has_the_same_ids)
{
    Model *m = build(), *clone = model_clone(m);
    CHECK_OK(model_verify(clone));
    char *a = text_of(m), *b = text_of(clone);
    CHECK_TEXT(b, a);
    CHECK_INT(clone->n_ids, m->n_ids);
    CHECK_INT(clone->n_node_ids, m->n_node_ids);
    for (const Node *x = m->graph->first, *y = clone->graph->first; x != NULL && y != NULL; x = x->next, y = y->next) {
        CHECK(x != y);
        CHECK_INT(y->id, x->id);
        CHECK_INT(y->out[0]->id, x->out[0]->id);
    }
    CHECK(clone->graph->initializers[1]->constant == m->graph->initializers[1]->constant); /* pointed at, not copied */
    free(a);
    free(b);
    model_free(clone);
    model_free(m);
}

TEST(a_clone_is_changed_alone)
{
    Model *m = build(), *clone = model_clone(m);
    char *before = text_of(m);
    Node *add = clone->graph->first;
    Value *fresh = graph_value(clone->graph, model_fresh_name(clone, "fresh"));
    CHECK(fresh->id >= m->n_ids);
    node_set_int(add, "odd", 4);
    node_set_input(add, 1, clone->graph->inputs[1]);
    graph_drop(clone->graph->last->attrs[0].g);
    char *after = text_of(m);
    CHECK_TEXT(after, before);
    CHECK_OK(model_verify(m));
    free(before);
    free(after);
    model_free(clone);
    model_free(m);
}
