/* Keys of the API: who may have texts written at /v1/, how many bytes, until when.
 *
 * As long as there is none, and nothing is sold, programs on this machine need none, and others get nothing. Keys are
 * kept as hashes in a file of mode 0600; what has been used of them is written some seconds later, and when the node
 * ends; what could not be written is tried again each minute. Calls of JSON-RPC make, list and revoke them. */
#ifndef ATELIER_WEB_DOOR_APIKEYS_H
#define ATELIER_WEB_DOOR_APIKEYS_H

#include "rpc/table.h"
#include "util/error.h"

enum { APIKEYS_MAX = 1000 };

struct apikeys;
struct event_base;

/* Reads the file, if there is one, and adds the calls. NULL with the error set if it is damaged. is_selling: everybody
 * needs a key, whether there is one or not. */
struct apikeys *apikeys_new(struct event_base *base, struct rpc_table *table, const char *path, bool is_selling,
	struct errmsg *err);
void apikeys_free(struct apikeys *apikeys); /* writes it; NULL is allowed */

bool apikeys_has(const struct apikeys *apikeys, const char *name); /* whether there is one of this name */

/* What a request may. */
enum apikeys_verdict {
	APIKEYS_OK,
	APIKEYS_WRONG, /* no such key, it has expired, or none was given where one is needed */
	APIKEYS_SPENT, /* so many bytes are not left, beside those that are promised to others of this key */
	APIKEYS_FAST   /* more requests a minute than the key is good for */
};

/* By its Authorization field (NULL: none), wanting so many bytes, prompts and texts; 0: it asks for no text, which is
 * not counted. *name is that of the key, "" where none is needed; of 64 characters at most. */
enum apikeys_verdict apikeys_judge(struct apikeys *apikeys, const char *authorization, bool is_local, uint64_t bytes,
	char name[65]);

/* So many are promised to a request that has been let in; of them so many were used. So requests side by side cannot
 * use more than there is. A key that has been revoked meanwhile is no error. */
void apikeys_promise(struct apikeys *apikeys, const char *name, uint64_t bytes);
void apikeys_charge(struct apikeys *apikeys, const char *name, uint64_t promised, uint64_t used);

#endif
