/* visitor_of, with another answer. */
#include "http/far_helper.h"

#include <string.h>

#include "http/visitor.h"

uint8_t far_group;

struct visitor __real_visitor_of(const struct sockaddr *from);
struct visitor __wrap_visitor_of(const struct sockaddr *from);

struct visitor __wrap_visitor_of(const struct sockaddr *from)
{
	struct visitor visitor = __real_visitor_of(from);

	if (far_group != 0) {
		visitor.is_local = false;
		memset(visitor.group, far_group, sizeof visitor.group);
	}
	return visitor;
}
