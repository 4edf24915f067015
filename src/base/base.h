/* base.h - what every room stands on: status, memory, strings, maps, threads, files, CPU features.
 *
 * Nothing here knows of ONNX. Library code never prints and never exits: a function that can fail returns a Status,
 * and only src/app turns one into words and an exit code.
 */
#ifndef QUANTIZE_BASE_H
#define QUANTIZE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define NEVER_NULL __attribute__((returns_nonnull))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
/* A hot loop compiled for several levels of vector instructions, the best one chosen at run time, so that QUANTIZE_CPU rules it
 * (see cpu_level): for a function `name_body parameters` declared CPU_BODY defines `name`. scope is static or nothing. */
#define CPU_BODY static inline __attribute__((always_inline))
#if defined(__x86_64__)
#define CPU_LEVELS(scope, name, parameters, arguments)                                                                 \
    __attribute__((target("avx2,fma"))) static void name##_avx2 parameters                                             \
    {                                                                                                                  \
        name##_body arguments;                                                                                         \
    }                                                                                                                  \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq"))) static void name##_avx512 parameters        \
    {                                                                                                                  \
        name##_body arguments;                                                                                         \
    }                                                                                                                  \
    scope void name parameters                                                                                         \
    {                                                                                                                  \
        CpuFeatures cpu_ = cpu_features(); /* not the level: there are processors with VNNI and no AVX-512 */          \
        if (cpu_.avx512)                                                                                               \
            name##_avx512 arguments;                                                                                   \
        else if (cpu_.avx2)                                                                                            \
            name##_avx2 arguments;                                                                                     \
        else                                                                                                           \
            name##_body arguments;                                                                                     \
    }
#else
#define CPU_LEVELS(scope, name, parameters, arguments)                                                                 \
    scope void name parameters                                                                                         \
    {                                                                                                                  \
        name##_body arguments;                                                                                         \
    }
#endif
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- status.c: why something failed ------------------------------------------------------------------------------ */

/* The program's exit codes; a Status carries the one its failure ends in. */
typedef enum Code {
    CODE_OK = 0,
    CODE_SHORT = 1,        /* done, but short of the target asked for */
    CODE_USAGE = 2,        /* the command line */
    CODE_MODEL = 3,        /* model unreadable, invalid, or beyond a limit */
    CODE_DATA = 4,         /* calibration or evaluation data */
    CODE_UNSUPPORTED = 5,  /* an op that must be executed is not supported */
    CODE_MEMORY = 6,       /* memory limit, or none left */
    CODE_WRITE = 7,        /* an output cannot be written */
    CODE_INTERRUPTED = 130 /* Ctrl-C */
} Code;

/* NULL is success; else a message and a code, owned by whoever holds it. Pass it on or status_free() it. */
typedef struct StatusInfo *Status;

/* A new failure. Messages are lower case, quote the subject, give the place and the cure:
 * "node 'conv1' (Conv): weight expects 64 input channels, value 'x' has 3". */
MUST_USE NEVER_NULL Status status_new(Code code, const char *format, ...) PRINTF_LIKE(2, 3);
/* Puts "PREFIX: " before the message of `status`, which it consumes; NULL stays NULL. */
MUST_USE Status status_prefix(Status status, const char *format, ...) PRINTF_LIKE(2, 3);
Code status_code(const struct StatusInfo *status);          /* CODE_OK for NULL */
const char *status_message(const struct StatusInfo *status); /* "" for NULL */
void status_free(Status status);                             /* NULL is fine */

/* Returns from the enclosing function when `call` fails. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        Status try_status_ = (call);                                                                                   \
        if (try_status_ != NULL)                                                                                       \
            return try_status_;                                                                                        \
    } while (0)

/* ---- memory.c: sizes that a file controls are checked here before anything is allocated -------------------------- */

/* *ret = a * b (a + b); false and *ret untouched when it overflows. */
MUST_USE bool size_mul(size_t a, size_t b, size_t *ret);
MUST_USE bool size_add(size_t a, size_t b, size_t *ret);

/* Upper bound for all memory taken through memory_alloc(), in bytes; 0 = none. Process-wide. */
void memory_set_limit(size_t bytes);
size_t memory_in_use(void);

/* How often memory_alloc() has failed in this thread: who does without what it was refused shows here. */
uint64_t memory_refusals(void);

/* 64-byte aligned memory (not zeroed) for tensors and other sizes a file controls; fails with CODE_MEMORY.
 * bytes may be 0. */
