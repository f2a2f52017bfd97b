/* The inside of the chain: its state, and what its rooms offer each other. Nothing outside src/chain includes this. */
#ifndef ATELIER_CHAIN_INTERNAL_H
#define ATELIER_CHAIN_INTERNAL_H

#include "chain/blobs.h"
#include "chain/block_records.h"
#include "chain/chain.h"
#include "chain/coins.h"
#include "chain/index.h"
#include "chain/mempool/mempool.h"
#include "chain/model/states.h"
#include "chain/verify/loose_pool.h"
#include "chain/verify/proof_cache.h"
#include "chain/verify/sources.h"
#include "store/db.h"
#include "store/record_file.h"

enum {
	CHAIN_SUBSCRIBERS = 8,
	PROOF_PLACE_SIZE = 36,      /* value of a DB_PROOF key */
	CHAIN_REORG_MAX = 100,      /* blocks undone without asking (doc/protocol.md section 15) */
	CHAIN_HEADERS_AHEAD = 4032, /* headers above the tip: digests are free, so header work proves nothing */
	CHAIN_HEADERS_MAX = 200000, /* headers without block bytes held in memory */
	CHAIN_OLD_FORK = 288,       /* deeper forks are stored only if their headers have more work than the tip */
};

struct blob_want {
	uint8_t root[32];
	uint64_t size;
};

/* A block that waits for its verdict: on disk, or held in memory (chain/verify/waiting.c). */
struct waiting_block {
	struct node *node;
	struct group *group;     /* who brought it */
	struct buf bytes;        /* while it is held */
	uint64_t order;          /* of arrival */
	bool dropped;            /* nobody stands for it any more: it goes when its job has ended */
	struct blob_want *wants; /* blobs it cannot do without: those it registers, then those its proofs train on */
	size_t want_count, registered_count;
};

struct chain {
	const struct spec *spec;
	struct workers *workers;
	char *datadir;
	int lock;
	struct db *db;
	struct record_file *blocks, *undos;
	struct index index;
	struct blobs *blobs;
	struct states *states;
	struct registry *registry; /* after the tip */
	struct coin_stats coin_stats;
	struct mempool *mempool;
	struct proof_cache *proofs;
	struct loose_pool *loose;
	struct chain_events events[CHAIN_SUBSCRIBERS];
	size_t event_count;
	/* Registry of a block off the tip, kept because its children will be asked for next. */
	const struct node *side_node;
	struct registry *side_registry;
	const struct node *refused; /* the best branch that is too deep to switch to; NULL: none, and no warning */
	/* Verification (chain/verify/waiting.c, chain/verify/jobs.c). */
	struct sources *sources;
	struct waiting_block *waiting;
	size_t waiting_count, waiting_cap;
	uint64_t waiting_order; /* the last one given */
	size_t held, held_max;  /* bytes of blocks in memory */
	struct block_job *jobs;
	size_t job_count, request_count,
		strangers_count; /* jobs, those that wait for a state, and strangers' of both */
	uint64_t proofs_executed, proofs_false;
	bool advancing, again; /* chain_advance is at work, and was asked again meanwhile */
	bool closing;
	bool initial_download;
	bool failed;             /* the disk did */
	const atomic_bool *stop; /* asks chain_open and chain_import to give up; NULL: nobody does */
};

static inline bool chain_stopped(const struct chain *chain)
{
	return chain->stop != NULL && atomic_load(chain->stop);
}

/* Tells every subscriber that wants to know. */
#define NOTIFY(chain, notice, ...)                                                                    \
	do {                                                                                          \
		for (size_t i_ = 0; i_ < (chain)->event_count; i_++)                                  \
			if ((chain)->events[i_].notice != NULL)                                       \
				(chain)->events[i_].notice((chain)->events[i_].context, __VA_ARGS__); \
	} while (0)

static inline struct node *chain_tip_node(const struct chain *chain)
{
	return chain->index.active[chain->index.active_count - 1];
}

/* chain.c. The disk failed: log, fatal notice, and no further writes. Always returns CHAIN_ERROR. */
enum chain_result chain_fail(struct chain *chain, const struct errmsg *err);
/* Damage that this run can do nothing about: puts what the operator can do before the error. */
void chain_name_remedy(struct errmsg *err);
/* Once the tip is a day old at most, the first download is over, for good. */
void chain_update_download(struct chain *chain);

/* connect.c. Connects what has most work, then starts what can be verified. */
void chain_advance(struct chain *chain);
/* Rules that need coins and registry, for a block on the tip; nothing changes. */
enum connect_result { CONNECT_OK, CONNECT_INVALID, CONNECT_FAILED };
enum connect_result connect_check(struct chain *chain, struct node *node, const struct block *block,
	struct reject *reject, struct errmsg *err);
