/* Networks of several nodes in one process, each with its own fake chain, over loopback: sync, reorganisation, relay,
 * blobs, and what becomes of those who send false proofs. */
#include <errno.h>
#include <time.h>

#include "net/fake_chain.h"
#include "net/net.h"
#include "net/relay_tx.h"
#include "net/sync_blocks.h"
#include "unit.h"
#include "util/clock.h"

enum { NODES = 4, PATIENCE_SECONDS = 60, START_MS = 1000000, SILENCE_MS = 2001 };

static struct event_base *base;
static struct node {
	struct chain *chain;
	struct net *net;
	bool judges; /* verdicts are given as the loop turns */
} nodes[NODES];
static size_t node_count;

static int set_up(void **state)
{
	(void)state;
	base = event_base_new();
	node_count = 0;
	return base != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < node_count; i++) {
		net_close(nodes[i].net);
		fake_chain_free(nodes[i].chain);
	}
	event_base_free(base);
	clock_set_mono(0);
	return 0;
}

static struct node *add_node_with(const struct net_options *options)
{
	struct node *node = &nodes[node_count++];
	struct errmsg err;

	node->chain = fake_chain_new();
	node->judges = true;
	node->net = net_open(base, node->chain, options, &err);
	assert_non_null(node->net);
	return node;
}

static struct node *add_node(void)
{
	const struct net_options options = { .listen = true, .bind = "127.0.0.1", .max_peers = 125, .agent = "/test/" };

	return add_node_with(&options);
}

static void connect_nodes(struct node *from, struct node *to)
{
	char name[32];

	snprintf(name, sizeof name, "127.0.0.1:%u", net_port(to->net));
	assert_int_equal(net_add_node(from->net, name), NET_NODE_OK);
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (size_t i = 0; i < node_count; i++)
		if (nodes[i].judges)
			fake_chain_step(nodes[i].chain);
}

/* Real time, whatever the nodes are told. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Turns the loop until the condition holds; the test fails if it never does. */
#define WAIT_FOR(condition)                                \
	do {                                               \
		double end = seconds() + PATIENCE_SECONDS; \
		while (!(condition) && seconds() < end)    \
			turn();                            \
		assert_true(condition);                    \
	} while (0)

/* Some turns in which something must not happen. */
static void turn_a_while(void)
{
	double end = seconds() + 0.7;

	while (seconds() < end)
		turn();
}

static bool same_tip(const struct node *a, const struct node *b)
{
	return memcmp(chain_tip(a->chain)->id, chain_tip(b->chain)->id, 32) == 0;
}

static size_t peers_of(const struct node *node)
{
	struct net_counts counts;

	net_counts(node->net, &counts);
	return counts.inbound + counts.outbound;
}

static void test_sync_and_follow(void **state)
{
	struct node *a = add_node(), *b = add_node(), *c = add_node();

	(void)state;
	fake_chain_mine(a->chain, NULL, 2500, 1, FAKE_GOOD); /* more headers than one message and the window hold */
	connect_nodes(b, a);
	connect_nodes(c, b);
	WAIT_FOR(same_tip(a, b) && same_tip(b, c));
	fake_chain_mine(a->chain, NULL, 1, 1, FAKE_GOOD);
	WAIT_FOR(same_tip(a, b) && same_tip(b, c));
	fake_chain_mine(c->chain, NULL, 40, 2, FAKE_GOOD); /* further than one announcement reaches */
	WAIT_FOR(same_tip(a, c) && same_tip(b, c));
	assert_int_equal(chain_tip(a->chain)->height, 2541);
}

static void test_headers_are_bounded(void **state)
{
	struct node *a = add_node(), *b = add_node();
	const struct index_entry *beyond, *last;

	(void)state;
	b->judges = false;
	last = fake_chain_mine(a->chain, NULL, 4000, 1, FAKE_GOOD);
	beyond = chain_ancestor(last, SYNC_HEADERS_AHEAD + 1);
	connect_nodes(b, a);
	WAIT_FOR(chain_find(b->chain, beyond->parent->id));
	turn_a_while();
	assert_null(chain_find(b->chain, beyond->id));
	b->judges = true;
	WAIT_FOR(same_tip(a, b));
}

static void test_reorganisation(void **state)
{
	struct node *a = add_node(), *b = add_node();

	(void)state;
	fake_chain_mine(a->chain, NULL, 30, 1, FAKE_GOOD);
	fake_chain_mine(b->chain, NULL, 20, 2, FAKE_GOOD);
	connect_nodes(b, a);
	WAIT_FOR(same_tip(a, b));
	assert_int_equal(chain_tip(b->chain)->header.miner[0], 1);
	/* A branch from below the tip that grows longer is announced to who has none of it. */
	fake_chain_mine(b->chain, chain_ancestor(chain_tip(b->chain), 10), 40, 3, FAKE_GOOD);
	WAIT_FOR(same_tip(a, b));
	assert_int_equal(chain_tip(a->chain)->height, 50);
}

/* A branch is followed as its blocks are verified, not only as they are connected: that may come much later. */
static void test_deep_reorganisation(void **state)
{
	struct node *a = add_node(), *b = add_node();

	(void)state;
	fake_chain_mine(a->chain, NULL, 200, 1, FAKE_GOOD);
	fake_chain_mine(b->chain, NULL, 190, 2, FAKE_GOOD);
	connect_nodes(b, a);
	WAIT_FOR(same_tip(a, b));
}

/* Somebody filled the chain with headers: they are forgotten, and the sync goes on from what peers then give. */
static void test_headers_full(void **state)
{
	struct node *a = add_node(), *b = add_node(), *mute = add_node();
	const struct index_entry *last;

	(void)state;
	/* b knows headers, and has asked for blocks, when it takes no more. */
	fake_chain_lose_blocks(mute->chain);
	last = fake_chain_mine(mute->chain, NULL, 50, 2, FAKE_GOOD);
	connect_nodes(b, mute);
	WAIT_FOR(chain_find(b->chain, last->id));
	fake_chain_mine(a->chain, NULL, 60, 1, FAKE_GOOD);
	fake_chain_fill_headers(b->chain);
	connect_nodes(b, a);
	WAIT_FOR(same_tip(a, b));
}

