/* The daemon's options, and how each is checked. */
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/address.h"
#include "ml/files/weights.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/queue.h"

/* Bytes of a spec's text, as datadir.c reads it; -par's largest value. */
enum { SPEC_FILE_MAX = 1 << 20, THREADS_MAX = 64 };

static const struct option_spec table[] = {
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

	{ "wallet", "<name>", "Load this wallet at the start.", "Wallet", NULL, OPTION_MULTI },

	{ "server", NULL, "Serve JSON-RPC.", "JSON-RPC server", "1", 0 },
	{ "rpcbind", "<address>[:<port>]",
		"Serve on this address (default: this machine alone). The traffic is not encrypted.", "JSON-RPC server",
		NULL, OPTION_MULTI },
	{ "rpcservertimeout", "<seconds>", "How long a connection may take to say who it is and what it wants.",
		"JSON-RPC server", "30", 0 },

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
static bool is_asked(const struct options *options, const char *name)
{
	return options_is_set(options, name) && options_bool(options, name);
}

/* The values stay the options' own: settings_clear releases those last. */
static bool read_list(const struct options *options, const char *name, struct settings_list *list, struct errmsg *err)
{
	size_t count = options_count(options, name);

	if (count > SETTINGS_LIST_MAX)
		return errmsg_set(err, "-%s is given %zu times; %d are allowed", name, count, SETTINGS_LIST_MAX);
	for (size_t i = 0; i < count; i++)
		list->values[i] = options_value(options, name, i);
	list->count = count;
	return true;
}

/* Those that are online, not those the process may use: under taskset or a container's limit -par says better. */
static unsigned count_cores(void)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > QUEUE_CAPACITY_MAX ? QUEUE_CAPACITY_MAX : (unsigned)cores;
}

/* 0 stands for the number of cores. */
static bool read_threads(const struct options *options, const char *name, int64_t max, unsigned *threads,
	struct errmsg *err)
{
	const int64_t cores = count_cores();
	int64_t value;

	if (!options_int(options, name, 0, max, &value, err))
		return false;
	if (value == 0)
		value = cores > max ? max : cores;
	*threads = (unsigned)value;
	return true;
}

/* What is not verified at a time may be mined and the other way round, so the larger of both options is what the node
 * is given; more threads than cores would only take turns. */
static void share_cores(struct settings *s)
{
	const unsigned cores = count_cores();

	s->threads = s->verify_threads > s->mine_threads ? s->verify_threads : s->mine_threads;
	if (s->threads > cores)
		s->threads = cores;
}

static bool read_port(const struct options *options, const char *name, uint16_t fallback, uint16_t *port,
	struct errmsg *err)
{
	int64_t value;

	if (!options_int(options, name, 1, 65535, &value, err))
		return false;
	/* options_int gives 0 for what is not set; the chain's own port is known only since its spec has been
	 * placed. */
	*port = options_is_set(options, name) ? (uint16_t)value : fallback;
	return true;
}

static bool read_numbers(struct settings *s, struct errmsg *err)
{
	/* A bound for each, so that what follows can count in the types of struct settings without looking again: no
	 * mempool of 0 bytes, no timeout that overflows as milliseconds, no time that a header's 32 bits cannot
	 * hold. */
	const struct options *o = s->options;
	int64_t snapshots, mempool, peers, per_address, mock, status, timeout;

	if (!read_threads(o, "par", THREADS_MAX, &s->verify_threads, err) ||
		!read_threads(o, "threads", SETTINGS_MINER_THREADS, &s->mine_threads, err) ||
		!read_port(o, "port", s->datadir.p2p_port, &s->port, err) ||
		!read_port(o, "rpcport", s->datadir.rpc_port, &s->rpc_port, err) ||
		!options_int(o, "snapshotinterval", 0, 1000000, &snapshots, err) ||
		!options_int(o, "maxmempool", 5, 4096, &mempool, err) ||
		!options_int(o, "maxconnections", 0, 10000, &peers, err) ||
		!options_int(o, "maxinboundperaddress", 1, 10000, &per_address, err) ||
		!options_int(o, "rpcservertimeout", 1, 3600, &timeout, err) ||
		!options_int(o, "statusinterval", 0, 86400, &status, err) ||
		!options_int(o, "mocktime", 0, UINT32_MAX, &mock, err))
		return false;
	s->snapshot_interval = (uint32_t)snapshots;
	s->mempool_bytes = (size_t)mempool << 20;
	s->max_peers = (size_t)peers;
	s->max_per_address = (size_t)per_address;
	s->status_interval = (uint32_t)status;
	s->rpc_timeout = (unsigned)timeout;
	s->mock_time = mock;
	share_cores(s);
	return true;
}

static bool read_lists(struct settings *s, struct errmsg *err)
{
	for (size_t i = 0; i < options_count(s->options, "debug"); i++) {
		const char *name = options_value(s->options, "debug", i);
		unsigned mask;

		if (!log_category_parse(name, &mask))
			return errmsg_set(err, "-debug=%.64s: there is no such category", name);
		s->log_categories |= mask;
	}
	return read_list(s->options, "connect", &s->connect, err) &&
		read_list(s->options, "addnode", &s->addnode, err) &&
		read_list(s->options, "rpcbind", &s->rpcbind, err) &&
		read_list(s->options, "wallet", &s->wallet, err) &&
		read_list(s->options, "loadblock", &s->loadblock, err);
}

