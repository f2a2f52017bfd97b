/* Specs: the table of their fields, the chains that are built in, and what finishing one derives: the commitment to its
 * rules, its genesis and its magic. No I/O, so that a spec means the same wherever its bytes came from. */
#include "consensus/spec.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/corpus.h"
#include "consensus/payload/commitment.h"
#include "consensus/payload/merge_statement.h"
#include "consensus/payload/outcome.h"
#include "consensus/spec_fields.h"
#include "consensus/target.h"
#include "consensus/tx.h"
#include "crypto/hash.h"
#include "ml/delta.h"
#include "ml/files/weights.h"
#include "ml/kernel/noise.h"
#include "util/bytes.h"
#include "util/mem.h"

enum { SPEC_FUTURE_MAX = 7200 /* seconds */ };

/* === Fields === */

/* Rates are used as (float)ppm / 1000000: below 2^24 the first of these is exact on every machine. */
#define SPEC_PPM_MAX ((1u << 24) - 1)
/* Values are clamped to it (doc/protocol.md section 10), so a reference above could not be reached. */
#define SPEC_VALUE_MAX (UINT64_C(1) << 47)

enum {
	SPEC_BENCH_MAX = 1 << 20,   /* each blob's strings are held against the benchmark's (section 12) */
	SPEC_BLOB_LEAST = 32768,    /* a page of each 32 KiB is never trained on, so that a dataset has one */
	SPEC_STATES = 7,            /* that a node must have room for */
	SPEC_ITERATIONS_SPACED = 4, /* the first starts from weights that all attempts share: no more than a quarter */
	SPEC_STATE_VALUE_BYTES = 8, /* a parameter's: weight and momentum */
	SPEC_ROUND_LEAST = 5,       /* blocks of a round: a commit, the draw, a disclosure, a challenge, the merge */
	SPEC_RUN_PPM_MAX = 500000,  /* the rest is what a forger loses: the reward of his seat's block */
	SPEC_WEIGHT_LEAST = 4000,
	SPEC_SEAT_WEIGHT = 176,     /* 4 * (43 + 1) */
	SPEC_RUN_GROWTH = 4,        /* so many times as many segments in each round as in the one before */
	SPEC_RUN_REACH = 126000000, /* millionths: what a delta code of exponent 0 can say of a value */
};

/* In the commitment and from JSON; DERIVED follows from the corpus and cannot be stated; ROUND is 0 on chains without
 * rounds, and not committed to there; LATER came when there were chains already, and is committed to where it is set;
 * LOCAL is this machine's, and nodes may differ in it. Members have 2, 4 or 8 bytes, which spec_field_get and
 * spec_field_set tell by their size. */
#define SPEC_FIELD(name, member, min, max)                                                                            \
	{                                                                                                             \
		name, offsetof(struct spec, member), sizeof(((struct spec *)NULL)->member), min, max, SPEC_COMMITTED, \
			false                                                                                         \
	}
#define SPEC_DERIVED(name, member, min, max)                                                                          \
	{                                                                                                             \
		name, offsetof(struct spec, member), sizeof(((struct spec *)NULL)->member), min, max, SPEC_COMMITTED, \
			true                                                                                          \
	}
#define SPEC_ROUND(name, member, max)                                                               \
	{                                                                                           \
		name, offsetof(struct spec, member), sizeof(((struct spec *)NULL)->member), 0, max, \
			SPEC_COMMITTED_WITH_ROUNDS, false                                           \
	}
#define SPEC_LATER(name, member, max)                                                               \
	{                                                                                           \
		name, offsetof(struct spec, member), sizeof(((struct spec *)NULL)->member), 0, max, \
			SPEC_COMMITTED_WHERE_SET, false                                             \
	}
#define SPEC_LOCAL(name, member, min, max)                                                            \
	{                                                                                             \
		name, offsetof(struct spec, member), sizeof(((struct spec *)NULL)->member), min, max, \
			SPEC_NOT_COMMITTED, false                                                     \
	}

/* The order is consensus: it is that of the numbers in the commitment. To move a line gives every chain another
 * genesis. */
