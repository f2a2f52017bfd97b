/* A team: threads that share the tasks of one caller, who works with them and waits for the last.
 *
 * For work that is cut into tasks of some hundred microseconds and more. The queue (util/queue.h) takes jobs of their
 * own; a team lives inside one. It is used by one caller at a time. NULL stands for a team of nobody but the caller. */
#ifndef ATELIER_UTIL_TEAM_H
#define ATELIER_UTIL_TEAM_H

#include <stddef.h>

struct team;

/* Called once for each task, 0 .. count - 1, in no order; member is 0 (the caller's thread) .. team_members - 1. */
typedef void team_task(void *arg, size_t task, unsigned member);

/* Starts members - 1 threads, or as many as the system gives; NULL for one member. */
struct team *team_new(unsigned members);
void team_free(struct team *team);
unsigned team_members(const struct team *team);

/* Returns when all tasks are done; what they wrote is visible to the caller then. */
void team_run(struct team *team, team_task *task, void *arg, size_t count);

#endif
