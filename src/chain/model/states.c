/* The cache of states, and the jobs that write snapshots and rebuild states. */
#include "chain/model/states.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/model/snapshots.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { STATES_INTERVAL = 64, STATES_COUNT = 64, STATES_BYTES = 192 << 20, SNAPSHOT_BASES = 64 };
/* Each as large as the model's parameters. Candidates compete at the tip, and perhaps on two branches near it. */
enum { STATES_BENCHMARKS = 4 };

struct cached {
	const struct full_entry *full;
	struct state *state;
	uint64_t used;
};

struct measured {
	const struct full_entry *full;
	struct benchmark *benchmark;
};

struct states {
	const struct spec *spec;
	const struct index *index;
	const struct record_file *blocks;
	struct queue *queue;
	struct cached cached[STATES_COUNT];
	size_t cached_count, cached_max;
	uint64_t clock;
	struct measured measured[STATES_BENCHMARKS]; /* a ring: the oldest makes room */
	size_t measured_next;
	const struct full_entry *pinned;
	struct snapshots snapshots;
	struct rebuild *rebuilds; /* jobs under way */
	bool writing, closing;
};

/* --- the cache --- */

/* At most STATES_COUNT: a walk is as good as a table. */
static struct cached *cache_find(struct states *states, const struct full_entry *full)
{
	for (size_t i = 0; i < states->cached_count; i++)
		if (states->cached[i].full == full)
			return &states->cached[i];
	return NULL;
}

/* The reference is the caller's, so what is being computed with outlives its place here. */
struct state *states_get(struct states *states, const struct full_entry *full)
{
	struct cached *cached = cache_find(states, full);

	if (cached == NULL)
		return NULL;
	cached->used = ++states->clock;
	return state_ref(cached->state);
}

/* The place that has not been used for longest and is not the tip's. */
static struct cached *cache_victim(struct states *states)
{
	struct cached *victim = NULL;

	for (size_t i = 0; i < states->cached_count; i++) {
		struct cached *at = &states->cached[i];

		if (at->full != states->pinned && (victim == NULL || at->used < victim->used))
			victim = at;
	}
	return victim;
}

/* The state itself is shared: the cache holds a reference, and whoever computes with it another. */
void states_put(struct states *states, const struct full_entry *full, struct state *state)
{
	struct cached *place = cache_find(states, full);

	if (place != NULL) {
		place->used = ++states->clock;
		return;
	}
	if (states->cached_count < states->cached_max) {
		place = &states->cached[states->cached_count++];
	} else {
		/* There is one: at least three have a place, and one at most is pinned. */
		place = cache_victim(states);
		state_unref(place->state);
	}
	*place = (struct cached){ full, state_ref(state), ++states->clock };
}

void states_pin(struct states *states, const struct full_entry *full)
{
	states->pinned = full;
}

/* By entry: it is verified, so it lives as long as the chain. */
void states_keep_benchmark(struct states *states, const struct full_entry *full, struct benchmark *benchmark)
{
	struct measured *place = &states->measured[states->measured_next];

	for (size_t i = 0; i < STATES_BENCHMARKS; i++)
		if (states->measured[i].full == full)
			return;
	benchmark_unref(place->benchmark);
	*place = (struct measured){ full, benchmark_ref(benchmark) };
	states->measured_next = (states->measured_next + 1) % STATES_BENCHMARKS;
}

struct benchmark *states_benchmark(const struct states *states, const struct full_entry *full)
{
	for (size_t i = 0; i < STATES_BENCHMARKS; i++)
		if (states->measured[i].full == full)
			return benchmark_ref(states->measured[i].benchmark);
	return NULL;
}

/* --- snapshots --- */

struct snapshot_job {
	struct states *states;
	struct state *state;
	char *path;
	uint32_t height;
	uint8_t id[32];
	bool ok;
	struct errmsg err;
};

static void snapshot_run(void *arg)
{
	struct snapshot_job *job = arg;

	job->ok = snapshots_write(job->path, job->id, job->height, job->state, &job->err);
}

