/* JSON: what is parsed prints to a text that parses to the same; converters take any value; requests get an answer. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "rpc/convert.h"
#include "rpc/table.h"

static void convert_all(const json_t *value)
{
	struct rpc_error error;
	int64_t number;
	uint8_t hash[32];
	struct buf bytes;

	buf_init(&bytes);
	if (convert_amount(value, "a", &number, &error)) {
		json_t *again = json_amount(number);
		int64_t same = -1;

		FUZZ_PROMISE(convert_amount(again, "a", &same, &error) && same == number);
		json_decref(again);
	}
	convert_decimal(value, "a", &number, &error);
	convert_int(value, "a", -5, 5, &number, &error);
	convert_hash(value, "a", hash, &error);
	if (convert_hex(value, "a", 100, &bytes, &error))
		FUZZ_PROMISE(bytes.size <= 100);
	free(convert_text(value, "a", &error));
	buf_clear(&bytes);
}

static void answered(void *context, struct rpc_answer *answer)
{
	FUZZ_PROMISE((answer->body.size == 0) == (answer->status == 204));
	++*(int *)context;
	buf_clear(&answer->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	json_t *value = json_parse(text, size, NULL);
	struct rpc_table *table = rpc_table_new();
	int answers = 0;

	rpc_table_execute(table, text, size, NULL, answered, &answers);
	FUZZ_PROMISE(answers == 1);
	rpc_table_free(table);
	if (value != NULL) {
		struct buf once, twice;
		json_t *again;

		buf_init(&once);
		buf_init(&twice);
		json_print(value, 0, &once);
		again = json_parse((const char *)once.data, once.size, NULL);
		FUZZ_PROMISE(again != NULL);
		json_print(again, 0, &twice);
		FUZZ_PROMISE(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
		convert_all(value);
		json_decref(again);
		buf_clear(&once);
		buf_clear(&twice);
	}
	json_decref(value);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	static const char *const texts[] = {
		"{\"jsonrpc\":\"2.0\",\"method\":\"help\",\"params\":[\"uptime\"],\"id\":1.50}",
		"[{\"method\":\"help\",\"params\":{\"command\":\"help\"}},{\"method\":\"uptime\",\"id\":null}]",
		"[1e-8,-0.10,true,false,null,\"\\u00e4\\ud83d\\ude00\\n\",{\"a\":{},\"b\":[]}]",
		"20999999.99999999",
		"\"0.00000001\"",
	};

	if (index >= sizeof texts / sizeof *texts)
		return false;
	buf_put_text(out, texts[index]);
	return true;
}
