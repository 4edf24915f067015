/* store.c - buffers and slots; see store.h.
 *
 * A value's buffer returns to the pool with its last reader, and a later value of about that size takes it. Reshape and its kin
 * share the buffer of their input: a count says how many stand on it. Buffers that a whole run did not use are freed, so that
 * changing shapes do not pile up memory.
 */
#include "src/exec/store.h"

#include "src/exec/layout.h"
#include "src/kernels/kernels.h"

#include <stdlib.h>

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

/* The smallest free buffer that holds `bytes` and wastes less than half of itself; of equal ones that freed last, which is the
 * likeliest to be in the cache. */
static Buffer *take_free_buffer(Store *store, size_t bytes)
{
    Buffer **best = NULL;
    for (Buffer **link = &store->free_buffers; *link != NULL; link = &(*link)->next)
        if ((*link)->bytes >= bytes && (*link)->bytes / 2 <= bytes + 4096 &&
            (best == NULL || (*link)->bytes < (*best)->bytes))
            best = link;
    if (best == NULL)
        return NULL;
    Buffer *buffer = *best;
    *best = buffer->next;
    return buffer;
}

Status store_take(Store *store, size_t bytes, Buffer **ret)
{
    Buffer *buffer = take_free_buffer(store, bytes);
    if (buffer == NULL) {
        void *data = NULL;
        TRY(memory_alloc(bytes, &data));
        buffer = xcalloc(1, sizeof *buffer);
        buffer->data = data;
        buffer->bytes = bytes;
    }
    buffer->next = NULL;
    buffer->users = 1;
    buffer->used_in_run = store->run;
    *ret = buffer;
    return NULL;
}

void store_drop(Store *store, Buffer *buffer)
{
    if (buffer == NULL || --buffer->users > 0)
        return;
    buffer->next = store->free_buffers;
    store->free_buffers = buffer;
}

static void trim(Store *store, bool all)
{
    for (Buffer **link = &store->free_buffers; *link != NULL;) {
        Buffer *buffer = *link;
        if (!all && buffer->used_in_run == store->run) {
            link = &buffer->next;
            continue;
        }
        *link = buffer->next;
        memory_free(buffer->data);
        free(buffer);
    }
}

void store_trim(Store *store)
{
    trim(store, false);
}

Status store_take_listed(Store *store, size_t bytes, Buffer **list, void **ret)
{
    Buffer *buffer = NULL;
    TRY(store_take(store, bytes, &buffer));
    buffer->next = *list;
    *list = buffer;
    *ret = buffer->data;
    return NULL;
}

void store_drop_list(Store *store, Buffer **list)
{
    while (*list != NULL) {
        Buffer *buffer = *list;
        *list = buffer->next;
        store_drop(store, buffer);
    }
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

void store_init(Store *store, uint32_t n_slots)
{
    *store = (Store){.slots = xcalloc(MAX(n_slots, 1), sizeof store->slots[0]), .n_slots = n_slots};
}

void store_clear(Store *store)
{
    for (uint32_t id = 0; id < store->n_slots; id++)
        store_clear_slot(store, &store->slots[id]);
}

void store_release(Store *store)
{
    store_clear(store);
    trim(store, true);
    free(store->slots);
}

Slot *store_slot(Store *store, const Value *value)
{
    return &store->slots[value->id];
}

void store_clear_form(Store *store, Form *form)
{
    if (!form->full)
        return;
    store_drop(store, form->buffer);
    if (form->buffer == NULL)
        tensor_release(&form->tensor);
    *form = (Form){0};
}

void store_clear_slot(Store *store, Slot *slot)
{
    store_clear_form(store, &slot->plain);
    store_clear_form(store, &slot->last);
}

/* Fills `to` from `from`: the other order, or the same bytes where that is no other. */
static Status make_form(Store *store, Team *team, const Tensor *from, Buffer *from_buffer, bool to_last, Form *to)
{
    Form form = {.tensor = *from, .full = true};
    form.tensor.owned = false;
    if (layout_is_neutral(from)) {
        form.buffer = from_buffer;
        if (from_buffer != NULL)
            from_buffer->users++;
    } else {
        int64_t channels = from->dims[1], places = from->count / (from->dims[0] * channels);
        TRY(store_take(store, from->bytes, &form.buffer));
        form.tensor.data = form.buffer->data;
        turn_planes(team, (size_t)dtype_bits(from->dtype) / 8, from->dims[0], to_last ? channels : places,
                    to_last ? places : channels, from->data, form.tensor.data);
    }
    *to = form;
    return NULL;
}

Status store_plain(Store *store, Team *team, const Value *value, const Tensor **ret)
{
    *ret = value->constant;
    if (value->constant != NULL)
        return NULL;
    Slot *slot = store_slot(store, value);
    if (!slot->plain.full && slot->last.full)
        TRY(make_form(store, team, &slot->last.tensor, slot->last.buffer, false, &slot->plain));
    *ret = slot->plain.full ? &slot->plain.tensor : NULL;
    return NULL;
}

Status store_last(Store *store, Team *team, const Value *value, const Tensor **ret)
{
    Slot *slot = store_slot(store, value);
    const Tensor *plain = value->constant != NULL ? value->constant : &slot->plain.tensor;
    if (!slot->last.full && (value->constant != NULL || slot->plain.full))
        TRY(make_form(store, team, plain, value->constant != NULL ? NULL : slot->plain.buffer, true, &slot->last));
    *ret = slot->last.full ? &slot->last.tensor : NULL;
    return NULL;
}

Form *store_form_of(Store *store, const Value *value, const void *data)
{
    if (value->constant != NULL)
        return NULL;
    Slot *slot = store_slot(store, value);
    if (slot->last.full && slot->last.tensor.data == data)
        return &slot->last;
    return slot->plain.full && slot->plain.tensor.data == data ? &slot->plain : NULL;
}
