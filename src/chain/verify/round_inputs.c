/* Gathering what runs are held against: which blobs, which segments, and from them the job's. */
#include "chain/verify/round_inputs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/verify/audits.h"
#include "chain/verify/branch.h"
#include "chain/verify/segments.h"
#include "consensus/blob/round_blob.h"
#include "consensus/payload/round_tx.h"
#include "crypto/hash.h"
#include "util/mem.h"

/* What a blob is read for. */
enum round_use {
	ROUND_USE_DISCLOSURE, /* number `index` of the block's */
	ROUND_USE_LIST,       /* the digests that challenge number `index` is about */
	ROUND_USE_START,      /* what that one brings */
	ROUND_USE_SEAT,       /* seat `index` of the round that is merged */
};

struct round_read {
	uint8_t root[32];
	enum round_use use;
	size_t index;
	uint32_t length; /* of the run */
};

static bool round_is_challenged(const struct spec *spec, const struct block *block)
{
	struct round_tx round_tx;

	for (size_t i = 1; i < block->tx_count; i++)
		if (round_tx_is_on(spec, block->txs[i]) && round_tx_parse(block->txs[i], &round_tx) &&
			round_tx.kind == ROUND_CHALLENGE)
			return true;
	return false;
}

const struct full_entry *round_inputs_missing_state(struct chain *chain, const struct full_entry *full,
	const struct block *block)
{
	const uint32_t round_blocks = chain->spec->round_blocks, height = full->entry.height;
	const struct full_entry *base;

	if (round_blocks == 0 || height <= round_blocks ||
		(!spec_merges(chain->spec, full->entry.height) && !round_is_challenged(chain->spec, block)))
		return NULL;
	base = entry_full(chain_ancestor(&full->entry, (height - 1) / round_blocks * round_blocks));
	return states_has(chain->states, base) ? NULL : base;
}

/* --- on the loop --- */

/* Of who gathers for one block: what it looks at, and what it fills. */
struct round_gatherer {
	struct chain *chain;
	const struct registry *registry;
	struct round_view view;
	struct round_inputs *inputs;
	struct verify_round *round;
	struct blob_want *missing;
	struct errmsg *err;
	bool known;
};

/* A blob that blocks before this one brought may have been lost since. */
static bool round_has_blob(struct round_gatherer *gatherer, const uint8_t root[32], uint64_t size, const char *what)
{
	if (blobs_has(gatherer->chain->blobs, root))
		return true;
	if (gatherer->missing != NULL) {
		*gatherer->missing = (struct blob_want){ .size = size };
		memcpy(gatherer->missing->root, root, 32);
	}
	return errmsg_set(gatherer->err, "the blob of a %s is not here", what);
}

static bool round_will_read(struct round_gatherer *gatherer, const uint8_t root[32], uint32_t length,
	enum round_use use, size_t index)
{
	const enum round_kind kind = use == ROUND_USE_START ? ROUND_CHALLENGE : ROUND_DISCLOSURE;
	struct round_inputs *inputs = gatherer->inputs;
	struct round_read *read;

	inputs->reads = mem_realloc(inputs->reads, (inputs->read_count + 1) * sizeof *inputs->reads);
	read = &inputs->reads[inputs->read_count++];
	memcpy(read->root, root, 32);
	read->use = use;
	read->index = index;
	read->length = length;
	return round_has_blob(gatherer, root, round_blob_size(gatherer->chain->spec, kind, length), "run");
}

/* The seat's number in the round; as many as there are: it has none. */
static uint32_t round_seat_of(const struct round_view *view, const struct round_tx *round_tx)
{
	const uint32_t first_height = view->base - view->seats + 1;

	return round_tx->height < first_height || round_tx->height > view->base ? view->seats :
										  round_tx->height - first_height;
}

static bool round_gather_disclosure(struct round_gatherer *gatherer, uint32_t seat, const struct round_tx *round_tx)
{
	const struct rounds_run *run = &gatherer->view.run[seat];
	struct verify_round *round = gatherer->round;
	struct verify_disclosure *disclosure;

	if (!run->committed || round_tx->length != run->length || gatherer->view.beacon == NULL)
		return true;
	round->disclosures = mem_realloc(round->disclosures,
		(round->disclosure_count + 1) * sizeof *round->disclosures);
	disclosure = &round->disclosures[round->disclosure_count];
	*disclosure = (struct verify_disclosure){
		.length = run->length,
		.segment = round_audited(&gatherer->view, seat),
	};
	memcpy(disclosure->trace_root, run->trace_root, 32);
	return round_will_read(gatherer, round_tx->root, run->length, ROUND_USE_DISCLOSURE, round->disclosure_count++);
}

