/* Files of weights, as other programs know them, whichever format they have.
 *
 * Formats: safetensors (ml/files/safetensors.h), with the names of a Hugging Face LlamaForCausalLM; GGUF
 * (ml/files/gguf.h), as llama.cpp loads it. A model written in F32 and read again is the same to the last bit. Nothing
 * here is consensus, but for a private chain whose spec names such a file as its initial state (doc/protocol.md
 * section 16). */
#ifndef ATELIER_ML_FILES_WEIGHTS_H
#define ATELIER_ML_FILES_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/state.h"
#include "util/error.h"

/* The most bytes a file of such a model may have: its floats, and room for a header. */
size_t weights_size_max(const struct model_config *config);

/* Reads a file of either format, told apart by the first bytes, into theta: model_count floats. False if it does
 * not fit the sizes, with the tensor at fault in err; theta is then undefined. config must pass model_config_check. */
bool weights_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta,
	struct errmsg *err);

/* The sizes of the model that such a file holds, for weights_read to check. What the file does not tell is left 0:
 * heads and ctx of safetensors, whose config.json tells them (ml/files/huggingface.h). False if it is no such file, or
 * its model computes otherwise than ours. */
bool weights_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err);

/* The state that begins with such a file's parameters: its outer momentum is zero. NULL if the file does not fit. */
struct state *weights_state(const struct model_config *config, const uint8_t *data, size_t size, struct errmsg *err);

#endif