MUST_USE Status memory_alloc(size_t bytes, void **ret);
void memory_free(void *p); /* NULL is fine */

/* Small, program-controlled allocations: zeroed, never NULL. When the system has no memory at all the process ends
 * through the handler below (the program prints one line and exits 6). */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xprintf(const char *format, ...) PRINTF_LIKE(1, 2);
char *xvprintf(const char *format, va_list arguments) PRINTF_LIKE(1, 0);
void memory_set_exhausted_handler(void (*handler)(void));

/* Makes room for `need` elements in a growing array: returns the (moved) array, updates *cap. Doubles, so n appends are
 * O(n). */
void *array_reserve(void *array, size_t *cap, size_t need, size_t size);

/* ---- arena.c: memory with one lifetime --------------------------------------------------------------------------- */

/* All that is taken from an arena lives until arena_free() or until a rewind past it. Not thread-safe. */
typedef struct Arena Arena;
typedef struct ArenaMark {
    void *block;
    size_t used;
} ArenaMark;

Arena *arena_new(void);
void arena_free(Arena *arena); /* NULL is fine */
void *arena_alloc(Arena *arena, size_t bytes); /* zeroed, 16-byte aligned, never NULL */
void *arena_array(Arena *arena, size_t n, size_t size);
void *arena_copy(Arena *arena, const void *data, size_t bytes);
char *arena_strdup(Arena *arena, const char *s);
char *arena_strndup(Arena *arena, const char *s, size_t n);
char *arena_printf(Arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
ArenaMark arena_mark(Arena *arena);
void arena_rewind(Arena *arena, ArenaMark mark);
size_t arena_bytes(const Arena *arena); /* handed out */
/* `release(object)` runs when the arena is freed (last registered first): mappings, library handles, big tensors.
 * Not affected by a rewind. */
void arena_on_free(Arena *arena, void (*release)(void *object), void *object);

/* ---- text.c: growing text ---------------------------------------------------------------------------------------- */

typedef struct Text {
    char *data; /* always NUL-terminated once something was added; NULL before */
    size_t length, cap;
} Text;

void text_add(Text *text, const char *s);
void text_addf(Text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_free(Text *text);
/* Edit distance for "did you mean"; the nearest of `names` (NULL-terminated), or NULL when none is near. */
const char *text_nearest(const char *word, const char *const *names);
bool text_glob(const char *pattern, const char *name); /* '*' and '?' */

/* ---- map.c: string -> pointer ------------------------------------------------------------------------------------ */

typedef struct Map Map;
Map *map_new(void);
void map_free(Map *map); /* NULL is fine; keys and values are not touched */
void *map_get(const Map *map, const char *key); /* NULL when absent */
bool map_has(const Map *map, const char *key);
void map_put(Map *map, const char *key, void *value); /* the key is not copied: it must outlive the map */
/* The entry of `key`, made with value NULL when there is none: one search where has, get and put would be three. Good until
 * the next one is made or removed. */
typedef struct MapEntry {
    const char *key; /* may be set to an equal string that lives longer */
    void *value;
} MapEntry;
MapEntry *map_entry(Map *map, const char *key);
void map_remove(Map *map, const char *key);
size_t map_count(const Map *map);
void map_reserve(Map *map, size_t n); /* room for n keys without growing */
void map_ask(const Map *map, const char *key); /* fetches from memory what a search for the key a little later will read */
/* Entries in the order in which they came; *at counts from 0. NULL behind the last. */
const MapEntry *map_next(const Map *map, size_t *at);

/* ---- threads.c: one team, sized by --threads --------------------------------------------------------------------- */

typedef struct Team Team;
typedef void (*TeamWork)(void *context, int64_t item, int worker);
Team *team_new(int threads); /* 0 = one for each core; the caller is worker 0 */
void team_free(Team *team);
int team_size(const Team *team);
/* Runs work(context, item, worker) for item 0..n-1, each once, in any order; worker is 0..team_size-1. Returns when all
 * are done. A NULL team runs them here in order. Not re-entrant: the work must not use the same team. */
void team_run(Team *team, int64_t n, TeamWork work, void *context);
/* work(context, begin, end, worker) for ranges that together are 0..n-1, each of at least `least` items (but where there are
 * fewer): what is too little to be worth handing out runs here as one range. */
typedef void (*TeamRange)(void *context, int64_t begin, int64_t end, int worker);
void team_split(Team *team, int64_t n, int64_t least, TeamRange work, void *context);
/* attempt(context, team); while it ends in CODE_MEMORY, again from its beginning with half as many threads, down to the caller
 * alone (NULL): fewer samples in work hold less memory. An attempt that fails must leave nothing behind. */
MUST_USE Status team_try(Team *team, Status (*attempt)(void *context, Team *team), void *context);

/* ---- files.c, atomic.c ------------------------------------------------------------------------------------------- */

typedef struct FileMap {
    const unsigned char *data;
    size_t size;
} FileMap;

/* Maps a whole file read-only. Failures name the file; their code is `code`. An empty file has data NULL and size 0. */
MUST_USE Status file_map(const char *path, Code code, FileMap *ret);
void file_unmap(FileMap *map);

/* A file that is written whole or not at all: under a temporary name in the target folder, synced, renamed on commit.
 * Pipes, devices and /dev/stdout are written straight. */
typedef struct AtomicFile AtomicFile;
MUST_USE Status atomic_open(const char *path, AtomicFile **ret);
MUST_USE Status atomic_write(AtomicFile *file, const void *data, size_t bytes);
void atomic_skip_sync(AtomicFile *file); /* commit renames without waiting for the disk: one of many files of a dump */
/* Puts all that was written on the disk: what can fail about several files is found out before the first is renamed. */
MUST_USE Status atomic_settle(AtomicFile *file);
MUST_USE Status atomic_commit(AtomicFile *file); /* consumes the file, also when it fails */
void atomic_abandon(AtomicFile *file);           /* NULL is fine; removes the temporary */
/* Removes every temporary that is open now. Async-signal-safe; for the program's last exit path. */
void atomic_abandon_all(void);

/* Regular files below `path` (or `path` itself when it is a file), recursively, hidden ones left out, sorted by path
 * name (byte order) so that runs repeat. Symbolic links to files are read, folders that link back are not entered
 * twice. A link that leads nowhere is listed too, so that its reader reports it. */
typedef struct FileList {
    char **paths;
    size_t n, cap;
} FileList;
MUST_USE Status file_list(const char *path, Code code, FileList *ret);
void file_list_free(FileList *list);

const char *path_base(const char *path);      /* the part behind the last '/' */
const char *path_extension(const char *path); /* behind the last '.' of the base name, "" when none */
bool path_same_file(const char *a, const char *b); /* both exist and are one file */
/* Writing the one writes the other: one file, or one that is not there yet ("o.onnx" and "./o.onnx"). */
bool path_same_target(const char *a, const char *b);

/* ---- hash.c ------------------------------------------------------------------------------------------------------ */

typedef struct Sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
    bool plain; /* plain loops, whatever the CPU has */
} Sha256;
void sha256_init(Sha256 *sha);
void sha256_add(Sha256 *sha, const void *data, size_t bytes);
void sha256_hex(Sha256 *sha, char ret_hex[65]);
uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed);

