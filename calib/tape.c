/* tape.c - recordings that stay open from window to window. libsndfile decodes.
 *
 *     tape   [ decoded and given back ][ kept ][ not decoded yet ]
 *                                      ^from   ^from + n: where the decoder stands
 *
 * Threads take windows roughly in their order, so a tape is wound forward and has most often just what comes next. Decoders of
 * compressed sound do not all find a frame again exactly (Opus, the last page of Vorbis, MP3 without the bits of the frames
 * before): those are read in blocks of one size from the beginning on, whatever is asked for.
 */
#include "calib/tape.h"

#include "calib/audio.h"

#include <pthread.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX 64
#define FRAMES_MAX ((int64_t)1 << 32)     /* that are counted where the head does not tell */
#define LENGTH_UNKNOWN ((int64_t)1 << 40)
#define BLOCK ((int64_t)65536)            /* frames decoded in one go */
#define FAR_SECONDS 30                    /* Vorbis seeks exactly but for its last page, which is shorter than this */
#define OTHERS_MAX 4                      /* idle tapes of recordings that were not asked for last */

typedef enum Seeking { SEEK_NEVER, SEEK_FAR, SEEK_ANYWHERE } Seeking;

typedef struct Tape {
    const char *path;
    int channel;
    SNDFILE *file;
    SF_INFO info;
    Seeking seeking;
    float *block;            /* (BLOCK, channels) */
    float *kept;             /* (cap,), the first n hold frames from.. */
    int64_t from, n, cap;
    bool busy, ended;
    uint64_t used;           /* when, for closing the one that was left alone longest */
} Tape;

struct Tapes {
    pthread_mutex_t lock; /* guards all of it, but for what is in busy tapes */
    Tape **tapes;
    size_t n, cap;
    uint64_t clock;
    Map *facts;           /* path -> TapeFacts */
    Arena *arena;
};

/* ---- files ------------------------------------------------------------------------------------------------------- */

static Status open_file(const char *path, SNDFILE **ret, SF_INFO *info)
{
    *info = (SF_INFO){0};
    SNDFILE *file = sf_open(path, SFM_READ, info);
    if (file == NULL)
        return status_new(CODE_DATA, "%s: not a recording that can be read: %s", path, sf_strerror(NULL));
    const char *wrong = info->channels < 1 || info->channels > CHANNELS_MAX         ? "channels"
                        : info->samplerate < 1 || info->samplerate > AUDIO_RATE_MAX ? "sample rate"
                        : info->frames < 0                                          ? "length" : NULL;
    Status status = wrong == NULL && info->frames > 0 ? NULL
                    : wrong == NULL ? status_new(CODE_DATA, "%s: it is empty", path)
                    : status_new(CODE_DATA, "%s: its %s makes no sense (%d channels, %d Hz, %lld frames)", path, wrong,
                                 info->channels, info->samplerate, (long long)info->frames);
    if (status != NULL)
        sf_close(file);
    else
        *ret = file;
    return status;
}

/* Streams that do not say how long they are (frames is then near the greatest number). */
static int64_t count_frames(SNDFILE *file, const SF_INFO *info)
{
    float *block = xcalloc((size_t)BLOCK * (size_t)info->channels, sizeof block[0]);
    sf_count_t frames = 0, got;
    while (frames < FRAMES_MAX && (got = sf_readf_float(file, block, BLOCK)) > 0)
        frames += got;
    free(block);
    return frames;
}

static Seeking seeking_of(const SF_INFO *info)
{
    if (!info->seekable || info->frames >= LENGTH_UNKNOWN)
        return SEEK_NEVER;
    switch (info->format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE:
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW:
        return SEEK_ANYWHERE; /* FLAC is PCM here */
    case SF_FORMAT_VORBIS:
        return SEEK_FAR;
    default:
        return SEEK_NEVER;
    }
}

static void tape_close(Tape *tape)
{
    if (tape == NULL)
        return;
    if (tape->file != NULL)
        sf_close(tape->file);
    memory_free(tape->block);
    memory_free(tape->kept);
    free(tape);
}

static Status tape_open(const char *path, int channel, const TapeFacts *facts, Tape **ret)
{
    Tape *tape = xcalloc(1, sizeof *tape);
    void *block = NULL;
    *tape = (Tape){.path = path, .channel = channel};
    Status status = open_file(path, &tape->file, &tape->info);
    if (status == NULL && (tape->info.channels != facts->channels || tape->info.samplerate != facts->rate))
        status = status_new(CODE_DATA, "%s: the file has changed meanwhile", path);
    if (status == NULL && channel > tape->info.channels)
        status = status_new(CODE_DATA, "channel %d was asked for, it has %d", channel, tape->info.channels);
    if (status == NULL)
        status = memory_alloc((size_t)BLOCK * (size_t)tape->info.channels * sizeof(float), &block);
    if (status != NULL) {
        tape_close(tape);
        return status;
    }
    tape->block = block;
    tape->seeking = seeking_of(&tape->info);
    *ret = tape;
    return NULL;
}

