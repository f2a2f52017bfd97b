/* What a client of OpenAI's API is told: objects of texts, their pieces, models, errors.
 *
 * Pure: a new JSON value each. */
#ifndef ATELIER_WEB_DOOR_REPLY_H
#define ATELIER_WEB_DOOR_REPLY_H

#include "rpc/json.h"
#include "web/door/asked.h"

/* A byte that was written, and the likeliest of those that might have been; logarithms of probabilities in millionths.
 */
struct reply_log {
	uint8_t byte;
	int32_t micro;
	struct {
		uint8_t byte;
		int32_t micro;
	} top[ASKED_TOP_MAX];
};

/* What all objects of one answer have. */
struct reply_head {
	bool is_chat, is_piece;
	const char *id, *model;
	int64_t created;
	const uint8_t *root; /* of the model; NULL: not known yet */
};
json_t *reply_object(const struct reply_head *head); /* with "choices", an empty list */

/* A choice, or a piece of one: text, of which the logs are, if they are wanted; why it ended, NULL: it goes on. */
struct reply_text {
	size_t index;
	const uint8_t *bytes;
	size_t size, offset;          /* offset: of the piece in the whole text */
	const struct reply_log *logs; /* [size]; NULL: not wanted */
	uint32_t top;
	const char *finish;
};
json_t *reply_choice(const struct reply_head *head, const struct reply_text *text);

json_t *reply_usage(size_t prompt_bytes, size_t text_bytes);
json_t *reply_model(const char *name, int64_t created);

/* {"error": {...}}; param and code may be NULL. */
json_t *reply_error(int status, const char *message, const char *param, const char *code);

#endif
