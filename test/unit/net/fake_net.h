/* Networks of several nodes in one process, each with its own fake chain, over loopback; and connections of the test's
 * own to them, to be written to and read from at will. */
#ifndef ATELIER_TEST_FAKE_NET_H
#define ATELIER_TEST_FAKE_NET_H

#include <errno.h>

#include "net/fake_chain.h"
#include "net/net.h"
#include "net/wire/message.h"
#include "net/wire/netaddr.h"
#include "unit.h"
#include "util/clock.h"

enum { PATIENCE_SECONDS = 60, START_MS = 1000000, SILENCE_MS = 2001 };

extern struct event_base *base;

struct node {
	struct chain *chain;
	struct net *net;
	bool judges; /* verdicts are given as the loop turns */
};

/* Before and after each test. */
int set_up(void **state);
int tear_down(void **state);
#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

struct node *add_node_with(const struct net_options *options);
struct node *add_node(void);
void connect_nodes(struct node *from, struct node *to);
bool same_tip(const struct node *a, const struct node *b);
size_t peers_of(const struct node *node); /* whose handshake is done */

/* Once round the loop, with one verdict by each node that judges. */
void turn(void);
double seconds(void); /* real time, whatever the nodes are told */

/* Turns the loop until the condition holds; the test fails if it never does. */
#define WAIT_FOR(condition)                                \
	do {                                               \
		double end = seconds() + PATIENCE_SECONDS; \
		while (!(condition) && seconds() < end)    \
			turn();                            \
		assert_true(condition);                    \
	} while (0)

void turn_a_while(void); /* some turns in which something must not happen */
/* One after the other, the clock stands still until it is told to move on. */
void pass_time(int64_t ms);

/* A connection of the test's own, from an address of the loopback: TCP alone, or after a handshake. */
int connect_socket(const struct node *node, const char *source);
int connect_from(const struct node *node, const char *source);
int connect_mute(const struct node *node); /* from 127.0.0.1 */
bool is_closed(int fd);

/* Sends a message, and clears the payload. */
void say(int fd, enum message_kind kind, struct buf *payload);
void announce_blocks(int fd, const struct index_entry *tip);
void send_block(int fd, const struct header *header);

/* What such a connection has been sent, by kind. */
struct ear {
	int fd;
	uint8_t bytes[1 << 16];
	size_t size;
	size_t counts[MESSAGE_UNKNOWN + 1];
};
size_t heard(struct ear *ear, enum message_kind kind);

#endif
