/* A chain in a scratch folder, what it told, and blocks and transactions for it. */
#include "chain/chain_helper.h"

#include <glob.h>

#include "consensus/payload/commitment.h"
#include "consensus/sighash.h"
#include "consensus/spec.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "ml/backend_cpu.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/mem.h"

static const char spec_text[] =
	"{\"name\": \"tiny\", \"hrp\": \"tny\", \"spacing\": 0, \"k\": 2, \"d\": 16, "
	"\"layers\": 1, \"heads\": 1, \"ff\": 16, \"ctx\": 32, \"batch\": 1, \"iterations\": 1, \"slots\": 2, "
	"\"bench_rows\": 1, \"bench_bytes\": 512, \"maturity\": 3, \"data_delay\": 1, \"burn_rate\": 10, "
	"\"blob_min\": 32768, \"blob_max\": 65536, \"blob_budget\": 131072, \"corpus\": \"tiny.txt\"}";

static const char rounds_text[] =
	"{\"name\": \"tiny\", \"hrp\": \"tny\", \"spacing\": 0, \"k\": 2, \"d\": 16, "
	"\"layers\": 1, \"heads\": 1, \"ff\": 16, \"ctx\": 32, \"batch\": 1, \"iterations\": 1, \"slots\": 2, "
	"\"bench_rows\": 1, \"bench_bytes\": 512, \"maturity\": 17, \"data_delay\": 1, \"burn_rate\": 10, "
	"\"blob_min\": 32768, \"blob_max\": 65536, \"blob_budget\": 131072, \"corpus\": \"tiny.txt\", "
	"\"round_blocks\": 8, \"round_work\": 2, \"round_reveal\": 3, \"segments\": 4, \"segment\": 2, "
	"\"run_ppm\": 500000}";

static bool helper_has_rounds;

void helper_use_rounds(void)
{
	helper_has_rounds = true;
}

void helper_bytes(uint8_t *out, size_t size, unsigned number)
{
	for (size_t i = 0; i < size; i++) {
		number = number * 1103515245 + 12345;
		out[i] = (uint8_t)(number >> 16);
	}
}

struct spec *helper_spec(void)
{
	static struct spec spec;
	static bool made;
	uint8_t corpus[4096];
	struct errmsg err;
	char *path;

	if (made)
		return &spec;
	engine_init(1);
	backend_select(backend_cpu(ENGINE_OPENBLAS));
	if (helper_has_rounds)
		assert_true(spec_parse(&spec, rounds_text, sizeof rounds_text - 1, &path, &err));
	else
		assert_true(spec_parse(&spec, spec_text, sizeof spec_text - 1, &path, &err));
	free(path);
	helper_bytes(corpus, sizeof corpus, 1);
	spec_set_corpus(&spec, corpus, sizeof corpus);
	assert_true(spec_finish(&spec, &err));
	/* A clock that stands still, far enough after genesis. */
	clock_set_mock((int64_t)spec.genesis_time + 1000000);
	made = true;
	return &spec;
}

/* --- what the chain tells --- */

static void on_disconnected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct helper *h = context;

	assert_memory_equal(entry->header.digest, block->header.digest, 32);
	h->disconnected++;
}

static void on_connected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct helper *h = context;

	assert_memory_equal(entry->header.digest, block->header.digest, 32);
	h->connected++;
}

static void on_tip(void *context, const struct index_entry *tip)
{
	struct helper *h = context;

	(void)tip;
	h->tips++;
}

static void on_proven(void *context, const struct index_entry *entry, const struct source *source)
{
	struct helper *h = context;

	(void)entry;
	(void)source;
	h->proven++;
}

static void note_reason(struct helper *h, const struct reject *reject)
{
	snprintf(h->reason, sizeof h->reason, "%s", reject->reason);
}

static void on_block(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	struct helper *h = context;

	(void)entry;
	h->source = *source;
	if (reject == NULL) {
		h->verified++;
	} else {
		h->refused++;
		note_reason(h, reject);
	}
}

