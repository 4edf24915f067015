/* mini.c - see mini.h: a reader of one-line graphs. What checks tables of them is in mini_check.c. */
#include "tests/ops/mini.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 }; /* numbers of a constant, names of a list */

typedef struct Reader {
    Model *model;
    Graph *graph; /* where nodes go */
    const char *at, *text;
    Map *values; /* name -> Value */
    const char *last;
} Reader;

static void give_up(const Reader *reader, const char *what)
{
    fprintf(stderr, "mini: %s expected at \"%s\" of \"%s\"\n", what, reader->at, reader->text);
    exit(1);
}

static bool take(Reader *reader, const char *token)
{
    while (*reader->at == ' ')
        reader->at++;
    if (strncmp(reader->at, token, strlen(token)) != 0)
        return false;
    reader->at += strlen(token);
    return true;
}

static void need(Reader *reader, const char *token)
{
    if (!take(reader, token))
        give_up(reader, token);
}

static char *word(Reader *reader)
{
    const char *start;

    take(reader, "");
    start = reader->at;
    while (isalnum((unsigned char)*reader->at) || *reader->at == '_' || *reader->at == '?')
        reader->at++;
    return arena_strndup(reader->model->arena, start, (size_t)(reader->at - start));
}

static bool number(Reader *reader, double *ret)
{
    char *end;

    take(reader, "");
    if (!isdigit((unsigned char)*reader->at) && strchr("-+.in", *reader->at) == NULL)
        return false;
    *ret = strtod(reader->at, &end);
    if (end == reader->at)
        return false;
    reader->at = end;
    return true;
}

/* A number in a tensor of strings. */
static TensorString decimal(Arena *arena, double x)
{
    char *text = arena_printf(arena, "%g", x);

    return (TensorString){text, strlen(text)};
}

/* DTYPE[DIMS] NUMBERS. Returns the constant, or NULL with the type in *ret_type when it is none. */
static Tensor *tensor(Reader *reader, Type *ret_type)
{
    Arena *arena = reader->model->arena;
    Type type = {.kind = TYPE_TENSOR, .dtype = dtype_from_name(word(reader)), .shape = {.rank = 0}};
    int64_t dims[TENSOR_MAX_RANK], n = 0;
    double x;
    Tensor *ret;

    if (type.dtype == DT_UNDEFINED)
        give_up(reader, "a dtype");
    need(reader, "[");
    if (take(reader, "*"))
        type.shape.rank = -1;
    else
        while (*reader->at != ']') {
            char *name = word(reader);
            Dim dim = isdigit((unsigned char)*name) ? dim_known(strtoll(name, NULL, 10)) : (Dim){-1, name};
            type.shape.dims[type.shape.rank++] = *name == '?' ? DIM_UNKNOWN : dim;
            take(reader, ",");
        }
    need(reader, "]");
    *ret_type = type;
    take(reader, "");
    bool empty = shape_is_known(&type.shape) && shape_count(&type.shape) == 0;
    if (!empty && (*reader->at == ';' || *reader->at == '\0' || strncmp(reader->at, "->", 2) == 0))
        return NULL;
    for (int i = 0; i < type.shape.rank; i++)
        dims[i] = type.shape.dims[i].size;
    Status status = tensor_new(arena, type.dtype, type.shape.rank, dims, &ret);
    if (status != NULL)
        give_up(reader, "a tensor");
    if (ret->bytes > 0)
        memset(ret->data, 0, ret->bytes);
    for (; number(reader, &x); n++)
        if (n < ret->count && type.dtype == DT_STRING)
            ((TensorString *)ret->data)[n] = decimal(arena, x);
        else if (n < ret->count && (type.dtype != DT_INT64 || fabs(x) < 9e18))
            tensor_set(ret, n, x);
        else if (n < ret->count)
            ((int64_t *)ret->data)[n] = x > 0 ? INT64_MAX : INT64_MIN;
    if (n != ret->count)
        give_up(reader, "as many numbers as the shape has");
    return ret;
}

static void statements(Reader *reader);

/* {{ statements -> outputs }} */
static Graph *inner_graph(Reader *reader)
{
    Graph *outer = reader->graph, *ret;

    reader->graph = ret = graph_new(reader->model, "inner", NULL);
    statements(reader);
    need(reader, "->");
    do {
        char *name = word(reader);
        if (!map_has(reader->values, name))
            give_up(reader, "a known name");
        graph_add_output(ret, map_get(reader->values, name));
    } while (take(reader, ","));
    need(reader, "}}");
    reader->graph = outer;
    return ret;
}

