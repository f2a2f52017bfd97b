/* The two forms an output's script may have (doc/protocol.md section 11): P2TR, which is a coin, and OP_RETURN, which
 * is none and may carry a payload that starts with "atl" (section 12).
 *
 * Every output that was once checked (tx_check) is one or the other, so of coins and of transactions of blocks, mempool
 * and wallets all questions here have one answer. Only what comes from RPC or a peer may be neither. */
#ifndef ATELIER_CONSENSUS_SCRIPT_H
#define ATELIER_CONSENSUS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

enum { P2TR_SIZE = 34, OP_RETURN_MAX = 520 };

struct bytes {
	uint8_t *data;
	size_t size;
};

void script_p2tr(uint8_t script[P2TR_SIZE], const uint8_t key[32]);
/* The 32 bytes of the key that a P2TR script pays, within the script; NULL: it is not P2TR. */
const uint8_t *script_p2tr_key(const struct bytes *script);
bool script_pays(const struct bytes *script, const uint8_t key[32]);

/* Of any length: that OP_RETURN_MAX bytes are the most is a rule of transactions. */
bool script_is_op_return(const struct bytes *script);

/* The payload of OP_RETURN and one minimal push that starts with "atl" and has a kind: the reader stands at the kind.
 * False for any other script. */
bool script_read_payload(const struct bytes *script, struct reader *payload);
/* Making one: begin, add what the kind carries (251 bytes at most), end. end appends the script and clears payload. */
void script_begin_payload(struct buf *payload, uint8_t kind);
void script_end_payload(struct buf *payload, struct buf *script);

#endif
