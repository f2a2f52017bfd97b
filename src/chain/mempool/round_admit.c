/* Judging round transactions: the branch first, which costs nothing, then their bytes. */
#include "chain/mempool/round_admit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/mempool/round_challenge.h"
#include "chain/mempool/round_line.h"
#include "chain/mempool/round_policy.h"
#include "consensus/blob/round_blob.h"
#include "crypto/hash.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum { ROUND_ADMIT_REST_MS = 3600 * 1000 /* of who had a segment executed for nothing */ };

static struct round_pool *round_admit_pool(const struct chain *chain)
{
	return &chain->mempool->rounds;
}

/* In whatever size: a wrong one is as false as other bytes. */
static bool round_admit_has_blob(const struct chain *chain, const struct round_entry *entry)
{
	return blobs_size(chain->blobs, entry->round_tx.root) > 0;
}

/* --- the branch --- */

/* By what of the branch its bytes are judged. False: the seat is not one of the open round's. Asked for each that is
 * here: nobody's dataset is drawn for it. */
static bool round_admit_terms(const struct chain *chain, const struct round_tx *round_tx, struct round_terms *terms)
{
	const struct rounds_run *run;
	struct round_view view;
	uint32_t seat;

	memset(terms, 0, sizeof *terms);
	if (!rounds_look(registry_rounds(chain->registry), chain->spec, &view) ||
		round_policy_base(chain->spec, round_tx->height) != view.base)
		return false;
	memcpy(terms->base_id, view.id, 32);
	/* At the base nobody has said anything. */
	if (view.run == NULL)
		return true;
	seat = round_tx->height - (view.base - view.seats + 1);
	run = &view.run[seat];
	if (round_tx->kind == ROUND_DISCLOSURE && view.beacon != NULL) {
		memcpy(terms->committed, run->trace_root, 32);
		terms->length = run->length;
		terms->segment = round_audited(&view, seat);
	} else if (round_tx->kind == ROUND_CHALLENGE) {
		memcpy(terms->committed, run->trace_root, 32);
		memcpy(terms->disclosed, run->blob, 32);
		terms->length = run->length;
		terms->segment = round_tx->segment;
	}
	return true;
}

static bool round_admit_same_terms(const struct round_terms *terms, const struct round_terms *others)
{
	return memcmp(terms->base_id, others->base_id, 32) == 0 &&
		memcmp(terms->committed, others->committed, 32) == 0 &&
		memcmp(terms->disclosed, others->disclosed, 32) == 0 && terms->length == others->length &&
		terms->segment == others->segment;
}

/* NEW: the next block may have it, for all that the branch shows. ORPHAN: one of the next few may. */
static enum chain_result round_admit_judge_branch(const struct chain *chain, const struct round_tx *round_tx,
	struct reject *reject)
{
	switch (round_policy_when(chain->spec, chain_tip(chain)->height + 1, round_tx)) {
	case ROUND_WHEN_NOW:
		break;
	case ROUND_WHEN_SOON:
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_ROUND_SEAT, "its first block is not the next one yet");
		return CHAIN_ORPHAN;
	case ROUND_WHEN_NOT:
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_ROUND_SEAT, "it is early");
		return CHAIN_REJECTED;
	case ROUND_WHEN_NEVER:
		reject_as(reject, REJECT_POLICY, REASON_BAD_ROUND_SEAT, "it is late");
		return CHAIN_REJECTED;
	}
	if (registry_check_round_tx(chain->registry, round_tx, reject))
		return CHAIN_NEW;
	return reject->code == REJECT_NOT_YET ? CHAIN_ORPHAN : CHAIN_REJECTED;
}

/* A signature is the one thing that costs something to look at before anything is known. What it is of is not told, so
 * one of another base looks like a forged one. */
static bool round_admit_is_unsigned(enum chain_result judged, const struct reject *reject)
{
	return judged == CHAIN_REJECTED && reject->why == REASON_BAD_ROUND_SIGNATURE;
}

