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
 * reading it; gradient is the step's delta in the end. */
struct cpu {
	struct backend base; /* the first */
	struct team *team;
	struct model *model;
	size_t count;
	float *w, *m, *v, *gradient; /* [count] each */
};

/* Tokens times parameters from which an iteration takes long enough (milliseconds) to share it out. */
#define SHARED_MIN ((uint64_t)1 << 26)

static unsigned cpu_threads(const struct backend_kind *kind, const struct train_config *c, unsigned threads)
{
	(void)kind;
	return (uint64_t)c->batch * c->model.ctx * model_count(&c->model) >= SHARED_MIN ? threads : 1;
}

/* A kind's functions are given nothing but what its own create_cpu made. */
static struct cpu *cpu_of(struct backend *b)
{
	return (struct cpu *)b;
}

static struct backend *create_cpu(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	struct cpu *s = mem_alloc(sizeof *s);

	s->team = team_new(cpu_threads(kind, config, threads));
	s->model = model_new(&config->model, backend_cpu_engine(kind), s->team);
	s->count = model_count(&config->model);
	s->w = mem_align(s->count * sizeof(float));
	s->m = mem_align(s->count * sizeof(float));
	s->v = mem_align(s->count * sizeof(float));
	s->gradient = mem_align(s->count * sizeof(float));
	return &s->base;
}

/* What create_cpu will take, told before it does; the threads' own stacks aside. */
static size_t cpu_memory(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	return mem_aligned_size(model_memory(&config->model, cpu_threads(kind, config, threads))) +
		4 * mem_aligned_size(model_count(&config->model) * sizeof(float));
}

static void free_cpu(struct backend *b)
{
	struct cpu *s = cpu_of(b);

	model_free(s->model);
	team_free(s->team);
	free(s->w);
	free(s->m);
	free(s->v);
	free(s->gradient);
	free(s);
}

/* ---- The step ---- */

/* What the optimizer's tasks share. */
struct optimisation {
	struct cpu *cpu;
	struct adamw adamw;
};

/* One part of theta. Norms and the embedding do not decay. */
static void optimise_tensor(void *arg, size_t task, unsigned member)
{
	const struct optimisation *o = arg;
	struct cpu *s = o->cpu;
	struct adamw a = o->adamw;
	struct model_tensor t;

	(void)member;
	fesetenv(FE_DFL_ENV);
	model_tensor(&s->base.config.model, task, &t);
	a.wd = t.kind == MODEL_NORM || t.kind == MODEL_EMBEDDING ? 0.0f : (float)s->base.config.wd_ppm / 1000000.0f;
	adamw_apply(&a, s->gradient + t.offset, t.rows * t.cols, s->w + t.offset, s->m + t.offset, s->v + t.offset);
}

/* One iteration, t from 1. Its rows are numbered on from the iterations before, so that no two of a step are dithered
 * alike. The gradient is not divided by its norm but scaled within AdamW, in the one product the protocol has. False if
 * the step fails or was cancelled. */
static bool run_iteration(struct cpu *s, const struct step_job *job, uint32_t t, float powers[2], float *loss)
{
	const uint8_t *windows = job->windows + (t - 1) * (size_t)s->base.config.batch * (s->base.config.model.ctx + 1);
	struct optimisation o = { .cpu = s, .adamw = { .lr = (float)s->base.config.lr_ppm / 1000000.0f } };

	const struct pass_dither dither = { job->seed, (t - 1) * s->base.config.batch };

	if (!pass_gradient(s->model, s->w, windows, s->base.config.batch, dither, job->cancel, s->gradient, loss))
		return false;
	float square = ops_squares(s->gradient, s->count);

	if (!float_is_finite(*loss) || !float_is_finite(square))
		return false;
	float norm = sqrtf(square);

	o.adamw.gradient_scale = norm > 1.0f ? 1.0f / norm : 1.0f;
	adamw_corrections(t, powers, &o.adamw);
	team_run(s->team, optimise_tensor, &o, model_tensors(&s->base.config.model));
	profile_lap(model_profile(s->model), PROFILE_OPTIMIZER);
	return true;
}

