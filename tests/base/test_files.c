/* test_files.c - mapping, listing, atomic writing, paths. */
#include "tests/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A path in a folder of this file's own; good until four calls later. */
static const char *at(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/files%s%s", test_folder(), *name == '\0' ? "" : "/", name);
    return path;
}

static void make_folder(const char *name)
{
    mkdir(at(""), 0777);
    mkdir(at(name), 0777);
}

static void make_file(const char *name, const char *content)
{
    mkdir(at(""), 0777);
    FILE *file = fopen(at(name), "w");
    CHECK(file != NULL && fputs(content, file) >= 0);
    if (file != NULL)
        fclose(file);
}

static void check_content(const char *name, const char *expected)
{
    FileMap map = {NULL, 0};
    if (!CHECK_OK(file_map(at(name), CODE_MODEL, &map)))
        return;
    CHECK_INT(map.size, strlen(expected));
    if (map.size == strlen(expected) && map.size > 0)
        CHECK(memcmp(map.data, expected, map.size) == 0);
    file_unmap(&map);
    CHECK(map.data == NULL && map.size == 0);
}

/* Everything in a folder, hidden or not, in number. */
static int entries(const char *name)
{
    int n = 0;
    DIR *folder = opendir(at(name));
    while (folder != NULL && readdir(folder) != NULL)
        n++;
    if (folder != NULL)
        closedir(folder);
    return n - 2; /* without "." and ".." */
}

TEST(file_map_reads_files_only)
{
    make_file("plain", "some bytes");
    make_file("empty", "");
    check_content("plain", "some bytes");
    check_content("empty", "");
    FileMap map = {NULL, 7};
    CHECK_FAILS(file_map(at("absent"), CODE_MODEL, &map), CODE_MODEL, "absent': no such file");
    CHECK_FAILS(file_map(at(""), CODE_DATA, &map), CODE_DATA, "is a folder");
    CHECK(mkfifo(at("pipe"), 0666) == 0);
    CHECK_FAILS(file_map(at("pipe"), CODE_DATA, &map), CODE_DATA, "not a regular file");
    CHECK_FAILS(file_map("/dev/null", CODE_DATA, &map), CODE_DATA, "not a regular file");
    CHECK_INT(map.size, 7);
    unlink(at("pipe"));
}

TEST(atomic_file_appears_on_commit)
{
    AtomicFile *file = NULL;
    make_folder("atomic");
    make_file("atomic/out", "old");
    CHECK(chmod(at("atomic/out"), 0640) == 0);
    if (!CHECK_OK(atomic_open(at("atomic/out"), &file)))
        return;
    CHECK_OK(atomic_write(file, "new", 3));
    CHECK_OK(atomic_write(file, NULL, 0));
    check_content("atomic/out", "old");
    CHECK_INT(entries("atomic"), 2);
    CHECK_OK(atomic_commit(file));
    check_content("atomic/out", "new");
    CHECK_INT(entries("atomic"), 1);
    struct stat about;
    CHECK(stat(at("atomic/out"), &about) == 0);
    CHECK_INT(about.st_mode & 0777, 0640);
}

TEST(atomic_file_replaces_without_sync_too)
{
    AtomicFile *file = NULL;
    make_folder("unsynced");
    make_file("unsynced/out", "old");
    if (!CHECK_OK(atomic_open(at("unsynced/out"), &file)))
        return;
    CHECK_OK(atomic_write(file, "new", 3));
    atomic_skip_sync(file);
    CHECK_OK(atomic_commit(file));
    check_content("unsynced/out", "new");
    CHECK_INT(entries("unsynced"), 1);
}

TEST(atomic_file_honours_the_umask)
{
    AtomicFile *file = NULL;
    struct stat about = {.st_mode = 0};
    make_folder("umask");
    mode_t before = umask(027);
    bool open = CHECK_OK(atomic_open(at("umask/out"), &file));
    umask(before);
    if (open)
        CHECK_OK(atomic_commit(file));
    CHECK(stat(at("umask/out"), &about) == 0);
    CHECK_INT(about.st_mode & 0777, 0640);
    CHECK_INT(about.st_size, 0);
}

