/* Traces: what this node's own runs have come to, on disk (doc/protocol.md section 20).
 *
 * A run has a folder, named after seat and base, and in it files that are each there whole or not at all: `run` says
 * which run it is, `1`, `2`, ... are the codes after so many segments, `signature` is the commit's, behind the number
 * of segments that it commits to: the run has no more then. Each ends with the hash of what it holds, which for a code
 * is its digest d_j. So a kill costs the segment in work, and a file that is damaged the segment that it is the code
 * of: that is executed again, with the same result, and what lies behind it holds as before.
 *
 * One thread owns a trace; trace_write alone may be called on another one meanwhile, as it changes nothing in memory.
 */
#ifndef ATELIER_WORK_TRACE_H
#define ATELIER_WORK_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

/* Which run it is. */
struct trace_run {
	uint32_t base_height, seat_height;
	uint8_t base_id[32], seat_id[32];
	uint8_t key[32]; /* the seat's */
};

/* What the spec says of every run. */
struct trace_shape {
	uint32_t segments;
	size_t code_size; /* of a code, in bytes */
};

struct trace {
	struct trace_run run;
	struct trace_shape shape;
	uint32_t done;          /* segments whose codes are there */
	uint32_t checked;       /* of these, which were read or written by this process */
	uint8_t (*digests)[32]; /* d_1 .., `done` of them */
	uint32_t signed_length; /* segments that the signature is for; 0: there is none */
	uint8_t signature[64];
	char *folder;
	bool has_begun;
};

/* A new one, for a folder of its own below `runs`, which has no files yet, or such without a record of which run it is:
 * these are checked. trace_begin makes folder and record; before anything else is written, and any number of times. */
struct trace *trace_new(const char *runs, const struct trace_run *run, const struct trace_shape *shape);
bool trace_begin(struct trace *trace, struct errmsg *err);
/* The one in this folder, as far as its files are there: their ends are believed until they are checked. NULL with the
 * reason if it is none. */
struct trace *trace_load(const char *folder, const struct trace_shape *shape, struct errmsg *err);
/* All below `runs`, in no order; what is damaged is told in the log and left alone. The caller frees the array. */
struct trace **trace_load_all(const char *runs, const struct trace_shape *shape, size_t *count);
void trace_free(struct trace *trace);   /* the files stay; NULL is allowed */
void trace_remove(struct trace *trace); /* and its files */

/* Reads the code after those that are checked. Of one that is damaged, and those behind it, none is `done` any more;
 * one that is there although it was not `done` is from then on, as a code before it was made again. False: there is
 * none to go on with. A trace may have gigabytes, so it is one at a time, and comes after trace_load where the trace is
 * needed. */
bool trace_check_next(struct trace *trace);

/* H of the first digests: what a commit to so many segments (`done` at most) says. */
void trace_root(const struct trace *trace, uint32_t length, uint8_t root[32]);

/* Writes the code after `number` segments (1 ..), synced, and gives its digest. trace_add then counts it: the next
 * one. */
bool trace_write(const struct trace *trace, uint32_t number, const uint8_t *code, uint8_t digest[32],
	struct errmsg *err);
void trace_add(struct trace *trace, const uint8_t digest[32]);
/* The code after `number` segments, 1 .. done. If it is not there any more as it was written, it is not `done` either
 * from then on. */
bool trace_read(struct trace *trace, uint32_t number, uint8_t *code, struct errmsg *err);
bool trace_sign(struct trace *trace, uint32_t length, const uint8_t signature[64], struct errmsg *err);

#endif
