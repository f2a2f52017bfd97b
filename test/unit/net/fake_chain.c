/* Entries in a map, verdicts when a test asks for one. */
/* The chain that tests of the network link in place of the real one: blocks in a map, verdicts by the test. */
#include "net/fake_chain.h"

#include <stdlib.h>
#include <string.h>

#include "util/map.h"
#include "util/mem.h"

enum { POOL_MAX = 64, QUEUE_MAX = 8192 };

struct fake_entry {
	struct index_entry entry; /* first, so that a pointer to one is a pointer to the other */
	struct source source;
};

struct blob_draft {
	struct chain *chain;
	uint8_t root[32];
	uint64_t size;
	struct buf bytes;
	chain_draft_told *told;
	void *context;
};

struct chain {
	struct map entries, blobs;
	struct blob_draft *ended[POOL_MAX];
	size_t draft_count, ended_count;
	struct index_entry *genesis, *tip;
	struct chain_events events;
	struct index_entry *queue[QUEUE_MAX];
	size_t queue_count;
	struct {
		struct header header;
		struct source source;
	} judging[POOL_MAX];
	size_t judging_count;
	struct header loose[POOL_MAX];
	size_t loose_count;
	struct mempool_entry mempool[POOL_MAX];
	size_t mempool_count;
	uint64_t nonce;
	bool blocks_lost, headers_full, blobs_unwanted, blobs_unready;
	size_t blobs_asked, blobs_failed; /* requests */
	size_t blob_bytes_came;           /* of a blob, by its last part */
	bool gives_turns;                 /* of one blob, after each other */
	bool prunes;                      /* as it says */
	bool keeps;                       /* in work already when its source left */
	size_t room;                      /* bytes; 0: without end */
};

const struct spec *fake_spec(void)
{
	static const struct spec spec = {
		.name = "fake",
		.k = 4,
		.slots = 2,
		.block_weight = 4000000,
		.magic = { 1, 2, 3, 4 },
		.p2p_port = 1,
	};

	return &spec;
}

static struct index_entry *insert(struct chain *chain, const struct header *header, struct index_entry *parent)
{
	struct fake_entry *made = mem_calloc(1, sizeof *made);
	struct index_entry *entry = &made->entry;

	entry->header = *header;
	header_id(header, entry->id);
	entry->parent = parent;
	entry->height = parent != NULL ? parent->height + 1 : 0;
	entry->chain_work.limb[0] = entry->height + 1;
	entry->status = ENTRY_HEADER;
	map_put(&chain->entries, entry->id, entry);
	return entry;
}

struct chain *fake_chain_new(void)
{
	struct chain *chain = mem_calloc(1, sizeof *chain);
	struct header header = { .version = 1 };

	map_init(&chain->entries);
	map_init(&chain->blobs);
	chain->genesis = chain->tip = insert(chain, &header, NULL);
	chain->genesis->status = ENTRY_CONNECTED;
	return chain;
}

void fake_chain_free(struct chain *chain)
{
	const uint8_t *key;
	void *value;

	for (size_t at = 0; map_next(&chain->entries, &at, &key, &value);)
		free(value);
	for (size_t at = 0; map_next(&chain->blobs, &at, &key, &value);)
		free(value);
	for (size_t i = 0; i < chain->mempool_count; i++)
		tx_unref(chain->mempool[i].tx);
	map_clear(&chain->entries);
	map_clear(&chain->blobs);
	free(chain);
}

static void connect_entry(struct chain *chain, struct index_entry *entry)
{
	bool better = entry->chain_work.limb[0] > chain->tip->chain_work.limb[0];

	entry->status = better ? ENTRY_CONNECTED : ENTRY_VERIFIED;
	if (!better)
		return;
	for (struct index_entry *at = entry->parent; at != NULL && at->status == ENTRY_VERIFIED; at = at->parent)
		at->status = ENTRY_CONNECTED;
	chain->tip = entry;
	chain->loose_count = chain->judging_count = 0;
	if (chain->events.tip != NULL)
		chain->events.tip(chain->events.context, entry);
}

