/* Receipts: what a node signs that a model has written (doc/protocol.md section 21).
 *
 * Whoever has prompt, text and the state can follow the text and see whether it is so; a receipt that is not, with its
 * signature, shows everybody that the node's key has lied. The key is the node's own, apart from all coins. */
#ifndef ATELIER_WORK_TEXT_RECEIPT_H
#define ATELIER_WORK_TEXT_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/text/pick.h"
#include "util/error.h"

struct receipt {
	uint8_t genesis[32], block[32]; /* ids: of the chain, and of the block after which the model is this one */
	uint32_t height;
	uint8_t model_root[32], prompt_hash[32], output_hash[32];
	uint32_t output_size;
	struct pick_options options;
	uint8_t node_key[32], signature[64];
};

/* The node's secret in the file, which is made if it is not there. False if it cannot be, or is no such file. */
bool receipt_secret(const char *path, uint8_t secret[32], struct errmsg *err);

/* Sets node_key and signature. */
void receipt_sign(struct receipt *receipt, const uint8_t secret[32]);
bool receipt_is_signed(const struct receipt *receipt);

#endif
