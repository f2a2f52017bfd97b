/* Entries: walks over them, their status, the active chain, and their bytes in the database. */
#include "chain/index.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/pace.h"
#include "util/log.h"
#include "util/mem.h"

enum { INDEX_MEDIAN_SPAN = 11, INDEX_REASON_MAX = 64, INDEX_KEY_SIZE = 33 };

/* Some 100,000 of them are what a chain has after a year or two. */
_Static_assert(sizeof(struct full_entry) <= 640, "what few entries need does not lie in each");

/* --- entries and walks --- */

/* A skip may lead past the height that is asked for; then one step up, where the next skip is another. About log2 of
 * the distance steps in all. */
const struct index_entry *chain_ancestor(const struct index_entry *entry, uint32_t height)
{
	const struct full_entry *ancestor = entry_full(entry);

	if (entry == NULL || height > entry->height)
		return NULL;
	while (ancestor->entry.height > height)
		ancestor = ancestor->skip != NULL && ancestor->skip->entry.height >= height ? ancestor->skip :
											      entry_parent(ancestor);
	return &ancestor->entry;
}

const struct index_entry *index_fork(const struct index_entry *left, const struct index_entry *right)
{
	uint32_t height = left->height < right->height ? left->height : right->height;

	left = chain_ancestor(left, height);
	right = chain_ancestor(right, height);
	while (left != right) {
		const struct full_entry *left_full = entry_full(left), *right_full = entry_full(right);

		/* Skips of equal heights lead to equal heights; where they still differ, the fork lies below. */
		if (left_full->skip != NULL && left_full->skip != right_full->skip) {
			left = &left_full->skip->entry;
			right = &right_full->skip->entry;
		} else {
			left = left->parent;
			right = right->parent;
		}
	}
	return left;
}

static int index_compare_times(const void *left, const void *right)
{
	const uint32_t *left_time = left, *right_time = right;

	return (*left_time > *right_time) - (*left_time < *right_time);
}

/* Eleven with the block itself, fewer near genesis: then the element floor(n / 2) (doc/protocol.md section 8). */
static uint32_t index_median_time(const struct index_entry *entry)
{
	uint32_t times[INDEX_MEDIAN_SPAN];
	size_t time_count = 0;

	for (; entry != NULL && time_count < INDEX_MEDIAN_SPAN; entry = entry->parent)
		times[time_count++] = entry->header.time;
	qsort(times, time_count, sizeof times[0], index_compare_times);
	return times[time_count / 2];
}

/* PACE_BACK blocks back from the child. */
static uint32_t index_base_time(const struct index_entry *entry)
{
	return chain_ancestor(entry, entry->height >= PACE_BACK ? entry->height + 1 - PACE_BACK : 0)->header.time;
}

/* Going down from `entry`: what each of its next ancestors asks of a child, its child on this branch has. */
static void index_late_places(const struct index_entry *entry, struct parent_view *parent_view)
{
	for (const struct index_entry *child = entry;
		child->parent != NULL && parent_view->late_count < BLOCK_LATE_BACK; child = child->parent) {
		struct proof_place *late_place = &parent_view->late[parent_view->late_count++];

		memcpy(late_place->id, child->parent->id, 32);
		memcpy(late_place->model_root, child->header.model_root, 32);
		late_place->has_model_root = true;
		late_place->height = child->parent->height;
		late_place->bits = child->header.bits;
		late_place->median_time = child->parent->median_time;
		late_place->base_time = index_base_time(child->parent);
	}
}

void index_parent_view(const struct index_entry *entry, struct parent_view *parent_view)
{
	memset(parent_view, 0, sizeof *parent_view);
	memcpy(parent_view->id, entry->id, 32);
	memcpy(parent_view->ticket, entry->ticket, 32);
	parent_view->height = entry->height;
	parent_view->time = entry->header.time;
	parent_view->median_time = entry->median_time;
	parent_view->base_time = index_base_time(entry);
	parent_view->has_model_root = entry_verified(entry);
	memcpy(parent_view->model_root, entry->model_root_after, 32);
	index_late_places(entry, parent_view);
}

const struct index_entry *index_late_child(const struct index_entry *parent, const struct header *header)
{
	for (uint32_t back = 1; back <= BLOCK_LATE_BACK && parent->parent != NULL; back++, parent = parent->parent)
		if (memcmp(header->prev, parent->parent->id, 32) == 0)
			return parent;
	return NULL;
}

