/* The rules, each a comparison of a few facts in the order of their weight. */
#include "chain/verify/schedule.h"

enum { STRANGERS_SHARE = 4 };

/* Work that was executed, never work that is promised; then who has most to lose; then turns. The count of arrival
 * makes it a total order: nothing depends on where in a list something stands. */
bool schedule_before(const struct contender *a, const struct contender *b)
{
	int order = u256_compare(a->proven, b->proven);

	if (order != 0)
		return order > 0;
	if (a->on_tip != b->on_tip)
		return a->on_tip;
	if (a->standing != b->standing)
		return a->standing > b->standing;
	if (a->served != b->served)
		return a->served < b->served;
	return a->order < b->order;
}

static size_t at_least_one(size_t count)
{
	return count > 0 ? count : 1;
}

/* One worker stays free of blocks for what the loop needs meanwhile, unless there is only one. */
bool schedule_block_fits(const struct workload *load, enum standing standing)
{
	const size_t most = at_least_one(load->workers - 1);

	if (load->blocks >= most)
		return false;
	return standing != STANDING_STRANGER || load->strangers_blocks < at_least_one(most / STRANGERS_SHARE);
}

bool schedule_loose_fits(const struct workload *load)
{
	return load->blocks + load->loose < at_least_one(load->workers - 1);
}

bool schedule_queue_fits(size_t places, size_t waiting, size_t strangers, enum standing standing)
{
	if (waiting >= places)
		return false;
	return standing != STANDING_STRANGER || strangers < at_least_one(places / STRANGERS_SHARE);
}

/* Within a standing the address that holds most gives way first, so that one address cannot push out another by
 * sending more. */
bool schedule_evict_before(const struct lodger *a, const struct lodger *b)
{
	if (a->standing != b->standing)
		return a->standing < b->standing;
	if (a->held != b->held)
		return a->held > b->held;
	if (a->ready != b->ready)
		return b->ready;
	if (a->height != b->height)
		return a->height > b->height;
	return a->order > b->order;
}
