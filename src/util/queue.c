/* One queue for all long work: slots, kinds, pauses. */
#include "util/queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/log.h"
#include "util/mem.h"

enum { PAUSE_LOOK_MS = 20, NICE_BACK = 10, PATIENCE_MS = 2000, MINER_PATIENCE_MS = 5000, FAVOUR_MS = 500 };

/* A job from its posting to its done. */
struct task {
	struct queue_job job;
	struct task *next;
	unsigned slots; /* held, or lent while it pauses */
	bool paused;
	bool leaving;  /* its owner waits for its end: it pauses no more */
	int64_t since; /* when it was posted, or paused last */
};

struct task_list {
	struct task *first, **last;
};

/* Threads of one priority. The front ones verify; the back ones do what can wait, at a lower priority, which a thread
 * cannot leave again: hence two sets. */
struct crew {
	struct queue *queue;
	bool back;
	unsigned max, started, idle;
	pthread_t *threads;
};

/* Invariants, under the lock:
 *   used = sum of slots over the tasks in `running` that do not pause; used <= capacity, but for tasks that were
 * cancelled, or left by their owner, in a pause and go on to their end; of each urgency no more slots are held or lent
 * than there are: so a crew has a thread for each that may start; a task is in exactly one of waiting[its kind],
 * running, finished; in `waiting` by rank, then as they came; `favoured` is in one of the first two. */
struct queue {
	pthread_mutex_t lock;
	pthread_cond_t work;   /* something may start or go on: a job was posted, slots came free, the end */
	pthread_cond_t result; /* a task has finished */
	struct task_list waiting[QUEUE_KINDS];
	struct task *running; /* in no order */
	struct task_list finished;
	unsigned capacity, used, files;
	bool stopping;
	struct task *favoured;              /* goes before all others for now: it has waited too long; NULL: none */
	int64_t favour_until, favour_again; /* once it runs; and when there may be the next */
	atomic_bool is_awaited;             /* somebody waits for slots: what queue_pause looks at without the lock */
	struct crew crews[2];
	size_t pending; /* the loop thread's own, as is all below */
	queue_notify *notify;
	void *context;
	queue_after *after;
	void *after_context;
};

/* The task that this thread runs, and its queue. */
static _Thread_local struct queue *own_queue;
static _Thread_local struct task *own_task;
static _Thread_local bool own_hold; /* it holds what others may wait for */

/* --- lists --- */

