/* The registry: the sum of its parts, in the order in which their bytes have always lain. */
#include "consensus/branch/registry.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/registry_state.h"
#include "util/mem.h"

enum { REGISTRY_FORM = 4, REGISTRY_FORM_ROUNDS = 5 }; /* of the byte forms, without rounds and with them */

/* --- life --- */

struct registry *registry_new(const struct spec *spec)
{
	struct registry *registry = mem_calloc(1, sizeof *registry);

	registry->spec = spec;
	fees_init(&registry->fees, spec);
	datasets_init(&registry->datasets, spec);
	listed_init(&registry->listed, spec);
	rounds_init(&registry->rounds, spec);
	return registry;
}

struct registry *registry_copy(const struct registry *registry)
{
	struct registry *copy = mem_dup(registry, sizeof *registry);

	values_copy(&copy->values, &registry->values);
	datasets_copy(&copy->datasets, &registry->datasets);
	commitments_copy(&copy->commitments, &registry->commitments);
	listed_copy(&copy->listed, &registry->listed);
	rounds_copy(&copy->rounds, &registry->rounds);
	return copy;
}

void registry_free(struct registry *registry)
{
	if (registry == NULL)
		return;
	values_clear(&registry->values);
	datasets_clear(&registry->datasets);
	commitments_clear(&registry->commitments);
	listed_clear(&registry->listed);
	rounds_clear(&registry->rounds);
	free(registry);
}

/* --- questions --- */

uint32_t registry_height(const struct registry *registry)
{
	return registry->height;
}

size_t registry_count(const struct registry *registry)
{
	return registry->datasets.count;
}

int64_t registry_bucket(const struct registry *registry)
{
	return registry->bucket.amount;
}

uint64_t registry_data_rate(const struct registry *registry, uint32_t blocks)
{
	return fees_least(&registry->fees, blocks);
}

uint64_t registry_data_offer(const struct registry *registry)
{
	return fees_offer(&registry->fees, registry->spec);
}

const struct dataset *registry_get(const struct registry *registry, size_t number)
{
	return &registry->datasets.list[number];
}

const struct dataset *registry_find(const struct registry *registry, const uint8_t root[32], size_t *number)
{
	return datasets_find(&registry->datasets, root, number);
}

bool registry_can_draw(const struct registry *registry, size_t number)
{
	return datasets_can_draw(&registry->datasets, registry->spec, (uint64_t)registry->height + 1, number);
}

bool registry_is_proven(const struct registry *registry, size_t number)
{
	return datasets_is_proven(&registry->datasets, registry->spec, (uint64_t)registry->height + 1, number);
}

uint64_t registry_draw(const struct registry *registry, const uint8_t ticket[32], uint32_t slots, uint32_t dataset[])
{
	return datasets_draw(&registry->datasets, registry->spec, (uint64_t)registry->height + 1, ticket, slots,
		dataset);
}

int64_t registry_v_ref(const struct registry *registry, const struct outcome *parent_outcome)
{
	return values_ref(&registry->values, registry->spec, parent_outcome);
}

uint32_t registry_late_back(const struct registry *registry, const struct header *header)
{
	return listed_back(&registry->listed, header);
}

bool registry_is_listed(const struct registry *registry, const uint8_t seed[32])
{
	return listed_has(&registry->listed, seed);
}

const struct rounds *registry_rounds(const struct registry *registry)
{
	return &registry->rounds;
}

/* Where the next block begins it, datasets are drawn as they will be when it is applied. */
static void registry_draw_seats(const struct registry *registry, const uint8_t ticket[32], uint32_t seats,
	uint32_t dataset[])
{
	datasets_draw_seats(&registry->datasets, registry->spec, (uint64_t)registry->height + 1, ticket, seats,
		dataset);
}

