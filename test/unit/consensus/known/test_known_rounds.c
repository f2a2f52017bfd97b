/* The known answers of rounds: the second block of lines of doc/protocol.md section 18. */
#include <math.h>

#include "consensus/branch/registry_state.h"
#include "consensus/known/known.h"
#include "consensus/payload/merge_statement.h"
#include "consensus/registry_fixture.h"
#include "consensus/spec.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/attention.h"
#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"
#include "ml/merge.h"
#include "ml/run.h"
#include "ml/update.h"
#include "ml/workspace.h"

enum { SEGMENTS = 4, PROOFS = 3, SEATS = 8 };

/* The chain, and the example run on it: made once. */
static struct spec spec;
static struct state *initial;
static struct backend *worker;
static uint8_t example_ticket[32], example_seat[32], example_run[32];
static uint8_t *windows[SEGMENTS], *code[SEGMENTS + 1];

static const struct train_config *train(void)
{
	return &spec_course(&spec)->train;
}

static void make_run(void)
{
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
}

/* The x coordinate of the curve's generator, of its double, of its triple; good until the next call. */
static const uint8_t *example_key(size_t number)
{
	static const char *const texts[] = { "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
		"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9" };
	static uint8_t key[32];

	assert_true(hex_decode(key, 32, texts[number]));
	return key;
}

/* Bodies of the example proofs 1, 4 and 2 of the first block of lines, which are codes for a model of this size. */
static uint8_t *body[PROOFS];

static void make_bodies(void)
{
	static const uint64_t nonces[PROOFS] = { 1, 4, 2 };
	struct spec regtest;
	struct state *first;
	size_t size;

	assert_true(spec_builtin(&regtest, "regtest"));
	first = spec_initial_state(&regtest);
	for (size_t i = 0; i < PROOFS; i++) {
		const struct course *course = spec_course(&regtest);
		const uint8_t *corpus = course_training(course, &size);
		const struct course_data data = course_data_in_memory(corpus, size);
		struct header header = { .version = 1,
			.time = (uint32_t)regtest.genesis_time + 1,
			.bits = regtest.genesis.bits,
			.nonce = nonces[i] };
		uint8_t seed[32], *step_windows = mem_alloc(step_windows_size(&course->train));
		const struct step_job job = { .state = first, .seed = seed, .windows = step_windows };

		memcpy(header.prev, example_ticket, 32);
		memcpy(header.model_root, state_root(first), 32);
		memcpy(header.miner, example_key(0), 32);
		header_seed(&header, seed);
		assert_true(course_gather_step(course, example_ticket, seed, spec_slot(&regtest, seed), &data,
			step_windows));
		body[i] = mem_alloc(run_code_size(train()));
		assert_int_equal(backend_execute(worker, &job, body[i]), STEP_OK);
		free(step_windows);
	}
	state_unref(first);
	spec_clear(&regtest);
}

static int setup(void **state)
{
	static const char json[] =
		"{\"name\":\"rounds\",\"hrp\":\"rnd\",\"maturity\":20,\"round_blocks\":8,"
		"\"round_work\":2,\"round_reveal\":3,\"segments\":4,\"segment\":2,\"run_ppm\":500000}";
	struct errmsg err;
	char *path;

	(void)state;
	if (!spec_parse(&spec, json, sizeof json - 1, &path, &err) || !spec_finish(&spec, &err))
		return -1;
	memset(example_ticket, 18, sizeof example_ticket);
	memset(example_seat, 19, sizeof example_seat);
	initial = spec_initial_state(&spec);
	worker = backend_new(backend_cpu(ENGINE_OPENBLAS), train(), 1);
	make_run();
	make_bodies();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t j = 0; j <= SEGMENTS; j++)
		free(code[j]);
	for (size_t j = 0; j < SEGMENTS; j++)
		free(windows[j]);
	for (size_t i = 0; i < PROOFS; i++)
		free(body[i]);
	backend_free(worker);
	state_unref(initial);
	spec_clear(&spec);
	return 0;
}

/* === Answers === */

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

static void answer_round_limit(const char *arguments, char *out)
{
	struct spec other = { 0 };
	unsigned base;

	assert_int_equal(sscanf(arguments, "%u %u %u %u", &other.round_blocks, &other.segments, &other.first_segments,
				 &base),
		4);
	snprintf(out, ANSWER_MAX, "%u", spec_most_segments(&other, base));
}

