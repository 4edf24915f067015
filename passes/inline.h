/* inline.h - the nodes of an inner graph (of If, Loop), copied in front of the node that holds it.
 *
 *     Map moved: name of a value of the inner graph -> what it is outside. Values from further out are themselves.
 */
#ifndef QUANTIZE_PASSES_INLINE_H
#define QUANTIZE_PASSES_INLINE_H

#include "passes/pass.h"

/* No node of it holds a graph itself. */
bool inline_is_plain(const Graph *inner);
/* What a value that the inner graph reads or gives is outside; NULL for NULL. */
Value *inline_find(const Map *moved, const Graph *inner, Value *value);
/* Initializers get fresh names in the graph around it; their data is shared. */
void inline_constants(const Graph *inner, const Node *owner, Map *moved);
/* Copies the nodes; `moved` must know the inputs and initializers, and learns the outputs. Repeated: the graph runs more
 * than once, and shapes that it declares need not hold for each time. */
MUST_USE Status inline_nodes(PassContext *context, const Graph *inner, Node *owner, Map *moved, bool repeated);
/* An output of the owner becomes `replacement` everywhere; graph outputs keep their name. */
MUST_USE Status inline_replace_output(Node *owner, Value *out, Value *replacement);

#endif
