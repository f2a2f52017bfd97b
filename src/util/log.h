/* The log: one line for each event, to a file, to the console, or to both.
 *
 *     2026-01-02T03:04:05Z [net] peer=4 connected
 *
 * A line is written with one write(), so lines of several threads or processes never mix. Any thread may log. What
 * comes from outside may be logged as it is: control characters (a line break too) are written as \xNN. Lines are cut
 * at LOG_LINE_MAX bytes. A log that cannot be written is no reason to stop: the line is lost.
 *
 * Times are the wall clock's, in UTC, never the mock clock's. */
#ifndef ATELIER_UTIL_LOG_H
#define ATELIER_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

#define LOG_LINE_MAX 2048

/* Categories of debug lines, a bit each. */
enum log_category {
	LOG_NET = 1 << 0,
	LOG_CHAIN = 1 << 1,
	LOG_MEMPOOL = 1 << 2,
	LOG_VERIFY = 1 << 3,
	LOG_MINER = 1 << 4,
	LOG_RPC = 1 << 5,
	LOG_WALLET = 1 << 6,
	LOG_DATA = 1 << 7,
	LOG_MODEL = 1 << 8,
};
#define LOG_ALL 0x1ffu

/* Starts the log. With log_file NULL the log is stderr alone; else lines are appended to that file, created with mode
 * 0600 where it is missing, and printed on stdout too if console is set. `categories` is the mask of debug lines that
 * are wanted. Before log_init lines go to stderr. Fails if the file cannot be opened; the log then stays as it was. */
bool log_init(const char *log_file, bool console, unsigned categories, struct errmsg *err);

/* Opens the file again under the same name: after a log rotation (SIGHUP). Not to be called from a signal handler. */
bool log_reopen(struct errmsg *err);

/* Closes the file; later lines go to stderr. */
void log_close(void);

void log_set_categories(unsigned categories);
unsigned log_categories(void);
bool log_wants(enum log_category category);

/* The category of a name such as "net", "all" or "1" (everything), "none" or "0" (0); false for another name. */
bool log_category_parse(const char *name, unsigned *mask);

/* The name of category number i (0, 1, ...) and its bit, or NULL behind the last. */
const char *log_category_name(unsigned i, unsigned *mask);

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(enum log_category category, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For a line that somebody outside can cause as often as he likes, so that it never fills the disk: true, and the line
 * may be written, once in LOG_LIMIT_MS. Zeroed at the start; for one thread. */
enum { LOG_LIMIT_MS = 60000 };
struct log_limit {
	int64_t next; /* clock_mono_ms */
};
bool log_limit_allows(struct log_limit *limit);

#endif
