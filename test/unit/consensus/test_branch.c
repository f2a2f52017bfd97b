/* The contract of the parts of a branch, each part alone against the same random blocks: undo(apply(x)) = x and
 * read(write(x)) = x, to the byte; a copy is a value of its own; an undo goes through its bytes. */
#include "consensus/branch/bucket.h"
#include "consensus/branch/commitments.h"
#include "consensus/branch/datasets.h"
#include "consensus/branch/fees.h"
#include "consensus/branch/listed.h"
#include "consensus/branch/values.h"
#include "consensus/registry_fixture.h"

enum { BACK = 30, BLOCKS = 2200, SLOTS = 4 };

/* A part and its undo as bytes; the functions that the contract names. */
struct part {
	const char *name;
	size_t size, undo_size;
	void (*init)(void *part);
	void (*copy)(void *to, const void *from);
	void (*clear)(void *part);
	void (*apply)(void *part, const struct branch_block *block, void *undo);
	bool (*undo_fits)(const void *part, const void *undo);
	void (*undo)(void *part, const void *undo);
	void (*write)(struct buf *out, const void *part);
	bool (*read)(void *part, struct reader *reader);
	void (*undo_write)(struct buf *out, const void *undo);
	bool (*undo_read)(void *undo, struct reader *reader);
	void (*undo_clear)(void *undo);
	/* Of a part in slices, with all of them: */
	void (*write_whole)(struct buf *out, const void *part);
	bool (*read_whole)(void *part, struct reader *reader);
	/* Where it says itself to what a registration in the block at this height was committed. */
	uint32_t (*committed)(const void *part, const struct contribution *data, uint32_t height);
};

static struct spec spec;

/* What all parts have, with the types taken off. */
#define PART(x)                                                                              \
	static void x##_part_apply(void *part, const struct branch_block *block, void *undo) \
	{                                                                                    \
		x##_apply(part, block, undo);                                                \
	}                                                                                    \
	static void x##_part_undo(void *part, const void *undo)                              \
	{                                                                                    \
		x##_undo(part, undo);                                                        \
	}                                                                                    \
	static void x##_part_write(struct buf *out, const void *part)                        \
	{                                                                                    \
		x##_write(out, part);                                                        \
	}                                                                                    \
	static bool x##_part_read(void *part, struct reader *reader)                         \
	{                                                                                    \
		return x##_read(part, reader);                                               \
	}                                                                                    \
	static void x##_part_undo_write(struct buf *out, const void *undo)                   \
	{                                                                                    \
		x##_undo_write(out, undo);                                                   \
	}                                                                                    \
	static bool x##_part_undo_read(void *undo, struct reader *reader)                    \
	{                                                                                    \
		return x##_undo_read(undo, reader);                                          \
	}

#define PART_ROW(x)                                                                                               \
	.name = #x, .size = sizeof(struct x), .undo_size = sizeof(struct x##_undo), .apply = x##_part_apply,      \
	.undo = x##_part_undo, .write = x##_part_write, .read = x##_part_read, .undo_write = x##_part_undo_write, \
	.undo_read = x##_part_undo_read

PART(bucket)
PART(fees)
PART(values)
PART(datasets)
PART(commitments)
PART(listed)

static void fees_part_init(void *part)
{
	fees_init(part, &spec);
}

static void values_part_copy(void *to, const void *from)
{
	values_copy(to, from);
}

static void values_part_clear(void *part)
{
	values_clear(part);
}

static bool values_part_undo_fits(const void *part, const void *undo)
{
	return values_undo_fits(part, undo);
}

/* The parts that lie in slices, whole: what is short of them, and then each slice. */
static void put_slices(struct buf *out, const void *part, const struct slices *slices,
	bool write_slice(struct buf *out, const void *part, const struct slice *slice))
{
	struct buf bytes;

	buf_init(&bytes);
	for (size_t i = 0; i < slices->count; i++) {
		uint8_t key[SLICE_KEY_SIZE];

		buf_reset(&bytes);
		if (!write_slice(&bytes, part, &slices->list[i]))
			continue;
		slices_key_write(&slices->list[i], key);
		buf_put_u8(out, 1);
		buf_put(out, key, sizeof key);
		buf_put(out, bytes.data, bytes.size);
	}
	buf_clear(&bytes);
	buf_put_u8(out, 0);
}

