/* half.h - see half.c. */
#ifndef QUANTIZE_TESTS_ORACLE_HALF_H
#define QUANTIZE_TESTS_ORACLE_HALF_H

#include "src/base/base.h"

MUST_USE Status write_half(const char *path, const char *out);

#endif
