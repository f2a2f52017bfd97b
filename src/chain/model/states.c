/* The cache of states, and the jobs that write snapshots and rebuild states. */
#include "chain/model/states.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/model/snapshots.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

/* A block may list proofs that start from each of six states before its parent's; and the tip's has a place. With
 * rounds it may need that of its own round's base, and the tip's round's has a place. */
enum { STATES_LEAST = BLOCK_LATE_BACK + 2, STATES_OF_ROUNDS = 2 };
enum {
	STATES_INTERVAL = 64,
	STATES_COUNT = 64,
	STATES_BYTES = 192 << 20,
	STATES_BASES = 64,
	STATES_SPARE = 2 /* snapshots behind which nothing is pruned: the newest may be damaged */
};
/* Each as large as the model's parameters. Candidates compete at the tip, and perhaps on two branches near it. */
enum { STATES_BENCHMARKS = 4 };

struct cached_state {
	const struct full_entry *full;
	struct state *state;
	uint64_t used;
};

struct measured_state {
	const struct full_entry *full;
	struct benchmark *benchmark;
};

struct states {
	const struct spec *spec;
	const struct index *index;
	const struct record_file *blocks;
	const struct blobs *blobs;
	struct queue *queue;
	struct cached_state cached[STATES_COUNT];
	size_t cached_count, cached_max;
	uint64_t clock;
	struct measured_state measured[STATES_BENCHMARKS]; /* a ring: the oldest makes room */
	size_t measured_next;
	const struct full_entry *pinned, *pinned_base; /* NULL: none */
	uint32_t pruned;                               /* blocks up to this height cannot be replayed; 0: all can */
	struct snapshots snapshots;
	struct state_rebuild *rebuilds; /* jobs under way */
	bool writing, closing;
};

/* --- the cache --- */

/* At most STATES_COUNT: a walk is as good as a table. */
static struct cached_state *states_cache_find(struct states *states, const struct full_entry *full)
{
	for (size_t i = 0; i < states->cached_count; i++)
		if (states->cached[i].full == full)
			return &states->cached[i];
	return NULL;
}

/* The reference is the caller's, so what is being computed with outlives its place here. */
struct state *states_get(struct states *states, const struct full_entry *full)
{
	struct cached_state *cached = states_cache_find(states, full);

	if (cached == NULL)
		return NULL;
	cached->used = ++states->clock;
	return state_ref(cached->state);
}

bool states_has(struct states *states, const struct full_entry *full)
{
	struct cached_state *cached = states_cache_find(states, full);

	if (cached != NULL)
		cached->used = ++states->clock;
	return cached != NULL;
}

/* The place that has not been used for longest and is neither the tip's nor its base's. */
static struct cached_state *states_cache_victim(struct states *states)
{
	struct cached_state *victim = NULL;

	for (size_t i = 0; i < states->cached_count; i++) {
		struct cached_state *cached = &states->cached[i];

		if (cached->full != states->pinned && cached->full != states->pinned_base &&
			(victim == NULL || cached->used < victim->used))
			victim = cached;
	}
	return victim;
}

/* The state itself is shared: the cache holds a reference, and whoever computes with it another. */
void states_put(struct states *states, const struct full_entry *full, struct state *state)
{
	struct cached_state *cached_place = states_cache_find(states, full);

	if (cached_place != NULL) {
		cached_place->used = ++states->clock;
		return;
	}
	if (states->cached_count < states->cached_max) {
		cached_place = &states->cached[states->cached_count++];
	} else {
		/* There is one: several have a place, and two at most are pinned. */
		cached_place = states_cache_victim(states);
		state_unref(cached_place->state);
	}
	*cached_place = (struct cached_state){ full, state_ref(state), ++states->clock };
}

void states_pin(struct states *states, const struct full_entry *full)
{
	states->pinned = full;
}

void states_pin_base(struct states *states, const struct full_entry *full)
{
	states->pinned_base = full;
}