const struct spec_field spec_fields[] = {
	SPEC_FIELD("genesis_time", genesis_time, 1, UINT32_MAX),
	SPEC_FIELD("spacing", spacing, 0, 86400),
	SPEC_FIELD("start_bits", start_bits, 0, UINT32_MAX),
	SPEC_FIELD("k", k, 1, 64),
	SPEC_FIELD("d", courses[0].train.model.d, 16, 4096),
	SPEC_FIELD("layers", courses[0].train.model.layers, 1, 64),
	SPEC_FIELD("heads", courses[0].train.model.heads, 1, 256),
	SPEC_FIELD("ff", courses[0].train.model.ff, 16, 16384),
	SPEC_FIELD("ctx", courses[0].train.model.ctx, 32, MODEL_CTX_MAX),
	SPEC_FIELD("memory", memory, 1, 1u << 20),
	SPEC_FIELD("batch", courses[0].train.batch, 1, 1024),
	SPEC_FIELD("iterations", courses[0].train.iterations, 1, 1024),
	SPEC_FIELD("slots", slots, 1, OUTCOME_MAX_SLOTS),
	SPEC_FIELD("bench_rows", courses[0].train.bench_rows, 1, 1024),
	SPEC_FIELD("bench_bytes", courses[0].bench_bytes, 33, SPEC_BENCH_MAX),
	SPEC_FIELD("lr_ppm", courses[0].train.lr_ppm, 1, SPEC_PPM_MAX),
	SPEC_FIELD("wd_ppm", courses[0].train.wd_ppm, 0, SPEC_PPM_MAX),
	SPEC_FIELD("mu_ppm", courses[0].train.mu_ppm, 0, 1000000),
	SPEC_FIELD("eta_ppm", courses[0].train.eta_ppm, 0, SPEC_PPM_MAX),
	SPEC_FIELD("gate_ppm", courses[0].train.gate_ppm, 0, SPEC_PPM_MAX),
	SPEC_FIELD("v_0", v_0, 1, SPEC_VALUE_MAX),
	SPEC_FIELD("v_min", v_min, 1, SPEC_VALUE_MAX),
	SPEC_FIELD("subsidy", subsidy, 0, UINT64_C(1000000000000)),
	SPEC_FIELD("halving", halving, 1, 1000000),
	SPEC_FIELD("maturity", maturity, 1, 1000000),
	SPEC_FIELD("data_delay", data_delay, 1, 1000000),
	SPEC_FIELD("commit_delay", commit_delay, 1, COMMITMENT_WINDOW),
	SPEC_FIELD("burn_rate", burn_rate, 0, 1000000),
	SPEC_FIELD("blob_min", blob_min, SPEC_BLOB_LEAST, 1u << 24),
	SPEC_FIELD("blob_max", blob_max, SPEC_BLOB_LEAST, 1u << 24),
	SPEC_FIELD("blob_budget", blob_budget, SPEC_BLOB_LEAST, 1u << 30),
	SPEC_FIELD("page_distinct", pages.distinct, 0, PAGES_SIZE - (PAGES_STRING - 1)),
	SPEC_FIELD("page_judged", pages.judged, PAGES_STRING, PAGES_SIZE),
	SPEC_FIELD("block_weight", block_weight, SPEC_WEIGHT_LEAST, 16000000),
	SPEC_DERIVED("corpus_size", courses[0].corpus_size, 66, SPEC_CORPUS_MAX),
	SPEC_ROUND("round_blocks", round_blocks, ROUND_SEATS_MAX),
	SPEC_ROUND("round_work", round_work, ROUND_SEATS_MAX),
	SPEC_ROUND("round_reveal", round_reveal, ROUND_SEATS_MAX),
	SPEC_ROUND("segments", segments, 1024),
	SPEC_ROUND("segment", segment, 1024),
	SPEC_ROUND("run_ppm", run_ppm, SPEC_RUN_PPM_MAX),
	SPEC_ROUND("first_segments", first_segments, 1024),
	SPEC_LATER("usage_ppm", usage_ppm, 1000000),
	SPEC_LOCAL("p2p_port", p2p_port, 1, UINT16_MAX),
	SPEC_LOCAL("rpc_port", rpc_port, 1, UINT16_MAX),
	{ 0 },
};