static enum step_result run_step(struct backend *b, const struct step_job *job, uint8_t *delta)
{
	struct cpu *s = cpu_of(b);
	const float *theta = state_theta(job->state);
	float powers[2] = { 0 }, loss;

	/* A library built for speed may have told this thread to flush subnormals. */
	fesetenv(FE_DFL_ENV);
	memcpy(s->w, theta, s->count * sizeof(float));
	memset(s->m, 0, s->count * sizeof(float));
	memset(s->v, 0, s->count * sizeof(float));
	for (uint32_t t = 1; t <= s->base.config.iterations; t++) {
		bool ok = run_iteration(s, job, t, powers, &loss);

		if (job->cancel != NULL && atomic_load(job->cancel))
			return STEP_CANCELLED;
		if (model_wrong(s->model))
			return STEP_MISCALCULATED;
		if (!ok)
			return STEP_FAILED;
		if (job->progress != NULL)
			job->progress(job->progress_context, t, loss);
	}
	for (size_t i = 0; i < s->count; i++)
		s->gradient[i] = s->w[i] - theta[i];
	/* Where a weight is not finite the difference is not either, and that cannot be encoded. */
	return delta_encode(s->gradient, s->count, job->seed, delta) ? STEP_OK : STEP_FAILED;
}

/* ---- Measuring a state ---- */

static bool measure_gradient(struct backend *b, const struct backend_batch *batch, struct pass_dither dither,
	float *gradient, float *loss)
{
	return pass_gradient(cpu_of(b)->model, state_theta(batch->state), batch->windows, batch->rows, dither,
		batch->cancel, gradient, loss);
}

static bool measure_loss(struct backend *b, const struct backend_batch *batch, float *loss)
{
	return pass_loss(cpu_of(b)->model, state_theta(batch->state), batch->windows, batch->rows, batch->cancel, loss);
}

static void check_model(struct backend *b, bool on)
{
	model_check(cpu_of(b)->model, on);
}

static bool model_is_wrong(const struct backend *b)
{
	return model_wrong(((const struct cpu *)b)->model);
}

struct model *backend_cpu_model(struct backend *b)
{
	return cpu_of(b)->model;
}

/* ---- The kinds ---- */

static bool cpu_usable(const struct backend_kind *kind, struct errmsg *err)
{
	return engine_usable(backend_cpu_engine(kind), err);
}

static void probe_cpu(const struct backend_kind *kind, struct sha256 *hash)
{
	probe_run(backend_cpu_engine(kind), hash);
}

#define CPU_KIND(kind_name, kind_reference)                                                                    \
	{                                                                                                      \
		.name = (kind_name), .reference = (kind_reference), .usable = cpu_usable, .probe = probe_cpu,  \
		.threads = cpu_threads, .memory = cpu_memory, .create = create_cpu, .free = free_cpu,          \
		.execute = run_step, .gradient = measure_gradient, .loss = measure_loss, .check = check_model, \
		.wrong = model_is_wrong,                                                                       \
	}

/* An engine's kind has its number. Declared first, as rows point at each other. */
static const struct backend_kind kinds[ENGINE_PLAIN + 1];

static const struct backend_kind kinds[ENGINE_PLAIN + 1] = {
	[ENGINE_OPENBLAS] = CPU_KIND("openblas", &kinds[ENGINE_REFERENCE]),
	[ENGINE_REFERENCE] = CPU_KIND("reference", NULL),
	[ENGINE_ONEDNN] = CPU_KIND("onednn", &kinds[ENGINE_REFERENCE]),
	[ENGINE_PLAIN] = CPU_KIND("plain", NULL),
};

const struct backend_kind *backend_cpu(enum engine engine)
{
	return &kinds[engine];
}

enum engine backend_cpu_engine(const struct backend_kind *kind)
{
	return (enum engine)(kind - kinds);
}
