/* Chain specs: the built-in ones' known answers, private ones' JSON with every kind of mistake, and windows. */
#include <jansson.h>

#include "consensus/corpus.h"
#include "consensus/spec.h"
#include "ml/backend_cpu.h"
#include "ml/files/safetensors.h"
#include "ml/kernel/noise.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/mem.h"

/* === Built-in === */

static void check_known(const char *line)
{
	char name[17], commitment[65], root[65], id[65], ticket[65], found[65];
	struct spec spec;

	assert_int_equal(sscanf(line, "%16s %64s %64s %64s %64s", name, commitment, root, id, ticket), 5);
	assert_true(spec_builtin(&spec, name));
	hex_encode(found, spec.commitment, 32);
	assert_string_equal(found, commitment);
	hex_encode_reversed(found, spec.genesis.model_root, 32);
	assert_string_equal(found, root);
	hex_encode_reversed(found, spec.genesis_id, 32);
	assert_string_equal(found, id);
	hex_encode_reversed(found, spec.genesis_ticket, 32);
	assert_string_equal(found, ticket);
	assert_memory_equal(spec.magic, spec.genesis_id, 4);
	assert_int_equal(spec.genesis.time, 1795219200);
	assert_memory_equal(spec.genesis.digest, spec.commitment, 32);
	spec_clear(&spec);
}

static void test_known_answers(void **state)
{
	const char *source = getenv("ATELIER_SRCDIR");
	struct buf text;
	char path[1024], *all;
	int lines = 0;

	(void)state;
	snprintf(path, sizeof path, "%s/test/data/genesis.txt", source != NULL ? source : ".");
	buf_init(&text);
	assert_true(file_read(path, 65536, &text, NULL));
	all = buf_take_text(&text);
	for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n"))
		if (*line != '#') {
			check_known(line);
			lines++;
		}
	assert_int_equal(lines, 3);
	free(all);
}

static void test_builtin(void **state)
{
	struct spec spec;
	size_t training, benchmark;

	(void)state;
	assert_false(spec_builtin(&spec, "signet"));
	assert_true(spec_builtin(&spec, "main"));
	assert_true(spec.is_public);
	assert_int_equal(spec_future_limit(&spec), 360);
	assert_ptr_equal(course_training(spec_course(&spec), &training), corpus_embedded);
	assert_ptr_equal(course_benchmark(spec_course(&spec), &benchmark),
		corpus_embedded + corpus_embedded_size - 65536);
	assert_int_equal(benchmark, 65536);
	assert_int_equal(training + benchmark, corpus_embedded_size);
	assert_true(spec_subsidy(&spec, 0) == 5000000000);
	assert_true(spec_subsidy(&spec, 209999) == 5000000000);
	assert_true(spec_subsidy(&spec, 210000) == 2500000000);
	assert_true(spec_subsidy(&spec, 32 * 210000) == 1);
	assert_true(spec_subsidy(&spec, 33 * 210000) == 0);
	assert_true(spec_subsidy(&spec, UINT32_MAX) == 0);
	/* A step with its windows and its delta must fit a machine of 4 GB, for two threads that mine beside the
	 * states. */
	assert_true(backend_memory(backend_cpu(ENGINE_OPENBLAS), &spec_course(&spec)->train, 1) +
			step_windows_size(&spec_course(&spec)->train) + step_delta_size(&spec_course(&spec)->train) <
		800000000);
	spec_clear(&spec);
	assert_true(spec_builtin(&spec, "test"));
	assert_int_equal(spec_future_limit(&spec), 90);
	assert_true(spec_builtin(&spec, "regtest"));
	assert_int_equal(spec_future_limit(&spec), 7200);
	assert_false(spec.is_public);
	spec.halving = 1;
	assert_true(spec_subsidy(&spec, 63) == 0);
	assert_true(spec_subsidy(&spec, 64) == 0);
	spec_clear(&spec);
}

