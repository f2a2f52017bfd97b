/* Picking in a fixed order of bytes, so that sums, and with them the byte that is drawn, are the same everywhere. */
#include "ml/text/pick.h"

#include <stdlib.h>

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "util/bytes.h"

struct pick_place {
	float logit;
	uint8_t byte;
};

/* A total order, as logits are finite: so it makes no difference how the library sorts. +0 and -0 are equal. */
static int pick_compare(const void *a, const void *b)
{
	const struct pick_place *first = a, *second = b;

	if (first->logit != second->logit)
		return first->logit > second->logit ? -1 : 1;
	return first->byte < second->byte ? -1 : 1;
}

static void pick_sort(const float logits[MODEL_VOCABULARY], struct pick_place places[MODEL_VOCABULARY])
{
	for (size_t i = 0; i < MODEL_VOCABULARY; i++)
		places[i] = (struct pick_place){ logits[i], (uint8_t)i };
	qsort(places, MODEL_VOCABULARY, sizeof places[0], pick_compare);
}

void pick_order(const float logits[MODEL_VOCABULARY], uint8_t out[MODEL_VOCABULARY])
{
	struct pick_place places[MODEL_VOCABULARY];

	pick_sort(logits, places);
	for (size_t i = 0; i < MODEL_VOCABULARY; i++)
		out[i] = places[i].byte;
}

static uint8_t pick_likeliest(const float logits[MODEL_VOCABULARY])
{
	size_t best = 0;

	for (size_t i = 1; i < MODEL_VOCABULARY; i++)
		best = logits[i] > logits[best] ? i : best;
	return (uint8_t)best;
}

/* A number in [0, 1), of 24 bits. */
static float pick_draw(uint64_t seed, uint32_t index)
{
	uint8_t key[32] = { 0 };
	uint32_t words[4];

	write_le64(key, seed);
	noise_words(key, NOISE_TEXT, index, words);
	return (float)(words[0] >> 8) * 0x1p-24f;
}

/* The first place at which the running sums reach `share` of the last of them; where rounding leaves none, the last. */
static size_t pick_reach(const float *sums, size_t count, float share, bool beyond)
{
	float goal = share * sums[count - 1];

	for (size_t i = 0; i < count; i++)
		if (beyond ? sums[i] > goal : sums[i] >= goal)
			return i;
	return count - 1;
}

uint8_t pick_byte(const float logits[MODEL_VOCABULARY], const struct pick_options *options, uint32_t index)
{
	struct pick_place places[MODEL_VOCABULARY];
	float sums[MODEL_VOCABULARY], sum = 0, temperature = (float)options->temperature / (float)PICK_PPM;
	size_t count = options->top_k > 0 && options->top_k < MODEL_VOCABULARY ? options->top_k : MODEL_VOCABULARY;

	if (options->temperature == 0)
		return pick_likeliest(logits);
	pick_sort(logits, places);
	for (size_t i = 0; i < count; i++) {
		sum = sum + math_exp((places[i].logit - places[0].logit) / temperature);
		sums[i] = sum;
	}
	if (options->top_p > 0)
		count = pick_reach(sums, count, (float)options->top_p / (float)PICK_PPM, false) + 1;
	return places[pick_reach(sums, count, pick_draw(options->seed, index), true)].byte;
}

void pick_micro_logs(const float logits[MODEL_VOCABULARY], int32_t out[MODEL_VOCABULARY])
{
	float largest = math_max(logits, MODEL_VOCABULARY), weights[MODEL_VOCABULARY], log_sum;

	for (size_t i = 0; i < MODEL_VOCABULARY; i++)
		weights[i] = math_exp(logits[i] - largest);
	log_sum = math_log(math_sum16(weights, MODEL_VOCABULARY));
	/* Far below what can be drawn nobody counts decimals. */
	for (size_t i = 0; i < MODEL_VOCABULARY; i++) {
		float logarithm = (logits[i] - largest) - log_sum;

		out[i] = logarithm < -1000 ? -1000000000 : (int32_t)(logarithm * 1e6f - 0.5f);
	}
}