uint64_t spec_field_get(const struct spec *spec, const struct spec_field *field)
{
	const uint8_t *spec_member = (const uint8_t *)spec + field->offset;
	uint64_t field_wide;
	uint32_t field_middle;
	uint16_t field_narrow;

	if (field->size == sizeof field_wide) {
		memcpy(&field_wide, spec_member, sizeof field_wide);
		return field_wide;
	}
	if (field->size == sizeof field_middle) {
		memcpy(&field_middle, spec_member, sizeof field_middle);
		return field_middle;
	}
	memcpy(&field_narrow, spec_member, sizeof field_narrow);
	return field_narrow;
}

void spec_field_set(struct spec *spec, const struct spec_field *field, uint64_t value)
{
	uint8_t *spec_member = (uint8_t *)spec + field->offset;
	uint32_t field_middle = (uint32_t)value;
	uint16_t field_narrow = (uint16_t)value;

	if (field->size == sizeof value)
		memcpy(spec_member, &value, sizeof value);
	else if (field->size == sizeof field_middle)
		memcpy(spec_member, &field_middle, sizeof field_middle);
	else
		memcpy(spec_member, &field_narrow, sizeof field_narrow);
}

bool spec_field_check(const struct spec_field *field, uint64_t value, struct errmsg *err)
{
	if (value >= field->min && value <= field->max)
		return true;
	return errmsg_set(err, "%s is %llu, and must be %llu to %llu", field->name, (unsigned long long)value,
		(unsigned long long)field->min, (unsigned long long)field->max);
}

static bool spec_consists_of(const char *spec_text, size_t max, const char *allowed)
{
	size_t size = strlen(spec_text);

	return size >= 1 && size <= max && strspn(spec_text, allowed) == size;
}

bool spec_name_check(const char *name, struct errmsg *err)
{
	return spec_consists_of(name, 16, "abcdefghijklmnopqrstuvwxyz0123456789-") ||
		errmsg_set(err, "name must have 1 to 16 characters of a-z, 0-9 and -");
}

bool spec_hrp_check(const char *hrp, struct errmsg *err)
{
	return spec_consists_of(hrp, 8, "abcdefghijklmnopqrstuvwxyz") ||
		errmsg_set(err, "hrp must have 1 to 8 characters of a-z");
}

/* === The built-in chains === */

/* Without spacing: bits stay as they are, and a test need not wait for a clock. */
static const struct spec spec_regtest = {
	.name = "regtest", .hrp = "ratl",
	.genesis_time = 1795219200, .spacing = 0, .k = 4, .slots = 2,
	.course_count = 1, .courses = { { .bench_bytes = 65536, .train = {
		.model = { .d = 32, .layers = 2, .heads = 2, .ff = 96, .ctx = 32 },
		.batch = 4, .iterations = 2, .lr_ppm = 500, .wd_ppm = 10000, .mu_ppm = 900000, .eta_ppm = 950000,
		.gate_ppm = 1050000, .bench_rows = 4,
	} } },
	.v_0 = 85899346, .v_min = 2147484,
	.subsidy = 5000000000, .halving = 150, .maturity = 10, .data_delay = 1, .commit_delay = 1, .burn_rate = 10,
	.blob_min = 32768, .blob_max = 16777216, .blob_budget = 33554432, .block_weight = 4000000,
	.pages = { .distinct = 512, .judged = 256 }, .memory = 1024,
	.p2p_port = 29433, .rpc_port = 29432,
};

/* Rounds as long as 62 % of them suffices on one of two cores for the longest run (doc/performance.md); the first runs
 * are short, since what parts for long from random weights does not average.
 *
 * Starts where three miners of two cores, a second a step at most, find 360 tickets in a spacing or more. */
