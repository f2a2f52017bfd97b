/* Runs: what a segment starts from, is trained on, and may give. */
#include "ml/run.h"

#include <string.h>

#include "crypto/hash.h"
#include "ml/delta.h"
#include "ml/kernel/noise.h"
#include "util/bytes.h"

/* What a code of exponent 0 holds, in millionths (section 20). */
enum { RUN_LARGEST = 126000000 };

/* A segment's first loss is at most so many times the base's on the same batch, and so much. */
#define RUN_LOSS_FACTOR 1.0625f
#define RUN_LOSS_SLACK 0.0625f

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

/* The most that a segment may lose on its first batch. Weights that predict much worse than the base's can be chosen
 * such that what training does to them is known without doing it: nothing, where each gradient drowns. Whoever forged
 * one code like that would have all later segments for free, and be found in one of them. */
static enum step_result run_first_loss_max(struct backend *backend, const struct run_segment *segment, float *most)
{
	const struct backend_batch batch = { .state = segment->base,
		.windows = segment->windows,
		.rows = backend->config.batch,
		.cancel = segment->cancel };
	bool ok, is_wrong;

	backend_check(backend, segment->checked);
	ok = backend_loss(backend, &batch, most);
	is_wrong = backend_wrong(backend);
	backend_check(backend, false);
	*most = RUN_LOSS_FACTOR * *most + RUN_LOSS_SLACK;
	if (segment->cancel != NULL && atomic_load(segment->cancel))
		return STEP_CANCELLED;
	if (is_wrong)
		return STEP_MISCALCULATED;
	/* Not a number fails too. */
	return ok && *most > 0 ? STEP_OK : STEP_FAILED;
}

enum step_result run_execute(struct backend *backend, const struct run_segment *segment, uint8_t *code)
{
	struct step_job job = {
		.state = segment->base,
		.start = segment->start,
		.iterations = backend->config.segment,
		.seed = segment->segment_seed,
		.windows = segment->windows,
		.checked = segment->checked,
		.cancel = segment->cancel,
		.iterations_done = segment->iterations_done,
		.progress = segment->progress,
		.progress_context = segment->progress_context,
	};
	enum step_result result = run_first_loss_max(backend, segment, &job.first_loss_max);

	if (result == STEP_OK)
		result = backend_execute(backend, &job, code);
	return result == STEP_OK && !run_code_check(&backend->config, code, run_code_size(&backend->config)) ?
		STEP_FAILED :
		result;
}
