/* Basic authorization: the field's text, the cookie file, the comparison. */
#include "http/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/mem.h"
#include "util/random.h"

char *credentials_field(const char *plain)
{
	static const char scheme[] = "Basic ";
	size_t size = strlen(plain);
	char *field = mem_alloc(sizeof scheme + BASE64_SIZE(size));

	memcpy(field, scheme, sizeof scheme);
	base64_encode(field + sizeof scheme - 1, (const uint8_t *)plain, size);
	return field;
}

static bool write_cookie(struct credentials *credentials, const char *path, struct errmsg *err)
{
	uint8_t secret[32];
	char digits[65], text[96];
	int size;

	random_bytes(secret, sizeof secret);
	hex_encode(digits, secret, sizeof secret);
	size = snprintf(text, sizeof text, "__cookie__:%s", digits);
	/* Whole or not at all: a client that reads the file meanwhile finds the old cookie or the new one. */
	credentials->field = credentials_field(text);
	if (!file_write_atomic(path, text, (size_t)size, 0600, err))
		return errmsg_wrap(err, "The RPC cookie cannot be written");
	credentials->cookie_path = mem_strdup(path);
	return true;
}

bool credentials_init(struct credentials *credentials, const char *user, const char *password, const char *cookie_path,
	struct errmsg *err)
{
	struct buf plain;
	char *text;

	*credentials = (struct credentials){ 0 };
	if (password == NULL || *password == 0)
		return write_cookie(credentials, cookie_path, err);
	buf_init(&plain);
	buf_put_text(&plain, user != NULL ? user : "");
	buf_put_u8(&plain, ':');
	buf_put_text(&plain, password);
	text = buf_take_text(&plain);
	credentials->field = credentials_field(text);
	free(text);
	return true;
}

void credentials_clear(struct credentials *credentials)
{
	if (credentials->cookie_path != NULL)
		file_remove(credentials->cookie_path, NULL);
	free(credentials->cookie_path);
	free(credentials->field);
	*credentials = (struct credentials){ 0 };
}

/* No byte ends the comparison, so that an answer's time does not tell how many were right: a field could be found out
 * byte by byte otherwise. Only the length shows, which is no secret. */
static bool is_same_text(const char *a, const char *b)
{
	size_t size = strlen(a);
	unsigned char difference = 0;

	if (strlen(b) != size)
		return false;
	for (size_t i = 0; i < size; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return difference == 0;
}

bool credentials_match(const struct credentials *credentials, const char *given)
{
	return given != NULL && is_same_text(given, credentials->field);
}