/* Whether what it was judged by still holds, and the next block, or a later one, may have it. Its signature names the
 * base, and was looked at. */
static bool round_admit_is_stale(const struct chain *chain, const struct round_entry *entry, struct reject *reject)
{
	struct round_terms terms;

	if (entry->stage == ROUND_EARLY)
		return round_policy_when(chain->spec, chain_tip(chain)->height + 1, &entry->round_tx) ==
			ROUND_WHEN_NEVER;
	return !round_admit_terms(chain, &entry->round_tx, &terms) || !round_admit_same_terms(&terms, &entry->terms) ||
		(!registry_check_round_place(chain->registry, &entry->round_tx, reject) &&
			reject->code != REJECT_NOT_YET);
}

/* --- its bytes --- */

/* What a look at the bytes needs: it may be on a worker. */
struct round_check {
	struct chain *chain;
	uint8_t txid[32];
	struct round_tx round_tx;
	struct round_terms terms;
	bool is_lost;          /* a file is not the blob's (any more), as `why` says */
	uint8_t looked_at[32]; /* the last one that was read, and what that found */
	enum blobs_found found;
	struct errmsg why;
	bool is_right;
	bool is_elsewhere; /* or may be, where another segment is drawn, or something else was committed to */
	bool is_code;      /* of a challenge: it has the size, and these are its digest and the one it should have */
	uint8_t code_digest[32], listed_digest[32];
	struct reject reject;
};

static struct round_check *round_check_new(struct chain *chain, const struct round_entry *entry)
{
	struct round_check *check = mem_calloc(1, sizeof *check);

	check->chain = chain;
	memcpy(check->txid, entry->entry.txid, 32);
	check->round_tx = entry->round_tx;
	check->terms = entry->terms;
	return check;
}

static bool round_check_read(struct round_check *check, const uint8_t root[32], struct buf *bytes)
{
	memcpy(check->looked_at, root, 32);
	check->found = blobs_read_file(check->chain->blobs, root, bytes, &check->why);
	return check->found == BLOBS_SOUND;
}

/* The list of digests that a challenge is about, alone: its root is on the branch, so nothing else of what was
 * disclosed is needed to believe it. NULL: that file is not what it was. To be freed. */
static uint8_t *round_check_list(const struct chain *chain, const struct round_terms *terms, struct errmsg *why)
{
	const size_t list_size = 32 * (size_t)terms->length;
	uint8_t *list = mem_alloc(list_size);

	if (blobs_read_part(chain->blobs, terms->disclosed, 0, list, list_size, why) &&
		round_blob_begins(terms->length, list, list_size, terms->committed))
		return list;
	free(list);
	return NULL;
}

/* `is_right`, by both digests. */
static void round_check_compare(struct round_check *check)
{
	check->is_right = memcmp(check->code_digest, check->listed_digest, 32) == 0 ||
		reject_set(&check->reject, REASON_BAD_ROUND_CHALLENGE,
			"it has not the digest of what segment %" PRIu32 " starts from", check->terms.segment);
	check->is_elsewhere = !check->is_right;
}

static void round_check_challenge(struct round_check *check, const struct buf *blob_bytes)
{
	const struct spec *spec = check->chain->spec;
	uint8_t *list;

	if (blob_bytes->size != round_code_size(spec)) {
		reject_set(&check->reject, REASON_BAD_ROUND_CHALLENGE, "%zu bytes", blob_bytes->size);
		return;
	}
	list = round_check_list(check->chain, &check->terms, &check->why);
	if (list == NULL) {
		memcpy(check->looked_at, check->terms.disclosed, 32);
		check->found = blobs_check_file(check->chain->blobs, check->terms.disclosed, &check->why);
		check->is_lost = true;
		return;
	}
	check->is_code = true;
	sha256(check->code_digest, blob_bytes->data, blob_bytes->size);
	round_blob_digest(spec, list, check->terms.segment, check->listed_digest);
	round_check_compare(check);
	free(list);
}