static void list_init(struct task_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static void list_push(struct task_list *list, struct task *task)
{
	task->next = NULL;
	*list->last = task;
	list->last = &task->next;
}

/* Behind all that are as urgent, before those that are less. */
static void list_insert(struct task_list *list, struct task *task)
{
	struct task **link = &list->first;

	while (*link != NULL && (*link)->job.rank >= task->job.rank)
		link = &(*link)->next;
	task->next = *link;
	*link = task;
	if (task->next == NULL)
		list->last = &task->next;
}

/* The first task, or (owner not NULL) the first of that owner. */
static struct task *list_take(struct task_list *list, const void *owner)
{
	for (struct task **link = &list->first; *link != NULL; link = &(*link)->next) {
		struct task *task = *link;

		if (owner != NULL && task->job.owner != owner)
			continue;
		*link = task->next;
		if (*link == NULL)
			list->last = link;
		return task;
	}
	return NULL;
}

static void running_remove(struct queue *q, struct task *task)
{
	struct task **link = &q->running;

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
}

/* --- who may start --- */

static bool kind_is_back(enum queue_kind kind)
{
	return kind >= QUEUE_AUDIT;
}

static bool is_before(const struct queue_job *a, const struct queue_job *b)
{
	return a->kind != b->kind ? a->kind < b->kind : a->rank > b->rank;
}

static unsigned slots_free(const struct queue *q)
{
	return q->used < q->capacity ? q->capacity - q->used : 0;
}

/* Slots that a waiting task gets once all that is less urgent has lent its own: what it asks for, as far as
 * those at least as urgent leave it. 0: they leave nothing. One that is favoured has its own kind beside it alone. */
static unsigned slots_due(const struct queue *q, const struct task *task, bool favoured)
{
	unsigned held = 0, wanted = task->job.threads > 0 ? task->job.threads : 1;

	for (const struct task *other = q->running; other != NULL; other = other->next)
		if (favoured ? other->job.kind == task->job.kind : !is_before(&task->job, &other->job))
			held += other->slots;
	if (held >= q->capacity)
		return 0;
	return wanted < q->capacity - held ? wanted : q->capacity - held;
}

/* The most urgent task that waits for slots, before it starts or in a pause; of those as urgent the ones in a pause go
 * first. */
static struct task *most_urgent(const struct queue *q)
{
	struct task *first = NULL;

	if (q->favoured != NULL && (q->favoured->paused || q->favoured->slots == 0))
		return q->favoured;
	for (struct task *task = q->running; task != NULL; task = task->next)
		if (task->paused && (first == NULL || is_before(&task->job, &first->job)))
			first = task;
	for (int kind = 0; kind < QUEUE_FILE; kind++) {
		struct task *task = q->waiting[kind].first;

		if (task != NULL)
			return first == NULL || is_before(&task->job, &first->job) ? task : first;
	}
	return first;
}

/* After every change of who waits. Under the lock. */
static void note_waiting(struct queue *q)
{
	atomic_store_explicit(&q->is_awaited, most_urgent(q) != NULL, memory_order_relaxed);
}

/* Something has changed that others may wait for: they look again. Under the lock. */
static void queue_stir(struct queue *q)
{
	note_waiting(q);
	pthread_cond_broadcast(&q->work);
}

/* Slots that it waits for. */
static unsigned slots_awaited(const struct queue *q, const struct task *task)
{
	return task->paused ? task->slots : slots_due(q, task, task == q->favoured);
}

/* --- who has waited too long --- */

/* For audits and texts somebody waits. Whatever is more urgent may have no end (a first sync; proofs of a whole network
 * on a slow machine; false blocks, which cost strangers nothing), and they shall come to theirs: who has waited for
 * PATIENCE_MS goes first for FAVOUR_MS, one at a time, and then as long again nobody. So verification loses a fifth at
 * most, and a block waits FAVOUR_MS more. An attempt has to be more patient, and nobody can stop a miner for good. */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void longer_waiting(const struct queue *q, struct task *task, int64_t now, struct task **longest)
{
	const int64_t patience = task != NULL && task->job.kind == QUEUE_ATTEMPT ? MINER_PATIENCE_MS : PATIENCE_MS;

	if (task != NULL && now - task->since >= patience && (*longest == NULL || task->since < (*longest)->since) &&
		(task->paused || slots_due(q, task, true) > 0))
		*longest = task;
}

/* Whoever runs calls this now and then: where nobody runs, nobody starves. */
static void favour_choose(struct queue *q)
{
	const int64_t now = now_ms();
	struct task *longest = NULL;

	if (q->favoured != NULL || now < q->favour_again)
		return;
	for (struct task *task = q->running; task != NULL; task = task->next)
		if (task->paused && kind_is_back(task->job.kind))
			longer_waiting(q, task, now, &longest);
	for (int kind = QUEUE_AUDIT; kind < QUEUE_FILE; kind++)
		longer_waiting(q, q->waiting[kind].first, now, &longest);
	q->favoured = longest;
}

/* It has got its slots. */
static void favour_begin(struct queue *q, const struct task *task)
{
	if (task == q->favoured)
		q->favour_until = now_ms() + FAVOUR_MS;
}

static void favour_end(struct queue *q, const struct task *task)
{
	if (task == NULL || task != q->favoured)
		return;
	q->favoured = NULL;
	q->favour_again = now_ms() + PATIENCE_MS;
}

/* --- threads --- */

/* The next task for a thread of this crew, taken out of its list; NULL: nothing may start now. Nothing overtakes the
 * most urgent one, or many small jobs would keep the slots from it for ever. */
static struct task *task_start(struct queue *q, const struct crew *crew)
{
	struct task *task = most_urgent(q);
	unsigned slots = task != NULL && !task->paused ? slots_awaited(q, task) : 0;

	if (slots > 0 && kind_is_back(task->job.kind) == crew->back && slots_free(q) >= slots) {
		task = list_take(&q->waiting[task->job.kind], NULL);
		task->slots = slots;
		q->used += slots;
		favour_begin(q, task);
		note_waiting(q);
		return task;
	}
	if (crew->back && q->files < QUEUE_FILES && (task = list_take(&q->waiting[QUEUE_FILE], NULL)) != NULL) {
		q->files++;
		return task;
	}
	return NULL;
}

static void task_finish(struct queue *q, struct task *task)
{
	running_remove(q, task);
	favour_end(q, task);
	favour_choose(q);
	q->used -= task->slots;
	q->files -= task->job.kind == QUEUE_FILE;
	list_push(&q->finished, task);
	pthread_cond_broadcast(&q->result);
	queue_stir(q);
}

static void task_run(struct queue *q, struct task *task)
{
	bool tell;

	task->next = q->running;
	q->running = task;
	pthread_mutex_unlock(&q->lock);
	own_queue = q;
	own_task = task;
	task->job.run(task->job.arg);
	own_task = NULL;
	pthread_mutex_lock(&q->lock);
	task_finish(q, task);
	tell = q->notify != NULL && !q->stopping;
	/* Outside the lock: notify may take locks of its own that the loop holds while it posts. */
	if (tell) {
		pthread_mutex_unlock(&q->lock);
		q->notify(q->context);
		pthread_mutex_lock(&q->lock);
	}
}

static void crew_give_way(void)
{
	/* On Linux a thread has a priority of its own. Refused: it runs as all others do. */
	if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE_BACK) != 0)
		log_debug(LOG_MINER, "cannot lower a worker's priority");
}