bool registry_round_view(const struct registry *registry, struct round_view *view)
{
	uint32_t drawn[ROUND_SEATS_MAX];

	if (!rounds_look(&registry->rounds, registry->spec, view))
		return false;
	if (view->run != NULL)
		return true;
	registry_draw_seats(registry, view->ticket, view->seats, drawn);
	for (uint32_t i = 0; i < view->seats; i++)
		view->drawn[i] = (struct rounds_run){ .dataset = drawn[i] };
	view->run = view->drawn;
	return true;
}

bool registry_merged_round(const struct registry *registry, struct round_view *view)
{
	return rounds_look_merged(&registry->rounds, registry->spec, view);
}

/* --- blocks --- */

/* What a transaction or a block registers, in order. */
struct registry_claims {
	struct contribution *list;
	size_t count, room;
};

static void registry_collect_claims(struct registry_claims *claims, const struct tx *tx)
{
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++) {
		if (!contribution_parse(&tx->outputs[i].script, &contribution))
			continue;
		if (claims->count == claims->room) {
			claims->room = claims->room > 0 ? 2 * claims->room : 4;
			claims->list = mem_realloc(claims->list, claims->room * sizeof *claims->list);
		}
		claims->list[claims->count++] = contribution;
	}
}

/* Of each claim the height of the commitment that it opens in the next block, 0: none. All are looked for at once. */
static uint32_t *registry_committed_all(const struct registry *registry, const struct registry_claims *claims)
{
	struct commitments_claim *sought_claims = mem_calloc(claims->count, sizeof *sought_claims);
	uint32_t *committed = mem_calloc(claims->count, sizeof *committed);

	for (size_t i = 0; i < claims->count; i++) {
		commitment_hash(&claims->list[i], sought_claims[i].hash);
		sought_claims[i].number = (uint32_t)i;
	}
	commitments_find(&registry->commitments, sought_claims, claims->count, registry->height + 1,
		registry->spec->commit_delay);
	for (size_t i = 0; i < claims->count; i++)
		committed[sought_claims[i].number] = sought_claims[i].committed;
	free(sought_claims);
	return committed;
}

uint32_t registry_committed(const struct registry *registry, const struct contribution *contribution)
{
	struct commitments_claim sought_claim = { .number = 0 };

	commitment_hash(contribution, sought_claim.hash);
	commitments_find(&registry->commitments, &sought_claim, 1, registry->height + 1, registry->spec->commit_delay);
	return sought_claim.committed;
}

/* Of the block's late proofs, in order, each one's age, which the bucket needs and does not know. */
static uint32_t *registry_late_backs(const struct registry *registry, const struct block *block)
{
	uint32_t *late_backs = mem_calloc(block->late_count, sizeof *late_backs);

	for (size_t i = 0; i < block->late_count; i++)
		late_backs[i] = registry_late_back(registry, &block->late[i]);
	return late_backs;
}

/* The parts may be taken in any order: each sees the block, and none of them another (consensus/branch/part.h). */
struct registry_undo *registry_apply(struct registry *registry, const struct block *block,
	const struct block_outcome *parent_outcome)
{
	struct registry_undo *undo = mem_calloc(1, sizeof *undo);
	struct branch_block on_top = { .spec = registry->spec, .block = block, .parent = parent_outcome };
	struct registry_claims claims = { 0 };
	uint32_t *committed, *late_backs = registry_late_backs(registry, block), seat_datasets[ROUND_SEATS_MAX];
	struct round_view view;

	if (rounds_look(&registry->rounds, registry->spec, &view) && view.run == NULL) {
		registry_draw_seats(registry, view.ticket, view.seats, seat_datasets);
		on_top.seat_datasets = seat_datasets;
	}
	for (size_t i = 1; i < block->tx_count; i++)
		registry_collect_claims(&claims, block->txs[i]);
	on_top.committed = committed = registry_committed_all(registry, &claims);
	on_top.late_backs = late_backs;
	on_top.height = ++registry->height;
	undo->height = registry->height;
	bucket_apply(&registry->bucket, &on_top, &undo->bucket);
	fees_apply(&registry->fees, &on_top, &undo->fees);
	values_apply(&registry->values, &on_top, &undo->values);
	datasets_apply(&registry->datasets, &on_top, &undo->datasets);
	commitments_apply(&registry->commitments, &on_top, &undo->commitments);
	listed_apply(&registry->listed, &on_top, &undo->listed);
	rounds_apply(&registry->rounds, &on_top, &undo->rounds);
	free(committed);
	free(claims.list);
	free(late_backs);
	return undo;
}

