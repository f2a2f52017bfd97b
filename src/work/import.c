/* The spec and the initial state of a chain that begins with weights there are. */
#include "work/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "ml/files/gguf.h"
#include "ml/files/huggingface.h"
#include "ml/files/safetensors.h"
#include "ml/files/weights.h"
#include "rpc/json.h"
#include "store/out_file.h"
#include "store/progress.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { IMPORT_CONFIG_MAX = 1 << 20 };
#define IMPORT_WEIGHTS_MAX (((size_t)1 << 30) + (1 << 24)) /* 2^28 parameters and a header */

struct import {
	const char *spec_path;
	char *weights_path;         /* the file itself */
	char *name;                 /* SPEC's, without folder and ".json" */
	char *target_name, *target; /* the file to be written, without and with its folder */
	struct buf weights, text;   /* what was read, the spec to be written */
	json_t *json;               /* the spec */
	struct spec spec;
	struct state *state;
	char root[65];
};

/* --- what there is --- */

static bool import_read_weights(struct import *import, const char *path, struct errmsg *err)
{
	import->weights_path = path_join(path, "model.safetensors");
	if (!file_exists(import->weights_path)) {
		free(import->weights_path);
		import->weights_path = mem_strdup(path);
	}
	log_info("Reading %s", import->weights_path);
	return file_read(import->weights_path, IMPORT_WEIGHTS_MAX, &import->weights, err);
}

/* Of safetensors alone: what their shapes do not tell. */
static bool import_read_config(const struct import *import, struct model_config *import_sizes, struct errmsg *err)
{
	char *import_config_path = path_beside(import->weights_path, "config.json");
	struct buf import_config;
	bool ok;

	buf_init(&import_config);
	ok = !file_exists(import_config_path) ||
		(file_read(import_config_path, IMPORT_CONFIG_MAX, &import_config, err) &&
			huggingface_read((const char *)import_config.data, import_config.size, import_sizes, err));
	buf_clear(&import_config);
	free(import_config_path);
	return ok;
}

static bool import_read_sizes(const struct import *import, struct model_config *import_sizes, struct errmsg *err)
{
	bool ok = weights_sizes(import->weights.data, import->weights.size, import_sizes, err) &&
		(gguf_is(import->weights.data, import->weights.size) || import_read_config(import, import_sizes, err));

	/* A model may be made for more: what it knows of shorter texts is what the chain trains on. */
	if (import_sizes->ctx > MODEL_CTX_MAX)
		import_sizes->ctx = MODEL_CTX_MAX;
	return ok || errmsg_wrap(err, "%s", import->weights_path);
}

/* The spec there is, or the beginning of one. */
static bool import_read_spec(struct import *import, struct errmsg *err)
{
	bool ok;

	if (!file_exists(import->spec_path)) {
		import->json = json_object();
		json_object_set_new(import->json, "name", json_text(import->name, strlen(import->name)));
		json_object_set_new(import->json, "genesis_time", json_integer(clock_wall()));
		return true;
	}
	ok = file_read(import->spec_path, SPEC_TEXT_MAX, &import->text, err);
	if (ok)
		import->json = json_parse((const char *)import->text.data, import->text.size, err);
	buf_reset(&import->text);
	if (ok && import->json != NULL && !json_is_object(import->json))
		ok = errmsg_set(err, "a spec must be a JSON object");
	return (ok && import->json != NULL) || errmsg_wrap(err, "%s", import->spec_path);
}

/* --- the spec to be --- */

/* A size of the spec and of the weights must agree, unless one of them does not tell, or the spec may choose. */
static bool import_settle_size(struct import *import, const char *import_key, uint32_t import_told, bool free_choice,
	struct errmsg *err)
{
	const json_t *import_value = json_object_get(import->json, import_key);

