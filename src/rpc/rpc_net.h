/* The calls about the network: peers, named nodes, bans. */
#ifndef ATELIER_RPC_RPC_NET_H
#define ATELIER_RPC_RPC_NET_H

#include "net/net.h"
#include "rpc/table.h"

void rpc_net_add(struct rpc_table *table, struct net *net);

#endif
