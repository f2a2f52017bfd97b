/* Verdicts on blobs: kept, brought up to date, made by jobs. */
#include "chain/novelty/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/novelty/samples.h"
#include "consensus/payload/contribution.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	JUDGE_AT_ONCE = 1 << 17, /* bytes of a blob that is judged without a job: some milliseconds */
	JUDGE_ONE_BY_ONE = 16,   /* new datasets that are compared one by one, rather than looked up by sample */
	JUDGE_BLOB_LARGEST = 1 << 24,
};

/* Invariant: `shared` is the most that any of the datasets 0 .. seen - 1 has of the samples, and `alike` is the first
 * that has so many. */
struct judged {
	uint8_t root[32];
	bool is_judging; /* a job is at it, and nothing else here counts yet */
	bool is_bad;     /* by its bytes alone, as `reject` says */
	struct reject reject;
	struct novelty novelty;
	uint32_t seen, alike, shared;
	uint64_t used; /* the last time, in judgements */
};

struct judge {
	struct judge_options options;
	struct novelty corpus; /* of dataset 0, which is in no database */
	struct map by_root;
	size_t sample_count; /* of all that are kept */
	size_t verdicts_max, samples_max;
	uint64_t used;
	struct judge_job *jobs;
};

struct judge_job {
	struct judge *judge;
	struct judge_job *next;
	struct judged *judged;
	bool is_in_file; /* the blob is; else its bytes were handed in */
	enum blobs_found found;
	struct buf bytes; /* the blob's */
	judge_told *told; /* NULL: nobody is told but the chain */
	void *told_context;
	uint32_t end;         /* datasets that there were when it began */
	uint32_t left;        /* the fewest that there have been since */
	bool failed;          /* as `why` says */
	bool is_disk_failing; /* the database, and not the blob's file */
	struct errmsg why;
	bool is_superseded; /* somebody could not wait, and the verdict was found out at once: this one is the job's
			       alone */
};

/* --- what is kept --- */

static void judge_drop(struct judge *judge, struct judged *judged)
{
	map_remove(&judge->by_root, judged->root);
	judge->sample_count -= judged->novelty.count;
	novelty_clear(&judged->novelty);
	free(judged);
}

/* The one that was used longest ago; NULL: all are being judged. */
static struct judged *judge_eldest(const struct judge *judge)
{
	struct judged *eldest = NULL;
	const uint8_t *judged_root;
	size_t judged_at = 0;
	void *judged_value;

	while (map_next(&judge->by_root, &judged_at, &judged_root, &judged_value)) {
		struct judged *judged = judged_value;

		if (!judged->is_judging && (eldest == NULL || judged->used < eldest->used))
			eldest = judged;
	}
	return eldest;
}

static struct judged *judge_add(struct judge *judge, const uint8_t root[32])
{
	struct judged *judged = mem_calloc(1, sizeof *judged), *eldest;

	while ((judge->by_root.count >= judge->verdicts_max || judge->sample_count > judge->samples_max) &&
		(eldest = judge_eldest(judge)) != NULL)
		judge_drop(judge, eldest);
	memcpy(judged->root, root, 32);
	judged->used = ++judge->used;
	map_put(&judge->by_root, root, judged);
	return judged;
}

static struct judged *judge_find(const struct judge *judge, const uint8_t root[32])
{
	struct judged *judged = map_get(&judge->by_root, root);

	return judged != NULL && !judged->is_judging ? judged : NULL;
}

bool judge_is_ready(const struct judge *judge, const uint8_t root[32])
{
	return judge_find(judge, root) != NULL;
}

bool judge_knows_bad(const struct judge *judge, const uint8_t root[32], struct reject *reject)
{
	const struct judged *judged = judge_find(judge, root);

	if (judged != NULL && judged->is_bad && reject != NULL)
		*reject = judged->reject;
	return judged != NULL && judged->is_bad;
}

const struct novelty *judge_novelty(const struct judge *judge, const uint8_t root[32])
{
	const struct judged *judged = judge_find(judge, root);

	return judged != NULL && !judged->is_bad ? &judged->novelty : NULL;
}

/* --- against datasets --- */

static void judge_note_shared(struct judged *judged, uint32_t number, size_t shared)
{
	if (shared <= judged->shared)
		return;
	judged->shared = (uint32_t)shared;
	judged->alike = number;
}