const struct index_entry *fake_chain_mine(struct chain *chain, const struct index_entry *parent, size_t count,
	uint8_t salt, uint8_t kind)
{
	struct index_entry *entry = parent != NULL ? map_get(&chain->entries, parent->id) : chain->tip;

	for (size_t i = 0; i < count; i++) {
		struct header header = { .version = 1, .nonce = ++chain->nonce };

		memcpy(header.prev, entry->id, 32);
		header.miner[0] = salt;
		header.digest[0] = i + 1 == count ? kind : FAKE_GOOD;
		entry = insert(chain, &header, entry);
		connect_entry(chain, entry);
	}
	return entry;
}

/* --- What the network calls --- */

const struct spec *chain_spec(const struct chain *chain)
{
	(void)chain;
	return fake_spec();
}

void chain_subscribe(struct chain *chain, const struct chain_events *events)
{
	chain->events = *events;
}

void chain_unsubscribe(struct chain *chain, const void *context)
{
	if (chain->events.context == context)
		chain->events = (struct chain_events){ 0 };
}

const struct index_entry *chain_genesis(const struct chain *chain)
{
	return chain->genesis;
}

const struct index_entry *chain_tip(const struct chain *chain)
{
	return chain->tip;
}

const struct index_entry *chain_find(const struct chain *chain, const uint8_t id[32])
{
	return map_get(&chain->entries, id);
}

const struct index_entry *chain_ancestor(const struct index_entry *entry, uint32_t height)
{
	while (entry->height > height)
		entry = entry->parent;
	return entry;
}

const struct index_entry *chain_at(const struct chain *chain, uint32_t height)
{
	return height > chain->tip->height ? NULL : chain_ancestor(chain->tip, height);
}

bool chain_beats(const struct chain *chain, const struct index_entry *entry, const struct index_entry *rival)
{
	(void)chain;
	return u256_compare(entry->chain_work, rival->chain_work) > 0;
}

bool chain_is_active(const struct chain *chain, const struct index_entry *entry)
{
	return chain_at(chain, entry->height) == entry;
}

size_t chain_locator(const struct chain *chain, const struct index_entry *from, uint8_t (*ids)[32], size_t max)
{
	size_t count = 0, step = 1;

	(void)chain;
	while (count < max) {
		memcpy(ids[count++], from->id, 32);
		if (from->parent == NULL)
			break;
		step *= count > 10 ? 2 : 1;
		from = chain_ancestor(from, from->height > step ? from->height - (uint32_t)step : 0);
	}
	return count;
}

const struct index_entry *chain_fork_point(const struct chain *chain, const uint8_t (*ids)[32], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct index_entry *entry = chain_find(chain, ids[i]);

		if (entry != NULL && chain_is_active(chain, entry))
			return entry;
	}
	return chain->genesis;
}

enum chain_result chain_add_header(struct chain *chain, const struct header *header, const struct index_entry **entry,
	struct reject *reject)
{
	struct index_entry *parent = map_get(&chain->entries, header->prev);

	*entry = NULL;
	if (chain->headers_full) {
		reject_set(reject, REASON_TOO_MANY_HEADERS, "as the test wants");
		return CHAIN_REJECTED;
	}
	*entry = parent != NULL ? insert(chain, header, parent) : NULL;
	return parent != NULL ? CHAIN_NEW : CHAIN_ORPHAN;
}

void chain_forget_headers(struct chain *chain)
{
	const uint8_t *key;
	void *value;

	chain->headers_full = false;
	for (size_t at = 0; map_next(&chain->entries, &at, &key, &value);) {
		const struct index_entry *entry = value;

		if (entry->status != ENTRY_HEADER)
			continue;
		map_remove(&chain->entries, entry->id);
		free(value);
		at = 0;
	}
}

enum chain_result chain_add_block(struct chain *chain, const struct block *block, const struct source *source,
	struct reject *reject)
{
	uint8_t id[32];
	struct index_entry *entry;

	(void)reject;
	memcpy(id, block_id(block), 32);
	block_unref(block);
	entry = map_get(&chain->entries, id);
	if (entry == NULL)
		return CHAIN_ORPHAN;
	if (entry->status != ENTRY_HEADER || entry->held || chain->queue_count == QUEUE_MAX)
		return CHAIN_KNOWN;
	entry->held = true;
	((struct fake_entry *)entry)->source = *source;
	chain->queue[chain->queue_count++] = entry;
	return CHAIN_NEW;
}

const struct block *chain_read_bare(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	struct block *block;

	if (chain->blocks_lost) {
		errmsg_set(err, "lost");
		return NULL;
	}
	block = block_new();
	block->header = entry->header;
	return block_seal(block);
}

