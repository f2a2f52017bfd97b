/* The chain: which blocks there are, which are connected, and the one tip that counts.
 *
 * Everything here runs on the loop thread; long work goes to the queue as pure jobs and comes back through
 * queue_drain. A block takes this way:
 *
 *   chain_add_header   header known: parent known, bits, times, ticket right
 *   chain_add_block    bytes here: structure right; held in memory until its parent's verdict
 *   verify jobs        on a worker: its own proof executed, which is what puts it on disk; then, with the blobs it
 *                      registers here, the others, and state and outcome computed (consensus/verify.h)
 *   commit             on the loop: coins, coinbase, registry; one atomic write; the best wins (chain_beats)
 *
 * What has been acknowledged survives kill -9: block bytes are synced before the index names them, and tip, coins,
 * registry and index change in one synced LevelDB batch.
 *
 * Ownership: index entries live as long as the chain (bare headers until chain_forget_headers); blocks handed in belong
 * to the chain; what `read` functions return is the caller's. */
#ifndef ATELIER_CHAIN_CHAIN_H
#define ATELIER_CHAIN_CHAIN_H

#include <stdatomic.h>

#include "consensus/block.h"
#include "consensus/branch/registry.h"
#include "consensus/target.h"
#include "consensus/verify.h"
#include "ml/state.h"
#include "util/error.h"
#include "util/queue.h"

struct chain;

enum entry_status {
	ENTRY_HEADER,    /* header alone */
	ENTRY_STORED,    /* block bytes on disk */
	ENTRY_VERIFIED,  /* proofs executed, outcome known; side branches stay here */
	ENTRY_CONNECTED, /* every rule held, coins included; may be off the active chain again */
	ENTRY_INVALID,   /* refused, or descends from a refused block */
};

struct index_entry {
	uint8_t id[32], ticket[32];
	struct header header;
	struct index_entry *parent;   /* NULL: genesis */
	uint32_t height, median_time; /* median of the 11 blocks up to and with this one */
	struct u256 chain_work;
	enum entry_status status;
	const char *invalid_reason; /* static text, if INVALID */
	bool held;                  /* HEADER, and its block waits in memory until its own proof is found right */
	uint32_t tx_count, loose_count, late_count; /* while held, and from ENTRY_STORED on */
	uint64_t connect_order;                     /* 1, 2, ... in order of first connection; 0: never connected */
	/* From ENTRY_VERIFIED on: */
	uint8_t *outcome_bytes; /* what it did; chain_outcome reads it */
	size_t outcome_size;
	uint8_t model_root_after[32];
	uint32_t verify_ms; /* what its verification took in this run; 0: an earlier one verified it */
};

/* Who brought a block or a proof. Whoever has left by the time of the verdict is still known by the group. */
enum { SOURCE_GROUP = 16 };
struct source {
	uint64_t peer;               /* the connection's number; 0: this node itself, or its operator */
	uint8_t group[SOURCE_GROUP]; /* its address, or what addresses one owner has: jobs and memory are shared out by
					it */
	bool chosen;                 /* the operator named it */
};

/* Notices, called on the loop after the change is durable. Any may be NULL. `source` is what the caller gave to
 * chain_add_*; with transactions and blobs a peer's number, 0 for this node itself. */
struct chain_events {
	void *context;
	/* The active chain lost or gained a block. registry etc. already show the new tip when `tip` is called, once,
	 * last. */
	void (*disconnected)(void *context, const struct index_entry *entry, const struct block *block);
	void (*connected)(void *context, const struct index_entry *entry, const struct block *block);
	void (*tip)(void *context, const struct index_entry *tip);
	/* The own proof of a block has been executed and is right: it may be announced. */
	void (*block_proven)(void *context, const struct index_entry *entry, const struct source *source);
	/* Verdict over a block: reject NULL when verified. */
	void (*block_verdict)(void *context, const struct index_entry *entry, const struct source *source,
		const struct reject *reject);
	/* Verdict over a loose proof: reject NULL when it is right and in the pool. */
	void (*proof_verdict)(void *context, const struct header *header, const struct source *source,
		const struct reject *reject);
	/* A transaction entered the mempool, or left it other than by a block. */
	void (*tx_added)(void *context, const struct tx *tx, uint64_t source);
	void (*tx_removed)(void *context, const struct tx *tx, const char *reason);
	/* A block whose own proof is right, or a transaction, needs this blob before it can go on. Told again as time
	 * goes. */
	void (*blob_wanted)(void *context, const uint8_t root[32], uint64_t size, uint64_t source);
	/* The same for a transaction of a round alone: it is this peer's turn, and nobody else is asked. */
	void (*blob_turn)(void *context, const uint8_t root[32], uint64_t size, uint64_t peer);
	/* One that waited had to make room for others, unseen: this peer, who offered it, may be asked for it again. */
	void (*tx_put_off)(void *context, const struct tx *tx, uint64_t peer);
	/* The disk failed (full, read error): what was acknowledged is safe, nothing more is taken, and the node should
	 * stop. Told once; from then on every chain_add_* gives CHAIN_ERROR. */
	void (*fatal)(void *context, const char *why);
};

