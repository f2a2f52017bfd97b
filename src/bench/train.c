/* A training run on a file: three ways to spend the same windows, judged by windows that none of them saw. */
#include "bench/train.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "ml/kernel/adamw.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "ml/pass.h"
#include "ml/update.h"
#include "util/file.h"
#include "util/mem.h"

const struct option_spec train_options[] = {
	{ "corpus", "<file>", "Text to train on; its last tenth is kept for validation.", "Training", NULL, 0 },
	{ "chainspec", "<file>", "Sizes and rates from a chain spec instead of -spec.", "Training", NULL, 0 },
	{ "mode", "<name>", "adamw, network or gradient.", "Training", "adamw", 0 },
	{ "steps", "<n>", "Minibatches in all, whatever the mode makes of them.", "Training", "300", 0 },
	{ "every", "<n>", "Minibatches between validations.", "Training", "50", 0 },
	{ "seed", "<n>", "What everything is drawn from.", "Training", "1", 0 },
	{ "decay", NULL, "Learning rate falls linearly to 0 (not for network, whose rate is the spec's).", "Training",
		NULL, 0 },
	{ "data", "<file>", "Network: a further dataset. Slot s trains on dataset s modulo their number.", "Training",
		NULL, OPTION_MULTI },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

enum { VALIDATION_ROWS = 128, DATASETS_MAX = 1 + UPDATE_SLOTS_MAX, FILE_MAX = 1 << 26, BLOCK_MAX = 1 << 30 };

enum mode { MODE_ADAMW, MODE_NETWORK, MODE_GRADIENT };

struct train_data {
	const uint8_t *data;
	size_t size;
};

struct training {
	struct spec spec;
	const struct backend_kind *kind;
	unsigned threads;
	enum mode mode;
	bool json, decays;
	int64_t seed, total, every;
	struct buf corpus, others[DATASETS_MAX - 1];
	struct train_data datasets[DATASETS_MAX];
	size_t dataset_count;
	uint8_t *validation;
	struct backend *backend; /* its model works for every mode */
	/* Since the last line: */
	double loss_sum;
	int64_t loss_count;
	/* In all: */
	int64_t done, next;
	int void_blocks;
};

/* === Draws === */

static void key_of(const struct training *t, const char *what, int64_t number, uint8_t key[32])
{
	char text[96];
	int length = snprintf(text, sizeof text, "atelier train %lld %s %lld", (long long)t->seed, what,
		(long long)number);

	sha256(key, (const uint8_t *)text, (size_t)length);
}

static size_t window_size(const struct training *t)
{
	return spec_course(&t->spec)->train.model.ctx + 1;
}

/* A step's windows, C * B of them; slot gets the slot that its seed draws. */
static void draw_step(const struct training *t, int64_t number, uint8_t seed[32], uint32_t *slot, uint8_t *windows)
{
	const struct train_config *train = &spec_course(&t->spec)->train;

	key_of(t, "step", number, seed);
	*slot = noise_slot(seed, t->spec.slots);
	const struct train_data *from = &t->datasets[*slot % t->dataset_count];

	noise_gather(seed, NOISE_WINDOW, (size_t)train->iterations * train->batch, from->data, from->size,
		train->model.ctx, windows);
}

/* === Measuring and telling === */

static void count_loss(void *context, uint32_t done, float loss)
{
	struct training *t = context;

	(void)done;
	t->loss_sum += (double)loss;
	t->loss_count++;
}

static void print_values(const struct training *t, const struct update_outcome *outcome)
{
	const char *separator = "";

	fputs(t->json ? ", \"values\": [" : "  values ", stdout);
	for (uint32_t i = 0; i < t->spec.slots; i++, separator = t->json ? ", " : " ") {
		if (outcome->is_void || outcome->slots[i].count == 0)
			printf("%s%s", separator, t->json ? "null" : "-");
		else
			printf("%s%.5f", separator, (double)outcome->slots[i].value / 4294967296.0);
	}
	fputs(t->json ? "]" : "", stdout);
}

/* A line if one is due. outcome: of a block of the network, else NULL. */
static bool report_loss(struct training *t, const float *theta, const struct update_outcome *outcome)
{
	static const char *const modes[] = { "adamw", "network", "gradient" };
	float loss;

	if (t->done < t->next && t->done < t->total)
		return true;
	t->next = t->done + t->every;
	if (!pass_loss(backend_cpu_model(t->backend), theta, t->validation, VALIDATION_ROWS, NULL, &loss))
		return false;
	printf(t->json ? "{\"measurement\": \"train\", \"chain\": \"%s\", \"engine\": \"%s\", \"mode\": \"%s\", "
			 "\"iterations\": %lld, \"loss\": %.5f, \"validation\": %.5f" :
			 "train    %-8s %-9s %-8s  iterations %lld  loss %.4f  validation %.4f",
		t->spec.name, t->kind->name, modes[t->mode], (long long)t->done, t->loss_sum / (double)t->loss_count,
		(double)loss);
	if (outcome != NULL) {
		printf(t->json ? ", \"void\": %d" : "  void %d", t->void_blocks);
		print_values(t, outcome);
	}
	puts(t->json ? "}" : "");
	fflush(stdout);
	t->loss_sum = 0;
	t->loss_count = 0;
	return true;
}

/* === AdamW without a network === */

struct optimiser {
	float *w, *m, *v, *gradient; /* [count] each */
	float powers[2];
};

/* As the step's own optimiser does it (ml/backend_cpu.c): gradients clipped to length 1, no decay for norms and
 * embedding. So the modes differ in nothing but how they spend windows. */
static void optimise_weights(const struct training *t, struct optimiser *o, unsigned iteration, float lr)
{
	const struct train_config *train = &spec_course(&t->spec)->train;
	float norm = sqrtf(math_dot16(o->gradient, o->gradient, model_count(&train->model)));
	struct adamw a = { .lr = lr, .gradient_scale = norm > 1.0f ? 1.0f / norm : 1.0f };

	adamw_corrections(iteration, o->powers, &a);
	for (size_t i = 0; i < model_tensors(&train->model); i++) {
		struct model_tensor part;

		model_tensor(&train->model, i, &part);
		a.wd = part.kind == MODEL_NORM || part.kind == MODEL_EMBEDDING ? 0.0f :
										 (float)train->wd_ppm / 1000000.0f;
		adamw_apply(&a, o->gradient + part.offset, part.rows * part.cols, o->w + part.offset,
			o->m + part.offset, o->v + part.offset);
	}
}

static float rate_at(const struct training *t)
{
	float lr = (float)spec_course(&t->spec)->train.lr_ppm / 1000000.0f;

	return t->decays ? lr * (1.0f - (float)t->done / (float)t->total) : lr;
}

/* Minibatches of `steps` times a step's windows, or of B windows if 0. */
static bool train_alone(struct training *t, struct optimiser *o, uint32_t steps)
{
	const struct train_config *train = &spec_course(&t->spec)->train;
	uint32_t gathered = steps > 0 ? steps : 1, parts = steps > 0 ? 1 : train->iterations;
	size_t rows = (size_t)gathered * train->iterations * train->batch / parts;
	uint8_t *windows = mem_alloc(gathered * step_windows_size(train)), seed[32];
	bool ok = true;
	float loss;

	for (unsigned iteration = 1; ok && t->done < t->total; iteration++) {
		uint32_t part = (iteration - 1) % parts, slot;

		for (uint32_t i = 0; part == 0 && i < gathered; i++)
			draw_step(t, t->done / train->iterations + i, seed, &slot,
				windows + i * step_windows_size(train));
		const struct pass_dither dither = { seed, (uint32_t)(part * rows) };

		ok = pass_gradient(backend_cpu_model(t->backend), o->w, windows + part * rows * window_size(t), rows,
			     dither, NULL, o->gradient, &loss) &&
			float_is_finite(loss);
		if (!ok)
			break;
		optimise_weights(t, o, iteration, rate_at(t));
		t->done += steps > 0 ? (int64_t)steps * train->iterations : 1;
		count_loss(t, 0, loss);
		ok = report_loss(t, o->w, NULL);
	}
	free(windows);
	return ok;
}

static bool run_alone(struct training *t, const struct state *initial)
{
	size_t count = model_count(&spec_course(&t->spec)->train.model), bytes = count * sizeof(float);
	struct optimiser o = {
		.w = mem_align(bytes),
		.m = mem_align(bytes),
		.v = mem_align(bytes),
		.gradient = mem_align(bytes),
	};

	memcpy(o.w, state_theta(initial), bytes);
	memset(o.m, 0, bytes);
	memset(o.v, 0, bytes);
	bool ok = train_alone(t, &o, t->mode == MODE_GRADIENT ? t->spec.k + 1 : 0);

	free(o.w);
	free(o.m);
	free(o.v);
	free(o.gradient);
	return ok;
}

/* === The network === */

struct network_block {
	struct update_proof *proofs; /* [k + 1], in deltas */
	uint8_t *deltas, *windows, *benchmark;
};

/* Its proofs from *state; then *state is the one after it. */
static bool run_block(struct training *t, int64_t number, struct network_block *b, struct state **state)
{
	const struct train_config *train = &spec_course(&t->spec)->train;
	uint32_t proofs = t->spec.k + 1;
	struct update_outcome outcome;
	uint8_t seed[32];
	size_t size;

	for (uint32_t i = 0; i < proofs; i++) {
		uint8_t *delta = b->deltas + i * step_delta_size(train);
		struct step_job job = {
			.state = *state,
			.seed = seed,
			.windows = b->windows,
			.progress = count_loss,
			.progress_context = t,
		};

		b->proofs[i].delta = delta;
		draw_step(t, number * proofs + i, seed, &b->proofs[i].slot, b->windows);
		if (backend_execute(t->backend, &job, delta) != STEP_OK)
			return false;
	}
	const uint8_t *benchmark = course_benchmark(spec_course(&t->spec), &size);

	key_of(t, "block", number, seed);
	noise_gather(seed, NOISE_BENCHMARK, train->bench_rows, benchmark, size, train->model.ctx, b->benchmark);
	struct update_job job = {
		.parent = *state,
		.benchmark = benchmark_new(t->backend, *state, b->benchmark, seed, NULL),
		.windows = b->benchmark,
		.proofs = b->proofs,
		.proof_count = proofs,
		.slots = t->spec.slots,
	};
	struct state *after = update_execute(t->backend, &job, &outcome);

	benchmark_unref(job.benchmark);
	state_unref(*state);
	*state = after;
	t->void_blocks += outcome.is_void;
	t->done += (int64_t)proofs * train->iterations;
	return report_loss(t, state_theta(after), &outcome);
}

/* *state is the initial one, and in the end the last. */
static bool run_network(struct training *t, struct state **state)
{
	const struct train_config *train = &spec_course(&t->spec)->train;
	struct network_block b = {
		.proofs = mem_calloc(t->spec.k + 1, sizeof *b.proofs),
		.deltas = mem_alloc((t->spec.k + 1) * step_delta_size(train)),
		.windows = mem_alloc(step_windows_size(train)),
		.benchmark = mem_alloc(train->bench_rows * window_size(t)),
	};
	bool ok = true;

	for (int64_t number = 0; ok && t->done < t->total; number++)
		ok = run_block(t, number, &b, state);
	free(b.proofs);
	free(b.deltas);
	free(b.windows);
	free(b.benchmark);
	return ok;
}

/* === Setting up === */

static bool read_mode(struct training *t, const char *name, struct errmsg *err)
{
	static const char *const names[] = { "adamw", "network", "gradient" };

	for (enum mode mode = MODE_ADAMW; mode <= MODE_GRADIENT; mode++) {
		t->mode = mode;
		if (strcmp(name, names[mode]) == 0)
			return true;
	}
	return errmsg_set(err, "-mode is adamw, network or gradient, not %.40s", name);
}

static bool read_spec(struct training *t, const struct options *o, struct errmsg *err)
{
	const char *path = options_string(o, "chainspec"), *name = options_string(o, "spec");
	char *corpus_path = NULL;
	struct buf text;

	if (path == NULL)
		return (name != NULL && spec_builtin(&t->spec, name)) ||
			errmsg_set(err, "-spec is regtest, test or main");
	buf_init(&text);
	bool ok = file_read(path, SPEC_TEXT_MAX, &text, err) &&
		spec_parse(&t->spec, (const char *)text.data, text.size, &corpus_path, err);

	free(corpus_path);
	buf_clear(&text);
	return ok;
}

/* Nine tenths become the spec's corpus, the last one the windows to validate on. */
static bool read_corpus(struct training *t, const char *path, struct errmsg *err)
{
	/* Not from -seed: runs with other seeds are judged by the same windows. */
	static const uint8_t fixed[32] = { 0 };
	uint32_t ctx = spec_course(&t->spec)->train.model.ctx;

	if (path == NULL)
		return errmsg_set(err, "train needs -corpus=<file>");
	if (!file_read(path, SPEC_CORPUS_MAX, &t->corpus, err))
		return false;
	size_t training = t->corpus.size / 10 * 9, rest = t->corpus.size - training;

	if (rest < ctx)
		return errmsg_set(err, "%s is too small", path);
	spec_set_corpus(&t->spec, t->corpus.data, training);
	if (!spec_finish(&t->spec, err))
		return false;
	if ((t->spec.k + 1) * step_windows_size(&spec_course(&t->spec)->train) > BLOCK_MAX)
		return errmsg_set(err, "a block's windows would take more than %d bytes", BLOCK_MAX);
	t->validation = mem_alloc(VALIDATION_ROWS * window_size(t));
	noise_gather(fixed, NOISE_BENCHMARK, VALIDATION_ROWS, t->corpus.data + training, rest, ctx, t->validation);
	t->datasets[0].data = course_training(spec_course(&t->spec), &t->datasets[0].size);
	t->dataset_count = 1;
	return true;
}

static bool read_others(struct training *t, const struct options *o, struct errmsg *err)
{
	for (size_t i = 0; i < options_count(o, "data"); i++) {
		const char *path = options_value(o, "data", i);

		if (i == DATASETS_MAX - 1)
			return errmsg_set(err, "-data may be given %d times", DATASETS_MAX - 1);
		if (!file_read(path, FILE_MAX, &t->others[i], err))
			return false;
		if (t->others[i].size < spec_course(&t->spec)->train.model.ctx)
			return errmsg_set(err, "%s is too small", path);
		t->datasets[t->dataset_count++] = (struct train_data){ t->others[i].data, t->others[i].size };
	}
	return t->mode == MODE_NETWORK || t->dataset_count == 1 || errmsg_set(err, "-data needs -mode=network");
}

static bool set_up(struct training *t, const struct options *o, struct errmsg *err)
{
	t->json = options_bool(o, "json");
	t->decays = options_bool(o, "decay");
	return read_mode(t, options_string(o, "mode"), err) && options_int(o, "steps", 1, 1 << 30, &t->total, err) &&
		options_int(o, "every", 1, 1 << 30, &t->every, err) &&
		options_int(o, "seed", 0, 1 << 30, &t->seed, err) &&
		(!(t->decays && t->mode == MODE_NETWORK) || errmsg_set(err, "-decay is not for -mode=network")) &&
		read_spec(t, o, err) && read_corpus(t, options_string(o, "corpus"), err) && read_others(t, o, err);
}

static bool run_training(struct training *t)
{
	uint8_t key[32];

	/* As a node's workers do: what a library left of rounding modes must not reach the numbers. */
	fesetenv(FE_DFL_ENV);
	key_of(t, "initial", 0, key);
	struct state *state = state_new_initial(&spec_course(&t->spec)->train.model, key);

	t->next = t->every;
	t->backend = backend_new(t->kind, &spec_course(&t->spec)->train, t->threads);
	bool ok = t->mode == MODE_NETWORK ? run_network(t, &state) : run_alone(t, state);

	backend_free(t->backend);
	state_unref(state);
	return ok;
}

bool train_run(const struct options *o, const struct backend_kind *kind, unsigned threads, struct errmsg *err)
{
	struct training *t = mem_calloc(1, sizeof *t);

	t->kind = kind;
	t->threads = threads;
	bool ok = set_up(t, o, err) && (run_training(t) || errmsg_set(err, "An iteration has no result."));

	spec_clear(&t->spec);
	buf_clear(&t->corpus);
	for (size_t i = 0; i < DATASETS_MAX - 1; i++)
		buf_clear(&t->others[i]);
	free(t->validation);
	free(t);
	return ok;
}