size_t chain_room(struct chain *chain, const struct source *source)
{
	(void)source;
	return chain->room ? chain->room : SIZE_MAX;
}

/* Blocks of a group that nobody stands for are bare headers again; proofs are not judged. */
void chain_forget_source(struct chain *chain, const struct source *source, bool discouraged)
{
	(void)discouraged;
	for (size_t i = 0; i < chain->queue_count;) {
		struct fake_entry *made = (struct fake_entry *)chain->queue[i];

		if (memcmp(made->source.group, source->group, SOURCE_GROUP) == 0 && !chain->keeps) {
			made->entry.held = false;
			chain->queue[i] = chain->queue[--chain->queue_count];
		} else {
			i++;
		}
	}
}

enum chain_result chain_add_loose(struct chain *chain, const struct header *header, const struct source *source,
	struct reject *reject)
{
	uint8_t id[32];

	(void)reject;
	header_id(header, id);
	if (chain_loose_known(chain, id))
		return CHAIN_KNOWN;
	if (memcmp(header->prev, chain->tip->id, 32) != 0)
		return CHAIN_ORPHAN;
	chain->judging[chain->judging_count].header = *header;
	chain->judging[chain->judging_count++].source = *source;
	return CHAIN_NEW;
}

size_t chain_loose_count(const struct chain *chain)
{
	return chain->loose_count;
}

const struct header *chain_loose_get(const struct chain *chain, size_t index)
{
	return &chain->loose[index];
}

size_t chain_late_count(const struct chain *chain)
{
	(void)chain;
	return 0;
}

const struct header *chain_late_get(const struct chain *chain, size_t index)
{
	(void)chain;
	(void)index;
	return NULL;
}

const struct header *chain_candidate(const struct chain *chain, const uint8_t id[32])
{
	for (size_t i = 0; i < chain->loose_count; i++) {
		uint8_t other[32];

		header_id(&chain->loose[i], other);
		if (memcmp(other, id, 32) == 0)
			return &chain->loose[i];
	}
	return NULL;
}

bool chain_loose_in_work(const struct chain *chain, const uint8_t id[32])
{
	for (size_t i = 0; i < chain->judging_count; i++) {
		uint8_t other[32];

		header_id(&chain->judging[i].header, other);
		if (memcmp(other, id, 32) == 0)
			return true;
	}
	return false;
}

bool chain_loose_known(const struct chain *chain, const uint8_t id[32])
{
	for (size_t i = 0; i < chain->loose_count; i++) {
		uint8_t other[32];

		header_id(&chain->loose[i], other);
		if (memcmp(other, id, 32) == 0)
			return true;
	}
	return false;
}

enum chain_result chain_add_tx(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject)
{
	struct mempool_entry *entry = &chain->mempool[chain->mempool_count++];

	(void)reject;
	entry->tx = tx;
	memcpy(entry->txid, tx_txid(tx), 32);
	memcpy(entry->wtxid, tx_wtxid(tx), 32);
	if (chain->events.tx_added != NULL)
		chain->events.tx_added(chain->events.context, tx, source != NULL ? source->peer : 0);
	return CHAIN_NEW;
}

const struct mempool_entry *chain_mempool_find_wtxid(const struct chain *chain, const uint8_t wtxid[32])
{
	for (size_t i = 0; i < chain->mempool_count; i++)
		if (memcmp(chain->mempool[i].wtxid, wtxid, 32) == 0)
			return &chain->mempool[i];
	return NULL;
}

void chain_mempool_each(const struct chain *chain, void (*fn)(void *context, const struct mempool_entry *entry),
	void *context)
{
	for (size_t i = 0; i < chain->mempool_count; i++)
		fn(context, &chain->mempool[i]);
}

/* --- Blobs: texts; one that begins with "false" has another root --- */

struct blob_draft *chain_draft_new(struct chain *chain, const uint8_t root[32], uint64_t size,
	const struct source *source)
{
	struct blob_draft *draft = mem_calloc(1, sizeof *draft);

	(void)source;
	draft->chain = chain;
	memcpy(draft->root, root, 32);
	draft->size = size;
	buf_init(&draft->bytes);
	chain->draft_count++;
	return draft;
}

