/* What a receipt's signature is of, and the file with the node's key. */
#include "work/text/receipt.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "util/buf.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/random.h"

static void receipt_message(const struct receipt *receipt, uint8_t message[32])
{
	static const char words[] = "atelier text";
	struct buf signed_bytes;

	buf_init(&signed_bytes);
	buf_put(&signed_bytes, words, sizeof words - 1);
	buf_put(&signed_bytes, receipt->genesis, 32);
	buf_put(&signed_bytes, receipt->block, 32);
	buf_put_le32(&signed_bytes, receipt->height);
	buf_put(&signed_bytes, receipt->model_root, 32);
	buf_put(&signed_bytes, receipt->prompt_hash, 32);
	buf_put(&signed_bytes, receipt->output_hash, 32);
	buf_put_le32(&signed_bytes, receipt->output_size);
	buf_put_le32(&signed_bytes, receipt->options.temperature);
	buf_put_le32(&signed_bytes, receipt->options.top_k);
	buf_put_le32(&signed_bytes, receipt->options.top_p);
	buf_put_le64(&signed_bytes, receipt->options.seed);
	sha256(message, signed_bytes.data, signed_bytes.size);
	buf_clear(&signed_bytes);
}

/* Random bytes are no secret with a chance of 2^-128. */
static bool receipt_make_secret(const char *path, uint8_t secret[32], struct errmsg *err)
{
	char digits[66];
	bool is_written;

	do
		random_bytes(secret, 32);
	while (!schnorr_secret_valid(secret));
	hex_encode(digits, secret, 32);
	digits[64] = '\n';
	is_written = file_write_atomic(path, digits, 65, 0600, err);
	wipe(digits, sizeof digits);
	return is_written;
}

bool receipt_secret(const char *path, uint8_t secret[32], struct errmsg *err)
{
	struct buf text;
	char *digits;
	bool is_secret;

	if (!file_exists(path))
		return receipt_make_secret(path, secret, err);
	buf_init(&text);
	if (!file_read(path, 66, &text, err)) {
		buf_clear(&text);
		return false;
	}
	digits = buf_take_text(&text);
	digits[strcspn(digits, "\r\n")] = 0;
	is_secret = hex_decode(secret, 32, digits) && schnorr_secret_valid(secret);
	wipe_text(digits);
	free(digits);
	return is_secret || errmsg_set(err, "%s holds no key: 64 hexadecimal digits", path);
}

void receipt_sign(struct receipt *receipt, const uint8_t secret[32])
{
	uint8_t message[32], aux[32];

	receipt_message(receipt, message);
	random_bytes(aux, sizeof aux);
	schnorr_key(receipt->node_key, secret);
	schnorr_sign(receipt->signature, message, secret, aux);
}

bool receipt_is_signed(const struct receipt *receipt)
{
	uint8_t message[32];

	receipt_message(receipt, message);
	return schnorr_verify(receipt->signature, message, receipt->node_key);
}
