/* Texts side by side: who waits, who is written, and the turns in which a worker writes. */
#include "work/text/writer.h"

#include <stdlib.h>
#include <string.h>

#include "ml/backend_cpu.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/size.h"

/* States of which texts are written at a time: each costs its rounded matrices. Texts at a time, and bytes that their
 * keys and values may take. Milliseconds of a turn, at most: where
 * nobody wants to be told bytes as they come it is as long as the queue lets one go first who has waited. */
enum { WRITER_STATES = 2, WRITER_AT_ONCE_MAX = 32, WRITER_TURN_MS = 500, WRITER_TELLING_TURN_MS = 100 };
#define WRITER_CACHES_MAX ((size_t)256 << 20)

struct writer_text {
	struct writer_text *next;
	struct writer *writer;
	struct writer_order order;
	uint8_t *prompt, *given, *bytes; /* the text's own; bytes: [count], and one that differs */
	size_t size, told;               /* of bytes: come, by the worker; told of by `more` */
	struct decoder_logits logits;
	size_t slot; /* whose state it is written with */
	struct generate_text *generating;
	atomic_bool stopped;
};

/* A state in use, and the worker's decoder of it. */
struct writer_slot {
	struct state *state; /* NULL: free */
	enum writer_arithmetic arithmetic;
	const struct backend_kind *kind; /* whose engine the decoder has */
	struct decoder *decoder;         /* NULL: it is still to be made */
	bool is_refused;                 /* it cannot be made: a weight is too large */
	size_t users;
};

/* While a turn is under way the texts in `writing`, and the decoders, are the worker's; the loop leaves both alone. */
struct writer {
	struct chain *chain;
	struct queue *queue;
	struct writer_slot slots[WRITER_STATES];
	struct writer_text *waiting, *writing[WRITER_AT_ONCE_MAX];
	size_t count, writing_count, at_once;
	bool turning, closed;
	atomic_bool cancel;
	atomic_bool someone_waits; /* so the turn ends early */
};

static const struct train_config *writer_config(const struct writer *writer)
{
	return &spec_course(chain_spec(writer->chain))->train;
}

struct writer *writer_new(struct chain *chain, struct queue *queue)
{
	struct writer *writer = mem_calloc(1, sizeof *writer);
	const struct model_config *config = &spec_course(chain_spec(chain))->train.model;

	writer->chain = chain;
	writer->queue = queue;
	writer->at_once = size_max(1, size_min(WRITER_AT_ONCE_MAX, WRITER_CACHES_MAX / decoder_cache_memory(config)));
	return writer;
}

uint32_t writer_context(const struct writer *writer)
{
	return writer_config(writer)->model.ctx;
}

/* ---- A turn, on the worker ---- */

static bool writer_wrote(void *context, uint8_t byte, const struct decoder_logits *logits)
{
	struct writer_text *text = context;

	text->bytes[text->size++] = byte;
	text->logits = *logits;
	return (text->order.wrote == NULL || text->order.wrote(text->order.context, byte, logits)) &&
		!atomic_load(&text->stopped);
}

/* An engine that is wrong leaves no trace in texts: the decoder of another one goes on where it should have. */
static void writer_replace_wrong(struct writer_slot *slot)
{
	if (!decoder_is_wrong(slot->decoder))
		return;
	backend_distrust(slot->kind, "a product of a text was wrong");
	decoder_free(slot->decoder);
	slot->decoder = NULL;
}

/* One pass for a state. False: something has to be seen to between turns, such as a text that has ended. */
static bool writer_pass_slot(struct writer *writer, size_t index)
{
	struct writer_slot *slot = &writer->slots[index];
	struct generate_text *texts[WRITER_AT_ONCE_MAX];
	size_t count = 0;
	bool all_write = true;

	for (size_t i = 0; i < writer->writing_count; i++)
		if (writer->writing[i]->slot == index)
			texts[count++] = writer->writing[i]->generating;
	if (count == 0)
		return true;
	if (slot->decoder == NULL)
		return false;
	generate_advance(slot->decoder, texts, count, &writer->cancel);
	for (size_t i = 0; i < count; i++)
		all_write = all_write && generate_text_status(texts[i]) == GENERATE_WRITING;
	writer_replace_wrong(slot);
	return all_write && slot->decoder != NULL;
}

