/* keep.h - inside calib/: what range tables and parts have in common as JSON files.
 *
 *     {"format": KIND, "model_sha256": .., "passes": .., "data": {..}, "method": .., "shard": .., "samples": ..,
 *      "skipped": [..],
 *      "values": [
 *       {"name": .., ..},          a line each
 *      ]}
 */
#ifndef QUANTIZE_CALIB_KEEP_H
#define QUANTIZE_CALIB_KEEP_H

#include "calib/calib.h"

#include <cJSON.h>

#define KEEP_TABLE "quantize ranges 1"
#define KEEP_PART "quantize calibration part 1"

void keep_add_text(Text *text, const char *s); /* quoted and escaped; null for NULL */
/* All up to the rows of "values". */
void keep_add_head(Text *text, const char *kind, const RangeSource *source, const Sights *sights);
MUST_USE Status keep_write(const char *path, Text *text); /* consumes the text */
/* The file as JSON, of that kind, its head read; CODE_DATA. `ret_root` goes back to cJSON_Delete. */
MUST_USE Status keep_read(const char *path, const char *kind, Arena *arena, RangeSource *ret_source, Sights *ret_sights,
                          cJSON **ret_root);
/* Members of a row; CODE_DATA names the key. */
MUST_USE Status keep_text(const cJSON *object, const char *key, Arena *arena, const char **ret); /* NULL when null */
MUST_USE Status keep_number(const cJSON *object, const char *key, double *ret);
MUST_USE Status keep_count(const cJSON *object, const char *key, int64_t *ret); /* -1 is fine too */

#endif