/* ---- winding ----------------------------------------------------------------------------------------------------- */

static void drop_before(Tape *tape, int64_t frame)
{
    int64_t n = MIN(MAX(frame - tape->from, (int64_t)0), tape->n);
    if (n > 0)
        memmove(tape->kept, tape->kept + n, (size_t)(tape->n - n) * sizeof tape->kept[0]);
    tape->from += n;
    tape->n -= n;
}

/* For n more frames; at most `most` in all are foreseen, which a head that lies may have led to, so it grows by and by. */
static Status make_room(Tape *tape, int64_t n, int64_t most)
{
    if (tape->n + n <= tape->cap)
        return NULL;
    int64_t cap = MAX(tape->n + n, MIN(2 * tape->cap, most));
    void *memory;
    TRY(memory_alloc((size_t)cap * sizeof tape->kept[0], &memory));
    if (tape->n > 0)
        memcpy(memory, tape->kept, (size_t)tape->n * sizeof tape->kept[0]);
    memory_free(tape->kept);
    tape->kept = memory;
    tape->cap = cap;
    return NULL;
}

/* n frames more. */
static Status decode_block(Tape *tape, int64_t n, int64_t want)
{
    TRY(make_room(tape, n, want + BLOCK));
    sf_count_t got = sf_readf_float(tape->file, tape->block, n);
    tape->ended = got < 1;
    int channels = tape->info.channels;
    for (sf_count_t i = 0; i < got; i++) {
        const float *frame = tape->block + i * channels;
        double sum = 0;
        for (int c = 0; c < channels; c++)
            sum += (double)frame[c];
        tape->kept[tape->n++] = tape->channel > 0 ? frame[tape->channel - 1] : (float)(sum / channels);
    }
    return NULL;
}

/* Until the decoder may start at `from`. */
static Status seek(Tape *tape, int64_t from)
{
    int64_t stands = tape->from + tape->n, far = (int64_t)FAR_SECONDS * tape->info.samplerate;
    if (tape->seeking == SEEK_NEVER || (from >= tape->from && from <= stands) ||
        (tape->seeking == SEEK_FAR && (from - stands < far || tape->info.frames - from < far)))
        return NULL;
    if (sf_seek(tape->file, from, SEEK_SET) != from)
        return status_new(CODE_DATA, "frame %lld cannot be found", (long long)from);
    tape->from = from;
    tape->n = 0;
    tape->ended = false;
    return NULL;
}

static Status wind(Tape *tape, int64_t from, int64_t want, Sound *ret)
{
    TRY(seek(tape, from));
    drop_before(tape, from);
    while (tape->from + tape->n < from + want && !tape->ended) {
        int64_t missing = from + want - tape->from - tape->n;
        TRY(decode_block(tape, tape->seeking == SEEK_ANYWHERE ? MIN(missing, BLOCK) : BLOCK, want));
        drop_before(tape, from);
    }
    int64_t n = MIN(want, tape->from == from ? tape->n : 0);
    if (n == 0)
        return status_new(CODE_DATA, "no sound can be read from %g s on: %s", (double)from / tape->info.samplerate,
                          sf_error(tape->file) == SF_ERR_NO_ERROR ? "the file is cut off" : sf_strerror(tape->file));
    void *memory = tape->kept;
    if (n == tape->n && (tape->seeking == SEEK_ANYWHERE || (from == 0 && want >= tape->info.frames))) {
        tape->kept = NULL; /* given away: not asked for again, or found again at once */
        tape->from += n;
        tape->n = tape->cap = 0;
    } else {
        TRY(memory_alloc((size_t)n * sizeof(float), &memory));
        memcpy(memory, tape->kept, (size_t)n * sizeof(float));
    }
    *ret = (Sound){memory, n};
    return NULL;
}

/* ---- the shelf --------------------------------------------------------------------------------------------------- */

Tapes *tapes_new(void)
{
    Tapes *tapes = xcalloc(1, sizeof *tapes);
    pthread_mutex_init(&tapes->lock, NULL);
    tapes->facts = map_new();
    tapes->arena = arena_new();
    return tapes;
}

