/* Licence ids against the list: is one listed, and if not, which listed one was meant. */
#include "config/spdx.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/spdx_ids.h"

enum { SPDX_GUESSES = 3 };

struct spdx_search {
	enum spdx_verdict verdict;
	struct errmsg *err;
};

static char spdx_lower(char letter)
{
	return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool spdx_is_digit(char letter)
{
	return letter >= '0' && letter <= '9';
}

/* What of an id people agree on when they write it from memory: letters and digits, without the v of a version. */
static void spdx_fold(const char *id, char folded_id[LICENCE_MAX + 1])
{
	size_t folded_size = 0;

	for (; *id != 0 && folded_size < LICENCE_MAX; id++)
		if (*id != '-' && *id != '.' && !(spdx_lower(*id) == 'v' && spdx_is_digit(id[1])))
			folded_id[folded_size++] = spdx_lower(*id);
	folded_id[folded_size] = 0;
}

/* Whether one letter more, less, other, or two in the other order make one id of the other. Not where that changes a
 * digit for a digit: such are two versions of a licence, and the newer one may be missing here. */
static bool spdx_is_one_slip(const char *id, const char *other_id)
{
	size_t same = 0, id_size = strlen(id), other_size = strlen(other_id);

	while (id[same] != 0 && spdx_lower(id[same]) == spdx_lower(other_id[same]))
		same++;
	id += same;
	other_id += same;
	if (id_size == other_size + 1)
		return strcasecmp(id + 1, other_id) == 0;
	if (id_size + 1 == other_size)
		return strcasecmp(id, other_id + 1) == 0;
	if (id_size != other_size || *id == 0)
		return false;
	if (strcasecmp(id + 1, other_id + 1) == 0)
		return !spdx_is_digit(*id) || !spdx_is_digit(*other_id);
	return spdx_lower(id[0]) == spdx_lower(other_id[1]) && spdx_lower(id[1]) == spdx_lower(other_id[0]) &&
		strcasecmp(id + 2, other_id + 2) == 0;
}

/* Cut off before its version, written in another way, or mistyped. */
static bool spdx_is_like(const char *id, const char *listed_id)
{
	char folded_id[LICENCE_MAX + 1], folded_listed[LICENCE_MAX + 1];

	spdx_fold(id, folded_id);
	spdx_fold(listed_id, folded_listed);
	return (folded_id[0] != 0 && strncmp(folded_listed, folded_id, strlen(folded_id)) == 0) ||
		(strlen(id) >= 4 && spdx_is_one_slip(id, listed_id));
}

/* The listed ids that an id is like, shortest first: fewest words were left out then. Of the same size the last, which
 * is the newest version. Returns how many. */
static size_t spdx_guess(const char *id, const char *const *list, const char *guesses[SPDX_GUESSES])
{
	size_t guess_count = 0;

	for (; *list != NULL; list++) {
		size_t place = guess_count;

		if (!spdx_is_like(id, *list))
			continue;
		while (place > 0 && strlen(guesses[place - 1]) >= strlen(*list))
			place--;
		if (place == SPDX_GUESSES)
			continue;
		if (guess_count < SPDX_GUESSES)
			guess_count++;
		memmove(guesses + place + 1, guesses + place, (guess_count - place - 1) * sizeof *guesses);
		guesses[place] = *list;
	}
	return guess_count;
}

/* A mistake is told before what is only unknown, and the first of its kind. */
static void spdx_search_id(struct spdx_search *search, const char *id_text, size_t id_size, const char *const *list)
{
	const char *guesses[SPDX_GUESSES];
	char id[LICENCE_MAX + 1], guessed_ids[SPDX_GUESSES * (LICENCE_MAX + 3)] = "";
	size_t guess_count;

	memcpy(id, id_text, id_size);
	id[id_size] = 0;
	for (const char *const *listed_id = list; *listed_id != NULL; listed_id++)
		if (strcasecmp(*listed_id, id) == 0)
			return;
	guess_count = spdx_guess(id, list, guesses);
	if (guess_count == 0 && search->verdict == SPDX_LISTED) {
		search->verdict = SPDX_UNKNOWN;
		errmsg_set(search->err, "%s is not on the SPDX licence list that this node knows", id);
	}
	if (guess_count == 0 || search->verdict == SPDX_MISTAKE)
		return;
	search->verdict = SPDX_MISTAKE;
	for (size_t i = 0; i < guess_count; i++)
		snprintf(guessed_ids + strlen(guessed_ids), sizeof guessed_ids - strlen(guessed_ids), "%s%s",
			i == 0                       ? "" :
				i + 1 == guess_count ? " or " :
						       ", ",
			guesses[i]);
	errmsg_set(search->err, "%s is not on the SPDX licence list; did you mean %s?", id, guessed_ids);
}

static bool spdx_search_operand(void *context, const struct licence_operand *operand)
{
	if (strncmp(operand->text, "LicenseRef-", strlen("LicenseRef-")) != 0)
		spdx_search_id(context, operand->text, operand->id_size, spdx_ids);
	if (operand->exception_size > 0)
		spdx_search_id(context, operand->text + operand->size - operand->exception_size,
			operand->exception_size, spdx_ids_exceptions);
	return true;
}

enum spdx_verdict spdx_review(const char *expression, struct errmsg *err)
{
	struct spdx_search search = { SPDX_LISTED, err };

	licence_parse(expression, spdx_search_operand, &search, NULL);
	return search.verdict;
}
