/* The known answers of doc/protocol.md section 18: every line but those of rounds (test_known_rounds.c), read from the
 * document itself. The document's other reader is test/functional/consensus/known_answers.py. */
#include "consensus/blob/novelty.h"
#include "consensus/known/known.h"
#include "consensus/pace.h"
#include "consensus/registry_fixture.h"
#include "consensus/spec.h"
#include "consensus/target.h"
#include "consensus/verify.h"
#include "crypto/hash.h"
#include "crypto/merkle.h"
#include "crypto/siphash.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/exact.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "ml/kernel/ops.h"
#include "ml/pass.h"

enum { PROOFS = 3 };

/* The x coordinates of the curve's generator, its double and its triple. */
static const char *const keys[] = { "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
	"c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
	"f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9" };

/* A step on a chain's initial state and dataset 0, with what it goes through. */
struct example_step {
	uint8_t *windows, *body;
	float loss, square;   /* of the first iteration */
	uint8_t gradient[32]; /* the hash of its bits */
};

/* Regtest, its initial state, and the example proofs: made once. */
static struct spec regtest;
static struct state *initial;
static struct header proof[PROOFS];
static uint8_t *delta[PROOFS];

static uint8_t *gather(const struct spec *spec, const uint8_t ticket[32], const uint8_t seed[32])
{
	uint8_t *windows = mem_alloc(step_windows_size(&spec_course(spec)->train));
	const uint8_t *corpus;
	struct course_data data;
	size_t size;

	corpus = course_training(spec_course(spec), &size);
	data = course_data_in_memory(corpus, size);
	assert_true(course_gather_step(spec_course(spec), ticket, seed, spec_slot(spec, seed), &data, windows));
	return windows;
}

static void hash_floats(const float *x, size_t n, uint8_t hash[32])
{
	uint8_t *bytes = mem_alloc(4 * n);

	for (size_t i = 0; i < n; i++)
		write_le32(bytes + 4 * i, float_bits(x[i]));
	sha256(hash, bytes, 4 * n);
	free(bytes);
}

static void execute(const struct spec *spec, const uint8_t ticket[32], const uint8_t seed[32], struct example_step *out)
{
	const struct train_config *train = &spec_course(spec)->train;
	struct backend *worker = backend_new(backend_cpu(ENGINE_OPENBLAS), train, 1);
	struct state *state = spec_initial_state(spec);
	float *gradient = mem_align(model_count(&train->model) * sizeof(float));
	const struct pass_dither dither = { seed, 0 };

	out->windows = gather(spec, ticket, seed);
	out->body = mem_alloc(block_body_size(spec));
	const struct step_job job = { .state = state, .seed = seed, .windows = out->windows };

	assert_int_equal(backend_execute(worker, &job, out->body), STEP_OK);
	assert_true(pass_gradient(backend_cpu_model(worker), state_theta(state), out->windows, train->batch, dither,
		NULL, gradient, &out->loss));
	out->square = math_dot16(gradient, gradient, model_count(&train->model));
	hash_floats(gradient, model_count(&train->model), out->gradient);
	free(gradient);
	state_unref(state);
	backend_free(worker);
}

static void example_step_clear(struct example_step *e)
{
	free(e->windows);
	free(e->body);
}

/* Id and ticket of the example proofs' parent, fixed: a change of the rules leaves their slots where they are. */
static uint8_t example_parent[32];

static int setup(void **state)
{
	struct example_step example;
	uint8_t seed[32];

	(void)state;
	if (!spec_builtin(&regtest, "regtest"))
		return -1;
	memset(example_parent, 18, sizeof example_parent);
	initial = spec_initial_state(&regtest);
	for (size_t i = 0; i < PROOFS; i++) {
		static const uint64_t nonces[PROOFS] = { 1, 2, 4 };

		proof[i] = (struct header){ .version = 1,
			.time = (uint32_t)regtest.genesis_time + 1,
			.bits = regtest.genesis.bits,
			.nonce = nonces[i] };
		memcpy(proof[i].prev, example_parent, 32);
		memcpy(proof[i].model_root, state_root(initial), 32);
		hex_decode(proof[i].miner, 32, keys[0]);
		header_seed(&proof[i], seed);
		execute(&regtest, example_parent, seed, &example);
		delta[i] = example.body;
		free(example.windows);
		sha256(proof[i].digest, delta[i], block_body_size(&regtest));
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < PROOFS; i++)
		free(delta[i]);
	state_unref(initial);
	spec_clear(&regtest);
	return 0;
}

/* === Answers: each takes the text behind its name, and writes to out === */

static void function(float f(float), const char *arguments, char *out)
{
	snprintf(out, ANSWER_MAX, "%08x", float_bits(f(float_from_bits((uint32_t)strtoul(arguments, NULL, 16)))));
}