/* Marks the entry (and its descendants) refused, for good. */
void connect_refuse(struct chain *chain, struct node *node, const char *reason);

/* branch.c. The registry after any verified block: the tip's own, or one derived from it. Borrowed until the next call.
 * NULL with the error set if a block on the way cannot be read. */
const struct registry *branch_registry(struct chain *chain, const struct node *node, struct errmsg *err);

/* gather.c. What the proofs of a block's children train on. */
struct draw {
	const struct registry *registry;
	uint32_t dataset[OUTCOME_MAX_SLOTS];
};
void step_inputs_draw(const struct chain *chain, const struct registry *registry, const struct index_entry *parent,
	struct draw *draw);
/* Windows of a proof, the caller's; NULL if the dataset's bytes are not here: then `missing`, if not NULL,
 * names them. */
uint8_t *step_inputs_windows(struct chain *chain, const struct draw *draw, const struct header *header, uint32_t *slot,
	struct blob_want *missing, struct errmsg *err);
/* A whole block's job: takes the reference to the parent's state. With `known`, bodies of proofs that were executed
 * before are used again. Fills dataset and v_ref of the outcome. On failure the job is cleared. */
bool step_inputs_block(struct chain *chain, const struct node *node, const struct block *block, struct state *parent,
	bool known, struct verify_job *job, struct block_outcome *outcome, struct blob_want *missing,
	struct errmsg *err);

/* waiting.c. Pointers to a waiting block are good until the next one is added or removed. */
void waiting_init(struct chain *chain, size_t held_bytes);
void waiting_clear(struct chain *chain);
/* The block of an entry that is stored: it will be verified. */
void waiting_add(struct chain *chain, struct node *node, const struct block *block);
/* A stranger's block, in memory; others may have to go for it. False: there is no room for it. */
bool waiting_hold(struct chain *chain, struct node *node, const struct block *block, const struct source *source);
/* Writes the block, held or not, and its entry, which then is ENTRY_STORED. */
bool waiting_store(struct chain *chain, struct node *node, const struct block *block, struct errmsg *err);
struct block *waiting_read(const struct chain *chain, const struct waiting_block *waiting, struct errmsg *err);
struct waiting_block *waiting_find(const struct chain *chain, const struct node *node); /* NULL: it does not wait */
void waiting_drop(struct chain *chain, struct waiting_block *waiting);
/* Lets go of what a group has here, but for what is in work; that only if `discouraged`, when its job ends. */
void waiting_forget(struct chain *chain, const struct group *group, bool discouraged);
/* Drops those that wait no more: refused meanwhile, or forgotten. */
void waiting_prune(struct chain *chain);
/* Whether the blob is here in the size that was registered: a wrong size never comes true. */
bool blob_is_here(const struct chain *chain, const struct blob_want *want);
bool waiting_has_blobs(const struct chain *chain, const struct waiting_block *waiting);
void waiting_want(struct waiting_block *waiting, const struct blob_want *missing);     /* one more blob */
void waiting_ask(struct chain *chain, const struct waiting_block *waiting);            /* tells what is missing */
void waiting_tell_wants(const struct chain *chain, const struct chain_events *events); /* all that is missing, to one */
/* And to all: who was told once may have given up. */
void waiting_ask_again(struct chain *chain);
/* Whether a waiting block wants the blob now. */
bool waiting_wants(const struct chain *chain, const struct blob_want *want);

/* jobs.c */
void jobs_start(struct chain *chain);
void jobs_load(const struct chain *chain, struct workload *load); /* what the workers do */
void jobs_cancel_dropped(struct chain *chain);
void jobs_stop(struct chain *chain); /* cancels all and waits */

/* reindex.c. Block files are read again, and every block that fits is ENTRY_STORED in the database; it is verified
 * again as any other. From reindex_begin on, which comes before the old database goes, until reindex_run has come to
 * its end one is `needed`: the next start begins it anew. */
bool reindex_needed(const struct chain *chain);
bool reindex_begin(const struct chain *chain, struct errmsg *err);
bool reindex_run(struct chain *chain, const struct chain_options *options, struct errmsg *err);
/* The same for what lies in the block files behind all that a loaded index names: a database that lost its last writes
 * (its log is gone or cut short, or it is an older copy) opens without complaint, and its blocks must not be lost for
 * it. */
bool reindex_rest(struct chain *chain, const struct chain_options *options, struct errmsg *err);

#endif
