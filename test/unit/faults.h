/* A disk that fails: the calls that change or read files, wrapped, so that the n-th one under a path fails as one asks
 * for.
 *
 * A unit test links faults.c and sets the fault. The same file is built as a shared library, test/functional/faults.so:
 * a daemon that is started with it in LD_PRELOAD looks into the file named by FAULTS before every such call. There the
 * fault is one line, "CALLS ERROR SKIP TIMES TORN UNDER", numbers but for UNDER; a new text is a new fault. */
#ifndef ATELIER_TEST_FAULTS_H
#define ATELIER_TEST_FAULTS_H

#include <stdbool.h>

enum fault_call {
	FAULT_WRITE = 1, /* write, pwrite */
	FAULT_SYNC = 2,  /* fsync, fdatasync */
	FAULT_RENAME = 4,
	FAULT_OPEN = 8, /* open for writing, mkdir */
	FAULT_UNLINK = 16,
	FAULT_ALL = 31,  /* that change files */
	FAULT_READ = 32, /* read, pread */
	FAULT_LOOK = 64, /* open for reading */
};

enum { FAULT_KILL = -1 }; /* in place of an error: the process is killed before the call */

struct fault {
	unsigned calls;   /* of enum fault_call; 0: none */
	int error;        /* errno, or FAULT_KILL */
	long skip, times; /* which of the calls fail: the first `skip` do not, then `times` do; 0 times: all */
	bool torn;        /* a write that fails has written half of its bytes, as on a disk that has just become full */
	char under[160];  /* part of the path */
};

void faults_set(const struct fault *fault); /* NULL: none */
long faults_met(void);                      /* calls that the fault is about, since it was set */

#endif
