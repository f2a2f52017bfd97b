/* The known answers of rounds: the second block of lines of doc/protocol.md section 18. */
#include "consensus/branch/registry_state.h"
#include "consensus/known/known.h"
#include "consensus/payload/merge_statement.h"
#include "consensus/registry_fixture.h"
#include "consensus/spec.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "ml/backend_cpu.h"
#include "ml/run.h"

enum { SEGMENTS = 4 };

/* The chain, and the example run on it: made once. */
static struct spec spec;
static struct state *initial;
static uint8_t example_ticket[32], example_seat[32], example_run[32];
static uint8_t *windows[SEGMENTS], *code[SEGMENTS + 1];

static const struct train_config *train(void)
{
	return &spec_course(&spec)->train;
}

static void make_run(void)
{
	struct backend *worker = backend_new(backend_cpu(ENGINE_OPENBLAS), train(), 1);
	struct course_data data;
	size_t size;
	const uint8_t *corpus = course_training(spec_course(&spec), &size);

	data = course_data_in_memory(corpus, size);
	run_seed(example_ticket, example_seat, example_run);
	code[0] = mem_alloc(run_code_size(train()));
	run_start(train(), code[0]);
	for (uint32_t j = 0; j < SEGMENTS; j++) {
		uint8_t segment_seed[32];
		const struct run_segment segment = { .base = initial,
			.segment_seed = segment_seed,
			.start = code[j],
			.windows = windows[j] = mem_alloc(run_windows_size(train())) };

		run_segment_seed(example_run, j, segment_seed);
		assert_true(run_gather(spec_course(&spec), segment_seed, &data, windows[j]));
		code[j + 1] = mem_alloc(run_code_size(train()));
		assert_int_equal(run_execute(worker, &segment, code[j + 1]), STEP_OK);
	}
	backend_free(worker);
}

static int setup(void **state)
{
	static const char json[] =
		"{\"name\":\"rounds\",\"hrp\":\"rnd\",\"maturity\":20,\"round_blocks\":8,"
		"\"round_work\":3,\"round_reveal\":3,\"segments\":4,\"segment\":2,\"run_ppm\":500000}";
	struct errmsg err;
	char *path;

	(void)state;
	if (!spec_parse(&spec, json, sizeof json - 1, &path, &err) || !spec_finish(&spec, &err))
		return -1;
	memset(example_ticket, 18, sizeof example_ticket);
	memset(example_seat, 19, sizeof example_seat);
	initial = spec_initial_state(&spec);
	make_run();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t j = 0; j <= SEGMENTS; j++)
		free(code[j]);
	for (size_t j = 0; j < SEGMENTS; j++)
		free(windows[j]);
	state_unref(initial);
	spec_clear(&spec);
	return 0;
}

/* === Answers === */

/* Is answered where the module is tested that gives it: what is left here is to be less. */
static void answer_elsewhere(const char *arguments, char *out)
{
	(void)arguments;
	out[0] = 0;
}

static void answer_commitment(const char *arguments, char *out)
{
	assert_string_equal(arguments, spec.name);
	put_hex(out, spec.commitment, 32);
}

static void answer_initial(const char *arguments, char *out)
{
	assert_string_equal(arguments, spec.name);
	hex_encode_reversed(out, spec.genesis.model_root, 32);
}

static void answer_genesis(const char *arguments, char *out)
{
	assert_string_equal(arguments, spec.name);
	hex_encode_reversed(out, spec.genesis_id, 32);
}

static void answer_e_max(const char *arguments, char *out)
{
	struct train_config other = *train();
	unsigned lr_ppm;

	assert_int_equal(sscanf(arguments, "%u %u %u", &lr_ppm, &other.segment, &other.segments), 3);
	other.lr_ppm = lr_ppm;
	snprintf(out, ANSWER_MAX, "%d", run_exponent_max(&other));
}

