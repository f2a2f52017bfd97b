/* Licence expressions: what is one, what their operands are, and which a list admits. */
#include "consensus/payload/licence.h"
#include "unit.h"
#include "util/mem.h"

/* Parsed in memory that ends with the text: a sanitizer sees a step too far. */
static bool is_licence(const char *text)
{
	char *exact = mem_strdup(text);
	bool parsed = licence_parse(exact, NULL, NULL, NULL);

	free(exact);
	return parsed;
}

static void test_syntax(void **state)
{
	static const char *const good[] = { "MIT", "0BSD", "a", ".", "-", "CC-BY-4.0", "GPL-2.0-only", "GPL-2.0+",
		"LicenseRef-a", "LicenseRef-LicenseRef-", "licenseref-", "and", "AND.", "ORE", "WITHOUT", "MIT AND ISC",
		"MIT OR ISC AND 0BSD OR X", "(MIT)", "((MIT))", "(MIT OR ISC) AND (A OR B)", "(MIT) AND ((A))",
		"MIT WITH x", "MIT+ WITH x AND B+ WITH with", "LicenseRef-a WITH x",
		"1234567890123456789012345678901234567890123456789012345678901234",
		"((((((((MIT OR A) OR B))))) AND C)) AND ((((((((A))))))))" };
	static const char *const bad[] = { "", " ", "MIT ", " MIT", "MIT  AND ISC", "MIT AND", "MIT AND ", "AND", "OR",
		"WITH", "AND MIT", "MIT ISC", "MIT and ISC", "MIT/ISC", "MIT,ISC", "a_b", "MIT\n", "MIT\tOR\tISC",
		"LicenseRef-", "LicenseRef-+", "LicenseRef-a+", "MIT +", "+", "MIT++", "MIT+x", "()", "(", ")", "(MIT",
		"MIT)", "(MIT))", "((MIT)", "( MIT)", "(MIT )", "MIT (ISC)", "MIT(ISC)", "(MIT)(ISC)", "(MIT)ISC",
		"MIT WITH", "MIT WITH ", "MIT WITH OR", "MIT WITH AND AND B", "MIT WITH x WITH y", "(MIT) WITH x",
		"MIT WITH (x)", "MIT WITH x+", "DocumentRef-a:LicenseRef-b", "MIT\xc3\xa9", "\xe9", "caf\xe9",
		"MIT\x7f", "(((((((((MIT)))))))))", "(((((((((MIT",
		"12345678901234567890123456789012345678901234567890123456789012345" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!is_licence(good[i]))
			fail_msg("%s is refused", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (is_licence(bad[i]))
			fail_msg("%s is taken", bad[i]);
}

static void test_single(void **state)
{
	(void)state;
	assert_true(licence_is_single("MIT"));
	assert_true(licence_is_single("GPL-2.0+ WITH x"));
	assert_true(licence_is_single("LicenseRef-a"));
	assert_false(licence_is_single(""));
	assert_false(licence_is_single("(MIT)"));
	assert_false(licence_is_single("MIT OR ISC"));
	assert_false(licence_is_single("MIT "));
	assert_false(licence_is_single("AND"));
	assert_false(licence_is_single("LicenseRef-"));
	assert_false(licence_is_single("12345678901234567890123456789012345678901234567890123456789012345"));
}

struct seen {
	size_t count;
	char text[8][LICENCE_MAX + 1];
	size_t id_size, base_size, exception_size; /* of the last */
};

static bool see(void *context, const struct licence_operand *operand)
{
	struct seen *seen = context;

	memcpy(seen->text[seen->count], operand->text, operand->size);
	seen->text[seen->count++][operand->size] = 0;
	seen->id_size = operand->id_size;
	seen->base_size = operand->base_size;
	seen->exception_size = operand->exception_size;
	return operand->text[0] == 'T';
}

static void test_operands(void **state)
{
	struct seen seen = { 0 };
	bool satisfied = true;

	(void)state;
	assert_true(licence_parse("MIT OR (LicenseRef-a AND GPL-2.0+ WITH ab)", see, &seen, &satisfied));
	assert_false(satisfied);
	assert_int_equal(seen.count, 3);
	assert_string_equal(seen.text[0], "MIT");
	assert_string_equal(seen.text[1], "LicenseRef-a");
	assert_string_equal(seen.text[2], "GPL-2.0+ WITH ab");
	assert_int_equal(seen.id_size, 7);
	assert_int_equal(seen.base_size, 8);
	assert_int_equal(seen.exception_size, 2);
}

/* Every expression of up to four operands and all ways to join and to group them, against the rules of logic: T is
 * true, F is false. */
static bool reference(const char **rest);

static bool reference_part(const char **rest)
{
	bool value;

	if (**rest != '(')
		return *(*rest)++ == 'T';
	++*rest;
	value = reference(rest);
	++*rest;
	return value;
}

static bool reference_and(const char **rest)
{
	bool value = reference_part(rest);

	while (strncmp(*rest, " AND ", 5) == 0) {
		bool part;

		*rest += 5;
		part = reference_part(rest);
		value = value && part;
	}
	return value;
}

static bool reference(const char **rest)
{
	bool value = reference_and(rest);

	while (strncmp(*rest, " OR ", 4) == 0) {
		bool part;

		*rest += 4;
		part = reference_and(rest);
		value = value || part;
	}
	return value;
}

static void test_logic(void **state)
{
	static const char *const shapes[] = { "%c%s%c%s%c%s%c", "(%c%s%c)%s%c%s%c", "%c%s(%c%s%c)%s%c",
		"%c%s%c%s(%c%s%c)", "(%c%s%c)%s(%c%s%c)", "(%c%s%c%s%c)%s%c", "%c%s(%c%s%c%s%c)", "((%c%s%c)%s%c)%s%c",
		"(%c%s(%c%s%c))%s%c", "%c%s((%c%s%c)%s%c)", "%c%s(%c%s(%c%s%c))", "(%c%s(%c%s(%c%s%c)))" };

	(void)state;
	for (unsigned i = 0; i < 12 * 128; i++) {
		unsigned bits = i % 128;
		const char *const joins[2] = { " AND ", " OR " };
		struct seen seen = { 0 };
		char text[80];
		const char *rest = text;
		bool satisfied;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof text, shapes[i / 128], bits & 1 ? 'T' : 'F', joins[bits >> 4 & 1],
			bits & 2 ? 'T' : 'F', joins[bits >> 5 & 1], bits & 4 ? 'T' : 'F', joins[bits >> 6 & 1],
			bits & 8 ? 'T' : 'F');
#pragma GCC diagnostic pop
		assert_true(licence_parse(text, see, &seen, &satisfied));
		assert_int_equal(seen.count, 4);
		if (satisfied != reference(&rest))
			fail_msg("%s is %s", text, satisfied ? "true" : "false");
	}
}

