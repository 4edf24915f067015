/* conformance.c - ONNX's own operator tests (Debian package libonnx-testdata) against our executor.
 *
 *     conformance EXPECTED-FAILURES FOLDER...           FOLDER: .../data/node, .../data/simple ...
 *
 * Each case runs in a process of its own, so that a crash is one failed case. Cases that are known to fail stand in a
 * table with the reason; one of them that passes is an error too, so the table stays true. The last line is
 * "conformance: N of N cases pass, ..."; exit 0 when every failure is in the table and every entry fails.
 */
#include "tests/conformance/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASE_SECONDS 30
#define MAX_REASON 400

/* One line of the table: "PATTERN  REASON"; '#' begins a comment. */
typedef struct Entry {
    const char *pattern, *reason;
    int met; /* failing cases it stands for */
} Entry;

typedef struct Table {
    Entry *entries;
    size_t n, cap;
    Arena *arena;
} Table;

typedef struct Count {
    int passed, failed, listed, surprises;
} Count;

static Status read_table(const char *path, Table *table)
{
    FileMap map;
    TRY(file_map(path, CODE_DATA, &map));
    const char *at = (const char *)map.data, *end = at + map.size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop != NULL ? stop : end) - at);
        char *line = arena_strndup(table->arena, at, length);
        size_t word = strcspn(line, " \t");
        if (line[0] != '#' && word > 0) {
            table->entries = array_reserve(table->entries, &table->cap, table->n + 1, sizeof table->entries[0]);
            const char *reason = line + word + strspn(line + word, " \t");
            line[word] = '\0';
            table->entries[table->n++] = (Entry){line, reason, 0};
        }
        at += length + 1;
    }
    file_unmap(&map);
    return NULL;
}

static Entry *table_find(Table *table, const char *name)
{
    for (size_t i = 0; i < table->n; i++)
        if (text_glob(table->entries[i].pattern, name))
            return &table->entries[i];
    return NULL;
}

/* In the child: the reason goes into the pipe; nothing means that the case passes. */
_Noreturn static void child(const char *folder, int to)
{
    alarm(CASE_SECONDS);
    Status status = case_run(folder);
    const char *message = status_message(status);
    if (status != NULL && write(to, message, strlen(message)) < 0)
        exit(2);
    int code = status != NULL;
    status_free(status);
    exit(code);
}

/* True when the case passes; else its reason. */
static bool run_case(const char *folder, char reason[MAX_REASON])
{
    int ends[2], state = 0;
    size_t length = 0;

    reason[0] = '\0';
    if (pipe(ends) != 0) {
        snprintf(reason, MAX_REASON, "no pipe");
        return false;
    }
    fflush(NULL); /* what is buffered must not be written by the child too */
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(folder, ends[1]);
    }
    close(ends[1]);
    for (ssize_t n = 1; pid > 0 && n > 0 && length < MAX_REASON - 1; length += n > 0 ? (size_t)n : 0)
        n = read(ends[0], reason + length, MAX_REASON - 1 - length);
    reason[length] = '\0';
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &state, 0) != pid)
        snprintf(reason, MAX_REASON, "no process");
    else if (WIFSIGNALED(state))
        snprintf(reason, MAX_REASON, "crashed: %s", strsignal(WTERMSIG(state)));
    else if (WEXITSTATUS(state) != 0 && length == 0)
        snprintf(reason, MAX_REASON, "crashed: exit %d", WEXITSTATUS(state));
    return reason[0] == '\0';
}

/* "node/test_abs" */
static const char *case_name(Arena *arena, const char *folder)
{
    const char *base = path_base(folder);
    const char *start = base - 1;
    while (start > folder && start[-1] != '/')
        start--;
    return arena_printf(arena, "%s", start);
}

static void count_case(Table *table, const char *folder, Count *count)
{
    char reason[MAX_REASON];
    const char *name = case_name(table->arena, folder);
    bool passed = run_case(folder, reason);
    Entry *entry = table_find(table, name);

    count->passed += passed;
    count->failed += !passed;
    if (!passed && entry != NULL) {
        entry->met++;
        count->listed++;
        printf("listed  %s: %s\n", name, reason);
    } else if (!passed) {
        count->surprises++;
        printf("FAILED  %s: %s\n", name, reason);
    } else if (entry != NULL) {
        count->surprises++;
        printf("PASSED, though listed as a failure  %s\n", name);
    }
    fflush(stdout);
}

static Status run_folder(Table *table, const char *folder, Count *total)
{
    FileList files = {0};
    Count count = {0};
    TRY(file_list(folder, CODE_DATA, &files));
    for (size_t i = 0; i < files.n; i++) {
        if (strcmp(path_base(files.paths[i]), "model.onnx") != 0)
            continue;
        size_t length = strlen(files.paths[i]) - strlen("/model.onnx");
        count_case(table, arena_strndup(table->arena, files.paths[i], length), &count);
    }
    file_list_free(&files);
    printf("%s: %d passed, %d failed (%d listed)\n", path_base(folder), count.passed, count.failed, count.listed);
    total->passed += count.passed;
    total->failed += count.failed;
    total->listed += count.listed;
    total->surprises += count.surprises;
    return NULL;
}

int main(int argc, char **argv)
{
    Table table = {.arena = arena_new()};
    Count total = {0};
    Status status;

    if (argc < 3) {
        fprintf(stderr, "usage: conformance EXPECTED-FAILURES FOLDER...\n");
        return 2;
    }
    status = read_table(argv[1], &table);
    for (int i = 2; i < argc && status == NULL; i++)
        status = run_folder(&table, argv[i], &total);
    if (status != NULL)
        fprintf(stderr, "conformance: %s\n", status_message(status));
    for (size_t i = 0; i < table.n; i++) {
        printf("listed %4d  %s  %s\n", table.entries[i].met, table.entries[i].pattern, table.entries[i].reason);
    }
    int code = status != NULL || total.surprises > 0 || total.passed == 0;
    status_free(status);
    free(table.entries);
    arena_free(table.arena);
    printf("conformance: %d of %d cases pass, %d fail as listed, %d fail besides\n", total.passed,
           total.passed + total.failed, total.listed, total.failed - total.listed);
    return code;
}
