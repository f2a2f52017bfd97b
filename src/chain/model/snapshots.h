/* Snapshot files of the model: which there are, what they are called, which stay, and their bytes.
 *
 * model/<height>-<id>.state:  "ATLSTATE" | u32 1 | u32 height | block id 32 | root 32 | serialised state. The newest
 * three are kept, and of older ones fewer and fewer the older they are. A node that prunes (chain/model/prune.h) has
 * none that are older than what it keeps, and within that one at each `stride`, so that it can prune further. */
#ifndef ATELIER_CHAIN_MODEL_SNAPSHOTS_H
#define ATELIER_CHAIN_MODEL_SNAPSHOTS_H

#include "chain/index.h"
#include "ml/state.h"

struct snapshot {
	uint32_t height;
	uint8_t id[32];
};

struct snapshots {
	char *folder;
	uint32_t interval;     /* blocks from one to the next */
	uint32_t stride;       /* those at its multiples stay; 0: it is not pruned */
	struct snapshot *list; /* highest first */
	size_t count;
};

/* Lists the folder's, which is copied; `kept`: blocks that a node keeps that prunes, or 0. False if it cannot be read;
 * snapshots_clear is due either way. */
bool snapshots_init(struct snapshots *snapshots, const char *folder, uint32_t interval, uint32_t kept,
	struct errmsg *err);
void snapshots_clear(struct snapshots *snapshots);

char *snapshots_path(const struct snapshots *snapshots, uint32_t height, const uint8_t id[32]); /* the caller's */
bool snapshots_known(const struct snapshots *snapshots, const uint8_t id[32]);
/* One more has been written: others may be removed for it. */
void snapshots_add(struct snapshots *snapshots, uint32_t height, const uint8_t id[32]);

/* Those below that height are removed. */
void snapshots_drop_below(struct snapshots *snapshots, uint32_t height);

/* One file. Writing is atomic; reading gives NULL unless state and file are whole and the root is the block's. Any
 * thread. */
bool snapshots_write(const char *path, const uint8_t id[32], uint32_t height, const struct state *state,
	struct errmsg *err);
struct state *snapshots_read(const char *path, const struct spec *spec, const struct index_entry *entry,
	struct errmsg *err);

#endif
