/* bounds.h - between which numbers the elements of a value lie, as far as the graph itself says. */
#ifndef QUANTIZE_BOUNDS_H
#define QUANTIZE_BOUNDS_H

#include "src/ir/ir.h"

typedef struct Bounds {
    double low, high; /* every element lies in [low, high]; equal: all elements are this number */
} Bounds;

/* Of a numeric or boolean (0, 1) value. What is not known is -INFINITY or INFINITY; a float value may hold NaN besides, unless
 * low and high are equal. Steps back over at most a fixed number of producers. */
Bounds bounds_of(const Value *value);
/* True and the number when all elements are the same one. */
bool bounds_uniform(const Value *value, double *ret);

#endif