/* ---- cpu.c, clock, interrupt ------------------------------------------------------------------------------------- */

typedef struct CpuFeatures {
    bool avx2, avx512, vnni, amx_int8, sha;
    bool vbmi; /* byte permutations of AVX-512 */
} CpuFeatures;
/* What the processor and the system offer, less what the environment variable QUANTIZE_CPU rules out: baseline, avx2, avx512,
 * vnni (of 256 or 512 bits) or amx is the most that is used. For tests, and to measure what an older processor would need. */
CpuFeatures cpu_features(void);
typedef enum CpuLevel { CPU_BASELINE, CPU_AVX2, CPU_AVX512, CPU_VNNI, CPU_AMX } CpuLevel;
CpuLevel cpu_level(void);         /* the greatest of these that cpu_features() has */
int cpu_count(void);
const char *cpu_name(void);       /* model name as the system gives it, "unknown" otherwise */
double clock_seconds(void);       /* monotonic */
size_t peak_memory_bytes(void);   /* of this process so far (resident) */

/* Set by the signal handler of the program; long loops ask it between items and return CODE_INTERRUPTED. */
void interrupt_request(void); /* async-signal-safe */
bool interrupt_requested(void);
MUST_USE Status interrupt_check(void);

/* ---- half.c: 16-bit floats --------------------------------------------------------------------------------------- */

float half_to_float(uint16_t h);      /* IEEE binary16 */
uint16_t float_to_half(float f);      /* round half to even */
float bfloat_to_float(uint16_t b);
uint16_t float_to_bfloat(float f);    /* round half to even; NaN stays NaN */

#endif