static const struct spec spec_test = {
	.name = "test", .hrp = "tatl",
	.genesis_time = 1795219200, .spacing = 60, .start_bits = 0x20008000, .k = 8, .slots = 4,
	.course_count = 1, .courses = { { .bench_bytes = 65536, .train = {
		.model = { .d = 128, .layers = 4, .heads = 4, .ff = 352, .ctx = 128 },
		.batch = 8, .iterations = 8, .lr_ppm = 500, .wd_ppm = 10000, .mu_ppm = 0, .eta_ppm = 1000000,
		.gate_ppm = 1050000, .bench_rows = 8,
	} } },
	.v_0 = 85899346, .v_min = 2147484,
	.subsidy = 5000000000, .halving = 210000, .maturity = 100, .data_delay = 100, .commit_delay = 6,
	.burn_rate = 10,
	.blob_min = 65536, .blob_max = 16777216, .blob_budget = 33554432, .block_weight = 4000000,
	.pages = { .distinct = 512, .judged = 256 }, .memory = 1024,
	.round_blocks = 40, .round_work = 28, .round_reveal = 8, .segments = 320, .segment = 64, .run_ppm = 500000,
	.first_segments = 4,
	.p2p_port = 19433, .rpc_port = 19432, .is_public = true,
};

/* Starts where 49 miners of two cores, some 14 s a step, are on schedule: for the most power that may come
 * (doc/economics.md), since one who withholds blocks gains once there is ten times as much. As large as lets validators
 * of two cores verify in a sixth of the spacing, segments of runs included (doc/performance.md). */
static const struct spec spec_main = {
	.name = "main", .hrp = "atl",
	.genesis_time = 1795219200, .spacing = 600, .start_bits = 0x1f100000, .k = 8, .slots = 4,
	.course_count = 1, .courses = { { .bench_bytes = 65536, .train = {
		.model = { .d = 512, .layers = 6, .heads = 8, .ff = 1472, .ctx = 256 },
		.batch = 8, .iterations = 4, .lr_ppm = 500, .wd_ppm = 10000, .mu_ppm = 0, .eta_ppm = 1000000,
		.gate_ppm = 1050000, .bench_rows = 8,
	} } },
	.v_0 = 85899346, .v_min = 2147484,
	.subsidy = 5000000000, .halving = 210000, .maturity = 100, .data_delay = 100, .commit_delay = 6,
	.burn_rate = 100,
	.blob_min = 65536, .blob_max = 16777216, .blob_budget = 33554432, .block_weight = 4000000,
	.pages = { .distinct = 512, .judged = 256 }, .memory = 2048,
	.round_blocks = 40, .round_work = 28, .round_reveal = 8, .segments = 256, .segment = 20, .run_ppm = 250000,
	.first_segments = 4,
	.p2p_port = 9433, .rpc_port = 9432, .is_public = true,
};

/* The size of the embedded corpus is no constant expression, so no static spec can hold it. */
static void spec_begin(struct spec *spec, const struct spec *from)
{
	*spec = *from;
	spec->courses[0].corpus = corpus_embedded;
	spec->courses[0].corpus_size = corpus_embedded_size;
}

/* Ports of its own: a private chain's node runs beside one of regtest. */
void spec_defaults(struct spec *spec)
{
	spec_begin(spec, &spec_regtest);
	spec->p2p_port = 39433;
	spec->rpc_port = 39432;
}

/* === Finishing === */

void spec_set_corpus(struct spec *spec, const uint8_t *corpus, size_t corpus_size)
{
	free(spec->owned);
	spec->owned = mem_dup(corpus, corpus_size);
	spec->courses[0].corpus = spec->owned;
	spec->courses[0].corpus_size = corpus_size;
}

bool spec_set_initial_state(struct spec *spec, const uint8_t *weights, size_t weights_size, struct errmsg *err)
{
	const struct model_config *config = &spec_course(spec)->train.model;
	const char *wrong_size = model_config_check(config);

	if (wrong_size != NULL)
		return errmsg_set(err, "%s", wrong_size);
	state_unref(spec->initial_state);
	spec->initial_state = weights_state(config, weights, weights_size, err);
	return spec->initial_state != NULL;
}

