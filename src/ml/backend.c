/* The way from what is asked to the kind that does it, and whether that kind is trusted. */
#include "ml/backend.h"

#include "util/warning.h"

bool backend_usable(const struct backend_kind *kind, struct errmsg *err)
{
	return kind->usable(kind, err);
}

void backend_probe(const struct backend_kind *kind, struct sha256 *hash)
{
	kind->probe(kind, hash);
}

unsigned backend_threads(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	return kind->threads(kind, config, threads);
}

size_t backend_memory(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	return kind->memory(kind, config, threads);
}

struct backend *backend_new(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	struct backend *backend = kind->create(kind, config, threads);

	backend->kind = kind;
	backend->config = *config;
	return backend;
}

void backend_free(struct backend *backend)
{
	if (backend != NULL)
		backend->kind->free(backend);
}

enum step_result backend_execute(struct backend *backend, const struct step_job *job, uint8_t *delta)
{
	enum step_result result;

	backend_check(backend, job->checked);
	result = backend->kind->execute(backend, job, delta);
	backend_check(backend, false);
	return result;
}

bool backend_gradient(struct backend *backend, const struct backend_batch *batch, struct pass_dither dither,
	float *gradient, float *loss)
{
	return backend->kind->gradient(backend, batch, dither, gradient, loss);
}

bool backend_loss(struct backend *backend, const struct backend_batch *batch, float *loss)
{
	return backend->kind->loss(backend, batch, loss);
}

void backend_check(struct backend *backend, bool on)
{
	backend->kind->check(backend, on);
}

bool backend_wrong(const struct backend *backend)
{
	return backend->kind->wrong(backend);
}

/* ---- The kind that this process computes with ---- */

/* A worker may find its kind wrong while others go on: they look here before each step, and change then. Trust only
 * falls: what one thread says of a kind after another said that nothing is left changes nothing. */
static _Atomic(const struct backend_kind *) backend_in_use;
static _Atomic enum backend_trust backend_trust_now = BACKEND_TRUSTED;

void backend_select(const struct backend_kind *kind)
{
	atomic_store(&backend_in_use, kind);
	atomic_store(&backend_trust_now, BACKEND_TRUSTED);
}

const struct backend_kind *backend_selected(void)
{
	return atomic_load(&backend_in_use);
}

void backend_distrust(const struct backend_kind *kind, const char *found_out)
{
	if (kind->reference == NULL) {
		atomic_store(&backend_trust_now, BACKEND_NONE);
		warning_set(WARNING_ENGINE,
			"This machine computes wrongly without a BLAS too (%.60s): its memory or processor is at "
			"fault, and nothing can be verified on it",
			found_out);
		return;
	}
	atomic_store(&backend_in_use, kind->reference);
	if (atomic_load(&backend_trust_now) == BACKEND_NONE)
		return;
	atomic_store(&backend_trust_now, BACKEND_REPLACED);
	warning_set(WARNING_ENGINE,
		"The engine %s computes wrongly on this machine (%.60s): the slow reference engine verifies, "
		"and nothing is mined. Test memory and processor, or restart with another -engine",
		kind->name, found_out);
}

enum backend_trust backend_trust(void)
{
	return atomic_load(&backend_trust_now);
}
