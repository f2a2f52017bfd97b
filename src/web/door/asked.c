/* Bodies of requests for texts, member by member. */
#include "web/door/asked.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/convert.h"
#include "rpc/json.h"

enum { ASKED_DECIMALS = 6 };

/* NULL stands for a member that is not there, as clients mean it. */
static const json_t *asked_member(const json_t *body, const char *name)
{
	const json_t *member = json_object_get(body, name);

	return json_is_null(member) ? NULL : member;
}

__attribute__((format(printf, 3, 4))) static bool asked_refuse(struct asked_error *error, const char *param,
	const char *format, ...)
{
	va_list arguments;

	error->param = param;
	va_start(arguments, format);
	vsnprintf(error->message.text, sizeof error->message.text, format, arguments);
	va_end(arguments);
	return false;
}

static bool asked_take(struct asked_error *error, const char *param, const struct rpc_error *wrong)
{
	return asked_refuse(error, param, "%s", wrong->message.text);
}

static bool asked_read_flag(const json_t *body, const char *name, bool *out, struct asked_error *error)
{
	const json_t *member = asked_member(body, name);

	if (member != NULL && !json_is_boolean(member))
		return asked_refuse(error, name, "%s must be true or false", name);
	*out = json_is_true(member);
	return true;
}

/* Left alone if it is not there. */
static bool asked_read_number(const json_t *body, const char *name, int64_t min, int64_t max, uint32_t *out,
	struct asked_error *error)
{
	const json_t *member = asked_member(body, name);
	struct rpc_error wrong;
	int64_t number = *out;

	if (member != NULL && !convert_int(member, name, min, max, &number, &wrong))
		return asked_take(error, name, &wrong);
	*out = (uint32_t)number;
	return true;
}

/* The number with no more decimals than are looked at: a double has up to 17, 0.30000000000000004. NULL: no number. */
static json_t *asked_shorten(const json_t *member)
{
	char *text = json_number_text(member), *point = text != NULL ? strchr(text, '.') : NULL;
	json_t *number;

	if (point != NULL && strpbrk(point, "eE") == NULL && strlen(point) > ASKED_DECIMALS + 1)
		point[ASKED_DECIMALS + 1] = '\0';
	number = text != NULL ? json_decimal(text) : NULL;
	free(text);
	return number;
}

/* A decimal, in millionths; further decimals are cut off. */
static bool asked_read_part(const json_t *body, const char *name, uint32_t max, uint32_t *out,
	struct asked_error *error)
{
	const json_t *member = asked_member(body, name);
	json_t *number = asked_shorten(member);
	int64_t units;
	bool is_read = number != NULL && convert_decimal(number, name, &units, NULL);

	json_decref(number);
	if (member == NULL)
		return true;
	if (!is_read)
		return asked_refuse(error, name, "%s must be a number", name);
	if (units < 0 || units / 100 > max)
		return asked_refuse(error, name, "%s must be between 0 and %u", name, max / PICK_PPM);
	*out = (uint32_t)(units / 100);
	return true;
}

/* ---- Prompts ---- */

static bool asked_put_bytes(struct buf *prompt, const json_t *numbers, struct asked_error *error)
{
	for (size_t i = 0; i < json_array_size(numbers); i++) {
		const json_t *number = json_array_get(numbers, i);

		if (!json_is_integer(number) || json_integer_value(number) < 0 || json_integer_value(number) > 255)
			return asked_refuse(error, "prompt", "tokens are bytes: 0 to 255");
		buf_put_u8(prompt, (uint8_t)json_integer_value(number));
	}
	return true;
}

static bool asked_read_prompt(struct asked *asked, const json_t *member, struct asked_error *error)
{
	struct buf *prompt = &asked->prompts[asked->prompt_count];

	if (asked->prompt_count == ASKED_CHOICES_MAX)
		return asked_refuse(error, "prompt", "there are more than %d prompts", ASKED_CHOICES_MAX);
	asked->prompt_count++;
	if (json_is_array(member))
		return asked_put_bytes(prompt, member, error);
	if (!json_is_any_text(member))
		return asked_refuse(error, "prompt", "prompt must be a string, or a list of strings or of tokens");
	buf_put(prompt, json_string_value(member), json_string_length(member));
	return true;
}

static bool asked_read_prompts(struct asked *asked, const json_t *body, struct asked_error *error)
{
	const json_t *member = asked_member(body, "prompt");

	if (member == NULL)
		return asked_refuse(error, "prompt", "there is no prompt");
	if (!json_is_array(member) || json_is_integer(json_array_get(member, 0)))
		return asked_read_prompt(asked, member, error);
	for (size_t i = 0; i < json_array_size(member); i++)
		if (!asked_read_prompt(asked, json_array_get(member, i), error))
			return false;
	return asked->prompt_count > 0 || asked_refuse(error, "prompt", "the list of prompts is empty");
}

