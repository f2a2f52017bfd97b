/* Blobs among several nodes: whole in parts, from whom the chain was told of, from others where he does not send. */
#include <stdlib.h>

#include "net/fake_net.h"

enum { LONG_SIZE = 2 * MESSAGE_PART_SIZE + 5 };

static void hold_long(struct node *node, const uint8_t root[32], char letter)
{
	char *text = calloc(LONG_SIZE + 1, 1);

	memset(text, letter, LONG_SIZE);
	fake_chain_hold_blob(node->chain, root, text);
	free(text);
}

static char first_letter(struct node *node, const uint8_t root[32])
{
	struct buf piece;
	char letter;

	buf_init(&piece);
	assert_int_equal(chain_blob_size(node->chain, root), LONG_SIZE);
	assert_true(chain_read_piece(node->chain, root, 0, 1, &piece, NULL));
	letter = (char)piece.data[0];
	buf_clear(&piece);
	return letter;
}

/* A message with a part of `text` again and again. */
static struct buf frame_part(const uint8_t root[32], uint32_t size, uint32_t offset, const char *text)
{
	struct message_part part = { .size = size, .offset = offset, .count = message_part_count(size, offset) };
	char *bytes = calloc(MESSAGE_PART_SIZE, 1);
	struct buf payload, framed;

	for (size_t i = 0; i < part.count; i++)
		bytes[i] = text[i % strlen(text)];
	memcpy(part.root, root, 32);
	part.bytes = (const uint8_t *)bytes;
	buf_init(&payload);
	buf_init(&framed);
	message_write_part(&payload, &part);
	message_header_write(buf_extend(&framed, MESSAGE_HEADER_SIZE), fake_spec()->magic, MESSAGE_PART, payload.data,
		payload.size);
	buf_put(&framed, payload.data, payload.size);
	buf_clear(&payload);
	free(bytes);
	return framed;
}

/* As the node reads it. */
static void say_bytes(int fd, const uint8_t *bytes, size_t size)
{
	size_t said = 0;

	for (double end = seconds() + PATIENCE_SECONDS; said < size && seconds() < end; turn()) {
		const ssize_t more = send(fd, bytes + said, size - said, MSG_DONTWAIT | MSG_NOSIGNAL);

		said += more > 0 ? (size_t)more : 0;
	}
	assert_int_equal(said, size);
}

static void say_part(int fd, const uint8_t root[32], uint32_t size, uint32_t offset, const char *text)
{
	struct buf framed = frame_part(root, size, offset, text);

	say_bytes(fd, framed.data, framed.size);
	buf_clear(&framed);
}

static void test_blobs(void **state)
{
	struct node *source = add_node(), *other = add_node(), *wants = add_node();
	uint8_t first[32] = { 1 }, second[32] = { 2 }, bad[32] = { 3 };

	(void)state;
	fake_chain_hold_blob(source->chain, first, "first");
	fake_chain_hold_blob(other->chain, second, "second");
	fake_chain_hold_blob(other->chain, bad, "false");
	connect_nodes(wants, source);
	WAIT_FOR(peers_of(wants) == 1 && peers_of(source) == 1);
	connect_nodes(wants, other);
	WAIT_FOR(peers_of(wants) == 2 && peers_of(other) == 1);
	fake_chain_want_blob(wants->chain, first, 5, 1);
	fake_chain_want_blob(wants->chain, second, 6, 1); /* peer 1 has not got it, then peer 2 is asked */
	WAIT_FOR(chain_has_blob(wants->chain, first) && chain_has_blob(wants->chain, second));
	fake_chain_want_blob(wants->chain, bad, 5, 1);
	WAIT_FOR(peers_of(other) == 0); /* sent something that is not it */
	assert_int_equal(peers_of(source), 1);
}

