/* The registry: the sum of its parts, in the order in which their bytes have always lain. */
#include "consensus/branch/registry.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/registry_state.h"
#include "util/mem.h"

enum { REGISTRY_FORM = 4 }; /* of the byte forms */

/* --- life --- */

struct registry *registry_new(const struct spec *spec)
{
	struct registry *registry = mem_calloc(1, sizeof *registry);

	registry->spec = spec;
	fees_init(&registry->fees, spec);
	datasets_init(&registry->datasets, spec);
	listed_init(&registry->listed, spec);
	return registry;
}

struct registry *registry_copy(const struct registry *registry)
{
	struct registry *copy = mem_dup(registry, sizeof *registry);

	values_copy(&copy->values, &registry->values);
	datasets_copy(&copy->datasets, &registry->datasets);
	commitments_copy(&copy->commitments, &registry->commitments);
	listed_copy(&copy->listed, &registry->listed);
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

/* --- blocks --- */

uint32_t registry_committed(const struct registry *registry, const struct contribution *contribution)
{
	return commitments_find(&registry->commitments, contribution, registry->height + 1,
		registry->spec->commit_delay);
}

/* Of the block's registrations, in order, each one's commitment, which the datasets need and do not know. */
static uint32_t *registry_committed_all(const struct registry *registry, const struct block *block)
{
	struct contribution contribution;
	uint32_t *committed = NULL;
	size_t count = 0;

	for (size_t i = 1; i < block->tx_count; i++)
		for (size_t j = 0; j < block->txs[i]->output_count; j++) {
			if (!contribution_parse(&block->txs[i]->outputs[j].script, &contribution))
				continue;
			committed = mem_realloc(committed, (count + 1) * sizeof *committed);
			committed[count++] = registry_committed(registry, &contribution);
		}
	return committed;
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
	uint32_t *committed = registry_committed_all(registry, block);
	uint32_t *late_backs = registry_late_backs(registry, block);
	const struct branch_block on_top = { registry->spec, ++registry->height, block, parent_outcome, committed,
		late_backs };

	undo->height = registry->height;
	bucket_apply(&registry->bucket, &on_top, &undo->bucket);
	fees_apply(&registry->fees, &on_top, &undo->fees);
	values_apply(&registry->values, &on_top, &undo->values);
	datasets_apply(&registry->datasets, &on_top, &undo->datasets);
	commitments_apply(&registry->commitments, &on_top, &undo->commitments);
	listed_apply(&registry->listed, &on_top, &undo->listed);
	free(committed);
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
		!listed_undo_fits(&registry->listed, &undo->listed))
		return false;
	bucket_undo(&registry->bucket, &undo->bucket);
	fees_undo(&registry->fees, &undo->fees);
	values_undo(&registry->values, &undo->values);
	datasets_undo(&registry->datasets, &undo->datasets);
	commitments_undo(&registry->commitments, &undo->commitments);
	listed_undo(&registry->listed, &undo->listed);
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
	free(undo);
}

/* --- rules --- */

/* What a transaction or a block registers. */
struct registry_claims {
	struct contribution *list;
	size_t count;
};

static void registry_collect_claims(struct registry_claims *claims, const struct tx *tx)
{
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, &contribution)) {
			claims->list = mem_realloc(claims->list, (claims->count + 1) * sizeof *claims->list);
			claims->list[claims->count++] = contribution;
		}
}

static int registry_compare_claims(const void *claim, const void *other_claim)
{
	return memcmp(((const struct contribution *)claim)->root, ((const struct contribution *)other_claim)->root, 32);
}

static bool registry_check_claim(const struct registry *registry, const struct contribution *claim,
	enum reject_code code_registered, enum reject_code code_committed, struct reject *reject)
{
	uint32_t committed = registry_committed(registry, claim);
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

	if (claims->count)
		qsort(claims->list, claims->count, sizeof *claims->list, registry_compare_claims);
	for (size_t i = 0; claims_hold && i < claims->count; i++)
		claims_hold = i && registry_compare_claims(&claims->list[i - 1], &claims->list[i]) == 0 ?
			reject_set(reject, REASON_BAD_CONTRIB_DUPLICATE, "a root is registered twice at once") :
			registry_check_claim(registry, &claims->list[i], code_registered, code_committed, reject);
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

bool registry_check_block(const struct registry *registry, const struct block *block, struct reject *reject)
{
	struct registry_claims claims = { 0 };

	if (!registry_check_late(registry, block, reject))
		return false;
	for (size_t i = 1; i < block->tx_count; i++)
		if (!registry_check_burns(registry, block->txs[i], FEES_WINDOW, REJECT_INVALID, reject))
			return false;
	for (size_t i = 1; i < block->tx_count; i++)
		registry_collect_claims(&claims, block->txs[i]);
	return registry_check_claims(registry, &claims, REJECT_INVALID, REJECT_INVALID, reject);
}

/* --- bytes: for the database alone, nothing here is consensus --- */

void registry_write(struct buf *out, const struct registry *registry)
{
	buf_put_u8(out, REGISTRY_FORM);
	buf_put_le32(out, registry->height);
	bucket_write(out, &registry->bucket);
	fees_write(out, &registry->fees);
	values_write(out, &registry->values);
	datasets_write(out, &registry->datasets);
	commitments_write(out, &registry->commitments);
	listed_write(out, &registry->listed);
}

struct registry *registry_read(const struct spec *spec, struct reader *registry_reader)
{
	struct registry *registry = registry_new(spec);

	if (reader_u8(registry_reader) == REGISTRY_FORM) {
		registry->height = reader_le32(registry_reader);
		if (bucket_read(&registry->bucket, registry_reader) && fees_read(&registry->fees, registry_reader) &&
			values_read(&registry->values, registry_reader) &&
			datasets_read(&registry->datasets, registry_reader) &&
			commitments_read(&registry->commitments, registry_reader) &&
			listed_read(&registry->listed, registry_reader))
			return registry;
	}
	reader_fail(registry_reader);
	registry_free(registry);
	return NULL;
}

void registry_undo_write(struct buf *out, const struct registry_undo *undo)
{
	buf_put_u8(out, REGISTRY_FORM);
	buf_put_le32(out, undo->height);
	bucket_undo_write(out, &undo->bucket);
	fees_undo_write(out, &undo->fees);
	datasets_undo_write(out, &undo->datasets);
	values_undo_write(out, &undo->values);
	commitments_undo_write(out, &undo->commitments);
	listed_undo_write(out, &undo->listed);
}

struct registry_undo *registry_undo_read(struct reader *registry_reader)
{
	struct registry_undo *undo = mem_calloc(1, sizeof *undo);

	if (reader_u8(registry_reader) != REGISTRY_FORM)
		reader_fail(registry_reader);
	undo->height = reader_le32(registry_reader);
	if (bucket_undo_read(&undo->bucket, registry_reader) && fees_undo_read(&undo->fees, registry_reader) &&
		datasets_undo_read(&undo->datasets, registry_reader) &&
		values_undo_read(&undo->values, registry_reader) &&
		commitments_undo_read(&undo->commitments, registry_reader) &&
		listed_undo_read(&undo->listed, registry_reader))
		return undo;
	registry_undo_free(undo);
	return NULL;
}
