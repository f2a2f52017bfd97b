/* Verdicts on disclosed segments: a ring of them, and the one job that makes more. */
#include "chain/verify/audits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/model/run_blobs.h"
#include "chain/tip.h"
#include "chain/verify/segments.h"
#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/log.h"
#include "util/map.h"
#include "util/mem.h"

enum {
	AUDITS_MAX = 4096, /* some rounds of the largest, on some branches */
	AUDITS_RECORD_KEY = 1 + 4 + 32,
};

struct audited {
	uint8_t key[32];
	enum audits_verdict verdict; /* UNKNOWN: it could not be made; the block that merges tries again */
	bool is_old;                 /* of an earlier process, and this one has not looked at the blob yet */
};

struct audits_job {
	struct chain *chain;
	struct verify_segment segment;
	uint8_t key[32], blob_root[32];
	uint32_t base, height; /* of the round's base, and of the seat */
	uint32_t length;       /* of its run */
	atomic_bool cancel;
	bool is_known;          /* the blob is to be looked at, and no more */
	enum blobs_found found; /* of the blob */
	bool is_made, is_right;
};

struct audits {
	struct map by_key;
	struct audited *ring; /* AUDITS_MAX places, filled in turn */
	size_t next, count;
	struct audits_job *job; /* the one under way; NULL: none */
	bool base_awaited;      /* a state is being rebuilt for it */
};

struct audits *audits_new(void)
{
	struct audits *audits = mem_calloc(1, sizeof *audits);

	audits->ring = mem_calloc(AUDITS_MAX, sizeof *audits->ring);
	map_init(&audits->by_key);
	return audits;
}

void audits_free(struct audits *audits)
{
	if (audits == NULL)
		return;
	free(audits->ring);
	map_clear(&audits->by_key);
	free(audits);
}

/* --- verdicts --- */

void audits_key(const uint8_t segment_seed[32], const uint8_t blob_root[32], uint8_t key[32])
{
	uint8_t both[64];

	memcpy(both, segment_seed, 32);
	memcpy(both + 32, blob_root, 32);
	sha256(key, both, sizeof both);
}

enum audits_verdict audits_verdict(const struct audits *audits, const uint8_t key[32])
{
	const struct audited *audited = map_get(&audits->by_key, key);

	return audited != NULL ? audited->verdict : AUDITS_UNKNOWN;
}

void audits_put(struct audits *audits, const uint8_t key[32], enum audits_verdict verdict)
{
	struct audited *audited = map_get(&audits->by_key, key);

	if (audited == NULL) {
		audited = &audits->ring[audits->next];
		audits->next = (audits->next + 1) % AUDITS_MAX;
		if (audits->count == AUDITS_MAX)
			map_remove(&audits->by_key, audited->key);
		else
			audits->count++;
		memcpy(audited->key, key, 32);
		audited->verdict = AUDITS_UNKNOWN;
		audited->is_old = false;
		map_put(&audits->by_key, key, audited);
	}
	/* What was found out stays found out. */
	if (verdict != AUDITS_UNKNOWN)
		audited->verdict = verdict;
}

/* --- in the database --- */

static void audits_record_key(uint32_t base, const uint8_t key[32], uint8_t record_key[AUDITS_RECORD_KEY])
{
	record_key[0] = DB_AUDIT;
	write_be32(record_key + 1, base);
	memcpy(record_key + 5, key, 32);
}

/* Each is a segment that was executed here, so there are no more of them than blocks have room for, on branches that
 * were verified. */
void audits_keep(struct chain *chain, uint32_t base, const uint8_t key[32], enum audits_verdict verdict)
{
	const bool is_news = verdict != AUDITS_UNKNOWN && audits_verdict(chain->audits, key) != verdict;
	const uint8_t record = (uint8_t)verdict;
	uint8_t record_key[AUDITS_RECORD_KEY];
	struct db_batch *audit_batch;
	struct errmsg err;

	audits_put(chain->audits, key, verdict);
	if (!is_news || chain->failed)
		return;
	audits_record_key(base, key, record_key);
	audit_batch = db_batch_new();
	db_batch_put(audit_batch, record_key, sizeof record_key, &record, 1);
	if (!db_write(chain->db, audit_batch, false, &err))
		halt_fail(chain, &err);
	db_batch_free(audit_batch);
}