/* All parts are asked before the first is touched: either all of them go back, or none. */
bool registry_undo(struct registry *registry, const struct registry_undo *undo)
{
	if (undo->height != registry->height || undo->height == 0 ||
		!values_undo_fits(&registry->values, &undo->values) ||
		!datasets_undo_fits(&registry->datasets, &undo->datasets) ||
		!commitments_undo_fits(&registry->commitments, &undo->commitments) ||
		!listed_undo_fits(&registry->listed, &undo->listed) ||
		!rounds_undo_fits(&registry->rounds, &undo->rounds))
		return false;
	bucket_undo(&registry->bucket, &undo->bucket);
	fees_undo(&registry->fees, &undo->fees);
	values_undo(&registry->values, &undo->values);
	datasets_undo(&registry->datasets, &undo->datasets);
	commitments_undo(&registry->commitments, &undo->commitments);
	listed_undo(&registry->listed, &undo->listed);
	rounds_undo(&registry->rounds, &undo->rounds);
	registry->height--;
	return true;
}

void registry_undo_free(struct registry_undo *undo)
{
	if (undo == NULL)
		return;
	datasets_undo_clear(&undo->datasets);
	commitments_undo_clear(&undo->commitments);
	listed_undo_clear(&undo->listed);
	rounds_undo_clear(&undo->rounds);
	free(undo);
}

/* --- rules --- */

static int registry_compare_claims(const void *claim, const void *other_claim)
{
	return memcmp(((const struct contribution *)claim)->root, ((const struct contribution *)other_claim)->root, 32);
}

static bool registry_check_claim(const struct registry *registry, const struct contribution *claim, uint32_t committed,
	enum reject_code code_registered, enum reject_code code_committed, struct reject *reject)
{
	size_t number;

	if (datasets_find(&registry->datasets, claim->root, &number) != NULL) {
		if (datasets_can_replace(&registry->datasets, registry->spec, (uint64_t)registry->height + 1, number,
			    claim->size, committed))
			return true;
		return reject_as(reject, code_registered, REASON_BAD_CONTRIB_DUPLICATE, "a root is registered already");
	}
	return committed > 0 ||
		reject_as(reject, code_committed, REASON_BAD_CONTRIB_COMMITMENT,
			"no commitment to a registration is %u to %d blocks old", registry->spec->commit_delay,
			COMMITMENT_WINDOW);
}

/* Ends with claims released. Sorted, so that twins stand side by side: a block may name hundreds of roots. */
static bool registry_check_claims(const struct registry *registry, struct registry_claims *claims,
	enum reject_code code_registered, enum reject_code code_committed, struct reject *reject)
{
	bool claims_hold = true;
	uint32_t *committed;

	if (claims->count == 0)
		return true;
	qsort(claims->list, claims->count, sizeof *claims->list, registry_compare_claims);
	committed = registry_committed_all(registry, claims);
	for (size_t i = 0; claims_hold && i < claims->count; i++)
		claims_hold = i && registry_compare_claims(&claims->list[i - 1], &claims->list[i]) == 0 ?
			reject_set(reject, REASON_BAD_CONTRIB_DUPLICATE, "a root is registered twice at once") :
			registry_check_claim(registry, &claims->list[i], committed[i], code_registered, code_committed,
				reject);
	free(committed);
	free(claims->list);
	return claims_hold;
}

