/* store.h - where a runner keeps values: a pool of buffers, and for each value one slot with up to two forms.
 *
 *     slot ─┬─ plain   row-major, as ONNX has it: N C D1..Dk
 *           └─ last    channels last:             N D1..Dk C      (dims are kept in ONNX's order in both)
 *
 * A step stores the form it made; the other is made once, when somebody asks for it. Where both are the same bytes (one channel,
 * or one place) they share a buffer. Internal to src/exec.
 */
#ifndef QUANTIZE_EXEC_STORE_H
#define QUANTIZE_EXEC_STORE_H

#include "src/ir/ir.h"

typedef struct Buffer {
    struct Buffer *next; /* in the free list */
    void *data;
    size_t bytes;
    int users;
    unsigned used_in_run;
} Buffer;

typedef struct Form {
    Tensor tensor;
    Buffer *buffer; /* NULL: the data belongs to someone else (input of the run, constant) or is owned by the tensor */
    bool full;
} Form;

typedef struct Slot {
    Form plain, last;
} Slot;

typedef struct Store {
    Slot *slots; /* by value id */
    uint32_t n_slots;
    Buffer *free_buffers;
    unsigned run; /* counts the runs of the runner */
} Store;

void store_init(Store *store, uint32_t n_slots);
void store_clear(Store *store);  /* empties every slot */
void store_trim(Store *store);   /* frees the buffers that this run had no use for */
void store_release(Store *store);

MUST_USE Status store_take(Store *store, size_t bytes, Buffer **ret);
void store_drop(Store *store, Buffer *buffer); /* one user less; NULL is fine */
/* A buffer on a list that is given back as a whole. */
MUST_USE Status store_take_listed(Store *store, size_t bytes, Buffer **list, void **ret);
void store_drop_list(Store *store, Buffer **list);

Slot *store_slot(Store *store, const Value *value);
void store_clear_slot(Store *store, Slot *slot);
void store_clear_form(Store *store, Form *form);
/* The value in the form asked for, made if need be; *ret is NULL when it has none. Constants have a plain form without a slot. */
MUST_USE Status store_plain(Store *store, Team *team, const Value *value, const Tensor **ret);
MUST_USE Status store_last(Store *store, Team *team, const Value *value, const Tensor **ret);
/* The form of a value whose tensor this is; NULL for a constant. */
Form *store_form_of(Store *store, const Value *value, const void *data);

#endif