/* Touches files, and the spec, which does not change. */
static void round_check_run(void *check_arg)
{
	struct round_check *check = check_arg;
	const struct spec *spec = check->chain->spec;
	struct buf blob_bytes;

	buf_init(&blob_bytes);
	check->is_lost = !round_check_read(check, check->round_tx.root, &blob_bytes);
	if (!check->is_lost && check->round_tx.kind == ROUND_CHALLENGE)
		round_check_challenge(check, &blob_bytes);
	else if (!check->is_lost)
		check->is_right = round_blob_check_disclosure(spec, check->terms.length, blob_bytes.data,
			blob_bytes.size, check->terms.committed, check->terms.segment, &check->reject);
	if (!check->is_lost && !check->is_right && check->round_tx.kind == ROUND_DISCLOSURE)
		check->is_elsewhere = round_blob_is_elsewhere(spec, check->terms.length, blob_bytes.data,
			blob_bytes.size);
	buf_clear(&blob_bytes);
}

/* --- entering --- */

/* Others of its seat go before anybody is told of it. */
static void round_admit_hold(struct chain *chain, struct round_entry *entry)
{
	const struct tx *held_tx = tx_ref(entry->entry.tx);
	const uint64_t brought_by = entry->turn_peer != 0 ? entry->turn_peer : entry->brought_by;
	struct round_group *giver = round_pool_giver(round_admit_pool(chain), entry);

	if (giver != NULL)
		round_groups_gave(giver);
	entry->entry.height = chain_tip(chain)->height;
	round_pool_hold(round_admit_pool(chain), entry);
	round_line_drop_rivals(chain, &entry->round_tx, entry->entry.txid);
	NOTIFY(&chain->notices, tx_added, held_tx, brought_by);
	tx_unref(held_tx);
}

/* A file of an earlier run may have been cut short since, which is nobody's fault: it is gone now, and the bytes are
 * asked for. */
static enum chain_result round_admit_lost(struct chain *chain, const struct round_check *check,
	struct round_entry *entry, struct reject *reject)
{
	log_warn("[chain] bytes of a round cannot be looked at: %s", check->why.text);
	reject_set(reject, REASON_MISSING_BLOB, "%s", check->why.text);
	if (!round_admit_has_blob(chain, entry)) {
		round_pool_end_turn(entry);
		entry->stage = ROUND_LINE;
		return CHAIN_ORPHAN;
	}
	round_line_drop(chain, entry, "missing-blob");
	return CHAIN_REJECTED;
}

static void round_admit_note_code(struct chain *chain, const struct round_check *check)
{
	struct round_codes *codes = &round_admit_pool(chain)->codes;

	round_codes_note(codes, check->round_tx.root, check->code_digest);
	if (check->terms.segment == 0)
		round_codes_note_first(codes, check->listed_digest);
}

/* The verdict on the bytes. Who brought what no branch can have is heard no more in this round. What a branch can have
 * is less than that, whatever ours has: the bytes of another list that the seat signed too, of another segment of the
 * same run, or of a challenge, which are a code and no more. */
static enum chain_result round_admit_checked(struct chain *chain, const struct round_check *check,
	struct reject *reject)
{
	struct round_entry *entry = round_pool_find(round_admit_pool(chain), check->txid);

	blobs_note(chain->blobs, check->looked_at, check->found);
	if (check->is_code)
		round_admit_note_code(chain, check);
	/* Gone, or judged by another branch meanwhile. */
	if (entry == NULL || entry->stage != ROUND_HERE || !round_admit_same_terms(&check->terms, &entry->terms))
		return CHAIN_ORPHAN;
	if (check->is_lost)
		return round_admit_lost(chain, check, entry, reject);
	if (check->is_right && entry->round_tx.kind == ROUND_CHALLENGE) {
		entry->stage = ROUND_DOUBT;
		return CHAIN_ORPHAN;
	}
	if (check->is_right) {
		round_admit_hold(chain, entry);
		return CHAIN_NEW;
	}
	if (reject != NULL)
		*reject = check->reject;
	log_debug(LOG_MEMPOOL, "a round transaction is false: %s (%s)", check->reject.reason, check->reject.detail);
	if (check->is_elsewhere)
		round_line_doubt(chain, entry, check->reject.reason);
	else
		round_line_convict(chain, entry, check->reject.reason, 0);
	return CHAIN_REJECTED;
}

