/* Requests at the door: let in, written, told in one piece or as it comes. */
#include "web/door/door.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls/completion.h"
#include "rpc/method.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "web/answer.h"
#include "web/door/guests.h"
#include "web/door/reply.h"

#define DOOR_CREDIT_OFF "Nothing is sold now"

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
	json_t *receipt;
	uint8_t root[32]; /* of the model, and the height of the block after which it is that */
	uint32_t height;
};

/* Choices 0 .. begun - 1 have been given to the writer, and `done` of them are over. What has failed, or whose client
 * has left, begins no more, and ends when all that were begun are over. */
struct door_request {
	struct door_request *next;
	struct door *door;
	struct http_exchange *exchange;
	struct asked asked;
	struct door_choice choices[ASKED_CHOICES_MAX];
	size_t count, begun, done;
	struct guest *guest;
	char id[48], key_name[65];
	int64_t created;
	const struct door_choice *first_done; /* whose model is told as that of all; NULL: none yet */
	uint64_t promised;                    /* bytes of the key's budget */
	bool is_left, is_unpaid;              /* its charge could not be written down */
};

struct door {
	struct apikeys *apikeys;
	struct calls_parts parts;      /* writer NULL: the chain is not open yet */
	struct door_request *requests; /* in the order in which they came */
	struct guest *guests;
	size_t count, writing; /* requests; choices with the writer */
	uint64_t answered, refused, prompt_bytes, text_bytes;
	struct event *tick; /* while requests are here: looks who has left */
	bool is_closed;
	char model[32];
};

/* ---- Answers ---- */

