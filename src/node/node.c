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
#include "http/server.h"
#include "ml/backend.h"
#include "ml/kernel/engine.h"
#include "ml/selftest.h"
#include "net/net.h"
#include "operator/journal.h"
#include "operator/watch.h"
#include "rpc/endpoint.h"
#include "rpc/table.h"
#include "util/clock.h"
#include "util/descriptors.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "wallet/wallets.h"
#include "work/auditor.h"
#include "work/loop.h"
#include "work/miner.h"

enum { SIGNALS = 3, NAMED_ROOM = 2 * SETTINGS_LIST_MAX, PID_TEXT_MAX = 32 };

#define IMPORT_OVER INT64_MAX
enum { IMPORT_PAUSE = 60 }; /* seconds until a file is read again at the earliest */

/* All parts; NULL where not open. */
struct daemon {
	const struct settings *settings;
	int lock;
	bool logging;   /* the log is open */
	char *pid_path; /* of the file that was written; it goes at the end */
	struct event_base *base;
	struct event *reopen, *end, *tick;
	struct loop_queue work; /* all that takes long */
	struct rpc_table *table;
	struct http_server *server;
	struct chain *chain;
	struct wallets *wallets;
	struct net *net;
	size_t max_open; /* connections to peers, of any kind */
	struct miner *miner;
	struct auditor *auditor;
	struct watch watch;
	struct journal journal;
	struct calls_control control;
	struct calls *calls;
	int64_t import_due[SETTINGS_LIST_MAX]; /* of each -loadblock: the Unix time from when on to read it, or
						  IMPORT_OVER */
	int64_t progress_due;                  /* when start-up tells next how far it is */
	struct errmsg failure;                 /* why it cannot go on; "" while it can */
};

/* --- the end --- */

/* Signals are heard from the beginning on, while the loop does not run yet or does something that takes long: what
 * takes long looks at the flag, and the pipe wakes the loop. */
static atomic_bool end_asked;
static int end_pipe[2] = { -1, -1 };

static void on_end_signal(int number)
{
	int before = errno;
	ssize_t told;

	atomic_store(&end_asked, true);
	told = write(end_pipe[1], "", 1); /* a full pipe wakes the loop as well */
	(void)number;
	(void)told;
	errno = before;
}

static bool hear_signals(struct errmsg *err)
{
	struct sigaction action = { .sa_handler = on_end_signal, .sa_flags = SA_RESTART };

	atomic_store(&end_asked, false);
	if (pipe(end_pipe) != 0 || evutil_make_socket_nonblocking(end_pipe[0]) != 0 ||
		evutil_make_socket_nonblocking(end_pipe[1]) != 0 || evutil_make_socket_closeonexec(end_pipe[0]) != 0 ||
		evutil_make_socket_closeonexec(end_pipe[1]) != 0)
		return errmsg_set(err, "Signals cannot be handled");
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit on files fails like any other */
	return true;
}

/* The call `stop`: as a signal, it may come while the chain is being opened, in a turn of the loop after which no loop
 * is left to be ended. The flag tells chain_open, and node_run. */
static void on_stop_call(void *context)
{
	struct daemon *node = context;

	atomic_store(&end_asked, true);
	event_base_loopexit(node->base, NULL);
}

static void on_end_asked(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_info("A signal asks for it: the node ends");
	on_stop_call(arg);
}

static void on_reopen_signal(evutil_socket_t number, short what, void *arg)
{
	struct errmsg err;

	(void)number;
	(void)what;
	(void)arg;
	if (!log_reopen(&err))
		log_error("%s", err.text);
}

static void on_fatal(void *context, const char *why)
{
	struct daemon *node = context;

	errmsg_set(&node->failure, "%s", why);
	event_base_loopexit(node->base, NULL);
}

/* --- once a second --- */

/* -loadblock: files that are due; some of their blocks may have been too new before. */
static bool import_blocks(struct daemon *node, struct errmsg *err)
{
	for (size_t i = 0; i < node->settings->loadblock.count; i++) {
		const char *path = node->settings->loadblock.values[i];
		struct import_result result;

		if (node->import_due[i] == IMPORT_OVER || clock_wall() < node->import_due[i])
			continue;
		node->import_due[i] = IMPORT_OVER;
		if (!chain_import(node->chain, path, &result, err))
			return errmsg_wrap(err, "-loadblock=%.100s", path);
		log_info("%zu new blocks in %s", result.added, path);
		if (result.due == 0)
			continue;
		node->import_due[i] = clock_wall() + IMPORT_PAUSE;
		if (node->import_due[i] < result.due)
			node->import_due[i] = result.due;
	}
	return true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *node = arg;
	struct errmsg err;

	(void)fd;
	(void)what;
	if (backend_trust() == BACKEND_NONE)
		on_fatal(node, "This machine computes wrongly: nothing can be verified on it");
	watch_look(&node->watch);
	journal_tick(&node->journal);
	if (!import_blocks(node, &err))
		log_error("%s", err.text);
	if (wallets_tick(node->wallets))
		event_active(node->tick, EV_TIMEOUT, 0);
}