static void round_admit_go_on(struct chain *chain);

static void round_check_done(void *check_arg, bool cancelled)
{
	struct round_check *check = check_arg;
	struct chain *chain = check->chain;

	round_admit_pool(chain)->is_checking = false;
	if (!cancelled && !chain->closing && !chain->failed) {
		round_admit_checked(chain, check, NULL);
		round_admit_go_on(chain);
	}
	free(check);
}

/* Anybody can name what is here, the bytes of all rounds before too, and need send nothing. Whose they are is seen by
 * their list of digests, and no more is read of those of another seat. */
static bool round_admit_is_of_another(const struct chain *chain, const struct round_entry *entry)
{
	const size_t list_size = 32 * (size_t)entry->terms.length;
	uint8_t *list = mem_alloc(list_size);
	struct errmsg err;
	const bool is_of_another = blobs_read_part(chain->blobs, entry->round_tx.root, 0, list, list_size, &err) &&
		!round_blob_begins(entry->terms.length, list, list_size, entry->terms.committed);

	free(list);
	return is_of_another;
}

/* The same of a challenge, whose blob has been read before, of whatever segment: its digest is known. */
static void round_admit_glance_code(const struct chain *chain, const struct round_entry *entry,
	struct round_check *check)
{
	const struct round_codes *codes = &round_admit_pool(chain)->codes;
	const uint8_t *digest = round_codes_find(codes, entry->round_tx.root), *first = round_codes_first(codes);
	uint8_t *list;
	struct errmsg err;

	if (digest == NULL || (entry->terms.segment == 0 && first == NULL))
		return;
	list = round_check_list(chain, &entry->terms, &err);
	if (list == NULL)
		return;
	memcpy(check->code_digest, digest, 32);
	memcpy(check->listed_digest, entry->terms.segment == 0 ? first : list + 32 * (size_t)(entry->terms.segment - 1),
		32);
	round_check_compare(check);
	free(list);
}

/* What can be said without reading all of a file that is the root's: `reject`. */
static void round_admit_glance(const struct chain *chain, const struct round_entry *entry, struct round_check *check)
{
	const uint64_t size = blobs_size(chain->blobs, entry->round_tx.root);

	if (!blobs_is_checked(chain->blobs, entry->round_tx.root))
		return;
	if (size != entry->blob_size) {
		reject_set(&check->reject,
			check->round_tx.kind == ROUND_CHALLENGE ? REASON_BAD_ROUND_CHALLENGE :
								  REASON_BAD_ROUND_DISCLOSURE,
			"%" PRIu64 " bytes", size);
	} else if (size <= round_admit_pool(chain)->at_once) {
		return;
	} else if (entry->round_tx.kind == ROUND_CHALLENGE) {
		round_admit_glance_code(chain, entry, check);
	} else if (round_admit_is_of_another(chain, entry)) {
		reject_set(&check->reject, REASON_BAD_ROUND_DISCLOSURE, "it is of another list of digests");
		check->is_elsewhere = true;
	}
}

/* Small bytes at once; large ones in line, one after the other. */
static enum chain_result round_admit_check(struct chain *chain, const struct round_entry *entry, struct reject *reject)
{
	struct round_check *check = round_check_new(chain, entry);
	const bool is_small = blobs_size(chain->blobs, entry->round_tx.root) <= round_admit_pool(chain)->at_once;
	enum chain_result checked = CHAIN_ORPHAN;

