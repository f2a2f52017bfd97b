/* The daemon's life: signals, parts opened in order, the loop, parts closed in reverse. */
#include "config.h"

#include "node/node.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <event2/util.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls/calls.h"
#include "chain/chain.h"
#include "credit/credit.h"
#include "explorer/explorer.h"
#include "http/server.h"
#include "ml/backend.h"
#include "ml/backend_cpu.h"
#include "ml/kernel/engine.h"
#include "ml/selftest.h"
#include "net/net.h"
#include "operator/journal.h"
#include "operator/pid_file.h"
#include "operator/watch.h"
#include "rpc/endpoint.h"
#include "rpc/table.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/descriptors.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "wallet/wallets.h"
#include "web/web.h"
#include "work/auditor.h"
#include "work/loop.h"
#include "work/miner.h"
#include "work/prober.h"
#include "work/runner.h"
#include "work/text/writer.h"

enum { NODE_NAMED_ROOM = 2 * SETTINGS_LIST_MAX };

#define NODE_IMPORT_OVER INT64_MAX
enum { NODE_IMPORT_PAUSE = 60 }; /* seconds until a file is read again at the earliest */

/* All parts; NULL where not open. */
struct node {
	const struct settings *settings;
	int lock;
	bool logging;   /* the log is open */
	char *pid_path; /* of the file that was written; it goes at the end */
	struct event_base *base;
	struct event *reopen, *end, *tick;
	struct loop_queue work; /* all that takes long */
	struct rpc_table *table;
	struct http_server *server;
	struct web *web;
	struct chain *chain;
	struct explorer *explorer; /* NULL too with -explorer=0 */
	struct wallets *wallets;
	struct credit *credit;
	struct net *net;
	size_t max_open; /* connections to peers, of any kind */
	struct miner *miner;
	struct auditor *auditor;
	struct writer *writer;
	struct runner *runner;
	struct prober *prober;
	struct watch watch;
	struct journal journal;
	struct calls_control control;
	struct calls *calls;
	int64_t import_due[SETTINGS_LIST_MAX]; /* of each -loadblock: the Unix time from when on to read it, or
						  NODE_IMPORT_OVER */
	int64_t progress_due;                  /* when start-up tells next how far it is */
	struct errmsg failure;                 /* why it cannot go on; "" while it can */
};

/* --- the end --- */

/* Signals are heard from the beginning on, while the loop does not run yet or does something that takes long: what
 * takes long looks at the flag, and the pipe wakes the loop. */
static atomic_bool node_end_asked;
static int node_end_pipe[2] = { -1, -1 };

static void node_on_end_signal(int number)
{
	int node_errno_before = errno;
	ssize_t node_told;

	atomic_store(&node_end_asked, true);
	node_told = write(node_end_pipe[1], "", 1); /* a full pipe wakes the loop as well */
	(void)number;
	(void)node_told;
	errno = node_errno_before;
}

