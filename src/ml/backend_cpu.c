/* A step on the processor: its iterations, and the delta of what they changed. */
#include "ml/backend_cpu.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/delta.h"
#include "ml/kernel/adamw.h"
#include "ml/kernel/float.h"
#include "ml/kernel/ops.h"
#include "ml/kernel/probe.h"
#include "util/mem.h"
#include "util/team.h"

/* One worker's memory. The weights w start as a copy of the state's in every step, so whoever holds the state may go on
 * reading it; gradient is the step's delta in the end. Whoever measures a changed state has its weights in w. */
struct cpu {
	struct backend base; /* the first */
	struct team *team;
	struct model *model;
	size_t count;
	float *w, *m, *v, *gradient; /* [count] each */
};

/* Tokens times parameters from which an iteration takes long enough (milliseconds) to share it out. */
#define CPU_SHARED_MIN ((uint64_t)1 << 26)

static unsigned cpu_threads(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	(void)kind;
	return (uint64_t)config->batch * config->model.ctx * model_count(&config->model) >= CPU_SHARED_MIN ? threads :
													     1;
}

/* A kind's functions are given nothing but what its own cpu_create made. */
static struct cpu *cpu_of(struct backend *backend)
{
	return (struct cpu *)backend;
}

static struct backend *cpu_create(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	struct cpu *cpu = mem_alloc(sizeof *cpu);

	cpu->team = team_new(cpu_threads(kind, config, threads));
	cpu->model = model_new(&config->model, backend_cpu_engine(kind), cpu->team);
	if (config->segments > 0)
		model_set_least_weight(cpu->model, STEP_LEAST_WEIGHT);
	cpu->count = model_count(&config->model);
	cpu->w = mem_align(cpu->count * sizeof(float));
	cpu->m = mem_align(cpu->count * sizeof(float));
	cpu->v = mem_align(cpu->count * sizeof(float));
	cpu->gradient = mem_align(cpu->count * sizeof(float));
	return &cpu->base;
}

/* What cpu_create will take, told before it does; the threads' own stacks aside. */
static size_t cpu_memory(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	return mem_aligned_size(model_memory(&config->model, cpu_threads(kind, config, threads))) +
		4 * mem_aligned_size(model_count(&config->model) * sizeof(float));
}

static void cpu_free(struct backend *backend)
{
	struct cpu *cpu = cpu_of(backend);

	model_free(cpu->model);
	team_free(cpu->team);
	free(cpu->w);
	free(cpu->m);
	free(cpu->v);
	free(cpu->gradient);
	free(cpu);
}

/* What is computed with: the state's weights, or those that a code makes of them, in w. */
static const float *cpu_weights(struct cpu *cpu, const struct state *state, const uint8_t *change)
{
	const float *theta = state_theta(state);

	if (change == NULL)
		return theta;
	delta_decode(change, 0, cpu->count, cpu->w);
	for (size_t i = 0; i < cpu->count; i++)
		cpu->w[i] = theta[i] + cpu->w[i];
	return cpu->w;
}

/* ---- The step ---- */

/* What the optimizer's tasks share. */
struct cpu_optimisation {
	struct cpu *cpu;
	struct adamw adamw;
};

/* One part of theta. Norms and the embedding do not decay. */
static void cpu_optimise_tensor(void *arg, size_t task, unsigned member)
{
	const struct cpu_optimisation *optimisation = arg;
	struct cpu *cpu = optimisation->cpu;
	struct adamw adamw = optimisation->adamw;
	struct model_tensor tensor;

	(void)member;
	fesetenv(FE_DFL_ENV);
	model_tensor(&cpu->base.config.model, task, &tensor);
	adamw.wd = tensor.kind == MODEL_NORM || tensor.kind == MODEL_EMBEDDING ?
		0.0f :
		(float)cpu->base.config.wd_ppm / 1000000.0f;
	adamw_apply(&adamw, cpu->gradient + tensor.offset, tensor.rows * tensor.cols, cpu->w + tensor.offset,
		cpu->m + tensor.offset, cpu->v + tensor.offset);
}

/* One iteration, t from 1. Its rows are numbered on from the iterations before, so that no two of a step are dithered
 * alike. The gradient is not divided by its norm but scaled within AdamW, in the one product the protocol has. False if
 * the step fails or was cancelled. */
static bool cpu_iteration(struct cpu *cpu, const struct step_job *job, uint32_t iteration, float powers[2], float *loss)
{
	const uint8_t *windows = job->windows +
		(iteration - 1) * (size_t)cpu->base.config.batch * (cpu->base.config.model.ctx + 1);
	struct cpu_optimisation optimisation = { .cpu = cpu,
		.adamw = { .lr = (float)cpu->base.config.lr_ppm / 1000000.0f } };

	const struct pass_dither dither = { job->seed, (iteration - 1) * cpu->base.config.batch };

	bool ok;

	model_set_census(cpu->model, iteration == 1 ? job->census : NULL);
	ok = pass_gradient(cpu->model, cpu->w, windows, cpu->base.config.batch, dither, job->cancel, cpu->gradient,
		loss);
	model_set_census(cpu->model, NULL);
	if (!ok)
		return false;
	float square = ops_squares(cpu->gradient, cpu->count);

	if (!float_is_finite(*loss) || !float_is_finite(square))
		return false;
	float norm = sqrtf(square);

	optimisation.adamw.gradient_scale = norm > 1.0f ? 1.0f / norm : 1.0f;
	adamw_corrections(iteration, powers, &optimisation.adamw);
	team_run(cpu->team, cpu_optimise_tensor, &optimisation, model_tensors(&cpu->base.config.model));
	profile_lap(model_profile(cpu->model), PROFILE_OPTIMIZER);
	return true;
}