void tapes_free(Tapes *tapes)
{
    if (tapes == NULL)
        return;
    for (size_t i = 0; i < tapes->n; i++)
        tape_close(tapes->tapes[i]);
    free(tapes->tapes);
    map_free(tapes->facts);
    arena_free(tapes->arena);
    pthread_mutex_destroy(&tapes->lock);
    free(tapes);
}

static Status look(const char *path, TapeFacts *ret)
{
    SNDFILE *file;
    SF_INFO info;
    TRY(open_file(path, &file, &info));
    *ret = (TapeFacts){info.channels, info.samplerate,
                       info.frames >= LENGTH_UNKNOWN ? count_frames(file, &info) : (int64_t)info.frames};
    sf_close(file);
    return ret->frames > 0 ? NULL : status_new(CODE_DATA, "%s: it is empty", path);
}

Status tapes_facts(Tapes *tapes, const char *path, TapeFacts *ret)
{
    pthread_mutex_lock(&tapes->lock);
    const TapeFacts *known = map_get(tapes->facts, path);
    if (known != NULL)
        *ret = *known;
    pthread_mutex_unlock(&tapes->lock);
    if (known != NULL)
        return NULL;
    TRY(look(path, ret));
    pthread_mutex_lock(&tapes->lock);
    if (!map_has(tapes->facts, path))
        map_put(tapes->facts, arena_strdup(tapes->arena, path), arena_copy(tapes->arena, ret, sizeof *ret));
    pthread_mutex_unlock(&tapes->lock);
    return NULL;
}

/* The idle tape that has least to be wound forward; NULL when none could be. Holds the lock. */
static Tape *find_tape(const Tapes *tapes, const char *path, int channel, int64_t from)
{
    Tape *best = NULL;
    for (size_t i = 0; i < tapes->n; i++) {
        Tape *tape = tapes->tapes[i];
        if (tape->busy || tape->channel != channel || strcmp(tape->path, path) != 0 ||
            (tape->from > from && tape->seeking != SEEK_ANYWHERE))
            continue;
        if (best == NULL || (tape->from <= from && (best->from > from || tape->from > best->from)))
            best = tape;
    }
    return best;
}

static Status take_tape(Tapes *tapes, const char *path, int channel, int64_t from, Tape **ret)
{
    pthread_mutex_lock(&tapes->lock);
    Tape *tape = find_tape(tapes, path, channel, from);
    const MapEntry *entry = map_entry(tapes->facts, path);
    if (tape != NULL)
        tape->busy = true;
    pthread_mutex_unlock(&tapes->lock);
    if (tape == NULL) {
        TRY(tape_open(entry->key, channel, entry->value, &tape));
        tape->busy = true;
        pthread_mutex_lock(&tapes->lock);
        tapes->tapes = array_reserve(tapes->tapes, &tapes->cap, tapes->n + 1, sizeof tapes->tapes[0]);
        tapes->tapes[tapes->n++] = tape;
        pthread_mutex_unlock(&tapes->lock);
    }
    *ret = tape;
    return NULL;
}

/* Closes the idle tapes of other recordings, down to OTHERS_MAX; or all idle ones. Holds the lock. */
static void clear_shelf(Tapes *tapes, const char *path)
{
    for (;;) {
        size_t idle = 0, oldest = 0;
        for (size_t i = 0; i < tapes->n; i++) {
            const Tape *tape = tapes->tapes[i];
            if (tape->busy || (path != NULL && strcmp(tape->path, path) == 0))
                continue;
            if (idle++ == 0 || tape->used < tapes->tapes[oldest]->used)
                oldest = i;
        }
        if (idle <= (path == NULL ? 0 : OTHERS_MAX))
            return;
        tape_close(tapes->tapes[oldest]);
        tapes->tapes[oldest] = tapes->tapes[--tapes->n];
    }
}

Status tapes_read(Tapes *tapes, const char *path, int channel, int64_t from, int64_t want, Sound *ret)
{
    TapeFacts facts;
    Tape *tape;
    TRY(tapes_facts(tapes, path, &facts));
    TRY(take_tape(tapes, path, channel, from, &tape));
    Status status = wind(tape, from, want, ret);
    bool all = from == 0 && want >= facts.frames; /* nothing of it will be asked for again */
    pthread_mutex_lock(&tapes->lock);
    tape->busy = false;
    tape->used = all || status != NULL ? 0 : ++tapes->clock;
    for (size_t i = 0; i < tapes->n && tape->used == 0; i++)
        if (tapes->tapes[i] == tape) {
            tapes->tapes[i] = tapes->tapes[--tapes->n];
            tape_close(tape);
            break;
        }
    clear_shelf(tapes, status_code(status) == CODE_MEMORY ? NULL : path);
    pthread_mutex_unlock(&tapes->lock);
    return status;
}
