/* Why something failed, as text for a person.
 *
 * A function that can fail for a reason worth telling returns false and takes a `struct errmsg *err` as its last
 * argument. NULL is allowed: the reason is dropped. The text is one line, without a newline, and may name files and
 * arguments; it is truncated to fit, never split inside a UTF-8 character. Broken consensus rules are not told this
 * way: they have codes. */
#ifndef ATELIER_UTIL_ERROR_H
#define ATELIER_UTIL_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

struct errmsg {
	char text[512];
};

/* Always returns false, so that `return errmsg_set(err, ...)` is a whole failure path. */
bool errmsg_set(struct errmsg *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<prefix>: " before the text that is there, to say what was being done. Always returns false. */
bool errmsg_wrap(struct errmsg *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text alone, for whoever takes a format of its own. */
void errmsg_print(struct errmsg *err, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

#endif
