/* states.c - recurrent states: an input that takes what an output gave for the sample before.
 *
 *     sample ─ inputs ─┬─ states_feed ─> fed ── run ──> outputs ─ states_keep ─┐
 *     zeros at first ──┘<───────────────────── copies ─────────────────────────┘
 */
#include "calib/calib.h"

#include <stdlib.h>
#include <string.h>

struct States {
    const StateLink *links;
    int n_links, n_inputs;
    Tensor *kept; /* (n_links,) copies; no data: nothing yet */
    Tensor *fed;  /* (n_inputs,) views */
};

States *states_new(const StateLink *links, int n_links, int n_inputs)
{
    States *states = xcalloc(1, sizeof *states);
    *states = (States){links, n_links, n_inputs, xcalloc((size_t)MAX(n_links, 1), sizeof(Tensor)),
                       xcalloc((size_t)MAX(n_inputs, 1), sizeof(Tensor))};
    return states;
}

void states_free(States *states)
{
    if (states == NULL)
        return;
    for (int k = 0; k < states->n_links; k++)
        tensor_release(&states->kept[k]);
    free(states->kept);
    free(states->fed);
    free(states);
}

const Tensor *states_feed(States *states, bool goes_on, const Tensor *inputs)
{
    if (states->n_links == 0)
        return inputs;
    for (int i = 0; i < states->n_inputs; i++)
        states->fed[i] = inputs[i];
    for (int k = 0; k < states->n_links && goes_on; k++) {
        const Tensor *state = &states->kept[k];
        Tensor *input = &states->fed[states->links[k].input];
        if (state->data != NULL && state->dtype == input->dtype)
            *input = *state;
    }
    return states->fed;
}

Status states_keep(States *states, const Tensor *outputs)
{
    for (int k = 0; k < states->n_links; k++) {
        Tensor copy;
        TRY(tensor_copy(&copy, &outputs[states->links[k].output]));
        tensor_release(&states->kept[k]);
        states->kept[k] = copy;
    }
    return NULL;
}
