/* Blobs that come and go in parts (chain/chain.h): drafts that grow as bytes arrive, and pieces of what is here.
 *
 * A root is held against all bytes at once, which takes a while for large ones: so a worker does it, for a draft when
 * it is whole, for a blob of an earlier run before the first piece of it goes out. Whose bytes are looked at is named
 * by the root alone, as the blob may be gone by then, and others may be here. */
#include "chain/intake/blob_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain/halt.h"
#include "chain/intake/blob_intake.h"
#include "chain/internal.h"
#include "util/file.h"
#include "util/mem.h"

enum {
	BLOB_PARTS_AT_ONCE = 1 << 20, /* bytes of a blob that the loop itself holds against the root */
	BLOB_PARTS_AHEAD = 256 << 20, /* bytes that are read after a start: some seconds of a disk */
};

struct blob_draft {
	struct chain *chain;
	char *path;
	uint8_t root[32];
	uint64_t size, added;
	struct source source;
	chain_draft_told *told; /* NULL: nobody waits for it any more */
	void *context;
	bool is_in_work; /* a job looks at it */
	bool is_readable, matches;
	struct errmsg why;
};

struct blob_check {
	struct chain *chain;
	uint8_t root[32];
	enum blobs_found found;
	uint32_t ahead; /* datasets below this number are next; 0: nothing is */
	uint64_t left;  /* bytes that they may have */
};

/* --- what comes in --- */

struct blob_draft *chain_draft_new(struct chain *chain, const uint8_t root[32], uint64_t size,
	const struct source *source)
{
	struct blob_draft *draft = mem_calloc(1, sizeof *draft);

	draft->chain = chain;
	draft->path = blobs_draft_path(chain->blobs, root);
	memcpy(draft->root, root, 32);
	draft->size = size;
	draft->source = *source;
	return draft;
}

static void blob_draft_free(struct blob_draft *draft)
{
	file_remove(draft->path, NULL);
	free(draft->path);
	free(draft);
}

/* A descriptor only while it is written: there may be as many drafts as peers owe bytes. */
bool chain_draft_add(struct blob_draft *draft, const uint8_t *bytes, size_t count)
{
	struct errmsg err;
	bool added;
	int fd;

	if (draft->chain->failed)
		return false;
	fd = open(draft->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		errmsg_set(&err, "%s cannot be written: %s", draft->path, strerror(errno));
		added = false;
	} else {
		added = file_write_at(fd, draft->added, bytes, count, draft->path, &err);
		close(fd);
	}
	if (!added)
		halt_fail(draft->chain, &err);
	draft->added += count;
	return added;
}

/* On a worker. Synced here, so that the loop only renames it. */
static void blob_draft_run(void *job_arg)
{
	struct blob_draft *draft = job_arg;
	uint8_t found_root[32];

	draft->is_readable = blobs_file_root(draft->path, draft->size, found_root, &draft->why) &&
		file_sync(draft->path, &draft->why);
	draft->matches = draft->is_readable && memcmp(found_root, draft->root, 32) == 0;
}

static enum chain_result blob_draft_take(const struct blob_draft *draft, struct reject *reject)
{
	struct blob_bytes bytes = { .draft_path = draft->path, .size = (size_t)draft->size, .source = &draft->source };
	struct chain *chain = draft->chain;

	memcpy(bytes.root, draft->root, 32);
	if (!draft->is_readable)
		halt_fail(chain, &draft->why);
	if (chain->failed)
		return halt_explain(chain, CHAIN_ERROR, reject);
	if (draft->matches)
		return blob_intake_take(chain, &bytes, false, reject);
	reject_set(reject, REASON_BAD_BLOB_ROOT, "the bytes do not match the root");
	return CHAIN_REJECTED;
}

/* Told last: by then the draft may be dropped by nobody any more. */
static void blob_draft_done(void *job_arg, bool cancelled)
{
	struct blob_draft *draft = job_arg;
	chain_draft_told *told = draft->told;
	void *context = draft->context;
	struct reject reject = { .reason = "" };
	enum chain_result result;

	if (cancelled || draft->chain->closing || told == NULL) {
		blob_draft_free(draft);
		return;
	}
	result = blob_draft_take(draft, &reject);
	told = draft->told;
	blob_draft_free(draft);
	if (told != NULL)
		told(context, result, &reject);
}

