/* OP_RETURN scripts: one script says one thing, and what was read is written back as it was. */
#include <string.h>

#include "consensus/payload/contribution.h"
#include "consensus/payload/merge_statement.h"
#include "consensus/payload/outcome.h"
#include "consensus/payload/payload.h"
#include "fuzz.h"
#include "util/bytes.h"
#include "util/mem.h"

static void promise_same(const struct buf *again, const uint8_t *data, size_t size)
{
	FUZZ_PROMISE(again->size == size && memcmp(again->data, data, size) == 0);
}

static bool judge(void *context, const struct licence_operand *operand)
{
	FUZZ_PROMISE(operand->id_size > 0 && operand->id_size <= operand->base_size &&
		operand->base_size <= operand->size && operand->exception_size < operand->size);
	return *(bool *)context;
}

/* An expression is what its operands are, where all are the same; and one operand admits itself. */
static void check_licence(const uint8_t *data, size_t size)
{
	char *text = mem_alloc(size + 1), list[1][LICENCE_MAX + 1] = { "" };

	memcpy(text, data, size);
	text[size] = 0;
	for (int same = 0; same < 2; same++) {
		bool all = same, satisfied;

		if (!licence_parse(text, judge, &all, &satisfied))
			FUZZ_PROMISE(!licence_is_single(text));
		else
			FUZZ_PROMISE(strlen(text) >= 1 && strlen(text) <= LICENCE_MAX && satisfied == all);
	}
	if (licence_is_single(text)) {
		memcpy(list[0], text, strlen(text) + 1);
		FUZZ_PROMISE(licence_is_admitted(text, (const char(*)[LICENCE_MAX + 1]) list, 1));
	}
	free(text);
}

/* A statement of a merge is of one number of seats, and reserved outside its coinbase. */
static void check_merge(const struct bytes *script, enum payload_kind kind)
{
	struct merge_statement statement;
	uint32_t forms = 0;
	struct buf again;

	buf_init(&again);
	for (uint32_t seats = 1; seats <= ROUND_SEATS_MAX; seats++) {
		if (!merge_statement_parse(script, seats, &statement))
			continue;
		FUZZ_PROMISE(kind == PAYLOAD_RESERVED && statement.seats == seats && ++forms == 1);
		merge_statement_script(&again, &statement);
		promise_same(&again, script->data, script->size);
	}
	buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes script = { mem_dup(data, size), size };
	struct contribution contribution;
	enum payload_kind kind = payload_kind(&script);
	struct outcome outcome;
	struct buf again;

	check_licence(data, size);
	check_merge(&script, kind);
	FUZZ_PROMISE(contribution_parse(&script, &contribution) == (kind == PAYLOAD_DATA));
	buf_init(&again);
	if (kind == PAYLOAD_DATA) {
		FUZZ_PROMISE(contribution_text_is_valid(&contribution));
		contribution_script(&again, &contribution);
		promise_same(&again, data, size);
	}
	for (uint32_t slots = 0; slots <= OUTCOME_MAX_SLOTS; slots++)
		if (outcome_parse(&script, slots, &outcome)) {
			FUZZ_PROMISE(kind == PAYLOAD_OUTCOME);
			buf_reset(&again);
			outcome_script(&again, &outcome);
			promise_same(&again, data, size);
		}
	buf_clear(&again);
	free(script.data);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	struct contribution data = {
		.size = 65536,
		.licence = "CC-BY-4.0",
		.title = "Caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	};
	struct outcome outcome = { .slots = 8 };

	if (index == 6) {
		merge_statement_script(out, &(struct merge_statement){ .seats = 4, .seat = { 0, 1, 2, 3 } });
		return true;
	}
	if (index >= 4) {
		static const char *const licences[] = { "MIT", "(MIT OR (A AND B+)) AND LicenseRef-c WITH d" };

		if (index < 6)
			buf_put_text(out, licences[index - 4]);
		return index < 6;
	}
	hex_decode(data.owner, 32, "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
	for (size_t i = 0; i < 8; i += 2)
		outcome.slot[i].count = 1;
	outcome.slot[2].value = -77;
	outcome.slot[4].left_out = true;
	switch (index) {
	case 0:
		contribution_script(out, &data);
		return true;
	case 1:
		data.title[0] = 0;
		contribution_script(out, &data);
		return true;
	case 2:
		outcome_script(out, &outcome);
		return true;
	case 3:
		outcome.is_void = true;
		outcome_script(out, &outcome);
		return true;
	}
	return false;
}
