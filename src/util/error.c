/* Error texts: printing, cutting, putting before what is there. */
#include "util/error.h"

#include <stdio.h>
#include <string.h>

/* A cut text must not end inside a UTF-8 character: drop the bytes of an unfinished one. */
static void cut_unfinished(char *text, size_t size)
{
	size_t end = size - 1, start = end;

	/* Back over what continues a character (10xxxxxx), then over the byte that begins it (11xxxxxx). A whole
	 * character at the very end goes too: to tell would take more than it is worth. */
	while (start > 0 && (text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (text[start - 1] & 0xc0) == 0xc0)
		start--;
	text[start] = 0;
}

void errmsg_print(struct errmsg *err, const char *format, va_list args)
{
	int size = vsnprintf(err->text, sizeof err->text, format, args);

	if (size >= (int)sizeof err->text)
		cut_unfinished(err->text, sizeof err->text);
}

bool errmsg_set(struct errmsg *err, const char *format, ...)
{
	va_list args;

	if (err == NULL)
		return false;
	va_start(args, format);
	errmsg_print(err, format, args);
	va_end(args);
	return false;
}

bool errmsg_wrap(struct errmsg *err, const char *format, ...)
{
	struct errmsg prefix, reason;
	va_list args;

	if (err == NULL)
		return false;
	va_start(args, format);
	errmsg_print(&prefix, format, args);
	va_end(args);
	/* The text is read and written by one printf: from a copy. */
	reason = *err;
	return errmsg_set(err, "%s: %s", prefix.text, reason.text);
}
