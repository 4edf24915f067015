/* text.c - the model in ONNX's text syntax (onnx/docs/Syntax.md):
 *
 *     <
 *       ir_version: 8,
 *       opset_import: ["" : 17]
 *     >
 *     net (float[N,4] x) => (float[N,2] y)
 *     <float[4,2] w = {1, 2, ...}, float[N,2] h>
 *     {
 *       [fc] h = MatMul (x, w)
 *       y = Relu (h)
 *     }
 *
 * In < > stand the initializers and the types of inner values. What the syntax has no word for is written so that a
 * person can read it: "..." for elements left out, \xNN for control characters, "?" for an attribute that only its file
 * knows.
 */
#include "src/ir/ir.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL_ELEMENTS 8 /* abbreviated tensors show up to so many elements, longer ones the first SHOWN_ELEMENTS */
#define SHOWN_ELEMENTS 4
#define SHOWN_CHARACTERS 80

typedef struct Printer {
    Text *text;
    bool abbreviate;
    int indent; /* of the lines of the graph that is written, in columns */
} Printer;

static void print_graph(Printer *printer, const Graph *graph);

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void print_line(Printer *printer, int more)
{
    text_addf(printer->text, "\n%*s", printer->indent + more, "");
}

static void print_quoted(Printer *printer, const char *data, size_t length)
{
    size_t shown = printer->abbreviate ? MIN(length, (size_t)SHOWN_CHARACTERS) : length;
    while (shown > 0 && shown < length && ((unsigned char)data[shown] & 0xc0) == 0x80)
        shown--; /* not inside a character of several bytes */
    text_add(printer->text, "\"");
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '"' || c == '\\')
            text_addf(printer->text, "\\%c", c);
        else if (c < 0x20 || c == 0x7f) /* nothing a file holds shall steer a terminal */
            text_addf(printer->text, "\\x%02x", c);
        else
            text_addf(printer->text, "%c", c);
    }
    text_add(printer->text, shown < length ? "...\"" : "\"");
}

static bool is_identifier(const char *name)
{
    static const char *const type_words[] = {"seq", "map", "optional", "sparse_tensor"};
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    for (size_t i = 0; i < COUNT_OF(type_words); i++)
        if (strcmp(name, type_words[i]) == 0)
            return false;
    return dtype_from_name(name) == DT_UNDEFINED;
}

/* A name is never cut: it has to be found again. */
static void print_id(Printer *printer, const char *name)
{
    Printer whole = {printer->text, false, 0};
    if (is_identifier(name))
        text_add(printer->text, name);
    else
        print_quoted(&whole, name, strlen(name));
}