static bool node_hear_signals(struct errmsg *err)
{
	struct sigaction node_end_action = { .sa_handler = node_on_end_signal, .sa_flags = SA_RESTART };

	atomic_store(&node_end_asked, false);
	if (pipe(node_end_pipe) != 0 || evutil_make_socket_nonblocking(node_end_pipe[0]) != 0 ||
		evutil_make_socket_nonblocking(node_end_pipe[1]) != 0 ||
		evutil_make_socket_closeonexec(node_end_pipe[0]) != 0 ||
		evutil_make_socket_closeonexec(node_end_pipe[1]) != 0)
		return errmsg_set(err, "Signals cannot be handled");
	sigemptyset(&node_end_action.sa_mask);
	sigaction(SIGINT, &node_end_action, NULL);
	sigaction(SIGTERM, &node_end_action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit on files fails like any other */
	return true;
}

/* The call `stop`: as a signal, it may come while the chain is being opened, in a turn of the loop after which no loop
 * is left to be ended. The flag tells chain_open, and node_run. */
static void node_on_stop_call(void *context)
{
	struct node *node = context;

	atomic_store(&node_end_asked, true);
	event_base_loopexit(node->base, NULL);
}

static void node_on_end_asked(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_info("A signal asks for it: the node ends");
	node_on_stop_call(arg);
}

static void node_on_reopen_signal(evutil_socket_t number, short what, void *arg)
{
	struct errmsg node_err;

	(void)number;
	(void)what;
	(void)arg;
	if (!log_reopen(&node_err))
		log_error("%s", node_err.text);
}

static void node_on_fatal(void *context, const char *why)
{
	struct node *node = context;

	errmsg_set(&node->failure, "%s", why);
	event_base_loopexit(node->base, NULL);
}

/* --- once a second --- */

/* -loadblock: files that are due; some of their blocks may have been too new before. */
static bool node_import_blocks(struct node *node, struct errmsg *err)
{
	for (size_t i = 0; i < node->settings->loadblock.count; i++) {
		const char *import_path = node->settings->loadblock.values[i];
		struct import_result node_import;

		if (node->import_due[i] == NODE_IMPORT_OVER || clock_wall() < node->import_due[i])
			continue;
		node->import_due[i] = NODE_IMPORT_OVER;
		if (!chain_import(node->chain, import_path, &node_import, err))
			return errmsg_wrap(err, "-loadblock=%.100s", import_path);
		log_info("%zu new blocks in %s", node_import.added, import_path);
		if (node_import.due == 0)
			continue;
		node->import_due[i] = clock_wall() + NODE_IMPORT_PAUSE;
		if (node->import_due[i] < node_import.due)
			node->import_due[i] = node_import.due;
	}
	return true;
}

static void node_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct node *node = arg;
	struct errmsg node_err;
	bool is_behind;

	(void)fd;
	(void)what;
	if (backend_trust() == BACKEND_NONE)
		node_on_fatal(node, "This machine computes wrongly: nothing can be verified on it");
	watch_look(&node->watch);
	journal_tick(&node->journal);
	if (!node_import_blocks(node, &node_err))
		log_error("%s", node_err.text);
	is_behind = wallets_tick(node->wallets);
	is_behind |= credit_tick(node->credit);
	is_behind |= node->explorer != NULL && explorer_tick(node->explorer);
	if (is_behind)
		loop_tick_wake(node->tick);
}

/* --- opening --- */

static bool node_open_folder(struct node *node, struct errmsg *err)
{
	const struct settings *node_settings = node->settings;
	char *node_lock_path = path_join(node_settings->datadir.data, ".lock");
	char *node_log_path = path_join(node_settings->datadir.data,
		options_string(node_settings->options, "debuglogfile"));
	bool log_console = options_is_set(node_settings->options, "printtoconsole") ?
		options_bool(node_settings->options, "printtoconsole") :
		isatty(STDOUT_FILENO) == 1;
	bool ok = dir_make(node_settings->datadir.data, err);

	if (ok) {
		node->lock = file_lock(node_lock_path, err);
		ok = node->lock >= 0 || errmsg_wrap(err, "Another node may be running on this data directory");
	}
	node->logging = ok && log_init(node_log_path, log_console, node_settings->log_categories, err);
	free(node_lock_path);
	free(node_log_path);
	return node->logging;
}

static bool node_write_pid(struct node *node, struct errmsg *err)
{
	char *node_pid_path = path_join(node->settings->datadir.data, options_string(node->settings->options, "pid"));

	if (pid_file_write(node_pid_path, err))
		node->pid_path = node_pid_path;
	else
		free(node_pid_path);
	return node->pid_path != NULL;
}

static bool node_choose_engine(const struct node *node, struct errmsg *err)
{
	const char *node_engine_name = options_string(node->settings->options, "engine");
	const struct backend_kind *node_engine_kind;

	engine_init(1);
	if (!selftest_choose(node_engine_name, &node_engine_kind, err))
		return errmsg_wrap(err, "-engine=%.20s", node_engine_name);
	backend_select(node_engine_kind);
	const char *kernels = engine_kernels(backend_cpu_engine(node_engine_kind));

	log_info("Products are computed by %s%s%s", node_engine_kind->name, kernels != NULL ? ", kernels for " : "",
		kernels != NULL ? kernels : "");
	return true;
}