struct chain_options {
	const char *datadir;        /* the network's own directory; made if missing */
	const struct spec *spec;    /* outlives the chain */
	struct queue *queue;        /* of all long work; outlives the chain */
	unsigned threads;           /* of it that verify at most; 0: all */
	uint32_t snapshot_interval; /* blocks between model snapshots; 0: the default */
	size_t mempool_bytes;       /* 0: 64 MiB */
	size_t held_bytes;          /* for blocks whose proof has not been executed; 0: 64 MiB */
	bool reindex;               /* forget index and coins, read the block files again */
	uint32_t prune;             /* blocks whose proofs' bodies and runs' bytes stay; 0: of all */
	void (*progress)(void *context, const char *what, uint32_t done,
		uint32_t total); /* long start-ups; may be NULL. Told while no worker has a job, so that it may turn the
				  * loop */
	void *progress_context;
	/* Set from outside, by a signal handler too: chain_open and chain_import give up within a moment, and what they
	 * have done so far is kept or done again by the next start. May be NULL. */
	const atomic_bool *stop;
};

/* Opens or creates, replays the model from the newest sound snapshot. Only one process may hold a datadir. */
struct chain *chain_open(const struct chain_options *options, struct errmsg *err);
/* Copied. Blobs that blocks wait for already (after a restart) are told at once. */
void chain_subscribe(struct chain *chain, const struct chain_events *events);
/* Whoever subscribed with this context is told nothing any more. */
void chain_unsubscribe(struct chain *chain, const void *context);
/* Cancels jobs, waits for them, writes a snapshot if worthwhile. */
void chain_close(struct chain *chain);
/* What to tell those who are not answered any more: that the node ends, or how the disk failed, which is why it does.
 */
const char *chain_last_words(const struct chain *chain);

const struct spec *chain_spec(const struct chain *chain);
const struct index_entry *chain_genesis(const struct chain *chain);
const struct index_entry *chain_tip(const struct chain *chain);
const struct index_entry *chain_best_header(
	const struct chain *chain); /* most work by headers, invalid ones excluded */
const struct index_entry *chain_find(const struct chain *chain, const uint8_t id[32]); /* NULL: unknown */
const struct index_entry *chain_at(const struct chain *chain, uint32_t height);        /* active chain; NULL above */
bool chain_is_active(const struct chain *chain, const struct index_entry *entry);
/* What a verified block did, read into `outcome`, which is returned; of another entry, nothing and of no slots. Any
 * thread. */
const struct block_outcome *chain_outcome(const struct index_entry *entry, struct block_outcome *outcome);
/* The entry itself or its ancestor at that height; NULL: the height is above it. */
const struct index_entry *chain_ancestor(const struct index_entry *entry, uint32_t height);
/* Whether `entry` goes before `rival`: it has more work, or as much, both are dated as early as may be, and its ticket
 * is the lower one. False for both of a tie: then the first connected stays. */
bool chain_beats(const struct chain *chain, const struct index_entry *entry, const struct index_entry *rival);
/* Tips of all branches, for getchaintips; returns how many were written (at most max). */
size_t chain_tips(const struct chain *chain, const struct index_entry **out, size_t max);
const struct registry *chain_registry(const struct chain *chain); /* of the tip */
struct state *chain_state(struct chain *chain);                   /* after the tip; a new reference */
/* State after any verified block: at once from memory, else NULL and `ready` is called later (state NULL: not to be
 * had). */
