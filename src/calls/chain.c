/* The chain: blocks, headers, tips, and what an operator says against a block. */
#include <stdio.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "util/bytes.h"

static enum rpc_outcome call_getblockcount(struct rpc_request *chain_request, void *context)
{
	return rpc_reply(chain_request, json_integer(chain_tip(context)->height));
}

static enum rpc_outcome call_getbestblockhash(struct rpc_request *chain_request, void *context)
{
	return rpc_reply(chain_request, json_hash(chain_tip(context)->id));
}

static const struct rpc_arg getblockhash_args[] = {
	{ .name = "height",
		.type = RPC_INT,
		.min = INT32_MIN,
		.max = UINT32_MAX,
		.help = "Height on the active chain." },
	{ 0 },
};

/* Heights below 0 come through to here, so that they get Bitcoin Core's answer and not one about the range of 32
 * bits. */
static enum rpc_outcome call_getblockhash(struct rpc_request *chain_request, void *context)
{
	int64_t height = rpc_int(chain_request, "height");
	const struct index_entry *entry_at_height = height < 0 ? NULL : chain_at(context, (uint32_t)height);

	if (entry_at_height == NULL)
		return rpc_fail(chain_request, RPC_INVALID_PARAMETER, "Block height out of range");
	return rpc_reply(chain_request, json_hash(entry_at_height->id));
}

static enum rpc_outcome call_getdifficulty(struct rpc_request *chain_request, void *context)
{
	return rpc_reply(chain_request, show_difficulty(chain_spec(context), chain_tip(context)->header.bits));
}

/* How far the connected blocks are on the way to the best header, with 6 decimals. */
static json_t *chain_show_progress(const struct chain *chain)
{
	int64_t tip_height = chain_tip(chain)->height, best_height = chain_best_header(chain)->height;

	return json_fixed(best_height <= tip_height ? 1000000 : tip_height * 1000000 / best_height, 6);
}

static enum rpc_outcome call_getblockchaininfo(struct rpc_request *chain_request, void *context)
{
	struct chain *chain = context;
	const struct index_entry *tip = chain_tip(chain);
	struct chain_activity chain_activity_now;
	json_t *chain_info;
	char tip_bits[9];

	chain_activity(chain, &chain_activity_now);
	chain_info = json_object();
	snprintf(tip_bits, sizeof tip_bits, "%08x", tip->header.bits);
	json_object_set_new(chain_info, "chain", json_string(chain_spec(chain)->name));
	json_object_set_new(chain_info, "blocks", json_integer(tip->height));
	json_object_set_new(chain_info, "headers", json_integer(chain_best_header(chain)->height));
	json_object_set_new(chain_info, "bestblockhash", json_hash(tip->id));
	json_object_set_new(chain_info, "bits", json_string(tip_bits));
	json_object_set_new(chain_info, "difficulty", show_difficulty(chain_spec(chain), tip->header.bits));
	json_object_set_new(chain_info, "time", json_integer(tip->header.time));
	json_object_set_new(chain_info, "mediantime", json_integer(tip->median_time));
	json_object_set_new(chain_info, "verificationprogress", chain_show_progress(chain));
	json_object_set_new(chain_info, "initialblockdownload", json_boolean(chain_activity_now.initial_download));
	json_object_set_new(chain_info, "chainwork", show_u256(tip->chain_work));
	json_object_set_new(chain_info, "model_root", json_hash(tip->model_root_after));
	json_object_set_new(chain_info, "data_rate", show_data_rate(registry_data_rate(chain_registry(chain), 1)));
	json_object_set_new(chain_info, "pruned", json_boolean(chain_prunes(chain)));
	if (chain_prunes(chain))
		json_object_set_new(chain_info, "prune_height", json_integer((json_int_t)chain_pruned(chain) + 1));
	json_object_set_new(chain_info, "size_on_disk", json_integer((json_int_t)chain_disk_size(chain)));
	json_object_set_new(chain_info, "warnings", show_warnings());
	return rpc_reply(chain_request, chain_info);
}

static const struct rpc_arg getblock_args[] = {
	{ .name = "blockhash", .type = RPC_HASH, .help = "Id of the block." },
	{ .name = "verbosity",
		.type = RPC_VERBOSITY,
		.fallback = "1",
		.max = 2,
		.help = "0: the serialised block as hexadecimal text. 1: an object. 2: the same, "
			"with whole transactions." },
	{ .name = "bodies",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "With verbosity 0: the bodies of the proofs too." },
	{ 0 },
};