static bool node_open_loop(struct node *node, struct errmsg *err)
{
	if (evthread_use_pthreads() != 0 || (node->base = event_base_new()) == NULL)
		return errmsg_set(err, "The event loop cannot be made");
	node->reopen = mem_check(evsignal_new(node->base, SIGHUP, node_on_reopen_signal, node));
	node->end = mem_check(event_new(node->base, node_end_pipe[0], EV_READ, node_on_end_asked, node));
	if (event_add(node->reopen, NULL) != 0 || event_add(node->end, NULL) != 0)
		return errmsg_set(err, "Signals cannot be handled");
	loop_queue_init(&node->work, node->base, node->settings->threads);
	return true;
}

/* The nodes that the operator names are not counted in -maxconnections, and have room too. */
static void node_share_descriptors(struct node *node)
{
	size_t wanted_open = node->settings->max_peers + NODE_NAMED_ROOM;
	size_t open_limit = descriptors_raise(wanted_open + DESCRIPTORS_NODE + DESCRIPTORS_RPC + DESCRIPTORS_WEB);

	node->max_open = descriptors_for_peers(open_limit);
	if (node->max_open < node->settings->max_peers)
		log_warn("Only %zu file descriptors may be open (ulimit -n): at most %zu connections instead of %zu",
			open_limit, node->max_open, node->settings->max_peers);
	if (node->max_open == 0)
		node->max_open = 1;
}

static bool node_open_server(struct node *node, struct errmsg *err)
{
	const struct settings *node_settings = node->settings;
	char *node_cookie_path = datadir_cookie(&node_settings->datadir);
	struct http_endpoint node_rpc_endpoint;
	struct http_server_config node_server_config = {
		.name = "RPC",
		.only = RPC_POST_ONLY,
		.binds = node_settings->rpcbind.values,
		.bind_count = node_settings->rpcbind.count,
		.port = node_settings->rpc_port,
		.timeout = node_settings->rpc_timeout,
		.user = options_string(node_settings->options, "rpcuser"),
		.password = options_string(node_settings->options, "rpcpassword"),
		.cookie_path = node_cookie_path,
	};
	bool serves = options_bool(node_settings->options, "server");

	node->table = rpc_table_new();
	node->control = (struct calls_control){ .spec = &node_settings->spec,
		.stop = node_on_stop_call,
		.stop_context = node };
	calls_control_add(node->table, &node->control);
	rpc_table_set_warmup(node->table, "Loading block index");
	node_rpc_endpoint = endpoint_of(node->table);
	node_server_config.endpoints = &node_rpc_endpoint;
	node_server_config.endpoint_count = 1;
	if (serves)
		node->server = http_server_new(node->base, &node_server_config, err);
	free(node_cookie_path);
	if (serves && node->server == NULL)
		return false;
	node->web = web_open(node->base, node_settings, node->table, err);
	return node->web != NULL;
}

/* Comes for every block of a long start; a line a second is enough to watch.
 *
 * Here the loop turns once, within chain_open, so that whoever asks hears how far it is. That is sound because nothing
 * in the loop knows the chain yet: the table lets no call through but those with RPC_EARLY, nobody is subscribed,
 * nothing ticks, the network is closed, and chain_open gives the queue no job before it has told its last progress.
 * An end that is asked for in this turn is in node_end_asked when it is over. */
static void node_on_progress(void *context, const char *what, uint32_t done, uint32_t total)
{
	struct node *node = context;
	int64_t node_now = clock_mono_ms();
	char node_progress[128];

	snprintf(node_progress, sizeof node_progress, "%s: %u of %u", what, done, total);
	rpc_table_set_warmup(node->table, node_progress);
	event_base_loop(node->base, EVLOOP_NONBLOCK);
	if (node_now < node->progress_due)
		return;
	node->progress_due = node_now + 1000;
	log_info("%s", node_progress);
}

