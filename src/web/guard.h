/* Whose requests the page's server takes: those that a program of the operator's own could have sent, or a page that
 * this server has given out. No page from elsewhere, and no name that somebody has led to this machine (DNS rebinding),
 * shall make his browser talk to his node.
 *
 *   Host             loopback by name or address, an address that the server is bound to, or a name of -webhost; the
 *                    port does not matter, since tunnels have ports of their own
 *   Origin           where there is one: http or https, and just what Host says
 *   Sec-Fetch-Site   where there is one: this page or nobody's, but for who follows a link
 *
 * Pure: fields of a head in, a verdict out. */
#ifndef ATELIER_WEB_GUARD_H
#define ATELIER_WEB_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "http/head.h"

/* Names that mean this server beside loopback's; borrowed, IPv6 addresses with or without brackets and ports. */
struct guard {
	const char *const *binds, *const *hosts;
	size_t bind_count, host_count;
};

/* 0: the request may be looked at. Else the status to refuse it with: 400, 403, or 421 if it means another server. */
int guard_judge(const struct guard *guard, const struct http_head *head);

/* Whether this may be the value of -webhost: a name or address, without scheme, port or path. */
bool guard_is_host(const char *host);

#endif