	if (import_value == NULL && import_told == 0)
		return errmsg_set(err,
			"%s does not tell \"%s\" of its model: put config.json beside it, or \"%s\" into %s",
			import->weights_path, import_key, import_key, import->spec_path);
	if (import_value == NULL)
		json_object_set_new(import->json, import_key, json_integer(import_told));
	else if (import_told != 0 && !free_choice &&
		(!json_is_integer(import_value) || json_integer_value(import_value) != import_told))
		return errmsg_set(err, "%s is %u in %s, and something else in %s", import_key, import_told,
			import->weights_path, import->spec_path);
	return true;
}

static bool import_compose_spec(struct import *import, struct errmsg *err)
{
	struct model_config import_sizes;

	if (!import_read_sizes(import, &import_sizes, err) || !import_read_spec(import, err) ||
		!import_settle_size(import, "d", import_sizes.d, false, err) ||
		!import_settle_size(import, "layers", import_sizes.layers, false, err) ||
		!import_settle_size(import, "heads", import_sizes.heads, false, err) ||
		!import_settle_size(import, "ff", import_sizes.ff, false, err) ||
		!import_settle_size(import, "ctx", import_sizes.ctx, true, err))
		return false;
	if (json_object_get(import->json, "initial_state") != NULL)
		return errmsg_set(err, "%s has an initial_state already", import->spec_path);
	json_object_set_new(import->json, "initial_state", json_text(import->target_name, strlen(import->target_name)));
	return true;
}

static bool import_parse_spec(struct import *import, char **import_corpus, struct errmsg *err)
{
	struct spec *import_spec = &import->spec;

	buf_reset(&import->text);
	json_print(import->json, 2, &import->text);
	buf_put_u8(&import->text, '\n');
	if (!spec_parse(import_spec, (const char *)import->text.data, import->text.size, import_corpus, err))
		return false;
	if (datadir_name_taken(import_spec->name))
		return errmsg_set(err, "the name %s is taken", import_spec->name);
	return *import_corpus == NULL || settings_read_corpus(import_spec, import->spec_path, *import_corpus, err);
}

/* The spec as a node would read it; then its root goes in, which takes nothing away from that. */
static bool import_build_spec(struct import *import, struct errmsg *err)
{
	char *import_corpus = NULL;
	bool ok;

	json_object_del(import->json, "initial_root");
	ok = import_parse_spec(import, &import_corpus, err) || errmsg_wrap(err, "%s", import->spec_path);
	free(import_corpus);
	if (!ok)
		return false;
	if (!spec_set_initial_state(&import->spec, import->weights.data, import->weights.size, err))
		return errmsg_wrap(err, "%s", import->weights_path);
	if (!spec_finish(&import->spec, err))
		return errmsg_wrap(err, "%s", import->spec_path);
	import->state = spec_initial_state(&import->spec);
	hex_encode_reversed(import->root, state_root(import->state), 32);
	json_object_set_new(import->json, "initial_root", json_string(import->root));
	buf_reset(&import->text);
	json_print(import->json, 2, &import->text);
	buf_put_u8(&import->text, '\n');
	return true;
}

/* Its genesis will be another one's, and the node refuse the folder. */
static bool import_check_unused(const struct import *import, const char *data_folder, struct errmsg *err)
{
	char *chain_folder = path_join(data_folder, import->spec.name),
	     *genesis_path = path_join(chain_folder, ".genesis");
	const bool is_unused = !file_exists(genesis_path) ||
		errmsg_set(err,
			"%.120s has a chain of the spec's name, which began otherwise: choose another name, or another "
			"-datadir",
			chain_folder);

	free(genesis_path);
	free(chain_folder);
	return is_unused;
}

/* --- writing --- */

struct import_writing {
	struct out_file file;
	struct progress progress;
};

static bool import_put_bytes(void *context, const void *data, size_t size, struct errmsg *err)
{
	struct import_writing *import_writing = context;

	if (!out_file_put(&import_writing->file, data, size, err))
		return false;
	progress_add(&import_writing->progress, size);
	return true;
}

