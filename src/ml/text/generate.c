/* Texts under way: the window of each, how its bytes come into passes, and what is made of the logits. */
#include "ml/text/generate.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"
#include "util/queue.h"
#include "util/size.h"

/* A window's bytes 0 .. size - 1 are there; the first so many of them, as the cache says, have been fed. What stands at
 * `next - 1` is what the next byte is chosen after: `next` is `size`, or where bytes were given and stand in the window
 * already, less. */
struct generate_text {
	struct generate_order order;
	const struct model_config *config;
	struct decoder_cache *cache;
	uint8_t *window; /* [ctx] */
	size_t size, next;
	size_t written;
	enum generate_status status;
};

/* Bytes that are given stand in the window before they are asked for, as far as it reaches: then one pass is enough for
 * many of them. */
static void generate_fill(struct generate_text *text)
{
	size_t ahead;

	if (text->order.given == NULL)
		return;
	ahead = size_min(text->config->ctx - text->next, text->order.count - text->written);
	memcpy(text->window + text->next, text->order.given + text->written, ahead);
	text->size = text->next + ahead;
}

struct generate_text *generate_text_new(const struct model_config *config, const struct generate_order *order)
{
	struct generate_text *text = mem_calloc(1, sizeof *text);
	const uint8_t *prompt = order->prompt;
	size_t size = order->prompt_size;

	text->order = *order;
	text->config = config;
	text->cache = decoder_cache_new(config);
	text->window = mem_alloc(config->ctx);
	text->status = order->count > 0 ? GENERATE_WRITING : GENERATE_DONE;
	if (size > config->ctx) {
		prompt += size - config->ctx / 2;
		size = config->ctx / 2;
	}
	/* Training windows begin with drawn bytes, so no first byte is special; a newline is as good as any. */
	if (size == 0)
		text->window[text->size++] = '\n';
	else
		memcpy(text->window, prompt, text->size = size);
	text->next = text->size;
	generate_fill(text);
	return text;
}

void generate_text_free(struct generate_text *text)
{
	if (text == NULL)
		return;
	decoder_cache_free(text->cache);
	free(text->window);
	free(text);
}

enum generate_status generate_text_status(const struct generate_text *text)
{
	return text->status;
}

size_t generate_text_size(const struct generate_text *text)
{
	return text->written;
}

/* Puts the next byte into the window. Where it is full, it begins again with its last half, which is fed anew, because
 * its keys were turned by positions that it no longer has. */
static void generate_append(struct generate_text *text, uint8_t byte)
{
	if (text->next == text->config->ctx) {
		size_t kept = text->config->ctx / 2;

		memmove(text->window, text->window + text->config->ctx - kept, kept);
		decoder_cache_forget(text->cache);
		text->size = text->next = kept;
	}
	text->window[text->next++] = byte;
	text->size = text->next > text->size ? text->next : text->size;
}

/* The logits after `next - 1` are known: the next byte follows. */
static void generate_choose(struct generate_text *text, const struct decoder_logits *logits)
{
	uint8_t byte = pick_byte(logits->of, &text->order.options, (uint32_t)text->written);
	bool goes_on = text->order.wrote == NULL || text->order.wrote(text->order.context, byte, logits);

	if (text->order.given != NULL && byte != text->order.given[text->written]) {
		text->status = GENERATE_DIFFERS;
		return;
	}
	text->written++;
	if (!goes_on || text->written == text->order.count) {
		text->status = GENERATE_DONE;
		return;
	}
	generate_append(text, byte);
}

/* What of this text goes into a pass with room for so many bytes. Its logits are wanted from `next - 1` on. */
static struct decoder_feed generate_feed(const struct generate_text *text, size_t room, struct decoder_logits *logits)
{
	size_t fed = decoder_cache_size(text->cache), count = size_min(text->size - fed, room), end = fed + count;

	return (struct decoder_feed){
		.cache = text->cache,
		.bytes = text->window + fed,
		.count = count,
		.wanted = end < text->next ? 0 : size_min(end - text->next + 1, count),
		.logits = logits,
	};
}

/* Logits come for the last `wanted` bytes that should have been fed, as far as they were. */
static void generate_take(struct generate_text *text, const struct decoder_feed *feed, const struct decoder *decoder)
{
	size_t first_wanted = feed->count - feed->wanted;

	for (size_t i = first_wanted; i < feed->done && text->status == GENERATE_WRITING; i++)
		generate_choose(text, &feed->logits[i - first_wanted]);
	if (feed->done < feed->count && text->status == GENERATE_WRITING && !decoder_is_wrong(decoder))
		text->status = GENERATE_FAILED;
	/* Only where the window has begun again: what was given stands ahead in the old one. */
	if (text->status == GENERATE_WRITING && text->size == text->next)
		generate_fill(text);
}

/* Each has room for one byte, so nobody waits for another's prompt; prompts share what is left over. */
void generate_advance(struct decoder *decoder, struct generate_text *const *texts, size_t count,
	const atomic_bool *cancel)
{
	struct decoder_feed feeds[DECODER_BYTES];
	struct generate_text *fed[DECODER_BYTES];
	struct decoder_logits logits[DECODER_BYTES];
	size_t feed_count = 0, spare = DECODER_BYTES, wanted = 0;

	for (size_t i = 0; i < count; i++)
		if (texts[i]->status == GENERATE_WRITING && feed_count < DECODER_BYTES)
			fed[feed_count++] = texts[i];
	spare -= feed_count;
	for (size_t i = 0; i < feed_count; i++) {
		feeds[i] = generate_feed(fed[i], 1 + spare, logits + wanted);
		spare -= feeds[i].count - 1;
		wanted += feeds[i].wanted;
	}
	decoder_pass(decoder, feeds, feed_count, cancel);
	for (size_t i = 0; i < feed_count; i++)
		generate_take(fed[i], &feeds[i], decoder);
}

size_t generate_alone(struct decoder *decoder, const struct generate_order *order, const atomic_bool *cancel,
	enum generate_status *status)
{
	struct generate_text *text = generate_text_new(state_config(decoder_state(decoder)), order);
	size_t written;

	while (text->status == GENERATE_WRITING && !decoder_is_wrong(decoder) &&
		(cancel == NULL || !atomic_load(cancel))) {
		queue_pause(cancel);
		generate_advance(decoder, &text, 1, cancel);
	}
	written = text->written;
	*status = text->status;
	generate_text_free(text);
	return written;
}
