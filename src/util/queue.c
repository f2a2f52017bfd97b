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

enum {
	QUEUE_PAUSE_LOOK_MS = 20,
	QUEUE_NICE_BACK = 10,
	QUEUE_PATIENCE_MS = 2000,
	QUEUE_MINER_PATIENCE_MS = 5000,
	QUEUE_FAVOUR_MS = 500
};

/* A job from its posting to its done. */
struct queue_task {
	struct queue_job job;
	struct queue_task *next;
	unsigned slots; /* held, or lent while it pauses */
	bool paused;
	bool leaving;  /* its owner waits for its end: it pauses no more */
	int64_t since; /* when it was posted, or paused last */
};

struct queue_list {
	struct queue_task *first, **last;
};

/* Threads of one priority. The front ones verify; the back ones do what can wait, at a lower priority, which a thread
 * cannot leave again: hence two sets. */
struct queue_crew {
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
	struct queue_list waiting[QUEUE_KINDS];
	struct queue_task *running; /* in no order */
	struct queue_list finished;
	unsigned capacity, used, files;
	bool stopping;
	struct queue_task *favoured;        /* goes before all others for now: it has waited too long; NULL: none */
	int64_t favour_until, favour_again; /* once it runs; and when there may be the next */
	atomic_bool is_awaited;             /* somebody waits for slots: what queue_pause looks at without the lock */
	struct queue_crew crews[2];
	size_t pending; /* the loop thread's own, as is all below */
	queue_notify *notify;
	void *context;
	queue_after *after;
	void *after_context;
};

/* The task that this thread runs, and its queue. */
static _Thread_local struct queue *queue_own;
static _Thread_local struct queue_task *queue_own_task;
static _Thread_local bool queue_own_hold; /* it holds what others may wait for */

/* --- lists --- */

static void queue_list_init(struct queue_list *tasks)
{
	tasks->first = NULL;
	tasks->last = &tasks->first;
}

static void queue_list_push(struct queue_list *tasks, struct queue_task *task)
{
	task->next = NULL;
	*tasks->last = task;
	tasks->last = &task->next;
}

/* Behind all that are as urgent, before those that are less. */
static void queue_list_insert(struct queue_list *tasks, struct queue_task *task)
{
	struct queue_task **link = &tasks->first;

	while (*link != NULL && (*link)->job.rank >= task->job.rank)
		link = &(*link)->next;
	task->next = *link;
	*link = task;
	if (task->next == NULL)
		tasks->last = &task->next;
}

/* The first task, or (owner not NULL) the first of that owner. */
static struct queue_task *queue_list_take(struct queue_list *tasks, const void *owner)
{
	for (struct queue_task **link = &tasks->first; *link != NULL; link = &(*link)->next) {
		struct queue_task *task = *link;

		if (owner != NULL && task->job.owner != owner)
			continue;
		*link = task->next;
		if (*link == NULL)
			tasks->last = link;
		return task;
	}
	return NULL;
}

static void queue_running_remove(struct queue *queue, struct queue_task *task)
{
	struct queue_task **link = &queue->running;

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
}

/* --- who may start --- */

static bool queue_kind_is_back(enum queue_kind kind)
{
	return kind >= QUEUE_AUDIT;
}

static bool queue_is_before(const struct queue_job *a, const struct queue_job *b)
{
	return a->kind != b->kind ? a->kind < b->kind : a->rank > b->rank;
}

static unsigned queue_slots_free(const struct queue *queue)
{
	return queue->used < queue->capacity ? queue->capacity - queue->used : 0;
}

/* Slots that a waiting task gets once all that is less urgent has lent its own: what it asks for, as far as
 * those at least as urgent leave it. 0: they leave nothing. One that is favoured has its own kind beside it alone. */
static unsigned queue_slots_due(const struct queue *queue, const struct queue_task *task, bool favoured)
{
	unsigned slots_held = 0, slots_wanted = task->job.threads > 0 ? task->job.threads : 1;

	for (const struct queue_task *other = queue->running; other != NULL; other = other->next)
		if (favoured ? other->job.kind == task->job.kind : !queue_is_before(&task->job, &other->job))
			slots_held += other->slots;
	if (slots_held >= queue->capacity)
		return 0;
	return slots_wanted < queue->capacity - slots_held ? slots_wanted : queue->capacity - slots_held;
}

