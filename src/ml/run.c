/* Runs: what a segment starts from, is trained on, and may give. */
#include "ml/run.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "ml/delta.h"
#include "ml/kernel/noise.h"
#include "ml/workspace.h"
#include "util/bytes.h"
#include "util/mem.h"

/* What a code of exponent 0 holds, in millionths (section 20). */
enum { RUN_LARGEST = 126000000 };

/* A segment's first loss is at most so many times the base's on the same batch, and so much. */
#define RUN_LOSS_FACTOR 1.0625f
#define RUN_LOSS_SLACK 0.0625f

/* Of the base's work there are RUN_WORK / RUN_WORK_OF at least. An operand's grids are 2^RUN_BELOW times smaller than
 * at the base at most, on average, or 2^RUN_ABOVE times larger; those of what a matrix multiplies 2^RUN_ABOVE_X times:
 * what a gated unit gives grows by both of its factors. */
enum { RUN_WORK = 5, RUN_WORK_OF = 6, RUN_BELOW = 4, RUN_ABOVE = 4, RUN_ABOVE_X = 8 };

/* Of all queries, one in so many may be sharp beyond those at the base. */
enum { RUN_SHARP_OF = 4 };

size_t run_code_size(const struct train_config *config)
{
	return delta_size(model_count(&config->model));
}

size_t run_windows_size(const struct train_config *config)
{
	return (size_t)config->segment * config->batch * (config->model.ctx + 1);
}

/* The bound is halved as long as it still holds what a run moves: doubling that instead loses no bit. course_check
 * keeps it at RUN_LARGEST at most, so nothing overflows. */
int run_exponent_max(const struct train_config *config)
{
	uint64_t moved = UINT64_C(4) * config->lr_ppm * config->segment * config->segments;
	int exponent = 0;

	for (; exponent > DELTA_EXPONENT_MIN && 2 * moved <= RUN_LARGEST; exponent--)
		moved = 2 * moved;
	return exponent;
}

void run_seed(const uint8_t ticket[32], const uint8_t seat_id[32], uint8_t run_seed[32])
{
	static const char tag[] = "atelier run";
	struct sha256 hash;

	sha256_init(&hash);
	sha256_update(&hash, tag, sizeof tag - 1);
	sha256_update(&hash, ticket, 32);
	sha256_update(&hash, seat_id, 32);
	sha256_final(&hash, run_seed);
}

void run_segment_seed(const uint8_t run_seed[32], uint32_t segment, uint8_t segment_seed[32])
{
	uint8_t bytes[36];

	memcpy(bytes, run_seed, 32);
	write_le32(bytes + 32, segment);
	sha256(segment_seed, bytes, sizeof bytes);
}

void run_start(const struct train_config *config, uint8_t *code)
{
	const size_t size = run_code_size(config);

	memset(code, 0, size);
	for (size_t at = 0; at < size; at += DELTA_BLOCK_SIZE)
		code[at] = (uint8_t)(int8_t)DELTA_EXPONENT_MIN;
}

bool run_code_check(const struct train_config *config, const uint8_t *code, size_t size)
{
	const int largest = run_exponent_max(config);

	if (!delta_check(code, size, model_count(&config->model)))
		return false;
	for (size_t at = 0; at < size; at += DELTA_BLOCK_SIZE)
		if ((int8_t)code[at] > largest)
			return false;
	return true;
}

/* One draw a window gives its prefix and its place: who seeks a good seed would have to seek a block. Below 2^20
 * windows, so no two draws of a key have one index (course_check). */
bool run_gather(const struct course *course, const uint8_t segment_seed[32], const struct course_data *data,
	uint8_t *windows)
{
	const uint32_t count = course->train.segment * course->train.batch;
	const uint64_t places = course_places(course, data);

	for (uint32_t i = 0; i < count; i++, windows += course->train.model.ctx + 1) {
		struct noise_window window;

		noise_window(segment_seed, NOISE_WINDOW, i, places, &window);
		if (!course_read_window(course, data, &window, windows))
			return false;
	}
	return true;
}

/* What a segment's first batch does at the base, and at its start. Weights can be chosen such that what training does
 * to them is known for little work, or none: layers that see nothing and give nothing, gradients that drown. Whoever
 * forged one code like that would have all later segments for as little, and be found in one of them. So a start has to
 * predict as well as the base, nearly, and to keep all products as busy. */
struct run_beginning {
	struct backend *backend;
	float most; /* of the loss */
	struct census_matrix *base, *start;
};