static bool writer_pass(struct writer *writer)
{
	bool goes_on = true;

	for (size_t index = 0; index < WRITER_STATES; index++)
		goes_on = writer_pass_slot(writer, index) && goes_on;
	return goes_on;
}

/* What no engine can multiply is found out here, once. */
static void writer_make_decoder(const struct writer *writer, struct writer_slot *slot)
{
	enum engine engine;

	if (slot->state == NULL || slot->decoder != NULL || slot->is_refused)
		return;
	engine = decoder_engine(backend_cpu_engine(backend_selected()));
	slot->kind = backend_cpu(engine);
	engine = slot->arithmetic == WRITER_PLAIN ? ENGINE_PLAIN : engine;
	slot->decoder = decoder_new(writer_config(writer), slot->state, engine);
	slot->is_refused = slot->decoder == NULL;
}

static void writer_turn(void *arg)
{
	struct writer *writer = arg;
	int64_t until = clock_mono_ms() + WRITER_TURN_MS;

	for (size_t i = 0; i < writer->writing_count; i++)
		if (writer->writing[i]->order.more != NULL)
			until = clock_mono_ms() + WRITER_TELLING_TURN_MS;
	for (size_t slot = 0; slot < WRITER_STATES; slot++)
		writer_make_decoder(writer, &writer->slots[slot]);
	do
		queue_pause(&writer->cancel);
	while (!atomic_load(&writer->cancel) && writer_pass(writer) && !atomic_load(&writer->someone_waits) &&
		clock_mono_ms() < until);
}

/* ---- Between turns, on the loop ---- */

static void writer_leave_slot(struct writer *writer, size_t index)
{
	struct writer_slot *slot = &writer->slots[index];

	if (--slot->users > 0)
		return;
	decoder_free(slot->decoder);
	state_unref(slot->state);
	*slot = (struct writer_slot){ 0 };
}

/* WRITER_STATES: none is free. */
static size_t writer_take_slot(struct writer *writer, struct state *state, enum writer_arithmetic arithmetic)
{
	size_t found = WRITER_STATES;

	for (size_t i = 0; i < WRITER_STATES; i++)
		if (writer->slots[i].state == NULL)
			found = i;
	for (size_t i = 0; i < WRITER_STATES; i++)
		if (writer->slots[i].state != NULL && writer->slots[i].arithmetic == arithmetic &&
			memcmp(state_root(writer->slots[i].state), state_root(state), 32) == 0)
			found = i;
	if (found < WRITER_STATES && writer->slots[found].users++ == 0)
		writer->slots[found] = (struct writer_slot){ .state = state_ref(state),
			.arithmetic = arithmetic,
			.users = 1 };
	return found;
}

/* Taken off all lists before; `done` may ask for the next text. */
static void writer_answer(struct writer_text *text, enum writer_status status)
{
	struct writer *writer = text->writer;
	bool is_begun = text->generating != NULL;
	struct writer_result result = {
		.status = status,
		.bytes = text->bytes,
		.size = is_begun ? generate_text_size(text->generating) : 0,
		.logits = &text->logits,
		.entry = is_begun ? text->order.entry : NULL,
		.root = is_begun ? state_root(writer->slots[text->slot].state) : NULL,
	};

	writer->count--;
	text->order.done(text->order.context, &result);
	if (is_begun)
		writer_leave_slot(writer, text->slot);
	state_unref(text->order.state);
	generate_text_free(text->generating);
	free(text->prompt);
	free(text->given);
	free(text->bytes);
	free(text);
}

/* False: its state has to wait until another one's texts are done. */
static bool writer_begin(struct writer *writer, struct writer_text *text)
{
	struct state *state = text->order.state != NULL ? state_ref(text->order.state) : chain_state(writer->chain);
	const struct generate_order order = { text->prompt, text->order.prompt_size, text->order.options,
		text->order.count, text->given, writer_wrote, text };

	text->slot = writer_take_slot(writer, state, text->order.arithmetic);
	if (text->order.state == NULL)
		text->order.entry = chain_tip(writer->chain);
	state_unref(state);
	if (text->slot == WRITER_STATES)
		return false;
	text->generating = generate_text_new(&writer_config(writer)->model, &order);
	writer->writing[writer->writing_count++] = text;
	return true;
}