static void answer_round_counts(const char *arguments, char *out)
{
	struct spec other = { 0 };

	assert_int_equal(sscanf(arguments, "%u %u %u", &other.round_blocks, &other.round_work, &other.round_reveal), 3);
	snprintf(out, ANSWER_MAX, "%u %u", (unsigned)round_disclosures_most(&other),
		(unsigned)round_challenges_most(&other));
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
	registry->datasets.list[2].draws = DATASETS_PROVEN_DRAWS;
	datasets_draw_seats(&registry->datasets, &spec, registry_height(registry) + 1, ticket, spec.round_blocks,
		drawn);
	for (uint32_t i = 0; i < spec.round_blocks; i++)
		out += sprintf(out, "%s%u", i ? " " : "", drawn[i]);
	registry_free(registry);
}

static void answer_run_audit(const char *arguments, char *out)
{
	uint8_t beacon[32];
	struct round_view *view = mem_calloc(1, sizeof *view);
	unsigned length, seat;
	char hex[65];

	assert_int_equal(sscanf(arguments, "%64s %u %u", hex, &length, &seat), 3);
	assert_true(hex_decode(beacon, 32, hex) && seat < ROUND_SEATS_MAX);
	view->beacon = beacon;
	view->run = view->drawn;
	view->drawn[seat].length = length;
	snprintf(out, ANSWER_MAX, "%u", round_audited(view, seat));
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

static void answer_round_attention(const char *arguments, char *out)
{
	enum { SIZE = 16 };
	const float x = (float)strtoul(arguments, NULL, 10);
	float q[SIZE * SIZE], k[SIZE * SIZE], v[SIZE * SIZE], a[SIZE * SIZE],
		*p = mem_align(attention_kept(SIZE) * sizeof(float)),
		*scratch = mem_align(attention_scratch(SIZE, SIZE) * sizeof(float));
	const struct attention shape = { SIZE, SIZE, SIZE, SIZE, scratch, STEP_LEAST_WEIGHT };

	for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
		q[i] = 1.0f;
		k[i] = -x * (float)(i / SIZE);
		v[i] = i / SIZE == i % SIZE ? 1.0f : 0.0f;
	}
	attention_forward(&shape, q, k, v, p, a);
	for (size_t c = 0; c < SIZE; c++)
		out += sprintf(out, "%s%08x", c > 0 ? " " : "", (unsigned)float_bits(a[(SIZE - 1) * SIZE + c]));
	free(p);
	free(scratch);
}

/* d_1 | .. | d_segments, of which a run of that length has the first. */
static void example_list(uint8_t list[SEGMENTS][32])
{
	for (size_t j = 0; j < SEGMENTS; j++)
		sha256(list[j], code[j + 1], run_code_size(train()));
}

/* The first bytes of blob `number` as a code: the exponents at most that much below the highest and what follows. */
static uint8_t *strange_code(const struct train_config *config, unsigned number, int below, unsigned spread)
{
	const size_t size = run_code_size(config),
		     padding = DELTA_BLOCK * (size / DELTA_BLOCK_SIZE) - model_count(&config->model);
	uint8_t key[32], *out = mem_alloc(size + 3);
	uint32_t words[4];

	memset(key, (int)number, sizeof key);
	for (size_t i = 0; i < size; i++) {
		if (i % 4 == 0)
			noise_words(key, 0, (uint32_t)(i / 4), words);
		out[i] = (uint8_t)words[i % 4];
	}
	for (size_t i = 0; i < size; i += DELTA_BLOCK_SIZE) {
		const int exponent = run_exponent_max(config) - below - (int)(out[i] % spread);

		out[i] = (uint8_t)(exponent < DELTA_EXPONENT_MIN ? DELTA_EXPONENT_MIN : exponent);
	}
	memset(out + size - padding, 0, padding);
	return out;
}

/* Segment 0 of the example run from such a code. The caller frees start. */
struct strange {
	struct train_config config;
	uint8_t segment_seed[32], *start;
	struct backend *backend;
};

static void strange_init(struct strange *strange, const char *arguments)
{
	unsigned number, spread;
	int below;

	strange->config = *train();
	assert_int_equal(sscanf(arguments, "%u %u %d %u", &strange->config.lr_ppm, &number, &below, &spread), 4);
	strange->start = strange_code(&strange->config, number, below, spread);
	assert_true(run_code_check(&strange->config, strange->start, run_code_size(&strange->config)));
	strange->backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &strange->config, 1);
	run_segment_seed(example_run, 0, strange->segment_seed);
}

