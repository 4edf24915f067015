/* test_labels.c - lists of classes, and how files are found in them. */
#include "tests/calib/pictures.h"

#include <string.h>

static Labels *read_labels(const char *text)
{
    const char *path = picture_path("labels.txt");
    write_file(path, text, strlen(text));
    Labels *labels = NULL;
    CHECK_OK(labels_read(path, &labels));
    return labels;
}

TEST(labels_are_found_by_path_suffix_then_by_base_name)
{
    Labels *labels =
        read_labels("cat/01.png 3\r\ndog/01.png\t4\n\n  with space.jpg 17 \n./here.jpg 5\nval/only.jpg 6\nplain.png 0");
    CHECK_INT(labels_count(labels), 6);
    CHECK_INT(labels_get(labels, "cat/01.png"), 3);
    CHECK_INT(labels_get(labels, "/data/set/dog/01.png"), 4);
    CHECK_INT(labels_get(labels, "/data/set/bird/01.png"), -1); /* two files share the base name */
    CHECK_INT(labels_get(labels, "01.png"), -1);
    CHECK_INT(labels_get(labels, "x/with space.jpg"), 17);
    CHECK_INT(labels_get(labels, "/a/here.jpg"), 5);
    CHECK_INT(labels_get(labels, "/other/only.jpg"), 6); /* by its base name */
    CHECK_INT(labels_get(labels, "/d/plain.png"), 0);
    CHECK_INT(labels_get(labels, "unknown.png"), -1);
    CHECK_INT(labels_get(labels, ""), -1);
    labels_free(labels);
}

TEST(labels_prefer_the_longest_path)
{
    Labels *labels = read_labels("a.png 1\nb/a.png 2\nc/b/a.png 3\n");
    CHECK_INT(labels_get(labels, "x/c/b/a.png"), 3);
    CHECK_INT(labels_get(labels, "x/b/a.png"), 2);
    CHECK_INT(labels_get(labels, "x/a.png"), 1);
    labels_free(labels);
}

TEST(labels_with_faults_name_file_and_line)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"a.png 1\nb.png\n", "labels.txt:2: expects"},
        {"a.png one\n", "labels.txt:1: expects"},
        {"a.png -1\n", "labels.txt:1: expects"},
        {"a.png 1.5\n", "expects"},
        {"a.png 99999999999999999999\n", "expects"},
        {"7\n", "expects"},
        {"a.png 1\n\nb.png 2\na.png 1\n", "labels.txt:4: 'a.png' is listed twice"},
        {"a.png 1\n./a.png 2\n", "listed twice"},
        {"", "no labels"},
        {"\n \n", "no labels"},
    };
    const char *path = picture_path("labels.txt");
    Labels *labels = NULL;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_file(path, cases[i].text, strlen(cases[i].text));
        CHECK_FAILS(labels_read(path, &labels), CODE_DATA, cases[i].part);
    }
    write_file(path, "a\0b 1\n", 6);
    CHECK_FAILS(labels_read(path, &labels), CODE_DATA, "is no text");
    CHECK_FAILS(labels_read(picture_path("no-such-list"), &labels), CODE_DATA, "no-such-list");
    CHECK(labels == NULL);
}