static void test_false_block(void **state)
{
	struct node *honest = add_node(), *liar = add_node(), *victim = add_node();

	(void)state;
	fake_chain_mine(honest->chain, NULL, 5, 1, FAKE_GOOD);
	fake_chain_mine(liar->chain, NULL, 9, 2, FAKE_OWN_PROOF_FALSE);
	connect_nodes(victim, honest);
	WAIT_FOR(same_tip(honest, victim));
	connect_nodes(victim, liar);
	WAIT_FOR(chain_find(victim->chain, chain_tip(liar->chain)->id) &&
		chain_find(victim->chain, chain_tip(liar->chain)->id)->status == ENTRY_INVALID);
	WAIT_FOR(peers_of(liar) == 0);
	turn_a_while();
	assert_int_equal(peers_of(victim), 1);
	assert_int_equal(chain_tip(victim->chain)->height, 8); /* the liar's blocks before the false one are right */
	assert_true(same_tip(honest, victim));                 /* and were passed on; the false one was not */
	assert_null(chain_find(honest->chain, chain_tip(liar->chain)->id));
}

/* Whoever relays a block has executed its own proof, not yet the loose ones in it. */
static void test_false_loose_inside(void **state)
{
	struct node *a = add_node(), *b = add_node();

	(void)state;
	fake_chain_mine(a->chain, NULL, 3, 1, FAKE_LOOSE_PROOF_FALSE);
	connect_nodes(b, a);
	WAIT_FOR(chain_find(b->chain, chain_tip(a->chain)->id) &&
		chain_find(b->chain, chain_tip(a->chain)->id)->status == ENTRY_INVALID);
	turn_a_while();
	assert_int_equal(peers_of(a), 1);
	assert_int_equal(chain_tip(b->chain)->height, 2);
}

/* What one peer cannot deliver comes from another. */
static void test_blocks_from_elsewhere(void **state)
{
	struct node *whole = add_node(), *broken = add_node(), *late = add_node();

	(void)state;
	fake_chain_mine(whole->chain, NULL, 100, 1, FAKE_GOOD);
	connect_nodes(broken, whole);
	WAIT_FOR(same_tip(whole, broken));
	fake_chain_lose_blocks(broken->chain);
	connect_nodes(late, broken);
	WAIT_FOR(chain_find(late->chain, chain_tip(whole->chain)->id));
	turn_a_while();
	assert_int_equal(chain_tip(late->chain)->height, 0);
	connect_nodes(late, whole);
	WAIT_FOR(same_tip(whole, late));
}

static void test_proofs(void **state)
{
	struct node *a = add_node(), *b = add_node(), *c = add_node();
	struct header early, good, bad;
	uint8_t id[32];

	(void)state;
	fake_chain_mine(a->chain, NULL, 2, 1, FAKE_GOOD);
	early = fake_chain_prove(a->chain, 1, FAKE_GOOD);
	header_id(&early, id);
	connect_nodes(b, a);
	connect_nodes(c, b);
	/* Offered before b knows the block it stands on; then passed on to c, which a does not know. */
	WAIT_FOR(chain_loose_known(c->chain, id));
	good = fake_chain_prove(c->chain, 2, FAKE_GOOD);
	header_id(&good, id);
	WAIT_FOR(chain_loose_known(a->chain, id));
	assert_int_equal(peers_of(b), 2);
	bad = fake_chain_prove(a->chain, 3, FAKE_OWN_PROOF_FALSE);
	header_id(&bad, id);
	WAIT_FOR(peers_of(a) == 0);
	turn_a_while();
	assert_int_equal(peers_of(b), 1);
	assert_int_equal(peers_of(c), 1);
	assert_false(chain_loose_known(b->chain, id));
	assert_false(chain_loose_known(c->chain, id));
}

/* A proof under execution when the tip changes never gets a verdict; its sender's next ones do. */
static void test_proof_given_up(void **state)
{
	struct node *a = add_node(), *b = add_node();
	struct header proof;
	uint8_t id[32];

	(void)state;
	connect_nodes(b, a);
	WAIT_FOR(peers_of(a) == 1 && peers_of(b) == 1);
	b->judges = false;
	fake_chain_prove(a->chain, 1, FAKE_GOOD);
	turn_a_while();
	fake_chain_mine(b->chain, NULL, 1, 1, FAKE_GOOD);
	WAIT_FOR(same_tip(a, b));
	b->judges = true;
	proof = fake_chain_prove(a->chain, 2, FAKE_GOOD);
	header_id(&proof, id);
	WAIT_FOR(chain_loose_known(b->chain, id));
}

static void test_transactions(void **state)
{
	struct node *a = add_node(), *b = add_node(), *c = add_node();
	uint8_t before[32], after[32];

	(void)state;
	fake_chain_spend(a->chain, 1, before);
	connect_nodes(b, a);
	connect_nodes(c, b);
	WAIT_FOR(chain_mempool_find_wtxid(c->chain, before));
	fake_chain_spend(c->chain, 2, after);
	WAIT_FOR(chain_mempool_find_wtxid(a->chain, after));
}

