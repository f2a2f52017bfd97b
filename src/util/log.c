/* The log: where lines go, which are wanted, and how a line is made safe. */
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/mem.h"

/* One line is one write, under the lock: lines of two threads do not mix, and none goes to a file that log_reopen has
 * closed. The mask is read without it, for each line that is not wanted would otherwise wait for those that are. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char *log_path; /* guarded by log_lock, as are the next two; NULL: no file */
static int log_fd = -1;
static bool log_to_console;
static atomic_uint log_wanted;

static const struct {
	const char *name;
	enum log_category category;
} log_names[] = {
	{ "net", LOG_NET },
	{ "chain", LOG_CHAIN },
	{ "mempool", LOG_MEMPOOL },
	{ "verify", LOG_VERIFY },
	{ "miner", LOG_MINER },
	{ "rpc", LOG_RPC },
	{ "wallet", LOG_WALLET },
	{ "data", LOG_DATA },
	{ "model", LOG_MODEL },
};
#define LOG_CATEGORY_COUNT (sizeof log_names / sizeof log_names[0])

/* A pipe would keep us here until somebody reads it, and later hold up whoever writes a line; /dev/null is fine. */
static int log_open_file(const char *log_file, struct errmsg *err)
{
	int log_new_fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	struct stat log_stat;

	if (log_new_fd < 0 && errno != ENXIO) {
		errmsg_set(err, "The log file %s cannot be opened: %s", log_file, strerror(errno));
		return -1;
	}
	/* O_NONBLOCK was for the opening alone: a write to a terminal may wait. */
	if (log_new_fd >= 0 && fstat(log_new_fd, &log_stat) == 0 &&
		(S_ISREG(log_stat.st_mode) || S_ISCHR(log_stat.st_mode)) && fcntl(log_new_fd, F_SETFL, O_APPEND) == 0)
		return log_new_fd;
	errmsg_set(err, "The log file %s is not a regular file", log_file);
	if (log_new_fd >= 0)
		close(log_new_fd);
	return -1;
}

/* Puts the file in place of the one before; path is the log's from now on. */
static void log_replace(char *log_file, int log_new_fd)
{
	pthread_mutex_lock(&log_lock);
	if (log_fd >= 0)
		close(log_fd);
	free(log_path);
	log_path = log_file;
	log_fd = log_new_fd;
	pthread_mutex_unlock(&log_lock);
}

bool log_init(const char *log_file, bool log_console, unsigned log_mask, struct errmsg *err)
{
	int log_new_fd = -1;

	if (log_file != NULL) {
		log_new_fd = log_open_file(log_file, err);
		if (log_new_fd < 0)
			return false;
	}
	log_replace(log_file != NULL ? mem_strdup(log_file) : NULL, log_new_fd);
	pthread_mutex_lock(&log_lock);
	log_to_console = log_console;
	pthread_mutex_unlock(&log_lock);
	atomic_store(&log_wanted, log_mask);
	return true;
}

bool log_reopen(struct errmsg *err)
{
	char *log_file;
	int log_new_fd;

	pthread_mutex_lock(&log_lock);
	log_file = log_path != NULL ? mem_strdup(log_path) : NULL;
	pthread_mutex_unlock(&log_lock);
	if (log_file == NULL)
		return true;
	/* Opened outside the lock: a slow disk holds up nobody who logs. Where it fails the old file goes on being
	 * written. */
	log_new_fd = log_open_file(log_file, err);
	if (log_new_fd < 0) {
		free(log_file);
		return false;
	}
	log_replace(log_file, log_new_fd);
	return true;
}

void log_close(void)
{
	log_replace(NULL, -1);
}

void log_set_categories(unsigned log_mask)
{
	atomic_store(&log_wanted, log_mask);
}

unsigned log_categories(void)
{
	return atomic_load(&log_wanted);
}

bool log_wants(enum log_category category)
{
	return atomic_load(&log_wanted) & category;
}

bool log_category_parse(const char *name, unsigned *log_mask)
{
	if (strcmp(name, "all") == 0 || strcmp(name, "1") == 0) {
		*log_mask = LOG_ALL;
		return true;
	}
	if (strcmp(name, "none") == 0 || strcmp(name, "0") == 0) {
		*log_mask = 0;
		return true;
	}
	for (size_t i = 0; i < LOG_CATEGORY_COUNT; i++) {
		if (strcmp(name, log_names[i].name) == 0) {
			*log_mask = log_names[i].category;
			return true;
		}
	}
	return false;
}