static void strange_clear(struct strange *strange)
{
	backend_free(strange->backend);
	free(strange->start);
}

/* Whatever the start's loss is. */
static void answer_segment_from(const char *arguments, char *out)
{
	struct strange strange;
	uint8_t digest[32], *found = mem_alloc(run_code_size(train()));

	strange_init(&strange, arguments);
	const struct step_job job = { .state = initial,
		.start = strange.start,
		.iterations = strange.config.segment,
		.seed = strange.segment_seed,
		.windows = windows[0] };

	if (backend_execute(strange.backend, &job, found) == STEP_OK &&
		run_code_check(&strange.config, found, run_code_size(&strange.config))) {
		sha256(digest, found, run_code_size(&strange.config));
		put_hex(out, digest, 32);
	} else {
		strcpy(out, "fails");
	}
	strange_clear(&strange);
	free(found);
}

/* What the base, changed by a code or not, does with the first batch. The census is the caller's. */
static struct census_matrix *first_batch(const struct strange *strange, const uint8_t *change, float *loss)
{
	struct census_matrix *census = mem_calloc(model_matrices(&train()->model), sizeof *census);
	const struct backend_batch batch = { .state = initial,
		.change = change,
		.windows = windows[0],
		.rows = train()->batch,
		.census = census };

	assert_true(backend_loss(strange->backend, &batch, loss));
	return census;
}

/* Its loss and work, each with a space behind it. */
static size_t put_first_batch(const struct strange *strange, const uint8_t *change, char *out)
{
	float loss;
	struct census_matrix *census = first_batch(strange, change, &loss);
	const int64_t work = run_work(train(), census);

	free(census);
	return (size_t)snprintf(out, ANSWER_MAX, "%08x %lld ", float_bits(loss), (long long)work);
}

static void answer_segment_start(const char *arguments, char *out)
{
	struct strange strange;
	uint8_t *found = mem_alloc(run_code_size(train()));
	enum step_result result;
	size_t used;

	strange_init(&strange, arguments);
	const struct run_segment segment = { .base = initial,
		.segment_seed = strange.segment_seed,
		.start = strange.start,
		.windows = windows[0] };

	used = put_first_batch(&strange, strange.start, out);
	used += put_first_batch(&strange, NULL, out + used);
	result = run_execute(strange.backend, &segment, found);
	snprintf(out + used, ANSWER_MAX - used, "%s", result == STEP_OK ? "good" : "fails");
	strange_clear(&strange);
	free(found);
}

static void answer_segment_levels(const char *arguments, char *out)
{
	struct strange strange;
	struct census_matrix *census;
	size_t used = 0;
	float loss;

	strange_init(&strange, arguments);
	census = first_batch(&strange, strange.start, &loss);
	for (size_t i = 0; i < model_matrices(&train()->model); i++)
		for (size_t j = 0; j < CENSUS_OPERANDS; j++)
			used += (size_t)snprintf(out + used, ANSWER_MAX - used, "%s%lld", used > 0 ? " " : "",
				(long long)census[i].of[j].level);
	for (size_t i = LAYER_OUT; i < model_matrices(&train()->model); i += LAYER_MATRICES)
		used += (size_t)snprintf(out + used, ANSWER_MAX - used, " %lld", (long long)census[i].sharp);
	free(census);
	strange_clear(&strange);
}

static void answer_run_root(const char *arguments, char *out)
{
	uint8_t list[SEGMENTS][32], root[32];

	example_list(list);
	sha256(root, list, 32 * example_code(arguments));
	put_hex(out, root, 32);
}

static void answer_disclosure_root(const char *arguments, char *out)
{
	uint8_t list[SEGMENTS][32], root[32];
	unsigned audited, length;
	struct buf blob;

	assert_int_equal(sscanf(arguments, "%u %u", &audited, &length), 2);
	assert_true(audited < length && length <= SEGMENTS);
	example_list(list);
	buf_init(&blob);
	buf_put(&blob, list, (size_t)32 * length);
	buf_put(&blob, code[audited], run_code_size(train()));
	buf_put(&blob, code[length], run_code_size(train()));
	assert_int_equal(blob.size, round_blob_size(&spec, ROUND_DISCLOSURE, length));
	contribution_root(blob.data, blob.size, root);
	put_hex(out, root, 32);
	buf_clear(&blob);
}

