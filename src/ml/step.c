/* The sizes of what goes into a step and comes out. */
#include "ml/step.h"

#include "ml/delta.h"

size_t step_windows_size(const struct train_config *config)
{
	return (size_t)config->iterations * config->batch * (config->model.ctx + 1);
}

size_t step_delta_size(const struct train_config *config)
{
	return delta_size(model_count(&config->model));
}
