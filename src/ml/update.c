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
	bool rounds; /* the momentum belongs to their merges (ml/merge.h) */
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
	/* All slots divide, those without an update too: what few have trained moves the model less. */
	for (size_t j = 0; j < count; j++) {
		float u = any ? update[j] / (float)proposal->job->slots : 0.0f;
		float momentum = proposal->mu * v[j] + u;

		proposal->v[first + j] = proposal->rounds ? v[j] : momentum;
		proposal->theta[first + j] = theta[j] +
			proposal->eta * (proposal->rounds ? u : u + proposal->mu * momentum);
	}
}

/* propose(U) over the slots that are UPDATE_USED; without any, U is +0. */
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
		.rounds = config->segments > 0,
	};

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

/* ---- Integers ---- */

#define UPDATE_VALUE_MAX ((int64_t)1 << 47)

/* Own pages are known at a loss below this part of their bytes' entropy. */
#define UPDATE_KNOWN 0.875f

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

/* ---- Measurements ---- */

ML_CLONES static void update_add_lanes(float lane[16], const float *x, const float *y, size_t count)
{
	math_dot16_add(lane, x, y, count);
}

/* dot16(decode(delta), slope, n), decoded range by range. */
static float update_product(const uint8_t *delta, const float *slope, size_t n)
{
	float lane[16] = { 0 }, decoded[UPDATE_RANGE];

	for (size_t first = 0; first < n; first += UPDATE_RANGE) {
		size_t count = n - first < UPDATE_RANGE ? n - first : UPDATE_RANGE;

		delta_decode(delta, first, count, decoded);
		update_add_lanes(lane, decoded, slope + first, count);
	}
	return math_fold16(lane);
}

/* Two states are measured, the parent's and the one proposed, by group 0, that of the reserved text, and groups 1 + s,
 * those of the slots that have one. */
enum { UPDATE_RESERVED, UPDATE_OWN, UPDATE_GROUPS = 1 + UPDATE_SLOTS_MAX };

struct update_measurement {
	uint32_t number;           /* 0 of the parent's state, 1 of the proposed one */
	float loss[UPDATE_GROUPS]; /* of the groups that there are */
	float *products[2];        /* [proofs] with G of the reserved text, of its slot's own pages */
};

/* All rows of a block are numbered, those of groups that are not there too: so a row's dither is the same for each
 * child of the parent. */
static bool update_group(const struct update_job *job, const struct train_config *config, uint32_t number,
	uint32_t index, struct benchmark_group *group)
{
	const uint32_t own_rows = course_own_rows(config),
		       first_row = number * (config->bench_rows + job->slots * own_rows);

	*group = (struct benchmark_group){ job->windows, config->bench_rows, first_row };
	if (index == 0)
		return true;
	if (job->own == NULL || job->own[index - 1].windows == NULL)
		return false;
	*group = (struct benchmark_group){ job->own[index - 1].windows, own_rows,
		first_row + config->bench_rows + (index - 1) * own_rows };
	return true;
}

static void update_multiply(const struct update_job *job, uint32_t index, const float *slope, size_t n,
	struct update_measurement *measurement)
{
	for (size_t i = 0; i < job->proof_count; i++) {
		if (index == 0)
			measurement->products[UPDATE_RESERVED][i] = update_product(job->proofs[i].delta, slope, n);
		else if (job->proofs[i].slot == index - 1)
			measurement->products[UPDATE_OWN][i] = update_product(job->proofs[i].delta, slope, n);
	}
}

/* Gradients come one by one into the same memory: only their products with the proofs are kept. False if one has no
 * result. */
static bool update_measure(struct backend *backend, const struct update_job *job, const struct state *state,
	float *gradient, struct update_measurement *measurement)
{
	const size_t n = model_count(&backend->config.model);
	struct benchmark_group group;

	for (uint32_t index = 0; index <= job->slots; index++) {
		if (!update_group(job, &backend->config, measurement->number, index, &group))
			continue;
		if (measurement->number == 0 && index == 0) {
			if (job->benchmark->fails)
				return false;
			measurement->loss[0] = job->benchmark->loss;
			update_multiply(job, 0, job->benchmark->gradient, n, measurement);
			continue;
		}
		if (!benchmark_measure(backend, state, &group, job->benchmark->ticket, job->cancel, gradient,
			    &measurement->loss[index]))
			return false;
		update_multiply(job, index, gradient, n, measurement);
	}
	return true;
}

