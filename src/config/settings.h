/* What the operator asked for: command line and configuration file, checked, and the chain's spec with its corpus.
 *
 * Options are bitcoind's where it has them. Everything that can be wrong with them is found here, before anything is
 * opened: one clear line, and the node does not start. */
#ifndef ATELIER_CONFIG_SETTINGS_H
#define ATELIER_CONFIG_SETTINGS_H

#include "config/datadir.h"
#include "consensus/spec.h"
#include "util/error.h"
#include "util/options.h"

enum {
	SETTINGS_LIST_MAX = 64,         /* values of an option that may be given several times */
	SETTINGS_MINER_THREADS = 256,   /* at most */
	SETTINGS_SHARE_ALL = 100000000, /* -recheck=1: units of 10^-8 */
	SETTINGS_PRICE_COINS = 1000,    /* -price: at most */
};

struct settings {
	struct options *options;
	struct datadir datadir;
	struct spec spec;
	unsigned log_categories;
	unsigned verify_threads, mine_threads; /* -par, -threads */
	unsigned threads;                      /* of all work together: the larger of both, no more than cores */
	uint16_t port, rpc_port, web_port;
	unsigned rpc_timeout;       /* seconds */
	uint32_t snapshot_interval; /* 0: the default */
	uint32_t prune;             /* blocks; 0: nothing is pruned */
	uint32_t status_interval;   /* seconds; 0: never */
	int64_t mock_time;          /* -mocktime; 0: the system's clock */
	size_t mempool_bytes, max_peers, max_per_address;
	bool mine, mine_alone, run, web;
	int64_t recheck_share; /* 0 .. SETTINGS_SHARE_ALL */
	int64_t price;         /* base units for 1000 tokens; 0: free */
	uint32_t confirmations;
	bool has_mine_key; /* -mineraddress was given */
	uint8_t mine_key[32];
	const char *import_weights, *import_spec; /* borrowed from `options` */
	char *corpus_path;                        /* of a private chain that has a file for it; else NULL */
	/* Values of the options of that name; borrowed from `options`. */
	struct settings_list {
		const char *values[SETTINGS_LIST_MAX];
		size_t count;
	} connect, addnode, rpcbind, loadblock, wallet, webbind, webhost;
};

enum settings_result {
	SETTINGS_RUN,
	SETTINGS_HELP, /* asked for the help text: options_help(settings->options) */
	SETTINGS_VERSION,
	SETTINGS_IMPORT, /* import_weights, import_spec and datadir.base alone are filled */
	SETTINGS_WRONG,  /* err says what */
};

/* Fills settings, whatever the result; settings_clear releases it. */
enum settings_result settings_read(struct settings *settings, int argc, char *const argv[], struct errmsg *err);
void settings_clear(struct settings *settings);

/* Reads the corpus that a private spec names, which lies beside it, and hands it to the spec. */
bool settings_read_corpus(struct spec *spec, const char *spec_path, const char *name, struct errmsg *err);

#endif