TEST(atomic_file_holds_many_and_large_writes)
{
    enum { SMALL = 30000, LARGE = 200000 };
    AtomicFile *file = NULL;
    char *large = xcalloc(LARGE, 1);
    memset(large, 'L', LARGE);
    make_folder("large");
    if (CHECK_OK(atomic_open(at("large/out"), &file))) {
        for (int i = 0; i < SMALL; i++)
            CHECK_OK(atomic_write(file, "abcdefg", 7));
        CHECK_OK(atomic_write(file, large, LARGE));
        CHECK_OK(atomic_write(file, "end", 3));
        CHECK_OK(atomic_commit(file));
    }
    FileMap map = {NULL, 0};
    if (CHECK_OK(file_map(at("large/out"), CODE_MODEL, &map))) {
        CHECK_INT(map.size, SMALL * 7 + LARGE + 3);
        CHECK(map.size > 7 * SMALL && memcmp(map.data + 7 * (SMALL - 1), "abcdefgL", 8) == 0);
        CHECK(map.size > 4 && memcmp(map.data + map.size - 4, "Lend", 4) == 0);
        file_unmap(&map);
    }
    free(large);
}

TEST(atomic_abandon_leaves_the_old_file)
{
    AtomicFile *file = NULL, *other = NULL;
    make_folder("abandon");
    make_file("abandon/out", "old");
    CHECK_OK(atomic_open(at("abandon/out"), &file));
    CHECK_OK(atomic_write(file, "new", 3));
    atomic_abandon(file);
    atomic_abandon(NULL);
    check_content("abandon/out", "old");
    CHECK_INT(entries("abandon"), 1);
    CHECK_OK(atomic_open(at("abandon/out"), &file));
    CHECK_OK(atomic_open(at("abandon/other"), &other));
    CHECK_INT(entries("abandon"), 3);
    atomic_abandon_all();
    CHECK_INT(entries("abandon"), 1);
    CHECK_FAILS(atomic_commit(file), CODE_WRITE, "abandon/out'");
    atomic_abandon(other);
    check_content("abandon/out", "old");
    CHECK_INT(entries("abandon"), 1);
}

TEST(atomic_open_gives_every_slot_back)
{
    enum { MOST = 64 };
    AtomicFile *files[MOST] = {NULL}, *more = NULL;
    make_folder("slots");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MOST; i++)
            CHECK_OK(atomic_open(at("slots/same"), &files[i]));
        CHECK_FAILS(atomic_open(at("slots/same"), &more), CODE_WRITE, "open at once");
        CHECK(more == NULL);
        for (int i = 0; i < MOST; i++)
            atomic_abandon(files[i]);
    }
    CHECK_INT(entries("slots"), 0);
}

TEST(atomic_open_explains_what_is_wrong)
{
    AtomicFile *file = NULL;
    make_folder("wrong");
    CHECK_FAILS(atomic_open(at("wrong"), &file), CODE_WRITE, "is a folder");
    CHECK_FAILS(atomic_open(at("wrong/"), &file), CODE_WRITE, "name of a file");
    CHECK_FAILS(atomic_open("", &file), CODE_WRITE, "name of a file");
    CHECK_FAILS(atomic_open(at("wrong/none/out"), &file), CODE_WRITE, "wrong/none/' does not exist");
    make_file("wrong/file", "");
    CHECK_FAILS(atomic_open(at("wrong/file/out"), &file), CODE_WRITE, "not a folder");
    char name[257];
    memset(name, 'n', 256);
    name[256] = '\0';
    char *path = xprintf("%s/%s", at("wrong"), name);
    CHECK_FAILS(atomic_open(path, &file), CODE_WRITE, "name is too long");
    path[strlen(path) - 1] = '\0'; /* 255: the longest name that file systems allow */
    if (CHECK_OK(atomic_open(path, &file)))
        CHECK_OK(atomic_commit(file));
    CHECK_INT(entries("wrong"), 2);
    free(path);
}

TEST(atomic_write_reports_a_full_device)
{
    AtomicFile *file = NULL;
    static const char bytes[100000];
    if (CHECK_OK(atomic_open("/dev/full", &file))) {
        CHECK_FAILS(atomic_write(file, bytes, sizeof bytes), CODE_WRITE, "'/dev/full': no space left on the device; ");
        CHECK_FAILS(atomic_commit(file), CODE_WRITE, "earlier write");
    }
    if (CHECK_OK(atomic_open("/dev/full", &file))) {
        CHECK_OK(atomic_write(file, bytes, 10));
        CHECK_FAILS(atomic_commit(file), CODE_WRITE, "no space left");
    }
}

