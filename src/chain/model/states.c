#include "chain/model/states.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { STATES_INTERVAL = 64, STATES_COUNT = 64, STATES_BYTES = 192 << 20, SNAPSHOTS_NEWEST = 3, SNAPSHOT_BASES = 64 };

struct cached {
	const struct node *node;
	struct state *state;
	uint64_t used;
};

struct snapshot {
	uint32_t height;
	uint8_t id[32];
};

struct states {
	const struct spec *spec;
	const struct index *index;
	const struct record_file *blocks;
	struct workers *workers;
	char *folder;
	uint32_t interval;
	struct cached cached[STATES_COUNT];
	size_t cached_count, cached_max;
	uint64_t clock;
	const struct node *pinned;
	struct snapshot *snapshots; /* highest first */
	size_t snapshot_count;
	struct rebuild *rebuilds; /* jobs under way */
	size_t jobs;
	bool writing, closing;
};

/* --- the cache --- */

static struct cached *cache_find(struct states *states, const struct node *node)
{
	for (size_t i = 0; i < states->cached_count; i++)
		if (states->cached[i].node == node)
			return &states->cached[i];
	return NULL;
}

struct state *states_get(struct states *states, const struct node *node)
{
	struct cached *cached = cache_find(states, node);

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

		if (at->node != states->pinned && (victim == NULL || at->used < victim->used))
			victim = at;
	}
	return victim;
}

void states_put(struct states *states, const struct node *node, struct state *state)
{
	struct cached *place = cache_find(states, node);

	if (place != NULL) {
		place->used = ++states->clock;
		return;
	}
	if (states->cached_count < states->cached_max) {
		place = &states->cached[states->cached_count++];
	} else {
		place = cache_victim(states);
		state_unref(place->state);
	}
	*place = (struct cached){ node, state_ref(state), ++states->clock };
}

void states_pin(struct states *states, const struct node *node)
{
	states->pinned = node;
}

/* --- snapshots --- */

static char *snapshot_path(const struct states *states, uint32_t height, const uint8_t id[32])
{
	char hex[65], name[96];

	hex_encode_reversed(hex, id, 32);
	snprintf(name, sizeof name, "%08" PRIu32 "-%s.state", height, hex);
	return path_join(states->folder, name);
}

static void snapshot_insert(struct states *states, uint32_t height, const uint8_t id[32])
{
	size_t at = 0;

	states->snapshots = mem_realloc(states->snapshots, (states->snapshot_count + 1) * sizeof *states->snapshots);
	while (at < states->snapshot_count && states->snapshots[at].height > height)
		at++;
	memmove(&states->snapshots[at + 1], &states->snapshots[at],
		(states->snapshot_count - at) * sizeof *states->snapshots);
	states->snapshots[at].height = height;
	memcpy(states->snapshots[at].id, id, 32);
	states->snapshot_count++;
}

static bool snapshot_known(const struct states *states, const uint8_t id[32])
{
	for (size_t i = 0; i < states->snapshot_count; i++)
		if (memcmp(states->snapshots[i].id, id, 32) == 0)
			return true;
	return false;
}

/* Which power of two of intervals a snapshot is old: one a bucket is kept. */
static unsigned age_bucket(const struct states *states, const struct snapshot *snapshot)
{
	uint32_t age = (states->snapshots[0].height - snapshot->height) / states->interval;
	unsigned bucket = 0;

	while (age > 1) {
		age /= 2;
		bucket++;
	}
	return bucket;
}

static void snapshots_thin(struct states *states)
{
	size_t kept = 0;

	for (size_t i = 0; i < states->snapshot_count; i++) {
		const struct snapshot at = states->snapshots[i];
		/* The oldest of a bucket stays, so that some always grow old. */
		bool last = i + 1 == states->snapshot_count ||
			age_bucket(states, &at) != age_bucket(states, &states->snapshots[i + 1]);

		if (i < SNAPSHOTS_NEWEST || last) {
			states->snapshots[kept++] = at;
		} else {
			char *path = snapshot_path(states, at.height, at.id);

			file_remove(path, NULL);
			free(path);
		}
	}
	states->snapshot_count = kept;
}

