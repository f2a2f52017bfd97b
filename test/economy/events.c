/* Events in a binary heap. */
#include "events.h"

#include <stdlib.h>

#include "util/mem.h"

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->number < b->number);
}

void events_clear(struct events *e)
{
	free(e->heap);
	*e = (struct events){ 0 };
}

void events_plan(struct events *e, struct event event)
{
	size_t at = e->count++;

	if (e->count > e->room) {
		e->room = e->room == 0 ? 1024 : 2 * e->room;
		e->heap = mem_realloc(e->heap, e->room * sizeof *e->heap);
	}
	event.number = e->planned++;
	while (at > 0 && is_before(&event, &e->heap[(at - 1) / 2])) {
		e->heap[at] = e->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	e->heap[at] = event;
}

bool events_next(struct events *e, struct event *event)
{
	size_t at = 0, child;

	if (e->count == 0)
		return false;
	*event = e->heap[0];
	const struct event last = e->heap[--e->count];

	while ((child = 2 * at + 1) < e->count) {
		if (child + 1 < e->count && is_before(&e->heap[child + 1], &e->heap[child]))
			child++;
		if (!is_before(&e->heap[child], &last))
			break;
		e->heap[at] = e->heap[child];
		at = child;
	}
	e->heap[at] = last;
	return true;
}
