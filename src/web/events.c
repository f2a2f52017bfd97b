/* Listeners, and what each kind of event says now. */
#include "web/events.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/json.h"
#include "util/mem.h"
#include "web/answer.h"

enum { EVENTS_KINDS = 5, EVENTS_BEATS = 15 /* seconds of silence */ };

static const struct timeval events_gather = { 0, 200000 }, events_second = { 1, 0 };

struct events_listener {
	struct http_exchange *exchange;
	struct visitor from;
};

struct events {
	struct chain *chain; /* NULL before it is open */
	const struct runner *runner;
	void (*changed)(void *context);
	void *context;
	struct event *flush, *beat; /* flush: something may have changed, and is told when it is due */
	struct events_listener listeners[EVENTS_LISTENERS];
	size_t count;
	uint64_t proof_changes, tx_changes;
	unsigned silence;              /* seconds */
	struct buf told[EVENTS_KINDS]; /* what the listeners know of each kind */
};

/* --- what is so now --- */

static json_t *events_show_block(const struct events *events)
{
	const struct index_entry *tip = chain_tip(events->chain);

	return json_pack("{s:I,s:o,s:I}", "height", (json_int_t)tip->height, "hash", json_hash(tip->id), "time",
		(json_int_t)tip->header.time);
}

static json_t *events_show_model(const struct events *events)
{
	const struct index_entry *tip = chain_tip(events->chain);

	return json_pack("{s:I,s:o}", "height", (json_int_t)tip->height, "root", json_hash(tip->model_root_after));
}

static json_t *events_show_proof(const struct events *events)
{
	return json_pack("{s:I,s:I,s:I,s:I}", "height", (json_int_t)chain_tip(events->chain)->height + 1, "proofs",
		(json_int_t)chain_loose_count(events->chain), "late", (json_int_t)chain_late_count(events->chain),
		"change", (json_int_t)events->proof_changes);
}

static json_t *events_show_tx(const struct events *events)
{
	return json_pack("{s:I,s:I,s:I}", "transactions", (json_int_t)chain_mempool_count(events->chain), "bytes",
		(json_int_t)chain_mempool_bytes(events->chain), "change", (json_int_t)events->tx_changes);
}

static json_t *events_show_run(const struct events *events)
{
	size_t count = runner_count(events->runner);
	json_int_t working = 0, segments = 0, iterations = 0;

	for (size_t i = 0; i < count; i++) {
		struct runner_info info;

		runner_look(events->runner, i, &info);
		working += info.is_working;
		segments += info.trace->done;
		iterations += info.is_working ? info.iterations : 0;
	}
	return json_pack("{s:I,s:I,s:I,s:I}", "runs", (json_int_t)count, "working", working, "segments", segments,
		"iterations", iterations);
}

static const struct {
	const char *name;
	json_t *(*show)(const struct events *events);
} events_kinds[EVENTS_KINDS] = {
	{ "block", events_show_block },
	{ "model", events_show_model },
	{ "proof", events_show_proof },
	{ "tx", events_show_tx },
	{ "run", events_show_run },
};

static void events_write(const struct events *events, size_t kind, struct buf *message)
{
	json_t *shown = events_kinds[kind].show(events);

	buf_put_text(message, "event: ");
	buf_put_text(message, events_kinds[kind].name);
	buf_put_text(message, "\ndata: ");
	json_print(shown, 0, message);
	buf_put_text(message, "\n\n");
	json_decref(shown);
}

/* --- listeners --- */

static void events_drop(struct events *events, size_t index)
{
	http_server_end(events->listeners[index].exchange);
	events->listeners[index] = events->listeners[--events->count];
}

static void events_push(struct events *events, const void *data, size_t size)
{
	/* From the last on, as dropping one puts the last in its place. */
	for (size_t i = events->count; i-- > 0;)
		if (!http_server_push(events->listeners[i].exchange, data, size))
			events_drop(events, i);
	events->silence = 0;
}

/* Tells what differs from what was told. */
static void events_tell(struct events *events)
{
	struct buf message;

	for (size_t kind = 0; kind < EVENTS_KINDS && events->count > 0; kind++) {
		buf_init(&message);
		events_write(events, kind, &message);
		if (message.size != events->told[kind].size ||
			memcmp(message.data, events->told[kind].data, message.size) != 0) {
			events->changed(events->context);
			events_push(events, message.data, message.size);
			buf_clear(&events->told[kind]);
			events->told[kind] = message;
		} else {
			buf_clear(&message);
		}
	}
}

