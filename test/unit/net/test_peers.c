/* Connections: handshake, places, blame by address, slow readers, what the operator does. */
#include "net/fake_net.h"

static void test_self(void **state)
{
	struct node *a = add_node();

	(void)state;
	connect_nodes(a, a);
	turn_a_while();
	assert_int_equal(peers_of(a), 0);
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
	char *text = calloc(BLOB_SIZE + 1, 1);
	struct buf payload;
	size_t got = 0;
	int fd = connect_mute(node);

	(void)state;
	memset(text, 'x', BLOB_SIZE);
	buf_init(&payload);
	for (size_t i = 0; i < BLOBS; i++) {
		const struct message_part asked = { .root = { (uint8_t)(i + 1) }, .size = BLOB_SIZE };

		fake_chain_hold_blob(node->chain, asked.root, text);
		message_write_getpart(&payload, &asked);
		say(fd, MESSAGE_GETPART, &payload);
	}
	WAIT_FOR(bytes_sent(node) > BLOB_SIZE);
	turn_a_while();
	assert_true(bytes_sent(node) < BLOBS / 2 * (uint64_t)BLOB_SIZE);
	WAIT_FOR((got += drain_socket(fd)) > BLOBS * (size_t)(BLOB_SIZE + 40 + MESSAGE_HEADER_SIZE));
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
	const struct CMUnitTest tests[] = {
		NET_TEST(test_self),
		NET_TEST(test_address_is_blamed),
		NET_TEST(test_own_address_is_spared),
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