struct state *chain_state_at(struct chain *chain, const struct index_entry *entry,
	void (*ready)(void *context, struct state *state), void *context);

/* ORPHAN: nothing wrong, but something it needs is missing; `reject` then says what (REJECT_NOT_YET). ERROR: the disk
 * failed; the log, the fatal notice and `reject` (REJECT_NOT_YET, "disk-failed") say how. Whatever the result, what was
 * handed in belongs to the chain. */
enum chain_result { CHAIN_NEW, CHAIN_KNOWN, CHAIN_ORPHAN, CHAIN_REJECTED, CHAIN_ERROR };

/* ORPHAN: the parent is not known. REJECTED with REJECT_NOT_YET, "time-too-new": it is right but for that. */
enum chain_result chain_add_header(struct chain *chain, const struct header *header, const struct index_entry **entry,
	struct reject *reject);
/* Headers cost next to nothing to make, and so many are held at most: then new ones are refused (REJECT_NOT_YET,
 * "too-many-headers"). This forgets all that are headers alone and lead to no block that is here, and those refused
 * before they were stored: the caller, and all others, must have let go of every entry that is ENTRY_HEADER or
 * ENTRY_INVALID. */
void chain_forget_headers(struct chain *chain);
/* Takes the block: NEW means that block_verdict follows once its proofs have been executed, unless its source is
 * forgotten before. A stranger's is held in memory until its own proof is right, and only then stored; this node's own
 * (source NULL) is stored at once. Bodies that came along are compared with their digests and dropped: execution gives
 * them anew. ORPHAN: the parent is not known. REJECTED with REJECT_NOT_YET, "block-pool-full": there is no room for it
 * now. A block that is held may have to make room later: then it is a header alone again. */
enum chain_result chain_add_block(struct chain *chain, const struct block *block, const struct source *source,
	struct reject *reject);
/* Bytes of blocks that may come from there before any must make room. */
size_t chain_room(struct chain *chain, const struct source *source);
/* A loose proof for the tip's child, or one that it could list late: executed on a worker, then proof_verdict. KNOWN:
 * it was judged, or the active chain has it. ORPHAN: not for the present tip, nor for one of the blocks just below.
 * REJECTED with REJECT_NOT_YET: it may be tried again when something here has been judged (its address has one in work,
 * another brought the same, there is no place). */
enum chain_result chain_add_loose(struct chain *chain, const struct header *header, const struct source *source,
	struct reject *reject);
/* Nobody of this group is connected any more: what it brought and what has not been begun is forgotten, and may come
 * from others. What is being executed goes on, so that the verdict finds the group. `discouraged`: that is known to be
 * nothing worth knowing, and ends too. */
void chain_forget_source(struct chain *chain, const struct source *source, bool discouraged);
/* A block that this node's own miner found, and the body of its proof, which is known to be right. Both are taken. */
enum chain_result chain_add_own(struct chain *chain, const struct block *block, uint8_t *body, struct reject *reject);
/* A proof of its own that makes no block: of another share, or of a block that came too late. The body is taken.
 * ORPHAN: no block can list it, now or later. */
enum chain_result chain_add_own_proof(struct chain *chain, const struct header *header, uint8_t *body,
	struct reject *reject);
/* ORPHAN: an input is not known (the transaction is dropped), or the blob of a contribution is missing (reason
 * "missing-blob": the transaction is kept, blob_wanted is told, and it enters the mempool when the blob comes), or its
 * commitment is not old enough; the same again while it is kept. Source NULL: this node's own. */
enum chain_result chain_add_tx(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject);
/* One of this node's own that waits for its blob or its commitment is given up; what is in the mempool stays there. */
void chain_abandon_tx(struct chain *chain, const uint8_t wtxid[32]);
/* Whether a blob could be registered on the tip as far as its bytes go: its pages, and what it has in common with the
 * datasets that are there (doc/protocol.md section 12). Before anything is spent; it takes a second or two for the
 * largest. */
bool chain_judge_blob(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	struct reject *reject);
/* True: a worker looks at them first, and `told` is called when chain_judge_blob answers at once; the data are copied.
 * False: it does so now, or nearly. Before the chain is closed whoever waits has it forgotten. */