/* By sample: each is looked up, whatever the number of datasets is. Reads the database alone, so a job may do it. */
static bool judge_look_up(const struct judge *judge, struct judged *judged, uint32_t end, struct errmsg *err)
{
	uint32_t *shared = mem_calloc(end, sizeof *shared);
	bool looked_up = samples_count_shared(judge->options.db, &judged->novelty, judged->seen, end, shared, err);

	if (judged->seen == 0)
		judge_note_shared(judged, 0, novelty_shared(&judged->novelty, &judge->corpus));
	for (uint32_t number = judged->seen; number < end; number++)
		judge_note_shared(judged, number, shared[number]);
	free(shared);
	if (looked_up)
		judged->seen = end;
	return looked_up;
}

static bool judge_compare(const struct judge *judge, const struct registry *registry, struct judged *judged,
	uint32_t number, struct errmsg *err)
{
	struct novelty dataset_novelty;

	switch (samples_get(judge->options.db, registry_get(registry, number)->root, &dataset_novelty, err)) {
	case DB_FOUND:
		judge_note_shared(judged, number, novelty_shared(&judged->novelty, &dataset_novelty));
		novelty_clear(&dataset_novelty);
		return true;
	case DB_MISSING:
		return errmsg_set(err, "The samples of dataset %" PRIu32 " are lost: start with -reindex", number);
	case DB_FAILED:
		break;
	}
	return false;
}

/* What is new since the last time: a few, which were registered while it waited, or all. */
static bool judge_catch_up(const struct judge *judge, const struct registry *registry, struct judged *judged,
	struct errmsg *err)
{
	uint32_t end = (uint32_t)registry_count(registry);

	if (judged->seen == 0 || end - judged->seen > JUDGE_ONE_BY_ONE)
		return judge_look_up(judge, judged, end, err);
	for (; judged->seen < end; judged->seen++)
		if (!judge_compare(judge, registry, judged, judged->seen, err))
			return false;
	return true;
}

/* Where the one that it resembled most is gone, nobody knows which is next. */
static void judge_datasets_gone(struct judged *judged, uint32_t left)
{
	if (judged->seen <= left)
		return;
	judged->seen = judged->alike < left ? left : 0;
	if (judged->seen == 0)
		judged->shared = judged->alike = 0;
}

void judge_datasets_left(struct judge *judge, size_t count)
{
	const uint8_t *judged_root;
	size_t judged_at = 0;
	void *judged_value;

	while (map_next(&judge->by_root, &judged_at, &judged_root, &judged_value))
		if (!((struct judged *)judged_value)->is_judging)
			judge_datasets_gone(judged_value, (uint32_t)count);
	for (struct judge_job *job = judge->jobs; job != NULL; job = job->next)
		if (count < job->left)
			job->left = (uint32_t)count;
}

static enum judge_verdict judge_tell(const struct judge *judge, const struct registry *registry, struct judged *judged,
	struct reject *reject, struct errmsg *err)
{
	if (judged->is_bad) {
		if (reject != NULL)
			*reject = judged->reject;
		return JUDGE_BAD;
	}
	if (!judge_catch_up(judge, registry, judged, err))
		return JUDGE_FAILED;
	if (!novelty_resembles(judged->shared, judged->novelty.count))
		return JUDGE_GOOD;
	reject_set(reject, REASON_BAD_CONTRIB_NOVELTY,
		"%" PRIu32 " of its %zu sampled strings are in dataset %" PRIu32 ": 1/3 is the most", judged->shared,
		judged->novelty.count, judged->alike);
	return JUDGE_BAD;
}

/* As it was judged when it came: against those before it. The verdict of that day is not kept. */
bool judge_resemblance(const struct judge *judge, const struct registry *registry, uint32_t number,
	struct judge_resemblance *resemblance, struct errmsg *err)
{
	struct judged fresh = { .used = 0 };
	bool is_found = false;

	switch (samples_get(judge->options.db, registry_get(registry, number)->root, &fresh.novelty, err)) {
	case DB_FOUND:
		is_found = judge_look_up(judge, &fresh, number, err);
		break;
	case DB_MISSING:
		return errmsg_set(err, "The samples of dataset %" PRIu32 " are lost: start with -reindex", number);
	case DB_FAILED:
		return false;
	}
	*resemblance = (struct judge_resemblance){ fresh.alike, fresh.shared, fresh.novelty.count };
	novelty_clear(&fresh.novelty);
	return is_found;
}

