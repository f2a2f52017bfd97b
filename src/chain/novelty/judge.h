/* Who judges blobs that are to be registered: by themselves (consensus/blob/novelty.h), and against the datasets of the
 * active chain.
 *
 * A verdict on the bytes alone holds for good. What a blob has in common with datasets is counted once for those that
 * are registered, then for those that come; when some go, it is counted again as far as need be. A large blob takes a
 * second or two, so that is a job; small ones are judged at once. Verdicts are kept for the newest blobs. */
#ifndef ATELIER_CHAIN_NOVELTY_JUDGE_H
#define ATELIER_CHAIN_NOVELTY_JUDGE_H

#include "chain/blobs.h"
#include "consensus/blob/novelty.h"
#include "consensus/branch/registry.h"
#include "store/db.h"
#include "util/queue.h"

struct judge;

struct judge_options {
	const struct spec *spec;
	struct db *db;
	struct blobs *blobs;
	struct queue *queue;
	/* A job has ended: what waited for its blob may go on. `failure` is not NULL where the database could not be
	 * read. */
	void (*ready)(void *context, const struct errmsg *failure);
	void *context;
};

struct judge *judge_new(const struct judge_options *options);
void judge_free(struct judge *judge); /* waits for its jobs */

/* Whether there is a verdict on the blob. If not, judge_begin sees to it, if the blob is here: at once, or by a job. */
bool judge_is_ready(const struct judge *judge, const uint8_t root[32]);
void judge_begin(struct judge *judge, const struct registry *registry, const uint8_t root[32]);

/* Whether the blob is known to be no contribution on any branch, as its bytes alone are refused; without looking at it.
 */
bool judge_knows_bad(const struct judge *judge, const uint8_t root[32], struct reject *reject);

/* The verdict against all datasets of the registry, which is that of the tip; what is missing of it is found out at
 * once. FAILED: the bytes are needed and not here, or the database cannot be read. */
enum judge_verdict { JUDGE_GOOD, JUDGE_BAD, JUDGE_FAILED };
enum judge_verdict judge_blob(struct judge *judge, const struct registry *registry, const uint8_t root[32],
	struct reject *reject, struct errmsg *err);
/* The same of bytes that need not be stored. */
enum judge_verdict judge_bytes(struct judge *judge, const struct registry *registry, const uint8_t root[32],
	const uint8_t *blob_bytes, size_t size, struct reject *reject, struct errmsg *err);

/* Whether they are judged by a job, as large ones without a verdict are: then `told` is called on the loop when
 * judge_bytes answers at once, and the bytes are the caller's again already. False: it does so now, or nearly. */
typedef void judge_told(void *context);
bool judge_bytes_soon(struct judge *judge, const struct registry *registry, const uint8_t root[32],
	const uint8_t *blob_bytes, size_t size, judge_told *told, void *context);
/* Who asked for that is told nothing any more. */
void judge_forget(struct judge *judge, const void *context);

/* What a registered dataset has in common with one that was registered before it: the one that has most of its samples.
 * For people; a large one takes a second or two. */
struct judge_resemblance {
	uint32_t dataset;
	size_t shared, samples; /* of its own, `shared` are in the other too */
};
bool judge_resemblance(const struct judge *judge, const struct registry *registry, uint32_t number,
	struct judge_resemblance *resemblance, struct errmsg *err);

/* Samples of a blob that judge_blob just found good; borrowed until the next blob is judged. */
const struct novelty *judge_novelty(const struct judge *judge, const uint8_t root[32]);

/* So many datasets are left after a block was taken back. */
void judge_datasets_left(struct judge *judge, size_t count);

#endif