struct full_entry *index_find(const struct index *index, const uint8_t id[32])
{
	return map_get(&index->by_id, id);
}

/* By promised work alone, for people and for what to fetch: no rule follows from it. */
static void index_consider_best_header(struct index *index, struct full_entry *full)
{
	if (full->entry.status != ENTRY_INVALID &&
		(index->best_header == NULL ||
			u256_compare(full->entry.chain_work, index->best_header->entry.chain_work) > 0))
		index->best_header = full;
}

/* Raises what the ancestors that are not verified yet promise. */
static void index_note_promise(struct full_entry *full)
{
	if (full->entry.status == ENTRY_INVALID)
		return;
	for (struct full_entry *ancestor = entry_parent(full); ancestor != NULL && !entry_verified(&ancestor->entry);
		ancestor = entry_parent(ancestor)) {
		/* Those above it promise as much at least. */
		if (u256_compare(ancestor->promised_work, full->promised_work) >= 0)
			return;
		ancestor->promised_work = full->promised_work;
	}
}

/* Puts an entry with header, id and parent set into the index, and derives the rest from its parent. */
static void index_insert(struct index *index, struct full_entry *full)
{
	struct index_entry *entry = &full->entry, *parent = entry->parent;
	struct u256 header_target = { { 0 } };

	header_ticket(&entry->header, entry->ticket);
	/* Bits were checked before a header comes here, and those of genesis are our own. */
	target_from_compact(entry->header.bits, &header_target);
	entry->chain_work = target_work(header_target);
	if (parent != NULL) {
		uint32_t entry_height = parent->height + 1;

		entry->height = entry_height;
		entry->chain_work = u256_add(entry->chain_work, parent->chain_work);
		/* To the height without its lowest bit, which depends on the height alone: so entries of one height
		 * skip to one height, as index_fork needs it. */
		full->skip = entry_full(chain_ancestor(parent, entry_height & (entry_height - 1)));
		entry_full(parent)->has_child = true;
	}
	entry->median_time = index_median_time(entry);
	full->promised_work = entry->chain_work;
	index_note_promise(full);
	if (index->count == index->cap) {
		index->cap = index->cap ? index->cap * 2 : 256;
		index->entries = mem_realloc(index->entries, index->cap * sizeof *index->entries);
	}
	index->entries[index->count++] = full;
	map_put(&index->by_id, entry->id, full);
	index->header_only += entry->status == ENTRY_HEADER;
	index_consider_best_header(index, full);
}

/* Under a parent that was refused it is refused from the beginning: the invariant holds for what comes later too. */
struct full_entry *index_add(struct index *index, const struct header *header, const uint8_t id[32])
{
	struct full_entry *full = mem_calloc(1, sizeof *full);

	full->entry.header = *header;
	memcpy(full->entry.id, id, 32);
	full->entry.parent = &index_find(index, header->prev)->entry;
	if (full->entry.parent->status == ENTRY_INVALID) {
		full->entry.status = ENTRY_INVALID;
		full->entry.invalid_reason = reasons_row(REASON_BAD_PREVBLK)->text;
	}
	index_insert(index, full);
	return full;
}

static void index_free_entry(struct full_entry *full)
{
	free(full->entry.outcome_bytes);
	free(full);
}

void index_init(struct index *index, const struct spec *spec)
{
	const struct block_outcome nothing_done = { .outcome.slots = spec->slots };
	struct full_entry *genesis = mem_calloc(1, sizeof *genesis);

	memset(index, 0, sizeof *index);
	index->spec = spec;
	map_init(&index->by_id);
	genesis->entry.header = spec->genesis;
	genesis->entry.status = ENTRY_CONNECTED;
	memcpy(genesis->entry.id, spec->genesis_id, 32);
	memcpy(genesis->entry.model_root_after, spec->genesis.model_root, 32);
	index_set_outcome(genesis, &nothing_done);
	index_insert(index, genesis);
	index_set_active(index, genesis);
}

void index_clear(struct index *index)
{
	for (size_t i = 0; i < index->count; i++)
		index_free_entry(index->entries[i]);
	for (size_t i = 0; i < index->reason_count; i++)
		free(index->reasons[i]);
	free(index->reasons);
	free(index->entries);
	free(index->active);
	map_clear(&index->by_id);
	memset(index, 0, sizeof *index);
}

/* --- outcomes --- */

