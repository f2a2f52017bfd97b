/* Late proofs: executed on the states they start from, paid once on a branch, whatever becomes of the branch and the
 * node. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "consensus/coinbase.h"
#include "consensus/reward.h"
#include "util/file.h"
#include "util/mem.h"

/* A proof for the tip's child that nobody is told of: loose, or the own one of a block that is never sent. */
static struct header lost_proof(struct helper *h, bool loose)
{
	struct block *block = chain_template(h->chain, h->key);
	struct header header;

	free(helper_solve(h, block, loose));
	header = block->header;
	block_unref(block);
	return header;
}

/* Two lost proofs for the child of each block up to the last one, which is `count` blocks on. */
static void lose_proofs(struct helper *h, struct header lost[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		helper_key(h, 0x40 + (uint32_t)i);
		lost[i] = lost_proof(h, i % 2);
		helper_key(h, 0x11);
		helper_mine(h, 1);
	}
}

static struct block *late_block(struct helper *h, const struct header late[], size_t count)
{
	struct block *block = chain_template(h->chain, h->key);
	const struct index_entry *tip = chain_tip(h->chain);
	struct block_outcome parent;

	free(block->late);
	block->late = mem_dup(late, count * sizeof *late);
	block->late_count = count;
	tx_unref(block->txs[0]);
	block->txs[0] = coinbase_build(h->spec,
		&(struct coinbase_facts){
			.height = tip->height + 1,
			.miner = block->header.miner,
			.loose = block->loose,
			.loose_count = block->loose_count,
			.late = block->late,
			.late_count = count,
			.registry = chain_registry(h->chain),
			.parent = tip->height > 0 ? chain_outcome(tip, &parent) : NULL,
		});
	block_set_roots(block);
	return block;
}

/* Mines a block with them; a reason, if it is to be refused. */
static void offer_late(struct helper *h, const struct header late[], size_t count, const char *reason)
{
	const struct index_entry *tip = chain_tip(h->chain);
	struct reject reject = { .reason = "" };
	enum chain_result result;

	helper_forget(h);
	result = helper_offer(h, late_block(h, late, count), &reject);
	if (reason == NULL && (result != CHAIN_NEW || chain_tip(h->chain)->parent != tip))
		fail_msg("%s: %s (%s)", reject.reason, reject.detail, h->reason);
	if (reason == NULL)
		return;
	assert_string_equal(result == CHAIN_REJECTED ? reject.reason : h->reason, reason);
	assert_ptr_equal(chain_tip(h->chain), tip);
}

static void assert_same_chain(struct helper *a, struct helper *b)
{
	struct coin_stats x, y;

	chain_coin_stats(a->chain, &x);
	chain_coin_stats(b->chain, &y);
	assert_memory_equal(chain_tip(a->chain)->id, chain_tip(b->chain)->id, 32);
	assert_memory_equal(chain_tip(a->chain)->model_root_after, chain_tip(b->chain)->model_root_after, 32);
	assert_int_equal(x.coins, y.coins);
	assert_int_equal(x.amount, y.amount);
	assert_int_equal(registry_bucket(chain_registry(a->chain)), registry_bucket(chain_registry(b->chain)));
}

/* Worth and key of what the tip's coinbase pays from output 1 on; the sum of its outputs is what the bucket lost. */
static void assert_pays(struct helper *h, const struct header late[], const uint32_t sixteenths[], size_t count,
	int64_t bucket_before)
{
	const struct block *block = chain_read_bare(h->chain, chain_tip(h->chain), NULL);
	int64_t part = reward_compute_part(h->spec, chain_tip(h->chain)->height), paid = 0, worth;
	int64_t bucket = bucket_before + part < 16 * part ? bucket_before + part : 16 * part, all = 16;

	assert_non_null(block);
	for (size_t i = 0; i < count; i++)
		all += sixteenths[i];
	worth = part / h->spec->k < 16 * bucket / all ? part / h->spec->k : 16 * bucket / all;
	for (size_t i = 0; i <= count; i++)
		paid += block->txs[0]->outputs[i].amount;
	for (size_t i = 0; i < count; i++) {
		const struct tx_output *output = &block->txs[0]->outputs[1 + i];
		int64_t late_worth = worth * sixteenths[i] / 16;

		assert_int_equal(output->amount, late_worth - late_worth / 16);
		assert_true(script_pays(&output->script, late[i].miner));
	}
	assert_int_equal(registry_bucket(chain_registry(h->chain)), bucket - paid);
	block_unref(block);
}

/* Of all ages in one block, own proofs of stale blocks among them; whoever gets the block executes each once. They
 * change nothing of the model. */
