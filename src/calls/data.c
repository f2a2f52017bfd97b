/* Datasets, blobs and proofs. */
#include <inttypes.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/explore/curve.h"
#include "calls/show.h"
#include "consensus/spec.h"
#include "util/bytes.h"
#include "util/size.h"

/* Whether the dataset may be drawn for the tip's child.
 * The corpus, number 0, was never registered and has nothing to wait for. A quarantine's height is the last one in
 * it. */
static const char *data_status(const struct chain *chain, const struct dataset *dataset, size_t dataset_number)
{
	uint32_t next = chain_tip(chain)->height + 1;

	if (dataset_number > 0 && dataset->height + chain_spec(chain)->data_delay > next)
		return "waiting";
	return dataset->quarantined_until >= next ? "quarantine" : "active";
}

/* Sums are of 2^-16 nats, one draw at most 2^15 of them. */
static json_t *data_show_mean(uint32_t draws, int64_t sum)
{
	return draws == 0 ? json_null() : show_value(sum / (int64_t)draws * 65536);
}

/* The first height, past or to come, for which it may be drawn and after which nothing has kept it from that. */
static uint64_t data_drawable_from(const struct chain *chain, const struct dataset *dataset)
{
	uint64_t grown_up = (uint64_t)dataset->height + chain_spec(chain)->data_delay;

	return grown_up > dataset->quarantined_until ? grown_up : (uint64_t)dataset->quarantined_until + 1;
}

/* Of the last quarantine, over or not: when, and what brought it. */
static json_t *data_show_quarantine(const struct dataset *dataset)
{
	return json_pack("{s:I,s:I,s:I,s:o}", "since", (json_int_t)dataset->quarantined_until - DATASETS_QUARANTINE + 1,
		"until", (json_int_t)dataset->quarantined_until, "draws", (json_int_t)dataset->quarantine_draws,
		"mean_effect", data_show_mean(dataset->quarantine_draws, dataset->quarantine_sum));
}

static json_t *data_show_dataset(const struct chain *chain, size_t dataset_number)
{
	const struct spec *spec = chain_spec(chain);
	const struct dataset *dataset = registry_get(chain_registry(chain), dataset_number);
	json_t *dataset_shown = json_object();

	json_object_set_new(dataset_shown, "number", json_integer((json_int_t)dataset_number));
	json_object_set_new(dataset_shown, "root", json_hex(dataset->root, 32));
	json_object_set_new(dataset_shown, "size", json_integer((json_int_t)dataset->size));
	json_object_set_new(dataset_shown, "licence", json_text(dataset->licence, strlen(dataset->licence)));
	json_object_set_new(dataset_shown, "title", json_text(dataset->title, strlen(dataset->title)));
	if (dataset_number > 0) {
		json_object_set_new(dataset_shown, "owner", show_address(spec, dataset->owner));
		json_object_set_new(dataset_shown, "txid", json_hash(dataset->txid));
		json_object_set_new(dataset_shown, "vout", json_integer(dataset->output));
		json_object_set_new(dataset_shown, "height", json_integer(dataset->height));
		json_object_set_new(dataset_shown, "drawable_from",
			json_integer((json_int_t)data_drawable_from(chain, dataset)));
	}
	json_object_set_new(dataset_shown, "status", json_string(data_status(chain, dataset, dataset_number)));
	json_object_set_new(dataset_shown, "proven",
		json_boolean(registry_is_proven(chain_registry(chain), dataset_number)));
	if (dataset->quarantined_until > 0)
		json_object_set_new(dataset_shown, "quarantine", data_show_quarantine(dataset));
	json_object_set_new(dataset_shown, "burned", json_amount(dataset->burned));
	json_object_set_new(dataset_shown, "total_draws", json_integer(dataset->total_draws));
	json_object_set_new(dataset_shown, "total_paid", json_amount(dataset->total_paid));
	json_object_set_new(dataset_shown, "draws", json_integer(dataset->draws));
	json_object_set_new(dataset_shown, "mean_effect", data_show_mean(dataset->draws, dataset->sum));
	json_object_set_new(dataset_shown, "known_draws", json_integer(dataset->known));
	json_object_set_new(dataset_shown, "mean_value", data_show_mean(dataset->known, dataset->value_sum));
	return dataset_shown;
}

enum { DATA_LIST_POINTS = 100, DATA_LIST_SERIES = 100 /* datasets that are listed with series */ };

