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
	static const char basic_scheme[] = "Basic ";
	size_t plain_size = strlen(plain);
	char *field = mem_alloc(sizeof basic_scheme + BASE64_SIZE(plain_size));

	memcpy(field, basic_scheme, sizeof basic_scheme);
	base64_encode(field + sizeof basic_scheme - 1, (const uint8_t *)plain, plain_size);
	return field;
}

static bool credentials_write_cookie(struct credentials *credentials, const char *path, struct errmsg *err)
{
	uint8_t cookie_secret[32];
	char cookie_digits[65], cookie[96];
	int cookie_size;

	random_bytes(cookie_secret, sizeof cookie_secret);
	hex_encode(cookie_digits, cookie_secret, sizeof cookie_secret);
	cookie_size = snprintf(cookie, sizeof cookie, "__cookie__:%s", cookie_digits);
	/* Whole or not at all: a client that reads the file meanwhile finds the old cookie or the new one. */
	credentials->field = credentials_field(cookie);
	if (!file_write_atomic(path, cookie, (size_t)cookie_size, 0600, err))
		return errmsg_wrap(err, "The RPC cookie cannot be written");
	credentials->cookie_path = mem_strdup(path);
	return true;
}

bool credentials_init(struct credentials *credentials, const char *user, const char *password, const char *cookie_path,
	struct errmsg *err)
{
	struct buf plain;
	char *plain_text;

	*credentials = (struct credentials){ 0 };
	if (password == NULL || *password == 0)
		return credentials_write_cookie(credentials, cookie_path, err);
	buf_init(&plain);
	buf_put_text(&plain, user != NULL ? user : "");
	buf_put_u8(&plain, ':');
	buf_put_text(&plain, password);
	plain_text = buf_take_text(&plain);
	credentials->field = credentials_field(plain_text);
	free(plain_text);
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
bool credentials_same(const char *given, const char *right)
{
	size_t given_size = strlen(given);
	unsigned char difference = 0;

	if (strlen(right) != given_size)
		return false;
	for (size_t i = 0; i < given_size; i++)
		difference |= (unsigned char)(given[i] ^ right[i]);
	return difference == 0;
}

bool credentials_match(const struct credentials *credentials, const char *given)
{
	return given != NULL && credentials_same(given, credentials->field);
}
