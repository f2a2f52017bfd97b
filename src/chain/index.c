#include "chain/index.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"

enum { MEDIAN_SPAN = 11, REASON_MAX = 64, INDEX_KEY_SIZE = 33 };

/* --- entries and walks --- */

const struct index_entry *entry_ancestor(const struct index_entry *entry, uint32_t height)
{
	const struct node *at = node_of(entry);

	if (entry == NULL || height > entry->height)
		return NULL;
	while (at->entry.height > height)
		at = at->skip != NULL && at->skip->entry.height >= height ? at->skip : node_parent(at);
	return &at->entry;
}

const struct index_entry *index_fork(const struct index_entry *a, const struct index_entry *b)
{
	uint32_t height = a->height < b->height ? a->height : b->height;

	a = entry_ancestor(a, height);
	b = entry_ancestor(b, height);
	while (a != b) {
		const struct node *x = node_of(a), *y = node_of(b);

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

struct node *index_find(const struct index *index, const uint8_t id[32])
{
	return map_get(&index->by_id, id);
}

static void consider_best_header(struct index *index, struct node *node)
{
	if (node->entry.status != ENTRY_INVALID &&
		(index->best_header == NULL ||
			u256_compare(node->entry.chain_work, index->best_header->entry.chain_work) > 0))
		index->best_header = node;
}

/* Raises what the ancestors that are not verified yet promise. */
static void note_promise(struct node *node)
{
	if (node->entry.status == ENTRY_INVALID)
		return;
	for (struct node *at = node_parent(node); at != NULL && !entry_verified(&at->entry); at = node_parent(at)) {
		if (u256_compare(at->promised_work, node->promised_work) >= 0)
			return;
		at->promised_work = node->promised_work;
	}
}

/* Puts a node with header, id and parent set into the index, and derives the rest from its parent. */
static void index_insert(struct index *index, struct node *node)
{
	struct index_entry *entry = &node->entry, *parent = entry->parent;
	struct u256 target = { { 0 } };

	header_ticket(&entry->header, entry->ticket);
	/* Bits were checked before a header comes here, and those of genesis are our own. */
	target_from_compact(entry->header.bits, &target);
	entry->chain_work = target_work(target);
	if (parent != NULL) {
		uint32_t height = parent->height + 1;

		entry->height = height;
		entry->chain_work = u256_add(entry->chain_work, parent->chain_work);
		node->skip = node_of(entry_ancestor(parent, height & (height - 1)));
		node_of(parent)->has_child = true;
	}
	entry->median_time = median_time(entry);
	node->promised_work = entry->chain_work;
	note_promise(node);
	if (index->count == index->cap) {
		index->cap = index->cap ? index->cap * 2 : 256;
		index->nodes = mem_realloc(index->nodes, index->cap * sizeof *index->nodes);
	}
	index->nodes[index->count++] = node;
	map_put(&index->by_id, entry->id, node);
	index->header_only += entry->status == ENTRY_HEADER;
	consider_best_header(index, node);
}

struct node *index_add(struct index *index, const struct header *header, const uint8_t id[32])
{
	struct node *node = mem_calloc(1, sizeof *node);

	node->entry.header = *header;
	memcpy(node->entry.id, id, 32);
	node->entry.parent = &index_find(index, header->prev)->entry;
	if (node->entry.parent->status == ENTRY_INVALID) {
		node->entry.status = ENTRY_INVALID;
		node->entry.invalid_reason = "bad-prevblk";
	}
	index_insert(index, node);
	return node;
}

void index_init(struct index *index, const struct spec *spec)
{
	struct node *genesis = mem_calloc(1, sizeof *genesis);

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
		free(index->nodes[i]);
	for (size_t i = 0; i < index->reason_count; i++)
		free(index->reasons[i]);
	free(index->reasons);
	free(index->nodes);
	free(index->active);
	map_clear(&index->by_id);
	memset(index, 0, sizeof *index);
}

/* --- status --- */

void index_set_status(struct index *index, struct node *node, enum entry_status status)
{
	index->header_only -= node->entry.status == ENTRY_HEADER;
	index->header_only += status == ENTRY_HEADER;
	node->entry.status = status;
}

/* Which headers count has changed. */
static void weigh_headers(struct index *index)
{
	index->best_header = NULL;
	for (size_t i = 0; i < index->count; i++) {
		index->nodes[i]->promised_work = index->nodes[i]->entry.chain_work;
		consider_best_header(index, index->nodes[i]);
	}
	/* Children before parents: each hands on to one. */
	for (size_t i = index->count; i-- > 1;) {
		struct node *at = index->nodes[i], *parent = node_parent(at);

		if (at->entry.status != ENTRY_INVALID && u256_compare(at->promised_work, parent->promised_work) > 0)
			parent->promised_work = at->promised_work;
	}
}

void index_invalidate(struct index *index, struct node *node, const char *reason)
{
	index_set_status(index, node, ENTRY_INVALID);
	node->entry.invalid_reason = reason;
	for (size_t i = 0; i < index->count; i++) {
		struct node *at = index->nodes[i];

		if (at->entry.parent == NULL || at->entry.status == ENTRY_INVALID ||
			at->entry.parent->status != ENTRY_INVALID)
			continue;
		index_set_status(index, at, ENTRY_INVALID);
		at->entry.invalid_reason = "bad-prevblk";
	}
	weigh_headers(index);
}

/* Back to what is certain: bytes here or not. Verification and connection start anew. */
static void revive(struct index *index, struct node *node, struct db_batch *batch)
{
	if (node->entry.status != ENTRY_INVALID)
		return;
	index_set_status(index, node, node->block.size ? ENTRY_STORED : ENTRY_HEADER);
	node->entry.invalid_reason = NULL;
	node->refused_deep = false;
	if (node->saved)
		index_save(batch, node);
}

void index_reconsider(struct index *index, struct node *node, struct db_batch *batch)
{
	for (struct node *at = node; at != NULL; at = node_parent(at))
		revive(index, at, batch);
	for (size_t i = 0; i < index->count; i++) {
		struct node *at = index->nodes[i];

		if (at->entry.height > node->entry.height &&
			entry_ancestor(&at->entry, node->entry.height) == &node->entry)
			revive(index, at, batch);
	}
	weigh_headers(index);
}

/* Lets go of a node that hangs on nothing any more. */
static void forget(struct index *index, struct node *node)
{
	index->header_only -= node->entry.status == ENTRY_HEADER;
	map_remove(&index->by_id, node->entry.id);
	free(node);
}

void index_forget_headers(struct index *index)
{
	size_t kept = 1;

	for (size_t i = 0; i < index->count; i++)
		index->nodes[i]->has_child = false;
	/* Children before parents: whoever is kept marks its parent, which then is kept too. */
	for (size_t i = index->count; i-- > 1;) {
		struct node *at = index->nodes[i];
		bool bare = at->entry.status == ENTRY_HEADER || at->entry.status == ENTRY_INVALID;

		if (bare && !at->saved && !at->entry.held && !at->has_child) {
			forget(index, at);
			index->nodes[i] = NULL;
		} else {
			node_parent(at)->has_child = true;
		}
	}
	for (size_t i = 1; i < index->count; i++)
		if (index->nodes[i] != NULL)
			index->nodes[kept++] = index->nodes[i];
	index->count = kept;
	weigh_headers(index);
}

struct node *index_best_verified(const struct index *index)
{
	struct node *best = index->nodes[0];

	for (size_t i = 1; i < index->count; i++) {
		struct node *at = index->nodes[i];
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

void index_set_active(struct index *index, struct node *tip)
{
	size_t count = (size_t)tip->entry.height + 1;

	if (count > index->active_cap) {
		index->active_cap = count + count / 2 + 64;
		index->active = mem_realloc(index->active, index->active_cap * sizeof *index->active);
	}
	for (struct node *at = tip; at != NULL; at = node_parent(at)) {
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
	const struct node *tip = index->active[index->active_count - 1];
	size_t count = 0;

	/* Newest first: a list cut short keeps what matters. */
	for (size_t i = index->count; i > 0 && count < max; i--) {
		const struct node *at = index->nodes[i - 1];

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

static void save_node(struct db_batch *batch, struct node *node)
{
	const struct index_entry *entry = &node->entry;
	const char *reason = entry->status == ENTRY_INVALID ? entry->invalid_reason : "";
	uint8_t key[INDEX_KEY_SIZE] = { DB_INDEX }, header[HEADER_SIZE];
	struct buf value;

	buf_init(&value);
	memcpy(key + 1, entry->id, 32);
	header_write(header, &entry->header);
	buf_put_u8(&value, (uint8_t)entry->status);
	buf_put_le32(&value, entry->height);
	buf_put(&value, header, sizeof header);
	position_write(&value, &node->block);
	position_write(&value, &node->bodies);
	position_write(&value, &node->undo);
	buf_put_le32(&value, entry->tx_count);
	buf_put_le32(&value, entry->loose_count);
	buf_put_le64(&value, entry->connect_order);
	buf_put(&value, entry->model_root_after, 32);
	buf_put_compact(&value, strlen(reason));
	buf_put_text(&value, reason);
	block_outcome_write(&value, &entry->outcome);
	db_batch_put(batch, key, sizeof key, value.data, value.size);
	buf_clear(&value);
	node->saved = true;
}

void index_save(struct db_batch *batch, struct node *node)
{
	save_node(batch, node);
	for (struct node *at = node_parent(node); at->entry.parent != NULL && !at->saved; at = node_parent(at))
		save_node(batch, at);
}

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

static struct node *node_read(struct index *index, const uint8_t id[32], struct reader *reader)
{
	struct node *node = mem_calloc(1, sizeof *node);
	struct index_entry *entry = &node->entry;
	const uint8_t *header, *reason;
	uint8_t status = reader_u8(reader);
	size_t reason_size;

	memcpy(entry->id, id, 32);
	entry->height = reader_le32(reader);
	header = reader_bytes(reader, HEADER_SIZE);
	position_read(reader, &node->block);
	position_read(reader, &node->bodies);
	position_read(reader, &node->undo);
	entry->tx_count = reader_le32(reader);
	entry->loose_count = reader_le32(reader);
	entry->connect_order = reader_le64(reader);
	reader_copy(reader, entry->model_root_after, 32);
	reason_size = reader_compact(reader);
	reason = reason_size <= REASON_MAX ? reader_bytes(reader, reason_size) : NULL;
	if (reason == NULL || status > ENTRY_INVALID || !block_outcome_read(reader, &entry->outcome) ||
		!reader_done(reader)) {
		free(node);
		return NULL;
	}
	header_read(&entry->header, header);
	entry->status = (enum entry_status)status;
	if (entry->status == ENTRY_INVALID)
		entry->invalid_reason = keep_reason(index, (const char *)reason, reason_size);
	return node;
}

struct loading {
	struct index *index;
	struct node **nodes;
	size_t count, cap;
};

static bool load_entry(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err)
{
	struct loading *loading = context;
	struct reader reader;
	struct node *node;

	reader_init(&reader, value, value_size);
	node = key_size == INDEX_KEY_SIZE ? node_read(loading->index, key + 1, &reader) : NULL;
	if (node == NULL)
		return errmsg_set(err, "The block index is damaged: start with -reindex");
	if (loading->count == loading->cap) {
		loading->cap = loading->cap ? loading->cap * 2 : 256;
		loading->nodes = mem_realloc(loading->nodes, loading->cap * sizeof *loading->nodes);
	}
	loading->nodes[loading->count++] = node;
	return true;
}

static int compare_heights(const void *a, const void *b)
{
	const struct node *const *x = a, *const *y = b;

	return ((*x)->entry.height > (*y)->entry.height) - ((*x)->entry.height < (*y)->entry.height);
}

bool index_load(struct index *index, struct db *db, struct errmsg *err)
{
	const uint8_t prefix = DB_INDEX;
	struct loading loading = { .index = index };
	bool ok = db_each(db, &prefix, 1, load_entry, &loading, err);
	size_t taken = 0;

	if (loading.count > 1)
		qsort(loading.nodes, loading.count, sizeof *loading.nodes, compare_heights);
	for (; ok && taken < loading.count; taken++) {
		struct node *node = loading.nodes[taken];
		struct node *parent = index_find(index, node->entry.header.prev);

		if (parent == NULL || node->entry.height != parent->entry.height + 1) {
			ok = errmsg_set(err,
				"The block index lacks the parent of a block at height %u: start with "
				"-reindex",
				(unsigned)node->entry.height);
			break;
		}
		node->entry.parent = &parent->entry;
		node->saved = true;
		/* Of a refused branch only the entry at its root was written. */
		if (parent->entry.status == ENTRY_INVALID && node->entry.status != ENTRY_INVALID) {
			node->entry.status = ENTRY_INVALID;
			node->entry.invalid_reason = "bad-prevblk";
		}
		index_insert(index, node);
		if (node->entry.connect_order > index->connect_order)
			index->connect_order = node->entry.connect_order;
	}
	for (; taken < loading.count; taken++)
		free(loading.nodes[taken]);
	free(loading.nodes);
	return ok;
}
