/* Licence ids against the SPDX list: what is listed, what looks like something listed, what is simply unknown. */
#include "config/spdx.h"
#include "config/spdx_ids.h"
#include "unit.h"

static void assert_review(const char *expression, enum spdx_verdict verdict, const char *told)
{
	struct errmsg err = { "" };

	if (spdx_review(expression, &err) != verdict)
		fail_msg("%s: %s", expression, err.text);
	if (strcmp(err.text, told) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", expression, err.text, told);
}

static void assert_mistake(const char *expression, const char *told)
{
	char text[600];

	snprintf(text, sizeof text, "%.*s is not on the SPDX licence list; did you mean %s?",
		(int)strcspn(expression, " "), expression, told);
	assert_review(expression, SPDX_MISTAKE, text);
}

static void test_listed(void **state)
{
	(void)state;
	assert_review("CC0-1.0", SPDX_LISTED, "");
	assert_review("cc0-1.0", SPDX_LISTED, "");
	assert_review("GPL-3.0-or-later OR (MIT AND CC-BY-SA-4.0)", SPDX_LISTED, "");
	assert_review("Apache-2.0+ WITH LLVM-exception", SPDX_LISTED, "");
	assert_review("LicenseRef-anything", SPDX_LISTED, "");
}

static void test_mistakes(void **state)
{
	(void)state;
	assert_mistake("CC0", "CC0-1.0");
	assert_mistake("GPL-3.0", "GPL-3.0-only or GPL-3.0-or-later"); /* deprecated */
	assert_mistake("GPLv3", "GPL-3.0-only or GPL-3.0-or-later");
	assert_mistake("gpl", "GPL-3.0-only, GPL-2.0-only or GPL-1.0-only");
	assert_mistake("Apache2", "Apache-2.0");
	assert_mistake("Apache", "Apache-2.0, Apache-1.1 or Apache-1.0");
	assert_mistake("CC-BY", "CC-BY-4.0, CC-BY-3.0 or CC-BY-2.5");
	assert_mistake("CC-BY-4", "CC-BY-4.0");
	assert_mistake("CCBY4.0", "CC-BY-4.0");
	assert_mistake("CC-BT-4.0", "CC-BY-4.0");
	assert_mistake("CC-YB-4.0", "CC-BY-4.0");
	assert_mistake("CC-BBY-4.0", "CC-BY-4.0");
	assert_mistake("MPL-2..0", "MPL-2.0 or MPL-2.0-no-copyleft-exception");
	assert_review("Foo OR MIT AND C0-1.0", SPDX_MISTAKE,
		"C0-1.0 is not on the SPDX licence list; did you mean CC0-1.0?");
	assert_review("MIT WITH LLVM-exceptoin", SPDX_MISTAKE,
		"LLVM-exceptoin is not on the SPDX licence list; did you mean LLVM-exception?");
}

static void test_unknown(void **state)
{
	static const char told[] = "CC-BY-5.0 is not on the SPDX licence list that this node knows";

	(void)state;
	assert_review("CC-BY-5.0", SPDX_UNKNOWN, told); /* may come */
	assert_review("MIT OR CC-BY-5.0 OR as-stated", SPDX_UNKNOWN, told);
	assert_review("licenseref-a", SPDX_UNKNOWN,
		"licenseref-a is not on the SPDX licence list that this node knows");
	assert_review("MIT WITH MIT", SPDX_UNKNOWN, "MIT is not on the SPDX licence list that this node knows");
	assert_review("1234567890123456789012345678901234567890123456789012345678901234", SPDX_UNKNOWN,
		"1234567890123456789012345678901234567890123456789012345678901234 is not on the SPDX licence list "
		"that this node knows");
}

static bool is_alone(void *context, const struct licence_operand *operand)
{
	(void)context;
	return operand->text[operand->size] == 0;
}

/* Every id of the lists is one, listed, and found in no other case than its own twice. */
static void test_lists(void **state)
{
	const char *const *const lists[] = { spdx_ids, spdx_ids_exceptions };

	(void)state;
	for (int i = 0; i < 2; i++)
		for (const char *const *id = lists[i]; *id != NULL; id++) {
			bool satisfied;

			assert_true(licence_parse(*id, is_alone, NULL, &satisfied) && satisfied);
			assert_true(id[1] == NULL || strcasecmp(id[0], id[1]) < 0);
		}
	for (const char *const *id = spdx_ids; *id != NULL; id++)
		assert_review(*id, SPDX_LISTED, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listed),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests_name("licence list", tests, NULL, NULL);
}
