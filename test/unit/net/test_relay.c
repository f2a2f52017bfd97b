/* Loose proofs and transactions among several nodes: passed on, asked for, and asked of others in time. */
#include "net/fake_net.h"
#include "net/relay_tx.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(test_proofs),
		NET_TEST(test_proof_given_up),
		NET_TEST(test_transactions),
		NET_TEST(test_silent_about_txs),
		NET_TEST(test_offers_by_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