/* Who prunes is asked behind who has all, and for what nobody else has. */
static void test_pruned(void **state)
{
	struct node *pruned = add_node(), *full = add_node(), *wants = add_node();
	uint8_t common[32] = { 1 }, rare[32] = { 2 };

	(void)state;
	fake_chain_prune(pruned->chain);
	fake_chain_hold_blob(pruned->chain, common, "false"); /* would end the connection */
	fake_chain_hold_blob(pruned->chain, rare, "rare");
	fake_chain_hold_blob(full->chain, common, "common");
	connect_nodes(wants, pruned);
	WAIT_FOR(peers_of(wants) == 1 && peers_of(pruned) == 1);
	connect_nodes(wants, full);
	WAIT_FOR(peers_of(wants) == 2 && peers_of(full) == 1);
	fake_chain_want_blob(wants->chain, common, 6, 0);
	fake_chain_want_blob(wants->chain, rare, 4, 0);
	WAIT_FOR(chain_has_blob(wants->chain, common) && chain_has_blob(wants->chain, rare));
	assert_int_equal(peers_of(pruned), 1);
}

/* The chain is told of each request that went out, and of those that ended without the bytes: he has not got them, or
 * leaves. */
static void test_blob_requests_told(void **state)
{
	struct node *wants = add_node(), *good = add_node();
	size_t asked_count, failed_count;
	uint8_t root[32] = { 1 };
	int fd = connect_mute(wants);

	(void)state;
	WAIT_FOR(peers_of(wants) == 1);
	fake_chain_want_blob(wants->chain, root, 5, 1);
	turn_a_while();
	fake_chain_blob_requests(wants->chain, &asked_count, &failed_count);
	assert_int_equal(asked_count, 1);
	assert_int_equal(failed_count, 0);
	close(fd);
	WAIT_FOR(peers_of(wants) == 0);
	turn_a_while();
	fake_chain_blob_requests(wants->chain, &asked_count, &failed_count);
	assert_int_equal(asked_count, 1);
	assert_int_equal(failed_count, 1);
	connect_nodes(wants, good);
	WAIT_FOR((fake_chain_blob_requests(wants->chain, &asked_count, &failed_count), failed_count == 2));
	assert_int_equal(asked_count, 2);
	fake_chain_hold_blob(good->chain, root, "bytes");
	WAIT_FOR(chain_has_blob(wants->chain, root));
	turn_a_while();
	fake_chain_blob_requests(wants->chain, &asked_count, &failed_count);
	assert_int_equal(asked_count, failed_count + 1);
}

/* Whose turn it is is asked alone, at once, and until the chain gives another's: that he is gone is told, too. */
static void test_turns(void **state)
{
	static struct ear silent;
	struct node *wants = add_node(), *good = add_node();
	size_t asked_count, failed_count;
	uint8_t roots[4][32] = { { 1 }, { 2 }, { 3 }, { 4 } };

	(void)state;
	clock_set_mono(START_MS);
	silent = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 2);
	fake_chain_hold_blob(good->chain, roots[0], "bytes");
	for (int i = 0; i < 4; i++)
		fake_chain_give_turn(wants->chain, roots[i], 5, 1);
	WAIT_FOR(heard(&silent, MESSAGE_GETPART) == 4);
	pass_time(SILENCE_MS + 1);
	turn_a_while();
	fake_chain_blob_requests(wants->chain, &asked_count, &failed_count);
	assert_int_equal(asked_count, 4);
	assert_int_equal(failed_count, 0);
	assert_false(chain_has_blob(wants->chain, roots[0]));
	fake_chain_give_turn(wants->chain, roots[0], 5, 2);
	WAIT_FOR(chain_has_blob(wants->chain, roots[0]));
	fake_chain_give_turn(wants->chain, roots[1], 5, 2); /* has it not */
	WAIT_FOR((fake_chain_blob_requests(wants->chain, &asked_count, &failed_count), failed_count == 1));
	fake_chain_give_turn(wants->chain, (const uint8_t[32]){ 5 }, 5, 99); /* was never there */
	WAIT_FOR((fake_chain_blob_requests(wants->chain, &asked_count, &failed_count), failed_count == 2));
	assert_int_equal(asked_count, 6);
	pass_time(5000); /* nothing has begun to come */
	WAIT_FOR((fake_chain_blob_requests(wants->chain, &asked_count, &failed_count), failed_count == 5));
	turn_a_while();
	fake_chain_blob_requests(wants->chain, &asked_count, &failed_count);
	assert_int_equal(failed_count, 5);
	assert_int_equal(asked_count, 6);
	close(silent.fd);
}

