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
enum {
	CONNECT_PAYMENTS = 50,
	CONNECT_BLOCKS = 200,
	CONNECT_MATURITY = 2,
	CONNECT_BEFORE = CONNECT_MATURITY + 1,
	CONNECT_ALL = CONNECT_BEFORE + CONNECT_BLOCKS
};
enum { CONNECT_OPEN_FILES = 16 };

/* In units of 10^-8: above dust and the least fee, and so little that no coin runs out in all blocks. */
static const int64_t CONNECT_PAID = 10000, CONNECT_FEE = 1000;

/* As small a model as there is: its update belongs to every block, and is not what is measured. */
static const char connect_spec[] =
	"{\"name\": \"connect\", \"hrp\": \"cnt\", \"genesis_time\": 1795219200, \"spacing\": 0, \"k\": 1, \"d\": 16, "
	"\"layers\": 1, \"heads\": 1, \"ff\": 16, \"ctx\": 32, \"batch\": 1, \"iterations\": 1, \"slots\": 1, "
	"\"bench_rows\": 1, \"bench_bytes\": 512, \"maturity\": 2, \"data_delay\": 1}";

/* A block as it comes, and the body of its proof, which its miner knows. */
struct connect_block {
	struct buf bytes;
	uint8_t *body;
};

struct connect {
	struct bench *bench;
	struct spec spec;
	char folder[256];
	struct queue *queue;
	struct chain *chain;
	uint8_t secret[32], key[32], payee[32];
	struct outpoint coins[CONNECT_PAYMENTS]; /* what the next payments spend */
	int64_t amount;                          /* of each */
	struct connect_block blocks[CONNECT_ALL];
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

static bool connect_open(struct connect *connect, const char *name)
{
	char *path = path_join(connect->folder, name);
	/* A snapshot of the model would be one more thing to write, and none is due in so few blocks. */
	struct chain_options options = { .datadir = path, .spec = &connect->spec, .snapshot_interval = 1000000 };
	struct errmsg err = { "" };

	connect->queue = queue_new(connect_threads(), NULL, NULL);
	options.queue = connect->queue;
	connect->chain = chain_open(&options, &err);
	free(path);
	return connect->chain != NULL || connect_complain("the chain cannot be opened", err.text);
}

static void connect_close(struct connect *connect)
{
	chain_close(connect->chain);
	queue_free(connect->queue);
	connect->chain = NULL;
	connect->queue = NULL;
}

/* Until the verdict is there and nothing is left to do. */
static void connect_settle(struct connect *connect)
{
	while (queue_pending(connect->queue) > 0) {
		queue_wait(connect->queue, 0);
		queue_drain(connect->queue);
	}
}

/* Hands over a block that this node mined: its proof is known, as by any miner, and all other rules are checked. */
static bool connect_add(struct connect *connect, const struct block *block, const uint8_t *body)
{
	const uint32_t height = chain_tip(connect->chain)->height;
	struct reject reject = { .reason = "no verdict" };

	if (chain_add_own(connect->chain, block, mem_dup(body, block_body_size(&connect->spec)), &reject) == CHAIN_NEW)
		connect_settle(connect);
	return chain_tip(connect->chain)->height == height + 1 ||
		connect_complain("a block is not connected", reject.reason);
}

/* --- the blocks --- */

/* Tries nonces until the proof is a block's. NULL: a step has no result. */
static uint8_t *connect_solve(struct connect *connect, struct block *block)
{
	struct backend *backend = backend_new(connect->bench->kind, &spec_course(&connect->spec)->train,
		connect->bench->threads);
	uint8_t *body = mem_alloc(block_body_size(&connect->spec)), seed[32], ticket[32];
	struct state *state = chain_state(connect->chain);
	struct u256 target;
	bool ok = target_from_compact(block->header.bits, &target), found = false;

	while (ok && !found) {
		uint32_t slot, dataset;
		struct step_job job = { .state = state, .seed = seed };
		uint8_t *windows;

		block->header.nonce++;
		header_seed(&block->header, seed);
		windows = chain_attempt_windows(connect->chain, &block->header, &slot, &dataset);
		job.windows = windows;
		ok = windows != NULL && backend_execute(backend, &job, body) == STEP_OK;
		free(windows);
		sha256(block->header.digest, body, block_body_size(&connect->spec));
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
static bool connect_mine(struct connect *connect)
{
	struct block *block = chain_template(connect->chain, connect->key);
	struct connect_block *kept = &connect->blocks[connect->count];

	kept->body = connect_solve(connect, block);
	if (kept->body == NULL) {
		block_unref(block);
		return connect_complain("a block cannot be mined", "a step has no result");
	}
	block_write(&kept->bytes, &connect->spec, block, false);
	connect->count++;
	return connect_add(connect, block_seal(block), kept->body);
}

static void connect_pay(struct tx *tx, int64_t amount, const uint8_t key[32])
{
	uint8_t script[P2TR_SIZE];

	script_p2tr(script, key);
	tx_add_output(tx, amount, script, sizeof script);
}

/* Signs the one input, which spends so much of our own, and hands the transaction over. */
static bool connect_send(struct connect *connect, struct tx *tx, int64_t spent, uint8_t txid[32])
{
	/* No randomness in signatures: the same transactions, and so the same tip, in every run. */
	static const uint8_t aux[32];
	uint8_t script[P2TR_SIZE], hash[32], signature[64];
	const struct tx_output output = { .amount = spent, .script = { script, sizeof script } };
	struct sighash_cache cache;
	struct reject reject;

	script_p2tr(script, connect->key);
	sighash_init(&cache, tx, &output);
	if (!sighash_taproot(&cache, 0, SIGHASH_DEFAULT, NULL, hash) ||
		!schnorr_sign(signature, hash, connect->secret, aux)) {
		tx_unref(tx);
		return connect_complain("a payment", "cannot be signed");
	}
	tx_set_witness(tx, 0, signature, sizeof signature);
	memcpy(txid, tx_txid(tx_seal(tx)), 32);
	return chain_add_tx(connect->chain, tx, NULL, &reject) == CHAIN_NEW ||
		connect_complain("a payment", reject.reason);
}

/* The first coinbase's coin in so many parts. */
static bool connect_split(struct connect *connect)
{
	struct errmsg err = { "" };
	const struct block *block = chain_read_block(connect->chain, chain_at(connect->chain, 1), &err);
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
	connect->amount = amount / CONNECT_PAYMENTS - CONNECT_FEE;
	tx_add_input(tx, &prev, 0xffffffff);
	for (uint32_t i = 0; i < CONNECT_PAYMENTS; i++)
		connect_pay(tx, connect->amount, connect->key);
	if (!connect_send(connect, tx, amount, prev.txid))
		return false;
	for (uint32_t i = 0; i < CONNECT_PAYMENTS; i++) {
		connect->coins[i] = prev;
		connect->coins[i].index = i;
	}
	return true;
}

/* Everybody pays somebody, and has the change. */
static bool connect_pay_all(struct connect *connect)
{
	const int64_t change = connect->amount - CONNECT_PAID - CONNECT_FEE;
	bool ok = true;

	for (size_t i = 0; ok && i < CONNECT_PAYMENTS; i++) {
		struct tx *tx = tx_new();

		tx_add_input(tx, &connect->coins[i], 0xffffffff);
		connect_pay(tx, change, connect->key);
		connect_pay(tx, CONNECT_PAID, connect->payee);
		ok = connect_send(connect, tx, connect->amount, connect->coins[i].txid);
		connect->coins[i].index = 0;
	}
	connect->amount = change;
	return ok;
}

static bool connect_prepare(struct connect *connect)
{
	bool ok = connect_open(connect, "miner");

	while (ok && connect->count < CONNECT_ALL) {
		if (connect->count == CONNECT_MATURITY)
			ok = connect_split(connect);
		else if (connect->count >= CONNECT_BEFORE)
			ok = connect_pay_all(connect);
		ok = ok && connect_mine(connect);
		if (ok && connect->count > CONNECT_BEFORE &&
			chain_tip(connect->chain)->tx_count != CONNECT_PAYMENTS + 1)
			ok = connect_complain("a block", "lacks payments");
	}
	if (ok)
		hex_encode_reversed(connect->tip, chain_tip(connect->chain)->id, 32);
	connect_close(connect);
	return ok;
}

/* --- the measurement --- */

static const struct block *connect_read(const struct connect *connect, size_t i, struct reject *reject)
{
	struct reader block_reader;

	reader_init(&block_reader, connect->blocks[i].bytes.data, connect->blocks[i].bytes.size);
	return block_read(&connect->spec, &block_reader, reject);
}

/* A block's payments, as they come before it on a node that takes part: their signatures are known then. */
static bool connect_relay(struct connect *connect, size_t i)
{
	struct reject reject = { .reason = "" };
	const struct block *block = connect_read(connect, i, &reject);
	bool ok = block != NULL;

	for (size_t j = 1; ok && j < block->tx_count; j++)
		ok = chain_add_tx(connect->chain, tx_ref(block->txs[j]), NULL, &reject) == CHAIN_NEW;
	block_unref(block);
	return ok || connect_complain("a payment", reject.reason);
}

/* From a block's bytes until it is the tip. */
static bool connect_one(struct connect *connect, size_t i, struct timing *timing, clock_t *processor)
{
	struct reject reject = { .reason = "" };
	clock_t before = clock();
	const struct block *block;
	bool ok;

	timing_start(timing);
	block = connect_read(connect, i, &reject);
	ok = block != NULL ? connect_add(connect, block, connect->blocks[i].body) :
			     connect_complain("a block", reject.reason);
	timing_stop(timing);
	*processor += clock() - before;
	return ok;
}

/* All blocks into a new chain; adds what the full ones took to `whole` and `cpu`. */
static bool connect_round(struct connect *connect, bool relayed, struct timing *whole, struct timing *cpu)
{
	struct timing *block_times = mem_calloc(1, sizeof *block_times);
	clock_t processor = 0;
	double sum = 0;
	char name[64];
	bool ok;

	snprintf(name, sizeof name, "%s%zu", relayed ? "relayed" : "new", whole->count);
	ok = connect_open(connect, name);
	for (size_t i = 0; ok && i < connect->count; i++) {
		if (i == CONNECT_BEFORE) {
			timing_reset(block_times);
			processor = 0;
		}
		ok = (!relayed || connect_relay(connect, i)) && connect_one(connect, i, block_times, &processor);
	}
	for (size_t i = 0; i < block_times->count; i++)
		sum += block_times->took[i];
	connect_close(connect);
	whole->took[whole->count++] = sum;
	cpu->took[cpu->count++] = (double)processor / CLOCKS_PER_SEC;
	free(block_times);
	return ok;
}

static void connect_report(const struct connect *connect, bool relayed, struct timing *whole, struct timing *cpu)
{
	const struct bench *bench = connect->bench;

	line_begin(&bench->line, "connect", "private", bench->kind->name);
	line_add_text(&bench->line, "payments", relayed ? "relayed" : "new");
	line_add_times(&bench->line, whole);
	line_add(&bench->line, "blocks_per_second", CONNECT_BLOCKS / timing_median(whole));
	line_add(&bench->line, "cpu_ms_per_block", timing_median(cpu) * 1e3 / CONNECT_BLOCKS);
	line_add_text(&bench->line, "tip", connect->tip);
	line_end(&bench->line);
}

static bool connect_measure(struct connect *connect)
{
	struct timing *connect_times = mem_calloc(4, sizeof *connect_times);
	bool ok = true;

	for (size_t round = 0; ok && round < connect->bench->rounds; round++)
		for (int relayed = 0; ok && relayed < 2; relayed++)
			ok = connect_round(connect, relayed, &connect_times[2 * relayed],
				&connect_times[2 * relayed + 1]);
	for (int relayed = 0; ok && relayed < 2; relayed++)
		connect_report(connect, relayed, &connect_times[2 * relayed], &connect_times[2 * relayed + 1]);
	free(connect_times);
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

static bool connect_init(struct connect *connect)
{
	char *corpus = NULL;
	struct errmsg err = { "" };

	if (!spec_parse(&connect->spec, connect_spec, sizeof connect_spec - 1, &corpus, &err) ||
		!spec_finish(&connect->spec, &err))
		return connect_complain("the spec", err.text);
	memset(connect->secret, 0x11, 32);
	schnorr_key(connect->key, connect->secret);
	memset(connect->payee, 0x22, 32);
	schnorr_key(connect->payee, connect->payee);
	/* A clock that stands still: the same blocks in every run. */
	clock_set_mock((int64_t)connect->spec.genesis_time + 1000000);
	for (size_t i = 0; i < CONNECT_ALL; i++)
		buf_init(&connect->blocks[i].bytes);
	return true;
}

static void connect_clear(struct connect *connect)
{
	for (size_t i = 0; i < CONNECT_ALL; i++) {
		buf_clear(&connect->blocks[i].bytes);
		free(connect->blocks[i].body);
	}
	spec_clear(&connect->spec);
	clock_set_mock(0);
}

bool bench_connect(struct bench *bench)
{
	struct connect *connect = mem_calloc(1, sizeof *connect);
	char *log;
	bool ok;
	int size;

	connect->bench = bench;
	size = snprintf(connect->folder, sizeof connect->folder, "%s/atelier-bench-XXXXXX", bench->folder);
	if (size < 0 || (size_t)size >= sizeof connect->folder || mkdtemp(connect->folder) == NULL) {
		free(connect);
		return connect_complain(bench->folder, "no folder can be made there");
	}
	log = path_join(connect->folder, "debug.log");
	log_init(log, false, 0, NULL);
	ok = connect_init(connect) && connect_prepare(connect) && connect_measure(connect);
	connect_clear(connect);
	log_close();
	nftw(connect->folder, connect_remove, CONNECT_OPEN_FILES, FTW_DEPTH | FTW_PHYS);
	free(log);
	free(connect);
	return ok;
}