void chain_draft_end(struct blob_draft *draft, chain_draft_told *told, void *context)
{
	draft->told = told;
	draft->context = context;
	draft->is_in_work = true;
	queue_post(draft->chain->queue,
		&(struct queue_job){
			.kind = QUEUE_FILE,
			.rank = QUEUE_FILE_RANKS - 1,
			.owner = draft->chain->blobs,
			.run = blob_draft_run,
			.done = blob_draft_done,
			.arg = draft,
		});
}

void chain_draft_drop(struct blob_draft *draft)
{
	if (draft->is_in_work)
		draft->told = NULL;
	else
		blob_draft_free(draft);
}

/* --- what goes out --- */

uint64_t chain_blob_size(const struct chain *chain, const uint8_t root[32])
{
	return blobs_size(chain->blobs, root);
}

static void blob_check_run(void *job_arg)
{
	struct blob_check *check = job_arg;
	struct errmsg err;

	check->found = blobs_check_file(check->chain->blobs, check->root, &err);
}

static void blob_check_next(struct chain *chain, uint32_t datasets, uint64_t left);

static void blob_check_done(void *job_arg, bool cancelled)
{
	struct blob_check *check = job_arg;

	if (!cancelled) {
		blobs_note(check->chain->blobs, check->root, check->found);
		blob_check_next(check->chain, check->ahead, check->left);
	}
	free(check);
}

/* Of a blob that blobs_begin_check has given. */
static void blob_check_post(struct chain *chain, const uint8_t root[32], uint32_t ahead, uint64_t left)
{
	struct blob_check *check = mem_calloc(1, sizeof *check);

	check->chain = chain;
	check->ahead = ahead;
	check->left = left;
	memcpy(check->root, root, 32);
	queue_post(chain->queue,
		&(struct queue_job){
			.kind = QUEUE_FILE,
			.rank = ahead > 0 ? QUEUE_FILE_RANKS - 1 : 0,
			.owner = chain->blobs,
			.run = blob_check_run,
			.done = blob_check_done,
			.arg = check,
		});
}

/* Of the datasets below that number the last one that nobody has looked at. Meanwhile a branch may have taken some
 * away. */
static void blob_check_next(struct chain *chain, uint32_t datasets, uint64_t left)
{
	if (chain->closing || chain->failed)
		return;
	while (datasets > 1) {
		const struct dataset *dataset = --datasets < registry_count(chain->registry) ?
			registry_get(chain->registry, datasets) :
			NULL;

		if (dataset == NULL || dataset->size > left || !blobs_begin_check(chain->blobs, dataset->root))
			continue;
		blob_check_post(chain, dataset->root, datasets, left - dataset->size);
		return;
	}
}

void blob_parts_check_ahead(struct chain *chain)
{
	blob_check_next(chain, (uint32_t)registry_count(chain->registry), BLOB_PARTS_AHEAD);
}

/* Who asks for a part waits in a line of his own until it is ready, so there are no more jobs than peers; and they come
 * behind drafts, since asking costs nothing and a block may wait for a draft. */
bool chain_blob_ready(struct chain *chain, const uint8_t root[32])
{
	const uint64_t size = blobs_size(chain->blobs, root);

	if (size <= BLOB_PARTS_AT_ONCE || !blobs_begin_check(chain->blobs, root))
		return size <= BLOB_PARTS_AT_ONCE || blobs_is_checked(chain->blobs, root);
	blob_check_post(chain, root, 0, 0);
	return false;
}

bool chain_read_piece(struct chain *chain, const uint8_t root[32], uint64_t offset, size_t count, struct buf *bytes,
	struct errmsg *err)
{
	return blobs_read_piece(chain->blobs, root, offset, count, bytes, err);
}

void blob_parts_stop(struct chain *chain)
{
	if (chain->blobs != NULL)
		queue_leave(chain->queue, chain->blobs);
}