/* The losses alone, of a state that is proposed a second time. */
static bool update_measure_losses(struct backend *backend, const struct update_job *job, const struct state *state,
	struct update_measurement *measurement)
{
	struct benchmark_group group;

	for (uint32_t index = 0; index <= job->slots; index++) {
		if (!update_group(job, &backend->config, measurement->number, index, &group))
			continue;
		const struct backend_batch batch = { .state = state,
			.windows = group.windows,
			.rows = group.rows,
			.cancel = job->cancel };

		if (!backend_loss(backend, &batch, &measurement->loss[index]) ||
			!float_is_finite(measurement->loss[index]))
			return false;
	}
	return true;
}

/* The mean over the windows of all groups. */
static float update_whole_loss(const struct update_job *job, const struct train_config *config,
	const struct update_measurement *measurement)
{
	uint32_t rows = config->bench_rows;
	float sum = (float)rows * measurement->loss[0];
	struct benchmark_group group;

	for (uint32_t index = 1; index <= job->slots; index++) {
		if (!update_group(job, config, measurement->number, index, &group))
			continue;
		sum = sum + (float)group.rows * measurement->loss[index];
		rows += group.rows;
	}
	return sum / (float)rows;
}

/* ---- Judging slots ---- */

/* What a proof did to a group's loss: the trapezoid's area under the slope from one state to the other. It is rounded
 * to an integer before it is summed up, so the order of proofs does not matter from here on, and what a coinbase states
 * is what everybody adds. */
static int64_t update_proof_value(const struct update_measurement measurements[2], int kind, size_t proof)
{
	return update_value(-((measurements[0].products[kind][proof] + measurements[1].products[kind][proof]) * 0.5f));
}

/* Fills what the slots were worth, and leaves out those that harm the reserved text by more than the threshold: only
 * what the model knows is paid, so that noise, whose own pages it cannot know, earns nothing. Returns how many are left
 * out. 257 values of 2^47 at most: their sum is far from 64 bits. */
static uint32_t update_judge_slots(const struct update_job *job, const struct update_measurement measurements[2],
	struct update_slot *slots)
{
	uint32_t left_out = 0;

	for (size_t i = 0; i < job->proof_count; i++) {
		struct update_slot *slot = &slots[job->proofs[i].slot];

		slot->effect += update_proof_value(measurements, UPDATE_RESERVED, i);
		if (job->own != NULL && job->own[job->proofs[i].slot].windows != NULL)
			slot->own += update_proof_value(measurements, UPDATE_OWN, i);
	}
	for (uint32_t i = 0; i < job->slots; i++) {
		struct update_slot *slot = &slots[i];

		if (slot->count == 0)
			continue;
		slot->effect = update_floor_divide(slot->effect, slot->count);
		slot->own = update_floor_divide(slot->own, slot->count);
		slot->known = job->own != NULL && job->own[i].windows != NULL &&
			measurements[0].loss[1 + i] < UPDATE_KNOWN * job->own[i].entropy;
		if (slot->effect < -job->v_ref) {
			slot->state = UPDATE_LEFT_OUT;
			left_out++;
		}
		slot->value = slot->known && slot->state == UPDATE_USED ? slot->own : 0;
	}
	return left_out;
}

/* ---- The update ---- */

/* Whether a proposal becomes the next state: it predicts neither the reserved text nor all windows together worse than
 * the gate allows, and can be computed with. A loss that is no number passes no gate: the comparison is false. */