static void on_proof(void *context, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct helper *h = context;

	(void)header;
	(void)source;
	if (reject == NULL) {
		h->proofs_right++;
	} else {
		h->proofs_wrong++;
		note_reason(h, reject);
	}
}

static void on_tx(void *context, const struct tx *tx, uint64_t source)
{
	struct helper *h = context;

	(void)tx;
	(void)source;
	h->txs_added++;
}

static void on_tx_gone(void *context, const struct tx *tx, const char *reason)
{
	struct helper *h = context;

	(void)tx;
	snprintf(h->reason, sizeof h->reason, "%s", reason);
	h->txs_removed++;
}

static void on_blob(void *context, const uint8_t root[32], uint64_t size, uint64_t source)
{
	struct helper *h = context;

	(void)size;
	(void)source;
	memcpy(h->wanted, root, 32);
	h->blobs_wanted++;
}

static void on_fatal(void *context, const char *why)
{
	struct helper *h = context;

	(void)why;
	h->fatals++;
}

void helper_forget(struct helper *h)
{
	h->proven = h->verified = h->refused = h->connected = h->disconnected = h->tips = 0;
	h->proofs_right = h->proofs_wrong = h->txs_added = h->txs_removed = h->blobs_wanted = h->fatals = 0;
	h->reason[0] = 0;
}

/* --- opening and closing --- */

void helper_open(struct helper *h)
{
	const struct chain_events events = {
		.context = h,
		.disconnected = on_disconnected,
		.connected = on_connected,
		.tip = on_tip,
		.block_proven = on_proven,
		.block_verdict = on_block,
		.proof_verdict = on_proof,
		.tx_added = on_tx,
		.tx_removed = on_tx_gone,
		.blob_wanted = on_blob,
		.blob_turn = on_blob,
		.fatal = on_fatal,
	};
	struct chain_options options = {
		.datadir = h->folder,
		.spec = h->spec,
		.snapshot_interval = 4,
		.reindex = h->reindex,
		.prune = h->prune,
		.mempool_bytes = h->mempool_bytes,
		.held_bytes = h->held_bytes,
	};
	struct errmsg err = { "" };

	h->queue = queue_new(h->threads ? h->threads : 2, NULL, NULL);
	options.queue = h->queue;
	h->chain = chain_open(&options, &err);
	if (h->chain == NULL)
		fail_msg("%s", err.text);
	h->reindex = false;
	chain_subscribe(h->chain, &events);
}

void helper_close(struct helper *h)
{
	chain_close(h->chain);
	queue_free(h->queue);
	h->chain = NULL;
	h->queue = NULL;
}

void helper_key(struct helper *h, uint32_t number)
{
	memset(h->secret, 0x11, 32);
	write_le32(h->secret + 1, number);
	assert_true(schnorr_key(h->key, h->secret));
}

void helper_start(struct helper *h)
{
	memset(h, 0, sizeof *h);
	h->spec = helper_spec();
	h->folder = scratch_new();
	helper_key(h, 0x11);
	helper_open(h);
}

void helper_stop(struct helper *h)
{
	if (h->chain != NULL)
		helper_close(h);
	scratch_remove(h->folder);
}

void helper_settle(struct helper *h)
{
	while (queue_pending(h->queue) > 0) {
		queue_wait(h->queue, 0);
		queue_drain(h->queue);
	}
}

/* --- mining --- */