/* Of one whose segment was executed before, as the mempool does that, nothing is gathered to execute it. */
static bool round_gather_challenge(struct round_gatherer *gatherer, uint32_t seat, const struct round_tx *round_tx)
{
	const struct rounds_run *run = &gatherer->view.run[seat];
	struct verify_round *round = gatherer->round;
	enum audits_verdict known = AUDITS_UNKNOWN;
	const size_t number = round->challenge_count;
	struct verify_challenge *challenge;
	uint8_t segment_seed[32];

	if (!run->disclosed || round_tx->segment >= run->length)
		return true;
	round->challenges = mem_realloc(round->challenges, (number + 1) * sizeof *round->challenges);
	challenge = &round->challenges[round->challenge_count++];
	*challenge = (struct verify_challenge){
		.after = round->disclosure_count,
		.segment = { .number = round_tx->segment },
	};
	segments_seed(&gatherer->view, seat, round_tx->segment, segment_seed);
	audits_key(segment_seed, run->blob, challenge->key);
	if (gatherer->known)
		known = audits_verdict(gatherer->chain->audits, challenge->key);
	challenge->found = known == AUDITS_TRUE ? VERIFY_SEGMENT_TRUE :
		known == AUDITS_FALSE           ? VERIFY_SEGMENT_FALSE :
						  VERIFY_UNKNOWN;
	return (known != AUDITS_UNKNOWN ||
		       segments_gather(gatherer->chain, gatherer->registry, &gatherer->view, seat, round_tx->segment,
			       &challenge->segment, gatherer->missing, gatherer->err)) &&
		round_will_read(gatherer, run->blob, run->length, ROUND_USE_LIST, number) &&
		round_will_read(gatherer, round_tx->root, run->length, ROUND_USE_START, number);
}

static bool round_gather_txs(struct round_gatherer *gatherer, const struct block *block)
{
	const struct spec *spec = gatherer->chain->spec;
	size_t left[] = {
		[ROUND_COMMIT] = 0,
		[ROUND_DISCLOSURE] = round_disclosures_most(spec),
		[ROUND_CHALLENGE] = round_challenges_most(spec),
	};
	bool gathered = true;

	for (size_t i = 1; gathered && i < block->tx_count; i++) {
		struct round_tx round_tx;
		uint32_t seat;

		if (!round_tx_is_on(spec, block->txs[i]) || !round_tx_parse(block->txs[i], &round_tx))
			continue;
		seat = round_seat_of(&gatherer->view, &round_tx);
		if (left[round_tx.kind] == 0)
			continue;
		left[round_tx.kind]--;
		if (seat == gatherer->view.seats)
			continue;
		gathered = round_tx.kind == ROUND_DISCLOSURE ? round_gather_disclosure(gatherer, seat, &round_tx) :
							       round_gather_challenge(gatherer, seat, &round_tx);
	}
	return gathered;
}

/* Of a seat whose segment was executed before, only what it changed is read. */
static bool round_gather_seat(struct round_gatherer *gatherer, uint32_t number)
{
	const struct rounds_run *run = &gatherer->view.run[number];
	struct verify_seat *seat = &gatherer->round->seats[number];
	enum audits_verdict known = AUDITS_UNKNOWN;
	uint8_t segment_seed[32];
	uint32_t drawn;

	seat->standing = run->committed ? VERIFY_SEAT_STRUCK : VERIFY_SEAT_EMPTY;
	seat->length = run->length;
	if (!run->disclosed || run->challenged)
		return true;
	drawn = round_audited(&gatherer->view, number);
	segments_seed(&gatherer->view, number, drawn, segment_seed);
	audits_key(segment_seed, run->blob, seat->key);
	if (gatherer->known)
		known = audits_verdict(gatherer->chain->audits, seat->key);
	if (known == AUDITS_FALSE)
		return true;
	seat->standing = known == AUDITS_TRUE ? VERIFY_SEAT_TRUE : VERIFY_SEAT_DISCLOSED;
	return (known == AUDITS_TRUE ||
		       segments_gather(gatherer->chain, gatherer->registry, &gatherer->view, number, drawn,
			       &seat->segment, gatherer->missing, gatherer->err)) &&
		round_will_read(gatherer, run->blob, run->length, ROUND_USE_SEAT, number);
}

