/* Who is told what happens in the chain (struct chain_events in chain/chain.h).
 *
 * Each notice goes to every subscriber, in any order, on the loop's thread. A subscriber may call the chain from within
 * a notice, subscribe another, or leave. */
#ifndef ATELIER_CHAIN_NOTICES_H
#define ATELIER_CHAIN_NOTICES_H

#include "chain/chain.h"

struct notices {
	struct chain_events *events;
	size_t count, cap;
};

void notices_add(struct notices *notices, const struct chain_events *events); /* copied */
/* Whoever has this context is told nothing any more. */
void notices_remove(struct notices *notices, const void *context);
void notices_clear(struct notices *notices);

/* Tells every subscriber that wants to know. */
#define NOTIFY(notices, notice, ...)                                                                      \
	do {                                                                                              \
		for (size_t i_ = 0; i_ < (notices)->count; i_++)                                          \
			if ((notices)->events[i_].notice != NULL)                                         \
				(notices)->events[i_].notice((notices)->events[i_].context, __VA_ARGS__); \
	} while (0)

#endif
