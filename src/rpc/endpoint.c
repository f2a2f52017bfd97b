/* The way between HTTP and the table: whose wallet a path names, and an exchange for each text. */
#include "rpc/endpoint.h"

#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

/* Bytes of the name after decoding. */
enum { WALLET_NAME_MAX = 128 };

static const char wallet_prefix[] = "/wallet/";

char *endpoint_path(const char *wallet)
{
	struct buf path;
	char *encoded;

	if (wallet == NULL)
		return mem_strdup("/");
	encoded = evhttp_uriencode(wallet, -1, 0);
	buf_init(&path);
	buf_put_text(&path, wallet_prefix);
	buf_put_text(&path, encoded);
	free(encoded);
	return buf_take_text(&path);
}

/* The wallet that a path names, "" where it names none. A new string, or NULL if the path is none of ours. */
static char *wallet_of(const char *path)
{
	char *name, *copy = NULL;
	size_t size;

	if (*path == 0 || strcmp(path, "/") == 0)
		return mem_strdup("");
	if (strncmp(path, wallet_prefix, sizeof wallet_prefix - 1) != 0)
		return NULL;
	name = evhttp_uridecode(path + sizeof wallet_prefix - 1, 0, &size);
	/* The length tells whether %00 ended the name early: two paths must not mean one wallet. A name with slashes or
	 * dots leads nowhere: it is looked up among the wallets that are loaded, and opens no file. */
	if (name != NULL && size <= WALLET_NAME_MAX && strlen(name) == size)
		copy = mem_strdup(name);
	free(name);
	return copy;
}

/* The server asks this first and answers 404 itself: handle_request is called for paths that wallet_of knows, alone. */
static bool has_path(const char *path)
{
	char *wallet = wallet_of(path);
	bool known = wallet != NULL;

	free(wallet);
	return known;
}

static void on_answered(void *context, struct rpc_answer *answer)
{
	struct http_answer sent = {
		.status = answer->status,
		.type = answer->status == 204 ? NULL : RPC_CONTENT_TYPE,
		.body = answer->body,
		.sent = answer->sent,
		.sent_context = answer->sent_context,
	};

	http_server_answer(context, &sent);
}

static void handle_request(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	char *wallet = wallet_of(request->path);

	rpc_table_execute(context, request->body, request->size, *wallet != 0 ? wallet : NULL, on_answered, exchange);
	free(wallet);
}

struct http_endpoint endpoint_of(struct rpc_table *table)
{
	return (struct http_endpoint){
		.method = "POST",
		.only = "The JSON-RPC server takes POST requests only\n",
		.has_path = has_path,
		.body_max = RPC_BODY_MAX,
		.handle = handle_request,
		.context = table,
	};
}
