/* All RPC methods, by topic: each .c here and in wallet/ is one, and adds its own to the table.
 *
 * Calls that keep requests waiting (contribute, submit, rounds, model) end in two strokes, as the parts below
 * them do: `close` answers all before the chain is closed, `free` comes after. */
#ifndef ATELIER_CALLS_CALLS_H
#define ATELIER_CALLS_CALLS_H

#include <event2/event.h>

#include "chain/chain.h"
#include "config/settings.h"
#include "credit/credit.h"
#include "explorer/explorer.h"
#include "net/net.h"
#include "rpc/table.h"
#include "util/queue.h"
#include "wallet/wallets.h"
#include "work/auditor.h"
#include "work/miner.h"
#include "work/prober.h"
#include "work/runner.h"
#include "work/text/writer.h"

/* What calls stand on; borrowed. */
struct calls_parts {
	struct event_base *base;
	struct queue *queue;
	const struct settings *settings;
	struct chain *chain;
	struct net *net;
	struct wallets *wallets;
	struct explorer *explorer; /* NULL with -explorer=0 */
	struct credit *credit;
	struct miner *miner;
	struct auditor *auditor;
	struct runner *runner;
	struct prober *prober;
	struct past *past; /* the calls' own (calls/explore/past.h): NULL before calls_new */
	struct writer *writer;
	struct {
		/* Whether there is a key of this name, as far as this node asks customers for keys. */
		bool (*has)(void *context, const char *name);
		void *context;
	} keys;
	/* Asks for a key to be paid where no address was given; false with the error set if there is none to be had. */
	bool (*new_key)(void *context, uint8_t key[32], struct errmsg *err);
	void *new_key_context;
};

/* All calls but those of calls_control_add, which need no chain. */
struct calls;
struct calls *calls_new(struct rpc_table *table, const struct calls_parts *parts);
void calls_close(struct calls *calls);
void calls_free(struct calls *calls);

/* stop, logging, setmocktime. */
struct calls_control {
	const struct spec *spec;
	void (*stop)(void *context); /* called when the client has its answer */
	void *stop_context;
};
void calls_control_add(struct rpc_table *table, struct calls_control *context);

/* The topics, for calls_new. */
void calls_chain_add(struct rpc_table *table, struct chain *chain);
void calls_tx_add(struct rpc_table *table, struct chain *chain);
void calls_data_add(struct rpc_table *table, struct calls_parts *parts);
void calls_network_add(struct rpc_table *table, struct net *net);
void calls_training_add(struct rpc_table *table, struct calls_parts *parts);
void calls_mining_add(struct rpc_table *table, struct calls_parts *parts);
void calls_audit_add(struct rpc_table *table, struct calls_parts *parts);
void calls_curve_add(struct rpc_table *table, struct calls_parts *parts);
void calls_blocks_add(struct rpc_table *table, struct chain *chain);
void calls_people_add(struct rpc_table *table, struct calls_parts *parts);
void calls_search_add(struct rpc_table *table, struct chain *chain);
void calls_summary_add(struct rpc_table *table, struct calls_parts *parts);
void calls_text_add(struct rpc_table *table, struct calls_parts *parts);
void calls_completion_add(struct rpc_table *table, struct calls_parts *parts);
void calls_wallet_add(struct rpc_table *table, struct wallets *wallets);
void calls_address_add(struct rpc_table *table, struct wallets *wallets);
void calls_history_add(struct rpc_table *table, struct wallets *wallets);
void calls_send_add(struct rpc_table *table, struct wallets *wallets);
void calls_credit_add(struct rpc_table *table, struct calls_parts *parts);
void calls_settle_add(struct rpc_table *table, struct calls_parts *parts);

/* submitblock and reconsiderblock, which answer when verdicts are there. */
struct calls_submit;
struct calls_submit *calls_submit_new(struct rpc_table *table, struct chain *chain, struct event_base *base);
void calls_submit_close(struct calls_submit *submit);
void calls_submit_free(struct calls_submit *submit);

/* contributedata, which waits for a worker's look at large data, and listcontributions. */
struct calls_contribute;
struct calls_contribute *calls_contribute_new(struct rpc_table *table, struct wallets *wallets);
void calls_contribute_close(struct calls_contribute *calls);
void calls_contribute_free(struct calls_contribute *calls);

/* getrounds, getround, getruns, and auditrun, which answers when it has executed. */
struct calls_rounds;
struct calls_rounds *calls_rounds_new(struct rpc_table *table, struct calls_parts *parts);
void calls_rounds_close(struct calls_rounds *calls);
void calls_rounds_free(struct calls_rounds *calls);

/* exportmodel, as jobs of the queue. */
struct calls_model;
struct calls_model *calls_model_new(struct rpc_table *table, struct chain *chain, struct queue *queue,
	const struct settings *settings);
void calls_model_close(struct calls_model *model_calls);
void calls_model_free(struct calls_model *model_calls);

#endif
