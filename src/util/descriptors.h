/* File descriptors: how many this process may open (RLIMIT_NOFILE), and how they are shared out.
 *
 * A process that has none left cannot open its own files: a block is not written, a database fails. So nobody outside
 * may take the last ones. DESCRIPTORS_NODE are the node's own (block files, LevelDB, wallets, log, event loop,
 * listening sockets), or half of them where there are few; DESCRIPTORS_RPC, or an eighth, are for connections to the
 * RPC server, DESCRIPTORS_WEB, or an eighth, for those to the page's, where streams of texts end late; connections to
 * peers get the rest. */
#ifndef ATELIER_UTIL_DESCRIPTORS_H
#define ATELIER_UTIL_DESCRIPTORS_H

#include <stddef.h>

enum { DESCRIPTORS_NODE = 128, DESCRIPTORS_RPC = 64, DESCRIPTORS_WEB = 400 };

/* Raises the process's limit as far towards `wanted` as it may be raised; never lowers it. The limit then. */
size_t descriptors_raise(size_t wanted);

/* Shares of so many. */
size_t descriptors_for_rpc(size_t limit); /* at least 1, and so below */
size_t descriptors_for_web(size_t limit);
size_t descriptors_for_peers(size_t limit);

#endif
