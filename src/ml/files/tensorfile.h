/* Files of weights, as other programs know them: what the formats have in common.
 *
 * Bytes to and from the parameter vector theta (ml/model.h), no files: a writer hands its bytes to a sink, a reader is
 * given the whole file. A model written in F32 and read again is the same to the last bit.
 *
 * Formats: safetensors (ml/files/safetensors.h), with the names of a Hugging Face LlamaForCausalLM; GGUF
 * (ml/files/gguf.h), as llama.cpp loads it. Nothing here is consensus, but for a private chain whose spec names such a
 * file as its initial state (doc/protocol.md section 16). */
#ifndef ATELIER_ML_FILES_TENSORFILE_H
#define ATELIER_ML_FILES_TENSORFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/state.h"
#include "util/buf.h"
#include "util/error.h"

/* A model to be written. Name and root go into the file for people; they hold no quotes, backslashes or control
 * characters. */
struct tensorfile_source {
	const struct model_config *config;
	const float *theta;
	const char *name;
	const char *root; /* model_root in hexadecimal */
};

/* Takes the next bytes of a file; false, with err set, ends the writing. */
struct tensorfile_sink {
	bool (*put)(void *context, const void *data, size_t size, struct errmsg *err);
	void *context;
};

/* The most bytes a file of such a model may have: its floats, and room for a header. */
size_t tensorfile_size_max(const struct model_config *config);

/* Reads a file of either format, told apart by the first bytes, into theta: model_count floats. False if it does
 * not fit the sizes, with the tensor at fault in err; theta is then undefined. config must pass model_config_check. */
bool tensorfile_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta,
	struct errmsg *err);

/* The sizes of the model that such a file holds, for tensorfile_read to check. What the file does not tell is left 0:
 * heads and ctx of safetensors, whose config.json tells them (ml/files/huggingface.h). False if it is no such file, or
 * its model computes otherwise than ours. */
bool tensorfile_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err);

/* The state that begins with such a file's parameters: its outer momentum is zero. NULL if the file does not fit. */
struct state *tensorfile_state(const struct model_config *config, const uint8_t *data, size_t size, struct errmsg *err);

/* ---- For the formats ---- */

/* Which part of a layer a tensor is, in the order of theta; those outside the layers come last. */
enum tensorfile_part {
	TENSORFILE_NORM_ATTENTION,
	TENSORFILE_WQ,
	TENSORFILE_WK,
	TENSORFILE_WV,
	TENSORFILE_WO,
	TENSORFILE_NORM_MLP,
	TENSORFILE_WGATE,
	TENSORFILE_WUP,
	TENSORFILE_WDOWN,
	TENSORFILE_LAYER_PARTS,
	TENSORFILE_EMBEDDING = TENSORFILE_LAYER_PARTS,
	TENSORFILE_NORM,
	TENSORFILE_HEAD,
};

enum { TENSORFILE_NAME_MAX = 64 };

/* The part, and the layer in *layer, of tensor `index` of model_tensor. */
enum tensorfile_part tensorfile_part(const struct model_config *config, size_t index, size_t *layer);

/* What values are stored as. Every value of every type is a binary32, exactly. */
enum tensorfile_type {
	TENSORFILE_F32,
	TENSORFILE_F16,  /* binary16 */
	TENSORFILE_BF16, /* the upper half of a binary32 */
	TENSORFILE_Q8_0, /* GGUF's blocks of 32: a binary16 scale, then int8 */
};

enum { TENSORFILE_BLOCK = 32, TENSORFILE_BLOCK_BYTES = 34 };

/* Bytes of a row of `count` values; 0 if it cannot be stored as that. */
size_t tensorfile_row_bytes(enum tensorfile_type type, size_t count);

/* One row of floats from its bytes; false if one is not finite. Written they are little-endian binary32. */
bool tensorfile_row_read(enum tensorfile_type type, const uint8_t *data, size_t count, float *row);
void tensorfile_row_write(const float *row, size_t count, uint8_t *out);

/* The value of a binary16. */
float tensorfile_half(uint16_t half);

/* A name out of a file, cut and made printable, for a message. */
void tensorfile_printable(const void *text, size_t size, char out[TENSORFILE_NAME_MAX]);

/* The byte's text in the vocabulary of byte-level BPE, as GPT-2 began it: printable Latin-1 stands for itself, the
 * other bytes are U+0100 and up in order. UTF-8 with a terminating zero. */
void tensorfile_byte_text(uint8_t byte, char out[3]);

#endif