bool chain_judge_blob_soon(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	void (*told)(void *context), void *context);
void chain_judge_forget(struct chain *chain, const void *context);
/* Stores a blob's bytes if something waits for it or `keep` (the wallet's own). REJECTED: bytes do not match the root,
 * or too many unconfirmed blobs are held. ORPHAN: nobody asked for it. */
enum chain_result chain_add_blob(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	bool keep, struct reject *reject);
/* The same for bytes that come in parts, from one peer: they are added from the first to the last to a draft, a file
 * beside the blobs. `add`, false: the disk failed. `end`, when all are here: a worker holds them against the root, and
 * the loop then calls `told` once, with what chain_add_blob would have said; the draft is the chain's from then on.
 * `drop`, before or after that: nobody waits for it any more, and nothing is told. */
struct blob_draft;
typedef void chain_draft_told(void *context, enum chain_result result, const struct reject *reject);
struct blob_draft *chain_draft_new(struct chain *chain, const uint8_t root[32], uint64_t size,
	const struct source *source);
bool chain_draft_add(struct blob_draft *draft, const uint8_t *bytes, size_t count);
void chain_draft_end(struct blob_draft *draft, chain_draft_told *told, void *context);
void chain_draft_drop(struct blob_draft *draft);
/* A connection is gone: what is asked of it alone is not waited for. */
void chain_peer_gone(struct chain *chain, uint64_t peer);
/* To be called every now and then, for what waits until time has passed. */
void chain_tick(struct chain *chain);
/* The wallet keeps it no more: it goes unless something else here needs it. */
void chain_release_blob(struct chain *chain, const uint8_t root[32]);
/* Whether a block or a transaction here needs a blob of that size (0: of any). */
bool chain_wants_blob(const struct chain *chain, const uint8_t root[32], uint64_t size);
/* What becomes of asking for a blob that is wanted: a request has gone out to this peer; it ended without the bytes, as
 * he has not got them, sends nothing in time, or has left. */
void chain_blob_asked(struct chain *chain, const uint8_t root[32], const struct source *source);
void chain_blob_failed(struct chain *chain, const uint8_t root[32], const struct source *source);
/* A part of one has come from him, after all that lie before it. False: it shows that no more is to be asked of him. */
bool chain_blob_came(struct chain *chain, const uint8_t root[32], const struct source *source, size_t offset,
	const uint8_t *bytes, size_t count);

/* What is here to be served. */
const struct block *chain_read_block(struct chain *chain, const struct index_entry *entry,
	struct errmsg *err); /* with bodies */
const struct block *chain_read_bare(struct chain *chain, const struct index_entry *entry,
	struct errmsg *err); /* without */
bool chain_has_blob(const struct chain *chain, const uint8_t root[32]);
/* Which earlier dataset a registered one, not the corpus, is most like (doc/protocol.md section 12): how many of its
 * `samples` sampled strings that has too. A second or two for the largest. */
bool chain_resemblance(const struct chain *chain, uint32_t number, uint32_t *dataset, size_t *shared, size_t *samples,
	struct errmsg *err);
/* So many bytes of it, which it must have, are appended. The first time in a run the whole is held against its root:
 * by the call itself, unless chain_blob_ready was asked until it was true. False: a worker does that, ask again. */
uint64_t chain_blob_size(const struct chain *chain, const uint8_t root[32]); /* 0: it is not here */
bool chain_blob_ready(struct chain *chain, const uint8_t root[32]);
bool chain_read_piece(struct chain *chain, const uint8_t root[32], uint64_t offset, size_t count, struct buf *bytes,
	struct errmsg *err);

/* Pruning: the bodies of proofs, the bytes of runs and the states of the model that blocks up to this height came with
 * are gone; 0: none are. `prunes`: they go, sooner or later. */
uint32_t chain_pruned(const struct chain *chain);
bool chain_prunes(const struct chain *chain);
bool chain_serves_all(const struct chain *chain); /* all that others need to verify the chain from its beginning */
bool chain_is_pruned(const struct chain *chain, uint32_t height, struct errmsg *err); /* of a block there; says so */
/* Bytes that blocks, undo records, blobs and snapshots of the model take on the disk. */
uint64_t chain_disk_size(const struct chain *chain);

