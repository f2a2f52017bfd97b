/* File descriptors: the limit of this process, and the shares of RPC and of peers in it. */
#include "util/descriptors.h"

#include <stdint.h>
#include <sys/resource.h>

/* RLIM_INFINITY need not be the largest rlim_t, nor need that fit into a size_t. */
static size_t limit_count(rlim_t limit)
{
	return limit == RLIM_INFINITY || limit > SIZE_MAX ? SIZE_MAX : (size_t)limit;
}

size_t descriptors_raise(size_t wanted)
{
	struct rlimit limit, more;

	/* Where the limit cannot be told, connections are bounded by what was asked for. */
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	more = limit;
	more.rlim_cur = limit_count(limit.rlim_max) < wanted ? limit.rlim_max : (rlim_t)wanted;
	if (limit_count(limit.rlim_cur) < wanted && setrlimit(RLIMIT_NOFILE, &more) == 0)
		limit = more;
	return limit_count(limit.rlim_cur);
}

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t descriptors_for_rpc(size_t limit)
{
	return limit < 8 ? 1 : least_of(DESCRIPTORS_RPC, limit / 8);
}

/* What is left: where it is tight it is the peers that go without. */
size_t descriptors_for_peers(size_t limit)
{
	size_t taken = least_of(DESCRIPTORS_NODE, limit / 2) + descriptors_for_rpc(limit);

	return limit < taken ? 0 : limit - taken;
}