/* A snapshot that cannot be written is no reason to stop: only a later start takes longer. */
static void snapshot_done(void *arg, bool cancelled)
{
	struct snapshot_job *job = arg;
	struct states *states = job->states;

	states->writing = false;
	if (job->ok) {
		snapshots_add(&states->snapshots, job->height, job->id);
		log_debug(LOG_MODEL, "[chain] snapshot of the model at height %" PRIu32 " written", job->height);
	} else if (!cancelled) {
		log_warn("[chain] no snapshot of the model at height %" PRIu32 ": %s", job->height, job->err.text);
	}
	state_unref(job->state);
	free(job->path);
	free(job);
}

static struct snapshot_job *snapshot_job_new(struct states *states, const struct full_entry *full)
{
	struct snapshot_job *job = mem_calloc(1, sizeof *job);

	job->states = states;
	job->state = states_get(states, full);
	job->height = full->entry.height;
	memcpy(job->id, full->entry.id, 32);
	job->path = snapshots_path(&states->snapshots, job->height, job->id);
	states->writing = true;
	return job;
}

/* One at a time: a worker that writes holds its state for as long as the disk takes, and a slow disk must not hold
 * many. */
void states_connected(struct states *states, const struct full_entry *full)
{
	if (full->entry.height % states->snapshots.interval != 0 || states->writing ||
		snapshots_known(&states->snapshots, full->entry.id) || cache_find(states, full) == NULL)
		return;
	queue_post(states->queue,
		&(struct queue_job){
			.kind = QUEUE_FILE,
			.owner = states,
			.run = snapshot_run,
			.done = snapshot_done,
			.arg = snapshot_job_new(states, full),
		});
}

/* At the end of a run, when no worker is left to wait for. Genesis needs none: the spec makes its state. */
bool states_snapshot(struct states *states, const struct full_entry *full, struct errmsg *err)
{
	struct snapshot_job *job;
	bool ok;

	if (snapshots_known(&states->snapshots, full->entry.id) || full->entry.height == 0)
		return true;
	if (cache_find(states, full) == NULL)
		return errmsg_set(err, "The model state is not in memory");
	job = snapshot_job_new(states, full);
	snapshot_run(job);
	ok = job->ok;
	if (err != NULL)
		*err = job->err;
	snapshot_done(job, false);
	return ok;
}

/* --- rebuilding --- */

/* Bases for a state: the nearest ancestor in memory, the snapshots of ancestors below it, genesis. Several, as a
 * snapshot may be damaged: replay_run takes the first that reads. */
static struct replay *plan_replay(struct states *states, const struct full_entry *target)
{
	struct replay *replay = replay_new(states->spec, states->blocks, target);
	const struct cached *nearest = NULL;

	for (size_t i = 0; i < states->cached_count; i++) {
		const struct cached *at = &states->cached[i];

		if (chain_ancestor(&target->entry, at->full->entry.height) == &at->full->entry &&
			(nearest == NULL || at->full->entry.height > nearest->full->entry.height))
			nearest = at;
	}
	for (size_t i = 0; i < states->snapshots.count && replay->base_count < SNAPSHOT_BASES; i++) {
		const struct snapshot *at = &states->snapshots.list[i];
		const struct full_entry *full = index_find(states->index, at->id);
		char *path;

		if (full == NULL || chain_ancestor(&target->entry, at->height) != &full->entry ||
			!entry_verified(&full->entry))
			continue;
		if (nearest != NULL && nearest->full->entry.height >= at->height)
			break;
		path = snapshots_path(&states->snapshots, at->height, at->id);
		replay_add_base(replay, full, NULL, path);
		free(path);
	}
	if (nearest != NULL)
		replay_add_base(replay, nearest->full, state_ref(nearest->state), NULL);
	else
		replay_add_base(replay, states->index->entries[0], NULL, NULL);
	return replay;
}

/* On the loop, which waits for it: at the start, and after a switch whose end is not at hand. Blocks are verified with
 * the states of their parents at hand, so a new tip's state is in the cache but for these. */
struct state *states_rebuild(struct states *states, const struct full_entry *full, const struct chain_options *options,
	struct errmsg *err)
{
	struct state *state = states_get(states, full);
	struct replay *replay;

	if (state != NULL)
		return state;
	replay = plan_replay(states, full);
	if (options != NULL) {
		replay->progress = options->progress;
		replay->progress_context = options->progress_context;
		replay->stop = options->stop != NULL ? options->stop : &replay->cancel;
	}
	replay_run(replay);
	state = replay->state;
	if (state != NULL)
		states_put(states, full, state);
	else if (err != NULL)
		*err = replay->err;
	replay_free(replay);
	return state;
}

