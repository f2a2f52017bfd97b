/* The daemon itself: its end, its log, its clock. */
#include "calls/calls.h"
#include "util/clock.h"
#include "util/log.h"

static enum rpc_outcome call_stop(struct rpc_request *control_request, void *context)
{
	struct calls_control *control = context;

	/* After the answer: the node's end closes the server that is to send it. */
	rpc_on_sent(control_request, control->stop, control->stop_context);
	return rpc_reply(control_request, json_string("Atelier is stopping"));
}

static const struct rpc_arg logging_args[] = {
	{ .name = "include", .type = RPC_ARRAY, .optional = true, .help = "Categories to switch on." },
	{ .name = "exclude", .type = RPC_ARRAY, .optional = true, .help = "Categories to switch off." },
	{ 0 },
};

/* Adds up a list of categories' names; false if one is unknown: then the request has been answered. */
static bool control_read_categories(struct rpc_request *control_request, const char *name, unsigned *category_mask)
{
	json_t *categories = rpc_has(control_request, name) ? rpc_json(control_request, name) : NULL, *category;
	size_t i;

	*category_mask = 0;
	json_array_foreach(categories, i, category) {
		unsigned category_bit;
		const char *category_name = json_is_text(category) ? json_string_value(category) : NULL;

		if (category_name == NULL || !log_category_parse(category_name, &category_bit)) {
			rpc_fail(control_request, RPC_INVALID_PARAMETER, "unknown logging category %s",
				category_name != NULL ? category_name : "");
			return false;
		}
		*category_mask |= category_bit;
	}
	return true;
}

static enum rpc_outcome call_logging(struct rpc_request *control_request, void *context)
{
	unsigned categories_on, categories_off, category_mask;
	const char *category_name;
	json_t *categories;

	(void)context;
	if (!control_read_categories(control_request, "include", &categories_on) ||
		!control_read_categories(control_request, "exclude", &categories_off))
		return RPC_DONE;
	/* Only when both lists are good: a typing error changes nothing. What stands in both is off, as in Bitcoin
	 * Core. */
	log_set_categories((log_categories() | categories_on) & ~categories_off);
	categories = json_object();
	for (unsigned i = 0; (category_name = log_category_name(i, &category_mask)) != NULL; i++)
		json_object_set_new(categories, category_name, json_boolean((log_categories() & category_mask) != 0));
	return rpc_reply(control_request, categories);
}

static const struct rpc_arg setmocktime_args[] = {
	{ .name = "timestamp",
		.type = RPC_INT,
		.min = 0,
		.max = UINT32_MAX,
		.help = "Unix seconds; 0: the system's clock again." },
	{ 0 },
};

static enum rpc_outcome call_setmocktime(struct rpc_request *control_request, void *context)
{
	struct calls_control *control = context;

	if (control->spec->is_public)
		return rpc_fail(control_request, RPC_MISC_ERROR, "setmocktime is for regtest and private chains only");
	clock_set_mock(rpc_int(control_request, "timestamp"));
	return rpc_reply(control_request, NULL);
}

static const struct rpc_method control_methods[] = {
	{ "stop", "Control", call_stop, NULL, "Ends the node.", "\"text\"  (string)", NULL, RPC_EARLY },
	{ "logging", "Control", call_logging, logging_args, "Shows and changes which debug messages are logged.",
		"{\"category\": bool, ...}", "'[\"net\"]' '[\"rpc\"]'", 0 },
	{ "setmocktime", "Control", call_setmocktime, setmocktime_args, "Pretends another time, for tests.", NULL,
		"1795219200", RPC_HIDDEN },
};

void calls_control_add(struct rpc_table *table, struct calls_control *context)
{
	rpc_table_add(table, control_methods, sizeof control_methods / sizeof *control_methods, context);
}
