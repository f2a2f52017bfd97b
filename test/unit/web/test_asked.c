/* Bodies of requests for texts: what they ask for, and where their bounds are. And who asks. */
#include <stdio.h>

#include "unit.h"
#include "web/door/asked.h"
#include "web/door/guests.h"

static bool read_body(struct asked *asked, bool is_chat, const char *body, struct asked_error *error)
{
	return asked_read(asked, is_chat, body, strlen(body), error);
}

static void check_prompt(bool is_chat, const char *body, const char *expected)
{
	struct asked_error error;
	struct asked asked;

	if (!read_body(&asked, is_chat, body, &error))
		fail_msg("%s: %s", body, error.message.text);
	assert_int_equal(asked.prompts[0].size, strlen(expected));
	assert_memory_equal(asked.prompts[0].data, expected, strlen(expected));
	asked_clear(&asked);
}

static void check_refused(bool is_chat, const char *body, const char *member)
{
	struct asked_error error;
	struct asked asked;

	if (read_body(&asked, is_chat, body, &error))
		fail_msg("%s is taken", body);
	assert_string_equal(error.param, member);
	asked_clear(&asked);
}

static void test_prompts(void **state)
{
	(void)state;
	check_prompt(false, "{\"prompt\":\"The \"}", "The ");
	check_prompt(false, "{\"prompt\":[84,104,101,32]}", "The ");
	check_prompt(false, "{\"prompt\":[[84],\"b\"]}", "T");
	check_prompt(false, "{\"prompt\":\"\"}", "");
	check_prompt(true,
		"{\"messages\":[{\"role\":\"system\",\"content\":\"Be.\"},{\"role\":\"user\",\"content\":\"Hi\"},"
		"{\"role\":\"assistant\",\"content\":\"Ho\"},{\"role\":\"user\",\"content\":"
		"[{\"text\":\"a\"},{\"text\":\"b\"}]}]}",
		"Be.\n\nUser: Hi\nAssistant: Ho\nUser: ab\nAssistant:");
	check_refused(false, "{\"prompt\":[84,256]}", "prompt");
	check_refused(false, "{\"prompt\":[[84],7]}", "prompt");
	check_refused(true, "{\"messages\":[{\"role\":\"robot\",\"content\":\"a\"}]}", "messages");
	check_refused(false, "[]", "");
}

static void check_parts(const char *part, uint32_t temperature)
{
	struct asked_error error;
	struct asked asked;
	char body[128];

	snprintf(body, sizeof body, "{\"prompt\":\"a\",\"temperature\":%s}", part);
	if (!read_body(&asked, false, body, &error))
		fail_msg("%s: %s", part, error.message.text);
	assert_int_equal(asked.options.temperature, temperature);
	asked_clear(&asked);
}

static void test_numbers(void **state)
{
	(void)state;
	check_parts("0", 0);
	check_parts("0.7", 700000);
	check_parts("0.30000000000000004", 300000);
	check_parts("1e-1", 100000);
	check_parts("10", 10000000);
	check_parts("0.0000009", 0);
	check_refused(false, "{\"prompt\":\"a\",\"temperature\":10.000001}", "temperature");
	check_refused(false, "{\"prompt\":\"a\",\"temperature\":-0.1}", "temperature");
	check_refused(false, "{\"prompt\":\"a\",\"temperature\":1e30}", "temperature");
	check_refused(false, "{\"prompt\":\"a\",\"temperature\":[]}", "temperature");
}

/* The last that is taken, and one more. */
static void test_bounds(void **state)
{
	static const struct {
		const char *taken, *refused, *member;
	} bounds[] = {
		{ "\"n\":8", "\"n\":9", "n" },
		{ "\"max_tokens\":4096", "\"max_tokens\":4097", "max_tokens" },
		{ "\"n\":8,\"max_tokens\":4096,\"logprobs\":0", "\"n\":8,\"max_tokens\":4096,\"logprobs\":1",
			"logprobs" },
		{ "\"stream\":true,\"max_tokens\":2800,\"logprobs\":0",
			"\"stream\":true,\"max_tokens\":2801,\"logprobs\":0", "logprobs" },
		{ "\"stream\":true,\"max_tokens\":466,\"logprobs\":5",
			"\"stream\":true,\"max_tokens\":467,\"logprobs\":5", "logprobs" },
		{ "\"stop\":[\"a\",\"b\",\"c\",\"d\"]", "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop" },
	};
	struct asked_error error;
	struct asked asked;
	char body[160];

	(void)state;
	for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
		snprintf(body, sizeof body, "{\"prompt\":\"a\",%s}", bounds[i].taken);
		if (!read_body(&asked, false, body, &error))
			fail_msg("%s: %s", body, error.message.text);
		asked_clear(&asked);
		snprintf(body, sizeof body, "{\"prompt\":\"a\",%s}", bounds[i].refused);
		check_refused(false, body, bounds[i].member);
	}
}

/* A guest is one by his name, and goes with his last request. */
static void test_guests(void **state)
{
	struct guest *guests = NULL, *first, *second;

	(void)state;
	first = guests_enter(&guests, "a");
	second = guests_enter(&guests, "b");
	assert_ptr_not_equal(first, second);
	assert_ptr_equal(guests_enter(&guests, "a"), first);
	assert_int_equal(first->requests, 2);
	guests_leave(&guests, first);
	assert_int_equal(first->requests, 1);
	guests_leave(&guests, second);
	assert_ptr_equal(guests, first);
	guests_leave(&guests, first);
	assert_null(guests);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prompts),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
