/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CLI_BENCH_H
#define MV_CLI_BENCH_H
/* Measurements of `microvm bench` that are no execution. 0 and *ret_ns, or the reason in err. */
#include <microvm/microvm.h>

int cli_bench_config(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err);
int cli_bench_authorize(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err);
int cli_bench_records(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err);
/* The evaluator as WebAssembly makes its instance as new, without a program. */
int cli_bench_instance(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err);

#endif
