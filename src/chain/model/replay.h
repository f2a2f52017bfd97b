/* Rebuilding a model state: from the nearest sound base, block by block, with the bodies on disk and the outcomes the
 * index holds; and where a round was merged, what its runs changed, from the blobs of their disclosures. No proof is
 * executed again: what is replayed was verified once, and every state on the way is compared with the root the index
 * has for it.
 *
 * A replay is a job of its own: after replay_new it reads only files and entries that do not change any more, so
 * replay_run may be called on any thread. */
#ifndef ATELIER_CHAIN_MODEL_REPLAY_H
#define ATELIER_CHAIN_MODEL_REPLAY_H

#include <stdatomic.h>

#include "chain/blobs.h"
#include "chain/index.h"
#include "ml/state.h"

/* Where to begin: a state at hand, or else a snapshot file, or (path NULL too) the initial state. */
struct replay_base {
	const struct full_entry *full;
	struct state *state; /* a reference, owned */
	char *path;          /* owned */
};

struct replay {
	const struct spec *spec;
	const struct record_file *blocks;
	const struct blobs *blobs; /* of which only files are read */
	const struct full_entry *target;
	struct replay_base *bases; /* nearest first; tried in turn */
	size_t base_count;
	atomic_bool cancel;
	const atomic_bool *stop; /* `cancel`, unless somebody else's flag is to be heeded */
	void (*progress)(void *context, const char *what, uint32_t done, uint32_t total); /* may be NULL */
	void *progress_context;
	/* Results: */
	struct state *state; /* a reference, the caller's; NULL: failed */
	struct errmsg err;
};

struct replay *replay_new(const struct spec *spec, const struct record_file *blocks, const struct blobs *blobs,
	const struct full_entry *target);
void replay_add_base(struct replay *replay, const struct full_entry *full, struct state *state, const char *path);
void replay_free(struct replay *replay);
void replay_run(struct replay *replay);

#endif
