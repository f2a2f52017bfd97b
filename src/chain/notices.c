/* The list of subscribers. */
#include "chain/notices.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

void notices_add(struct notices *notices, const struct chain_events *events)
{
	if (notices->count == notices->cap) {
		notices->cap = notices->cap ? notices->cap * 2 : 8;
		notices->events = mem_realloc(notices->events, notices->cap * sizeof *notices->events);
	}
	notices->events[notices->count++] = *events;
}

/* From within a notice too: the last subscriber takes the place that becomes free. So it may miss the notice that is
 * being told just now, but never one that comes later. */
void notices_remove(struct notices *notices, const void *context)
{
	for (size_t i = 0; i < notices->count; i++)
		if (notices->events[i].context == context)
			notices->events[i--] = notices->events[--notices->count];
}

void notices_clear(struct notices *notices)
{
	free(notices->events);
	memset(notices, 0, sizeof *notices);
}
