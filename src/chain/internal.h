/* The inside of the chain: its state. Nothing outside src/chain includes this.
 *
 * It is one struct because one thread owns all of it, and because one write to the database changes several members
 * together. Whoever can do with a few of them takes those and not the struct. */
#ifndef ATELIER_CHAIN_INTERNAL_H
#define ATELIER_CHAIN_INTERNAL_H

#include "chain/blobs.h"
#include "chain/chain.h"
#include "chain/coins.h"
#include "chain/connect.h"
#include "chain/index.h"
#include "chain/kept.h"
#include "chain/mempool/mempool.h"
#include "chain/model/prune.h"
#include "chain/model/states.h"
#include "chain/notices.h"
#include "chain/novelty/judge.h"
#include "chain/verify/audits.h"
#include "chain/verify/candidates.h"
#include "chain/verify/loose_pool.h"
#include "chain/verify/proof_cache.h"
#include "chain/verify/sources.h"
#include "chain/verify/waiting.h"
#include "store/db.h"
#include "store/record_file.h"
#include "util/team.h"

enum { PROOF_PLACE_SIZE = 36 }; /* value of a DB_PROOF key */

struct block_job;

struct chain {
	const struct spec *spec;
	struct queue *queue;
	unsigned threads;     /* of the queue's, for a block */
	struct team *signers; /* who check signatures with the loop\'s thread (chain/signatures.h) */
	char *datadir;
	int lock;
	struct db *db;
	struct record_file *blocks, *undos;
	struct index index;
	struct blobs *blobs;
	struct judge *judge;
	struct states *states;
	struct registry *registry; /* after the tip */
	struct coin_stats coin_stats;
	struct mempool *mempool;
	struct proof_cache *proofs;
	struct loose_pool *loose;
	struct candidates *candidates;
	struct audits *audits;
	struct notices notices;
	/* Registry of a block off the tip, kept because its children will be asked for next. */
	const struct full_entry *side_entry;
	struct registry *side_registry;
	const struct full_entry
		*refused; /* the best branch that is too deep to switch to; NULL: none, and no warning */
	/* Verification (chain/verify/waiting.h, chain/verify/dispatch.h). */
	struct sources *sources;
	struct waiting_block *waiting;
	size_t waiting_count, waiting_cap;
	uint64_t waiting_order; /* the last one given */
	/* Bytes of memory: of blocks that wait and are on no disk. With what is kept beside they stay within the most.
	 */
	size_t held, held_max;
	struct kept_blocks kept;
	struct pruning pruning;
	struct checked_block checked[CONNECT_CHECKED]; /* a ring: the oldest makes room */
	size_t checked_next;
	/* Verified, and the index on disk does not know it yet, as their bodies are not synced: saved with the next
	 * block that is connected, or when choose_advance has ended. */
	struct full_entry **unsaved;
	size_t unsaved_count, unsaved_cap;
	struct block_job *jobs;
	size_t job_count, request_count; /* jobs, and those that wait for a state */
	/* The last block that was put off, as something could not be read (chain/verify/waiting.h). */
	const struct full_entry *put_off; /* NULL: none, or it does not wait any more */
	struct errmsg put_off_why;
	int64_t put_off_ms, retry_at; /* for how long; of clock_mono_ms */
	uint64_t proofs_executed, proofs_false;
	/* What a block costs on its way, for tests: each is parsed where it comes in, and then no more. */
	struct {
		uint64_t read;    /* from disk, and parsed */
		uint64_t parsed;  /* from bytes held in memory */
		uint64_t checked; /* against the coins */
	} counts;
	bool advancing; /* choose_advance is at work */
	bool again;     /* there may be a better branch, or something to verify: choose_advance looks */
	bool closing;
	bool initial_download;
	bool failed; /* the disk did, and how */
	struct errmsg failure;
	const atomic_bool *stop; /* asks chain_open and chain_import to give up; NULL: nobody does */
};

#endif
