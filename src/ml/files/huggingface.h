/* What stands beside model.safetensors for Hugging Face's transformers: the model's sizes, and a tokenizer that maps
 * bytes 0..255 to ids 0..255 (byte-level BPE without merges, as GPT-2 writes bytes; no special tokens). JSON, appended
 * to out. */
#ifndef ATELIER_ML_FILES_HUGGINGFACE_H
#define ATELIER_ML_FILES_HUGGINGFACE_H

#include "ml/model.h"
#include "util/buf.h"
#include "util/error.h"

void huggingface_config(const struct model_config *config, struct buf *out);           /* config.json */
void huggingface_tokenizer(struct buf *out);                                           /* tokenizer.json */
void huggingface_tokenizer_config(const struct model_config *config, struct buf *out); /* tokenizer_config.json */

/* Reads a config.json: heads and ctx (max_position_embeddings, MODEL_CTX_MAX at most; 0 if it does not tell). False if
 * it is none, or speaks of a model that computes otherwise than ours. Keys it lacks are no reason. */
bool huggingface_read(const char *config_text, size_t size, struct model_config *sizes, struct errmsg *err);

#endif
