/* Nodes in an array, one loop for all; sockets that speak the protocol as far as a test needs. */
#include "net/fake_net.h"

#include <time.h>

enum { NODES = 4 };

struct event_base *base;
static struct node nodes[NODES];
static size_t node_count;

int set_up(void **state)
{
	(void)state;
	base = event_base_new();
	node_count = 0;
	return base != NULL ? 0 : -1;
}

int tear_down(void **state)
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

struct node *add_node_with(const struct net_options *options)
{
	struct node *node = &nodes[node_count++];
	struct errmsg err;

	node->chain = fake_chain_new();
	node->judges = true;
	node->net = net_open(base, node->chain, options, &err);
	assert_non_null(node->net);
	return node;
}

struct node *add_node(void)
{
	const struct net_options options = { .listen = true, .bind = "127.0.0.1", .max_peers = 125, .agent = "/test/" };

	return add_node_with(&options);
}

void connect_nodes(struct node *from, struct node *to)
{
	char name[32];

	snprintf(name, sizeof name, "127.0.0.1:%u", net_port(to->net));
	assert_int_equal(net_add_node(from->net, name), NET_NODE_OK);
}

void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (size_t i = 0; i < node_count; i++)
		if (nodes[i].judges)
			fake_chain_step(nodes[i].chain);
}

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void turn_a_while(void)
{
	double end = seconds() + 0.7;

	while (seconds() < end)
		turn();
}

bool same_tip(const struct node *a, const struct node *b)
{
	return memcmp(chain_tip(a->chain)->id, chain_tip(b->chain)->id, 32) == 0;
}

size_t peers_of(const struct node *node)
{
	struct net_counts counts;

	net_counts(node->net, &counts);
	return counts.inbound + counts.outbound;
}

int connect_socket(const struct node *node, const char *source)
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

void say(int fd, enum message_kind kind, struct buf *payload)
{
	uint8_t header[MESSAGE_HEADER_SIZE];

	message_header_write(header, fake_spec()->magic, kind, payload->data, payload->size);
	assert_int_equal(send(fd, header, sizeof header, MSG_NOSIGNAL), sizeof header);
	assert_int_equal(send(fd, payload->data, payload->size, MSG_NOSIGNAL), payload->size);
	buf_clear(payload);
}

int connect_from(const struct node *node, const char *source)
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

int connect_mute(const struct node *node)
{
	return connect_from(node, "127.0.0.1");
}

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

size_t heard(struct ear *ear, enum message_kind kind)
{
	hear(ear);
	return ear->counts[kind];
}

void pass_time(int64_t ms)
{
	turn_a_while(); /* ticks: what is here by now is noticed */
	clock_set_mono(clock_mono_ms() + ms);
}

void announce_blocks(int fd, const struct index_entry *tip)
{
	struct header headers[64];
	struct buf payload;

	for (uint32_t i = 0; i < tip->height; i++)
		headers[i] = chain_ancestor(tip, i + 1)->header;
	buf_init(&payload);
	message_write_headers(&payload, headers, tip->height);
	say(fd, MESSAGE_HEADERS, &payload);
}

void send_block(int fd, const struct header *header)
{
	struct block *block = block_new();
	struct buf payload;

	block->header = *header;
	buf_init(&payload);
	block_write(&payload, fake_spec(), block, false);
	block_unref(block);
	say(fd, MESSAGE_BLOCK, &payload);
}

bool is_closed(int fd)
{
	uint8_t bytes[1024];
	ssize_t count;

	while ((count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		;
	return count == 0 || errno == ECONNRESET;
}