/* UTF-8 in whole characters, in what is trained on and in the benchmark: the bound parts no character. */
static void test_corpus_is_text(void **state)
{
	struct spec spec;
	const uint8_t *parts[2];
	size_t sizes[2];

	(void)state;
	assert_true(spec_builtin(&spec, "main"));
	parts[0] = course_training(spec_course(&spec), &sizes[0]);
	parts[1] = course_benchmark(spec_course(&spec), &sizes[1]);
	for (int part = 0; part < 2; part++) {
		json_t *text = json_stringn((const char *)parts[part], sizes[part]); /* refuses what is no UTF-8 */

		assert_non_null(text);
		json_decref(text);
		for (size_t i = 0; i < sizes[part]; i++)
			assert_true(parts[part][i] == '\n' || parts[part][i] == '\t' ||
				(parts[part][i] >= 0x20 && parts[part][i] != 0x7f));
		assert_int_equal(parts[part][sizes[part] - 1], '\n');
	}
	spec_clear(&spec);
}

/* === Private === */

static bool parse(const char *json, struct spec *spec, struct errmsg *err)
{
	char *path;

	if (!spec_parse(spec, json, strlen(json), &path, err)) {
		assert_null(path);
		return false;
	}
	free(path);
	return spec_finish(spec, err);
}

static void test_private(void **state)
{
	static const char json[] =
		"{ \"name\": \"ward7\", \"hrp\": \"wrd\", \"spacing\": 60, \"iterations\": 4, \"d\": 64, \"heads\": 4,"
		"\"blob_min\": 50000, \"corpus\": \"ward.txt\", \"bench_bytes\": 100, \"rpc_port\": 4000 }";
	struct spec spec, regtest;
	uint8_t corpus[133] = { 0 };
	struct errmsg err;
	char *path;

	(void)state;
	assert_true(spec_builtin(&regtest, "regtest"));
	assert_true(spec_parse(&spec, json, strlen(json), &path, &err));
	assert_string_equal(path, "ward.txt");
	assert_string_equal(spec.name, "ward7");
	assert_string_equal(spec.hrp, "wrd");
	assert_int_equal(spec.spacing, 60);
	assert_int_equal(spec_course(&spec)->train.model.d, 64);
	assert_int_equal(spec_course(&spec)->train.model.heads, 4);
	assert_int_equal(spec.blob_min, 50000);
	assert_int_equal(spec.rpc_port, 4000);
	assert_int_equal(spec.p2p_port, 39433);
	assert_int_equal(spec.k, regtest.k);
	spec_set_corpus(&spec, corpus, 132);
	assert_false(spec_finish(&spec, &err));
	assert_non_null(strstr(err.text, "corpus has 132 bytes"));
	spec_set_corpus(&spec, corpus, 133);
	assert_true(spec_finish(&spec, &err));
	assert_memory_not_equal(spec.genesis_id, regtest.genesis_id, 32);
	free(path);
	spec_clear(&spec);
	spec_clear(&regtest);
}

/* Every field is committed to, but for the ports. */
static const struct {
	const char *json;
	bool differs;
} commitment_cases[] = {
	{ "{}", false },
	{ "{\"corpus\":\"embedded\"}", false },
	{ "{\"p2p_port\":1}", false },
	{ "{\"rpc_port\":65535}", false },
	{ "{\"name\":\"regtesu\"}", true },
	{ "{\"hrp\":\"ratm\"}", true },
	{ "{\"genesis_time\":1795219201}", true },
	{ "{\"spacing\":1,\"iterations\":4}", true },
	{ "{\"start_bits\":541065216}", false },
	{ "{\"start_bits\":541065215}", true },
	{ "{\"k\":5}", true },
	{ "{\"d\":64}", true },
	{ "{\"layers\":3}", true },
	{ "{\"heads\":1}", true },
	{ "{\"ff\":112}", true },
	{ "{\"ctx\":48}", true },
	{ "{\"memory\":1025}", true },
	{ "{\"batch\":5}", true },
	{ "{\"iterations\":3}", true },
	{ "{\"slots\":3}", true },
	{ "{\"bench_rows\":17}", true },
	{ "{\"bench_bytes\":65535}", true },
	{ "{\"lr_ppm\":2001}", true },
	{ "{\"wd_ppm\":1}", true },
	{ "{\"mu_ppm\":1}", true },
	{ "{\"eta_ppm\":1}", true },
	{ "{\"gate_ppm\":1}", true },
	{ "{\"v_0\":1}", true },
	{ "{\"v_min\":1}", true },
	{ "{\"subsidy\":1}", true },
	{ "{\"halving\":1}", true },
	{ "{\"maturity\":1}", true },
	{ "{\"data_delay\":2}", true },
	{ "{\"burn_rate\":1}", true },
	{ "{\"blob_min\":32769}", true },
	{ "{\"blob_max\":40000}", true },
	{ "{\"blob_budget\":16777216}", true },
	{ "{\"block_weight\":4000}", true },
	{ "{\"licences\":[\"MIT\", \"LicenseRef-ward7\", \"GPL-2.0-only WITH x\"]}", true },
};

