#include "rpc/rpc_chain.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "util/log.h"
#include "util/mem.h"

/* A client that waits for a block's verdict. */
struct waiting {
	struct waiting *next;
	const struct index_entry *entry;
	struct rpc_request *request;
};

struct rpc_submit {
	struct chain *chain;
	struct event *look;              /* from the loop: a verdict is there, and what follows from it has happened */
	struct waiting *waiting;
	bool closed;
};

/* Answers if the block's fate is known. A block that holds but is on no better branch is "inconclusive", as in Core. */
static bool try_answer(struct rpc_submit *submit, struct waiting *w)
{
	switch (w->entry->status) {
	case ENTRY_HEADER:
	case ENTRY_STORED:
		/* What has no more work than the tip is executed when something builds on it, if ever. */
		if (u256_compare(w->entry->chain_work, chain_tip(submit->chain)->chain_work) > 0)
			return false;
		rpc_reply(w->request, json_string("inconclusive"));
		return true;
	case ENTRY_VERIFIED:
		rpc_reply(w->request, json_string("inconclusive"));
		return true;
	case ENTRY_CONNECTED:
		rpc_reply(w->request, chain_is_active(submit->chain, w->entry) ? NULL : json_string("inconclusive"));
		return true;
	case ENTRY_INVALID:
		rpc_reply(w->request, json_string(w->entry->invalid_reason ? w->entry->invalid_reason : "rejected"));
		return true;
	}
	return false;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_submit *submit = arg;
	(void)fd;
	(void)what;
	for (struct waiting **at = &submit->waiting; *at != NULL;) {
		struct waiting *w = *at;
		if (!try_answer(submit, w)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

/* A verdict, even over another block, and a new tip may settle what waits. */
static void look_again(struct rpc_submit *submit)
{
	if (!submit->closed && submit->waiting != NULL)
		event_active(submit->look, EV_TIMEOUT, 0);
}

static void on_verdict(void *context, const struct index_entry *entry, uint64_t source, const struct reject *reject)
{
	(void)entry;
	(void)source;
	if (reject != NULL)
		log_info("block refused: %s (%s)", reject->reason, reject->detail);
	look_again(context);
}

static void on_tip(void *context, const struct index_entry *tip)
{
	(void)tip;
	look_again(context);
}

static enum rpc_outcome answer_result(struct rpc_submit *submit, struct rpc_request *r, enum chain_result result,
	const uint8_t id[32], const struct reject *reject)
{
	const struct index_entry *entry = chain_find(submit->chain, id);
	switch (result) {
	case CHAIN_NEW:
		if (entry == NULL)
			return rpc_reply(r, json_string("inconclusive"));
		struct waiting *w = mem_alloc(sizeof(*w));
		*w = (struct waiting){.next = submit->waiting, .entry = entry, .request = r};
		submit->waiting = w;
		event_active(submit->look, EV_TIMEOUT, 0);
		return RPC_PENDING;
	case CHAIN_KNOWN:
		if (entry != NULL && entry->status == ENTRY_INVALID)
			return rpc_reply(r, json_string("duplicate-invalid"));
		if (entry != NULL && entry->status != ENTRY_CONNECTED)
			return rpc_reply(r, json_string("duplicate-inconclusive"));
		return rpc_reply(r, json_string("duplicate"));
	case CHAIN_ORPHAN:
		return rpc_reply(r, json_string("prev-blk-not-found"));
	case CHAIN_REJECTED:
		log_info("submitted block refused: %s (%s)", reject->reason, reject->detail);
		return rpc_reply(r, json_string(reject->reason));
	case CHAIN_ERROR:
		break;
	}
	return rpc_fail(r, RPC_DATABASE_ERROR, "The block could not be stored");
}

static const struct rpc_arg submitblock_args[] = {
	{.name = "hexdata", .type = RPC_HEX, .help = "The serialised block, with or without the bodies of its proofs."},
	{.name = "dummy", .type = RPC_ANY, .optional = true, .help = "Not used, for compatibility with BIP22."},
	{0},
};

static enum rpc_outcome submitblock(struct rpc_request *r, void *context)
{
	struct rpc_submit *submit = context;
	struct buf raw;
	struct reader reader;
	struct reject reject = {0};
	uint8_t id[32];
	buf_init(&raw);
	rpc_hex(r, "hexdata", &raw);
	reader_init(&reader, raw.data, raw.size);
	struct block *block = block_read(chain_spec(submit->chain), &reader, &reject);
	buf_clear(&raw);
	if (block == NULL && reject.code == REJECT_INVALID)
		return rpc_reply(r, json_string(reject.reason));
	if (block == NULL)
		return rpc_fail(r, RPC_DESERIALIZATION_ERROR, "Block decode failed: %s (%s)", reject.reason, reject.detail);
	header_id(&block->header, id);
	enum chain_result result = chain_add_block(submit->chain, block, 0, &reject);
	return answer_result(submit, r, result, id, &reject);
}

static const struct rpc_method methods[] = {
	{"submitblock", "Mining", submitblock, submitblock_args,
		"Offers a block to this node and waits for the verdict: all its proofs are executed. The reason's details are in "
		"the log.",
		"null        if the block was taken and is on the active chain\n"
		"\"reason\"    (string) why it was not, \"duplicate\", or \"inconclusive\" where it is on a side branch",
		"\"hex\"", 0},
};

struct rpc_submit *rpc_submit_new(struct rpc_table *table, struct chain *chain, struct event_base *base)
{
	struct rpc_submit *submit = mem_calloc(1, sizeof(*submit));
	submit->chain = chain;
	submit->look = event_new(base, -1, 0, on_look, submit);
	if (submit->look == NULL)
		abort();
	chain_subscribe(chain, &(struct chain_events){.context = submit, .block_verdict = on_verdict, .tip = on_tip});
	rpc_table_add(table, methods, sizeof(methods) / sizeof(*methods), submit);
	return submit;
}

void rpc_submit_close(struct rpc_submit *submit)
{
	submit->closed = true;
	event_free(submit->look);
	while (submit->waiting != NULL) {
		struct waiting *w = submit->waiting;
		submit->waiting = w->next;
		rpc_fail(w->request, RPC_MISC_ERROR, "The node is shutting down");
		free(w);
	}
}

void rpc_submit_free(struct rpc_submit *submit)
{
	free(submit);
}