static bool node_open_chain(struct node *node, struct errmsg *err)
{
	const struct settings *node_settings = node->settings;
	struct chain_options node_chain_options = {
		.datadir = node_settings->datadir.data,
		.spec = &node_settings->spec,
		.queue = node->work.queue,
		.threads = node_settings->verify_threads,
		.snapshot_interval = node_settings->snapshot_interval,
		.prune = node_settings->prune,
		.mempool_bytes = node_settings->mempool_bytes,
		.reindex = options_bool(node_settings->options, "reindex"),
		.progress = node_on_progress,
		.progress_context = node,
		.stop = &node_end_asked,
	};
	char genesis_id[65];

	node->chain = chain_open(&node_chain_options, err);
	if (node->chain == NULL)
		return false;
	chain_subscribe(node->chain, &(struct chain_events){ .context = node, .fatal = node_on_fatal });
	hex_encode_reversed(genesis_id, chain_at(node->chain, 0)->id, 32);
	log_info("chain %s at block %u, genesis %s", node_settings->spec.name, chain_tip(node->chain)->height,
		genesis_id);
	return true;
}

static void node_open_books(struct node *node)
{
	const struct settings *node_settings = node->settings;
	const char *node_folder = node_settings->datadir.data;

	node->credit = credit_open(node->chain, node_folder, node_settings->price, node_settings->confirmations);
	if (options_bool(node_settings->options, "explorer"))
		node->explorer = explorer_open(node->chain, node_folder,
			options_bool(node_settings->options, "reindex"));
}

static bool node_open_wallets(struct node *node, struct errmsg *err)
{
	const struct settings *node_settings = node->settings;
	char *node_wallets_folder = path_join(node_settings->datadir.data, "wallets");

	node->wallets = wallets_new(node->chain, node_wallets_folder);
	free(node_wallets_folder);
	wallets_load_startup(node->wallets);
	for (size_t i = 0; i < node_settings->wallet.count; i++) {
		struct wallet *node_wallet;
		struct errmsg why_not = { "there is none of this name" };
		enum wallets_result node_loaded = wallets_load(node->wallets, node_settings->wallet.values[i],
			&node_wallet, &why_not);

		if (node_loaded != WALLETS_OK && node_loaded != WALLETS_LOADED)
			return errmsg_set(err, "The wallet %.64s cannot be loaded: %s", node_settings->wallet.values[i],
				why_not.text);
	}
	return true;
}

/* Nodes to connect to were named; "0" names none. */
static bool node_names_nodes(const struct settings *node_settings)
{
	return node_settings->connect.count > 1 ||
		(node_settings->connect.count == 1 && strcmp(node_settings->connect.values[0], "0") != 0);
}

static bool node_open_net(struct node *node, struct errmsg *err)
{
	const struct settings *node_settings = node->settings;
	bool node_listens = options_is_set(node_settings->options, "listen") ?
		options_bool(node_settings->options, "listen") :
		node_settings->connect.count == 0 || options_is_set(node_settings->options, "bind");
	struct net_options node_net_options = {
		.listen = node_listens,
		.bind = options_string(node_settings->options, "bind"),
		.port = node_settings->port,
		.max_peers = node_settings->max_peers,
		.max_per_address = node_settings->max_per_address,
		.max_open = node->max_open,
		.connect = node_settings->connect.values,
		.connect_count = node_names_nodes(node_settings) ? node_settings->connect.count : 0,
		.addnode = node_settings->addnode.values,
		.addnode_count = node_settings->addnode.count,
		.agent = "/atelier:" VERSION "/",
	};

	node->net = net_open(node->base, node->chain, &node_net_options, err);
	if (node->net == NULL)
		return false;
	net_set_active(node->net, options_bool(node_settings->options, "networkactive"));
	return true;
}