/* --- opening --- */

static bool open_folder(struct daemon *node, struct errmsg *err)
{
	const struct settings *s = node->settings;
	char *lock = path_join(s->datadir.data, ".lock");
	char *log = path_join(s->datadir.data, options_string(s->options, "debuglogfile"));
	bool console = options_is_set(s->options, "printtoconsole") ? options_bool(s->options, "printtoconsole") :
								      isatty(STDOUT_FILENO) == 1;
	bool ok = dir_make(s->datadir.data, err);

	if (ok) {
		node->lock = file_lock(lock, err);
		ok = node->lock >= 0 || errmsg_wrap(err, "Another node may be running on this data directory");
	}
	node->logging = ok && log_init(log, console, s->log_categories, err);
	free(lock);
	free(log);
	return node->logging;
}

/* Only what holds a process id, or nothing, is replaced: -pid may name any file by mistake. */
static bool check_pid_file(const char *path, struct errmsg *err)
{
	struct buf text;
	bool ok = true;

	if (!file_exists(path))
		return true;
	buf_init(&text);
	ok = file_read(path, PID_TEXT_MAX, &text, err);
	for (size_t i = 0; i < text.size && ok; i++)
		ok = strchr("0123456789\n", text.data[i]) != NULL || errmsg_set(err, "%s: holds something else", path);
	buf_clear(&text);
	return ok || errmsg_wrap(err, "The process id cannot be written");
}

static bool write_pid(struct daemon *node, struct errmsg *err)
{
	char text[PID_TEXT_MAX],
		*path = path_join(node->settings->datadir.data, options_string(node->settings->options, "pid"));
	int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (check_pid_file(path, err) && file_write_atomic(path, text, (size_t)size, 0644, err))
		node->pid_path = path;
	else
		free(path);
	return node->pid_path != NULL;
}

static bool choose_engine(const struct daemon *node, struct errmsg *err)
{
	const char *name = options_string(node->settings->options, "engine");
	const struct backend_kind *kind;

	engine_init(1);
	if (!selftest_choose(name, &kind, err))
		return errmsg_wrap(err,
			"-engine=%.20s: without exact products this node would accept and make false proofs", name);
	backend_select(kind);
	log_info("Products are computed by %s", kind->name);
	return true;
}

static bool open_loop(struct daemon *node, struct errmsg *err)
{
	if (evthread_use_pthreads() != 0 || (node->base = event_base_new()) == NULL)
		return errmsg_set(err, "The event loop cannot be made");
	node->reopen = mem_check(evsignal_new(node->base, SIGHUP, on_reopen_signal, node));
	node->end = mem_check(event_new(node->base, end_pipe[0], EV_READ, on_end_asked, node));
	if (event_add(node->reopen, NULL) != 0 || event_add(node->end, NULL) != 0)
		return errmsg_set(err, "Signals cannot be handled");
	loop_queue_init(&node->work, node->base, node->settings->threads);
	return true;
}

/* The nodes that the operator names are not counted in -maxconnections, and have room too. */
static void share_descriptors(struct daemon *node)
{
	size_t wanted = node->settings->max_peers + NAMED_ROOM;
	size_t limit = descriptors_raise(wanted + DESCRIPTORS_NODE + DESCRIPTORS_RPC);

	node->max_open = descriptors_for_peers(limit);
	if (node->max_open < node->settings->max_peers)
		log_warn("Only %zu file descriptors may be open (ulimit -n): at most %zu connections instead of %zu",
			limit, node->max_open, node->settings->max_peers);
	if (node->max_open == 0)
		node->max_open = 1;
}

