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
struct submit_waiting {
	struct submit_waiting *next;
	const struct index_entry *entry;
	struct rpc_request *request;
	bool branch;
};

enum { SUBMIT_TIPS_MAX = 1000 };

struct calls_submit {
	struct chain *chain;
	struct event *look; /* from the loop: a verdict is there, and what follows from it has happened */
	struct submit_waiting *waiting;
	bool closed;
};

/* Answers if the block's fate is known. A block that holds but is on no better branch is "inconclusive", as in Core. */
static bool submit_try_answer(struct calls_submit *submit, struct submit_waiting *waiter)
{
	/* CONNECTED means that it once was on the active chain; INVALID may come from an ancestor. */
	switch (waiter->entry->status) {
	case ENTRY_HEADER:
	case ENTRY_STORED:
		/* What does not beat the tip is executed when something builds on it, if ever. */
		if (chain_beats(submit->chain, waiter->entry, chain_tip(submit->chain)))
			return false;
		rpc_reply(waiter->request, json_string("inconclusive"));
		return true;
	case ENTRY_VERIFIED:
		rpc_reply(waiter->request, json_string("inconclusive"));
		return true;
	case ENTRY_CONNECTED:
		rpc_reply(waiter->request,
			chain_is_active(submit->chain, waiter->entry) ? NULL : json_string("inconclusive"));
		return true;
	case ENTRY_INVALID:
		rpc_reply(waiter->request,
			json_string(
				waiter->entry->invalid_reason != NULL ? waiter->entry->invalid_reason : "rejected"));
		return true;
	}
	return false;
}

/* The highest block on the way to a tip whose bytes are all here, down to the first that is verified. */
static const struct index_entry *submit_best_reachable(const struct index_entry *tip)
{
	const struct index_entry *branch_best = tip;

	/* Ends at genesis at the latest, which is CONNECTED from the beginning. */
	for (const struct index_entry *branch_at = tip;
		branch_at->status != ENTRY_VERIFIED && branch_at->status != ENTRY_CONNECTED;
		branch_at = branch_at->parent) {
		if (branch_at->status != ENTRY_STORED)
			branch_best = branch_at->parent;
	}
	return branch_best;
}

/* Whether a branch from this block may still become the best: verdicts are missing. */
static bool submit_is_undecided(const struct chain *chain, const struct index_entry *entry)
{
	const struct index_entry *branch_tips[SUBMIT_TIPS_MAX];
	size_t branch_count = chain_tips(chain, branch_tips, SUBMIT_TIPS_MAX);

	for (size_t i = 0; i < branch_count; i++) {
		const struct index_entry *branch_best;

		if (branch_tips[i]->height < entry->height || chain_ancestor(branch_tips[i], entry->height) != entry)
			continue;
		branch_best = submit_best_reachable(branch_tips[i]);
		if (branch_best->status == ENTRY_STORED && chain_beats(chain, branch_best, chain_tip(chain)))
			return true;
	}
	return false;
}

static bool submit_try_branch(const struct calls_submit *submit, const struct submit_waiting *waiter)
{
	/* No verdict of its own: reconsidering succeeds even if the branch loses. What the client wants to know is
	 * when. */
	if (submit_is_undecided(submit->chain, waiter->entry))
		return false;
	rpc_reply(waiter->request, NULL);
	return true;
}

/* Runs from the loop, and not within the notice that wakes it: there the verdict is known, but what follows from it
 * (the new tip, a branch that is given up) has not happened yet. */
static void submit_on_look(evutil_socket_t fd, short what, void *arg)
{
	struct calls_submit *submit = arg;

	(void)fd;
	(void)what;
	for (struct submit_waiting **waiter_at = &submit->waiting; *waiter_at != NULL;) {
		struct submit_waiting *waiter = *waiter_at;

		if (!(waiter->branch ? submit_try_branch(submit, waiter) : submit_try_answer(submit, waiter))) {
			waiter_at = &waiter->next;
			continue;
		}
		*waiter_at = waiter->next;
		free(waiter);
	}
}

/* A verdict, even over another block, and a new tip may settle what waits. */
static void submit_look_again(struct calls_submit *submit)
{
	if (!submit->closed && submit->waiting != NULL)
		event_active(submit->look, EV_TIMEOUT, 0);
}

static void submit_on_verdict(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	(void)entry;
	(void)source;
	if (reject != NULL)
		log_info("block refused: %s (%s)", reject->reason, reject->detail);
	submit_look_again(context);
}

static void submit_on_tip(void *context, const struct index_entry *tip)
{
	(void)tip;
	submit_look_again(context);
}

static enum rpc_outcome submit_wait_for(struct calls_submit *submit, struct rpc_request *submit_request,
	const struct index_entry *entry, bool branch)
{
	struct submit_waiting *waiter = mem_alloc(sizeof *waiter);

	*waiter = (struct submit_waiting){ .next = submit->waiting,
		.entry = entry,
		.request = submit_request,
		.branch = branch };
	submit->waiting = waiter;
	/* Looked at once in any case: the block may have been judged before, or never be, and then no notice comes. */
	event_active(submit->look, EV_TIMEOUT, 0);
	return RPC_PENDING;
}

