/* SPDX-License-Identifier: Apache-2.0 */
/* Kept cells: a provider that can prove its reset complete gets its cells back for the next
 * execution, whoever asks.
 *
 * (1) A cell belongs to exactly one execution between take and give.
 * (2) In doubt a cell is closed: out of order end, failed reset, other memory limit, full pool. */
#include <host/host.h>

static struct mv_cell *kept_take(struct mv__entry *e, uint64_t memory_bytes_max)
{
        struct mv_cell *cell = NULL;
        pthread_mutex_lock(&e->lock);
        for (uint32_t i = e->kept_count; i-- > 0 && !cell;) {
                if (e->kept[i].memory_bytes_max != memory_bytes_max)
                        continue;
                cell = e->kept[i].cell;
                e->kept[i] = e->kept[--e->kept_count];
        }
        pthread_mutex_unlock(&e->lock);
        return cell;
}

int mv__cell_take(struct mv__entry *e, const struct mv_cell_spec *spec, struct mv_cell **ret,
                  struct mv_err *err)
{
        struct mv_cell *cell = spec->program ? NULL : kept_take(e, spec->limits.memory_bytes_max);
        if (cell) {
                *ret = cell;
                return 0;
        }
        int r = e->ops->open_cell(e->provider, spec, ret, err);
        return r < 0 ? mv_wrap(err, "open a cell of provider '%s'", e->ops->name) : 0;
}

/* The oldest kept cell leaves when the pool is full, so that a change of memory limits does not
 * starve the pool. */
static struct mv_cell *kept_put(struct mv__entry *e, struct mv_cell *cell,
                                uint64_t memory_bytes_max, uint32_t keep_max)
{
        struct mv_cell *leaves = NULL;
        pthread_mutex_lock(&e->lock);
        if (e->state != MV_ENTRY_READY) {
                leaves = cell;
        } else {
                if (e->kept_count >= keep_max) {
                        leaves = e->kept[0].cell;
                        for (uint32_t i = 1; i < e->kept_count; i++)
                                e->kept[i - 1] = e->kept[i];
                        e->kept_count--;
                }
                e->kept[e->kept_count++] = (struct mv__kept){ cell, memory_bytes_max };
        }
        pthread_mutex_unlock(&e->lock);
        return leaves;
}

void mv__cell_give(struct mv__entry *e, struct mv_cell *cell, uint64_t memory_bytes_max,
                   bool in_order, uint32_t keep_max)
{
        struct mv_err ignored;
        if (in_order && keep_max && e->ops->reset && e->ops->reset(cell, &ignored) == 0)
                cell = kept_put(e, cell, memory_bytes_max, keep_max);
        if (cell)
                e->ops->close_cell(cell);
}
