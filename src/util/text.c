/* Breaking text at blanks. */
#include "util/text.h"

#include <string.h>

void text_wrap(struct buf *out, const char *text, unsigned indent, unsigned hang)
{
	size_t column = hang; /* 0: at the beginning of a line */
	bool first = true;    /* in its line */

	/* A word is put when it is known to fit with its blank, or when it is the first of its line. */
	while (*text) {
		size_t word = strcspn(text, " ");

		if (!first && column + 1 + word > TEXT_WIDTH) {
			buf_put_u8(out, '\n');
			column = 0;
			first = true;
		}
		if (column == 0) {
			memset(buf_extend(out, indent), ' ', indent);
			column = indent;
		} else if (!first) {
			buf_put_u8(out, ' ');
			column++;
		}
		buf_put(out, text, word);
		column += word;
		first = false;
		text += word;
		text += strspn(text, " ");
	}
	buf_put_u8(out, '\n');
}
