/* preprocess.h - inside calib/: a Preprocess made exact for one input of a model, and pixels turned into its tensor. */
#ifndef QUANTIZE_CALIB_PREPROCESS_H
#define QUANTIZE_CALIB_PREPROCESS_H

#include "calib/calib.h"

/* Worked out once when a dataset is opened; const afterwards, shared by threads. */
typedef struct PixelPlan {
    Preprocess preprocess;  /* nothing left 0 or AUTO */
    DType dtype;
    int rank;
    int64_t dims[4];        /* of the tensor */
    int64_t batch;          /* times the image is repeated: N of the input, 1 when dynamic or absent */
    int channels;           /* 1 or 3, of the tensor */
    union {                 /* the element that a pixel value becomes, by dtype */
        float floats[256];
        uint16_t halfs[256];
        uint8_t bytes[256];
    } table[4];             /* (C,) */
} PixelPlan;

/* CODE_DATA when the input is no picture's (rank, channels, type), CODE_USAGE when an option is missing or does not
 * fit. */
MUST_USE Status pixels_plan(const Value *input, const Preprocess *preprocess, PixelPlan *ret);
/* One line for people: "RGB 224x224 NCHW float, shorter side 256 and centre crop, bilinear; ...". */
char *pixels_describe(Arena *arena, const PixelPlan *plan);
/* The tensor of a picture; the picture is consumed. */
MUST_USE Status pixels_to_tensor(const PixelPlan *plan, Image *image, Tensor *ret);

#endif
