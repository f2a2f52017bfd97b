/* File descriptors: the limit of this process, and the shares of the servers and of peers in it. */
#include "util/descriptors.h"

#include <stdint.h>
#include <sys/resource.h>

#include "util/size.h"

/* RLIM_INFINITY need not be the largest rlim_t, nor need that fit into a size_t. */
static size_t descriptors_count(rlim_t limit)
{
	return limit == RLIM_INFINITY || limit > SIZE_MAX ? SIZE_MAX : (size_t)limit;
}

size_t descriptors_raise(size_t wanted)
{
	struct rlimit descriptors_limit, descriptors_more;

	/* Where the limit cannot be told, connections are bounded by what was asked for. */
	if (getrlimit(RLIMIT_NOFILE, &descriptors_limit) != 0)
		return wanted;
	descriptors_more = descriptors_limit;
	descriptors_more.rlim_cur = descriptors_count(descriptors_limit.rlim_max) < wanted ?
		descriptors_limit.rlim_max :
		(rlim_t)wanted;
	if (descriptors_count(descriptors_limit.rlim_cur) < wanted && setrlimit(RLIMIT_NOFILE, &descriptors_more) == 0)
		descriptors_limit = descriptors_more;
	return descriptors_count(descriptors_limit.rlim_cur);
}

size_t descriptors_for_rpc(size_t limit)
{
	return limit < 8 ? 1 : size_min(DESCRIPTORS_RPC, limit / 8);
}

size_t descriptors_for_web(size_t limit)
{
	return limit < 8 ? 1 : size_min(DESCRIPTORS_WEB, limit / 8);
}

/* What is left: where it is tight it is the peers that go without. */
size_t descriptors_for_peers(size_t limit)
{
	size_t not_for_peers = size_min(DESCRIPTORS_NODE, limit / 2) + descriptors_for_rpc(limit) +
		descriptors_for_web(limit);

	return limit < not_for_peers ? 0 : limit - not_for_peers;
}