uint8_t *helper_solve(struct helper *h, struct block *block, bool loose)
{
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &spec_course(h->spec)->train, 1);
	uint8_t *body = mem_alloc(block_body_size(h->spec));
	struct state *state = chain_state(h->chain);
	struct u256 target;
	bool found = false;

	assert_non_null(state);
	assert_true(target_from_compact(block->header.bits, &target));
	while (!found) {
		uint32_t slot, dataset;
		uint8_t seed[32], ticket[32];
		struct step_job job = { .state = state, .seed = seed };
		uint8_t *windows;

		block->header.nonce++;
		header_seed(&block->header, seed);
		windows = chain_attempt_windows(h->chain, &block->header, &slot, &dataset);
		assert_non_null(windows);
		job.windows = windows;
		if (backend_execute(backend, &job, body) == STEP_OK) {
			sha256(block->header.digest, body, block_body_size(h->spec));
			header_ticket(&block->header, ticket);
			found = target_met(ticket, target) != loose;
		}
		free(windows);
	}
	state_unref(state);
	backend_free(backend);
	return body;
}

enum chain_result helper_offer(struct helper *h, struct block *block, struct reject *reject)
{
	uint8_t *body = helper_solve(h, block, false);
	enum chain_result result = chain_add_own(h->chain, block_seal(block), body, reject);

	helper_settle(h);
	return result;
}

void helper_mine(struct helper *h, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t height = chain_tip(h->chain)->height;
		struct reject reject = { .reason = "" };
		enum chain_result result = helper_offer(h, chain_template(h->chain, h->key), &reject);

		if (result != CHAIN_NEW || chain_tip(h->chain)->height != height + 1)
			fail_msg("block %u: %s: %s (%s)", (unsigned)height + 1, reject.reason, reject.detail,
				h->reason);
	}
}

void helper_mine_loose(struct helper *h)
{
	struct block *block = chain_template(h->chain, h->key);
	struct reject reject;
	uint8_t *body = helper_solve(h, block, true);

	assert_int_equal(chain_add_own_proof(h->chain, &block->header, body, &reject), CHAIN_NEW);
	block_unref(block);
}

const struct source *helper_source(uint8_t number)
{
	static struct source sources[256];

	sources[number] = (struct source){ .peer = number, .group = { number } };
	return &sources[number];
}

void helper_feed(struct helper *to, struct helper *from, uint32_t first, uint32_t last)
{
	for (uint32_t height = first; height <= last; height++) {
		struct errmsg err = { "" };
		struct reject reject = { .reason = "" };
		const struct block *block = chain_read_block(from->chain, chain_at(from->chain, height), &err);

		if (block == NULL)
			fail_msg("%s", err.text);
		if (chain_add_block(to->chain, block, helper_source(7), &reject) != CHAIN_NEW)
			fail_msg("block %u: %s: %s", (unsigned)height, reject.reason, reject.detail);
	}
}

/* --- transactions --- */

int64_t helper_coinbase(struct helper *h, uint32_t height, struct outpoint *outpoint)
{
	const struct block *block = chain_read_block(h->chain, chain_at(h->chain, height), NULL);
	int64_t amount;

	assert_non_null(block);
	memcpy(outpoint->txid, tx_txid(block->txs[0]), 32);
	outpoint->index = 0;
	amount = block->txs[0]->outputs[0].amount;
	block_unref(block);
	return amount;
}

void helper_sign(struct helper *h, struct tx *tx, int64_t amount)
{
	static const uint8_t aux[32];
	struct tx_output *spent = mem_calloc(tx->input_count, sizeof *spent);
	uint8_t script[P2TR_SIZE], hash[32], signature[64];
	struct sighash_cache cache;

	script_p2tr(script, h->key);
	for (size_t i = 0; i < tx->input_count; i++)
		spent[i] = (struct tx_output){ .amount = amount, .script = { script, sizeof script } };
	sighash_init(&cache, tx, spent);
	for (size_t i = 0; i < tx->input_count; i++) {
		assert_true(sighash_taproot(&cache, i, SIGHASH_DEFAULT, NULL, hash));
		assert_true(schnorr_sign(signature, hash, h->secret, aux));
		tx_set_witness(tx, i, signature, sizeof signature);
	}
	free(spent);
}

