/* test.h - the harness of the unit tests: a test registers itself, the runner in test.c runs all and counts failures.
 *
 *     TEST(arena_rewinds_to_a_mark)
 *     {
 *         CHECK(arena != NULL);
 *         CHECK_INT(used, 0);
 *     }
 */
#ifndef QUANTIZE_TEST_H
#define QUANTIZE_TEST_H

#include "src/base/base.h"

typedef struct TestCase {
    const char *name, *file;
    void (*run)(void);
    struct TestCase *next;
} TestCase;

void test_register(TestCase *test);
void test_fail(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);
bool test_status(const char *file, int line, Status status, Code code, const char *part);
/* A fresh temporary folder, removed when the program ends; the same on every call. */
const char *test_folder(void);

#define TEST(name)                                                                                                     \
    static void test_##name(void);                                                                                     \
    __attribute__((constructor)) static void register_##name(void)                                                     \
    {                                                                                                                  \
        static TestCase test = {#name, __FILE__, test_##name, NULL};                                                   \
        test_register(&test);                                                                                          \
    }                                                                                                                  \
    static void test_##name(void)

/* A failed check is counted and the test goes on. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            test_fail(__FILE__, __LINE__, "%s", #condition);                                                           \
    } while (0)
#define CHECK_INT(actual, expected)                                                                                    \
    do {                                                                                                               \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                                    \
        if (actual_ != expected_)                                                                                      \
            test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, actual_, expected_);                   \
    } while (0)
#define CHECK_TEXT(actual, expected)                                                                                   \
    do {                                                                                                               \
        const char *actual_ = (actual), *expected_ = (expected);                                                       \
        if (actual_ == NULL || __builtin_strcmp(actual_, expected_) != 0)                                              \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #actual,                                    \
                      actual_ == NULL ? "(null)" : actual_, expected_);                                                \
    } while (0)
#define CHECK_NEAR(actual, expected, tolerance)                                                                        \
    do {                                                                                                               \
        double actual_ = (actual), expected_ = (expected);                                                             \
        if (!(actual_ - expected_ <= (tolerance) && expected_ - actual_ <= (tolerance)))                               \
            test_fail(__FILE__, __LINE__, "%s is %.9g, expected %.9g", #actual, actual_, expected_);                   \
    } while (0)
/* The call succeeds; or ends in `code` with `part` in its message. The status is freed. */
#define CHECK_OK(call) test_status(__FILE__, __LINE__, (call), CODE_OK, NULL)
#define CHECK_FAILS(call, code, part) test_status(__FILE__, __LINE__, (call), (code), (part))

#endif
