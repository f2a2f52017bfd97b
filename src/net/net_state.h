/* What struct net holds: for net.c, which puts it together, and net_control.c, which shows it to the operator. */
#ifndef ATELIER_NET_NET_STATE_H
#define ATELIER_NET_NET_STATE_H

#include "net/blob_fetch.h"
#include "net/door/listen.h"
#include "net/net.h"
#include "net/outbound.h"
#include "net/relay_blocks.h"
#include "net/relay_proofs.h"
#include "net/relay_tx.h"
#include "net/sync_blocks.h"
#include "net/sync_headers.h"

struct net {
	struct peers peers;
	struct sync_headers *headers;
	struct sync_blocks *blocks;
	struct blob_fetch *fetch;
	struct relay_blocks *news;
	struct relay_tx *txs;
	struct relay_proofs *proofs;
	struct outbound outbound;
	struct ban_list bans;
	struct listen *listen; /* NULL: it does not */
	struct event *tick;
	size_t max_peers, max_per_address, max_open;
	uint8_t evict_key[16]; /* secret: which networks are sure of a place */
	bool active;
};

#endif