static void test_blobs(void **state)
{
	struct node *source = add_node(), *other = add_node(), *wants = add_node();
	uint8_t first[32] = { 1 }, second[32] = { 2 }, empty[32] = { 3 };

	(void)state;
	fake_chain_hold_blob(source->chain, first, "first");
	fake_chain_hold_blob(other->chain, second, "second");
	fake_chain_hold_blob(other->chain, empty, "");
	connect_nodes(wants, source);
	WAIT_FOR(peers_of(wants) == 1 && peers_of(source) == 1);
	connect_nodes(wants, other);
	WAIT_FOR(peers_of(wants) == 2 && peers_of(other) == 1);
	fake_chain_want_blob(wants->chain, first, 1);
	fake_chain_want_blob(wants->chain, second, 1); /* peer 1 says notfound, then peer 2 is asked */
	WAIT_FOR(chain_has_blob(wants->chain, first) && chain_has_blob(wants->chain, second));
	fake_chain_want_blob(wants->chain, empty, 1);
	WAIT_FOR(peers_of(other) == 0); /* sent something that is not it */
	assert_int_equal(peers_of(source), 1);
}

static void test_self(void **state)
{
	struct node *a = add_node();

	(void)state;
	connect_nodes(a, a);
	turn_a_while();
	assert_int_equal(peers_of(a), 0);
}

/* A connection of the test's own, to be written to and read from at will. */
static int connect_socket(const struct node *node, const char *source)
{
	struct sockaddr_storage to;
	struct netaddr address;
	char name[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;

	snprintf(name, sizeof name, "127.0.0.1:%u", net_port(node->net));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	assert_true(netaddr_parse(&address, source, 0));
	assert_int_equal(bind(fd, (struct sockaddr *)&to, netaddr_to_sockaddr(&address, &to)), 0);
	assert_true(netaddr_parse(&address, name, 0));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, netaddr_to_sockaddr(&address, &to)), 0);
	return fd;
}

static void say(int fd, enum message_kind kind, struct buf *payload)
{
	uint8_t header[MESSAGE_HEADER_SIZE];

	message_header_write(header, fake_spec()->magic, kind, payload->data, payload->size);
	assert_int_equal(send(fd, header, sizeof header, MSG_NOSIGNAL), sizeof header);
	assert_int_equal(send(fd, payload->data, payload->size, MSG_NOSIGNAL), payload->size);
	buf_clear(payload);
}

static int connect_from(const struct node *node, const char *source)
{
	const struct message_version version = { .version = MESSAGE_PROTOCOL, .nonce = 1 };
	int fd = connect_socket(node, source);
	struct buf payload;

	buf_init(&payload);
	message_write_version(&payload, &version);
	say(fd, MESSAGE_VERSION, &payload);
	say(fd, MESSAGE_VERACK, &payload);
	return fd;
}

static int connect_mute(const struct node *node)
{
	return connect_from(node, "127.0.0.1");
}

static void test_mute_peer(void **state)
{
	const struct net_options hasty = {
		.listen = true,
		.bind = "127.0.0.1",
		.max_peers = 9,
		.block_timeout = 300,
		.agent = "/test/",
	};
	struct node *victim = add_node_with(&hasty), *honest = add_node();
	const struct index_entry *tip = fake_chain_mine(honest->chain, NULL, 20, 1, FAKE_GOOD);
	struct header headers[20];
	struct buf payload;
	int fd = connect_mute(victim);

	(void)state;
	for (size_t i = 0; i < 20; i++)
		headers[i] = chain_ancestor(tip, (uint32_t)i + 1)->header;
	buf_init(&payload);
	message_write_headers(&payload, headers, 20);
	say(fd, MESSAGE_HEADERS, &payload);
	WAIT_FOR(chain_find(victim->chain, tip->id));
	connect_nodes(victim, honest);
	WAIT_FOR(same_tip(victim, honest)); /* the mute peer's share comes from the honest one */
	close(fd);
}

static void test_mute_alone(void **state)
{
	const struct net_options hasty = {
		.listen = true,
		.bind = "127.0.0.1",
		.max_peers = 9,
		.block_timeout = 100,
		.agent = "/test/",
	};
	struct node *victim = add_node_with(&hasty), *other = add_node();
	const struct index_entry *tip = fake_chain_mine(other->chain, NULL, 1, 1, FAKE_GOOD);
	struct buf payload;
	int fd = connect_mute(victim);

	(void)state;
	buf_init(&payload);
	message_write_headers(&payload, &tip->header, 1);
	say(fd, MESSAGE_HEADERS, &payload);
	WAIT_FOR(peers_of(victim) == 1);
	WAIT_FOR(peers_of(victim) == 0); /* asked three times in vain */
	close(fd);
}

/* A source that does not answer is given up, and the bytes come from somebody else. */
static void test_mute_about_blob(void **state)
{
	const struct net_options hasty = {
		.listen = true,
		.bind = "127.0.0.1",
		.max_peers = 9,
		.block_timeout = 300,
		.agent = "/test/",
	};
	struct node *wants = add_node_with(&hasty), *other = add_node();
	uint8_t root[32] = { 1 };
	int fd = connect_mute(wants);

	(void)state;
	WAIT_FOR(peers_of(wants) == 1);
	connect_nodes(wants, other);
	WAIT_FOR(peers_of(wants) == 2);
	fake_chain_want_blob(wants->chain, root, 1);
	fake_chain_hold_blob(other->chain, root, "bytes");
	WAIT_FOR(chain_has_blob(wants->chain, root));
	assert_int_equal(peers_of(wants), 2);
	close(fd);
}

/* What a connection of the test's own has been sent, by kind. */
struct ear {
	int fd;
	uint8_t bytes[1 << 16];
	size_t size;
	size_t counts[MESSAGE_UNKNOWN + 1];
};

static void hear(struct ear *ear)
{
	struct message_limits limits;
	struct message_header header;
	ssize_t more = recv(ear->fd, ear->bytes + ear->size, sizeof ear->bytes - ear->size, MSG_DONTWAIT);

	ear->size += more > 0 ? (size_t)more : 0;
	message_limits_init(&limits, fake_spec());
	while (ear->size >= MESSAGE_HEADER_SIZE) {
		size_t whole;

		assert_null(message_header_read(&header, ear->bytes, &limits));
		whole = MESSAGE_HEADER_SIZE + header.size;
		if (ear->size < whole)
			return;
		ear->counts[header.kind]++;
		memmove(ear->bytes, ear->bytes + whole, ear->size -= whole);
	}
}