void spec_clear(struct spec *spec)
{
	free(spec->owned);
	free(spec->initial_state_path);
	state_unref(spec->initial_state);
	memset(spec, 0, sizeof *spec);
}

/* Both ends of the corpus, what is trained on and the benchmark behind it, have room for a window. */
static bool spec_check_course(const struct course *course, struct errmsg *err)
{
	uint32_t least = course->train.model.ctx + 1;
	const char *wrong_course = course_check(&course->train);

	if (wrong_course != NULL)
		return errmsg_set(err, "%s", wrong_course);
	if (course->bench_bytes < least)
		return errmsg_set(err, "bench_bytes is %u, and must be ctx + 1 = %u at least", course->bench_bytes,
			least);
	if (course->corpus_size < (size_t)course->bench_bytes + least)
		return errmsg_set(err, "corpus has %zu bytes, and needs bench_bytes + ctx + 1 = %zu at least",
			course->corpus_size, (size_t)course->bench_bytes + least);
	return true;
}

/* The corpus is trained on as any blob is. */
static bool spec_check_pages(const struct spec *spec, struct errmsg *err)
{
	return pages_check(&spec->pages, spec_course(spec)->corpus, spec_course(spec)->corpus_size, err) ||
		errmsg_wrap(err, "corpus");
}

/* A node holds several states at a time: what follows from one is never more than it has said. In 64 bits: n is 2^28 at
 * most. */
static bool spec_check_memory(const struct spec *spec, struct errmsg *err)
{
	uint64_t parameters = model_count(&spec_course(spec)->train.model),
		 states_mib = (SPEC_STATES * SPEC_STATE_VALUE_BYTES * parameters + (1 << 20) - 1) >> 20;

	return states_mib <= spec->memory ||
		errmsg_set(err, "memory is %u MiB, and %d states of the model need %llu", spec->memory, SPEC_STATES,
			(unsigned long long)states_mib);
}

/* A field of rounds must say nothing where there are none: it is not committed to, and two specs that mean one chain
 * would differ. */
static bool spec_check_roundless(const struct spec *spec, struct errmsg *err)
{
	for (const struct spec_field *field = spec_fields; field->name; field++)
		if (field->commits == SPEC_COMMITTED_WITH_ROUNDS && spec_field_get(spec, field) != 0)
			return errmsg_set(err, "%s must be 0 where round_blocks is 0", field->name);
	return true;
}

/* The blocks of a round, as section 20 parts them: runs are committed to, a block's ticket draws what is audited, runs
 * are disclosed, and a block at least is left for challenges of what the last of these blocks disclosed, before the
 * merge, which has none. A seat's stake, of the round before, may not mature before the child of the merge has taken
 * it. */
static bool spec_check_round_times(const struct spec *spec, struct errmsg *err)
{
	if (spec->round_blocks < SPEC_ROUND_LEAST)
		return errmsg_set(err, "round_blocks is %u, and must be 0, or %d at least", spec->round_blocks,
			(int)SPEC_ROUND_LEAST);
	if (2 * spec->round_blocks + 1 > spec->maturity)
		return errmsg_set(err, "maturity is %u, and must be 2 * round_blocks + 1 = %u at least", spec->maturity,
			2 * spec->round_blocks + 1);
	if (spec->round_work < 1 || spec->round_reveal < 1)
		return errmsg_set(err, "round_work and round_reveal must be 1 at least where there are rounds");
	if (spec->round_work + 1 + spec->round_reveal > spec->round_blocks - 2)
		return errmsg_set(err, "round_work + 1 + round_reveal is %u, and must be round_blocks - 2 = %u at most",
			spec->round_work + 1 + spec->round_reveal, spec->round_blocks - 2);
	return true;
}

/* What a run changed lies in a delta code, whose exponents end at 0: all iterations together must not be able to leave
 * its range. (batch and segment are 1024 at most, so no two draws of a segment have one number.) */