struct waiter {
	void (*ready)(void *context, struct state *state);
	void *context;
};

struct rebuild {
	struct rebuild *next;
	struct states *states;
	struct replay *replay;
	struct queue_job job;
	struct waiter *waiters;
	size_t waiter_count;
};

static void rebuild_run(void *arg)
{
	struct rebuild *rebuild = arg;

	replay_run(rebuild->replay);
}

/* All who asked get a reference of their own, or NULL; the job is off the list before, since they may ask for the next
 * state at once. */
static void rebuild_done(void *arg, bool cancelled)
{
	struct rebuild *rebuild = arg, **link;
	struct states *states = rebuild->states;
	struct state *state = rebuild->replay->state;

	for (link = &states->rebuilds; *link != rebuild; link = &(*link)->next)
		;
	*link = rebuild->next;
	if (state != NULL)
		states_put(states, rebuild->replay->target, state);
	else if (!cancelled && !states->closing)
		log_error("[chain] a model state cannot be rebuilt: %s", rebuild->replay->err.text);
	for (size_t i = 0; i < rebuild->waiter_count; i++)
		rebuild->waiters[i].ready(rebuild->waiters[i].context, state != NULL ? state_ref(state) : NULL);
	state_unref(state);
	replay_free(rebuild->replay);
	free(rebuild->waiters);
	free(rebuild);
}

/* Whether a job that is under way already comes as soon as a new one would. */
static bool is_soon_enough(const struct rebuild *rebuild, enum queue_kind kind, unsigned rank)
{
	return rebuild->job.kind < kind || (rebuild->job.kind == kind && rebuild->job.rank >= rank);
}

/* Who asks for a state that is being rebuilt waits with those who asked before. */
void states_request(struct states *states, const struct full_entry *full, enum queue_kind kind, unsigned rank,
	void (*ready)(void *context, struct state *state), void *context)
{
	struct rebuild *rebuild = states->rebuilds;
	bool fresh;

	while (rebuild != NULL && (rebuild->replay->target != full || !is_soon_enough(rebuild, kind, rank)))
		rebuild = rebuild->next;
	fresh = rebuild == NULL;
	if (fresh) {
		rebuild = mem_calloc(1, sizeof *rebuild);
		rebuild->states = states;
		rebuild->replay = plan_replay(states, full);
		rebuild->job = (struct queue_job){
			.kind = kind,
			.rank = rank,
			.owner = states,
			.run = rebuild_run,
			.done = rebuild_done,
			.arg = rebuild,
		};
		rebuild->next = states->rebuilds;
		states->rebuilds = rebuild;
	}
	rebuild->waiters = mem_realloc(rebuild->waiters, (rebuild->waiter_count + 1) * sizeof *rebuild->waiters);
	rebuild->waiters[rebuild->waiter_count++] = (struct waiter){ ready, context };
	if (fresh)
		queue_post(states->queue, &rebuild->job);
}

/* --- opening and closing --- */

struct states *states_open(const struct states_options *options, struct errmsg *err)
{
	const size_t size = state_size(&spec_course(options->spec)->train.model);
	struct states *states;

	if (!dir_make(options->folder, err))
		return NULL;
	states = mem_calloc(1, sizeof *states);
	states->spec = options->spec;
	states->index = options->index;
	states->blocks = options->blocks;
	states->queue = options->queue;
	states->cached_max = STATES_BYTES / size < 3 ? 3 : STATES_BYTES / size;
	if (states->cached_max > STATES_COUNT)
		states->cached_max = STATES_COUNT;
	if (snapshots_init(&states->snapshots, options->folder, options->interval ? options->interval : STATES_INTERVAL,
		    err))
		return states;
	states_close(states);
	return NULL;
}

/* Waiters are answered, with NULL: they release what they hold. */
void states_close(struct states *states)
{
	if (states == NULL)
		return;
	states->closing = true;
	for (struct rebuild *at = states->rebuilds; at != NULL; at = at->next)
		atomic_store(&at->replay->cancel, true);
	queue_leave(states->queue, states);
	for (size_t i = 0; i < states->cached_count; i++)
		state_unref(states->cached[i].state);
	for (size_t i = 0; i < STATES_BENCHMARKS; i++)
		benchmark_unref(states->measured[i].benchmark);
	snapshots_clear(&states->snapshots);
	free(states);
}
