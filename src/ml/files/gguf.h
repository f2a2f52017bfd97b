/* Weights as GGUF version 3, for llama.cpp and what is built on it.
 *
 * Source: the format's description in ggml-org/ggml (docs/gguf.md). The architecture is "llama", whose rotary embedding
 * pairs neighbours where ours pairs i and i + hd / 2: so row h * hd + 2i + p of a query or key matrix in the file is
 * our row h * hd + p * hd / 2 + i. The vocabulary is byte-level BPE without merges: token b is byte b. As the format
 * wants some token to end a text, that is byte 0.
 *
 * GGUF_Q8_0 stores matrices whose rows are multiples of 32 in blocks of 32: a binary16 scale, largest / 127, and 32
 * int8; all else is F32. See ml/files/tensorfile.h for sink and source. */
#ifndef ATELIER_ML_FILES_GGUF_H
#define ATELIER_ML_FILES_GGUF_H

#include "ml/files/tensorfile.h"

enum gguf_type { GGUF_F32 = 0, GGUF_Q8_0 = 8 }; /* the format's numbers */

/* What the file will have. */
size_t gguf_size(const struct tensorfile_source *source, enum gguf_type type);

/* Writes the file; false if the sink failed, or a value is too large for Q8_0. */
bool gguf_write(const struct tensorfile_source *source, enum gguf_type type, const struct tensorfile_sink *sink,
	struct errmsg *err);

/* Do the bytes begin as a GGUF file does? */
bool gguf_is(const uint8_t *data, size_t size);

/* As weights_read. The tensors must be F32, F16, BF16 or Q8_0, the architecture and the number of heads the
 * model's; other keys are not looked at. */
bool gguf_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta, struct errmsg *err);

/* As weights_sizes: from the keys, which must not speak of another epsilon, rotary base or vocabulary than ours. */
bool gguf_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err);

/* Binary16 nearest to x, ties to even; what is too large becomes infinite. */
uint16_t gguf_half(float x);

#endif
