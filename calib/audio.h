/* audio.h - inside calib/: AudioOptions made exact for one input of a model, and samples of sound turned into its tensor.
 *
 *     recording ─ reader_audio.c: channels, rate, window ─> x (n,) ─ features.c ─> frames (T, F) ─ layout ─> tensor
 *
 * Letters: n samples, T frames, F features a frame, B = n_fft / 2 + 1 frequency bins, P parts of a feature: 2, real and
 * imaginary, of a complex spectrum, else 1.
 */
#ifndef QUANTIZE_CALIB_AUDIO_H
#define QUANTIZE_CALIB_AUDIO_H

#include "calib/calib.h"

#define AUDIO_RATE_MAX 1000000

/* One triangle of the mel scale over bins first..first+n-1. */
typedef struct MelBand {
    int first, n;
    double *weights; /* (n,) */
} MelBand;

/* Worked out once when a dataset is opened; const afterwards, shared by threads. */
typedef struct AudioPlan {
    AudioOptions options;  /* nothing left to be chosen */
    bool rate_assumed;
    int64_t window, hop;   /* samples; window 0: the whole recording */
    int64_t frames;        /* T of the model's input; 0: any */
    int n_features;        /* F; 1 for raw samples */
    int parts;             /* P */
    DType dtype;
    int rank;              /* of the tensor */
    bool batched;          /* its first axis is the batch */
    int64_t batch;         /* times the sample is repeated */
    float *shape;          /* (n_fft,) the window, centred */
    void *fft;             /* kiss_fft_cfg */
    MelBand *bands;        /* (n_mels,) or NULL */
    double *dct;           /* (n_mfcc, n_mels) or NULL */
    Arena *arena;
} AudioPlan;

/* CODE_USAGE when something is missing or does not fit the input. */
MUST_USE Status audio_plan_new(const Value *input, const AudioOptions *options, AudioPlan **ret);
void audio_plan_free(AudioPlan *plan); /* NULL is fine */
char *audio_describe(Arena *arena, const AudioPlan *plan);
const char *audio_feature_name(FeatureKind kind);
/* "logmel n_fft=512 ... layout=1mt": every key that counts and is not as usual, and the main ones. */
char *audio_features_text(Arena *arena, const AudioOptions *options);
/* How many samples of a recording of n samples (at the plan's rate) there are. */
int64_t audio_windows(const AudioPlan *plan, int64_t n);
/* Frames that n samples give. */
int64_t audio_frames(const AudioPlan *plan, int64_t n);
/* The tensor of n samples. CODE_DATA when they are too few. */
MUST_USE Status audio_to_tensor(const AudioPlan *plan, const float *x, int64_t n, Tensor *ret);

#endif