/* A coin of the active chain. */
struct coin {
	struct tx_output output; /* owned */
	uint32_t height;
	bool coinbase;
};
bool chain_coin(struct chain *chain, const struct outpoint *outpoint, struct coin *coin); /* false: none */
void chain_coin_clear(struct coin *coin);
struct coin_stats {
	uint64_t coins;
	int64_t amount;
};
void chain_coin_stats(struct chain *chain, struct coin_stats *stats);
/* The coins that a block took which is connected, or was once: by each input of its transactions, in their order, then
 * of each seat that it struck (`tx` NULL). For an index beside the chain's. False with the error set if the record
 * cannot be read, or is not that of this block; some may have been visited then. */
struct spent_coin {
	const struct tx *tx;      /* that spends it; NULL: it was struck */
	struct outpoint outpoint; /* where it came from */
	struct coin coin;         /* borrowed for the time of the visit */
};
typedef void chain_visit_spent(void *context, size_t tx_index, const struct spent_coin *spent);
bool chain_read_spent(struct chain *chain, const struct index_entry *entry, const struct block *block,
	chain_visit_spent *visit, void *context, struct errmsg *err);
/* Where a confirmed transaction of the active chain is (kept for every transaction). */
const struct index_entry *chain_find_tx(struct chain *chain, const uint8_t txid[32], const struct tx **tx);
/* The block of the active chain that holds a proof, and its place there, as of block_proof. */
const struct index_entry *chain_find_proof(struct chain *chain, const uint8_t id[32], size_t *index);
/* The dataset that a proof in this verified block trained on. */
uint32_t chain_proof_dataset(const struct chain *chain, const struct index_entry *entry, const struct header *proof);

/* The mempool. */
struct mempool_entry {
	const struct tx *tx;
	uint8_t txid[32], wtxid[32];
	int64_t fee;
	size_t weight;
	uint64_t time;
	uint32_t height;
};
size_t chain_mempool_count(const struct chain *chain);
size_t chain_mempool_bytes(const struct chain *chain);
const struct mempool_entry *chain_mempool_find(const struct chain *chain, const uint8_t txid[32]);
const struct mempool_entry *chain_mempool_find_wtxid(const struct chain *chain, const uint8_t wtxid[32]);
void chain_mempool_each(const struct chain *chain, void (*visit)(void *context, const struct mempool_entry *entry),
	void *context);
/* The mempool transaction that spends this output, or NULL. */
const struct mempool_entry *chain_mempool_spender(const struct chain *chain, const struct outpoint *outpoint);

/* Right proofs that the next block may list: the loose ones ascending by seed, the late ones by their parent's height
 * and then by seed. `get`: NULL beyond the last. */
size_t chain_loose_count(const struct chain *chain);
const struct header *chain_loose_get(const struct chain *chain, size_t index);
size_t chain_late_count(const struct chain *chain);
const struct header *chain_late_get(const struct chain *chain, size_t index);
const struct header *chain_candidate(const struct chain *chain, const uint8_t id[32]); /* any of them; NULL: none */
bool chain_loose_known(const struct chain *chain, const uint8_t id[32]);               /* it was judged */
bool chain_loose_in_work(const struct chain *chain, const uint8_t id[32]);             /* it will be */

/* A new template on the tip: coinbase, best-paying transactions, loose proofs, all but nonce and digest. A later
 * attempt takes a newer one. */
struct block *chain_template(struct chain *chain, const uint8_t miner[32]);
/* Seconds until this machine's clock would take the tip itself; 0: it does, as it must have once. */
int64_t chain_clock_lag(const struct chain *chain);
/* Whether a block that beats the tip is being verified and its own proof has been found right. */
bool chain_is_overtaken(const struct chain *chain);
/* A blob without which no block of more work can be verified or connected: its root, and the height of the lowest block
 * that waits for it. False if there is none. */
bool chain_awaited_blob(const struct chain *chain, uint8_t root[32], uint32_t *height);
/* Takes up blocks that were put off as something could not be read, a file or a model state, once they are due: to be
 * called each second. The height of such a block and the reason, until it is verified; false: there is none. */
