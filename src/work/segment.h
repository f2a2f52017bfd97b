/* A segment of a run of this node's own, as a job for the queue (doc/protocol.md section 20).
 *
 * The loop fills in all it needs, posts segment_run, and looks at the result when it is back: the code is then in the
 * trace's folder, and the loop counts it. Nothing here knows the chain. The workspace stays for the next segment. */
#ifndef ATELIER_WORK_SEGMENT_H
#define ATELIER_WORK_SEGMENT_H

#include <stdatomic.h>

#include "consensus/spec.h"
#include "ml/backend.h"
#include "work/trace.h"

struct segment {
	const struct spec *spec;
	struct backend *backend; /* made by the first run on its kind */
	atomic_bool cancel;
	atomic_uint iterations_done; /* of the segment, readable meanwhile */
	/* Of the one in hand; owned until segment_reset, which the loop calls before the next. */
	const struct trace *trace; /* borrowed */
	uint32_t number;           /* of the code that it makes: 1 .. */
	struct state *base;
	uint8_t seed[32];
	uint8_t *start, *windows;
	enum step_result result;
	bool is_written; /* once result is STEP_OK; else err says why not */
	uint8_t digest[32];
	struct errmsg err;
};

void segment_init(struct segment *segment, const struct spec *spec);
void segment_clear(struct segment *segment);
void segment_reset(struct segment *segment);

/* The job: runs on a worker, and pauses for what is more urgent. Every product is checked: a code that an engine got
 * wrong would cost what the seat's block has earned. An engine that proves wrong is trusted no more (ml/backend.h). */
void segment_run(struct segment *segment);

#endif
