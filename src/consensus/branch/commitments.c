/* The window of commitments: recording, opening, dropping, bytes.
 *
 * Two thousand blocks may hold two million of them. So a block's hashes are sorted once, when it is recorded, and never
 * move again: the window is a ring, and copies of it share them. What a block costs is its own hashes and what it
 * opens; only looking up walks the window, once for all registrations of a block. */
#include "consensus/branch/commitments.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/pieces.h"
#include "util/mem.h"

struct commitments_hashes {
	size_t holders;
	uint32_t count;
	uint8_t list[][32];
};

/* --- the hashes of one block --- */

/* Held once; NULL for none. */
static struct commitments_hashes *commitments_hashes_new(const uint8_t (*list)[32], uint32_t count)
{
	struct commitments_hashes *hashes = NULL;

	if (count == 0)
		return NULL;
	hashes = mem_alloc(sizeof *hashes + count * sizeof hashes->list[0]);
	hashes->holders = 1;
	hashes->count = count;
	memcpy(hashes->list, list, count * sizeof hashes->list[0]);
	return hashes;
}

static void commitments_hashes_hold(struct commitments_hashes *hashes)
{
	if (hashes != NULL)
		hashes->holders++;
}

static void commitments_hashes_drop(struct commitments_hashes *hashes)
{
	if (hashes != NULL && --hashes->holders == 0)
		free(hashes);
}

static uint32_t commitments_block_count(const struct commitments_block *block)
{
	return block->hashes != NULL ? block->hashes->count : 0;
}

static bool commitments_is_opened(const struct commitments_block *block, uint32_t place)
{
	return (block->opened[place / 8] >> place % 8 & 1) != 0;
}

static void commitments_flip(struct commitments_block *block, uint32_t place)
{
	block->opened[place / 8] ^= (uint8_t)(1 << place % 8);
}

static uint32_t commitments_block_opened(const struct commitments_block *block)
{
	uint32_t opened = 0;

	for (uint32_t i = 0; i < commitments_block_count(block); i++)
		opened += commitments_is_opened(block, i);
	return opened;
}

static struct commitments_block *commitments_at(struct commitments *commitments, uint32_t height)
{
	return &commitments->blocks[height % COMMITMENT_WINDOW];
}

static const struct commitments_block *commitments_recorded_at(const struct commitments *commitments, uint32_t height)
{
	return &commitments->blocks[height % COMMITMENT_WINDOW];
}

static bool commitments_has(const struct commitments *commitments, uint32_t height)
{
	return height <= commitments->newest && commitments->newest - height < commitments->recorded;
}

/* --- looking up --- */

/* The first place from `place` on whose hash is not below this one. */
static uint32_t commitments_place(const struct commitments_block *block, uint32_t place, const uint8_t hash[32])
{
	uint32_t high_place = commitments_block_count(block);

	while (place < high_place) {
		uint32_t middle_place = place + (high_place - place) / 2;

		if (memcmp(block->hashes->list[middle_place], hash, 32) < 0)
			place = middle_place + 1;
		else
			high_place = middle_place;
	}
	return place;
}

/* The first place from `place` on that has the hash and is not used up, where `place` is the hash's first; the number
 * of places: none. */
static uint32_t commitments_closed(const struct commitments_block *block, uint32_t place, const uint8_t hash[32])
{
	const uint32_t block_count = commitments_block_count(block);

	for (; place < block_count && memcmp(block->hashes->list[place], hash, 32) == 0; place++)
		if (!commitments_is_opened(block, place))
			return place;
	return block_count;
}

static int commitments_compare_claims(const void *claim, const void *other_claim)
{
	return memcmp(((const struct commitments_claim *)claim)->hash,
		((const struct commitments_claim *)other_claim)->hash, 32);
}

/* Both lists ascend, so each claim is looked for from where the one before it would be. Returns how many were found. */
static size_t commitments_find_in(const struct commitments_block *block, uint32_t height,
	struct commitments_claim *claims, size_t count)
{
	const uint32_t block_count = commitments_block_count(block);
	uint32_t place = 0;
	size_t found = 0;

	for (size_t i = 0; i < count && place < block_count; i++) {
		if (claims[i].committed > 0)
			continue;
		place = commitments_place(block, place, claims[i].hash);
		if (commitments_closed(block, place, claims[i].hash) == block_count)
			continue;
		claims[i].committed = height;
		found++;
	}
	return found;
}

