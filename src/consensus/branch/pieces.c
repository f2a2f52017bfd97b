/* Numbers and texts of byte forms, for the database alone. */
#include "consensus/branch/pieces.h"

#include <string.h>

void pieces_put_wide(struct buf *piece_out, unsigned __int128 wide)
{
	buf_put_le64(piece_out, (uint64_t)wide);
	buf_put_le64(piece_out, (uint64_t)(wide >> 64));
}

unsigned __int128 pieces_wide(struct reader *piece_reader)
{
	unsigned __int128 low_half = reader_le64(piece_reader);

	return low_half | (unsigned __int128)reader_le64(piece_reader) << 64;
}

void pieces_put_text(struct buf *piece_out, const char *text)
{
	buf_put_u8(piece_out, (uint8_t)strlen(text));
	buf_put_text(piece_out, text);
}

/* A zero within would make the C string shorter than what is written back, and two byte forms of one value. */
void pieces_text(struct reader *piece_reader, char *text, size_t max)
{
	size_t text_size = reader_u8(piece_reader);

	if (text_size > max) {
		reader_fail(piece_reader);
		return;
	}
	reader_copy(piece_reader, text, text_size);
	text[text_size] = 0;
	if (strlen(text) != text_size)
		reader_fail(piece_reader);
}

bool pieces_bool(struct reader *piece_reader)
{
	uint8_t piece_byte = reader_u8(piece_reader);

	if (piece_byte > 1)
		reader_fail(piece_reader);
	return piece_byte == 1;
}

uint32_t pieces_count(struct reader *piece_reader, uint32_t max)
{
	uint32_t piece_count = reader_le32(piece_reader);

	if (piece_count > max)
		reader_fail(piece_reader);
	return piece_reader->ok ? piece_count : 0;
}