/* Files that a private spec names lie beside the spec. */
static bool read_beside(const char *spec_path, const char *name, size_t max, struct buf *out, struct errmsg *err)
{
	char *path = path_beside(spec_path, name);
	bool ok = file_read(path, max, out, err);

	free(path);
	return ok;
}

bool settings_read_corpus(struct spec *spec, const char *spec_path, const char *name, struct errmsg *err)
{
	struct buf corpus;
	bool ok;

	buf_init(&corpus);
	ok = read_beside(spec_path, name, SPEC_CORPUS_MAX, &corpus, err);
	if (ok)
		spec_set_corpus(spec, corpus.data, corpus.size);
	buf_clear(&corpus);
	return ok;
}

static bool read_initial_state(struct spec *spec, const char *spec_path, struct errmsg *err)
{
	/* The sizes are checked before the file is read: its own bound, and so the memory it takes, is computed from
	 * them. */
	const char *wrong = model_config_check(&spec_course(spec)->train.model), *name = spec->initial_state_path;
	struct buf weights;
	bool ok;

	if (wrong != NULL)
		return errmsg_set(err, "%s", wrong);
	buf_init(&weights);
	ok = read_beside(spec_path, name, weights_size_max(&spec_course(spec)->train.model), &weights, err) &&
		(spec_set_initial_state(spec, weights.data, weights.size, err) ||
			errmsg_wrap(err, "initial_state %.64s", name));
	buf_clear(&weights);
	return ok;
}

static bool read_private_spec(struct settings *s, struct errmsg *err)
{
	const char *path = s->datadir.chainspec;
	struct spec *spec = &s->spec;
	struct buf text;
	char *corpus = NULL;
	bool ok;

	buf_init(&text);
	/* The order is the spec's own: the text names corpus and weights, and both go into what spec_finish computes,
	 * commitment and genesis block. Any change to them makes another chain, not a broken one. */
	ok = file_read(path, SPEC_FILE_MAX, &text, err) &&
		spec_parse(spec, (const char *)text.data, text.size, &corpus, err) &&
		(corpus == NULL || settings_read_corpus(spec, path, corpus, err)) &&
		(spec->initial_state_path == NULL || read_initial_state(spec, path, err)) && spec_finish(spec, err);
	s->corpus_path = corpus == NULL ? NULL : path_beside(path, corpus);
	free(corpus);
	buf_clear(&text);
	return ok || errmsg_wrap(err, "%s", path);
}

static bool read_spec(struct settings *s, struct errmsg *err)
{
	if (s->datadir.chainspec != NULL)
		return read_private_spec(s, err);
	return spec_builtin(&s->spec, s->datadir.chain) || errmsg_set(err, "There is no chain '%s'", s->datadir.chain);
}

/* On a public chain a false clock would let its operator's node take blocks from the future, and mine such. */
static bool read_clock(const struct settings *s, struct errmsg *err)
{
	if (s->mock_time != 0 && s->spec.is_public)
		return errmsg_set(err, "-mocktime is for regtest and private chains only");
	clock_set_mock(s->mock_time);
	return true;
}

static bool read_mining(struct settings *s, struct errmsg *err)
{
	const char *address = options_string(s->options, "mineraddress");
	struct errmsg why;

	s->mine = options_bool(s->options, "mine");
	s->mine_alone = options_bool(s->options, "minealone");
	if (address == NULL)
		return true;
	s->has_mine_key = address_to_key(s->mine_key, s->spec.hrp, address, &why);
	return s->has_mine_key || errmsg_set(err, "-mineraddress: Invalid address: %s", why.text);
}

enum settings_result settings_read(struct settings *settings, int argc, char *const argv[], struct errmsg *err)
{
	memset(settings, 0, sizeof *settings);
	settings->options = options_new(table);
	/* The command line first, since it says where the configuration file lies; datadir_find reads that one, and all
	 * numbers are looked at after it. Help and version come before anything that could be wrong with a file. */
	options_add_table(settings->options, datadir_options);
	if (!options_parse_args(settings->options, argc, argv, NULL, err))
		return SETTINGS_WRONG;
	if (is_asked(settings->options, "help") || is_asked(settings->options, "h") || is_asked(settings->options, "?"))
		return SETTINGS_HELP;
	if (is_asked(settings->options, "version"))
		return SETTINGS_VERSION;
	if (options_is_set(settings->options, "importmodel")) {
		settings->import_weights = options_string(settings->options, "importmodel");
		settings->import_spec = options_string(settings->options, "chainspec");
		if (settings->import_spec != NULL && *settings->import_spec != '\0')
			return SETTINGS_IMPORT;
		errmsg_set(err, "-importmodel needs -chainspec=<file>, which is written");
		return SETTINGS_WRONG;
	}
	if (!datadir_find(&settings->datadir, settings->options, err) || !read_numbers(settings, err) ||
		!read_lists(settings, err) || !read_spec(settings, err) || !read_clock(settings, err) ||
		!read_mining(settings, err))
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