static bool update_is_accepted(const struct train_config *config, const struct update_job *job,
	const struct state *proposed, const struct update_measurement measurements[2])
{
	const float gate = (float)config->gate_ppm / 1000000.0f;
	size_t n = model_count(&config->model);

	return measurements[1].loss[0] <= measurements[0].loss[0] * gate &&
		update_whole_loss(job, config, &measurements[1]) <=
		update_whole_loss(job, config, &measurements[0]) * gate &&
		float_all_finite(state_theta(proposed), n) && float_all_finite(state_momentum(proposed), n);
}

/* Measures *proposed and judges its slots; where some are left out, *proposed becomes what the others propose. False if
 * there are no losses after it. */
static bool update_judge_proposal(struct backend *backend, const struct update_job *job, struct update_slot *slots,
	struct state **proposed, struct update_measurement measurements[2])
{
	float *gradient = mem_align(model_count(&backend->config.model) * sizeof(float));
	bool measured = update_measure(backend, job, job->parent, gradient, &measurements[0]) &&
		update_measure(backend, job, *proposed, gradient, &measurements[1]);

	free(gradient);
	if (!measured || update_judge_slots(job, measurements, slots) == 0)
		return measured;
	state_unref(*proposed);
	*proposed = update_propose_state(&backend->config, job, slots);
	return update_measure_losses(backend, job, *proposed, &measurements[1]);
}

/* What a void block leaves: the parent's parameters, and its momentum slowed down. Theta is untouched, so a void block
 * costs the model nothing but a step's time. In a chain with rounds nothing changes: blocks have no part in momentum.
 */
static struct state *update_void_state(const struct train_config *config, const struct state *parent)
{
	const float mu = (float)config->mu_ppm / 1000000.0f;
	size_t n = model_count(&config->model);
	float *theta = mem_align(n * sizeof(float)), *momentum = mem_align(n * sizeof(float));

	memcpy(theta, state_theta(parent), n * sizeof(float));
	memcpy(momentum, state_momentum(parent), n * sizeof(float));
	for (size_t i = 0; config->segments == 0 && i < n; i++)
		momentum[i] = mu * momentum[i];
	return state_new(&config->model, theta, momentum);
}

struct state *update_execute(struct backend *backend, const struct update_job *job, struct update_outcome *outcome)
{
	float *products = mem_calloc(4 * job->proof_count, sizeof *products);
	struct update_measurement measurements[2] = {
		{ .number = 0, .products = { products, products + job->proof_count } },
		{ .number = 1, .products = { products + 2 * job->proof_count, products + 3 * job->proof_count } },
	};
	struct state *proposed;

	fesetenv(FE_DFL_ENV);
	*outcome = (struct update_outcome){ .loss_before = job->benchmark->loss, .loss_after = NAN };
	update_count_proofs(job, outcome->slots);
	proposed = update_propose_state(&backend->config, job, outcome->slots);
	if (update_judge_proposal(backend, job, outcome->slots, &proposed, measurements)) {
		outcome->loss_after = measurements[1].loss[0];
		outcome->is_void = !update_is_accepted(&backend->config, job, proposed, measurements);
	} else {
		outcome->is_void = true;
	}
	free(products);
	/* Asked last of all: a pass that was cancelled looks like one that failed, and must not make a block void. */
	if (!outcome->is_void && !update_is_cancelled(job->cancel))
		return proposed;
	state_unref(proposed);
	return update_is_cancelled(job->cancel) ? NULL : update_void_state(&backend->config, job->parent);
}

/* Nothing is measured: the outcome says what came of it, so a state is rebuilt from the bodies without a gradient. */
struct state *update_replay(const struct train_config *config, const struct update_job *job,
	const struct update_outcome *outcome)
{
	struct update_slot slots[UPDATE_SLOTS_MAX] = { 0 };

	fesetenv(FE_DFL_ENV);
	if (outcome->is_void)
		return update_void_state(config, job->parent);
	update_count_proofs(job, slots);
	for (uint32_t i = 0; i < job->slots; i++)
		if (slots[i].state == UPDATE_USED && outcome->slots[i].state == UPDATE_LEFT_OUT)
			slots[i].state = UPDATE_LEFT_OUT;
	return update_propose_state(config, job, slots);
}
