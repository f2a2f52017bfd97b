/* Text from a model state, byte after byte: which bytes the model is shown, and what it writes (doc/protocol.md section
 * 21).
 *
 * Not consensus, but exact: the same state, prompt and options give the same bytes on every machine, whatever else is
 * written at the same time. So a text can be followed: given what was written, the model says whether it writes that
 * too, many bytes a pass.
 *
 * What fits into the context is continued as it is; where a prompt does not, or writing has filled it, from the last
 * ctx / 2 bytes. */
#ifndef ATELIER_ML_TEXT_GENERATE_H
#define ATELIER_ML_TEXT_GENERATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/text/decoder.h"
#include "ml/text/pick.h"

/* What is to be written. */
struct generate_order {
	const uint8_t *prompt; /* may be empty */
	size_t prompt_size;
	struct pick_options options;
	size_t count;         /* so many bytes */
	const uint8_t *given; /* [count] bytes that may be what the model writes; NULL: it is to write them */
	/* Told each byte at once, with the logits it was chosen from; false ends the text. May be NULL. */
	bool (*wrote)(void *context, uint8_t byte, const struct decoder_logits *logits);
	void *context;
};

enum generate_status {
	GENERATE_WRITING,
	GENERATE_DONE,    /* `count` bytes, or `wrote` has ended it */
	GENERATE_DIFFERS, /* the model writes another byte than the next one given, which `wrote` was told */
	GENERATE_FAILED   /* an operand has no grid, so there is no next byte: some weight or activation is too large */
};

/* A text under way. It goes on with the same decoder until it ends, or with another of the same state if that one is
 * wrong. */
struct generate_text;
struct generate_text *generate_text_new(const struct model_config *config, const struct generate_order *order);
void generate_text_free(struct generate_text *text); /* NULL is allowed */
enum generate_status generate_text_status(const struct generate_text *text);
size_t generate_text_size(const struct generate_text *text); /* bytes written, or followed, so far */

/* One pass: brings all that still write, of up to DECODER_BYTES texts, further, by a byte each if their prompts have
 * been read. *cancel (may be NULL) ends waiting for more urgent jobs. */
void generate_advance(struct decoder *decoder, struct generate_text *const *texts, size_t count,
	const atomic_bool *cancel);

/* One text alone, to its end, until *cancel (may be NULL), or until the decoder is wrong. Returns how many bytes were
 * written. */
size_t generate_alone(struct decoder *decoder, const struct generate_order *order, const atomic_bool *cancel,
	enum generate_status *status);

#endif