/* By the heights of their bases: where there are too many, those of the last rounds stay. */
static bool audits_load_record(void *audits_context, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	struct audits *audits = audits_context;
	struct audited *audited;

	if (key_size != AUDITS_RECORD_KEY || value_size != 1 || (*value != AUDITS_TRUE && *value != AUDITS_FALSE))
		return errmsg_set(err, "The verdicts on runs in the database are damaged: start with -reindex");
	audits_put(audits, key + 5, (enum audits_verdict)value[0]);
	audited = map_get(&audits->by_key, key + 5);
	audited->is_old = true;
	return true;
}

bool audits_load(struct chain *chain, struct errmsg *err)
{
	const uint8_t audits_prefix = DB_AUDIT;

	return db_each(chain->db, &audits_prefix, 1, audits_load_record, chain->audits, err);
}

struct audits_burial {
	uint32_t before; /* height of a base */
	struct db_batch *batch;
	size_t count;
};

/* Bases ascend: behind the first that is not buried there is none. */
static bool audits_bury_record(void *burial_context, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	struct audits_burial *burial = burial_context;

	(void)value;
	(void)value_size;
	(void)err;
	if (key_size == AUDITS_RECORD_KEY && read_be32(key + 1) >= burial->before)
		return false;
	db_batch_delete(burial->batch, key, key_size);
	burial->count++;
	return true;
}

/* With each new base. The last ones of a chain stay where they are, which costs nothing. */
static void audits_bury(struct chain *chain, uint32_t tip_height)
{
	const uint32_t burial_depth = chain->spec->round_blocks + CHOOSE_REORG_MAX;
	const uint8_t audits_prefix = DB_AUDIT;
	struct audits_burial burial = { .before = tip_height - burial_depth };
	struct errmsg err = { "" };

	if (tip_height % chain->spec->round_blocks != 0 || tip_height <= burial_depth)
		return;
	burial.batch = db_batch_new();
	/* A walk that fails shows wherever the database is read for an answer. */
	db_each(chain->db, &audits_prefix, 1, audits_bury_record, &burial, &err);
	if (burial.count > 0 && !db_write(chain->db, burial.batch, false, &err))
		halt_fail(chain, &err);
	db_batch_free(burial.batch);
}

/* --- the job --- */

static void audits_run(void *job_arg)
{
	struct audits_job *audits_job = job_arg;
	const struct spec *spec = audits_job->chain->spec;
	struct round_disclosed disclosed;
	struct errmsg err;
	struct buf blob;

	buf_init(&blob);
	audits_job->found = blobs_read_file(audits_job->chain->blobs, audits_job->blob_root, &blob, &err);
	if (audits_job->found == BLOBS_SOUND && !audits_job->is_known &&
		round_blob_split(spec, audits_job->length, blob.data, blob.size, &disclosed)) {
		segments_disclosed(spec, &disclosed, &audits_job->segment);
		audits_job->is_made = verify_segment(spec, &audits_job->segment, 1, &audits_job->cancel,
			&audits_job->is_right, NULL);
	}
	buf_clear(&blob);
}

static void audits_start(struct chain *chain);

/* True: its file was lost or damaged. It is asked for at once; when it has come, the segment is executed on the next
 * tip. */
static bool audits_lose_blob(struct chain *chain, const struct audits_job *audits_job)
{
	if (chain->closing)
		return false;
	blobs_note(chain->blobs, audits_job->blob_root, audits_job->found);
	if (audits_job->found == BLOBS_SOUND || blobs_has(chain->blobs, audits_job->blob_root))
		return false;
	run_blobs_ask(chain);
	return true;
}

/* One that could not be made is not tried again here: nothing has changed. */
static void audits_done(void *job_arg, bool cancelled)
{
	struct audits_job *audits_job = job_arg;
	struct chain *chain = audits_job->chain;

	chain->audits->job = NULL;
	if (!cancelled && !atomic_load(&audits_job->cancel) && !audits_lose_blob(chain, audits_job)) {
		if (audits_job->is_made)
			log_debug(LOG_MODEL, "[chain] segment %" PRIu32 " of the run of seat %" PRIu32 " is %s",
				audits_job->segment.number, audits_job->height,
				audits_job->is_right ? "right" : "false");
		audits_keep(chain, audits_job->base, audits_job->key,
			!audits_job->is_made         ? AUDITS_UNKNOWN :
				audits_job->is_right ? AUDITS_TRUE :
						       AUDITS_FALSE);
	}
	verify_segment_clear(&audits_job->segment);
	free(audits_job);
	if (!chain->closing && !chain->failed)
		audits_start(chain);
}

