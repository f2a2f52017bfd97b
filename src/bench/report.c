/* Times, and the lines they are printed in: columns for people, or JSON. */
#include "bench/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ml/kernel/engine.h"

/* === Times === */

static double timing_seconds(void)
{
	struct timespec now;

	/* Not the clock of util/clock.h: that one counts milliseconds, and can be mocked. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void timing_start(struct timing *timing)
{
	timing->last = timing_seconds();
}

void timing_stop(struct timing *timing)
{
	if (timing->count < TIMING_MAX)
		timing->took[timing->count++] = timing_seconds() - timing->last;
}

void timing_reset(struct timing *timing)
{
	timing->count = 0;
}

static int timing_compare(const void *left, const void *right)
{
	double left_time = *(const double *)left, right_time = *(const double *)right;

	return (left_time > right_time) - (left_time < right_time);
}

double timing_best(struct timing *timing)
{
	qsort(timing->took, timing->count, sizeof timing->took[0], timing_compare);
	return timing->took[0];
}

double timing_median(struct timing *timing)
{
	qsort(timing->took, timing->count, sizeof timing->took[0], timing_compare);
	/* The upper one of two in the middle: never a time that was not measured. */
	return timing->took[timing->count / 2];
}

/* === Lines === */

void line_begin(const struct line *line, const char *measurement, const char *chain, const char *engine)
{
	const char *kernels = engine_kernels(ENGINE_OPENBLAS);

	if (line->json)
		printf("{\"measurement\": \"%s\", \"chain\": \"%s\", \"engine\": \"%s\", \"threads\": %u, "
		       "\"kernels\": \"%s\"",
			measurement, chain, engine, line->threads, kernels != NULL ? kernels : "");
	else
		printf("%-8s %-8s %-9s", measurement, chain, engine);
}

void line_add(const struct line *line, const char *name, double value)
{
	if (line->json)
		printf(", \"%s\": %.10g", name, value);
	else
		printf(value >= 1e4 ? "  %s %.0f" : "  %s %.4g", name, value);
}

void line_add_text(const struct line *line, const char *name, const char *text)
{
	printf(line->json ? ", \"%s\": \"%s\"" : "  %s %.16s", name, text);
}

void line_end(const struct line *line)
{
	puts(line->json ? "}" : "");
	fflush(stdout);
}

void line_add_times(const struct line *line, struct timing *timing)
{
	line_add(line, "best_ms", timing_best(timing) * 1e3);
	line_add(line, "median_ms", timing_median(timing) * 1e3);
}

void line_add_ratio(const struct line *line, const char *name, struct timing *timing, struct timing *compared)
{
	char ratio_name[64];

	snprintf(ratio_name, sizeof ratio_name, "%s_best", name);
	line_add(line, ratio_name, timing_best(timing) / timing_best(compared));
	snprintf(ratio_name, sizeof ratio_name, "%s_median", name);
	line_add(line, ratio_name, timing_median(timing) / timing_median(compared));
}
