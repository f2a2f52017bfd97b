/* The wrapped calls: each asks whether the fault is meant for it, and fails, tears or kills as it says. */
#define _GNU_SOURCE
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fault fault;
static long met;
static char control_text[256]; /* as it was read last */

enum verdict { GOOD, BAD, TORN };

static void set(const struct fault *wanted)
{
	memset(&fault, 0, sizeof fault);
	if (wanted != NULL)
		fault = *wanted;
	met = 0;
}

void faults_set(const struct fault *wanted)
{
	pthread_mutex_lock(&mutex);
	set(wanted);
	pthread_mutex_unlock(&mutex);
}

long faults_met(void)
{
	long count;

	pthread_mutex_lock(&mutex);
	count = met;
	pthread_mutex_unlock(&mutex);
	return count;
}

/* Takes over what the control file says, if there is one and it has changed. */
static void read_control(void)
{
	const char *path = getenv("FAULTS");
	struct fault wanted = { 0 };
	char text[256] = "";
	int torn;
	long fd;

	if (path == NULL)
		return;
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (syscall(SYS_read, fd, text, sizeof text - 1) < 0)
		text[0] = 0;
	syscall(SYS_close, fd);
	if (strcmp(text, control_text) == 0)
		return;
	memcpy(control_text, text, sizeof text);
	if (sscanf(text, "%u %d %ld %ld %d %159s", &wanted.calls, &wanted.error, &wanted.skip, &wanted.times, &torn,
		    wanted.under) != 6)
		wanted.calls = 0;
	wanted.torn = torn != 0;
	set(&wanted);
}

static enum verdict judge(enum fault_call call, const char *path)
{
	enum verdict verdict = GOOD;
	int before = errno;

	pthread_mutex_lock(&mutex);
	read_control();
	if ((fault.calls & call) != 0 && strstr(path, fault.under) != NULL) {
		met++;
		if (met > fault.skip && (fault.times == 0 || met <= fault.skip + fault.times))
			verdict = fault.torn && call == FAULT_WRITE ? TORN : BAD;
	}
	if (verdict != GOOD && fault.error == FAULT_KILL)
		kill(getpid(), SIGKILL);
	errno = verdict != GOOD ? fault.error : before;
	pthread_mutex_unlock(&mutex);
	return verdict;
}

static enum verdict judge_fd(enum fault_call call, int fd)
{
	char path[512] = "", link[64];
	int before = errno;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1) < 0)
		path[0] = 0;
	errno = before;
	/* Pipes and sockets are no files, and a signal's handler may write to one while the mutex is held. */
	return path[0] == '/' ? judge(call, path) : GOOD;
}

/* The calls, in place of the C library's */

ssize_t write(int fd, const void *data, size_t size)
{
	switch (judge_fd(FAULT_WRITE, fd)) {
	case GOOD:
		return syscall(SYS_write, fd, data, size);
	case TORN:
		syscall(SYS_write, fd, data, size / 2);
		errno = fault.error;
		break;
	case BAD:
		break;
	}
	return -1;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	switch (judge_fd(FAULT_WRITE, fd)) {
	case GOOD:
		return syscall(SYS_pwrite64, fd, data, size, offset);
	case TORN:
		syscall(SYS_pwrite64, fd, data, size / 2, offset);
		errno = fault.error;
		break;
	case BAD:
		break;
	}
	return -1;
}

ssize_t read(int fd, void *data, size_t size)
{
	return judge_fd(FAULT_READ, fd) == GOOD ? syscall(SYS_read, fd, data, size) : -1;
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	return judge_fd(FAULT_READ, fd) == GOOD ? syscall(SYS_pread64, fd, data, size, offset) : -1;
}

/* No test pulls the plug, so what does not fail need not be done: hundreds of rounds would wait for the disk. */

int fsync(int fd)
{
	return judge_fd(FAULT_SYNC, fd) == GOOD ? 0 : -1;
}

int fdatasync(int fd)
{
	return judge_fd(FAULT_SYNC, fd) == GOOD ? 0 : -1;
}

int rename(const char *from, const char *to)
{
	return judge(FAULT_RENAME, to) == GOOD ? (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) : -1;
}

int mkdir(const char *path, mode_t mode)
{
	return judge(FAULT_OPEN, path) == GOOD ? (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode) : -1;
}

int unlink(const char *path)
{
	return judge(FAULT_UNLINK, path) == GOOD ? (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0) : -1;
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list rest;

	if (flags & O_CREAT) {
		va_start(rest, flags);
		mode = va_arg(rest, mode_t);
		va_end(rest);
	}
	if (judge((flags & O_ACCMODE) != O_RDONLY ? FAULT_OPEN : FAULT_LOOK, path) != GOOD)
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