static void test_commitment(void **state)
{
	struct spec regtest, spec;
	struct errmsg err;

	(void)state;
	assert_true(spec_builtin(&regtest, "regtest"));
	for (size_t i = 0; i < sizeof commitment_cases / sizeof commitment_cases[0]; i++) {
		if (!parse(commitment_cases[i].json, &spec, &err))
			fail_msg("%s: %s", commitment_cases[i].json, err.text);
		if ((memcmp(spec.commitment, regtest.commitment, 32) != 0) != commitment_cases[i].differs)
			fail_msg("commitment with %s", commitment_cases[i].json);
		if ((memcmp(spec.genesis_id, regtest.genesis_id, 32) != 0) != commitment_cases[i].differs)
			fail_msg("genesis id with %s", commitment_cases[i].json);
		spec_clear(&spec);
	}
	spec_clear(&regtest);
}

/* By four with each round, up to all. */
static void test_most_segments(void **state)
{
	struct spec spec = { .round_blocks = 8, .segments = 100, .first_segments = 3 };
	static const uint32_t limits[] = { 3, 12, 48, 100, 100 };

	(void)state;
	for (uint32_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		assert_int_equal(spec_most_segments(&spec, 8 * (i + 1)), limits[i]);
	assert_int_equal(spec_most_segments(&spec, UINT32_MAX / 8 * 8), 100);
	spec.first_segments = spec.segments = 1024;
	assert_int_equal(spec_most_segments(&spec, 8), 1024);
	assert_int_equal(spec_most_segments(&(struct spec){ 0 }, 100), 0);
}

/* Rounds as in the spec of the functional tests, and one field of them changed. */
#define ROUNDS                                                                                 \
	"\"round_blocks\":8,\"round_work\":2,\"round_reveal\":3,\"segments\":4,\"segment\":2," \
	"\"run_ppm\":500000"

/* Seven more numbers are committed to where there are rounds, and none where there are not. */
static void test_rounds(void **state)
{
	static const char *const changes[] = {
		"\"maturity\":20,\"round_blocks\":9,\"round_work\":2,\"round_reveal\":3,\"segments\":4,\"segment\":2",
		"\"maturity\":20,\"round_blocks\":8,\"round_work\":1,\"round_reveal\":3,\"segments\":4,\"segment\":2",
		"\"maturity\":20,\"round_blocks\":8,\"round_work\":2,\"round_reveal\":2,\"segments\":4,\"segment\":2",
		"\"maturity\":20,\"round_blocks\":8,\"round_work\":2,\"round_reveal\":3,\"segments\":5,\"segment\":2",
		"\"maturity\":20,\"round_blocks\":8,\"round_work\":2,\"round_reveal\":3,\"segments\":4,\"segment\":3",
		("\"maturity\":20,\"round_blocks\":8,\"round_work\":2,\"round_reveal\":3,\"segments\":4,\"segment\":2,"
		 "\"run_ppm\":1"),
		("\"maturity\":20,\"round_blocks\":8,\"round_work\":2,\"round_reveal\":3,\"segments\":4,\"segment\":2,"
		 "\"first_segments\":3"),
		"\"maturity\":20", "\"maturity\":20,\"round_blocks\":0,\"run_ppm\":0",
		"\"maturity\":20,\"round_blocks\":9,\"round_work\":2,\"round_reveal\":3,\"segments\":4,\"segment\":2,"
		"\"first_segments\":4", /* as if it were left out */
	};
	uint8_t seen[sizeof changes / sizeof changes[0]][32];
	struct spec spec;
	struct errmsg err;

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		char json[256];

		snprintf(json, sizeof json, "{%s}", changes[i]);
		if (!parse(json, &spec, &err))
			fail_msg("%s: %s", json, err.text);
		memcpy(seen[i], spec.commitment, 32);
		for (size_t j = 0; j < i; j++)
			assert_int_equal(memcmp(seen[i], seen[j], 32) == 0, (i == 8 && j == 7) || (i == 9 && j == 0));
		assert_int_equal(spec_course(&spec)->train.segments, spec.segments);
		assert_int_equal(spec_course(&spec)->train.segment, spec.segment);
		spec_clear(&spec);
	}
	assert_true(parse("{" ROUNDS ",\"maturity\":17,\"block_weight\":5408,\"blob_max\":32768,\"lr_ppm\":3937500}",
		&spec, &err));
	assert_int_equal(spec_course(&spec)->train.segments, 4);
	assert_int_equal(spec_course(&spec)->train.segment, 2);
	spec_clear(&spec);
}

