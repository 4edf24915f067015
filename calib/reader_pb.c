/* reader_pb.c - samples that are TensorProto files, as ONNX's test data has them. */
#include "calib/reader.h"

static const char *const extensions[] = {"pb", NULL};

/* What is an invalid model elsewhere is an unreadable sample here. */
static Status as_data(Status status)
{
    if (status_code(status) != CODE_MODEL)
        return status;
    Status other = status_new(CODE_DATA, "%s", status_message(status));
    status_free(status);
    return other;
}

static Status prepare(Dataset *dataset, int input)
{
    (void)input;
    if (dataset->options.read_pb == NULL)
        return status_new(CODE_DATA, ".pb files are not read here");
    describe_tensors(dataset, &reader_pb);
    return NULL;
}

static Status read(const Dataset *dataset, const Part *part, int input, Tensor *ret)
{
    if (dataset->options.read_pb == NULL)
        return status_new(CODE_DATA, "%s: .pb files are not read here", part->path);
    Tensor tensor;
    TRY(as_data(dataset->options.read_pb(part->path, NULL, &tensor, NULL)));
    TRY(status_prefix(tensor_fit(dataset->inputs[input], &tensor), "%s", part->path));
    *ret = tensor;
    return NULL;
}

const Reader reader_pb = {"pb", ".pb", extensions, NULL, prepare, read, NULL};