/* What a file still holds back is found out by settling it, before any other file of the job is renamed. */
TEST(atomic_settle_reports_a_full_device)
{
    AtomicFile *file;
    if (access("/dev/full", W_OK) != 0 || !CHECK_OK(atomic_open("/dev/full", &file)))
        return;
    CHECK_OK(atomic_write(file, "few", 3));
    CHECK_FAILS(atomic_settle(file), CODE_WRITE, "no space");
    atomic_abandon(file);
    if (!CHECK_OK(atomic_open(at("settled"), &file)))
        return;
    CHECK_OK(atomic_write(file, "few", 3));
    CHECK_OK(atomic_settle(file));
    CHECK(access(at("settled"), F_OK) != 0);
    CHECK_OK(atomic_commit(file));
    CHECK(access(at("settled"), F_OK) == 0);
}

TEST(atomic_file_writes_devices_and_links_through)
{
    AtomicFile *file = NULL;
    struct stat about;
    if (CHECK_OK(atomic_open("/dev/null", &file))) {
        CHECK_OK(atomic_write(file, "x", 1));
        CHECK_OK(atomic_commit(file));
    }
    CHECK(stat("/dev/null", &about) == 0 && S_ISCHR(about.st_mode));
    make_folder("link");
    make_file("link/real", "old");
    CHECK(symlink("real", at("link/name")) == 0);
    if (CHECK_OK(atomic_open(at("link/name"), &file))) {
        CHECK_OK(atomic_write(file, "new", 3));
        CHECK_OK(atomic_commit(file));
    }
    CHECK(lstat(at("link/name"), &about) == 0 && S_ISLNK(about.st_mode));
    check_content("link/real", "new");
}

/* "/dev/stdout" behind a redirection is the file that the shell opened: written on, not replaced. */
TEST(atomic_file_writes_standard_output)
{
    make_folder("stdout");
    pid_t child = fork();
    if (child == 0) {
        AtomicFile *file = NULL;
        FILE *stream = fopen(at("stdout/out"), "w");
        bool good = stream != NULL && dup2(fileno(stream), STDOUT_FILENO) == STDOUT_FILENO;
        good = good && write(STDOUT_FILENO, "head ", 5) == 5;
        Status status = good ? atomic_open("/dev/stdout", &file) : NULL;
        if (file == NULL || status != NULL)
            _exit(1);
        status = atomic_write(file, "body", 4);
        if (status == NULL)
            status = atomic_commit(file);
        _exit(status == NULL && write(STDOUT_FILENO, " tail", 5) == 5 ? 0 : 1);
    }
    int ended = 1;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child);
    CHECK_INT(ended, 0);
    check_content("stdout/out", "head body tail");
    CHECK_INT(entries("stdout"), 1);
}

/* The names found below at(name), without that folder's own path, joined by spaces. */
static char *listing(const char *name)
{
    FileList list = {NULL, 0, 0};
    Text text = {NULL, 0, 0};
    text_add(&text, "");
    size_t skip = strlen(at(name)) + 1;
    if (CHECK_OK(file_list(at(name), CODE_DATA, &list))) {
        for (size_t i = 0; i < list.n; i++)
            text_addf(&text, "%s%s", i == 0 ? "" : " ", list.paths[i] + skip);
    }
    file_list_free(&list);
    return text.data;
}

static void check_listing(const char *name, const char *expected)
{
    char *found = listing(name);
    CHECK_TEXT(found, expected);
    free(found);
}

TEST(file_list_is_sorted_and_recursive)
{
    make_folder("list");
    check_listing("list", "");
    make_folder("list/b");
    make_folder("list/b/deep");
    make_folder("list/.hidden");
    make_file("list/b/deep/2", "");
    make_file("list/b/1", "");
    make_file("list/b.png", ""); /* '.' sorts before '/' */
    make_file("list/a", "");
    make_file("list/Z", "");
    make_file("list/.dot", "");
    make_file("list/.hidden/x", "");
    CHECK(mkfifo(at("list/pipe"), 0666) == 0);
    check_listing("list", "Z a b.png b/1 b/deep/2");
    FileList list = {NULL, 0, 0};
    char *path = xprintf("%s//", at("list"));
    if (CHECK_OK(file_list(path, CODE_DATA, &list))) {
        CHECK_INT(list.n, 5);
        CHECK_TEXT(list.paths[0], at("list/Z"));
    }
    file_list_free(&list);
    free(path);
    if (CHECK_OK(file_list(at("list/.dot"), CODE_DATA, &list))) {
        CHECK_INT(list.n, 1);
        CHECK_TEXT(list.paths[0], at("list/.dot"));
    }
    file_list_free(&list);
}