struct mistake {
	const char *json, *told;
};

static void assert_mistakes(const struct mistake *cases, size_t count)
{
	struct spec spec;
	struct errmsg err;

	for (size_t i = 0; i < count; i++) {
		if (parse(cases[i].json, &spec, &err))
			fail_msg("%s is taken", cases[i].json);
		if (strstr(err.text, cases[i].told) == NULL)
			fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].json, err.text, cases[i].told);
		spec_clear(&spec);
	}
}

/* What is no JSON, no field, or not of the field's kind. */
static void test_mistakes_of_form(void **state)
{
	static const struct mistake cases[] = {
		{ "", "line 1" },
		{ "[]", "object" },
		{ "{\"k\":4,\n\"k\":4}", "line 2: duplicate object key near '\"k\"'" },
		{ "{\"k\":4} {}", "end of file" },
		{ "{\"kk\":4}", "unknown field \"kk\"" },
		{ "{\"corpus_size\":4}", "unknown field \"corpus_size\"" },
		{ "{\"k\":\"4\"}", "k must be an integer" },
		{ "{\"k\":4.0}", "k must be an integer" },
		{ "{\"k\":null}", "k must be an integer" },
		{ "{\"k\":99999999999999999999}", "too big integer" },
		{ "{\"name\":5}", "name must be a string" },
		{ "{\"corpus\":1}", "corpus must be a string" },
		{ "{\"licences\":\"MIT\"}", "licences must be a list" },
		{ "{\"licences\":[1]}", "licences must hold SPDX ids" },
		{ "{\"licences\":[\"\"]}", "licences must hold SPDX ids" },
		{ "{\"licences\":[\"MIT\", \"MIT OR ISC\"]}", "licences must hold SPDX ids" },
		{ "{\"licences\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "a list of at most 16" },
	};

	(void)state;
	assert_mistakes(cases, sizeof cases / sizeof cases[0]);
}

/* What a field, or several together, may not say. */
static void test_mistakes_of_value(void **state)
{
	static const struct mistake cases[] = {
		{ "{\"k\":-1}", "k is negative" },
		{ "{\"k\":0}", "k is 0, and must be 1 to 64" },
		{ "{\"k\":65}", "k is 65" },
		{ "{\"k\":4294967300}", "k is 4294967300" },
		{ "{\"start_bits\":541065217}", "start_bits is 541065217" },
		{ "{\"start_bits\":553648127}", "start_bits is 553648127" },
		{ "{\"start_bits\":545267712}", "start_bits is 545267712" },
		{ "{\"start_bits\":1}", "start_bits is 1" },
		{ "{\"name\":\"\"}", "name must have" },
		{ "{\"name\":\"../../../etc\"}", "name must have" },
		{ "{\"name\":\"seventeen-letters\"}", "name must have" },
		{ "{\"name\":\"main\"}", "built-in" },
		{ "{\"name\":\"test\"}", "built-in" },
		{ "{\"hrp\":\"ninechars\"}", "hrp must have" },
		{ "{\"hrp\":\"A\"}", "hrp must have" },
		{ "{\"corpus\":\"\"}", "corpus must be" },
		{ "{\"d\":24}", "d must be a multiple of 16" },
		{ "{\"heads\":3}", "d / heads" },
		{ "{\"ff\":24}", "ff must be a multiple of 16" },
		{ "{\"ctx\":40}", "ctx must be a multiple of 16" },
		{ "{\"ctx\":16}", "ctx is 16" },
		{ "{\"slots\":17}", "slots is 17" },
		{ "{\"batch\":1025}", "batch is 1025" },
		{ "{\"d\":4096,\"heads\":32,\"layers\":64,\"ff\":16384}", "2^28" },
		{ "{\"lr_ppm\":16777216}", "lr_ppm is 16777216" },
		{ "{\"lr_ppm\":0}", "lr_ppm is 0" },
		{ "{\"bench_bytes\":33,\"ctx\":48}", "bench_bytes is 33, and must be ctx + 1 = 49" },
		{ "{\"bench_bytes\":262144}", "corpus has" },
		{ "{\"memory\":0}", "memory is 0" },
		{ "{\"memory\":1,\"d\":64}", "memory is 1 MiB, and 7 states of the model need 6" },
		{ "{\"spacing\":1,\"iterations\":3}", "iterations is 3, and must be 4 at least" },
		{ "{\"blob_min\":32767}", "blob_min is 32767" },
		{ "{\"blob_min\":50000,\"blob_max\":49999}", "blob_min is 50000, above blob_max" },
		{ "{\"blob_budget\":16777215}", "blob_budget is 16777215, below blob_max" },
		{ "{\"subsidy\":1000000000001}", "subsidy is 1000000000001" },
		{ "{\"subsidy\":1000000000000,\"halving\":1051}", "subsidy * halving" },
		{ "{\"v_0\":140737488355329}", "v_0 is 140737488355329" },
		{ "{\"rpc_port\":65536}", "rpc_port is 65536" },
	};

	(void)state;
	assert_mistakes(cases, sizeof cases / sizeof cases[0]);
}

/* JSON takes a field once, so each case says all six, the first one wrong. */
static void test_mistakes_of_rounds(void **state)
{
#define AFTER(maturity, blocks, work, reveal, segments, segment)                                                      \
	"{\"maturity\":" #maturity ",\"round_blocks\":" #blocks ",\"round_work\":" #work ",\"round_reveal\":" #reveal \
	",\"segments\":" #segments ",\"segment\":" #segment
#define BIG ",\"d\":1024,\"layers\":3,\"heads\":16,\"memory\":8192"
	static const struct mistake cases[] = {
		{ "{\"segments\":4}", "segments must be 0 where round_blocks is 0" },
		{ "{\"run_ppm\":1}", "run_ppm must be 0 where round_blocks is 0" },
		{ AFTER(20, 4, 1, 1, 4, 2) "}", "round_blocks is 4, and must be 0, or 5 at least" },
		{ AFTER(1000, 241, 2, 3, 4, 2) "}", "round_blocks is 241" },
		{ AFTER(16, 8, 2, 3, 4, 2) "}", "maturity is 16, and must be 2 * round_blocks + 1 = 17" },
		{ AFTER(20, 8, 0, 3, 4, 2) "}", "round_work and round_reveal must be 1" },
		{ AFTER(20, 8, 2, 0, 4, 2) "}", "round_work and round_reveal must be 1" },
		{ AFTER(20, 8, 2, 4, 4, 2) "}",
			"round_work + 1 + round_reveal is 7, and must be round_blocks - 2 = 6 at most" },
		{ AFTER(20, 8, 3, 3, 4, 2) "}", "round_work + 1 + round_reveal is 7" },
		{ AFTER(20, 8, 2, 3, 0, 2) "}", "segments and segment must be 1" },
		{ AFTER(20, 8, 2, 3, 4, 0) "}", "segments and segment must be 1" },
		{ AFTER(20, 8, 2, 3, 1025, 2) "}", "segments is 1025" },
		{ AFTER(20, 8, 2, 3, 4, 1025) "}", "segment is 1025" },
		{ AFTER(20, 8, 2, 3, 4, 2) ",\"run_ppm\":500001}", "run_ppm is 500001" },
		{ AFTER(20, 8, 2, 3, 4, 2) ",\"first_segments\":5}",
			"first_segments is 5, and must be segments = 4 at most" },
		{ "{\"first_segments\":1}", "first_segments must be 0 where round_blocks is 0" },
		{ AFTER(20, 8, 2, 3, 4, 2) ",\"block_weight\":5407}",
			"block_weight is 5407, and must be 5408 at least" },
		{ AFTER(20, 8, 2, 3, 64, 2) ",\"lr_ppm\":246094}", "4 * lr_ppm * segment * segments" },
		{ AFTER(20, 8, 2, 3, 1024, 1024) "}", "4 * lr_ppm * segment * segments" },
		{ AFTER(20, 8, 2, 3, 4, 2) BIG ",\"ff\":2496}", "the disclosure of a run would have" },
	};
#undef AFTER
#undef BIG

	(void)state;
	assert_mistakes(cases, sizeof cases / sizeof cases[0]);
}

static void test_bounds(void **state)
{
	size_t size = SPEC_TEXT_MAX + 1;
	char *json = malloc(size), *path;
	struct spec spec;
	struct errmsg err;

	(void)state;
	memset(json, ' ', size);
	json[0] = '{';
	json[SPEC_TEXT_MAX - 1] = '}';
	assert_true(spec_parse(&spec, json, SPEC_TEXT_MAX, &path, &err));
	spec_clear(&spec);
	assert_false(spec_parse(&spec, json, size, &path, &err));
	assert_non_null(strstr(err.text, "65536"));
	spec_clear(&spec);
	free(json);
}

/* === Windows === */

static void test_windows(void **state)
{
	struct spec spec;
	uint32_t ctx, seen = 0;
	uint8_t *data, *out, seed[32] = { 0 };
	static const uint8_t ticket[32];
	struct course_data bytes;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	ctx = spec_course(&spec)->train.model.ctx;
	assert_int_equal(step_windows_size(&spec_course(&spec)->train), 2 * 4 * 33);
	data = malloc(ctx - 7); /* the least there can be, and a sanitizer sees a byte more */
	out = malloc(step_windows_size(&spec_course(&spec)->train));
	for (uint32_t i = 0; i < ctx - 7; i++)
		data[i] = (uint8_t)(i + 1);
	bytes = course_data_in_memory(data, ctx - 7);
	for (int i = 0; i < 200; i++) {
		seed[0] = (uint8_t)i;
		assert_true(course_gather_step(spec_course(&spec), ticket, seed, spec_slot(&spec, seed), &bytes, out));
		for (size_t row = 0; row < 8; row++) {
			assert_memory_equal(out + row * (ctx + 1) + 8, data, ctx - 7);
			if (row)
				assert_memory_not_equal(out + row * (ctx + 1), out, 8);
		}
		assert_true(spec_slot(&spec, seed) < spec.slots);
		seen |= 1u << spec_slot(&spec, seed);
	}
	assert_int_equal(seen, 3);
	free(data);
	free(out);
	spec_clear(&spec);
}

/* One byte more: both offsets are drawn, no other. */
static void test_window_offsets(void **state)
{
	struct spec spec;
	uint8_t *data, *out, seed[32] = { 0 };
	size_t first = 0, total = 0, size;
	struct course_data bytes;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	size = spec_course(&spec)->train.model.ctx - 7 + 1;
	data = malloc(size);
	out = malloc(step_windows_size(&spec_course(&spec)->train));
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)i;
	bytes = course_data_in_memory(data, size);
	for (; seed[1] < 100; seed[1]++) {
		assert_true(course_gather_step(spec_course(&spec), seed, seed, 0, &bytes, out));
		for (size_t row = 0; row < 8; row++, total++) {
			uint8_t offset = out[row * 33 + 8];

			assert_true(offset <= 1);
			assert_memory_equal(out + row * 33 + 8, data + offset, size - 1);
			first += offset == 0;
		}
	}
	assert_in_range(first, total * 4 / 10, total * 6 / 10);
	free(data);
	free(out);
	spec_clear(&spec);
}