/* A string, or parts of which each is {"type": "text", "text"}. */
static bool asked_put_content(struct buf *prompt, const json_t *content, struct asked_error *error)
{
	if (json_is_any_text(content)) {
		buf_put(prompt, json_string_value(content), json_string_length(content));
		return true;
	}
	if (!json_is_array(content))
		return asked_refuse(error, "messages", "content must be a string, or a list of parts of type text");
	for (size_t i = 0; i < json_array_size(content); i++) {
		const json_t *text = json_object_get(json_array_get(content, i), "text");

		if (!json_is_any_text(text))
			return asked_refuse(error, "messages", "parts of content must be of type text");
		buf_put(prompt, json_string_value(text), json_string_length(text));
	}
	return true;
}

static bool asked_read_message(struct buf *prompt, const json_t *message, struct asked_error *error)
{
	static const struct {
		const char *role, *before, *behind;
	} roles[] = { { "system", "", "\n\n" }, { "developer", "", "\n\n" }, { "user", "User: ", "\n" },
		{ "assistant", "Assistant: ", "\n" } };
	const char *role = json_string_value(json_object_get(message, "role"));

	for (size_t i = 0; role != NULL && i < sizeof roles / sizeof *roles; i++)
		if (strcmp(role, roles[i].role) == 0) {
			buf_put_text(prompt, roles[i].before);
			if (!asked_put_content(prompt, json_object_get(message, "content"), error))
				return false;
			buf_put_text(prompt, roles[i].behind);
			return true;
		}
	return asked_refuse(error, "messages", "role must be system, developer, user or assistant");
}

static bool asked_add_stop(struct asked *asked, const char *text, size_t size, struct asked_error *error)
{
	if (asked->stop_count == ASKED_STOPS_MAX || size == 0 || size > ASKED_STOP_BYTES_MAX)
		return asked_refuse(error, "stop", "stop must be up to 4 texts of 1 to %d bytes", ASKED_STOP_BYTES_MAX);
	buf_put(&asked->stops[asked->stop_count++], text, size);
	return true;
}

static bool asked_read_messages(struct asked *asked, const json_t *body, struct asked_error *error)
{
	const json_t *member = asked_member(body, "messages");

	if (!json_is_array(member) || json_array_size(member) == 0)
		return asked_refuse(error, "messages", "messages must be a list of one at least");
	asked->prompt_count = 1;
	for (size_t i = 0; i < json_array_size(member); i++)
		if (!asked_read_message(&asked->prompts[0], json_array_get(member, i), error))
			return false;
	buf_put_text(&asked->prompts[0], "Assistant:");
	return asked_add_stop(asked, "\nUser:", strlen("\nUser:"), error);
}

/* ---- Options ---- */

static bool asked_read_stops(struct asked *asked, const json_t *body, struct asked_error *error)
{
	const json_t *member = asked_member(body, "stop");
	size_t count = json_is_array(member) ? json_array_size(member) : member != NULL;

	if (count > ASKED_STOPS_MAX - 1)
		return asked_refuse(error, "stop", "stop must be up to 4 texts");
	for (size_t i = 0; i < count; i++) {
		const json_t *stop = json_is_array(member) ? json_array_get(member, i) : member;

		if (!json_is_any_text(stop))
			return asked_refuse(error, "stop", "stop must be a text, or a list of texts");
		if (!asked_add_stop(asked, json_string_value(stop), json_string_length(stop), error))
			return false;
	}
	return true;
}

/* A chat's logprobs is a flag beside top_logprobs, a completion's is the number itself. */
static bool asked_read_logs(struct asked *asked, const json_t *body, struct asked_error *error)
{
	if (!asked->is_chat) {
		asked->wants_logs = asked_member(body, "logprobs") != NULL;
		return asked_read_number(body, "logprobs", 0, ASKED_TOP_MAX, &asked->top, error);
	}
	return asked_read_flag(body, "logprobs", &asked->wants_logs, error) &&
		asked_read_number(body, "top_logprobs", 0, ASKED_TOP_MAX, &asked->top, error);
}

static bool asked_read_seed(struct asked *asked, const json_t *body, struct asked_error *error)
{
	const json_t *member = asked_member(body, "seed");
	struct rpc_error wrong;

	asked->has_seed = member != NULL;
	return member == NULL || convert_u64(member, "seed", &asked->options.seed, &wrong) ||
		asked_take(error, "seed", &wrong);
}

