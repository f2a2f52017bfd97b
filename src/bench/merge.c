/* A round's merge: runs are judged one by one, the sum of the good ones moves the weights. */
#include "bench/merge.h"

#include <stdlib.h>
#include <string.h>

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/pass.h"
#include "util/mem.h"

/* So few runs divide as if there were so many: a single one moves the weights by a third of its way. */
enum { MERGE_DIVISOR_MIN = 3 };

/* Squares of lengths: a run three times as long as the median is too long. */
#define MERGE_SQUARES_MAX 9.0f

static int merge_compare(const void *a, const void *b)
{
	float left = *(const float *)a, right = *(const float *)b;

	return (left > right) - (left < right);
}

/* The lower median of the squares of those that are there: half of the runs would have to be false to move it. */
static float merge_median(const struct merge_job *job, const float *squares)
{
	float sorted[MERGE_RUNS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < job->count; i++)
		if (job->changes[i] != NULL)
			sorted[count++] = squares[i];
	qsort(sorted, count, sizeof *sorted, merge_compare);
	return count > 0 ? sorted[(count - 1) / 2] : 0.0f;
}

static bool merge_loss(const struct merge_job *job, const float *theta, float *loss)
{
	return pass_loss(job->model, theta, job->windows, job->rows, NULL, loss);
}

/* Adds to sum the changes of the runs that pass, each judged by what it does alone: nobody answers for the others. */
static void merge_sum(const struct merge_job *job, const float *theta, float loss_before, float *sum,
	struct merge_outcome *outcome)
{
	const size_t n = model_count(model_config(job->model));
	float squares[MERGE_RUNS_MAX] = { 0 }, *alone = mem_align(n * sizeof(float)), loss;

	for (size_t i = 0; i < job->count; i++)
		if (job->changes[i] != NULL)
			squares[i] = math_dot16(job->changes[i], job->changes[i], n);
	const float limit = MERGE_SQUARES_MAX * merge_median(job, squares);

	for (size_t i = 0; i < job->count; i++) {
		const float *change = job->changes[i];

		if (change == NULL)
			continue;
		for (size_t j = 0; j < n; j++)
			alone[j] = theta[j] + change[j];
		if (squares[i] > limit || !merge_loss(job, alone, &loss) || !(loss <= loss_before * job->gate))
			continue;
		for (size_t j = 0; j < n; j++)
			sum[j] = sum[j] + change[j];
		outcome->merged++;
	}
	free(alone);
}

/* Moves theta and v by the sum. */
static void merge_move(const struct merge_job *job, const float *sum, uint32_t merged, float *theta, float *v)
{
	const size_t n = model_count(model_config(job->model));
	const float divisor = (float)(merged > MERGE_DIVISOR_MIN ? merged : MERGE_DIVISOR_MIN);

	for (size_t j = 0; j < n; j++) {
		float update = sum[j] / divisor;

		v[j] = job->mu * v[j] + update;
		theta[j] = theta[j] + job->eta * (update + job->mu * v[j]);
	}
}

void merge_execute(const struct merge_job *job, float *theta, float *v, struct merge_outcome *outcome)
{
	const size_t n = model_count(model_config(job->model)), bytes = n * sizeof(float);
	float *before = mem_align(bytes), *sum = mem_align(bytes), loss_before, loss_after;

	*outcome = (struct merge_outcome){ .is_void = true };
	memcpy(before, theta, bytes);
	memset(sum, 0, bytes);
	if (merge_loss(job, theta, &loss_before))
		merge_sum(job, theta, loss_before, sum, outcome);
	if (outcome->merged > 0) {
		merge_move(job, sum, outcome->merged, theta, v);
		/* A loss that is no number passes no gate: the comparison is false. */
		outcome->is_void = !float_all_finite(theta, n) || !float_all_finite(v, n) ||
			!merge_loss(job, theta, &loss_after) || !(loss_after <= loss_before * job->gate);
	}
	if (outcome->is_void) {
		memcpy(theta, before, bytes);
		memset(v, 0, bytes);
	}
	free(before);
	free(sum);
}