static float sine(float x)
{
	float s, c;

	math_sincos(x, &s, &c);
	return s;
}

static float cosine(float x)
{
	float s, c;

	math_sincos(x, &s, &c);
	return c;
}

static float exponential(float x)
{
	return math_exp(x);
}
static float logarithm(float x)
{
	return math_log(x);
}
static void answer_exp(const char *arguments, char *out)
{
	function(exponential, arguments, out);
}
static void answer_log(const char *arguments, char *out)
{
	function(logarithm, arguments, out);
}
static void answer_sin(const char *arguments, char *out)
{
	function(sine, arguments, out);
}
static void answer_cos(const char *arguments, char *out)
{
	function(cosine, arguments, out);
}

static void answer_sweep(const char *arguments, char *out)
{
	enum { COUNT = 4096 };
	static const struct {
		const char *name;
		float (*f)(float);
	} functions[] = { { "exp", exponential }, { "log", logarithm }, { "sin", sine }, { "cos", cosine } };
	float found[COUNT];
	unsigned first, step;
	uint8_t hash[32];
	char name[4];
	size_t which;

	assert_int_equal(sscanf(arguments, "%3s %x %u", name, &first, &step), 3);
	for (which = 0; strcmp(functions[which].name, name) != 0; which++)
		assert_true(which < 3);
	for (unsigned i = 0; i < COUNT; i++)
		found[i] = functions[which].f(float_from_bits(first + step * i));
	hash_floats(found, COUNT, hash);
	put_hex(out, hash, 32);
}

/* One counted token, behind those that are skipped. */
static void answer_token_loss(const char *arguments, char *out)
{
	enum { CTX = MODEL_SKIPPED + 1 };
	float logits[CTX * MODEL_VOCABULARY] = { 0 }, losses[CTX], *x = logits + MODEL_SKIPPED * MODEL_VOCABULARY;
	uint8_t window[CTX + 1] = { 0 }, target = (uint8_t)strtoul(arguments, NULL, 10);

	window[CTX] = target;
	for (uint32_t j = 0; j < MODEL_VOCABULARY; j++)
		x[j] = 64 + (float)(j * 40503 % 65536) * 0x1p-14f;
	ops_cross_entropy(logits, window, 1, CTX, 1.0f / 96.0f, true, losses);
	snprintf(out, ANSWER_MAX, "%08x %08x %08x", float_bits(losses[MODEL_SKIPPED]), float_bits(x[0]),
		float_bits(x[target]));
}

/* A row of an operand. */
static void answer_rounded(const char *arguments, char *out)
{
	enum { MOST = 8 };
	float row[MOST];
	size_t n = 0;
	void *memory = mem_align(exact_operand_size(1, MOST));
	const float *found;
	char *end;

	for (; *arguments && n < MOST; arguments = end)
		row[n++] = float_from_bits((uint32_t)strtoul(arguments, &end, 16));
	found = exact_rows(ENGINE_OPENBLAS, row, 1, n, memory).values;
	if (found == NULL)
		strcpy(out, "fails");
	for (size_t i = 0; found != NULL && i < n; i++)
		out += sprintf(out, "%s%08x", i ? " " : "", float_bits(found[i]));
	free(memory);
}

/* A block of one value. */
static void answer_encode(const char *arguments, char *out)
{
	char text[65];
	uint8_t key[32], block[DELTA_BLOCK_SIZE];
	float x[DELTA_BLOCK];
	unsigned bits;

	assert_int_equal(sscanf(arguments, "%64s %x", text, &bits), 2);
	assert_true(hex_decode(key, 32, text));
	for (size_t i = 0; i < DELTA_BLOCK; i++)
		x[i] = float_from_bits(bits);
	if (delta_encode(x, DELTA_BLOCK, key, block))
		put_hex(out, block, sizeof block);
	else
		strcpy(out, "fails");
}

static void answer_philox(const char *arguments, char *out)
{
	char text[65];
	uint8_t key[32];
	unsigned domain, index;
	uint32_t words[4];

	assert_int_equal(sscanf(arguments, "%64s %u %u", text, &domain, &index), 3);
	assert_true(hex_decode(key, 32, text));
	noise_words(key, (enum noise_domain)domain, index, words);
	snprintf(out, ANSWER_MAX, "%08x %08x %08x %08x", words[0], words[1], words[2], words[3]);
}

static void answer_siphash(const char *arguments, char *out)
{
	uint8_t string[16];

	assert_true(hex_decode(string, sizeof string, arguments));
	sprintf(out, "%016llx", (unsigned long long)siphash_string(string));
}

/* The first bytes of blob `number`. */
static uint8_t *make_blob(unsigned number, size_t size)
{
	uint8_t key[32], *blob = mem_alloc(size + 3);

	memset(key, (int)number, sizeof key);
	for (size_t i = 0; i < size; i += 4) {
		uint32_t words[4];

		noise_words(key, 0, (uint32_t)(i / 4), words);
		for (size_t j = 0; j < 4; j++)
			blob[i + j] = (uint8_t)words[j];
	}
	return blob;
}