static Attr attr_value(Reader *reader)
{
    Arena *arena = reader->model->arena;
    Attr attr = {0};
    double numbers[MOST];
    bool list = take(reader, "["), real = false;

    if (take(reader, "{{")) {
        attr.kind = ATTR_GRAPH;
        attr.g = inner_graph(reader);
        return attr;
    }
    if (take(reader, "{")) {
        Type type;
        attr.kind = ATTR_TENSOR;
        attr.t = tensor(reader, &type);
        need(reader, "}");
        return attr;
    }
    if (take(reader, "'")) {
        TensorString *strings = arena_array(arena, MOST, sizeof *strings);
        do {
            const char *start = reader->at;
            reader->at = strchr(start, '\'');
            strings[attr.n].length = (size_t)(reader->at - start);
            strings[attr.n++].data = arena_strndup(arena, start, (size_t)(reader->at - start));
            reader->at++;
        } while (list && take(reader, ",") && take(reader, "'"));
        attr.kind = list ? ATTR_STRINGS : ATTR_STRING;
        if (list) {
            need(reader, "]");
            attr.strings = strings;
        } else {
            attr.s = strings[0];
        }
        return attr;
    }
    const char *start = reader->at;
    while (attr.n < MOST && number(reader, &numbers[attr.n])) {
        attr.n++;
        take(reader, ",");
    }
    for (const char *c = start; c < reader->at; c++)
        real = real || *c == '.';
    if (list)
        need(reader, "]");
    if (!list && attr.n != 1)
        give_up(reader, "a value");
    attr.kind = list ? (real ? ATTR_FLOATS : ATTR_INTS) : (real ? ATTR_FLOAT : ATTR_INT);
    if (list && real) {
        attr.floats = arena_array(arena, MOST, sizeof *attr.floats);
        for (int64_t i = 0; i < attr.n; i++)
            attr.floats[i] = (float)numbers[i];
    } else if (list) {
        attr.ints = arena_array(arena, MOST, sizeof *attr.ints);
        for (int64_t i = 0; i < attr.n; i++)
            attr.ints[i] = (int64_t)numbers[i];
    } else if (real) {
        attr.f = (float)numbers[0];
    } else {
        attr.i = (int64_t)numbers[0];
    }
    return attr;
}

/* "com.microsoft.Gelu": up to the last point, the rest is the type. */
static char *domain_and_type(Reader *reader, char **ret_type)
{
    Text domain = {0};
    char *ret, *type = word(reader);

    while (take(reader, ".")) {
        text_addf(&domain, domain.length > 0 ? ".%s" : "%s", type);
        type = word(reader);
    }
    ret = arena_strdup(reader->model->arena, domain.data != NULL ? domain.data : "");
    text_free(&domain);
    *ret_type = type;
    return ret;
}

/* OP<...>(...) */
static void node(Reader *reader, char *const *outputs, int n_out)
{
    Graph *graph = reader->graph;
    Value *in[MOST] = {NULL}, *out[MOST] = {NULL};
    Attr attrs[MOST];
    int n_in = 0, n_attrs = 0;
    char *type, *domain = domain_and_type(reader, &type);
    Node *made;

    if (take(reader, "<"))
        while (!take(reader, ">")) {
            char *name = word(reader);
            need(reader, "=");
            attrs[n_attrs] = attr_value(reader);
            attrs[n_attrs++].name = name;
            take(reader, ",");
        }
    need(reader, "(");
    while (!take(reader, ")")) {
        char *name = word(reader);
        if (*name != '\0' && !map_has(reader->values, name))
            give_up(reader, "a known name");
        in[n_in++] = *name != '\0' ? map_get(reader->values, name) : NULL;
        take(reader, ",");
    }
    for (int i = 0; i < n_out; i++) {
        if (*outputs[i] == '\0')
            continue;
        out[i] = graph_value(graph, outputs[i]);
        map_put(reader->values, outputs[i], out[i]);
    }
    made = graph_add_node(graph, NULL, type, domain, "", n_in, in, n_out, out);
    made->attrs = arena_array(reader->model->arena, (size_t)n_attrs + 1, sizeof *made->attrs);
    memcpy(made->attrs, attrs, (size_t)n_attrs * sizeof *attrs);
    made->n_attrs = n_attrs;
    made->cap_attrs = (uint16_t)n_attrs;
    for (int i = 0; i < n_attrs; i++) {
        if (attrs[i].kind != ATTR_GRAPH)
            continue;
        attrs[i].g->owner = made;
        made->may_hold_graphs = true;
    }
}