static bool round_gather_seats(struct round_gatherer *gatherer)
{
	struct verify_round *round = gatherer->round;
	bool gathered = true;

	round->seat_count = gatherer->view.seats;
	round->seats = mem_calloc(round->seat_count, sizeof *round->seats);
	for (uint32_t i = 0; gathered && i < gatherer->view.seats; i++)
		gathered = round_gather_seat(gatherer, i);
	return gathered;
}

/* A dataset that rows of own pages are of. */
struct round_dataset {
	uint32_t number;
	uint8_t root[32]; /* not of dataset 0, which is the spec's own corpus */
	uint64_t size;
	bool is_checked; /* its file has been held against the root in this run */
};

static bool round_may_merge(const struct verify_round *round)
{
	for (size_t i = 0; i < round->seat_count; i++)
		if (round->seats[i].standing == VERIFY_SEAT_DISCLOSED || round->seats[i].standing == VERIFY_SEAT_TRUE)
			return true;
	return false;
}

static bool round_add_dataset(struct round_gatherer *gatherer, uint32_t number)
{
	struct round_inputs *inputs = gatherer->inputs;
	struct round_dataset *added = &inputs->datasets[inputs->dataset_count++];
	const struct dataset *dataset = registry_get(gatherer->registry, number);

	*added = (struct round_dataset){ .number = number };
	if (number == 0)
		return true;
	memcpy(added->root, dataset->root, 32);
	added->size = dataset->size;
	added->is_checked = blobs_is_checked(gatherer->chain->blobs, dataset->root);
	return round_has_blob(gatherer, dataset->root, dataset->size, "dataset");
}

/* Where the merge at the base came to nothing, this one is measured by own pages of what its runs train on. The
 * reserved text is public: a state that was made to know it by heart would refuse all that is honestly learned, for
 * good. What runs do train on would not do: each merge that learns it by heart would pass. Nor would a dataset that
 * nothing is known of: if it harms, its own pages say that the harm is good, so that dataset 0 stands in for it. A
 * dataset without own pages leaves its rows to the reserved text. */
static bool round_gather_own(struct round_gatherer *gatherer, const struct index_entry *parent)
{
	const struct course *course = spec_course(gatherer->chain->spec);
	const uint32_t rows = COURSE_MERGE_ROWS * course->train.bench_rows;
	struct round_inputs *inputs = gatherer->inputs;
	struct block_outcome base_outcome;

	chain_outcome(chain_ancestor(parent, gatherer->view.base), &base_outcome);
	if (!merge_statement_is_futile(&base_outcome.merge) || !round_may_merge(gatherer->round))
		return true;
	memcpy(inputs->ticket, parent->ticket, 32);
	inputs->datasets = mem_calloc(gatherer->view.seats, sizeof *inputs->datasets);
	inputs->dataset_of_row = mem_alloc(rows);
	for (uint32_t row = 0; row < rows; row++) {
		const uint32_t seat = course_own_seat(parent->ticket, row, gatherer->view.seats),
			       trained_on = gatherer->view.run[seat].dataset,
			       number = registry_is_proven(gatherer->registry, trained_on) ? trained_on : 0;
		uint8_t at = 0;

		while (at < inputs->dataset_count && inputs->datasets[at].number != number)
			at++;
		if (at == inputs->dataset_count && !round_add_dataset(gatherer, number))
			return false;
		inputs->dataset_of_row[row] = at;
	}
	return true;
}

bool round_inputs_gather(struct chain *chain, const struct full_entry *full, const struct block *block, bool known,
	struct round_inputs *round_inputs, struct verify_round *verify_round, struct blob_want *missing,
	struct errmsg *err)
{
	struct round_gatherer gatherer = {
		.chain = chain,
		.inputs = round_inputs,
		.round = verify_round,
		.missing = missing,
		.err = err,
		.known = known,
	};

	*round_inputs = (struct round_inputs){ .blobs = chain->blobs };
	if (chain->spec->round_blocks == 0)
		return true;
	gatherer.registry = branch_registry(chain, entry_parent(full), err);
	if (gatherer.registry == NULL)
		return false;
	return !registry_round_view(gatherer.registry, &gatherer.view) ||
		(round_gather_txs(&gatherer, block) &&
			(!spec_merges(chain->spec, full->entry.height) ||
				(round_gather_seats(&gatherer) && round_gather_own(&gatherer, full->entry.parent))));
}

/* --- on the worker --- */