static void answer_challenge_root(const char *arguments, char *out)
{
	uint8_t root[32];

	assert_int_equal(run_code_size(train()), round_blob_size(&spec, ROUND_CHALLENGE, 0));
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
	char *root;
	uint32_t length;

	take_hex(arguments, hashes, 2, NULL, 0);
	length = (uint32_t)strtoul(arguments + 2 * 65, &root, 10);
	take_hex(root, &hashes[2], 1, NULL, 0);
	round_commit_hash(hashes[0], hashes[1], length, hashes[2], hash);
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
	char kind[16], root[65], signature[129] = "", txid[65];
	struct round_tx round_tx = { 0 };
	uint32_t number;
	const struct tx *tx;
	struct buf raw;

	assert_true(sscanf(arguments, "%15s %u %u %64s %128s", kind, &round_tx.height, &number, root, signature) >= 4);
	round_tx.kind = kind_of(kind);
	assert_true(hex_decode(round_tx.root, 32, root));
	if (round_tx.kind == ROUND_COMMIT)
		assert_true(hex_decode(round_tx.signature, 64, signature));
	if (round_tx.kind == ROUND_CHALLENGE)
		round_tx.segment = number;
	else
		round_tx.length = number;
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
		!round_tx_is(tx)                                                         ? "none" :
			round_tx_check(&spec, tx, NULL) && round_tx_parse(tx, &round_tx) ? kinds[round_tx.kind] :
											   "bad");
	tx_unref(tx);
	free(raw);
}

/* A block that says this of the run of the seat of height 1. */
static void say(struct registry *registry, enum round_kind kind)
{
	struct block *block = example_block(0, NULL, 0);

	block->txs = mem_realloc(block->txs, 2 * sizeof *block->txs);
	block->txs[block->tx_count++] = round_tx_build(&(struct round_tx){
		.kind = kind,
		.height = 1,
		.length = kind != ROUND_CHALLENGE,
	});
	registry_undo_free(registry_apply(registry, block, NULL));
	block_unref(block);
}