static void answer_pages(const char *arguments, char *out)
{
	static const char *const names[] = { "good", "poor", "repeated" };
	enum pages_verdict verdicts[8];
	struct spec spec;
	size_t period, size;
	uint8_t *blob;

	assert_int_equal(sscanf(arguments, "%zu %zu", &period, &size), 2);
	assert_true(pages_count(size) <= 8);
	blob = mem_realloc(make_blob(1, period), period + size);
	for (size_t i = period; i < size; i++)
		blob[i] = blob[i - period];
	assert_true(spec_builtin(&spec, "main"));
	pages_judge(&spec.pages, blob, size, verdicts);
	spec_clear(&spec);
	for (size_t i = 0; i < pages_count(size); i++)
		out += sprintf(out, "%s%s", i > 0 ? " " : "", names[verdicts[i]]);
	free(blob);
}

static void answer_samples(const char *arguments, char *out)
{
	struct novelty novelty;
	struct buf bytes;
	uint8_t hash[32], *blob;
	unsigned number;
	size_t size;

	assert_int_equal(sscanf(arguments, "%u %zu", &number, &size), 2);
	blob = make_blob(number, size);
	assert_true(novelty_sample(&novelty, blob, size));
	buf_init(&bytes);
	for (size_t i = 0; i < novelty.count; i++)
		buf_put_le64(&bytes, novelty.samples[i]);
	sha256(hash, bytes.data, bytes.size);
	hex_encode(out + sprintf(out, "%zu ", novelty.count), hash, 32);
	buf_clear(&bytes);
	novelty_clear(&novelty);
	free(blob);
}

static void answer_shared(const char *arguments, char *out)
{
	struct novelty novelty, other_novelty;
	size_t size, changed, found_count, word_count;
	uint8_t *blob, *other;

	assert_int_equal(sscanf(arguments, "%zu %zu", &size, &changed), 2);
	blob = make_blob(1, size);
	other = make_blob(2, size);
	memcpy(blob, other, changed);
	assert_true(novelty_sample(&novelty, blob, size));
	assert_true(novelty_sample(&other_novelty, other, size));
	novelty_count_words(other, size, blob, size, SIZE_MAX, &found_count, &word_count);
	sprintf(out, "%zu %zu %zu %zu", novelty.count, novelty_shared(&novelty, &other_novelty), word_count,
		found_count);
	novelty_clear(&novelty);
	novelty_clear(&other_novelty);
	free(blob);
	free(other);
}

static void answer_next_bits(const char *arguments, char *out)
{
	struct spec spec;
	unsigned height, time;

	known_spec(&spec, arguments, &arguments);
	assert_int_equal(sscanf(arguments, "%u %u", &height, &time), 2);
	snprintf(out, ANSWER_MAX, "%08x", target_next_bits(&spec, height, time));
	spec_clear(&spec);
}

static void answer_pace(const char *arguments, char *out)
{
	struct spec spec;
	unsigned height, base_time, time;

	known_spec(&spec, arguments, &arguments);
	assert_int_equal(sscanf(arguments, "%u %u %u", &height, &base_time, &time), 3);
	snprintf(out, ANSWER_MAX, "%llu %u", (unsigned long long)pace_least_time(&spec, height, base_time),
		pace_most_proofs(&spec, time, base_time));
	spec_clear(&spec);
}

static void answer_commitment(const char *arguments, char *out)
{
	struct spec spec;

	known_spec(&spec, arguments, &arguments);
	put_hex(out, spec.commitment, 32);
	spec_clear(&spec);
}

/* Drawn: a built-in chain only states it. */
static void answer_initial(const char *arguments, char *out)
{
	struct state *drawn;
	struct spec spec;

	known_spec(&spec, arguments, &arguments);
	drawn = spec_initial_state(&spec);
	assert_memory_equal(state_root(drawn), spec.genesis.model_root, 32);
	hex_encode_reversed(out, state_root(drawn), 32);
	state_unref(drawn);
	spec_clear(&spec);
}

static void answer_genesis(const char *arguments, char *out)
{
	struct spec spec;

	known_spec(&spec, arguments, &arguments);
	hex_encode_reversed(out, spec.genesis_id, 32);
	spec_clear(&spec);
}

/* The step with seed H("atelier digest" | name). */
static void digest_step(const char *arguments, const char **rest, struct spec *spec, struct example_step *out)
{
	char text[64];
	uint8_t seed[32];

	known_spec(spec, arguments, rest);
	snprintf(text, sizeof text, "atelier digest%s", spec->name);
	sha256(seed, text, strlen(text));
	execute(spec, seed, seed, out);
}