static enum rpc_outcome call_getblock(struct rpc_request *chain_request, void *context)
{
	struct chain *chain = context;
	struct errmsg err;
	const struct index_entry *wanted_entry = argument_entry(chain_request, chain, "blockhash");
	bool bodies;
	const struct block *wanted_block;
	json_t *block_shown;

	if (wanted_entry == NULL)
		return RPC_DONE;
	if (wanted_entry->height == 0 || wanted_entry->status == ENTRY_HEADER)
		return wanted_entry->height == 0 && rpc_int(chain_request, "verbosity") > 0 ?
			rpc_reply(chain_request, show_entry(chain, wanted_entry)) :
			rpc_fail(chain_request, RPC_MISC_ERROR, "Block not available (%s)",
				wanted_entry->height == 0 ? "genesis is a header alone" : "not downloaded");
	/* Bodies are read where they are shown alone: they are most of a block's bytes, and kept apart from it. */
	bodies = rpc_int(chain_request, "verbosity") == 0 && rpc_bool(chain_request, "bodies");
	wanted_block = bodies ? chain_read_block(chain, wanted_entry, &err) :
				chain_read_bare(chain, wanted_entry, &err);
	if (wanted_block == NULL)
		return rpc_fail(chain_request, RPC_MISC_ERROR, "Block not available (%s)", err.text);
	if (rpc_int(chain_request, "verbosity") > 0) {
		block_shown = show_block(chain, wanted_entry, wanted_block, (int)rpc_int(chain_request, "verbosity"));
	} else {
		struct buf raw_block;

		buf_init(&raw_block);
		block_write(&raw_block, chain_spec(chain), wanted_block, bodies && wanted_block->bodies != NULL);
		block_shown = json_hex(raw_block.data, raw_block.size);
		buf_clear(&raw_block);
	}
	block_unref(wanted_block);
	return rpc_reply(chain_request, block_shown);
}

static const struct rpc_arg getblockheader_args[] = {
	{ .name = "blockhash", .type = RPC_HASH, .help = "Id of the block." },
	{ .name = "verbose",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "false: the 212 bytes as hexadecimal text." },
	{ 0 },
};

static enum rpc_outcome call_getblockheader(struct rpc_request *chain_request, void *context)
{
	const struct index_entry *wanted_entry = argument_entry(chain_request, context, "blockhash");
	uint8_t raw_header[HEADER_SIZE];

	if (wanted_entry == NULL)
		return RPC_DONE;
	if (rpc_bool(chain_request, "verbose"))
		return rpc_reply(chain_request, show_entry(context, wanted_entry));
	header_write(raw_header, &wanted_entry->header);
	return rpc_reply(chain_request, json_hex(raw_header, HEADER_SIZE));
}

/* Where more branches have been grown the answer is cut: how many there are is up to strangers. */
enum { CHAIN_TIPS_MAX = 1000 };

static enum rpc_outcome call_getchaintips(struct rpc_request *chain_request, void *context)
{
	struct chain *chain = context;
	const struct index_entry *tips[CHAIN_TIPS_MAX];
	size_t tip_count = chain_tips(chain, tips, CHAIN_TIPS_MAX);
	json_t *branches = json_array();

	for (size_t i = 0; i < tip_count; i++) {
		const struct index_entry *fork_entry = tips[i];
		json_t *branch_shown;

		/* Ends: genesis is on every branch, and always active. */
		while (!chain_is_active(chain, fork_entry))
			fork_entry = fork_entry->parent;
		branch_shown = json_object();
		json_object_set_new(branch_shown, "height", json_integer(tips[i]->height));
		json_object_set_new(branch_shown, "hash", json_hash(tips[i]->id));
		json_object_set_new(branch_shown, "branchlen", json_integer(tips[i]->height - fork_entry->height));
		json_object_set_new(branch_shown, "status",
			json_string(tips[i] == chain_tip(chain) ? "active" : show_status(tips[i]->status)));
		json_array_append_new(branches, branch_shown);
	}
	return rpc_reply(chain_request, branches);
}

static json_t *chain_show_licences(const struct spec *spec)
{
	json_t *licences_shown = json_array();

	for (uint32_t i = 0; i < spec->licence_count; i++)
		json_array_append_new(licences_shown, json_string(spec->licences[i]));
	return licences_shown;
}

