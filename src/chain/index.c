/* Entries: walks over them, their status, the active chain, and their bytes in the database. */
#include "chain/index.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"

enum { MEDIAN_SPAN = 11, REASON_MAX = 64, INDEX_KEY_SIZE = 33 };

/* --- entries and walks --- */

/* A skip may lead past the height that is asked for; then one step up, where the next skip is another. About log2 of
 * the distance steps in all. */
const struct index_entry *chain_ancestor(const struct index_entry *entry, uint32_t height)
{
	const struct full_entry *at = entry_full(entry);

	if (entry == NULL || height > entry->height)
		return NULL;
	while (at->entry.height > height)
		at = at->skip != NULL && at->skip->entry.height >= height ? at->skip : entry_parent(at);
	return &at->entry;
}

const struct index_entry *index_fork(const struct index_entry *a, const struct index_entry *b)
{
	uint32_t height = a->height < b->height ? a->height : b->height;

	a = chain_ancestor(a, height);
	b = chain_ancestor(b, height);
	while (a != b) {
		const struct full_entry *x = entry_full(a), *y = entry_full(b);

		/* Skips of equal heights lead to equal heights; where they still differ, the fork lies below. */
		if (x->skip != NULL && x->skip != y->skip) {
			a = &x->skip->entry;
			b = &y->skip->entry;
		} else {
			a = a->parent;
			b = b->parent;
		}
	}
	return a;
}

