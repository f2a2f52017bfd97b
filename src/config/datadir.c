/* Where files lie and which chain is meant: found from options, the configuration file and a private spec. */
#include "config/datadir.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/json.h"
#include "util/file.h"
#include "util/mem.h"

/* Bytes of a private spec's text. settings.c reads the same file again for consensus, whose own bound is tighter. */
#define SPEC_MAX (1 << 20)

const struct option_spec datadir_options[] = {
	{ "datadir", "<folder>", "Where configuration, chain and wallets lie (default: ~/.atelier).", "Chain and files",
		NULL, OPTION_COMMAND_LINE | OPTION_PATH },
	{ "conf", "<file>", "Configuration file; a relative path is relative to the data directory.", "Chain and files",
		"atelier.conf", OPTION_COMMAND_LINE | OPTION_PATH },
	{ "chain", "<name>", "The chain: main, test or regtest.", "Chain and files", "main", 0 },
	{ "testnet", NULL, "The same as -chain=test.", "Chain and files", NULL, 0 },
	{ "regtest", NULL, "The same as -chain=regtest.", "Chain and files", NULL, 0 },
	{ "chainspec", "<file>", "A private chain: the file that describes it.", "Chain and files", NULL, OPTION_PATH },
	{ "rpcport", "<port>",
		"Port of the JSON-RPC server (default: 9432, test 19432, regtest 29432, "
		"private chains as their spec says).",
		"JSON-RPC", NULL, 0 },
	{ "rpcuser", "<name>", "User name for JSON-RPC, where -rpcpassword is set.", "JSON-RPC", NULL, 0 },
	{ "rpcpassword", "<word>", "Password for JSON-RPC; without one the cookie file gives access.", "JSON-RPC", NULL,
		0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

/* Each chain has ports of its own, so that a node of each can run on one machine side by side. */
static const struct {
	const char *name;
	uint16_t rpc_port, p2p_port;
} builtin[] = { { "main", 9432, 9433 }, { "test", 19432, 19433 }, { "regtest", 29432, 29433 } };

#define BUILTIN_COUNT (sizeof builtin / sizeof builtin[0])
/* One pair for all private chains whose spec names no ports: two of these at once need -port and -rpcport. */
#define PRIVATE_RPC_PORT 39432
#define PRIVATE_P2P_PORT 39433

static char *find_base(const struct options *options, struct errmsg *err)
{
	const char *chosen = options_string(options, "datadir");
	char *home, *base;

	if (chosen != NULL && *chosen)
		return mem_strdup(chosen);
	home = path_home();
	if (home == NULL) {
		errmsg_set(err, "The home folder is not known: use -datadir");
		return NULL;
	}
	base = path_join(home, ".atelier");
	free(home);
	return base;
}

/* A configuration file is welcome to be missing at its default place; one that was named must be there, or a typing
 * error in -conf would start a node with other settings than its operator wrote. */
static bool read_conf(const struct datadir *l, struct options *options, struct errmsg *err)
{
	if (!options_is_set(options, "conf") && !file_exists(l->conf))
		return true;
	return options_parse_file(options, l->conf, err);
}

static bool choose_builtin(struct datadir *l, const char *name, struct errmsg *err)
{
	for (size_t i = 0; i < BUILTIN_COUNT; i++) {
		if (strcmp(builtin[i].name, name) == 0) {
			strcpy(l->chain, name);
			l->rpc_port = builtin[i].rpc_port;
			l->p2p_port = builtin[i].p2p_port;
			return true;
		}
	}
	return errmsg_set(err, "There is no chain '%.32s': -chain is main, test or regtest", name);
}

bool datadir_name_taken(const char *name)
{
	static const char *const taken[] = { "main", "test", "regtest", "blocks", "blobs", "model", "chainstate",
		"wallets", "exports" };

	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
		if (strcmp(taken[i], name) == 0)
			return true;
	return false;
}

/* The name becomes a folder under the data directory and a section of the configuration file: no slash, no dot and no
 * upper case, which some file systems do not tell from lower. 16 characters are what chain[] has room for. */
static bool name_valid(const char *name)
{
	size_t size = strlen(name);

	return size >= 1 && size <= 16 && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == 0;
}

static bool read_port(const json_t *spec, const char *name, uint16_t fallback, uint16_t *port, struct errmsg *err)
{
	const json_t *value = json_object_get(spec, name);

	*port = fallback;
	if (value == NULL)
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 65535)
		return errmsg_set(err, "%s must be a number from 1 to 65535", name);
	*port = (uint16_t)json_integer_value(value);
	return true;
}

/* Takes from a spec what places a node; all else is for consensus to judge. */
static bool read_spec(struct datadir *l, const json_t *spec, struct errmsg *err)
{
	const json_t *name = json_object_get(spec, "name");

	if (!json_is_object(spec))
		return errmsg_set(err, "a spec must be a JSON object");
	if (!json_is_text(name) || !name_valid(json_string_value(name)))
		return errmsg_set(err, "name must be 1 to 16 of the characters a-z, 0-9 and -");
	if (datadir_name_taken(json_string_value(name)))
		return errmsg_set(err, "the name %s is taken", json_string_value(name));
	strcpy(l->chain, json_string_value(name));
	return read_port(spec, "rpc_port", PRIVATE_RPC_PORT, &l->rpc_port, err) &&
		read_port(spec, "p2p_port", PRIVATE_P2P_PORT, &l->p2p_port, err);
}

static bool choose_private(struct datadir *l, const char *path, struct errmsg *err)
{
	struct buf text;
	json_t *spec;
	bool ok = false;

	buf_init(&text);
	if (file_read(path, SPEC_MAX, &text, err)) {
		spec = json_parse((const char *)text.data, text.size, err);
		if (spec != NULL)
			ok = read_spec(l, spec, err);
		json_decref(spec);
		if (!ok)
			errmsg_wrap(err, "%s", path);
	}
	buf_clear(&text);
	l->chainspec = mem_strdup(path);
	return ok;
}

static bool choose_chain(struct datadir *l, const struct options *options, struct errmsg *err)
{
	/* Said twice is said once too often even where both mean the same chain: which one counts would depend on where
	 * it stands. bitcoind refuses that too. */
	bool test = options_bool(options, "testnet"), regtest = options_bool(options, "regtest");
	const char *spec = options_string(options, "chainspec");

	if (test + regtest + options_is_set(options, "chain") + (spec != NULL) > 1)
		return errmsg_set(err, "Only one of -chain, -testnet, -regtest and -chainspec can be chosen");
	if (spec != NULL)
		return choose_private(l, spec, err);
	return choose_builtin(l, test ? "test" : regtest ? "regtest" : options_string(options, "chain"), err);
}

bool datadir_find(struct datadir *l, struct options *options, struct errmsg *err)
{
	*l = (struct datadir){ 0 };
	l->base = find_base(options, err);
	if (l->base == NULL)
		return false;
	l->conf = path_join(l->base, options_string(options, "conf"));
	if (!read_conf(l, options, err) || !choose_chain(l, options, err))
		return false;
	/* Only now is it known whose section counts, so -chain, -testnet and the like have no effect within one. Before
	 * this the getters saw the command line and the lines above the first section alone. */
	options_set_section(options, l->chain);
	l->data = strcmp(l->chain, "main") == 0 ? mem_strdup(l->base) : path_join(l->base, l->chain);
	return true;
}

void datadir_clear(struct datadir *l)
{
	free(l->base);
	free(l->data);
	free(l->conf);
	free(l->chainspec);
	*l = (struct datadir){ 0 };
}

char *datadir_cookie(const struct datadir *l)
{
	return path_join(l->data, ".cookie");
}
