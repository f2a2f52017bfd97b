/* Headers and blocks among several nodes: sync, reorganisation, false blocks, and what becomes of who sends none. */
#include "net/fake_net.h"
#include "net/sync_blocks.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(test_sync_and_follow),
		NET_TEST(test_headers_are_bounded),
		NET_TEST(test_reorganisation),
		NET_TEST(test_deep_reorganisation),
		NET_TEST(test_headers_full),
		NET_TEST(test_false_block),
		NET_TEST(test_false_loose_inside),
		NET_TEST(test_blocks_from_elsewhere),
		NET_TEST(test_mute_peer),
		NET_TEST(test_mute_alone),
		NET_TEST(test_silent_peer),
		NET_TEST(test_silent_peers),
		NET_TEST(test_slow_peer),
		NET_TEST(test_departed_blocks),
		NET_TEST(test_room),
		NET_TEST(test_withholder),
		NET_TEST(test_slow_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
