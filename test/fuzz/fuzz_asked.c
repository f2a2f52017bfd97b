/* Bodies of requests for texts: any bytes are read within the bounds, or refused with words and the member's name. */
#include <string.h>

#include "fuzz.h"
#include "web/door/asked.h"

static void fuzz_read(bool is_chat, const uint8_t *data, size_t size)
{
	struct asked_error error = { NULL, { "" } };
	struct asked asked;

	if (asked_read(&asked, is_chat, (const char *)data, size, &error)) {
		FUZZ_PROMISE(asked.prompt_count >= 1 && asked.n >= 1);
		FUZZ_PROMISE(asked.prompt_count * asked.n <= ASKED_CHOICES_MAX);
		FUZZ_PROMISE(asked.bytes >= 1 && asked.bytes <= ASKED_BYTES_MAX && asked.top <= ASKED_TOP_MAX);
		FUZZ_PROMISE(
			asked.options.temperature <= PICK_TEMPERATURE_MAX && asked.options.top_k <= MODEL_VOCABULARY);
		FUZZ_PROMISE(asked.options.top_p >= 1 && asked.options.top_p <= PICK_PPM);
		FUZZ_PROMISE(asked.stop_count <= ASKED_STOPS_MAX && asked.stop_count >= is_chat);
		for (size_t i = 0; i < asked.stop_count; i++)
			FUZZ_PROMISE(asked.stops[i].size >= 1 && asked.stops[i].size <= ASKED_STOP_BYTES_MAX);
		for (size_t i = 0; i < asked.prompt_count; i++)
			FUZZ_PROMISE(asked.prompts[i].size <= 16 * size + 64);
	} else {
		FUZZ_PROMISE(error.param != NULL && strlen(error.message.text) > 0);
	}
	asked_clear(&asked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_read(false, data, size);
	fuzz_read(true, data, size);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	static const char *const texts[] = {
		"{\"model\":\"m\",\"prompt\":\"a\\u0000b\",\"max_tokens\":5,"
		"\"temperature\":0.5,\"top_p\":1,\"n\":2,\"stop\":[\"a\"]}",
		"{\"prompt\":[1,2,255],\"logprobs\":3,\"seed\":18446744073709551615,"
		"\"echo\":false,\"top_k\":40}",
		"{\"prompt\":[\"a\",\"b\"],\"stream\":true,\"stream_options\":{\"include_usage\":true},"
		"\"best_of\":1,\"stop\":null}",
		"{\"prompt\":[[1],[]],\"logit_bias\":{},\"presence_penalty\":0.0,\"receipt\":true}",
		"{\"messages\":[{\"role\":\"system\",\"content\":\"a\"},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
		"\"b\"}]}],\"logprobs\":true,\"top_logprobs\":20,\"max_completion_tokens\":4096,\"stop\":\"x\"}",
	};

	if (index >= sizeof texts / sizeof *texts)
		return false;
	buf_put_text(out, texts[index]);
	return true;
}