static void answer_code_bounds(const char *arguments, char *out)
{
	const size_t size = run_code_size(train());
	uint8_t *other = mem_dup(code[0], size);
	int exponent, last;

	assert_int_equal(sscanf(arguments, "%d %d", &exponent, &last), 2);
	other[0] = (uint8_t)exponent;
	other[size - 1] = (uint8_t)last;
	snprintf(out, ANSWER_MAX, "%s", run_code_check(train(), other, size) ? "good" : "bad");
	free(other);
}

static void answer_round_datasets(const char *arguments, char *out)
{
	struct contribution data[3] = { example_data(1, 70000), example_data(2, 100000), example_data(3, 200000) };
	struct registry *registry = registry_new(&spec);
	uint32_t drawn[ROUND_SEATS_MAX];
	uint8_t ticket[32];

	assert_true(hex_decode(ticket, 32, arguments));
	apply(registry, 0, data, 3, NULL);
	datasets_draw(&registry->datasets, &spec, registry_height(registry) + 1, ticket, NOISE_RUN, spec.round_blocks,
		drawn);
	for (uint32_t i = 0; i < spec.round_blocks; i++)
		out += sprintf(out, "%s%u", i ? " " : "", drawn[i]);
	registry_free(registry);
}

static void answer_run_audit(const char *arguments, char *out)
{
	struct spec other = spec;
	uint8_t beacon[32];
	struct round_view *view = mem_calloc(1, sizeof *view);
	unsigned seat;
	char hex[65];

	assert_int_equal(sscanf(arguments, "%64s %u %u", hex, &other.segments, &seat), 3);
	assert_true(hex_decode(beacon, 32, hex));
	view->beacon = beacon;
	snprintf(out, ANSWER_MAX, "%u", round_audited(view, &other, seat));
	free(view);
}

static void answer_run_seed(const char *arguments, char *out)
{
	uint8_t segment_seed[32];

	if (*arguments)
		run_segment_seed(example_run, (uint32_t)strtoul(arguments, NULL, 10), segment_seed);
	else
		memcpy(segment_seed, example_run, 32);
	put_hex(out, segment_seed, 32);
}

static void answer_run_window(const char *arguments, char *out)
{
	const size_t window = train()->model.ctx + 1;
	unsigned j, iteration, row;

	assert_int_equal(sscanf(arguments, "%u %u %u", &j, &iteration, &row), 3);
	assert_true(j < SEGMENTS && iteration < train()->segment && row < train()->batch);
	put_hex(out, windows[j] + (iteration * train()->batch + row) * window, window);
}

static size_t example_code(const char *arguments)
{
	size_t j = strtoul(arguments, NULL, 10);

	assert_true(j <= SEGMENTS);
	return j;
}

static void answer_run_digest(const char *arguments, char *out)
{
	uint8_t digest[32];

	sha256(digest, code[example_code(arguments)], run_code_size(train()));
	put_hex(out, digest, 32);
}

static void answer_run_code(const char *arguments, char *out)
{
	unsigned j, block;

	assert_int_equal(sscanf(arguments, "%u %u", &j, &block), 2);
	assert_true(j <= SEGMENTS && 65 * (block + 1) <= run_code_size(train()));
	put_hex(out, code[j] + 65 * block, 65);
}

/* d_1 | .. | d_segments. */
static void example_list(uint8_t list[SEGMENTS][32])
{
	for (size_t j = 0; j < SEGMENTS; j++)
		sha256(list[j], code[j + 1], run_code_size(train()));
}

static void answer_run_root(const char *arguments, char *out)
{
	uint8_t list[SEGMENTS][32], root[32];

	(void)arguments;
	example_list(list);
	sha256(root, list, sizeof list);
	put_hex(out, root, 32);
}