/* A blob whose transaction has been given up before anybody could be asked is forgotten. */
static void test_unwanted_blob(void **state)
{
	struct node *wants = add_node(), *source = add_node();
	uint8_t unwanted[32] = { 1 }, wanted[32] = { 2 };

	(void)state;
	fake_chain_hold_blob(source->chain, unwanted, "unwanted");
	fake_chain_hold_blob(source->chain, wanted, "wanted");
	connect_nodes(wants, source);
	WAIT_FOR(peers_of(wants) == 1 && peers_of(source) == 1);
	fake_chain_want_nothing(wants->chain, true);
	fake_chain_want_blob(wants->chain, unwanted, 8, 1);
	turn_a_while();
	fake_chain_want_nothing(wants->chain, false);
	fake_chain_want_blob(wants->chain, wanted, 6, 1);
	WAIT_FOR(chain_has_blob(wants->chain, wanted));
	turn_a_while();
	assert_false(chain_has_blob(wants->chain, unwanted));
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
	fake_chain_want_blob(wants->chain, root, 5, 1);
	fake_chain_hold_blob(other->chain, root, "bytes");
	WAIT_FOR(chain_has_blob(wants->chain, root));
	assert_int_equal(peers_of(wants), 2);
	close(fd);
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
	fake_chain_want_blob(wants->chain, first, 5, 3);
	WAIT_FOR(chain_has_blob(wants->chain, first));
	fake_chain_hold_blob(good->chain, second, "second");
	fake_chain_want_blob(wants->chain, second, 6, 1);
	WAIT_FOR(heard(&source, MESSAGE_GETPART) == 1);
	pass_time(SILENCE_MS - 1);
	turn_a_while();
	assert_false(chain_has_blob(wants->chain, second));
	pass_time(1);
	WAIT_FOR(chain_has_blob(wants->chain, second));
	assert_int_equal(heard(&silent, MESSAGE_GETPART), 0);
	assert_int_equal(peers_of(wants), 3);
	close(source.fd);
	close(silent.fd);
}

enum { TRICKLE = 3 << 16 /* bytes, of which so many a second are no silence */ };

/* A source that always sends a little is not waited for: the next is asked when it is too slow for a part, and whoever
 * is done first has sent the blob. */
static void test_slow_about_blob(void **state)
{
	static struct ear slow, slower;
	struct node *wants = add_node(), *good;
	uint8_t root[32] = { 1 };
	struct buf framed = frame_part(root, LONG_SIZE, 0, "x");

	(void)state;
	clock_set_mono(START_MS);
	slow = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	slower = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 2);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&slow, MESSAGE_GETPART) == 2);
	say_bytes(slow.fd, framed.data, TRICKLE);
	turn_a_while();
	pass_time(SILENCE_MS - 1);
	say_bytes(slow.fd, framed.data + TRICKLE, TRICKLE);
	turn_a_while();
	assert_int_equal(heard(&slower, MESSAGE_GETPART), 0);
	pass_time(SILENCE_MS - 1);
	say_bytes(slow.fd, framed.data + (size_t)2 * TRICKLE, TRICKLE);
	pass_time(SILENCE_MS - 1);
	WAIT_FOR(heard(&slower, MESSAGE_GETPART) == 2);
	/* Of the two the first is further, and the other silent: it gives its place to the next. */
	good = add_node();
	hold_long(good, root, 'g');
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 3);
	say_bytes(slow.fd, framed.data + (size_t)3 * TRICKLE, framed.size - (size_t)3 * TRICKLE);
	WAIT_FOR(heard(&slow, MESSAGE_GETPART) == 3);
	pass_time(2 * SILENCE_MS);
	WAIT_FOR(chain_has_blob(wants->chain, root));
	assert_int_equal(first_letter(wants, root), 'g');
	assert_int_equal(peers_of(wants), 3);
	buf_clear(&framed);
	close(slow.fd);
	close(slower.fd);
}

