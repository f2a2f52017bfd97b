/* The way between HTTP and the table: whose wallet a path names, and an exchange for each text. */
#include "rpc/endpoint.h"

#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

/* Bytes of the name after decoding. */
enum { ENDPOINT_WALLET_MAX = 128 };

static const char endpoint_wallet_prefix[] = "/wallet/";

char *endpoint_path(const char *wallet)
{
	struct buf wallet_path;
	char *encoded_wallet;

	if (wallet == NULL)
		return mem_strdup("/");
	encoded_wallet = evhttp_uriencode(wallet, -1, 0);
	buf_init(&wallet_path);
	buf_put_text(&wallet_path, endpoint_wallet_prefix);
	buf_put_text(&wallet_path, encoded_wallet);
	free(encoded_wallet);
	return buf_take_text(&wallet_path);
}

/* The wallet that a path names, "" where it names none. A new string, or NULL if the path is none of ours. */
static char *endpoint_wallet(const char *path)
{
	char *wallet_name, *wallet_copy = NULL;
	size_t name_size;

	if (*path == 0 || strcmp(path, "/") == 0)
		return mem_strdup("");
	if (strncmp(path, endpoint_wallet_prefix, sizeof endpoint_wallet_prefix - 1) != 0)
		return NULL;
	wallet_name = evhttp_uridecode(path + sizeof endpoint_wallet_prefix - 1, 0, &name_size);
	/* The length tells whether %00 ended the name early: two paths must not mean one wallet. A name with slashes or
	 * dots leads nowhere: it is looked up among the wallets that are loaded, and opens no file. */
	if (wallet_name != NULL && name_size <= ENDPOINT_WALLET_MAX && strlen(wallet_name) == name_size)
		wallet_copy = mem_strdup(wallet_name);
	free(wallet_name);
	return wallet_copy;
}

/* The server asks this first and answers 404 itself: endpoint_handle is called for paths that endpoint_wallet knows,
 * alone. */
static bool endpoint_has_path(const char *path)
{
	char *named_wallet = endpoint_wallet(path);
	bool known = named_wallet != NULL;

	free(named_wallet);
	return known;
}

static void endpoint_on_answered(void *context, struct rpc_answer *answer)
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

static void endpoint_handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	char *named_wallet = endpoint_wallet(request->path);

	rpc_table_execute(context, request->body, request->size, *named_wallet != 0 ? named_wallet : NULL,
		endpoint_on_answered, exchange);
	free(named_wallet);
}

struct http_endpoint endpoint_of(struct rpc_table *table)
{
	return (struct http_endpoint){
		.method = "POST",
		.has_path = endpoint_has_path,
		.body_max = RPC_BODY_MAX,
		.handle = endpoint_handle,
		.context = table,
	};
}