static const struct rpc_arg listdatasets_args[] = {
	{ .name = "count", .type = RPC_INT, .fallback = "1000", .min = 1, .max = 100000, .help = "How many at most." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = UINT32_MAX,
		.help = "Number to begin with." },
	{ .name = "points",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = DATA_LIST_POINTS,
		.help = "Show getdataset's series of each too, in so many points at most; 100 datasets then." },
	{ 0 },
};

static enum rpc_outcome call_listdatasets(struct rpc_request *data_request, void *context)
{
	const struct calls_parts *data = context;
	size_t dataset_total = registry_count(chain_registry(data->chain));
	size_t first_dataset = (size_t)rpc_int(data_request, "skip"),
	       dataset_count = (size_t)rpc_int(data_request, "count");
	const size_t points = (size_t)rpc_int(data_request, "points");
	json_t *datasets = json_array();

	if (points > 0)
		dataset_count = size_min(dataset_count, DATA_LIST_SERIES);
	for (size_t i = first_dataset; i < dataset_total && i - first_dataset < dataset_count; i++) {
		json_t *dataset_shown = data_show_dataset(data->chain, i);

		if (points > 0)
			json_object_set_new(dataset_shown, "series",
				curve_show_dataset(data->chain, data->past, (uint32_t)i, points));
		json_array_append_new(datasets, dataset_shown);
	}
	return rpc_reply(data_request, datasets);
}