/* Whether every contribution of a transaction burns what the least of the newest `blocks` rates asks for. */
static bool registry_check_burns(const struct registry *registry, const struct tx *tx, uint32_t blocks,
	enum reject_code code, struct reject *reject)
{
	const uint64_t data_rate = fees_least(&registry->fees, blocks);
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++) {
		int64_t least_burn;

		if (!contribution_parse(&tx->outputs[i].script, &contribution))
			continue;
		least_burn = fees_burn(data_rate, contribution.size);
		if (tx->outputs[i].amount < least_burn)
			return reject_as(reject, code, REASON_BAD_CONTRIB_BURN, "output %zu burns %lld instead of %lld",
				i, (long long)tx->outputs[i].amount, (long long)least_burn);
	}
	return true;
}

/* Policy too: rates of another branch, or some blocks later, may be lower. */
bool registry_check_burn(const struct registry *registry, const struct tx *tx, uint32_t blocks, struct reject *reject)
{
	return registry_check_burns(registry, tx, blocks, REJECT_POLICY, reject);
}

/* Policy, not a verdict: on another branch the root may be free; and a commitment grows older. */
bool registry_check_tx(const struct registry *registry, const struct tx *tx, struct reject *reject)
{
	struct registry_claims claims = { 0 };

	registry_collect_claims(&claims, tx);
	return registry_check_claims(registry, &claims, REJECT_POLICY, REJECT_NOT_YET, reject);
}

/* One seed is one step's: paid once, whether it stood beside a block as a loose proof or came late. */
static bool registry_check_late(const struct registry *registry, const struct block *block, struct reject *reject)
{
	uint8_t seed[32];

	for (size_t i = 0; i < block->late_count; i++) {
		header_seed(&block->late[i], seed);
		if (registry_is_listed(registry, seed))
			return reject_set(reject, REASON_BAD_PROOF_DUPLICATE,
				"late proof %zu is in an earlier block of the branch", i);
	}
	return true;
}

bool registry_check_round_tx(const struct registry *registry, const struct round_tx *round_tx, struct reject *reject)
{
	return rounds_check_tx(&registry->rounds, registry->spec, round_tx, true, reject);
}

bool registry_check_round_place(const struct registry *registry, const struct round_tx *round_tx, struct reject *reject)
{
	return rounds_check_tx(&registry->rounds, registry->spec, round_tx, false, reject);
}

bool registry_check_rounds(const struct registry *registry, const struct block *block, struct reject *reject)
{
	return rounds_check_block(&registry->rounds, registry->spec, block, reject);
}

bool registry_check_block(const struct registry *registry, const struct block *block, struct reject *reject)
{
	struct registry_claims claims = { 0 };

	if (!registry_check_late(registry, block, reject) || !registry_check_rounds(registry, block, reject))
		return false;
	for (size_t i = 1; i < block->tx_count; i++)
		if (!registry_check_burns(registry, block->txs[i], FEES_WINDOW, REJECT_INVALID, reject))
			return false;
	for (size_t i = 1; i < block->tx_count; i++)
		registry_collect_claims(&claims, block->txs[i]);
	return registry_check_claims(registry, &claims, REJECT_INVALID, REJECT_INVALID, reject);
}

/* --- bytes: for the database alone, nothing here is consensus --- */

static uint8_t registry_form(uint32_t seats)
{
	return seats > 0 ? REGISTRY_FORM_ROUNDS : REGISTRY_FORM;
}

static void registry_write_facts(struct buf *out, const struct registry *registry)
{
	buf_put_u8(out, registry_form(registry->rounds.size));
	buf_put_le32(out, registry->height);
	bucket_write(out, &registry->bucket);
	fees_write(out, &registry->fees);
	values_write(out, &registry->values);
	datasets_write(out, &registry->datasets);
	commitments_write(out, &registry->commitments);
	listed_write(out, &registry->listed);
	rounds_write(out, &registry->rounds);
}

