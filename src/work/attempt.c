/* One training step on one template, and what its ticket is worth. */
#include "work/attempt.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/target.h"
#include "crypto/hash.h"
#include "util/mem.h"

void attempt_init(struct attempt *attempt, const struct spec *spec)
{
	memset(attempt, 0, sizeof *attempt);
	attempt->spec = spec;
}

void attempt_reset(struct attempt *attempt)
{
	if (attempt->block != NULL)
		block_unref(attempt->block);
	state_unref(attempt->state);
	free(attempt->windows);
	free(attempt->body);
	attempt->block = NULL;
	attempt->state = NULL;
	attempt->windows = NULL;
	attempt->body = NULL;
	atomic_store(&attempt->cancel, false);
	atomic_store(&attempt->iterations_done, 0);
}

void attempt_clear(struct attempt *attempt)
{
	attempt_reset(attempt);
	backend_free(attempt->backend);
	attempt->backend = NULL;
}

/* The workspace, made on the worker that fills it. Another one where its kind proved wrong since the last run. */
static void attempt_take_backend(struct attempt *attempt)
{
	const struct backend_kind *attempt_kind = backend_selected();

	if (attempt->backend != NULL && attempt->backend->kind == attempt_kind)
		return;
	backend_free(attempt->backend);
	attempt->backend = backend_new(attempt_kind, &spec_course(attempt->spec)->train, 1);
}

bool attempt_is_advanced(const struct attempt *attempt)
{
	return 2 * atomic_load(&attempt->iterations_done) >= spec_course(attempt->spec)->train.iterations;
}

void attempt_run(struct attempt *attempt)
{
	const size_t body_size = block_body_size(attempt->spec);
	struct header *attempt_header = &attempt->block->header;
	uint8_t attempt_seed[32];
	const struct step_job attempt_step = {
		.state = attempt->state,
		.seed = attempt_seed,
		.windows = attempt->windows,
		.cancel = &attempt->cancel,
		.iterations_done = &attempt->iterations_done,
	};

	attempt_take_backend(attempt);
	header_seed(attempt_header, attempt_seed);
	attempt->body = mem_alloc(body_size);
	attempt->result = backend_execute(attempt->backend, &attempt_step, attempt->body);
	if (attempt->result == STEP_OK)
		sha256(attempt_header->digest, attempt->body, body_size);
}

enum attempt_worth attempt_worth(const struct spec *spec, const struct header *header)
{
	struct u256 attempt_target;
	uint8_t attempt_ticket[32];

	if (!target_from_compact(header->bits, &attempt_target))
		return ATTEMPT_NOTHING;
	header_ticket(header, attempt_ticket);
	if (target_met(attempt_ticket, attempt_target))
		return ATTEMPT_BLOCK;
	return target_met(attempt_ticket, target_share(attempt_target, spec->k)) ? ATTEMPT_SHARE : ATTEMPT_NOTHING;
}