static void chain_show_numbers(json_t *spec_shown, const struct spec *spec)
{
	const struct train_config *train = &spec_course(spec)->train;
	/* Of several widths, and some signed: those have their sign back by the cast below. */
	const struct {
		const char *name;
		uint64_t value;
	} spec_numbers[] = {
		{ "genesis_time", spec->genesis_time },
		{ "spacing", spec->spacing },
		{ "start_bits", spec->start_bits },
		{ "k", spec->k },
		{ "d", train->model.d },
		{ "layers", train->model.layers },
		{ "heads", train->model.heads },
		{ "ff", train->model.ff },
		{ "ctx", train->model.ctx },
		{ "batch", train->batch },
		{ "iterations", train->iterations },
		{ "slots", spec->slots },
		{ "bench_rows", train->bench_rows },
		{ "memory", spec->memory },
		{ "bench_bytes", spec_course(spec)->bench_bytes },
		{ "lr_ppm", train->lr_ppm },
		{ "wd_ppm", train->wd_ppm },
		{ "mu_ppm", train->mu_ppm },
		{ "eta_ppm", train->eta_ppm },
		{ "gate_ppm", train->gate_ppm },
		{ "v_0", (uint64_t)spec->v_0 },
		{ "v_min", (uint64_t)spec->v_min },
		{ "subsidy", (uint64_t)spec->subsidy },
		{ "halving", spec->halving },
		{ "maturity", spec->maturity },
		{ "data_delay", spec->data_delay },
		{ "commit_delay", spec->commit_delay },
		{ "burn_rate", (uint64_t)spec->burn_rate },
		{ "blob_min", spec->blob_min },
		{ "blob_max", spec->blob_max },
		{ "blob_budget", spec->blob_budget },
		{ "page_distinct", spec->pages.distinct },
		{ "page_judged", spec->pages.judged },
		{ "block_weight", spec->block_weight },
		{ "corpus_size", spec_course(spec)->corpus_size },
		{ "round_blocks", spec->round_blocks },
		{ "round_work", spec->round_work },
		{ "round_reveal", spec->round_reveal },
		{ "segments", spec->segments },
		{ "segment", spec->segment },
		{ "run_ppm", spec->run_ppm },
		{ "first_segments", spec->first_segments },
		{ "usage_ppm", spec->usage_ppm },
		{ "p2p_port", spec->p2p_port },
		{ "rpc_port", spec->rpc_port },
	};

	for (size_t i = 0; i < sizeof spec_numbers / sizeof *spec_numbers; i++)
		json_object_set_new(spec_shown, spec_numbers[i].name, json_integer((json_int_t)spec_numbers[i].value));
}

static enum rpc_outcome call_getchainspec(struct rpc_request *chain_request, void *context)
{
	const struct spec *spec = chain_spec(context);
	json_t *spec_shown = json_object();

	json_object_set_new(spec_shown, "name", json_string(spec->name));
	json_object_set_new(spec_shown, "hrp", json_string(spec->hrp));
	chain_show_numbers(spec_shown, spec);
	json_object_set_new(spec_shown, "licences", chain_show_licences(spec));
	json_object_set_new(spec_shown, "corpus_root", json_hex(spec->corpus_root, 32));
	json_object_set_new(spec_shown, "commitment", json_hex(spec->commitment, 32));
	json_object_set_new(spec_shown, "genesis", json_hash(spec->genesis_id));
	return rpc_reply(chain_request, spec_shown);
}

static const struct rpc_arg blockhash_args[] = {
	{ .name = "blockhash", .type = RPC_HASH, .help = "Id of the block." },
	{ 0 },
};

static enum rpc_outcome call_invalidateblock(struct rpc_request *chain_request, void *context)
{
	struct errmsg err;
	const struct index_entry *refused_entry = argument_entry(chain_request, context, "blockhash");

	if (refused_entry == NULL)
		return RPC_DONE;
	if (!chain_invalidate(context, refused_entry, &err))
		return rpc_fail(chain_request, RPC_DATABASE_ERROR, "%s", err.text);
	return rpc_reply(chain_request, NULL);
}

static const char getblockheader_result[] =
	"{                            (object)\n"
	"  \"hash\": \"hex\", \"confirmations\": n, \"height\": n, \"version\": n,\n"
	"  \"merkleroot\": \"hex\",       root of the transactions\n"
	"  \"proofs_root\": \"hex\",      root of the loose and late proofs\n"
	"  \"model_root\": \"hex\",       state of the model that the block's steps start from\n"
	"  \"miner\": \"address\", \"time\": n, \"nonce\": \"n\", \"bits\": \"hex\", \"difficulty\": n,\n"
	"  \"digest\": \"hex\",           hash of what the step gave\n"
	"  \"seed\": \"hex\", \"ticket\": \"hex\", \"mediantime\": n, \"chainwork\": \"hex\", \"nTx\": n,\n"
	"  \"nproofs\": n,              proofs that the block's update is made of\n"
	"  \"nlate\": n,                and such as it pays for an earlier block\n"
	"  \"previousblockhash\": \"hex\", \"nextblockhash\": \"hex\"\n"
	"}";