static void writer_turned(void *arg, bool cancelled);

/* Begins who waits, as far as there is room, and posts the next turn. */
static void writer_go_on(struct writer *writer)
{
	if (writer->turning || writer->closed)
		return;
	atomic_store(&writer->someone_waits, false);
	while (writer->waiting != NULL && writer->writing_count < writer->at_once &&
		writer_begin(writer, writer->waiting))
		writer->waiting = writer->waiting->next;
	writer->turning = writer->writing_count > 0;
	if (writer->turning)
		queue_post(writer->queue,
			&(struct queue_job){
				.kind = QUEUE_GENERATE,
				.owner = writer,
				.run = writer_turn,
				.done = writer_turned,
				.arg = writer,
			});
}

static enum writer_status writer_status_of(const struct writer_text *text)
{
	if (text->writer->slots[text->slot].is_refused)
		return WRITER_FAILED;
	switch (generate_text_status(text->generating)) {
	case GENERATE_WRITING:
	case GENERATE_DONE:
		return WRITER_WRITTEN;
	case GENERATE_DIFFERS:
		return WRITER_DIFFERS;
	case GENERATE_FAILED:
		break;
	}
	return WRITER_FAILED;
}

static void writer_tell(struct writer_text *text)
{
	size_t size = generate_text_size(text->generating);

	if (text->order.more != NULL && size > text->told)
		text->order.more(text->order.context, text->bytes + text->told, size - text->told);
	text->told = size;
}

/* `turning` stays until all have been told, so that who asks for another text meanwhile does not begin a turn. */
static void writer_turned(void *arg, bool cancelled)
{
	struct writer *writer = arg;
	size_t kept = 0, count = writer->writing_count;

	(void)cancelled;
	for (size_t i = 0; i < count && !writer->closed; i++) {
		struct writer_text *text = writer->writing[i];
		bool writes = !writer->slots[text->slot].is_refused &&
			generate_text_status(text->generating) == GENERATE_WRITING;

		writer_tell(text);
		if (writes)
			writer->writing[kept++] = text;
		else
			writer_answer(text, writer_status_of(text));
		writer->writing_count = kept;
	}
	writer->turning = false;
	writer_go_on(writer);
}

size_t writer_room(const struct writer *writer)
{
	return writer->closed ? 0 : WRITER_TEXTS_MAX - writer->count;
}

size_t writer_at_once(const struct writer *writer)
{
	return writer->at_once;
}

struct writer_text *writer_write(struct writer *writer, const struct writer_order *order)
{
	struct writer_text *text, **last = &writer->waiting;

	if (writer_room(writer) == 0)
		return NULL;
	text = mem_calloc(1, sizeof *text);
	text->writer = writer;
	text->order = *order;
	text->prompt = mem_dup(order->prompt, order->prompt_size);
	text->given = order->given != NULL ? mem_dup(order->given, order->count) : NULL;
	text->bytes = mem_alloc(order->count + 1);
	if (order->state != NULL)
		state_ref(order->state);
	while (*last != NULL)
		last = &(*last)->next;
	*last = text;
	writer->count++;
	atomic_store(&writer->someone_waits, true);
	writer_go_on(writer);
	return text;
}

void writer_stop(struct writer_text *text)
{
	atomic_store(&text->stopped, true);
}

void writer_close(struct writer *writer)
{
	writer->closed = true;
	atomic_store(&writer->cancel, true);
	queue_leave(writer->queue, writer);
	while (writer->writing_count > 0)
		writer_answer(writer->writing[--writer->writing_count], WRITER_CLOSING);
	while (writer->waiting != NULL) {
		struct writer_text *text = writer->waiting;

		writer->waiting = text->next;
		writer_answer(text, WRITER_CLOSING);
	}
}

void writer_free(struct writer *writer)
{
	free(writer);
}
