/* test_text_map.c - growing text, nearest names, globs, maps. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(text_grows)
{
    Text text = {NULL, 0, 0};
    text_add(&text, "");
    CHECK_TEXT(text.data, "");
    for (int i = 0; i < 100; i++)
        text_addf(&text, "%d,", i % 10);
    text_add(&text, "end");
    CHECK_INT(text.length, 203);
    CHECK_INT(strlen(text.data), 203);
    CHECK(strncmp(text.data, "0,1,2,3,4,5,6,7,8,9,0,", 22) == 0);
    CHECK_TEXT(text.data + 198, "9,end");
    text_free(&text);
    CHECK(text.data == NULL && text.length == 0 && text.cap == 0);
}

TEST(text_nearest_finds_typing_errors)
{
    static const char *const names[] = {"--calib", "--report", "--samples", "--threads", "--target", NULL};
    static const char *const none[] = {NULL};
    CHECK_TEXT(text_nearest("--calib", names), "--calib");
    CHECK_TEXT(text_nearest("--clib", names), "--calib");      /* one missing */
    CHECK_TEXT(text_nearest("--smaples", names), "--samples"); /* two swapped */
    CHECK_TEXT(text_nearest("--thread", names), "--threads");
    CHECK_TEXT(text_nearest("--taget", names), "--target");
    CHECK(text_nearest("--optimize", names) == NULL);
    CHECK(text_nearest("x", names) == NULL);
    CHECK(text_nearest("", names) == NULL);
    CHECK(text_nearest("--calib", none) == NULL);
    static const char *const letters[] = {"a", "bcd", "Conv", "abcd", NULL};
    CHECK(text_nearest("x", letters) == NULL); /* nothing of the word would be left */
    CHECK_TEXT(text_nearest("conv", letters), "Conv");
    CHECK_TEXT(text_nearest("bacd", letters), "bcd"); /* as near as "abcd": the first wins */
    CHECK(text_nearest("dcba", letters) == NULL);
}

TEST(text_glob_matches)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        {"conv", "conv", true},          {"conv", "conv1", false},       {"conv*", "conv", true},
        {"conv*", "conv1/x", true},      {"*", "", true},                {"", "", true},
        {"", "a", false},                {"?", "", false},               {"?", "a", true},
        {"?", "\xC3\xA9", true},         {"??", "\xC3\xA9", false},      {"?", "\xFF", true},
        {"*/fc?", "block/fc1", true},    {"*/fc?", "block/fc", false},   {"a*b*c", "axxbyybzc", true},
        {"a*b*c", "axxbyyb", false},     {"**a**", "a", true},           {"*aab", "aaaaab", true},
        {"[a]", "a", false},             {"[a]", "[a]", true},           {"*b", "a\xC3\xA9" "b", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (text_glob(cases[i].pattern, cases[i].name) != cases[i].match)
            test_fail(__FILE__, __LINE__, "'%s' on '%s' is not %d", cases[i].pattern, cases[i].name, cases[i].match);
    }
    /* Many stars on a long name must not take for ever. */
    char name[5001];
    memset(name, 'a', 5000);
    name[5000] = '\0';
    CHECK(!text_glob("*a*a*a*a*a*a*a*a*a*b", name));
}

TEST(map_put_get_remove)
{
    Map *map = map_new();
    int one = 1, two = 2;
    CHECK(map_get(map, "a") == NULL && !map_has(map, "a"));
    map_put(map, "a", &one);
    map_put(map, "", &two);
    map_put(map, "none", NULL);
    CHECK(map_get(map, "a") == &one && map_get(map, "") == &two);
    CHECK(map_has(map, "none") && map_get(map, "none") == NULL);
    CHECK_INT(map_count(map), 3);
    map_put(map, "a", &two);
    CHECK(map_get(map, "a") == &two);
    CHECK_INT(map_count(map), 3);
    map_remove(map, "a");
    map_remove(map, "absent");
    CHECK(!map_has(map, "a") && map_get(map, "a") == NULL);
    CHECK_INT(map_count(map), 2);
    map_free(map);
    map_free(NULL);
}

/* Against a plain array of what must be in the map, through many random puts and removes. */
TEST(map_agrees_with_an_array)
{
    enum { N = 2000 };
    static char names[N][16];
    static int values[N];
    static bool present[N];
    Map *map = map_new();
    size_t count = 0;
    uint32_t random = 12345;
    for (int i = 0; i < N; i++)
        snprintf(names[i], sizeof names[i], "v%d", i);
    for (int step = 0; step < 30000; step++) {
        random = random * 1664525 + 1013904223;
        int i = (int)((random >> 8) % N);
        if ((random >> 30) != 0) {
            count += !present[i];
            map_put(map, names[i], &values[i]);
            present[i] = true;
        } else {
            count -= present[i];
            map_remove(map, names[i]);
            present[i] = false;
        }
    }
    CHECK_INT(map_count(map), count);
    for (int i = 0; i < N; i++)
        CHECK(map_get(map, names[i]) == (present[i] ? &values[i] : NULL));
    for (int i = 0; i < N; i++)
        map_remove(map, names[i]);
    CHECK_INT(map_count(map), 0);
    CHECK(!map_has(map, names[0]));
    map_free(map);
}
