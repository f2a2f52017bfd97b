/* The way of a blob into the chain, once its bytes are known to be those of its root: chain_add_blob gets there with
 * bytes in memory, chain/intake/blob_parts.c with a draft. */
#ifndef ATELIER_CHAIN_INTAKE_BLOB_INTAKE_H
#define ATELIER_CHAIN_INTAKE_BLOB_INTAKE_H

#include "chain/chain.h"

struct blob_bytes {
	uint8_t root[32];
	const char *draft_path; /* the file that they are in; NULL: they are at `data` */
	const uint8_t *data;
	size_t size;
	const struct source *source; /* who sent them; NULL: nobody that it matters of */
};

/* As chain_add_blob. Of a draft the file is taken if the answer is NEW. */
enum chain_result blob_intake_take(struct chain *chain, const struct blob_bytes *bytes, bool keep,
	struct reject *reject);

#endif