/* --- at once --- */

static void judge_take_samples(struct judge *judge, struct judged *judged)
{
	judge->sample_count += judged->novelty.count;
}

/* Whoever needs a verdict now does not wait for a job: it makes its own, which is kept, and the job's counts no more.
 */
static void judge_supersede(struct judge *judge, const uint8_t root[32])
{
	if (map_get(&judge->by_root, root) == NULL)
		return;
	for (struct judge_job *job = judge->jobs; job != NULL; job = job->next)
		if (!job->is_superseded && memcmp(job->judged->root, root, 32) == 0)
			job->is_superseded = true;
	map_remove(&judge->by_root, root);
}

enum judge_verdict judge_bytes(struct judge *judge, const struct registry *registry, const uint8_t root[32],
	const uint8_t *blob_bytes, size_t size, struct reject *reject, struct errmsg *err)
{
	struct judged *judged = judge_find(judge, root);

	if (judged == NULL) {
		judge_supersede(judge, root);
		judged = judge_add(judge, root);
		judged->is_bad = !novelty_check(judge->options.spec, blob_bytes, size, &judged->novelty,
			&judged->reject);
		judge_take_samples(judge, judged);
	}
	judged->used = ++judge->used;
	return judge_tell(judge, registry, judged, reject, err);
}

/* What a verified block registered is not judged by its bytes again: its samples are in the database. */
static struct judged *judge_remember(struct judge *judge, const uint8_t root[32], struct errmsg *err)
{
	struct novelty kept_novelty;
	struct judged *judged;

	if (samples_get(judge->options.db, root, &kept_novelty, err) != DB_FOUND)
		return NULL;
	judge_supersede(judge, root);
	judged = judge_add(judge, root);
	judged->novelty = kept_novelty;
	judge_take_samples(judge, judged);
	return judged;
}

enum judge_verdict judge_blob(struct judge *judge, const struct registry *registry, const uint8_t root[32],
	struct reject *reject, struct errmsg *err)
{
	struct judged *judged = judge_find(judge, root);
	enum judge_verdict verdict = JUDGE_FAILED;
	struct buf blob_bytes;

	if (judged == NULL)
		judged = judge_remember(judge, root, err);
	if (judged != NULL) {
		judged->used = ++judge->used;
		return judge_tell(judge, registry, judged, reject, err);
	}
	buf_init(&blob_bytes);
	if (blobs_read(judge->options.blobs, root, &blob_bytes, err))
		verdict = judge_bytes(judge, registry, root, blob_bytes.data, blob_bytes.size, reject, err);
	buf_clear(&blob_bytes);
	return verdict;
}

/* --- by a job --- */

/* On a worker: touches the file, the database and its own verdict, which nobody else looks at meanwhile. */
static void judge_job_run(void *job_arg)
{
	struct judge_job *job = job_arg;
	struct judged *judged = job->judged;

	if (job->is_in_file)
		job->found = blobs_read_file(job->judge->options.blobs, judged->root, &job->bytes, &job->why);
	job->failed = job->is_in_file && job->found != BLOBS_SOUND;
	if (!job->failed) {
		judged->is_bad = !novelty_check(job->judge->options.spec, job->bytes.data, job->bytes.size,
			&judged->novelty, &judged->reject);
		job->is_disk_failing = !judged->is_bad && !judge_look_up(job->judge, judged, job->end, &job->why);
		job->failed = job->is_disk_failing;
	}
}

/* On the loop again. What failed is as if it had not been begun. */
static void judge_job_done(void *job_arg, bool cancelled)
{
	struct judge_job *job = job_arg, **link = &job->judge->jobs;
	struct judge *judge = job->judge;
	struct judged *judged = job->judged;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	if (job->failed && !job->is_disk_failing)
		log_warn("[chain] a blob cannot be judged: %s", job->why.text);
	/* A file that is not the blob's any more goes, and the blob is asked for again. */
	blobs_note(judge->options.blobs, judged->root, job->found);
	if (job->is_superseded) {
		novelty_clear(&judged->novelty);
		free(judged);
	} else {
		judged->is_judging = false;
		judge_take_samples(judge, judged);
		if (cancelled || job->failed)
			judge_drop(judge, judged);
		else
			judge_datasets_gone(judged, job->left);
	}
	if (!cancelled)
		judge->options.ready(judge->options.context, job->is_disk_failing ? &job->why : NULL);
	if (!cancelled && job->told != NULL)
		job->told(job->told_context);
	buf_clear(&job->bytes);
	free(job);
}

