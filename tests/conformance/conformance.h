/* conformance.h - one case of ONNX's own operator tests: a model and, for each data set, its inputs and outputs.
 *
 *     FOLDER/test_abs/model.onnx
 *     FOLDER/test_abs/test_data_set_0/input_0.pb ... output_0.pb ...        one TensorProto each
 */
#ifndef QUANTIZE_CONFORMANCE_H
#define QUANTIZE_CONFORMANCE_H

#include "src/base/base.h"

/* Loads the model, infers its types, runs every data set in the reference and in the default executor, compares the
 * outputs with the stored ones and every value that was computed with its inferred type. NULL: the case passes. */
MUST_USE Status case_run(const char *folder);

#endif