static void test_admitted(void **state)
{
	static const char list[][LICENCE_MAX + 1] = { "CC0-1.0", "GPL-2.0-only WITH x", "Apache-2.0+" };

	(void)state;
	assert_true(licence_is_admitted("whatever", list, 0));
	assert_true(licence_is_admitted("cc0-1.0", list, 3));
	assert_false(licence_is_admitted("CC0-1.0", list + 1, 2));
	assert_false(licence_is_admitted("CC0-1", list, 3));
	assert_false(licence_is_admitted("CC0-1.0.", list, 3));
	assert_true(licence_is_admitted("CC0-1.0+ WITH y", list, 3));
	assert_true(licence_is_admitted("GPL-2.0-only WITH X", list, 3));
	assert_false(licence_is_admitted("GPL-2.0-only", list, 3));
	assert_false(licence_is_admitted("GPL-2.0-only WITH xy", list, 3));
	assert_false(licence_is_admitted("Apache-2.0", list, 3));
	assert_true(licence_is_admitted("Apache-2.0+ WITH z", list, 3));
	assert_true(licence_is_admitted("Unknown OR CC0-1.0", list, 3));
	assert_false(licence_is_admitted("Unknown AND CC0-1.0", list, 3));
	assert_false(licence_is_admitted("no expression", list, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_logic),
		cmocka_unit_test(test_admitted),
	};

	return cmocka_run_group_tests_name("licences", tests, NULL, NULL);
}