static struct judge_job *judge_job_new(struct judge *judge, const struct registry *registry, const uint8_t root[32])
{
	struct judge_job *job = mem_calloc(1, sizeof *job);

	job->judge = judge;
	job->judged = judge_add(judge, root);
	job->judged->is_judging = true;
	buf_init(&job->bytes);
	job->end = job->left = (uint32_t)registry_count(registry);
	job->next = judge->jobs;
	judge->jobs = job;
	return job;
}

static void judge_post(struct judge_job *job)
{
	struct judge *judge = job->judge;

	queue_post(judge->options.queue,
		&(struct queue_job){
			.kind = QUEUE_LOOSE,
			.rank = QUEUE_LOOSE_RANKS - 1,
			.owner = judge,
			.run = judge_job_run,
			.done = judge_job_done,
			.arg = job,
		});
}

void judge_begin(struct judge *judge, const struct registry *registry, const uint8_t root[32])
{
	uint64_t blob_size = blobs_size(judge->options.blobs, root);
	struct judge_job *job;
	struct errmsg err;

	if (blob_size == 0 || map_get(&judge->by_root, root) != NULL)
		return;
	if (blob_size > JUDGE_AT_ONCE) {
		job = judge_job_new(judge, registry, root);
		job->is_in_file = true;
		judge_post(job);
		return;
	}
	/* Its bytes could be looked at, and the database could not. */
	if (judge_blob(judge, registry, root, NULL, &err) == JUDGE_FAILED && judge_find(judge, root) != NULL)
		judge->options.ready(judge->options.context, &err);
}

/* One that is at work already is joined, by the first who asks. */
bool judge_bytes_soon(struct judge *judge, const struct registry *registry, const uint8_t root[32],
	const uint8_t *blob_bytes, size_t size, judge_told *told, void *context)
{
	struct judge_job *job = judge->jobs;

	if (size <= JUDGE_AT_ONCE || judge_is_ready(judge, root))
		return false;
	while (job != NULL && (job->is_superseded || memcmp(job->judged->root, root, 32) != 0))
		job = job->next;
	if (job != NULL && job->told != NULL)
		return false;
	if (job == NULL) {
		job = judge_job_new(judge, registry, root);
		buf_put(&job->bytes, blob_bytes, size);
		judge_post(job);
	}
	job->told = told;
	job->told_context = context;
	return true;
}

void judge_forget(struct judge *judge, const void *context)
{
	for (struct judge_job *job = judge->jobs; job != NULL; job = job->next)
		if (job->told_context == context)
			job->told = NULL;
}

/* --- life --- */

/* Bytes of blobs whose verdicts are kept: of all that may be pending, and of two blocks that wait. For a block goes on
 * when all its blobs have been judged, and would not if the first made room for the last. */
static size_t judge_cache_bytes(const struct spec *spec)
{
	return BLOBS_PENDING_BUDGET + 2 * (size_t)spec->blob_budget;
}

struct judge *judge_new(const struct judge_options *options)
{
	struct judge *judge = mem_calloc(1, sizeof *judge);
	size_t corpus_size;
	const uint8_t *corpus = course_training(spec_course(options->spec), &corpus_size);

	judge->options = *options;
	judge->samples_max = judge_cache_bytes(options->spec) / NOVELTY_SAMPLE_BYTES;
	judge->verdicts_max = judge_cache_bytes(options->spec) / options->spec->blob_min;
	map_init(&judge->by_root);
	/* A corpus that was made to be a burden is the spec's own: then nothing is held against it. */
	novelty_sample(&judge->corpus, corpus, corpus_size);
	return judge;
}

void judge_free(struct judge *judge)
{
	struct judged *eldest;

	if (judge == NULL)
		return;
	queue_leave(judge->options.queue, judge);
	while ((eldest = judge_eldest(judge)) != NULL)
		judge_drop(judge, eldest);
	map_clear(&judge->by_root);
	novelty_clear(&judge->corpus);
	free(judge);
}
