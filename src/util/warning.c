/* The warnings that stand, one text for each kind. */
#include "util/warning.h"

#include <pthread.h>
#include <stdarg.h>

#include "util/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct errmsg texts[WARNING_KINDS]; /* guarded by lock; "": not set */

void warning_set(enum warning kind, const char *format, ...)
{
	struct errmsg text;
	va_list args;
	bool fresh;

	va_start(args, format);
	errmsg_print(&text, format, args);
	va_end(args);
	pthread_mutex_lock(&lock);
	fresh = texts[kind].text[0] == '\0';
	texts[kind] = text;
	pthread_mutex_unlock(&lock);
	/* One line when it begins, whatever the text does later; outside the lock, since the log has its own. */
	if (fresh)
		log_warn("%s", text.text);
}

/* The text is taken and deleted in one stroke: of two threads that clear it, one tells. */
void warning_clear(enum warning kind)
{
	struct errmsg text;

	pthread_mutex_lock(&lock);
	text = texts[kind];
	texts[kind].text[0] = '\0';
	pthread_mutex_unlock(&lock);
	if (text.text[0] != '\0')
		log_info("No longer so: %s", text.text);
}

bool warning_get(enum warning kind, struct errmsg *text)
{
	pthread_mutex_lock(&lock);
	*text = texts[kind];
	pthread_mutex_unlock(&lock);
	return text->text[0] != '\0';
}