void commitments_find(const struct commitments *commitments, struct commitments_claim *claims, size_t count,
	uint32_t height, uint32_t delay)
{
	size_t missing = count;

	if (count > 1)
		qsort(claims, count, sizeof *claims, commitments_compare_claims);
	for (size_t i = 0; i < count; i++)
		claims[i].committed = 0;
	for (uint32_t i = commitments->recorded; missing > 0 && i-- > 0;) {
		const uint32_t committed = commitments->newest - i;

		if (committed + delay > height)
			break;
		missing -= commitments_find_in(commitments_recorded_at(commitments, committed), committed, claims,
			count);
	}
}

/* --- blocks --- */

static int commitments_compare(const void *hash, const void *other_hash)
{
	return memcmp(hash, other_hash, 32);
}

/* The block's registration whose commitment is at this height. */
static void commitments_open(struct commitments *commitments, const struct contribution *contribution, uint32_t height,
	struct commitments_undo *undo)
{
	struct commitments_block *opened_block;
	struct commitments_opened opened = { .height = height };
	uint8_t hash[32];

	if (!commitments_has(commitments, height))
		return;
	opened_block = commitments_at(commitments, height);
	commitment_hash(contribution, hash);
	opened.place = commitments_closed(opened_block, commitments_place(opened_block, 0, hash), hash);
	if (opened.place == commitments_block_count(opened_block))
		return;
	commitments_flip(opened_block, opened.place);
	commitments->opened++;
	undo->opened = mem_realloc(undo->opened, (undo->opened_count + 1) * sizeof *undo->opened);
	undo->opened[undo->opened_count++] = opened;
}

static void commitments_open_all(struct commitments *commitments, const struct branch_block *block,
	struct commitments_undo *undo)
{
	struct contribution contribution;
	size_t registered = 0;

	for (size_t i = 1; i < block->block->tx_count; i++)
		for (size_t j = 0; j < block->block->txs[i]->output_count; j++)
			if (contribution_parse(&block->block->txs[i]->outputs[j].script, &contribution))
				commitments_open(commitments, &contribution, block->committed[registered++], undo);
}

/* The undo takes over what the window held. */
static void commitments_drop_oldest(struct commitments *commitments, struct commitments_undo *undo)
{
	struct commitments_block *oldest = commitments_at(commitments, commitments->newest - commitments->recorded + 1);

	undo->has_dropped = true;
	undo->dropped = *oldest;
	commitments->count -= commitments_block_count(oldest);
	commitments->opened -= commitments_block_opened(oldest);
	commitments->recorded--;
	*oldest = (struct commitments_block){ 0 };
}

static uint32_t commitments_collect(const struct block *block, uint8_t (*hashes)[32])
{
	uint32_t collected = 0;

	for (size_t i = 1; i < block->tx_count; i++)
		for (size_t j = 0; j < block->txs[i]->output_count; j++)
			if (collected < COMMITMENT_BLOCK_MAX &&
				commitment_parse(&block->txs[i]->outputs[j].script, hashes[collected]))
				collected++;
	return collected;
}

/* Opened first: a registration uses up none of its own block, whatever the delay. */
void commitments_apply(struct commitments *commitments, const struct branch_block *block, struct commitments_undo *undo)
{
	uint8_t hashes[COMMITMENT_BLOCK_MAX][32];
	uint32_t hash_count = commitments_collect(block->block, hashes);

	commitments_open_all(commitments, block, undo);
	if (commitments->recorded == COMMITMENT_WINDOW)
		commitments_drop_oldest(commitments, undo);
	qsort(hashes, hash_count, sizeof hashes[0], commitments_compare);
	commitments->newest = block->height;
	commitments->recorded++;
	commitments->count += hash_count;
	commitments_at(commitments, block->height)->hashes = commitments_hashes_new(hashes, hash_count);
}

/* The block at this height as it is before the newest one, which the undo would take off; NULL: it is not recorded. */
static const struct commitments_block *commitments_before(const struct commitments *commitments,
	const struct commitments_undo *undo, uint32_t height)
{
	if (undo->has_dropped && height == commitments->newest - COMMITMENT_WINDOW)
		return &undo->dropped;
	return height != commitments->newest && commitments_has(commitments, height) ?
		commitments_recorded_at(commitments, height) :
		NULL;
}

