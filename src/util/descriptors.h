/* File descriptors: how many this process may open (RLIMIT_NOFILE), and how they are shared out.
 *
 * A process that has none left cannot open its own files: a block is not written, a database fails. So nobody outside may
 * take the last ones. DESCRIPTORS_NODE are the node's own (block files, LevelDB, wallets, log, event loop, listening
 * sockets), DESCRIPTORS_RPC are for connections to the RPC server, which takes no more than these, and peers get the rest
 * (node/node.c does the sum). */
#ifndef ATELIER_UTIL_DESCRIPTORS_H
#define ATELIER_UTIL_DESCRIPTORS_H

#include <stddef.h>

enum { DESCRIPTORS_NODE = 128, DESCRIPTORS_RPC = 64 };

/* Raises the process's limit as far towards `wanted` as it may be raised; never lowers it. The limit then. */
size_t descriptors_raise(size_t wanted);

#endif
