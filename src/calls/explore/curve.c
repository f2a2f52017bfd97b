/* Curves: the loss over blocks, with merges and void blocks, and what a dataset was worth over them. */
#include "calls/explore/curve.h"

#include <stdlib.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "consensus/reward.h"
#include "util/mem.h"
#include "util/size.h"

/* Which heights a curve goes over, and in how many points. */
struct curve_range {
	uint32_t from, to; /* from <= to */
	size_t points;
};

static struct curve_range curve_range_of(uint32_t from, uint32_t to, size_t points)
{
	return (struct curve_range){ from, to, size_min(points, (size_t)to - from + 1) };
}

/* The point that a height belongs to, and the last height of a point: its inverse. Since there are no more points than
 * blocks, none is empty. */
static size_t curve_point(const struct curve_range *range, uint32_t height)
{
	return (size_t)((uint64_t)(height - range->from) * range->points / ((uint64_t)range->to - range->from + 1));
}

static uint32_t curve_last_height(const struct curve_range *range, size_t point)
{
	const uint64_t count = (uint64_t)range->to - range->from + 1;

	return range->from + (uint32_t)(((point + 1) * count + range->points - 1) / range->points - 1);
}

/* Height and time of each point. */
static void curve_show_places(json_t *shown, const struct chain *chain, const struct curve_range *range)
{
	json_t *heights = json_array(), *times = json_array();

	for (size_t point = 0; point < range->points; point++) {
		const struct index_entry *entry = chain_at(chain, curve_last_height(range, point));

		json_array_append_new(heights, json_integer(entry->height));
		json_array_append_new(times, json_integer(entry->header.time));
	}
	json_object_set_new(shown, "height", heights);
	json_object_set_new(shown, "time", times);
}

/* --- the loss --- */

struct curve_loss {
	int32_t last, least, most; /* millionths of a nat; below 0: of no block of the point is it known */
};

struct curve {
	struct curve_range range;
	struct curve_loss *points;
	json_t *merges, *voids; /* the newest, at most as many as there are points; newest first */
	uint32_t merge_count, void_count;
};

static json_t *curve_show_merge(const struct chain *chain, const struct index_entry *entry)
{
	json_t *shown = json_object();
	struct block_outcome outcome;

	chain_outcome(entry, &outcome);
	json_object_set_new(shown, "height", json_integer(entry->height));
	json_object_set_new(shown, "base", json_integer(entry->height - chain_spec(chain)->round_blocks));
	json_object_set_new(shown, "judged_by",
		json_string(show_judged_by(chain, entry->height - chain_spec(chain)->round_blocks)));
	json_object_set_new(shown, "void", json_boolean(outcome.merge.is_void));
	json_object_set_new(shown, "halved", json_boolean(outcome.merge.is_second));
	json_object_set_new(shown, "seats", show_verdicts(&outcome.merge));
	json_object_set_new(shown, "loss_before", show_loss(outcome.loss_before));
	json_object_set_new(shown, "loss_after", show_loss(outcome.loss_after));
	return shown;
}

/* Blocks come descending, so the first of a point is its last. */
static void curve_add_block(struct curve *curve, const struct chain *chain, const struct past_block *block,
	uint32_t height)
{
	struct curve_loss *point = &curve->points[curve_point(&curve->range, height)];
	const int32_t loss = block->loss;

	if (loss >= 0 && point->last < 0)
		*point = (struct curve_loss){ loss, loss, loss };
	else if (loss >= 0 && loss < point->least)
		point->least = loss;
	else if (loss > point->most)
		point->most = loss;
	if (block->is_void && curve->void_count++ < curve->range.points)
		json_array_append_new(curve->voids, json_integer(height));
	if (block->merges && curve->merge_count++ < curve->range.points)
		json_array_append_new(curve->merges, curve_show_merge(chain, chain_at(chain, height)));
}

static json_t *curve_show_losses(const struct chain *chain, const struct curve *curve)
{
	json_t *shown = json_object(), *last = json_array(), *least = json_array(), *most = json_array();

	json_object_set_new(shown, "from", json_integer(curve->range.from));
	json_object_set_new(shown, "to", json_integer(curve->range.to));
	curve_show_places(shown, chain, &curve->range);
	for (size_t point = 0; point < curve->range.points; point++) {
		json_array_append_new(last, show_micro(curve->points[point].last));
		json_array_append_new(least, show_micro(curve->points[point].least));
		json_array_append_new(most, show_micro(curve->points[point].most));
	}
	json_object_set_new(shown, "loss", last);
	json_object_set_new(shown, "least", least);
	json_object_set_new(shown, "most", most);
	json_object_set_new(shown, "merges", curve->merges);
	json_object_set_new(shown, "merge_count", json_integer(curve->merge_count));
	json_object_set_new(shown, "voids", curve->voids);
	json_object_set_new(shown, "void_count", json_integer(curve->void_count));
	return shown;
}

static const struct rpc_arg getcurve_args[] = {
	{ .name = "points",
		.type = RPC_INT,
		.fallback = "500",
		.min = 1,
		.max = CURVE_POINTS_MAX,
		.help = "How many at most; where there are more blocks, a point stands for several." },
	{ .name = "from", .type = RPC_INT, .fallback = "1", .min = 1, .max = UINT32_MAX, .help = "The first height." },
	{ .name = "to",
		.type = RPC_INT,
		.optional = true,
		.min = 1,
		.max = UINT32_MAX,
		.help = "The last one; the tip's if it is left out or above." },
	{ 0 },
};