static void events_on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	events_tell(arg);
}

/* Runs tell nobody how far they are, so somebody looks. */
static void events_on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct events *events = arg;

	(void)fd;
	(void)what;
	if (events->chain != NULL)
		events_tell(events);
	if (++events->silence >= EVENTS_BEATS)
		events_push(events, ":\n\n", 3);
}

static bool events_has_room(struct events *events, const struct http_request *request)
{
	size_t neighbours = 0;

	for (size_t i = events->count; i-- > 0;)
		if (!http_server_is_heard(events->listeners[i].exchange))
			events_drop(events, i);
	for (size_t i = 0; i < events->count; i++)
		neighbours += visitor_is_neighbour(&events->listeners[i].from, request->from);
	return events->count < EVENTS_LISTENERS && (request->from->is_local || neighbours < EVENTS_PER_GROUP);
}

static void events_listen(struct events *events, const struct http_request *request, struct http_exchange *exchange)
{
	const struct http_answer head = {
		.status = 200,
		.type = "text/event-stream",
		.fields = "Cache-Control: no-store\r\n",
	};
	struct events_listener *listener;
	struct buf first;

	/* The others shall know what he is told, so that a change is one for all. */
	if (events->chain != NULL)
		events_tell(events);
	buf_init(&first);
	buf_put_text(&first, "retry: 2000\n\n");
	for (size_t kind = 0; kind < EVENTS_KINDS && events->chain != NULL; kind++) {
		buf_reset(&events->told[kind]);
		events_write(events, kind, &events->told[kind]);
		buf_put(&first, events->told[kind].data, events->told[kind].size);
	}
	listener = &events->listeners[events->count++];
	*listener = (struct events_listener){ .exchange = exchange, .from = *request->from };
	http_server_begin(exchange, &head);
	http_server_push(exchange, first.data, first.size);
	buf_clear(&first);
}

bool events_has_path(const char *path)
{
	return strcmp(path, "/api/events") == 0;
}

void events_handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	struct http_answer empty = { .status = 200, .type = "text/event-stream" };
	struct events *events = context;

	if (strcmp(request->head->method, "GET") != 0)
		http_server_answer(exchange, &empty);
	else if (events_has_room(events, request))
		events_listen(events, request, exchange);
	else
		answer_refuse(exchange, 503, "Too many listen already");
}

/* --- notices --- */

/* Gathered for a moment: a chain that is fetched connects blocks by the hundred. */
static void events_changed(struct events *events)
{
	if (events->count > 0 && !event_pending(events->flush, EV_TIMEOUT, NULL))
		event_add(events->flush, &events_gather);
}

static void events_on_tip(void *context, const struct index_entry *tip)
{
	(void)tip;
	events_changed(context);
}

static void events_on_proof(void *context, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct events *events = context;

	(void)header;
	(void)source;
	if (reject != NULL)
		return;
	events->proof_changes++;
	events_changed(events);
}

static void events_on_tx_added(void *context, const struct tx *tx, uint64_t source)
{
	struct events *events = context;

	(void)tx;
	(void)source;
	events->tx_changes++;
	events_changed(events);
}

static void events_on_tx_removed(void *context, const struct tx *tx, const char *reason)
{
	(void)reason;
	events_on_tx_added(context, tx, 0);
}

/* --- beginning and end --- */

struct events *events_new(struct event_base *base, void (*changed)(void *context), void *context)
{
	struct events *events = mem_calloc(1, sizeof *events);

	events->changed = changed;
	events->context = context;
	events->flush = mem_check(evtimer_new(base, events_on_flush, events));
	events->beat = mem_check(event_new(base, -1, EV_PERSIST, events_on_beat, events));
	event_add(events->beat, &events_second);
	return events;
}

void events_begin(struct events *events, struct chain *chain, const struct runner *runner)
{
	events->chain = chain;
	events->runner = runner;
	chain_subscribe(chain,
		&(struct chain_events){
			.context = events,
			.tip = events_on_tip,
			.proof_verdict = events_on_proof,
			.tx_added = events_on_tx_added,
			.tx_removed = events_on_tx_removed,
		});
	events_tell(events);
}

void events_free(struct events *events)
{
	if (events->chain != NULL)
		chain_unsubscribe(events->chain, events);
	while (events->count > 0)
		events_drop(events, 0);
	for (size_t kind = 0; kind < EVENTS_KINDS; kind++)
		buf_clear(&events->told[kind]);
	event_free(events->flush);
	event_free(events->beat);
	free(events);
}