/* The shortest decimal that reads back as the same float (of `digits` 9) or double (17). */
static void print_number(Printer *printer, double value, int digits, bool as_float)
{
    char word[64];
    int precision = 6;
    if (!isfinite(value)) {
        text_add(printer->text, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    do
        snprintf(word, sizeof word, "%.*g", precision, value);
    while (precision++ < digits && (digits == 9 ? (double)strtof(word, NULL) : strtod(word, NULL)) != value);
    text_add(printer->text, word);
    if (as_float && strpbrk(word, ".e") == NULL) /* in an attribute "1" would be an integer */
        text_add(printer->text, ".0");
}

/* ---- types and tensors ------------------------------------------------------------------------------------------- */

/* float = scalar, float[] = unknown rank, float[N,3,?] */
static void print_tensor_type(Printer *printer, DType dtype, const Shape *shape)
{
    text_add(printer->text, dtype_name(dtype));
    if (shape->rank == 0)
        return;
    text_add(printer->text, "[");
    for (int i = 0; i < shape->rank; i++) {
        Dim dim = shape->dims[i];
        text_add(printer->text, i == 0 ? "" : ",");
        if (dim_is_known(dim))
            text_addf(printer->text, "%" PRId64, dim.size);
        else if (dim.name == NULL)
            text_add(printer->text, "?");
        else
            print_id(printer, dim.name);
    }
    text_add(printer->text, "]");
}

static bool type_has_words(const Type *type)
{
    while (type != NULL && (type->kind == TYPE_SEQUENCE || type->kind == TYPE_OPTIONAL))
        type = type->element;
    return type != NULL && type->kind == TYPE_TENSOR && type->dtype != DT_UNDEFINED;
}

static void print_type(Printer *printer, const Type *type)
{
    if (type->kind == TYPE_TENSOR) {
        print_tensor_type(printer, type->dtype, &type->shape);
        return;
    }
    text_add(printer->text, type->kind == TYPE_SEQUENCE ? "seq(" : "optional(");
    print_type(printer, type->element);
    text_add(printer->text, ")");
}

/* "float[N,3] x", the name alone when its type is not known. */
static void print_value_info(Printer *printer, const Value *value)
{
    if (type_has_words(&value->type)) {
        print_type(printer, &value->type);
        text_add(printer->text, " ");
    }
    print_id(printer, value->name);
}

static void print_element(Printer *printer, const Tensor *tensor, int64_t i)
{
    if (tensor->dtype == DT_STRING) {
        const TensorString *strings = tensor->data;
        print_quoted(printer, strings[i].data, strings[i].length);
    } else if (tensor->dtype == DT_UINT64) {
        const unsigned char *data = tensor->data;
        uint64_t value;
        memcpy(&value, data + (size_t)i * sizeof value, sizeof value);
        text_addf(printer->text, "%" PRIu64, value);
    } else if (dtype_is_integer(tensor->dtype) || tensor->dtype == DT_BOOL) {
        text_addf(printer->text, "%" PRId64, tensor_get_int(tensor, i));
    } else {
        print_number(printer, tensor_get(tensor, i), tensor->dtype == DT_DOUBLE ? 17 : 9, false);
    }
}

static void print_elements(Printer *printer, const Tensor *tensor)
{
    bool complex = tensor->dtype == DT_COMPLEX64 || tensor->dtype == DT_COMPLEX128; /* the syntax has none */
    int64_t shown = printer->abbreviate && tensor->count > FULL_ELEMENTS ? SHOWN_ELEMENTS : tensor->count;
    shown = complex ? 0 : shown;
    text_add(printer->text, "{");
    for (int64_t i = 0; i < shown; i++) {
        text_add(printer->text, i == 0 ? "" : ", ");
        print_element(printer, tensor, i);
    }
    if (shown < tensor->count)
        text_add(printer->text, shown == 0 ? "..." : ", ...");
    text_add(printer->text, "}");
}

static void print_tensor(Printer *printer, const Tensor *tensor)
{
    Shape shape = shape_of_tensor(tensor);
    print_tensor_type(printer, tensor->dtype, &shape);
    text_add(printer->text, " ");
    print_elements(printer, tensor);
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

/* One element of the attribute, lists and single values alike. */
static void print_attr_element(Printer *printer, const Attr *attr, int64_t i)
{
    switch (attr->kind) {
    case ATTR_FLOAT:
    case ATTR_FLOATS:
        print_number(printer, (double)(attr->kind == ATTR_FLOAT ? attr->f : attr->floats[i]), 9, true);
        break;
    case ATTR_INT:
    case ATTR_INTS:
        text_addf(printer->text, "%" PRId64, attr->kind == ATTR_INT ? attr->i : attr->ints[i]);
        break;
    case ATTR_STRING:
        print_quoted(printer, attr->s.data, attr->s.length);
        break;
    case ATTR_STRINGS:
        print_quoted(printer, attr->strings[i].data, attr->strings[i].length);
        break;
    case ATTR_TENSOR:
    case ATTR_TENSORS:
        print_tensor(printer, attr->kind == ATTR_TENSOR ? attr->t : attr->tensors[i]);
        break;
    case ATTR_GRAPH:
    case ATTR_GRAPHS:
        print_graph(printer, attr->kind == ATTR_GRAPH ? attr->g : attr->graphs[i]);
        break;
    default:
        text_add(printer->text, "?");
    }
}

static void print_attr(Printer *printer, const Attr *attr)
{
    static const char *const lists[] = {
        [ATTR_FLOATS] = "floats",   [ATTR_INTS] = "ints",     [ATTR_STRINGS] = "strings",
        [ATTR_TENSORS] = "tensors", [ATTR_GRAPHS] = "graphs",
    };
    const char *list = (unsigned)attr->kind < COUNT_OF(lists) ? lists[attr->kind] : NULL;
    print_id(printer, attr->name);
    if (list != NULL && attr->n == 0) { /* nothing but the type tells of what the list is empty */
        text_addf(printer->text, ": %s = []", list);
        return;
    }
    text_add(printer->text, list != NULL ? " = [" : " = ");
    for (int64_t i = 0; i < (list != NULL ? attr->n : 1); i++) {
        text_add(printer->text, i == 0 ? "" : ", ");
        print_attr_element(printer, attr, i);
    }
    text_add(printer->text, list != NULL ? "]" : "");
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static void print_names(Printer *printer, Value *const *values, int n)
{
    for (int i = 0; i < n; i++) {
        text_add(printer->text, i == 0 ? "" : ", ");
        print_id(printer, values[i] != NULL ? values[i]->name : "");
    }
}

static void print_node(Printer *printer, const Node *node)
{
    if (*node->name != '\0') {
        text_add(printer->text, "[");
        print_id(printer, node->name);
        text_add(printer->text, "] ");
    }
    print_names(printer, node->out, node->n_out);
    text_addf(printer->text, " = %s%s%s", node->domain, *node->domain == '\0' ? "" : ".", node->op_type);
    if (*node->overload != '\0')
        text_addf(printer->text, ":%s", node->overload);
    for (int i = 0; i < node->n_attrs; i++) {
        text_add(printer->text, i == 0 ? " <" : ", ");
        print_attr(printer, &node->attrs[i]);
    }
    text_add(printer->text, node->n_attrs > 0 ? "> (" : " (");
    print_names(printer, node->in, node->n_in);
    text_add(printer->text, ")");
}

static void print_infos(Printer *printer, Value *const *values, int n)
{
    text_add(printer->text, "(");
    for (int i = 0; i < n; i++) {
        text_add(printer->text, i == 0 ? "" : ", ");
        print_value_info(printer, values[i]);
    }
    text_add(printer->text, ")");
}

/* Before the first entry the opening bracket, else a comma. */
static void print_next_entry(Printer *printer, bool *begun)
{
    text_add(printer->text, *begun ? "," : " <");
    *begun = true;
    print_line(printer, 2);
}

static void print_values(Printer *printer, const Graph *graph)
{
    bool begun = false;
    for (int i = 0; i < graph->n_initializers; i++) {
        print_next_entry(printer, &begun);
        print_value_info(printer, graph->initializers[i]);
        text_add(printer->text, " = ");
        print_elements(printer, graph->initializers[i]->constant);
    }
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        for (int i = 0; i < node->n_out; i++) {
            const Value *value = node->out[i];
            if (value == NULL || value->n_outputs > 0 || !type_has_words(&value->type))
                continue;
            print_next_entry(printer, &begun);
            print_value_info(printer, value);
        }
    }
    if (begun) {
        print_line(printer, 0);
        text_add(printer->text, ">");
    }
}

static void print_graph(Printer *printer, const Graph *graph)
{
    print_id(printer, graph->name);
    text_add(printer->text, " ");
    print_infos(printer, graph->inputs, graph->n_inputs);
    text_add(printer->text, " => ");
    print_infos(printer, graph->outputs, graph->n_outputs);
    print_values(printer, graph);
    print_line(printer, 0);
    text_add(printer->text, "{");
    for (const Node *node = graph->first; node != NULL; node = node->next) {
        print_line(printer, 2);
        printer->indent += 4; /* of the inner graphs' own lines */
        print_node(printer, node);
        printer->indent -= 4;
    }
    print_line(printer, 0);
    text_add(printer->text, "}");
}

static void print_header(Printer *printer, const Model *model)
{
    Text *text = printer->text;
    text_addf(text, "<\n  ir_version: %" PRId64 ",\n  opset_import: [", model->ir_version);
    for (int i = 0; i < model->n_opsets; i++) {
        text_add(text, i == 0 ? "" : ", ");
        print_quoted(printer, model->opsets[i].domain, strlen(model->opsets[i].domain));
        text_addf(text, " : %" PRId64, model->opsets[i].version);
    }
    text_add(text, "]");
    if (*model->producer_name != '\0') {
        text_add(text, ",\n  producer_name: ");
        print_quoted(printer, model->producer_name, strlen(model->producer_name));
    }
    if (*model->producer_version != '\0') {
        text_add(text, ",\n  producer_version: ");
        print_quoted(printer, model->producer_version, strlen(model->producer_version));
    }
    for (int i = 0; i < model->n_metadata; i++) {
        text_add(text, i == 0 ? ",\n  metadata_props: [" : ", ");
        print_quoted(printer, model->metadata[i].key, strlen(model->metadata[i].key));
        text_add(text, ": ");
        print_quoted(printer, model->metadata[i].value, strlen(model->metadata[i].value));
    }
    text_add(text, model->n_metadata > 0 ? "]\n>\n" : "\n>\n");
}

void model_print(const Model *model, Text *text, bool abbreviate)
{
    Printer printer = {text, abbreviate, 0};
    print_header(&printer, model);
    if (model->graph != NULL) {
        print_graph(&printer, model->graph);
        text_add(text, "\n");
    }
}
