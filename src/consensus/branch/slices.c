/* Slices: lists of them, and their keys. */
#include "consensus/branch/slices.h"

#include <stdlib.h>

#include "util/mem.h"

void slices_add(struct slices *slices, enum slice_kind kind, uint32_t number)
{
	if (slices->count == slices->room) {
		slices->room = slices->room > 0 ? 2 * slices->room : 16;
		slices->list = mem_realloc(slices->list, slices->room * sizeof *slices->list);
	}
	slices->list[slices->count++] = (struct slice){ kind, number };
}

void slices_clear(struct slices *slices)
{
	free(slices->list);
	*slices = (struct slices){ 0 };
}

/* Big-endian, so that the database walks them by number. */
void slices_key_write(const struct slice *slice, uint8_t key[SLICE_KEY_SIZE])
{
	key[0] = (uint8_t)slice->kind;
	for (int i = 0; i < 4; i++)
		key[1 + i] = (uint8_t)(slice->number >> (24 - 8 * i));
}

struct slice slices_key_read(struct reader *key_reader)
{
	struct slice keyed_slice = { SLICE_FACTS, 0 };
	uint8_t kind = reader_u8(key_reader);

	if (kind >= SLICE_KINDS)
		reader_fail(key_reader);
	else
		keyed_slice.kind = (enum slice_kind)kind;
	for (int i = 0; i < 4; i++)
		keyed_slice.number = keyed_slice.number << 8 | reader_u8(key_reader);
	return keyed_slice;
}
