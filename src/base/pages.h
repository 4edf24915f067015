/* pages.h - advice to the system about pages of memory; for the few who handle whole files. */
#ifndef QUANTIZE_BASE_PAGES_H
#define QUANTIZE_BASE_PAGES_H

#include "src/base/base.h"

/* What lies whole pages within [from, from + bytes) of a mapped file need not stay in memory: read again, it comes from the file
 * again. */
void file_forget(const FileMap *map, size_t from, size_t bytes);

#endif