/* Where all are slow the better one of two goes on alone. */
static void test_all_slow(void **state)
{
	static struct ear better, worse;
	struct node *wants = add_node();
	size_t asked_count, failed_count;
	uint8_t root[32] = { 1 };
	struct buf framed = frame_part(root, LONG_SIZE, 0, "x"),
		   next_framed = frame_part(root, LONG_SIZE, MESSAGE_PART_SIZE, "x");

	(void)state;
	clock_set_mono(START_MS);
	better = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	worse = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 2);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&better, MESSAGE_GETPART) == 2);
	pass_time(SILENCE_MS);
	WAIT_FOR(heard(&worse, MESSAGE_GETPART) == 2);
	say_bytes(better.fd, framed.data, framed.size);
	WAIT_FOR(heard(&better, MESSAGE_GETPART) == 3);
	for (int i = 0; i < 4; i++) {
		say_bytes(worse.fd, framed.data + (size_t)i * TRICKLE, TRICKLE);
		say_bytes(better.fd, next_framed.data + (size_t)i * TRICKLE, TRICKLE);
		turn_a_while();
		pass_time(SILENCE_MS - 1);
	}
	WAIT_FOR((fake_chain_blob_requests(wants->chain, &asked_count, &failed_count), failed_count == 1));
	say_bytes(better.fd, next_framed.data + (size_t)4 * TRICKLE, next_framed.size - (size_t)4 * TRICKLE);
	say_part(better.fd, root, LONG_SIZE, 2 * MESSAGE_PART_SIZE, "x");
	WAIT_FOR(chain_has_blob(wants->chain, root));
	buf_clear(&framed);
	buf_clear(&next_framed);
	close(better.fd);
	close(worse.fd);
}

/* Whoever sends a part of his turns' blobs now and then does not keep from others the room that all requests share. */
static void test_room(void **state)
{
	static struct ear ear;
	struct node *wants = add_node(), *good = add_node();
	uint8_t roots[3][32] = { { 1 }, { 2 }, { 3 } };
	const uint32_t half = UINT32_C(1) << 30, rest = half - LONG_SIZE + 1;
	size_t asked_count, failed_count;

	(void)state;
	clock_set_mono(START_MS);
	ear = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	hold_long(good, roots[2], 'g');
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 2);
	fake_chain_give_turn(wants->chain, roots[0], half, 1);
	fake_chain_give_turn(wants->chain, roots[1], rest, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 4);
	say_part(ear.fd, roots[0], half, 0, "x");
	WAIT_FOR(fake_chain_came(wants->chain) == MESSAGE_PART_SIZE);
	say_part(ear.fd, roots[1], rest, 0, "x");
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 6);
	say_part(ear.fd, roots[1], rest, MESSAGE_PART_SIZE, "x");
	WAIT_FOR(fake_chain_came(wants->chain) == 2 * MESSAGE_PART_SIZE);
	fake_chain_want_blob(wants->chain, roots[2], LONG_SIZE, 2);
	turn_a_while();
	assert_false(chain_has_blob(wants->chain, roots[2]));
	pass_time(4 * SILENCE_MS);
	WAIT_FOR(chain_has_blob(wants->chain, roots[2]));
	/* One was enough. */
	fake_chain_blob_requests(wants->chain, &asked_count, &failed_count);
	assert_int_equal(failed_count, 1);
	assert_int_equal(fake_chain_drafts(wants->chain), 1);
	close(ear.fd);
}