bool chain_retry(struct chain *chain, uint32_t *height, struct errmsg *why);
/* A blob that the tip's branch has a disclosure of, in the open round, and that is not here any more: its root, and the
 * height of the block that ends the round, which cannot be verified without it. False if there is none. */
bool chain_missing_run(const struct chain *chain, uint8_t root[32], uint32_t *height);
/* Whether that block waits for a blob that is not here: its root. */
bool chain_block_awaits(const struct chain *chain, const struct index_entry *entry, uint8_t root[32]);
/* What an attempt on the tip needs: the bytes of the windows for this header's seed (the caller's), its slot and that
 * slot's dataset. NULL if header.prev is not the tip, or the dataset's bytes cannot be read; what is not here is asked
 * for. */
uint8_t *chain_attempt_windows(struct chain *chain, const struct header *header, uint32_t *slot, uint32_t *dataset);

/* What a segment of a run trains on: run_windows_size bytes (ml/run.h), the caller's, of this dataset of the tip's
 * registry. NULL with the error set if its bytes cannot be read. */
uint8_t *chain_run_windows(struct chain *chain, uint32_t dataset, const uint8_t segment_seed[32], struct errmsg *err);
/* The registry after a verified block. Borrowed until the next call, or until the tip changes; NULL with the error set
 * if a block on the way cannot be read. */
const struct registry *chain_registry_at(struct chain *chain, const struct index_entry *entry, struct errmsg *err);

/* Headers for a peer. A locator is ids from the tip back, sparser and sparser, ending with genesis. */
size_t chain_locator(const struct chain *chain, const struct index_entry *from, uint8_t (*ids)[32], size_t max);
const struct index_entry *chain_fork_point(const struct chain *chain, const uint8_t (*locator_ids)[32],
	size_t locator_count);

/* Rechecks, for auditblock and auditproof. A verified block can be executed again when all states that its proofs start
 * from are in memory: chain_audit_missing gives one that is not, to be asked for (chain_state_at), or NULL. */
const struct index_entry *chain_audit_missing(struct chain *chain, const struct index_entry *entry);
/* Gathers on the loop what a verify job needs for a verified block whose bytes are here; every proof will be executed
 * again. NULL with the error set if the block or a dataset is missing. */
struct chain_audit;
struct chain_audit *chain_audit_new(struct chain *chain, const struct index_entry *entry, struct errmsg *err);
/* The rest, which is large, on any thread and before the job is run. False with the error set if files are damaged:
 * bodies that are kept must hash to their digests, bytes of runs to their roots. */
bool chain_audit_read(struct chain_audit *audit, struct errmsg *err);
struct verify_job *chain_audit_job(struct chain_audit *audit); /* the audit's */
/* On the loop, and not after chain_close. What was found damaged is believed from then on. */
void chain_audit_free(struct chain_audit *audit);

/* Reads a file of serialised blocks, each  magic 4 | u32 size | block of doc/protocol.md section 8, and adds each of
 * them
 * (-loadblock). Damaged stretches are skipped. False if the file cannot be read, or the disk failed. Waits for
 * verification where the file is long; what is still to be verified at its end goes on as for blocks from peers. */
struct import_result {
	size_t added; /* new blocks */
	int64_t due;  /* 0, or: some are too new for this machine's clock, and from this Unix time on it is
			 worth while to read the file again */
};
bool chain_import(struct chain *chain, const char *path, struct import_result *result, struct errmsg *err);
/* Appends such a record of a verified block, bodies included. */
bool chain_export_block(struct chain *chain, const struct index_entry *entry, struct buf *exported, struct errmsg *err);

/* How verification stands, for gettraininginfo. */
struct chain_activity {
	size_t blocks_waiting, blocks_verifying, proofs_verifying;
	uint64_t proofs_executed, proofs_false; /* since the start */
	uint32_t steps_done, steps_total;       /* of the block in work */
	bool initial_download;
};
void chain_activity(const struct chain *chain, struct chain_activity *activity);

/* Operator's overrides: refuse a block and its descendants, or take that back. */
bool chain_invalidate(struct chain *chain, const struct index_entry *entry, struct errmsg *err);
bool chain_reconsider(struct chain *chain, const struct index_entry *entry, struct errmsg *err);

#endif
