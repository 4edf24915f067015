/* regex.h - regular expressions of the RE2 kind, matched in time linear in the text. Internal to src/ops. */
#ifndef QUANTIZE_OPS_REGEX_H
#define QUANTIZE_OPS_REGEX_H

#include "src/base/base.h"

typedef struct Regex Regex;

/* Compiles `pattern`: literals, . \d \w \s \D \W \S \b \B, escapes, [classes] with ranges and [:names:], ( ) (?: ),
 * | * + ? {m,n} with or without a lazy ?, ^ $. *ret_problem says what is not understood when it returns NULL. Lives in
 * `arena`. */
const Regex *regex_compile(Arena *arena, const char *pattern, size_t length, const char **ret_problem);
/* Whether all of the text matches. Memory for the run comes from `arena`. */
bool regex_match_all(const Regex *regex, Arena *arena, const char *text, size_t length);

#endif
