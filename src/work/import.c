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

enum { CONFIG_FILE_MAX = 1 << 20 };
#define WEIGHTS_FILE_MAX (((size_t)1 << 30) + (1 << 20)) /* 2^28 parameters and a header */

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

static bool read_weights(struct import *i, const char *path, struct errmsg *err)
{
	i->weights_path = path_join(path, "model.safetensors");
	if (!file_exists(i->weights_path)) {
		free(i->weights_path);
		i->weights_path = mem_strdup(path);
	}
	log_info("Reading %s", i->weights_path);
	return file_read(i->weights_path, WEIGHTS_FILE_MAX, &i->weights, err);
}

/* Of safetensors alone: what their shapes do not tell. */
static bool read_config(const struct import *i, struct model_config *sizes, struct errmsg *err)
{
	char *path = path_beside(i->weights_path, "config.json");
	struct buf text;
	bool ok;

	buf_init(&text);
	ok = !file_exists(path) ||
		(file_read(path, CONFIG_FILE_MAX, &text, err) &&
			huggingface_read((const char *)text.data, text.size, sizes, err));
	buf_clear(&text);
	free(path);
	return ok;
}

static bool read_sizes(const struct import *i, struct model_config *sizes, struct errmsg *err)
{
	bool ok = weights_sizes(i->weights.data, i->weights.size, sizes, err) &&
		(gguf_is(i->weights.data, i->weights.size) || read_config(i, sizes, err));

	/* A model may be made for more: what it knows of shorter texts is what the chain trains on. */
	if (sizes->ctx > MODEL_CTX_MAX)
		sizes->ctx = MODEL_CTX_MAX;
	return ok || errmsg_wrap(err, "%s", i->weights_path);
}

/* The spec there is, or the beginning of one. */
static bool read_spec(struct import *i, struct errmsg *err)
{
	bool ok;

	if (!file_exists(i->spec_path)) {
		i->json = json_object();
		json_object_set_new(i->json, "name", json_text(i->name, strlen(i->name)));
		json_object_set_new(i->json, "genesis_time", json_integer(clock_wall()));
		return true;
	}
	ok = file_read(i->spec_path, SPEC_TEXT_MAX, &i->text, err);
	if (ok)
		i->json = json_parse((const char *)i->text.data, i->text.size, err);
	buf_reset(&i->text);
	if (ok && i->json != NULL && !json_is_object(i->json))
		ok = errmsg_set(err, "a spec must be a JSON object");
	return (ok && i->json != NULL) || errmsg_wrap(err, "%s", i->spec_path);
}

/* --- the spec to be --- */

/* A size of the spec and of the weights must agree, unless one of them does not tell, or the spec may choose. */
static bool settle_size(struct import *i, const char *name, uint32_t told, bool free_choice, struct errmsg *err)
{
	const json_t *value = json_object_get(i->json, name);

	if (value == NULL && told == 0)
		return errmsg_set(err,
			"%s does not tell \"%s\" of its model: put config.json beside it, or \"%s\" into %s",
			i->weights_path, name, name, i->spec_path);
	if (value == NULL)
		json_object_set_new(i->json, name, json_integer(told));
	else if (told != 0 && !free_choice && (!json_is_integer(value) || json_integer_value(value) != told))
		return errmsg_set(err, "%s is %u in %s, and something else in %s", name, told, i->weights_path,
			i->spec_path);
	return true;
}

static bool compose_spec(struct import *i, struct errmsg *err)
{
	struct model_config sizes;

	if (!read_sizes(i, &sizes, err) || !read_spec(i, err) || !settle_size(i, "d", sizes.d, false, err) ||
		!settle_size(i, "layers", sizes.layers, false, err) ||
		!settle_size(i, "heads", sizes.heads, false, err) || !settle_size(i, "ff", sizes.ff, false, err) ||
		!settle_size(i, "ctx", sizes.ctx, true, err))
		return false;
	if (json_object_get(i->json, "initial_state") != NULL)
		return errmsg_set(err, "%s has an initial_state already", i->spec_path);
	json_object_set_new(i->json, "initial_state", json_text(i->target_name, strlen(i->target_name)));
	return true;
}

static bool parse_spec(struct import *i, char **corpus, struct errmsg *err)
{
	struct spec *spec = &i->spec;

	buf_reset(&i->text);
	json_print(i->json, 2, &i->text);
	buf_put_u8(&i->text, '\n');
	if (!spec_parse(spec, (const char *)i->text.data, i->text.size, corpus, err))
		return false;
	if (datadir_name_taken(spec->name))
		return errmsg_set(err, "the name %s is taken", spec->name);
	return *corpus == NULL || settings_read_corpus(spec, i->spec_path, *corpus, err);
}

