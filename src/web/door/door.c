/* Requests at the door: let in, written, told in one piece or as it comes. */
#include "web/door/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls/completion.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/random.h"
#include "web/answer.h"
#include "web/door/reply.h"

/* One text of a request. The worker's while a turn is under way (work/text/writer.h), the loop's in between. */
struct door_choice {
	struct door_request *request;
	size_t index;
	const struct buf *prompt;
	struct pick_options options;
	struct writer_text *text; /* NULL: it has ended, or was never begun */
	struct buf bytes;         /* written so far, with a stop that ended it */
	struct reply_log *logs;   /* of each; NULL: not wanted */
	size_t stop_size;         /* of the stop that ended it */
	size_t sent;              /* bytes, to a client who is told as they come */
	enum writer_status status;
	bool is_done;
	json_t *receipt;
};

struct door_request {
	struct door_request *next;
	struct door *door;
	struct http_exchange *exchange;
	struct asked asked;
	struct door_choice choices[ASKED_CHOICES_MAX];
	size_t count, done;
	char id[48], key_name[65];
	int64_t created;
	uint8_t root[32]; /* of the model */
	uint32_t height;
	bool has_model;
};

struct door {
	struct apikeys *apikeys;
	struct calls_parts parts; /* writer NULL: the chain is not open yet */
	struct door_request *requests;
	char model[32];
};

/* ---- Answers ---- */

static void door_answer(struct http_exchange *exchange, int status, json_t *shown)
{
	struct http_answer answer = { .status = status, .type = ANSWER_JSON, .fields = "Cache-Control: no-store\r\n" };

	buf_init(&answer.body);
	answer_print(shown, &answer.body);
	json_decref(shown);
	http_server_answer(exchange, &answer);
}

static void door_refuse(struct http_exchange *exchange, int status, const char *message, const char *param,
	const char *code)
{
	door_answer(exchange, status, reply_error(status, message, param, code));
}

static void door_push(struct door_request *request, json_t *shown)
{
	struct buf message;

	buf_init(&message);
	buf_put_text(&message, "data: ");
	json_print(shown, 0, &message);
	buf_put_text(&message, "\n\n");
	json_decref(shown);
	http_server_push(request->exchange, message.data, message.size);
	buf_clear(&message);
}

static struct reply_head door_head(const struct door_request *request)
{
	return (struct reply_head){
		.is_chat = request->asked.is_chat,
		.is_piece = request->asked.is_streamed,
		.id = request->id,
		.model = request->door->model,
		.created = request->created,
		.root = request->has_model ? request->root : NULL,
	};
}

/* Bytes of a choice without the stop, which is not told. */
static size_t door_text_size(const struct door_choice *choice)
{
	return choice->bytes.size - choice->stop_size;
}

static const char *door_finish(const struct door_choice *choice)
{
	if (choice->stop_size > 0)
		return "stop";
	return choice->bytes.size == choice->request->asked.bytes ? "length" : "stop";
}

static struct reply_text door_text(const struct door_choice *choice, size_t first, size_t end, const char *finish)
{
	return (struct reply_text){
		.index = choice->index,
		.bytes = choice->bytes.data + first,
		.size = end - first,
		.offset = first,
		.logs = choice->logs != NULL ? choice->logs + first : NULL,
		.top = choice->request->asked.top,
		.finish = finish,
	};
}

static json_t *door_usage(const struct door_request *request)
{
	size_t prompts = 0, texts = 0;

	for (size_t i = 0; i < request->asked.prompt_count; i++)
		prompts += request->asked.prompts[i].size;
	for (size_t i = 0; i < request->count; i++)
		texts += door_text_size(&request->choices[i]);
	return reply_usage(prompts, texts);
}

/* What only a model of which each text can be had again has to say, of some choices. */
static void door_add_model(const struct door_request *request, size_t first, size_t count, json_t *object)
{
	json_t *model = json_object(), *choices = json_array();

	json_object_set_new(model, "height", json_integer(request->height));
	json_object_set_new(model, "model_root", json_hash(request->root));
	for (size_t i = first; i < first + count; i++) {
		const struct door_choice *choice = &request->choices[i];
		json_t *shown = json_object();

		json_object_set_new(shown, "seed", json_u64(choice->options.seed));
		json_object_set_new(shown, "hex", json_hex(choice->bytes.data, door_text_size(choice)));
		if (choice->receipt != NULL)
			json_object_set(shown, "receipt", choice->receipt);
		json_array_append_new(choices, shown);
	}
	json_object_set_new(model, "choices", choices);
	json_object_set_new(object, "atelier", model);
}

/* ---- Streams ---- */