static size_t heard(struct ear *ear, enum message_kind kind)
{
	hear(ear);
	return ear->counts[kind];
}

/* One after the other, the clock stands still until it is told to move on. */
static void pass_time(int64_t ms)
{
	turn_a_while(); /* ticks: what is here by now is noticed */
	clock_set_mono(clock_mono_ms() + ms);
}

static void announce_blocks(int fd, const struct index_entry *tip)
{
	struct header headers[64];
	struct buf payload;

	for (uint32_t i = 0; i < tip->height; i++)
		headers[i] = chain_ancestor(tip, i + 1)->header;
	buf_init(&payload);
	message_write_headers(&payload, headers, tip->height);
	say(fd, MESSAGE_HEADERS, &payload);
}

static void send_block(int fd, const struct header *header)
{
	struct block *block = block_new();
	struct buf payload;

	block->header = *header;
	buf_init(&payload);
	block_write(&payload, fake_spec(), block, false);
	block_unref(block);
	say(fd, MESSAGE_BLOCK, &payload);
}

static void add_inflight(void *context, const struct net_peer_info *info)
{
	*(size_t *)context += info->inflight_count;
}

static size_t blocks_asked(const struct node *node)
{
	size_t count = 0;

	net_each_peer(node->net, add_inflight, &count);
	return count;
}

/* What a silent peer owes is asked of a second one after two seconds, and nobody is punished. */
static void test_silent_peer(void **state)
{
	struct node *victim = add_node(), *honest = add_node();
	const struct index_entry *tip = fake_chain_mine(honest->chain, NULL, 20, 1, FAKE_GOOD);
	int fd;

	(void)state;
	clock_set_mono(START_MS);
	fd = connect_mute(victim);
	announce_blocks(fd, tip);
	WAIT_FOR(chain_find(victim->chain, tip->id));
	connect_nodes(victim, honest);
	/* It is not among the eight that the silent one owes. */
	WAIT_FOR(chain_find(victim->chain, tip->id)->held);
	pass_time(SILENCE_MS - 1);
	turn_a_while();
	assert_int_equal(chain_tip(victim->chain)->height, 0);
	pass_time(1);
	WAIT_FOR(same_tip(victim, honest));
	assert_int_equal(peers_of(victim), 2);
	close(fd);
}

/* Two are awaited at a time; a third takes the place of the first, whose answer counts nevertheless. */
static void test_silent_peers(void **state)
{
	enum { PEERS = 3 };
	static struct ear ears[PEERS];
	struct node *victim = add_node();
	struct chain *elsewhere = fake_chain_new();
	const struct index_entry *tip = fake_chain_mine(elsewhere, NULL, SYNC_BLOCKS_MAX, 1, FAKE_GOOD);

	(void)state;
	clock_set_mono(START_MS);
	for (size_t i = 0; i < PEERS; i++) {
		ears[i] = (struct ear){ .fd = connect_mute(victim) };
		announce_blocks(ears[i].fd, tip);
		WAIT_FOR(peers_of(victim) == i + 1);
	}
	WAIT_FOR(heard(&ears[0], MESSAGE_GETDATA) == 1);
	turn_a_while();
	assert_int_equal(heard(&ears[1], MESSAGE_GETDATA) + heard(&ears[2], MESSAGE_GETDATA), 0);
	pass_time(SILENCE_MS);
	WAIT_FOR(heard(&ears[1], MESSAGE_GETDATA) == 1);
	turn_a_while();
	assert_int_equal(heard(&ears[2], MESSAGE_GETDATA), 0);
	pass_time(SILENCE_MS);
	WAIT_FOR(heard(&ears[2], MESSAGE_GETDATA) == 1);
	for (uint32_t height = 1; height <= tip->height; height++)
		send_block(ears[0].fd, &chain_ancestor(tip, height)->header);
	WAIT_FOR(chain_tip(victim->chain)->height == tip->height);
	for (uint32_t height = 1; height <= tip->height; height++) /* too late, and no fault */
		send_block(ears[1].fd, &chain_ancestor(tip, height)->header);
	turn_a_while();
	assert_int_equal(peers_of(victim), PEERS);
	for (size_t i = 0; i < PEERS; i++)
		close(ears[i].fd);
	fake_chain_free(elsewhere);
}

/* A long block on a slow line: as long as it grows, nobody else is asked for it. */
static void test_slow_peer(void **state)
{
	enum { PARTS = 4 };
	static struct ear slow, other;
	static const uint8_t part[TRANSPORT_PROGRESS];
	struct node *victim = add_node();
	struct chain *elsewhere = fake_chain_new();
	const struct index_entry *tip = fake_chain_mine(elsewhere, NULL, 1, 1, FAKE_GOOD);
	uint8_t header[MESSAGE_HEADER_SIZE];

	(void)state;
	clock_set_mono(START_MS);
	slow = (struct ear){ .fd = connect_mute(victim) };
	announce_blocks(slow.fd, tip);
	WAIT_FOR(heard(&slow, MESSAGE_GETDATA) == 1);
	other = (struct ear){ .fd = connect_mute(victim) };
	announce_blocks(other.fd, tip);
	WAIT_FOR(peers_of(victim) == 2);
	message_header_write(header, fake_spec()->magic, MESSAGE_BLOCK, part, sizeof part);
	header[18] = 16; /* the length: a megabyte more */
	assert_int_equal(send(slow.fd, header, sizeof header, MSG_NOSIGNAL), sizeof header);
	for (size_t i = 0; i < PARTS; i++) {
		assert_int_equal(send(slow.fd, part, sizeof part, MSG_NOSIGNAL), sizeof part);
		pass_time(SILENCE_MS - 2);
		turn_a_while();
		assert_int_equal(heard(&other, MESSAGE_GETDATA), 0);
	}
	pass_time(SILENCE_MS);
	WAIT_FOR(heard(&other, MESSAGE_GETDATA) == 1);
	assert_int_equal(peers_of(victim), 2);
	close(slow.fd);
	close(other.fd);
	fake_chain_free(elsewhere);
}

