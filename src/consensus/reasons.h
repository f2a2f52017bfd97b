/* Every reason for which a node refuses something, with the verdict it usually is and whom it blames. doc/protocol.md
 * lists them all; a test compares the two.
 *
 * A reason has one row here and no meaning elsewhere: whoever wants to know what follows from a refusal asks for its
 * row, and compares no texts. */
#ifndef ATELIER_CONSENSUS_REASONS_H
#define ATELIER_CONSENSUS_REASONS_H

enum reject_code {
	REJECT_MALFORMED, /* does not parse */
	REJECT_INVALID,   /* breaks a rule: never valid */
	REJECT_POLICY,    /* valid perhaps, not taken into this node's mempool */
	REJECT_NOT_YET,   /* depends on time or on something missing: may be offered again */
};

enum reasons_blame {
	BLAME_NOBODY, /* a verdict of this node's place, time or room */
	BLAME_SENDER, /* follows from the object: whoever passes it on has not looked at it */
	/* Follows from coins, registry or the parent's outcome. An honest node looks at these too, but of a block only
	 * if it is the child of its tip, and of a transaction with the coins that it has. */
	BLAME_PLACE,
	BLAME_SIGNER, /* PLACE for a block; whoever passes on the transaction alone has looked at just this */
};

/* name, text, usual verdict, blame */
#define REASONS(X)                                                                                      \
	X(BAD_BLK_WEIGHT, "bad-blk-weight", INVALID, SENDER)                                            \
	X(BAD_BLOB_ROOT, "bad-blob-root", INVALID, SENDER)                                              \
	X(BAD_BLOCK_FORMAT, "bad-block-format", MALFORMED, SENDER)                                      \
	X(BAD_CB_HEIGHT, "bad-cb-height", INVALID, PLACE)                                               \
	X(BAD_CB_MISSING, "bad-cb-missing", INVALID, PLACE)                                             \
	X(BAD_CB_MULTIPLE, "bad-cb-multiple", INVALID, PLACE)                                           \
	X(BAD_CB_OUTCOME, "bad-cb-outcome", INVALID, PLACE)                                             \
	X(BAD_CB_OUTPUTS, "bad-cb-outputs", INVALID, PLACE)                                             \
	X(BAD_COMMITMENT_BURN, "bad-commitment-burn", INVALID, PLACE)                                   \
	X(BAD_COMMITMENT_COUNT, "bad-commitment-count", INVALID, PLACE)                                 \
	X(BAD_CONTRIB_BUDGET, "bad-contrib-budget", INVALID, PLACE)                                     \
	X(BAD_CONTRIB_BURN, "bad-contrib-burn", INVALID, PLACE)                                         \
	X(BAD_CONTRIB_COMMITMENT, "bad-contrib-commitment", INVALID, PLACE)                             \
	X(BAD_CONTRIB_DUPLICATE, "bad-contrib-duplicate", INVALID, PLACE)                               \
	X(BAD_CONTRIB_FORMAT, "bad-contrib-format", INVALID, PLACE)                                     \
	X(BAD_CONTRIB_LICENCE, "bad-contrib-licence", INVALID, PLACE)                                   \
	X(BAD_CONTRIB_NOVELTY, "bad-contrib-novelty", INVALID, PLACE)                                   \
	X(BAD_CONTRIB_PAGES, "bad-contrib-pages", INVALID, PLACE)                                       \
	X(BAD_CONTRIB_SIZE, "bad-contrib-size", INVALID, PLACE)                                         \
	X(BAD_DIFFBITS, "bad-diffbits", INVALID, SENDER)                                                \
	X(BAD_HEX, "bad-hex", MALFORMED, SENDER)                                                        \
	X(BAD_MODEL_ROOT, "bad-model-root", INVALID, SENDER)                                            \
	X(BAD_PREVBLK, "bad-prevblk", INVALID, SENDER)                                                  \
	X(BAD_PROOF_BODY, "bad-proof-body", INVALID, SENDER)                                            \
	X(BAD_PROOF_COUNT, "bad-proof-count", INVALID, SENDER)                                          \
	X(BAD_PROOF_DIGEST, "bad-proof-digest", INVALID, SENDER)                                        \
	X(BAD_PROOF_DUPLICATE, "bad-proof-duplicate", INVALID, PLACE)                                   \
	X(BAD_PROOF_KEY, "bad-proof-key", INVALID, SENDER)                                              \
	X(BAD_PROOF_ORDER, "bad-proof-order", INVALID, SENDER)                                          \
	X(BAD_PROOF_PARENT, "bad-proof-parent", INVALID, SENDER)                                        \
	X(BAD_PROOF_TICKET, "bad-proof-ticket", INVALID, SENDER)                                        \
	X(BAD_PROOF_TIME, "bad-proof-time", INVALID, SENDER)                                            \
	X(BAD_PROOFS_ROOT, "bad-proofs-root", INVALID, SENDER)                                          \
	X(BAD_ROUND_CHALLENGE, "bad-round-challenge", INVALID, PLACE)                                   \
	X(BAD_ROUND_COUNT, "bad-round-count", INVALID, PLACE)                                           \
	X(BAD_ROUND_DISCLOSURE, "bad-round-disclosure", INVALID, PLACE)                                 \
	X(BAD_ROUND_DUPLICATE, "bad-round-duplicate", INVALID, PLACE)                                   \
	X(BAD_ROUND_FORMAT, "bad-round-format", INVALID, PLACE)                                         \
	X(BAD_ROUND_SEAT, "bad-round-seat", INVALID, PLACE)                                             \
	X(BAD_ROUND_SIGNATURE, "bad-round-signature", INVALID, PLACE)                                   \
	X(BAD_TXNMRKLROOT, "bad-txnmrklroot", INVALID, SENDER)                                          \
	X(BAD_TXNS_ACCUMULATED_FEE_OUTOFRANGE, "bad-txns-accumulated-fee-outofrange", INVALID, PLACE)   \
	X(BAD_TXNS_IN_BELOWOUT, "bad-txns-in-belowout", INVALID, PLACE)                                 \
	X(BAD_TXNS_INPUTS_DUPLICATE, "bad-txns-inputs-duplicate", INVALID, PLACE)                       \
	X(BAD_TXNS_INPUTS_MISSINGORSPENT, "bad-txns-inputs-missingorspent", INVALID, PLACE)             \
	X(BAD_TXNS_INPUTVALUES_OUTOFRANGE, "bad-txns-inputvalues-outofrange", INVALID, PLACE)           \
	X(BAD_TXNS_NONFINAL, "bad-txns-nonfinal", INVALID, PLACE)                                       \
	X(BAD_TXNS_PREMATURE_SPEND_OF_COINBASE, "bad-txns-premature-spend-of-coinbase", INVALID, PLACE) \
	X(BAD_TXNS_PREVOUT_NULL, "bad-txns-prevout-null", INVALID, PLACE)                               \
	X(BAD_TXNS_SCRIPT, "bad-txns-script", INVALID, PLACE)                                           \
	X(BAD_TXNS_SCRIPTPATH, "bad-txns-scriptpath", INVALID, PLACE)                                   \
	X(BAD_TXNS_SCRIPTSIG, "bad-txns-scriptsig", INVALID, PLACE)                                     \
	X(BAD_TXNS_SIGNATURE, "bad-txns-signature", INVALID, SIGNER)                                    \
	X(BAD_TXNS_TXOUTTOTAL_TOOLARGE, "bad-txns-txouttotal-toolarge", INVALID, PLACE)                 \
	X(BAD_TXNS_VIN_EMPTY, "bad-txns-vin-empty", INVALID, PLACE)                                     \
	X(BAD_TXNS_VOUT_EMPTY, "bad-txns-vout-empty", INVALID, PLACE)                                   \
	X(BAD_TXNS_VOUT_NEGATIVE, "bad-txns-vout-negative", INVALID, PLACE)                             \
	X(BAD_TXNS_VOUT_TOOLARGE, "bad-txns-vout-toolarge", INVALID, PLACE)                             \
	X(BAD_TXNS_WITNESS, "bad-txns-witness", INVALID, SIGNER)                                        \
	X(BAD_VERSION, "bad-version", INVALID, SENDER)                                                  \
	X(BLOB_NOT_WANTED, "blob-not-wanted", NOT_YET, NOBODY)                                          \
	X(BLOB_POOL_FULL, "blob-pool-full", POLICY, NOBODY)                                             \
	X(BLOCK_POOL_FULL, "block-pool-full", NOT_YET, NOBODY)                                          \
	X(CANCELLED, "cancelled", NOT_YET, NOBODY)                                                      \
	X(COINBASE, "coinbase", INVALID, SENDER)                                                        \
	X(CONTRIB_RESERVED, "contrib-reserved", POLICY, NOBODY)                                         \
	X(DISK_FAILED, "disk-failed", NOT_YET, NOBODY)                                                  \
	X(DUST, "dust", POLICY, NOBODY)                                                                 \
	X(HIGH_HASH, "high-hash", INVALID, SENDER)                                                      \
	X(INVALIDATED, "invalidated", INVALID, SENDER)                                                  \
	X(LOOSE_IN_WORK, "loose-in-work", NOT_YET, NOBODY)                                              \
	X(LOOSE_ONE_AT_A_TIME, "loose-one-at-a-time", NOT_YET, NOBODY)                                  \
	X(LOOSE_POOL_FULL, "loose-pool-full", POLICY, NOBODY)                                           \
	X(MEMPOOL_FULL, "mempool full", POLICY, NOBODY)                                                 \
	X(MEMPOOL_MIN_FEE_NOT_MET, "mempool min fee not met", POLICY, NOBODY)                           \
	X(MIN_RELAY_FEE_NOT_MET, "min relay fee not met", POLICY, NOBODY)                               \
	X(MISSING_BLOB, "missing-blob", NOT_YET, NOBODY)                                                \
	X(NON_BIP68_FINAL, "non-BIP68-final", NOT_YET, NOBODY)                                          \
	X(NON_FINAL, "non-final", NOT_YET, NOBODY)                                                      \
	X(PREV_BLK_NOT_FOUND, "prev-blk-not-found", NOT_YET, NOBODY)                                    \
	X(ROUND_OFFENDER, "round-offender", NOT_YET, NOBODY)                                            \
	X(TIME_TOO_NEW, "time-too-new", NOT_YET, NOBODY)                                                \
	X(TIME_TOO_OLD, "time-too-old", INVALID, SENDER)                                                \
	X(TIME_TOO_SOON, "time-too-soon", INVALID, SENDER)                                              \
	X(TOO_FAR_AHEAD, "too-far-ahead", NOT_YET, NOBODY)                                              \
	X(TOO_LITTLE_CHAINWORK, "too-little-chainwork", NOT_YET, NOBODY)                                \
	X(TOO_LONG_MEMPOOL_CHAIN, "too-long-mempool-chain", POLICY, NOBODY)                             \
	X(TOO_MANY_HEADERS, "too-many-headers", NOT_YET, NOBODY)                                        \
	X(TX_SIZE, "tx-size", POLICY, NOBODY)                                                           \
	X(TXN_MEMPOOL_CONFLICT, "txn-mempool-conflict", POLICY, NOBODY)                                 \
	X(VERSION, "version", POLICY, NOBODY)

enum reason {
	REASON_NONE,
#define REASONS_ENUM(name, text, code, blame) REASON_##name,
	REASONS(REASONS_ENUM)
#undef REASONS_ENUM
		REASON_COUNT,
};

struct reasons_row {
	const char *text;
	enum reject_code code;
	enum reasons_blame blame;
};

const struct reasons_row *reasons_row(enum reason reason); /* of NONE: an empty text */
enum reason reasons_find(const char *text);                /* NONE: no row has this text */

#endif