/* Bytes at the end that are the beginning of a character, whose rest is still to come. */
static size_t door_half_character(const uint8_t *bytes, size_t size)
{
	for (size_t back = 1; back <= 3 && back <= size; back++) {
		uint8_t byte = bytes[size - back];
		size_t whole = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;

		if (byte < 0x80 || byte >= 0xf8)
			return 0;
		if (byte >= 0xc0)
			return whole > back ? back : 0;
	}
	return 0;
}

/* Bytes at the end that may be the beginning of a stop, or are one. */
static size_t door_half_stop(const struct asked *asked, const uint8_t *bytes, size_t size)
{
	size_t most = 0;

	for (size_t i = 0; i < asked->stop_count; i++)
		for (size_t part = 1; part <= asked->stops[i].size && part <= size; part++)
			if (part > most && memcmp(bytes + size - part, asked->stops[i].data, part) == 0)
				most = part;
	return most;
}

/* Sends what is certain to be told. */
static void door_send_more(struct door_choice *choice, const char *finish)
{
	struct door_request *request = choice->request;
	struct reply_head head = door_head(request);
	size_t end = choice->bytes.size;
	struct reply_text text;
	json_t *object;

	if (finish != NULL)
		end = door_text_size(choice);
	else
		end -= door_half_stop(&request->asked, choice->bytes.data, end);
	if (finish == NULL)
		end -= door_half_character(choice->bytes.data, end);
	if (end <= choice->sent && finish == NULL)
		return;
	text = door_text(choice, choice->sent, end, finish);
	object = reply_object(&head);
	json_array_append_new(json_object_get(object, "choices"), reply_choice(&head, &text));
	if (finish != NULL)
		door_add_model(request, choice->index, 1, object);
	choice->sent = end;
	door_push(request, object);
}

/* ---- Ends ---- */

static void door_free_request(struct door_request *request)
{
	struct door_request **link = &request->door->requests;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	for (size_t i = 0; i < request->count; i++) {
		buf_clear(&request->choices[i].bytes);
		free(request->choices[i].logs);
		json_decref(request->choices[i].receipt);
	}
	asked_clear(&request->asked);
	free(request);
}

/* The worst that became of a choice; WRITTEN: nothing. */
static enum writer_status door_status(const struct door_request *request)
{
	for (size_t i = 0; i < request->count; i++)
		if (request->choices[i].status != WRITER_WRITTEN)
			return request->choices[i].status;
	return WRITER_WRITTEN;
}

static json_t *door_failure(enum writer_status status, int *http_status)
{
	*http_status = status == WRITER_CLOSING ? 503 : 500;
	return reply_error(*http_status,
		status == WRITER_CLOSING ? "The node is shutting down" :
					   "The model cannot go on with this text: its numbers are too large",
		NULL, NULL);
}

/* Clients look at the first choice of each piece: one without any comes to those alone who asked for it. */
static void door_end_stream(struct door_request *request)
{
	struct reply_head head = door_head(request);
	int http_status;
	json_t *object;

	if (door_status(request) != WRITER_WRITTEN) {
		door_push(request, door_failure(door_status(request), &http_status));
		http_server_end(request->exchange);
		return;
	}
	if (request->asked.wants_usage) {
		object = reply_object(&head);
		json_object_set_new(object, "usage", door_usage(request));
		door_push(request, object);
	}
	http_server_push(request->exchange, "data: [DONE]\n\n", strlen("data: [DONE]\n\n"));
	http_server_end(request->exchange);
}

static void door_end_whole(struct door_request *request)
{
	struct reply_head head = door_head(request);
	int http_status;
	json_t *object;

	if (door_status(request) != WRITER_WRITTEN) {
		object = door_failure(door_status(request), &http_status);
		door_answer(request->exchange, http_status, object);
		return;
	}
	object = reply_object(&head);
	for (size_t i = 0; i < request->count; i++) {
		const struct door_choice *choice = &request->choices[i];
		struct reply_text text = door_text(choice, 0, door_text_size(choice), door_finish(choice));

		json_array_append_new(json_object_get(object, "choices"), reply_choice(&head, &text));
	}
	json_object_set_new(object, "usage", door_usage(request));
	door_add_model(request, 0, request->count, object);
	door_answer(request->exchange, 200, object);
}

static void door_charge(const struct door_request *request)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < request->count; i++)
		bytes += request->choices[i].prompt->size + request->choices[i].bytes.size;
	apikeys_charge(request->door->apikeys, request->key_name, bytes);
}

/* ---- What the writer tells ---- */

/* On the worker. */
static void door_log(struct reply_log *log, uint8_t byte, uint32_t top, const struct decoder_logits *logits)
{
	uint8_t order[MODEL_VOCABULARY];
	int32_t micro[MODEL_VOCABULARY];

	pick_micro_logs(logits->of, micro);
	pick_order(logits->of, order);
	log->byte = byte;
	log->micro = micro[byte];
	for (uint32_t i = 0; i < top; i++) {
		log->top[i].byte = order[i];
		log->top[i].micro = micro[order[i]];
	}
}