static bool open_server(struct daemon *node, struct errmsg *err)
{
	const struct settings *s = node->settings;
	char *cookie = datadir_cookie(&s->datadir);
	struct http_server_config config = {
		.binds = s->rpcbind.values,
		.bind_count = s->rpcbind.count,
		.port = s->rpc_port,
		.timeout = s->rpc_timeout,
		.user = options_string(s->options, "rpcuser"),
		.password = options_string(s->options, "rpcpassword"),
		.cookie_path = cookie,
	};
	bool serves = options_bool(s->options, "server");

	node->table = rpc_table_new();
	node->control = (struct calls_control){ .spec = &s->spec, .stop = on_stop_call, .stop_context = node };
	calls_control_add(node->table, &node->control);
	rpc_table_set_warmup(node->table, "Loading block index");
	config.endpoint = endpoint_of(node->table);
	if (serves)
		node->server = http_server_new(node->base, &config, err);
	free(cookie);
	return !serves || node->server != NULL;
}

/* Comes for every block of a long start; a line a second is enough to watch.
 *
 * Here the loop turns once, within chain_open, so that whoever asks hears how far it is. That is sound because nothing
 * in the loop knows the chain yet: the table lets no call through but those with RPC_EARLY, nobody is subscribed,
 * nothing ticks, the network is closed, and chain_open gives the queue no job before it has told its last progress.
 * An end that is asked for in this turn is in end_asked when it is over. */
static void on_progress(void *context, const char *what, uint32_t done, uint32_t total)
{
	struct daemon *node = context;
	int64_t now = clock_mono_ms();
	char text[128];

	snprintf(text, sizeof text, "%s: %u of %u", what, done, total);
	rpc_table_set_warmup(node->table, text);
	event_base_loop(node->base, EVLOOP_NONBLOCK);
	if (now < node->progress_due)
		return;
	node->progress_due = now + 1000;
	log_info("%s", text);
}

static bool open_chain(struct daemon *node, struct errmsg *err)
{
	const struct settings *s = node->settings;
	struct chain_options options = {
		.datadir = s->datadir.data,
		.spec = &s->spec,
		.queue = node->work.queue,
		.threads = s->verify_threads,
		.snapshot_interval = s->snapshot_interval,
		.mempool_bytes = s->mempool_bytes,
		.reindex = options_bool(s->options, "reindex"),
		.progress = on_progress,
		.progress_context = node,
		.stop = &end_asked,
	};

	node->chain = chain_open(&options, err);
	if (node->chain == NULL)
		return false;
	chain_subscribe(node->chain, &(struct chain_events){ .context = node, .fatal = on_fatal });
	log_info("chain %s at block %u", s->spec.name, chain_tip(node->chain)->height);
	return true;
}

static bool open_wallets(struct daemon *node, struct errmsg *err)
{
	const struct settings *s = node->settings;
	char *folder = path_join(s->datadir.data, "wallets");

	node->wallets = wallets_new(node->chain, folder);
	free(folder);
	wallets_load_startup(node->wallets);
	for (size_t i = 0; i < s->wallet.count; i++) {
		struct wallet *wallet;
		struct errmsg why = { "there is none of this name" };
		enum wallets_result result = wallets_load(node->wallets, s->wallet.values[i], &wallet, &why);

		if (result != WALLETS_OK && result != WALLETS_LOADED)
			return errmsg_set(err, "The wallet %.64s cannot be loaded: %s", s->wallet.values[i], why.text);
	}
	return true;
}

/* Nodes to connect to were named; "0" names none. */
static bool names_nodes(const struct settings *s)
{
	return s->connect.count > 1 || (s->connect.count == 1 && strcmp(s->connect.values[0], "0") != 0);
}

static bool open_net(struct daemon *node, struct errmsg *err)
{
	const struct settings *s = node->settings;
	bool listen = options_is_set(s->options, "listen") ?
		options_bool(s->options, "listen") :
		s->connect.count == 0 || options_is_set(s->options, "bind");
	struct net_options options = {
		.listen = listen,
		.bind = options_string(s->options, "bind"),
		.port = s->port,
		.max_peers = s->max_peers,
		.max_per_address = s->max_per_address,
		.max_open = node->max_open,
		.connect = s->connect.values,
		.connect_count = names_nodes(s) ? s->connect.count : 0,
		.addnode = s->addnode.values,
		.addnode_count = s->addnode.count,
		.agent = "/atelier:" VERSION "/",
	};

	node->net = net_open(node->base, node->chain, &options, err);
	if (node->net == NULL)
		return false;
	net_set_active(node->net, options_bool(s->options, "networkactive"));
	return true;
}

static bool new_mining_key(void *context, uint8_t key[32], struct errmsg *err)
{
	struct daemon *node = context;

	if (node->settings->has_mine_key) {
		memcpy(key, node->settings->mine_key, 32);
		return true;
	}
	wallets_mend(node->wallets);
	if (wallets_count(node->wallets) == 0)
		return errmsg_set(err,
			"Mining needs somebody to pay: give an address (-mineraddress=<address>), or load a wallet "
			"(-wallet=<name>; the call createwallet makes one)");
	return wallet_new_address(wallets_at(node->wallets, 0), ACCOUNT_RECEIVE, "mining", key, err);
}

