/* How much of the loop's time whoever is far away may take with calls, all of them together: a part of it, so that a
 * page for everybody (-webbind) costs the node no more than that, whatever is asked for. */
#ifndef ATELIER_WEB_BUDGET_H
#define ATELIER_WEB_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BUDGET_MAX_MS = 500,    /* that may be taken at once */
	BUDGET_PER_SECOND = 250 /* ms that come back in a second */
};

/* Zeroed at the start. Times are clock_mono_ms; each is a whole number of ms, and too much as often as too little. */
struct budget {
	int64_t spent;  /* ms, in units of 1/1000 */
	int64_t looked; /* when that was so */
};

bool budget_allows(struct budget *budget, int64_t now);
void budget_spend(struct budget *budget, int64_t from, int64_t until);

#endif
