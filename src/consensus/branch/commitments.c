/* The window of commitments: recording, opening, dropping, bytes.
 *
 * Two thousand blocks may hold two million of them. So nothing here is quadratic: a block's hashes are sorted once,
 * when it is recorded, and looked up by halves in each block; what is opened stays in its place with a mark. */
#include "consensus/branch/commitments.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/pieces.h"
#include "util/mem.h"

enum { COMMITMENTS_ENTRY_SIZE = 33 };

/* --- looking up --- */

/* The first of `count` entries, ascending by hash, that has this hash and is not used up; NULL: none. */
static struct commitments_entry *commitments_closed(struct commitments_entry *entries, size_t count,
	const uint8_t hash[32])
{
	size_t low_place = 0, high_place = count;

	while (low_place < high_place) {
		size_t middle_place = low_place + (high_place - low_place) / 2;

		if (memcmp(entries[middle_place].hash, hash, 32) < 0)
			low_place = middle_place + 1;
		else
			high_place = middle_place;
	}
	for (; low_place < count && memcmp(entries[low_place].hash, hash, 32) == 0; low_place++)
		if (!entries[low_place].is_open)
			return &entries[low_place];
	return NULL;
}

/* For the newest block's child, for which the window is what is recorded. */
static struct commitments_entry *commitments_entry_of(const struct commitments *commitments,
	const struct contribution *contribution, uint32_t height, uint32_t delay, uint32_t *committed)
{
	struct commitments_entry *entries = commitments->list, *closed_entry;
	uint8_t hash[32];

	if (entries == NULL) /* blocks are recorded, but none had a commitment */
		return NULL;
	commitment_hash(contribution, hash);
	for (uint32_t i = 0; i < commitments->recorded; entries += commitments->counts[i++]) {
		*committed = commitments->newest - commitments->recorded + 1 + i;
		if (*committed + delay > height)
			break;
		closed_entry = commitments_closed(entries, commitments->counts[i], hash);
		if (closed_entry != NULL)
			return closed_entry;
	}
	return NULL;
}

uint32_t commitments_find(const struct commitments *commitments, const struct contribution *contribution,
	uint32_t height, uint32_t delay)
{
	uint32_t committed;

	return commitments_entry_of(commitments, contribution, height, delay, &committed) != NULL ? committed : 0;
}

/* --- blocks --- */

static int commitments_compare(const void *entry, const void *other_entry)
{
	return memcmp(((const struct commitments_entry *)entry)->hash,
		((const struct commitments_entry *)other_entry)->hash, 32);
}

static void commitments_open(struct commitments *commitments, const struct branch_block *block, const struct tx *tx,
	struct commitments_undo *undo)
{
	struct contribution contribution;
	uint32_t committed;

	for (size_t i = 0; i < tx->output_count; i++) {
		struct commitments_entry *opened_entry;

		if (!contribution_parse(&tx->outputs[i].script, &contribution))
			continue;
		opened_entry = commitments_entry_of(commitments, &contribution, block->height,
			block->spec->commit_delay, &committed);
		if (opened_entry == NULL)
			continue;
		opened_entry->is_open = true;
		undo->opened = mem_realloc(undo->opened, (undo->opened_count + 1) * sizeof *undo->opened);
		undo->opened[undo->opened_count++] = (uint32_t)(opened_entry - commitments->list);
	}
}

/* Invariant, as of the values: counts[i] says how many entries, from where those of block i - 1 end, are block i's. */
static void commitments_drop_oldest(struct commitments *commitments, struct commitments_undo *undo)
{
	undo->has_dropped = true;
	undo->dropped_count = commitments->counts[0];
	if (undo->dropped_count > 0) {
		memcpy(undo->dropped, commitments->list, undo->dropped_count * sizeof *undo->dropped);
		commitments->count -= undo->dropped_count;
		memmove(commitments->list, commitments->list + undo->dropped_count,
			commitments->count * sizeof *commitments->list);
	}
	commitments->recorded--;
	memmove(commitments->counts, commitments->counts + 1, commitments->recorded * sizeof *commitments->counts);
}

static void commitments_record_tx(struct commitments *commitments, const struct tx *tx)
{
	struct commitments_entry recorded_entry = { .is_open = false };

	for (size_t i = 0; i < tx->output_count; i++) {
		if (!commitment_parse(&tx->outputs[i].script, recorded_entry.hash))
			continue;
		commitments->list = mem_realloc(commitments->list,
			(commitments->count + 1) * sizeof *commitments->list);
		commitments->list[commitments->count++] = recorded_entry;
	}
}

/* Opened first: a registration uses up none of its own block, whatever the delay. */
void commitments_apply(struct commitments *commitments, const struct branch_block *block, struct commitments_undo *undo)
{
	size_t count_before;

	for (size_t i = 1; i < block->block->tx_count; i++)
		commitments_open(commitments, block, block->block->txs[i], undo);
	if (commitments->recorded == COMMITMENT_WINDOW)
		commitments_drop_oldest(commitments, undo);
	count_before = commitments->count;
	for (size_t i = 1; i < block->block->tx_count; i++)
		commitments_record_tx(commitments, block->block->txs[i]);
	if (commitments->count > count_before)
		qsort(commitments->list + count_before, commitments->count - count_before, sizeof *commitments->list,
			commitments_compare);
	commitments->counts[commitments->recorded++] = (uint16_t)(commitments->count - count_before);
	commitments->newest = block->height;
}

/* Of another block, or damaged, where it opened what is not there or not open; and one is dropped where the window is
 * full, and full again afterwards. */
