/* A transport over one end of a socket pair: what comes whole is told, what is not taken is thrown away, what is not
 * read is bounded. */
#include <sys/socket.h>

#include "net/wire/transport.h"
#include "unit.h"
#include "util/bytes.h"

enum { TURNS = 200 };

static const struct spec spec = { .block_weight = 4000000, .magic = { 1, 2, 3, 4 } };

static struct side {
	struct event_base *base;
	struct message_limits limits;
	struct transport *transport;
	int other; /* the end that the test writes to and reads from */
	size_t messages, skipped, drained, ended;
	struct buf payloads; /* of all messages, one behind the other */
	char why[128];
	bool closes, opens; /* what the message hook does: closes the transport, accepts transactions */
} side;

static void on_message(void *context, const struct message_header *header, const uint8_t *payload)
{
	struct side *s = context;

	s->messages++;
	buf_put(&s->payloads, payload, header->size);
	if (s->closes)
		transport_close(s->transport);
	if (s->opens)
		transport_accept(s->transport, MESSAGE_TX, true);
}

static void on_skipped(void *context, const struct message_header *header)
{
	(void)header;
	((struct side *)context)->skipped++;
}

static void on_drained(void *context)
{
	((struct side *)context)->drained++;
}

static void on_ended(void *context, const char *why)
{
	struct side *s = context;

	s->ended++;
	snprintf(s->why, sizeof s->why, "%s", why);
}

static const struct transport_hooks hooks = {
	.message = on_message,
	.skipped = on_skipped,
	.drained = on_drained,
	.ended = on_ended,
};

