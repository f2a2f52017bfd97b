#include "work/loop.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/log.h"
#include "util/mem.h"

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop_workers *loop = arg;
	(void)fd;
	(void)what;
	workers_drain(loop->workers);
}

static void wake(void *context)
{
	struct loop_workers *loop = context;
	event_active(loop->wake, EV_READ, 0);
}

void loop_workers_init(struct loop_workers *loop, struct event_base *base, unsigned threads)
{
	loop->wake = mem_check(event_new(base, -1, EV_PERSIST, on_wake, loop));
	loop->workers = workers_new(threads, wake, loop);
}

void loop_workers_clear(struct loop_workers *loop)
{
	if (loop->workers == NULL)
		return;
	workers_free(loop->workers);
	event_free(loop->wake);
	loop->workers = NULL;
	loop->wake = NULL;
}

void loop_give_way(void)
{
	static _Thread_local bool done;
	if (done)
		return;
	done = true;
	/* On Linux a thread has a priority of its own. Refused: it runs as all others do. */
	if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10) != 0)
		log_debug(LOG_MINER, "cannot lower a worker's priority");
}
