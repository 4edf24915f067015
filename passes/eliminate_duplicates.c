/* eliminate_duplicates.c - nodes that compute the same from the same, and initializers of equal content, become one.
 *
 *     x -> Exp -> a        x -> Exp -> a, b        w1 = [1, 2]        w1 = w2 = [1, 2]
 *     x -> Exp -> b   ->                           w2 = [1, 2]   ->
 *
 * One hash table a graph; a node meets those before it. Never: random ops, unknown ops, nodes with inner graphs.
 */
#include "passes/pass.h"

#include "src/ops/ops.h"

#include <string.h>

#define SAMPLE_BYTES 4096 /* of a large tensor that go into its hash, at each end */

/* Open addressing over pointers; equal hashes are compared by the caller's function. */
typedef struct Table {
    struct Slot {
        uint64_t hash;
        void *item;
    } *slots;
    size_t mask;
} Table;

static void table_init(Table *table, Arena *arena, int n)
{
    size_t size = 16;
    while (size < 2 * (size_t)n)
        size *= 2;
    table->slots = arena_array(arena, size, sizeof(*table->slots));
    table->mask = size - 1;
}

/* The item equal to this one that came before, or NULL; then this one is in the table. */
static void *table_meet(Table *table, uint64_t hash, void *item, bool (*equal)(const void *a, const void *b))
{
    size_t i = (size_t)hash & table->mask;
    for (; table->slots[i].item != NULL; i = (i + 1) & table->mask)
        if (table->slots[i].hash == hash && equal(table->slots[i].item, item))
            return table->slots[i].item;
    table->slots[i].hash = hash;
    table->slots[i].item = item;
    return NULL;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return hash_bytes(text, strlen(text), seed);
}

static uint64_t hash_tensor(const Tensor *tensor)
{
    uint64_t hash = hash_bytes(tensor->dims, (size_t)tensor->rank * sizeof(tensor->dims[0]), (uint64_t)tensor->dtype);
    if (tensor->dtype == DT_STRING)
        return hash;
    if (tensor->bytes <= 2 * SAMPLE_BYTES)
        return hash_bytes(tensor->data, tensor->bytes, hash);
    const unsigned char *data = tensor->data;
    hash = hash_bytes(data, SAMPLE_BYTES, hash);
    return hash_bytes(data + tensor->bytes - SAMPLE_BYTES, SAMPLE_BYTES, hash);
}

static bool strings_equal(TensorString a, TensorString b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool lists_equal(const void *a, const void *b, int64_t n, size_t size)
{
    return n == 0 || memcmp(a, b, (size_t)n * size) == 0;
}

static bool attr_equal(const Attr *a, const Attr *b)
{
    if (a->kind != b->kind || a->n != b->n)
        return false;
    switch (a->kind) {
    case ATTR_FLOAT:
        return memcmp(&a->f, &b->f, sizeof(a->f)) == 0;
    case ATTR_INT:
        return a->i == b->i;
    case ATTR_STRING:
        return strings_equal(a->s, b->s);
    case ATTR_TENSOR:
        return tensor_equal(a->t, b->t);
    case ATTR_FLOATS:
        return lists_equal(a->floats, b->floats, a->n, sizeof(*a->floats));
    case ATTR_INTS:
        return lists_equal(a->ints, b->ints, a->n, sizeof(*a->ints));
    case ATTR_STRINGS:
        for (int64_t i = 0; i < a->n; i++)
            if (!strings_equal(a->strings[i], b->strings[i]))
                return false;
        return true;
    default:
        return false;
    }
}

/* Order of the attributes has no meaning, so their hashes are added. */
static uint64_t hash_attr(const Attr *attr)
{
    uint64_t hash = hash_text(attr->name, (uint64_t)attr->kind);
    switch (attr->kind) {
    case ATTR_FLOAT:
        return hash_bytes(&attr->f, sizeof(attr->f), hash);
    case ATTR_INT:
        return hash_bytes(&attr->i, sizeof(attr->i), hash);
    case ATTR_STRING:
        return hash_bytes(attr->s.data, attr->s.length, hash);
    case ATTR_TENSOR:
        return hash ^ hash_tensor(attr->t);
    case ATTR_FLOATS:
        return hash_bytes(attr->floats, (size_t)attr->n * sizeof(*attr->floats), hash);
    case ATTR_INTS:
        return hash_bytes(attr->ints, (size_t)attr->n * sizeof(*attr->ints), hash);
    default:
        return hash;
    }
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static uint64_t hash_node(const Node *node)
{
    uint64_t attrs = 0;
    /* Places in memory, not what stands there: a node met once costs no look at its inputs. Which nodes are equal does not depend
     * on the hash. */
    uint64_t hash = hash_bytes(&node->def, sizeof(node->def), (uint64_t)node->n_out);
    hash = hash_bytes(node->in, (size_t)node->n_in * sizeof(node->in[0]), hash);
    for (int i = 0; i < node->n_attrs; i++)
        attrs += hash_attr(&node->attrs[i]);
    return hash_bytes(&attrs, sizeof(attrs), hash);
}

static bool nodes_equal(const void *first, const void *second)
{
    const Node *a = first, *b = second;
    if (strcmp(a->op_type, b->op_type) != 0 || strcmp(a->domain, b->domain) != 0 || a->n_in != b->n_in ||
        a->n_out != b->n_out || a->n_attrs != b->n_attrs)
        return false;
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i] != b->in[i])
            return false;
    for (int i = 0; i < a->n_out; i++)
        if ((a->out[i] == NULL) != (b->out[i] == NULL))
            return false;
    for (int i = 0; i < a->n_attrs; i++) {
        const Attr *other = node_attr(b, a->attrs[i].name);
        if (other == NULL || !attr_equal(&a->attrs[i], other))
            return false;
    }
    return true;
}

