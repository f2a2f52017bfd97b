/* The key's making, file and comparison. */
#include "web/key.h"

#include <stdint.h>
#include <stdlib.h>

#include "crypto/wipe.h"
#include "http/credentials.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/mem.h"
#include "util/random.h"

bool key_init(struct key *key, const char *path, struct errmsg *err)
{
	uint8_t secret[32];

	*key = (struct key){ .path = NULL };
	random_bytes(secret, sizeof secret);
	hex_encode(key->digits, secret, sizeof secret);
	wipe(secret, sizeof secret);
	if (!file_write_atomic(path, key->digits, sizeof key->digits - 1, 0600, err))
		return errmsg_wrap(err, "The page's key cannot be written");
	key->path = mem_strdup(path);
	return true;
}

void key_clear(struct key *key)
{
	if (key->path != NULL)
		file_remove(key->path, NULL);
	free(key->path);
	*key = (struct key){ .path = NULL };
}

bool key_match(const struct key *key, const char *given)
{
	return given != NULL && key->digits[0] != '\0' && credentials_same(given, key->digits);
}
