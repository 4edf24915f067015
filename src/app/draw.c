/* draw.c - what integers an input takes that nobody gave data for, and random numbers for a proof.
 *
 *     float      [-1, 1)
 *     bool       either
 *     integers   what the graph does with them says what they may be:
 *                    ids -> Gather (table of 1000 rows)          0 .. 999
 *                    rate -> Equal (., 16000)                    16000 among others
 *                    mask, length, of nothing known              0 .. 3, all 1, or the size that unknown dims have
 *
 * A first try may be refused all the same (an If whose branch does not fit the sizes); `attempt` counts on to the next one.
 */
#include "src/app/app.h"
#include "src/ops/ops.h"

#include <math.h>
#include <string.h>

#define MAX_DEPTH 12     /* ops between the input and the one that tells */
#define MAX_LOOKS 4096   /* uses looked at in all */
#define MOST_ATTEMPTS 6

static const Tensor *constant_of(const Value *value)
{
    if (value == NULL || value->constant != NULL || value->producer == NULL)
        return value == NULL ? NULL : value->constant;
    const Attr *attr = node_is(value->producer, "Constant") ? node_attr(value->producer, "value") : NULL;
    return attr != NULL && attr->kind == ATTR_TENSOR ? attr->t : NULL;
}

static bool is_one_of(const Node *node, const char *const *ops)
{
    while (*ops != NULL && !node_is(node, *ops))
        ops++;
    return *ops != NULL;
}

static void add_choice(IntegerHints *hints, int64_t value)
{
    for (int i = 0; i < hints->n_choices; i++)
        if (hints->choices[i] == value)
            return;
    if (hints->n_choices < (int)COUNT_OF(hints->choices))
        hints->choices[hints->n_choices++] = value;
}

/* Rows of the table whose index the value is. */
static void hint_table(IntegerHints *hints, const Value *table, int64_t axis)
{
    const Shape *shape = table == NULL ? NULL : &table->type.shape;
    if (shape == NULL || table->type.kind != TYPE_TENSOR || shape->rank < 1)
        return;
    axis += axis < 0 ? shape->rank : 0;
    if (axis >= 0 && axis < shape->rank && shape->dims[axis].size > 0)
        hints->below = MIN(hints->below, shape->dims[axis].size);
}

static void hint_compared(IntegerHints *hints, const Node *node, const Tensor *other)
{
    bool exact = node_is(node, "Equal");
    if (other == NULL || other->dtype == DT_STRING)
        return;
    for (int64_t i = 0; i < MIN(other->count, 4); i++) {
        int64_t value = tensor_get_int(other, i);
        add_choice(hints, value);
        if (!exact && value > INT64_MIN && value < INT64_MAX) {
            add_choice(hints, value - 1);
            add_choice(hints, value + 1);
        }
    }
}

static void look(IntegerHints *hints, int *looks, const Value *value, int depth)
{
    static const char *const pass_on[] = {"Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose",
                                          "Expand", "Concat", "Slice", "Split", "Tile", NULL};
    static const char *const compare[] = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", NULL};
    for (size_t i = 0; i < value->n_uses && *looks < MAX_LOOKS; i++, (*looks)++) {
        const Node *node = value->uses[i].node;
        int input = value->uses[i].input;
        if (is_one_of(node, compare))
            hint_compared(hints, node, constant_of(node_in(node, 1 - input)));
        else if (input == 1 && (node_is(node, "Gather") || node_is(node, "GatherElements")))
            hint_table(hints, node->in[0], node_int(node, "axis", 0));
        else if (input == 1 && node_is(node, "GatherND"))
            hint_table(hints, node->in[0], node_int(node, "batch_dims", 0));
        else if (depth < MAX_DEPTH && is_one_of(node, pass_on) && (input == 0 || node_is(node, "Concat")))
            for (int o = 0; o < node->n_out; o++)
                if (node->out[o] != NULL)
                    look(hints, looks, node->out[o], depth + 1);
    }
}

IntegerHints draw_hints(const Value *input)
{
    IntegerHints hints = {.below = INT64_MAX};
    int looks = 0;
    if (input->type.kind == TYPE_TENSOR && dtype_is_integer(input->type.dtype))
        look(&hints, &looks, input, 0);
    return hints;
}

int draw_attempts(const Value *input)
{
    if (input->type.kind != TYPE_TENSOR || !dtype_is_integer(input->type.dtype))
        return 1;
    return MIN(3 + draw_hints(input).n_choices, MOST_ATTEMPTS);
}

void draw_input(const Value *input, int round, int attempt, int64_t size, Tensor *tensor)
{
    IntegerHints hints = draw_hints(input);
    bool single = tensor->count == 1;
    uint64_t state = hash_bytes(input->name, strlen(input->name), (uint64_t)round + 1);
    hints.size = size;
    hints.attempt = single && hints.n_choices > 0 ? (attempt + round) % (hints.n_choices + 3) /* another one in each round */
                                                  : attempt;
    for (int64_t i = 0; i < tensor->count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double x = (double)(state >> 40) / (double)(1 << 24);
        if (tensor->dtype == DT_BOOL)
            tensor_set(tensor, i, x < 0.5 ? 0 : 1);
        else
            tensor_set(tensor, i, dtype_is_float(tensor->dtype) ? 2 * x - 1 : (double)integer_drawn(&hints, single, x));
    }
}
