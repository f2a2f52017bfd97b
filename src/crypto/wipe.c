/* OPENSSL_cleanse, which no compiler takes for a write that nobody reads. */
#include "crypto/wipe.h"

#include <openssl/crypto.h>
#include <string.h>

void wipe(void *secret, size_t size)
{
	OPENSSL_cleanse(secret, size);
}

void wipe_text(char *secret_text)
{
	if (secret_text != NULL)
		OPENSSL_cleanse(secret_text, strlen(secret_text));
}