static bool spec_check_run(const struct spec *spec, struct errmsg *err)
{
	const struct train_config *train = &spec_course(spec)->train;
	uint64_t disclosed_size = 32 * (uint64_t)spec->segments + 2 * (uint64_t)delta_size(model_count(&train->model));

	if (spec->segments < 1 || spec->segment < 1)
		return errmsg_set(err, "segments and segment must be 1 at least where there are rounds");
	if (spec->first_segments > spec->segments)
		return errmsg_set(err, "first_segments is %u, and must be segments = %u at most", spec->first_segments,
			spec->segments);
	if (4 * (uint64_t)train->lr_ppm * spec->segment * spec->segments > SPEC_RUN_REACH)
		return errmsg_set(err, "4 * lr_ppm * segment * segments must be %d at most", (int)SPEC_RUN_REACH);
	return disclosed_size <= SPEC_DISCLOSURE_MAX ||
		errmsg_set(err, "the disclosure of a run would have %llu bytes, and may have %d",
			(unsigned long long)disclosed_size, (int)SPEC_DISCLOSURE_MAX);
}

/* The child of a merge must pay all true seats, and the chain would end where its coinbase is too heavy. What any
 * coinbase must have fits into SPEC_WEIGHT_LEAST; a seat more is an output to a key, and a byte of the statement. */
static bool spec_check_pay(const struct spec *spec, struct errmsg *err)
{
	uint32_t least_weight = SPEC_WEIGHT_LEAST + SPEC_SEAT_WEIGHT * spec->round_blocks;

	return spec->block_weight >= least_weight ||
		errmsg_set(err, "block_weight is %u, and must be %u at least to pay a round", spec->block_weight,
			least_weight);
}

static bool spec_check_rounds(const struct spec *spec, struct errmsg *err)
{
	if (spec->round_blocks == 0)
		return spec_check_roundless(spec, err);
	return spec_check_round_times(spec, err) && spec_check_run(spec, err) && spec_check_pay(spec, err);
}

static bool spec_check_limits(const struct spec *spec, struct errmsg *err)
{
	if (!spec_name_check(spec->name, err) || !spec_hrp_check(spec->hrp, err))
		return false;
	for (const struct spec_field *field = spec_fields; field->name; field++)
		if (!spec_field_check(field, spec_field_get(spec, field), err))
			return false;
	for (uint32_t i = 0; i < spec->course_count; i++)
		if (!spec_check_course(&spec->courses[i], err))
			return false;
	if (!spec_check_memory(spec, err) || !spec_check_pages(spec, err))
		return false;
	if (spec->spacing > 0 && spec_course(spec)->train.iterations < SPEC_ITERATIONS_SPACED)
		return errmsg_set(err,
			"iterations is %u, and must be %d at least "
			"where spacing is not 0",
			spec_course(spec)->train.iterations, SPEC_ITERATIONS_SPACED);
	if (spec->blob_min > spec->blob_max)
		return errmsg_set(err, "blob_min is %u, above blob_max, which is %u", spec->blob_min, spec->blob_max);
	if (spec->blob_budget < spec->blob_max)
		return errmsg_set(err, "blob_budget is %u, below blob_max, which is %u", spec->blob_budget,
			spec->blob_max);
	/* All halvings together mint less than two first ones, so no sum of coins ever leaves the range of an amount.
	 * Divided, because the product could overflow. */
	if (spec->subsidy > MAX_MONEY / 2 / spec->halving)
		return errmsg_set(err, "subsidy * halving must be %lld at most", (long long)MAX_MONEY / 2);
	return spec_check_rounds(spec, err);
}

static void spec_put_text(struct buf *out, const char *text)
{
	buf_put_compact(out, strlen(text));
	buf_put_text(out, text);
}

/* What all nodes of a chain agree on, in one hash (section 16). Texts have their length in front, so that no two specs
 * write the same bytes. */