static void test_all_ages(void **unused)
{
	static const uint32_t sixteenths[] = { 8, 8, 8, 8, 12, 15 };
	struct header lost[6];
	struct block_outcome did;
	struct outcome outcome;
	struct helper a, b;
	int64_t bucket;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 1);
	lose_proofs(&a, lost, 6);
	bucket = registry_bucket(chain_registry(a.chain));
	offer_late(&a, lost, 6, NULL);
	assert_int_equal(chain_tip(a.chain)->late_count, 6);
	assert_pays(&a, lost, sixteenths, 6, bucket);
	outcome = chain_outcome(chain_tip(a.chain), &did)->outcome;
	assert_int_equal(outcome.slot[0].count + outcome.slot[1].count, 1);
	helper_feed(&b, &a, 1, 8);
	helper_settle(&b);
	assert_same_chain(&a, &b);
	assert_int_equal(b.chain->proofs_executed, 8 + 6);
	offer_late(&a, lost, 6, "bad-proof-parent");        /* the first is too old by now */
	offer_late(&a, lost + 1, 5, "bad-proof-duplicate"); /* and the others were paid */
	helper_stop(&a);
	helper_stop(&b);
}

/* A proof is known by what it trained on, as ever. */
static void test_found(void **unused)
{
	const struct index_entry *entry;
	struct header lost[3];
	uint8_t id[32];
	struct helper h;
	size_t index;

	(void)unused;
	helper_start(&h);
	lose_proofs(&h, lost, 3);
	offer_late(&h, lost, 3, NULL);
	for (size_t i = 0; i < 3; i++) {
		header_id(&lost[i], id);
		entry = chain_find_proof(h.chain, id, &index);
		assert_ptr_equal(entry, chain_tip(h.chain));
		assert_int_equal(index, 1 + i);
		assert_int_equal(chain_proof_dataset(h.chain, entry, &lost[i]), 0);
	}
	helper_stop(&h);
}

/* What a block listed, loose or late, cannot be listed late again; on a branch without that block it can. */
static void test_once(void **unused)
{
	struct header lost[2];
	struct helper a, b;
	struct errmsg err;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 1);
	helper_feed(&b, &a, 1, 1);
	helper_settle(&b);
	helper_mine_loose(&a);
	lost[0] = *chain_loose_get(a.chain, 0);
	helper_mine(&a, 1);
	assert_int_equal(chain_tip(a.chain)->loose_count, 1);
	offer_late(&a, lost, 1, "bad-proof-duplicate");
	lost[0] = chain_at(a.chain, 2)->header; /* a block is no late proof of its own branch */
	offer_late(&a, lost, 1, "bad-proof-duplicate");
	lost[1] = lost_proof(&a, true);
	helper_mine(&a, 1);
	offer_late(&a, lost + 1, 1, NULL);
	offer_late(&a, lost + 1, 1, "bad-proof-duplicate");
	/* Off again: free again, and late by one block more. */
	assert_true(chain_invalidate(a.chain, chain_tip(a.chain), &err));
	helper_settle(&a);
	helper_key(&a, 0x33);
	offer_late(&a, NULL, 0, NULL);
	offer_late(&a, lost + 1, 1, NULL);
	/* The other branch had block 2 stale: its own proof is paid there. */
	helper_key(&b, 0x22);
	helper_mine(&b, 1);
	offer_late(&b, lost, 1, NULL);
	helper_mine(&b, 6);
	helper_feed(&a, &b, 2, 9);
	helper_settle(&a);
	assert_same_chain(&a, &b);
	helper_stop(&a);
	helper_stop(&b);
}

/* A digest that no step gives, or one of another state: the block is invalid, and its sender, who had to execute the
 * own proof alone, is not to blame. */
static void test_false(void **unused)
{
	struct header lost[2], bad;
	struct helper h;

	(void)unused;
	helper_start(&h);
	lose_proofs(&h, lost, 2);
	bad = lost[1];
	do {
		uint8_t ticket[32];
		struct u256 target;

		bad.digest[0]++;
		header_ticket(&bad, ticket);
		assert_true(target_from_compact(bad.bits, &target));
		if (target_met(ticket, target_share(target, h.spec->k)))
			break;
	} while (true);
	offer_late(&h, &bad, 1, "bad-proof-digest");
	assert_int_equal(h.chain->proofs_false, 1);
	offer_late(&h, &bad, 1, "bad-proof-digest"); /* known by now */
	assert_int_equal(h.chain->proofs_false, 1);
	offer_late(&h, lost, 2, NULL);
	helper_stop(&h);
}

