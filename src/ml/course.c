/* The limits of a course's sizes and rates, and the windows that its seeds and tickets draw. */
#include "ml/course.h"

#include <string.h>

#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"
#include "ml/kernel/ops.h"
#include "util/mem.h"

enum { COURSE_ITERATIONS_MAX = 1024, COURSE_ROWS_MAX = 1024, COURSE_PPM_LIMIT = 1 << 24 };

/* A slot's own group has this part of the benchmark's rows. */
enum { COURSE_OWN_PART = 8 };

/* Offsets of a group of windows. */
enum { COURSE_GROUP = COURSE_ITERATIONS_MAX * COURSE_ROWS_MAX };

/* Segments of a run, iterations of one; and what a delta code can hold, in millionths. */
enum { COURSE_SEGMENTS_MAX = 1024, COURSE_MOVED_MAX = 126000000 };

/* The exponent that bounds a run's codes (run_exponent_max) exists, and no two windows of a segment have one number. */
static const char *course_check_runs(const struct train_config *train)
{
	if (train->segments < 1 || train->segments > COURSE_SEGMENTS_MAX || train->segment < 1 ||
		train->segment > COURSE_SEGMENTS_MAX)
		return "segments and segment must be 1 to 1024";
	if ((uint64_t)train->batch * train->segment > COURSE_GROUP)
		return "batch * segment must be 2^20 at most";
	if (UINT64_C(4) * train->lr_ppm * train->segment * train->segments > COURSE_MOVED_MAX)
		return "4 * lr_ppm * segment * segments must be 126000000 at most: a run could not be encoded";
	return NULL;
}

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
		train->eta_ppm >= COURSE_PPM_LIMIT || train->gate_ppm >= COURSE_PPM_LIMIT)
		return "rates must be below 2^24 parts per million";
	/* Void blocks multiply the momentum by it, as many as there are. */
	if (train->mu_ppm > 1000000)
		return "mu_ppm must be 1000000 at most";
	return train->segments > 0 || train->segment > 0 ? course_check_runs(train) : NULL;
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

/* --- datasets --- */

static bool course_read_memory(const void *context, uint64_t offset, uint8_t *out, size_t count)
{
	memcpy(out, (const uint8_t *)context + offset, count);
	return true;
}

struct course_data course_data_in_memory(const uint8_t *bytes, size_t size)
{
	return (struct course_data){ .size = size, .read = course_read_memory, .context = bytes };
}

uint64_t course_pages(uint64_t size)
{
	return size / COURSE_CHUNK;
}

/* --- what is trained on --- */

/* All bytes but the own pages: pieces of COURSE_CHUNK - COURSE_PAGE bytes and a rest behind them. */
uint64_t course_places(const struct course *course, const struct course_data *data)
{
	return data->size - COURSE_PAGE * course_pages(data->size) - (course->train.model.ctx - 7) + 1;
}

/* Where `span` bytes begin that touch no own page. Near the end of a piece the span is moved back into it. */
static uint64_t course_offset(uint64_t place, uint64_t size, uint32_t span)
{
	const uint64_t piece = COURSE_CHUNK - COURSE_PAGE, pages = course_pages(size), in_piece = place % piece;

	if (place / piece >= pages)
		return place + COURSE_PAGE * pages;
	return COURSE_CHUNK * (place / piece) + (in_piece < piece - span ? in_piece : piece - span);
}

/* A window's first `prefix` bytes are drawn, the others are read from the offset. */
bool course_read_window(const struct course *course, const struct course_data *data, const struct noise_window *window,
	uint8_t *out)
{
	const uint32_t span = course->train.model.ctx - 7;

	memcpy(out, window->prefix, sizeof window->prefix);
	return data->read(data->context, course_offset(window->place, data->size, span), out + sizeof window->prefix,
		span);
}

/* --- steps --- */

/* The ticket draws offsets, which nobody chooses: each slot has NOISE_GROUPS sets of them a block, whatever nonces are
 * tried. They are each slot's own, so that a dataset drawn for two is not trained on the same windows twice. The seed
 * draws prefixes, which make windows of one offset differ: what was computed for one seed is of no use for the next. A
 * group has 2^20 indices, and a step no more windows (course_check). */
bool course_gather_step(const struct course *course, const uint8_t ticket[32], const uint8_t seed[32], uint32_t slot,
	const struct course_data *data, uint8_t *out)
{
	const uint32_t ctx = course->train.model.ctx, count = course->train.iterations * course->train.batch,
		       first = (NOISE_GROUPS * slot + noise_group(seed)) * COURSE_GROUP;

	for (uint32_t i = 0; i < count; i++, out += ctx + 1) {
		struct noise_window window;

		noise_window(seed, NOISE_WINDOW, i, 0, &window);
		window.place = noise_uniform(ticket, NOISE_OFFSET, first + i, course_places(course, data));
		if (!course_read_window(course, data, &window, out))
			return false;
	}
	return true;
}

