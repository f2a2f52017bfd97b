/* Text for people: wrapping. */
#ifndef ATELIER_UTIL_TEXT_H
#define ATELIER_UTIL_TEXT_H

#include "util/buf.h"

#define TEXT_WIDTH 79

/* Appends text, broken at blanks to fit TEXT_WIDTH, each line indented and ended. A word that is too long stands alone.
 * A newline ends its line, two leave an empty one between paragraphs; no blanks around them.
 * With `hang` the first line is taken to stand behind what its line already holds, `hang` columns of it. */
void text_wrap(struct buf *out, const char *text, unsigned indent, unsigned hang);

#endif