	round_admit_glance(chain, entry, check);
	if (check->reject.reason == NULL && is_small)
		round_check_run(check);
	if (check->reject.reason != NULL || is_small) {
		checked = round_admit_checked(chain, check, reject);
		free(check);
		return checked;
	}
	round_admit_pool(chain)->is_checking = true;
	queue_post(chain->queue,
		&(struct queue_job){
			.kind = QUEUE_LOOSE,
			.rank = QUEUE_LOOSE_RANKS - 1,
			.owner = round_admit_pool(chain),
			.run = round_check_run,
			.done = round_check_done,
			.arg = check,
		});
	reject_set(reject, REASON_MISSING_BLOB, "its bytes are being looked at");
	return checked;
}

/* A segment was executed for nothing: that costs who offered it an hour, and what he has earned by right proofs. */
static void round_admit_punish(struct chain *chain, struct round_entry *entry)
{
	for (size_t i = 0; i < entry->offer_count; i++) {
		struct source_group *group = sources_find(chain->sources, entry->offers[i].group->group);

		if (group != NULL)
			sources_proved(group, false, clock_wall());
	}
	round_line_convict(chain, entry, "bad-round-challenge", clock_mono_ms() + ROUND_ADMIT_REST_MS);
}

static void round_admit_challenged(struct chain *chain, const uint8_t txid[32], const struct round_terms *terms,
	enum round_challenge_verdict verdict)
{
	struct round_entry *entry = round_pool_find(round_admit_pool(chain), txid);

	round_admit_pool(chain)->is_executing = false;
	/* What was judged by another branch meanwhile is begun anew. */
	if (entry != NULL && entry->stage == ROUND_DOUBT && round_admit_same_terms(terms, &entry->terms)) {
		switch (verdict) {
		case ROUND_CHALLENGE_RIGHT:
			round_admit_hold(chain, entry);
			break;
		case ROUND_CHALLENGE_FALSE:
			round_admit_punish(chain, entry);
			break;
		case ROUND_CHALLENGE_UNKNOWN:
			round_line_drop(chain, entry, "missing-blob");
			break;
		}
	}
	round_admit_go_on(chain);
}

static void round_admit_challenge_next(struct chain *chain)
{
	struct round_pool *pool = round_admit_pool(chain);
	const struct round_entry *next = round_pool_next_doubt(pool);

	if (next == NULL || pool->is_executing)
		return;
	pool->is_executing = true;
	round_challenge_begin(chain, next, round_admit_challenged);
}

/* Own ones are asked of everybody. From copies: who is told may change the pool. */
static void round_admit_ask(struct chain *chain, const struct round_entry *entry)
{
	const struct round_tx asked = entry->round_tx;
	const uint64_t size = entry->blob_size, peer = entry->turn_peer;

	if (peer == 0)
		NOTIFY(&chain->notices, blob_wanted, asked.root, size, 0);
	else
		NOTIFY(&chain->notices, blob_turn, asked.root, size, peer);
}

/* Whoever's bytes are here is looked at, whoever's turn it is has them asked for. */
static void round_admit_go_on(struct chain *chain)
{
	struct round_entry *next;

	while (round_admit_pool(chain)->count > 0) {
		while (!round_admit_pool(chain)->is_checking &&
			(next = round_pool_next_here(round_admit_pool(chain))) != NULL)
			round_admit_check(chain, next, NULL);
		round_admit_challenge_next(chain);
		next = round_pool_next_turn(round_admit_pool(chain), clock_mono_ms());
		if (next == NULL)
			break;
		if (round_admit_has_blob(chain, next)) {
			round_pool_end_turn(next);
			next->stage = ROUND_HERE;
		} else {
			round_admit_ask(chain, next);
		}
	}
}

/* What stands in line is glad of bytes as well that somebody was asked for before: whoever's turn it is now, they are
 * his who sent them. */
