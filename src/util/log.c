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
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *log_path; /* guarded by lock, as are the next two; NULL: no file */
static int log_fd = -1;
static bool to_console;
static atomic_uint wanted;

static const struct {
	const char *name;
	enum log_category category;
} categories[] = {
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
#define CATEGORY_COUNT (sizeof categories / sizeof categories[0])

/* A pipe would keep us here until somebody reads it, and later hold up whoever writes a line; /dev/null is fine. */
static int open_file(const char *path, struct errmsg *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	struct stat info;

	if (fd < 0 && errno != ENXIO) {
		errmsg_set(err, "The log file %s cannot be opened: %s", path, strerror(errno));
		return -1;
	}
	/* O_NONBLOCK was for the opening alone: a write to a terminal may wait. */
	if (fd >= 0 && fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISCHR(info.st_mode)) &&
		fcntl(fd, F_SETFL, O_APPEND) == 0)
		return fd;
	errmsg_set(err, "The log file %s is not a regular file", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Puts the file in place of the one before; path is the log's from now on. */
static void log_replace(char *path, int fd)
{
	pthread_mutex_lock(&lock);
	if (log_fd >= 0)
		close(log_fd);
	free(log_path);
	log_path = path;
	log_fd = fd;
	pthread_mutex_unlock(&lock);
}

bool log_init(const char *path, bool console, unsigned mask, struct errmsg *err)
{
	int fd = -1;

	if (path != NULL) {
		fd = open_file(path, err);
		if (fd < 0)
			return false;
	}
	log_replace(path != NULL ? mem_strdup(path) : NULL, fd);
	pthread_mutex_lock(&lock);
	to_console = console;
	pthread_mutex_unlock(&lock);
	atomic_store(&wanted, mask);
	return true;
}

bool log_reopen(struct errmsg *err)
{
	char *path;
	int fd;

	pthread_mutex_lock(&lock);
	path = log_path != NULL ? mem_strdup(log_path) : NULL;
	pthread_mutex_unlock(&lock);
	if (path == NULL)
		return true;
	/* Opened outside the lock: a slow disk holds up nobody who logs. Where it fails the old file goes on being
	 * written. */
	fd = open_file(path, err);
	if (fd < 0) {
		free(path);
		return false;
	}
	log_replace(path, fd);
	return true;
}

void log_close(void)
{
	log_replace(NULL, -1);
}

void log_set_categories(unsigned mask)
{
	atomic_store(&wanted, mask);
}

unsigned log_categories(void)
{
	return atomic_load(&wanted);
}

bool log_wants(enum log_category category)
{
	return atomic_load(&wanted) & category;
}

bool log_category_parse(const char *name, unsigned *mask)
{
	if (strcmp(name, "all") == 0 || strcmp(name, "1") == 0) {
		*mask = LOG_ALL;
		return true;
	}
	if (strcmp(name, "none") == 0 || strcmp(name, "0") == 0) {
		*mask = 0;
		return true;
	}
	for (size_t i = 0; i < CATEGORY_COUNT; i++) {
		if (strcmp(name, categories[i].name) == 0) {
			*mask = categories[i].category;
			return true;
		}
	}
	return false;
}

const char *log_category_name(unsigned i, unsigned *mask)
{
	if (i >= CATEGORY_COUNT)
		return NULL;
	*mask = categories[i].category;
	return categories[i].name;
}

/* Copies text to out, at most room bytes, control characters (C1 in UTF-8 too) as \xNN; returns the bytes written. */
static size_t log_escape(char *out, size_t room, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t size = 0;
	unsigned char before = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool control = c < 0x20 || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0);

		/* An escape whole or not at all; size <= room holds. */
		if (room - size < (control ? 4 : 1))
			break;
		if (control) {
			out[size++] = '\\';
			out[size++] = 'x';
			out[size++] = digits[c >> 4];
			out[size++] = digits[c & 15];
		} else {
			out[size++] = (char)c;
		}
		/* U+0080 to U+009F are 0xc2 and then this byte: a terminal may obey them. */
		before = c;
	}
	return size;
}

static void write_line(int fd, const char *line, size_t size)
{
	/* A signal may interrupt before anything is written; a short or failed write loses the rest, see the header. */
	while (write(fd, line, size) < 0 && errno == EINTR)
		;
}

static void __attribute__((format(printf, 2, 0))) log_put(const char *tag, const char *format, va_list args)
{
	/* Two buffers of the stack: a line is made without memory of the heap, which may be what it reports on. */
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX];
	time_t now = time(NULL);
	struct tm utc;
	size_t size;

	gmtime_r(&now, &utc);
	size = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%SZ ", &utc);
	size += log_escape(line + size, sizeof line - 1 - size, tag);
	vsnprintf(text, sizeof text, format, args);
	size += log_escape(line + size, sizeof line - 1 - size, text);
	/* One byte was kept for it above. */
	line[size++] = '\n';

	/* One write() under the lock, to a file opened with O_APPEND: lines stay whole among processes too. */
	pthread_mutex_lock(&lock);
	if (log_fd >= 0)
		write_line(log_fd, line, size);
	if (log_fd < 0)
		write_line(STDERR_FILENO, line, size);
	else if (to_console)
		write_line(STDOUT_FILENO, line, size);
	pthread_mutex_unlock(&lock);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_put("", format, args);
	va_end(args);
}

void log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_put("Warning: ", format, args);
	va_end(args);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_put("Error: ", format, args);
	va_end(args);
}

void log_debug(enum log_category category, const char *format, ...)
{
	char tag[32];
	va_list args;

	if (!log_wants(category))
		return;
	/* Each category is in the table, so the tag is set. */
	for (size_t i = 0; i < CATEGORY_COUNT; i++)
		if (categories[i].category == category)
			snprintf(tag, sizeof tag, "[%s] ", categories[i].name);
	va_start(args, format);
	log_put(tag, format, args);
	va_end(args);
}

/* Whoever causes the lines decides when they come, not how many: one for each limit in LOG_LIMIT_MS. The monotonic
 * clock, since the other may be set back by a year. */
bool log_limit_allows(struct log_limit *limit)
{
	int64_t now = clock_mono_ms();

	if (now < limit->next)
		return false;
	limit->next = now + LOG_LIMIT_MS;
	return true;
}
