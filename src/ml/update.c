/* A block's update: deltas become a proposal, the proposal is measured, slots are judged. */
#include "ml/update.h"

#include <fenv.h>
#include <stdlib.h>

#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/pass.h"
#include "util/mem.h"

/* ---- The benchmark at one state ---- */

struct benchmark {
	bool fails; /* the pass fails, or its loss or gradient is not finite */
	float loss;
	float *gradient; /* [n] */
	uint8_t ticket[32];
	atomic_size_t references;
};

static bool is_cancelled(const atomic_bool *cancel)
{
	return cancel != NULL && atomic_load(cancel);
}

static bool all_finite(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!float_is_finite(x[i]))
			return false;
	return true;
}

/* Loss and gradient number `which`, 0 at the parent's state and 1 at the proposed one. False if the pass fails, is
 * cancelled, or gives anything that is not finite. */
static bool measure_state(struct step *s, const float *theta, const uint8_t *windows, const uint8_t ticket[32],
	uint32_t which, const atomic_bool *cancel, float *gradient, float *loss)
{
	const struct train_config *config = step_config(s);
	const struct pass_dither dither = { ticket, which * config->bench_rows };

	return pass_gradient(step_model(s), theta, windows, config->bench_rows, dither, cancel, gradient, loss) &&
		float_is_finite(*loss) && all_finite(gradient, model_count(&config->model));
}

struct benchmark *benchmark_new(struct step *s, const struct state *state, const uint8_t *windows,
	const uint8_t ticket[32], const atomic_bool *cancel)
{
	struct benchmark *b = mem_alloc(sizeof *b);

	fesetenv(FE_DFL_ENV);
	b->gradient = mem_align(model_count(state_config(state)) * sizeof(float));
	b->loss = NAN;
	atomic_init(&b->references, 1);
	memcpy(b->ticket, ticket, 32);
	b->fails = !measure_state(s, state_theta(state), windows, ticket, 0, cancel, b->gradient, &b->loss);
	if (is_cancelled(cancel)) {
		benchmark_unref(b);
		return NULL;
	}
	return b;
}

struct benchmark *benchmark_ref(struct benchmark *b)
{
	atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
	return b;
}

void benchmark_unref(struct benchmark *b)
{
	if (b == NULL || atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) > 1)
		return;
	free(b->gradient);
	free(b);
}

/* ---- The proposal: from deltas to theta', v' ---- */

/* Values handled at a time: small enough for the cache, a multiple of delta blocks and of the sums' lanes. */
enum { RANGE = 4096 };

struct proposal {
	const struct update_job *job;
	const struct update_slot *slots;
	float *theta, *v; /* [n] results */
	float mu, eta;
	uint32_t used; /* slots that count */
};

/* mean = (x_1 + x_2 + ...) / count over one slot's proofs. */
static void slot_mean(const struct update_job *job, uint32_t slot, uint32_t proofs, size_t first, size_t count,
	float *mean)
{
	float decoded[RANGE];
	bool any = false;

	for (size_t i = 0; i < job->proof_count; i++) {
		if (job->proofs[i].slot != slot)
			continue;
		delta_decode(job->proofs[i].delta, first, count, any ? decoded : mean);
		for (size_t j = 0; any && j < count; j++)
			mean[j] = mean[j] + decoded[j];
		any = true;
	}
	for (size_t j = 0; j < count; j++)
		mean[j] = mean[j] / (float)proofs;
}

static void propose_range(const struct proposal *p, size_t first, size_t count)
{
	const float *theta = state_theta(p->job->parent) + first, *v = state_momentum(p->job->parent) + first;
	float update[RANGE], mean[RANGE];
	bool any = false;

	for (uint32_t slot = 0; slot < p->job->slots; slot++) {
		if (p->slots[slot].state != UPDATE_USED)
			continue;
		slot_mean(p->job, slot, p->slots[slot].count, first, count, any ? mean : update);
		for (size_t j = 0; any && j < count; j++)
			update[j] = update[j] + mean[j];
		any = true;
	}
	for (size_t j = 0; j < count; j++) {
		float u = update[j] / (float)p->used;
		float momentum = p->mu * v[j] + u;

		p->v[first + j] = momentum;
		p->theta[first + j] = theta[j] + p->eta * (u + p->mu * momentum);
	}
}

/* propose(U) over the slots that are UPDATE_USED (one at least) into theta and v. */
static void propose_state(const struct train_config *config, const struct update_job *job,
	const struct update_slot *slots, float *theta, float *v)
{
	struct proposal p = {
		.job = job,
		.slots = slots,
		.theta = theta,
		.v = v,
		.mu = (float)config->mu_ppm / 1000000.0f,
		.eta = (float)config->eta_ppm / 1000000.0f,
	};
	size_t n = model_count(&config->model);

	for (uint32_t i = 0; i < job->slots; i++)
		p.used += slots[i].state == UPDATE_USED;
	for (size_t first = 0; first < n; first += RANGE)
		propose_range(&p, first, n - first < RANGE ? n - first : RANGE);
}

static void count_proofs(const struct update_job *job, struct update_slot *slots)
{
	for (size_t i = 0; i < job->proof_count; i++)
		slots[job->proofs[i].slot].count++;
	for (uint32_t i = 0; i < job->slots; i++)
		slots[i].state = slots[i].count > 0 ? UPDATE_USED : UPDATE_EMPTY;
}

/* ---- Values ---- */

