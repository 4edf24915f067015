/* test.c - runs the registered tests: `unit-tests [PART]` runs those whose name or file holds PART. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static TestCase *first_test;
static int failures_here;

void test_register(TestCase *test)
{
    TestCase **link = &first_test;
    while (*link != NULL && strcmp((*link)->file, test->file) <= 0)
        link = &(*link)->next;
    test->next = *link;
    *link = test;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    failures_here++;
}

bool test_status(const char *file, int line, Status status, Code code, const char *part)
{
    bool good = status_code(status) == code && (part == NULL || strstr(status_message(status), part) != NULL);
    if (!good)
        test_fail(file, line, "status %d \"%s\", expected %d%s%s", status_code(status), status_message(status), code,
                  part == NULL ? "" : " with ", part == NULL ? "" : part);
    status_free(status);
    return good;
}

static char folder[64];

static void remove_folder(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
}

const char *test_folder(void)
{
    if (folder[0] == '\0') {
        snprintf(folder, sizeof folder, "%s", "/tmp/quantize-test-XXXXXX");
        if (mkdtemp(folder) == NULL) {
            perror("mkdtemp");
            exit(1);
        }
        atexit(remove_folder);
    }
    return folder;
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";
    int passed = 0, failed = 0;
    for (TestCase *test = first_test; test != NULL; test = test->next) {
        if (strstr(test->name, part) == NULL && strstr(test->file, part) == NULL)
            continue;
        failures_here = 0;
        test->run();
        if (failures_here == 0) {
            passed++;
        } else {
            failed++;
            fprintf(stderr, "FAILED %s (%s)\n", test->name, test->file);
        }
    }
    printf("unit tests: %d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0;
}