/* main's step is left to test/functional/bench/digest.py, which reads its line too: with sanitizers it
 * takes minutes. */
static void answer_digest(const char *arguments, char *out)
{
	uint8_t digest[32];
	struct example_step example;
	struct spec spec;

	if (strcmp(arguments, "main") == 0) {
		out[0] = 0;
		return;
	}
	digest_step(arguments, &arguments, &spec, &example);
	sha256(digest, example.body, block_body_size(&spec));
	put_hex(out, digest, 32);
	example_step_clear(&example);
	spec_clear(&spec);
}

static void answer_window(const char *arguments, char *out)
{
	struct example_step example;
	unsigned iteration, row;
	struct spec spec;
	size_t size;

	digest_step(arguments, &arguments, &spec, &example);
	assert_int_equal(sscanf(arguments, "%u %u", &iteration, &row), 2);
	size = spec_course(&spec)->train.model.ctx + 1;
	put_hex(out, example.windows + (iteration * spec_course(&spec)->train.batch + row) * size, size);
	example_step_clear(&example);
	spec_clear(&spec);
}

static void answer_gradient(const char *arguments, char *out)
{
	struct example_step example;
	struct spec spec;

	digest_step(arguments, &arguments, &spec, &example);
	out += snprintf(out, ANSWER_MAX, "%08x %08x ", float_bits(example.loss), float_bits(example.square));
	put_hex(out, example.gradient, 32);
	example_step_clear(&example);
	spec_clear(&spec);
}

static void answer_delta(const char *arguments, char *out)
{
	struct example_step example;
	struct spec spec;
	size_t block;

	digest_step(arguments, &arguments, &spec, &example);
	block = strtoul(arguments, NULL, 10);
	assert_true(block < block_body_size(&spec) / DELTA_BLOCK_SIZE);
	put_hex(out, example.body + block * DELTA_BLOCK_SIZE, DELTA_BLOCK_SIZE);
	example_step_clear(&example);
	spec_clear(&spec);
}

static const struct header *example(const char *arguments)
{
	for (size_t i = 0; i < PROOFS; i++)
		if (proof[i].nonce == strtoul(arguments, NULL, 10))
			return &proof[i];
	fail_msg("no example proof has nonce %s", arguments);
	return NULL;
}

static void answer_seed(const char *arguments, char *out)
{
	uint8_t seed[32];

	header_seed(example(arguments), seed);
	hex_encode_reversed(out, seed, 32);
}

static void answer_slot(const char *arguments, char *out)
{
	uint8_t seed[32];

	header_seed(example(arguments), seed);
	snprintf(out, ANSWER_MAX, "%u", spec_slot(&regtest, seed));
}

static void answer_step(const char *arguments, char *out)
{
	put_hex(out, example(arguments)->digest, 32);
}

static void answer_ticket(const char *arguments, char *out)
{
	uint8_t ticket[32];

	header_ticket(example(arguments), ticket);
	hex_encode_reversed(out, ticket, 32);
}

static void answer_id(const char *arguments, char *out)
{
	uint8_t id[32];

	header_id(example(arguments), id);
	hex_encode_reversed(out, id, 32);
}

/* The example's two loose proofs, ascending by seed. */
static void loose_order(size_t order[2])
{
	uint8_t first[32], second[32];

	header_seed(&proof[1], first);
	header_seed(&proof[2], second);
	order[0] = memcmp(first, second, 32) > 0 ? 2 : 1;
	order[1] = 3 - order[0];
}

/* So much smaller that a sum shows where in it this body stood. */
static uint8_t lowered(uint8_t exponent)
{
	return (int8_t)exponent > -20 ? (uint8_t)(exponent - 20) : (uint8_t)-40;
}

/* The body of an example proof as the variant of the block has it. */
static uint8_t *variant_body(const char *variant, size_t which)
{
	uint8_t *body = mem_dup(delta[which], block_body_size(&regtest));

	for (size_t i = 0; i < block_body_size(&regtest); i++) {
		if (strcmp(variant, "left-out") == 0 && which == 0 && i % DELTA_BLOCK_SIZE != 0)
			body[i] = (uint8_t)-body[i];
		if (strcmp(variant, "still") == 0 && i % DELTA_BLOCK_SIZE != 0)
			body[i] = 0;
		if (strncmp(variant, "void", 4) == 0 && i % DELTA_BLOCK_SIZE == 0)
			body[i] = (uint8_t)(body[i] + 12);
		if (strcmp(variant, "order") == 0 && which == 2 && i % DELTA_BLOCK_SIZE == 0)
			body[i] = lowered(body[i]);
	}
	return body;
}