/* One that was refused by the operator and taken back is verified again, while a worker may still read what it did: so
 * its bytes, which are as many as before, stay where they are. */
void index_set_outcome(struct full_entry *full, const struct block_outcome *outcome)
{
	struct index_entry *entry = &full->entry;
	struct buf outcome_bytes;

	buf_init(&outcome_bytes);
	block_outcome_write(&outcome_bytes, outcome);
	if (entry->outcome_size != outcome_bytes.size)
		entry->outcome_bytes = mem_realloc(entry->outcome_bytes, outcome_bytes.size);
	entry->outcome_size = outcome_bytes.size;
	memcpy(entry->outcome_bytes, outcome_bytes.data, outcome_bytes.size);
	buf_clear(&outcome_bytes);
}

/* The bytes are our own, or were read when they came from the database. */
const struct block_outcome *chain_outcome(const struct index_entry *entry, struct block_outcome *outcome)
{
	struct reader outcome_reader;

	memset(outcome, 0, sizeof *outcome);
	if (entry->outcome_bytes != NULL) {
		reader_init(&outcome_reader, entry->outcome_bytes, entry->outcome_size);
		block_outcome_read(&outcome_reader, outcome);
	}
	return outcome;
}

/* --- status --- */

/* Changes go one way, HEADER, STORED, VERIFIED, CONNECTED, but for two: INVALID from any of them, and back to what is
 * certain by the operator's word or when bytes were lost. */
void index_set_status(struct index *index, struct full_entry *full, enum entry_status status)
{
	index->header_only -= full->entry.status == ENTRY_HEADER;
	index->header_only += status == ENTRY_HEADER;
	full->entry.status = status;
}

/* Which headers count has changed. */
static void index_weigh_headers(struct index *index)
{
	index->best_header = NULL;
	for (size_t i = 0; i < index->count; i++) {
		index->entries[i]->promised_work = index->entries[i]->entry.chain_work;
		index_consider_best_header(index, index->entries[i]);
	}
	/* Children before parents: each hands on to one. */
	for (size_t i = index->count; i-- > 1;) {
		struct full_entry *child = index->entries[i], *parent = entry_parent(child);

		if (child->entry.status != ENTRY_INVALID &&
			u256_compare(child->promised_work, parent->promised_work) > 0)
			parent->promised_work = child->promised_work;
	}
}

/* Parents stand before children, so one walk finds all descendants. */
void index_invalidate(struct index *index, struct full_entry *full, const char *reason)
{
	index_set_status(index, full, ENTRY_INVALID);
	full->entry.invalid_reason = reason;
	for (size_t i = 0; i < index->count; i++) {
		struct full_entry *descendant = index->entries[i];

		if (descendant->entry.parent == NULL || descendant->entry.status == ENTRY_INVALID ||
			descendant->entry.parent->status != ENTRY_INVALID)
			continue;
		index_set_status(index, descendant, ENTRY_INVALID);
		descendant->entry.invalid_reason = reasons_row(REASON_BAD_PREVBLK)->text;
	}
	index_weigh_headers(index);
}

/* Back to what is certain: bytes here or not. Verification and connection start anew. */
static void index_revive_entry(struct index *index, struct full_entry *full, struct db_batch *index_batch)
{
	if (full->entry.status != ENTRY_INVALID)
		return;
	index_set_status(index, full, full->block.size ? ENTRY_STORED : ENTRY_HEADER);
	full->entry.invalid_reason = NULL;
	full->refused_deep = false;
	if (full->saved)
		index_save(index_batch, full);
}

/* Ancestors too: an entry cannot count while one of them is refused. */
void index_reconsider(struct index *index, struct full_entry *full, struct db_batch *index_batch)
{
	for (struct full_entry *revived = full; revived != NULL; revived = entry_parent(revived))
		index_revive_entry(index, revived, index_batch);
	for (size_t i = 0; i < index->count; i++) {
		struct full_entry *revived = index->entries[i];

		if (revived->entry.height > full->entry.height &&
			chain_ancestor(&revived->entry, full->entry.height) == &full->entry)
			index_revive_entry(index, revived, index_batch);
	}
	index_weigh_headers(index);
}

/* Lets go of an entry that hangs on nothing any more. */
static void index_forget_entry(struct index *index, struct full_entry *full)
{
	index->header_only -= full->entry.status == ENTRY_HEADER;
	map_remove(&index->by_id, full->entry.id);
	index_free_entry(full);
}

