/* A batch's way through the model, forward and back (doc/protocol.md section 4): the work behind ml/model.h. */
#ifndef ATELIER_ML_PASS_H
#define ATELIER_ML_PASS_H

#include "ml/model.h"

/* As model_gradient, with a gradient that starts as zeros; as model_loss, without any dither, if gradient is NULL. */
bool pass_run(struct model *m, const float *theta, const uint8_t *windows, size_t rows, struct model_dither dither,
	const atomic_bool *cancel, float *gradient, float *loss);

#endif
