/* Weights as safetensors: the length of a JSON header (u64), the header, the tensors' bytes in little-endian order.
 *
 * Source: the format's description in huggingface/safetensors. Tensors are written as F32, read as F16 or BF16 too, and
 * have the names of transformers' LlamaForCausalLM, whose rotary embedding pairs i and i + hd / 2 as ours does, so that
 * the bytes of all tensors together are theta. See ml/files/tensorfile.h for sink and source. */
#ifndef ATELIER_ML_FILES_SAFETENSORS_H
#define ATELIER_ML_FILES_SAFETENSORS_H

#include "ml/files/tensorfile.h"

/* What the file will have. */
size_t safetensors_size(const struct tensorfile_source *source);

/* Writes the file; false if the sink failed. */
bool safetensors_write(const struct tensorfile_source *source, const struct tensorfile_sink *sink, struct errmsg *err);

/* As weights_read. The tensors may stand in any order; others than the model's are an error. */
bool safetensors_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta,
	struct errmsg *err);

/* As weights_sizes: width and hidden size from the shapes, layers by counting them. */
bool safetensors_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err);

#endif
