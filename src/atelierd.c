/* atelierd: the node. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/settings.h"
#include "ml/kernel/engine.h"
#include "node/node.h"
#include "rpc/json.h"
#include "work/import.h"

static void atelierd_print_usage(const struct options *options)
{
	char *atelierd_usage = options_help(options);

	printf("atelierd %s\n\nUsage: atelierd [options]\n\n%s", VERSION, atelierd_usage);
	free(atelierd_usage);
}

static bool atelierd_import_weights(const struct settings *settings, struct errmsg *err)
{
	json_t *atelierd_imported = import_model(settings->import_weights, settings->import_spec,
		settings->datadir.base, err);
	struct buf atelierd_text;

	if (atelierd_imported == NULL)
		return false;
	buf_init(&atelierd_text);
	json_print(atelierd_imported, 2, &atelierd_text);
	printf("%.*s\n", (int)atelierd_text.size, (const char *)atelierd_text.data);
	buf_clear(&atelierd_text);
	json_decref(atelierd_imported);
	return true;
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct errmsg atelierd_err = { "" };
	bool atelierd_ok = true;

	/* Where that cannot be done it goes on, and is slow. */
	if (engine_name_processor())
		execv("/proc/self/exe", argv);
	switch (settings_read(&settings, argc, argv, &atelierd_err)) {
	case SETTINGS_HELP:
		atelierd_print_usage(settings.options);
		break;
	case SETTINGS_VERSION:
		printf("Atelier %s\n", VERSION);
		break;
	case SETTINGS_IMPORT:
		atelierd_ok = atelierd_import_weights(&settings, &atelierd_err);
		break;
	case SETTINGS_RUN:
		atelierd_ok = node_run(&settings, &atelierd_err);
		break;
	case SETTINGS_WRONG:
		atelierd_ok = false;
		break;
	}
	settings_clear(&settings);
	if (atelierd_ok)
		return EXIT_SUCCESS;
	fprintf(stderr, "Error: %s\n", atelierd_err.text);
	return EXIT_FAILURE;
}
