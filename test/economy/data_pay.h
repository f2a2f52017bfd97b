/* What owners earn on a chain of data (data_chain.h) by the node's rule, and by others that were considered.
 *
 * What is paid changes nothing that is trained, so one chain tells it for any number of rules. Only slots that were
 * left out stay so whatever v_ref another rule would have had. */
#ifndef ATELIER_ECONOMY_DATA_PAY_H
#define ATELIER_ECONOMY_DATA_PAY_H

#include "data_chain.h"

struct data_pay_rule {
	float known;     /* own pages are known below so much of their entropy; 0: as the node decided */
	bool by_account; /* a dataset is paid only what lifts sum - isqrt(4 squares) of its values above its peak */
};

/* Of a dataset, or of several. */
struct data_pay {
	double paid;    /* in full pays of a slot */
	uint32_t draws; /* slots with a proof, of blocks that are not void */
	uint32_t known, left_out;
	double reserved, own, ratio; /* sums, in nats */
};

/* Of each text of the chain in blocks from .. to - 1: pay[chain->text_count]. */
void data_pay_texts(const struct data_chain *chain, const struct data_pay_rule *rule, uint32_t from, uint32_t to,
	struct data_pay *pay);

void data_pay_add(struct data_pay *sum, const struct data_pay *pay);

#endif