static const char getblock_result[] =
	"\"hex\"                        (verbosity 0) the serialised block\n"
	"{                            (verbosity 1 and 2) getblockheader's fields, and:\n"
	"  \"size\": n, \"weight\": n, \"tx\": [ids, or with verbosity 2 decoded transactions],\n"
	"  \"proofs\": [                the block's own first\n"
	"    {\"id\", \"seed\", \"slot\", \"ticket\", \"digest\", \"miner\", \"time\", "
	"\"dataset\": n, \"reward\": amount}],\n"
	"  \"late\": [                  the same of those that were for an earlier block, and:\n"
	"    {\"parent_height\": n,     of the block that it was to be a child of\n"
	"     \"worth\": n}],           0.9375, 0.75 or 0.5 of a proof that was in time\n"
	"  \"data_payments\": [         for the parent's slots\n"
	"    {\"owner\": \"address\", \"amount\": amount}],\n"
	"  \"run_payments\": [          for true runs, where the parent merged a round\n"
	"    {\"miner\": \"address\", \"amount\": amount, \"seat\": n}],   height of the seat's block\n"
	"  \"loss_before\": nats, \"loss_after\": nats,   this and what follows once it is verified\n"
	"  \"outcome\": {\n"
	"    \"void\": bool, \"v_ref\": nats,\n"
	"    \"slots\": [{\"dataset\": n, \"proofs\": n, \"left_out\": bool,\n"
	"      \"effect\": nats,       on the reserved text: who harms it is left out\n"
	"      \"known\": bool,        the model has learned of the dataset's own pages\n"
	"      \"own\": nats,          effect on these\n"
	"      \"value\": nats}]},     what is paid: own if known and used, else 0\n"
	"  \"model_root_after\": \"hex\"  state of the model after the block\n"
	"}";

static const struct rpc_method chain_methods[] = {
	{ "getblockcount", "Blockchain", call_getblockcount, NULL,
		"Gives the height of the active chain; genesis is 0.", "n  (number)", NULL, 0 },
	{ "getbestblockhash", "Blockchain", call_getbestblockhash, NULL, "Gives the id of the tip.",
		"\"hex\"  (string)", NULL, 0 },
	{ "getblockhash", "Blockchain", call_getblockhash, getblockhash_args,
		"Gives the id of the active chain's block at a height.", "\"hex\"  (string)", "1000", 0 },
	{ "getblockchaininfo", "Blockchain", call_getblockchaininfo, NULL, "Tells how the chain stands.",
		"{\"chain\", \"blocks\", \"headers\", \"bestblockhash\", \"bits\", "
		"\"difficulty\", \"time\", \"mediantime\",\n"
		" \"verificationprogress\", \"initialblockdownload\", \"chainwork\", "
		"\"model_root\", \"data_rate\",\n"
		" \"pruned\", \"prune_height\", \"size_on_disk\", \"warnings\"}\n"
		"data_rate: base units that a byte of a contribution burns now (estimatedatafee)\n"
		"prune_height: with -prune, the lowest block of which nothing is pruned\n"
		"size_on_disk: bytes of blocks, undo records, blobs and snapshots of the model",
		NULL, 0 },
	{ "getdifficulty", "Blockchain", call_getdifficulty, NULL,
		"Tells how many times harder than the easiest a block is.", "n  (number)", NULL, 0 },
	{ "getblock", "Blockchain", call_getblock, getblock_args, "Gives a block.", getblock_result, "\"hash\" 2", 0 },
	{ "getblockheader", "Blockchain", call_getblockheader, getblockheader_args, "Gives a block's header.",
		getblockheader_result, "\"hash\"", 0 },
	{ "getchaintips", "Blockchain", call_getchaintips, NULL, "Lists the ends of all branches.",
		"[{\"height\", \"hash\", \"branchlen\", \"status\"}]", NULL, 0 },
	{ "getchainspec", "Blockchain", call_getchainspec, NULL,
		"Gives the rules in which this chain differs from others.",
		"{\"name\", \"hrp\", ...}  (object) the fields of a chain spec, and genesis", NULL, 0 },
	{ "invalidateblock", "Blockchain", call_invalidateblock, blockhash_args,
		"Refuses a block and all that build on it, as if it broke a rule.", NULL, "\"hash\"", 0 },
};

void calls_chain_add(struct rpc_table *table, struct chain *chain)
{
	rpc_table_add(table, chain_methods, sizeof chain_methods / sizeof *chain_methods, chain);
}