static void answer_disclosure_root(const char *arguments, char *out)
{
	uint8_t list[SEGMENTS][32], root[32];
	struct buf blob;

	example_list(list);
	buf_init(&blob);
	buf_put(&blob, list, sizeof list);
	buf_put(&blob, code[example_code(arguments)], run_code_size(train()));
	buf_put(&blob, code[SEGMENTS], run_code_size(train()));
	assert_int_equal(blob.size, round_blob_size(&spec, ROUND_DISCLOSURE));
	contribution_root(blob.data, blob.size, root);
	put_hex(out, root, 32);
	buf_clear(&blob);
}

static void answer_challenge_root(const char *arguments, char *out)
{
	uint8_t root[32];

	assert_int_equal(run_code_size(train()), round_blob_size(&spec, ROUND_CHALLENGE));
	contribution_root(code[example_code(arguments)], run_code_size(train()), root);
	put_hex(out, root, 32);
}

/* So many texts of hexadecimal digits, each of 32 bytes but the last. */
static void take_hex(const char *arguments, uint8_t (*hashes)[32], size_t count, uint8_t *last, size_t last_size)
{
	for (size_t i = 0; i < count + (last != NULL); i++) {
		char hex[129] = "";
		int used = 0;

		assert_int_equal(sscanf(arguments, "%128s%n", hex, &used), 1);
		arguments += used;
		assert_true(i < count ? hex_decode(hashes[i], 32, hex) : hex_decode(last, last_size, hex));
	}
}

static void answer_commit_hash(const char *arguments, char *out)
{
	uint8_t hashes[3][32], hash[32];

	take_hex(arguments, hashes, 3, NULL, 0);
	round_commit_hash(hashes[0], hashes[1], hashes[2], hash);
	put_hex(out, hash, 32);
}

static void answer_commit_valid(const char *arguments, char *out)
{
	uint8_t hashes[2][32], signature[64];

	take_hex(arguments, hashes, 2, signature, sizeof signature);
	snprintf(out, ANSWER_MAX, "%s", schnorr_verify(signature, hashes[1], hashes[0]) ? "true" : "false");
}

static const char *const
	kinds[] = { [ROUND_COMMIT] = "commit", [ROUND_DISCLOSURE] = "disclosure", [ROUND_CHALLENGE] = "challenge" };

static enum round_kind kind_of(const char *text)
{
	for (int kind = ROUND_COMMIT; kind <= ROUND_CHALLENGE; kind++)
		if (strcmp(text, kinds[kind]) == 0)
			return (enum round_kind)kind;
	fail_msg("%s is no kind", text);
	return ROUND_COMMIT;
}

static void answer_round_tx(const char *arguments, char *out)
{
	char kind[16], root[65], rest[129] = "", txid[65];
	struct round_tx round_tx = { 0 };
	const struct tx *tx;
	struct buf raw;

	assert_true(sscanf(arguments, "%15s %u %64s %128s", kind, &round_tx.height, root, rest) >= 3);
	round_tx.kind = kind_of(kind);
	assert_true(hex_decode(round_tx.root, 32, root));
	if (round_tx.kind == ROUND_COMMIT)
		assert_true(hex_decode(round_tx.signature, 64, rest));
	if (round_tx.kind == ROUND_CHALLENGE)
		round_tx.segment = (uint32_t)strtoul(rest, NULL, 10);
	tx = round_tx_build(&round_tx);
	buf_init(&raw);
	tx_write(&raw, tx, true);
	put_hex(out, raw.data, raw.size);
	hex_encode_reversed(txid, tx_txid(tx), 32);
	sprintf(out + 2 * raw.size, " %s", txid);
	buf_clear(&raw);
	tx_unref(tx);
}

static void answer_round_form(const char *arguments, char *out)
{
	uint8_t *raw = mem_alloc(strlen(arguments) / 2);
	struct round_tx round_tx;
	struct reader reader;
	const struct tx *tx;

	assert_true(hex_decode(raw, strlen(arguments) / 2, arguments));
	reader_init(&reader, raw, strlen(arguments) / 2);
	tx = tx_read(&reader);
	assert_non_null(tx);
	snprintf(out, ANSWER_MAX, "%s",
		!round_tx_is(tx)                      ? "none" :
			round_tx_parse(tx, &round_tx) ? kinds[round_tx.kind] :
							"bad");
	tx_unref(tx);
	free(raw);
}

