/* A team: threads that wait for a round, take its tasks by a counter, and report when no task is left.
 *
 * What holds: busy counts the others that have not ended the present round, and team_run returns at 0. So between two
 * calls of team_run each of them waits, or has not begun yet, and the round (task, arg, count, next) may be written
 * without asking. */
#include "util/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "util/mem.h"

struct team_member {
	struct team *team;
	unsigned index;
	pthread_t thread;
};

struct team {
	pthread_mutex_t lock; /* guards rounds, busy and stopping */
	pthread_cond_t start, end;
	uint64_t rounds; /* calls of team_run so far */
	unsigned busy;   /* threads that have not ended the present round */
	bool stopping;
	team_task *task; /* of the present round: written before it starts */
	void *arg;
	size_t count;
	atomic_size_t next; /* the first task that nobody has taken */
	unsigned members;
	struct team_member others[];
};

/* Tasks are taken one at a time by whoever is free: a slow core takes fewer. The order of memory is the lock's
 * business: the counter only makes each number appear once. It may pass count by one for each member, no further. */
static void take_tasks(struct team *t, unsigned member)
{
	size_t task;

	while ((task = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed)) < t->count)
		t->task(t->arg, task, member);
}

/* A member other than the caller: sleeps until the number of rounds is one it has not seen. It cannot miss a round,
 * since the next one begins only when it has reported the end of this. */
static void *team_work(void *arg)
{
	struct team_member *self = arg;
	struct team *t = self->team;
	uint64_t seen = 0;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (t->rounds == seen && !t->stopping)
			pthread_cond_wait(&t->start, &t->lock);
		if (t->stopping)
			break;
		seen = t->rounds;
		pthread_mutex_unlock(&t->lock);
		take_tasks(t, self->index);
		pthread_mutex_lock(&t->lock);
		if (--t->busy == 0)
			pthread_cond_signal(&t->end);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

struct team *team_new(unsigned members)
{
	struct team *t;
	sigset_t all, before;

	if (members <= 1)
		return NULL;
	t = mem_calloc(1, sizeof *t + (members - 1) * sizeof t->others[0]);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->start, NULL);
	pthread_cond_init(&t->end, NULL);
	/* Signals belong to the process's first thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (t->members = 1; t->members < members; t->members++) {
		struct team_member *other = &t->others[t->members - 1];

		*other = (struct team_member){ .team = t, .index = t->members };
		/* Fewer than asked for is a slower team, not a wrong one: `members` says how many there are. */
		if (pthread_create(&other->thread, NULL, team_work, other) != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return t;
}

void team_free(struct team *t)
{
	if (t == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_broadcast(&t->start);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i + 1 < t->members; i++)
		pthread_join(t->others[i].thread, NULL);
	pthread_cond_destroy(&t->end);
	pthread_cond_destroy(&t->start);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

unsigned team_members(const struct team *t)
{
	return t != NULL ? t->members : 1;
}

void team_run(struct team *t, team_task *task, void *arg, size_t count)
{
	if (t == NULL || count <= 1) {
		for (size_t i = 0; i < count; i++)
			task(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&t->lock);
	t->task = task;
	t->arg = arg;
	t->count = count;
	atomic_store_explicit(&t->next, 0, memory_order_relaxed);
	/* All of them report, those too who find no task left: that is what makes the next round safe. */
	t->busy = t->members - 1;
	t->rounds++;
	pthread_cond_broadcast(&t->start);
	pthread_mutex_unlock(&t->lock);
	take_tasks(t, 0);
	pthread_mutex_lock(&t->lock);
	while (t->busy > 0)
		pthread_cond_wait(&t->end, &t->lock);
	pthread_mutex_unlock(&t->lock);
}
