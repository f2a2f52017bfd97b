/* The daemon itself: its end, its log, its clock. */
#include "calls/calls.h"
#include "util/clock.h"
#include "util/log.h"

static enum rpc_outcome call_stop(struct rpc_request *r, void *context)
{
	struct calls_control *control = context;

	/* After the answer: the node's end closes the server that is to send it. */
	rpc_on_sent(r, control->stop, control->stop_context);
	return rpc_reply(r, json_string("Atelier is stopping"));
}

static const struct rpc_arg logging_args[] = {
	{ .name = "include", .type = RPC_ARRAY, .optional = true, .help = "Categories to switch on." },
	{ .name = "exclude", .type = RPC_ARRAY, .optional = true, .help = "Categories to switch off." },
	{ 0 },
};

/* Adds up a list of categories' names; false if one is unknown: then the request has been answered. */
static bool read_categories(struct rpc_request *r, const char *name, unsigned *mask)
{
	json_t *list = rpc_has(r, name) ? rpc_json(r, name) : NULL, *item;
	size_t i;

	*mask = 0;
	json_array_foreach(list, i, item) {
		unsigned bit;
		const char *text = json_is_text(item) ? json_string_value(item) : NULL;

		if (text == NULL || !log_category_parse(text, &bit)) {
			rpc_fail(r, RPC_INVALID_PARAMETER, "unknown logging category %s", text != NULL ? text : "");
			return false;
		}
		*mask |= bit;
	}
	return true;
}

static enum rpc_outcome call_logging(struct rpc_request *r, void *context)
{
	unsigned include, exclude, mask;
	const char *name;
	json_t *object;

	(void)context;
	if (!read_categories(r, "include", &include) || !read_categories(r, "exclude", &exclude))
		return RPC_DONE;
	/* Only when both lists are good: a typing error changes nothing. What stands in both is off, as in Bitcoin
	 * Core. */
	log_set_categories((log_categories() | include) & ~exclude);
	object = json_object();
	for (unsigned i = 0; (name = log_category_name(i, &mask)) != NULL; i++)
		json_object_set_new(object, name, json_boolean((log_categories() & mask) != 0));
	return rpc_reply(r, object);
}

static const struct rpc_arg setmocktime_args[] = {
	{ .name = "timestamp",
		.type = RPC_INT,
		.min = 0,
		.max = UINT32_MAX,
		.help = "Unix seconds; 0: the system's clock again." },
	{ 0 },
};

static enum rpc_outcome call_setmocktime(struct rpc_request *r, void *context)
{
	struct calls_control *control = context;

	if (control->spec->is_public)
		return rpc_fail(r, RPC_MISC_ERROR, "setmocktime is for regtest and private chains only");
	clock_set_mock(rpc_int(r, "timestamp"));
	return rpc_reply(r, NULL);
}

static const struct rpc_method methods[] = {
	{ "stop", "Control", call_stop, NULL, "Ends the node.", "\"text\"  (string)", NULL, RPC_EARLY },
	{ "logging", "Control", call_logging, logging_args, "Shows and changes which debug messages are logged.",
		"{\"category\": bool, ...}", "'[\"net\"]' '[\"rpc\"]'", 0 },
	{ "setmocktime", "Control", call_setmocktime, setmocktime_args, "Pretends another time, for tests.", NULL,
		"1795219200", RPC_HIDDEN },
};

void calls_control_add(struct rpc_table *table, struct calls_control *context)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, context);
}
