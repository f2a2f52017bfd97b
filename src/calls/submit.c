/* Blocks that are handed in, and those that an operator takes back into favour: the answer is the verdict. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "util/log.h"
#include "util/mem.h"

/* A client that waits for a block's verdict, or (`branch`) until all that builds on it and could be the best
 * is judged. */
struct waiting {
	struct waiting *next;
	const struct index_entry *entry;
	struct rpc_request *request;
	bool branch;
};

enum { TIPS_MAX = 1000 };

struct calls_submit {
	struct chain *chain;
	struct event *look; /* from the loop: a verdict is there, and what follows from it has happened */
	struct waiting *waiting;
	bool closed;
};

/* Answers if the block's fate is known. A block that holds but is on no better branch is "inconclusive", as in Core. */
static bool try_answer(struct calls_submit *submit, struct waiting *w)
{
	/* CONNECTED means that it once was on the active chain; INVALID may come from an ancestor. */
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
		rpc_reply(w->request,
			json_string(w->entry->invalid_reason != NULL ? w->entry->invalid_reason : "rejected"));
		return true;
	}
	return false;
}

/* The highest block on the way to a tip whose bytes are all here, down to the first that is verified. */
static const struct index_entry *best_reachable(const struct index_entry *tip)
{
	const struct index_entry *best = tip;

	/* Ends at genesis at the latest, which is CONNECTED from the beginning. */
	for (const struct index_entry *at = tip; at->status != ENTRY_VERIFIED && at->status != ENTRY_CONNECTED;
		at = at->parent) {
		if (at->status != ENTRY_STORED)
			best = at->parent;
	}
	return best;
}

/* Whether a branch from this block may still become the best: verdicts are missing. */
static bool is_undecided(const struct chain *chain, const struct index_entry *entry)
{
	const struct index_entry *tips[TIPS_MAX];
	size_t count = chain_tips(chain, tips, TIPS_MAX);

	for (size_t i = 0; i < count; i++) {
		const struct index_entry *best;

		if (tips[i]->height < entry->height || chain_ancestor(tips[i], entry->height) != entry)
			continue;
		best = best_reachable(tips[i]);
		if (best->status == ENTRY_STORED && u256_compare(best->chain_work, chain_tip(chain)->chain_work) > 0)
			return true;
	}
	return false;
}

static bool try_branch(const struct calls_submit *submit, const struct waiting *w)
{
	/* No verdict of its own: reconsidering succeeds even if the branch loses. What the client wants to know is
	 * when. */
	if (is_undecided(submit->chain, w->entry))
		return false;
	rpc_reply(w->request, NULL);
	return true;
}

/* Runs from the loop, and not within the notice that wakes it: there the verdict is known, but what follows from it
 * (the new tip, a branch that is given up) has not happened yet. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct calls_submit *submit = arg;

	(void)fd;
	(void)what;
	for (struct waiting **at = &submit->waiting; *at != NULL;) {
		struct waiting *w = *at;

		if (!(w->branch ? try_branch(submit, w) : try_answer(submit, w))) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

/* A verdict, even over another block, and a new tip may settle what waits. */
static void look_again(struct calls_submit *submit)
{
	if (!submit->closed && submit->waiting != NULL)
		event_active(submit->look, EV_TIMEOUT, 0);
}