/* Of another block, or damaged, where it opened what is not there or not open; and one is dropped where the window is
 * full, and full again afterwards. A block's own are closed when it is the newest. */
bool commitments_undo_fits(const struct commitments *commitments, const struct commitments_undo *undo)
{
	if (commitments->recorded == 0 || (undo->has_dropped && commitments->recorded != COMMITMENT_WINDOW) ||
		(undo->has_dropped && commitments->newest <= COMMITMENT_WINDOW) ||
		commitments_block_opened(commitments_recorded_at(commitments, commitments->newest)) > 0)
		return false;
	for (uint32_t i = 0; i < undo->opened_count; i++) {
		const struct commitments_opened *opened = &undo->opened[i];
		const struct commitments_block *opened_block = commitments_before(commitments, undo, opened->height);

		if (opened_block == NULL || opened->place >= commitments_block_count(opened_block) ||
			!commitments_is_opened(opened_block, opened->place))
			return false;
	}
	return true;
}

/* The way back, from the end: what was recorded goes, then what was dropped comes, into the same place of the ring, and
 * then the places that were opened are closed. */
void commitments_undo(struct commitments *commitments, const struct commitments_undo *undo)
{
	struct commitments_block *last = commitments_at(commitments, commitments->newest);

	commitments->count -= commitments_block_count(last);
	commitments_hashes_drop(last->hashes);
	*last = (struct commitments_block){ 0 };
	commitments->newest--;
	commitments->recorded--;
	if (undo->has_dropped) {
		*last = undo->dropped;
		commitments_hashes_hold(last->hashes);
		commitments->recorded++;
		commitments->count += commitments_block_count(last);
		commitments->opened += commitments_block_opened(last);
	}
	for (uint32_t i = 0; i < undo->opened_count; i++) {
		struct commitments_block *opened_block = commitments_at(commitments, undo->opened[i].height);

		if (commitments_is_opened(opened_block, undo->opened[i].place)) {
			commitments_flip(opened_block, undo->opened[i].place);
			commitments->opened--;
		}
	}
}

void commitments_undo_clear(struct commitments_undo *undo)
{
	commitments_hashes_drop(undo->dropped.hashes);
	free(undo->opened);
}

void commitments_copy(struct commitments *to, const struct commitments *from)
{
	*to = *from;
	for (int i = 0; i < COMMITMENT_WINDOW; i++)
		commitments_hashes_hold(to->blocks[i].hashes);
}

void commitments_clear(struct commitments *commitments)
{
	for (int i = 0; i < COMMITMENT_WINDOW; i++)
		commitments_hashes_drop(commitments->blocks[i].hashes);
}

/* --- bytes --- */

static void commitments_put_hashes(struct buf *out, const struct commitments_block *block)
{
	const uint32_t block_count = commitments_block_count(block);

	buf_put_le16(out, (uint16_t)block_count);
	if (block_count > 0)
		buf_put(out, block->hashes->list, block_count * sizeof block->hashes->list[0]);
}

static void commitments_take_hashes(struct reader *commitments_reader, struct commitments_block *block)
{
	uint8_t hashes[COMMITMENT_BLOCK_MAX][32];
	uint32_t hash_count = reader_le16(commitments_reader);

	if (hash_count > COMMITMENT_BLOCK_MAX ||
		!reader_copy(commitments_reader, hashes, hash_count * sizeof hashes[0]))
		reader_fail(commitments_reader);
	/* Look-ups go by halves. */
	for (uint32_t i = 1; commitments_reader->ok && i < hash_count; i++)
		if (memcmp(hashes[i - 1], hashes[i], sizeof hashes[0]) > 0)
			reader_fail(commitments_reader);
	if (commitments_reader->ok)
		block->hashes = commitments_hashes_new(hashes, hash_count);
}

/* Bits beyond the count are of nothing. */
static void commitments_take_opened(struct reader *commitments_reader, struct commitments_block *block)
{
	const uint32_t block_count = commitments_block_count(block);

	reader_copy(commitments_reader, block->opened, (block_count + 7) / 8);
	if (block_count % 8 > 0 && block->opened[block_count / 8] >> block_count % 8 != 0)
		reader_fail(commitments_reader);
}

void commitments_write(struct buf *out, const struct commitments *commitments)
{
	buf_put_le32(out, commitments->newest);
	buf_put_le32(out, commitments->recorded);
	buf_put_le32(out, commitments->count);
	buf_put_le32(out, commitments->opened);
}

