/* The datasets of a branch and what the past says of them (doc/protocol.md section 14). */
#ifndef ATELIER_CONSENSUS_BRANCH_DATASETS_H
#define ATELIER_CONSENSUS_BRANCH_DATASETS_H

#include "consensus/branch/part.h"
#include "consensus/branch/slices.h"
#include "consensus/payload/licence.h"
#include "ml/kernel/noise.h"

enum {
	DATASETS_DRAWS_MAX = 1 << 20,
	DATASETS_QUARANTINE = 2016, /* blocks */
	DATASETS_PROVEN_DRAWS = 32,
	DATASETS_PROVEN_SEAT = 4, /* every so many-th seat is of a proven dataset */
};

struct dataset {
	uint8_t root[32], owner[32];
	uint64_t size;
	char licence[LICENCE_MAX + 1], title[65];
	uint8_t txid[32];
	uint32_t output, height; /* where it was registered; the first time, if its owner was replaced since */
	uint32_t committed;      /* height of its commitment */
	int64_t burned;          /* base units, by its registration; for people */
	/* Of the current observation period: */
	uint32_t draws;
	int64_t sum;                /* of x = floor(A / 65536), |x| <= 2^31 */
	unsigned __int128 squares;  /* of x^2; draws <= 2^20, so 82 bits hold it */
	uint32_t quarantined_until; /* last height it may not be drawn for; 0: none */
	/* For people, not consensus; of the same period: */
	uint32_t known;    /* draws at which the model had learned of its own pages */
	int64_t value_sum; /* of floor(V / 65536) */
	/* Draws and sum that brought the last quarantine: */
	uint32_t quarantine_draws;
	int64_t quarantine_sum;
	/* And of all: */
	uint32_t total_draws; /* slots with a proof that it has had */
	int64_t total_paid;   /* base units */
};

struct datasets {
	struct dataset *list; /* by number */
	uint32_t *by_root;    /* numbers, ascending by root */
	size_t count;
	size_t stated; /* what count must be when all slices are read; of the database alone */
};

/* Of a dataset, what an outcome changes. */
struct datasets_record {
	uint32_t number;
	uint32_t draws, quarantined_until, known, quarantine_draws, total_draws;
	int64_t sum, value_sum, quarantine_sum, total_paid;
	unsigned __int128 squares;
};

/* Of a dataset, what an earlier commitment to it changes. */
struct datasets_claim {
	uint32_t number;
	uint8_t owner[32];
	char licence[LICENCE_MAX + 1], title[65];
	uint8_t txid[32];
	uint32_t output, committed;
	int64_t burned;
};

struct datasets_undo {
	size_t count; /* before */
	struct datasets_record changed[OUTCOME_MAX_SLOTS];
	uint32_t changed_count;
	struct datasets_claim *replaced;
	uint32_t replaced_count;
};

const struct dataset *datasets_find(const struct datasets *datasets, const uint8_t root[32], size_t *number);
/* Whether the root of dataset `number` can be registered again in the block at `height`, to another owner: for data of
 * this size, whose commitment is at height `committed` (0: none). */
bool datasets_can_replace(const struct datasets *datasets, const struct spec *spec, uint64_t height, size_t number,
	uint64_t size, uint32_t committed);
/* Whether the dataset can be drawn for the block at `height`, and is proven for it: it was observed often enough, and
 * hardly harms. */
bool datasets_can_draw(const struct datasets *datasets, const struct spec *spec, uint64_t height, size_t number);
bool datasets_is_proven(const struct datasets *datasets, const struct spec *spec, uint64_t height, size_t number);
/* Those that the slots of that block draw, by the ticket of its parent, and the sum of the weights of all that could be
 * drawn; those of the seats of a round that it begins. */
uint64_t datasets_draw(const struct datasets *datasets, const struct spec *spec, uint64_t height,
	const uint8_t ticket[32], uint32_t slots, uint32_t dataset[]);
void datasets_draw_seats(const struct datasets *datasets, const struct spec *spec, uint64_t height,
	const uint8_t ticket[32], uint32_t seats, uint32_t dataset[]);

/* The contract of consensus/branch/part.h. After genesis, and before read, dataset 0 alone is there. */
void datasets_init(struct datasets *datasets, const struct spec *spec);
void datasets_copy(struct datasets *copied_datasets, const struct datasets *datasets);
void datasets_clear(struct datasets *datasets);
void datasets_apply(struct datasets *datasets, const struct branch_block *block, struct datasets_undo *undo);
bool datasets_undo_fits(const struct datasets *datasets, const struct datasets_undo *undo);
void datasets_undo(struct datasets *datasets, const struct datasets_undo *undo);
void datasets_undo_clear(struct datasets_undo *undo);
void datasets_write(struct buf *out, const struct datasets *datasets);
bool datasets_read(struct datasets *datasets, struct reader *dataset_reader);
void datasets_undo_write(struct buf *out, const struct datasets_undo *undo);
bool datasets_undo_read(struct datasets_undo *undo, struct reader *dataset_reader);
void datasets_changed(const struct datasets *datasets, const struct datasets_undo *undo, struct slices *changed);
bool datasets_write_slice(struct buf *out, const struct datasets *datasets, const struct slice *slice);
bool datasets_read_slice(struct datasets *datasets, const struct slice *slice, struct reader *dataset_reader);
bool datasets_whole(const struct datasets *datasets);

#endif
