/* The table of reasons: one row a text, and the document lists them all and no others. */
#include <stdlib.h>

#include "consensus/reject.h"
#include "unit.h"
#include "util/file.h"

static char *read_document(void)
{
	const char *source = getenv("ATELIER_SRCDIR");
	char path[1024];
	struct errmsg err;
	struct buf text;

	snprintf(path, sizeof path, "%s/doc/protocol.md", source != NULL ? source : ".");
	buf_init(&text);
	if (!file_read(path, 1 << 20, &text, &err))
		fail_msg("%s", err.text);
	return buf_take_text(&text);
}

static void test_rows(void **state)
{
	(void)state;
	assert_string_equal(reasons_row(REASON_NONE)->text, "");
	for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		assert_true(reasons_row(i)->text[0] != 0);
		assert_int_equal(reasons_find(reasons_row(i)->text), i); /* no two of one text */
	}
	assert_int_equal(reasons_find("bad-luck"), REASON_NONE);
}

static void test_listed(void **state)
{
	char *document = read_document(), quoted[100];

	(void)state;
	for (enum reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		snprintf(quoted, sizeof quoted, "`%s`", reasons_row(i)->text);
		if (strstr(document, quoted) == NULL)
			fail_msg("doc/protocol.md does not list %s", quoted);
	}
	free(document);
}

static void assert_row(const char *start, const char *end)
{
	char text[100];

	assert_true((size_t)(end - start) < sizeof text);
	memcpy(text, start, (size_t)(end - start));
	text[end - start] = 0;
	if (reasons_find(text) == REASON_NONE)
		fail_msg("doc/protocol.md lists %s, which no row has", text);
}

/* What begins with bad- anywhere, and what its own section lists. */
static void test_no_others(void **state)
{
	char *document = read_document();
	const char *at = document, *end;
	size_t count = 0;

	(void)state;
	while ((at = strstr(at, "`bad-")) != NULL) {
		end = strchr(at + 1, '`');
		assert_non_null(end);
		assert_row(at + 1, end);
		at = end + 1;
		count++;
	}
	assert_true(count > 40);
	at = strstr(document, "\n## 19. Reasons beside the rules\n");
	assert_non_null(at);
	for (count = 0; (at = strstr(at, "\n- `")) != NULL; count++) {
		at += 4;
		end = strchr(at, '`');
		assert_non_null(end);
		assert_row(at, end);
	}
	assert_true(count > 20);
	free(document);
}

/* Coins and signatures hang on the place; what follows from the object does not. */
static void test_blame(void **state)
{
	struct reject reject = { .reason = "" };

	(void)state;
	assert_false(reject_blames_block(&reject));
	assert_false(reject_blames_tx(&reject));
	reject_set(&reject, REASON_BAD_TXNS_SIGNATURE, "d");
	assert_false(reject_blames_block(&reject));
	assert_true(reject_blames_tx(&reject));
	reject_as(&reject, REJECT_NOT_YET, REASON_BAD_TXNS_SIGNATURE, "d");
	assert_false(reject_blames_tx(&reject));
	reject_set(&reject, REASON_BAD_TXNMRKLROOT, "d");
	assert_true(reject_blames_block(&reject));
	assert_false(reject_blames_tx(&reject));
	reject_set(&reject, REASON_BAD_CB_OUTPUTS, "d");
	assert_false(reject_blames_block(&reject));
	reject_set(&reject, REASON_BAD_CONTRIB_FORMAT, "d");
	assert_false(reject_blames_block(&reject));
	reject_set(&reject, REASON_BAD_PROOF_DIGEST, "d");
	assert_true(reject_blames_block(&reject));
	reject.ban_score = 0;
	assert_false(reject_blames_block(&reject));
	reject_again(&reject, "high-hash", "again");
	assert_int_equal(reject.why, REASON_HIGH_HASH);
	assert_true(reject_blames_block(&reject));
	reject_again(&reject, "of another version", "again");
	assert_string_equal(reject.reason, "of another version");
	assert_int_equal(reject.why, REASON_NONE);
	assert_true(reject_blames_block(&reject));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_listed),
		cmocka_unit_test(test_no_others),
		cmocka_unit_test(test_blame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
