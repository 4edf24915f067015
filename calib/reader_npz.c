/* reader_npz.c - samples that are .npz files: arrays named as the inputs; with one input a single array of any name. */
#include "calib/reader.h"

#include <stdlib.h>
#include <string.h>

static const char *const extensions[] = {"npz", NULL};

static bool claims(const unsigned char *head, size_t n)
{
    return n >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0);
}

static Status prepare(Dataset *dataset, int input)
{
    (void)input;
    describe_tensors(dataset, &reader_npz);
    return NULL;
}

static Status find_member(const Dataset *dataset, const FileMap *map, int input, ZipMember *ret)
{
    char *name = xprintf("%s.npy", dataset->inputs[input]->name);
    Status status = zip_read(map->data, map->size, name, ret);
    free(name);
    if (status == NULL || dataset->n_main > 1)
        return status;
    status_free(status);
    return zip_read(map->data, map->size, NULL, ret); /* the only one may have any name */
}

static Status read(const Dataset *dataset, const Part *part, int input, Tensor *ret)
{
    FileMap map;
    ZipMember member;
    TRY(file_map(part->path, CODE_DATA, &map));
    Status status = status_prefix(find_member(dataset, &map, input, &member), "%s", part->path);
    file_unmap(&map);
    TRY(status);
    Tensor tensor;
    status = npy_parse(member.bytes, member.size, member.name, &tensor);
    zip_release(&member);
    if (status == NULL)
        status = tensor_fit(dataset->inputs[input], &tensor);
    TRY(status_prefix(status, "%s", part->path));
    *ret = tensor;
    return NULL;
}

const Reader reader_npz = {"npz", ".npz", extensions, claims, prepare, read, NULL};
