/* Runs a harness without libFuzzer: see fuzz.h. */
#include <string.h>

#include "fuzz.h"
#include "util/file.h"
#include "util/mem.h"

enum { SMOKE_RUNS = 20000, SEEDS_MAX = 32, INPUT_MAX = 1 << 25 };

static uint64_t random_state = 1;

/* splitmix64: the same numbers on every machine. */
static uint64_t draw(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t draw_below(size_t bound)
{
	return bound ? (size_t)(draw() % bound) : 0;
}

static void run(const void *data, size_t size)
{
	uint8_t *exact = mem_dup(data, size);

	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static void insert(struct buf *input, size_t at, const void *data, size_t size)
{
	uint8_t *copy = mem_dup(data, size);

	buf_extend(input, size);
	memmove(input->data + at + size, input->data + at, input->size - size - at);
	memcpy(input->data + at, copy, size);
	free(copy);
}

static void cut(struct buf *input, size_t at, size_t size)
{
	memmove(input->data + at, input->data + at + size, input->size - at - size);
	input->size -= size;
}

/* One small change, of the kinds that parsers stumble over. */
static void mutate(struct buf *input, const struct buf *other)
{
	static const uint8_t lengths[][9] = { { 0xfd, 0xff, 0xff }, { 0xfe, 0, 0, 0, 2 }, { 0xff, 0, 0, 0, 0, 1 },
		{ 0xfd, 1 }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0 } };
	static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff, '"', '{', '[', '\\', ' ', '\n' };
	size_t at = draw_below(input->size), from = draw_below(other->size);
	size_t size = draw_below(draw() % 4 ? 10 : 300);

	switch (draw() % 8) {
	case 0:
		input->size = at;
		break;
	case 1:
		if (input->size)
			cut(input, at, size < input->size - at ? size : input->size - at);
		break;
	case 2: /* a part of a valid input, anywhere */
		insert(input, at, other->data + from, size < other->size - from ? size : other->size - from);
		break;
	case 3:
		insert(input, at, lengths[draw_below(sizeof lengths / sizeof *lengths)], draw_below(9));
		break;
	case 4:
		for (size_t i = 0; i < 9 && at + i < input->size; i++)
			input->data[at + i] = lengths[size % (sizeof lengths / sizeof *lengths)][i];
		break;
	case 5:
		if (input->size)
			input->data[at] = edges[draw_below(sizeof edges)];
		break;
	case 6:
		if (input->size)
			input->data[at] ^= (uint8_t)(1u << draw() % 8);
		break;
	case 7:
		if (input->size)
			input->data[at] = (uint8_t)draw();
		break;
	}
}

static size_t make_seeds(struct buf seeds[SEEDS_MAX])
{
	size_t count = 0;

	for (; count < SEEDS_MAX; count++) {
		buf_init(&seeds[count]);
		if (!fuzz_seed(count, &seeds[count]))
			break;
	}
	FUZZ_PROMISE(count > 0 && count < SEEDS_MAX);
	return count;
}

static int smoke(void)
{
	struct buf seeds[SEEDS_MAX], input;
	size_t count = make_seeds(seeds);

	run("", 0);
	for (size_t i = 0; i < count; i++)
		run(seeds[i].data, seeds[i].size);
	buf_init(&input);
	for (int i = 0; i < SMOKE_RUNS; i++) {
		const struct buf *seed = &seeds[draw_below(count)];

		buf_reset(&input);
		buf_put(&input, seed->data, seed->size);
		for (size_t changes = 1 + draw_below(4); changes > 0; changes--)
			mutate(&input, &seeds[draw_below(count)]);
		run(input.data, input.size);
	}
	buf_clear(&input);
	for (size_t i = 0; i < count; i++)
		buf_clear(&seeds[i]);
	printf("1..1\nok 1 - %zu valid inputs, %d mutated ones\n", count, SMOKE_RUNS);
	return 0;
}

static bool write_seeds(const char *folder, struct errmsg *err)
{
	struct buf seeds[SEEDS_MAX];
	size_t count = make_seeds(seeds);
	bool ok = dir_make(folder, err);

	for (size_t i = 0; i < count; i++) {
		char name[32], *path;

		snprintf(name, sizeof name, "seed%zu", i);
		path = path_join(folder, name);
		ok = ok && file_write_atomic(path, seeds[i].data, seeds[i].size, 0644, err);
		free(path);
		buf_clear(&seeds[i]);
	}
	return ok;
}

static bool replay(const char *path, struct errmsg *err)
{
	struct buf input;
	bool ok;

	buf_init(&input);
	ok = file_read(path, INPUT_MAX, &input, err);
	if (ok)
		run(input.data, input.size);
	buf_clear(&input);
	return ok;
}

int main(int argc, char **argv)
{
	struct errmsg err;
	bool ok = true;

	if (argc == 1)
		return smoke();
	if (strncmp(argv[1], "-seeds=", 7) == 0)
		ok = write_seeds(argv[1] + 7, &err);
	else
		for (int i = 1; i < argc && ok; i++)
			ok = replay(argv[i], &err);
	if (!ok)
		fprintf(stderr, "%s\n", err.text);
	return !ok;
}
