/* atelierd: the node. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"
#include "node/node.h"
#include "rpc/json.h"
#include "work/import.h"

static void print_usage(const struct options *options)
{
	char *text = options_help(options);

	printf("atelierd %s\n\nUsage: atelierd [options]\n\n%s", VERSION, text);
	free(text);
}

static bool import_weights(const struct settings *settings, struct errmsg *err)
{
	json_t *made = import_model(settings->import_weights, settings->import_spec, err);
	struct buf text;

	if (made == NULL)
		return false;
	buf_init(&text);
	json_print(made, 2, &text);
	printf("%.*s\n", (int)text.size, (const char *)text.data);
	buf_clear(&text);
	json_decref(made);
	return true;
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct errmsg err = { "" };
	bool ok = true;

	switch (settings_read(&settings, argc, argv, &err)) {
	case SETTINGS_HELP:
		print_usage(settings.options);
		break;
	case SETTINGS_VERSION:
		printf("Atelier %s\n", VERSION);
		break;
	case SETTINGS_IMPORT:
		ok = import_weights(&settings, &err);
		break;
	case SETTINGS_RUN:
		ok = node_run(&settings, &err);
		break;
	case SETTINGS_WRONG:
		ok = false;
		break;
	}
	settings_clear(&settings);
	if (ok)
		return EXIT_SUCCESS;
	fprintf(stderr, "Error: %s\n", err.text);
	return EXIT_FAILURE;
}
