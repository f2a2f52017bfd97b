/* Where files lie and which chain is meant: found from options, the configuration file and a private spec. */
#include "config/datadir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "rpc/json.h"
#include "util/file.h"
#include "util/mem.h"

/* Bytes of a private spec's text. settings.c reads the same file again for consensus, whose own bound is tighter. */
#define DATADIR_SPEC_MAX (1 << 20)

const struct option_spec datadir_options[] = {
	{ "datadir", "<folder>", "Where configuration, chain and wallets lie (default: ~/.atelier); it must exist.",
		"Chain and files", NULL, OPTION_COMMAND_LINE | OPTION_PATH },
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
} datadir_builtin[] = { { "main", 9432, 9433 }, { "test", 19432, 19433 }, { "regtest", 29432, 29433 } };

#define DATADIR_BUILTIN_COUNT (sizeof datadir_builtin / sizeof datadir_builtin[0])
/* One pair for all private chains whose spec names no ports: two of these at once need -port and -rpcport. */
#define DATADIR_PRIVATE_RPC_PORT 39432
#define DATADIR_PRIVATE_P2P_PORT 39433

/* A folder that is named must be there: else a typing error would begin the chain anew, without the wallets that lie
 * where it should be. bitcoind has it so too. */
static bool datadir_is_there(const char *chosen_datadir, struct errmsg *err)
{
	struct stat chosen_stat;

	if (stat(chosen_datadir, &chosen_stat) != 0)
		return errmsg_set(err, "-datadir=%s: %s", chosen_datadir,
			errno == ENOENT ? "there is no such folder, make it first" : strerror(errno));
	return S_ISDIR(chosen_stat.st_mode) || errmsg_set(err, "-datadir=%s: is not a folder", chosen_datadir);
}

char *datadir_find_base(const struct options *options, struct errmsg *err)
{
	const char *chosen_datadir = options_string(options, "datadir");
	char *datadir_home, *datadir_base;

	if (chosen_datadir != NULL && *chosen_datadir)
		return datadir_is_there(chosen_datadir, err) ? mem_strdup(chosen_datadir) : NULL;
	datadir_home = path_home();
	if (datadir_home == NULL) {
		errmsg_set(err, "The home folder is not known: use -datadir");
		return NULL;
	}
	datadir_base = path_join(datadir_home, ".atelier");
	free(datadir_home);
	return datadir_base;
}

/* A configuration file is welcome to be missing at its default place; one that was named must be there, or a typing
 * error in -conf would start a node with other settings than its operator wrote. */
static bool datadir_read_conf(const struct datadir *datadir, struct options *options, struct errmsg *err)
{
	if (!options_is_set(options, "conf") && !file_exists(datadir->conf))
		return true;
	return options_parse_file(options, datadir->conf, err);
}

static bool datadir_choose_builtin(struct datadir *datadir, const char *chain_name, struct errmsg *err)
{
	for (size_t i = 0; i < DATADIR_BUILTIN_COUNT; i++) {
		if (strcmp(datadir_builtin[i].name, chain_name) == 0) {
			strcpy(datadir->chain, chain_name);
			datadir->rpc_port = datadir_builtin[i].rpc_port;
			datadir->p2p_port = datadir_builtin[i].p2p_port;
			return true;
		}
	}
	return errmsg_set(err, "There is no chain '%.32s': -chain is main, test or regtest", chain_name);
}

bool datadir_name_taken(const char *chain_name)
{
	static const char *const datadir_names_taken[] = { "main", "test", "regtest", "blocks", "blobs", "model",
		"chainstate", "wallets", "exports" };

	for (size_t i = 0; i < sizeof datadir_names_taken / sizeof datadir_names_taken[0]; i++)
		if (strcmp(datadir_names_taken[i], chain_name) == 0)
			return true;
	return false;
}

/* The name becomes a folder under the data directory and a section of the configuration file: no slash, no dot and no
 * upper case, which some file systems do not tell from lower. 16 characters are what chain[] has room for. */
