/* Answering getheaders, getdata and getpart.
 *
 * Requests queue with their peer and are answered while little waits to be sent to it, one block or part a turn, so
 * that neither the loop nor the memory is taken by who asks for much and reads slowly. */
#ifndef ATELIER_NET_SERVE_H
#define ATELIER_NET_SERVE_H

#include "net/relay_blocks.h"

void serve_peer_opened(struct peer *peer);
void serve_peer_closed(struct peer *peer);

void serve_on_getheaders(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size);
void serve_on_getdata(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size);
void serve_on_getpart(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size);

/* Goes on with what is queued: called when the peer has taken what was sent, and every now and then, as a blob may be
 * looked at before its first part goes out. */
void serve_continue(const struct relay_blocks *relay, struct peer *peer);

#endif