/* Where the codes of a seat lie, that are read again when it is their turn. */
struct round_source {
	const struct blobs *blobs;
	uint32_t length;                         /* of the run */
	uint8_t root[32], start[32], result[32]; /* of the blob; and hashes of Q_j and Q_t, as they were read first */
	size_t code_size;
	bool is_unread; /* one of them was not there any more, and why */
	enum blobs_found found;
	struct errmsg why;
};

static bool round_read_code(struct round_source *source, size_t number, const uint8_t digest[32], uint8_t *code)
{
	const uint64_t offset = (uint64_t)source->length * 32 + number * source->code_size;
	uint8_t found_digest[32];

	if (blobs_read_part(source->blobs, source->root, offset, code, source->code_size, &source->why)) {
		sha256(found_digest, code, source->code_size);
		if (memcmp(found_digest, digest, 32) == 0)
			return true;
		errmsg_set(&source->why, "its bytes have changed since they were read first");
	}
	source->is_unread = true;
	source->found = blobs_check_file(source->blobs, source->root, &source->why);
	return false;
}

static bool round_read_start(void *source_context, uint8_t *code)
{
	struct round_source *source = source_context;

	return round_read_code(source, 0, source->start, code);
}

static bool round_read_result(void *source_context, uint8_t *code)
{
	struct round_source *source = source_context;

	return round_read_code(source, 1, source->result, code);
}

/* The blob was looked at when its block was verified; one that a branch has which breaks rules was not. There it may
 * show another segment than was drawn, and be right on a branch that drew that one: without windows nothing is
 * executed, and nothing remembered of the segment. */
static void round_use_seat(const struct spec *spec, const struct round_inputs *inputs, size_t place,
	const struct buf *blob, struct verify_seat *seat)
{
	const struct train_config *train = &spec_course(spec)->train;
	const struct round_read *read = &inputs->reads[place];
	struct round_disclosed disclosed;
	struct round_source *source;

	if (!round_blob_split(spec, seat->length, blob->data, blob->size, &disclosed) ||
		!run_code_check(train, disclosed.result, run_code_size(train)) ||
		(seat->standing == VERIFY_SEAT_DISCLOSED &&
			!round_blob_shows(spec, &disclosed, seat->segment.number))) {
		seat->standing = VERIFY_SEAT_STRUCK;
		free(seat->segment.windows);
		seat->segment.windows = NULL;
		return;
	}
	seat->source = source = mem_calloc(1, sizeof *source);
	*source = (struct round_source){ .blobs = inputs->blobs,
		.length = read->length,
		.code_size = run_code_size(train) };
	memcpy(source->root, read->root, 32);
	sha256(source->result, disclosed.result, source->code_size);
	seat->read_change = round_read_result;
	seat->read_start = round_read_start;
	if (seat->standing != VERIFY_SEAT_DISCLOSED)
		return;
	round_blob_digest(spec, disclosed.digests, seat->segment.number, source->start);
	round_blob_digest(spec, disclosed.digests, seat->segment.number + 1, seat->segment.digest);
}

static void round_use(const struct spec *spec, const struct round_inputs *inputs, size_t place, const struct buf *blob,
	struct verify_round *round)
{
	const struct round_read *read = &inputs->reads[place];
	struct verify_disclosure *disclosure;
	struct verify_challenge *challenge;
	struct round_disclosed disclosed;

	switch (read->use) {
	case ROUND_USE_DISCLOSURE:
		disclosure = &round->disclosures[read->index];
		disclosure->blob = mem_dup(blob->data, blob->size);
		disclosure->size = blob->size;
		return;
	case ROUND_USE_LIST:
		/* Zeros where the branch breaks rules, as above. */
		challenge = &round->challenges[read->index];
		challenge->digests = mem_calloc(read->length, 32);
		if (round_blob_split(spec, read->length, blob->data, blob->size, &disclosed))
			memcpy(challenge->digests, disclosed.digests, (size_t)32 * read->length);
		round_blob_digest(spec, challenge->digests, challenge->segment.number + 1, challenge->segment.digest);
		return;
	case ROUND_USE_START:
		/* Of another size it is no code at all. */
		challenge = &round->challenges[read->index];
		challenge->segment.start = mem_calloc(1, round_code_size(spec));
		memcpy(challenge->segment.start, blob->data,
			blob->size < round_code_size(spec) ? blob->size : round_code_size(spec));
		return;
	case ROUND_USE_SEAT:
		round_use_seat(spec, inputs, place, blob, &round->seats[read->index]);
		return;
	}
}

struct round_own {
	const struct course *course;
	const struct round_inputs *inputs;
	uint8_t dataset; /* of the inputs' */
	uint8_t *windows;
};