static void *crew_work(void *arg)
{
	struct crew *crew = arg;
	struct queue *q = crew->queue;

	if (crew->back)
		crew_give_way();
	pthread_mutex_lock(&q->lock);
	while (!q->stopping) {
		struct task *task = task_start(q, crew);

		if (task == NULL) {
			crew->idle++;
			pthread_cond_wait(&q->work, &q->lock);
			crew->idle--;
			continue;
		}
		task_run(q, task);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* Tasks that wait for a thread of the crew. */
static size_t crew_waiting(const struct crew *crew)
{
	size_t count = 0;

	for (int kind = 0; kind < QUEUE_KINDS; kind++)
		if (kind_is_back(kind) == crew->back)
			for (const struct task *task = crew->queue->waiting[kind].first; task != NULL;
				task = task->next)
				count++;
	return count;
}

/* One thread more, if more tasks wait than threads. Under the lock. */
static void crew_grow(struct crew *crew)
{
	sigset_t all, before;
	int error;

	if (crew->idle >= crew_waiting(crew) || crew->started == crew->max)
		return;
	/* Signals belong to the loop's thread: the workers inherit a mask that blocks them all. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&crew->threads[crew->started], NULL, crew_work, crew);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0) {
		crew->started++;
	} else if (crew->started == 0) {
		fprintf(stderr, "A worker thread cannot be started: %s\n", strerror(error));
		abort();
	}
}

static void crew_init(struct crew *crew, struct queue *q, bool back, unsigned max)
{
	*crew = (struct crew){ .queue = q, .back = back, .max = max };
	crew->threads = mem_calloc(max, sizeof *crew->threads);
}

/* --- the loop's side --- */

struct queue *queue_new(unsigned capacity, queue_notify *notify, void *context)
{
	struct queue *q = mem_calloc(1, sizeof *q);
	pthread_condattr_t monotonic;

	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&q->work, &monotonic);
	pthread_cond_init(&q->result, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (int kind = 0; kind < QUEUE_KINDS; kind++)
		list_init(&q->waiting[kind]);
	list_init(&q->finished);
	q->capacity = capacity;
	q->notify = notify;
	q->context = context;
	/* Of each urgency so many may run or pause: three ranks of blocks and the loose proofs in front, three kinds at
	 * the back. */
	crew_init(&q->crews[0], q, false, (QUEUE_RANKS + 1) * capacity);
	crew_init(&q->crews[1], q, true, 3 * capacity + QUEUE_FILES);
	return q;
}

void queue_post(struct queue *q, const struct queue_job *job)
{
	struct task *task = mem_calloc(1, sizeof *task);

	task->job = *job;
	task->since = now_ms();
	q->pending++;
	pthread_mutex_lock(&q->lock);
	list_insert(&q->waiting[job->kind], task);
	crew_grow(&q->crews[kind_is_back(job->kind)]);
	queue_stir(q);
	pthread_mutex_unlock(&q->lock);
}

static void task_done(struct queue *q, struct task *task, bool cancelled)
{
	const struct queue_job job = task->job;

	free(task);
	q->pending--;
	job.done(job.arg, cancelled);
}

/* The next that has finished (of an owner, or of all), or (finished false) that only waits. */
static struct task *task_take(struct queue *q, const void *owner, bool finished)
{
	struct task *task = NULL;

	pthread_mutex_lock(&q->lock);
	if (finished)
		task = list_take(&q->finished, owner);
	for (int kind = 0; !finished && task == NULL && kind < QUEUE_KINDS; kind++)
		task = list_take(&q->waiting[kind], owner);
	/* What goes may have been what others waited behind. */
	favour_end(q, task);
	queue_stir(q);
	pthread_mutex_unlock(&q->lock);
	return task;
}

size_t queue_drain(struct queue *q)
{
	struct task *task;
	size_t count = 0;

	while ((task = task_take(q, NULL, true)) != NULL) {
		task_done(q, task, false);
		count++;
	}
	if (count > 0 && q->after != NULL)
		q->after(q->after_context);
	return count;
}

void queue_after_drain(struct queue *q, queue_after *after, void *context)
{
	q->after = after;
	q->after_context = context;
}

static bool list_has(const struct task *task, const void *owner)
{
	while (task != NULL && task->job.owner != owner)
		task = task->next;
	return task != NULL;
}

/* Those of an owner that run go on to their end, beyond the slots where they must: else the loop, which waits for them
 * here, would wait for whatever they wait for. */
static void owner_hurry(struct queue *q, const void *owner)
{
	for (struct task *task = q->running; task != NULL; task = task->next)
		if (task->job.owner == owner)
			task->leaving = true;
	pthread_cond_broadcast(&q->work);
}

/* Whether there is a task of the owner; where all that there are run, it waits for a result first. */
static bool owner_is_busy(struct queue *q, const void *owner)
{
	bool busy;

	pthread_mutex_lock(&q->lock);
	busy = list_has(q->finished.first, owner);
	for (int kind = 0; kind < QUEUE_KINDS; kind++)
		busy = busy || list_has(q->waiting[kind].first, owner);
	if (!busy && list_has(q->running, owner)) {
		busy = true;
		owner_hurry(q, owner);
		pthread_cond_wait(&q->result, &q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return busy;
}

void queue_leave(struct queue *q, const void *owner)
{
	struct task *task;

	while (owner_is_busy(q, owner)) {
		while ((task = task_take(q, owner, false)) != NULL)
			task_done(q, task, true);
		while ((task = task_take(q, owner, true)) != NULL)
			task_done(q, task, false);
	}
}

static void add_ms(struct timespec *time, unsigned ms)
{
	clock_gettime(CLOCK_MONOTONIC, time);
	time->tv_sec += ms / 1000;
	time->tv_nsec += (long)(ms % 1000) * 1000000;
	if (time->tv_nsec >= 1000000000) {
		time->tv_sec++;
		time->tv_nsec -= 1000000000;
	}
}

void queue_wait(struct queue *q, unsigned ms)
{
	struct timespec end;
	int late = 0;

	add_ms(&end, ms);
	pthread_mutex_lock(&q->lock);
	while (q->finished.first == NULL && q->pending > 0 && late == 0)
		late = ms > 0 ? pthread_cond_timedwait(&q->result, &q->lock, &end) :
				pthread_cond_wait(&q->result, &q->lock);
	pthread_mutex_unlock(&q->lock);
}

size_t queue_pending(const struct queue *q)
{
	return q->pending;
}

unsigned queue_capacity(const struct queue *q)
{
	return q->capacity;
}

void queue_free(struct queue *q)
{
	struct task *task;

	pthread_mutex_lock(&q->lock);
	q->stopping = true;
	pthread_cond_broadcast(&q->work);
	pthread_mutex_unlock(&q->lock);
	for (int i = 0; i < 2; i++) {
		for (unsigned j = 0; j < q->crews[i].started; j++)
			pthread_join(q->crews[i].threads[j], NULL);
		free(q->crews[i].threads);
		q->crews[i].max = q->crews[i].started = 0;
	}
	queue_drain(q);
	while ((task = task_take(q, NULL, false)) != NULL)
		task_done(q, task, true);
	pthread_cond_destroy(&q->result);
	pthread_cond_destroy(&q->work);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* --- a job's side --- */

unsigned queue_threads(void)
{
	return own_task != NULL && own_task->slots > 0 ? own_task->slots : 1;
}

/* Whether somebody more urgent than the task waits, and what slots are free do not suffice. */
static bool is_in_the_way(const struct queue *q, const struct task *task)
{
	const struct task *first = most_urgent(q);

	return first != NULL && (first == q->favoured || is_before(&first->job, &task->job)) &&
		slots_awaited(q, first) > slots_free(q);
}

void queue_hold(bool on)
{
	own_hold = on;
}

void queue_pause(const atomic_bool *cancel)
{
	struct queue *q = own_queue;
	struct task *task = own_task;
	struct timespec look;

	if (task == NULL || task->slots == 0 || own_hold || !atomic_load_explicit(&q->is_awaited, memory_order_relaxed))
		return;
	pthread_mutex_lock(&q->lock);
	if (now_ms() >= q->favour_until)
		favour_end(q, task);
	favour_choose(q);
	if (!task->leaving && task != q->favoured && is_in_the_way(q, task)) {
		task->paused = true;
		task->since = now_ms();
		q->used -= task->slots;
		queue_stir(q);
		/* A cancelled job has little left to do, and the end waits for it: it goes on beyond the slots. */
		while (!q->stopping && !task->leaving && (cancel == NULL || !atomic_load(cancel)) &&
			(most_urgent(q) != task || slots_free(q) < task->slots)) {
			add_ms(&look, PAUSE_LOOK_MS);
			pthread_cond_timedwait(&q->work, &q->lock, &look);
		}
		task->paused = false;
		q->used += task->slots;
		favour_begin(q, task);
		queue_stir(q);
	}
	pthread_mutex_unlock(&q->lock);
}
