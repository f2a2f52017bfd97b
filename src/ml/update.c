/* A block's update: deltas become a proposal, the proposal is measured, slots are judged. */
#include "ml/update.h"

#include <fenv.h>
#include <stdlib.h>

#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "util/mem.h"

static bool update_is_cancelled(const atomic_bool *cancel)
{
	return cancel != NULL && atomic_load(cancel);
}

/* ---- The proposal: from deltas to theta', v' ---- */

/* Values handled at a time: small enough for the cache, a multiple of delta blocks and of the sums' lanes. */
enum { UPDATE_RANGE = 4096 };

struct update_proposal {
	const struct update_job *job;
	const struct update_slot *slots;
	float *theta, *v; /* [n] results */
	float mu, eta;
	uint32_t used; /* slots that count */
};

/* mean = (x_1 + x_2 + ...) / count over one slot's proofs, in the block's order: sums of floats have one. */
static void update_slot_mean(const struct update_job *job, uint32_t slot, uint32_t proofs, size_t first, size_t count,
	float *mean)
{
	float decoded[UPDATE_RANGE];
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

/* Element by element, so the range's size changes no bit; slots ascending, as the sum's order is the protocol's
 * (section 10). */
static void update_propose_range(const struct update_proposal *proposal, size_t first, size_t count)
{
	const float *theta = state_theta(proposal->job->parent) + first,
		    *v = state_momentum(proposal->job->parent) + first;
	float update[UPDATE_RANGE], mean[UPDATE_RANGE];
	bool any = false;

	for (uint32_t slot = 0; slot < proposal->job->slots; slot++) {
		if (proposal->slots[slot].state != UPDATE_USED)
			continue;
		update_slot_mean(proposal->job, slot, proposal->slots[slot].count, first, count, any ? mean : update);
		for (size_t j = 0; any && j < count; j++)
			update[j] = update[j] + mean[j];
		any = true;
	}
	for (size_t j = 0; j < count; j++) {
		float u = update[j] / (float)proposal->used;
		float momentum = proposal->mu * v[j] + u;

		proposal->v[first + j] = momentum;
		proposal->theta[first + j] = theta[j] + proposal->eta * (u + proposal->mu * momentum);
	}
}

/* propose(U) over the slots that are UPDATE_USED, one at least. */
static struct state *update_propose_state(const struct train_config *config, const struct update_job *job,
	const struct update_slot *slots)
{
	size_t n = model_count(&config->model);
	struct update_proposal proposal = {
		.job = job,
		.slots = slots,
		.theta = mem_align(n * sizeof(float)),
		.v = mem_align(n * sizeof(float)),
		.mu = (float)config->mu_ppm / 1000000.0f,
		.eta = (float)config->eta_ppm / 1000000.0f,
	};

	for (uint32_t i = 0; i < job->slots; i++)
		proposal.used += slots[i].state == UPDATE_USED;
	for (size_t first = 0; first < n; first += UPDATE_RANGE)
		update_propose_range(&proposal, first, n - first < UPDATE_RANGE ? n - first : UPDATE_RANGE);
	return state_new(&config->model, proposal.theta, proposal.v);
}

static void update_count_proofs(const struct update_job *job, struct update_slot *slots)
{
	for (size_t i = 0; i < job->proof_count; i++)
		slots[job->proofs[i].slot].count++;
	for (uint32_t i = 0; i < job->slots; i++)
		slots[i].state = slots[i].count > 0 ? UPDATE_USED : UPDATE_EMPTY;
}

/* ---- Values ---- */

#define UPDATE_VALUE_MAX ((int64_t)1 << 47)

/* In double the scaling is exact, and so is the rounding by adding and taking away 1.5 * 2^52. */
int64_t update_value(float nats)
{
	double scaled = (double)nats * 4294967296.0;

	if (!float_is_finite(nats))
		return -UPDATE_VALUE_MAX;
	if (scaled >= (double)UPDATE_VALUE_MAX)
		return UPDATE_VALUE_MAX;
	if (scaled <= -(double)UPDATE_VALUE_MAX)
		return -UPDATE_VALUE_MAX;
	return (int64_t)((scaled + 0x1.8p52) - 0x1.8p52);
}

static int64_t update_floor_divide(int64_t sum, int64_t count)
{
	return sum / count - (sum % count != 0 && sum < 0);
}

ML_CLONES static void update_add_lanes(float lane[16], const float *x, const float *y, size_t count)
{
	math_dot16_add(lane, x, y, count);
}

/* -dot16(decode(delta), slope, n), decoded range by range. */
static float update_proof_value(const uint8_t *delta, const float *slope, size_t n)
{
	float lane[16] = { 0 }, decoded[UPDATE_RANGE];

	for (size_t first = 0; first < n; first += UPDATE_RANGE) {
		size_t count = n - first < UPDATE_RANGE ? n - first : UPDATE_RANGE;

		delta_decode(delta, first, count, decoded);
		update_add_lanes(lane, decoded, slope + first, count);
	}
	return -math_fold16(lane);
}

/* A proof's value is rounded to an integer before it is summed up, so the order of proofs does not matter from here on,
 * and what a coinbase states is what everybody adds. Fills the slots' values, and leaves out those below the threshold.
 * Returns how many are left out. 257 values of 2^47 at most: their sum is far from 64 bits. */
static uint32_t update_judge_slots(const struct update_job *job, const float *slope, size_t n,
	struct update_slot *slots)
{
	uint32_t left_out = 0;

	for (size_t i = 0; i < job->proof_count; i++)
		slots[job->proofs[i].slot].value += update_value(update_proof_value(job->proofs[i].delta, slope, n));
	for (uint32_t i = 0; i < job->slots; i++) {
		if (slots[i].count == 0)
			continue;
		slots[i].value = update_floor_divide(slots[i].value, slots[i].count);
		if (job->leave_out && slots[i].value < -job->v_ref) {
			slots[i].state = UPDATE_LEFT_OUT;
			left_out++;
		}
	}
	return left_out;
}

/* ---- The update ---- */

static bool update_any_used(const struct update_job *job, const struct update_slot *slots)
{
	for (uint32_t i = 0; i < job->slots; i++)
		if (slots[i].state == UPDATE_USED)
			return true;
	return false;
}

/* Whether a proposal with this loss becomes the next state: it does not predict the benchmark worse than the gate
 * allows, and can be computed with. A loss that is no number passes no gate: the comparison is false. */
static bool update_is_accepted(const struct train_config *config, const struct benchmark *before,
	const struct state *proposed, float after)
{
	size_t n = model_count(&config->model);

	return after <= before->loss * ((float)config->gate_ppm / 1000000.0f) &&
		float_all_finite(state_theta(proposed), n) && float_all_finite(state_momentum(proposed), n);
}

/* Measures *proposed and judges its slots; where some are left out, *proposed becomes what the others propose. False if
 * there is no loss *after it. */
static bool update_judge_proposal(struct backend *backend, const struct update_job *job, struct update_slot *slots,
	float *slope, struct state **proposed, float *after)
{
	size_t n = model_count(&backend->config.model);

	if (job->benchmark->fails ||
		!benchmark_measure(job->benchmark, backend, *proposed, job->windows, job->cancel, slope, after))
		return false;
	/* The mean of both gradients: a value is the trapezoid's area under the slope from one state to the other. */
	for (size_t i = 0; i < n; i++)
		slope[i] = (job->benchmark->gradient[i] + slope[i]) * 0.5f;
	if (update_judge_slots(job, slope, n, slots) == 0)
		return true;
	if (!update_any_used(job, slots))
		return false;
	state_unref(*proposed);
	*proposed = update_propose_state(&backend->config, job, slots);
	const struct backend_batch batch = { *proposed, job->windows, backend->config.bench_rows, job->cancel };

	return backend_loss(backend, &batch, after) && float_is_finite(*after);
}

/* What a void block leaves: the parent's parameters without momentum. Theta is untouched, so a void block costs the
 * model nothing but a step's time and its momentum. */
static struct state *update_void_state(const struct state *parent)
{
	size_t bytes = model_count(state_config(parent)) * sizeof(float);
	float *theta = mem_align(bytes), *momentum = mem_align(bytes);

	memcpy(theta, state_theta(parent), bytes);
	memset(momentum, 0, bytes);
	return state_new(state_config(parent), theta, momentum);
}

struct state *update_execute(struct backend *backend, const struct update_job *job, struct update_outcome *outcome)
{
	float *slope = mem_align(model_count(&backend->config.model) * sizeof(float)), after;
	struct state *proposed;

	fesetenv(FE_DFL_ENV);
	*outcome = (struct update_outcome){ .loss_before = job->benchmark->loss, .loss_after = NAN };
	update_count_proofs(job, outcome->slots);
	proposed = update_propose_state(&backend->config, job, outcome->slots);
	if (update_judge_proposal(backend, job, outcome->slots, slope, &proposed, &after)) {
		outcome->loss_after = after;
		outcome->is_void = !update_is_accepted(&backend->config, job->benchmark, proposed, after);
	} else {
		outcome->is_void = true;
	}
	free(slope);
	/* Asked last of all: a pass that was cancelled looks like one that failed, and must not make a block void. */
	if (!outcome->is_void && !update_is_cancelled(job->cancel))
		return proposed;
	state_unref(proposed);
	return update_is_cancelled(job->cancel) ? NULL : update_void_state(job->parent);
}

/* Nothing is measured: the outcome says what came of it, so a state is rebuilt from the bodies without a gradient. */
struct state *update_replay(const struct train_config *config, const struct update_job *job,
	const struct update_outcome *outcome)
{
	struct update_slot slots[UPDATE_SLOTS_MAX] = { 0 };

	fesetenv(FE_DFL_ENV);
	update_count_proofs(job, slots);
	for (uint32_t i = 0; i < job->slots; i++)
		if (slots[i].state == UPDATE_USED && outcome->slots[i].state == UPDATE_LEFT_OUT)
			slots[i].state = UPDATE_LEFT_OUT;
	if (outcome->is_void || !update_any_used(job, slots))
		return update_void_state(job->parent);
	return update_propose_state(config, job, slots);
}