/* By entry: it is verified, so it lives as long as the chain. */
void states_keep_benchmark(struct states *states, const struct full_entry *full, struct benchmark *benchmark)
{
	struct measured_state *measured_place = &states->measured[states->measured_next];

	for (size_t i = 0; i < STATES_BENCHMARKS; i++)
		if (states->measured[i].full == full)
			return;
	benchmark_unref(measured_place->benchmark);
	*measured_place = (struct measured_state){ full, benchmark_ref(benchmark) };
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

struct states_snapshot_job {
	struct states *states;
	struct state *state;
	char *path;
	uint32_t height;
	uint8_t id[32];
	bool ok;
	struct errmsg err;
};

static void states_snapshot_run(void *job_arg)
{
	struct states_snapshot_job *snapshot_job = job_arg;

	snapshot_job->ok = snapshots_write(snapshot_job->path, snapshot_job->id, snapshot_job->height,
		snapshot_job->state, &snapshot_job->err);
}

/* A snapshot that cannot be written is no reason to stop: only a later start takes longer. */
static void states_snapshot_done(void *job_arg, bool cancelled)
{
	struct states_snapshot_job *snapshot_job = job_arg;
	struct states *states = snapshot_job->states;

	states->writing = false;
	if (snapshot_job->ok) {
		snapshots_add(&states->snapshots, snapshot_job->height, snapshot_job->id);
		log_debug(LOG_MODEL, "[chain] snapshot of the model at height %" PRIu32 " written",
			snapshot_job->height);
	} else if (!cancelled) {
		log_warn("[chain] no snapshot of the model at height %" PRIu32 ": %s", snapshot_job->height,
			snapshot_job->err.text);
	}
	state_unref(snapshot_job->state);
	free(snapshot_job->path);
	free(snapshot_job);
}

static struct states_snapshot_job *states_snapshot_job_new(struct states *states, const struct full_entry *full)
{
	struct states_snapshot_job *snapshot_job = mem_calloc(1, sizeof *snapshot_job);

	snapshot_job->states = states;
	snapshot_job->state = states_get(states, full);
	snapshot_job->height = full->entry.height;
	memcpy(snapshot_job->id, full->entry.id, 32);
	snapshot_job->path = snapshots_path(&states->snapshots, snapshot_job->height, snapshot_job->id);
	states->writing = true;
	return snapshot_job;
}

/* One at a time: a worker that writes holds its state for as long as the disk takes, and a slow disk must not hold
 * many. */
void states_connected(struct states *states, const struct full_entry *full)
{
	if (full->entry.height % states->snapshots.interval != 0 || states->writing ||
		snapshots_known(&states->snapshots, full->entry.id) || states_cache_find(states, full) == NULL)
		return;
	queue_post(states->queue,
		&(struct queue_job){
			.kind = QUEUE_FILE,
			.rank = QUEUE_FILE_RANKS - 1,
			.owner = states,
			.run = states_snapshot_run,
			.done = states_snapshot_done,
			.arg = states_snapshot_job_new(states, full),
		});
}

/* At the end of a run, when no worker is left to wait for. Genesis needs none: the spec makes its state. */
bool states_snapshot(struct states *states, const struct full_entry *full, struct errmsg *err)
{
	struct states_snapshot_job *snapshot_job;
	bool written;

	if (snapshots_known(&states->snapshots, full->entry.id) || full->entry.height == 0)
		return true;
	if (states_cache_find(states, full) == NULL)
		return errmsg_set(err, "The model state is not in memory");
	snapshot_job = states_snapshot_job_new(states, full);
	states_snapshot_run(snapshot_job);
	written = snapshot_job->ok;
	if (err != NULL)
		*err = snapshot_job->err;
	states_snapshot_done(snapshot_job, false);
	return written;
}

/* --- pruning --- */

uint32_t states_base_below(const struct states *states, const struct full_entry *tip, uint32_t height)
{
	for (size_t i = STATES_SPARE; states->rebuilds == NULL && i < states->snapshots.count; i++) {
		const struct snapshot *snapshot = &states->snapshots.list[i];
		const struct full_entry *full = index_find(states->index, snapshot->id);

		if (snapshot->height <= height && full != NULL &&
			chain_ancestor(&tip->entry, snapshot->height) == &full->entry)
			return snapshot->height;
	}
	return 0;
}

void states_prune(struct states *states, uint32_t height)
{
	states->pruned = height;
	snapshots_drop_below(&states->snapshots, height);
}

uint64_t states_disk_size(const struct states *states)
{
	return states->snapshots.count * (uint64_t)state_size(&spec_course(states->spec)->train.model);
}

/* --- rebuilding --- */

/* Whether the blocks from the one to the other are here. */
static bool states_is_base(const struct states *states, const struct full_entry *target, const struct full_entry *base)
{
	return base == target || base->entry.height >= states->pruned;
}

/* Bases for a state: the nearest ancestor in memory, the snapshots of ancestors below it, genesis. Several, as a
 * snapshot may be damaged: replay_run takes the first that reads. */
static struct replay *states_plan_replay(struct states *states, const struct full_entry *target)
{
	struct replay *replay = replay_new(states->spec, states->blocks, states->blobs, target);
	const struct cached_state *nearest_cached = NULL;

	for (size_t i = 0; i < states->cached_count; i++) {
		const struct cached_state *cached = &states->cached[i];

		if (states_is_base(states, target, cached->full) &&
			chain_ancestor(&target->entry, cached->full->entry.height) == &cached->full->entry &&
			(nearest_cached == NULL || cached->full->entry.height > nearest_cached->full->entry.height))
			nearest_cached = cached;
	}
	for (size_t i = 0; i < states->snapshots.count && replay->base_count < STATES_BASES; i++) {
		const struct snapshot *snapshot = &states->snapshots.list[i];
		const struct full_entry *full = index_find(states->index, snapshot->id);
		char *snapshot_path;

		if (full == NULL || !states_is_base(states, target, full) ||
			chain_ancestor(&target->entry, snapshot->height) != &full->entry ||
			!entry_verified(&full->entry))
			continue;
		if (nearest_cached != NULL && nearest_cached->full->entry.height >= snapshot->height)
			break;
		snapshot_path = snapshots_path(&states->snapshots, snapshot->height, snapshot->id);
		replay_add_base(replay, full, NULL, snapshot_path);
		free(snapshot_path);
	}
	if (nearest_cached != NULL)
		replay_add_base(replay, nearest_cached->full, state_ref(nearest_cached->state), NULL);
	else if (states->pruned == 0)
		replay_add_base(replay, states->index->entries[0], NULL, NULL);
	if (replay->base_count == 0)
		errmsg_set(&replay->err,
			"The model after block %" PRIu32 " cannot be had: blocks up to %" PRIu32
			" are pruned, and no snapshot since then leads to it",
			target->entry.height, states->pruned);
	return replay;
}

/* On the loop, which waits for it: at the start, and after a switch whose end is not at hand. Blocks are verified with
 * the states of their parents at hand, so a new tip's state is in the cache but for these. */
struct state *states_rebuild(struct states *states, const struct full_entry *full, const struct chain_options *options,
	struct errmsg *err)
{
	struct state *rebuilt = states_get(states, full);
	struct replay *replay;

	if (rebuilt != NULL)
		return rebuilt;
	replay = states_plan_replay(states, full);
	if (options != NULL) {
		replay->progress = options->progress;
		replay->progress_context = options->progress_context;
		replay->stop = options->stop != NULL ? options->stop : &replay->cancel;
	}
	replay_run(replay);
	rebuilt = replay->state;
	if (rebuilt != NULL)
		states_put(states, full, rebuilt);
	else if (err != NULL)
		*err = replay->err;
	replay_free(replay);
	return rebuilt;
}

struct state_waiter {
	void (*ready)(void *context, struct state *state);
	void *context;
};

struct state_rebuild {
	struct state_rebuild *next;
	struct states *states;
	struct replay *replay;
	struct queue_job job;
	struct state_waiter *waiters;
	size_t waiter_count;
};

static void states_rebuild_run(void *rebuild_arg)
{
	struct state_rebuild *rebuild = rebuild_arg;

	replay_run(rebuild->replay);
}

/* All who asked get a reference of their own, or NULL; the job is off the list before, since they may ask for the next
 * state at once. */
static void states_rebuild_done(void *rebuild_arg, bool cancelled)
{
	struct state_rebuild *rebuild = rebuild_arg, **link;
	struct states *states = rebuild->states;
	struct state *rebuilt = rebuild->replay->state;

	for (link = &states->rebuilds; *link != rebuild; link = &(*link)->next)
		;
	*link = rebuild->next;
	if (rebuilt != NULL)
		states_put(states, rebuild->replay->target, rebuilt);
	else if (!cancelled && !states->closing)
		log_error("[chain] a model state cannot be rebuilt: %s", rebuild->replay->err.text);
	for (size_t i = 0; i < rebuild->waiter_count; i++)
		rebuild->waiters[i].ready(rebuild->waiters[i].context, rebuilt != NULL ? state_ref(rebuilt) : NULL);
	state_unref(rebuilt);
	replay_free(rebuild->replay);
	free(rebuild->waiters);
	free(rebuild);
}

/* Whether a job that is under way already comes as soon as a new one would. */
static bool states_rebuild_soon_enough(const struct state_rebuild *rebuild, enum queue_kind kind, unsigned rank)
{
	return rebuild->job.kind < kind || (rebuild->job.kind == kind && rebuild->job.rank >= rank);
}

/* Who asks for a state that is being rebuilt waits with those who asked before. */
void states_request(struct states *states, const struct full_entry *full, enum queue_kind kind, unsigned rank,
	void (*ready)(void *context, struct state *state), void *context)
{
	struct state_rebuild *rebuild = states->rebuilds;
	bool fresh_rebuild;

	while (rebuild != NULL && (rebuild->replay->target != full || !states_rebuild_soon_enough(rebuild, kind, rank)))
		rebuild = rebuild->next;
	fresh_rebuild = rebuild == NULL;
	if (fresh_rebuild) {
		rebuild = mem_calloc(1, sizeof *rebuild);
		rebuild->states = states;
		rebuild->replay = states_plan_replay(states, full);
		rebuild->job = (struct queue_job){
			.kind = kind,
			.rank = rank,
			.owner = states,
			.run = states_rebuild_run,
			.done = states_rebuild_done,
			.arg = rebuild,
		};
		rebuild->next = states->rebuilds;
		states->rebuilds = rebuild;
	}
	rebuild->waiters = mem_realloc(rebuild->waiters, (rebuild->waiter_count + 1) * sizeof *rebuild->waiters);
	rebuild->waiters[rebuild->waiter_count++] = (struct state_waiter){ ready, context };
	if (fresh_rebuild)
		queue_post(states->queue, &rebuild->job);
}

/* --- opening and closing --- */

/* Replays end at bases for the most part, so that is where they begin. */
static uint32_t states_interval(const struct states_options *options)
{
	if (options->interval > 0)
		return options->interval;
	return options->spec->round_blocks > 0 ? options->spec->round_blocks : STATES_INTERVAL;
}

struct states *states_open(const struct states_options *options, struct errmsg *err)
{
	const size_t state_bytes = state_size(&spec_course(options->spec)->train.model);
	const size_t states_least = STATES_LEAST + (options->spec->round_blocks > 0 ? STATES_OF_ROUNDS : 0);
	struct states *states;

	if (!dir_make(options->folder, err))
		return NULL;
	states = mem_calloc(1, sizeof *states);
	states->spec = options->spec;
	states->index = options->index;
	states->blocks = options->blocks;
	states->blobs = options->blobs;
	states->queue = options->queue;
	states->cached_max = STATES_BYTES / state_bytes < states_least ? states_least : STATES_BYTES / state_bytes;
	if (states->cached_max > STATES_COUNT)
		states->cached_max = STATES_COUNT;
	if (snapshots_init(&states->snapshots, options->folder, states_interval(options), options->kept, err))
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
	for (struct state_rebuild *rebuild = states->rebuilds; rebuild != NULL; rebuild = rebuild->next)
		atomic_store(&rebuild->replay->cancel, true);
	queue_leave(states->queue, states);
	for (size_t i = 0; i < states->cached_count; i++)
		state_unref(states->cached[i].state);
	for (size_t i = 0; i < STATES_BENCHMARKS; i++)
		benchmark_unref(states->measured[i].benchmark);
	snapshots_clear(&states->snapshots);
	free(states);
}
