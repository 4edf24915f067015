/* product.c - builds a quantized model to the bytes of its file and loads those again: what is measured is what is written. */
#include "src/app/product.h"
#include "src/ops/ops.h"

#include <stdlib.h>
#include <string.h>

static Status serialize(const char *output_path, Product *product)
{
    TRY(status_prefix(onnx_save_memory(product->quantized, &product->bytes, &product->n_bytes), "%s: save", output_path));
    TRY(onnx_load_memory(product->bytes, product->n_bytes, output_path, &product->loaded));
    Sha256 sha;
    sha256_init(&sha);
    sha256_add(&sha, product->bytes, product->n_bytes);
    facts_count(product->loaded, &product->facts);
    sha256_hex(&sha, product->facts.sha256);
    product->facts.bytes = product->n_bytes;
    return NULL;
}

Status product_build(Search *search, const RangeTable *ranges, const char *const *kept_float, const char *output_path,
                     bool external, Product *ret)
{
    size_t n_nodes = search->model->n_node_ids;
    Recipe recipe = {.ranges = ranges, .kept_float = kept_float, .means = search->means, .moments = search->moments,
                     .integer_gelu = search->integer_gelu};
    Product product = {.records = xcalloc(pass_count(), sizeof product.records[0]),
                       .kept_float = xcalloc(MAX(n_nodes, 1), sizeof product.kept_float[0])};
    memcpy(product.kept_float, kept_float, n_nodes * sizeof kept_float[0]);
    recipe.kept_float = product.kept_float;
    Status status = candidate_build(search->options, search->model, search->target, search->counts, &recipe, product.records,
                                    &product.quantized, &product.decisions);
    if (status == NULL && external)
        facts_count(product.quantized, &product.facts);
    else if (status == NULL)
        status = serialize(output_path, &product);
    if (status != NULL) {
        product_release(&product);
        return status;
    }
    product.facts.macs = 0; /* with the sizes of the sample, as those of the input */
    for (uint32_t id = 0; id < product.decisions->n_nodes; id++)
        product.facts.macs += product.decisions->nodes[id].macs;
    *ret = product;
    return NULL;
}

Status product_replace(Product *product, Model *model, const char *output_path, bool external)
{
    model_free(product->loaded);
    model_free(product->quantized);
    free(product->bytes);
    int64_t macs = product->facts.macs;
    facts_release(&product->facts);
    product->quantized = model;
    product->loaded = NULL;
    product->bytes = NULL;
    Status status = NULL;
    if (external)
        facts_count(model, &product->facts);
    else
        status = serialize(output_path, product);
    product->facts.macs = macs;
    return status;
}

const Model *product_model(const Product *product)
{
    return product->loaded != NULL ? product->loaded : product->quantized;
}

bool product_has_integers(const Product *product)
{
    for (uint32_t id = 0; id < product->decisions->n_nodes; id++)
        if (product->decisions->nodes[id].fate == FATE_INTEGER)
            return true;
    return false;
}

void product_release(Product *product)
{
    if (product->evaluation.arena != NULL)
        evaluation_release(&product->evaluation);
    quant_plan_free(product->decisions);
    facts_release(&product->facts);
    model_free(product->loaded);
    model_free(product->quantized);
    free(product->bytes);
    free(product->records);
    free(product->kept_float);
    *product = (Product){0};
}