const char *log_category_name(unsigned i, unsigned *log_mask)
{
	if (i >= LOG_CATEGORY_COUNT)
		return NULL;
	*log_mask = log_names[i].category;
	return log_names[i].name;
}

/* Copies text to out, at most room bytes, control characters (C1 in UTF-8 too) as \xNN; returns the bytes written. */
static size_t log_escape(char *escaped, size_t room, const char *raw)
{
	static const char escape_digits[] = "0123456789abcdef";
	size_t escaped_size = 0;
	unsigned char log_byte_before = 0;

	for (; *raw; raw++) {
		unsigned char log_byte = (unsigned char)*raw;
		bool log_control = log_byte < 0x20 || log_byte == 0x7f ||
			(log_byte_before == 0xc2 && log_byte >= 0x80 && log_byte < 0xa0);

		/* An escape whole or not at all; size <= room holds. */
		if (room - escaped_size < (log_control ? 4 : 1))
			break;
		if (log_control) {
			escaped[escaped_size++] = '\\';
			escaped[escaped_size++] = 'x';
			escaped[escaped_size++] = escape_digits[log_byte >> 4];
			escaped[escaped_size++] = escape_digits[log_byte & 15];
		} else {
			escaped[escaped_size++] = (char)log_byte;
		}
		/* U+0080 to U+009F are 0xc2 and then this byte: a terminal may obey them. */
		log_byte_before = log_byte;
	}
	return escaped_size;
}

static void log_write_line(int log_new_fd, const char *log_line, size_t line_size)
{
	/* A signal may interrupt before anything is written; a short or failed write loses the rest, see the header. */
	while (write(log_new_fd, log_line, line_size) < 0 && errno == EINTR)
		;
}

static void __attribute__((format(printf, 2, 0))) log_put(const char *log_tag, const char *format, va_list log_args)
{
	/* Two buffers of the stack: a line is made without memory of the heap, which may be what it reports on. */
	char log_text[LOG_LINE_MAX], log_line[LOG_LINE_MAX];
	time_t log_time = time(NULL);
	struct tm log_utc;
	size_t line_size;

	gmtime_r(&log_time, &log_utc);
	line_size = strftime(log_line, sizeof log_line, "%Y-%m-%dT%H:%M:%SZ ", &log_utc);
	line_size += log_escape(log_line + line_size, sizeof log_line - 1 - line_size, log_tag);
	vsnprintf(log_text, sizeof log_text, format, log_args);
	line_size += log_escape(log_line + line_size, sizeof log_line - 1 - line_size, log_text);
	/* One byte was kept for it above. */
	log_line[line_size++] = '\n';

	/* One write() under the lock, to a file opened with O_APPEND: lines stay whole among processes too. */
	pthread_mutex_lock(&log_lock);
	if (log_fd >= 0)
		log_write_line(log_fd, log_line, line_size);
	if (log_fd < 0)
		log_write_line(STDERR_FILENO, log_line, line_size);
	else if (log_to_console)
		log_write_line(STDOUT_FILENO, log_line, line_size);
	pthread_mutex_unlock(&log_lock);
}

void log_info(const char *format, ...)
{
	va_list log_args;

	va_start(log_args, format);
	log_put("", format, log_args);
	va_end(log_args);
}

void log_warn(const char *format, ...)
{
	va_list log_args;

	va_start(log_args, format);
	log_put("Warning: ", format, log_args);
	va_end(log_args);
}

void log_error(const char *format, ...)
{
	va_list log_args;

	va_start(log_args, format);
	log_put("Error: ", format, log_args);
	va_end(log_args);
}

void log_debug(enum log_category category, const char *format, ...)
{
	char log_tag[32];
	va_list log_args;

	if (!log_wants(category))
		return;
	/* Each category is in the table, so the tag is set. */
	for (size_t i = 0; i < LOG_CATEGORY_COUNT; i++)
		if (log_names[i].category == category)
			snprintf(log_tag, sizeof log_tag, "[%s] ", log_names[i].name);
	va_start(log_args, format);
	log_put(log_tag, format, log_args);
	va_end(log_args);
}

/* Whoever causes the lines decides when they come, not how many: one for each limit in LOG_LIMIT_MS. The monotonic
 * clock, since the other may be set back by a year. */
bool log_limit_allows(struct log_limit *log_limit)
{
	int64_t log_now = clock_mono_ms();

	if (log_now < log_limit->next)
		return false;
	log_limit->next = log_now + LOG_LIMIT_MS;
	return true;
}
