/* What is going to happen, by time; of two things at the same time the one that was planned first comes first. */
#ifndef ATELIER_ECONOMY_EVENTS_H
#define ATELIER_ECONOMY_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
	EVENT_FIND,  /* a miner finds a proof */
	EVENT_BLOCK, /* a block reaches a node */
	EVENT_PROOF, /* a loose proof reaches a node */
	EVENT_DONE,  /* a node has executed something */
	EVENT_DUE,   /* a held block may be shown */
	EVENT_POWER, /* the next change of power */
};

struct event {
	double at;
	uint64_t number;
	enum event_kind kind;
	uint32_t miner, object;
	uint32_t turn; /* FIND, DONE: void if the miner's has gone on since */
};

struct events {
	struct event *heap;
	size_t count, room;
	uint64_t planned;
};

void events_clear(struct events *e);
void events_plan(struct events *e, struct event event); /* its number is given here */
bool events_next(struct events *e, struct event *event);

#endif
