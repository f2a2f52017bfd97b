/* One segment of a run on some branch: what it is drawn by and trained on, gathered on the loop, and what a disclosure
 * says of it (doc/protocol.md section 20). */
#ifndef ATELIER_CHAIN_VERIFY_SEGMENTS_H
#define ATELIER_CHAIN_VERIFY_SEGMENTS_H

#include "chain/verify/wants.h"
#include "consensus/blob/round_blob.h"
#include "consensus/verify.h"

/* The seed of segment j of a seat's run. */
void segments_seed(const struct round_view *view, uint32_t seat, uint32_t number, uint8_t segment_seed[32]);
/* What it trains on: run_windows_size bytes, the caller's; NULL if the bytes of the dataset are not here: `missing`, if
 * not NULL, names them. */
uint8_t *segments_windows(struct chain *chain, const struct registry *registry, uint32_t dataset,
	const uint8_t segment_seed[32], struct blob_want *missing, struct errmsg *err);
/* A segment but for its start and digest: number, seed, windows, and the state of the base if that is in memory (else
 * NULL). The registry is that of a branch with the round. False as above. The segment is to be cleared either way. */
bool segments_gather(struct chain *chain, const struct registry *registry, const struct round_view *view, uint32_t seat,
	uint32_t number, struct verify_segment *segment, struct blob_want *missing, struct errmsg *err);
/* Start and digest of a segment, from the blob that discloses it. */
void segments_disclosed(const struct spec *spec, const struct round_disclosed *disclosed,
	struct verify_segment *segment);

#endif
