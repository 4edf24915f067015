/* select.c - --exclude, --exclude-op, --only: patterns of node names and op types, '*' and '?' stand for any.
 *
 * A node without a name goes by its first output. A pattern that matches nothing is an error: a release must not lose its
 * exceptions because an exporter renamed a node.
 */
#include "src/app/search.h"
#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

const char *node_label(const Node *node)
{
    return node->name[0] != '\0' || node->n_out == 0 || node->out[0] == NULL ? node->name : node->out[0]->name;
}

static const char *type_of(const Node *node)
{
    return node->op_type;
}

static Status no_match(const Model *model, const char *option, const char *pattern, const char *(*word)(const Node *node))
{
    const char **words = xcalloc((size_t)model->graph->n_nodes + 1, sizeof words[0]);
    size_t n = 0;
    for (const Node *node = model->graph->first; node != NULL; node = node->next)
        words[n++] = word(node);
    const char *nearest = text_nearest(pattern, words);
    Status status = status_new(CODE_USAGE, "option '%s': no %s matches '%s'%s%s%s; 'quantize inspect' shows them", option,
                               word == type_of ? "op" : "node", pattern, nearest == NULL ? "" : "; did you mean '",
                               nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
    free(words);
    return status;
}

/* Marks in `matched` (by node id) what any pattern fits. */
static Status match(const Model *model, const char *option, const Texts *patterns, const char *(*word)(const Node *node),
                    bool *matched)
{
    for (int i = 0; i < patterns->n; i++) {
        bool any = false;
        for (const Node *node = model->graph->first; node != NULL; node = node->next)
            if (text_glob(patterns->items[i], word(node)))
                any = matched[node->id] = true;
        if (!any)
            return no_match(model, option, patterns->items[i], word);
    }
    return NULL;
}

Status select_nodes(const Options *options, const Model *model, const char **kept_float)
{
    bool *excluded = xcalloc((size_t)model->n_node_ids + 1, sizeof excluded[0]);
    bool *only = xcalloc((size_t)model->n_node_ids + 1, sizeof only[0]);
    Status status = match(model, "--exclude", &options->exclude, node_label, excluded);
    if (status == NULL)
        status = match(model, "--exclude-op", &options->exclude_ops, type_of, excluded);
    if (status == NULL)
        status = match(model, "--only", &options->only, node_label, only);
    for (const Node *node = model->graph->first; status == NULL && node != NULL; node = node->next) {
        bool weighted = op_is_weighted(node); /* --only names weighted nodes; what stands between them follows */
        if (excluded[node->id])
            kept_float[node->id] = "excluded by an option";
        else if (options->only.n > 0 && weighted && !only[node->id])
            kept_float[node->id] = "not among those of --only";
    }
    free(excluded);
    free(only);
    return status;
}