/* Of three whole chunks and a rest, windows take every part but the last page of each chunk; what they take follows
 * from the ticket, the slot, and one of eight groups that the seed is in, and the prefix from the seed. */
static void test_own_pages(void **state)
{
	enum { SIZE = 3 * COURSE_CHUNK + 3000, SEEDS = 2000 };
	struct spec spec;
	uint8_t *data = mem_calloc(SIZE, 1), *out, seed[32] = { 0 }, ticket[32] = { 9 };
	uint8_t starts[2 * NOISE_GROUPS][8][25]; /* regtest has two slots */
	uint32_t groups = 0, pieces = 0, changed = 0;
	const struct course_data bytes = course_data_in_memory(data, SIZE);

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	assert_int_equal(course_pages(SIZE), 3);
	assert_int_equal(course_pages(COURSE_CHUNK - 1), 0);
	/* Bytes of an own page have the highest bit; the lower ones count, so that nearly all windows differ. */
	for (uint32_t i = 0; i < SIZE; i++) {
		bool own = i / COURSE_CHUNK < 3 && i % COURSE_CHUNK >= COURSE_CHUNK - COURSE_PAGE;

		data[i] = (uint8_t)((own ? 128 : 0) | (i / COURSE_CHUNK) << 5 | ((i * 2654435761u) >> 27));
	}
	out = mem_alloc(step_windows_size(&spec_course(&spec)->train));
	for (uint32_t i = 0; i < SEEDS; i++) {
		uint32_t slot, group;

		write_le32(seed, i);
		slot = spec_slot(&spec, seed);
		group = noise_group(seed);
		assert_true(slot < 2 && group < NOISE_GROUPS);
		group += NOISE_GROUPS * slot;
		/* Each seed with a ticket of its own first: windows lie everywhere. */
		assert_true(course_gather_step(spec_course(&spec), seed, seed, slot, &bytes, out));
		for (size_t row = 0; row < 8; row++)
			for (size_t j = 8; j < 33; j++) {
				assert_int_equal(out[row * 33 + j] & 128, 0);
				pieces |= 1u << (out[row * 33 + j] >> 5);
			}
		assert_true(course_gather_step(spec_course(&spec), ticket, seed, slot, &bytes, out));
		for (size_t row = 0; row < 8; row++) {
			if (groups & 1u << group)
				changed += memcmp(starts[group][row], out + row * 33 + 8, 25) != 0;
			memcpy(starts[group][row], out + row * 33 + 8, 25);
		}
		groups |= 1u << group;
	}
	assert_int_equal(groups, 65535);
	assert_int_equal(pieces, 15);
	assert_int_equal(changed, 0);
	for (int i = 0; i < 2 * NOISE_GROUPS; i++)
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(starts[i], starts[j], sizeof starts[0]);
	free(data);
	free(out);
	spec_clear(&spec);
}