bool commitments_read(struct commitments *commitments, struct reader *commitments_reader)
{
	commitments->newest = reader_le32(commitments_reader);
	commitments->recorded = pieces_count(commitments_reader, COMMITMENT_WINDOW);
	commitments->count = reader_le32(commitments_reader);
	commitments->opened = reader_le32(commitments_reader);
	if (commitments->recorded > commitments->newest)
		reader_fail(commitments_reader);
	return commitments_reader->ok;
}

/* Of the block that fell out of the window both are changed: they are not there any more. */
void commitments_changed(const struct commitments *commitments, const struct commitments_undo *undo,
	struct slices *changed)
{
	if (commitments_block_count(commitments_recorded_at(commitments, commitments->newest)) > 0)
		slices_add(changed, SLICE_COMMITTED, commitments->newest);
	if (undo->has_dropped && commitments_block_count(&undo->dropped) > 0) {
		slices_add(changed, SLICE_COMMITTED, commitments->newest - COMMITMENT_WINDOW);
		slices_add(changed, SLICE_OPENED, commitments->newest - COMMITMENT_WINDOW);
	}
	for (uint32_t i = 0; i < undo->opened_count; i++)
		slices_add(changed, SLICE_OPENED, undo->opened[i].height);
}

bool commitments_write_slice(struct buf *out, const struct commitments *commitments, const struct slice *slice)
{
	const struct commitments_block *block = commitments_recorded_at(commitments, slice->number);
	const uint32_t block_count = commitments_block_count(block);

	if (!commitments_has(commitments, slice->number) || block_count == 0)
		return false;
	if (slice->kind == SLICE_COMMITTED) {
		commitments_put_hashes(out, block);
		return true;
	}
	if (commitments_block_opened(block) == 0)
		return false;
	buf_put(out, block->opened, (block_count + 7) / 8);
	return true;
}

bool commitments_read_slice(struct commitments *commitments, const struct slice *slice,
	struct reader *commitments_reader)
{
	struct commitments_block *block = commitments_at(commitments, slice->number);

	if (!commitments_has(commitments, slice->number) || (slice->kind == SLICE_COMMITTED) != (block->hashes == NULL))
		reader_fail(commitments_reader);
	else if (slice->kind == SLICE_COMMITTED)
		commitments_take_hashes(commitments_reader, block);
	else
		commitments_take_opened(commitments_reader, block);
	/* None is written of nothing. */
	if (block->hashes == NULL || (slice->kind == SLICE_OPENED && commitments_block_opened(block) == 0))
		reader_fail(commitments_reader);
	return commitments_reader->ok;
}

bool commitments_whole(const struct commitments *commitments)
{
	uint64_t count = 0, opened = 0;

	for (int i = 0; i < COMMITMENT_WINDOW; i++) {
		count += commitments_block_count(&commitments->blocks[i]);
		opened += commitments_block_opened(&commitments->blocks[i]);
	}
	return count == commitments->count && opened == commitments->opened;
}

void commitments_undo_write(struct buf *out, const struct commitments_undo *undo)
{
	buf_put_u8(out, undo->has_dropped);
	if (undo->has_dropped) {
		commitments_put_hashes(out, &undo->dropped);
		buf_put(out, undo->dropped.opened, (commitments_block_count(&undo->dropped) + 7) / 8);
	}
	buf_put_le32(out, undo->opened_count);
	for (uint32_t i = 0; i < undo->opened_count; i++) {
		buf_put_le32(out, undo->opened[i].height);
		buf_put_le32(out, undo->opened[i].place);
	}
}

bool commitments_undo_read(struct commitments_undo *undo, struct reader *commitments_reader)
{
	undo->has_dropped = pieces_bool(commitments_reader);
	if (undo->has_dropped) {
		commitments_take_hashes(commitments_reader, &undo->dropped);
		commitments_take_opened(commitments_reader, &undo->dropped);
	}
	undo->opened_count = pieces_count(commitments_reader, (uint32_t)(reader_left(commitments_reader) / 8));
	undo->opened = mem_calloc(undo->opened_count, sizeof *undo->opened);
	for (uint32_t i = 0; i < undo->opened_count; i++) {
		undo->opened[i].height = reader_le32(commitments_reader);
		undo->opened[i].place = reader_le32(commitments_reader);
	}
	return commitments_reader->ok;
}
