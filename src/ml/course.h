/* A course: everything of one trained model that a chain's nodes agree on beforehand (doc/protocol.md sections 7, 16).
 *
 * Here: sizes and rates, the corpus with its benchmark, and the windows that are gathered from bytes. Not here: the
 * state that training has come to (ml/state.h), and who pays for what. */
#ifndef ATELIER_ML_COURSE_H
#define ATELIER_ML_COURSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/model.h"

/* What a step and an update compute with. Rates are parts per million. */
struct train_config {
	struct model_config model;
	uint32_t batch, iterations;    /* B windows an iteration, C iterations a step */
	uint32_t lr_ppm, wd_ppm;       /* AdamW */
	uint32_t mu_ppm, eta_ppm;      /* outer Nesterov momentum, ml/update.h, ml/merge.h */
	uint32_t gate_ppm, bench_rows; /* ml/update.h */
	uint32_t segments, segment;    /* of a run, iterations of one (ml/run.h); 0: a chain without rounds */
};

struct course {
	struct train_config train;
	uint32_t bench_bytes;
	const uint8_t *corpus; /* borrowed: dataset 0, then bench_bytes of benchmark */
	size_t corpus_size;    /* bench_bytes + ctx + 1 at least */
};

/* NULL if all fields are within the limits of protocol section 16, else what is wrong (static text). */
const char *course_check(const struct train_config *config);

/* Dataset 0 and the benchmark: borrowed ranges of the corpus. */
const uint8_t *course_training(const struct course *course, size_t *size);
const uint8_t *course_benchmark(const struct course *course, size_t *size);

/* The bytes of a dataset, wherever they are. */
struct course_data {
	uint64_t size; /* ctx - 7 at least */
	/* Copies the range, which is within the size; false if the bytes are gone. */
	bool (*read)(const void *context, uint64_t offset, uint8_t *out, size_t count);
	const void *context;
};

struct course_data course_data_in_memory(const uint8_t *bytes, size_t size); /* borrowed */

/* Of each whole chunk the last page is the dataset's own: what is never trained on, so that it shows what was learned.
 */
enum { COURSE_CHUNK = 32768, COURSE_PAGE = 4096 };
uint64_t course_pages(uint64_t size); /* how many a dataset has */

/* Windows of what is trained on: how many places a dataset has for one, and reading the one of a drawn prefix and
 * place: ctx + 1 bytes, none of them from an own page. False if the bytes are gone. */
struct noise_window;
uint64_t course_places(const struct course *course, const struct course_data *data);
bool course_read_window(const struct course *course, const struct course_data *data, const struct noise_window *window,
	uint8_t *out);

/* Gathers a step's windows (step_windows_size bytes, ml/step.h) from the dataset that its slot trains on. Their offsets
 * are drawn by the ticket of the parent, for each slot its own, a group of them chosen by the seed; the prefixes by the
 * seed. False if the bytes are gone. */
bool course_gather_step(const struct course *course, const uint8_t ticket[32], const uint8_t seed[32], uint32_t slot,
	const struct course_data *data, uint8_t *out);

/* Windows from the own pages of a slot's dataset, by which it is paid. */
struct course_own {
	uint8_t *windows; /* [course_own_rows][ctx + 1], on the heap; NULL: there are none */
	float entropy;    /* the mean over them of their pages', in nats a byte */
};

/* Gathers a slot's, drawn by the parent's ticket; nothing if the dataset has no own page, or they are there already.
 * False if the bytes are gone. */
uint32_t course_own_rows(const struct train_config *train);
bool course_gather_own(const struct course *course, const uint8_t ticket[32], uint32_t slot,
	const struct course_data *data, struct course_own *own);

/* The windows drawn by a parent's ticket from the benchmark: bench_rows * (ctx + 1) bytes. */
size_t course_benchmark_size(const struct course *course);
void course_gather_benchmark(const struct course *course, const uint8_t ticket[32], uint8_t *out);

/* Those that a merge of runs is measured by (ml/merge.h): COURSE_MERGE_ROWS times as many, those above the first. */
enum { COURSE_MERGE_ROWS = 8 };
size_t course_merge_size(const struct course *course);
void course_gather_merge(const struct course *course, const uint8_t ticket[32], uint8_t *out);

/* The merge after one that came to nothing is measured by windows of own pages instead, which nobody trains on: that of
 * each row is of the dataset of a seat, which the parent's ticket draws: 0 .. seats-1. */
uint32_t course_own_seat(const uint8_t ticket[32], uint32_t row, uint32_t seats);
/* Gathers that row's: ctx + 1 bytes, which stay as they are if the dataset has no own page. False if the bytes are
 * gone. */
bool course_gather_own_row(const struct course *course, const uint8_t ticket[32], uint32_t row,
	const struct course_data *data, uint8_t *out);

#endif
