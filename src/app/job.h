/* job.h - all that the main job found, for the report and the closing table. */
#ifndef QUANTIZE_JOB_H
#define QUANTIZE_JOB_H

#include "src/app/product.h"

/* A model that was quantized already and is float again. */
typedef struct Restored {
    const char *form; /* what it was, behind "the model is"; NULL: float as it came */
    double sqnr_db;   /* of its worst output against the model as it was given */
} Restored;

/* All that the main job found, for the report and the closing table. */
typedef struct Job {
    const Options *options;
    const char *output_path, *report_path;
    ModelFacts input;
    Restored restored;
    PassRecord *records;
    const char *preprocess_source;
    const char *data_reader, *data_description, *data_warning;
    Proof proof;
    CollectResult calibration;
    RangeSource ranges_source; /* of --ranges-in: what the table was made from */
    const char *equalized;     /* how, in words; NULL: it is not */
    const Search *search;      /* what was tried; NULL: nothing */
    Sensitivity *sensitivity;  /* worst first; NULL: not measured */
    size_t n_sensitivity;
    int fallback_rounds;       /* models built and measured to reach a target, beside the first */
    Product product;           /* what is written */
    const char *evaluated_on; /* path of the data, and whether it is the calibration data */
    bool evaluated_on_calibration;
    bool fp32_kept;           /* the float outputs are those that calibration computed, not those of the file run again */
    double seconds_calibration, seconds_evaluation, seconds_total;
    char **warnings;
    size_t n_warnings, cap_warnings;
} Job;

char *report_json(const Job *job);       /* malloc'ed text */
/* The report as one page of HTML, from the text of report_json(); malloc'ed. Names in it are escaped. */
char *report_html(const char *json);
void report_print_table(const Job *job); /* stdout */

#endif
