/* The daemon's options, and how each is checked. */
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/spdx.h"
#include "consensus/tx.h"
#include "crypto/address.h"
#include "ml/files/weights.h"
#include "rpc/convert.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/queue.h"

/* Bytes of a spec's text, as datadir.c reads it; -par's largest value. */
enum { SETTINGS_SPEC_FILE_MAX = 1 << 20, SETTINGS_PAR_MAX = 64 };

static const struct option_spec settings_table[] = {
	{ "help", NULL, "Prints this and ends.", "General", NULL, OPTION_COMMAND_LINE },
	{ "h", NULL, "The same as -help.", "General", NULL, OPTION_COMMAND_LINE | OPTION_HIDDEN },
	{ "?", NULL, "The same as -help.", "General", NULL, OPTION_COMMAND_LINE | OPTION_HIDDEN },
	{ "version", NULL, "Prints the version and ends.", "General", NULL, OPTION_COMMAND_LINE },
	{ "pid", "<file>", "Where to write the process id; a relative path is relative to the chain's folder.",
		"General", "atelierd.pid", OPTION_PATH },
	{ "par", "<n>",
		"Threads that verify a block (0: one a core). All work together, mining and audits too, takes as many "
		"as the larger of -par and -threads says, never more than there are cores. Verification goes first.",
		"General", "0", 0 },
	{ "engine", "<name>",
		"Who multiplies matrices: openblas, onednn, reference, or auto, the fastest; all give the same bits.",
		"General", "openblas", 0 },
	{ "importmodel", "<file>",
		"Writes -chainspec's file, or completes it, so that its chain begins with these weights "
		"(safetensors or GGUF), and ends.",
		"General", NULL, OPTION_COMMAND_LINE | OPTION_PATH },
	{ "reindex", NULL, "Forgets index and coins and builds them again from the block files.", "General", NULL, 0 },
	{ "loadblock", "<file>", "Takes blocks from a file at the start.", "General", NULL,
		OPTION_MULTI | OPTION_PATH },
	{ "prune", "<blocks>",
		"Keep deltas of proofs, bytes of runs and snapshots of the model for so many blocks below the tip, and "
		"delete older ones (0: keep all). The least is 128 and, where there are rounds, two of them.",
		"General", "0", 0 },
	{ "snapshotinterval", "<n>", "Blocks between snapshots of the model on disk (0: as the chain suggests).",
		"General", "0", 0 },
	{ "maxmempool", "<n>", "Keep the mempool below so many megabytes.", "General", "64", 0 },

	{ "listen", NULL, "Take connections from other nodes (default: 1, but 0 with -connect).", "Connection", NULL,
		0 },
	{ "port", "<port>",
		"Listen on this port (default: 9433, test 19433, regtest 29433, private chains as their spec says).",
		"Connection", NULL, 0 },
	{ "bind", "<address>[:<port>]", "Listen on this address alone.", "Connection", NULL, 0 },
	{ "connect", "<node>", "Connect to this node, and to no others than such; 0: to none.", "Connection", NULL,
		OPTION_MULTI },
	{ "addnode", "<node>", "Keep a connection to this node.", "Connection", NULL, OPTION_MULTI },
	{ "maxconnections", "<n>", "At most so many connections.", "Connection", "125", 0 },
	{ "maxinboundperaddress", "<n>", "At most so many connections from one address (IPv6: one /64).", "Connection",
		"8", 0 },
	{ "networkactive", NULL, "Begin with the network switched on.", "Connection", "1", 0 },

	{ "mine", NULL, "Mine: train, and earn for it.", "Mining", "0", 0 },
	{ "threads", "<n>", "Training steps to work on at a time (0: one a core).", "Mining", "0", 0 },
	{ "mineraddress", "<address>", "Who is paid for mining (default: a new address of the first loaded wallet).",
		"Mining", NULL, 0 },
	{ "minealone", NULL, "Mine on a public chain even without a connection to another node.", "Mining", "0", 0 },
	{ "run", NULL, "On a chain with rounds, train the runs of blocks whose miner is an address of a loaded wallet.",
		"Mining", "1", 0 },
	{ "recheck", "<share>",
		"On a chain with rounds, execute this share (0 to 1) of others' runs again on cores that are idle, and "
		"challenge those that are false.",
		"Mining", "0", 0 },

	{ "wallet", "<name>", "Load this wallet at the start.", "Wallet", NULL, OPTION_MULTI },

	{ "server", NULL, "Serve JSON-RPC.", "JSON-RPC server", "1", 0 },
	{ "rpcbind", "<address>[:<port>]",
		"Serve on this address (default: this machine alone). The traffic is not encrypted.", "JSON-RPC server",
		NULL, OPTION_MULTI },
	{ "rpcservertimeout", "<seconds>",
		"How long a connection may take to say who it is and what it wants; one to the page likewise.",
		"JSON-RPC server", "30", 0 },

	{ "explorer", NULL, "Keep an index of what every address has, gave and earned, for whoever looks.",
		"Page in the browser", "1", 0 },
	{ "web", NULL, "Serve a page for a browser, which shows what the node does.", "Page in the browser", "1", 0 },
	{ "webport", "<port>", "Port of the page (default: that of the JSON-RPC server, and 10).",
		"Page in the browser", NULL, 0 },
	{ "webbind", "<address>[:<port>]",
		"Serve the page on this address (default: this machine alone). Whoever reaches it may look, and the "
		"traffic is not encrypted.",
		"Page in the browser", NULL, OPTION_MULTI },
	{ "webhost", "<name>",
		"The page may be asked for by this name too, beside localhost and the addresses of -webbind.",
		"Page in the browser", NULL, OPTION_MULTI },
	{ "webfolder", "<folder>", "Where the page's files lie (default: where they have been installed).",
		"Page in the browser", NULL, OPTION_PATH },

	{ "price", "<amount>", "What a customer's key is charged for 1,000 tokens (doc/economics.md; 0: nothing).",
		"Paid use", "0", 0 },
	{ "confirmations", "<n>", "Blocks until the payment of an invoice counts, its own among them.", "Paid use", "6",
		0 },

	{ "debug", "[=<category>]",
		"Log debug messages: net, chain, mempool, verify, miner, rpc, wallet, data, model, or all.",
		"Debugging", NULL, OPTION_MULTI },
	{ "debuglogfile", "<file>", "Name of the log; a relative path is relative to the chain's folder.", "Debugging",
		"debug.log", OPTION_PATH },
	{ "statusinterval", "<seconds>", "After so long without a new block log how the node stands (0: never).",
		"Debugging", "60", 0 },
	{ "printtoconsole", NULL, "Print the log on standard output too (default: 1 on a terminal).", "Debugging", NULL,
		0 },
	{ "mocktime", "<seconds>", "Pretend this Unix time.", "Debugging", "0", OPTION_HIDDEN },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

/* -nohelp and -help=0 ask for nothing, though they set the option. */
static bool settings_is_asked(const struct options *options, const char *name)
{
	return options_is_set(options, name) && options_bool(options, name);
}

/* The values stay the options' own: settings_clear releases those last. */
static bool settings_read_list(const struct options *options, const char *name, struct settings_list *settings_list,
	struct errmsg *err)
{
	size_t values_given = options_count(options, name);

	if (values_given > SETTINGS_LIST_MAX)
		return errmsg_set(err, "-%s is given %zu times; %d are allowed", name, values_given, SETTINGS_LIST_MAX);
	for (size_t i = 0; i < values_given; i++)
		settings_list->values[i] = options_value(options, name, i);
	settings_list->count = values_given;
	return true;
}

/* Those that are online, not those the process may use: under taskset or a container's limit -par says better. */
static unsigned settings_count_cores(void)
{
	const long settings_cores = sysconf(_SC_NPROCESSORS_ONLN);

	return settings_cores < 1                   ? 1 :
		settings_cores > QUEUE_CAPACITY_MAX ? QUEUE_CAPACITY_MAX :
						      (unsigned)settings_cores;
}

/* 0 stands for the number of cores. */
static bool settings_read_threads(const struct options *options, const char *name, int64_t max, unsigned *threads,
	struct errmsg *err)
{
	const int64_t settings_cores = settings_count_cores();
	int64_t threads_setting;

	if (!options_int(options, name, 0, max, &threads_setting, err))
		return false;
	if (threads_setting == 0)
		threads_setting = settings_cores > max ? max : settings_cores;
	*threads = (unsigned)threads_setting;
	return true;
}

/* What is not verified at a time may be mined and the other way round, so the larger of both options is what the node
 * is given; more threads than cores would only take turns. */
static void settings_share_cores(struct settings *settings)
{
	const unsigned settings_cores = settings_count_cores();

	settings->threads = settings->verify_threads > settings->mine_threads ? settings->verify_threads :
										settings->mine_threads;
	if (settings->threads > settings_cores)
		settings->threads = settings_cores;
}

static bool settings_read_port(const struct options *options, const char *name, uint16_t fallback, uint16_t *port,
	struct errmsg *err)
{
	int64_t port_setting;

	if (!options_int(options, name, 1, 65535, &port_setting, err))
		return false;
	/* options_int gives 0 for what is not set; the chain's own port is known only since its spec has been
	 * placed. */
	*port = options_is_set(options, name) ? (uint16_t)port_setting : fallback;
	return true;
}

/* Two of a node's own doors must not be one by default. */
static uint16_t settings_default_web_port(const struct settings *settings)
{
	uint16_t web_port = settings->rpc_port > UINT16_MAX - 10 ? (uint16_t)(settings->rpc_port - 10) :
								   (uint16_t)(settings->rpc_port + 10);

	return web_port == settings->port ? (uint16_t)(web_port + 1) : web_port;
}

static bool settings_read_numbers(struct settings *settings, struct errmsg *err)
{
	/* A bound for each, so that what follows can count in the types of struct settings without looking again: no
	 * mempool of 0 bytes, no timeout that overflows as milliseconds, no time that a header's 32 bits cannot
	 * hold. */
	const struct options *options = settings->options;
	int64_t snapshots_set, prune_set, mempool_set, peers_set, per_address_set, mock_set, status_set, timeout_set;

	if (!settings_read_threads(options, "par", SETTINGS_PAR_MAX, &settings->verify_threads, err) ||
		!settings_read_threads(options, "threads", SETTINGS_MINER_THREADS, &settings->mine_threads, err) ||
		!settings_read_port(options, "port", settings->datadir.p2p_port, &settings->port, err) ||
		!settings_read_port(options, "rpcport", settings->datadir.rpc_port, &settings->rpc_port, err) ||
		!options_int(options, "snapshotinterval", 0, 1000000, &snapshots_set, err) ||
		!options_int(options, "prune", 0, INT32_MAX, &prune_set, err) ||
		!options_int(options, "maxmempool", 5, 4096, &mempool_set, err) ||
		!options_int(options, "maxconnections", 0, 10000, &peers_set, err) ||
		!options_int(options, "maxinboundperaddress", 1, 10000, &per_address_set, err) ||
		!options_int(options, "rpcservertimeout", 1, 3600, &timeout_set, err) ||
		!options_int(options, "statusinterval", 0, 86400, &status_set, err) ||
		!options_int(options, "mocktime", 0, UINT32_MAX, &mock_set, err))
		return false;
	if (!settings_read_port(options, "webport", settings_default_web_port(settings), &settings->web_port, err))
		return false;
	settings->snapshot_interval = (uint32_t)snapshots_set;
	settings->prune = (uint32_t)prune_set;
	settings->mempool_bytes = (size_t)mempool_set << 20;
	settings->max_peers = (size_t)peers_set;
	settings->max_per_address = (size_t)per_address_set;
	settings->status_interval = (uint32_t)status_set;
	settings->rpc_timeout = (unsigned)timeout_set;
	settings->mock_time = mock_set;
	settings_share_cores(settings);
	return true;
}

static bool settings_read_lists(struct settings *settings, struct errmsg *err)
{
	for (size_t i = 0; i < options_count(settings->options, "debug"); i++) {
		const char *category = options_value(settings->options, "debug", i);
		unsigned debug_setting;

		if (!log_category_parse(category, &debug_setting))
			return errmsg_set(err, "-debug=%.64s: there is no such category (atelierd -help lists them)",
				category);
		settings->log_categories |= debug_setting;
	}
	return settings_read_list(settings->options, "connect", &settings->connect, err) &&
		settings_read_list(settings->options, "addnode", &settings->addnode, err) &&
		settings_read_list(settings->options, "rpcbind", &settings->rpcbind, err) &&
		settings_read_list(settings->options, "webbind", &settings->webbind, err) &&
		settings_read_list(settings->options, "webhost", &settings->webhost, err) &&
		settings_read_list(settings->options, "wallet", &settings->wallet, err) &&
		settings_read_list(settings->options, "loadblock", &settings->loadblock, err);
}

/* Files that a private spec names lie beside the spec. */
static bool settings_read_beside(const char *spec_path, const char *name, size_t max, struct buf *out,
	struct errmsg *err)
{
	char *beside_spec = path_beside(spec_path, name);
	bool ok = file_read(beside_spec, max, out, err);

	free(beside_spec);
	return ok;
}

bool settings_read_corpus(struct spec *spec, const char *spec_path, const char *corpus_name, struct errmsg *err)
{
	struct buf spec_corpus;
	bool ok;

	buf_init(&spec_corpus);
	ok = settings_read_beside(spec_path, corpus_name, SPEC_CORPUS_MAX, &spec_corpus, err);
	if (ok)
		spec_set_corpus(spec, spec_corpus.data, spec_corpus.size);
	buf_clear(&spec_corpus);
	return ok;
}

static bool settings_read_initial_state(struct spec *spec, const char *spec_path, struct errmsg *err)
{
	/* The sizes are checked before the file is read: its own bound, and so the memory it takes, is computed from
	 * them. */
	const char *wrong_size = model_config_check(&spec_course(spec)->train.model),
		   *state_name = spec->initial_state_path;
	struct buf weights;
	bool ok;

	if (wrong_size != NULL)
		return errmsg_set(err, "%s", wrong_size);
	buf_init(&weights);
	ok = settings_read_beside(spec_path, state_name, weights_size_max(&spec_course(spec)->train.model), &weights,
		     err) &&
		(spec_set_initial_state(spec, weights.data, weights.size, err) ||
			errmsg_wrap(err, "initial_state %.64s", state_name));
	buf_clear(&weights);
	return ok;
}

/* A name that people use and the list does not have admits nobody: whoever contributes writes the listed one. By the
 * list of this release, which a later one only adds to: an id that is unlike all of it may be newer, and passes. */
static bool settings_check_licences(const struct spec *spec, struct errmsg *err)
{
	for (uint32_t i = 0; i < spec->licence_count; i++)
		if (spdx_review(spec->licences[i], err) == SPDX_MISTAKE)
			return errmsg_wrap(err, "licences would admit nobody's data");
	return true;
}

static bool settings_read_private_spec(struct settings *settings, struct errmsg *err)
{
	const char *spec_path = settings->datadir.chainspec;
	struct spec *spec = &settings->spec;
	struct buf spec_text;
	char *spec_corpus = NULL;
	bool ok;

	buf_init(&spec_text);
	/* The order is the spec's own: the text names corpus and weights, and both go into what spec_finish computes,
	 * commitment and genesis block. Any change to them makes another chain, not a broken one. */
	ok = file_read(spec_path, SETTINGS_SPEC_FILE_MAX, &spec_text, err) &&
		spec_parse(spec, (const char *)spec_text.data, spec_text.size, &spec_corpus, err) &&
		settings_check_licences(spec, err) &&
		(spec_corpus == NULL || settings_read_corpus(spec, spec_path, spec_corpus, err)) &&
		(spec->initial_state_path == NULL || settings_read_initial_state(spec, spec_path, err)) &&
		spec_finish(spec, err);
	settings->corpus_path = spec_corpus == NULL ? NULL : path_beside(spec_path, spec_corpus);
	free(spec_corpus);
	buf_clear(&spec_text);
	return ok || errmsg_wrap(err, "%s", spec_path);
}

static bool settings_read_spec(struct settings *settings, struct errmsg *err)
{
	if (settings->datadir.chainspec != NULL)
		return settings_read_private_spec(settings, err);
	return spec_builtin(&settings->spec, settings->datadir.chain) ||
		errmsg_set(err, "There is no chain '%s'", settings->datadir.chain);
}

/* On a public chain a false clock would let its operator's node take blocks from the future, and mine such. */
static bool settings_read_clock(const struct settings *settings, struct errmsg *err)
{
	if (settings->mock_time != 0 && settings->spec.is_public)
		return errmsg_set(err, "-mocktime is for regtest and private chains only");
	clock_set_mock(settings->mock_time);
	return true;
}

static bool settings_read_price(struct settings *settings, struct errmsg *err)
{
	const char *price_text = options_string(settings->options, "price");
	json_t *price_json = json_string(price_text);
	struct rpc_error why;
	int64_t confirmations_set;
	const bool is_price = convert_amount(price_json, "price", &settings->price, &why) &&
		settings->price <= SETTINGS_PRICE_COINS * COIN;

	json_decref(price_json);
	if (!is_price)
		return errmsg_set(err, "-price=%.32s is not an amount from 0 to %d", price_text, SETTINGS_PRICE_COINS);
	if (!options_int(settings->options, "confirmations", 1, 1000, &confirmations_set, err))
		return false;
	settings->confirmations = (uint32_t)confirmations_set;
	return true;
}

static bool settings_read_share(struct settings *settings, struct errmsg *err)
{
	const char *share_text = options_string(settings->options, "recheck");
	json_t *share_json = json_string(share_text);
	struct rpc_error why;
	const bool is_share = convert_decimal(share_json, "recheck", &settings->recheck_share, &why) &&
		settings->recheck_share >= 0 && settings->recheck_share <= SETTINGS_SHARE_ALL;

	json_decref(share_json);
	return is_share || errmsg_set(err, "-recheck=%.32s is not a number from 0 to 1", share_text);
}

static bool settings_read_mining(struct settings *settings, struct errmsg *err)
{
	const char *miner_address = options_string(settings->options, "mineraddress");
	struct errmsg why;

	settings->mine = options_bool(settings->options, "mine");
	settings->web = options_bool(settings->options, "web");
	settings->mine_alone = options_bool(settings->options, "minealone");
	settings->run = options_bool(settings->options, "run");
	if (miner_address == NULL)
		return true;
	settings->has_mine_key = address_to_key(settings->mine_key, settings->spec.hrp, miner_address, &why);
	return settings->has_mine_key || errmsg_set(err, "-mineraddress: Invalid address: %s", why.text);
}

enum settings_result settings_read(struct settings *settings, int argc, char *const argv[], struct errmsg *err)
{
	memset(settings, 0, sizeof *settings);
	settings->options = options_new(settings_table);
	/* The command line first, since it says where the configuration file lies; datadir_find reads that one, and all
	 * numbers are looked at after it. Help and version come before anything that could be wrong with a file. */
	options_add_table(settings->options, datadir_options);
	if (!options_parse_args(settings->options, argc, argv, NULL, err))
		return SETTINGS_WRONG;
	if (settings_is_asked(settings->options, "help") || settings_is_asked(settings->options, "h") ||
		settings_is_asked(settings->options, "?"))
		return SETTINGS_HELP;
	if (settings_is_asked(settings->options, "version"))
		return SETTINGS_VERSION;
	if (options_is_set(settings->options, "importmodel")) {
		settings->import_weights = options_string(settings->options, "importmodel");
		settings->import_spec = options_string(settings->options, "chainspec");
		if (settings->import_spec == NULL || *settings->import_spec == '\0') {
			errmsg_set(err, "-importmodel needs -chainspec=<file>, which is written");
			return SETTINGS_WRONG;
		}
		settings->datadir.base = datadir_find_base(settings->options, err);
		return settings->datadir.base != NULL ? SETTINGS_IMPORT : SETTINGS_WRONG;
	}
	if (!datadir_find(&settings->datadir, settings->options, err) || !settings_read_numbers(settings, err) ||
		!settings_read_lists(settings, err) || !settings_read_spec(settings, err) ||
		!settings_read_clock(settings, err) || !settings_read_mining(settings, err) ||
		!settings_read_share(settings, err) || !settings_read_price(settings, err))
		return SETTINGS_WRONG;
	return SETTINGS_RUN;
}

/* Strings of the lists and of the import are the options' own, and gone with them. */
void settings_clear(struct settings *settings)
{
	spec_clear(&settings->spec);
	datadir_clear(&settings->datadir);
	free(settings->corpus_path);
	options_free(settings->options);
}