static enum step_result cpu_step(struct backend *backend, const struct step_job *job, uint8_t *delta)
{
	struct cpu *cpu = cpu_of(backend);
	const float *theta = state_theta(job->state), *weights;
	const uint32_t iterations = job->iterations > 0 ? job->iterations : cpu->base.config.iterations;
	float powers[2] = { 0 }, loss;

	/* A library built for speed may have told this thread to flush subnormals. */
	fesetenv(FE_DFL_ENV);
	weights = cpu_weights(cpu, job->state, job->start);
	if (weights != cpu->w)
		memcpy(cpu->w, weights, cpu->count * sizeof(float));
	memset(cpu->m, 0, cpu->count * sizeof(float));
	memset(cpu->v, 0, cpu->count * sizeof(float));
	for (uint32_t iteration = 1; iteration <= iterations; iteration++) {
		bool ok = cpu_iteration(cpu, job, iteration, powers, &loss);

		if (job->cancel != NULL && atomic_load(job->cancel))
			return STEP_CANCELLED;
		if (model_wrong(cpu->model))
			return STEP_MISCALCULATED;
		if (!ok || (iteration == 1 && job->begins != NULL && !job->begins(job->begins_context, loss)))
			return STEP_FAILED;
		if (job->iterations_done != NULL)
			atomic_store(job->iterations_done, iteration);
		if (job->progress != NULL)
			job->progress(job->progress_context, iteration, loss);
	}
	for (size_t i = 0; i < cpu->count; i++)
		cpu->gradient[i] = cpu->w[i] - theta[i];
	/* Where a weight is not finite the difference is not either, and that cannot be encoded. */
	return delta_encode(cpu->gradient, cpu->count, job->seed, delta) ? STEP_OK : STEP_FAILED;
}

/* ---- Measuring a state ---- */

static bool cpu_gradient(struct backend *backend, const struct backend_batch *batch, struct pass_dither dither,
	float *gradient, float *loss)
{
	struct cpu *cpu = cpu_of(backend);

	return pass_gradient(cpu->model, cpu_weights(cpu, batch->state, batch->change), batch->windows, batch->rows,
		dither, batch->cancel, gradient, loss);
}

static bool cpu_loss(struct backend *backend, const struct backend_batch *batch, float *loss)
{
	struct cpu *cpu = cpu_of(backend);

	bool ok;

	model_set_census(cpu->model, batch->census);
	ok = pass_loss(cpu->model, cpu_weights(cpu, batch->state, batch->change), batch->windows, batch->rows,
		batch->cancel, loss);
	model_set_census(cpu->model, NULL);
	return ok;
}

static void cpu_check(struct backend *backend, bool on)
{
	model_check(cpu_of(backend)->model, on);
}

static bool cpu_wrong(const struct backend *backend)
{
	return model_wrong(((const struct cpu *)backend)->model);
}

struct model *backend_cpu_model(struct backend *backend)
{
	return cpu_of(backend)->model;
}

/* ---- The kinds ---- */

static bool cpu_usable(const struct backend_kind *kind, struct errmsg *err)
{
	return engine_usable(backend_cpu_engine(kind), err);
}

static void cpu_probe(const struct backend_kind *kind, struct sha256 *hash)
{
	probe_run(backend_cpu_engine(kind), hash);
}

#define CPU_KIND(kind_name, kind_reference)                                                                   \
	{                                                                                                     \
		.name = (kind_name), .reference = (kind_reference), .usable = cpu_usable, .probe = cpu_probe, \
		.threads = cpu_threads, .memory = cpu_memory, .create = cpu_create, .free = cpu_free,         \
		.execute = cpu_step, .gradient = cpu_gradient, .loss = cpu_loss, .check = cpu_check,          \
		.wrong = cpu_wrong,                                                                           \
	}

/* An engine's kind has its number. Declared first, as rows point at each other. */
static const struct backend_kind cpu_kinds[ENGINE_PLAIN + 1];

static const struct backend_kind cpu_kinds[ENGINE_PLAIN + 1] = {
	[ENGINE_OPENBLAS] = CPU_KIND("openblas", &cpu_kinds[ENGINE_REFERENCE]),
	[ENGINE_REFERENCE] = CPU_KIND("reference", NULL),
	[ENGINE_ONEDNN] = CPU_KIND("onednn", &cpu_kinds[ENGINE_REFERENCE]),
	[ENGINE_PLAIN] = CPU_KIND("plain", NULL),
};

const struct backend_kind *backend_cpu(enum engine engine)
{
	return &cpu_kinds[engine];
}

enum engine backend_cpu_engine(const struct backend_kind *kind)
{
	return (enum engine)(kind - cpu_kinds);
}