/* On a branch with all that the kind needs, as early as it can be there. */
static void answer_round_heights(const char *arguments, char *out)
{
	const enum round_kind kind = kind_of(arguments);
	const struct round_tx asked = { .kind = kind, .height = 1, .length = kind != ROUND_CHALLENGE };
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

/* --- merges --- */

/* A code with so much added to the exponents that are not the least, and the mantissas' sign. */
static uint8_t *changed(const uint8_t *old, int lift, int sign)
{
	uint8_t *out = mem_dup(old, run_code_size(train()));

	for (size_t i = 0; i < run_code_size(train()); i++)
		if (i % DELTA_BLOCK_SIZE > 0)
			out[i] = (uint8_t)(sign * out[i]);
		else if ((int8_t)out[i] > DELTA_EXPONENT_MIN)
			out[i] = (uint8_t)(out[i] + lift);
	return out;
}

/* A merge as the text behind `merge` says: its seats, in memory of its own, and where it starts. */
struct example_merge {
	struct merge_run runs[SEATS];
	uint8_t *codes[SEATS];
	size_t count;
	uint32_t gate_ppm;
	bool is_second, is_own;
	struct state *after;
	struct merge_outcome outcome;
};

static void add_code(struct example_merge *m, const uint8_t *old, uint32_t length, int lift, int sign)
{
	m->codes[m->count] = changed(old, lift, sign);
	m->runs[m->count].code = m->codes[m->count];
	m->runs[m->count].length = length;
	m->count++;
}

static void add_seat(struct example_merge *m, enum merge_seat seat)
{
	m->runs[m->count++].seat = seat;
}

static void fill_seats(struct example_merge *m, const char *variant)
{
	m->gate_ppm = train()->gate_ppm;
	if (strcmp(variant, "two") == 0 || strcmp(variant, "slow") == 0) {
		m->is_second = true;
		add_code(m, code[4], variant[0] == 's' ? 4 : 1, 1, 1);
		add_code(m, body[0], 1, 0, 1);
	} else if (strcmp(variant, "many") == 0) {
		add_code(m, code[4], 4, 0, 1);
		add_code(m, code[1], 1, 0, 1);
		add_code(m, code[3], 3, 0, 1);
		add_code(m, code[2], 2, 0, 1);
		add_code(m, body[0], 1, 0, 1);
		add_code(m, code[4], 4, 0, 1);
	} else if (strcmp(variant, "own") == 0) {
		m->is_own = true;
		add_code(m, code[4], 4, 0, 1);
		add_seat(m, MERGE_EMPTY);
		add_code(m, code[1], 1, 0, 1);
		add_code(m, code[3], 3, 0, -1);
		add_code(m, body[0], 1, 0, 1);
	} else if (strcmp(variant, "worse") == 0 || strcmp(variant, "together") == 0) {
		m->gate_ppm = variant[0] == 'w' ? 1000000 : 1006800;
		add_code(m, code[4], 4, 0, -1);
		add_seat(m, MERGE_EMPTY);
		add_code(m, code[3], 4, 0, -1);
	} else if (strcmp(variant, "halved") == 0) {
		m->is_second = true;
		add_code(m, code[4], 4, 0, -1);
		add_seat(m, MERGE_EMPTY);
		add_code(m, code[4], 1, 0, 1);
	} else if (strcmp(variant, "short") == 0) {
		add_code(m, code[1], 1, 0, 1);
		add_code(m, code[1], 1, -4, 1);
		add_code(m, code[4], 4, 0, 1);
		add_code(m, code[1], 1, -4, 1);
	} else if (strcmp(variant, "none") == 0) {
		m->is_second = true;
		add_seat(m, MERGE_EMPTY);
		add_seat(m, MERGE_STRUCK);
	} else if (strcmp(variant, "still") == 0) {
		m->gate_ppm = 1000000;
		add_code(m, code[0], 1, 0, 1);
		add_code(m, code[0], 4, 0, 1);
	} else {
		m->gate_ppm = strcmp(variant, "gate") == 0 ? 1000000 : m->gate_ppm;
		add_code(m, code[4], 4, 0, 1);
		add_seat(m, MERGE_EMPTY);
		add_code(m, body[0], 1, 0, 1);
		add_seat(m, MERGE_STRUCK);
		add_code(m, body[1], 1, 0, 1);
		add_seat(m, MERGE_EMPTY);
		add_code(m, body[2], 1, 0, 1);
		add_code(m, code[3], 1, 1, 1);
	}
}

static uint8_t *gather_benchmark(void)
{
	uint8_t *gathered = mem_alloc(course_merge_size(spec_course(&spec)));

	course_gather_merge(spec_course(&spec), example_ticket, gathered);
	return gathered;
}

/* Of eight seats, whose datasets are all of dataset 0 and its first 4096 bytes in turns. */
static void gather_own(uint8_t *out)
{
	size_t size;
	const uint8_t *corpus = course_training(spec_course(&spec), &size);
	const struct course_data data[] = { course_data_in_memory(corpus, size), course_data_in_memory(corpus, 4096) };

	for (uint32_t row = 0; row < COURSE_MERGE_ROWS * train()->bench_rows; row++) {
		const uint32_t seat = course_own_seat(example_ticket, row, 8);

		assert_true(course_gather_own_row(spec_course(&spec), example_ticket, row, &data[seat % 2],
			out + row * (train()->model.ctx + (size_t)1)));
	}
}

static struct state *first_merge(void);

static void do_merge(struct example_merge *m, const char *variant)
{
	struct train_config config = *train();
	struct state *before, *replayed;
	struct backend *gated;
	uint8_t *gathered = gather_benchmark();

	*m = (struct example_merge){ 0 };
	fill_seats(m, variant);
	if (m->is_own)
		gather_own(gathered);
	config.gate_ppm = m->gate_ppm;
	gated = backend_new(backend_cpu(ENGINE_OPENBLAS), &config, 1);
	before = m->is_second ? first_merge() : state_ref(initial);
	m->after = merge_execute(gated, before, gathered, m->runs, m->count, NULL, &m->outcome);
	replayed = merge_replay(&config, before, m->runs, m->count, m->outcome.is_void, m->outcome.is_second);
	assert_memory_equal(state_root(replayed), state_root(m->after), 32);
	state_unref(replayed);
	state_unref(before);
	backend_free(gated);
	free(gathered);
}

static void merge_clear(struct example_merge *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->codes[i]);
	state_unref(m->after);
}

static struct state *first_merge(void)
{
	struct example_merge m;
	struct state *after;

	do_merge(&m, "");
	after = state_ref(m.after);
	merge_clear(&m);
	return after;
}