/* Bytes of several parts; a node that has to look at them first sends them when it has. */
static void test_many_parts(void **state)
{
	struct node *source = add_node(), *wants = add_node();
	uint8_t root[32] = { 1 };

	(void)state;
	hold_long(source, root, 'x');
	fake_chain_unready(source->chain, true);
	connect_nodes(wants, source);
	WAIT_FOR(peers_of(wants) == 1 && peers_of(source) == 1);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	turn_a_while();
	assert_int_equal(fake_chain_drafts(wants->chain), 0);
	fake_chain_unready(source->chain, false);
	WAIT_FOR(chain_has_blob(wants->chain, root));
	assert_int_equal(first_letter(wants, root), 'x');
	WAIT_FOR(fake_chain_drafts(wants->chain) == 0);
}

/* Two parts are asked for, and the third when the first is here. Whoever leaves then has sent them for nothing. */
static void test_stops_in_the_middle(void **state)
{
	static struct ear ear;
	struct node *wants = add_node(), *good = add_node();
	uint8_t root[32] = { 1 };

	(void)state;
	ear = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	hold_long(good, root, 'g');
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 2);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 2);
	turn_a_while();
	assert_int_equal(heard(&ear, MESSAGE_GETPART), 2);
	say_part(ear.fd, root, LONG_SIZE, 0, "x");
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 3);
	say_part(ear.fd, root, LONG_SIZE, MESSAGE_PART_SIZE, "x");
	WAIT_FOR(fake_chain_drafts(wants->chain) == 1);
	assert_false(chain_has_blob(wants->chain, root));
	close(ear.fd);
	WAIT_FOR(chain_has_blob(wants->chain, root));
	assert_int_equal(first_letter(wants, root), 'g');
	WAIT_FOR(fake_chain_drafts(wants->chain) == 0);
}

/* The same where he stays and is silent; what comes from him later is late. */
static void test_silent_in_the_middle(void **state)
{
	static struct ear ear;
	struct node *wants = add_node(), *good = add_node();
	uint8_t root[32] = { 1 };

	(void)state;
	clock_set_mono(START_MS);
	ear = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	hold_long(good, root, 'g');
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 2);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 2);
	say_part(ear.fd, root, LONG_SIZE, 0, "x");
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 3);
	pass_time(SILENCE_MS);
	WAIT_FOR(chain_has_blob(wants->chain, root));
	assert_int_equal(first_letter(wants, root), 'g');
	say_part(ear.fd, root, LONG_SIZE, MESSAGE_PART_SIZE, "x");
	turn_a_while();
	assert_int_equal(peers_of(wants), 2);
	assert_int_equal(fake_chain_drafts(wants->chain), 0);
	close(ear.fd);
}

/* A part that is not the next one counts for nothing, however often it comes; parts beyond those asked for are not even
 * looked at. */
static void test_other_parts(void **state)
{
	static struct ear ear;
	struct node *wants = add_node();
	uint8_t root[32] = { 1 }, other[32] = { 9 };
	struct buf payload;

	(void)state;
	clock_set_mono(START_MS);
	ear = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 2);
	say_part(ear.fd, root, LONG_SIZE, MESSAGE_PART_SIZE, "x");
	say_part(ear.fd, other, LONG_SIZE, 0, "x");
	buf_init(&payload);
	buf_put_text(&payload, "no part");
	say(ear.fd, MESSAGE_PART, &payload);
	say_part(ear.fd, root, LONG_SIZE, 0, "x");
	turn_a_while();
	assert_int_equal(peers_of(wants), 1);
	assert_int_equal(fake_chain_drafts(wants->chain), 0);
	assert_int_equal(heard(&ear, MESSAGE_GETPART), 2);
	close(ear.fd);
}

