/* cut.c - how a product in panels is shared by a team; see tile.h. */
#include "src/kernels/tile.h"

enum { BLOCK_BYTES = 1 << 19, ITEMS_A_THREAD = 4 };

/* m * n * k * batch, INT64_MAX when that is more. */
static int64_t count_macs(int64_t batch, int64_t m, int64_t n, int64_t k)
{
    int64_t macs;

    if (__builtin_mul_overflow(m, n, &macs) || __builtin_mul_overflow(macs, k, &macs) || __builtin_mul_overflow(macs, batch, &macs))
        return INT64_MAX;
    return macs;
}

Cut cut_product(int64_t batch, int64_t m, int64_t n, int64_t k, int64_t row_bytes, int tile_rows, int threads, int64_t enough)
{
    int64_t macs = count_macs(batch, m, n, k);
    Cut cut = {.rows = MAX(BLOCK_BYTES / MAX(row_bytes, 1) / tile_rows, 1) * tile_rows,
               .panels = (n + PANEL_COLUMNS - 1) / PANEL_COLUMNS};

    cut.rows = MIN(cut.rows, m);
    cut.group = cut.panels;
    if (threads > 1 && macs >= 2 * enough) {
        int64_t wanted = MIN((int64_t)threads * ITEMS_A_THREAD, macs / enough);
        int64_t blocks = batch * ((m + cut.rows - 1) / cut.rows);
        cut.group = MIN(MAX(cut.panels * blocks / wanted, 1), cut.panels);
        if (cut.panels * blocks < wanted) { /* tall and narrow */
            int64_t part = (m * batch + wanted - 1) / wanted;
            cut.rows = MIN(cut.rows, MAX((part + tile_rows - 1) / tile_rows, 1) * tile_rows);
        }
    }
    cut.groups = (cut.panels + cut.group - 1) / cut.group;
    cut.row_blocks = (m + cut.rows - 1) / cut.rows;
    return cut;
}

CutItem cut_item(const Cut *cut, int64_t m, int64_t item)
{
    int64_t group = item % cut->groups, block = item / cut->groups % cut->row_blocks;
    CutItem ret = {.pair = item / cut->groups / cut->row_blocks, .row = block * cut->rows, .panel = group * cut->group};

    ret.rows = MIN(m - ret.row, cut->rows);
    ret.panel_end = MIN(cut->panels, ret.panel + cut->group);
    return ret;
}
