/* Numbers and texts of byte forms, for the database alone. */
#include "consensus/branch/pieces.h"

#include <string.h>

void pieces_put_wide(struct buf *out, unsigned __int128 v)
{
	buf_put_le64(out, (uint64_t)v);
	buf_put_le64(out, (uint64_t)(v >> 64));
}

unsigned __int128 pieces_wide(struct reader *reader)
{
	unsigned __int128 low = reader_le64(reader);

	return low | (unsigned __int128)reader_le64(reader) << 64;
}

void pieces_put_text(struct buf *out, const char *text)
{
	buf_put_u8(out, (uint8_t)strlen(text));
	buf_put_text(out, text);
}

/* A zero within would make the C string shorter than what is written back, and two byte forms of one value. */
void pieces_text(struct reader *reader, char *text, size_t max)
{
	size_t size = reader_u8(reader);

	if (size > max) {
		reader_fail(reader);
		return;
	}
	reader_copy(reader, text, size);
	text[size] = 0;
	if (strlen(text) != size)
		reader_fail(reader);
}

bool pieces_bool(struct reader *reader)
{
	uint8_t v = reader_u8(reader);

	if (v > 1)
		reader_fail(reader);
	return v == 1;
}

uint32_t pieces_count(struct reader *reader, uint32_t max)
{
	uint32_t count = reader_le32(reader);

	if (count > max)
		reader_fail(reader);
	return reader->ok ? count : 0;
}