static struct run_beginning run_beginning_new(struct backend *backend)
{
	const size_t matrices = model_matrices(&backend->config.model);

	return (struct run_beginning){ .backend = backend,
		.base = mem_calloc(matrices, sizeof(struct census_matrix)),
		.start = mem_calloc(matrices, sizeof(struct census_matrix)) };
}

static void run_beginning_free(struct run_beginning *beginning)
{
	free(beginning->base);
	free(beginning->start);
}

static enum step_result run_measure_base(struct run_beginning *beginning, const struct run_segment *segment)
{
	struct backend *backend = beginning->backend;
	const struct backend_batch batch = { .state = segment->base,
		.windows = segment->windows,
		.rows = backend->config.batch,
		.census = beginning->base,
		.cancel = segment->cancel };
	float loss;
	bool ok, is_wrong;

	backend_check(backend, segment->checked);
	ok = backend_loss(backend, &batch, &loss);
	is_wrong = backend_wrong(backend);
	backend_check(backend, false);
	beginning->most = RUN_LOSS_FACTOR * loss + RUN_LOSS_SLACK;
	if (segment->cancel != NULL && atomic_load(segment->cancel))
		return STEP_CANCELLED;
	if (is_wrong)
		return STEP_MISCALCULATED;
	/* Not a number fails too. */
	return ok && beginning->most > 0 ? STEP_OK : STEP_FAILED;
}

/* The multiplications of an iteration that values which are seen take part in: a value of X in one for each row of W, a
 * value of W in one for each token. There are less than 2^25 parameters where there are runs, and 2^30 tokens at most:
 * six times the sum of the three is below 2^60. */
int64_t run_work(const struct train_config *config, struct census_matrix *census)
{
	const int64_t tokens = (int64_t)config->batch * config->model.ctx;
	int64_t work = 0;

	for (size_t i = 0; i < model_matrices(&config->model); i++)
		work += census[i].of[CENSUS_X].seen * (int64_t)model_matrix(&config->model, i).out +
			(census[i].of[CENSUS_ROWS].seen + census[i].of[CENSUS_COLUMNS].seen) * tokens;
	return work;
}

static bool run_is_level(const struct census *base, const struct census *start, int above)
{
	const int64_t difference = start->level - base->level;

	return difference <= above * base->parts && -difference <= RUN_BELOW * base->parts;
}

/* How many queries see one key alone. Where all do the layers may be functions of one byte, computed once for all its
 * tokens; and attention has no gradient by which that would end. */
static int64_t run_sharp(const struct train_config *config, struct census_matrix *census)
{
	int64_t sharp = 0;

	for (size_t i = 0; i < model_matrices(&config->model); i++)
		sharp += census[i].sharp;
	return sharp;
}

static bool run_begins(void *context, float loss)
{
	const struct run_beginning *beginning = context;
	const struct train_config *config = &beginning->backend->config;
	const int64_t queries = (int64_t)config->batch * config->model.ctx * config->model.heads * config->model.layers;

	if (!(loss <= beginning->most) ||
		RUN_SHARP_OF * (run_sharp(config, beginning->start) - run_sharp(config, beginning->base)) > queries ||
		RUN_WORK_OF * run_work(config, beginning->start) < RUN_WORK * run_work(config, beginning->base))
		return false;
	for (size_t i = 0; i < model_matrices(&config->model); i++)
		for (size_t j = 0; j < CENSUS_OPERANDS; j++)
			if (!run_is_level(&beginning->base[i].of[j], &beginning->start[i].of[j],
				    j == CENSUS_X ? RUN_ABOVE_X : RUN_ABOVE))
				return false;
	return true;
}

enum step_result run_execute(struct backend *backend, const struct run_segment *segment, uint8_t *code)
{
	struct run_beginning beginning = run_beginning_new(backend);
	const struct step_job job = {
		.state = segment->base,
		.start = segment->start,
		.iterations = backend->config.segment,
		.seed = segment->segment_seed,
		.windows = segment->windows,
		.census = beginning.start,
		.begins = run_begins,
		.begins_context = &beginning,
		.checked = segment->checked,
		.cancel = segment->cancel,
		.iterations_done = segment->iterations_done,
		.progress = segment->progress,
		.progress_context = segment->progress_context,
	};
	enum step_result result = run_measure_base(&beginning, segment);

	if (result == STEP_OK)
		result = backend_execute(backend, &job, code);
	run_beginning_free(&beginning);
	return result == STEP_OK && !run_code_check(&backend->config, code, run_code_size(&backend->config)) ?
		STEP_FAILED :
		result;
}
