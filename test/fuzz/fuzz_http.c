/* Heads of HTTP requests: any lines are taken or refused, and memory stays within the bound. */
#include <string.h>

#include "fuzz.h"
#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head head;
	int result = HTTP_MORE;

	http_head_init(&head);
	while (result == HTTP_MORE && size) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t length = end != NULL ? (size_t)(end - data) : size;
		char *line = malloc(length + 1);

		if (line == NULL)
			abort();
		memcpy(line, data, length);
		line[length] = 0;
		result = http_head_line(&head, line, length);
		free(line);
		data += end != NULL ? length + 1 : length;
		size -= end != NULL ? length + 1 : length;
	}
	FUZZ_PROMISE(result == HTTP_MORE || result == HTTP_WHOLE || (result >= 400 && result < 600));
	FUZZ_PROMISE(result < 400 || strcmp(http_head_reason(result), "Unknown") != 0);
	if (result == HTTP_WHOLE) {
		size_t kept = strlen(head.target);

		for (size_t i = 0; i < HTTP_FIELDS; i++)
			kept += head.fields[i] != NULL ? strlen(head.fields[i]) : 0;
		FUZZ_PROMISE(kept < head.size);
		FUZZ_PROMISE(head.target != NULL && head.size <= HTTP_HEAD_MAX);
		FUZZ_PROMISE(head.has_length || head.length == 0);
	}
	http_head_clear(&head);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	static const char *const texts[] = {
		"POST / HTTP/1.1\nHost: x\nAuthorization: Basic eDp5\nContent-Length: 2\nConnection: close\n\n",
		"GET /api/chain?a=b HTTP/1.1\nHost: [::1]:1\nOrigin: null\nIf-None-Match: \"1\"\n\n",
		"HEAD / HTTP/1.1\nSec-Fetch-Site: none\nSec-Fetch-Mode: cors\nX-Atelier-Key: 1\nContent-Type: a\n\n",
		"\nPOST /wallet/a HTTP/1.0\nConnection: keep-alive, x\nExpect: 100-continue\n\n",
		"GET http://h/ HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length: 1\nContent-Length: 1\n\n",
	};

	if (index >= sizeof texts / sizeof *texts)
		return false;
	buf_put_text(out, texts[index]);
	return true;
}