/* All slots have dataset 0. */
static void gather_own(uint32_t slot, struct course_own *own)
{
	const struct course *course = spec_course(&regtest);
	struct course_data data;
	const uint8_t *corpus;
	size_t size;

	corpus = course_training(course, &size);
	data = course_data_in_memory(corpus, size);
	assert_true(course_gather_own(course, example_parent, slot, &data, own));
}

static void verify_example(const char *variant, struct verdict *verdict);

/* Whether a variant starts from the state that the block of the others leaves, which has a momentum. */
static bool is_second(const char *variant)
{
	return strcmp(variant, "again") == 0 || strcmp(variant, "void-again") == 0;
}

static struct state *variant_parent(const char *variant)
{
	struct verdict before;

	if (!is_second(variant))
		return state_ref(initial);
	verify_example("", &before);
	return before.state;
}

/* Slot of the variant's proof number i: set, for by their seeds all may share one in another genesis. */
static uint32_t variant_slot(const char *variant, size_t i)
{
	if (strcmp(variant, "again") == 0 || strcmp(variant, "order") == 0)
		return 0;
	return strcmp(variant, "three-slots") == 0 ? (uint32_t)i : i == 0;
}

/* Runs the verify job of a block of the example proofs, which executes them again, or takes the variant's bodies. */
static void verify_example(const char *variant, struct verdict *verdict)
{
	struct spec spec = regtest; /* borrows what is regtest's */
	struct verify_job job = {
		.spec = &spec,
		.parent = variant_parent(variant),
		.proof_count = PROOFS,
		.body_count = PROOFS,
		.v_ref = strcmp(variant, "left-out") == 0 ? regtest.v_min : OUTCOME_VALUE_MAX,
	};
	size_t order[PROOFS] = { 0 };

	if (strcmp(variant, "three-slots") == 0)
		spec.slots = PROOFS;
	if (strcmp(variant, "still") == 0)
		spec.courses[0].train.gate_ppm = 1000000;
	loose_order(order + 1);
	job.benchmark = mem_alloc(course_benchmark_size(spec_course(&regtest)));
	memcpy(job.ticket, example_parent, 32);
	course_gather_benchmark(spec_course(&regtest), job.ticket, job.benchmark);
	job.proofs = mem_calloc(PROOFS, sizeof *job.proofs);
	for (size_t i = 0; i < PROOFS; i++) {
		struct verify_proof *p = &job.proofs[i];

		p->header = proof[order[i]];
		header_id(&p->header, p->id);
		header_seed(&p->header, p->seed);
		p->slot = variant_slot(variant, i);
		gather_own(p->slot, &job.own[p->slot]);
		if (*variant) {
			p->delta = variant_body(variant, order[i]);
			sha256(p->header.digest, p->delta, block_body_size(&regtest));
		} else {
			p->windows = gather(&regtest, example_parent, p->seed);
		}
	}
	verify_run(&job, verdict);
	if (!verdict->valid)
		fail_msg("%s: %s", verdict->reject.reason, verdict->reject.detail);
	verify_job_clear(&job);
}

static void answer_outcome(const char *arguments, char *out)
{
	struct verdict verdict;
	struct buf script;

	verify_example(arguments, &verdict);
	buf_init(&script);
	outcome_script(&script, &verdict.outcome);
	put_hex(out, script.data + 2, script.size - 2);
	buf_clear(&script);
	state_unref(verdict.state);
}

static void answer_losses(const char *arguments, char *out)
{
	struct verdict verdict;

	verify_example(arguments, &verdict);
	snprintf(out, ANSWER_MAX, "%08x %08x", float_bits(verdict.loss_before), float_bits(verdict.loss_after));
	state_unref(verdict.state);
}

static void answer_state(const char *arguments, char *out)
{
	struct verdict verdict;

	verify_example(arguments, &verdict);
	hex_encode_reversed(out, state_root(verdict.state), 32);
	state_unref(verdict.state);
}

static void answer_value(const char *arguments, char *out)
{
	float x = float_from_bits((uint32_t)strtoul(arguments, NULL, 16));

	snprintf(out, ANSWER_MAX, "%lld", (long long)update_value(x));
}

static void answer_subsidy(const char *arguments, char *out)
{
	struct spec spec;
	unsigned height;

	known_spec(&spec, arguments, &arguments);
	assert_int_equal(sscanf(arguments, "%u", &height), 1);
	snprintf(out, ANSWER_MAX, "%lld", (long long)spec_subsidy(&spec, height));
	assert_int_equal(reward_compute_part(&spec, height) + reward_data_part(&spec, height),
		spec_subsidy(&spec, height));
	spec_clear(&spec);
}