/* A block that says this of the run of the seat of height 1. */
static void say(struct registry *registry, enum round_kind kind)
{
	struct block *block = example_block(0, NULL, 0);

	block->txs = mem_realloc(block->txs, 2 * sizeof *block->txs);
	block->txs[block->tx_count++] = round_tx_build(&(struct round_tx){ .kind = kind, .height = 1 });
	registry_undo_free(registry_apply(registry, block, NULL));
	block_unref(block);
}

/* On a branch with all that the kind needs, as early as it can be there. */
static void answer_round_heights(const char *arguments, char *out)
{
	const enum round_kind kind = kind_of(arguments);
	const struct round_tx asked = { .kind = kind, .height = 1 };
	struct registry *registry = registry_new(&spec);
	const uint32_t base = spec.round_blocks;
	uint32_t first = 0, last = 0;

	while (registry_height(registry) < 2 * base) {
		const uint32_t height = registry_height(registry) + 1;

		if (registry_check_round_place(registry, &asked, NULL)) {
			first = first > 0 ? first : height;
			last = height;
		}
		if (kind != ROUND_COMMIT && height == base + 1)
			say(registry, ROUND_COMMIT);
		else if (kind == ROUND_CHALLENGE && height == base + spec.round_work + 2)
			say(registry, ROUND_DISCLOSURE);
		else
			apply(registry, 0, NULL, 0, NULL);
	}
	snprintf(out, ANSWER_MAX, "%u %u", first, last);
	registry_free(registry);
}

static void answer_merge_statement(const char *arguments, char *out)
{
	struct merge_statement statement = { 0 };
	struct buf script;
	char *rest;

	statement.is_void = strtoul(arguments, &rest, 10) > 0;
	while (*rest)
		statement.seat[statement.seats++] = (uint8_t)strtoul(rest, &rest, 10);
	buf_init(&script);
	merge_statement_script(&script, &statement);
	put_hex(out, script.data, script.size);
	buf_clear(&script);
}

static const struct question questions[] = {
	{ "commitment", answer_commitment, 1 },
	{ "initial", answer_initial, 1 },
	{ "genesis", answer_genesis, 1 },
	{ "e_max", answer_e_max, 5 },
	{ "code_bounds", answer_code_bounds, 6 },
	{ "round_datasets", answer_round_datasets, 3 },
	{ "run_audit", answer_run_audit, 4 },
	{ "run_seed", answer_run_seed, 3 },
	{ "run_window", answer_run_window, 3 },
	{ "run_digest", answer_run_digest, SEGMENTS + 1 },
	{ "run_code", answer_run_code, 3 },
	{ "run_root", answer_run_root, 1 },
	{ "disclosure_root", answer_disclosure_root, 1 },
	{ "challenge_root", answer_challenge_root, 1 },
	{ "commit_hash", answer_commit_hash, 1 },
	{ "commit_valid", answer_commit_valid, 3 },
	{ "round_tx", answer_round_tx, 3 },
	{ "round_form", answer_round_form, 16 },
	{ "round_heights", answer_round_heights, 3 },
	{ "merge", answer_elsewhere, 7 },
	{ "merge_losses", answer_elsewhere, 7 },
	{ "merge_state", answer_elsewhere, 7 },
	{ "round_state", answer_elsewhere, 2 },
	{ "run_pay", answer_elsewhere, 5 },
	{ "proof_worth", answer_elsewhere, 4 },
	{ "merge_statement", answer_merge_statement, 3 },
	{ "round_coinbase", answer_elsewhere, 1 },
};

static void test_document(void **state)
{
	(void)state;
	known_check(questions, sizeof questions / sizeof questions[0], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_document) };

	backend_select(backend_cpu(ENGINE_OPENBLAS));
	return cmocka_run_group_tests(tests, setup, teardown);
}
