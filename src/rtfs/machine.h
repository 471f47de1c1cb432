/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_MACHINE_H
#define MV_RTFS_MACHINE_H
/* What the files of the virtual machine share: vm.c (calls, errors, memory), vm_loop.c (the dispatch
 * loop) and vm_data.c (instructions on collections). */
#include <rtfs/library.h>

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline struct frame *top_frame(struct mv_rtfs *r)
{
        return &r->frames[r->frame_count - 1];
}

/* --- vm.c ------------------------------------------------------------------------------------- */
/* Continue at the innermost handler of the pending error; false: none in this run. */
bool vm_unwind(struct mv_rtfs *r);
/* Collect for the instruction at top_frame()->pc, which could not allocate. */
enum native_status vm_make_room(struct mv_rtfs *r);
/* Call f on `count` arguments at stack[args...]: pushes a frame, or leaves the result in
 * stack[ret]. */
enum native_status vm_call(struct mv_rtfs *r, val f, uint32_t args, uint32_t count, uint32_t ret);

/* --- vm_loop.c -------------------------------------------------------------------------------- */
/* Runs frames above r->frame_floor until they have returned (N_OK: r->result), an error leaves them
 * (N_ERROR), a host call suspends (N_CALL) or a resource ends (N_FATAL). */
enum native_status vm_run(struct mv_rtfs *r);

/* --- vm_data.c: pieces of instructions -------------------------------------------------------- */
enum native_status vm_undefined(struct mv_rtfs *r, uint32_t slot, val *ret);
enum native_status vm_closure(struct mv_rtfs *r, val proto, const uint32_t *captures, uint32_t base,
                              val *ret);
bool vm_is_seq(val v, uint32_t count, bool exact);
enum native_status vm_check_seq(struct mv_rtfs *r, val v, uint32_t want, bool exact);
val vm_seq_nth(val v, uint32_t i);
enum native_status vm_seq_rest(struct mv_rtfs *r, val v, uint32_t from, val *ret);
val vm_map_field(val m, val key, val absent);
enum native_status vm_map_without(struct mv_rtfs *r, val m, val keys, val *ret);
enum native_status vm_put_pairs(struct mv_rtfs *r, val m, const val *pairs, uint32_t count,
                                val *ret);
enum native_status vm_push_items(struct mv_rtfs *r, val v, const val *items, uint32_t count,
                                 val *ret);
enum native_status vm_iterable(struct mv_rtfs *r, val v, val *ret);
enum native_status vm_check_annotation(struct mv_rtfs *r, val v, val type, bool variadic);
enum native_status vm_has_type(struct mv_rtfs *r, val v, val type, bool *ret);

#endif
