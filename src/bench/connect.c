/* Connecting blocks full of payments: what a block costs beside its training. */
#define _GNU_SOURCE /* nftw */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "chain/chain.h"
#include "consensus/sighash.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "ml/backend.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

/* Before the measured blocks: until the first coinbase may be spent, and the one that splits it for everybody. */
enum { PAYMENTS = 50, BLOCKS = 200, MATURITY = 2, BEFORE = MATURITY + 1, ALL = BEFORE + BLOCKS };
enum { OPEN_FILES = 16 };

/* In units of 10^-8: above dust and the least fee, and so little that no coin runs out in all blocks. */
static const int64_t PAID = 10000, FEE = 1000;

/* As small a model as there is: its update belongs to every block, and is not what is measured. */
static const char spec_text[] =
	"{\"name\": \"connect\", \"hrp\": \"cnt\", \"genesis_time\": 1795219200, \"spacing\": 0, \"k\": 1, \"d\": 16, "
	"\"layers\": 1, \"heads\": 1, \"ff\": 16, \"ctx\": 32, \"batch\": 1, \"iterations\": 1, \"slots\": 1, "
	"\"bench_rows\": 1, \"bench_bytes\": 512, \"maturity\": 2, \"data_delay\": 1}";

/* A block as it comes, and the body of its proof, which its miner knows. */
struct connect_block {
	struct buf bytes;
	uint8_t *body;
};

struct connect {
	struct bench *b;
	struct spec spec;
	char folder[256];
	struct queue *queue;
	struct chain *chain;
	uint8_t secret[32], key[32], payee[32];
	struct outpoint coins[PAYMENTS]; /* what the next payments spend */
	int64_t amount;                  /* of each */
	struct connect_block blocks[ALL];
	size_t count;
	char tip[65]; /* id of the last block: the same in every run, of every version */
};

static bool connect_complain(const char *what, const char *why)
{
	fprintf(stderr, "error: %s: %s\n", what, why);
	return false;
}

/* --- a chain in a folder of its own --- */

/* As a node by itself would: one a core. */
static unsigned connect_threads(void)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > QUEUE_CAPACITY_MAX ? QUEUE_CAPACITY_MAX : (unsigned)cores;
}

static bool connect_open(struct connect *c, const char *name)
{
	char *path = path_join(c->folder, name);
	/* A snapshot of the model would be one more thing to write, and none is due in so few blocks. */
	struct chain_options options = { .datadir = path, .spec = &c->spec, .snapshot_interval = 1000000 };
	struct errmsg err = { "" };

	c->queue = queue_new(connect_threads(), NULL, NULL);
	options.queue = c->queue;
	c->chain = chain_open(&options, &err);
	free(path);
	return c->chain != NULL || connect_complain("the chain cannot be opened", err.text);
}

static void connect_close(struct connect *c)
{
	chain_close(c->chain);
	queue_free(c->queue);
	c->chain = NULL;
	c->queue = NULL;
}

/* Until the verdict is there and nothing is left to do. */
static void connect_settle(struct connect *c)
{
	while (queue_pending(c->queue) > 0) {
		queue_wait(c->queue, 0);
		queue_drain(c->queue);
	}
}

/* Hands over a block that this node mined: its proof is known, as by any miner, and all other rules are checked. */
static bool connect_add(struct connect *c, const struct block *block, const uint8_t *body)
{
	const uint32_t height = chain_tip(c->chain)->height;
	struct reject reject = { .reason = "no verdict" };

	if (chain_add_own(c->chain, block, mem_dup(body, block_body_size(&c->spec)), &reject) == CHAIN_NEW)
		connect_settle(c);
	return chain_tip(c->chain)->height == height + 1 || connect_complain("a block is not connected", reject.reason);
}

/* --- the blocks --- */

/* Tries nonces until the proof is a block's. NULL: a step has no result. */
static uint8_t *connect_solve(struct connect *c, struct block *block)
{
	struct backend *backend = backend_new(c->b->kind, &spec_course(&c->spec)->train, c->b->threads);
	uint8_t *body = mem_alloc(block_body_size(&c->spec)), seed[32], ticket[32];
	struct state *state = chain_state(c->chain);
	struct u256 target;
	bool ok = target_from_compact(block->header.bits, &target), found = false;

	while (ok && !found) {
		uint32_t slot, dataset;
		struct step_job job = { .state = state, .seed = seed };
		uint8_t *windows;

		block->header.nonce++;
		header_seed(&block->header, seed);
		windows = chain_attempt_windows(c->chain, &block->header, &slot, &dataset);
		job.windows = windows;
		ok = windows != NULL && backend_execute(backend, &job, body) == STEP_OK;
		free(windows);
		sha256(block->header.digest, body, block_body_size(&c->spec));
		header_ticket(&block->header, ticket);
		found = ok && target_met(ticket, target);
	}
	state_unref(state);
	backend_free(backend);
	if (ok)
		return body;
	free(body);
	return NULL;
}