static int set_up(void **state)
{
	const struct transport_setup setup = { .base = event_base_new(),
		.limits = &side.limits,
		.hooks = &hooks,
		.context = &side,
		.write_ms = 60000 };
	int ends[2];

	(void)state;
	if (setup.base == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
		return -1;
	side = (struct side){ .base = setup.base, .other = ends[1] };
	message_limits_init(&side.limits, &spec);
	side.transport = transport_new(&setup, ends[0]);
	transport_accept(side.transport, MESSAGE_PING, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	transport_close(side.transport);
	transport_free(side.transport);
	close(side.other);
	buf_clear(&side.payloads);
	event_base_free(side.base);
	return 0;
}

static void turn(void)
{
	for (size_t i = 0; i < TURNS; i++)
		event_base_loop(side.base, EVLOOP_NONBLOCK);
}

static void put_message(struct buf *out, enum message_kind kind, const void *payload, size_t size)
{
	message_header_write(buf_extend(out, MESSAGE_HEADER_SIZE), spec.magic, kind, payload, size);
	buf_put(out, payload, size);
}

/* Writes what was put together, and lets it come in. */
static void write_all(struct buf *bytes)
{
	assert_int_equal(send(side.other, bytes->data, bytes->size, MSG_NOSIGNAL), bytes->size);
	buf_clear(bytes);
	turn();
}

static size_t read_all(void)
{
	static uint8_t bytes[1 << 16];
	size_t total = 0;
	ssize_t count;

	while ((count = recv(side.other, bytes, sizeof bytes, 0)) > 0)
		total += (size_t)count;
	turn();
	return total;
}

static void test_byte_by_byte(void **state)
{
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	put_message(&bytes, MESSAGE_PING, "abcdefgh", 8);
	for (size_t i = 0; i < bytes.size; i++) {
		assert_int_equal(side.messages, i / (MESSAGE_HEADER_SIZE + 8));
		assert_int_equal(send(side.other, bytes.data + i, 1, MSG_NOSIGNAL), 1);
		turn();
	}
	assert_int_equal(side.messages, 2);
	assert_memory_equal(side.payloads.data, "12345678abcdefgh", 16);
	assert_int_equal(transport_counts(side.transport)->bytes_received, bytes.size);
	assert_int_equal(transport_counts(side.transport)->messages_received, 2);
	buf_clear(&bytes);
}

/* What is taken may change with any message, for the next one on. */
static void test_accept(void **state)
{
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	put_message(&bytes, MESSAGE_TX, "no", 2);
	put_message(&bytes, MESSAGE_SENDHEADERS, "", 0);
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	put_message(&bytes, MESSAGE_TX, "yes", 3);
	side.opens = true;
	write_all(&bytes);
	assert_int_equal(side.skipped, 2);
	assert_int_equal(side.messages, 2);
	assert_memory_equal(side.payloads.data, "12345678yes", 11);
	side.opens = false;
	transport_accept(side.transport, MESSAGE_TX, false);
	put_message(&bytes, MESSAGE_TX, "no more", 7);
	write_all(&bytes);
	assert_int_equal(side.skipped, 3);
	assert_int_equal(side.messages, 2);
	assert_int_equal(side.ended, 0);
}

/* However long it is, and in however many parts it comes. */
static void test_skip_in_parts(void **state)
{
	static const uint8_t part[1 << 15];
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	message_header_write(buf_extend(&bytes, MESSAGE_HEADER_SIZE), spec.magic, MESSAGE_BLOCK, part, 0);
	write_le32(bytes.data + 16, 100 * sizeof part);
	write_all(&bytes);
	for (size_t i = 0; i < 100; i++) {
		buf_put(&bytes, part, sizeof part);
		write_all(&bytes);
	}
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	write_all(&bytes);
	assert_int_equal(side.skipped, 1);
	assert_int_equal(side.messages, 1);
}

static void test_broken(void **state)
{
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	bytes.data[20] ^= 1;
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	write_all(&bytes);
	assert_int_equal(side.ended, 1);
	assert_string_equal(side.why, "wrong checksum of a ping message");
	assert_int_equal(side.messages, 0); /* the next one is right, and too late */
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	write_all(&bytes);
	assert_int_equal(side.messages, 0);
}

/* Before any of its payload is here. */
static void test_oversized(void **state)
{
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	put_message(&bytes, MESSAGE_PING, "", 0);
	write_le32(bytes.data + 16, 9);
	write_all(&bytes);
	assert_int_equal(side.ended, 1);
	assert_string_equal(side.why, "oversized message");
}

static void test_close_in_hook(void **state)
{
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	put_message(&bytes, MESSAGE_PING, "12345678", 8);
	side.closes = true;
	write_all(&bytes);
	assert_int_equal(side.messages, 1);
	assert_int_equal(side.ended, 0);
	buf_put_text(&bytes, "late");
	assert_true(transport_send(side.transport, MESSAGE_PONG, &bytes, false));
	assert_int_equal(bytes.size, 0);
	assert_int_equal(transport_backlog(side.transport), 0);
}

static void test_lost(void **state)
{
	(void)state;
	assert_int_equal(shutdown(side.other, SHUT_RDWR), 0);
	turn();
	assert_int_equal(side.ended, 1);
	assert_string_equal(side.why, "closed by the other side");
}

/* How many messages of so many bytes are sent before it is too much. */
static size_t sent_until_too_much(size_t size, bool in_turn)
{
	struct buf payload;
	size_t count = 0;

	buf_init(&payload);
	do
		memset(buf_extend(&payload, size), 0, size);
	while (transport_send(side.transport, MESSAGE_BLOCK, &payload, in_turn) && ++count < 10000);
	return count;
}

static void test_backlog(void **state)
{
	const size_t size = 1 << 20;

	(void)state;
	assert_int_equal(sent_until_too_much(size, true), TRANSPORT_BACKLOG_MAX / (size + MESSAGE_HEADER_SIZE));
	assert_true(transport_backlog(side.transport) > TRANSPORT_BACKLOG_MAX);
}

/* What is sent whether it is read or not may be less, and is counted anew as soon as little waits. */
static void test_chatter(void **state)
{
	const size_t size = 1000, few = 100, most = TRANSPORT_CHATTER_MAX / (size + MESSAGE_HEADER_SIZE);
	struct buf payload;

	(void)state;
	buf_init(&payload);
	for (size_t i = 0; i < few; i++) {
		memset(buf_extend(&payload, size), 0, size);
		assert_true(transport_send(side.transport, MESSAGE_BLOCK, &payload, false));
	}
	while (transport_backlog(side.transport) > 0) {
		turn();
		read_all();
	}
	assert_true(side.drained > 0);
	assert_int_equal(sent_until_too_much(size, false), most);
	assert_int_equal(transport_counts(side.transport)->messages_sent, few + most + 1);
}

static void test_progress(void **state)
{
	static const uint8_t half[TRANSPORT_PROGRESS / 2];
	struct buf bytes;

	(void)state;
	transport_accept(side.transport, MESSAGE_BLOCK, true);
	buf_init(&bytes);
	message_header_write(buf_extend(&bytes, MESSAGE_HEADER_SIZE), spec.magic, MESSAGE_BLOCK, half, 0);
	write_le32(bytes.data + 16, 10 * sizeof half);
	write_all(&bytes);
	for (int64_t i = 1; i <= 4; i++) {
		buf_put(&bytes, half, sizeof half);
		write_all(&bytes);
		transport_look(side.transport, 100 * i);
		assert_int_equal(transport_progress(side.transport), 100 * (i / 2 * 2));
	}
}

int main(void)
{
#define TRANSPORT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TRANSPORT_TEST(test_byte_by_byte),
		TRANSPORT_TEST(test_accept),
		TRANSPORT_TEST(test_skip_in_parts),
		TRANSPORT_TEST(test_broken),
		TRANSPORT_TEST(test_oversized),
		TRANSPORT_TEST(test_close_in_hook),
		TRANSPORT_TEST(test_lost),
		TRANSPORT_TEST(test_backlog),
		TRANSPORT_TEST(test_chatter),
		TRANSPORT_TEST(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
