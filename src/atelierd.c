/* atelierd: the node. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"
#include "node/node.h"
#include "rpc/json.h"
#include "work/import.h"

static void atelierd_print_usage(const struct options *options)
{
	char *usage = options_help(options);

	printf("atelierd %s\n\nUsage: atelierd [options]\n\n%s", VERSION, usage);
	free(usage);
}

static bool atelierd_import_weights(const struct settings *settings, struct errmsg *err)
{
	json_t *imported = import_model(settings->import_weights, settings->import_spec, err);
	struct buf imported_text;

	if (imported == NULL)
		return false;
	buf_init(&imported_text);
	json_print(imported, 2, &imported_text);
	printf("%.*s\n", (int)imported_text.size, (const char *)imported_text.data);
	buf_clear(&imported_text);
	json_decref(imported);
	return true;
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct errmsg err = { "" };
	bool ok = true;

	switch (settings_read(&settings, argc, argv, &err)) {
	case SETTINGS_HELP:
		atelierd_print_usage(settings.options);
		break;
	case SETTINGS_VERSION:
		printf("Atelier %s\n", VERSION);
		break;
	case SETTINGS_IMPORT:
		ok = atelierd_import_weights(&settings, &err);
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
