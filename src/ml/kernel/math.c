/* What ml/kernel/math.h keeps from the compiler's sight. */
#include "ml/kernel/math.h"

#include "ml/kernel/float.h"

const float math_exp_range[2] = { -87.0f, 87.0f };
