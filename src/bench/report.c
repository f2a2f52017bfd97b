/* Times, and the lines they are printed in: columns for people, or JSON. */
#include "bench/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* === Times === */

static double clock_seconds(void)
{
	struct timespec now;

	/* Not the clock of util/clock.h: that one counts milliseconds, and can be mocked. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void timing_start(struct timing *t)
{
	t->last = clock_seconds();
}

void timing_stop(struct timing *t)
{
	if (t->count < TIMING_MAX)
		t->took[t->count++] = clock_seconds() - t->last;
}

void timing_reset(struct timing *t)
{
	t->count = 0;
}

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double timing_best(struct timing *t)
{
	qsort(t->took, t->count, sizeof t->took[0], compare_times);
	return t->took[0];
}

double timing_median(struct timing *t)
{
	qsort(t->took, t->count, sizeof t->took[0], compare_times);
	/* The upper one of two in the middle: never a time that was not measured. */
	return t->took[t->count / 2];
}

/* === Lines === */

void line_begin(const struct line *line, const char *measurement, const char *chain, const char *engine)
{
	if (line->json)
		printf("{\"measurement\": \"%s\", \"chain\": \"%s\", \"engine\": \"%s\", \"threads\": %u", measurement,
			chain, engine, line->threads);
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

void line_add_times(const struct line *line, struct timing *t)
{
	line_add(line, "best_ms", timing_best(t) * 1e3);
	line_add(line, "median_ms", timing_median(t) * 1e3);
}

void line_add_ratio(const struct line *line, const char *name, struct timing *t, struct timing *to)
{
	char text[64];

	snprintf(text, sizeof text, "%s_best", name);
	line_add(line, text, timing_best(t) / timing_best(to));
	snprintf(text, sizeof text, "%s_median", name);
	line_add(line, text, timing_median(t) / timing_median(to));
}