static enum rpc_outcome call_getcurve(struct rpc_request *curve_request, void *context)
{
	struct calls_parts *parts = context;
	const uint32_t tip_height = chain_tip(parts->chain)->height;
	const uint32_t from = (uint32_t)rpc_int(curve_request, "from"),
		       to = rpc_has(curve_request, "to") ?
		(uint32_t)size_min((size_t)rpc_int(curve_request, "to"), tip_height) :
		tip_height;
	const struct past_block *blocks = past_blocks(parts->past);
	struct curve curve = { .merge_count = 0 };
	json_t *shown;

	if (from > to)
		return rpc_fail(curve_request, RPC_INVALID_PARAMETER, "There are no blocks from %u to %u",
			(unsigned)from, (unsigned)to);
	curve.range = curve_range_of(from, to, (size_t)rpc_int(curve_request, "points"));
	curve.merges = json_array();
	curve.voids = json_array();
	curve.points = mem_alloc(curve.range.points * sizeof *curve.points);
	for (size_t point = 0; point < curve.range.points; point++)
		curve.points[point] = (struct curve_loss){ -1, -1, -1 };
	for (uint32_t height = to; height >= from; height--)
		curve_add_block(&curve, parts->chain, &blocks[height], height);
	shown = curve_show_losses(parts->chain, &curve);
	free(curve.points);
	return rpc_reply(curve_request, shown);
}

/* --- a dataset --- */

/* Of the draws in a point's blocks; sums are of 2^-16 nats, as those of the registry. */
struct curve_draws {
	uint32_t draws, known;
	int64_t effects, values;
	int64_t paid; /* base units, by the children of these blocks */
};

static void curve_add_draws(struct curve_draws *point, const struct spec *spec, const struct index_entry *entry,
	uint32_t number)
{
	struct block_outcome outcome;

	chain_outcome(entry, &outcome);
	for (uint32_t slot = 0; slot < outcome.outcome.slots && !outcome.outcome.is_void; slot++) {
		if (outcome.dataset[slot] != number || outcome.outcome.slot[slot].count == 0)
			continue;
		point->draws++;
		point->effects += outcome.outcome.slot[slot].effect / 65536;
		point->known += outcome.outcome.slot[slot].known;
		if (outcome.outcome.slot[slot].known)
			point->values += outcome.outcome.slot[slot].value / 65536;
		if (number > 0)
			point->paid += reward_slot(spec, entry->height,
				&(struct reward_slot){
					.proofs = outcome.outcome.slot[slot].count,
					.value = outcome.outcome.slot[slot].value,
					.v_ref = outcome.v_ref,
					.weight = outcome.weight,
				});
	}
}

static json_t *curve_show_mean(uint32_t count, int64_t sum)
{
	return count == 0 ? json_null() : show_value(sum / (int64_t)count * 65536);
}

static void curve_show_draws(json_t *shown, const struct curve_range *range, const struct curve_draws *points)
{
	json_t *draws = json_array(), *effects = json_array(), *known = json_array(), *values = json_array(),
	       *paid = json_array();

	for (size_t point = 0; point < range->points; point++) {
		json_array_append_new(draws, json_integer(points[point].draws));
		json_array_append_new(effects, curve_show_mean(points[point].draws, points[point].effects));
		json_array_append_new(known, json_integer(points[point].known));
		json_array_append_new(values, curve_show_mean(points[point].known, points[point].values));
		json_array_append_new(paid, json_amount(points[point].paid));
	}
	json_object_set_new(shown, "draws", draws);
	json_object_set_new(shown, "mean_effect", effects);
	json_object_set_new(shown, "known_draws", known);
	json_object_set_new(shown, "mean_value", values);
	json_object_set_new(shown, "paid", paid);
}

json_t *curve_show_dataset(const struct chain *chain, struct past *past, uint32_t number, size_t points)
{
	const uint32_t tip_height = chain_tip(chain)->height,
		       from = registry_get(chain_registry(chain), number)->height + 1;
	json_t *shown = json_object();
	struct curve_draws *draws;
	struct curve_range range;
	const uint32_t *heights;
	size_t height_count;

	if (from > tip_height || points == 0)
		return shown;
	range = curve_range_of(from, tip_height, points);
	draws = mem_calloc(range.points, sizeof *draws);
	heights = past_draws(past, number, &height_count);
	for (size_t i = 0; i < height_count; i++)
		curve_add_draws(&draws[curve_point(&range, heights[i])], chain_spec(chain), chain_at(chain, heights[i]),
			number);
	curve_show_places(shown, chain, &range);
	curve_show_draws(shown, &range, draws);
	free(draws);
	return shown;
}

static const struct rpc_method curve_methods[] = {
	{ "getcurve", "Explorer", call_getcurve, getcurve_args,
		"Gives the benchmark's loss over the blocks of the active chain, thinned: where a point stands for "
		"several blocks it has height, time and loss of the last of them, and the least and the most loss of "
		"all. Each block has windows of its own, so losses of neighbours differ even if the model does not.",
		"{\n"
		"  \"from\": n, \"to\": n,   heights\n"
		"  \"height\": [n], \"time\": [n], \"loss\": [nats], \"least\": [nats], \"most\": [nats],   a "
		"member for each point\n"
		"  \"merges\": [{\"height\": n, \"base\": n, \"judged_by\": \"text\", \"void\": bool,\n"
		"    \"halved\": bool, \"seats\": {\"empty\": n, \"merged\": n, \"left out\": n, \"struck\": n},\n"
		"    \"loss_before\": nats, \"loss_after\": nats}],   getrounds' members; after one that is judged by "
		"training data\n    loss is not known\n"
		"  \"merge_count\": n,   the newest of them are above, at most as many as points, newest first\n"
		"  \"voids\": [n], \"void_count\": n   heights of blocks whose update was void, likewise\n"
		"}",
		"200 1000", 0 },
};

void calls_curve_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, curve_methods, sizeof curve_methods / sizeof *curve_methods, parts);
}
