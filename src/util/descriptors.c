#include "util/descriptors.h"

#include <stdint.h>
#include <sys/resource.h>

static size_t count(rlim_t limit)
{
	return limit == RLIM_INFINITY || limit > SIZE_MAX ? SIZE_MAX : (size_t)limit;
}

size_t descriptors_raise(size_t wanted)
{
	struct rlimit limit, more;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	more = limit;
	more.rlim_cur = count(limit.rlim_max) < wanted ? limit.rlim_max : (rlim_t)wanted;
	if (count(limit.rlim_cur) < wanted && setrlimit(RLIMIT_NOFILE, &more) == 0)
		limit = more;
	return count(limit.rlim_cur);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t descriptors_for_rpc(size_t limit)
{
	return limit < 8 ? 1 : least(DESCRIPTORS_RPC, limit / 8);
}

size_t descriptors_for_peers(size_t limit)
{
	size_t taken = least(DESCRIPTORS_NODE, limit / 2) + descriptors_for_rpc(limit);

	return limit < taken ? 0 : limit - taken;
}
