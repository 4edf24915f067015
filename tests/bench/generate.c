/* generate.c - models of well-known architectures with seeded random weights, for architectures nobody's weights are at hand.
 *
 *     bench-models FOLDER [--seed N] [--keep-bn] [--outliers] [NAME...]
 *
 * The same seed gives the same bytes. --keep-bn leaves BatchNormalization in the convolutional nets, --outliers plants channels
 * 50 times the rest into bert_base; files are then called NAME_bn.onnx, NAME_outliers.onnx.
 */
#include "tests/bench/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*build)(Net *net);
} models[] = {
    {"resnet18", bench_resnet18},
    {"resnet50", bench_resnet50},
    {"mobilenetv2", bench_mobilenetv2},
    {"efficientnet_b0", bench_efficientnet_b0},
    {"efficientnet_b0_mel", bench_efficientnet_b0_mel},
    {"squeezenet1_1", bench_squeezenet1_1},
    {"vit_small_16", bench_vit_small_16},
    {"bert_base", bench_bert_base},
    {"text_transformer", bench_text_transformer},
};

static bool is_wanted(const char *name, int n, char **words)
{
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], name) == 0)
            return true;
    return n == 0;
}

static int known(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(models); i++)
        if (strcmp(models[i].name, word) == 0)
            return 1;
    fprintf(stderr, "bench-models: no model '%s'\n", word);
    return 0;
}

int main(int argc, char **argv)
{
    NetOptions options = {.seed = 1};
    const char *folder = NULL;
    char **names = xcalloc((size_t)argc, sizeof names[0]);
    int n = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            options.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--keep-bn") == 0)
            options.keep_bn = true;
        else if (strcmp(argv[i], "--outliers") == 0)
            options.outliers = true;
        else if (folder == NULL)
            folder = argv[i];
        else if (known(argv[i]))
            names[n++] = argv[i];
        else
            return CODE_USAGE;
    }
    if (folder == NULL) {
        fprintf(stderr, "usage: bench-models FOLDER [--seed N] [--keep-bn] [--outliers] [NAME...]\n");
        return CODE_USAGE;
    }
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        if (!is_wanted(models[i].name, n, names))
            continue;
        Net net;
        net_begin(&net, &options);
        models[i].build(&net);
        char *path = xprintf("%s/%s%s%s.onnx", folder, models[i].name, options.keep_bn ? "_bn" : "",
                             options.outliers ? "_outliers" : "");
        net_end(&net, path);
        printf("%s\n", path);
        free(path);
    }
    free(names);
    return 0;
}
