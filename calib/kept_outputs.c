/* kept_outputs.c - what the float model answered, from calibration to the measurement of the quantized one on the same data.
 *
 *     calibration ─ outputs of sample i ──> KeptOutputs ──> evaluation: the quantized model's against them
 *
 * Where all of them are more than the bytes allowed, none are kept: which samples come first is chance.
 */
#include "calib/calib.h"

#include <pthread.h>
#include <stdlib.h>

struct KeptOutputs {
    Tensor *outputs; /* [sample * n_outputs + output]; data NULL: not there */
    int64_t n_samples;
    int n_outputs;
    pthread_mutex_t lock; /* guards what follows, and the tensors */
    size_t bytes, most;
    bool whole;
};

KeptOutputs *kept_outputs_new(int64_t samples, int n_outputs, size_t most_bytes)
{
    KeptOutputs *kept = xcalloc(1, sizeof *kept);
    *kept = (KeptOutputs){.n_samples = samples, .n_outputs = n_outputs, .most = most_bytes, .whole = true};
    kept->outputs = xcalloc((size_t)MAX(samples * n_outputs, 1), sizeof kept->outputs[0]);
    pthread_mutex_init(&kept->lock, NULL);
    return kept;
}

static void release(KeptOutputs *kept, Tensor *tensor)
{
    kept->bytes -= tensor->data == NULL ? 0 : tensor->bytes;
    tensor_release(tensor);
}

static void release_all(KeptOutputs *kept)
{
    for (int64_t i = 0; i < kept->n_samples * kept->n_outputs; i++)
        release(kept, &kept->outputs[i]);
}

void kept_outputs_free(KeptOutputs *kept)
{
    if (kept == NULL)
        return;
    release_all(kept);
    pthread_mutex_destroy(&kept->lock);
    free(kept->outputs);
    free(kept);
}

/* False where there is no room, or the tensor is none of numbers. */
static bool keep(KeptOutputs *kept, Tensor *to, const Tensor *from)
{
    release(kept, to);
    if (dtype_bits(from->dtype) == 0 || from->dtype == DT_LIST || from->bytes > kept->most - kept->bytes)
        return false;
    Status status = tensor_copy(to, from);
    if (status != NULL) {
        status_free(status);
        return false;
    }
    kept->bytes += to->bytes;
    return true;
}

void kept_outputs_put(KeptOutputs *kept, int64_t sample, const Tensor *outputs)
{
    pthread_mutex_lock(&kept->lock);
    for (int i = 0; i < kept->n_outputs && kept->whole; i++)
        kept->whole = keep(kept, &kept->outputs[sample * kept->n_outputs + i], &outputs[i]);
    if (!kept->whole)
        release_all(kept);
    pthread_mutex_unlock(&kept->lock);
}

bool kept_outputs_whole(const KeptOutputs *kept)
{
    return kept != NULL && kept->whole;
}

const Tensor *kept_outputs_get(const KeptOutputs *kept, int64_t sample)
{
    const Tensor *outputs = &kept->outputs[sample * kept->n_outputs];
    return kept->n_outputs == 0 || outputs[0].data == NULL ? NULL : outputs;
}
