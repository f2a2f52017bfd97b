/* Times, and the lines they are printed in.
 *
 * A `struct timing` collects durations of the same work; a line is what one measurement found: what was measured, on
 * which chain, by which engine, then named numbers and texts. With JSON each line is an object; without, columns for
 * people. */
#ifndef ATELIER_BENCH_REPORT_H
#define ATELIER_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum { TIMING_MAX = 4096 };

/* Zeroed by its owner. What is timed beyond TIMING_MAX is not kept. */
struct timing {
	double took[TIMING_MAX]; /* seconds */
	size_t count;
	double last;
};

void timing_start(struct timing *timing);
void timing_stop(struct timing *timing);
void timing_reset(struct timing *timing);

/* In seconds; of something that was timed once at least. Both sort what was collected. */
double timing_best(struct timing *timing);
double timing_median(struct timing *timing);

struct line {
	bool json;
	unsigned threads; /* that share a step; stands in JSON */
};

/* JSON also has OpenBLAS's name of the kernels that it uses in this process, whoever the engine is. */
void line_begin(const struct line *line, const char *measurement, const char *chain, const char *engine);
void line_add(const struct line *line, const char *name, double value);
/* A text without quotes, backslashes and control characters. */
void line_add_text(const struct line *line, const char *name, const char *text);
/* best_ms and median_ms. */
void line_add_times(const struct line *line, struct timing *timing);
/* <name>_best and <name>_median: a time in proportion to another. */
void line_add_ratio(const struct line *line, const char *name, struct timing *timing, struct timing *compared);
void line_end(const struct line *line);

#endif
