/* The calls about the network: peers, named nodes, bans. */
#ifndef ATELIER_CALLS_NETWORK_H
#define ATELIER_CALLS_NETWORK_H

#include "net/net.h"
#include "rpc/table.h"

void calls_network_add(struct rpc_table *table, struct net *net);

#endif