/* The most urgent task that waits for slots, before it starts or in a pause; of those as urgent the ones in a pause go
 * first. */
static struct queue_task *queue_most_urgent(const struct queue *queue)
{
	struct queue_task *urgent_task = NULL;

	if (queue->favoured != NULL && (queue->favoured->paused || queue->favoured->slots == 0))
		return queue->favoured;
	for (struct queue_task *task = queue->running; task != NULL; task = task->next)
		if (task->paused && (urgent_task == NULL || queue_is_before(&task->job, &urgent_task->job)))
			urgent_task = task;
	for (int kind = 0; kind < QUEUE_FILE; kind++) {
		struct queue_task *task = queue->waiting[kind].first;

		if (task != NULL)
			return urgent_task == NULL || queue_is_before(&task->job, &urgent_task->job) ? task :
												       urgent_task;
	}
	return urgent_task;
}

/* After every change of who waits. Under the lock. */
static void queue_note_waiting(struct queue *queue)
{
	atomic_store_explicit(&queue->is_awaited, queue_most_urgent(queue) != NULL, memory_order_relaxed);
}

/* Something has changed that others may wait for: they look again. Under the lock. */
static void queue_stir(struct queue *queue)
{
	queue_note_waiting(queue);
	pthread_cond_broadcast(&queue->work);
}

/* Slots that it waits for. */
static unsigned queue_slots_awaited(const struct queue *queue, const struct queue_task *task)
{
	return task->paused ? task->slots : queue_slots_due(queue, task, task == queue->favoured);
}

/* --- who has waited too long --- */

/* For audits and texts somebody waits. Whatever is more urgent may have no end (a first sync; proofs of a whole network
 * on a slow machine; false blocks, which cost strangers nothing), and they shall come to theirs: who has waited for
 * QUEUE_PATIENCE_MS goes first for QUEUE_FAVOUR_MS, one at a time, and then as long again nobody. So verification loses
 * a fifth at most, and a block waits QUEUE_FAVOUR_MS more. An attempt has to be more patient, and nobody can stop a
 * miner for good. */

static int64_t queue_now_ms(void)
{
	struct timespec queue_now;

	clock_gettime(CLOCK_MONOTONIC, &queue_now);
	return (int64_t)queue_now.tv_sec * 1000 + queue_now.tv_nsec / 1000000;
}

static void queue_longer_waiting(const struct queue *queue, struct queue_task *task, int64_t queue_now,
	struct queue_task **longest)
{
	const int64_t queue_patience = task != NULL && task->job.kind == QUEUE_ATTEMPT ? QUEUE_MINER_PATIENCE_MS :
											 QUEUE_PATIENCE_MS;

	if (task != NULL && queue_now - task->since >= queue_patience &&
		(*longest == NULL || task->since < (*longest)->since) &&
		(task->paused || queue_slots_due(queue, task, true) > 0))
		*longest = task;
}

/* Whoever runs calls this now and then: where nobody runs, nobody starves. */
static void queue_favour_choose(struct queue *queue)
{
	const int64_t queue_now = queue_now_ms();
	struct queue_task *longest = NULL;

	if (queue->favoured != NULL || queue_now < queue->favour_again)
		return;
	for (struct queue_task *task = queue->running; task != NULL; task = task->next)
		if (task->paused && queue_kind_is_back(task->job.kind) && task->job.kind != QUEUE_SPARE)
			queue_longer_waiting(queue, task, queue_now, &longest);
	for (int kind = QUEUE_AUDIT; kind < QUEUE_SPARE; kind++)
		queue_longer_waiting(queue, queue->waiting[kind].first, queue_now, &longest);
	queue->favoured = longest;
}

/* It has got its slots. */
static void queue_favour_begin(struct queue *queue, const struct queue_task *task)
{
	if (task == queue->favoured)
		queue->favour_until = queue_now_ms() + QUEUE_FAVOUR_MS;
}

static void queue_favour_end(struct queue *queue, const struct queue_task *task)
{
	if (task == NULL || task != queue->favoured)
		return;
	queue->favoured = NULL;
	queue->favour_again = queue_now_ms() + QUEUE_PATIENCE_MS;
}

/* --- threads --- */

/* The next task for a thread of this crew, taken out of its list; NULL: nothing may start now. Nothing overtakes the
 * most urgent one, or many small jobs would keep the slots from it for ever. */
