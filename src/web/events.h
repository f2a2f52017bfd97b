/* /api/events: what happens, told to browsers as it does (server-sent events, of HTML's standard).
 *
 *     block  {"height", "hash", "time"}                             of the tip
 *     model  {"height", "root"}                                     after it
 *     proof  {"height", "proofs", "late", "change"}                 that wait for the block of this height
 *     tx     {"transactions", "bytes", "change"}                    in the mempool
 *     run    {"runs", "working", "segments", "iterations"}          of this node's own, all together
 *
 * A listener is told all five when he comes, and then each when it has changed, at most five times a second: whoever
 * wants to know more fetches it. `change` counts what came and went, since that may leave the other numbers as they
 * were. Every 15 seconds without another comes an empty line, by which both sides find out that the other has gone.
 *
 * At most EVENTS_LISTENERS are there at a time, of them EVENTS_PER_GROUP of a group (http/visitor.h) that is not of
 * this machine; who comes then gets 503. What waits for one who does not read is bounded (http/server.h). */
#ifndef ATELIER_WEB_EVENTS_H
#define ATELIER_WEB_EVENTS_H

#include "chain/chain.h"
#include "http/server.h"
#include "work/runner.h"

enum { EVENTS_LISTENERS = 32, EVENTS_PER_GROUP = 4 };

struct events;
struct event_base;

/* Before listeners are told that anything has changed, `changed` hears of it: who asks then must not be given what was
 * so before. */
struct events *events_new(struct event_base *base, void (*changed)(void *context), void *context);

/* The chain is open: subscribes to its notices. Both are borrowed, and must outlive the events. */
void events_begin(struct events *events, struct chain *chain, const struct runner *runner);

/* After the server is gone, whose listeners hear nothing any more. */
void events_free(struct events *events);

/* An endpoint's; its context is the events. */
bool events_has_path(const char *path);
void events_handle(void *context, const struct http_request *request, struct http_exchange *exchange);

#endif