static bool take_slices(struct reader *reader, void *part,
	bool read_slice(void *part, const struct slice *slice, struct reader *reader))
{
	while (reader_u8(reader) == 1) {
		struct slice slice = slices_key_read(reader);

		if (!reader->ok || !read_slice(part, &slice, reader))
			return false;
	}
	return reader->ok;
}

static bool datasets_put_slice(struct buf *out, const void *part, const struct slice *slice)
{
	return datasets_write_slice(out, part, slice);
}

static bool datasets_take_slice(void *part, const struct slice *slice, struct reader *reader)
{
	return datasets_read_slice(part, slice, reader);
}

static void datasets_part_write_whole(struct buf *out, const void *part)
{
	struct slices all = { 0 };

	datasets_write(out, part);
	for (uint32_t i = 0; i < ((const struct datasets *)part)->count + 2; i++)
		slices_add(&all, SLICE_DATASET, i);
	put_slices(out, part, &all, datasets_put_slice);
	slices_clear(&all);
}

static bool datasets_part_read_whole(void *part, struct reader *reader)
{
	return datasets_read(part, reader) && take_slices(reader, part, datasets_take_slice) && datasets_whole(part);
}

static bool commitments_put_slice(struct buf *out, const void *part, const struct slice *slice)
{
	return commitments_write_slice(out, part, slice);
}

static bool commitments_take_slice(void *part, const struct slice *slice, struct reader *reader)
{
	return commitments_read_slice(part, slice, reader);
}

static void commitments_part_write_whole(struct buf *out, const void *part)
{
	const struct commitments *commitments = part;
	struct slices all = { 0 };

	commitments_write(out, part);
	for (int kind = SLICE_COMMITTED; kind <= SLICE_OPENED; kind++)
		for (uint32_t i = 0; i <= commitments->newest + 1; i++)
			slices_add(&all, (enum slice_kind)kind, i);
	put_slices(out, part, &all, commitments_put_slice);
	slices_clear(&all);
}

static bool commitments_part_read_whole(void *part, struct reader *reader)
{
	return commitments_read(part, reader) && take_slices(reader, part, commitments_take_slice) &&
		commitments_whole(part);
}

static void datasets_part_init(void *part)
{
	datasets_init(part, &spec);
}

static void datasets_part_copy(void *to, const void *from)
{
	datasets_copy(to, from);
}

static void datasets_part_clear(void *part)
{
	datasets_clear(part);
}

static bool datasets_part_undo_fits(const void *part, const void *undo)
{
	return datasets_undo_fits(part, undo);
}

static void datasets_part_undo_clear(void *undo)
{
	datasets_undo_clear(undo);
}

/* Where the part itself says what a block opens. */
static uint32_t commitments_part_committed(const void *part, const struct contribution *data, uint32_t height)
{
	struct commitments_claim claim = { .number = 0 };

	commitment_hash(data, claim.hash);
	commitments_find(part, &claim, 1, height, spec.commit_delay);
	return claim.committed;
}

static void commitments_part_copy(void *to, const void *from)
{
	commitments_copy(to, from);
}

static void commitments_part_clear(void *part)
{
	commitments_clear(part);
}

static bool commitments_part_undo_fits(const void *part, const void *undo)
{
	return commitments_undo_fits(part, undo);
}

static void commitments_part_undo_clear(void *undo)
{
	commitments_undo_clear(undo);
}

static void listed_part_init(void *part)
{
	listed_init(part, &spec);
}

static void listed_part_copy(void *to, const void *from)
{
	listed_copy(to, from);
}

static void listed_part_clear(void *part)
{
	listed_clear(part);
}

static bool listed_part_undo_fits(const void *part, const void *undo)
{
	return listed_undo_fits(part, undo);
}

static void listed_part_undo_clear(void *undo)
{
	listed_undo_clear(undo);
}