/* NAME, NAME = ...; ... up to the end, "->" or what is no statement. */
static void statements(Reader *reader)
{
    for (;;) {
        char *names[MOST];
        const char *after;
        int n = 0;
        Type type;
        take(reader, "");
        if (*reader->at == '\0' || strncmp(reader->at, "->", 2) == 0)
            return;
        do
            names[n++] = word(reader);
        while (take(reader, ","));
        need(reader, "=");
        take(reader, "");
        after = reader->at;
        while (isalnum((unsigned char)*after))
            after++;
        if (*after == '[') {
            Tensor *constant = tensor(reader, &type);
            Value *value = constant != NULL ? graph_add_constant(reader->graph, names[0], constant)
                                            : graph_value(reader->graph, names[0]);
            value->type = type;
            if (constant == NULL)
                graph_add_input(reader->graph, value);
            map_put(reader->values, names[0], value);
        } else {
            node(reader, names, n);
        }
        reader->last = names[0];
        if (!take(reader, ";"))
            return;
    }
}

Model *mini_model(int opset, const char *text)
{
    Reader reader = {.model = model_new(), .at = text, .text = text, .values = map_new()};
    Graph *graph;

    model_set_opset(reader.model, "", opset);
    model_set_opset(reader.model, DOMAIN_MICROSOFT, 1);
    model_set_opset(reader.model, DOMAIN_ML, 5);
    model_set_opset(reader.model, "ai.onnx.preview.training", 1);
    reader.graph = graph = reader.model->graph != NULL ? reader.model->graph : graph_new(reader.model, "mini", NULL);
    statements(&reader);
    if (*reader.at != '\0')
        give_up(&reader, "the end");
    if (reader.last != NULL)
        graph_add_output(graph, map_get(reader.values, reader.last));
    map_free(reader.values);
    ops_bind(reader.model);
    return reader.model;
}

/* The value by name: outputs of nodes, inputs, constants. */
static Value *find(const Model *model, const char *name)
{
    return map_get(model->names, name);
}

static const char *message(Model *model, Status status)
{
    const char *text = arena_strdup(model->arena, status_message(status));

    status_free(status);
    return text;
}

static const char *print_tensor(Model *model, const Tensor *x)
{
    Text text = {0};
    char *ret;

    text_addf(&text, "%s[", dtype_name(x->dtype));
    for (int i = 0; i < x->rank; i++)
        text_addf(&text, i > 0 ? ",%lld" : "%lld", (long long)x->dims[i]);
    text_add(&text, "]");
    for (int64_t i = 0; i < x->count; i++)
        text_addf(&text, " %.9g", tensor_get(x, i));
    ret = arena_strdup(model->arena, text.data);
    text_free(&text);
    return ret;
}

static Status prepare(Model *model)
{
    TRY(ops_check(model));
    return ops_infer(model);
}

const char *mini_run(Model *model, const char *name)
{
    Tensor *values = xcalloc(model->n_ids, sizeof *values);
    Status status = prepare(model);
    const char *ret = NULL;

    for (Node *at = model->graph->first; at != NULL && status == NULL; at = at->next) {
        const Tensor *in[MOST];
        Tensor out[MOST] = {{0}};
        for (int i = 0; i < at->n_in; i++)
            in[i] = at->in[i] == NULL ? NULL : at->in[i]->constant != NULL ? at->in[i]->constant : &values[at->in[i]->id];
        status = op_eval_alone(at, in, at->n_in, out, at->n_out, true);
        for (int i = 0; i < at->n_out && status == NULL; i++)
            if (at->out[i] != NULL)
                values[at->out[i]->id] = out[i];
            else
                tensor_release(&out[i]);
    }
    if (status != NULL)
        ret = message(model, status);
    else
        ret = print_tensor(model, &values[find(model, name)->id]);
    for (uint32_t i = 0; i < model->n_ids; i++)
        tensor_release(&values[i]);
    free(values);
    return ret;
}

const char *mini_infer(Model *model, const char *name)
{
    Status status = prepare(model);
    const Value *value;
    Text text = {0};
    char *ret;

    if (status != NULL)
        return message(model, status);
    value = find(model, name);
    text_addf(&text, "%s[", dtype_name(value->type.dtype));
    if (value->type.shape.rank < 0)
        text_add(&text, "*");
    for (int i = 0; i < value->type.shape.rank; i++) {
        Dim dim = value->type.shape.dims[i];
        text_add(&text, i > 0 ? "," : "");
        if (dim.size >= 0)
            text_addf(&text, "%lld", (long long)dim.size);
        else
            text_add(&text, dim.name != NULL ? dim.name : "?");
    }
    text_add(&text, "]");
    for (int i = 0; value->content != NULL && i < value->n_content; i++) {
        Dim dim = value->content[i];
        if (dim.name != NULL)
            text_addf(&text, " %s", dim.name);
        else if (dim.size == -1)
            text_add(&text, " ?");
        else
            text_addf(&text, " %lld", (long long)dim.size);
    }
    ret = arena_strdup(model->arena, text.data);
    text_free(&text);
    return ret;
}