/* --- which is next --- */

/* False: its dataset is not here, or cannot be read. */
static bool audits_begin(struct chain *chain, const struct round_view *view, uint32_t seat, uint32_t number,
	const uint8_t key[32])
{
	struct audits_job *audits_job = mem_calloc(1, sizeof *audits_job);
	struct audited *audited = map_get(&chain->audits->by_key, key);
	struct errmsg err;

	audits_job->chain = chain;
	audits_job->is_known = audited != NULL;
	audits_job->base = view->base;
	audits_job->height = view->seat[seat].height;
	audits_job->length = view->run[seat].length;
	memcpy(audits_job->key, key, 32);
	memcpy(audits_job->blob_root, view->run[seat].blob, 32);
	atomic_init(&audits_job->cancel, false);
	if (audited != NULL) {
		audited->is_old = false;
	} else if (!segments_gather(chain, chain->registry, view, seat, number, &audits_job->segment, NULL, &err)) {
		verify_segment_clear(&audits_job->segment);
		free(audits_job);
		return false;
	}
	chain->audits->job = audits_job;
	queue_post(chain->queue,
		&(struct queue_job){
			.kind = QUEUE_LOOSE,
			.rank = 0,
			.owner = chain->audits,
			.run = audits_run,
			.done = audits_done,
			.arg = audits_job,
		});
	return true;
}

/* The first seat that was disclosed, is not struck anyway, has its blob here, and of which nothing is known; or only
 * from an earlier process, since when the blob may have been damaged: the merge needs it, and there is time to ask for
 * it now. */
static bool audits_pick(const struct chain *chain, const struct round_view *view, uint32_t *seat, uint32_t *number,
	uint8_t key[32])
{
	for (*seat = 0; view->beacon != NULL && *seat < view->seats; ++*seat) {
		const struct rounds_run *run = &view->run[*seat];
		const struct audited *audited;
		uint8_t segment_seed[32];

		if (!run->disclosed || run->challenged || !blobs_has(chain->blobs, run->blob))
			continue;
		*number = round_audited(view, *seat);
		segments_seed(view, *seat, *number, segment_seed);
		audits_key(segment_seed, run->blob, key);
		audited = map_get(&chain->audits->by_key, key);
		if (audited == NULL || audited->is_old)
			return true;
	}
	return false;
}

/* Somebody else may have asked for it meanwhile, or the round be over: all is looked at anew. */
static void audits_base_ready(void *context, struct state *state)
{
	struct chain *chain = context;
	const bool is_there = state != NULL;

	state_unref(state);
	chain->audits->base_awaited = false;
	if (is_there && !chain->closing && !chain->failed)
		audits_start(chain);
}

static void audits_start(struct chain *chain)
{
	struct round_view view;
	const struct full_entry *base;
	uint32_t seat, number;
	uint8_t key[32];

	if (chain->audits->job != NULL || chain->audits->base_awaited || !registry_round_view(chain->registry, &view))
		return;
	base = index_find(&chain->index, view.id);
	while (audits_pick(chain, &view, &seat, &number, key)) {
		if (map_get(&chain->audits->by_key, key) == NULL && !states_has(chain->states, base)) {
			chain->audits->base_awaited = true;
			states_request(chain->states, base, QUEUE_LOOSE, 0, audits_base_ready, chain);
			return;
		}
		if (audits_begin(chain, &view, seat, number, key))
			return;
		audits_put(chain->audits, key, AUDITS_UNKNOWN);
	}
}

/* --- the tip --- */

/* The state is pinned as long as a child of the tip may need it: that of the round's last block does. */
void audits_new_tip(struct chain *chain)
{
	const uint32_t round_blocks = chain->spec->round_blocks;
	const struct index_entry *tip = chain_tip(chain);

	if (round_blocks == 0)
		return;
	states_pin_base(chain->states,
		tip->height >= round_blocks ? entry_full(chain_at(chain, tip->height / round_blocks * round_blocks)) :
					      NULL);
	audits_bury(chain, tip->height);
	audits_start(chain);
}

void audits_stop(struct chain *chain)
{
	if (chain->audits->job != NULL)
		atomic_store(&chain->audits->job->cancel, true);
	queue_leave(chain->queue, chain->audits);
}