static bool node_mining_key(void *context, uint8_t node_key[32], struct errmsg *err)
{
	struct node *node = context;

	if (node->settings->has_mine_key) {
		memcpy(node_key, node->settings->mine_key, 32);
		return true;
	}
	wallets_mend(node->wallets);
	if (wallets_count(node->wallets) == 0)
		return errmsg_set(err,
			"Mining needs somebody to pay: an address (-mineraddress=<address>), or a wallet "
			"(createwallet makes one while the node runs, without -mine; -wallet=<name> loads one)");
	return wallet_new_address(wallets_at(node->wallets, 0), ACCOUNT_RECEIVE, "mining", node_key, err);
}

/* --- the keys of seats: those of loaded wallets --- */

static bool node_owns_seat(void *context, const uint8_t seat_key[32])
{
	const struct node *node = context;

	return wallets_owner(node->wallets, seat_key) != NULL;
}

static bool node_sign_commit(void *context, const uint8_t seat_key[32], const uint8_t commit_hash[32],
	uint8_t signature[64])
{
	const struct node *node = context;
	struct wallet *owner = wallets_owner(node->wallets, seat_key);

	return owner != NULL && wallet_sign(owner, seat_key, commit_hash, signature);
}

static void node_open_runner(struct node *node)
{
	char *node_runs_folder = path_join(node->settings->datadir.data, "runs");

	node->runner = runner_new(&(struct runner_options){
		.chain = node->chain,
		.queue = node->work.queue,
		.base = node->base,
		.folder = node_runs_folder,
		.threads = node->settings->mine_threads,
		.is_wanted = node->settings->run,
		.keys = { .owns = node_owns_seat, .sign = node_sign_commit, .context = node },
	});
	free(node_runs_folder);
	node->prober = prober_new(&(struct prober_options){
		.chain = node->chain,
		.queue = node->work.queue,
		.base = node->base,
		.runner = node->runner,
		.threads = node->settings->mine_threads,
		.share = node->settings->recheck_share,
	});
}

static bool node_open_work(struct node *node, struct errmsg *err)
{
	const struct settings *node_settings = node->settings;
	uint8_t node_key[32];

	node->miner = miner_new(node->chain, node->work.queue, node->base, node_settings->mine_threads);
	node->auditor = auditor_new(node->chain, node->work.queue, node->base);
	node->writer = writer_new(node->chain, node->work.queue);
	node_open_runner(node);
	node->tick = loop_tick_new(node->base, node_on_tick, node);
	node->watch = (struct watch){ .chain = node->chain,
		.net = node->net,
		.miner = node->miner,
		.mine_alone = node_settings->mine_alone,
		.wants_peers = node_settings->spec.is_public || node_names_nodes(node_settings) ||
			node_settings->addnode.count > 0 };
	node->journal = (struct journal){ .chain = node->chain,
		.net = node->net,
		.miner = node->miner,
		.idle_ms = 1000 * (int64_t)node_settings->status_interval };
	journal_open(&node->journal);
	if (node_settings->mine && !node_mining_key(node, node_key, err))
		return false;
	if (node_settings->mine)
		miner_start(node->miner, node_key);
	watch_look(&node->watch);
	return true;
}

static void node_add_calls(struct node *node)
{
	const struct calls_parts node_parts = {
		.base = node->base,
		.queue = node->work.queue,
		.settings = node->settings,
		.chain = node->chain,
		.net = node->net,
		.wallets = node->wallets,
		.explorer = node->explorer,
		.credit = node->credit,
		.miner = node->miner,
		.auditor = node->auditor,
		.runner = node->runner,
		.prober = node->prober,
		.writer = node->writer,
		.keys = { .has = web_has_key, .context = node->web },
		.new_key = node_mining_key,
		.new_key_context = node,
	};

	node->calls = calls_new(node->table, &node_parts);
}

/* In the order in which they need each other. RPC listens before all that takes long, and answers when its turn comes;
 * what fails leaves the parts before it open, for node_close. */