static void test_benchmark_windows(void **state)
{
	struct spec spec;
	uint8_t *out, ticket[32] = { 7 };
	size_t size;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	size = course_benchmark_size(spec_course(&spec));
	assert_int_equal(size, 4 * 33);
	out = malloc(size);
	course_gather_benchmark(spec_course(&spec), ticket, out);
	for (size_t row = 0; row < 4; row++) {
		const uint8_t *benchmark = course_benchmark(spec_course(&spec), &size);
		bool found = false;

		for (size_t i = 0; i + 25 <= size && !found; i++)
			found = memcmp(benchmark + i, out + row * 33 + 8, 25) == 0;
		assert_true(found);
	}
	free(out);
	spec_clear(&spec);
}

static bool put(void *context, const void *data, size_t size, struct errmsg *err)
{
	(void)err;
	buf_put(context, data, size);
	return true;
}

/* The weights of a spec's initial state as a file. */
static void write_weights(const struct spec *spec, struct buf *out)
{
	struct state *initial = spec_initial_state(spec);
	struct tensorfile_source source = { .config = &spec_course(spec)->train.model,
		.theta = state_theta(initial),
		.name = "",
		.root = "" };
	struct tensorfile_sink sink = { put, out };

	assert_true(safetensors_write(&source, &sink, NULL));
	state_unref(initial);
}

