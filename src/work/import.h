/* `atelierd -importmodel=WEIGHTS -chainspec=SPEC`: a chain that begins with a model there is already.
 *
 * WEIGHTS is a file that ml/files/tensorfile.h reads, or a folder with a model.safetensors; a config.json beside
 * safetensors tells what those do not. SPEC is completed, or written if there is none: the sizes of the model, the name
 * of the file with the initial state, and its model_root. That file is written beside SPEC, with SPEC's name and
 * ".safetensors"; all of the model in F32, whatever WEIGHTS was. Nothing is written unless a node could start with it;
 * nor where the data directory has a chain of that name, which would be left without its spec.
 */
#ifndef ATELIER_WORK_IMPORT_H
#define ATELIER_WORK_IMPORT_H

#include <jansson.h>

#include "util/error.h"

/* What was made, as a new JSON object; NULL with the reason. Progress goes to the log. */
json_t *import_model(const char *weights_path, const char *spec_path, const char *data_folder, struct errmsg *err);

#endif