/* A node that has just started has one state in memory: it gets the others, one after the other. */
static void test_after_restart(void **unused)
{
	struct header lost[6];
	struct helper a, b;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 3);
	lose_proofs(&a, lost, 6);
	offer_late(&a, lost, 6, NULL);
	helper_mine(&a, 1);
	helper_feed(&b, &a, 1, 9);
	helper_settle(&b);
	helper_close(&b);
	helper_open(&b);
	helper_feed(&b, &a, 10, 11);
	helper_settle(&b);
	assert_same_chain(&a, &b);
	/* And from the files alone, executing nothing but what lies there. */
	helper_close(&b);
	b.reindex = true;
	helper_open(&b);
	helper_settle(&b);
	assert_same_chain(&a, &b);
	offer_late(&b, lost + 3, 3, "bad-proof-duplicate");
	helper_stop(&a);
	helper_stop(&b);
}

/* Whose own proof is false: no state is replayed for what such a block lists late. */
static void test_own_false(void **unused)
{
	struct header lost[3];
	struct reject reject;
	struct helper a, b;
	struct block *block;
	struct u256 target;
	uint8_t ticket[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 1);
	lose_proofs(&a, lost, 3);
	helper_feed(&b, &a, 1, 4);
	helper_settle(&b);
	helper_close(&b);
	helper_open(&b);
	block = late_block(&a, lost, 3);
	free(helper_solve(&a, block, false));
	assert_true(target_from_compact(block->header.bits, &target));
	do {
		block->header.digest[0]++;
		header_ticket(&block->header, ticket);
	} while (!target_met(ticket, target));
	assert_int_equal(chain_add_block(b.chain, block_seal(block), helper_source(3), &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_int_equal(b.refused, 1);
	assert_string_equal(b.reason, "bad-proof-digest");
	for (uint32_t height = 1; height <= 3; height++)
		assert_false(states_has(b.chain->states, entry_full(chain_at(b.chain, height))));
	offer_late(&b, lost, 3, NULL);
	helper_stop(&a);
	helper_stop(&b);
}

/* Exported and imported, with the bodies of those that have one. */
static void test_import(void **unused)
{
	struct import_result result;
	struct header lost[3];
	struct helper a, b;
	struct errmsg err;
	struct buf file;
	char path[600];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	lose_proofs(&a, lost, 3);
	helper_mine_loose(&a);
	offer_late(&a, lost, 3, NULL);
	buf_init(&file);
	for (uint32_t height = 1; height <= 4; height++)
		assert_true(chain_export_block(a.chain, chain_at(a.chain, height), &file, &err));
	snprintf(path, sizeof path, "%s/export.dat", b.folder);
	assert_true(file_write_atomic(path, file.data, file.size, 0600, &err));
	assert_true(chain_import(b.chain, path, &result, &err));
	helper_settle(&b);
	assert_same_chain(&a, &b);
	assert_int_equal(chain_tip(b.chain)->late_count, 3);
	buf_clear(&file);
	helper_stop(&a);
	helper_stop(&b);
}

static struct state *wanted_state;

static void on_state(void *context, struct state *state)
{
	(void)context;
	wanted_state = state;
}

/* Auditing executes them again, each on the state that it starts from. */
static void test_audit(void **unused)
{
	const struct index_entry *missing;
	struct header lost[4];
	struct chain_audit *audit;
	struct verify_job *job;
	struct verdict verdict;
	struct errmsg err;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 2);
	lose_proofs(&h, lost, 4);
	offer_late(&h, lost, 4, NULL);
	helper_close(&h);
	helper_open(&h);
	assert_null(chain_audit_new(h.chain, chain_tip(h.chain), &err));
	while ((missing = chain_audit_missing(h.chain, chain_tip(h.chain))) != NULL) {
		assert_null(chain_state_at(h.chain, missing, on_state, NULL));
		helper_settle(&h);
		assert_non_null(wanted_state);
		state_unref(wanted_state);
	}
	audit = chain_audit_new(h.chain, chain_tip(h.chain), &err);
	assert_non_null(audit);
	assert_true(chain_audit_read(audit, &err));
	job = chain_audit_job(audit);
	assert_int_equal(job->proof_count, 5);
	assert_int_equal(job->body_count, 1);
	for (size_t i = 0; i < 5; i++)
		assert_non_null(job->proofs[i].windows);
	verify_run(job, &verdict);
	assert_true(verdict.valid);
	assert_int_equal(atomic_load(&job->steps_done), 5);
	assert_memory_equal(state_root(verdict.state), chain_tip(h.chain)->model_root_after, 32);
	state_unref(verdict.state);
	chain_audit_free(audit);
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_ages),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_false),
		cmocka_unit_test(test_after_restart),
		cmocka_unit_test(test_own_false),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_audit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
