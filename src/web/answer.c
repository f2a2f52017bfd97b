/* Answers: tags, 304, errors. */
#include "web/answer.h"

#include <stdio.h>
#include <string.h>

#include "crypto/hash.h"
#include "rpc/error.h"
#include "rpc/json.h"
#include "util/bytes.h"

/* A tag is 32 digits of the body's hash, which stand for nothing else: so the list of known ones need not be taken
 * apart. no-cache: the body may be kept, and is asked for again each time, which costs a 304. */
void answer_give(struct http_exchange *exchange, const char *known, const char *type, struct buf *body)
{
	struct http_answer answer = { .status = 200, .type = type };
	char tag[33], fields[96];
	uint8_t digest[32];

	sha256(digest, body->data, body->size);
	hex_encode(tag, digest, 16);
	snprintf(fields, sizeof fields, "Cache-Control: no-cache\r\nETag: \"%s\"\r\n", tag);
	answer.fields = fields;
	if (known != NULL && strstr(known, tag) != NULL) {
		answer.status = 304;
		answer.type = NULL;
		buf_clear(body);
	} else {
		answer.body = *body;
		buf_init(body);
	}
	http_server_answer(exchange, &answer);
}

/* HTTP's word for what kept a call from its answer. */
static int answer_status_of(enum rpc_code code)
{
	switch (code) {
	case RPC_IN_WARMUP:
	case RPC_OUT_OF_MEMORY:
		return 503;
	case RPC_METHOD_NOT_FOUND:
	case RPC_INVALID_ADDRESS_OR_KEY:
		return 404;
	case RPC_INTERNAL_ERROR:
	case RPC_DATABASE_ERROR:
		return 500;
	default: /* the rest is the caller's: enum rpc_code has Bitcoin Core's numbers, more than are used here */
		return 400;
	}
}

void answer_error(struct http_exchange *exchange, const json_t *error)
{
	enum rpc_code code = (enum rpc_code)json_integer_value(json_object_get(error, "code"));
	struct http_answer answer = {
		.status = answer_status_of(code),
		.type = ANSWER_JSON,
		.fields = "Cache-Control: no-store\r\n",
	};

	buf_put_text(&answer.body, "{\"error\":");
	json_print(error, 0, &answer.body);
	buf_put_text(&answer.body, "}\n");
	http_server_answer(exchange, &answer);
}

void answer_print(const json_t *result, struct buf *body)
{
	if (result != NULL)
		json_print(result, 0, body);
	else
		buf_put_text(body, "null");
	buf_put_u8(body, '\n');
}

void answer_put_refusal(int status, const char *text, struct buf *body)
{
	json_t *error = json_object(), *shown = json_object();

	json_object_set_new(error, "code", json_integer(status));
	json_object_set_new(error, "message", json_text(text, strlen(text)));
	json_object_set_new(shown, "error", error);
	answer_print(shown, body);
	json_decref(shown);
}

void answer_refuse(struct http_exchange *exchange, int status, const char *text)
{
	struct http_answer answer = { .status = status, .type = ANSWER_JSON, .fields = "Cache-Control: no-store\r\n" };

	answer_put_refusal(status, text, &answer.body);
	http_server_answer(exchange, &answer);
}