const struct tx *helper_spend(struct helper *h, const struct outpoint *outpoint, int64_t amount, int64_t fee,
	const uint8_t *data, size_t size)
{
	struct tx *tx = tx_new();
	uint8_t script[P2TR_SIZE];
	int64_t burn = data != NULL ? fees_burn(registry_data_rate(chain_registry(h->chain), 1), size) : 0;

	tx_add_input(tx, outpoint, 0xffffffff);
	script_p2tr(script, h->key);
	tx_add_output(tx, amount - fee - burn, script, sizeof script);
	if (data != NULL) {
		struct contribution contribution = helper_contribution(h, data, size, 0);
		struct buf out;

		buf_init(&out);
		contribution_script(&out, &contribution);
		tx_add_output(tx, burn, out.data, out.size);
		buf_clear(&out);
	}
	helper_sign(h, tx, amount);
	return tx_seal(tx);
}

struct contribution helper_contribution(struct helper *h, const uint8_t *data, size_t size, uint8_t salt)
{
	struct contribution contribution = { .size = size, .licence = "CC0-1.0", .title = "a test" };

	contribution_root(data, size, contribution.root);
	memcpy(contribution.owner, h->key, 32);
	memset(contribution.salt, salt, sizeof contribution.salt);
	return contribution;
}

void helper_commit_to(struct helper *h, uint32_t height, const struct contribution *contributions, size_t count)
{
	uint8_t script[P2TR_SIZE], hash[32];
	struct tx *tx = tx_new();
	struct outpoint outpoint;
	struct reject reject;
	struct buf out;
	int64_t amount = helper_coinbase(h, height, &outpoint);

	tx_add_input(tx, &outpoint, 0xffffffff);
	script_p2tr(script, h->key);
	tx_add_output(tx, amount - 100000 - COMMITMENT_BURN * (int64_t)count, script, sizeof script);
	for (size_t i = 0; i < count; i++) {
		commitment_hash(&contributions[i], hash);
		buf_init(&out);
		commitment_script(&out, hash);
		tx_add_output(tx, COMMITMENT_BURN, out.data, out.size);
		buf_clear(&out);
	}
	helper_sign(h, tx, amount);
	assert_int_equal(chain_add_tx(h->chain, tx_seal(tx), NULL, &reject), CHAIN_NEW);
	helper_mine(h, 1);
}

void helper_commit(struct helper *h, uint32_t height, size_t size, unsigned first, unsigned last, uint8_t salt)
{
	struct contribution *contributions = mem_calloc(last - first + 1, sizeof *contributions);
	uint8_t *data = mem_alloc(size);

	for (unsigned number = first; number <= last; number++) {
		helper_bytes(data, size, number);
		contributions[number - first] = helper_contribution(h, data, size, salt);
	}
	helper_commit_to(h, height, contributions, last - first + 1);
	free(contributions);
	free(data);
}

/* --- files --- */

static void find_files(struct helper *h, const char *pattern, glob_t *found)
{
	char path[1024];

	snprintf(path, sizeof path, "%s/%s", h->folder, pattern);
	assert_int_not_equal(glob(path, 0, NULL, found), GLOB_NOSPACE);
}

void helper_remove(struct helper *h, const char *pattern)
{
	glob_t found;

	find_files(h, pattern, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		assert_int_equal(remove(found.gl_pathv[i]), 0);
	globfree(&found);
}

size_t helper_files(struct helper *h, const char *pattern)
{
	glob_t found;
	size_t count;

	find_files(h, pattern, &found);
	count = found.gl_pathc;
	globfree(&found);
	return count;
}

void helper_flip(struct helper *h, const char *pattern, long offset)
{
	glob_t found;

	find_files(h, pattern, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *file = fopen(found.gl_pathv[i], "r+b");
		int byte;

		assert_non_null(file);
		assert_int_equal(fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
		byte = fgetc(file);
		assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
		assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
		assert_int_equal(fclose(file), 0);
	}
	globfree(&found);
}