static void spec_compute_commitment(struct spec *spec)
{
	struct buf committed;

	contribution_root(spec_course(spec)->corpus, spec_course(spec)->corpus_size, spec->corpus_root);
	buf_init(&committed);
	buf_put_le64(&committed, SPEC_RULES);
	spec_put_text(&committed, spec->name);
	spec_put_text(&committed, spec->hrp);
	for (const struct spec_field *field = spec_fields; field->name; field++)
		if (field->commits == SPEC_COMMITTED ||
			(field->commits == SPEC_COMMITTED_WITH_ROUNDS && spec->round_blocks > 0))
			buf_put_le64(&committed, spec_field_get(spec, field));
	buf_put(&committed, spec->corpus_root, 32);
	buf_put_compact(&committed, spec->licence_count);
	for (uint32_t i = 0; i < spec->licence_count; i++)
		spec_put_text(&committed, spec->licences[i]);
	/* Behind what says how long it is: so nothing of other chains ends like that. A second field of this kind would
	 * have to be told apart from the first. */
	for (const struct spec_field *field = spec_fields; field->name; field++)
		if (field->commits == SPEC_COMMITTED_WHERE_SET && spec_field_get(spec, field) != 0)
			buf_put_le64(&committed, spec_field_get(spec, field));
	sha256(spec->commitment, committed.data, committed.size);
	buf_clear(&committed);
}

/* None easier than the share target allows. In its one compact form: the bits of genesis' child are computed from it,
 * and must be these. */
static bool spec_settle_start(struct spec *spec, struct errmsg *err)
{
	struct u256 start_target;

	if (spec->start_bits == 0)
		spec->start_bits = target_to_compact(target_limit(spec->k));
	return (target_from_compact(spec->start_bits, &start_target) &&
		       target_to_compact(start_target) == spec->start_bits &&
		       u256_compare(start_target, target_limit(spec->k)) <= 0) ||
		errmsg_set(err, "start_bits is %u, and must be the compact form of a target of 2^256 / k at most",
			spec->start_bits);
}

/* Its digest is the commitment instead of a step's: so the id of every block stands on the rules, and so does the
 * magic, by which nodes of other rules do not even read each other's messages. */
static void spec_compute_genesis(struct spec *spec, const uint8_t model_root[32])
{
	spec->genesis = (struct header){
		.version = HEADER_VERSION,
		.time = (uint32_t)spec->genesis_time,
		.bits = spec->start_bits,
	};
	memcpy(spec->genesis.model_root, model_root, 32);
	memcpy(spec->genesis.digest, spec->commitment, 32);
	header_id(&spec->genesis, spec->genesis_id);
	header_ticket(&spec->genesis, spec->genesis_ticket);
	memcpy(spec->magic, spec->genesis_id, sizeof spec->magic);
}

/* A file that was swapped or damaged would give another genesis, and a node alone on a chain of its own. */
static bool spec_check_initial_root(const struct spec *spec, struct errmsg *err)
{
	char wanted_root[65], found_root[65];

	if (!spec->has_initial_root || memcmp(spec->genesis.model_root, spec->initial_root, 32) == 0)
		return true;
	hex_encode_reversed(wanted_root, spec->initial_root, 32);
	hex_encode_reversed(found_root, spec->genesis.model_root, 32);
	return errmsg_set(err, "initial_root is %s, but the initial state has %s", wanted_root, found_root);
}

/* All that needs no state. */
static bool spec_finish_rules(struct spec *spec, struct errmsg *err)
{
	if (!spec_check_limits(spec, err))
		return false;
	if (spec->initial_state_path != NULL && spec->initial_state == NULL)
		return errmsg_set(err, "initial_state names a file that was not read");
	if (!spec_settle_start(spec, err))
		return false;
	if (spec->first_segments == 0)
		spec->first_segments = spec->segments;
	spec->courses[0].train.segments = spec->segments;
	spec->courses[0].train.segment = spec->segment;
	spec_compute_commitment(spec);
	return true;
}

/* In this order: genesis holds the commitment as its digest, and the root of the state that it begins with. */
bool spec_finish(struct spec *spec, struct errmsg *err)
{
	struct state *initial_state;

	if (!spec_finish_rules(spec, err))
		return false;
	initial_state = spec_initial_state(spec);
	spec_compute_genesis(spec, state_root(initial_state));
	state_unref(initial_state);
	return spec_check_initial_root(spec, err);
}