static bool open_work(struct daemon *node, struct errmsg *err)
{
	const struct settings *s = node->settings;
	uint8_t key[32];

	node->miner = miner_new(node->chain, node->work.queue, node->base, s->mine_threads);
	node->auditor = auditor_new(node->chain, node->work.queue, node->base);
	node->tick = mem_check(event_new(node->base, -1, EV_PERSIST, on_tick, node));
	event_add(node->tick, &(struct timeval){ .tv_sec = 1 });
	node->watch = (struct watch){ .chain = node->chain,
		.net = node->net,
		.miner = node->miner,
		.mine_alone = s->mine_alone,
		.wants_peers = s->spec.is_public || names_nodes(s) || s->addnode.count > 0 };
	node->journal = (struct journal){ .chain = node->chain,
		.net = node->net,
		.miner = node->miner,
		.idle_ms = 1000 * (int64_t)s->status_interval };
	journal_open(&node->journal);
	if (s->mine && !new_mining_key(node, key, err))
		return false;
	if (s->mine)
		miner_start(node->miner, key);
	watch_look(&node->watch);
	return true;
}

static void add_calls(struct daemon *node)
{
	const struct calls_parts parts = {
		.base = node->base,
		.queue = node->work.queue,
		.settings = node->settings,
		.chain = node->chain,
		.net = node->net,
		.wallets = node->wallets,
		.miner = node->miner,
		.auditor = node->auditor,
		.new_key = new_mining_key,
		.new_key_context = node,
	};

	node->calls = calls_new(node->table, &parts);
}

/* In the order in which they need each other. RPC listens before all that takes long, and answers when its turn comes;
 * what fails leaves the parts before it open, for node_close. */
static bool node_open(struct daemon *node, struct errmsg *err)
{
	if (!open_folder(node, err))
		return false;
	log_info("Atelier " VERSION " on %s in %s", node->settings->spec.name, node->settings->datadir.data);
	share_descriptors(node);
	if (!write_pid(node, err) || !choose_engine(node, err) || !open_loop(node, err) || !open_server(node, err) ||
		!open_chain(node, err) || !open_wallets(node, err) || !open_net(node, err) || !open_work(node, err))
		return false;
	add_calls(node);
	rpc_table_set_warmup(node->table, NULL);
	return import_blocks(node, err);
}

/* --- closing --- */

/* First whatever works or answers: nobody may wait for an answer when its table goes. */
static void close_work(struct daemon *node)
{
	if (node->server != NULL)
		http_server_close(node->server);
	if (node->miner != NULL)
		miner_close(node->miner);
	if (node->auditor != NULL)
		auditor_close(node->auditor);
	if (node->calls != NULL)
		calls_close(node->calls);
	if (node->server != NULL)
		http_server_free(node->server);
	if (node->net != NULL)
		net_close(node->net);
}

/* What the chain's notices could still have reached while it closed. */
static void free_work(struct daemon *node)
{
	if (node->miner != NULL)
		miner_free(node->miner);
	if (node->auditor != NULL)
		auditor_free(node->auditor);
	if (node->calls != NULL)
		calls_free(node->calls);
	if (node->table != NULL)
		rpc_table_free(node->table);
}

/* Last: what was freed above had events here. */
static void close_loop(struct daemon *node)
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

static void node_close(struct daemon *node)
{
	close_work(node);
	if (node->wallets != NULL)
		wallets_free(node->wallets);
	if (node->chain != NULL)
		chain_close(node->chain);
	free_work(node);
	close_loop(node);
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
	struct daemon node = { .settings = settings, .lock = -1 };
	bool ok;

	umask(077); /* libraries make files too: the wallets', and what else is here, are nobody else's */
	ok = hear_signals(err) && node_open(&node, err);
	if (!ok && atomic_load(&end_asked)) {
		log_info("The start was asked to end: %s", err->text);
		ok = true;
	} else if (ok) {
		/* What asked for the end during the start has been heard, and does not come again. */
		if (!atomic_load(&end_asked))
			event_base_dispatch(node.base);
		ok = node.failure.text[0] == '\0' || errmsg_set(err, "%s", node.failure.text);
	}
	if (!ok && node.logging)
		log_error("%s", err->text);
	node_close(&node);
	return ok;
}