static bool snapshot_name(const char *name, uint32_t *height, uint8_t id[32])
{
	char hex[65] = "", end[8] = "";

	return strlen(name) == 79 && sscanf(name, "%8" SCNu32 "-%64[0-9a-f]%7s", height, hex, end) == 3 &&
		strcmp(end, ".state") == 0 && hex_decode_reversed(id, 32, hex);
}

static bool snapshots_list(struct states *states, struct errmsg *err)
{
	DIR *dir = opendir(states->folder);
	struct dirent *item;
	uint32_t height;
	uint8_t id[32];

	if (dir == NULL)
		return errmsg_set(err, "Cannot read the folder %s: %s", states->folder, strerror(errno));
	while ((item = readdir(dir)) != NULL)
		if (snapshot_name(item->d_name, &height, id))
			snapshot_insert(states, height, id);
	closedir(dir);
	return true;
}

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

	job->ok = snapshot_write(job->path, job->id, job->height, job->state, &job->err);
}

/* A snapshot that cannot be written is no reason to stop: only a later start takes longer. */
static void snapshot_done(void *arg, bool cancelled)
{
	struct snapshot_job *job = arg;
	struct states *states = job->states;

	states->jobs--;
	states->writing = false;
	if (job->ok) {
		snapshot_insert(states, job->height, job->id);
		snapshots_thin(states);
		log_debug(LOG_MODEL, "[chain] snapshot of the model at height %" PRIu32 " written", job->height);
	} else if (!cancelled) {
		log_warn("[chain] no snapshot of the model at height %" PRIu32 ": %s", job->height, job->err.text);
	}
	state_unref(job->state);
	free(job->path);
	free(job);
}

static struct snapshot_job *snapshot_job_new(struct states *states, const struct node *node)
{
	struct snapshot_job *job = mem_calloc(1, sizeof *job);

	job->states = states;
	job->state = states_get(states, node);
	job->height = node->entry.height;
	memcpy(job->id, node->entry.id, 32);
	job->path = snapshot_path(states, job->height, job->id);
	states->jobs++;
	states->writing = true;
	return job;
}

void states_connected(struct states *states, const struct node *node)
{
	if (node->entry.height % states->interval != 0 || states->writing || snapshot_known(states, node->entry.id) ||
		cache_find(states, node) == NULL)
		return;
	workers_post(states->workers, snapshot_run, snapshot_done, snapshot_job_new(states, node), false);
}

bool states_snapshot(struct states *states, const struct node *node, struct errmsg *err)
{
	struct snapshot_job *job;
	bool ok;

	if (snapshot_known(states, node->entry.id) || node->entry.height == 0)
		return true;
	if (cache_find(states, node) == NULL)
		return errmsg_set(err, "The model state is not in memory");
	job = snapshot_job_new(states, node);
	snapshot_run(job);
	ok = job->ok;
	if (err != NULL)
		*err = job->err;
	snapshot_done(job, false);
	return ok;
}

/* --- rebuilding --- */

/* Bases for a state: the nearest ancestor in memory, the snapshots of ancestors below it, genesis. */
static struct replay *plan_replay(struct states *states, const struct node *target)
{
	struct replay *replay = replay_new(states->spec, states->blocks, target);
	const struct cached *nearest = NULL;