static bool door_wrote(void *context, uint8_t byte, const struct decoder_logits *logits)
{
	struct door_choice *choice = context;
	const struct asked *asked = &choice->request->asked;

	if (choice->logs != NULL)
		door_log(&choice->logs[choice->bytes.size], byte, asked->top, logits);
	buf_put_u8(&choice->bytes, byte);
	for (size_t i = 0; i < asked->stop_count; i++) {
		const struct buf *stop = &asked->stops[i];

		if (stop->size <= choice->bytes.size && stop->size > choice->stop_size &&
			memcmp(choice->bytes.data + choice->bytes.size - stop->size, stop->data, stop->size) == 0)
			choice->stop_size = stop->size;
	}
	return choice->stop_size == 0;
}

static void door_on_more(void *context, const uint8_t *bytes, size_t size)
{
	struct door_choice *choice = context;
	struct door_request *request = choice->request;

	(void)bytes;
	(void)size;
	if (http_server_is_heard(request->exchange)) {
		if (request->asked.is_streamed)
			door_send_more(choice, NULL);
		return;
	}
	for (size_t i = 0; i < request->count; i++)
		if (request->choices[i].text != NULL)
			writer_stop(request->choices[i].text);
}

/* What is signed is what is told: a text that a stop has ended is the beginning of a longer one. */
static void door_take_receipt(struct door_choice *choice, const struct writer_result *result)
{
	struct writer_result told = *result;
	struct errmsg err;

	told.bytes = choice->bytes.data;
	told.size = door_text_size(choice);
	choice->receipt = completion_receipt(&choice->request->door->parts, &choice->options, choice->prompt->data,
		choice->prompt->size, &told, &err);
}

static void door_on_done(void *context, const struct writer_result *result)
{
	struct door_choice *choice = context;
	struct door_request *request = choice->request;

	choice->text = NULL;
	choice->status = result->status;
	if (result->entry != NULL) {
		request->has_model = true;
		request->height = result->entry->height;
		memcpy(request->root, result->root, 32);
	}
	if (result->status == WRITER_WRITTEN && request->asked.wants_receipt)
		door_take_receipt(choice, result);
	if (result->status == WRITER_WRITTEN && request->asked.is_streamed)
		door_send_more(choice, door_finish(choice));
	if (++request->done < request->count)
		return;
	door_charge(request);
	if (request->asked.is_streamed)
		door_end_stream(request);
	else
		door_end_whole(request);
	door_free_request(request);
}

/* ---- Beginnings ---- */

static void door_begin_choice(struct door_request *request, size_t index)
{
	struct door_choice *choice = &request->choices[index];
	const struct asked *asked = &request->asked;
	struct writer_order order;

	*choice = (struct door_choice){ .request = request,
		.index = index,
		.prompt = &asked->prompts[index / asked->n],
		.options = asked->options };
	/* Choices of one seed differ, and can each be had again. */
	choice->options.seed = asked->has_seed ? asked->options.seed + index % asked->n : random_u64();
	if (asked->wants_logs)
		choice->logs = mem_calloc(asked->bytes, sizeof *choice->logs);
	order = (struct writer_order){
		.prompt = choice->prompt->data,
		.prompt_size = choice->prompt->size,
		.options = choice->options,
		.count = asked->bytes,
		.wrote = door_wrote,
		.more = door_on_more,
		.done = door_on_done,
		.context = choice,
	};
	choice->text = writer_write(request->door->parts.writer, &order);
}

static void door_name(struct door_request *request)
{
	uint8_t drawn[12];
	char digits[25];

	random_bytes(drawn, sizeof drawn);
	hex_encode(digits, drawn, sizeof drawn);
	snprintf(request->id, sizeof request->id, "%s-%s", request->asked.is_chat ? "chatcmpl" : "cmpl", digits);
	request->created = clock_wall();
}

/* Room for all choices has been seen to. */
static void door_begin_request(struct door_request *request)
{
	const struct http_answer head = {
		.status = 200,
		.type = "text/event-stream",
		.fields = "Cache-Control: no-store\r\n",
	};

	request->next = request->door->requests;
	request->door->requests = request;
	request->count = request->asked.prompt_count * request->asked.n;
	door_name(request);
	if (request->asked.is_streamed)
		http_server_begin(request->exchange, &head);
	for (size_t i = 0; i < request->count; i++)
		door_begin_choice(request, i);
}

/* Whether there is room for another request of so many choices. Who needs no key is on this machine, and may have it
 * all. */
