/* The end of the work. After a failed write nobody knows what is on disk (store/db.h), so nothing more is written:
 * every way in looks at `failed` first. */
#include "chain/halt.h"

#include "chain/internal.h"
#include "util/log.h"

void halt_name_remedy(struct errmsg *err)
{
	errmsg_wrap(err, "Start with -reindex");
}

/* The first failure counts: what fails after it does so because of it. The notice comes last, when `failed` is set:
 * whoever is told may call the chain at once, and must be refused. */
enum chain_result halt_fail(struct chain *chain, const struct errmsg *err)
{
	if (!chain->failed) {
		chain->failed = true;
		chain->failure = *err;
		if (db_is_damage(err))
			halt_name_remedy(&chain->failure);
		log_error("[chain] %s: nothing more is taken", chain->failure.text);
		NOTIFY(&chain->notices, fatal, chain->failure.text);
	}
	return CHAIN_ERROR;
}

enum chain_result halt_explain(const struct chain *chain, enum chain_result result, struct reject *reject)
{
	if (result == CHAIN_ERROR)
		reject_set(reject, REASON_DISK_FAILED, "%s", chain->failure.text);
	return result;
}

const char *chain_last_words(const struct chain *chain)
{
	return chain->failed ? chain->failure.text : "the node is shutting down";
}

/* A signal handler may have set it: nothing but this flag is shared with it. */
bool halt_asked(const struct chain *chain)
{
	return chain->stop != NULL && atomic_load(chain->stop);
}