void round_admit_blob(struct chain *chain, const uint8_t root[32], bool is_stored, const struct source *source)
{
	const struct round_pool *pool = round_admit_pool(chain);

	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *waiting = pool->entries[i];

		if ((waiting->stage != ROUND_LINE && waiting->stage != ROUND_ASKED) ||
			memcmp(waiting->round_tx.root, root, 32) != 0)
			continue;
		waiting->has_bytes = is_stored;
		waiting->is_given = is_stored && source != NULL;
		if (waiting->is_given)
			memcpy(waiting->given_by, source->group, SOURCE_GROUP);
		waiting->stage = ROUND_HERE;
	}
	round_admit_go_on(chain);
}

void round_admit_asked(struct chain *chain, const uint8_t root[32], const struct source *source)
{
	round_pool_asked(round_admit_pool(chain), root, source->peer, clock_mono_ms());
}

void round_admit_failed(struct chain *chain, const uint8_t root[32], const struct source *source)
{
	round_line_failed(chain, root, source->peer);
	round_admit_go_on(chain);
}

/* Nobody has looked at the root yet, so this says nothing of the transaction: others may offer it with right bytes. */
bool round_admit_came(struct chain *chain, const uint8_t root[32], const struct source *source, size_t offset,
	const uint8_t *bytes, size_t count)
{
	struct round_entry *asked = round_line_asked(chain, root, source->peer);

	if (asked == NULL)
		return true;
	if (offset > 0 || asked->round_tx.kind != ROUND_DISCLOSURE ||
		round_blob_begins(asked->terms.length, bytes, count, asked->terms.committed)) {
		asked->come = offset + count < asked->blob_size ? offset + count : asked->blob_size;
		return true;
	}
	/* Once in a round for each address: it costs little to say it. */
	if (asked->turn_group->faults == 0)
		log_info("peer=%" PRIu64 " sends another list of digests than seat %" PRIu32 " has committed to",
			source->peer, asked->round_tx.height);
	round_line_doubt_sender(chain, asked);
	round_admit_go_on(chain);
	return false;
}

void round_admit_peer_gone(struct chain *chain, uint64_t peer)
{
	round_line_peer_gone(chain, peer);
	round_admit_go_on(chain);
}

void round_admit_tick(struct chain *chain)
{
	round_line_end_overdue(chain);
	round_admit_go_on(chain);
}

/* What it waits for, each time it is offered. */
static enum chain_result round_admit_tell_waiting(const struct round_entry *entry, struct reject *reject)
{
	if (entry->stage == ROUND_HELD)
		return CHAIN_KNOWN;
	if (entry->stage == ROUND_EARLY)
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_ROUND_SEAT, "no block before has what it needs yet");
	else if (entry->stage == ROUND_DOUBT)
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_ROUND_CHALLENGE, "its segment is not executed yet");
	else
		reject_set(reject, REASON_MISSING_BLOB, "its bytes are not here, or not looked at yet");
	return CHAIN_ORPHAN;
}

/* The branch allows it: a commitment is complete, what names a blob looks for that. */
static enum chain_result round_admit_begin(struct chain *chain, struct round_entry *entry, struct reject *reject)
{
	uint8_t txid[32];

	if (entry->round_tx.kind == ROUND_COMMIT) {
		round_admit_hold(chain, entry);
		return CHAIN_NEW;
	}
	entry->stage = ROUND_LINE;
	if (round_admit_has_blob(chain, entry) && !round_admit_pool(chain)->is_checking) {
		enum chain_result checked;

		entry->stage = ROUND_HERE;
		checked = round_admit_check(chain, entry, reject);
		if (checked != CHAIN_ORPHAN)
			return checked;
	}
	memcpy(txid, entry->entry.txid, 32);
	round_admit_go_on(chain);
	entry = round_pool_find(round_admit_pool(chain), txid);
	return entry != NULL ? round_admit_tell_waiting(entry, reject) : CHAIN_ORPHAN;
}