static void answer_merge(const char *arguments, char *out)
{
	struct merge_statement statement = { 0 };
	struct example_merge m;
	struct buf script;

	do_merge(&m, arguments);
	statement.is_void = m.outcome.is_void;
	statement.is_second = m.outcome.is_second;
	for (; statement.seats < m.count; statement.seats++)
		statement.seat[statement.seats] = (uint8_t)m.runs[statement.seats].seat;
	buf_init(&script);
	merge_statement_script(&script, &statement);
	put_hex(out, script.data, script.size);
	buf_clear(&script);
	merge_clear(&m);
}

static void answer_merge_losses(const char *arguments, char *out)
{
	struct example_merge m;

	do_merge(&m, arguments);
	for (size_t i = 0; i < 2; i++) {
		const float loss = i == 0 ? m.outcome.loss_before : m.outcome.loss_after;
		const char *blank = i == 0 ? "" : " ";

		out += isnan(loss) ? sprintf(out, "%snone", blank) : sprintf(out, "%s%08x", blank, float_bits(loss));
	}
	merge_clear(&m);
}

static void answer_merge_state(const char *arguments, char *out)
{
	struct example_merge m;

	do_merge(&m, arguments);
	hex_encode_reversed(out, state_root(m.after), 32);
	merge_clear(&m);
}

static void answer_own_seats(const char *arguments, char *out)
{
	unsigned seats;

	assert_int_equal(sscanf(arguments, "%u", &seats), 1);
	for (uint32_t row = 0; row < COURSE_MERGE_ROWS * train()->bench_rows; row++)
		out += sprintf(out, "%s%u", row > 0 ? " " : "", (unsigned)course_own_seat(example_ticket, row, seats));
}

/* An ordinary block after the first merge: dataset 0 in both slots, whose own pages are measured too. */
static void answer_round_state(const char *arguments, char *out)
{
	const bool is_void = strcmp(arguments, "void") == 0;
	uint8_t *gathered = gather_benchmark(),
		*bodies[] = { changed(body[0], is_void ? 12 : 0, 1), changed(body[1], is_void ? 12 : 0, 1) };
	const struct update_proof proofs[] = { { bodies[0], 0 }, { bodies[1], 1 } };
	struct state *before = first_merge(), *after;
	struct course_own own[2] = { { NULL, 0 } };
	struct update_job job = { .parent = before,
		.benchmark = benchmark_new(worker, before, gathered, example_ticket, NULL),
		.windows = gathered,
		.own = own,
		.proofs = proofs,
		.proof_count = 2,
		.slots = 2,
		.v_ref = INT64_C(1) << 47 };
	struct update_outcome outcome;
	size_t size;
	const uint8_t *corpus = course_training(spec_course(&spec), &size);
	const struct course_data data = course_data_in_memory(corpus, size);

	for (uint32_t slot = 0; slot < 2; slot++)
		assert_true(course_gather_own(spec_course(&spec), example_ticket, slot, &data, &own[slot]));
	after = update_execute(worker, &job, &outcome);
	assert_int_equal(outcome.is_void, is_void);
	hex_encode_reversed(out, state_root(after), 32);
	state_unref(after);
	state_unref(before);
	benchmark_unref(job.benchmark);
	for (size_t i = 0; i < 2; i++) {
		free(own[i].windows);
		free(bodies[i]);
	}
	free(gathered);
}

/* --- pay --- */

static void answer_run_pay(const char *arguments, char *out)
{
	struct spec regtest;
	unsigned height, length;
	char name[16];

	assert_true(spec_builtin(&regtest, "regtest"));
	assert_int_equal(sscanf(arguments, "%15s %u %u", name, &height, &length), 3);
	snprintf(out, ANSWER_MAX, "%lld",
		(long long)reward_run(strcmp(name, spec.name) == 0 ? &spec : &regtest, height, length));
	spec_clear(&regtest);
}

static void answer_proof_worth(const char *arguments, char *out)
{
	struct reward_proofs proofs = { 0 };
	unsigned height, back;
	long long bucket;
	int64_t worth, after;
	int length;

	assert_int_equal(sscanf(arguments, "rounds %u %lld %zu%n", &height, &bucket, &proofs.loose, &length), 3);
	while (arguments += length, sscanf(arguments, " %u%n", &back, &length) == 1)
		proofs.late[reward_late_sixteenths(back)]++;
	worth = reward_proof(&spec, height, bucket, &proofs, &after);
	snprintf(out, ANSWER_MAX, "%lld %lld", (long long)worth, (long long)after);
}

