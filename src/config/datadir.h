/* Where a node lives: what the daemon and its client must find in the same way.
 *
 *     ~/.atelier/atelier.conf            configuration file
 *     ~/.atelier/                        data of main
 *     ~/.atelier/test/  .../regtest/     data of the other built-in chains
 *     ~/.atelier/<name>/                 data of a private chain: the name in its spec
 *
 *              RPC     P2P
 *     main     9432    9433
 *     test     19432   19433
 *     regtest  29432   29433
 *     private  39432   39433             or what its spec says
 *
 * -datadir, -conf, -chain, -regtest, -testnet and -chainspec say otherwise. Relative paths of -conf are relative to the
 * data directory. */
#ifndef ATELIER_CONFIG_DATADIR_H
#define ATELIER_CONFIG_DATADIR_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"
#include "util/options.h"

struct datadir {
	char *base;                  /* the data directory */
	char *data;                  /* the chain's folder in it (the same for main); not created here */
	char *conf;                  /* the configuration file, whether it exists or not */
	char chain[17];              /* "main", "test", "regtest", or the name of the private chain */
	char *chainspec;             /* path of the private chain's spec; NULL for a built-in chain */
	uint16_t rpc_port, p2p_port; /* the chain's defaults */
};

/* The options that datadir_find reads, plus -rpcport, -rpcuser and -rpcpassword, for daemon and client alike. */
extern const struct option_spec datadir_options[];

/* `base` alone, from the command line; the caller's. NULL: -datadir names none, or there is no home. */
char *datadir_find_base(const struct options *options, struct errmsg *err);
/* Finds all that. The command line must have been parsed; the configuration file is read here, and the section of the
 * chain chosen. A configuration file that is missing is an error only if -conf named it, a data directory if -datadir
 * did. datadir_clear is due whatever comes back. */
bool datadir_find(struct datadir *datadir, struct options *options, struct errmsg *err);
void datadir_clear(struct datadir *datadir);

/* Names that no private chain can have: those of the built-in chains, and of what lies in main's folder, where a
 * private chain's folder would stand too. */
bool datadir_name_taken(const char *name);

/* The cookie's path; the caller frees it. */
char *datadir_cookie(const struct datadir *datadir);

#endif
