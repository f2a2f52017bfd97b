/* Chain specs: any text gives a spec within the limits or an error that says something; and what the database keeps of
 * a registry, an undo or an outcome is read or refused. */
#include <string.h>

#include "consensus/branch/registry.h"
#include "consensus/spec_fields.h"
#include "fuzz.h"
#include "util/mem.h"

static void check_limits(const struct spec *spec)
{
	FUZZ_PROMISE(spec_name_check(spec->name, NULL) && spec_hrp_check(spec->hrp, NULL));
	for (const struct spec_field *field = spec_fields; field->name; field++)
		FUZZ_PROMISE(spec_field_check(field, spec_field_get(spec, field), NULL));
}

static void check_spec(const uint8_t *data, size_t size)
{
	struct errmsg err = { "" };
	struct spec spec;
	char *path;

	if (spec_parse(&spec, (const char *)data, size, &path, &err)) {
		check_limits(&spec);
		/* A large model would take its time. */
		if (spec_course(&spec)->train.model.d == 16 && spec_course(&spec)->train.model.layers == 1 &&
			!spec_finish(&spec, &err))
			FUZZ_PROMISE(err.text[0]);
		free(path);
	} else {
		FUZZ_PROMISE(err.text[0] && path == NULL);
	}
	spec_clear(&spec);
}

/* Without rounds, and with them. */
static const struct spec *registry_spec(bool with_rounds)
{
	static struct spec specs[2];

	for (int i = 0; specs[1].k == 0 && i < 2; i++)
		FUZZ_PROMISE(spec_builtin(&specs[i], "regtest"));
	specs[1].round_blocks = 5;
	specs[1].round_work = specs[1].round_reveal = 1;
	specs[1].segments = 2;
	return &specs[with_rounds];
}

/* What was read is written back byte for byte. */
static void check_slice(const struct registry *registry, const struct slice *slice, const uint8_t *data, size_t size)
{
	struct buf again;

	buf_init(&again);
	FUZZ_PROMISE(
		registry_write(&again, registry, slice) && again.size == size && memcmp(again.data, data, size) == 0);
	buf_clear(&again);
}

/* Its facts, and a slice after each key that follows, ascending as in a database. */
static struct registry *read_slices(bool with_rounds, const uint8_t *data, size_t size)
{
	struct registry *registry = registry_new(registry_spec(with_rounds));
	struct slice slice = { SLICE_FACTS, 0 }, last;
	struct reader reader;
	size_t facts_size;
	bool ok;

	reader_init(&reader, data, size);
	ok = registry_read(registry, &slice, &reader);
	facts_size = size - reader_left(&reader);
	while (ok && reader_left(&reader) > 0) {
		size_t from;

		last = slice;
		slice = slices_key_read(&reader);
		from = size - reader_left(&reader);
		ok = reader.ok && (slice.kind > last.kind || (slice.kind == last.kind && slice.number > last.number)) &&
			registry_read(registry, &slice, &reader);
		if (ok)
			check_slice(registry, &slice, data + from, size - reader_left(&reader) - from);
	}
	if (ok && registry_is_whole(registry)) {
		check_slice(registry, &(struct slice){ SLICE_FACTS, 0 }, data, facts_size);
		return registry;
	}
	registry_free(registry);
	return NULL;
}

static void check_registry(bool with_rounds, const uint8_t *data, size_t size)
{
	struct registry_undo *undo;
	struct registry *registry;
	struct reader reader;
	struct buf again;

	buf_init(&again);
	registry = read_slices(with_rounds, data, size);
	reader_init(&reader, data, size);
	undo = registry_undo_read(&reader);
	if (undo != NULL) {
		registry_undo_write(&again, undo);
		FUZZ_PROMISE(again.size == size - reader_left(&reader) && memcmp(again.data, data, again.size) == 0);
		if (registry != NULL)
			registry_undo(registry, undo);
	}
	registry_undo_free(undo);
	registry_free(registry);
	buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct block_outcome outcome;
	struct reader reader;

	check_spec(data, size);
	check_registry(false, data, size);
	check_registry(true, data, size);
	reader_init(&reader, data, size);
	if (block_outcome_read(&reader, &outcome))
		FUZZ_PROMISE(outcome.outcome.slots <= OUTCOME_MAX_SLOTS);
	return 0;
}

static void seed_registry(struct buf *out, bool with_rounds, bool undo_wanted)
{
	struct registry *registry = registry_new(registry_spec(with_rounds));
	struct block_outcome outcome = { .outcome = { .slots = 1, .slot = { { .count = 1, .value = 77777 } } },
		.v_ref = 5 };
	struct block *block = block_new();
	struct registry_undo *undo;

	block->txs = mem_alloc(sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(tx_new());
	for (int i = with_rounds ? 0 : 7; i < 8; i++)
		registry_undo_free(registry_apply(registry, block, NULL));
	undo = registry_apply(registry, block, &outcome);
	if (undo_wanted)
		registry_undo_write(out, undo);
	else
		registry_write(out, registry, &(struct slice){ SLICE_FACTS, 0 });
	registry_undo_free(undo);
	registry_free(registry);
	block_unref(block);
}

bool fuzz_seed(size_t index, struct buf *out)
{
	static const char *const texts[] = {
		"{}",
		"{\"name\":\"a-1\",\"hrp\":\"x\",\"d\":16,\"layers\":1,\"heads\":1,\"ff\":16,\"ctx\":32,"
		"\"corpus\":\"embedded\"}",
		"{\"d\":16,\"layers\":1,\"heads\":1,\"k\":64,\"subsidy\":1000000000000,\"halving\":1050,"
		"\"bench_bytes\":9000}",
		"{\"corpus\":\"file.txt\",\"spacing\":86400,\"rpc_port\":1,\"p2p_port\":65535,\"v_0\":140737488355328}",
		"{\"d\":16,\"layers\":1,\"heads\":1,\"initial_state\":\"weights.gguf\"}",
		"{\"blob_min\":1024,\"blob_max\":1024,\"blob_budget\":1024}",
	};
	size_t count = sizeof texts / sizeof *texts;

	if (index >= count + 4)
		return false;
	if (index < count)
		buf_put_text(out, texts[index]);
	else
		seed_registry(out, index >= count + 2, index % 2 == 0);
	return true;
}
