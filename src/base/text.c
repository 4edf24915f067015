/* text.c - growing text, the nearest of some names for "did you mean", and glob patterns. */
#include "src/base/base.h"

#include <stdlib.h>
#include <string.h>

/* Edits from a to b: insert, delete, replace a byte, or swap two neighbours (optimal string alignment).
 * rows: three rows of (length of b) + 1 counts; cost[j] = edits from the first i bytes of a to the first j of b. */
static size_t edit_distance(const char *a, const char *b, size_t *rows)
{
    size_t n = strlen(a), m = strlen(b);
    size_t *before = rows, *last = rows + m + 1, *cost = rows + 2 * (m + 1);
    for (size_t j = 0; j <= m; j++)
        cost[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *spare = before;
        before = last;
        last = cost;
        cost = spare;
        cost[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t least = last[j - 1] + (a[i - 1] != b[j - 1]);
            least = MIN(least, last[j] + 1);
            least = MIN(least, cost[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                least = MIN(least, before[j - 2] + 1);
            cost[j] = least;
        }
    }
    return cost[m];
}

/* The start of the character behind the one at s (UTF-8; a stray byte counts as a character). */
static const char *next_character(const char *s)
{
    if (((unsigned char)*s++ & 0xC0) != 0xC0)
        return s;
    while (((unsigned char)*s & 0xC0) == 0x80)
        s++;
    return s;
}

void text_add(Text *text, const char *s)
{
    size_t length = strlen(s);
    text->data = array_reserve(text->data, &text->cap, text->length + length + 1, 1);
    memcpy(text->data + text->length, s, length + 1);
    text->length += length;
}

void text_addf(Text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *s = xvprintf(format, arguments);
    va_end(arguments);
    text_add(text, s);
    free(s);
}

void text_free(Text *text)
{
    free(text->data);
    *text = (Text){NULL, 0, 0};
}

const char *text_nearest(const char *word, const char *const *names)
{
    size_t length = strlen(word), longest = 0;
    for (size_t i = 0; names[i] != NULL; i++)
        longest = MAX(longest, strlen(names[i]));
    /* A third of the word may be wrong, but not all of it. */
    size_t allowed = MAX(length / 3, 1);
    size_t best = MIN(allowed + 1, length);
    size_t *rows = xcalloc(3 * (longest + 1), sizeof *rows);
    const char *nearest = NULL;
    for (size_t i = 0; names[i] != NULL; i++) {
        size_t other = strlen(names[i]);
        if ((other > length ? other - length : length - other) >= best)
            continue;
        size_t distance = edit_distance(word, names[i], rows);
        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    free(rows);
    return nearest;
}

bool text_glob(const char *pattern, const char *name)
{
    /* Only the last '*' met can need another try: an earlier one matched as little as it could. */
    const char *star = NULL, *retry = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern == '?') {
            pattern++;
            name = next_character(name);
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