/* Who has the place of its seat is looked for before any signature, and so is who sends it. What is wrong with its
 * sender is not remembered of it: others may bring the same. */
static enum chain_result round_admit_enter(struct chain *chain, const struct tx *tx, const struct round_tx *round_tx,
	const struct source *source, struct reject *reject)
{
	struct round_pool *pool = round_admit_pool(chain);
	struct round_terms terms;
	struct round_entry *entry;
	enum chain_result judged;
	bool has_to_wait;

	if (round_pool_holder(pool, round_tx) != NULL) {
		reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT, "the seat has another one in the mempool");
		return CHAIN_REJECTED;
	}
	round_admit_terms(chain, round_tx, &terms);
	if (round_line_refuses(chain, source, reject))
		return CHAIN_REJECTED;
	judged = round_admit_judge_branch(chain, round_tx, reject);
	if (round_admit_is_unsigned(judged, reject))
		round_line_note_fault(chain, source);
	if (judged == CHAIN_REJECTED)
		return CHAIN_REJECTED;
	has_to_wait = source->peer != 0 && (judged == CHAIN_ORPHAN || round_tx->kind != ROUND_COMMIT);
	if (has_to_wait && !round_line_make_place(chain, round_tx, NULL, source, reject))
		return CHAIN_REJECTED;
	entry = round_pool_put(pool, tx, round_tx, source->peer,
		round_blob_size(chain->spec, round_tx->kind, round_tx->length));
	entry->terms = terms;
	if (has_to_wait)
		round_line_offer(chain, entry, source);
	return judged == CHAIN_ORPHAN ? CHAIN_ORPHAN : round_admit_begin(chain, entry, reject);
}

/* Whoever offers what waits has its bytes too: he stands in line for it beside the others, since nobody knows which of
 * them has them indeed. */
static enum chain_result round_admit_once_more(struct chain *chain, struct round_entry *known,
	const struct source *source, struct reject *reject)
{
	const enum chain_result result = round_admit_tell_waiting(known, reject);
	const struct round_pool *pool = round_admit_pool(chain);
	size_t offer;

	if (known->stage > ROUND_ASKED || known->is_own)
		return result;
	if (source->peer == 0) {
		round_pool_make_own(known);
	} else if (round_line_refuses(chain, source, reject)) {
		return CHAIN_REJECTED;
	} else {
		offer = round_pool_offer_of(known, round_groups_find(&pool->groups, source->group));
		if (offer == known->offer_count) {
			if (!round_line_make_place(chain, &known->round_tx, known, source, reject))
				return CHAIN_REJECTED;
			round_line_offer(chain, known, source);
		} else if (known->stage != ROUND_ASKED) {
			known->offers[offer].peer = source->peer;
		}
	}
	round_admit_go_on(chain);
	return result;
}

enum chain_result round_admit(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject)
{
	static const struct source own_source;
	struct round_entry *known = round_pool_find(round_admit_pool(chain), tx_txid(tx));
	enum chain_result result = CHAIN_REJECTED;
	struct round_tx round_tx;

	if (source == NULL)
		source = &own_source;
	if (known != NULL)
		result = round_admit_once_more(chain, known, source, reject);
	else if (round_tx_check(chain->spec, tx, reject) && round_tx_parse(tx, &round_tx))
		result = round_admit_enter(chain, tx, &round_tx, source, reject);
	tx_unref(tx);
	return result;
}

/* --- blocks come and go --- */

void round_admit_confirmed(struct chain *chain, const struct tx *tx)
{
	struct round_entry *confirmed = round_pool_find(round_admit_pool(chain), tx_txid(tx));

	if (confirmed != NULL)
		round_line_drop(chain, confirmed, NULL);
}

/* Of all that there are, in order of arrival; to be freed. What is done with one may take others away, so each is
 * looked up when it is its turn: to begin anew behind each would take the square of what strangers can offer. */
