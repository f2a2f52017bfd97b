/* Which format a file of weights has, and the state that begins with it. */
#include "ml/files/weights.h"

#include <stdlib.h>
#include <string.h>

#include "ml/files/gguf.h"
#include "ml/files/safetensors.h"
#include "util/mem.h"

enum { WEIGHTS_HEADER_ROOM = 1 << 24 };

/* F32 is the widest type that is read; the rest is for headers, names and padding, and for lists of some 50,000
 * datasets. */
size_t weights_size_max(const struct model_config *config)
{
	return sizeof(float) * model_count(config) + WEIGHTS_HEADER_ROOM;
}

bool weights_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta, struct errmsg *err)
{
	return gguf_is(data, size) ? gguf_read(config, data, size, theta, err) :
				     safetensors_read(config, data, size, theta, err);
}

bool weights_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err)
{
	*sizes = (struct model_config){ 0 };
	return gguf_is(data, size) ? gguf_sizes(data, size, sizes, err) : safetensors_sizes(data, size, sizes, err);
}

struct state *weights_state(const struct model_config *config, const uint8_t *data, size_t size, struct errmsg *err)
{
	size_t theta_bytes = model_count(config) * sizeof(float);
	float *theta = mem_align(theta_bytes), *momentum = mem_align(theta_bytes);

	if (!weights_read(config, data, size, theta, err)) {
		free(theta);
		free(momentum);
		return NULL;
	}
	memset(momentum, 0, theta_bytes);
	return state_new(config, theta, momentum);
}