bool chain_draft_add(struct blob_draft *draft, const uint8_t *bytes, size_t count)
{
	buf_put(&draft->bytes, bytes, count);
	return true;
}

void chain_draft_end(struct blob_draft *draft, chain_draft_told *told, void *context)
{
	draft->told = told;
	draft->context = context;
	draft->chain->ended[draft->chain->ended_count++] = draft;
}

void chain_draft_drop(struct blob_draft *draft)
{
	struct chain *chain = draft->chain;

	for (size_t i = 0; i < chain->ended_count; i++)
		if (chain->ended[i] == draft)
			chain->ended[i--] = chain->ended[--chain->ended_count];
	chain->draft_count--;
	buf_clear(&draft->bytes);
	free(draft);
}

static void judge_draft(struct chain *chain)
{
	struct blob_draft *draft = chain->ended[0];
	const bool is_false = draft->bytes.size >= 5 && memcmp(draft->bytes.data, "false", 5) == 0;
	chain_draft_told *told = draft->told;
	void *context = draft->context;
	struct reject reject;

	reject_set(&reject, REASON_BAD_BLOB_ROOT, "false");
	if (draft->bytes.size == draft->size && !is_false) {
		buf_put_u8(&draft->bytes, 0);
		free(map_put(&chain->blobs, draft->root, mem_strdup((const char *)draft->bytes.data)));
	}
	chain_draft_drop(draft);
	told(context, is_false ? CHAIN_REJECTED : CHAIN_NEW, &reject);
}

uint64_t chain_blob_size(const struct chain *chain, const uint8_t root[32])
{
	const char *text = map_get(&chain->blobs, root);

	return text != NULL ? strlen(text) : 0;
}

bool chain_blob_ready(struct chain *chain, const uint8_t root[32])
{
	(void)root;
	return !chain->blobs_unready;
}

bool chain_read_piece(struct chain *chain, const uint8_t root[32], uint64_t offset, size_t count, struct buf *bytes,
	struct errmsg *err)
{
	const char *text = map_get(&chain->blobs, root);

	(void)err;
	buf_put(bytes, text + offset, count);
	return true;
}

bool chain_wants_blob(const struct chain *chain, const uint8_t root[32], uint64_t size)
{
	(void)root, (void)size;
	return !chain->blobs_unwanted;
}

void chain_blob_asked(struct chain *chain, const uint8_t root[32], const struct source *source)
{
	(void)root;
	(void)source;
	chain->blobs_asked++;
}

/* As a real chain may, it wants another then. */
void chain_blob_failed(struct chain *chain, const uint8_t root[32], const struct source *source)
{
	chain->blobs_failed++;
	if (!chain->gives_turns)
		chain->events.blob_wanted(chain->events.context, root, 5, source->peer);
}

bool chain_blob_came(struct chain *chain, const uint8_t root[32], const struct source *source, size_t offset,
	const uint8_t *bytes, size_t count)
{
	(void)root, (void)source;
	chain->blob_bytes_came = offset + count;
	return count < 4 || memcmp(bytes, "vain", 4) != 0;
}

void chain_peer_gone(struct chain *chain, uint64_t peer)
{
	(void)chain, (void)peer;
}

void chain_tick(struct chain *chain)
{
	(void)chain;
}

bool chain_serves_all(const struct chain *chain)
{
	return !chain->prunes;
}

bool chain_has_blob(const struct chain *chain, const uint8_t root[32])
{
	return map_get(&chain->blobs, root) != NULL;
}

/* --- What the test does --- */

static void judge_block(struct chain *chain, size_t place)
{
	struct index_entry *entry = chain->queue[place];
	const struct source *source = &((struct fake_entry *)entry)->source;
	const struct chain_events *events = &chain->events;
	struct reject reject;

	chain->queue[place] = chain->queue[--chain->queue_count];
	entry->held = false;
	if (entry->header.digest[0] != FAKE_OWN_PROOF_FALSE)
		events->block_proven(events->context, entry, source);
	if (entry->header.digest[0] == FAKE_GOOD) {
		events->block_verdict(events->context, entry, source, NULL);
		connect_entry(chain, entry);
		return;
	}
	entry->status = ENTRY_INVALID;
	reject_set(&reject, REASON_BAD_PROOF_DIGEST, "as the test wants");
	events->block_verdict(events->context, entry, source, &reject);
}

