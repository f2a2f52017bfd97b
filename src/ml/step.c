/* The limits of a step's configuration, and the sizes of what goes into a step and comes out. */
#include "ml/step.h"

#include "ml/delta.h"

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

size_t step_windows_size(const struct train_config *config)
{
	return (size_t)config->iterations * config->batch * (config->model.ctx + 1);
}

size_t step_delta_size(const struct train_config *config)
{
	return delta_size(model_count(&config->model));
}
