/* Keys and values of samples. A sample is written big-endian, so that those of one blob are asked for in the order in
 * which they lie. */
#include "chain/novelty/samples.h"

#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

enum { SAMPLES_OF_KEY_SIZE = 33, SAMPLES_PREFIX_SIZE = 9, SAMPLES_KEY_SIZE = 13 };

static void samples_write_be64(uint8_t *bytes, uint64_t number)
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(number >> (56 - 8 * i));
}

/* --- by blob --- */

static void samples_root_key(const uint8_t root[32], uint8_t key[SAMPLES_OF_KEY_SIZE])
{
	key[0] = DB_NOVELTY;
	memcpy(key + 1, root, 32);
}

void samples_put(struct db_batch *batch, const uint8_t root[32], const struct novelty *novelty)
{
	uint8_t root_key[SAMPLES_OF_KEY_SIZE];
	struct buf samples_value;

	samples_root_key(root, root_key);
	buf_init(&samples_value);
	for (size_t i = 0; i < novelty->count; i++)
		buf_put_le64(&samples_value, novelty->samples[i]);
	db_batch_put(batch, root_key, sizeof root_key, samples_value.data, samples_value.size);
	buf_clear(&samples_value);
}

enum db_result samples_get(struct db *db, const uint8_t root[32], struct novelty *novelty, struct errmsg *err)
{
	uint8_t root_key[SAMPLES_OF_KEY_SIZE];
	struct buf samples_value;
	enum db_result found;

	samples_root_key(root, root_key);
	buf_init(&samples_value);
	found = db_get(db, root_key, sizeof root_key, &samples_value, err);
	if (found == DB_FOUND) {
		novelty->count = samples_value.size / 8;
		novelty->samples = mem_alloc(samples_value.size);
		for (size_t i = 0; i < novelty->count; i++)
			novelty->samples[i] = read_le64(samples_value.data + 8 * i);
	}
	buf_clear(&samples_value);
	return found;
}

/* --- by sample --- */

static void samples_key(uint64_t sample, uint32_t number, uint8_t key[SAMPLES_KEY_SIZE])
{
	key[0] = DB_SAMPLE;
	samples_write_be64(key + 1, sample);
	write_le32(key + SAMPLES_PREFIX_SIZE, number);
}

void samples_register(struct db_batch *batch, uint32_t number, const struct novelty *novelty)
{
	uint8_t sample_key[SAMPLES_KEY_SIZE];

	for (size_t i = 0; i < novelty->count; i++) {
		samples_key(novelty->samples[i], number, sample_key);
		db_batch_put(batch, sample_key, sizeof sample_key, "", 0);
	}
}

void samples_forget(struct db_batch *batch, uint32_t number, const struct novelty *novelty)
{
	uint8_t sample_key[SAMPLES_KEY_SIZE];

	for (size_t i = 0; i < novelty->count; i++) {
		samples_key(novelty->samples[i], number, sample_key);
		db_batch_delete(batch, sample_key, sizeof sample_key);
	}
}

struct samples_question {
	const struct novelty *novelty;
	uint32_t first, end, *shared;
};

static void samples_next_key(void *question_context, size_t at, uint8_t *sample_key)
{
	const struct samples_question *question = question_context;

	sample_key[0] = DB_SAMPLE;
	samples_write_be64(sample_key + 1, question->novelty->samples[at]);
}

static bool samples_visit(void *question_context, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	const struct samples_question *question = question_context;
	uint32_t number;

	(void)value;
	(void)value_size;
	if (key_size != SAMPLES_KEY_SIZE)
		return errmsg_set(err, "A sample in the database is damaged: start with -reindex");
	number = read_le32(key + SAMPLES_PREFIX_SIZE);
	if (number >= question->first && number < question->end)
		question->shared[number]++;
	return true;
}

bool samples_count_shared(struct db *db, const struct novelty *novelty, uint32_t first, uint32_t end, uint32_t shared[],
	struct errmsg *err)
{
	struct samples_question question = { novelty, first, end, shared };

	return db_each_of(db, SAMPLES_PREFIX_SIZE, novelty->count, samples_next_key, samples_visit, &question, err);
}
