/* A small chain of data: its owners register texts, its miners are honest, and nobody sends anything.
 *
 * Draws, windows, steps, updates, values, v_ref and quarantine are the node's own (consensus/branch/registry.h,
 * consensus/verify.h). Not here: headers, transactions that cost anything, and rules of what may be registered. Tickets
 * and seeds are drawn from the chain's number. */
#ifndef ATELIER_ECONOMY_DATA_CHAIN_H
#define ATELIER_ECONOMY_DATA_CHAIN_H

#include "consensus/branch/registry.h"
#include "consensus/spec.h"
#include "data_text.h"
#include "ml/backend.h"

enum { DATA_CHAIN_OWNERS = 16, DATA_CHAIN_PIECES = 8 };

/* Texts of one kind, registered alike. */
struct data_owner {
	enum text_kind kind;
	uint32_t count, size; /* so many datasets of so many bytes */
	bool returns;         /* who is quarantined registers another */
};

struct data_setting {
	const struct spec *spec;
	uint64_t seed;
	uint32_t blocks;
	struct data_owner owners[DATA_CHAIN_OWNERS];
	size_t owner_count;
};

/* One registered text. */
struct data_entry {
	uint32_t owner, registered;
	uint8_t *bytes;
	size_t size;
	uint32_t quarantined; /* at this height; 0: never */
};

/* What came of a block. */
struct data_block {
	struct block_outcome outcome;
	float ratio[OUTCOME_MAX_SLOTS]; /* loss of the slot's own pages to their entropy, before the block */
};

struct data_chain {
	struct data_setting setting;
	struct text_sources sources; /* bytes are borrowed */
	struct data_entry *texts;    /* by the registry's numbers; 0 is the corpus */
	size_t text_count;
	struct data_block *blocks; /* [setting.blocks], by height - 2: the first one only registers */
	uint32_t block_count;
	uint32_t voids;
	bool ok; /* every text was registered, every step had a result */
};

/* Runs it; backend_select was called. */
void data_chain_run(struct data_chain *chain, const struct data_setting *setting, const struct text_sources *sources);
void data_chain_clear(struct data_chain *chain);

/* The owner whose text it is; NULL for the corpus. */
const struct data_owner *data_chain_owner(const struct data_chain *chain, size_t text);

#endif
