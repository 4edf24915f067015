/* op_text.c - ops on strings: StringNormalizer StringConcat StringSplit, TfIdfVectorizer.
 *
 *     StringNormalizer  ["Monday", "tuesday"] without "monday", upper case ──> ["TUESDAY"]
 *     TfIdfVectorizer   items ── n-grams of neighbours, or with items skipped between ── counts of those in the pool
 *
 * Formulas: the ONNX operator specification. Upper and lower case of ASCII.
 */
#include <stdlib.h>
#include <string.h>

#include "src/ops/family.h"

static int compare_strings(const TensorString *a, const TensorString *b)
{
    size_t n = MIN(a->length, b->length);
    int order = n > 0 ? memcmp(a->data, b->data, n) : 0;

    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* ---- StringNormalizer -------------------------------------------------------------------------------------------- */

typedef enum Case { CASE_NONE, CASE_LOWER, CASE_UPPER } Case;

static Status read_case(const Node *node, Case *ret)
{
    const char *action = node_string(node, "case_change_action", "NONE");

    *ret = strcmp(action, "LOWER") == 0 ? CASE_LOWER : strcmp(action, "UPPER") == 0 ? CASE_UPPER : CASE_NONE;
    if (*ret == CASE_NONE && strcmp(action, "NONE") != 0)
        return node_error(node, CODE_MODEL, "case_change_action '%s' is not NONE, LOWER or UPPER", action);
    return NULL;
}

static char change_case(char c, Case to)
{
    if (to == CASE_LOWER && c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    if (to == CASE_UPPER && c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    return c;
}

static bool is_stop_word(const Attr *words, const TensorString *word, bool exact)
{
    for (int64_t i = 0; words != NULL && i < words->n; i++) {
        const TensorString *stop = &words->strings[i];
        bool same = stop->length == word->length;
        for (size_t k = 0; same && k < word->length; k++)
            same = exact ? stop->data[k] == word->data[k]
                         : change_case(stop->data[k], CASE_LOWER) == change_case(word->data[k], CASE_LOWER);
        if (same)
            return true;
    }
    return false;
}

static Status check_ascii(const EvalCtx *ctx, const TensorString *word)
{
    for (size_t k = 0; k < word->length; k++)
        if ((unsigned char)word->data[k] >= 128)
            return eval_error(ctx, CODE_UNSUPPORTED, "the case of '%.*s' cannot be changed: only ASCII is supported",
                              (int)MIN(word->length, 60), word->data);
    return NULL;
}

static Status copy_word(EvalCtx *ctx, const TensorString *from, Case to, TensorString *ret)
{
    char *text;

    if (to == CASE_NONE) {
        *ret = *from;
        return NULL;
    }
    TRY(eval_text(ctx, from->length, &text));
    for (size_t k = 0; k < from->length; k++)
        text[k] = change_case(from->data[k], to);
    *ret = (TensorString){text, from->length};
    return NULL;
}

static Status eval_normalizer(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const TensorString *words = x->data;
    const Attr *stop = node_attr(ctx->node, "stopwords");
    bool exact = node_int(ctx->node, "is_case_sensitive", 0) != 0;
    int64_t kept = 0;
    Case to;

    TRY(read_case(ctx->node, &to));
    TRY(eval_require_dtype(ctx, 0, DT_STRING));
    if (x->rank != 1 && (x->rank != 2 || x->dims[0] != 1))
        return eval_error(ctx, CODE_MODEL, "input has shape %s, expected C or 1xC",
                          tensor_shape_text(ctx->scratch, x));
    const TensorString **keep = arena_array(ctx->scratch, (size_t)x->count + 1, sizeof *keep);
    for (int64_t i = 0; i < x->count; i++) {
        if (to != CASE_NONE || (stop != NULL && !exact))
            TRY(check_ascii(ctx, &words[i]));
        if (!is_stop_word(stop, &words[i], exact))
            keep[kept++] = &words[i];
    }
    static const TensorString nothing = {"", 0}; /* what is left when nothing is */
    if (kept == 0)
        keep[kept++] = &nothing;
    TRY(eval_output(ctx, 0, DT_STRING, x->rank, x->rank == 1 ? &kept : (int64_t[]){1, kept}));
    for (int64_t i = 0; i < kept; i++)
        TRY(copy_word(ctx, keep[i], to, &((TensorString *)ctx->out[0].data)[i]));
    return NULL;
}

static Status infer_normalizer(Node *node)
{
    Shape shape = infer_shape(node, 0);

    if (shape.rank > 0)
        shape.dims[shape.rank - 1] = DIM_UNKNOWN;
    infer_output(node, 0, DT_STRING, &shape);
    return NULL;
}

/* ---- StringConcat ------------------------------------------------------------------------------------------------ */

static void pair_row(int64_t n, const void *const *in, const int64_t *step, void *out)
{
    TensorString *pairs = out;

    for (int64_t i = 0; i < n; i++) {
        pairs[2 * i] = ((const TensorString *)in[0])[i * step[0]];
        pairs[2 * i + 1] = ((const TensorString *)in[1])[i * step[1]];
    }
}

static Status eval_concat(EvalCtx *ctx)
{
    Broadcast plan;
    size_t all = 0;
    char *text;
    void *memory;

    TRY(eval_require_dtype(ctx, 0, DT_STRING));
    TRY(eval_require_dtype(ctx, 1, DT_STRING));
    TRY(broadcast_plan(ctx, ctx->in, 2, &plan));
    TRY(eval_output(ctx, 0, DT_STRING, plan.out_rank, plan.out_dims));
    TensorString *out = ctx->out[0].data;
    int64_t n = ctx->out[0].count;
    TRY(eval_scratch(ctx, 2 * ctx->out[0].bytes, &memory));
    const TensorString *pairs = memory;
    broadcast_run(ctx->team, &plan, ctx->in, memory, 2 * sizeof(TensorString), pair_row);
    for (int64_t i = 0; i < 2 * n; i++)
        if (!size_add(all, pairs[i].length, &all))
            return eval_error(ctx, CODE_MEMORY, "the strings are larger than memory");
    TRY(eval_text(ctx, all, &text));
    for (int64_t i = 0; i < n; i++) {
        out[i] = (TensorString){text, pairs[2 * i].length + pairs[2 * i + 1].length};
        for (int side = 0; side < 2; side++) {
            const TensorString *part = &pairs[2 * i + side];
            if (part->length > 0)
                memcpy(text, part->data, part->length);
            text += part->length;
        }
    }
    return NULL;
}

/* ---- StringSplit ------------------------------------------------------------------------------------------------- */

typedef struct Splitter {
    const char *delimiter; /* "" : runs of white space */
    size_t length;
    int64_t most;          /* splits */
} Splitter;

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Parts of a string; into `parts` when that is given. */
static int64_t split_string(const Splitter *splitter, const TensorString *string, TensorString *parts)
{
    size_t at = 0;
    int64_t n = 0;
    bool spaces = splitter->length == 0;

    while (spaces && at < string->length && is_space(string->data[at]))
        at++;
    if (at == string->length)
        return 0;
    for (;;) {
        size_t end = at, gap = splitter->length;
        const char *found = NULL;
        if (n < splitter->most && !spaces) {
            found = memmem(string->data + at, string->length - at, splitter->delimiter, splitter->length);
            end = found != NULL ? (size_t)(found - string->data) : string->length;
        } else if (n < splitter->most) {
            while (end < string->length && !is_space(string->data[end]))
                end++;
            for (gap = 0; end + gap < string->length && is_space(string->data[end + gap]);)
                gap++;
        } else {
            end = string->length;
            while (spaces && end > at && is_space(string->data[end - 1]))
                end--;
        }
        if (parts != NULL)
            parts[n] = (TensorString){string->data + at, end - at};
        n++;
        at = end + gap;
        if (n > splitter->most || (spaces ? at >= string->length : found == NULL))
            return n;
    }
}

static Status eval_split(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0];
    const TensorString *strings = x->data;
    int64_t dims[TENSOR_MAX_RANK], widest = 0;
    Splitter splitter = {.delimiter = node_string(ctx->node, "delimiter", ""),
                         .most = node_int(ctx->node, "maxsplit", INT64_MAX - 1)};

    splitter.length = strlen(splitter.delimiter);
    TRY(eval_require_dtype(ctx, 0, DT_STRING));
    if (x->rank >= TENSOR_MAX_RANK || splitter.most < 0)
        return eval_error(ctx, CODE_MODEL, "rank %d or maxsplit %lld is not possible", x->rank,
                          (long long)splitter.most);
    TRY(eval_output(ctx, 1, DT_INT64, x->rank, x->dims));
    for (int64_t i = 0; i < x->count; i++) {
        int64_t n = split_string(&splitter, &strings[i], NULL);
        ((int64_t *)ctx->out[1].data)[i] = n;
        widest = MAX(widest, n);
    }
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank] = widest;
    TRY(eval_output(ctx, 0, DT_STRING, x->rank + 1, dims));
    TensorString *out = ctx->out[0].data;
    for (int64_t i = 0; i < ctx->out[0].count; i++)
        out[i] = (TensorString){"", 0};
    for (int64_t i = 0; i < x->count; i++)
        (void)split_string(&splitter, &strings[i], out + i * widest);
    return NULL;
}

static Status infer_split(Node *node)
{
    Shape shape = infer_shape(node, 0);

    infer_output(node, 1, DT_INT64, &shape);
    if (shape.rank >= 0 && shape.rank < TENSOR_MAX_RANK)
        shape.dims[shape.rank++] = DIM_UNKNOWN;
    infer_output(node, 0, DT_STRING, &shape);
    return NULL;
}

/* ---- TfIdfVectorizer --------------------------------------------------------------------------------------------- */

/* Grams of n items each; sorted so that one is found in O(log). Items are indices into the pool or the input. */
typedef struct Grams {
    int64_t n, count, first_id;     /* the k-th gram of the pool is gram first_id + k of all */
    const int64_t *ints;            /* items of the pool from here on, or NULL */
    const TensorString *strings;
    int64_t *order;                 /* (count) */
} Grams;

typedef struct Vectorizer {
    int64_t least, most, skips, width;
    int64_t n_counts, n_indexes, n_ints, n_weights;
    const int64_t *counts, *indexes, *ints;
    const float *weights;
    const Attr *strings;
    bool count, weigh; /* TF, IDF, TFIDF */
} Vectorizer;

static int64_t pool_size(const Vectorizer *v)
{
    return v->strings != NULL ? v->strings->n : v->n_ints;
}

static Status read_vectorizer(const Node *node, Vectorizer *ret)
{
    Vectorizer v = {.least = node_int(node, "min_gram_length", 1), .most = node_int(node, "max_gram_length", 1),
                    .skips = node_int(node, "max_skip_count", 0), .strings = node_attr(node, "pool_strings")};
    const char *mode = node_string(node, "mode", "TF");

    v.counts = node_ints(node, "ngram_counts", &v.n_counts);
    v.indexes = node_ints(node, "ngram_indexes", &v.n_indexes);
    v.ints = node_ints(node, "pool_int64s", &v.n_ints);
    v.weights = node_floats(node, "weights", &v.n_weights);
    v.count = strcmp(mode, "IDF") != 0;
    v.weigh = strcmp(mode, "TF") != 0;
    if (v.count && v.weigh && strcmp(mode, "TFIDF") != 0)
        return node_error(node, CODE_MODEL, "mode '%s' is not TF, IDF or TFIDF", mode);
    if (v.least < 1 || v.most < v.least || v.skips < 0 || v.most > v.n_counts)
        return node_error(node, CODE_MODEL, "grams of %lld to %lld items, %lld skipped, with %lld ngram_counts are not "
                          "possible", (long long)v.least, (long long)v.most, (long long)v.skips, (long long)v.n_counts);
    int64_t grams = 0;
    for (int64_t i = 0; i < v.n_counts; i++) {
        int64_t end = i + 1 < v.n_counts ? v.counts[i + 1] : pool_size(&v);
        if (v.counts[i] < 0 || end < v.counts[i] || end > pool_size(&v) || (end - v.counts[i]) % (i + 1) != 0)
            return node_error(node, CODE_MODEL, "ngram_counts do not fit a pool of %lld items",
                              (long long)pool_size(&v));
        grams += (end - v.counts[i]) / (i + 1);
    }
    if (grams != v.n_indexes || (v.weights != NULL && v.n_weights != grams))
        return node_error(node, CODE_MODEL, "ngram_indexes (%lld) or weights (%lld) do not fit %lld grams",
                          (long long)v.n_indexes, (long long)v.n_weights, (long long)grams);
    for (int64_t i = 0; i < v.n_indexes; i++) {
        if (v.indexes[i] < 0 || v.indexes[i] >= INT32_MAX)
            return node_error(node, CODE_MODEL, "ngram_indexes holds %lld", (long long)v.indexes[i]);
        v.width = MAX(v.width, v.indexes[i] + 1);
    }
    *ret = v;
    return NULL;
}

/* Items of a gram of the pool against the same number of items, `step` apart, of a row. */
static int compare_gram(const Grams *grams, int64_t k, const int64_t *ints, const TensorString *strings, int64_t step)
{
    for (int64_t i = 0; i < grams->n; i++) {
        int order = 0;
        if (strings != NULL) {
            order = compare_strings(&grams->strings[k * grams->n + i], &strings[i * step]);
        } else {
            int64_t a = grams->ints[k * grams->n + i], b = ints[i * step];
            order = (a > b) - (a < b);
        }
        if (order != 0)
            return order;
    }
    return 0;
}

static int by_gram(const void *a, const void *b, void *context)
{
    const Grams *grams = context;
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    const int64_t *ints = grams->ints != NULL ? grams->ints + y * grams->n : NULL;
    const TensorString *strings = grams->strings != NULL ? grams->strings + y * grams->n : NULL;
    int order = compare_gram(grams, x, ints, strings, 1);

    return order != 0 ? order : (x > y) - (x < y);
}

static int64_t find_gram(const Grams *grams, const int64_t *ints, const TensorString *strings, int64_t step)
{
    int64_t low = 0, high = grams->count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = compare_gram(grams, grams->order[middle], ints, strings, step);
        if (order == 0)
            return grams->order[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* Adds the grams of one row of `size` items to its counts (width). */
static void count_grams(const Vectorizer *v, const Grams *grams, const int64_t *ints, const TensorString *strings,
                        int64_t size, float *counts)
{
    int64_t n = grams->n;

    for (int64_t step = 1; step <= (n == 1 ? 1 : v->skips + 1) && (n - 1) <= (size - 1) / step; step++)
        for (int64_t i = 0; i + (n - 1) * step < size; i++) {
            int64_t k = find_gram(grams, ints != NULL ? ints + i : NULL, strings != NULL ? strings + i : NULL, step);
            if (k < 0)
                continue;
            int64_t id = grams->first_id + k;
            float weight = v->weigh && v->weights != NULL ? v->weights[id] : 1.0f;
            float *to = &counts[v->indexes[id]];
            *to = v->count ? *to + weight : weight;
        }
}

static Status eval_tfidf(EvalCtx *ctx)
{
    const Tensor *x = ctx->in[0], *items = x;
    Vectorizer v;

    TRY(read_vectorizer(ctx->node, &v));
    if ((x->dtype == DT_STRING) != (v.strings != NULL) ||
        (x->dtype != DT_STRING && x->dtype != DT_INT32 && x->dtype != DT_INT64))
        return eval_bad_dtype(ctx, 0);
    if (x->rank != 1 && x->rank != 2)
        return eval_error(ctx, CODE_MODEL, "input has rank %d, expected 1 or 2", x->rank);
    if (x->dtype == DT_INT32)
        TRY(eval_converted(ctx, x, DT_INT64, &items));
    int64_t rows = x->rank == 2 ? x->dims[0] : 1, size = x->dims[x->rank - 1], first_id = 0;
    TRY(eval_output(ctx, 0, DT_FLOAT, x->rank, x->rank == 2 ? (int64_t[]){rows, v.width} : &v.width));
    if (ctx->out[0].bytes > 0)
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    for (int64_t n = 1; n <= v.most; n++) {
        int64_t start = v.counts[n - 1], end = n < v.n_counts ? v.counts[n] : pool_size(&v);
        Grams grams = {.n = n, .count = (end - start) / n, .first_id = first_id};
        first_id += grams.count;
        if (n < v.least || grams.count == 0)
            continue;
        grams.ints = v.strings == NULL ? v.ints + start : NULL;
        grams.strings = v.strings != NULL ? v.strings->strings + start : NULL;
        grams.order = arena_array(ctx->scratch, (size_t)grams.count, sizeof *grams.order);
        for (int64_t k = 0; k < grams.count; k++)
            grams.order[k] = k;
        qsort_r(grams.order, (size_t)grams.count, sizeof *grams.order, by_gram, &grams);
        for (int64_t row = 0; row < rows && size > 0; row++)
            count_grams(&v, &grams, v.strings == NULL ? (const int64_t *)items->data + row * size : NULL,
                        v.strings != NULL ? (const TensorString *)items->data + row * size : NULL, size,
                        (float *)ctx->out[0].data + row * v.width);
    }
    return NULL;
}

static Status infer_tfidf(Node *node)
{
    Shape shape = infer_shape(node, 0);
    Vectorizer v;

    TRY(read_vectorizer(node, &v));
    if (shape.rank > 0)
        shape.dims[shape.rank - 1] = dim_known(v.width);
    infer_output(node, 0, DT_FLOAT, &shape);
    return NULL;
}

static const AttrSpec normalizer_attrs[] = {
    {"case_change_action", ATTR_STRING, false},
    {"is_case_sensitive", ATTR_INT, false},
    {"locale", ATTR_STRING, false},
    {"stopwords", ATTR_STRINGS, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec split_attrs[] = {
    {"delimiter", ATTR_STRING, false},
    {"maxsplit", ATTR_INT, false},
    {NULL, ATTR_UNDEFINED, false},
};
static const AttrSpec tfidf_attrs[] = {
    {"max_gram_length", ATTR_INT, true},
    {"max_skip_count", ATTR_INT, true},
    {"min_gram_length", ATTR_INT, true},
    {"mode", ATTR_STRING, true},
    {"ngram_counts", ATTR_INTS, true},
    {"ngram_indexes", ATTR_INTS, true},
    {"pool_int64s", ATTR_INTS, false},
    {"pool_strings", ATTR_STRINGS, false},
    {"weights", ATTR_FLOATS, false},
    {NULL, ATTR_UNDEFINED, false},
};

const OpDef op_stringnormalizer = {
    .type = "StringNormalizer", .domain = "", .versions = {10}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = normalizer_attrs, .infer = infer_normalizer, .eval = eval_normalizer, .quant = RULE_FLOAT,
};
const OpDef op_stringconcat = {
    .type = "StringConcat", .domain = "", .versions = {20}, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
    .infer = infer_broadcast, .eval = eval_concat, .quant = RULE_FLOAT,
};
const OpDef op_stringsplit = {
    .type = "StringSplit", .domain = "", .versions = {20}, .min_in = 1, .max_in = 1, .min_out = 2, .max_out = 2,
    .attrs = split_attrs, .infer = infer_split, .eval = eval_split, .quant = RULE_FLOAT,
};
const OpDef op_tfidfvectorizer = {
    .type = "TfIdfVectorizer", .domain = "", .versions = {9}, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
    .attrs = tfidf_attrs, .infer = infer_tfidf, .eval = eval_tfidf, .quant = RULE_FLOAT,
};
