/* Objects of OpenAI's API, member by member. */
#include "web/door/reply.h"

#include <stdio.h>
#include <string.h>

json_t *reply_object(const struct reply_head *head)
{
	json_t *object = json_object();
	char fingerprint[24] = "";

	json_object_set_new(object, "id", json_string(head->id));
	json_object_set_new(object, "object",
		json_string(!head->is_chat     ? "text_completion" :
				head->is_piece ? "chat.completion.chunk" :
						 "chat.completion"));
	json_object_set_new(object, "created", json_integer(head->created));
	json_object_set_new(object, "model", json_string(head->model));
	/* Which model wrote is what a fingerprint is for: the first digits of its root, as that is shown. */
	for (size_t i = 0; i < 8 && head->root != NULL; i++)
		snprintf(fingerprint + 2 * i, sizeof fingerprint - 2 * i, "%02x", head->root[31 - i]);
	json_object_set_new(object, "system_fingerprint", head->root != NULL ? json_string(fingerprint) : json_null());
	json_object_set_new(object, "choices", json_array());
	return object;
}

/* Bytes that are no text of their own are named as OpenAI names them. */
static json_t *reply_token(uint8_t byte)
{
	char name[16];

	snprintf(name, sizeof name, byte < 128 ? "%c" : "bytes:\\x%02x", byte);
	return json_text(name, byte < 128 ? 1 : strlen(name));
}

static json_t *reply_log_object(uint8_t byte, int32_t micro)
{
	json_t *shown = json_object(), *bytes = json_array();

	json_array_append_new(bytes, json_integer(byte));
	json_object_set_new(shown, "token", reply_token(byte));
	json_object_set_new(shown, "logprob", json_fixed(micro, 6));
	json_object_set_new(shown, "bytes", bytes);
	return shown;
}

static json_t *reply_chat_logs(const struct reply_text *text)
{
	json_t *shown = json_object(), *content = json_array();

	for (size_t i = 0; i < text->size; i++) {
		json_t *log = reply_log_object(text->logs[i].byte, text->logs[i].micro), *top = json_array();

		for (size_t j = 0; j < text->top; j++)
			json_array_append_new(top,
				reply_log_object(text->logs[i].top[j].byte, text->logs[i].top[j].micro));
		json_object_set_new(log, "top_logprobs", top);
		json_array_append_new(content, log);
	}
	json_object_set_new(shown, "content", content);
	json_object_set_new(shown, "refusal", json_null());
	return shown;
}

static json_t *reply_completion_logs(const struct reply_text *text)
{
	json_t *shown = json_object(), *tokens = json_array(), *logs = json_array(), *tops = json_array(),
	       *offsets = json_array();

	for (size_t i = 0; i < text->size; i++) {
		json_t *top = json_object();

		for (size_t j = 0; j < text->top; j++) {
			json_t *token = reply_token(text->logs[i].top[j].byte);

			/* A key cannot hold a byte 0. */
			json_object_set_new(top,
				text->logs[i].top[j].byte == 0 ? "bytes:\\x00" : json_string_value(token),
				json_fixed(text->logs[i].top[j].micro, 6));
			json_decref(token);
		}
		json_array_append_new(tokens, reply_token(text->logs[i].byte));
		json_array_append_new(logs, json_fixed(text->logs[i].micro, 6));
		json_array_append_new(tops, top);
		json_array_append_new(offsets, json_integer((json_int_t)(text->offset + i)));
	}
	json_object_set_new(shown, "tokens", tokens);
	json_object_set_new(shown, "token_logprobs", logs);
	json_object_set_new(shown, "top_logprobs", tops);
	json_object_set_new(shown, "text_offset", offsets);
	return shown;
}

json_t *reply_choice(const struct reply_head *head, const struct reply_text *text)
{
	json_t *choice = json_object(), *words = json_text((const char *)text->bytes, text->size), *message;

	json_object_set_new(choice, "index", json_integer((json_int_t)text->index));
	if (!head->is_chat) {
		json_object_set_new(choice, "text", words);
	} else {
		message = json_object();
		json_object_set_new(message, "role", json_string("assistant"));
		json_object_set_new(message, "content", words);
		if (!head->is_piece)
			json_object_set_new(message, "refusal", json_null());
		json_object_set_new(choice, head->is_piece ? "delta" : "message", message);
	}
	json_object_set_new(choice, "logprobs",
		text->logs == NULL    ? json_null() :
			head->is_chat ? reply_chat_logs(text) :
					reply_completion_logs(text));
	json_object_set_new(choice, "finish_reason", text->finish != NULL ? json_string(text->finish) : json_null());
	return choice;
}

json_t *reply_usage(size_t prompt_bytes, size_t text_bytes)
{
	return json_pack("{s:I,s:I,s:I}", "prompt_tokens", (json_int_t)prompt_bytes, "completion_tokens",
		(json_int_t)text_bytes, "total_tokens", (json_int_t)(prompt_bytes + text_bytes));
}

json_t *reply_model(const char *name, int64_t created)
{
	return json_pack("{s:s,s:s,s:I,s:s}", "id", name, "object", "model", "created", (json_int_t)created, "owned_by",
		"atelier");
}

static const char *reply_type(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 429:
		return "rate_limit_error";
	case 500:
	case 503:
		return "server_error";
	default:
		return "invalid_request_error";
	}
}

json_t *reply_error(int status, const char *message, const char *param, const char *code)
{
	json_t *error = json_object(), *shown = json_object();

	json_object_set_new(error, "message", json_text(message, strlen(message)));
	json_object_set_new(error, "type", json_string(reply_type(status)));
	json_object_set_new(error, "param", param != NULL && param[0] != '\0' ? json_string(param) : json_null());
	json_object_set_new(error, "code", code != NULL ? json_string(code) : json_null());
	json_object_set_new(shown, "error", error);
	return shown;
}