bool commitments_undo_fits(const struct commitments *commitments, const struct commitments_undo *undo)
{
	size_t count_before;

	if (commitments->recorded == 0 || (undo->has_dropped && commitments->recorded != COMMITMENT_WINDOW))
		return false;
	count_before = commitments->count - commitments->counts[commitments->recorded - 1] + undo->dropped_count;
	for (uint32_t i = 0; i < undo->opened_count; i++) {
		const struct commitments_entry *opened_entry;

		if (undo->opened[i] >= count_before)
			return false;
		opened_entry = undo->opened[i] < undo->dropped_count ?
			&undo->dropped[undo->opened[i]] :
			&commitments->list[undo->opened[i] - undo->dropped_count];
		if (!opened_entry->is_open)
			return false;
	}
	return true;
}

/* The way back, from the end: what was recorded goes, then what was dropped comes, and then the places that were opened
 * are those of before. */
void commitments_undo(struct commitments *commitments, const struct commitments_undo *undo)
{
	size_t dropped_count = undo->dropped_count;

	commitments->count -= commitments->counts[--commitments->recorded];
	commitments->newest--;
	if (undo->has_dropped) {
		memmove(commitments->counts + 1, commitments->counts,
			commitments->recorded++ * sizeof *commitments->counts);
		commitments->counts[0] = (uint16_t)dropped_count;
	}
	if (dropped_count > 0) {
		commitments->list = mem_realloc(commitments->list,
			(commitments->count + dropped_count) * sizeof *commitments->list);
		memmove(commitments->list + dropped_count, commitments->list,
			commitments->count * sizeof *commitments->list);
		memcpy(commitments->list, undo->dropped, dropped_count * sizeof *commitments->list);
		commitments->count += dropped_count;
	}
	for (uint32_t i = 0; i < undo->opened_count; i++)
		commitments->list[undo->opened[i]].is_open = false;
}

void commitments_undo_clear(struct commitments_undo *undo)
{
	free(undo->opened);
}

void commitments_copy(struct commitments *to, const struct commitments *from)
{
	*to = *from;
	to->list = mem_dup(from->list, from->count * sizeof *from->list);
}

void commitments_clear(struct commitments *commitments)
{
	free(commitments->list);
}

/* --- bytes --- */

static void commitments_put_entry(struct buf *out, const struct commitments_entry *written_entry)
{
	buf_put(out, written_entry->hash, 32);
	buf_put_u8(out, written_entry->is_open);
}

static void commitments_take_entry(struct reader *commitments_reader, struct commitments_entry *read_entry)
{
	reader_copy(commitments_reader, read_entry->hash, 32);
	read_entry->is_open = pieces_bool(commitments_reader);
}

void commitments_write(struct buf *out, const struct commitments *commitments)
{
	buf_put_le32(out, commitments->newest);
	buf_put_le32(out, commitments->recorded);
	for (uint32_t i = 0; i < commitments->recorded; i++)
		buf_put_le16(out, commitments->counts[i]);
	for (size_t i = 0; i < commitments->count; i++)
		commitments_put_entry(out, &commitments->list[i]);
}

bool commitments_read(struct commitments *commitments, struct reader *commitments_reader)
{
	size_t entry_count = 0;

	commitments->newest = reader_le32(commitments_reader);
	commitments->recorded = pieces_count(commitments_reader, COMMITMENT_WINDOW);
	if (commitments->recorded > commitments->newest)
		reader_fail(commitments_reader);
	for (uint32_t i = 0; i < commitments->recorded; i++) {
		commitments->counts[i] = reader_le16(commitments_reader);
		if (commitments->counts[i] > COMMITMENT_BLOCK_MAX)
			reader_fail(commitments_reader);
		entry_count += commitments->counts[i];
	}
	/* Before memory is taken: the counts add up to what must still be there. */
	if (entry_count > reader_left(commitments_reader) / COMMITMENTS_ENTRY_SIZE)
		reader_fail(commitments_reader);
	if (!commitments_reader->ok)
		return false;
	commitments->list = mem_alloc(entry_count * sizeof *commitments->list);
	commitments->count = entry_count;
	for (size_t i = 0; i < entry_count; i++)
		commitments_take_entry(commitments_reader, &commitments->list[i]);
	return commitments_reader->ok;
}

void commitments_undo_write(struct buf *out, const struct commitments_undo *undo)
{
	buf_put_u8(out, undo->has_dropped);
	buf_put_le32(out, undo->dropped_count);
	for (uint32_t i = 0; i < undo->dropped_count; i++)
		commitments_put_entry(out, &undo->dropped[i]);
	buf_put_le32(out, undo->opened_count);
	for (uint32_t i = 0; i < undo->opened_count; i++)
		buf_put_le32(out, undo->opened[i]);
}

bool commitments_undo_read(struct commitments_undo *undo, struct reader *commitments_reader)
{
	undo->has_dropped = pieces_bool(commitments_reader);
	undo->dropped_count = pieces_count(commitments_reader, undo->has_dropped ? COMMITMENT_BLOCK_MAX : 0);
	for (uint32_t i = 0; i < undo->dropped_count; i++)
		commitments_take_entry(commitments_reader, &undo->dropped[i]);
	undo->opened_count = pieces_count(commitments_reader, (uint32_t)(reader_left(commitments_reader) / 4));
	undo->opened = mem_calloc(undo->opened_count, sizeof *undo->opened);
	for (uint32_t i = 0; i < undo->opened_count; i++)
		undo->opened[i] = reader_le32(commitments_reader);
	return commitments_reader->ok;
}