static const struct rpc_arg getdataset_args[] = {
	{ .name = "dataset", .type = RPC_TEXT, .max = 64, .help = "Its number, or its root." },
	{ .name = "resemblance",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Look up which earlier dataset it is most like, too: a second or two for a large one." },
	{ .name = "points",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = CURVE_POINTS_MAX,
		.help = "Show what it was worth since its registration too, in so many points at most." },
	{ 0 },
};

/* The number a text means, be it a number or a root; false: no such dataset. */
static bool data_find_dataset(const struct registry *registry, const char *named_dataset, size_t *dataset_number)
{
	size_t name_length = strlen(named_dataset), number_read = 0;
	uint8_t dataset_root[32];

	/* A text of 64 digits is a root, whatever number it would be: numbers have 9 digits at most, which no product
	 * here overflows, so no text means both. */
	if (hex_decode(dataset_root, 32, named_dataset))
		return registry_find(registry, dataset_root, dataset_number) != NULL;
	if (name_length == 0 || name_length > 9 || strspn(named_dataset, "0123456789") != name_length)
		return false;
	for (; *named_dataset != '\0'; named_dataset++)
		number_read = number_read * 10 + (size_t)(*named_dataset - '0');
	*dataset_number = number_read;
	return number_read < registry_count(registry);
}

/* Of the newest blocks whose slots had the dataset: what each draw showed is not in the registry. */
enum { DATA_DRAWS_SHOWN = 10 };

static json_t *data_show_last_draws(const struct calls_parts *data, uint32_t dataset_number)
{
	size_t block_count;
	const uint32_t *heights = past_draws(data->past, dataset_number, &block_count);
	json_t *last_draws = json_array();

	while (block_count-- > 0 && json_array_size(last_draws) < DATA_DRAWS_SHOWN) {
		struct block_outcome did;

		chain_outcome(chain_at(data->chain, heights[block_count]), &did);
		for (uint32_t slot = 0; slot < did.outcome.slots; slot++) {
			json_t *draw_shown;

			if (did.dataset[slot] != dataset_number || did.outcome.slot[slot].count == 0 ||
				json_array_size(last_draws) == DATA_DRAWS_SHOWN)
				continue;
			draw_shown = show_slot(&did, slot);
			json_object_set_new(draw_shown, "height", json_integer(heights[block_count]));
			json_array_append_new(last_draws, draw_shown);
		}
	}
	return last_draws;
}

/* In shares of its sampled strings, of which 1/3 is the most that registration takes. */
static json_t *data_show_resemblance(const struct chain *chain, uint32_t dataset_number, struct errmsg *err)
{
	size_t shared, samples;
	uint32_t alike_number;

	if (!chain_resemblance(chain, dataset_number, &alike_number, &shared, &samples, err))
		return NULL;
	return json_pack("{s:I,s:o}", "dataset", (json_int_t)alike_number, "share",
		json_fixed(samples == 0 ? 0 : (int64_t)(shared * 1000000 / samples), 6));
}

/* What is not registered may be a wallet's, on its way there. */
static enum rpc_outcome data_refuse_missing(struct rpc_request *data_request, const struct wallets *wallets,
	const struct chain *chain)
{
	struct pledge_status pledge_status;
	uint8_t named_root[32];
	size_t pledge_count;

	if (!hex_decode(named_root, 32, rpc_text(data_request, "dataset")))
		return rpc_fail(data_request, RPC_INVALID_ADDRESS_OR_KEY, "No such dataset");
	for (size_t i = 0; i < wallets_count(wallets); i++) {
		struct wallet *wallet = wallets_at(wallets, i);
		const struct wallet_pledge *pledges = wallet_pledges(wallet, &pledge_count);

		/* The newest first: those before it have failed. */
		while (pledge_count-- > 0) {
			pledge_look(wallet, chain_registry(chain), &pledges[pledge_count], &pledge_status);
			if (memcmp(pledge_status.contribution.root, named_root, 32) == 0)
				return rpc_fail(data_request, RPC_INVALID_ADDRESS_OR_KEY,
					"No such dataset; its contribution by the wallet %s is %s%s%s",
					wallet_name(wallet), pledge_stage_name(pledge_status.stage),
					pledge_status.why != NULL ? ": " : "",
					pledge_status.why != NULL ? pledge_status.why : "");
		}
	}
	return rpc_fail(data_request, RPC_INVALID_ADDRESS_OR_KEY, "No such dataset");
}

static enum rpc_outcome call_getdataset(struct rpc_request *data_request, void *context)
{
	const struct calls_parts *data = context;
	size_t dataset_number;
	json_t *dataset_shown;
	const struct dataset *dataset;
	json_t *resembles = NULL;
	struct errmsg err;

	if (!data_find_dataset(chain_registry(data->chain), rpc_text(data_request, "dataset"), &dataset_number))
		return data_refuse_missing(data_request, data->wallets, data->chain);
	if (rpc_bool(data_request, "resemblance") && dataset_number > 0) {
		resembles = data_show_resemblance(data->chain, (uint32_t)dataset_number, &err);
		if (resembles == NULL)
			return rpc_fail(data_request, RPC_DATABASE_ERROR, "%s", err.text);
	}
	dataset_shown = data_show_dataset(data->chain, dataset_number);
	dataset = registry_get(chain_registry(data->chain), dataset_number);
	json_object_set_new(dataset_shown, "available",
		json_boolean(dataset_number == 0 || chain_has_blob(data->chain, dataset->root)));
	if (resembles != NULL)
		json_object_set_new(dataset_shown, "resembles", resembles);
	json_object_set_new(dataset_shown, "last_draws", data_show_last_draws(data, (uint32_t)dataset_number));
	if (rpc_int(data_request, "points") > 0)
		json_object_set_new(dataset_shown, "series",
			curve_show_dataset(data->chain, data->past, (uint32_t)dataset_number,
				(size_t)rpc_int(data_request, "points")));
	return rpc_reply(data_request, dataset_shown);
}

static const struct rpc_arg estimatedatafee_args[] = {
	{ .name = "size", .type = RPC_INT, .min = 0, .max = UINT32_MAX, .help = "Bytes of the data." },
	{ 0 },
};

static enum rpc_outcome call_estimatedatafee(struct rpc_request *data_request, void *context)
{
	const struct calls_parts *data = context;
	const struct spec *spec = chain_spec(data->chain);
	const uint64_t offered_rate = registry_data_offer(chain_registry(data->chain)),
		       least_rate = registry_data_rate(chain_registry(data->chain), FEES_WINDOW);
	const uint64_t data_size = (uint64_t)rpc_int(data_request, "size");

	if (data_size < spec->blob_min || data_size > spec->blob_max)
		return rpc_fail(data_request, RPC_INVALID_PARAMETER,
			"On this chain a contribution has %" PRIu32 " to %" PRIu32 " bytes", spec->blob_min,
			spec->blob_max);
	return rpc_reply(data_request,
		json_pack("{s:I,s:o,s:o,s:i,s:o,s:o}", "size", (json_int_t)data_size, "rate",
			show_data_rate(offered_rate), "burn", json_amount(fees_burn(offered_rate, data_size)), "blocks",
			FEES_WINDOW, "least_rate", show_data_rate(least_rate), "least_burn",
			json_amount(fees_burn(least_rate, data_size))));
}

enum { DATA_PIECE_MAX = 1 << 24 /* bytes of a blob in an answer */ };

static const struct rpc_arg getblob_args[] = {
	{ .name = "root", .type = RPC_KEY, .help = "Root of the blob." },
	{ .name = "offset", .type = RPC_INT, .fallback = "0", .min = 0, .max = UINT32_MAX, .help = "First byte." },
	{ .name = "size",
		.type = RPC_INT,
		.optional = true,
		.min = 1,
		.max = DATA_PIECE_MAX,
		.help = "How many bytes at most; left out: all that follow, which may be 16777216." },
	{ 0 },
};

static enum rpc_outcome call_getblob(struct rpc_request *data_request, void *context)
{
	const struct calls_parts *data = context;
	uint64_t blob_size, left, piece_offset;
	uint8_t blob_root[32];
	struct buf piece;
	struct errmsg err;
	json_t *shown_piece;

	rpc_key(data_request, "root", blob_root);
	blob_size = chain_blob_size(data->chain, blob_root);
	if (blob_size == 0)
		return rpc_fail(data_request, RPC_INVALID_ADDRESS_OR_KEY, "Blob not found");
	piece_offset = size_min((uint64_t)rpc_int(data_request, "offset"), blob_size);
	left = blob_size - piece_offset;
	if (rpc_has(data_request, "size"))
		left = size_min((uint64_t)rpc_int(data_request, "size"), left);
	/* Nobody shall take a piece for the whole. */
	if (left > DATA_PIECE_MAX)
		return rpc_fail(data_request, RPC_INVALID_PARAMETER,
			"%" PRIu64 " bytes follow, and %d are given at a time: ask for pieces", left, DATA_PIECE_MAX);
	buf_init(&piece);
	if (!chain_read_piece(data->chain, blob_root, piece_offset, (size_t)left, &piece, &err)) {
		buf_clear(&piece);
		return rpc_fail(data_request, RPC_DATABASE_ERROR, "%s", err.text);
	}
	shown_piece = json_hex(piece.data, piece.size);
	buf_clear(&piece);
	return rpc_reply(data_request, shown_piece);
}

static const struct rpc_arg getproof_args[] = {
	{ .name = "id", .type = RPC_HASH, .help = "Id of the proof: a block's own, a loose one's or a late one's." },
	{ .name = "body",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Show the delta that the step gave, too; of a late proof it is not kept." },
	{ 0 },
};

static json_t *data_show_proof(struct chain *chain, const struct index_entry *entry, const struct block *block,
	size_t proof_index, bool with_body)
{
	const struct spec *spec = chain_spec(chain);
	uint8_t raw_header[HEADER_SIZE];
	json_t *proof_shown = show_block_proof(spec, entry, block, proof_index);

	header_write(raw_header, block_proof(block, proof_index));
	json_object_set_new(proof_shown, "header", json_hex(raw_header, HEADER_SIZE));
	json_object_set_new(proof_shown, "blockhash", json_hash(entry->id));
	json_object_set_new(proof_shown, "height", json_integer(entry->height));
	json_object_set_new(proof_shown, "index", json_integer((json_int_t)proof_index));
	json_object_set_new(proof_shown, "confirmations", json_integer(show_confirmations(chain, entry)));
	if (with_body && block->bodies != NULL && proof_index < block_body_count(block))
		json_object_set_new(proof_shown, "body", json_hex(block->bodies[proof_index], block_body_size(spec)));
	return proof_shown;
}

static enum rpc_outcome call_getproof(struct rpc_request *data_request, void *context)
{
	struct chain *chain = ((struct calls_parts *)context)->chain;
	uint8_t proof_id[32];
	size_t proof_index;
	struct errmsg err;
	const struct index_entry *proof_entry;
	const struct block *proof_block;
	json_t *proof_shown;

	rpc_hash(data_request, "id", proof_id);
	proof_entry = chain_find_proof(chain, proof_id, &proof_index);
	if (proof_entry == NULL)
		return rpc_fail(data_request, RPC_INVALID_ADDRESS_OR_KEY, "No such proof on the active chain");
	proof_block = rpc_bool(data_request, "body") ? chain_read_block(chain, proof_entry, &err) :
						       chain_read_bare(chain, proof_entry, &err);
	if (proof_block == NULL)
		return rpc_fail(data_request, RPC_MISC_ERROR, "Block not available (%s)", err.text);
	/* The database and the block's file are not one: where a crash or a hand let them differ, it must not be read
	 * beyond the block's proofs. */
	if (proof_index >= block_proof_count(proof_block)) {
		block_unref(proof_block);
		return rpc_fail(data_request, RPC_DATABASE_ERROR, "The proof is not where the index says");
	}
	proof_shown = data_show_proof(chain, proof_entry, proof_block, proof_index, rpc_bool(data_request, "body"));
	block_unref(proof_block);
	return rpc_reply(data_request, proof_shown);
}

static const char dataset_result[] =
	"{\n"
	"  \"number\": n, \"root\": \"hex\", \"size\": n, \"licence\": \"text\", \"title\": \"text\",\n"
	"  \"owner\": \"address\", \"txid\": \"hex\", \"vout\": n, \"height\": n,  "
	"where it was registered; not for the genesis corpus\n"
	"  \"drawable_from\": height,              the first that it can be drawn for, since its registration or\n"
	"                                      its last quarantine; not for the corpus\n"
	"  \"status\": \"active\", \"waiting\" or \"quarantine\",\n"
	"  \"proven\": true|false,               for the next block: its present draws are 32 or more and hardly\n"
	"                                      harmed, or it is the corpus. In rounds every fourth seat is of a\n"
	"                                      proven one, and own pages of others judge no merge\n"
	"  \"quarantine\": {\"since\": height, \"until\": height,   the last one, if there was one,\n"
	"                 \"draws\": n, \"mean_effect\": nats},    and what brought it: beyond doubt negative\n"
	"  \"burned\": amount,                   by its registration\n"
	"  \"total_draws\": n, \"total_paid\": amount,\n"
	"  \"draws\": n,                         of the present period of observation, and in it:\n"
	"  \"mean_effect\": nats,                on the reserved text; it is what brings quarantine\n"
	"  \"known_draws\": n,                   at which the model had learned of its own pages\n"
	"  \"mean_value\": nats,                 of these: what it was paid for; 0 counts where it was left out\n"
	"  \"available\": true|false,            whether the bytes are here; only of getdataset, as is what follows\n"
	"  \"resembles\": {\"dataset\": n, \"share\": n},   "
	"the earlier one with most of its sampled strings, if asked for\n"
	"  \"last_draws\": [{\"height\", \"proofs\", \"left_out\", \"effect\", \"known\", \"own\", \"value\"}]\n"
	"                                      the newest first, 10 at most: effect on the reserved text, value on\n"
	"                                      its own pages, and whether the model had learned of these\n"
	"  \"series\": {\"height\": [n], \"time\": [n], \"draws\": [n], \"mean_effect\": [nats], "
	"\"known_draws\": [n],\n"
	"             \"mean_value\": [nats], \"paid\": [amount]}   if asked for: a member for each point, which "
	"stands for the\n"
	"                                      blocks up to its height; paid is what the slots there earned\n"
	"}";

static const struct rpc_method data_methods[] = {
	{ "listdatasets", "Data", call_listdatasets, listdatasets_args,
		"Lists the datasets the chain trains on: the genesis corpus, which is number 0, and the contributions.",
		"[getdataset's objects]", NULL, 0 },
	{ "getdataset", "Data", call_getdataset, getdataset_args,
		"Gives one dataset, with what it was worth and paid so far.", dataset_result, "1", 0 },
	{ "estimatedatafee", "Data", call_estimatedatafee, estimatedatafee_args,
		"Tells what contributedata would burn for so many bytes now, besides the commitment and the fees. The "
		"rate rises by up to an eighth a block while more is registered than the chain wants to, and falls "
		"again, down to burn_rate (getchainspec).",
		"{\n"
		"  \"size\": n, \"rate\": n,  base units a byte\n"
		"  \"burn\": amount, \"blocks\": n,  what contributedata burns, "
		"and for how many blocks at least that is enough\n"
		"  \"least_rate\": n, \"least_burn\": amount  the least that the next block takes\n"
		"}",
		"100000", 0 },
	{ "getblob", "Data", call_getblob, getblob_args, "Gives bytes of a contribution, or of a run's disclosure.",
		"\"hex\"  (string)", "\"root\" 0 100", 0 },
	{ "getproof", "Training", call_getproof, getproof_args, "Gives a proof of training on the active chain.",
		"{\"id\", \"seed\", \"slot\", \"ticket\", \"digest\", \"miner\", \"time\", \"dataset\", "
		"\"header\", \"blockhash\", \"height\",\n"
		" \"index\", \"confirmations\", \"body\"}  (object) index 0 is the block's own proof",
		"\"id\"", 0 },
};

void calls_data_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, data_methods, sizeof data_methods / sizeof *data_methods, parts);
}