static bool registry_read_facts(struct registry *registry, struct reader *registry_reader)
{
	if (reader_u8(registry_reader) != registry_form(registry->rounds.size))
		reader_fail(registry_reader);
	registry->height = reader_le32(registry_reader);
	return bucket_read(&registry->bucket, registry_reader) && fees_read(&registry->fees, registry_reader) &&
		values_read(&registry->values, registry_reader) &&
		datasets_read(&registry->datasets, registry_reader) &&
		commitments_read(&registry->commitments, registry_reader) &&
		listed_read(&registry->listed, registry_reader) && rounds_read(&registry->rounds, registry_reader);
}

void registry_changed(const struct registry *registry, const struct registry_undo *undo, struct slices *changed)
{
	slices_add(changed, SLICE_FACTS, 0);
	datasets_changed(&registry->datasets, &undo->datasets, changed);
	commitments_changed(&registry->commitments, &undo->commitments, changed);
}

bool registry_write(struct buf *out, const struct registry *registry, const struct slice *slice)
{
	switch (slice->kind) {
	case SLICE_FACTS:
		registry_write_facts(out, registry);
		return true;
	case SLICE_DATASET:
		return datasets_write_slice(out, &registry->datasets, slice);
	case SLICE_COMMITTED:
	case SLICE_OPENED:
		return commitments_write_slice(out, &registry->commitments, slice);
	case SLICE_KINDS:
		break;
	}
	return false;
}

/* What is there already is not read over: bytes of a damaged database would be memory lost. */
bool registry_read(struct registry *registry, const struct slice *slice, struct reader *registry_reader)
{
	switch (slice->kind) {
	case SLICE_FACTS:
		return slice->number == 0 && registry->height == 0 && registry_read_facts(registry, registry_reader);
	case SLICE_DATASET:
		return datasets_read_slice(&registry->datasets, slice, registry_reader);
	case SLICE_COMMITTED:
	case SLICE_OPENED:
		return commitments_read_slice(&registry->commitments, slice, registry_reader);
	case SLICE_KINDS:
		break;
	}
	return false;
}

bool registry_is_whole(const struct registry *registry)
{
	return datasets_whole(&registry->datasets) && commitments_whole(&registry->commitments) &&
		rounds_whole(&registry->rounds, registry->height, registry->datasets.count);
}

void registry_undo_write(struct buf *out, const struct registry_undo *undo)
{
	buf_put_u8(out, registry_form(undo->rounds.size));
	buf_put_le32(out, undo->height);
	bucket_undo_write(out, &undo->bucket);
	fees_undo_write(out, &undo->fees);
	datasets_undo_write(out, &undo->datasets);
	values_undo_write(out, &undo->values);
	commitments_undo_write(out, &undo->commitments);
	listed_undo_write(out, &undo->listed);
	rounds_undo_write(out, &undo->rounds);
}

struct registry_undo *registry_undo_read(struct reader *registry_reader)
{
	struct registry_undo *undo = mem_calloc(1, sizeof *undo);
	const uint8_t form = reader_u8(registry_reader);

	if (form != REGISTRY_FORM && form != REGISTRY_FORM_ROUNDS)
		reader_fail(registry_reader);
	undo->height = reader_le32(registry_reader);
	if (bucket_undo_read(&undo->bucket, registry_reader) && fees_undo_read(&undo->fees, registry_reader) &&
		datasets_undo_read(&undo->datasets, registry_reader) &&
		values_undo_read(&undo->values, registry_reader) &&
		commitments_undo_read(&undo->commitments, registry_reader) &&
		listed_undo_read(&undo->listed, registry_reader) &&
		(form == REGISTRY_FORM || rounds_undo_read(&undo->rounds, registry_reader)))
		return undo;
	registry_undo_free(undo);
	return NULL;
}
