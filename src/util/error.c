/* Error texts: printing, cutting, putting before what is there. */
#include "util/error.h"

#include <stdio.h>
#include <string.h>

/* A cut text must not end inside a UTF-8 character: drop the bytes of an unfinished one. */
static void errmsg_cut(char *errmsg_text, size_t size)
{
	size_t cut_end = size - 1, cut_start = cut_end;

	/* Back over what continues a character (10xxxxxx), then over the byte that begins it (11xxxxxx). A whole
	 * character at the very end goes too: to tell would take more than it is worth. */
	while (cut_start > 0 && (errmsg_text[cut_start - 1] & 0xc0) == 0x80)
		cut_start--;
	if (cut_start > 0 && (errmsg_text[cut_start - 1] & 0xc0) == 0xc0)
		cut_start--;
	errmsg_text[cut_start] = 0;
}

void errmsg_print(struct errmsg *err, const char *format, va_list errmsg_args)
{
	int errmsg_size = vsnprintf(err->text, sizeof err->text, format, errmsg_args);

	if (errmsg_size >= (int)sizeof err->text)
		errmsg_cut(err->text, sizeof err->text);
}

bool errmsg_set(struct errmsg *err, const char *format, ...)
{
	va_list errmsg_args;

	if (err == NULL)
		return false;
	va_start(errmsg_args, format);
	errmsg_print(err, format, errmsg_args);
	va_end(errmsg_args);
	return false;
}

bool errmsg_wrap(struct errmsg *err, const char *format, ...)
{
	struct errmsg errmsg_prefix, errmsg_reason;
	va_list errmsg_args;

	if (err == NULL)
		return false;
	va_start(errmsg_args, format);
	errmsg_print(&errmsg_prefix, format, errmsg_args);
	va_end(errmsg_args);
	/* The text is read and written by one printf: from a copy. */
	errmsg_reason = *err;
	return errmsg_set(err, "%s: %s", errmsg_prefix.text, errmsg_reason.text);
}
