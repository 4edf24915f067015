/* open.c - a model file, read and inferred, as every command starts.
 *
 *     m.onnx ─ onnx_load ─ ops_infer_file ─┬─ Model
 *                                          └─ "output '387' of ... is declared 1xseqlen but the op gives ?x1x8210"
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

Status model_open(const char *path, Model **ret, const char **ret_doubt)
{
    Model *model = NULL;
    TRY(onnx_load(path, &model));
    Status status = status_prefix(ops_infer_file(model), "%s: shape inference", path);
    if (status != NULL) {
        model_free(model);
        return status;
    }
    const char *doubt = NULL;
    if (model->n_contradicted > 0)
        doubt = arena_printf(model->arena, "%s: %d declared shape%s wrong; what the op gives is taken: %s", path,
                             model->n_contradicted, model->n_contradicted == 1 ? " is" : "s are", model->contradiction);
    if (ret_doubt != NULL)
        *ret_doubt = doubt;
    else if (doubt != NULL)
        console_warn("%s", doubt);
    *ret = model;
    return NULL;
}
