/* What a fuzz harness is: one parser and the promises it makes about any bytes.
 *
 * Each fuzz_<parser>.c defines the two functions below. With --enable-fuzz (clang) libFuzzer drives it; otherwise
 * fuzz_driver.c makes it a plain program:
 *
 *     fuzz_tx FILE...        runs the files (a crash found elsewhere, a corpus)
 *     fuzz_tx -seeds=DIR     writes its valid inputs there, to start libFuzzer from
 *     fuzz_tx                a short run over mutated valid inputs, the same ones each time; prints TAP
 *
 * A broken promise or a crash ends the process. */
#ifndef ATELIER_TEST_FUZZ_H
#define ATELIER_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/buf.h"

/* Returns 0. The bytes are exactly `size` long on the heap, so that a sanitizer sees a read behind them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Appends valid input number `index`; false behind the last. One at least. */
bool fuzz_seed(size_t index, struct buf *out);

#define FUZZ_PROMISE(condition)                                                                         \
	do {                                                                                            \
		if (!(condition)) {                                                                     \
			fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                        \
		}                                                                                       \
	} while (0)

#endif