	for (size_t i = 0; i < states->cached_count; i++) {
		const struct cached *at = &states->cached[i];

		if (entry_ancestor(&target->entry, at->node->entry.height) == &at->node->entry &&
			(nearest == NULL || at->node->entry.height > nearest->node->entry.height))
			nearest = at;
	}
	for (size_t i = 0; i < states->snapshot_count && replay->base_count < SNAPSHOT_BASES; i++) {
		const struct snapshot *at = &states->snapshots[i];
		const struct node *node = index_find(states->index, at->id);
		char *path;

		if (node == NULL || entry_ancestor(&target->entry, at->height) != &node->entry ||
			!entry_verified(&node->entry))
			continue;
		if (nearest != NULL && nearest->node->entry.height >= at->height)
			break;
		path = snapshot_path(states, at->height, at->id);
		replay_add_base(replay, node, NULL, path);
		free(path);
	}
	if (nearest != NULL)
		replay_add_base(replay, nearest->node, state_ref(nearest->state), NULL);
	else
		replay_add_base(replay, states->index->nodes[0], NULL, NULL);
	return replay;
}

struct state *states_rebuild(struct states *states, const struct node *node, const struct chain_options *options,
	struct errmsg *err)
{
	struct state *state = states_get(states, node);
	struct replay *replay;

	if (state != NULL)
		return state;
	replay = plan_replay(states, node);
	if (options != NULL) {
		replay->progress = options->progress;
		replay->progress_context = options->progress_context;
		replay->stop = options->stop != NULL ? options->stop : &replay->cancel;
	}
	replay_run(replay);
	state = replay->state;
	if (state != NULL)
		states_put(states, node, state);
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
	struct waiter *waiters;
	size_t waiter_count;
};

static void rebuild_run(void *arg)
{
	struct rebuild *rebuild = arg;

	replay_run(rebuild->replay);
}

static void rebuild_done(void *arg, bool cancelled)
{
	struct rebuild *rebuild = arg, **link;
	struct states *states = rebuild->states;
	struct state *state = rebuild->replay->state;

	for (link = &states->rebuilds; *link != rebuild; link = &(*link)->next)
		;
	*link = rebuild->next;
	states->jobs--;
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

void states_request(struct states *states, const struct node *node, void (*ready)(void *context, struct state *state),
	void *context)
{
	struct rebuild *rebuild = states->rebuilds;
	bool fresh;

	while (rebuild != NULL && rebuild->replay->target != node)
		rebuild = rebuild->next;
	fresh = rebuild == NULL;
	if (fresh) {
		rebuild = mem_calloc(1, sizeof *rebuild);
		rebuild->states = states;
		rebuild->replay = plan_replay(states, node);
		rebuild->next = states->rebuilds;
		states->rebuilds = rebuild;
		states->jobs++;
	}
	rebuild->waiters = mem_realloc(rebuild->waiters, (rebuild->waiter_count + 1) * sizeof *rebuild->waiters);
	rebuild->waiters[rebuild->waiter_count++] = (struct waiter){ ready, context };
	if (fresh)
		workers_post(states->workers, rebuild_run, rebuild_done, rebuild, false);
}

/* --- opening and closing --- */

struct states *states_open(const struct states_options *options, struct errmsg *err)
{
	const size_t size = state_size(&options->spec->train.model);
	struct states *states;

	if (!dir_make(options->folder, err))
		return NULL;
	states = mem_calloc(1, sizeof *states);
	states->spec = options->spec;
	states->index = options->index;
	states->blocks = options->blocks;
	states->workers = options->workers;
	states->folder = mem_strdup(options->folder);
	states->interval = options->interval ? options->interval : STATES_INTERVAL;
	states->cached_max = STATES_BYTES / size < 3 ? 3 : STATES_BYTES / size;
	if (states->cached_max > STATES_COUNT)
		states->cached_max = STATES_COUNT;
	if (snapshots_list(states, err))
		return states;
	states_close(states);
	return NULL;
}

void states_close(struct states *states)
{
	if (states == NULL)
		return;
	states->closing = true;
	for (struct rebuild *at = states->rebuilds; at != NULL; at = at->next)
		atomic_store(&at->replay->cancel, true);
	while (states->jobs > 0) {
		workers_wait(states->workers);
		workers_drain(states->workers);
	}
	for (size_t i = 0; i < states->cached_count; i++)
		state_unref(states->cached[i].state);
	free(states->snapshots);
	free(states->folder);
	free(states);
}