/* Whoever is told to forget must have let go of them: their memory goes. */
void index_forget_headers(struct index *index)
{
	size_t kept_entries = 1;

	for (size_t i = 0; i < index->count; i++)
		index->entries[i]->has_child = false;
	/* Children before parents: whoever is kept marks its parent, which then is kept too. */
	for (size_t i = index->count; i-- > 1;) {
		struct full_entry *child = index->entries[i];
		bool bare_entry = child->entry.status == ENTRY_HEADER || child->entry.status == ENTRY_INVALID;

		if (bare_entry && !child->saved && !child->entry.held && !child->has_child) {
			index_forget_entry(index, child);
			index->entries[i] = NULL;
		} else {
			entry_parent(child)->has_child = true;
		}
	}
	for (size_t i = 1; i < index->count; i++)
		if (index->entries[i] != NULL)
			index->entries[kept_entries++] = index->entries[i];
	index->count = kept_entries;
	index_weigh_headers(index);
}

bool index_is_earliest(const struct index *index, const struct index_entry *entry)
{
	struct parent_view parent_view;

	if (entry->parent == NULL || index->spec->spacing == 0)
		return false;
	index_parent_view(entry->parent, &parent_view);
	return entry->header.time == pace_least_time(index->spec, entry->height, parent_view.base_time);
}

static int index_compare_tickets(const struct index_entry *entry, const struct index_entry *rival)
{
	return u256_compare(u256_from_bytes(entry->ticket), u256_from_bytes(rival->ticket));
}

bool index_beats(const struct index *index, const struct index_entry *entry, const struct index_entry *rival)
{
	const int work_order = u256_compare(entry->chain_work, rival->chain_work);

	if (work_order != 0)
		return work_order > 0;
	return index_compare_tickets(entry, rival) < 0 && index_is_earliest(index, entry) &&
		index_is_earliest(index, rival);
}

/* A tie is the first connected one's, whoever was verified first: so a restart, which verifies nothing, comes to the
 * same tip. */
static struct full_entry *index_first_of_best(const struct index *index)
{
	struct full_entry *best = index->entries[0];

	for (size_t i = 1; i < index->count; i++) {
		struct full_entry *rival = index->entries[i];
		int work_order;

		if (!entry_verified(&rival->entry) || rival->refused_deep)
			continue;
		work_order = u256_compare(rival->entry.chain_work, best->entry.chain_work);
		/* Connect order 0 (never) minus one is the largest of all: the first connected wins a tie. */
		if (work_order > 0 ||
			(work_order == 0 && rival->entry.connect_order - 1 < best->entry.connect_order - 1))
			best = rival;
	}
	return best;
}

/* Where blocks are found faster than they may be dated all branches would grow alike, and nodes stay on different ones
 * for long; the lowest ticket is the same for all. Who comes first is asked before: between two tickets and an order of
 * arrival there would be circles otherwise, and with them a tip that never rests. Connecting another one changes
 * neither who was first nor any ticket. */
struct full_entry *index_best_verified(const struct index *index)
{
	struct full_entry *best = index_first_of_best(index);

	for (size_t i = 1; i < index->count; i++) {
		struct full_entry *rival = index->entries[i];

		if (entry_verified(&rival->entry) && !rival->refused_deep &&
			index_beats(index, &rival->entry, &best->entry))
			best = rival;
	}
	return best;
}

/* --- the active chain --- */

/* From the tip down to where the branch joins what was active already: as many steps as the switch has blocks. */
void index_set_active(struct index *index, struct full_entry *tip)
{
	size_t active_count = (size_t)tip->entry.height + 1;

	if (active_count > index->active_cap) {
		index->active_cap = active_count + active_count / 2 + 64;
		index->active = mem_realloc(index->active, index->active_cap * sizeof *index->active);
	}
	for (struct full_entry *active = tip; active != NULL; active = entry_parent(active)) {
		if (active->entry.height < index->active_count && index->active[active->entry.height] == active)
			break;
		index->active[active->entry.height] = active;
	}
	index->active_count = active_count;
}

bool index_is_active(const struct index *index, const struct index_entry *entry)
{
	return entry->height < index->active_count && &index->active[entry->height]->entry == entry;
}

