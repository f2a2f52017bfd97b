/* The order of a run: segments, a signature, a commit, and after the beacon a disclosure. */
#include "work/due.h"

#include <stddef.h>

/* Blocks that a commit may stand in when a run is closed: blocks come in bursts, and not everybody's has room. Of a
 * window that has no more than that, the first is for training, if there is another. */
enum { DUE_MARGIN = 3 };

uint32_t due_deadline(const struct due_facts *facts)
{
	return facts->base + facts->work + (facts->committed_length > 0 ? 1 + facts->reveal : 0);
}

uint32_t due_closing(const struct due_facts *facts)
{
	const uint32_t margin = facts->work > DUE_MARGIN ? DUE_MARGIN : facts->work > 1 ? facts->work - 1 : 1;

	return facts->base + facts->work - margin;
}

uint32_t due_length(const struct due_facts *facts)
{
	if (facts->committed_length > 0)
		return facts->committed_length;
	if (facts->signed_length > 0)
		return facts->signed_length;
	return facts->done > 0 && facts->next > due_closing(facts) ? facts->done : facts->segments;
}

/* The block after the window of commits draws the segment: its child is the first that may have a disclosure. */
static bool due_is_drawn(const struct due_facts *facts)
{
	return facts->next >= facts->base + facts->work + 2;
}

enum due_task due_task(const struct due_facts *facts)
{
	const bool due_over = !facts->is_open || facts->is_disclosed || facts->segments == 0 ||
		facts->next > due_deadline(facts);

	if (due_over || (facts->committed_length == 0 && !facts->is_wanted))
		return DUE_NOTHING;
	/* What was committed to elsewhere may be longer than what can be had here. */
	if (facts->done < due_length(facts))
		return facts->done < facts->segments ? DUE_SEGMENT : DUE_NOTHING;
	if (facts->committed_length == 0)
		return facts->signed_length > 0 ? DUE_COMMIT : DUE_SIGNATURE;
	/* To another root: this trace opens nothing. */
	return due_is_drawn(facts) && !facts->is_foreign ? DUE_DISCLOSURE : DUE_NOTHING;
}

const char *due_missed(const struct due_facts *facts)
{
	if (!facts->is_open || facts->is_disclosed || facts->segments == 0 || facts->next <= due_deadline(facts))
		return NULL;
	if (facts->committed_length > 0)
		return DUE_NOT_DISCLOSED;
	if (facts->signed_length > 0)
		return "no block had its commit in time: its seat stays empty";
	if (facts->done > 0)
		return "its commit was not signed in time (a locked wallet, or a node that was off?): its seat stays "
		       "empty";
	return "no segment of it was trained in time: its seat stays empty";
}