/* Mines what waits, and keeps it. */
static bool connect_mine(struct connect *c)
{
	struct block *block = chain_template(c->chain, c->key);
	struct connect_block *kept = &c->blocks[c->count];

	kept->body = connect_solve(c, block);
	if (kept->body == NULL) {
		block_unref(block);
		return connect_complain("a block cannot be mined", "a step has no result");
	}
	block_write(&kept->bytes, &c->spec, block, false);
	c->count++;
	return connect_add(c, block_seal(block), kept->body);
}

static void connect_pay(struct tx *tx, int64_t amount, const uint8_t key[32])
{
	uint8_t script[P2TR_SIZE];

	script_p2tr(script, key);
	tx_add_output(tx, amount, script, sizeof script);
}

/* Signs the one input, which spends so much of our own, and hands the transaction over. */
static bool connect_send(struct connect *c, struct tx *tx, int64_t spent, uint8_t txid[32])
{
	/* No randomness in signatures: the same transactions, and so the same tip, in every run. */
	static const uint8_t aux[32];
	uint8_t script[P2TR_SIZE], hash[32], signature[64];
	const struct tx_output output = { .amount = spent, .script = { script, sizeof script } };
	struct sighash_cache cache;
	struct reject reject;

	script_p2tr(script, c->key);
	sighash_init(&cache, tx, &output);
	if (!sighash_taproot(&cache, 0, SIGHASH_DEFAULT, NULL, hash) ||
		!schnorr_sign(signature, hash, c->secret, aux)) {
		tx_unref(tx);
		return connect_complain("a payment", "cannot be signed");
	}
	tx_set_witness(tx, 0, signature, sizeof signature);
	memcpy(txid, tx_txid(tx_seal(tx)), 32);
	return chain_add_tx(c->chain, tx, NULL, &reject) == CHAIN_NEW || connect_complain("a payment", reject.reason);
}

/* The first coinbase's coin in so many parts. */
static bool connect_split(struct connect *c)
{
	struct errmsg err = { "" };
	const struct block *block = chain_read_block(c->chain, chain_at(c->chain, 1), &err);
	struct outpoint prev = { .index = 0 };
	struct tx *tx = tx_new();
	int64_t amount;

	if (block == NULL) {
		tx_unref(tx);
		return connect_complain("block 1", err.text);
	}
	memcpy(prev.txid, tx_txid(block->txs[0]), 32);
	amount = block->txs[0]->outputs[0].amount;
	block_unref(block);
	c->amount = amount / PAYMENTS - FEE;
	tx_add_input(tx, &prev, 0xffffffff);
	for (uint32_t i = 0; i < PAYMENTS; i++)
		connect_pay(tx, c->amount, c->key);
	if (!connect_send(c, tx, amount, prev.txid))
		return false;
	for (uint32_t i = 0; i < PAYMENTS; i++) {
		c->coins[i] = prev;
		c->coins[i].index = i;
	}
	return true;
}

/* Everybody pays somebody, and has the change. */
static bool connect_pay_all(struct connect *c)
{
	const int64_t change = c->amount - PAID - FEE;
	bool ok = true;

	for (size_t i = 0; ok && i < PAYMENTS; i++) {
		struct tx *tx = tx_new();

		tx_add_input(tx, &c->coins[i], 0xffffffff);
		connect_pay(tx, change, c->key);
		connect_pay(tx, PAID, c->payee);
		ok = connect_send(c, tx, c->amount, c->coins[i].txid);
		c->coins[i].index = 0;
	}
	c->amount = change;
	return ok;
}

static bool connect_prepare(struct connect *c)
{
	bool ok = connect_open(c, "miner");

	while (ok && c->count < ALL) {
		if (c->count == MATURITY)
			ok = connect_split(c);
		else if (c->count >= BEFORE)
			ok = connect_pay_all(c);
		ok = ok && connect_mine(c);
		if (ok && c->count > BEFORE && chain_tip(c->chain)->tx_count != PAYMENTS + 1)
			ok = connect_complain("a block", "lacks payments");
	}
	if (ok)
		hex_encode_reversed(c->tip, chain_tip(c->chain)->id, 32);
	connect_close(c);
	return ok;
}

/* --- the measurement --- */

static const struct block *connect_read(const struct connect *c, size_t i, struct reject *reject)
{
	struct reader reader;

	reader_init(&reader, c->blocks[i].bytes.data, c->blocks[i].bytes.size);
	return block_read(&c->spec, &reader, reject);
}

/* A block's payments, as they come before it on a node that takes part: their signatures are known then. */
static bool connect_relay(struct connect *c, size_t i)
{
	struct reject reject = { .reason = "" };
	const struct block *block = connect_read(c, i, &reject);
	bool ok = block != NULL;

	for (size_t j = 1; ok && j < block->tx_count; j++)
		ok = chain_add_tx(c->chain, tx_ref(block->txs[j]), NULL, &reject) == CHAIN_NEW;
	block_unref(block);
	return ok || connect_complain("a payment", reject.reason);
}