static bool may_merge(const Node *node)
{
    return node->def != NULL && !node->def->random && !node_has_graph(node) && node->n_out > 0;
}

/* A graph output keeps its name, and one value has one name. */
static bool names_allow(const Node *kept, const Node *duplicate)
{
    for (int i = 0; i < duplicate->n_out; i++) {
        const Value *out = duplicate->out[i];
        if (out != NULL && out->n_outputs > 0 && !value_can_take_name(kept->out[i], out))
            return false;
    }
    return true;
}

static void merge_nodes(PassContext *context, Graph *graph)
{
    Table table;
    table_init(&table, context->scratch, graph->n_nodes);
    for (Node *node = graph->first, *next; node != NULL; node = next) {
        next = node->next;
        if (!may_merge(node))
            continue;
        Node *kept = table_meet(&table, hash_node(node), node, nodes_equal);
        if (kept == NULL || !names_allow(kept, node))
            continue;
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != NULL)
                value_replace_uses(node->out[i], kept->out[i]);
        node_remove(node);
        ++*context->changes;
    }
}

/* ---- initializers ------------------------------------------------------------------------------------------------ */

static bool constants_equal(const void *a, const void *b)
{
    return tensor_equal(((const Value *)a)->constant, ((const Value *)b)->constant);
}

static void merge_initializers(PassContext *context, Graph *graph)
{
    Table table;
    table_init(&table, context->scratch, graph->n_initializers);
    for (int i = 0; i < graph->n_initializers; i++) {
        Value *value = graph->initializers[i];
        if (value->is_input || value->n_outputs > 0 || value->n_uses == 0 || value->constant->dtype == DT_STRING)
            continue;
        Value *kept = table_meet(&table, hash_tensor(value->constant), value, constants_equal);
        if (kept == NULL)
            continue;
        value_replace_node_uses(value, kept);
        ++*context->changes; /* the unread one is eliminate_dead's */
    }
}

static void merge_graph(void *context, Graph *graph)
{
    merge_initializers(context, graph);
    merge_nodes(context, graph);
}

static Status run(PassContext *context)
{
    graph_each(context->model->graph, merge_graph, context);
    return NULL;
}

const Pass pass_eliminate_duplicates = {
    .name = "eliminate_duplicates",
    .stage = PASS_SIMPLIFY,
    .summary = "nodes that compute the same, and initializers of equal content, become one",
    .run = run,
};
