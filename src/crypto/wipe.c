/* OPENSSL_cleanse, which no compiler takes for a write that nobody reads. */
#include "crypto/wipe.h"

#include <openssl/crypto.h>
#include <string.h>

void wipe(void *data, size_t size)
{
	OPENSSL_cleanse(data, size);
}

void wipe_text(char *text)
{
	if (text != NULL)
		OPENSSL_cleanse(text, strlen(text));
}
