/* The statement of a merge (doc/protocol.md section 20): what became of each seat of a round, in the coinbase of the
 * block after the merge, which pays and strikes by it. */
#ifndef ATELIER_CONSENSUS_PAYLOAD_MERGE_STATEMENT_H
#define ATELIER_CONSENSUS_PAYLOAD_MERGE_STATEMENT_H

#include "consensus/script.h"

/* Their statement fits into one push. */
enum { ROUND_SEATS_MAX = 240 };

/* What a seat's byte says: enum merge_seat of ml/merge.h. True are those that were merged or left out. */
struct merge_statement {
	uint32_t seats; /* 0: no merge */
	bool is_void;
	bool is_second;                /* what the better half proposed (ml/merge.h); not if it is void */
	uint8_t seat[ROUND_SEATS_MAX]; /* 0 empty, 1 merged, 2 left out, 3 struck */
};

bool merge_statement_is_true(const struct merge_statement *statement, uint32_t seat);
/* Whether it is void though there were true runs. */
bool merge_statement_is_futile(const struct merge_statement *statement);
bool merge_statement_is_struck(const struct merge_statement *statement, uint32_t seat);

/* Appends the script that states it. */
void merge_statement_script(struct buf *out, const struct merge_statement *statement);
/* Reads the statement of a coinbase, on a chain of that many seats a round. False if it is not the exact form that
 * merge_statement_script gives. */
bool merge_statement_parse(const struct bytes *script, uint32_t seats, struct merge_statement *statement);

/* Byte form, for a block's outcome in the index. read fails the reader on damaged bytes. */
void merge_statement_write(struct buf *out, const struct merge_statement *statement);
void merge_statement_read(struct reader *statement_reader, struct merge_statement *statement);

#endif