#define VALUE_MAX ((int64_t)1 << 47)

/* In double the scaling is exact, and so is the rounding by adding and taking away 1.5 * 2^52. */
int64_t update_value(float x)
{
	double scaled = (double)x * 4294967296.0;

	if (!float_is_finite(x))
		return -VALUE_MAX;
	if (scaled >= (double)VALUE_MAX)
		return VALUE_MAX;
	if (scaled <= -(double)VALUE_MAX)
		return -VALUE_MAX;
	return (int64_t)((scaled + 0x1.8p52) - 0x1.8p52);
}

static int64_t floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b != 0 && a < 0);
}

ML_CLONES static void add_lanes(float lane[16], const float *x, const float *y, size_t count)
{
	math_dot16_add(lane, x, y, count);
}

/* -dot16(decode(delta), slope, n), decoded range by range. */
static float proof_value(const uint8_t *delta, const float *slope, size_t n)
{
	float lane[16] = { 0 }, decoded[RANGE];

	for (size_t first = 0; first < n; first += RANGE) {
		size_t count = n - first < RANGE ? n - first : RANGE;

		delta_decode(delta, first, count, decoded);
		add_lanes(lane, decoded, slope + first, count);
	}
	return -math_fold16(lane);
}

/* Fills the slots' values, and leaves out those below the threshold. Returns how many are left out. */
static uint32_t judge_slots(const struct update_job *job, const float *slope, size_t n, struct update_slot *slots)
{
	uint32_t left_out = 0;

	for (size_t i = 0; i < job->proof_count; i++)
		slots[job->proofs[i].slot].value += update_value(proof_value(job->proofs[i].delta, slope, n));
	for (uint32_t i = 0; i < job->slots; i++) {
		if (slots[i].count == 0)
			continue;
		slots[i].value = floor_divide(slots[i].value, slots[i].count);
		if (job->leave_out && slots[i].value < -job->v_ref) {
			slots[i].state = UPDATE_LEFT_OUT;
			left_out++;
		}
	}
	return left_out;
}

/* ---- The update ---- */

static bool any_used(const struct update_job *job, const struct update_slot *slots)
{
	for (uint32_t i = 0; i < job->slots; i++)
		if (slots[i].state == UPDATE_USED)
			return true;
	return false;
}

/* Fills theta and v with the final state and the outcome's slots. False if the block is void (or cancelled). */
static bool try_update(struct step *s, const struct update_job *job, float *theta, float *v, float *slope,
	struct update_outcome *outcome)
{
	const struct train_config *config = step_config(s);
	size_t n = model_count(&config->model);
	float after;

	propose_state(config, job, outcome->slots, theta, v);
	if (job->benchmark->fails ||
		!measure_state(s, theta, job->windows, job->benchmark->ticket, 1, job->cancel, slope, &after))
		return false;
	for (size_t i = 0; i < n; i++)
		slope[i] = (job->benchmark->gradient[i] + slope[i]) * 0.5f;
	if (judge_slots(job, slope, n, outcome->slots) > 0) {
		if (!any_used(job, outcome->slots))
			return false;
		propose_state(config, job, outcome->slots, theta, v);
		if (!pass_loss(step_model(s), theta, job->windows, config->bench_rows, job->cancel, &after) ||
			!float_is_finite(after))
			return false;
	}
	outcome->loss_after = after;
	return after <= job->benchmark->loss * ((float)config->gate_ppm / 1000000.0f) && all_finite(theta, n) &&
		all_finite(v, n);
}

/* What a void block leaves: the parent's parameters without momentum. */
static struct state *void_state(const struct state *parent, float *theta, float *v)
{
	size_t bytes = model_count(state_config(parent)) * sizeof(float);

	memcpy(theta, state_theta(parent), bytes);
	memset(v, 0, bytes);
	return state_new(state_config(parent), theta, v);
}

struct state *update_execute(struct step *s, const struct update_job *job, struct update_outcome *outcome)
{
	const struct model_config *config = state_config(job->parent);
	size_t bytes = model_count(config) * sizeof(float);
	float *theta = mem_align(bytes), *v = mem_align(bytes), *slope = mem_align(bytes);

	fesetenv(FE_DFL_ENV);
	*outcome = (struct update_outcome){ .loss_before = job->benchmark->loss, .loss_after = NAN };
	count_proofs(job, outcome->slots);
	outcome->is_void = !try_update(s, job, theta, v, slope, outcome);
	free(slope);
	if (is_cancelled(job->cancel)) {
		free(theta);
		free(v);
		return NULL;
	}
	return outcome->is_void ? void_state(job->parent, theta, v) : state_new(config, theta, v);
}

struct state *update_replay(const struct train_config *config, const struct update_job *job,
	const struct update_outcome *outcome)
{
	size_t bytes = model_count(&config->model) * sizeof(float);
	float *theta = mem_align(bytes), *v = mem_align(bytes);
	struct update_slot slots[UPDATE_SLOTS_MAX] = { 0 };

	fesetenv(FE_DFL_ENV);
	count_proofs(job, slots);
	for (uint32_t i = 0; i < job->slots; i++)
		if (slots[i].state == UPDATE_USED && outcome->slots[i].state == UPDATE_LEFT_OUT)
			slots[i].state = UPDATE_LEFT_OUT;
	if (outcome->is_void || !any_used(job, slots))
		return void_state(job->parent, theta, v);
	propose_state(config, job, slots, theta, v);
	return state_new(&config->model, theta, v);
}