static void door_answer(struct http_exchange *exchange, int status, json_t *shown)
{
	/* Clients then come again by themselves. */
	bool is_later = status == 429 || status == 503;
	struct http_answer answer = {
		.status = status,
		.type = ANSWER_JSON,
		.fields = is_later ? "Cache-Control: no-store\r\nRetry-After: 2\r\n" : "Cache-Control: no-store\r\n",
	};

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
		.root = request->first_done != NULL ? request->first_done->root : NULL,
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

	json_object_set_new(model, "height", json_integer(request->choices[first].height));
	json_object_set_new(model, "model_root", json_hash(request->choices[first].root));
	for (size_t i = first; i < first + count; i++) {
		const struct door_choice *choice = &request->choices[i];
		json_t *shown = json_object();

		/* A block may come between the beginnings of two. */
		json_object_set_new(shown, "height", json_integer(choice->height));
		json_object_set_new(shown, "model_root", json_hash(choice->root));
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
	if (--request->door->count == 0)
		event_del(request->door->tick);
	guests_leave(&request->door->guests, request->guest);
	for (size_t i = 0; i < request->begun; i++) {
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

/* Why its texts are not handed out, or no more of them; NULL: they are. */
static json_t *door_failure(const struct door_request *request, int *http_status)
{
	const enum writer_status status = door_status(request);
	const char *why = DOOR_CREDIT_OFF;

	*http_status = 503;
	if (status == WRITER_CLOSING) {
		why = "The node is shutting down";
	} else if (status != WRITER_WRITTEN) {
		*http_status = 500;
		why = "The model cannot go on with this text: its numbers are too large";
	} else if (!request->is_unpaid) {
		return NULL;
	}
	return reply_error(*http_status, why, NULL, NULL);
}

/* Clients look at the first choice of each piece: one without any comes to those alone who asked for it. */
static void door_end_stream(struct door_request *request)
{
	struct reply_head head = door_head(request);
	int http_status;
	json_t *object = door_failure(request, &http_status);

	if (object != NULL) {
		door_push(request, object);
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
	json_t *object = door_failure(request, &http_status);

	if (object != NULL) {
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

static void door_end_unheard(struct door_request *request)
{
	if (request->asked.is_streamed)
		http_server_end(request->exchange);
	else
		door_refuse(request->exchange, 503, "Gone", NULL, NULL);
}

static bool door_is_paid(const struct door_request *request)
{
	return credit_price(request->door->parts.credit) > 0;
}

/* Before the last of it is handed out: of what was streamed before that a killed process forgets the charge. */
static void door_charge(struct door_request *request)
{
	struct door *door = request->door;
	uint64_t prompt_bytes = 0, text_bytes = 0;
	struct errmsg err;

	for (size_t i = 0; i < request->begun; i++) {
		prompt_bytes += request->choices[i].prompt->size;
		text_bytes += request->choices[i].bytes.size;
	}
	door->answered++;
	door->prompt_bytes += prompt_bytes;
	door->text_bytes += text_bytes;
	apikeys_charge(door->apikeys, request->key_name, request->promised, prompt_bytes + text_bytes);
	request->is_unpaid = door_is_paid(request) &&
		!credit_use(door->parts.credit, request->key_name, (uint32_t)(prompt_bytes + text_bytes), &err);
	if (request->is_unpaid)
		log_warn("A text, or the end of one, is not handed out, as nobody can be charged: %s", err.text);
}

/* Nothing of it is begun any more. */
static bool door_is_lost(const struct door_request *request)
{
	return request->is_left || door_status(request) != WRITER_WRITTEN;
}

/* What is lost ends early. */
static void door_stop_lost(struct door_request *request)
{
	request->is_left = request->is_left || !http_server_is_heard(request->exchange);
	for (size_t i = 0; i < request->begun && door_is_lost(request); i++)
		if (request->choices[i].text != NULL)
			writer_stop(request->choices[i].text);
}

/* Ends a request of which all is over; it is no more then. */
static void door_settle(struct door_request *request)
{
	if (request->done < request->begun || (request->begun < request->count && !door_is_lost(request)))
		return;
	door_charge(request);
	if (request->is_left)
		door_end_unheard(request);
	else if (request->asked.is_streamed)
		door_end_stream(request);
	else
		door_end_whole(request);
	door_free_request(request);
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
	if (request->asked.is_streamed)
		door_send_more(choice, NULL);
	door_stop_lost(request);
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

static void door_start(struct door *door);

static void door_on_done(void *context, const struct writer_result *result)
{
	struct door_choice *choice = context;
	struct door_request *request = choice->request;
	struct door *door = request->door;

	choice->text = NULL;
	choice->status = result->status;
	request->done++;
	request->guest->writing--;
	door->writing--;
	if (result->entry != NULL) {
		choice->height = result->entry->height;
		memcpy(choice->root, result->root, 32);
		request->first_done = request->first_done != NULL ? request->first_done : choice;
	}
	if (result->status == WRITER_WRITTEN && request->asked.wants_receipt)
		door_take_receipt(choice, result);
	if (result->status == WRITER_WRITTEN && request->asked.is_streamed)
		door_send_more(choice, door_finish(choice));
	door_stop_lost(request);
	door_settle(request);
	door_start(door);
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
	request->begun++;
	request->guest->writing++;
	request->door->writing++;
}

/* The first choice that waits, of the guest of whom least is written; NULL: none waits who may have one more. */
static struct door_request *door_next(const struct door *door)
{
	size_t most = (3 * writer_at_once(door->parts.writer) + 3) / 4;
	struct door_request *next = NULL;

	for (struct door_request *request = door->requests; request != NULL; request = request->next)
		if (request->begun < request->count && !door_is_lost(request) && request->guest->writing < most &&
			(next == NULL || request->guest->writing < next->guest->writing))
			next = request;
	return next;
}

static void door_start(struct door *door)
{
	struct writer *writer = door->parts.writer;
	struct door_request *request;

	while (!door->is_closed && door->writing < writer_at_once(writer) && writer_room(writer) > 0 &&
		(request = door_next(door)) != NULL)
		door_begin_choice(request, request->begun);
}

/* Those who left while they waited; and there may have been no room because of texts that are not ours. */
static void door_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct door *door = arg;
	struct door_request *next;

	(void)fd;
	(void)what;
	for (struct door_request *request = door->requests; request != NULL; request = next) {
		next = request->next;
		door_stop_lost(request);
		if (door_is_lost(request))
			door_settle(request);
	}
	door_start(door);
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

static void door_put_last(struct door_request *request)
{
	static const struct timeval second = { .tv_sec = 1 };
	struct door *door = request->door;
	struct door_request **link = &door->requests;

	while (*link != NULL)
		link = &(*link)->next;
	*link = request;
	if (door->count++ == 0)
		event_add(door->tick, &second);
}

/* Bytes that a request may come to: its prompt counts for each text. */
static uint64_t door_wanted(const struct asked *asked)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < asked->prompt_count; i++)
		bytes += (asked->prompts[i].size + asked->bytes) * asked->n;
	return bytes;
}

static void door_begin_request(struct door_request *request)
{
	const struct http_answer head = {
		.status = 200,
		.type = "text/event-stream",
		.fields = "Cache-Control: no-store\r\n",
	};

	door_put_last(request);
	request->promised = door_wanted(&request->asked);
	apikeys_promise(request->door->apikeys, request->key_name, request->promised);
	request->count = request->asked.prompt_count * request->asked.n;
	door_name(request);
	if (request->asked.is_streamed)
		http_server_begin(request->exchange, &head);
	door_start(request->door);
}

/* Whether there is room for another request of its guest, who has come in then. */
static bool door_has_room(struct door *door, struct door_request *asking, const struct visitor *from)
{
	const bool has_key = asking->key_name[0] != '\0';
	char name[80] = "key ", *behind = name + strlen(name);

	if (has_key)
		snprintf(behind, sizeof name - strlen(name), "%s", asking->key_name);
	else
		hex_encode(name, from->group, sizeof from->group);
	asking->guest = guests_enter(&door->guests, name);
	if (door->count < DOOR_REQUESTS &&
		asking->guest->requests <= (has_key ? DOOR_REQUESTS_EACH : DOOR_REQUESTS_LOCAL))
		return true;
	guests_leave(&door->guests, asking->guest);
	return false;
}

/* Whether the key's credit covers what this request may come to, beside all that are under way for it. */
static enum credit_result door_cover(const struct door_request *asking)
{
	uint64_t bytes = door_wanted(&asking->asked);
	struct errmsg err;

	if (!door_is_paid(asking))
		return CREDIT_OK;
	for (const struct door_request *other = asking->door->requests; other != NULL; other = other->next)
		if (strcmp(other->key_name, asking->key_name) == 0)
			bytes += other->promised;
	return bytes > CREDIT_TOKENS_MAX ?
		CREDIT_SPENT :
		credit_covers(asking->door->parts.credit, asking->key_name, (uint32_t)bytes, &err);
}

/* Who buys sees neither price nor balance elsewhere: so he is told what he has in tokens, of which he can ask fewer. */
static void door_refuse_spent(const struct door_request *request)
{
	struct credit *credit = request->door->parts.credit;
	const struct credit_account *account = credit_find(credit, request->key_name);
	int64_t balance = account != NULL ? account->credited * 1000 - account->charged : 0; /* thousandths of a unit */
	struct errmsg message;

	errmsg_set(&message,
		"The key's credit is good for %" PRId64 " tokens, of which requests under way may take some; "
		"prompt and max_tokens may come to %" PRIu64,
		balance > 0 ? balance / credit_price(credit) : 0, door_wanted(&request->asked));
	door_refuse(request->exchange, 402, message.text, NULL, "insufficient_quota");
}

/* Whether it pays; else it has been answered. */
static bool door_take_payment(const struct door_request *request)
{
	switch (door_cover(request)) {
	case CREDIT_OK:
		return true;
	case CREDIT_SPENT:
		door_refuse_spent(request);
		break;
	case CREDIT_FAILED:
		door_refuse(request->exchange, 503, DOOR_CREDIT_OFF, NULL, NULL);
		break;
	}
	return false;
}

static const char door_stranger[] = "Incorrect API key, or none where one is needed",
		  door_stranger_code[] = "invalid_api_key";

static void door_refuse_stranger(struct http_exchange *exchange)
{
	door_refuse(exchange, 401, door_stranger, NULL, door_stranger_code);
}

static bool door_knows(struct door *door, const struct http_request *http)
{
	char name[65];

	return apikeys_judge(door->apikeys, http->head->fields[HTTP_AUTHORIZATION], http->from->is_local, 0, name) ==
		APIKEYS_OK;
}

int door_judge(struct door *door, const struct http_request *http)
{
	if (door_knows(door, http))
		return 0;
	door->refused++;
	return 401;
}

void door_put_refusal(int status, const char *text, struct buf *body)
{
	json_t *shown = status == 401 ? reply_error(status, door_stranger, NULL, door_stranger_code) :
					reply_error(status, text, NULL, NULL);

	answer_print(shown, body);
	json_decref(shown);
}

/* True: it is let in. Else it has been answered. */
static bool door_let_in(struct door_request *request, const struct http_request *http)
{
	struct door *door = request->door;
	const char *model = request->asked.model;
	enum apikeys_verdict verdict = apikeys_judge(door->apikeys, http->head->fields[HTTP_AUTHORIZATION],
		http->from->is_local, door_wanted(&request->asked), request->key_name);

	if (verdict == APIKEYS_WRONG)
		door_refuse_stranger(request->exchange);
	else if (verdict == APIKEYS_FAST)
		door_refuse(request->exchange, 429, "More requests a minute than the key is good for", NULL,
			"rate_limit_exceeded");
	else if (verdict == APIKEYS_SPENT)
		door_refuse(request->exchange, 429, "The key's budget does not suffice for prompt and max_tokens", NULL,
			"insufficient_quota");
	else if (model[0] != '\0' && strcmp(model, door->model) != 0)
		door_refuse(request->exchange, 404, "There is no such model here; see /v1/models", "model",
			"model_not_found");
	else if (!door_take_payment(request))
		return false;
	else if (!door_has_room(door, request, http->from))
		door_refuse(request->exchange, 429, "Too many requests wait already", NULL, "rate_limit_exceeded");
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
	door->refused++;
	asked_clear(&request->asked);
	free(request);
}

static void door_show_models(struct door *door, const struct http_request *http, struct http_exchange *exchange)
{
	const char *asked_name = http->path + strlen("/v1/models");
	json_t *model;

	if (!door_knows(door, http)) {
		door_refuse_stranger(exchange);
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

	if (door->parts.writer == NULL || door->is_closed)
		door_refuse(exchange, 503, door->is_closed ? "The node is shutting down" : "The node is starting", NULL,
			NULL);
	else if (is_get && is_models)
		door_show_models(door, request, exchange);
	else if (!is_get && (is_chat || strcmp(request->path, "/v1/completions") == 0))
		door_write(door, request, is_chat, exchange);
	else if (is_models || is_chat || strcmp(request->path, "/v1/completions") == 0)
		door_refuse(exchange, 405, "This path is for another method", NULL, NULL);
	else
		door_refuse(exchange, 404, "There is no such path here", NULL, NULL);
}

static enum rpc_outcome call_getdoorinfo(struct rpc_request *request, void *context)
{
	const struct door *door = context;

	return rpc_reply(request,
		json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "requests", (json_int_t)door->count, "writing",
			(json_int_t)door->writing, "answered", (json_int_t)door->answered, "refused",
			(json_int_t)door->refused, "prompt_bytes", (json_int_t)door->prompt_bytes, "text_bytes",
			(json_int_t)door->text_bytes));
}

static const struct rpc_method door_methods[] = {
	{ "getdoorinfo", "Control", call_getdoorinfo, NULL,
		"How many ask for texts at /v1/ now, and what was written for those who did since the node's start.",
		"{\"requests\": n,                those that are written or wait\n"
		" \"writing\": n,                 texts that are written now\n"
		" \"answered\": n, \"refused\": n, \"prompt_bytes\": n, \"text_bytes\": n}",
		"", 0 },
};

struct door *door_new(struct event_base *base, struct rpc_table *table, struct apikeys *apikeys)
{
	struct door *door = mem_calloc(1, sizeof *door);

	door->apikeys = apikeys;
	rpc_table_add(table, door_methods, sizeof door_methods / sizeof *door_methods, door);
	door->tick = mem_check(event_new(base, -1, EV_PERSIST, door_on_tick, door));
	return door;
}

void door_begin(struct door *door, const struct calls_parts *parts)
{
	door->parts = *parts;
	snprintf(door->model, sizeof door->model, "atelier-%s", chain_spec(parts->chain)->name);
}

/* Of those that have begun the writer's end tells. */
void door_close(struct door *door)
{
	struct door_request *next;

	door->is_closed = true;
	for (struct door_request *request = door->requests; request != NULL; request = next) {
		next = request->next;
		if (request->begun > 0)
			continue;
		request->choices[0].status = WRITER_CLOSING;
		door_settle(request);
	}
}

void door_free(struct door *door)
{
	if (door == NULL)
		return;
	event_free(door->tick);
	free(door);
}