/* A blob's source is silent: after two seconds the next is asked, and whoever has answered before is the next. */
static void test_silent_about_blob(void **state)
{
	static struct ear source, silent;
	struct node *wants = add_node(), *good = add_node();
	uint8_t first[32] = { 1 }, second[32] = { 2 };

	(void)state;
	clock_set_mono(START_MS);
	source = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	silent = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 2);
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 3);
	fake_chain_hold_blob(good->chain, first, "first");
	fake_chain_want_blob(wants->chain, first, 3);
	WAIT_FOR(chain_has_blob(wants->chain, first));
	fake_chain_hold_blob(good->chain, second, "second");
	fake_chain_want_blob(wants->chain, second, 1);
	WAIT_FOR(heard(&source, MESSAGE_GETDATA) == 1);
	pass_time(SILENCE_MS - 1);
	turn_a_while();
	assert_false(chain_has_blob(wants->chain, second));
	pass_time(1);
	WAIT_FOR(chain_has_blob(wants->chain, second));
	assert_int_equal(heard(&silent, MESSAGE_GETDATA), 0);
	assert_int_equal(peers_of(wants), 3);
	close(source.fd);
	close(silent.fd);
}

/* Who sends one blob for another, and then says that he has not the one he was asked for, gets no credit by that: what
 * he sends next is not even looked at. */
static void test_blob_for_another(void **state)
{
	static struct ear ear;
	struct node *wants = add_node();
	struct inventory_item item = { INVENTORY_BLOB, { 1 } };
	struct buf payload;

	(void)state;
	clock_set_mono(START_MS);
	ear = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	fake_chain_want_blob(wants->chain, item.id, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETDATA) == 1);
	buf_init(&payload);
	message_write_blob(&payload, (const uint8_t[32]){ 9 }, "other", 5);
	say(ear.fd, MESSAGE_BLOB, &payload);
	message_write_inventory(&payload, &item, 1);
	say(ear.fd, MESSAGE_NOTFOUND, &payload);
	buf_put_text(&payload, "no blob");
	say(ear.fd, MESSAGE_BLOB, &payload);
	turn_a_while();
	assert_int_equal(peers_of(wants), 1);
	close(ear.fd);
}

static void offer_txs(int fd, uint8_t salt, const uint8_t *wtxid, uint32_t count)
{
	struct inventory_item *items = calloc(count, sizeof *items);
	struct buf payload;

	for (uint32_t i = 0; i < count; i++) {
		items[i] = (struct inventory_item){ INVENTORY_TX, { 0xee, salt, (uint8_t)i, (uint8_t)(i >> 8) } };
		if (wtxid != NULL)
			memcpy(items[i].id, wtxid, 32);
	}
	buf_init(&payload);
	message_write_inventory(&payload, items, count);
	free(items);
	say(fd, MESSAGE_INV, &payload);
}

/* Transactions too: the second that offers is asked after two seconds, a third in the first's place; and at once if the
 * first is known to be silent. */
static void test_silent_about_txs(void **state)
{
	enum { SILENT = 3 };
	static struct ear ears[SILENT];
	struct node *wants = add_node(), *good = add_node();
	uint8_t one[32], two[32];

	(void)state;
	clock_set_mono(START_MS);
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 1 && peers_of(good) == 1);
	clock_set_mono(START_MS + 1);
	for (size_t i = 0; i < SILENT; i++) {
		ears[i] = (struct ear){ .fd = connect_mute(wants) };
		WAIT_FOR(peers_of(wants) == i + 2);
	}
	fake_chain_make_spend(1, one);
	for (size_t i = 0; i < SILENT; i++) {
		offer_txs(ears[i].fd, 0, one, 1);
		turn_a_while();
	}
	assert_int_equal(heard(&ears[0], MESSAGE_GETDATA), 1);
	assert_int_equal(heard(&ears[1], MESSAGE_GETDATA), 0);
	fake_chain_spend(good->chain, 1, one);
	pass_time(SILENCE_MS);
	WAIT_FOR(heard(&ears[1], MESSAGE_GETDATA) == 1);
	turn_a_while();
	assert_int_equal(heard(&ears[2], MESSAGE_GETDATA), 0);
	pass_time(SILENCE_MS);
	WAIT_FOR(heard(&ears[2], MESSAGE_GETDATA) == 1);
	pass_time(SILENCE_MS);
	WAIT_FOR(chain_mempool_find_wtxid(wants->chain, one));

	fake_chain_make_spend(2, two);
	offer_txs(ears[0].fd, 0, two, 1);
	WAIT_FOR(heard(&ears[0], MESSAGE_GETDATA) == 2);
	fake_chain_spend(good->chain, 2, two);
	WAIT_FOR(chain_mempool_find_wtxid(wants->chain, two)); /* no time passes */
	assert_int_equal(peers_of(wants), SILENT + 1);
	for (size_t i = 0; i < SILENT; i++)
		close(ears[i].fd);
}

