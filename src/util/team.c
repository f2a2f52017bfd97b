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
static void team_take_tasks(struct team *team, unsigned member)
{
	size_t task;

	while ((task = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed)) < team->count)
		team->task(team->arg, task, member);
}

/* A member other than the caller: sleeps until the number of rounds is one it has not seen. It cannot miss a round,
 * since the next one begins only when it has reported the end of this. */
static void *team_work(void *arg)
{
	struct team_member *team_self = arg;
	struct team *team = team_self->team;
	uint64_t rounds_seen = 0;

	pthread_mutex_lock(&team->lock);
	for (;;) {
		while (team->rounds == rounds_seen && !team->stopping)
			pthread_cond_wait(&team->start, &team->lock);
		if (team->stopping)
			break;
		rounds_seen = team->rounds;
		pthread_mutex_unlock(&team->lock);
		team_take_tasks(team, team_self->index);
		pthread_mutex_lock(&team->lock);
		if (--team->busy == 0)
			pthread_cond_signal(&team->end);
	}
	pthread_mutex_unlock(&team->lock);
	return NULL;
}

struct team *team_new(unsigned members)
{
	struct team *team;
	sigset_t team_signals, team_signals_before;

	if (members <= 1)
		return NULL;
	team = mem_calloc(1, sizeof *team + (members - 1) * sizeof team->others[0]);
	pthread_mutex_init(&team->lock, NULL);
	pthread_cond_init(&team->start, NULL);
	pthread_cond_init(&team->end, NULL);
	/* Signals belong to the process's first thread. */
	sigfillset(&team_signals);
	pthread_sigmask(SIG_SETMASK, &team_signals, &team_signals_before);
	for (team->members = 1; team->members < members; team->members++) {
		struct team_member *other = &team->others[team->members - 1];

		*other = (struct team_member){ .team = team, .index = team->members };
		/* Fewer than asked for is a slower team, not a wrong one: `members` says how many there are. */
		if (pthread_create(&other->thread, NULL, team_work, other) != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &team_signals_before, NULL);
	return team;
}

void team_free(struct team *team)
{
	if (team == NULL)
		return;
	pthread_mutex_lock(&team->lock);
	team->stopping = true;
	pthread_cond_broadcast(&team->start);
	pthread_mutex_unlock(&team->lock);
	for (unsigned i = 0; i + 1 < team->members; i++)
		pthread_join(team->others[i].thread, NULL);
	pthread_cond_destroy(&team->end);
	pthread_cond_destroy(&team->start);
	pthread_mutex_destroy(&team->lock);
	free(team);
}

unsigned team_members(const struct team *team)
{
	return team != NULL ? team->members : 1;
}

void team_run(struct team *team, team_task *task, void *arg, size_t count)
{
	if (team == NULL || count <= 1) {
		for (size_t i = 0; i < count; i++)
			task(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&team->lock);
	team->task = task;
	team->arg = arg;
	team->count = count;
	atomic_store_explicit(&team->next, 0, memory_order_relaxed);
	/* All of them report, those too who find no task left: that is what makes the next round safe. */
	team->busy = team->members - 1;
	team->rounds++;
	pthread_cond_broadcast(&team->start);
	pthread_mutex_unlock(&team->lock);
	team_take_tasks(team, 0);
	pthread_mutex_lock(&team->lock);
	while (team->busy > 0)
		pthread_cond_wait(&team->end, &team->lock);
	pthread_mutex_unlock(&team->lock);
}
