/* Who registers: every topic in its turn. The order is that of `help` within a category. */
#include "calls/calls.h"

#include <stdlib.h>

#include "calls/explore/past.h"
#include "util/mem.h"

struct calls {
	struct calls_parts parts; /* handlers hold its address */
	struct calls_contribute *contribute;
	struct calls_submit *submit;
	struct calls_rounds *rounds;
	struct calls_model *model;
};

static void calls_add_wallets(struct rpc_table *table, struct wallets *wallets)
{
	calls_wallet_add(table, wallets);
	calls_address_add(table, wallets);
	calls_history_add(table, wallets);
	calls_send_add(table, wallets);
}

struct calls *calls_new(struct rpc_table *table, const struct calls_parts *given)
{
	struct calls *calls = mem_calloc(1, sizeof *calls);
	struct calls_parts *parts = &calls->parts;

	*parts = *given;
	parts->past = past_new(parts->chain);
	calls_chain_add(table, parts->chain);
	calls_tx_add(table, parts->chain);
	calls_data_add(table, parts);
	calls_network_add(table, parts->net);
	calls_add_wallets(table, parts->wallets);
	calls_credit_add(table, parts);
	calls_settle_add(table, parts);
	calls->contribute = calls_contribute_new(table, parts->wallets);
	calls->submit = calls_submit_new(table, parts->chain, parts->base);
	calls_training_add(table, parts);
	calls_mining_add(table, parts);
	calls_audit_add(table, parts);
	calls->rounds = calls_rounds_new(table, parts);
	calls_summary_add(table, parts);
	calls_curve_add(table, parts);
	calls_blocks_add(table, parts->chain);
	calls_people_add(table, parts);
	calls_search_add(table, parts->chain);
	calls_text_add(table, parts);
	calls_completion_add(table, parts);
	calls->model = calls_model_new(table, parts->chain, parts->queue, parts->settings);
	return calls;
}

void calls_close(struct calls *calls)
{
	calls_contribute_close(calls->contribute);
	calls_submit_close(calls->submit);
	calls_rounds_close(calls->rounds);
	calls_model_close(calls->model);
}

void calls_free(struct calls *calls)
{
	calls_contribute_free(calls->contribute);
	calls_submit_free(calls->submit);
	calls_rounds_free(calls->rounds);
	past_free(calls->parts.past);
	calls_model_free(calls->model);
	free(calls);
}
