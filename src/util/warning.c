/* The warnings that stand, one text for each kind. */
#include "util/warning.h"

#include <pthread.h>
#include <stdarg.h>

#include "util/log.h"

static pthread_mutex_t warning_lock = PTHREAD_MUTEX_INITIALIZER;
static struct errmsg warning_texts[WARNING_KINDS]; /* guarded by warning_lock; "": not set */

void warning_set(enum warning warning_kind, const char *format, ...)
{
	struct errmsg warning_text;
	va_list warning_args;
	bool warning_is_new;

	va_start(warning_args, format);
	errmsg_print(&warning_text, format, warning_args);
	va_end(warning_args);
	pthread_mutex_lock(&warning_lock);
	warning_is_new = warning_texts[warning_kind].text[0] == '\0';
	warning_texts[warning_kind] = warning_text;
	pthread_mutex_unlock(&warning_lock);
	/* One line when it begins, whatever the text does later; outside the lock, since the log has its own. */
	if (warning_is_new)
		log_warn("%s", warning_text.text);
}

/* The text is taken and deleted in one stroke: of two threads that clear it, one tells. */
void warning_clear(enum warning warning_kind)
{
	struct errmsg warning_text;

	pthread_mutex_lock(&warning_lock);
	warning_text = warning_texts[warning_kind];
	warning_texts[warning_kind].text[0] = '\0';
	pthread_mutex_unlock(&warning_lock);
	if (warning_text.text[0] != '\0')
		log_info("No longer so: %s", warning_text.text);
}

bool warning_get(enum warning warning_kind, struct errmsg *warning_text)
{
	pthread_mutex_lock(&warning_lock);
	*warning_text = warning_texts[warning_kind];
	pthread_mutex_unlock(&warning_lock);
	return warning_text->text[0] != '\0';
}
