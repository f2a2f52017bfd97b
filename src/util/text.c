/* Breaking text at blanks. */
#include "util/text.h"

#include <string.h>

void text_wrap(struct buf *wrapped_text, const char *text, unsigned indent, unsigned hang)
{
	size_t column = hang;   /* 0: at the beginning of a line */
	bool first_word = true; /* in its line */

	/* A word is put when it is known to fit with its blank, or when it is the first of its line. */
	while (*text) {
		size_t word = strcspn(text, " \n");

		if (*text == '\n') {
			buf_put_u8(wrapped_text, '\n');
			column = 0;
			first_word = true;
			text++;
			continue;
		}
		if (!first_word && column + 1 + word > TEXT_WIDTH) {
			buf_put_u8(wrapped_text, '\n');
			column = 0;
			first_word = true;
		}
		if (column == 0) {
			memset(buf_extend(wrapped_text, indent), ' ', indent);
			column = indent;
		} else if (!first_word) {
			buf_put_u8(wrapped_text, ' ');
			column++;
		}
		buf_put(wrapped_text, text, word);
		column += word;
		first_word = false;
		text += word;
		text += strspn(text, " ");
	}
	buf_put_u8(wrapped_text, '\n');
}