/* The spec as a node would read it; then its root goes in, which takes nothing away from that. */
static bool build_spec(struct import *i, struct errmsg *err)
{
	char *corpus = NULL;
	bool ok;

	json_object_del(i->json, "initial_root");
	ok = parse_spec(i, &corpus, err) || errmsg_wrap(err, "%s", i->spec_path);
	free(corpus);
	if (!ok)
		return false;
	if (!spec_set_initial_state(&i->spec, i->weights.data, i->weights.size, err))
		return errmsg_wrap(err, "%s", i->weights_path);
	if (!spec_finish(&i->spec, err))
		return errmsg_wrap(err, "%s", i->spec_path);
	i->state = spec_initial_state(&i->spec);
	hex_encode_reversed(i->root, state_root(i->state), 32);
	json_object_set_new(i->json, "initial_root", json_string(i->root));
	buf_reset(&i->text);
	json_print(i->json, 2, &i->text);
	buf_put_u8(&i->text, '\n');
	return true;
}

/* --- writing --- */

struct writing {
	struct out_file file;
	struct progress progress;
};

static bool put_bytes(void *context, const void *data, size_t size, struct errmsg *err)
{
	struct writing *w = context;

	if (!out_file_put(&w->file, data, size, err))
		return false;
	progress_add(&w->progress, size);
	return true;
}

/* Not file_write_atomic: what lies beside it by the name of its temporary file is somebody's. */
static bool write_spec(const struct import *i, struct errmsg *err)
{
	struct out_file file;
	bool ok = out_file_open(&file, i->spec_path, true, err) &&
		out_file_put(&file, i->text.data, i->text.size, err) && out_file_commit(&file, err);

	out_file_clear(&file);
	return ok;
}

/* The weights first: a spec that names a file which is not there would keep every node from starting. */
static bool write_files(const struct import *i, struct errmsg *err)
{
	struct tensorfile_source source = { state_config(i->state), state_theta(i->state), i->spec.name, i->root };
	struct writing w;
	struct tensorfile_sink sink = { put_bytes, &w };
	bool ok;

	progress_init(&w.progress, "Writing", i->target, safetensors_size(&source));
	ok = out_file_open(&w.file, i->target, false, err) && safetensors_write(&source, &sink, err) &&
		out_file_commit(&w.file, err) && write_spec(i, err);
	out_file_clear(&w.file);
	return ok;
}

static json_t *describe_import(const struct import *i)
{
	const struct model_config *sizes = &spec_course(&i->spec)->train.model;
	json_t *object = json_object();

	json_object_set_new(object, "spec", json_text(i->spec_path, strlen(i->spec_path)));
	json_object_set_new(object, "initial_state", json_text(i->target, strlen(i->target)));
	json_object_set_new(object, "d", json_integer(sizes->d));
	json_object_set_new(object, "layers", json_integer(sizes->layers));
	json_object_set_new(object, "heads", json_integer(sizes->heads));
	json_object_set_new(object, "ff", json_integer(sizes->ff));
	json_object_set_new(object, "ctx", json_integer(sizes->ctx));
	json_object_set_new(object, "parameters", json_integer((json_int_t)model_count(sizes)));
	json_object_set_new(object, "model_root", json_hash(state_root(i->state)));
	json_object_set_new(object, "genesis", json_hash(i->spec.genesis_id));
	return object;
}

/* --- the whole --- */

static void import_begin(struct import *i, const char *spec_path)
{
	const char *slash = strrchr(spec_path, '/'), *name = slash == NULL ? spec_path : slash + 1;
	size_t size = strlen(name);

	*i = (struct import){ .spec_path = spec_path, .name = mem_strdup(name) };
	if (size > 5 && strcmp(name + size - 5, ".json") == 0)
		i->name[size - 5] = '\0';
	i->target_name = mem_alloc(size + sizeof ".safetensors");
	sprintf(i->target_name, "%s.safetensors", i->name);
	i->target = path_beside(spec_path, i->target_name);
	buf_init(&i->weights);
	buf_init(&i->text);
}

static void import_end(struct import *i)
{
	free(i->weights_path);
	free(i->name);
	free(i->target_name);
	free(i->target);
	buf_clear(&i->weights);
	buf_clear(&i->text);
	json_decref(i->json);
	state_unref(i->state);
	spec_clear(&i->spec);
}

json_t *import_model(const char *weights_path, const char *spec_path, struct errmsg *err)
{
	json_t *description;
	struct import i;
	bool ok;

	import_begin(&i, spec_path);
	ok = read_weights(&i, weights_path, err) && compose_spec(&i, err) && build_spec(&i, err) &&
		write_files(&i, err);
	description = ok ? describe_import(&i) : NULL;
	import_end(&i);
	return description;
}
