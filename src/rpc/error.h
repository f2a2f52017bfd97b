/* Error codes of RPC answers: Bitcoin Core's numbers, so that existing clients understand them. */
#ifndef ATELIER_RPC_ERROR_H
#define ATELIER_RPC_ERROR_H

#include <stdbool.h>

#include "util/error.h"

enum rpc_code {
	/* JSON-RPC's own */
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INTERNAL_ERROR = -32603,

	RPC_MISC_ERROR = -1,
	RPC_TYPE_ERROR = -3, /* a value of another JSON type than expected, or no amount */
	RPC_WALLET_ERROR = -4,
	RPC_INVALID_ADDRESS_OR_KEY = -5, /* no such block, transaction, address, dataset, ... too */
	RPC_INSUFFICIENT_FUNDS = -6,
	RPC_OUT_OF_MEMORY = -7,
	RPC_INVALID_PARAMETER = -8,
	RPC_NOT_CONNECTED = -9,
	RPC_IN_INITIAL_DOWNLOAD = -10,
	RPC_INVALID_LABEL_NAME = -11,
	RPC_KEYPOOL_RAN_OUT = -12,
	RPC_UNLOCK_NEEDED = -13,
	RPC_PASSPHRASE_INCORRECT = -14,
	RPC_WRONG_ENCRYPTION_STATE = -15,
	RPC_ENCRYPTION_FAILED = -16,
	RPC_ALREADY_UNLOCKED = -17,
	RPC_WALLET_NOT_FOUND = -18,
	RPC_WALLET_NOT_SPECIFIED = -19,
	RPC_DATABASE_ERROR = -20,
	RPC_DESERIALIZATION_ERROR = -22,
	RPC_NODE_ALREADY_ADDED = -23,
	RPC_NODE_NOT_ADDED = -24,
	RPC_VERIFY_ERROR = -25,
	RPC_VERIFY_REJECTED = -26,
	RPC_VERIFY_ALREADY_IN_CHAIN = -27,
	RPC_IN_WARMUP = -28,
	RPC_NODE_NOT_CONNECTED = -29,
	RPC_INVALID_IP_OR_SUBNET = -30,
	RPC_WALLET_ALREADY_LOADED = -35,
	RPC_WALLET_ALREADY_EXISTS = -36,
};

struct rpc_error {
	enum rpc_code code;
	struct errmsg message;
};

/* Always returns false. error may be NULL. */
bool rpc_error_set(struct rpc_error *error, enum rpc_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
