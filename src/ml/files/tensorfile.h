/* What the formats of ml/files have in common: tensors, and the values they are stored as.
 *
 * Bytes to and from the parameter vector theta (ml/model.h), no files: a writer hands its bytes to a sink, a reader is
 * given the whole file. ml/files/weights.h reads a file of either format. */
#ifndef ATELIER_ML_FILES_TENSORFILE_H
#define ATELIER_ML_FILES_TENSORFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/model.h"
#include "util/buf.h"
#include "util/error.h"

/* What a model was trained on. Texts of a chain: root in hexadecimal, who is paid for it, its licence (an SPDX
 * expression) and title, anybody's words in UTF-8. */
struct tensorfile_dataset {
	char root[65], owner[91], licence[65], title[65];
	uint64_t bytes, slots; /* its size; how often it was trained on, in slots of blocks */
};

/* A model to be written. Name and root go into the file for people; they hold no quotes, backslashes or control
 * characters. */
struct tensorfile_source {
	const struct model_config *config;
	const float *theta;
	const char *name;
	const char *root;                          /* model_root in hexadecimal */
	const struct tensorfile_dataset *datasets; /* as many as dataset_count */
	size_t dataset_count;
};

/* Takes the next bytes of a file; false, with err set, ends the writing. */
struct tensorfile_sink {
	bool (*put)(void *context, const void *data, size_t size, struct errmsg *err);
	void *context;
};

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
bool tensorfile_row_read(enum tensorfile_type type, const uint8_t *stored, size_t count, float *row);
void tensorfile_row_write(const float *row, size_t count, uint8_t *stored);

/* The value of a binary16. */
float tensorfile_half(uint16_t half);

/* A name out of a file, cut and made printable, for a message. */
void tensorfile_printable(const void *text, size_t size, char out[TENSORFILE_NAME_MAX]);

/* The byte's text in the vocabulary of byte-level BPE, as GPT-2 began it: printable Latin-1 stands for itself, the
 * other bytes are U+0100 and up in order. UTF-8 with a terminating zero. */
void tensorfile_byte_text(uint8_t byte, char out[3]);

/* How messages become a prompt: a Jinja template, as both formats have them, that writes what web/door/asked.h does. In
 * double quotes it needs none escaped, only backslashes. */
extern const char tensorfile_chat_template[];

#endif
