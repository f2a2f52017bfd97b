/* The end of the work. After a failed write nobody knows what is on disk (store/db.h), so nothing more is written:
 * every way in looks at `failed` first. */

#include "chain/halt.h"

#include "chain/internal.h"
#include "util/log.h"

void halt_name_remedy(struct errmsg *err)
{
	errmsg_wrap(err, "Start with -reindex");
}

enum chain_result halt_fail(struct chain *chain, const struct errmsg *err)
{
	struct errmsg why = *err;

	if (!chain->failed) {
		chain->failed = true;
		if (db_is_damage(&why))
			halt_name_remedy(&why);
		log_error("[chain] %s: nothing more is taken", why.text);
		NOTIFY(&chain->notices, fatal, why.text);
	}
	return CHAIN_ERROR;
}

bool halt_asked(const struct chain *chain)
{
	return chain->stop != NULL && atomic_load(chain->stop);
}