static struct queue_task *queue_task_start(struct queue *queue, const struct queue_crew *crew)
{
	struct queue_task *task = queue_most_urgent(queue);
	unsigned start_slots = task != NULL && !task->paused ? queue_slots_awaited(queue, task) : 0;

	if (start_slots > 0 && queue_kind_is_back(task->job.kind) == crew->back &&
		queue_slots_free(queue) >= start_slots) {
		task = queue_list_take(&queue->waiting[task->job.kind], NULL);
		task->slots = start_slots;
		queue->used += start_slots;
		queue_favour_begin(queue, task);
		queue_note_waiting(queue);
		return task;
	}
	if (crew->back && queue->files < QUEUE_FILES &&
		(task = queue_list_take(&queue->waiting[QUEUE_FILE], NULL)) != NULL) {
		queue->files++;
		return task;
	}
	return NULL;
}

static void queue_task_finish(struct queue *queue, struct queue_task *task)
{
	queue_running_remove(queue, task);
	queue_favour_end(queue, task);
	queue_favour_choose(queue);
	queue->used -= task->slots;
	queue->files -= task->job.kind == QUEUE_FILE;
	queue_list_push(&queue->finished, task);
	pthread_cond_broadcast(&queue->result);
	queue_stir(queue);
}

static void queue_task_run(struct queue *queue, struct queue_task *task)
{
	bool queue_must_notify;

	task->next = queue->running;
	queue->running = task;
	pthread_mutex_unlock(&queue->lock);
	queue_own = queue;
	queue_own_task = task;
	task->job.run(task->job.arg);
	queue_own_task = NULL;
	pthread_mutex_lock(&queue->lock);
	queue_task_finish(queue, task);
	queue_must_notify = queue->notify != NULL && !queue->stopping;
	/* Outside the lock: notify may take locks of its own that the loop holds while it posts. */
	if (queue_must_notify) {
		pthread_mutex_unlock(&queue->lock);
		queue->notify(queue->context);
		pthread_mutex_lock(&queue->lock);
	}
}

static void queue_crew_give_way(void)
{
	/* On Linux a thread has a priority of its own. Refused: it runs as all others do. */
	if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), QUEUE_NICE_BACK) != 0)
		log_debug(LOG_MINER, "cannot lower a worker's priority");
}