/* --- the benchmark --- */

uint32_t course_own_rows(const struct train_config *train)
{
	return train->bench_rows < COURSE_OWN_PART ? 1 : train->bench_rows / COURSE_OWN_PART;
}

/* Where the page begins that holds place r of the own pages' bytes, and where in it a window of that place does: near
 * the end it is moved back into it. */
static uint64_t course_own_page(const struct noise_window *window)
{
	return COURSE_CHUNK * (window->place / COURSE_PAGE) + COURSE_CHUNK - COURSE_PAGE;
}

static uint64_t course_own_start(const struct noise_window *window, uint32_t span)
{
	const uint64_t in_page = window->place % COURSE_PAGE;

	return in_page < COURSE_PAGE - span ? in_page : COURSE_PAGE - span;
}

/* The page is read whole: what its bytes alone tell is what the model has to know better. */
static bool course_read_own(const struct course_data *data, const struct noise_window *window, uint32_t span,
	uint8_t *out, float *entropy)
{
	uint8_t page[COURSE_PAGE];

	if (!data->read(data->context, course_own_page(window), page, sizeof page))
		return false;
	memcpy(out, window->prefix, sizeof window->prefix);
	memcpy(out + sizeof window->prefix, page + course_own_start(window, span), span);
	*entropy = ops_entropy(page, sizeof page);
	return true;
}

/* Each slot has indices of its own behind those of the benchmark's windows (bench_rows is below 2^16). */
bool course_gather_own(const struct course *course, const uint8_t ticket[32], uint32_t slot,
	const struct course_data *data, struct course_own *own)
{
	const uint32_t ctx = course->train.model.ctx, rows = course_own_rows(&course->train);
	const uint64_t pages = course_pages(data->size);
	float sum = 0.0f;

	if (pages == 0 || own->windows != NULL)
		return true;
	own->windows = mem_alloc(rows * (ctx + (size_t)1));
	for (uint32_t row = 0; row < rows; row++) {
		struct noise_window window;
		float of_page;

		noise_window(ticket, NOISE_BENCHMARK, ((slot + 1) << 16) + row, COURSE_PAGE * pages, &window);
		if (!course_read_own(data, &window, ctx - 7, own->windows + row * (ctx + (size_t)1), &of_page))
			return false;
		sum = sum + of_page;
	}
	own->entropy = sum / (float)rows;
	return true;
}

size_t course_benchmark_size(const struct course *course)
{
	return (size_t)course->train.bench_rows * (course->train.model.ctx + 1);
}

static void course_gather_reserved(const struct course *course, const uint8_t ticket[32], size_t rows, uint8_t *out)
{
	size_t size;
	const uint8_t *benchmark = course_benchmark(course, &size);

	noise_gather(ticket, NOISE_BENCHMARK, rows, benchmark, size, course->train.model.ctx, out);
}

void course_gather_benchmark(const struct course *course, const uint8_t ticket[32], uint8_t *out)
{
	course_gather_reserved(course, ticket, course->train.bench_rows, out);
}

size_t course_merge_size(const struct course *course)
{
	return COURSE_MERGE_ROWS * course_benchmark_size(course);
}

/* A row's windows follow from its number alone: the first of these are the benchmark's. */
void course_gather_merge(const struct course *course, const uint8_t ticket[32], uint8_t *out)
{
	course_gather_reserved(course, ticket, (size_t)COURSE_MERGE_ROWS * course->train.bench_rows, out);
}

/* The parent draws no run, and its ticket no windows of steps: there the seed does. */
uint32_t course_own_seat(const uint8_t ticket[32], uint32_t row, uint32_t seats)
{
	return (uint32_t)noise_uniform(ticket, NOISE_RUN, row, seats);
}

bool course_gather_own_row(const struct course *course, const uint8_t ticket[32], uint32_t row,
	const struct course_data *data, uint8_t *out)
{
	const uint32_t span = course->train.model.ctx - 7;
	const uint64_t pages = course_pages(data->size);
	struct noise_window window;

	if (pages == 0)
		return true;
	noise_window(ticket, NOISE_WINDOW, row, COURSE_PAGE * pages, &window);
	memcpy(out, window.prefix, sizeof window.prefix);
	return data->read(data->context, course_own_page(&window) + course_own_start(&window, span),
		out + sizeof window.prefix, span);
}