/* From a block's bytes until it is the tip. */
static bool connect_one(struct connect *c, size_t i, struct timing *t, clock_t *processor)
{
	struct reject reject = { .reason = "" };
	clock_t before = clock();
	const struct block *block;
	bool ok;

	timing_start(t);
	block = connect_read(c, i, &reject);
	ok = block != NULL ? connect_add(c, block, c->blocks[i].body) : connect_complain("a block", reject.reason);
	timing_stop(t);
	*processor += clock() - before;
	return ok;
}

/* All blocks into a new chain; adds what the full ones took to `whole` and `cpu`. */
static bool connect_round(struct connect *c, bool relayed, struct timing *whole, struct timing *cpu)
{
	struct timing *each = mem_calloc(1, sizeof *each);
	clock_t processor = 0;
	double sum = 0;
	char name[64];
	bool ok;

	snprintf(name, sizeof name, "%s%zu", relayed ? "relayed" : "new", whole->count);
	ok = connect_open(c, name);
	for (size_t i = 0; ok && i < c->count; i++) {
		if (i == BEFORE) {
			timing_reset(each);
			processor = 0;
		}
		ok = (!relayed || connect_relay(c, i)) && connect_one(c, i, each, &processor);
	}
	for (size_t i = 0; i < each->count; i++)
		sum += each->took[i];
	connect_close(c);
	whole->took[whole->count++] = sum;
	cpu->took[cpu->count++] = (double)processor / CLOCKS_PER_SEC;
	free(each);
	return ok;
}

static void connect_report(const struct connect *c, bool relayed, struct timing *whole, struct timing *cpu)
{
	const struct bench *b = c->b;

	line_begin(&b->line, "connect", "private", b->kind->name);
	line_add_text(&b->line, "payments", relayed ? "relayed" : "new");
	line_add_times(&b->line, whole);
	line_add(&b->line, "blocks_per_second", BLOCKS / timing_median(whole));
	line_add(&b->line, "cpu_ms_per_block", timing_median(cpu) * 1e3 / BLOCKS);
	line_add_text(&b->line, "tip", c->tip);
	line_end(&b->line);
}

static bool connect_measure(struct connect *c)
{
	struct timing *times = mem_calloc(4, sizeof *times);
	bool ok = true;

	for (size_t round = 0; ok && round < c->b->rounds; round++)
		for (int relayed = 0; ok && relayed < 2; relayed++)
			ok = connect_round(c, relayed, &times[2 * relayed], &times[2 * relayed + 1]);
	for (int relayed = 0; ok && relayed < 2; relayed++)
		connect_report(c, relayed, &times[2 * relayed], &times[2 * relayed + 1]);
	free(times);
	return ok;
}

/* --- beginning and end --- */

static int connect_remove(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
	(void)facts;
	(void)kind;
	(void)place;
	return remove(path);
}

static bool connect_init(struct connect *c)
{
	char *corpus = NULL;
	struct errmsg err = { "" };

	if (!spec_parse(&c->spec, spec_text, sizeof spec_text - 1, &corpus, &err) || !spec_finish(&c->spec, &err))
		return connect_complain("the spec", err.text);
	memset(c->secret, 0x11, 32);
	schnorr_key(c->key, c->secret);
	memset(c->payee, 0x22, 32);
	schnorr_key(c->payee, c->payee);
	/* A clock that stands still: the same blocks in every run. */
	clock_set_mock((int64_t)c->spec.genesis_time + 1000000);
	for (size_t i = 0; i < ALL; i++)
		buf_init(&c->blocks[i].bytes);
	return true;
}

static void connect_clear(struct connect *c)
{
	for (size_t i = 0; i < ALL; i++) {
		buf_clear(&c->blocks[i].bytes);
		free(c->blocks[i].body);
	}
	spec_clear(&c->spec);
	clock_set_mock(0);
}

bool bench_connect(struct bench *b)
{
	struct connect *c = mem_calloc(1, sizeof *c);
	char *log;
	bool ok;
	int size;

	c->b = b;
	size = snprintf(c->folder, sizeof c->folder, "%s/atelier-bench-XXXXXX", b->folder);
	if (size < 0 || (size_t)size >= sizeof c->folder || mkdtemp(c->folder) == NULL) {
		free(c);
		return connect_complain(b->folder, "no folder can be made there");
	}
	log = path_join(c->folder, "debug.log");
	log_init(log, false, 0, NULL);
	ok = connect_init(c) && connect_prepare(c) && connect_measure(c);
	connect_clear(c);
	log_close();
	nftw(c->folder, connect_remove, OPEN_FILES, FTW_DEPTH | FTW_PHYS);
	free(log);
	free(c);
	return ok;
}
