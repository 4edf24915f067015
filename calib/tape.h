/* tape.h - inside calib/: recordings that stay open from window to window, so that a long one is decoded once and not once for
 * each of its windows.
 *
 *     path, [from, from + want) ─ tapes_read ─> an idle tape of that recording, wound forward ─> frames (want,), one channel
 */
#ifndef QUANTIZE_CALIB_TAPE_H
#define QUANTIZE_CALIB_TAPE_H

#include "src/base/base.h"

/* Of a whole recording; frames are counted by decoding it where its head does not tell. */
typedef struct TapeFacts {
    int channels, rate;
    int64_t frames;
} TapeFacts;

typedef struct Sound {
    float *x;  /* memory_alloc'ed */
    int64_t n;
} Sound;

/* Thread-safe. What is read never depends on what was read before: where a format's decoder seeks exactly it is let seek, else
 * a recording is decoded from its beginning on. */
typedef struct Tapes Tapes;
Tapes *tapes_new(void);
void tapes_free(Tapes *tapes); /* NULL is fine */
/* CODE_DATA when it is no recording that libsndfile reads or what it says of itself makes no sense. */
MUST_USE Status tapes_facts(Tapes *tapes, const char *path, TapeFacts *ret);
/* `want` frames from `from` on, fewer where the recording ends; of one channel (1-based) or with 0 the mean of all. CODE_DATA
 * when there is none. */
MUST_USE Status tapes_read(Tapes *tapes, const char *path, int channel, int64_t from, int64_t want, Sound *ret);

#endif
