/* bounds.h - whether all elements of a value are one number, as far as the graph itself says. */
#ifndef QUANTIZE_BOUNDS_H
#define QUANTIZE_BOUNDS_H

#include "src/ir/ir.h"

/* True and the number when all elements of a numeric or boolean (0, 1) value are the same one. Steps back over at most a fixed
 * number of producers. */
bool bounds_uniform(const Value *value, double *ret);

#endif
