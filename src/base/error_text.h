/* error_text.h - an errno in words, with the cure where there is one. For the files of this room. */
#ifndef QUANTIZE_ERROR_TEXT_H
#define QUANTIZE_ERROR_TEXT_H

const char *error_text(int error);

#endif