size_t index_tips(const struct index *index, const struct index_entry **branch_tips, size_t tips_max)
{
	const struct full_entry *tip = index->active[index->active_count - 1];
	size_t tip_count = 0;

	/* Newest first: a list cut short keeps what matters. */
	for (size_t i = index->count; i > 0 && tip_count < tips_max; i--) {
		const struct full_entry *leaf = index->entries[i - 1];

		if (!leaf->has_child || leaf == tip)
			branch_tips[tip_count++] = &leaf->entry;
	}
	return tip_count;
}

/* --- the database --- */

static void index_position_write(struct buf *entry_bytes, const struct file_position *file_position)
{
	buf_put_le32(entry_bytes, file_position->file);
	buf_put_le64(entry_bytes, file_position->offset);
	buf_put_le64(entry_bytes, file_position->size);
}

static void index_position_read(struct reader *entry_reader, struct file_position *file_position)
{
	file_position->file = reader_le32(entry_reader);
	file_position->offset = reader_le64(entry_reader);
	file_position->size = reader_le64(entry_reader);
}

/* Of an entry without an outcome that of nothing: every record has one. */
static void index_put_outcome(struct buf *entry_bytes, const struct index_entry *entry)
{
	const struct block_outcome nothing_done = { .weight = 0 };

	if (entry->outcome_bytes != NULL)
		buf_put(entry_bytes, entry->outcome_bytes, entry->outcome_size);
	else
		block_outcome_write(entry_bytes, &nothing_done);
}

static void index_write(struct db_batch *index_batch, struct full_entry *full)
{
	const struct index_entry *entry = &full->entry;
	const char *entry_reason = entry->status == ENTRY_INVALID ? entry->invalid_reason : "";
	uint8_t entry_key[INDEX_KEY_SIZE] = { DB_INDEX }, entry_header[HEADER_SIZE];
	struct buf entry_bytes;

	buf_init(&entry_bytes);
	memcpy(entry_key + 1, entry->id, 32);
	header_write(entry_header, &entry->header);
	buf_put_u8(&entry_bytes, (uint8_t)entry->status);
	buf_put_le32(&entry_bytes, entry->height);
	buf_put(&entry_bytes, entry_header, sizeof entry_header);
	index_position_write(&entry_bytes, &full->block);
	index_position_write(&entry_bytes, &full->bodies);
	index_position_write(&entry_bytes, &full->undo);
	buf_put_le32(&entry_bytes, entry->tx_count);
	buf_put_le32(&entry_bytes, entry->loose_count);
	buf_put_le32(&entry_bytes, entry->late_count);
	buf_put_le64(&entry_bytes, entry->connect_order);
	buf_put(&entry_bytes, entry->model_root_after, 32);
	buf_put_compact(&entry_bytes, strlen(entry_reason));
	buf_put_text(&entry_bytes, entry_reason);
	index_put_outcome(&entry_bytes, entry);
	db_batch_put(index_batch, entry_key, sizeof entry_key, entry_bytes.data, entry_bytes.size);
	buf_clear(&entry_bytes);
	full->saved = true;
}

/* Ancestors that were headers alone when they came are written with it, so that every entry of the database has its
 * parent there. */
void index_save(struct db_batch *index_batch, struct full_entry *full)
{
	index_write(index_batch, full);
	for (struct full_entry *unsaved = entry_parent(full); unsaved->entry.parent != NULL && !unsaved->saved;
		unsaved = entry_parent(unsaved))
		index_write(index_batch, unsaved);
}

/* An entry points to its reason, and many have the same; a text of another version of this program has no row in the
 * table. */
static const char *index_keep_reason(struct index *index, const char *reason_text, size_t reason_size)
{
	for (size_t i = 0; i < index->reason_count; i++)
		if (strlen(index->reasons[i]) == reason_size &&
			memcmp(index->reasons[i], reason_text, reason_size) == 0)
			return index->reasons[i];
	index->reasons = mem_realloc(index->reasons, (index->reason_count + 1) * sizeof *index->reasons);
	index->reasons[index->reason_count] = mem_calloc(1, reason_size + 1);
	memcpy(index->reasons[index->reason_count], reason_text, reason_size);
	return index->reasons[index->reason_count++];
}

/* What the database says is checked as a stranger's bytes are: it may be damaged in ways that its checksums do not
 * show. */
static struct full_entry *index_read(struct index *index, const uint8_t id[32], struct reader *entry_reader)
{
	struct full_entry *full = mem_calloc(1, sizeof *full);
	struct index_entry *entry = &full->entry;
	const uint8_t *header_bytes, *reason_text;
	uint8_t entry_status = reader_u8(entry_reader);
	struct block_outcome outcome;
	size_t reason_size;