/* A chain that begins with a file's weights: nothing but genesis' model_root tells it from one that draws the same. */
static void test_initial_state(void **state)
{
	static const char json[] = "{ \"name\": \"regtest\", \"initial_state\": \"w.safetensors\" }";
	struct spec spec, regtest;
	struct errmsg err;
	struct buf weights;
	char *path;

	(void)state;
	buf_init(&weights);
	assert_true(spec_builtin(&regtest, "regtest"));
	assert_null(regtest.initial_state);
	write_weights(&regtest, &weights);
	assert_true(spec_parse(&spec, json, strlen(json), &path, &err));
	assert_null(path);
	assert_string_equal(spec.initial_state_path, "w.safetensors");
	assert_false(spec_finish(&spec, &err));
	assert_non_null(strstr(err.text, "initial_state"));
	assert_false(spec_set_initial_state(&spec, weights.data, weights.size - 1, &err));
	assert_non_null(strstr(err.text, "lm_head.weight"));
	assert_false(spec_finish(&spec, &err));
	assert_true(spec_set_initial_state(&spec, weights.data, weights.size, &err));
	assert_true(spec_finish(&spec, &err));
	assert_memory_equal(spec.commitment, regtest.commitment, 32);
	assert_memory_equal(spec.genesis_id, regtest.genesis_id, 32);

	weights.data[weights.size - 4] ^= 1;
	assert_true(spec_set_initial_state(&spec, weights.data, weights.size, &err));
	assert_true(spec_finish(&spec, &err));
	assert_memory_equal(spec.commitment, regtest.commitment, 32);
	assert_memory_not_equal(spec.genesis.model_root, regtest.genesis.model_root, 32);
	assert_memory_not_equal(spec.genesis_id, regtest.genesis_id, 32);
	spec_clear(&spec);
	spec_clear(&regtest);
	buf_clear(&weights);
}

