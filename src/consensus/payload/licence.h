/* Licences of data: SPDX licence expressions (SPDX 2.3 annex D; doc/protocol.md section 12 has the grammar, in which
 * each expression has one form). Only their syntax is consensus: which ids there are changes with the years. */
#ifndef ATELIER_CONSENSUS_PAYLOAD_LICENCE_H
#define ATELIER_CONSENSUS_PAYLOAD_LICENCE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	LICENCE_MAX = 64,  /* bytes of an expression */
	LICENCE_DEPTH = 8, /* open parentheses at a time */
};

/* One of the licences that an expression joins by AND and OR: an id, perhaps with "+", perhaps WITH an exception. The
 * texts are parts of the expression. */
struct licence_operand {
	const char *text;
	size_t id_size;        /* of the id alone */
	size_t base_size;      /* with its "+" */
	size_t size;           /* with WITH and the exception, whose id is at the end */
	size_t exception_size; /* 0: none */
};

/* Whether one operand will do. */
typedef bool (*licence_judge)(void *context, const struct licence_operand *operand);

/* Whether the text is an expression. If judge is not NULL it is asked about the operands one after the other, whatever
 * it said of those before, and *satisfied says whether the expression will do: AND before OR, parentheses first. */
bool licence_parse(const char *expression, licence_judge judge, void *context, bool *satisfied);

/* Whether the text is an expression of one operand, as a spec's list of licences holds. */
bool licence_is_single(const char *expression);

/* Whether an expression is satisfied by the operands of a list; by an empty list every one is. An operand will do if
 * the list has it, without regard to the case of letters, as a whole, without its exception, or its id alone: "+" and
 * WITH only permit more. */
bool licence_is_admitted(const char *expression, const char (*admitted)[LICENCE_MAX + 1], size_t admitted_count);

#endif