static void answer_proof_worth(const char *arguments, char *out)
{
	struct spec spec;
	struct reward_proofs proofs = { 0 };
	unsigned height, back;
	long long bucket;
	int64_t worth, after;
	int length;

	known_spec(&spec, arguments, &arguments);
	assert_int_equal(sscanf(arguments, "%u %lld %zu%n", &height, &bucket, &proofs.loose, &length), 3);
	while (arguments += length, sscanf(arguments, " %u%n", &back, &length) == 1)
		proofs.late[reward_late_sixteenths(back)]++;
	worth = reward_proof(&spec, height, bucket, &proofs, &after);
	snprintf(out, ANSWER_MAX, "%lld %lld", (long long)worth, (long long)after);
	spec_clear(&spec);
}

static void answer_late_worth(const char *arguments, char *out)
{
	unsigned back;
	long long worth, late_worth;

	assert_int_equal(sscanf(arguments, "%lld %u", &worth, &back), 2);
	late_worth = reward_late(worth, back);
	snprintf(out, ANSWER_MAX, "%lld %lld", late_worth - late_worth / 16, late_worth / 16);
}

static void answer_slot_pay(const char *arguments, char *out)
{
	struct spec spec;
	struct reward_slot slot;
	unsigned height, weight;
	long long value, v_ref;

	known_spec(&spec, arguments, &arguments);
	assert_int_equal(sscanf(arguments, "%u %u %lld %lld %u", &height, &slot.proofs, &value, &v_ref, &weight), 5);
	slot.value = value;
	slot.v_ref = v_ref;
	slot.weight = weight < REWARD_FULL_WEIGHT ? weight : REWARD_FULL_WEIGHT;
	snprintf(out, ANSWER_MAX, "%lld", (long long)reward_slot(&spec, height, &slot));
	spec_clear(&spec);
}

/* The first window of a slot's own group on bytes made up, and the entropy of its page. */
static void answer_own_window(const char *arguments, char *out)
{
	struct course course = { .train = spec_course(&regtest)->train };
	struct course_data data;
	char ticket_text[65];
	struct course_own own = { NULL, 0 };
	uint8_t ticket[32], *bytes;
	unsigned size, slot, row;

	assert_int_equal(sscanf(arguments, "%u %u %64s %u %u", &size, &course.train.model.ctx, ticket_text, &slot,
				 &row),
		5);
	assert_int_equal(row, 0);
	assert_true(hex_decode(ticket, 32, ticket_text));
	bytes = mem_alloc(size);
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * i / 977);
	data = course_data_in_memory(bytes, size);
	course.train.bench_rows = 1;
	assert_true(course_gather_own(&course, ticket, slot, &data, &own));
	put_hex(out, own.windows, course.train.model.ctx + 1);
	sprintf(out + strlen(out), " %08x", float_bits(own.entropy));
	free(bytes);
	free(own.windows);
}

/* Whether the last of these effects brings a dataset into quarantine. */
static void answer_harmful(const char *arguments, char *out)
{
	struct contribution data = example_data(1, 70000);
	struct registry *registry = registry_new(&regtest);
	struct block_outcome outcome = example_outcome(1, 1, 0);
	char *rest;

	apply(registry, 0, &data, 1, NULL);
	outcome.v_ref = strtoll(arguments, &rest, 10);
	while (*rest != 0) {
		outcome.outcome.slot[0].effect = strtoll(rest, &rest, 10) * 65536;
		assert_true(registry_can_draw(registry, 1));
		apply(registry, 0, NULL, 0, &outcome);
	}
	strcpy(out, registry_can_draw(registry, 1) ? "false" : "true");
	registry_free(registry);
}

static void answer_data_rate(const char *arguments, char *out)
{
	unsigned long long rate, debt, used;
	struct contribution data;
	struct fees_undo undo;
	struct block *block;
	struct spec spec;
	struct fees fees;

	known_spec(&spec, arguments, &arguments);
	assert_int_equal(sscanf(arguments, "%llu %llu %llu", &rate, &debt, &used), 3);
	data = example_data(1, used);
	block = example_block(0, &data, 1);
	fees_init(&fees, &spec);
	fees.rates[FEES_WINDOW - 1] = rate;
	fees.debt = debt;
	fees_apply(&fees, &(struct branch_block){ .spec = &spec, .block = block }, &undo);
	snprintf(out, ANSWER_MAX, "%llu %llu", (unsigned long long)fees_least(&fees, 1), (unsigned long long)fees.debt);
	block_unref(block);
	spec_clear(&spec);
}

static void answer_data_burn(const char *arguments, char *out)
{
	unsigned long long rate, size;

	assert_int_equal(sscanf(arguments, "%llu %llu", &rate, &size), 2);
	snprintf(out, ANSWER_MAX, "%lld", (long long)fees_burn(rate, size));
}

static void answer_licence(const char *arguments, char *out)
{
	static const char admitted[][LICENCE_MAX + 1] = { "MIT", "CC0-1.0", "GPL-2.0-only WITH Classpath-exception-2.0",
		"Apache-2.0+" };

	snprintf(out, ANSWER_MAX, "%s",
		!licence_parse(arguments, NULL, NULL, NULL)         ? "bad" :
			licence_is_admitted(arguments, admitted, 4) ? "admitted" :
								      "refused");
}