static bool node_open(struct node *node, struct errmsg *err)
{
	if (!node_open_folder(node, err))
		return false;
	log_info("Atelier " VERSION " on %s in %s", node->settings->spec.name, node->settings->datadir.data);
	node_share_descriptors(node);
	if (!node_write_pid(node, err) || !node_choose_engine(node, err) || !node_open_loop(node, err) ||
		!node_open_server(node, err) || !node_open_chain(node, err) || !node_open_wallets(node, err) ||
		!node_open_net(node, err) || !node_open_work(node, err))
		return false;
	node_open_books(node);
	node_add_calls(node);
	web_begin(node->web, node->chain, node->runner, node->writer, node->credit);
	rpc_table_set_warmup(node->table, NULL);
	return node_import_blocks(node, err);
}

/* --- closing --- */

/* First whatever works or answers: nobody may wait for an answer when its table goes. */
static void node_close_work(struct node *node)
{
	if (node->server != NULL)
		http_server_close(node->server);
	web_close(node->web);
	if (node->miner != NULL)
		miner_close(node->miner);
	if (node->auditor != NULL)
		auditor_close(node->auditor);
	if (node->writer != NULL)
		writer_close(node->writer);
	if (node->prober != NULL)
		prober_close(node->prober);
	if (node->runner != NULL)
		runner_close(node->runner);
	if (node->calls != NULL)
		calls_close(node->calls);
	if (node->server != NULL)
		http_server_free(node->server);
	web_free(node->web);
	if (node->net != NULL)
		net_close(node->net);
}

/* What the chain's notices could still have reached while it closed. */
static void node_free_work(struct node *node)
{
	if (node->miner != NULL)
		miner_free(node->miner);
	if (node->auditor != NULL)
		auditor_free(node->auditor);
	if (node->writer != NULL)
		writer_free(node->writer);
	if (node->prober != NULL)
		prober_free(node->prober);
	if (node->runner != NULL)
		runner_free(node->runner);
	if (node->calls != NULL)
		calls_free(node->calls);
	if (node->table != NULL)
		rpc_table_free(node->table);
}

/* Last: what was freed above had events here. */
static void node_close_loop(struct node *node)
{
	loop_queue_clear(&node->work);
	if (node->tick != NULL)
		event_free(node->tick);
	if (node->reopen != NULL)
		event_free(node->reopen);
	if (node->end != NULL)
		event_free(node->end);
	if (node->base != NULL)
		event_base_free(node->base);
}

static void node_close(struct node *node)
{
	node_close_work(node);
	if (node->explorer != NULL)
		explorer_close(node->explorer);
	credit_close(node->credit);
	if (node->wallets != NULL)
		wallets_free(node->wallets);
	if (node->chain != NULL)
		chain_close(node->chain);
	node_free_work(node);
	node_close_loop(node);
	if (node->pid_path != NULL)
		file_remove(node->pid_path, NULL);
	free(node->pid_path);
	if (node->logging)
		log_info("closed");
	log_close();
	if (node->lock >= 0)
		file_unlock(node->lock);
}

bool node_run(const struct settings *settings, struct errmsg *err)
{
	struct node node = { .settings = settings, .lock = -1 };
	bool ok;

	mem_return_arrays();
	umask(077); /* libraries make files too: the wallets', and what else is here, are nobody else's */
	ok = node_hear_signals(err) && node_open(&node, err);
	if (!ok && atomic_load(&node_end_asked)) {
		log_info("The start was asked to end: %s", err->text);
		ok = true;
	} else if (ok) {
		/* What asked for the end during the start has been heard, and does not come again. */
		if (!atomic_load(&node_end_asked))
			event_base_dispatch(node.base);
		ok = node.failure.text[0] == '\0' || errmsg_set(err, "%s", node.failure.text);
	}
	if (!ok && node.logging)
		log_error("%s", err->text);
	node_close(&node);
	return ok;
}