static void judge_proof(struct chain *chain)
{
	struct header header = chain->judging[0].header;
	const struct source source = chain->judging[0].source;
	const struct chain_events *events = &chain->events;
	struct reject reject;

	memmove(chain->judging, chain->judging + 1, --chain->judging_count * sizeof chain->judging[0]);
	if (header.digest[0] == FAKE_GOOD) {
		chain->loose[chain->loose_count++] = header;
		events->proof_verdict(events->context, &header, &source, NULL);
		return;
	}
	reject_set(&reject, REASON_BAD_PROOF_DIGEST, "as the test wants");
	events->proof_verdict(events->context, &header, &source, &reject);
}

bool fake_chain_step(struct chain *chain)
{
	if (chain->ended_count > 0) {
		judge_draft(chain);
		return true;
	}
	for (size_t i = 0; i < chain->queue_count; i++) {
		enum entry_status parent = chain->queue[i]->parent->status;

		if (parent == ENTRY_CONNECTED || parent == ENTRY_VERIFIED) {
			judge_block(chain, i);
			return true;
		}
	}
	if (chain->judging_count == 0)
		return false;
	judge_proof(chain);
	return true;
}

struct header fake_chain_prove(struct chain *chain, uint8_t salt, uint8_t kind)
{
	struct header header = { .version = 1, .nonce = ++chain->nonce };

	memcpy(header.prev, chain->tip->id, 32);
	header.miner[0] = salt;
	header.digest[0] = kind;
	chain->loose[chain->loose_count++] = header;
	if (chain->events.proof_verdict != NULL)
		chain->events.proof_verdict(chain->events.context, &header, &(const struct source){ 0 }, NULL);
	return header;
}

static const struct tx *make_spend(uint8_t salt, uint8_t wtxid[32])
{
	struct tx *tx = tx_new();
	struct outpoint prev = { .index = salt };
	uint8_t script[P2TR_SIZE] = { 0x51, 32 }, signature[64] = { salt };

	memset(prev.txid, 7, 32);
	memset(script + 2, 9, 32);
	tx_add_input(tx, &prev, 0xffffffff);
	tx_set_witness(tx, 0, signature, sizeof signature);
	tx_add_output(tx, 1000, script, sizeof script);
	memcpy(wtxid, tx_wtxid(tx_seal(tx)), 32);
	return tx;
}

void fake_chain_make_spend(uint8_t salt, uint8_t wtxid[32])
{
	tx_unref(make_spend(salt, wtxid));
}

void fake_chain_spend(struct chain *chain, uint8_t salt, uint8_t wtxid[32])
{
	chain_add_tx(chain, make_spend(salt, wtxid), NULL, NULL);
}

void fake_chain_blob_requests(const struct chain *chain, size_t *asked, size_t *failed)
{
	*asked = chain->blobs_asked;
	*failed = chain->blobs_failed;
}

size_t fake_chain_came(const struct chain *chain)
{
	return chain->blob_bytes_came;
}

void fake_chain_hold_blob(struct chain *chain, const uint8_t root[32], const char *text)
{
	free(map_put(&chain->blobs, root, mem_strdup(text)));
}

void fake_chain_want_blob(struct chain *chain, const uint8_t root[32], uint64_t size, uint64_t source)
{
	chain->events.blob_wanted(chain->events.context, root, size, source);
}

size_t fake_chain_drafts(const struct chain *chain)
{
	return chain->draft_count;
}

void fake_chain_unready(struct chain *chain, bool unready)
{
	chain->blobs_unready = unready;
}

void fake_chain_give_turn(struct chain *chain, const uint8_t root[32], uint64_t size, uint64_t peer)
{
	chain->gives_turns = true;
	chain->events.blob_turn(chain->events.context, root, size, peer);
}

void fake_chain_want_nothing(struct chain *chain, bool nothing)
{
	chain->blobs_unwanted = nothing;
}

void fake_chain_fill_headers(struct chain *chain)
{
	chain->headers_full = true;
}

void fake_chain_prune(struct chain *chain)
{
	chain->prunes = true;
}

void fake_chain_lose_blocks(struct chain *chain)
{
	chain->blocks_lost = true;
}

void fake_chain_keep(struct chain *chain)
{
	chain->keeps = true;
}

void fake_chain_room(struct chain *chain, size_t bytes)
{
	chain->room = bytes;
}