/* Who sends bytes that are not the root's is to blame for all parts, though he leaves before anybody has looked. */
static void test_false_parts(void **state)
{
	static struct ear ear;
	struct node *wants = add_node(), *good = add_node();
	uint8_t root[32] = { 1 };
	int again;

	(void)state;
	ear = (struct ear){ .fd = connect_from(wants, "127.0.0.2") };
	WAIT_FOR(peers_of(wants) == 1);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 2);
	wants->judges = false;
	for (uint32_t offset = 0; offset < LONG_SIZE; offset += MESSAGE_PART_SIZE)
		say_part(ear.fd, root, LONG_SIZE, offset, "false ");
	turn_a_while();
	assert_int_equal(fake_chain_drafts(wants->chain), 1);
	close(ear.fd);
	WAIT_FOR(peers_of(wants) == 0);
	wants->judges = true;
	WAIT_FOR(fake_chain_drafts(wants->chain) == 0);
	assert_false(chain_has_blob(wants->chain, root));
	again = connect_socket(wants, "127.0.0.2");
	WAIT_FOR(is_closed(again));
	close(again);
	hold_long(good, root, 'g');
	connect_nodes(wants, good);
	WAIT_FOR(chain_has_blob(wants->chain, root));
}

/* Who is seen to send something else by the first part is asked for no more. */
static void test_vain_beginning(void **state)
{
	static struct ear ear;
	struct node *wants = add_node();
	size_t asked_count, failed_count;
	uint8_t root[32] = { 1 };

	(void)state;
	clock_set_mono(START_MS);
	ear = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	fake_chain_give_turn(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 2);
	say_part(ear.fd, root, LONG_SIZE, 0, "vain ");
	WAIT_FOR((fake_chain_blob_requests(wants->chain, &asked_count, &failed_count), failed_count == 1));
	say_part(ear.fd, root, LONG_SIZE, MESSAGE_PART_SIZE, "vain ");
	turn_a_while();
	assert_int_equal(heard(&ear, MESSAGE_GETPART), 2);
	assert_int_equal(fake_chain_drafts(wants->chain), 0);
	assert_int_equal(peers_of(wants), 1);
	close(ear.fd);
}

/* A root that somebody names with another size is another blob: neither is in the other's way. */
static void test_other_size(void **state)
{
	struct node *wants = add_node(), *good = add_node();
	uint8_t root[32] = { 1 };

	(void)state;
	hold_long(good, root, 'g');
	connect_nodes(wants, good);
	WAIT_FOR(peers_of(wants) == 1);
	for (uint32_t more = 1; more <= 3; more++)
		fake_chain_want_blob(wants->chain, root, LONG_SIZE + more, 1);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(chain_has_blob(wants->chain, root));
	assert_int_equal(peers_of(wants), 1);
}

/* What is given up while it comes in is asked for no further. */
static void test_given_up_in_the_middle(void **state)
{
	static struct ear ear;
	struct node *wants = add_node();
	uint8_t root[32] = { 1 };

	(void)state;
	ear = (struct ear){ .fd = connect_mute(wants) };
	WAIT_FOR(peers_of(wants) == 1);
	fake_chain_want_blob(wants->chain, root, LONG_SIZE, 1);
	WAIT_FOR(heard(&ear, MESSAGE_GETPART) == 2);
	fake_chain_want_nothing(wants->chain, true);
	say_part(ear.fd, root, LONG_SIZE, 0, "x");
	say_part(ear.fd, root, LONG_SIZE, MESSAGE_PART_SIZE, "x");
	turn_a_while();
	assert_int_equal(heard(&ear, MESSAGE_GETPART), 2);
	assert_int_equal(fake_chain_drafts(wants->chain), 0);
	assert_int_equal(peers_of(wants), 1);
	close(ear.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(test_blobs),
		NET_TEST(test_pruned),
		NET_TEST(test_blob_requests_told),
		NET_TEST(test_turns),
		NET_TEST(test_unwanted_blob),
		NET_TEST(test_mute_about_blob),
		NET_TEST(test_silent_about_blob),
		NET_TEST(test_slow_about_blob),
		NET_TEST(test_all_slow),
		NET_TEST(test_room),
		NET_TEST(test_many_parts),
		NET_TEST(test_stops_in_the_middle),
		NET_TEST(test_silent_in_the_middle),
		NET_TEST(test_other_parts),
		NET_TEST(test_false_parts),
		NET_TEST(test_vain_beginning),
		NET_TEST(test_other_size),
		NET_TEST(test_given_up_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