static int compare_times(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Eleven with the block itself, fewer near genesis: then the element floor(n / 2) (doc/protocol.md section 8). */
static uint32_t median_time(const struct index_entry *entry)
{
	uint32_t times[MEDIAN_SPAN];
	size_t count = 0;

	for (; entry != NULL && count < MEDIAN_SPAN; entry = entry->parent)
		times[count++] = entry->header.time;
	qsort(times, count, sizeof times[0], compare_times);
	return times[count / 2];
}

void index_parent_view(const struct index_entry *entry, struct parent_view *view)
{
	memset(view, 0, sizeof *view);
	memcpy(view->id, entry->id, 32);
	memcpy(view->ticket, entry->ticket, 32);
	view->height = entry->height;
	view->time = entry->header.time;
	view->median_time = entry->median_time;
	view->has_model_root = entry_verified(entry);
	memcpy(view->model_root, entry->model_root_after, 32);
}

struct full_entry *index_find(const struct index *index, const uint8_t id[32])
{
	return map_get(&index->by_id, id);
}

/* By promised work alone, for people and for what to fetch: no rule follows from it. */
static void consider_best_header(struct index *index, struct full_entry *full)
{
	if (full->entry.status != ENTRY_INVALID &&
		(index->best_header == NULL ||
			u256_compare(full->entry.chain_work, index->best_header->entry.chain_work) > 0))
		index->best_header = full;
}

/* Raises what the ancestors that are not verified yet promise. */
static void note_promise(struct full_entry *full)
{
	if (full->entry.status == ENTRY_INVALID)
		return;
	for (struct full_entry *at = entry_parent(full); at != NULL && !entry_verified(&at->entry);
		at = entry_parent(at)) {
		/* Those above it promise as much at least. */
		if (u256_compare(at->promised_work, full->promised_work) >= 0)
			return;
		at->promised_work = full->promised_work;
	}
}

/* Puts an entry with header, id and parent set into the index, and derives the rest from its parent. */
static void index_insert(struct index *index, struct full_entry *full)
{
	struct index_entry *entry = &full->entry, *parent = entry->parent;
	struct u256 target = { { 0 } };

	header_ticket(&entry->header, entry->ticket);
	/* Bits were checked before a header comes here, and those of genesis are our own. */
	target_from_compact(entry->header.bits, &target);
	entry->chain_work = target_work(target);
	if (parent != NULL) {
		uint32_t height = parent->height + 1;

		entry->height = height;
		entry->chain_work = u256_add(entry->chain_work, parent->chain_work);
		/* To the height without its lowest bit, which depends on the height alone: so entries of one height
		 * skip to one height, as index_fork needs it. */
		full->skip = entry_full(chain_ancestor(parent, height & (height - 1)));
		entry_full(parent)->has_child = true;
	}
	entry->median_time = median_time(entry);
	full->promised_work = entry->chain_work;
	note_promise(full);
	if (index->count == index->cap) {
		index->cap = index->cap ? index->cap * 2 : 256;
		index->entries = mem_realloc(index->entries, index->cap * sizeof *index->entries);
	}
	index->entries[index->count++] = full;
	map_put(&index->by_id, entry->id, full);
	index->header_only += entry->status == ENTRY_HEADER;
	consider_best_header(index, full);
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

void index_init(struct index *index, const struct spec *spec)
{
	struct full_entry *genesis = mem_calloc(1, sizeof *genesis);

	memset(index, 0, sizeof *index);
	index->spec = spec;
	map_init(&index->by_id);
	genesis->entry.header = spec->genesis;
	genesis->entry.status = ENTRY_CONNECTED;
	memcpy(genesis->entry.id, spec->genesis_id, 32);
	memcpy(genesis->entry.model_root_after, spec->genesis.model_root, 32);
	genesis->entry.outcome.outcome.slots = spec->slots;
	index_insert(index, genesis);
	index_set_active(index, genesis);
}

void index_clear(struct index *index)
{
	for (size_t i = 0; i < index->count; i++)
		free(index->entries[i]);
	for (size_t i = 0; i < index->reason_count; i++)
		free(index->reasons[i]);
	free(index->reasons);
	free(index->entries);
	free(index->active);
	map_clear(&index->by_id);
	memset(index, 0, sizeof *index);
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
static void weigh_headers(struct index *index)
{
	index->best_header = NULL;
	for (size_t i = 0; i < index->count; i++) {
		index->entries[i]->promised_work = index->entries[i]->entry.chain_work;
		consider_best_header(index, index->entries[i]);
	}
	/* Children before parents: each hands on to one. */
	for (size_t i = index->count; i-- > 1;) {
		struct full_entry *at = index->entries[i], *parent = entry_parent(at);

		if (at->entry.status != ENTRY_INVALID && u256_compare(at->promised_work, parent->promised_work) > 0)
			parent->promised_work = at->promised_work;
	}
}

/* Parents stand before children, so one walk finds all descendants. */
void index_invalidate(struct index *index, struct full_entry *full, const char *reason)
{
	index_set_status(index, full, ENTRY_INVALID);
	full->entry.invalid_reason = reason;
	for (size_t i = 0; i < index->count; i++) {
		struct full_entry *at = index->entries[i];

		if (at->entry.parent == NULL || at->entry.status == ENTRY_INVALID ||
			at->entry.parent->status != ENTRY_INVALID)
			continue;
		index_set_status(index, at, ENTRY_INVALID);
		at->entry.invalid_reason = reasons_row(REASON_BAD_PREVBLK)->text;
	}
	weigh_headers(index);
}

/* Back to what is certain: bytes here or not. Verification and connection start anew. */
static void revive_entry(struct index *index, struct full_entry *full, struct db_batch *batch)
{
	if (full->entry.status != ENTRY_INVALID)
		return;
	index_set_status(index, full, full->block.size ? ENTRY_STORED : ENTRY_HEADER);
	full->entry.invalid_reason = NULL;
	full->refused_deep = false;
	if (full->saved)
		index_save(batch, full);
}

/* Ancestors too: an entry cannot count while one of them is refused. */
void index_reconsider(struct index *index, struct full_entry *full, struct db_batch *batch)
{
	for (struct full_entry *at = full; at != NULL; at = entry_parent(at))
		revive_entry(index, at, batch);
	for (size_t i = 0; i < index->count; i++) {
		struct full_entry *at = index->entries[i];

		if (at->entry.height > full->entry.height &&
			chain_ancestor(&at->entry, full->entry.height) == &full->entry)
			revive_entry(index, at, batch);
	}
	weigh_headers(index);
}

/* Lets go of an entry that hangs on nothing any more. */
static void forget_entry(struct index *index, struct full_entry *full)
{
	index->header_only -= full->entry.status == ENTRY_HEADER;
	map_remove(&index->by_id, full->entry.id);
	free(full);
}

/* Whoever is told to forget must have let go of them: their memory goes. */
void index_forget_headers(struct index *index)
{
	size_t kept = 1;

	for (size_t i = 0; i < index->count; i++)
		index->entries[i]->has_child = false;
	/* Children before parents: whoever is kept marks its parent, which then is kept too. */
	for (size_t i = index->count; i-- > 1;) {
		struct full_entry *at = index->entries[i];
		bool bare = at->entry.status == ENTRY_HEADER || at->entry.status == ENTRY_INVALID;

		if (bare && !at->saved && !at->entry.held && !at->has_child) {
			forget_entry(index, at);
			index->entries[i] = NULL;
		} else {
			entry_parent(at)->has_child = true;
		}
	}
	for (size_t i = 1; i < index->count; i++)
		if (index->entries[i] != NULL)
			index->entries[kept++] = index->entries[i];
	index->count = kept;
	weigh_headers(index);
}

/* A tie is the first connected one's, whoever was verified first: so a restart, which verifies nothing, comes to the
 * same tip. */
struct full_entry *index_best_verified(const struct index *index)
{
	struct full_entry *best = index->entries[0];

	for (size_t i = 1; i < index->count; i++) {
		struct full_entry *at = index->entries[i];
		int order;

		if (!entry_verified(&at->entry) || at->refused_deep)
			continue;
		order = u256_compare(at->entry.chain_work, best->entry.chain_work);
		/* Connect order 0 (never) minus one is the largest of all: the first connected wins a tie. */
		if (order > 0 || (order == 0 && at->entry.connect_order - 1 < best->entry.connect_order - 1))
			best = at;
	}
	return best;
}

/* --- the active chain --- */

/* From the tip down to where the branch joins what was active already: as many steps as the switch has blocks. */
void index_set_active(struct index *index, struct full_entry *tip)
{
	size_t count = (size_t)tip->entry.height + 1;

	if (count > index->active_cap) {
		index->active_cap = count + count / 2 + 64;
		index->active = mem_realloc(index->active, index->active_cap * sizeof *index->active);
	}
	for (struct full_entry *at = tip; at != NULL; at = entry_parent(at)) {
		if (at->entry.height < index->active_count && index->active[at->entry.height] == at)
			break;
		index->active[at->entry.height] = at;
	}
	index->active_count = count;
}

bool index_is_active(const struct index *index, const struct index_entry *entry)
{
	return entry->height < index->active_count && &index->active[entry->height]->entry == entry;
}

size_t index_tips(const struct index *index, const struct index_entry **out, size_t max)
{
	const struct full_entry *tip = index->active[index->active_count - 1];
	size_t count = 0;

	/* Newest first: a list cut short keeps what matters. */
	for (size_t i = index->count; i > 0 && count < max; i--) {
		const struct full_entry *at = index->entries[i - 1];

		if (!at->has_child || at == tip)
			out[count++] = &at->entry;
	}
	return count;
}

/* --- the database --- */

static void position_write(struct buf *out, const struct file_position *position)
{
	buf_put_le32(out, position->file);
	buf_put_le64(out, position->offset);
	buf_put_le64(out, position->size);
}

static void position_read(struct reader *reader, struct file_position *position)
{
	position->file = reader_le32(reader);
	position->offset = reader_le64(reader);
	position->size = reader_le64(reader);
}

static void index_write(struct db_batch *batch, struct full_entry *full)
{
	const struct index_entry *entry = &full->entry;
	const char *reason = entry->status == ENTRY_INVALID ? entry->invalid_reason : "";
	uint8_t key[INDEX_KEY_SIZE] = { DB_INDEX }, header[HEADER_SIZE];
	struct buf value;

	buf_init(&value);
	memcpy(key + 1, entry->id, 32);
	header_write(header, &entry->header);
	buf_put_u8(&value, (uint8_t)entry->status);
	buf_put_le32(&value, entry->height);
	buf_put(&value, header, sizeof header);
	position_write(&value, &full->block);
	position_write(&value, &full->bodies);
	position_write(&value, &full->undo);
	buf_put_le32(&value, entry->tx_count);
	buf_put_le32(&value, entry->loose_count);
	buf_put_le64(&value, entry->connect_order);
	buf_put(&value, entry->model_root_after, 32);
	buf_put_compact(&value, strlen(reason));
	buf_put_text(&value, reason);
	block_outcome_write(&value, &entry->outcome);
	db_batch_put(batch, key, sizeof key, value.data, value.size);
	buf_clear(&value);
	full->saved = true;
}

/* Ancestors that were headers alone when they came are written with it, so that every entry of the database has its
 * parent there. */
void index_save(struct db_batch *batch, struct full_entry *full)
{
	index_write(batch, full);
	for (struct full_entry *at = entry_parent(full); at->entry.parent != NULL && !at->saved; at = entry_parent(at))
		index_write(batch, at);
}

/* An entry points to its reason, and many have the same; a text of another version of this program has no row in the
 * table. */
static const char *keep_reason(struct index *index, const char *text, size_t size)
{
	for (size_t i = 0; i < index->reason_count; i++)
		if (strlen(index->reasons[i]) == size && memcmp(index->reasons[i], text, size) == 0)
			return index->reasons[i];
	index->reasons = mem_realloc(index->reasons, (index->reason_count + 1) * sizeof *index->reasons);
	index->reasons[index->reason_count] = mem_calloc(1, size + 1);
	memcpy(index->reasons[index->reason_count], text, size);
	return index->reasons[index->reason_count++];
}

/* What the database says is checked as a stranger's bytes are: it may be damaged in ways that its checksums do not
 * show. */
static struct full_entry *index_read(struct index *index, const uint8_t id[32], struct reader *reader)
{
	struct full_entry *full = mem_calloc(1, sizeof *full);
	struct index_entry *entry = &full->entry;
	const uint8_t *header, *reason;
	uint8_t status = reader_u8(reader);
	size_t reason_size;

	memcpy(entry->id, id, 32);
	entry->height = reader_le32(reader);
	header = reader_bytes(reader, HEADER_SIZE);
	position_read(reader, &full->block);
	position_read(reader, &full->bodies);
	position_read(reader, &full->undo);
	entry->tx_count = reader_le32(reader);
	entry->loose_count = reader_le32(reader);
	entry->connect_order = reader_le64(reader);
	reader_copy(reader, entry->model_root_after, 32);
	reason_size = reader_compact(reader);
	reason = reason_size <= REASON_MAX ? reader_bytes(reader, reason_size) : NULL;
	if (reason == NULL || status > ENTRY_INVALID || !block_outcome_read(reader, &entry->outcome) ||
		!reader_done(reader)) {
		free(full);
		return NULL;
	}
	header_read(&entry->header, header);
	entry->status = (enum entry_status)status;
	if (entry->status == ENTRY_INVALID)
		entry->invalid_reason = keep_reason(index, (const char *)reason, reason_size);
	return full;
}

struct loading {
	struct index *index;
	struct full_entry **entries;
	size_t count, cap;
};

static bool load_entry(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err)
{
	struct loading *loading = context;
	struct reader reader;
	struct full_entry *full;

	reader_init(&reader, value, value_size);
	full = key_size == INDEX_KEY_SIZE ? index_read(loading->index, key + 1, &reader) : NULL;
	if (full == NULL)
		return errmsg_set(err, "The block index is damaged: start with -reindex");
	if (loading->count == loading->cap) {
		loading->cap = loading->cap ? loading->cap * 2 : 256;
		loading->entries = mem_realloc(loading->entries, loading->cap * sizeof *loading->entries);
	}
	loading->entries[loading->count++] = full;
	return true;
}

static int compare_heights(const void *a, const void *b)
{
	const struct full_entry *const *x = a, *const *y = b;

	return ((*x)->entry.height > (*y)->entry.height) - ((*x)->entry.height < (*y)->entry.height);
}

/* By height, so that parents come before children, which index_insert relies on. */
bool index_load(struct index *index, struct db *db, struct errmsg *err)
{
	const uint8_t prefix = DB_INDEX;
	struct loading loading = { .index = index };
	bool ok = db_each(db, &prefix, 1, load_entry, &loading, err);
	size_t taken = 0;

	if (loading.count > 1)
		qsort(loading.entries, loading.count, sizeof *loading.entries, compare_heights);
	for (; ok && taken < loading.count; taken++) {
		struct full_entry *full = loading.entries[taken];
		struct full_entry *parent = index_find(index, full->entry.header.prev);

		if (parent == NULL || full->entry.height != parent->entry.height + 1) {
			ok = errmsg_set(err,
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
	for (; taken < loading.count; taken++)
		free(loading.entries[taken]);
	free(loading.entries);
	return ok;
}