/* Sizes that are impossible are told before the file is looked at. */
static void test_initial_state_sizes(void **state)
{
	static const char json[] = "{ \"initial_state\": \"w\", \"d\": 40 }", empty[] = "{ \"initial_state\": \"\" }";
	static const char number[] = "{ \"initial_state\": 1 }";
	struct spec spec;
	struct errmsg err;
	char *path;

	(void)state;
	assert_true(spec_parse(&spec, json, strlen(json), &path, &err));
	assert_false(spec_set_initial_state(&spec, (const uint8_t *)"", 0, &err));
	assert_non_null(strstr(err.text, "d must be"));
	spec_clear(&spec);
	assert_false(spec_parse(&spec, empty, strlen(empty), &path, &err));
	assert_non_null(strstr(err.text, "initial_state must be the name of a file"));
	spec_clear(&spec);
	assert_false(spec_parse(&spec, number, strlen(number), &path, &err));
	assert_non_null(strstr(err.text, "initial_state must be a string"));
	spec_clear(&spec);
}

/* A spec that says which model_root it begins with holds for no other, and means the same chain. */
static void test_initial_root(void **state)
{
	struct spec spec, regtest;
	struct errmsg err;
	char json[128], root[65], *path;

	(void)state;
	assert_true(spec_builtin(&regtest, "regtest"));
	hex_encode_reversed(root, regtest.genesis.model_root, 32);
	snprintf(json, sizeof json, "{ \"name\": \"regtest\", \"initial_root\": \"%s\" }", root);
	assert_true(spec_parse(&spec, json, strlen(json), &path, &err));
	assert_true(spec_finish(&spec, &err));
	assert_memory_equal(spec.genesis_id, regtest.genesis_id, 32);
	spec_clear(&spec);
	char *digit = strstr(json, root);

	*digit = *digit == '0' ? '1' : '0';
	assert_true(spec_parse(&spec, json, strlen(json), &path, &err));
	assert_false(spec_finish(&spec, &err));
	assert_non_null(strstr(err.text, root));
	spec_clear(&spec);
	*digit = 'x';
	assert_false(spec_parse(&spec, json, strlen(json), &path, &err));
	assert_non_null(strstr(err.text, "initial_root must be"));
	spec_clear(&spec);
	spec_clear(&regtest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_corpus_is_text),
		cmocka_unit_test(test_initial_state),
		cmocka_unit_test(test_initial_state_sizes),
		cmocka_unit_test(test_initial_root),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_commitment),
		cmocka_unit_test(test_most_segments),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_mistakes_of_form),
		cmocka_unit_test(test_mistakes_of_value),
		cmocka_unit_test(test_mistakes_of_rounds),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_window_offsets),
		cmocka_unit_test(test_own_pages),
		cmocka_unit_test(test_benchmark_windows),
	};

	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