static uint8_t (*round_admit_list(const struct round_pool *pool, size_t *count))[32]
{
	uint8_t(*txids)[32] = mem_calloc(pool->count, sizeof *txids);

	*count = pool->count;
	for (size_t i = 0; i < pool->count; i++)
		memcpy(txids[i], pool->entries[i]->entry.txid, 32);
	return txids;
}

/* Whoever's seat is taken, whose window is over, whose base is another: on this branch or on the one switched to. */
static void round_admit_drop_stale(struct chain *chain)
{
	const struct round_pool *pool = round_admit_pool(chain);
	size_t count;
	uint8_t(*txids)[32] = round_admit_list(pool, &count);

	for (size_t i = 0; i < count; i++) {
		struct round_entry *entry = round_pool_find(pool, txids[i]);
		struct reject reject = { .reason = "" };

		if (entry != NULL && round_admit_is_stale(chain, entry, &reject))
			round_line_drop(chain, entry, "conflict");
	}
	free(txids);
}

static void round_admit_begin_one(struct chain *chain, struct round_entry *early)
{
	struct reject reject;
	const enum chain_result judged = round_admit_judge_branch(chain, &early->round_tx, &reject);

	if (judged == CHAIN_ORPHAN)
		return;
	round_admit_terms(chain, &early->round_tx, &early->terms);
	if (round_admit_is_unsigned(judged, &reject))
		round_line_doubt(chain, early, "conflict");
	else if (judged != CHAIN_NEW || round_pool_holder(round_admit_pool(chain), &early->round_tx) != NULL)
		round_line_drop(chain, early, "conflict");
	else
		round_admit_begin(chain, early, &reject);
}

static void round_admit_begin_early(struct chain *chain)
{
	const struct round_pool *pool = round_admit_pool(chain);
	size_t count;
	uint8_t(*txids)[32] = round_admit_list(pool, &count);

	for (size_t i = 0; i < count; i++) {
		struct round_entry *entry = round_pool_find(pool, txids[i]);

		if (entry != NULL && entry->stage == ROUND_EARLY)
			round_admit_begin_one(chain, entry);
	}
	free(txids);
}

static void round_admit_note_round(struct chain *chain)
{
	struct round_view view;

	if (rounds_look(registry_rounds(chain->registry), chain->spec, &view))
		memcpy(round_admit_pool(chain)->groups.base_id, view.id, 32);
}

void round_admit_new_tip(struct chain *chain)
{
	round_admit_note_round(chain);
	round_admit_drop_stale(chain);
	round_admit_begin_early(chain);
	round_admit_go_on(chain);
}

/* --- for a block --- */

static bool round_admit_is_due(const struct chain *chain, const struct round_entry *held)
{
	return held->stage == ROUND_HELD && registry_check_round_place(chain->registry, &held->round_tx, NULL) &&
		(held->round_tx.kind == ROUND_COMMIT || round_admit_has_blob(chain, held));
}

size_t round_admit_select(const struct chain *chain, size_t weight_max, const struct tx **selected)
{
	const struct round_pool *pool = round_admit_pool(chain);
	size_t selected_count = 0, weight = 0,
	       room[] = {
		       [ROUND_COMMIT] = chain->spec->round_blocks,
		       [ROUND_DISCLOSURE] = round_disclosures_most(chain->spec),
		       [ROUND_CHALLENGE] = round_challenges_most(chain->spec),
	       };

	for (size_t i = 0; i < pool->count; i++) {
		const struct round_entry *held = pool->entries[i];

		if (!round_admit_is_due(chain, held) || room[held->round_tx.kind] == 0 ||
			weight + held->entry.weight > weight_max)
			continue;
		selected[selected_count++] = held->entry.tx;
		weight += held->entry.weight;
		room[held->round_tx.kind]--;
	}
	return selected_count;
}

void round_admit_stop(struct chain *chain)
{
	if (chain->mempool == NULL)
		return;
	round_challenge_stop(chain);
	queue_leave(chain->queue, round_admit_pool(chain));
}