/* What changes a text, and what we have nothing for: a client must not believe that it was heeded. */
static bool asked_refuse_foreign(const json_t *body, struct asked_error *error)
{
	static const char *const numbers[] = { "presence_penalty", "frequency_penalty" };
	static const char *const others[] = { "logit_bias", "suffix", "tools", "functions", "response_format" };
	int64_t units;
	bool echo;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (asked_member(body, numbers[i]) != NULL &&
			(!convert_decimal(asked_member(body, numbers[i]), numbers[i], &units, NULL) || units != 0))
			return asked_refuse(error, numbers[i], "%s is not supported", numbers[i]);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		const json_t *member = asked_member(body, others[i]);
		const char *type = json_string_value(json_object_get(member, "type"));
		bool is_empty = (json_is_object(member) && json_object_size(member) == 0) ||
			(json_is_array(member) && json_array_size(member) == 0) ||
			(type != NULL && strcmp(type, "text") == 0);

		if (member != NULL && !is_empty)
			return asked_refuse(error, others[i], "%s is not supported", others[i]);
	}
	if (!asked_read_flag(body, "echo", &echo, error))
		return false;
	return !echo || asked_refuse(error, "echo", "echo is not supported");
}

static bool asked_read_options(struct asked *asked, const json_t *body, struct asked_error *error)
{
	const json_t *stream_options = asked_member(body, "stream_options");
	uint32_t n = 1, best_of = 0;

	asked->bytes = ASKED_BYTES;
	asked->options = (struct pick_options){ .temperature = PICK_PPM, .top_p = PICK_PPM };
	if (!asked_read_number(body, "n", 1, ASKED_CHOICES_MAX, &n, error) ||
		!asked_read_number(body, "best_of", 1, ASKED_CHOICES_MAX, &best_of, error) ||
		!asked_read_number(body, "max_tokens", 1, ASKED_BYTES_MAX, &asked->bytes, error) ||
		!asked_read_number(body, "max_completion_tokens", 1, ASKED_BYTES_MAX, &asked->bytes, error) ||
		!asked_read_number(body, "top_k", 0, MODEL_VOCABULARY, &asked->options.top_k, error) ||
		!asked_read_part(body, "temperature", PICK_TEMPERATURE_MAX, &asked->options.temperature, error) ||
		!asked_read_part(body, "top_p", PICK_PPM, &asked->options.top_p, error) ||
		!asked_read_flag(body, "stream", &asked->is_streamed, error) ||
		!asked_read_flag(stream_options, "include_usage", &asked->wants_usage, error) ||
		!asked_read_flag(body, "receipt", &asked->wants_receipt, error))
		return false;
	/* Nothing is less than the likeliest byte. */
	asked->options.top_p = asked->options.top_p == 0 ? 1 : asked->options.top_p;
	asked->n = n;
	if (best_of > n)
		return asked_refuse(error, "best_of", "best_of is not supported");
	return true;
}

/* What a stream tells of a moment has to find room in what may wait for a client (HTTP_STREAM_MAX), however fast the
 * model writes: with logarithms that is 80 bytes for each
 * byte and each likely one, and all of them are made on the loop. */
static bool asked_bound_logs(const struct asked *asked, struct asked_error *error)
{
	size_t told = asked->prompt_count * asked->n * asked->bytes * (1 + asked->top);

	if (!asked->wants_logs || told <= (asked->is_streamed ? ASKED_LOGS_STREAMED_MAX : ASKED_LOGS_MAX))
		return true;
	return asked_refuse(error, "logprobs",
		"logprobs of so many bytes are too many: ask for fewer, or a shorter text");
}

static bool asked_read_body(struct asked *asked, const json_t *body, struct asked_error *error)
{
	const json_t *model = asked_member(body, "model");

	if (!json_is_object(body))
		return asked_refuse(error, "", "the body must be a JSON object");
	if (model != NULL && (!json_is_text(model) || json_string_length(model) >= sizeof asked->model))
		return asked_refuse(error, "model", "model must be a name");
	snprintf(asked->model, sizeof asked->model, "%s", model != NULL ? json_string_value(model) : "");
	if (!asked_refuse_foreign(body, error) || !asked_read_options(asked, body, error) ||
		!asked_read_seed(asked, body, error) || !asked_read_logs(asked, body, error) ||
		!(asked->is_chat ? asked_read_messages(asked, body, error) : asked_read_prompts(asked, body, error)) ||
		!asked_read_stops(asked, body, error))
		return false;
	if (asked->prompt_count * asked->n > ASKED_CHOICES_MAX)
		return asked_refuse(error, "n", "there are more than %d choices", ASKED_CHOICES_MAX);
	return asked_bound_logs(asked, error);
}

bool asked_read(struct asked *asked, bool is_chat, const char *body, size_t size, struct asked_error *error)
{
	struct errmsg err;
	json_t *parsed = json_parse(body, size, &err);
	bool is_read;

	*asked = (struct asked){ .is_chat = is_chat };
	if (parsed == NULL)
		return asked_refuse(error, "", "%s", err.text);
	is_read = asked_read_body(asked, parsed, error);
	json_decref(parsed);
	return is_read;
}

void asked_clear(struct asked *asked)
{
	for (size_t i = 0; i < asked->prompt_count; i++)
		buf_clear(&asked->prompts[i]);
	for (size_t i = 0; i < asked->stop_count; i++)
		buf_clear(&asked->stops[i]);
}
