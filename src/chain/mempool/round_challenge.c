/* One challenge after the other: the state of the base, windows, and a job. */
#include "chain/mempool/round_challenge.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/mempool/round_policy.h"
#include "chain/verify/audits.h"
#include "chain/verify/segments.h"
#include "util/log.h"
#include "util/mem.h"

struct round_challenge {
	struct chain *chain;
	round_challenge_told *told;
	uint8_t txid[32], root[32], key[32];
	struct round_terms terms;
	uint32_t height; /* of the seat */
	struct verify_segment segment;
	atomic_bool *cancel; /* the chain's: mempool.challenge_cancel */
	bool is_made, is_right;
};

static void round_challenge_free(struct round_challenge *challenge)
{
	verify_segment_clear(&challenge->segment);
	free(challenge);
}

/* What is told may begin the next one. */
static void round_challenge_end(struct round_challenge *challenge, enum round_challenge_verdict verdict)
{
	struct chain *chain = challenge->chain;

	if (!chain->closing && !chain->failed)
		challenge->told(chain, challenge->txid, &challenge->terms, verdict);
	round_challenge_free(challenge);
}

/* The seat of the open round; false: it has none any more, or another base. */
static bool round_challenge_find_seat(const struct round_challenge *challenge, struct round_view *view, uint32_t *seat)
{
	const struct chain *chain = challenge->chain;

	if (!rounds_look(registry_rounds(chain->registry), chain->spec, view) || view->run == NULL ||
		memcmp(view->id, challenge->terms.base_id, 32) != 0)
		return false;
	*seat = challenge->height - (view->base - view->seats + 1);
	return *seat < view->seats && memcmp(view->run[*seat].blob, challenge->terms.disclosed, 32) == 0;
}

/* What its segment is known by; false as above. */
static bool round_challenge_find_key(struct round_challenge *challenge)
{
	struct round_view view;
	uint8_t segment_seed[32];
	uint32_t seat;

	if (!round_challenge_find_seat(challenge, &view, &seat))
		return false;
	segments_seed(&view, seat, challenge->terms.segment, segment_seed);
	audits_key(segment_seed, challenge->terms.disclosed, challenge->key);
	return true;
}

/* --- the job --- */

static bool round_challenge_read(struct round_challenge *challenge)
{
	struct verify_segment *segment = &challenge->segment;
	const struct spec *spec = challenge->chain->spec;
	struct buf disclosed_bytes, start_bytes;
	struct round_disclosed disclosed;
	struct errmsg err;
	bool is_read;

	buf_init(&disclosed_bytes);
	buf_init(&start_bytes);
	is_read = blobs_read_file(challenge->chain->blobs, challenge->terms.disclosed, &disclosed_bytes, &err) ==
			BLOBS_SOUND &&
		round_blob_split(spec, challenge->terms.length, disclosed_bytes.data, disclosed_bytes.size,
			&disclosed) &&
		blobs_read_file(challenge->chain->blobs, challenge->root, &start_bytes, &err) == BLOBS_SOUND &&
		start_bytes.size == round_code_size(spec);
	if (is_read) {
		segment->start = mem_dup(start_bytes.data, start_bytes.size);
		round_blob_digest(spec, disclosed.digests, segment->number + 1, segment->digest);
	}
	buf_clear(&disclosed_bytes);
	buf_clear(&start_bytes);
	return is_read;
}

static void round_challenge_run(void *challenge_arg)
{
	struct round_challenge *challenge = challenge_arg;

	challenge->is_made = round_challenge_read(challenge) &&
		verify_segment(challenge->chain->spec, &challenge->segment, 1, challenge->cancel, &challenge->is_right,
			NULL);
}

static void round_challenge_done(void *challenge_arg, bool cancelled)
{
	struct round_challenge *challenge = challenge_arg;
	struct chain *chain = challenge->chain;

	if (!cancelled && challenge->is_made) {
		audits_keep(chain, (uint32_t)round_policy_base(chain->spec, challenge->height), challenge->key,
			challenge->is_right ? AUDITS_TRUE : AUDITS_FALSE);
		log_info("[chain] segment %u of the run of seat %u was challenged: it is %s",
			(unsigned)challenge->segment.number, (unsigned)challenge->height,
			challenge->is_right ? "right" : "false");
	}
	round_challenge_end(challenge,
		cancelled || !challenge->is_made ? ROUND_CHALLENGE_UNKNOWN :
			challenge->is_right      ? ROUND_CHALLENGE_FALSE :
						   ROUND_CHALLENGE_RIGHT);
}

/* --- its way there --- */

static void round_challenge_post(struct round_challenge *challenge)
{
	struct chain *chain = challenge->chain;
	struct round_view view;
	struct errmsg err;
	uint32_t seat;
	const bool is_gathered = round_challenge_find_seat(challenge, &view, &seat) &&
		segments_gather(chain, chain->registry, &view, seat, challenge->terms.segment, &challenge->segment,
			NULL, &err) &&
		challenge->segment.base != NULL;

	if (!is_gathered) {
		round_challenge_end(challenge, ROUND_CHALLENGE_UNKNOWN);
		return;
	}
	queue_post(chain->queue,
		&(struct queue_job){
			.kind = QUEUE_LOOSE,
			.rank = 0,
			.owner = challenge->cancel,
			.run = round_challenge_run,
			.done = round_challenge_done,
			.arg = challenge,
		});
}

static void round_challenge_base_ready(void *context, struct state *state)
{
	struct round_challenge *challenge = context;

	if (challenge->chain->closing)
		round_challenge_free(challenge);
	else if (state == NULL)
		round_challenge_end(challenge, ROUND_CHALLENGE_UNKNOWN);
	else
		round_challenge_post(challenge);
	state_unref(state);
}

void round_challenge_begin(struct chain *chain, const struct round_entry *entry, round_challenge_told *told)
{
	const struct full_entry *base = index_find(&chain->index, entry->terms.base_id);
	struct round_challenge *challenge = mem_calloc(1, sizeof *challenge);
	enum audits_verdict known = AUDITS_UNKNOWN;
	bool is_there;

	challenge->chain = chain;
	challenge->told = told;
	memcpy(challenge->txid, entry->entry.txid, 32);
	memcpy(challenge->root, entry->round_tx.root, 32);
	challenge->terms = entry->terms;
	challenge->height = entry->round_tx.height;
	challenge->cancel = &chain->mempool->challenge_cancel;
	is_there = base != NULL && round_challenge_find_key(challenge);
	if (is_there)
		known = audits_verdict(chain->audits, challenge->key);
	if (!is_there || known != AUDITS_UNKNOWN)
		round_challenge_end(challenge,
			!is_there                     ? ROUND_CHALLENGE_UNKNOWN :
				known == AUDITS_FALSE ? ROUND_CHALLENGE_RIGHT :
							ROUND_CHALLENGE_FALSE);
	else if (states_has(chain->states, base))
		round_challenge_post(challenge);
	else
		states_request(chain->states, base, QUEUE_LOOSE, 0, round_challenge_base_ready, challenge);
}

void round_challenge_stop(struct chain *chain)
{
	atomic_store(&chain->mempool->challenge_cancel, true);
	queue_leave(chain->queue, &chain->mempool->challenge_cancel);
}
