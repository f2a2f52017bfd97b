/* What rounds cost on a machine: a run of one's own, the audits of a round that everybody does, and beside them the
 * proofs of its blocks. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "ml/delta.h"
#include "ml/run.h"
#include "util/mem.h"

/* Of a segment: one of main's takes a minute, and what is no iteration of it is a hundredth. */
enum { BENCH_ROUND_ITERATIONS = 4 };

/* The chain's course, with segments that are short enough to be measured. */
static struct course bench_round_course(const struct spec *spec)
{
	struct course course = *spec_course(spec);

	if (course.train.segment > BENCH_ROUND_ITERATIONS)
		course.train.segment = BENCH_ROUND_ITERATIONS;
	return course;
}

/* Segments of a run, each from what the one before gave: all but the first start from weights that are not the base's.
 */
static bool bench_run_segments(struct bench *bench, const struct course *course, struct backend *backend,
	const struct state *base, struct timing *segment_times)
{
	const struct train_config *train = &course->train;
	uint8_t *start = mem_alloc(run_code_size(train)), *code = mem_alloc(run_code_size(train));
	uint8_t *windows = mem_alloc(run_windows_size(train)), run_of[32], segment_seed[32];
	size_t size;
	const uint8_t *training = course_training(course, &size);
	const struct course_data data = course_data_in_memory(training, size);
	bool ok = true;

	bench_seed(&bench->spec, run_of);
	run_start(train, start);
	/* The first finds cold memory and does not count. */
	for (size_t i = 0; ok && i <= bench->rounds; i++) {
		struct run_segment segment = { .base = base,
			.segment_seed = segment_seed,
			.start = start,
			.windows = windows };

		run_segment_seed(run_of, (uint32_t)(i % train->segments), segment_seed);
		ok = run_gather(course, segment_seed, &data, windows);
		timing_start(segment_times);
		ok = ok && run_execute(backend, &segment, code) == STEP_OK;
		timing_stop(segment_times);
		if (i == 0)
			timing_reset(segment_times);
		memcpy(start, code, run_code_size(train));
	}
	free(start);
	free(code);
	free(windows);
	return ok;
}

/* What a merge does for each run: the loss of the base changed by it. */
static bool bench_run_gate(struct bench *bench, struct backend *backend, const struct state *base,
	struct timing *gate_times)
{
	const struct course *course = spec_course(&bench->spec);
	uint8_t *benchmark = mem_alloc(course_benchmark_size(course));
	const struct backend_batch batch = { .state = base, .windows = benchmark, .rows = course->train.bench_rows };
	bool ok = true;
	float loss;

	course_gather_benchmark(course, bench->spec.genesis_ticket, benchmark);
	for (size_t i = 0; ok && i <= bench->rounds; i++) {
		timing_start(gate_times);
		ok = backend_loss(backend, &batch, &loss);
		timing_stop(gate_times);
		if (i == 0)
			timing_reset(gate_times);
	}
	free(benchmark);
	return ok;
}

/* Iterations that a validator computes for a block with a proof in every slot: steps, and gradients of the reserved
 * text and of own pages, before the update and after it. */
static double bench_round_block_iterations(const struct spec *spec)
{
	const struct train_config *train = &spec_course(spec)->train;

	return (spec->k + 1.0) * train->iterations + 2.0 * (1 + spec->slots) * train->bench_rows / train->batch;
}

/* How much of a machine that has two cores a validator needs, and of one core a miner. */
static void bench_round_shares(struct bench *bench, double iteration_s, double run_s, double audits_s)
{
	const struct spec *spec = &bench->spec;
	const double round_s = (double)spec->round_blocks * spec->spacing;
	const double proofs_s = iteration_s * bench_round_block_iterations(spec);

	line_add(&bench->line, "run_part_of_round", run_s / round_s);
	line_add(&bench->line, "run_part_of_work", run_s / ((double)spec->round_work * spec->spacing));
	line_add(&bench->line, "audits_part_of_round", audits_s / round_s);
	line_add(&bench->line, "proofs_part_of_spacing", proofs_s / spec->spacing);
	line_add(&bench->line, "validating_part_of_two_cores", (audits_s / round_s + proofs_s / spec->spacing) / 2);
}

static void bench_round_line(struct bench *bench, const struct course *measured, struct timing *segment_times,
	struct timing *gate_times)
{
	const struct spec *spec = &bench->spec;
	const struct train_config *train = &spec_course(spec)->train;
	const double iteration = timing_median(segment_times) / measured->train.segment;
	const double segment = iteration * spec->segment, run = segment * spec->segments;
	const double audits = (segment + timing_median(gate_times)) * spec->round_blocks;
	const double disclosed = 32.0 * spec->segments + 2.0 * (double)run_code_size(train);

	line_begin(&bench->line, "round", bench->chain, bench->kind->name);
	line_add_times(&bench->line, segment_times);
	line_add(&bench->line, "measured_iterations", measured->train.segment);
	line_add(&bench->line, "segments", spec->segments);
	line_add(&bench->line, "segment", spec->segment);
	line_add(&bench->line, "run_s", run);
	line_add(&bench->line, "audits_s", audits);
	if (spec->spacing > 0)
		bench_round_shares(bench, iteration, run, audits);
	line_add(&bench->line, "disclosed_bytes", disclosed);
	line_add(&bench->line, "round_bytes", disclosed * spec->round_blocks);
	line_add(&bench->line, "trace_bytes", (double)(run_code_size(train) + 32) * spec->segments);
	line_end(&bench->line);
}

bool bench_round(struct bench *bench)
{
	const struct course measured = bench_round_course(&bench->spec);
	struct timing *round_times;
	struct backend *backend;
	struct state *base;
	bool ok;

	if (bench->spec.round_blocks == 0) {
		line_begin(&bench->line, "round", bench->chain, bench->kind->name);
		line_add_text(&bench->line, "rounds", "none");
		line_end(&bench->line);
		return true;
	}
	round_times = mem_calloc(2, sizeof *round_times);
	backend = backend_new(bench->kind, &measured.train, bench->threads);
	base = spec_initial_state(&bench->spec);
	ok = bench_run_segments(bench, &measured, backend, base, &round_times[0]) &&
		bench_run_gate(bench, backend, base, &round_times[1]);
	if (ok)
		bench_round_line(bench, &measured, &round_times[0], &round_times[1]);
	state_unref(base);
	backend_free(backend);
	free(round_times);
	return ok;
}
