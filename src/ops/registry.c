/* registry.c - from (domain, type, opset) to the OpDef; checks of nodes against it.
 *
 *     ops.def ── OP(op_relu) ──> rows[] ──> map "ai.onnx:Relu" -> &op_relu
 */
#include <pthread.h>
#include <string.h>

#include "src/ops/ops.h"

#define OP(symbol) extern const OpDef symbol;
#include "src/ops/ops.def"
#undef OP

#define OP(symbol) &symbol,
static const OpDef *const rows[] = {
#include "src/ops/ops.def"
};
#undef OP

#define N_OPS COUNT_OF(rows)
#define ROW_SLOTS 1024 /* a power of two, at least twice N_OPS */
#define KEY_MAX 128 /* "domain:type" of any op we know is shorter; a longer one is unknown */

static Map *by_name;                    /* "domain:type" -> OpDef; built once, never changed, kept for the process */
static const char *names[N_OPS + 1];
static struct {
    const OpDef *def;
    size_t row;
} row_slots[ROW_SLOTS];                  /* open addressing by place in memory */
static char keys[N_OPS][KEY_MAX];
static pthread_once_t built = PTHREAD_ONCE_INIT;

static bool make_key(const char *domain, const char *type, char key[KEY_MAX])
{
    size_t domain_length = strlen(domain), type_length = strlen(type);

    if (domain_length >= KEY_MAX || type_length >= KEY_MAX || domain_length + type_length + 2 > KEY_MAX)
        return false;
    memcpy(key, domain, domain_length);
    key[domain_length] = ':';
    memcpy(key + domain_length + 1, type, type_length + 1);
    return true;
}

/* The slot of the definition, or the empty one where it would go. */
static size_t row_slot(const OpDef *def)
{
    size_t i = (size_t)((uintptr_t)def / sizeof(OpDef)) % ROW_SLOTS;

    while (row_slots[i].def != NULL && row_slots[i].def != def)
        i = (i + 1) % ROW_SLOTS;
    return i;
}

static void build(void)
{
    _Static_assert(2 * N_OPS <= ROW_SLOTS, "the table of rows is too full");
    by_name = map_new();
    for (size_t i = 0; i < N_OPS; i++) {
        size_t slot = row_slot(rows[i]);
        row_slots[slot].def = rows[i];
        row_slots[slot].row = i;
        names[i] = rows[i]->type;
        if (make_key(rows[i]->domain, rows[i]->type, keys[i]))
            map_put(by_name, keys[i], (void *)(uintptr_t)rows[i]);
    }
}

static const AttrSpec *find_attr_spec(const OpDef *def, const char *name)
{
    for (const AttrSpec *spec = def->attrs; spec != NULL && spec->name != NULL; spec++)
        if (strcmp(spec->name, name) == 0)
            return spec;
    return NULL;
}

static const char *attr_kind_name(AttrKind kind)
{
    static const char *const kinds[] = {
        "undefined", "float", "int", "string", "tensor", "graph", "floats", "ints", "strings", "tensors", "graphs",
        "sparse_tensor", "sparse_tensors", "type_proto", "type_protos",
    };
    return (unsigned)kind < COUNT_OF(kinds) ? kinds[kind] : "unknown";
}

static Status check_arity(const Node *node)
{
    const OpDef *def = node->def;

    for (int i = 0; i < def->min_in; i++)
        if (node_in(node, i) == NULL)
            return node_error(node, CODE_MODEL, "input %d is missing; %s takes at least %d", i, def->type, def->min_in);
    if (node->n_in > def->max_in)
        return node_error(node, CODE_MODEL, "has %d inputs; %s takes at most %d", node->n_in, def->type, def->max_in);
    if (node->n_out < def->min_out)
        return node_error(node, CODE_MODEL, "has %d outputs; %s gives at least %d", node->n_out, def->type,
                          def->min_out);
    if (node->n_out > def->max_out)
        return node_error(node, CODE_MODEL, "has %d outputs; %s gives at most %d", node->n_out, def->type,
                          def->max_out);
    return NULL;
}

static Status check_attrs(const Node *node)
{
    const OpDef *def = node->def;

    for (int i = 0; i < node->n_attrs; i++) {
        const Attr *attr = &node->attrs[i];
        const AttrSpec *spec = find_attr_spec(def, attr->name);
        if (spec == NULL)
            return node_error(node, CODE_MODEL, "attribute '%s' is not one that %s has", attr->name, def->type);
        if (attr->kind != spec->kind)
            return node_error(node, CODE_MODEL, "attribute '%s' is of kind %s, %s expects %s", attr->name,
                              attr_kind_name(attr->kind), def->type, attr_kind_name(spec->kind));
    }
    for (const AttrSpec *spec = def->attrs; spec != NULL && spec->name != NULL; spec++)
        if (spec->required && node_attr(node, spec->name) == NULL)
            return node_error(node, CODE_MODEL, "attribute '%s' is missing; %s requires it", spec->name, def->type);
    return NULL;
}

static Status check_graph(const Graph *graph)
{
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        if (node->def != NULL) {
            TRY(check_arity(node));
            TRY(check_attrs(node));
        }
        for (int i = 0; i < node->n_attrs; i++) {
            const Attr *attr = &node->attrs[i];
            if (attr->kind == ATTR_GRAPH)
                TRY(check_graph(attr->g));
            for (int64_t g = 0; attr->kind == ATTR_GRAPHS && g < attr->n; g++)
                TRY(check_graph(attr->graphs[g]));
        }
    }
    return NULL;
}

static void bind(Node *node)
{
    node->def = op_find(node->domain, node->op_type, node->opset);
    if (node->def != NULL) { /* one copy of each name: what is asked of every node stays in the cache */
        node->op_type = node->def->type;
        node->domain = node->def->domain;
    }
}

static void bind_graph(void *context, Graph *graph)
{
    (void)context;
    for (Node *node = graph->first; node != NULL; node = node->next) {
        if (node->opset == 0)
            ops_bind_node(node);
        else
            bind(node);
    }
}

const OpDef *op_find(const char *domain, const char *type, int opset)
{
    char key[KEY_MAX];
    const OpDef *def;

    pthread_once(&built, build);
    if (!make_key(strcmp(domain, "ai.onnx") == 0 ? "" : domain, type, key))
        return NULL;
    def = map_get(by_name, key);
    return def != NULL && opset >= def->versions[0] ? def : NULL;
}

size_t op_count(void)
{
    return N_OPS;
}

const OpDef *op_at(size_t i)
{
    return i < N_OPS ? rows[i] : NULL;
}

size_t op_row(const OpDef *def)
{
    pthread_once(&built, build);
    if (def == NULL)
        return N_OPS;
    size_t slot = row_slot(def);
    return row_slots[slot].def != NULL ? row_slots[slot].row : N_OPS;
}

const char *const *op_names(void)
{
    pthread_once(&built, build);
    return names;
}

void ops_bind_node(Node *node)
{
    node->opset = model_opset(node->graph->model, node->domain);
    bind(node);
}

void ops_bind(Model *model)
{
    graph_each(model->graph, bind_graph, NULL);
}

Status ops_check(const Model *model)
{
    return check_graph(model->graph);
}

Status ops_add_node(Graph *graph, Node *before, const char *op_type, const char *domain, const char *name, int n_in,
                    Value *const *in, Value *out, Node **ret)
{
    Node *node = graph_add_node(graph, before, op_type, domain, name, n_in, in, 1, &out);
    Status status;

    ops_bind_node(node);
    status = ops_infer_node(node);
    if (status != NULL)
        return status;
    if (ret != NULL)
        *ret = node;
    return NULL;
}