static enum rpc_outcome submit_answer(struct calls_submit *submit, struct rpc_request *submit_request,
	enum chain_result submit_result, const uint8_t submitted_id[32], const struct reject *submit_reject)
{
	const struct index_entry *submitted_entry = chain_find(submit->chain, submitted_id);

	switch (submit_result) {
	case CHAIN_NEW:
		return submitted_entry == NULL ? rpc_reply(submit_request, json_string("inconclusive")) :
						 submit_wait_for(submit, submit_request, submitted_entry, false);
	case CHAIN_KNOWN:
		/* BIP22's words, which tell a mistake from a block that somebody else brought first. */
		if (submitted_entry != NULL && submitted_entry->status == ENTRY_INVALID)
			return rpc_reply(submit_request, json_string("duplicate-invalid"));
		if (submitted_entry != NULL && submitted_entry->status != ENTRY_CONNECTED)
			return rpc_reply(submit_request, json_string("duplicate-inconclusive"));
		return rpc_reply(submit_request, json_string("duplicate"));
	case CHAIN_ORPHAN:
		return rpc_reply(submit_request, json_string("prev-blk-not-found"));
	case CHAIN_REJECTED:
		log_info("submitted block refused: %s (%s)", submit_reject->reason, submit_reject->detail);
		return rpc_reply(submit_request, json_string(submit_reject->reason));
	case CHAIN_ERROR:
		break;
	}
	return rpc_fail(submit_request, RPC_DATABASE_ERROR, "The block could not be stored");
}

static const struct rpc_arg submitblock_args[] = {
	{ .name = "hexdata",
		.type = RPC_TEXT,
		.help = "The serialised block, hexadecimal, with or without the bodies of its proofs." },
	{ .name = "dummy", .type = RPC_ANY, .optional = true, .help = "Not used, for compatibility with BIP22." },
	{ 0 },
};

static enum rpc_outcome call_submitblock(struct rpc_request *submit_request, void *context)
{
	struct calls_submit *submit = context;
	struct buf submitted_bytes;
	struct reader submitted_reader;
	struct reject submit_reject = { 0 };
	uint8_t submitted_id[32];
	bool is_hex;
	const struct block *submitted_block;
	enum chain_result submit_result;

	buf_init(&submitted_bytes);
	is_hex = argument_raw(submit_request, "hexdata", &submitted_bytes);
	if (!is_hex)
		reject_set(&submit_reject, REASON_BAD_HEX, "the text is not hexadecimal");
	reader_init(&submitted_reader, submitted_bytes.data, submitted_bytes.size);
	submitted_block = is_hex ? block_read(chain_spec(submit->chain), &submitted_reader, &submit_reject) : NULL;
	buf_clear(&submitted_bytes);
	/* Bytes that break a rule have a verdict, which BIP22 gives as a result; bytes that are no block at all are an
	 * error. */
	if (submitted_block == NULL && submit_reject.code == REJECT_INVALID)
		return rpc_reply(submit_request, json_string(submit_reject.reason));
	if (submitted_block == NULL)
		return rpc_fail(submit_request, RPC_DESERIALIZATION_ERROR, "Block decode failed: %s (%s)",
			submit_reject.reason, submit_reject.detail);
	/* chain_add_block takes the block: nothing of it may be read after. */
	memcpy(submitted_id, block_id(submitted_block), 32);
	submit_result = chain_add_block(submit->chain, submitted_block, NULL, &submit_reject);
	return submit_answer(submit, submit_request, submit_result, submitted_id, &submit_reject);
}

static const struct rpc_arg reconsiderblock_args[] = {
	{ .name = "blockhash", .type = RPC_HASH, .help = "Id of the block." },
	{ 0 },
};

static enum rpc_outcome call_reconsiderblock(struct rpc_request *submit_request, void *context)
{
	struct calls_submit *submit = context;
	struct errmsg err;
	const struct index_entry *reconsidered = argument_entry(submit_request, submit->chain, "blockhash");

	if (reconsidered == NULL)
		return RPC_DONE;
	if (!chain_reconsider(submit->chain, reconsidered, &err))
		return rpc_fail(submit_request, RPC_DATABASE_ERROR, "%s", err.text);
	return submit_wait_for(submit, submit_request, reconsidered, true);
}

static const struct rpc_method submit_methods[] = {
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
	submit->look = mem_check(event_new(base, -1, 0, submit_on_look, submit));
	chain_subscribe(chain,
		&(struct chain_events){ .context = submit, .block_verdict = submit_on_verdict, .tip = submit_on_tip });
	rpc_table_add(table, submit_methods, sizeof submit_methods / sizeof *submit_methods, submit);
	return submit;
}

void calls_submit_close(struct calls_submit *submit)
{
	/* chain_close still tells of verdicts: from here on nobody looks. */
	submit->closed = true;
	event_free(submit->look);
	while (submit->waiting != NULL) {
		struct submit_waiting *waiter = submit->waiting;

		submit->waiting = waiter->next;
		rpc_fail(waiter->request, RPC_MISC_ERROR, "The node is shutting down");
		free(waiter);
	}
}

void calls_submit_free(struct calls_submit *submit)
{
	free(submit);
}
