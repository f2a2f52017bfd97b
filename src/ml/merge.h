/* The merge of a round: what true runs changed since their base becomes one step of an outer optimizer with momentum
 * (doc/protocol.md section 20).
 *
 * A pure function of the state that the merge follows, the windows of the reserved text that its block is measured by,
 * and the codes and lengths of the runs (ml/run.h). Each run is judged by itself: by how far it has gone for each of
 * its segments, against the median of all, and by what the state predicts with it alone. So no run answers for
 * another, and no false one moves the model further than its part, which is by its segments: many short runs do not
 * thin out what long ones have learned. What the good ones make together may not predict worse than the state did; if
 * it does, the better half of them tries once more, by itself. Codes may lie elsewhere: then one at a time is in
 * memory, and each is read for its judgement and for each proposal.
 */
#ifndef ATELIER_ML_MERGE_H
#define ATELIER_ML_MERGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/backend.h"

/* What became of a seat, as coinbases state it. */
enum merge_seat { MERGE_EMPTY, MERGE_MERGED, MERGE_LEFT_OUT, MERGE_STRUCK };

/* Fills a code (run_code_size bytes), the same each time; false: it cannot be read any more. */
typedef bool merge_read(void *source, uint8_t *code);

struct merge_run {
	const uint8_t *code;  /* of a true seat: what its run changed, within bounds; else NULL. Borrowed */
	uint32_t length;      /* of a true one: its segments, 1 or more, by which it weighs */
	enum merge_seat seat; /* of a true one merge_execute fills it, of others it stays */
	merge_read *read;     /* of a true one whose code is not in memory: how it is read; else NULL */
	void *source;
};

struct merge_outcome {
	bool is_void;
	bool is_second;                /* the better half of the runs alone, without momentum; not if it is void */
	float loss_before, loss_after; /* of all windows; NaN where not computed; for people */
};

/* The state after the merge (a reference, the caller's), with what became of its runs, seats ascending. windows:
 * [COURSE_MERGE_ROWS * bench_rows][ctx + 1], of which the first bench_rows judge single runs; rates are those of the
 * backend's configuration. NULL only if cancelled (cancel may be NULL), if a code cannot be read, or if the backend's
 * products are checked and one was wrong (backend_wrong). */
struct state *merge_execute(struct backend *backend, const struct state *state, const uint8_t *windows,
	struct merge_run *runs, size_t count, const atomic_bool *cancel, struct merge_outcome *outcome);

/* The same state from what a coinbase stated, the code of each merged run given: nothing is measured. What is stated
 * may be false, and the state then another. NULL only if a code cannot be read. */
struct state *merge_replay(const struct train_config *config, const struct state *state, const struct merge_run *runs,
	size_t count, bool is_void, bool is_second);

#endif
