/* The writer: all texts that the model writes for somebody, side by side (ml/text/generate.h).
 *
 * Who asks gives a prompt and is told the bytes. Texts of one state share each pass, so many cost little more than one;
 * what is written does not depend on that. A job of the queue writes for a fraction of a second, then the loop looks
 * what has come and who else waits: so a new text joins those under way. So many are written at a time as memory
 * allows, of two states at most; the others wait in the order in which they came.
 *
 * Called on the loop thread; `more` and `done` come on it too, never from within writer_write. */
#ifndef ATELIER_WORK_TEXT_WRITER_H
#define ATELIER_WORK_TEXT_WRITER_H

#include "chain/chain.h"
#include "ml/text/generate.h"
#include "util/queue.h"

/* Texts that are written or wait, at most; bytes of a prompt, and of a text. */
enum { WRITER_TEXTS_MAX = 64, WRITER_BYTES_MAX = 65536 };

struct writer;
struct writer_text;

/* What it is computed with: exact products, or ordinary floats, to compare other programs with: bits may differ between
 * machines then. */
enum writer_arithmetic { WRITER_EXACT, WRITER_PLAIN };

enum writer_status {
	WRITER_WRITTEN, /* all bytes, or until `wrote` or writer_stop has ended it */
	WRITER_DIFFERS, /* the model writes another byte than the next one given: bytes[size] */
	WRITER_FAILED,  /* the model has no next byte: a weight or an activation is too large */
	WRITER_CLOSING  /* the node is shutting down */
};

struct writer_result {
	enum writer_status status;
	const uint8_t *bytes;
	size_t size;
	const struct decoder_logits *logits; /* what the last byte was chosen from, if there is one */
	/* Whose the model is: the block after which it is this one, and its root. NULL: nothing was begun. */
	const struct index_entry *entry;
	const uint8_t *root;
};

struct writer_order {
	/* The state after a block, of which a reference is taken; NULL: the newest when the text is begun. */
	struct state *state;
	const struct index_entry *entry;
	const void *prompt; /* copied */
	size_t prompt_size;
	struct pick_options options;
	size_t count;
	enum writer_arithmetic arithmetic;
	const void *given; /* [count]: what may be the text, to be followed (copied); NULL: it is to be written */
	/* Told each byte and the logits it was chosen from, on a worker; false ends the text. May be NULL. */
	bool (*wrote)(void *context, uint8_t byte, const struct decoder_logits *logits);
	/* Told bytes that have come since it was told last, several times a second. May be NULL. */
	void (*more)(void *context, const uint8_t *bytes, size_t size);
	/* Called once; nothing of this text is called after it. */
	void (*done)(void *context, const struct writer_result *result);
	void *context;
};

struct writer *writer_new(struct chain *chain, struct queue *queue);
/* Cancels what runs and answers all; called before the chain is closed. writer_free comes after. */
void writer_close(struct writer *writer);
void writer_free(struct writer *writer);

/* Bytes of this chain's context. */
uint32_t writer_context(const struct writer *writer);

/* Texts that there is room for, and that are written at a time. */
size_t writer_room(const struct writer *writer);
size_t writer_at_once(const struct writer *writer);

/* NULL: there are WRITER_TEXTS_MAX texts already, or the writer is closed. */
struct writer_text *writer_write(struct writer *writer, const struct writer_order *order);

/* Ends a text early; `done` comes nevertheless. */
void writer_stop(struct writer_text *text);

#endif
