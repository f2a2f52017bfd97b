/* Wrapping of texts for people: width, indents, paragraphs. */
#include "unit.h"
#include "util/text.h"

static void assert_wrapped(const char *text, unsigned indent, unsigned hang, const char *wanted)
{
	struct buf wrapped;
	char *wrapped_text;

	buf_init(&wrapped);
	text_wrap(&wrapped, text, indent, hang);
	wrapped_text = buf_take_text(&wrapped);
	assert_string_equal(wrapped_text, wanted);
	free(wrapped_text);
}

/* Ten digits, seven times: the eighth word would begin at column 77. */
#define SEVENTY_SIX "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789"

static void test_width(void **state)
{
	(void)state;
	assert_wrapped("one two", 0, 0, "one two\n");
	assert_wrapped(SEVENTY_SIX " 12", 0, 0, SEVENTY_SIX " 12\n");
	assert_wrapped(SEVENTY_SIX " 123", 0, 0, SEVENTY_SIX "\n123\n");
	assert_wrapped(SEVENTY_SIX " 123", 2, 1, SEVENTY_SIX "\n  123\n");
}

/* What follows an empty line is wrapped as what opens the text is: its first word does not stand alone. */
static void test_paragraphs(void **state)
{
	(void)state;
	assert_wrapped("one.\n\nA word", 0, 0, "one.\n\nA word\n");
	assert_wrapped(SEVENTY_SIX "\n\n" SEVENTY_SIX " 123", 0, 0, SEVENTY_SIX "\n\n" SEVENTY_SIX "\n123\n");
	assert_wrapped("one\ntwo", 3, 0, "   one\n   two\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_paragraphs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
