/* The rules, each a comparison of a few facts in the order of their weight. */
#include "chain/verify/schedule.h"

enum { SCHEDULE_STRANGERS_SHARE = 4 };

/* Work that was executed, never work that is promised; then who has most to lose; then turns. The count of arrival
 * makes it a total order: nothing depends on where in a list something stands. */
bool schedule_before(const struct contender *contender, const struct contender *rival)
{
	int work_order = u256_compare(contender->proven, rival->proven);

	if (work_order != 0)
		return work_order > 0;
	if (contender->on_tip != rival->on_tip)
		return contender->on_tip;
	if (contender->standing != rival->standing)
		return contender->standing > rival->standing;
	if (contender->served != rival->served)
		return contender->served < rival->served;
	return contender->order < rival->order;
}

static size_t schedule_at_least_one(size_t workers)
{
	return workers > 0 ? workers : 1;
}

/* One worker stays free of blocks for what the loop needs meanwhile, unless there is only one. */
bool schedule_block_fits(const struct workload *load, enum standing standing)
{
	const size_t blocks_most = schedule_at_least_one(load->workers - 1);

	if (load->blocks >= blocks_most)
		return false;
	return standing != STANDING_STRANGER ||
		load->strangers_blocks < schedule_at_least_one(blocks_most / SCHEDULE_STRANGERS_SHARE);
}

bool schedule_loose_fits(const struct workload *load)
{
	return load->blocks + load->loose < schedule_at_least_one(load->workers - 1);
}

bool schedule_queue_fits(size_t places, size_t waiting, size_t strangers, enum standing standing)
{
	if (waiting >= places)
		return false;
	return standing != STANDING_STRANGER || strangers < schedule_at_least_one(places / SCHEDULE_STRANGERS_SHARE);
}

/* Within a standing the address that holds most gives way first, so that one address cannot push out another by
 * sending more. */
bool schedule_evict_before(const struct lodger *lodger, const struct lodger *rival)
{
	if (lodger->standing != rival->standing)
		return lodger->standing < rival->standing;
	if (lodger->held != rival->held)
		return lodger->held > rival->held;
	if (lodger->ready != rival->ready)
		return rival->ready;
	if (lodger->height != rival->height)
		return lodger->height > rival->height;
	return lodger->order > rival->order;
}
