/* What a client of OpenAI's API asks for: the bodies of /v1/completions and /v1/chat/completions, read and bounded.
 *
 * Pure: a text in, what is wanted out. Tokens are bytes, so a prompt may be numbers of 0 to 255 too. Of members that
 * mean nothing here (user, metadata, ...) nothing is said; what would change the text and cannot be done is refused.
 *
 * Messages become one prompt: `system` and `developer` as they are with an empty line behind them, `user` as a line
 * "User: ...", `assistant` as "Assistant: ...", and last "Assistant:". The answer ends where "\nUser:" would begin. */
#ifndef ATELIER_WEB_DOOR_ASKED_H
#define ATELIER_WEB_DOOR_ASKED_H

#include "ml/text/pick.h"
#include "util/buf.h"
#include "util/error.h"

enum {
	ASKED_CHOICES_MAX = 8,  /* prompts times n */
	ASKED_BYTES_MAX = 4096, /* of each text */
	ASKED_BYTES = 256,      /* if nothing is said */
	ASKED_STOPS_MAX = 5,
	ASKED_STOP_BYTES_MAX = 64,
	ASKED_TOP_MAX = 20,
	/* Logarithms of all choices of a request: of each byte one, and of each likely one another. */
	ASKED_LOGS_MAX = 1 << 15,
	ASKED_LOGS_STREAMED_MAX = 2800
};

struct asked {
	bool is_chat, is_streamed, wants_usage, wants_receipt, wants_logs, has_seed;
	struct buf prompts[ASKED_CHOICES_MAX];
	size_t prompt_count, n; /* n choices of each prompt */
	uint32_t bytes, top;    /* top: how many of the likeliest are to be told of each byte */
	struct pick_options options;
	struct buf stops[ASKED_STOPS_MAX];
	size_t stop_count;
	char model[65];
};

/* What is wrong: which member, "" for the body as a whole. */
struct asked_error {
	const char *param;
	struct errmsg message;
};

/* False with the error set. asked_clear is due whatever comes back. */
bool asked_read(struct asked *asked, bool is_chat, const char *body, size_t size, struct asked_error *error);
void asked_clear(struct asked *asked);

#endif
