/* A step: its iterations, and the delta of what they changed. */
#include "ml/step.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>

#include "ml/delta.h"
#include "ml/kernel/adamw.h"
#include "ml/kernel/float.h"
#include "ml/kernel/ops.h"
#include "ml/pass.h"
#include "util/mem.h"
#include "util/team.h"

enum { ITERATIONS_MAX = 1024, ROWS_MAX = 1024, PPM_LIMIT = 1 << 24 };

const char *train_config_check(const struct train_config *c)
{
	const char *wrong = model_config_check(&c->model);

	if (wrong != NULL)
		return wrong;
	if (c->iterations < 1 || c->iterations > ITERATIONS_MAX)
		return "iterations must be 1 to 1024";
	if (c->batch < 1 || c->batch > ROWS_MAX)
		return "batch must be 1 to 1024";
	if (c->bench_rows < 1 || c->bench_rows > ROWS_MAX)
		return "bench_rows must be 1 to 1024";
	if (c->lr_ppm < 1)
		return "lr_ppm must be 1 at least: nothing would be learned";
	if (c->lr_ppm >= PPM_LIMIT || c->wd_ppm >= PPM_LIMIT || c->mu_ppm >= PPM_LIMIT || c->eta_ppm >= PPM_LIMIT ||
		c->gate_ppm >= PPM_LIMIT)
		return "rates must be below 2^24 parts per million";
	return NULL;
}

static size_t minibatch_size(const struct train_config *c)
{
	return (size_t)c->batch * (c->model.ctx + 1);
}

size_t step_windows_size(const struct train_config *config)
{
	return config->iterations * minibatch_size(config);
}

size_t step_delta_size(const struct train_config *config)
{
	return delta_size(model_count(&config->model));
}

struct step {
	struct train_config config;
	struct team *team;
	struct model *model;
	size_t count;
	float *w, *m, *v, *gradient; /* [count] each */
};

/* Tokens times parameters from which an iteration takes long enough (milliseconds) to share it out. */
#define SHARED_MIN ((uint64_t)1 << 26)

static unsigned members_of(const struct train_config *c, unsigned threads)
{
	return (uint64_t)c->batch * c->model.ctx * model_count(&c->model) >= SHARED_MIN ? threads : 1;
}

struct step *step_new(const struct train_config *config, enum engine engine, unsigned threads)
{
	struct step *s = mem_alloc(sizeof *s);

	s->config = *config;
	s->team = team_new(members_of(config, threads));
	s->model = model_new(&config->model, engine, s->team);
	s->count = model_count(&config->model);
	s->w = mem_align(s->count * sizeof(float));
	s->m = mem_align(s->count * sizeof(float));
	s->v = mem_align(s->count * sizeof(float));
	s->gradient = mem_align(s->count * sizeof(float));
	return s;
}

size_t step_memory(const struct train_config *config, unsigned threads)
{
	return mem_aligned_size(model_memory(&config->model, members_of(config, threads))) +
		4 * mem_aligned_size(model_count(&config->model) * sizeof(float));
}

void step_free(struct step *s)
{
	if (s == NULL)
		return;
	model_free(s->model);
	team_free(s->team);
	free(s->w);
	free(s->m);
	free(s->v);
	free(s->gradient);
	free(s);
}

struct model *step_model(struct step *s)
{
	return s->model;
}

const struct train_config *step_config(const struct step *s)
{
	return &s->config;
}

/* What the optimizer's tasks share. */
struct optimisation {
	struct step *step;
	struct adamw adamw;
};

/* One part of theta. Norms and the embedding do not decay. */
static void optimise_tensor(void *arg, size_t task, unsigned member)
{
	const struct optimisation *o = arg;
	struct step *s = o->step;
	struct adamw a = o->adamw;
	struct model_tensor t;

	(void)member;
	fesetenv(FE_DFL_ENV);
	model_tensor(&s->config.model, task, &t);
	a.wd = t.kind == MODEL_NORM || t.kind == MODEL_EMBEDDING ? 0.0f : (float)s->config.wd_ppm / 1000000.0f;
	adamw_apply(&a, s->gradient + t.offset, t.rows * t.cols, s->w + t.offset, s->m + t.offset, s->v + t.offset);
}

/* One iteration, t from 1; false if the step fails or was cancelled. */
static bool run_iteration(struct step *s, const struct step_job *job, uint32_t t, float powers[2], float *loss)
{
	const uint8_t *windows = job->windows + (t - 1) * minibatch_size(&s->config);
	struct optimisation o = { .step = s, .adamw = { .lr = (float)s->config.lr_ppm / 1000000.0f } };

	const struct pass_dither dither = { job->seed, (t - 1) * s->config.batch };

	if (!pass_gradient(s->model, s->w, windows, s->config.batch, dither, job->cancel, s->gradient, loss))
		return false;
	float square = ops_squares(s->gradient, s->count);

	if (!float_is_finite(*loss) || !float_is_finite(square))
		return false;
	float norm = sqrtf(square);

	o.adamw.gradient_scale = norm > 1.0f ? 1.0f / norm : 1.0f;
	adamw_corrections(t, powers, &o.adamw);
	team_run(s->team, optimise_tensor, &o, model_tensors(&s->config.model));
	profile_lap(model_profile(s->model), PROFILE_OPTIMIZER);
	return true;
}

static enum step_result run_step(struct step *s, const struct step_job *job, uint8_t *delta)
{
	const float *theta = state_theta(job->state);
	float powers[2] = { 0 }, loss;

	/* A library built for speed may have told this thread to flush subnormals. */
	fesetenv(FE_DFL_ENV);
	memcpy(s->w, theta, s->count * sizeof(float));
	memset(s->m, 0, s->count * sizeof(float));
	memset(s->v, 0, s->count * sizeof(float));
	for (uint32_t t = 1; t <= s->config.iterations; t++) {
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

enum step_result step_execute(struct step *s, const struct step_job *job, uint8_t *delta)
{
	model_check(s->model, job->checked);
	enum step_result result = run_step(s, job, delta);

	model_check(s->model, false);
	return result;
}