/* However many transactions others offer and never send, there is room for one's own. */
static void test_offers_by_peer(void **state)
{
	enum { GREEDY = 10 };
	static struct ear ears[GREEDY];
	struct node *wants = add_node(), *good = add_node();
	uint8_t wtxid[32];

	(void)state;
	for (size_t i = 0; i < GREEDY; i++) {
		ears[i] = (struct ear){ .fd = connect_mute(wants) };
		WAIT_FOR(peers_of(wants) == i + 1);
		offer_txs(ears[i].fd, (uint8_t)i, NULL, 2 * RELAY_TX_REQUESTS_MAX);
		WAIT_FOR(heard(&ears[i], MESSAGE_GETDATA) == 1);
	}
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(good) == 1);
	fake_chain_spend(good->chain, 1, wtxid);
	WAIT_FOR(chain_mempool_find_wtxid(wants->chain, wtxid));
	for (size_t i = 0; i < GREEDY; i++)
		close(ears[i].fd);
}

static bool is_closed(int fd)
{
	uint8_t bytes[1024];
	ssize_t count;

	while ((count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		;
	return count == 0 || errno == ECONNRESET;
}

/* All connections of an address go with one that lied, whether it waited for the verdict or not, and none is taken
 * again. Others stay, and this machine's own address is spared. */
static void test_address_is_blamed(void **state)
{
	static const char *const address[] = { "127.0.0.2", "127.0.0.3" };
	struct chain *elsewhere = fake_chain_new();

	(void)state;
	for (size_t leaves = 0; leaves < 2; leaves++) {
		struct node *victim = add_node();
		const struct index_entry *lie = fake_chain_mine(elsewhere, chain_genesis(elsewhere), 1, (uint8_t)leaves,
			FAKE_OWN_PROOF_FALSE);
		int liar = connect_from(victim, address[leaves]), other = connect_from(victim, address[leaves]);
		int honest = connect_from(victim, address[!leaves]), own = connect_mute(victim), again;

		WAIT_FOR(peers_of(victim) == 4);
		victim->judges = false;
		fake_chain_keep(victim->chain);
		send_block(liar, &lie->header);
		WAIT_FOR(chain_find(victim->chain, lie->id) && chain_find(victim->chain, lie->id)->held);
		if (leaves) {
			close(liar);
			close(other);
			WAIT_FOR(peers_of(victim) == 2);
		}
		victim->judges = true;
		WAIT_FOR(chain_find(victim->chain, lie->id)->status == ENTRY_INVALID);
		WAIT_FOR(peers_of(victim) == 2);
		WAIT_FOR(leaves || (is_closed(liar) && is_closed(other)));
		again = connect_socket(victim, address[leaves]);
		WAIT_FOR(is_closed(again));
		assert_false(is_closed(honest));
		assert_false(is_closed(own));
		if (!leaves) {
			close(liar);
			close(other);
		}
		close(again);
		close(honest);
		close(own);
	}
	fake_chain_free(elsewhere);
}

/* The same over a loose proof; the machine's own address loses one connection, and no more. */
static void test_own_address_is_spared(void **state)
{
	struct chain *elsewhere = fake_chain_new();
	struct header lie = fake_chain_prove(elsewhere, 1, FAKE_OWN_PROOF_FALSE);
	struct node *victim = add_node();
	int liar = connect_from(victim, "127.0.0.2"), own_liar = connect_mute(victim), own = connect_mute(victim);
	struct buf payload;

	(void)state;
	WAIT_FOR(peers_of(victim) == 3);
	buf_init(&payload);
	message_write_proof(&payload, &lie);
	say(own_liar, MESSAGE_PROOF, &payload);
	WAIT_FOR(peers_of(victim) == 2);
	lie = fake_chain_prove(elsewhere, 2, FAKE_OWN_PROOF_FALSE);
	message_write_proof(&payload, &lie);
	say(liar, MESSAGE_PROOF, &payload);
	shutdown(liar, SHUT_WR); /* close would take back what was not read yet */
	WAIT_FOR(peers_of(victim) == 1);
	close(liar);
	turn_a_while();
	liar = connect_socket(victim, "127.0.0.2");
	WAIT_FOR(is_closed(liar));
	assert_false(is_closed(own));
	close(liar);
	close(own_liar);
	close(own);
	fake_chain_free(elsewhere);
}

/* What came from somebody who left before it was looked at comes from somebody else. */
static void test_departed_blocks(void **state)
{
	struct node *victim = add_node(), *honest = add_node();
	const struct index_entry *tip = fake_chain_mine(honest->chain, NULL, 1, 1, FAKE_GOOD);
	int fd = connect_from(victim, "127.0.0.2");

	(void)state;
	WAIT_FOR(peers_of(victim) == 1);
	victim->judges = false;
	send_block(fd, &tip->header);
	WAIT_FOR(chain_find(victim->chain, tip->id) && chain_find(victim->chain, tip->id)->held);
	close(fd);
	WAIT_FOR(!chain_find(victim->chain, tip->id)->held);
	connect_nodes(victim, honest);
	victim->judges = true;
	WAIT_FOR(same_tip(victim, honest));
}

/* Blocks are asked for as far as there is room for them, and the next one in any case. */
static void test_room(void **state)
{
	struct node *victim = add_node(), *honest = add_node();
	struct chain *elsewhere = fake_chain_new();
	const struct index_entry *tip = fake_chain_mine(elsewhere, NULL, 10, 1, FAKE_GOOD);
	struct message_limits limits;
	int fd = connect_mute(victim);

	(void)state;
	message_limits_init(&limits, fake_spec());
	fake_chain_room(victim->chain, 3 * limits.size[MESSAGE_BLOCK]);
	WAIT_FOR(peers_of(victim) == 1);
	announce_blocks(fd, tip);
	WAIT_FOR(chain_find(victim->chain, tip->id));
	turn_a_while();
	assert_int_equal(blocks_asked(victim), 3);
	close(fd);
	WAIT_FOR(peers_of(victim) == 0);
	fake_chain_room(victim->chain, 1);
	fake_chain_mine(honest->chain, NULL, 30, 2, FAKE_GOOD);
	connect_nodes(victim, honest);
	WAIT_FOR(same_tip(victim, honest));
	fake_chain_free(elsewhere);
}

/* Who sends all blocks of his branch but the first loses his place: they would wait for it for ever. */
static void test_withholder(void **state)
{
	struct node *victim = add_node();
	struct chain *elsewhere = fake_chain_new();
	const struct index_entry *tip = fake_chain_mine(elsewhere, NULL, 40, 1, FAKE_GOOD);
	int fd;

	(void)state;
	clock_set_mono(START_MS);
	fd = connect_from(victim, "127.0.0.2");
	announce_blocks(fd, tip);
	WAIT_FOR(chain_find(victim->chain, tip->id));
	turn_a_while();
	for (uint32_t height = 2; height < 40 && peers_of(victim) == 1; height++) {
		send_block(fd, &chain_ancestor(tip, height)->header);
		WAIT_FOR(peers_of(victim) == 0 || chain_find(victim->chain, chain_ancestor(tip, height)->id)->held);
		clock_set_mono(clock_mono_ms() + SILENCE_MS - 1);
		turn();
		turn();
	}
	WAIT_FOR(peers_of(victim) == 0);
	assert_int_equal(chain_tip(victim->chain)->height, 0);
	/* Nothing of it stays, and nothing is held against the address. */
	assert_false(chain_ancestor(chain_find(victim->chain, tip->id), 2)->held);
	close(fd);
	fd = connect_from(victim, "127.0.0.2");
	WAIT_FOR(peers_of(victim) == 1);
	close(fd);
	fake_chain_free(elsewhere);
}

/* Who sends one after the other withholds nothing, however slow his line. */
static void test_slow_in_order(void **state)
{
	struct node *victim = add_node();
	struct chain *elsewhere = fake_chain_new();
	const struct index_entry *tip = fake_chain_mine(elsewhere, NULL, SYNC_BLOCKS_MAX, 1, FAKE_GOOD);
	int fd;

	(void)state;
	clock_set_mono(START_MS);
	fd = connect_mute(victim);
	announce_blocks(fd, tip);
	WAIT_FOR(chain_find(victim->chain, tip->id));
	turn_a_while();
	for (uint32_t height = 1; height <= tip->height; height++) {
		pass_time(20000);
		turn_a_while();
		send_block(fd, &chain_ancestor(tip, height)->header);
		WAIT_FOR(chain_tip(victim->chain)->height == height);
	}
	assert_int_equal(peers_of(victim), 1);
	close(fd);
	fake_chain_free(elsewhere);
}

static uint64_t bytes_sent(const struct node *node)
{
	struct net_counts counts;

	net_counts(node->net, &counts);
	return counts.bytes_sent;
}

static size_t drain_socket(int fd)
{
	static uint8_t bytes[1 << 16];
	size_t total = 0;
	ssize_t count;

	while ((count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		total += (size_t)count;
	return total;
}

/* Who asks for much and reads nothing does not fill our memory, and gets all of it in the end. */
static void test_slow_reader(void **state)
{
	enum { BLOBS = 40, BLOB_SIZE = 1 << 20 };
	struct node *node = add_node();
	struct inventory_item items[BLOBS];
	char *text = calloc(BLOB_SIZE + 1, 1);
	struct buf payload;
	size_t got = 0;
	int fd = connect_mute(node);

	(void)state;
	memset(text, 'x', BLOB_SIZE);
	for (size_t i = 0; i < BLOBS; i++) {
		items[i] = (struct inventory_item){ INVENTORY_BLOB, { (uint8_t)(i + 1) } };
		fake_chain_hold_blob(node->chain, items[i].id, text);
	}
	buf_init(&payload);
	message_write_inventory(&payload, items, BLOBS);
	say(fd, MESSAGE_GETDATA, &payload);
	WAIT_FOR(bytes_sent(node) > BLOB_SIZE);
	turn_a_while();
	assert_true(bytes_sent(node) < BLOBS / 2 * (uint64_t)BLOB_SIZE);
	WAIT_FOR((got += drain_socket(fd)) > BLOBS * (size_t)(BLOB_SIZE + 32 + MESSAGE_HEADER_SIZE));
	close(fd);
	free(text);
}

static void test_no_handshake(void **state)
{
	const struct net_options hasty = {
		.listen = true,
		.bind = "127.0.0.1",
		.max_peers = 9,
		.handshake_timeout = 200,
		.agent = "/test/",
	};
	struct node *a = add_node_with(&hasty);
	int fd = connect_socket(a, "127.0.0.1");
	char byte;

	(void)state;
	WAIT_FOR(recv(fd, &byte, 1, MSG_DONTWAIT) == 0); /* closed by the node */
	close(fd);
}

static void count_nodes(void *context, const char *name, uint64_t peer)
{
	(void)name;
	(void)peer;
	++*(size_t *)context;
}

static void find_ready(void *context, const struct net_peer_info *info)
{
	if (info->ready && !info->inbound)
		*(uint64_t *)context = info->id;
}

static void test_operator(void **state)
{
	struct node *a = add_node(), *b = add_node();
	char name[32];
	size_t count = 0;
	uint64_t first = 0, second = 0;

	(void)state;
	snprintf(name, sizeof name, "127.0.0.1:%u", net_port(b->net));
	assert_int_equal(net_add_node(a->net, name), NET_NODE_OK);
	assert_int_equal(net_add_node(a->net, name), NET_NODE_KNOWN);
	assert_int_equal(net_add_node(a->net, "host:0"), NET_NODE_MALFORMED);
	net_each_node(a->net, count_nodes, &count);
	assert_int_equal(count, 1);
	WAIT_FOR(peers_of(a) == 1 && peers_of(b) == 1);
	net_each_peer(a->net, find_ready, &first);
	assert_true(net_disconnect(a->net, first));
	assert_false(net_disconnect(a->net, first));
	WAIT_FOR(peers_of(a) == 0);
	WAIT_FOR(peers_of(a) == 1); /* made again */
	net_each_peer(a->net, find_ready, &second);
	assert_true(second > first);
	net_set_active(a->net, false);
	WAIT_FOR(peers_of(b) == 0);
	turn_a_while();
	assert_int_equal(peers_of(b), 0);
	net_set_active(a->net, true);
	WAIT_FOR(peers_of(b) == 1);
	assert_int_equal(net_ban(b->net, "127.0.0.0/8", clock_wall() + 1000), NET_NODE_OK);
	assert_int_equal(net_ban(b->net, "127.0.0.0/8", clock_wall() + 2000), NET_NODE_KNOWN);
	assert_int_equal(net_ban(b->net, "127.0.0.1", clock_wall() + 2000), NET_NODE_KNOWN);
	assert_int_equal(net_ban(b->net, "127.0.0.1/x", clock_wall() + 2000), NET_NODE_MALFORMED);
	WAIT_FOR(peers_of(a) == 0);
	assert_int_equal(net_remove_node(a->net, name), NET_NODE_OK);
	assert_int_equal(net_remove_node(a->net, name), NET_NODE_UNKNOWN);
	assert_int_equal(net_onetry(a->net, name), NET_NODE_OK);
	turn_a_while();
	assert_int_equal(peers_of(b), 0);
	assert_int_equal(net_unban(b->net, "127.0.0.1"), NET_NODE_UNKNOWN);
	assert_int_equal(net_unban(b->net, "127.0.0.0/8"), NET_NODE_OK);
	assert_int_equal(net_onetry(a->net, name), NET_NODE_OK);
	WAIT_FOR(peers_of(a) == 1 && peers_of(b) == 1);
}

/* A name with several addresses: the first may be one where nobody listens. */
static void test_name(void **state)
{
	struct node *a = add_node(), *b = add_node();
	char name[32];

	(void)state;
	snprintf(name, sizeof name, "localhost:%u", net_port(b->net));
	assert_int_equal(net_add_node(a->net, name), NET_NODE_OK);
	WAIT_FOR(peers_of(a) == 1 && peers_of(b) == 1);
	assert_int_equal(net_add_node(a->net, "no-such-host.invalid"), NET_NODE_OK);
	turn_a_while();
	assert_int_equal(net_remove_node(a->net, "no-such-host.invalid"),
		NET_NODE_OK); /* perhaps while it is resolved */
	turn_a_while();
	assert_int_equal(peers_of(a), 1);
}

static void test_full(void **state)
{
	const struct net_options small = { .listen = true, .bind = "127.0.0.1", .max_peers = 1, .agent = "/test/" };
	struct node *host = add_node_with(&small), *first = add_node(), *second = add_node();

	(void)state;
	connect_nodes(first, host);
	WAIT_FOR(peers_of(host) == 1);
	connect_nodes(second, host);
	turn_a_while();
	assert_int_equal(peers_of(second), 0);
	assert_int_equal(peers_of(first), 1);
}

/* A bound on what may be open holds for both directions; one on an address only for those who come. */
static void test_places(void **state)
{
	const struct net_options few = {
		.listen = true,
		.bind = "127.0.0.1",
		.max_peers = 9,
		.max_open = 2,
		.max_per_address = 1,
		.agent = "/test/",
	};
	struct node *host = add_node_with(&few), *first = add_node(), *second = add_node(), *third = add_node();

	(void)state;
	connect_nodes(first, host);
	WAIT_FOR(peers_of(host) == 1);
	connect_nodes(second, host);
	turn_a_while();
	assert_int_equal(peers_of(second), 0);
	connect_nodes(host, third);
	WAIT_FOR(peers_of(third) == 1);
	connect_nodes(host, second);
	turn_a_while();
	assert_int_equal(peers_of(second), 0);
}

static void test_options(void **state)
{
	const struct net_options bad_bind = { .listen = true, .bind = "localhost", .agent = "/test/" };
	const char *names[] = { "[::1" };
	const struct net_options bad_name = { .connect = names, .connect_count = 1, .agent = "/test/" };
	struct chain *chain = fake_chain_new();
	struct errmsg err = { "" };

	(void)state;
	assert_null(net_open(base, chain, &bad_bind, &err));
	assert_non_null(strstr(err.text, "localhost"));
	assert_null(net_open(base, chain, &bad_name, &err));
	assert_non_null(strstr(err.text, "[::1"));
	fake_chain_free(chain);
}

int main(void)
{
#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		NET_TEST(test_sync_and_follow),
		NET_TEST(test_headers_are_bounded),
		NET_TEST(test_reorganisation),
		NET_TEST(test_deep_reorganisation),
		NET_TEST(test_headers_full),
		NET_TEST(test_false_block),
		NET_TEST(test_false_loose_inside),
		NET_TEST(test_blocks_from_elsewhere),
		NET_TEST(test_proofs),
		NET_TEST(test_proof_given_up),
		NET_TEST(test_transactions),
		NET_TEST(test_blobs),
		NET_TEST(test_self),
		NET_TEST(test_mute_peer),
		NET_TEST(test_mute_alone),
		NET_TEST(test_mute_about_blob),
		NET_TEST(test_silent_peer),
		NET_TEST(test_silent_peers),
		NET_TEST(test_slow_peer),
		NET_TEST(test_silent_about_blob),
		NET_TEST(test_blob_for_another),
		NET_TEST(test_silent_about_txs),
		NET_TEST(test_offers_by_peer),
		NET_TEST(test_address_is_blamed),
		NET_TEST(test_own_address_is_spared),
		NET_TEST(test_departed_blocks),
		NET_TEST(test_room),
		NET_TEST(test_withholder),
		NET_TEST(test_slow_in_order),
		NET_TEST(test_slow_reader),
		NET_TEST(test_no_handshake),
		NET_TEST(test_operator),
		NET_TEST(test_name),
		NET_TEST(test_full),
		NET_TEST(test_places),
		NET_TEST(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
