/* samples.c - some samples of a data set, kept in memory. */
#include "src/app/search.h"

#include <stdlib.h>

#define SAMPLES_BYTES ((size_t)96 << 20) /* kept at most; one sample always is */

Status samples_load(const Dataset *dataset, int n_inputs, int wanted, Samples *ret)
{
    int64_t total = dataset_count(dataset), most = MIN((int64_t)wanted, total);
    Samples samples = {.n_inputs = n_inputs, .inputs = xcalloc((size_t)MAX(most * n_inputs, 1), sizeof(Tensor))};
    Status status = NULL;
    size_t bytes = 0;
    for (int64_t k = 0; k < most && status == NULL && bytes < SAMPLES_BYTES; k++) {
        Tensor *inputs = &samples.inputs[samples.n * n_inputs];
        status = interrupt_check();
        if (status == NULL)
            status = dataset_load(dataset, k * total / most, inputs);
        if (status_code(status) == CODE_DATA) {
            status_free(status);
            status = NULL;
            continue;
        }
        if (status != NULL)
            break;
        for (int i = 0; i < n_inputs; i++)
            bytes += inputs[i].bytes;
        samples.n++;
    }
    if (status == NULL)
        *ret = samples;
    else
        samples_release(&samples);
    return status;
}

void samples_release(Samples *samples)
{
    for (int i = 0; i < samples->n * samples->n_inputs; i++)
        tensor_release(&samples->inputs[i]);
    free(samples->inputs);
    *samples = (Samples){0};
}
