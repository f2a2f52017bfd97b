/* Signatures of a block: a list, and tasks that share it. */
#include "chain/signatures.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "consensus/sighash.h"
#include "util/mem.h"

enum { SIGNATURES_SHARED = 8 /* transactions; fewer are done sooner than threads are awake */ };

void signatures_init(struct signatures *signatures)
{
	*signatures = (struct signatures){ 0 };
}

void signatures_clear(struct signatures *signatures)
{
	for (size_t i = 0; i < signatures->count; i++)
		spending_clear(&signatures->list[i]);
	free(signatures->list);
	signatures_init(signatures);
}

/* What the spending owns is the list's from here on. */
void signatures_put(struct signatures *signatures, const struct spending *spending)
{
	if (signatures->count == signatures->cap) {
		signatures->cap = signatures->cap > 0 ? 2 * signatures->cap : 16;
		signatures->list = mem_realloc(signatures->list, signatures->cap * sizeof *signatures->list);
	}
	signatures->list[signatures->count++] = *spending;
}

/* `first` only falls: below it all that were looked at hold, and in the end all have been. So the verdict does not
 * depend on who is quicker. */
struct signature_check {
	const struct spending *list;
	atomic_size_t first; /* the first known to be wrong; the count: none */
	pthread_mutex_t lock;
	struct reject reject; /* of `first` */
};

static void check_one(void *arg, size_t task, unsigned member)
{
	struct signature_check *check = arg;
	const struct spending *spending = &check->list[task];
	struct reject reject;

	(void)member;
	/* An old value here costs a needless verification, never a verdict. */
	if (task > atomic_load_explicit(&check->first, memory_order_relaxed) ||
		sighash_verify(spending->tx, spending->outputs, &reject))
		return;
	pthread_mutex_lock(&check->lock);
	if (task < atomic_load(&check->first)) {
		atomic_store(&check->first, task);
		check->reject = reject;
	}
	pthread_mutex_unlock(&check->lock);
}

bool signatures_check(const struct signatures *signatures, struct team *team, struct reject *reject)
{
	struct signature_check check = { .list = signatures->list, .lock = PTHREAD_MUTEX_INITIALIZER };
	bool ok;

	atomic_init(&check.first, signatures->count);
	team_run(signatures->count < SIGNATURES_SHARED ? NULL : team, check_one, &check, signatures->count);
	ok = atomic_load(&check.first) == signatures->count;
	if (!ok)
		*reject = check.reject;
	pthread_mutex_destroy(&check.lock);
	return ok;
}
