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

static void signature_check_one(void *check_arg, size_t task, unsigned member)
{
	struct signature_check *signature_check = check_arg;
	const struct spending *checked = &signature_check->list[task];
	struct reject signature_reject;

	(void)member;
	/* An old value here costs a needless verification, never a verdict. */
	if (task > atomic_load_explicit(&signature_check->first, memory_order_relaxed) ||
		sighash_verify(checked->tx, checked->outputs, &signature_reject))
		return;
	pthread_mutex_lock(&signature_check->lock);
	if (task < atomic_load(&signature_check->first)) {
		atomic_store(&signature_check->first, task);
		signature_check->reject = signature_reject;
	}
	pthread_mutex_unlock(&signature_check->lock);
}

bool signatures_check(const struct signatures *signatures, struct team *team, struct reject *reject)
{
	struct signature_check signature_check = { .list = signatures->list, .lock = PTHREAD_MUTEX_INITIALIZER };
	bool all_hold;

	atomic_init(&signature_check.first, signatures->count);
	team_run(signatures->count < SIGNATURES_SHARED ? NULL : team, signature_check_one, &signature_check,
		signatures->count);
	all_hold = atomic_load(&signature_check.first) == signatures->count;
	if (!all_hold)
		*reject = signature_check.reject;
	pthread_mutex_destroy(&signature_check.lock);
	return all_hold;
}