/* With the root that each begins with, so that who wants a chain's numbers alone need not draw millions of values. Who
 * draws them compares (chain/model/replay.c; the unit tests). */
static const struct {
	const struct spec *spec;
	const char *initial_root; /* as shown */
} spec_built_in[] = {
	{ &spec_main, "fb515150008eac676749ee1e91d9b4325b1aa309467db086ae587dfec40616db" },
	{ &spec_test, "abdb23951b69559c7c70373947458b6150db8aec4fec12b8cd3e30d10ee5ef23" },
	{ &spec_regtest, "ba8b8961c6059f3a66a61bd317879204be36bf60ffbee166a8a5843013988397" },
};

bool spec_builtin(struct spec *spec, const char *name)
{
	uint8_t model_root[32];

	for (size_t i = 0; i < sizeof spec_built_in / sizeof spec_built_in[0]; i++) {
		if (strcmp(spec_built_in[i].spec->name, name) != 0)
			continue;
		spec_begin(spec, spec_built_in[i].spec);
		if (!spec_finish_rules(spec, NULL) ||
			!hex_decode_reversed(model_root, 32, spec_built_in[i].initial_root))
			return false;
		spec_compute_genesis(spec, model_root);
		return true;
	}
	return false;
}

/* === What follows from a spec === */

void spec_init_key(const struct spec *spec, uint8_t key[32])
{
	struct buf init_text;

	buf_init(&init_text);
	buf_put_text(&init_text, "atelier initial state");
	buf_put_text(&init_text, spec->name);
	sha256(key, init_text.data, init_text.size);
	buf_clear(&init_text);
}

struct state *spec_initial_state(const struct spec *spec)
{
	uint8_t init_key[32];

	if (spec->initial_state != NULL)
		return state_ref(spec->initial_state);
	spec_init_key(spec, init_key);
	return state_new_initial(&spec_course(spec)->train.model, init_key);
}

const struct course *spec_course(const struct spec *spec)
{
	return &spec->courses[0];
}

uint32_t spec_slot(const struct spec *spec, const uint8_t seed[32])
{
	return noise_slot(seed, spec->slots);
}

/* Bitcoin's two hours, less where blocks come fast. A minute is for clocks that differ; half a spacing, since what may
 * lie ahead is what may be shown before its time: with two, the first eight blocks of a launch came all at once, before
 * anybody could execute one (doc/economics.md). */
uint32_t spec_future_limit(const struct spec *spec)
{
	uint32_t ahead = 60 + spec->spacing / 2;

	return spec->spacing == 0 || ahead > SPEC_FUTURE_MAX ? SPEC_FUTURE_MAX : ahead;
}

/* A shift by 64 or more would be undefined; there is nothing left by then. */
int64_t spec_subsidy(const struct spec *spec, uint32_t height)
{
	uint32_t halvings = height / spec->halving;

	return halvings >= 64 ? 0 : spec->subsidy >> halvings;
}

/* Nobody has a seat before the first base, so that one merges nothing. */
bool spec_merges(const struct spec *spec, uint32_t height)
{
	return spec->round_blocks > 0 && height >= 2 * spec->round_blocks && height % spec->round_blocks == 0;
}

/* The seats of a round are the blocks of the one before it. */
uint32_t spec_seat_height(const struct spec *spec, uint32_t height, uint32_t seat)
{
	return height - 2 * spec->round_blocks + 1 + seat;
}

/* It grows until it is all of them, so nothing overflows however many rounds there have been. */
uint32_t spec_most_segments(const struct spec *spec, uint32_t base)
{
	uint32_t most = spec->first_segments;

	for (uint32_t round_base = spec->round_blocks; round_base < base && most < spec->segments;
		round_base += spec->round_blocks)
		most *= SPEC_RUN_GROWTH;
	return most < spec->segments ? most : spec->segments;
}
