#include "ml/math.h"

#include "ml/float.h"

const float math_exp_range[2] = { -87.0f, 87.0f };