	memcpy(entry->id, id, 32);
	entry->height = reader_le32(entry_reader);
	header_bytes = reader_bytes(entry_reader, HEADER_SIZE);
	index_position_read(entry_reader, &full->block);
	index_position_read(entry_reader, &full->bodies);
	index_position_read(entry_reader, &full->undo);
	entry->tx_count = reader_le32(entry_reader);
	entry->loose_count = reader_le32(entry_reader);
	entry->late_count = reader_le32(entry_reader);
	entry->connect_order = reader_le64(entry_reader);
	reader_copy(entry_reader, entry->model_root_after, 32);
	reason_size = reader_compact(entry_reader);
	reason_text = reason_size <= INDEX_REASON_MAX ? reader_bytes(entry_reader, reason_size) : NULL;
	if (reason_text == NULL || entry_status > ENTRY_INVALID || !block_outcome_read(entry_reader, &outcome) ||
		!reader_done(entry_reader)) {
		free(full);
		return NULL;
	}
	if (outcome.outcome.slots > 0)
		index_set_outcome(full, &outcome);
	header_read(&entry->header, header_bytes);
	entry->status = (enum entry_status)entry_status;
	if (entry->status == ENTRY_INVALID)
		entry->invalid_reason = index_keep_reason(index, (const char *)reason_text, reason_size);
	return full;
}

struct index_loading {
	struct index *index;
	struct full_entry **entries;
	size_t count, cap;
};

static bool index_load_entry(void *loading_context, const uint8_t *entry_key, size_t entry_key_size,
	const uint8_t *entry_bytes, size_t entry_size, struct errmsg *err)
{
	struct index_loading *index_loading = loading_context;
	struct reader entry_reader;
	struct full_entry *full;

	reader_init(&entry_reader, entry_bytes, entry_size);
	full = entry_key_size == INDEX_KEY_SIZE ? index_read(index_loading->index, entry_key + 1, &entry_reader) : NULL;
	if (full == NULL)
		return errmsg_set(err, "The block index is damaged: start with -reindex");
	if (index_loading->count == index_loading->cap) {
		index_loading->cap = index_loading->cap ? index_loading->cap * 2 : 256;
		index_loading->entries = mem_realloc(index_loading->entries,
			index_loading->cap * sizeof *index_loading->entries);
	}
	index_loading->entries[index_loading->count++] = full;
	return true;
}

static int index_compare_heights(const void *left, const void *right)
{
	const struct full_entry *const *left_full = left, *const *right_full = right;

	return ((*left_full)->entry.height > (*right_full)->entry.height) -
		((*left_full)->entry.height < (*right_full)->entry.height);
}

/* By height, so that parents come before children, which index_insert relies on. */
bool index_load(struct index *index, struct db *db, struct errmsg *err)
{
	const uint8_t index_prefix = DB_INDEX;
	struct index_loading index_loading = { .index = index };
	bool index_sound = db_each(db, &index_prefix, 1, index_load_entry, &index_loading, err);
	size_t entries_taken = 0;

	if (index_loading.count > 1)
		qsort(index_loading.entries, index_loading.count, sizeof *index_loading.entries, index_compare_heights);
	for (; index_sound && entries_taken < index_loading.count; entries_taken++) {
		struct full_entry *full = index_loading.entries[entries_taken];
		struct full_entry *parent = index_find(index, full->entry.header.prev);

		if (parent == NULL || full->entry.height != parent->entry.height + 1) {
			index_sound = errmsg_set(err,
				"The block index lacks the parent of a block at height %u: start with "
				"-reindex",
				(unsigned)full->entry.height);
			break;
		}
		full->entry.parent = &parent->entry;
		full->saved = true;
		/* Of a refused branch only the entry at its root was written. */
		if (parent->entry.status == ENTRY_INVALID && full->entry.status != ENTRY_INVALID) {
			full->entry.status = ENTRY_INVALID;
			full->entry.invalid_reason = reasons_row(REASON_BAD_PREVBLK)->text;
		}
		index_insert(index, full);
		if (full->entry.connect_order > index->connect_order)
			index->connect_order = full->entry.connect_order;
	}
	for (; entries_taken < index_loading.count; entries_taken++)
		index_free_entry(index_loading.entries[entries_taken]);
	free(index_loading.entries);
	return index_sound;
}
