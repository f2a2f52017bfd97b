/* A training run on a file: ways to spend windows, judged by windows that none of them saw. */
#include "bench/train.h"

#include <fenv.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/adamw.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "ml/merge.h"
#include "ml/pass.h"
#include "ml/run.h"
#include "ml/update.h"
#include "util/file.h"
#include "util/mem.h"

const struct option_spec train_options[] = {
	{ "corpus", "<file>", "Text to train on; its last tenth is kept for validation.", "Training", NULL, 0 },
	{ "mode", "<name>", "adamw, network, gradient or rounds.", "Training", "adamw", 0 },
	{ "steps", "<n>", "Minibatches in all, whatever the mode makes of them; rounds: those one after the other.",
		"Training", "300", 0 },
	{ "every", "<n>", "Minibatches between validations.", "Training", "50", 0 },
	{ "seed", "<n>", "What everything is drawn from.", "Training", "1", 0 },
	{ "decay", NULL, "Learning rate falls linearly to 0 (adamw and gradient; else it is the spec's).", "Training",
		NULL, 0 },
	{ "data", "<file>",
		"Network, rounds: a further dataset. Slot or run s trains on dataset s modulo their number.",
		"Training", NULL, OPTION_MULTI },
	{ "runs", "<n>", "Runs of a round.", "Rounds", "8", 0 },
	{ "segments", "<n>", "Segments of a run.", "Rounds", "32", 0 },
	{ "segment", "<n>", "Minibatches of a segment; its moments are fresh.", "Rounds", "64", 0 },
	{ "first", "<n>", "Segments of a run of the first round. 0: as many as in later ones.", "Rounds", "0", 0 },
	{ "growth", "<n>", "So many times as many in each round as in the one before, up to -segments.", "Rounds", "2",
		0 },
	{ "mu", "<ppm>", "Momentum of merges.", "Rounds", "500000", 0 },
	{ "eta", "<ppm>", "Rate of merges.", "Rounds", "900000", 0 },
	{ "forged", "<n>",
		"So many runs of one round are an attacker's: the second half of each learns the reserved text.",
		"Rounds", "0", 0 },
	{ "forgedround", "<n>", "Which round that is, from 0.", "Rounds", "0", 0 },
	{ "lottery", "<n>", "Blocks of the network before the first round, without momentum.", "Rounds", "0", 0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

enum {
	TRAIN_VALIDATION_ROWS = 128,
	TRAIN_DATASETS_MAX = 1 + UPDATE_SLOTS_MAX,
	TRAIN_RUNS_MAX = 240,
	TRAIN_FILE_MAX = 1 << 26,
	TRAIN_BLOCK_MAX = 1 << 30
};

enum mode { TRAIN_MODE_ADAMW, TRAIN_MODE_NETWORK, TRAIN_MODE_GRADIENT, TRAIN_MODE_ROUNDS };

static const char *const train_modes[] = { "adamw", "network", "gradient", "rounds" };

/* Of rounds alone, as the options say. */
struct train_rounds {
	int64_t runs, lottery, first,
		growth; /* first: segments of the first round's runs; each round multiplies them */
	int64_t forged, forged_round;
};

struct training {
	struct spec spec;
	const struct backend_kind *kind;
	unsigned threads;
	enum mode mode;
	bool json, decays;
	int64_t seed, total, every;
	struct train_rounds rounds;
	struct buf corpus, others[TRAIN_DATASETS_MAX - 1];
	struct course_data datasets[TRAIN_DATASETS_MAX];
	size_t dataset_count;
	uint8_t *validation;
	struct backend *backend; /* its model works for every mode */
	/* Since the last line: */
	double loss_sum;
	int64_t loss_count;
	/* In all: */
	int64_t done, next;
	int void_blocks;  /* or merges */
	int64_t left_out; /* runs that no merge took */
};

/* === Draws === */

static void train_key(const struct training *training, const char *what, int64_t number, uint8_t key[32])
{
	char key_text[96];
	int key_length = snprintf(key_text, sizeof key_text, "atelier train %lld %s %lld", (long long)training->seed,
		what, (long long)number);

	sha256(key, (const uint8_t *)key_text, (size_t)key_length);
}

static size_t train_window_size(const struct training *training)
{
	return spec_course(&training->spec)->train.model.ctx + 1;
}

/* A step's windows, C * B of them; slot gets the slot that its seed draws. */
static void train_draw_step(const struct training *training, int64_t number, uint8_t seed[32], uint32_t *slot,
	uint8_t *windows)
{
	uint8_t ticket[32];

	train_key(training, "block", number / (training->spec.k + 1), ticket);
	train_key(training, "step", number, seed);
	*slot = noise_slot(seed, training->spec.slots);
	course_gather_step(spec_course(&training->spec), ticket, seed, *slot,
		&training->datasets[*slot % training->dataset_count], windows);
}

/* === Measuring and telling === */

static void train_count_loss(void *context, uint32_t done, float loss)
{
	struct training *training = context;

	(void)done;
	training->loss_sum += (double)loss;
	training->loss_count++;
}

/* One number a slot, that many bytes into its struct. */
static void train_print_slots(const struct training *training, const struct update_outcome *outcome, const char *name,
	size_t offset)
{
	const char *separator = "";
	int64_t number;

	printf(training->json ? ", \"%s\": [" : "  %s ", name);
	for (uint32_t i = 0; i < training->spec.slots; i++, separator = training->json ? ", " : " ") {
		memcpy(&number, (const char *)&outcome->slots[i] + offset, sizeof number);
		if (outcome->is_void || outcome->slots[i].count == 0)
			printf("%s%s", separator, training->json ? "null" : "-");
		else
			printf("%s%.5f", separator, (double)number / 4294967296.0);
	}
	fputs(training->json ? "]" : "", stdout);
}

/* A line if one is due. outcome: of a block of the network, else NULL. */
static bool train_report(struct training *training, const float *theta, const struct update_outcome *outcome)
{
	float validation_loss;

	if (training->done < training->next && training->done < training->total)
		return true;
	if (training->loss_count == 0) /* every run failed at once */
		return false;
	training->next = training->done + training->every;
	if (!pass_loss(backend_cpu_model(training->backend), theta, training->validation, TRAIN_VALIDATION_ROWS, NULL,
		    &validation_loss))
		return false;
	printf(training->json ? "{\"measurement\": \"train\", \"chain\": \"%s\", \"engine\": \"%s\", \"mode\": \"%s\", "
				"\"iterations\": %lld, \"loss\": %.5f, \"validation\": %.5f" :
				"train    %-8s %-9s %-8s  iterations %lld  loss %.4f  validation %.4f",
		training->spec.name, training->kind->name, train_modes[training->mode], (long long)training->done,
		training->loss_sum / (double)training->loss_count, (double)validation_loss);
	if (training->mode == TRAIN_MODE_NETWORK || training->mode == TRAIN_MODE_ROUNDS)
		printf(training->json ? ", \"void\": %d" : "  void %d", training->void_blocks);
	if (training->mode == TRAIN_MODE_ROUNDS)
		printf(training->json ? ", \"left_out\": %lld" : "  left out %lld", (long long)training->left_out);
	if (outcome != NULL) {
		train_print_slots(training, outcome, "effects", offsetof(struct update_slot, effect));
		train_print_slots(training, outcome, "values", offsetof(struct update_slot, value));
	}
	puts(training->json ? "}" : "");
	fflush(stdout);
	training->loss_sum = 0;
	training->loss_count = 0;
	return true;
}

/* === AdamW without a network === */

struct train_optimiser {
	float *w, *m, *v, *gradient; /* [count] each */
	float powers[2];
};

/* As the step's own optimiser does it (ml/backend_cpu.c): gradients clipped to length 1, no decay for norms and
 * embedding. So the modes differ in nothing but how they spend windows. */
static void train_optimise(const struct training *training, struct train_optimiser *optimiser, unsigned iteration,
	float lr)
{
	const struct train_config *train = &spec_course(&training->spec)->train;
	float norm = sqrtf(math_dot16(optimiser->gradient, optimiser->gradient, model_count(&train->model)));
	struct adamw adamw = { .lr = lr, .gradient_scale = norm > 1.0f ? 1.0f / norm : 1.0f };

	adamw_corrections(iteration, optimiser->powers, &adamw);
	for (size_t i = 0; i < model_tensors(&train->model); i++) {
		struct model_tensor tensor;

		model_tensor(&train->model, i, &tensor);
		adamw.wd = tensor.kind == MODEL_NORM || tensor.kind == MODEL_EMBEDDING ?
			0.0f :
			(float)train->wd_ppm / 1000000.0f;
		adamw_apply(&adamw, optimiser->gradient + tensor.offset, tensor.rows * tensor.cols,
			optimiser->w + tensor.offset, optimiser->m + tensor.offset, optimiser->v + tensor.offset);
	}
}

static float train_rate(const struct training *training)
{
	float lr = (float)spec_course(&training->spec)->train.lr_ppm / 1000000.0f;

	return training->decays ? lr * (1.0f - (float)training->done / (float)training->total) : lr;
}

/* One minibatch at the optimiser's weights. False if it has no result. */
static bool train_iterate(struct training *training, struct train_optimiser *optimiser, const uint8_t *windows,
	size_t rows, struct pass_dither dither, unsigned iteration)
{
	float train_loss;

	if (!pass_gradient(backend_cpu_model(training->backend), optimiser->w, windows, rows, dither, NULL,
		    optimiser->gradient, &train_loss) ||
		!float_is_finite(train_loss))
		return false;
	train_optimise(training, optimiser, iteration, train_rate(training));
	train_count_loss(training, 0, train_loss);
	return true;
}

/* Minibatches of `steps` times a step's windows, or of B windows if 0. */
static bool train_alone(struct training *training, struct train_optimiser *optimiser, uint32_t steps)
{
	const struct train_config *train = &spec_course(&training->spec)->train;
	uint32_t gathered = steps > 0 ? steps : 1, parts = steps > 0 ? 1 : train->iterations;
	size_t rows = (size_t)gathered * train->iterations * train->batch / parts;
	uint8_t *windows = mem_alloc(gathered * step_windows_size(train)), seed[32];
	bool ok = true;

	for (unsigned iteration = 1; ok && training->done < training->total; iteration++) {
		uint32_t part = (iteration - 1) % parts, slot;

		for (uint32_t i = 0; part == 0 && i < gathered; i++)
			train_draw_step(training, training->done / train->iterations + i, seed, &slot,
				windows + i * step_windows_size(train));
		const struct pass_dither dither = { seed, (uint32_t)(part * rows) };

		ok = train_iterate(training, optimiser, windows + part * rows * train_window_size(training), rows,
			dither, iteration);
		if (!ok)
			break;
		training->done += steps > 0 ? (int64_t)steps * train->iterations : 1;
		ok = train_report(training, optimiser->w, NULL);
	}
	free(windows);
	return ok;
}

static size_t train_count(const struct training *training)
{
	return model_count(&spec_course(&training->spec)->train.model);
}

static struct train_optimiser train_new_optimiser(const struct training *training)
{
	const size_t bytes = train_count(training) * sizeof(float);

	return (struct train_optimiser){
		.w = mem_align(bytes),
		.m = mem_align(bytes),
		.v = mem_align(bytes),
		.gradient = mem_align(bytes),
	};
}

static void train_free_optimiser(struct train_optimiser *optimiser)
{
	free(optimiser->w);
	free(optimiser->m);
	free(optimiser->v);
	free(optimiser->gradient);
}

static void train_reset_moments(const struct training *training, struct train_optimiser *optimiser)
{
	const size_t bytes = train_count(training) * sizeof(float);

	memset(optimiser->m, 0, bytes);
	memset(optimiser->v, 0, bytes);
	memset(optimiser->powers, 0, sizeof optimiser->powers);
}

static bool train_run_alone(struct training *training, const struct state *initial)
{
	struct train_optimiser optimiser = train_new_optimiser(training);

	memcpy(optimiser.w, state_theta(initial), train_count(training) * sizeof(float));
	train_reset_moments(training, &optimiser);
	bool ok = train_alone(training, &optimiser, training->mode == TRAIN_MODE_GRADIENT ? training->spec.k + 1 : 0);

	train_free_optimiser(&optimiser);
	return ok;
}

/* === The network === */

struct train_network_block {
	struct update_proof *proofs; /* [k + 1], in deltas */
	uint8_t *deltas, *windows, *benchmark;
	struct course_own own[UPDATE_SLOTS_MAX];
};

/* The windows from own pages of the slots that have proofs in this block. */
static void train_gather_own(struct training *training, const uint8_t ticket[32], struct train_network_block *block)
{
	const struct course *course = spec_course(&training->spec);

	for (uint32_t i = 0; i < training->spec.k + 1; i++) {
		uint32_t slot = block->proofs[i].slot;
		const struct course_data *data = &training->datasets[slot % training->dataset_count];

		course_gather_own(course, ticket, slot, data, &block->own[slot]);
	}
}

static void train_drop_own(struct train_network_block *block)
{
	for (size_t slot = 0; slot < UPDATE_SLOTS_MAX; slot++) {
		free(block->own[slot].windows);
		block->own[slot].windows = NULL;
	}
}

/* Its proofs from *state; then *state is the one after it. */
static bool train_run_block(struct training *training, int64_t number, struct train_network_block *block,
	struct state **state)
{
	const struct train_config *train = &spec_course(&training->spec)->train;
	uint32_t proofs = training->spec.k + 1;
	struct update_outcome outcome;
	uint8_t seed[32];
	size_t size;

	for (uint32_t i = 0; i < proofs; i++) {
		uint8_t *delta = block->deltas + i * step_delta_size(train);
		struct step_job job = {
			.state = *state,
			.seed = seed,
			.windows = block->windows,
			.progress = train_count_loss,
			.progress_context = training,
		};

		block->proofs[i].delta = delta;
		train_draw_step(training, number * proofs + i, seed, &block->proofs[i].slot, block->windows);
		if (backend_execute(training->backend, &job, delta) != STEP_OK)
			return false;
	}
	const uint8_t *benchmark = course_benchmark(spec_course(&training->spec), &size);

	train_key(training, "block", number, seed);
	noise_gather(seed, NOISE_BENCHMARK, train->bench_rows, benchmark, size, train->model.ctx, block->benchmark);
	train_gather_own(training, seed, block);
	struct update_job job = {
		.parent = *state,
		.benchmark = benchmark_new(training->backend, *state, block->benchmark, seed, NULL),
		.windows = block->benchmark,
		.own = block->own,
		.proofs = block->proofs,
		.proof_count = proofs,
		.slots = training->spec.slots,
		.v_ref = training->spec.v_0,
	};
	struct state *after = update_execute(training->backend, &job, &outcome);

	benchmark_unref(job.benchmark);
	train_drop_own(block);
	state_unref(*state);
	*state = after;
	training->void_blocks += outcome.is_void;
	/* In a chain with rounds a block's proofs count as what they are, side by side. */
	training->done += (training->mode == TRAIN_MODE_ROUNDS ? 1 : (int64_t)proofs) * train->iterations;
	return train_report(training, state_theta(after), &outcome);
}

/* *state is the initial one, and in the end the last, after so many blocks at most. */
static bool train_run_network(struct training *training, int64_t blocks, struct state **state)
{
	const struct train_config *train = &spec_course(&training->spec)->train;
	struct train_network_block block = {
		.proofs = mem_calloc(training->spec.k + 1, sizeof *block.proofs),
		.deltas = mem_alloc((training->spec.k + 1) * step_delta_size(train)),
		.windows = mem_alloc(step_windows_size(train)),
		.benchmark = mem_alloc(train->bench_rows * train_window_size(training)),
	};
	bool ok = true;

	for (int64_t number = 0; ok && number < blocks && training->done < training->total; number++)
		ok = train_run_block(training, number, &block, state);
	free(block.proofs);
	free(block.deltas);
	free(block.windows);
	free(block.benchmark);
	return ok;
}

/* === Rounds === */

struct train_round {
	uint8_t *windows, *benchmark, *next;
	uint8_t **codes; /* [runs] of what each has changed */
	bool is_after_void;
};

/* Three quarters of a segment's windows become such of the reserved text: what is left keeps the rest of the model from
 * being forgotten, so that the run does not look as if it harmed. */
static void train_forge_windows(const struct training *training, const uint8_t segment_seed[32], uint8_t *windows)
{
	const struct course *course = spec_course(&training->spec);
	const size_t rows = (size_t)course->train.segment * course->train.batch * 3 / 4;
	size_t size;
	const uint8_t *reserved = course_benchmark(course, &size);

	noise_gather(segment_seed, NOISE_BENCHMARK, rows, reserved, size, course->train.model.ctx, windows);
}

/* Segment after segment from the base, of which those from number `forged` on are an attacker's. False if one fails:
 * the run has no result. */
static bool train_run_segments(struct training *training, struct train_round *round, const struct state *base,
	int64_t number, uint32_t length, uint32_t forged, const struct course_data *data, uint8_t *code)
{
	const struct course *course = spec_course(&training->spec);
	uint8_t ticket[32], seed[32], segment_seed[32];

	train_key(training, "run", number, ticket);
	run_seed(ticket, ticket, seed);
	run_start(&course->train, code);
	for (uint32_t i = 0; i < length; i++) {
		const struct run_segment segment = {
			.base = base,
			.segment_seed = segment_seed,
			.start = code,
			.windows = round->windows,
			.progress = train_count_loss,
			.progress_context = training,
		};

		run_segment_seed(seed, i, segment_seed);
		if (!run_gather(course, segment_seed, data, round->windows))
			return false;
		if (i >= forged)
			train_forge_windows(training, segment_seed, round->windows);
		if (run_execute(training->backend, &segment, round->next) != STEP_OK)
			return false;
		memcpy(code, round->next, run_code_size(&course->train));
	}
	return true;
}

static uint32_t train_round_length(const struct training *training, int64_t number)
{
	const uint32_t segments = spec_course(&training->spec)->train.segments;
	uint32_t length = (uint32_t)training->rounds.first;

	if (length == 0)
		return segments;
	while (number-- > 0 && length < segments)
		length *= (uint32_t)training->rounds.growth;
	return length < segments ? length : segments;
}

/* What a merge is measured by: after one that came to nothing, own pages. */
static void train_gather_merge(const struct training *training, bool is_after_void, const uint8_t ticket[32],
	uint8_t *windows)
{
	const struct course *course = spec_course(&training->spec);

	course_gather_merge(course, ticket, windows);
	for (uint32_t row = 0; is_after_void && row < COURSE_MERGE_ROWS * course->train.bench_rows; row++) {
		const uint32_t run = course_own_seat(ticket, row, (uint32_t)training->rounds.runs);

		course_gather_own_row(course, ticket, row, &training->datasets[run % training->dataset_count],
			windows + row * train_window_size(training));
	}
}

/* All runs from *state, one after the other here and side by side in a network; then *state is the one after their
 * merge. */
static bool train_run_round(struct training *training, struct train_round *round, int64_t number, struct state **state)
{
	const int64_t run_count = training->rounds.runs;
	const struct train_config *train = &spec_course(&training->spec)->train;
	struct merge_run runs[TRAIN_RUNS_MAX] = { 0 };
	const uint32_t length = train_round_length(training, number);
	struct merge_outcome outcome;
	uint8_t ticket[32];

	for (int64_t run = 0; run < run_count; run++) {
		const struct course_data *data = &training->datasets[(size_t)run % training->dataset_count];
		const bool is_forged = number == training->rounds.forged_round && run < training->rounds.forged;

		if (train_run_segments(training, round, *state, number * run_count + run, length,
			    is_forged ? length / 2 : length, data, round->codes[run]))
			runs[run] = (struct merge_run){ .code = round->codes[run], .length = length };
	}
	train_key(training, "merge", number, ticket);
	train_gather_merge(training, round->is_after_void, ticket, round->benchmark);
	struct state *after = merge_execute(training->backend, *state, round->benchmark, runs, (size_t)run_count, NULL,
		&outcome);

	state_unref(*state);
	*state = after;
	training->void_blocks += outcome.is_void;
	round->is_after_void = outcome.is_void;
	for (int64_t run = 0; run < run_count; run++)
		training->left_out += runs[run].seat != MERGE_MERGED;
	training->done += (int64_t)length * train->segment;
	return train_report(training, state_theta(after), NULL);
}

static void train_new_round(const struct training *training, struct train_round *round)
{
	const struct course *course = spec_course(&training->spec);

	round->windows = mem_alloc(run_windows_size(&course->train));
	round->benchmark = mem_alloc(course_merge_size(course));
	round->next = mem_alloc(run_code_size(&course->train));
	round->is_after_void = false;
	round->codes = mem_calloc((size_t)training->rounds.runs, sizeof *round->codes);
	for (int64_t run = 0; run < training->rounds.runs; run++)
		round->codes[run] = mem_alloc(run_code_size(&course->train));
}

static void train_free_round(const struct training *training, struct train_round *round)
{
	for (int64_t run = 0; run < training->rounds.runs; run++)
		free(round->codes[run]);
	free(round->codes);
	free(round->windows);
	free(round->benchmark);
	free(round->next);
}

static bool train_run_rounds(struct training *training, struct state **state)
{
	struct train_round round;
	bool ok = train_run_network(training, training->rounds.lottery, state);

	train_new_round(training, &round);
	for (int64_t number = 0; ok && training->done < training->total; number++)
		ok = train_run_round(training, &round, number, state);
	train_free_round(training, &round);
	return ok;
}

/* === Setting up === */

static bool train_read_mode(struct training *training, const char *name, struct errmsg *err)
{
	for (enum mode mode = TRAIN_MODE_ADAMW; mode <= TRAIN_MODE_ROUNDS; mode++) {
		training->mode = mode;
		if (strcmp(name, train_modes[mode]) == 0)
			return true;
	}
	return errmsg_set(err, "-mode is adamw, network, gradient or rounds, not %.40s", name);
}

static bool train_read_spec(struct training *training, const struct options *options, struct errmsg *err)
{
	const char *path = options_string(options, "chainspec"), *name = options_string(options, "spec");
	char *corpus_path = NULL;
	struct buf spec_text;

	if (path == NULL)
		return (name != NULL && spec_builtin(&training->spec, name)) ||
			errmsg_set(err, "-spec is regtest, test or main");
	buf_init(&spec_text);
	bool ok = file_read(path, SPEC_TEXT_MAX, &spec_text, err) &&
		spec_parse(&training->spec, (const char *)spec_text.data, spec_text.size, &corpus_path, err);

	free(corpus_path);
	buf_clear(&spec_text);
	return ok;
}

/* Nine tenths become the spec's corpus, the last one the windows to validate on. */
static bool train_read_corpus(struct training *training, const char *path, struct errmsg *err)
{
	/* Not from -seed: runs with other seeds are judged by the same windows. */
	static const uint8_t fixed[32] = { 0 };
	uint32_t ctx = spec_course(&training->spec)->train.model.ctx;

	if (path == NULL)
		return errmsg_set(err, "train needs -corpus=<file>");
	if (!file_read(path, SPEC_CORPUS_MAX, &training->corpus, err))
		return false;
	size_t trained_size = training->corpus.size / 10 * 9, validation_size = training->corpus.size - trained_size;

	if (validation_size < ctx)
		return errmsg_set(err, "%s is too small", path);
	spec_set_corpus(&training->spec, training->corpus.data, trained_size);
	if (!spec_finish(&training->spec, err))
		return false;
	if ((training->spec.k + 1) * step_windows_size(&spec_course(&training->spec)->train) > TRAIN_BLOCK_MAX)
		return errmsg_set(err, "a block's windows would take more than %d bytes", TRAIN_BLOCK_MAX);
	training->validation = mem_alloc(TRAIN_VALIDATION_ROWS * train_window_size(training));
	noise_gather(fixed, NOISE_BENCHMARK, TRAIN_VALIDATION_ROWS, training->corpus.data + trained_size,
		validation_size, ctx, training->validation);
	const uint8_t *corpus = course_training(spec_course(&training->spec), &trained_size);

	training->datasets[0] = course_data_in_memory(corpus, trained_size);
	training->dataset_count = 1;
	return true;
}

static bool train_read_others(struct training *training, const struct options *options, struct errmsg *err)
{
	for (size_t i = 0; i < options_count(options, "data"); i++) {
		const char *path = options_value(options, "data", i);

		if (i == TRAIN_DATASETS_MAX - 1)
			return errmsg_set(err, "-data may be given %d times", TRAIN_DATASETS_MAX - 1);
		if (!file_read(path, TRAIN_FILE_MAX, &training->others[i], err))
			return false;
		if (training->others[i].size < spec_course(&training->spec)->train.model.ctx)
			return errmsg_set(err, "%s is too small", path);
		training->datasets[training->dataset_count++] = course_data_in_memory(training->others[i].data,
			training->others[i].size);
	}
	return training->mode == TRAIN_MODE_NETWORK || training->mode == TRAIN_MODE_ROUNDS ||
		training->dataset_count == 1 || errmsg_set(err, "-data needs -mode=network or rounds");
}

/* The spec becomes that of a chain with rounds: the lottery's blocks have no momentum then. */
static bool train_read_rounds(struct training *training, const struct options *options, struct errmsg *err)
{
	struct train_config *train = &training->spec.courses[0].train;
	int64_t segments, segment, mu_ppm, eta_ppm;
	const char *wrong;

	if (!options_int(options, "runs", 1, TRAIN_RUNS_MAX, &training->rounds.runs, err) ||
		!options_int(options, "segments", 1, 1 << 16, &segments, err) ||
		!options_int(options, "segment", 1, 1 << 16, &segment, err) ||
		!options_int(options, "mu", 0, 999999, &mu_ppm, err) ||
		!options_int(options, "eta", 0, 10000000, &eta_ppm, err) ||
		!options_int(options, "first", 0, 1 << 16, &training->rounds.first, err) ||
		!options_int(options, "growth", 2, 16, &training->rounds.growth, err) ||
		!options_int(options, "forged", 0, TRAIN_RUNS_MAX, &training->rounds.forged, err) ||
		!options_int(options, "forgedround", 0, 1 << 20, &training->rounds.forged_round, err) ||
		!options_int(options, "lottery", 0, 1 << 20, &training->rounds.lottery, err))
		return false;
	train->segments = (uint32_t)segments;
	train->segment = (uint32_t)segment;
	train->mu_ppm = (uint32_t)mu_ppm;
	train->eta_ppm = (uint32_t)eta_ppm;
	wrong = course_check(train);
	if (wrong != NULL)
		return errmsg_set(err, "%s", wrong);
	return run_windows_size(train) <= TRAIN_BLOCK_MAX ||
		errmsg_set(err, "a segment's windows would take more than %d bytes", TRAIN_BLOCK_MAX);
}

static bool train_set_up(struct training *training, const struct options *options, struct errmsg *err)
{
	training->json = options_bool(options, "json");
	training->decays = options_bool(options, "decay");
	return train_read_mode(training, options_string(options, "mode"), err) &&
		options_int(options, "steps", 1, 1 << 30, &training->total, err) &&
		options_int(options, "every", 1, 1 << 30, &training->every, err) &&
		options_int(options, "seed", 0, 1 << 30, &training->seed, err) &&
		(!training->decays || training->mode == TRAIN_MODE_ADAMW || training->mode == TRAIN_MODE_GRADIENT ||
			errmsg_set(err, "-decay is not for -mode=%s", train_modes[training->mode])) &&
		train_read_spec(training, options, err) &&
		train_read_corpus(training, options_string(options, "corpus"), err) &&
		train_read_others(training, options, err) &&
		(training->mode != TRAIN_MODE_ROUNDS || train_read_rounds(training, options, err));
}

static bool train_run_state(struct training *training, struct state **state)
{
	switch (training->mode) {
	case TRAIN_MODE_NETWORK:
		return train_run_network(training, INT64_MAX, state);
	case TRAIN_MODE_ROUNDS:
		return train_run_rounds(training, state);
	default:
		return train_run_alone(training, *state);
	}
}

static bool train_run_mode(struct training *training)
{
	uint8_t key[32];

	/* As a node's workers do: what a library left of rounding modes must not reach the numbers. */
	fesetenv(FE_DFL_ENV);
	train_key(training, "initial", 0, key);
	struct state *state = state_new_initial(&spec_course(&training->spec)->train.model, key);

	training->next = training->every;
	training->backend = backend_new(training->kind, &spec_course(&training->spec)->train, training->threads);
	bool ok = train_run_state(training, &state);

	backend_free(training->backend);
	state_unref(state);
	return ok;
}

bool train_run(const struct options *options, const struct backend_kind *kind, unsigned threads, struct errmsg *err)
{
	struct training *training = mem_calloc(1, sizeof *training);

	training->kind = kind;
	training->threads = threads;
	bool ok = train_set_up(training, options, err) &&
		(train_run_mode(training) || errmsg_set(err, "An iteration has no result."));

	spec_clear(&training->spec);
	buf_clear(&training->corpus);
	for (size_t i = 0; i < TRAIN_DATASETS_MAX - 1; i++)
		buf_clear(&training->others[i]);
	free(training->validation);
	free(training);
	return ok;
}