/* The branch up to the merge of the first round, whose seats have three miners. Only its last block pays proofs. */
static struct registry *merged_branch(const struct contribution *data)
{
	struct registry *registry = registry_new(&spec);

	while (registry_height(registry) < 2 * spec.round_blocks) {
		const uint32_t height = registry_height(registry) + 1;
		const bool is_last = height == 2 * spec.round_blocks;
		struct block *block = example_block(is_last ? 2 : 0, data, height == 1);

		memcpy(block->header.miner, example_key(height % 3), 32);
		if (is_last)
			registry->bucket.amount = 0;
		registry_undo_free(registry_apply(registry, block, NULL));
		block_unref(block);
	}
	return registry;
}

static void answer_round_coinbase(const char *arguments, char *out)
{
	static const uint32_t lengths[] = { 4, 0, 2, 1, 3, 0, 0, 4 };
	const struct contribution data = example_data(1, 70000);
	struct registry *registry = merged_branch(&data);
	struct header loose[2] = { { 0 } };
	const struct block_outcome parent = { .outcome = { .slots = 2,
						      .slot = { { 2, false, -7, 5000000, 0, true },
							      { 1, true, -300000000, 0, 0, false } } },
		.dataset = { 1, 0 },
		.weight = 12345678,
		.v_ref = 4294967,
		.merge = { .seats = 8, .seat = { 1, 0, 3, 2, 1, 0, 0, 3 } } };
	const struct coinbase_facts facts = { .height = 17,
		.fees = 1234,
		.miner = data.owner,
		.loose = loose,
		.loose_count = 2,
		.registry = registry,
		.parent = &parent };
	const struct tx *tx;
	struct buf raw;

	(void)arguments;
	for (uint32_t seat = 0; seat < spec.round_blocks; seat++)
		registry->rounds.runs[seat].length = lengths[seat];
	for (size_t i = 0; i < 2; i++)
		memcpy(loose[i].miner, example_key(1 + i), 32);
	tx = coinbase_build(&spec, &facts);
	buf_init(&raw);
	tx_write(&raw, tx, true);
	put_hex(out, raw.data, raw.size);
	strcat(out, " ");
	hex_encode_reversed(out + strlen(out), tx_txid(tx), 32);
	buf_clear(&raw);
	tx_unref(tx);
	registry_free(registry);
}

static const struct question questions[] = {
	{ "commitment", answer_commitment, 1 },
	{ "initial", answer_initial, 1 },
	{ "genesis", answer_genesis, 1 },
	{ "round_limit", answer_round_limit, 6 },
	{ "round_counts", answer_round_counts, 5 },
	{ "e_max", answer_e_max, 5 },
	{ "code_bounds", answer_code_bounds, 6 },
	{ "round_datasets", answer_round_datasets, 3 },
	{ "run_audit", answer_run_audit, 4 },
	{ "run_seed", answer_run_seed, 3 },
	{ "run_window", answer_run_window, 3 },
	{ "run_digest", answer_run_digest, SEGMENTS + 1 },
	{ "run_code", answer_run_code, 3 },
	{ "segment_from", answer_segment_from, 6 },
	{ "segment_start", answer_segment_start, 12 },
	{ "segment_levels", answer_segment_levels, 2 },
	{ "round_attention", answer_round_attention, 3 },
	{ "run_root", answer_run_root, 2 },
	{ "disclosure_root", answer_disclosure_root, 3 },
	{ "challenge_root", answer_challenge_root, 1 },
	{ "commit_hash", answer_commit_hash, 1 },
	{ "commit_valid", answer_commit_valid, 3 },
	{ "round_tx", answer_round_tx, 3 },
	{ "round_form", answer_round_form, 20 },
	{ "round_heights", answer_round_heights, 3 },
	{ "merge", answer_merge, 10 },
	{ "merge_losses", answer_merge_losses, 10 },
	{ "merge_state", answer_merge_state, 10 },
	{ "own_seats", answer_own_seats, 2 },
	{ "round_state", answer_round_state, 2 },
	{ "run_pay", answer_run_pay, 9 },
	{ "proof_worth", answer_proof_worth, 4 },
	{ "merge_statement", answer_merge_statement, 3 },
	{ "round_coinbase", answer_round_coinbase, 1 },
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