static bool round_read_rows(void *own_context, const struct course_data *data)
{
	const struct round_own *own = own_context;
	const struct train_config *train = &own->course->train;
	bool all_read = true;

	for (uint32_t row = 0; all_read && row < COURSE_MERGE_ROWS * train->bench_rows; row++)
		all_read = own->inputs->dataset_of_row[row] != own->dataset ||
			course_gather_own_row(own->course, own->inputs->ticket, row, data,
				own->windows + row * (train->model.ctx + (size_t)1));
	return all_read;
}

/* Each dataset is opened once. */
static bool round_read_own(const struct spec *spec, struct round_inputs *inputs, struct verify_round *round,
	struct errmsg *err)
{
	struct round_own own = { .course = spec_course(spec), .inputs = inputs };
	size_t corpus_size;
	const uint8_t *corpus = course_training(own.course, &corpus_size);
	const struct course_data corpus_data = course_data_in_memory(corpus, corpus_size);
	bool all_read = true;

	if (inputs->dataset_count == 0)
		return true;
	round->own_windows = own.windows = mem_alloc(course_merge_size(own.course));
	course_gather_merge(own.course, inputs->ticket, own.windows);
	for (; all_read && own.dataset < inputs->dataset_count; own.dataset++) {
		const struct round_dataset *dataset = &inputs->datasets[own.dataset];

		if (dataset->number == 0) {
			round_read_rows(&own, &corpus_data);
			continue;
		}
		memcpy(inputs->unread, dataset->root, 32);
		inputs->found = blobs_gather_file(inputs->blobs, dataset->root, dataset->size, dataset->is_checked,
			round_read_rows, &own, err);
		all_read = inputs->found == BLOBS_SOUND;
		if (!all_read)
			errmsg_wrap(err, "Own pages of dataset %" PRIu32 " cannot be read", dataset->number);
	}
	inputs->datasets_are_sound = all_read;
	return all_read;
}

bool round_inputs_read(const struct spec *spec, struct round_inputs *round_inputs, struct verify_round *verify_round,
	struct errmsg *err)
{
	bool all_read = true;

	for (size_t i = 0; all_read && i < round_inputs->read_count; i++) {
		const uint8_t *root = round_inputs->reads[i].root;
		struct buf blob;

		buf_init(&blob);
		memcpy(round_inputs->unread, root, 32);
		round_inputs->found = blobs_read_file(round_inputs->blobs, root, &blob, err);
		all_read = round_inputs->found == BLOBS_SOUND;
		if (all_read)
			round_use(spec, round_inputs, i, &blob, verify_round);
		else
			errmsg_wrap(err, "The bytes of a %s cannot be read",
				round_inputs->reads[i].use == ROUND_USE_START ? "challenge" : "run");
		buf_clear(&blob);
	}
	return all_read && round_read_own(spec, round_inputs, verify_round, err);
}

bool round_inputs_were_read(struct round_inputs *round_inputs, const struct verify_round *verify_round,
	struct errmsg *err)
{
	for (size_t i = 0; i < verify_round->seat_count; i++) {
		const struct round_source *source = verify_round->seats[i].source;

		if (source == NULL || !source->is_unread)
			continue;
		memcpy(round_inputs->unread, source->root, 32);
		round_inputs->found = source->found;
		return errmsg_set(err, "The bytes of a run cannot be read again: %s", source->why.text);
	}
	return true;
}

bool round_inputs_lose(struct blobs *blobs, const struct round_inputs *round_inputs)
{
	blobs_note(blobs, round_inputs->unread, round_inputs->found);
	return round_inputs->found == BLOBS_SOUND || !blobs_has(blobs, round_inputs->unread);
}

void round_inputs_note_sound(struct blobs *blobs, const struct round_inputs *round_inputs)
{
	for (size_t i = 0; round_inputs->datasets_are_sound && i < round_inputs->dataset_count; i++)
		if (round_inputs->datasets[i].number != 0 && !round_inputs->datasets[i].is_checked)
			blobs_note(blobs, round_inputs->datasets[i].root, BLOBS_SOUND);
}

void round_inputs_clear(struct round_inputs *round_inputs)
{
	free(round_inputs->reads);
	free(round_inputs->datasets);
	free(round_inputs->dataset_of_row);
	round_inputs->reads = NULL;
	round_inputs->datasets = NULL;
	round_inputs->dataset_of_row = NULL;
	round_inputs->read_count = round_inputs->dataset_count = 0;
}
