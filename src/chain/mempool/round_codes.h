/* Digests of the codes that challenges have named: the bytes of one that is here are read once, of whichever seats and
 * segments it is said to be after that. Anybody can name them, and need send nothing. */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_CODES_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* There is one for each challenge of all rounds: each has cost a seat what its block earned. */
enum { ROUND_CODES_MAX = 256 };

struct round_codes {
	struct {
		uint8_t root[32], digest[32];
	} known[ROUND_CODES_MAX]; /* the last ones, in a ring */
	size_t noted;             /* ever */
	bool knows_first;
	uint8_t first[32]; /* of the code that all runs begin with */
};

/* H of the blob with this root; NULL: it has not been read, or long ago. */
const uint8_t *round_codes_find(const struct round_codes *codes, const uint8_t root[32]);
void round_codes_note(struct round_codes *codes, const uint8_t root[32], const uint8_t digest[32]);

/* H(Q_0), which takes as long as one of those; NULL: nobody has computed it yet. */
const uint8_t *round_codes_first(const struct round_codes *codes);
void round_codes_note_first(struct round_codes *codes, const uint8_t digest[32]);

#endif