static bool datadir_name_valid(const char *chain_name)
{
	size_t chain_name_size = strlen(chain_name);

	return chain_name_size >= 1 && chain_name_size <= 16 &&
		chain_name[strspn(chain_name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == 0;
}

static bool datadir_read_port(const json_t *placed_spec, const char *name, uint16_t fallback, uint16_t *port,
	struct errmsg *err)
{
	const json_t *port_value = json_object_get(placed_spec, name);

	*port = fallback;
	if (port_value == NULL)
		return true;
	if (!json_is_integer(port_value) || json_integer_value(port_value) < 1 ||
		json_integer_value(port_value) > 65535)
		return errmsg_set(err, "%s must be a number from 1 to 65535", name);
	*port = (uint16_t)json_integer_value(port_value);
	return true;
}

/* Takes from a spec what places a node; all else is for consensus to judge. */
static bool datadir_read_spec(struct datadir *datadir, const json_t *placed_spec, struct errmsg *err)
{
	const json_t *chain_name = json_object_get(placed_spec, "name");

	if (!json_is_object(placed_spec))
		return errmsg_set(err, "a spec must be a JSON object");
	if (!json_is_text(chain_name) || !datadir_name_valid(json_string_value(chain_name)))
		return errmsg_set(err, "name must be 1 to 16 of the characters a-z, 0-9 and -");
	if (datadir_name_taken(json_string_value(chain_name)))
		return errmsg_set(err, "the name %s is taken", json_string_value(chain_name));
	strcpy(datadir->chain, json_string_value(chain_name));
	return datadir_read_port(placed_spec, "rpc_port", DATADIR_PRIVATE_RPC_PORT, &datadir->rpc_port, err) &&
		datadir_read_port(placed_spec, "p2p_port", DATADIR_PRIVATE_P2P_PORT, &datadir->p2p_port, err) &&
		(datadir->rpc_port != datadir->p2p_port ||
			errmsg_set(err, "rpc_port and p2p_port are both %u", (unsigned)datadir->p2p_port));
}

static bool datadir_choose_private(struct datadir *datadir, const char *placed_path, struct errmsg *err)
{
	struct buf placed_text;
	json_t *placed_spec;
	bool ok = false;

	buf_init(&placed_text);
	if (file_read(placed_path, DATADIR_SPEC_MAX, &placed_text, err)) {
		placed_spec = json_parse((const char *)placed_text.data, placed_text.size, err);
		if (placed_spec != NULL)
			ok = datadir_read_spec(datadir, placed_spec, err);
		json_decref(placed_spec);
		if (!ok)
			errmsg_wrap(err, "%s", placed_path);
	}
	buf_clear(&placed_text);
	datadir->chainspec = mem_strdup(placed_path);
	return ok;
}

static bool datadir_choose_chain(struct datadir *datadir, const struct options *options, struct errmsg *err)
{
	/* Said twice is said once too often even where both mean the same chain: which one counts would depend on where
	 * it stands. bitcoind refuses that too. */
	bool test = options_bool(options, "testnet"), regtest = options_bool(options, "regtest");
	const char *placed_path = options_string(options, "chainspec");

	if (test + regtest + options_is_set(options, "chain") + (placed_path != NULL) > 1)
		return errmsg_set(err, "Only one of -chain, -testnet, -regtest and -chainspec can be chosen");
	if (placed_path != NULL && *placed_path == '\0')
		return errmsg_set(err, "-chainspec= names no file");
	if (placed_path != NULL)
		return datadir_choose_private(datadir, placed_path, err);
	return datadir_choose_builtin(datadir,
		test            ? "test" :
			regtest ? "regtest" :
				  options_string(options, "chain"),
		err);
}

bool datadir_find(struct datadir *datadir, struct options *options, struct errmsg *err)
{
	*datadir = (struct datadir){ 0 };
	datadir->base = datadir_find_base(options, err);
	if (datadir->base == NULL)
		return false;
	datadir->conf = path_join(datadir->base, options_string(options, "conf"));
	if (!datadir_read_conf(datadir, options, err) || !datadir_choose_chain(datadir, options, err))
		return false;
	/* Only now is it known whose section counts, so -chain, -testnet and the like have no effect within one. Before
	 * this the getters saw the command line and the lines above the first section alone. */
	options_set_section(options, datadir->chain);
	datadir->data = strcmp(datadir->chain, "main") == 0 ? mem_strdup(datadir->base) :
							      path_join(datadir->base, datadir->chain);
	return true;
}

void datadir_clear(struct datadir *datadir)
{
	free(datadir->base);
	free(datadir->data);
	free(datadir->conf);
	free(datadir->chainspec);
	*datadir = (struct datadir){ 0 };
}

char *datadir_cookie(const struct datadir *datadir)
{
	return path_join(datadir->data, ".cookie");
}