TEST(file_list_follows_links_once)
{
    make_folder("loop");
    make_folder("loop/z");
    make_folder("outside");
    make_file("loop/z/1", "");
    make_file("outside/2", "");
    CHECK(symlink("..", at("loop/z/back")) == 0);
    CHECK(symlink("z", at("loop/a")) == 0); /* the real folder wins, whatever the order of names */
    CHECK(symlink("../outside", at("loop/out2")) == 0);
    CHECK(symlink("../outside", at("loop/out1")) == 0);
    CHECK(symlink("z/1", at("loop/file")) == 0);
    CHECK(symlink("nowhere", at("loop/broken")) == 0);
    check_listing("loop", "broken file out1/2 z/1");
}

TEST(file_list_names_what_fails)
{
    FileList list = {NULL, 3, 0};
    CHECK_FAILS(file_list(at("nothing"), CODE_DATA, &list), CODE_DATA, "nothing': no such file or folder");
    CHECK_FAILS(file_list("/dev/null", CODE_MODEL, &list), CODE_MODEL, "neither a file nor a folder");
    char *path = xstrdup(at("deep"));
    mkdir(path, 0777);
    for (int i = 0; i < 65; i++) {
        char *deeper = xprintf("%s/d", path);
        free(path);
        path = deeper;
        CHECK(mkdir(path, 0777) == 0);
    }
    free(path);
    CHECK_FAILS(file_list(at("deep"), CODE_DATA, &list), CODE_DATA, "deeper than 64");
    CHECK(list.paths == NULL && list.n == 3);
}

/* Rights do not bind root: there a child checks as another user. */
static int check_rights(const char *locked, const char *in_locked, const char *protected_file)
{
    FileList list = {NULL, 0, 0};
    FileMap map = {NULL, 0};
    AtomicFile *file = NULL;
    int good = CHECK_FAILS(file_list(locked, CODE_DATA, &list), CODE_DATA, "locked': permission denied");
    good += CHECK_FAILS(atomic_open(in_locked, &file), CODE_WRITE, "permission denied");
    good += CHECK_FAILS(atomic_open(protected_file, &file), CODE_WRITE, "write-protected");
    good += CHECK_FAILS(file_map(protected_file, CODE_MODEL, &map), CODE_MODEL, "permission denied");
    return good;
}

TEST(missing_rights_are_explained)
{
    make_folder("locked");
    make_file("protected", "x");
    CHECK(chmod(at("locked"), 0) == 0 && chmod(at("protected"), 0) == 0);
    pid_t child = fork();
    if (child == 0) {
        bool ready = true;
        if (geteuid() == 0)
            ready = chmod(test_folder(), 0755) == 0 && chmod(at(""), 0755) == 0 && setuid(65534) == 0;
        _exit(ready ? check_rights(at("locked"), at("locked/out"), at("protected")) : 99);
    }
    int ended = 0;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child);
    CHECK(WIFEXITED(ended));
    CHECK_INT(WEXITSTATUS(ended), 4);
    chmod(at("locked"), 0700);
}

TEST(paths_are_taken_apart)
{
    CHECK_TEXT(path_base("a/b.onnx"), "b.onnx");
    CHECK_TEXT(path_base("b"), "b");
    CHECK_TEXT(path_base("a/"), "");
    CHECK_TEXT(path_extension("a.b/c.tar.gz"), "gz");
    CHECK_TEXT(path_extension("a.b/c"), "");
    CHECK_TEXT(path_extension("c."), "");
    CHECK_TEXT(path_extension(".hidden"), "");
    CHECK_TEXT(path_extension(".hidden.png"), "png");
    make_file("one", "1");
    make_file("two", "1");
    CHECK(link(at("one"), at("same")) == 0);
    CHECK(path_same_file(at("one"), at("same")));
    CHECK(!path_same_file(at("one"), at("two")));
    CHECK(!path_same_file(at("absent"), at("absent")));
    CHECK(path_same_target(at("absent"), at("absent")));
    CHECK(path_same_target(at("absent"), at("./absent")));
    CHECK(path_same_target(at("one"), at("same")));
    CHECK(!path_same_target(at("absent"), at("missing")));
    CHECK(!path_same_target(at("absent"), at("nowhere/absent")));
}
