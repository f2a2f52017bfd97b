/* The calls that need the node's own parts: miner, auditor, model, the daemon itself.
 *
 * Each table is registered with its context; those that keep requests waiting end in two strokes, as the parts below
 * them do: `close` answers all before the chain is closed, `free` comes after. */
#ifndef ATELIER_CALLS_CALLS_H
#define ATELIER_CALLS_CALLS_H

#include <event2/event.h>

#include "chain/chain.h"
#include "config/settings.h"
#include "rpc/table.h"
#include "work/auditor.h"
#include "work/miner.h"

/* calls_mining.c: getmininginfo, setmining, generatetoaddress. `new_key` asks for a key to be paid where no address was
 * given; false with the error set if there is none to be had. */
struct calls_mining {
	struct chain *chain;
	struct miner *miner;
	bool (*new_key)(void *context, uint8_t key[32], struct errmsg *err);
	void *new_key_context;
};
void calls_mining_add(struct rpc_table *table, struct calls_mining *context);

/* calls_training.c: gettraininginfo, getmodelinfo. */
struct calls_training {
	struct chain *chain;
	const struct miner *miner;
};
void calls_training_add(struct rpc_table *table, struct calls_training *context);

/* calls_text.c: generatetext, on a worker of its own. */
struct calls_text;
struct calls_text *calls_text_new(struct rpc_table *table, struct chain *chain, struct event_base *base);
void calls_text_close(struct calls_text *calls);
void calls_text_free(struct calls_text *calls);

/* calls_model.c: exportmodel and getlogits, on a worker of their own. */
struct calls_model;
struct calls_model *calls_model_new(struct rpc_table *table, struct chain *chain, struct event_base *base,
	const struct settings *settings);
void calls_model_close(struct calls_model *calls);
void calls_model_free(struct calls_model *calls);

/* calls_audit.c: auditblock, auditproof, auditchain. */
struct calls_audit {
	struct chain *chain;
	struct auditor *auditor;
};
void calls_audit_add(struct rpc_table *table, struct calls_audit *context);

/* calls_control.c: stop, logging, setmocktime. */
struct calls_control {
	const struct spec *spec;
	void (*stop)(void *context); /* called when the client has its answer */
	void *stop_context;
};
void calls_control_add(struct rpc_table *table, struct calls_control *context);

#endif
