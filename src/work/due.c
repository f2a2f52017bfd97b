/* The order of a run: segments, a signature, a commit, and after the beacon a disclosure. */
#include "work/due.h"

uint32_t due_deadline(const struct due_facts *facts)
{
	return facts->base + facts->work + (facts->is_committed ? 1 + facts->reveal : 0);
}

/* The block after the window of commits draws the segment: its child is the first that may have a disclosure. */
static bool due_is_drawn(const struct due_facts *facts)
{
	return facts->next >= facts->base + facts->work + 2;
}

enum due_task due_task(const struct due_facts *facts)
{
	const bool due_over = !facts->is_open || facts->is_disclosed || facts->has_failed ||
		facts->next > due_deadline(facts);

	if (due_over || (!facts->is_committed && !facts->is_wanted))
		return DUE_NOTHING;
	if (!facts->is_whole)
		return DUE_SEGMENT;
	if (!facts->is_committed)
		return facts->is_signed ? DUE_COMMIT : DUE_SIGNATURE;
	/* To another root: this trace opens nothing. */
	return due_is_drawn(facts) && !facts->is_foreign ? DUE_DISCLOSURE : DUE_NOTHING;
}