static void answer_datasets(const char *arguments, char *out)
{
	struct contribution data[3] = { example_data(1, 70000), example_data(2, 100000), example_data(3, 200000) };
	struct registry *registry = registry_new(
		&regtest); /* where a dataset can be drawn a block after its registration */
	uint32_t dataset[4];
	uint8_t ticket[32];

	assert_true(hex_decode(ticket, 32, arguments));
	apply(registry, 0, data, 3, NULL);
	registry_draw(registry, ticket, 4, dataset);
	for (size_t i = 0; i < 4; i++)
		out += sprintf(out, "%s%u", i ? " " : "", dataset[i]);
	registry_free(registry);
}

static void known_registration(struct contribution *data)
{
	*data = (struct contribution){ .size = 70000, .licence = "CC0-1.0", .title = "Known" };
	sha256(data->root, "root", 4);
	assert_true(hex_decode(data->owner, 32, keys[0]));
	sha256(data->salt, "salt", 4);
}

static void answer_commits(const char *arguments, char *out)
{
	struct contribution data;
	uint8_t hash[32];
	struct buf script;

	(void)arguments;
	known_registration(&data);
	commitment_hash(&data, hash);
	buf_init(&script);
	commitment_script(&script, hash);
	put_hex(out, script.data, script.size);
	buf_clear(&script);
}

static void answer_registers(const char *arguments, char *out)
{
	struct contribution data;
	struct buf script;

	(void)arguments;
	known_registration(&data);
	buf_init(&script);
	contribution_script(&script, &data);
	put_hex(out, script.data, script.size);
	buf_clear(&script);
}

/* All blocks below the height, those that are named with a commitment. */
static void answer_opens(const char *arguments, char *out)
{
	bool has_one[3000] = { false };
	struct registry *registry;
	struct contribution data;
	struct spec spec;
	uint32_t committed;
	char *rest;
	unsigned long height;

	known_registration(&data);
	known_spec(&spec, arguments, &arguments);
	height = strtoul(arguments, &rest, 10);
	while (*rest)
		has_one[strtoul(rest, &rest, 10)] = true;
	registry = registry_new(&spec);
	for (unsigned long i = 1; i < height; i++)
		commit(registry, &data, has_one[i]);
	committed = registry_committed(registry, &data);
	snprintf(out, ANSWER_MAX, committed > 0 ? "%u" : "none", committed);
	registry_free(registry);
	spec_clear(&spec);
}

/* Blocks 2 and 3, which list nothing, and a proof late by three, two and one blocks then. */
static void add_late(struct registry *registry, struct header late[3])
{
	memcpy(late[0].prev, regtest.genesis_id, 32);
	for (size_t i = 0; i < 3; i++) {
		struct block *block = example_block(0, NULL, 0);

		block->header.nonce = i;
		if (i > 0)
			registry_undo_free(registry_apply(registry, block, NULL));
		if (i < 2)
			header_id(&block->header, late[1 + i].prev);
		assert_true(hex_decode(late[i].miner, 32, keys[i]));
		block_unref(block);
	}
}

/* "late": with late proofs, at height 4. */
static const struct tx *make_coinbase(const char *arguments)
{
	struct contribution data = example_data(1, 70000);
	struct registry *registry = registry_new(&regtest);
	struct header loose[2] = { { 0 } }, late[3] = { { 0 } };
	struct block_outcome parent = { .outcome = { .slots = 2,
						.slot = { { 2, false, -7, 5000000, 0, true },
							{ 1, true, -300000000, 0, 0, false } }, },
		.dataset = { 1, 0 },
		.weight = 12345678,
		.v_ref = 4294967, };
	struct coinbase_facts facts = {
		.height = 2,
		.fees = 1234,
		.miner = data.owner,
		.loose = loose,
		.loose_count = 2,
		.registry = registry,
		.parent = &parent,
	};
	const struct tx *tx;

	for (size_t i = 0; i < 2; i++)
		assert_true(hex_decode(loose[i].miner, 32, keys[1 + i]));
	apply(registry, 2, &data, 1, NULL);
	if (strcmp(arguments, "late") == 0) {
		add_late(registry, late);
		facts.height = 4;
		facts.late = late;
		facts.late_count = 3;
	}
	tx = coinbase_build(&regtest, &facts);
	registry_free(registry);
	return tx;
}

static void answer_coinbase(const char *arguments, char *out)
{
	const struct tx *tx = make_coinbase(arguments);
	struct buf raw;

	buf_init(&raw);
	tx_write(&raw, tx, true);
	put_hex(out, raw.data, raw.size);
	buf_clear(&raw);
	tx_unref(tx);
}

