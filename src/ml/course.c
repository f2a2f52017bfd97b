/* The limits of a course's sizes and rates, and the windows that its seeds and tickets draw. */
#include "ml/course.h"

#include "ml/kernel/noise.h"

enum { COURSE_ITERATIONS_MAX = 1024, COURSE_ROWS_MAX = 1024, COURSE_PPM_LIMIT = 1 << 24 };

/* With these bounds a step has 2^30 tokens at most, so that no two have one number in the dither (noise_dither); and
 * rates below 2^24 are exact as floats. */
const char *course_check(const struct train_config *train)
{
	const char *wrong = model_config_check(&train->model);

	if (wrong != NULL)
		return wrong;
	if (train->iterations < 1 || train->iterations > COURSE_ITERATIONS_MAX)
		return "iterations must be 1 to 1024";
	if (train->batch < 1 || train->batch > COURSE_ROWS_MAX)
		return "batch must be 1 to 1024";
	if (train->bench_rows < 1 || train->bench_rows > COURSE_ROWS_MAX)
		return "bench_rows must be 1 to 1024";
	if (train->lr_ppm < 1)
		return "lr_ppm must be 1 at least: nothing would be learned";
	if (train->lr_ppm >= COURSE_PPM_LIMIT || train->wd_ppm >= COURSE_PPM_LIMIT ||
		train->mu_ppm >= COURSE_PPM_LIMIT || train->eta_ppm >= COURSE_PPM_LIMIT ||
		train->gate_ppm >= COURSE_PPM_LIMIT)
		return "rates must be below 2^24 parts per million";
	return NULL;
}

const uint8_t *course_training(const struct course *course, size_t *size)
{
	*size = course->corpus_size - course->bench_bytes;
	return course->corpus;
}

const uint8_t *course_benchmark(const struct course *course, size_t *size)
{
	*size = course->bench_bytes;
	return course->corpus + course->corpus_size - course->bench_bytes;
}

void course_gather_step(const struct course *course, const uint8_t seed[32], const uint8_t *data, size_t size,
	uint8_t *out)
{
	const struct train_config *train = &course->train;

	noise_gather(seed, NOISE_WINDOW, (size_t)train->iterations * train->batch, data, size, train->model.ctx, out);
}

size_t course_benchmark_size(const struct course *course)
{
	return (size_t)course->train.bench_rows * (course->train.model.ctx + 1);
}

void course_gather_benchmark(const struct course *course, const uint8_t ticket[32], uint8_t *out)
{
	size_t size;
	const uint8_t *benchmark = course_benchmark(course, &size);

	noise_gather(ticket, NOISE_BENCHMARK, course->train.bench_rows, benchmark, size, course->train.model.ctx, out);
}