static bool door_has_room(const struct door *door, const struct door_request *asking)
{
	size_t of_all = 0, of_key = 0, choices = asking->asked.prompt_count * asking->asked.n;

	for (const struct door_request *other = door->requests; other != NULL; other = other->next) {
		of_all++;
		of_key += asking->key_name[0] != '\0' && strcmp(other->key_name, asking->key_name) == 0;
	}
	return of_all < DOOR_REQUESTS && of_key < DOOR_REQUESTS_EACH && writer_room(door->parts.writer) >= choices;
}

static uint64_t door_wanted(const struct asked *asked)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < asked->prompt_count; i++)
		bytes += (asked->prompts[i].size + asked->bytes) * asked->n;
	return bytes;
}

/* True: it is let in. Else it has been answered. */
static bool door_let_in(struct door_request *request, const struct http_request *http)
{
	struct door *door = request->door;
	const char *model = request->asked.model;
	enum apikeys_verdict verdict = apikeys_judge(door->apikeys, http->head->fields[HTTP_AUTHORIZATION],
		http->from->is_local, door_wanted(&request->asked), request->key_name);

	if (verdict == APIKEYS_WRONG)
		door_refuse(request->exchange, 401, "Incorrect API key, or none where one is needed", NULL,
			"invalid_api_key");
	else if (verdict == APIKEYS_SPENT)
		door_refuse(request->exchange, 429, "The key's budget does not suffice for prompt and max_tokens", NULL,
			"insufficient_quota");
	else if (model[0] != '\0' && strcmp(model, door->model) != 0)
		door_refuse(request->exchange, 404, "There is no such model here; see /v1/models", "model",
			"model_not_found");
	else if (!door_has_room(door, request))
		door_refuse(request->exchange, 429, "Too many texts are being written already", NULL,
			"rate_limit_exceeded");
	else
		return true;
	return false;
}

static void door_write(struct door *door, const struct http_request *http, bool is_chat, struct http_exchange *exchange)
{
	struct door_request *request = mem_calloc(1, sizeof *request);
	struct asked_error error;

	request->door = door;
	request->exchange = exchange;
	if (!asked_read(&request->asked, is_chat, http->body, http->size, &error)) {
		door_refuse(exchange, 400, error.message.text, error.param, NULL);
	} else if (door_let_in(request, http)) {
		door_begin_request(request);
		return;
	}
	asked_clear(&request->asked);
	free(request);
}

static void door_show_models(struct door *door, const struct http_request *http, struct http_exchange *exchange)
{
	char name[65];
	const char *asked_name = http->path + strlen("/v1/models");
	json_t *model;

	if (apikeys_judge(door->apikeys, http->head->fields[HTTP_AUTHORIZATION], http->from->is_local, 0, name) !=
		APIKEYS_OK) {
		door_refuse(exchange, 401, "Incorrect API key, or none where one is needed", NULL, "invalid_api_key");
		return;
	}
	model = reply_model(door->model, chain_at(door->parts.chain, 0)->header.time);
	if (asked_name[0] == '\0') {
		door_answer(exchange, 200, json_pack("{s:s,s:[o]}", "object", "list", "data", model));
	} else if (strcmp(asked_name + 1, door->model) == 0) {
		door_answer(exchange, 200, model);
	} else {
		json_decref(model);
		door_refuse(exchange, 404, "There is no such model here; see /v1/models", "model", "model_not_found");
	}
}

bool door_has_path(const char *path)
{
	return strncmp(path, "/v1/", 4) == 0;
}

void door_handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	struct door *door = context;
	bool is_get = strcmp(request->head->method, "POST") != 0;
	bool is_models = strcmp(request->path, "/v1/models") == 0 || strncmp(request->path, "/v1/models/", 11) == 0;
	bool is_chat = strcmp(request->path, "/v1/chat/completions") == 0;

	if (door->parts.writer == NULL)
		door_refuse(exchange, 503, "The node is starting", NULL, NULL);
	else if (is_get && is_models)
		door_show_models(door, request, exchange);
	else if (!is_get && (is_chat || strcmp(request->path, "/v1/completions") == 0))
		door_write(door, request, is_chat, exchange);
	else if (is_models || is_chat || strcmp(request->path, "/v1/completions") == 0)
		door_refuse(exchange, 405, "This path is for another method", NULL, NULL);
	else
		door_refuse(exchange, 404, "There is no such path here", NULL, NULL);
}

struct door *door_new(struct apikeys *apikeys)
{
	struct door *door = mem_calloc(1, sizeof *door);

	door->apikeys = apikeys;
	return door;
}

void door_begin(struct door *door, const struct calls_parts *parts)
{
	door->parts = *parts;
	snprintf(door->model, sizeof door->model, "atelier-%s", chain_spec(parts->chain)->name);
}

void door_free(struct door *door)
{
	free(door);
}