static void on_verdict(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
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

static enum rpc_outcome wait_for(struct calls_submit *submit, struct rpc_request *r, const struct index_entry *entry,
	bool branch)
{
	struct waiting *w = mem_alloc(sizeof *w);

	*w = (struct waiting){ .next = submit->waiting, .entry = entry, .request = r, .branch = branch };
	submit->waiting = w;
	/* Looked at once in any case: the block may have been judged before, or never be, and then no notice comes. */
	event_active(submit->look, EV_TIMEOUT, 0);
	return RPC_PENDING;
}

static enum rpc_outcome answer_result(struct calls_submit *submit, struct rpc_request *r, enum chain_result result,
	const uint8_t id[32], const struct reject *reject)
{
	const struct index_entry *entry = chain_find(submit->chain, id);

	switch (result) {
	case CHAIN_NEW:
		return entry == NULL ? rpc_reply(r, json_string("inconclusive")) : wait_for(submit, r, entry, false);
	case CHAIN_KNOWN:
		/* BIP22's words, which tell a mistake from a block that somebody else brought first. */
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
	{ .name = "hexdata",
		.type = RPC_TEXT,
		.help = "The serialised block, hexadecimal, with or without the bodies of its proofs." },
	{ .name = "dummy", .type = RPC_ANY, .optional = true, .help = "Not used, for compatibility with BIP22." },
	{ 0 },
};

static enum rpc_outcome call_submitblock(struct rpc_request *r, void *context)
{
	struct calls_submit *submit = context;
	struct buf raw;
	struct reader reader;
	struct reject reject = { 0 };
	uint8_t id[32];
	bool ok;
	const struct block *block;
	enum chain_result result;

	buf_init(&raw);
	ok = argument_raw(r, "hexdata", &raw);
	if (!ok)
		reject_set(&reject, REASON_BAD_HEX, "the text is not hexadecimal");
	reader_init(&reader, raw.data, raw.size);
	block = ok ? block_read(chain_spec(submit->chain), &reader, &reject) : NULL;
	buf_clear(&raw);
	/* Bytes that break a rule have a verdict, which BIP22 gives as a result; bytes that are no block at all are an
	 * error. */
	if (block == NULL && reject.code == REJECT_INVALID)
		return rpc_reply(r, json_string(reject.reason));
	if (block == NULL)
		return rpc_fail(r, RPC_DESERIALIZATION_ERROR, "Block decode failed: %s (%s)", reject.reason,
			reject.detail);
	/* chain_add_block takes the block: nothing of it may be read after. */
	memcpy(id, block_id(block), 32);
	result = chain_add_block(submit->chain, block, NULL, &reject);
	return answer_result(submit, r, result, id, &reject);
}

static const struct rpc_arg reconsiderblock_args[] = {
	{ .name = "blockhash", .type = RPC_HASH, .help = "Id of the block." },
	{ 0 },
};

static enum rpc_outcome call_reconsiderblock(struct rpc_request *r, void *context)
{
	struct calls_submit *submit = context;
	struct errmsg err;
	const struct index_entry *entry = argument_entry(r, submit->chain, "blockhash");

	if (entry == NULL)
		return RPC_DONE;
	if (!chain_reconsider(submit->chain, entry, &err))
		return rpc_fail(r, RPC_DATABASE_ERROR, "%s", err.text);
	return wait_for(submit, r, entry, true);
}

static const struct rpc_method methods[] = {
	{ "reconsiderblock", "Blockchain", call_reconsiderblock, reconsiderblock_args,
		"Takes invalidateblock back, for the block, its ancestors and its descendants. Their proofs are "
		"executed again; the answer comes when the chain has switched to them, or will not.",
		NULL, "\"hash\"", 0 },
	{ "submitblock", "Mining", call_submitblock, submitblock_args,
		"Offers a block to this node and waits for the verdict: all its proofs are executed. "
		"The reason's details are in the log.",
		"null        if the block was taken and is on the active chain\n"
		"\"reason\"    (string) why it was not, \"duplicate\", "
		"or \"inconclusive\" where it is on a side branch",
		"\"hex\"", 0 },
};

struct calls_submit *calls_submit_new(struct rpc_table *table, struct chain *chain, struct event_base *base)
{
	struct calls_submit *submit = mem_calloc(1, sizeof *submit);

	submit->chain = chain;
	submit->look = mem_check(event_new(base, -1, 0, on_look, submit));
	chain_subscribe(chain, &(struct chain_events){ .context = submit, .block_verdict = on_verdict, .tip = on_tip });
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, submit);
	return submit;
}

void calls_submit_close(struct calls_submit *submit)
{
	/* chain_close still tells of verdicts: from here on nobody looks. */
	submit->closed = true;
	event_free(submit->look);
	while (submit->waiting != NULL) {
		struct waiting *w = submit->waiting;

		submit->waiting = w->next;
		rpc_fail(w->request, RPC_MISC_ERROR, "The node is shutting down");
		free(w);
	}
}

void calls_submit_free(struct calls_submit *submit)
{
	free(submit);
}