/* Not file_write_atomic: what lies beside it by the name of its temporary file is somebody's. */
static bool import_write_spec(const struct import *import, struct errmsg *err)
{
	struct out_file import_file;
	bool ok = out_file_open(&import_file, import->spec_path, true, err) &&
		out_file_put(&import_file, import->text.data, import->text.size, err) &&
		out_file_commit(&import_file, err);

	out_file_clear(&import_file);
	return ok;
}

/* The weights first: a spec that names a file which is not there would keep every node from starting. */
static bool import_write_files(const struct import *import, struct errmsg *err)
{
	struct tensorfile_source source = {
		.config = state_config(import->state),
		.theta = state_theta(import->state),
		.name = import->spec.name,
		.root = import->root,
	};
	struct import_writing import_writing;
	struct tensorfile_sink sink = { import_put_bytes, &import_writing };
	bool ok;

	progress_init(&import_writing.progress, "Writing", import->target, safetensors_size(&source));
	ok = out_file_open(&import_writing.file, import->target, false, err) &&
		safetensors_write(&source, &sink, err) && out_file_commit(&import_writing.file, err) &&
		import_write_spec(import, err);
	out_file_clear(&import_writing.file);
	return ok;
}

static json_t *import_describe(const struct import *import)
{
	const struct model_config *import_sizes = &spec_course(&import->spec)->train.model;
	json_t *import_json = json_object();

	json_object_set_new(import_json, "spec", json_text(import->spec_path, strlen(import->spec_path)));
	json_object_set_new(import_json, "initial_state", json_text(import->target, strlen(import->target)));
	json_object_set_new(import_json, "d", json_integer(import_sizes->d));
	json_object_set_new(import_json, "layers", json_integer(import_sizes->layers));
	json_object_set_new(import_json, "heads", json_integer(import_sizes->heads));
	json_object_set_new(import_json, "ff", json_integer(import_sizes->ff));
	json_object_set_new(import_json, "ctx", json_integer(import_sizes->ctx));
	json_object_set_new(import_json, "parameters", json_integer((json_int_t)model_count(import_sizes)));
	json_object_set_new(import_json, "model_root", json_hash(state_root(import->state)));
	json_object_set_new(import_json, "genesis", json_hash(import->spec.genesis_id));
	return import_json;
}

/* --- the whole --- */

static void import_begin(struct import *import, const char *spec_path)
{
	const char *import_slash = strrchr(spec_path, '/'),
		   *import_name = import_slash == NULL ? spec_path : import_slash + 1;
	size_t import_name_size = strlen(import_name);

	*import = (struct import){ .spec_path = spec_path, .name = mem_strdup(import_name) };
	if (import_name_size > 5 && strcmp(import_name + import_name_size - 5, ".json") == 0)
		import->name[import_name_size - 5] = '\0';
	import->target_name = mem_alloc(import_name_size + sizeof ".safetensors");
	sprintf(import->target_name, "%s.safetensors", import->name);
	import->target = path_beside(spec_path, import->target_name);
	buf_init(&import->weights);
	buf_init(&import->text);
}

static void import_end(struct import *import)
{
	free(import->weights_path);
	free(import->name);
	free(import->target_name);
	free(import->target);
	buf_clear(&import->weights);
	buf_clear(&import->text);
	json_decref(import->json);
	state_unref(import->state);
	spec_clear(&import->spec);
}

json_t *import_model(const char *weights_path, const char *spec_path, const char *data_folder, struct errmsg *err)
{
	json_t *import_described;
	struct import import;
	bool ok;

	import_begin(&import, spec_path);
	ok = import_read_weights(&import, weights_path, err) && import_compose_spec(&import, err) &&
		import_build_spec(&import, err) && import_check_unused(&import, data_folder, err) &&
		import_write_files(&import, err);
	import_described = ok ? import_describe(&import) : NULL;
	import_end(&import);
	return import_described;
}
