/* command_explain.c - `quantize explain MODEL.int8.onnx`: which node runs in integers, and why the others do not.
 *
 *     QLinearConv      conv1                    Conv
 *     Sigmoid (float)  head/scores              no QuantizeLinear alone behind it
 *
 * The plan joins the same DQ-op-Q groups as ONNX Runtime does at load (the oracle tests hold the two together), so what the
 * executor would run is what the runtime will run.
 */
#include "passes/pass.h"
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <stdio.h>
#include <string.h>

typedef struct Tally {
    int integer, floating, conversions;
    int64_t macs, integer_macs;
} Tally;

static bool is_conversion(const Node *node)
{
    return node_is(node, "QuantizeLinear") || node_is(node, "DequantizeLinear");
}

/* Others work on indices, shapes or the bytes of quantized values: neither integers' kernels nor float. */
static bool computes_floats(const Node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != NULL && value_is_float(node->in[i]))
            return true;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != NULL && value_is_float(node->out[i]))
            return true;
    return false;
}

static void explain_step(const Options *options, const Plan *plan, int i, Tally *tally)
{
    const Node *node = plan_step_node(plan, i);
    bool integer = plan_step_is_integer(plan, i);
    int64_t macs = MAX(op_macs(node, NULL), 0);
    tally->macs += macs;
    tally->integer_macs += integer ? macs : 0;
    if (is_conversion(node)) {
        tally->conversions++;
        return;
    }
    if (!integer && !computes_floats(node))
        return;
    tally->integer += integer;
    tally->floating += !integer;
    const char *name = node->name[0] != '\0' ? node->name : node->out[0] != NULL ? node->out[0]->name : "";
    const char *problem = plan_step_problem(plan, i);
    if (integer && !options->verbose)
        return;
    char runs_as[64];
    snprintf(runs_as, sizeof runs_as, "%s%s", plan_step_op(plan, i), integer ? "" : " (float)");
    printf("%-26s %s%s%s\n", runs_as, name, integer ? "" : ": ",
           integer ? "" : problem != NULL ? problem : "no integer form of this op");
}

/* Nodes of inner graphs: the runtime would join them too, but the quantizer leaves them float. */
static void explain_inner(void *context, Graph *graph)
{
    Tally *tally = context;
    for (const Node *node = graph->first; node != NULL && graph->owner != NULL; node = node->next) {
        if (is_conversion(node) || !computes_floats(node) || node_has_graph(node))
            continue;
        const char *name = node->name[0] != '\0' ? node->name : node->n_out > 0 && node->out[0] != NULL ? node->out[0]->name : "";
        printf("%-26s %s: it stands in an inner graph (of If, Loop or Scan): those stay float\n",
               arena_printf(graph->model->arena, "%s (float)", node->op_type), name);
        tally->floating++;
    }
}

static void explain_plan(const Options *options, const Plan *plan, const Model *model)
{
    Tally tally = {0};
    for (int i = 0; i < plan_n_steps(plan); i++)
        explain_step(options, plan, i, &tally);
    graph_each(model->graph, explain_inner, &tally);
    printf("in integers: %d ops, %.1f %% of the multiply-accumulates; in float: %d ops; %d quantize or dequantize\n",
           tally.integer, tally.macs > 0 ? 100.0 * (double)tally.integer_macs / (double)tally.macs : 0.0, tally.floating,
           tally.conversions);
}

Status command_explain(const Options *options, int *ret_exit)
{
    (void)ret_exit;
    Model *model = NULL;
    Plan *plan = NULL;
    TRY(model_open(options->model, &model, NULL));
    Status status = setup_plan(options, model, &plan);
    if (status == NULL)
        explain_plan(options, plan, model);
    plan_free(plan);
    model_free(model);
    return status;
}
