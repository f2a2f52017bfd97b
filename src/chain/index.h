/* The block index: every header this node knows, with what has been found out about it.
 *
 * Entries live in memory from when the header is accepted until index_free, each with its parent, so that a branch is a
 * walk up the parents. The database keeps those whose block bytes were here once (ENTRY_STORED and further) and those
 * found invalid after that; headers alone are asked for again after a restart.
 *
 * Invariants: a parent is in the index before its children; whoever descends from an INVALID entry is INVALID; the
 * parent of a VERIFIED entry is VERIFIED or CONNECTED; the active chain is CONNECTED throughout.
 *
 * What is written once an entry is VERIFIED (header, parent, skip, positions of block and bodies, outcome, model root)
 * does not change afterwards: workers may read these fields.
 *
 * There is one for each block for ever, so it is small. Its outcome lies beside it, in the byte form that the database
 * has too: few blocks have all the slots that there may be, and one of a round states a merge. */
#ifndef ATELIER_CHAIN_INDEX_H
#define ATELIER_CHAIN_INDEX_H

#include "chain/chain.h"
#include "store/db.h"
#include "store/record_file.h"
#include "util/map.h"

/* An entry with what only the chain itself knows of it. */
struct full_entry {
	struct index_entry entry;      /* first: what others see of it */
	const struct full_entry *skip; /* ancestor at height & (height - 1): long walks in few steps */
	struct file_position block, bodies, undo;
	struct u256 promised_work; /* until it is verified: most chain work among its descendants, headers and all */
	struct source source;      /* who brought the block */
	bool has_child;
	bool saved;           /* the database has an entry for it */
	bool scripts_checked; /* signatures held against the parent's coins */
	bool in_work;         /* a job or a rebuild for it is under way */
	bool stuck;           /* it is put off (chain/verify/waiting.h) */
	bool proven;          /* its own proof has been executed and is right */
	bool refused_deep;    /* switching to it would undo too much; warned */
};

struct index {
	const struct spec *spec;
	struct map by_id;
	struct full_entry **entries; /* parents before children; nodes[0] is genesis */
	size_t count, cap;
	size_t header_only;         /* entries that are ENTRY_HEADER */
	struct full_entry **active; /* active chain by height */
	size_t active_count, active_cap;
	struct full_entry *best_header;
	uint64_t connect_order; /* the last one given */
	char **reasons;         /* texts read from the database that invalid_reason points to */
	size_t reason_count;
};

/* With genesis alone, CONNECTED and active. */
void index_init(struct index *index, const struct spec *spec);
void index_clear(struct index *index);

/* Reads all entries of the database; the active chain stays genesis. False if an entry is damaged or lacks
 * its parent. */
bool index_load(struct index *index, struct db *db, struct errmsg *err);
/* Writes the entry, and those of its ancestors that were never written. Not for genesis. */
void index_save(struct db_batch *index_batch, struct full_entry *full);

struct full_entry *index_find(const struct index *index, const uint8_t id[32]);
/* A new entry under its parent, ENTRY_HEADER (INVALID under an invalid parent). */
struct full_entry *index_add(struct index *index, const struct header *header, const uint8_t id[32]);

/* Marks the entry and all its descendants, and finds the best header anew. Saving the entry itself is enough. */
void index_invalidate(struct index *index, struct full_entry *full, const char *reason);
/* Takes INVALID back from the entry, its descendants and its ancestors; what of them is in the database goes into the
 * batch. */
void index_reconsider(struct index *index, struct full_entry *full, struct db_batch *index_batch);

/* Frees what is a header alone and not held, or was refused without ever being stored, and has no other descendants. */
void index_forget_headers(struct index *index);

/* Whether it is dated as early as may be; of such tips the lowest ticket wins a tie. */
bool index_is_earliest(const struct index *index, const struct index_entry *entry);
bool index_beats(const struct index *index, const struct index_entry *entry, const struct index_entry *rival);

/* The verified or connected entry with most work. Of several the first connected; but if that is dated as early as may
 * be, then the one with the lowest ticket among all that are. */
struct full_entry *index_best_verified(const struct index *index);

void index_set_status(struct index *index, struct full_entry *full, enum entry_status status);
/* What verifying it showed. */
void index_set_outcome(struct full_entry *full, const struct block_outcome *outcome);
/* Makes the branch that ends in `tip` the active chain. */
void index_set_active(struct index *index, struct full_entry *tip);

bool index_is_active(const struct index *index, const struct index_entry *entry);
/* The child of a late proof's parent on the branch that ends in `parent`, the parent of the block that lists it; NULL:
 * the proof cannot be late there. */
const struct index_entry *index_late_child(const struct index_entry *parent, const struct header *header);
const struct index_entry *index_fork(const struct index_entry *left, const struct index_entry *right);
size_t index_tips(const struct index *index, const struct index_entry **out, size_t max);

/* The facts children are judged by. */
void index_parent_view(const struct index_entry *entry, struct parent_view *parent_view);

static inline struct full_entry *entry_full(const struct index_entry *entry)
{
	return (struct full_entry *)(uintptr_t)entry;
}
static inline struct full_entry *entry_parent(const struct full_entry *full)
{
	return entry_full(full->entry.parent);
}
static inline bool entry_verified(const struct index_entry *entry)
{
	return entry->status == ENTRY_VERIFIED || entry->status == ENTRY_CONNECTED;
}
/* Its block is here, and its verdict is not. */
static inline bool entry_waits(const struct full_entry *full)
{
	return full->entry.status == ENTRY_STORED || (full->entry.status == ENTRY_HEADER && full->entry.held);
}

#endif