static const struct part parts[] = {
	{ PART_ROW(bucket) },
	{ PART_ROW(fees), .init = fees_part_init },
	{ PART_ROW(values), .copy = values_part_copy, .clear = values_part_clear, .undo_fits = values_part_undo_fits },
	{ PART_ROW(datasets), .write_whole = datasets_part_write_whole, .read_whole = datasets_part_read_whole,
		.init = datasets_part_init, .copy = datasets_part_copy, .clear = datasets_part_clear,
		.undo_fits = datasets_part_undo_fits, .undo_clear = datasets_part_undo_clear },
	{ PART_ROW(commitments), .write_whole = commitments_part_write_whole, .read_whole = commitments_part_read_whole,
		.committed = commitments_part_committed, .copy = commitments_part_copy, .clear = commitments_part_clear,
		.undo_fits = commitments_part_undo_fits, .undo_clear = commitments_part_undo_clear },
	{ PART_ROW(listed), .init = listed_part_init, .copy = listed_part_copy, .clear = listed_part_clear,
		.undo_fits = listed_part_undo_fits, .undo_clear = listed_part_undo_clear },
};

/* --- a part by its row --- */

static void *part_new(const struct part *part)
{
	void *made = mem_calloc(1, part->size);

	if (part->init != NULL)
		part->init(made);
	return made;
}

static void part_undo_free(const struct part *part, void *undo)
{
	if (part->undo_clear != NULL)
		part->undo_clear(undo);
	free(undo);
}

static void *part_copy(const struct part *part, const void *from)
{
	void *copy = mem_dup(from, part->size);

	if (part->copy != NULL)
		part->copy(copy, from);
	return copy;
}

static void part_free(const struct part *part, void *made)
{
	if (part->clear != NULL)
		part->clear(made);
	free(made);
}

static struct buf part_bytes(const struct part *part, const void *made)
{
	struct buf out;

	buf_init(&out);
	(part->write_whole != NULL ? part->write_whole : part->write)(&out, made);
	return out;
}

static bool part_read(const struct part *part, void *made, struct reader *reader)
{
	return (part->read_whole != NULL ? part->read_whole : part->read)(made, reader);
}

static void assert_same(const struct part *part, const struct buf *a, const struct buf *b)
{
	if (a->size != b->size || memcmp(a->data, b->data, a->size) != 0)
		fail_msg("%s is not what it was", part->name);
}

/* --- blocks --- */

static uint64_t dice_state;

static uint32_t dice(uint32_t n)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)((dice_state >> 32) % n);
}

/* What the blocks are made of, the same for each part. */
struct world {
	uint32_t height, registered;
};

static struct block_outcome random_outcome(uint32_t datasets)
{
	struct block_outcome outcome = { .outcome.slots = SLOTS, .v_ref = 1 + dice(1 << 30), .weight = dice(1 << 24) };

	outcome.outcome.is_void = dice(10) == 0;
	for (uint32_t i = 0; i < SLOTS; i++) {
		outcome.dataset[i] = dice(1 + datasets);
		outcome.outcome.slot[i].count = dice(3);
		if (outcome.outcome.slot[i].count == 0)
			continue;
		outcome.outcome.slot[i].value = ((int64_t)dice(1 << 30) - (1 << 29)) * (int64_t)(1 + dice(1 << 10));
		outcome.outcome.slot[i].effect = outcome.outcome.slot[i].value - (int64_t)dice(1 << 30);
		outcome.outcome.slot[i].known = dice(2);
		outcome.outcome.slot[i].left_out = dice(5) == 0;
	}
	return outcome;
}