static void answer_txid(const char *arguments, char *out)
{
	const struct tx *tx = make_coinbase(arguments);

	hex_encode_reversed(out, tx_txid(tx), 32);
	tx_unref(tx);
}

/* The block of the example proofs with the example coinbase for its only transaction. */
static struct block *proofs_block(bool late)
{
	struct block *block = block_new();
	size_t order[PROOFS] = { 0 };

	loose_order(order + 1);
	block->header = proof[0];
	block->tx_count = 1;
	block->txs = mem_calloc(1, sizeof *block->txs);
	block->txs[0] = make_coinbase("");
	block->loose_count = PROOFS - 1;
	block->loose = mem_calloc(PROOFS - 1, sizeof *block->loose);
	block->bodies = mem_calloc(PROOFS, sizeof *block->bodies);
	for (size_t i = 0; i < PROOFS; i++) {
		if (i > 0)
			block->loose[i - 1] = proof[order[i]];
		block->bodies[i] = mem_dup(delta[order[i]], block_body_size(&regtest));
	}
	if (late) {
		block->late = mem_dup(&block->loose[--block->loose_count], sizeof *block->late);
		block->late_count = 1;
		free(block->bodies[PROOFS - 1]);
	}
	return block;
}

/* "wire": its bytes; "disk": the hash of those with bodies; "roots"; "late": the last loose proof is a late one. */
static void answer_block(const char *arguments, char *out)
{
	const bool late = strncmp(arguments, "late ", 5) == 0;
	struct block *block = proofs_block(late);
	uint8_t found[64];
	struct buf raw;

	arguments += late ? 5 : 0;
	buf_init(&raw);
	block_write(&raw, &regtest, block, strcmp(arguments, "disk") == 0);
	if (strcmp(arguments, "wire") == 0) {
		put_hex(out, raw.data, raw.size);
	} else if (strcmp(arguments, "disk") == 0) {
		sha256(found, raw.data, raw.size);
		put_hex(out, found, 32);
	} else {
		assert_string_equal(arguments, "roots");
		block_tx_root(block, found);
		block_proofs_root(block, found + 32);
		put_hex(out, found, 64);
	}
	buf_clear(&raw);
	block_unref(block);
}

/* === The document === */

static const struct question questions[] = {
	{ "exp", answer_exp, 5 },
	{ "log", answer_log, 5 },
	{ "sin", answer_sin, 5 },
	{ "cos", answer_cos, 5 },
	{ "sweep", answer_sweep, 4 },
	{ "token_loss", answer_token_loss, 2 },
	{ "rounded", answer_rounded, 4 },
	{ "encode", answer_encode, 5 },
	{ "philox", answer_philox, 2 },
	{ "siphash", answer_siphash, 3 },
	{ "pages", answer_pages, 6 },
	{ "samples", answer_samples, 2 },
	{ "shared", answer_shared, 2 },
	{ "next_bits", answer_next_bits, 5 },
	{ "pace", answer_pace, 5 },
	{ "commitment", answer_commitment, 3 },
	{ "initial", answer_initial, 3 },
	{ "genesis", answer_genesis, 3 },
	{ "digest", answer_digest, 4 },
	{ "window", answer_window, 2 },
	{ "gradient", answer_gradient, 2 },
	{ "delta", answer_delta, 2 },
	{ "seed", answer_seed, PROOFS },
	{ "slot", answer_slot, PROOFS },
	{ "step", answer_step, PROOFS },
	{ "ticket", answer_ticket, PROOFS },
	{ "id", answer_id, PROOFS },
	{ "outcome", answer_outcome, 6 },
	{ "losses", answer_losses, 6 },
	{ "state", answer_state, 8 },
	{ "value", answer_value, 5 },
	{ "block", answer_block, 5 },
	{ "subsidy", answer_subsidy, 3 },
	{ "proof_worth", answer_proof_worth, 12 },
	{ "late_worth", answer_late_worth, 4 },
	{ "slot_pay", answer_slot_pay, 3 },
	{ "own_window", answer_own_window, 3 },
	{ "harmful", answer_harmful, 4 },
	{ "data_rate", answer_data_rate, 6 },
	{ "data_burn", answer_data_burn, 3 },
	{ "licence", answer_licence, 20 },
	{ "datasets", answer_datasets, 1 },
	{ "commits", answer_commits, 1 },
	{ "registers", answer_registers, 1 },
	{ "opens", answer_opens, 5 },
	{ "coinbase", answer_coinbase, 2 },
	{ "txid", answer_txid, 2 },
};

static void test_document(void **state)
{
	(void)state;
	known_check(questions, sizeof questions / sizeof questions[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_document) };

	backend_select(backend_cpu(ENGINE_OPENBLAS));
	return cmocka_run_group_tests(tests, setup, teardown);
}
