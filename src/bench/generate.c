/* Text: bytes a second that texts side by side come to, exact and with plain sgemm in turns. */
#include "ml/text/generate.h"

#include <stdlib.h>

#include "bench/bench.h"
#include "ml/backend_cpu.h"
#include "util/mem.h"

/* Written of each text while it is measured, behind a prompt of half a context. */
enum { GENERATE_BYTES = 16 };

static void generate_time(struct decoder *decoder, const struct bench *bench, size_t text_count, struct timing *times)
{
	struct generate_text *texts[DECODER_BYTES];
	const size_t prompt_size = spec_course(&bench->spec)->train.model.ctx / 2;

	for (size_t i = 0; i < text_count; i++) {
		const struct generate_order order = { .prompt = spec_course(&bench->spec)->corpus + i * prompt_size,
			.prompt_size = prompt_size,
			.options = { .temperature = PICK_PPM, .seed = i },
			.count = 1 + GENERATE_BYTES };

		texts[i] = generate_text_new(&spec_course(&bench->spec)->train.model, &order);
		while (generate_text_size(texts[i]) == 0)
			generate_advance(decoder, &texts[i], 1, NULL);
	}
	timing_start(times);
	for (size_t i = 0; i < GENERATE_BYTES; i++)
		generate_advance(decoder, texts, text_count, NULL);
	timing_stop(times);
	for (size_t i = 0; i < text_count; i++)
		generate_text_free(texts[i]);
}

/* Reading is what a prompt costs, and following a text that is given. */
static void generate_time_reading(struct decoder *decoder, const struct bench *bench, struct timing *times)
{
	const struct generate_order order = { .prompt = spec_course(&bench->spec)->corpus,
		.prompt_size = spec_course(&bench->spec)->train.model.ctx,
		.count = 1 };
	enum generate_status status;

	timing_start(times);
	generate_alone(decoder, &order, NULL, &status);
	timing_stop(times);
}

static void generate_report(struct bench *bench, const char *name, size_t texts, size_t bytes, struct timing times[2])
{
	line_begin(&bench->line, name, bench->chain,
		backend_cpu(decoder_engine(backend_cpu_engine(bench->kind)))->name);
	line_add(&bench->line, "texts", (double)texts);
	line_add_times(&bench->line, &times[0]);
	line_add(&bench->line, "bytes_a_second", (double)bytes / timing_best(&times[0]));
	line_add_ratio(&bench->line, "ratio", &times[0], &times[1]);
	line_end(&bench->line);
}

bool bench_generate(struct bench *bench)
{
	static const size_t text_counts[] = { 1, 8, 64 };
	struct timing *times = mem_calloc(2, sizeof *times);
	struct state *start = spec_initial_state(&bench->spec);
	const enum engine engine = decoder_engine(backend_cpu_engine(bench->kind));
	struct decoder *decoders[2] = { decoder_new(&spec_course(&bench->spec)->train, start, engine),
		decoder_new(&spec_course(&bench->spec)->train, start, ENGINE_PLAIN) };
	const bool ok = decoders[0] != NULL && decoders[1] != NULL;

	for (size_t i = 0; ok && i <= sizeof text_counts / sizeof text_counts[0]; i++) {
		const bool is_reading = i == sizeof text_counts / sizeof text_counts[0];

		timing_reset(&times[0]);
		timing_reset(&times[1]);
		for (size_t round = 0; round < 2 * bench->rounds; round++) {
			if (is_reading)
				generate_time_reading(decoders[round % 2], bench, &times[round % 2]);
			else
				generate_time(decoders[round % 2], bench, text_counts[i], &times[round % 2]);
		}
		if (is_reading)
			generate_report(bench, "read", 1, spec_course(&bench->spec)->train.model.ctx, times);
		else
			generate_report(bench, "generate", text_counts[i], GENERATE_BYTES * text_counts[i], times);
	}
	for (int i = 0; i < 2; i++)
		decoder_free(decoders[i]);
	state_unref(start);
	free(times);
	return ok;
}