/* A transaction of commitments more: to data that will be registered, mostly, some twice. */
static void add_random_commitments(struct block *block, const struct world *world)
{
	struct tx *tx = tx_new();

	for (uint32_t i = dice(6); i > 0; i--) {
		struct contribution data = example_data(world->registered + dice(5), 4096);

		add_commitment_output(tx, &data);
	}
	block->txs = mem_realloc(block->txs, (block->tx_count + 1) * sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(tx);
}

/* Proofs that differ, and some late ones with their ages. */
static void add_random_proofs(struct block *block, uint32_t late_backs[])
{
	block->header.nonce = dice(UINT32_MAX);
	for (size_t i = 0; i < block->loose_count; i++)
		block->loose[i].nonce = dice(UINT32_MAX);
	block->late_count = dice(4);
	block->late = mem_calloc(block->late_count, sizeof *block->late);
	for (size_t i = 0; i < block->late_count; i++) {
		block->late[i].nonce = dice(UINT32_MAX);
		late_backs[i] = 1 + dice(BLOCK_LATE_BACK);
	}
}

/* The undo went through its bytes, which are as long as they say. */
static void *apply_random(const struct part *part, void *made, struct world *world)
{
	struct block_outcome parent = random_outcome(world->registered);
	struct contribution data[3];
	uint32_t count = dice(10) == 0 ? 1 + dice(3) : 0, committed[3], registered = world->registered;
	uint32_t late_backs[3] = { 0 };
	void *undo = mem_calloc(1, part->undo_size), *back = mem_calloc(1, part->undo_size);
	struct branch_block block = { .spec = &spec, .height = ++world->height };
	struct block *built;
	struct reader reader;
	struct buf bytes, again;

	/* Some register what is registered: a checked block's do that to take the owner's place. */
	for (uint32_t i = 0; i < count; i++) {
		data[i] = example_data(registered > 0 && dice(3) == 0 ? dice(registered) : world->registered++,
			4096 + dice(1 << 20));
		snprintf(data[i].title, sizeof data[i].title, "at %u", world->height);
		committed[i] = part->committed != NULL ? part->committed(made, &data[i], world->height) :
							 dice(world->height);
	}
	built = example_block(dice(16), data, count);
	add_random_commitments(built, world);
	add_random_proofs(built, late_backs);
	block.block = built;
	block.late_backs = late_backs;
	block.committed = committed;
	block.parent = world->height > 1 ? &parent : NULL;
	part->apply(made, &block, undo);
	block_unref(built);
	buf_init(&bytes);
	part->undo_write(&bytes, undo);
	reader_init(&reader, bytes.data, bytes.size);
	assert_true(part->undo_read(back, &reader));
	assert_true(reader_done(&reader));
	buf_init(&again);
	part->undo_write(&again, back);
	assert_same(part, &bytes, &again);
	buf_clear(&bytes);
	buf_clear(&again);
	part_undo_free(part, undo);
	return back;
}

/* --- the two invariants --- */

static void check_bytes(const struct part *part, const void *made)
{
	struct buf bytes = part_bytes(part, made), again;
	struct reader reader;
	void *back = part_new(part);

	reader_init(&reader, bytes.data, bytes.size);
	assert_true(part_read(part, back, &reader));
	assert_true(reader_done(&reader));
	again = part_bytes(part, back);
	assert_same(part, &bytes, &again);
	part_free(part, back);
	buf_clear(&again);
	back = part_new(part);
	reader_init(&reader, bytes.data, bytes.size - 1);
	assert_false(part_read(part, back, &reader));
	part_free(part, back);
	buf_clear(&bytes);
}

/* So many blocks forward and all of them back. */
static void check_undo(const struct part *part, void *made, struct world *world, uint32_t depth)
{
	const struct world start = *world;
	struct buf before[BACK], after;
	void *undo[BACK];

	for (uint32_t i = 0; i < depth; i++) {
		before[i] = part_bytes(part, made);
		undo[i] = apply_random(part, made, world);
	}
	for (uint32_t i = depth; i-- > 0;) {
		assert_true(part->undo_fits == NULL || part->undo_fits(made, undo[i]));
		part->undo(made, undo[i]);
		after = part_bytes(part, made);
		assert_same(part, &before[i], &after);
		buf_clear(&before[i]);
		buf_clear(&after);
		part_undo_free(part, undo[i]);
	}
	*world = start;
}

static void check_part(const struct part *part)
{
	struct world world = { 0 };
	void *made = part_new(part), *copy;
	struct buf before, after;

	dice_state = 88172645463325252u;
	while (world.height < BLOCKS) {
		check_undo(part, made, &world, 1 + dice(BACK));
		copy = part_copy(part, made);
		before = part_bytes(part, copy);
		for (uint32_t i = 0; i < 40; i++)
			part_undo_free(part, apply_random(part, made, &world));
		after = part_bytes(part, copy); /* untouched by what its original did since */
		assert_same(part, &before, &after);
		buf_clear(&before);
		buf_clear(&after);
		part_free(part, copy);
		check_bytes(part, made);
	}
	part_free(part, made);
}

static void test_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		check_part(&parts[i]);
}

static int setup(void **state)
{
	(void)state;
	return spec_builtin(&spec, "regtest") ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	spec_clear(&spec);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
