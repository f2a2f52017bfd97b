/* Licence expressions: one pass from left to right, without recursion, whose memory is two bits for each open
 * parenthesis. Strangers write these texts, so what reading one costs is bounded by its length alone. */
#include "consensus/payload/licence.h"

#include <string.h>

static const char licence_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
static const char licence_reference[] = "LicenseRef-";

struct licence_text {
	const char *licence_rest; /* what is not read yet */
	size_t depth;
	/* For each open parenthesis: whether an alternative that is complete will do, and whether all of the present
	 * one up to here would. */
	bool any[LICENCE_DEPTH + 1], all[LICENCE_DEPTH + 1];
};

static bool licence_skip(struct licence_text *licence, const char *expected)
{
	size_t expected_size = strlen(expected);

	if (strncmp(licence->licence_rest, expected, expected_size) != 0)
		return false;
	licence->licence_rest += expected_size;
	return true;
}

/* Size of the id that comes next, 0 if none does. Operators are no ids: "AND AND AND" would be an expression. */
static size_t licence_id_size(const char *licence_rest)
{
	size_t id_size = strspn(licence_rest, licence_characters);

	if ((id_size == 2 && strncmp(licence_rest, "OR", 2) == 0) ||
		(id_size == 3 && strncmp(licence_rest, "AND", 3) == 0) ||
		(id_size == 4 && strncmp(licence_rest, "WITH", 4) == 0))
		return 0;
	return id_size;
}

/* "LicenseRef-" and a name is a licence that only its owner knows. There is no later version of it. */
static bool licence_read_operand(struct licence_text *licence, struct licence_operand *operand)
{
	const size_t reference_size = sizeof licence_reference - 1;
	bool is_reference;

	*operand = (struct licence_operand){ .text = licence->licence_rest };
	operand->id_size = licence_id_size(licence->licence_rest);
	is_reference = strncmp(operand->text, licence_reference, reference_size) == 0;
	if (operand->id_size == 0 || (is_reference && operand->id_size == reference_size))
		return false;
	licence->licence_rest += operand->id_size;
	if (licence_skip(licence, "+") && is_reference)
		return false;
	operand->base_size = (size_t)(licence->licence_rest - operand->text);
	if (licence_skip(licence, " WITH ")) {
		operand->exception_size = licence_id_size(licence->licence_rest);
		if (operand->exception_size == 0)
			return false;
		licence->licence_rest += operand->exception_size;
	}
	operand->size = (size_t)(licence->licence_rest - operand->text);
	return true;
}

static bool licence_open(struct licence_text *licence)
{
	while (licence_skip(licence, "(")) {
		if (licence->depth == LICENCE_DEPTH)
			return false;
		licence->depth++;
		licence->any[licence->depth] = false;
		licence->all[licence->depth] = true;
	}
	return true;
}

/* What stood in the parentheses is one part of the alternative that they stand in. */
static bool licence_close(struct licence_text *licence)
{
	while (licence_skip(licence, ")")) {
		size_t depth = licence->depth;

		if (depth == 0)
			return false;
		licence->depth--;
		licence->all[depth - 1] = licence->all[depth - 1] && (licence->any[depth] || licence->all[depth]);
	}
	return true;
}

/* An operand with the parentheses that open before it and close after it. */
static bool licence_read_part(struct licence_text *licence, licence_judge judge, void *context)
{
	struct licence_operand operand;

	if (!licence_open(licence) || !licence_read_operand(licence, &operand))
		return false;
	if (judge != NULL && !judge(context, &operand))
		licence->all[licence->depth] = false;
	return licence_close(licence);
}

/* Invariant of the loop: a part has been read, and what follows is an operator and another part, or the end. AND leaves
 * the alternative as it is; OR ends it, and begins another. */
bool licence_parse(const char *expression, licence_judge judge, void *context, bool *satisfied)
{
	struct licence_text licence = { .licence_rest = expression, .all = { true } };

	if (strlen(expression) > LICENCE_MAX || !licence_read_part(&licence, judge, context))
		return false;
	while (*licence.licence_rest != 0) {
		if (licence_skip(&licence, " OR ")) {
			licence.any[licence.depth] = licence.any[licence.depth] || licence.all[licence.depth];
			licence.all[licence.depth] = true;
		} else if (!licence_skip(&licence, " AND ")) {
			return false;
		}
		if (!licence_read_part(&licence, judge, context))
			return false;
	}
	if (satisfied != NULL)
		*satisfied = licence.any[0] || licence.all[0];
	return licence.depth == 0;
}

/* Its own first operand takes all of it. */
bool licence_is_single(const char *expression)
{
	struct licence_text licence = { .licence_rest = expression };
	struct licence_operand operand;

	return strlen(expression) <= LICENCE_MAX && licence_read_operand(&licence, &operand) &&
		*licence.licence_rest == 0;
}

/* --- admission --- */

struct licence_list {
	const char (*admitted)[LICENCE_MAX + 1];
	size_t admitted_count;
};

static char licence_lower(char letter)
{
	return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool licence_equals(const char *admitted, const char *licence_text, size_t text_size)
{
	for (size_t i = 0; i < text_size; i++)
		if (licence_lower(admitted[i]) != licence_lower(licence_text[i]))
			return false;
	return admitted[text_size] == 0;
}

static bool licence_judge_by_list(void *context, const struct licence_operand *operand)
{
	const struct licence_list *list = context;

	for (size_t i = 0; i < list->admitted_count; i++)
		if (licence_equals(list->admitted[i], operand->text, operand->size) ||
			licence_equals(list->admitted[i], operand->text, operand->base_size) ||
			licence_equals(list->admitted[i], operand->text, operand->id_size))
			return true;
	return false;
}

bool licence_is_admitted(const char *expression, const char (*admitted)[LICENCE_MAX + 1], size_t admitted_count)
{
	struct licence_list list = { admitted, admitted_count };
	bool satisfied = false;

	return admitted_count == 0 ||
		(licence_parse(expression, licence_judge_by_list, &list, &satisfied) && satisfied);
}
