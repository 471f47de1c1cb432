/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_GENERATE_H
#define MV_TEST_GENERATE_H
/* Random well-formed RTFS programs: the same seed, the same program, on every machine. They end: loops count, recursion
 * goes down to zero. Most give a value, some an error; they call the pure capabilities test.echo, test.args, test.add and
 * test.fail. */
#include <stddef.h>
#include <stdint.h>

#define GENERATE_BYTES_MAX 16384u
/* The text of a program, NUL-terminated; buf has GENERATE_BYTES_MAX bytes. Returns its length. */
size_t generate_program(uint64_t seed, char *buf);

#endif