static void *queue_crew_work(void *arg)
{
	struct queue_crew *crew = arg;
	struct queue *queue = crew->queue;

	if (crew->back)
		queue_crew_give_way();
	pthread_mutex_lock(&queue->lock);
	while (!queue->stopping) {
		struct queue_task *task = queue_task_start(queue, crew);

		if (task == NULL) {
			crew->idle++;
			pthread_cond_wait(&queue->work, &queue->lock);
			crew->idle--;
			continue;
		}
		queue_task_run(queue, task);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

/* Tasks that wait for a thread of the crew. */
static size_t queue_crew_waiting(const struct queue_crew *crew)
{
	size_t crew_count = 0;

	for (int kind = 0; kind < QUEUE_KINDS; kind++)
		if (queue_kind_is_back(kind) == crew->back)
			for (const struct queue_task *task = crew->queue->waiting[kind].first; task != NULL;
				task = task->next)
				crew_count++;
	return crew_count;
}

/* One thread more, if more tasks wait than threads. Under the lock. */
static void queue_crew_grow(struct queue_crew *crew)
{
	sigset_t crew_signals, crew_signals_before;
	int crew_error;

	if (crew->idle >= queue_crew_waiting(crew) || crew->started == crew->max)
		return;
	/* Signals belong to the loop's thread: the workers inherit a mask that blocks them all. */
	sigfillset(&crew_signals);
	pthread_sigmask(SIG_SETMASK, &crew_signals, &crew_signals_before);
	crew_error = pthread_create(&crew->threads[crew->started], NULL, queue_crew_work, crew);
	pthread_sigmask(SIG_SETMASK, &crew_signals_before, NULL);
	if (crew_error == 0) {
		crew->started++;
	} else if (crew->started == 0) {
		fprintf(stderr, "A worker thread cannot be started: %s\n", strerror(crew_error));
		abort();
	}
}

static void queue_crew_init(struct queue_crew *crew, struct queue *queue, bool back, unsigned max)
{
	*crew = (struct queue_crew){ .queue = queue, .back = back, .max = max };
	crew->threads = mem_calloc(max, sizeof *crew->threads);
}

/* --- the loop's side --- */

struct queue *queue_new(unsigned capacity, queue_notify *notify, void *context)
{
	struct queue *queue = mem_calloc(1, sizeof *queue);
	pthread_condattr_t queue_clock;

	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&queue_clock);
	pthread_condattr_setclock(&queue_clock, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->work, &queue_clock);
	pthread_cond_init(&queue->result, &queue_clock);
	pthread_condattr_destroy(&queue_clock);
	for (int kind = 0; kind < QUEUE_KINDS; kind++)
		queue_list_init(&queue->waiting[kind]);
	queue_list_init(&queue->finished);
	queue->capacity = capacity;
	queue->notify = notify;
	queue->context = context;
	/* Of each urgency so many may run or pause: three ranks of blocks and two of loose proofs in front, four kinds
	 * at the back. */
	queue_crew_init(&queue->crews[0], queue, false, (QUEUE_RANKS + QUEUE_LOOSE_RANKS) * capacity);
	queue_crew_init(&queue->crews[1], queue, true, 4 * capacity + QUEUE_FILES);
	return queue;
}

void queue_post(struct queue *queue, const struct queue_job *job)
{
	struct queue_task *task = mem_calloc(1, sizeof *task);

	task->job = *job;
	task->since = queue_now_ms();
	queue->pending++;
	pthread_mutex_lock(&queue->lock);
	queue_list_insert(&queue->waiting[job->kind], task);
	queue_crew_grow(&queue->crews[queue_kind_is_back(job->kind)]);
	queue_stir(queue);
	pthread_mutex_unlock(&queue->lock);
}

static void queue_task_done(struct queue *queue, struct queue_task *task, bool cancelled)
{
	const struct queue_job job = task->job;

	free(task);
	queue->pending--;
	job.done(job.arg, cancelled);
}

/* The next that has finished (of an owner, or of all), or (finished false) that only waits. */
static struct queue_task *queue_task_take(struct queue *queue, const void *owner, bool finished)
{
	struct queue_task *task = NULL;

	pthread_mutex_lock(&queue->lock);
	if (finished)
		task = queue_list_take(&queue->finished, owner);
	for (int kind = 0; !finished && task == NULL && kind < QUEUE_KINDS; kind++)
		task = queue_list_take(&queue->waiting[kind], owner);
	/* What goes may have been what others waited behind. */
	queue_favour_end(queue, task);
	queue_stir(queue);
	pthread_mutex_unlock(&queue->lock);
	return task;
}

size_t queue_drain(struct queue *queue)
{
	struct queue_task *task;
	size_t tasks_drained = 0;

	while ((task = queue_task_take(queue, NULL, true)) != NULL) {
		queue_task_done(queue, task, false);
		tasks_drained++;
	}
	if (tasks_drained > 0 && queue->after != NULL)
		queue->after(queue->after_context);
	return tasks_drained;
}

void queue_after_drain(struct queue *queue, queue_after *after, void *context)
{
	queue->after = after;
	queue->after_context = context;
}

static bool queue_list_has(const struct queue_task *task, const void *owner)
{
	while (task != NULL && task->job.owner != owner)
		task = task->next;
	return task != NULL;
}

/* Those of an owner that run go on to their end, beyond the slots where they must: else the loop, which waits for them
 * here, would wait for whatever they wait for. */
static void queue_owner_hurry(struct queue *queue, const void *owner)
{
	for (struct queue_task *task = queue->running; task != NULL; task = task->next)
		if (task->job.owner == owner)
			task->leaving = true;
	pthread_cond_broadcast(&queue->work);
}

/* Whether there is a task of the owner; where all that there are run, it waits for a result first. */
static bool queue_owner_is_busy(struct queue *queue, const void *owner)
{
	bool queue_has;

	pthread_mutex_lock(&queue->lock);
	queue_has = queue_list_has(queue->finished.first, owner);
	for (int kind = 0; kind < QUEUE_KINDS; kind++)
		queue_has = queue_has || queue_list_has(queue->waiting[kind].first, owner);
	if (!queue_has && queue_list_has(queue->running, owner)) {
		queue_has = true;
		queue_owner_hurry(queue, owner);
		pthread_cond_wait(&queue->result, &queue->lock);
	}
	pthread_mutex_unlock(&queue->lock);
	return queue_has;
}

void queue_leave(struct queue *queue, const void *owner)
{
	struct queue_task *task;

	while (queue_owner_is_busy(queue, owner)) {
		while ((task = queue_task_take(queue, owner, false)) != NULL)
			queue_task_done(queue, task, true);
		while ((task = queue_task_take(queue, owner, true)) != NULL)
			queue_task_done(queue, task, false);
	}
}

static void queue_deadline(struct timespec *queue_time, unsigned ms)
{
	clock_gettime(CLOCK_MONOTONIC, queue_time);
	queue_time->tv_sec += ms / 1000;
	queue_time->tv_nsec += (long)(ms % 1000) * 1000000;
	if (queue_time->tv_nsec >= 1000000000) {
		queue_time->tv_sec++;
		queue_time->tv_nsec -= 1000000000;
	}
}

void queue_wait(struct queue *queue, unsigned ms)
{
	struct timespec queue_wait_end;
	int queue_wait_late = 0;

	queue_deadline(&queue_wait_end, ms);
	pthread_mutex_lock(&queue->lock);
	while (queue->finished.first == NULL && queue->pending > 0 && queue_wait_late == 0)
		queue_wait_late = ms > 0 ? pthread_cond_timedwait(&queue->result, &queue->lock, &queue_wait_end) :
					   pthread_cond_wait(&queue->result, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
}

size_t queue_pending(const struct queue *queue)
{
	return queue->pending;
}

unsigned queue_capacity(const struct queue *queue)
{
	return queue->capacity;
}

void queue_free(struct queue *queue)
{
	struct queue_task *task;

	pthread_mutex_lock(&queue->lock);
	queue->stopping = true;
	pthread_cond_broadcast(&queue->work);
	pthread_mutex_unlock(&queue->lock);
	for (int i = 0; i < 2; i++) {
		for (unsigned j = 0; j < queue->crews[i].started; j++)
			pthread_join(queue->crews[i].threads[j], NULL);
		free(queue->crews[i].threads);
		queue->crews[i].max = queue->crews[i].started = 0;
	}
	queue_drain(queue);
	while ((task = queue_task_take(queue, NULL, false)) != NULL)
		queue_task_done(queue, task, true);
	pthread_cond_destroy(&queue->result);
	pthread_cond_destroy(&queue->work);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

/* --- a job's side --- */

unsigned queue_threads(void)
{
	return queue_own_task != NULL && queue_own_task->slots > 0 ? queue_own_task->slots : 1;
}

/* Whether somebody more urgent than the task waits, and what slots are free do not suffice. */
static bool queue_is_in_the_way(const struct queue *queue, const struct queue_task *task)
{
	const struct queue_task *urgent_task = queue_most_urgent(queue);

	return urgent_task != NULL &&
		(urgent_task == queue->favoured || queue_is_before(&urgent_task->job, &task->job)) &&
		queue_slots_awaited(queue, urgent_task) > queue_slots_free(queue);
}

void queue_hold(bool on)
{
	queue_own_hold = on;
}

void queue_pause(const atomic_bool *cancel)
{
	struct queue *queue = queue_own;
	struct queue_task *task = queue_own_task;
	struct timespec queue_look;

	if (task == NULL || task->slots == 0 || queue_own_hold ||
		!atomic_load_explicit(&queue->is_awaited, memory_order_relaxed))
		return;
	pthread_mutex_lock(&queue->lock);
	if (queue_now_ms() >= queue->favour_until)
		queue_favour_end(queue, task);
	queue_favour_choose(queue);
	if (!task->leaving && task != queue->favoured && queue_is_in_the_way(queue, task)) {
		task->paused = true;
		task->since = queue_now_ms();
		queue->used -= task->slots;
		queue_stir(queue);
		/* A cancelled job has little left to do, and the end waits for it: it goes on beyond the slots. */
		while (!queue->stopping && !task->leaving && (cancel == NULL || !atomic_load(cancel)) &&
			(queue_most_urgent(queue) != task || queue_slots_free(queue) < task->slots)) {
			queue_deadline(&queue_look, QUEUE_PAUSE_LOOK_MS);
			pthread_cond_timedwait(&queue->work, &queue->lock, &queue_look);
		}
		task->paused = false;
		queue->used += task->slots;
		queue_favour_begin(queue, task);
		queue_stir(queue);
	}
	pthread_mutex_unlock(&queue->lock);
}
