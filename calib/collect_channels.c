/* collect_channels.c - runs the model over a few samples and watches the channels of some values. */
#include "calib/calib.h"

#include <stdlib.h>

static Status watch(void *context, const Value *value, Tensor *tensor)
{
    Channels *row = channels_get(context, value->name);
    if (row != NULL)
        channels_add(row, tensor);
    return NULL;
}

/* In the order of the samples, so that the sums are the same for any number of threads. */
Status collect_channels(const Plan *plan, const Dataset *dataset, int samples, Team *team, ChannelTable *table)
{
    int n_inputs = plan_n_inputs(plan);
    int64_t total = dataset_count(dataset), wanted = MIN((int64_t)samples, total);
    Runner *runner = runner_new(plan, team);
    Tensor *inputs = xcalloc((size_t)MAX(n_inputs, 1), sizeof inputs[0]);
    Tensor *outputs = xcalloc((size_t)MAX(plan_n_outputs(plan), 1), sizeof outputs[0]);
    Observer observer = {.value = watch, .context = table};
    Status status = NULL;
    for (int64_t k = 0; k < wanted && status == NULL; k++) {
        int64_t i = (2 * k + 1) * total / (2 * wanted);
        status = interrupt_check();
        if (status == NULL)
            status = dataset_load(dataset, i, inputs);
        if (status_code(status) == CODE_DATA) { /* calibration tells of what cannot be read */
            status_free(status);
            status = NULL;
            continue;
        }
        if (status == NULL)
            status = status_prefix(runner_run(runner, inputs, &observer, outputs), "%s", dataset_file(dataset, i));
        for (int n = 0; n < n_inputs; n++)
            tensor_release(&inputs[n]);
    }
    runner_free(runner);
    free(inputs);
    free(outputs);
    return status;
}
