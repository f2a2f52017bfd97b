/* The model itself: weights as files, and what it makes of a text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "calls/training/trained.h"
#include "ml/files/card.h"
#include "ml/files/gguf.h"
#include "ml/files/huggingface.h"
#include "ml/files/safetensors.h"
#include "store/out_file.h"
#include "store/progress.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "work/exports.h"

/* Each call that waits holds on to a state, and so to all of its memory, however far the chain moves on meanwhile. */
enum { MODEL_CALLS_MAX = 16 };

struct calls_model {
	struct chain *chain;
	const struct settings *settings;
	struct queue *queue;
	atomic_bool cancel;
	size_t running;
};

/* Both calls have room for one more job, or the answer is this. */
static bool model_has_room(const struct calls_model *model_calls, struct rpc_request *model_request)
{
	if (model_calls->running < MODEL_CALLS_MAX)
		return true;
	rpc_fail(model_request, RPC_MISC_ERROR, "%d calls that read the model are waiting already", MODEL_CALLS_MAX);
	return false;
}

/* --- exportmodel --- */

enum export_format { EXPORT_SAFETENSORS, EXPORT_GGUF, EXPORT_GGUF_8_BITS, EXPORT_FORMATS };
static const char *const export_format_names[EXPORT_FORMATS] = { "safetensors", "gguf", "gguf-q8_0" };

/* The files of a safetensors folder; the last one holds the weights. A GGUF is one file. */
enum { EXPORT_FILES_MAX = 5 };
static const char *const export_file_names[EXPORT_FILES_MAX] = {
	"README.md",
	"config.json",
	"tokenizer.json",
	"tokenizer_config.json",
	"model.safetensors",
};

struct model_export {
	struct calls_model *model_calls;
	struct rpc_request *request;
	struct state *state;
	struct trained trained;
	uint32_t height;
	enum export_format format;
	char *path;
	bool overwrite;
	char name[64], root[65];
	/* Worker: */
	struct out_file files[EXPORT_FILES_MAX];
	size_t file_count;
	struct progress progress; /* of the weights' file */
	bool ok;
	struct errmsg err;
};

static bool export_put_weights(void *context, const void *data, size_t size, struct errmsg *err)
{
	struct model_export *exporting = context;

	/* calls_model_close waits for this worker: an export that takes minutes ends with the piece it is at. */
	if (atomic_load(&exporting->model_calls->cancel))
		return errmsg_set(err, "The node is shutting down");
	if (!out_file_put(&exporting->files[exporting->file_count - 1], data, size, err))
		return false;
	progress_add(&exporting->progress, size);
	return true;
}

/* A file of the export: `name` in the folder, or the path itself. */
static char *export_file_path(const struct model_export *exporting, const char *name)
{
	return name == NULL ? mem_strdup(exporting->path) : path_join(exporting->path, name);
}

static bool export_may_write(const struct model_export *exporting, const char *name, struct errmsg *err)
{
	char *export_path = export_file_path(exporting, name);
	bool may_be_written = exports_check(exporting->model_calls->settings, export_path, err);

	free(export_path);
	return may_be_written;
}

static bool export_open_next(struct model_export *exporting, const char *name, struct errmsg *err)
{
	char *export_path = export_file_path(exporting, name);
	/* Counted whether it opens or not: export_run clears all that are counted. */
	bool is_open = out_file_open(&exporting->files[exporting->file_count++], export_path, exporting->overwrite,
		err);

	free(export_path);
	return is_open;
}

static struct tensorfile_source export_source(const struct model_export *exporting)
{
	return (struct tensorfile_source){
		.config = state_config(exporting->state),
		.theta = state_theta(exporting->state),
		.name = exporting->name,
		.root = exporting->root,
		.datasets = exporting->trained.datasets,
		.dataset_count = exporting->trained.count,
	};
}

/* What stands beside the weights. */
static bool export_write_texts(struct model_export *exporting, struct errmsg *err)
{
	const struct tensorfile_source card_source = export_source(exporting);
	bool is_written = true;

	for (size_t i = 0; i < EXPORT_FILES_MAX - 1 && is_written; i++) {
		struct buf file_text;

		buf_init(&file_text);
		if (i == 0)
			card_write(&card_source, &file_text);
		else if (i == 1)
			huggingface_config(card_source.config, &file_text);
		else if (i == 2)
			huggingface_tokenizer(&file_text);
		else
			huggingface_tokenizer_config(card_source.config, &file_text);
		is_written = export_open_next(exporting, export_file_names[i], err) &&
			out_file_put(&exporting->files[i], file_text.data, file_text.size, err);
		buf_clear(&file_text);
	}
	return is_written;
}

static bool export_write_weights(struct model_export *exporting, struct errmsg *err)
{
	struct tensorfile_source weights_source = export_source(exporting);
	struct tensorfile_sink weights_sink = { export_put_weights, exporting };

	switch (exporting->format) {
	case EXPORT_SAFETENSORS:
		progress_init(&exporting->progress, "Exporting the model to", exporting->path,
			safetensors_size(&weights_source));
		return safetensors_write(&weights_source, &weights_sink, err);
	case EXPORT_GGUF:
		progress_init(&exporting->progress, "Exporting the model to", exporting->path,
			gguf_size(&weights_source, GGUF_F32));
		return gguf_write(&weights_source, GGUF_F32, &weights_sink, err);
	case EXPORT_GGUF_8_BITS:
		progress_init(&exporting->progress, "Exporting the model to", exporting->path,
			gguf_size(&weights_source, GGUF_Q8_0));
		return gguf_write(&weights_source, GGUF_Q8_0, &weights_sink, err);
	case EXPORT_FORMATS:
		break;
	}
	return false;
}

/* Nothing has its name before all is written. */
static bool export_write_files(struct model_export *exporting, struct errmsg *err)
{
	bool is_folder = exporting->format == EXPORT_SAFETENSORS;

	/* All names first: an export that is refused leaves nothing behind. */
	for (size_t i = 0; i < (is_folder ? EXPORT_FILES_MAX : 1); i++)
		if (!export_may_write(exporting, is_folder ? export_file_names[i] : NULL, err))
			return false;
	if (is_folder && (!dir_make(exporting->path, err) || !export_write_texts(exporting, err)))
		return false;
	if (!export_open_next(exporting, is_folder ? export_file_names[EXPORT_FILES_MAX - 1] : NULL, err) ||
		!export_write_weights(exporting, err))
		return false;
	for (size_t i = 0; i < exporting->file_count; i++)
		if (!out_file_commit(&exporting->files[i], err))
			return false;
	return true;
}

/* On the worker. What has no name yet when it ends (an error, the end of the node) is removed. */
static void export_run(void *arg)
{
	struct model_export *exporting = arg;

	exporting->ok = export_write_files(exporting, &exporting->err);
	for (size_t i = 0; i < exporting->file_count; i++)
		out_file_clear(&exporting->files[i]);
}

static json_t *export_describe(const struct model_export *exporting)
{
	json_t *exported = json_object();

	json_object_set_new(exported, "path", json_text(exporting->path, strlen(exporting->path)));
	json_object_set_new(exported, "format", json_string(export_format_names[exporting->format]));
	json_object_set_new(exported, "bytes", json_integer((json_int_t)exporting->progress.done));
	json_object_set_new(exported, "parameters",
		json_integer((json_int_t)model_count(state_config(exporting->state))));
	json_object_set_new(exported, "height", json_integer(exporting->height));
	json_object_set_new(exported, "model_root", json_hash(state_root(exporting->state)));
	return exported;
}

static void export_done(void *arg, bool cancelled)
{
	struct model_export *exporting = arg;

	if (cancelled)
		rpc_fail(exporting->request, RPC_MISC_ERROR, "The node is shutting down");
	else if (!exporting->ok)
		rpc_fail(exporting->request, RPC_MISC_ERROR, "%s", exporting->err.text);
	else {
		log_info("Exported the model of height %u to %s", exporting->height, exporting->path);
		rpc_reply(exporting->request, export_describe(exporting));
	}
	exporting->model_calls->running--;
	state_unref(exporting->state);
	trained_clear(&exporting->trained);
	free(exporting->path);
	free(exporting);
}

static const struct rpc_arg exportmodel_args[] = {
	{ .name = "path",
		.type = RPC_TEXT,
		.max = 4000,
		.help = "Where to: a folder for safetensors, else a file. A relative one lies in the folder exports of "
			"the chain's data folder; the rest of the data directory is the node's own." },
	{ .name = "format",
		.type = RPC_TEXT,
		.optional = true,
		.help = "safetensors: 32-bit weights with configuration and tokenizer, for Hugging Face's "
			"transformers. gguf, gguf-q8_0: one file for llama.cpp, with 32-bit or with 8-bit weights. If "
			"left out: gguf where the path ends with .gguf, else safetensors." },
	{ .name = "overwrite",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Replace files that have the names already." },
	{ 0 },
};

/* EXPORT_FORMATS: there is none of that name. A folder of safetensors that is called model.gguf helps nobody. */
static enum export_format export_format_of(const struct rpc_request *model_request)
{
	const char *path = rpc_text(model_request, "path");
	const size_t path_size = strlen(path);
	enum export_format format = EXPORT_SAFETENSORS;

	if (!rpc_has(model_request, "format"))
		return path_size >= 5 && strcmp(path + path_size - 5, ".gguf") == 0 ? EXPORT_GGUF : EXPORT_SAFETENSORS;
	while (format < EXPORT_FORMATS && strcmp(rpc_text(model_request, "format"), export_format_names[format]) != 0)
		format++;
	return format;
}

static enum rpc_outcome call_exportmodel(struct rpc_request *model_request, void *context)
{
	struct calls_model *model_calls = context;
	const enum export_format format = export_format_of(model_request);
	struct model_export *exporting;

	if (format == EXPORT_FORMATS)
		return rpc_fail(model_request, RPC_INVALID_PARAMETER, "format must be safetensors, gguf or gguf-q8_0");
	if (rpc_text(model_request, "path")[0] == '\0')
		return rpc_fail(model_request, RPC_INVALID_PARAMETER, "path is empty");
	if (!model_has_room(model_calls, model_request))
		return RPC_DONE;
	exporting = mem_calloc(1, sizeof *exporting);
	exporting->model_calls = model_calls;
	exporting->request = model_request;
	/* State, height and data of one tip: the loop takes them before any other block can come. */
	exporting->state = chain_state(model_calls->chain);
	exporting->height = chain_tip(model_calls->chain)->height;
	trained_gather(model_calls->chain, &exporting->trained);
	hex_encode_reversed(exporting->root, state_root(exporting->state), 32);
	exporting->format = format;
	exporting->path = exports_path(model_calls->settings, rpc_text(model_request, "path"));
	exporting->overwrite = rpc_bool(model_request, "overwrite");
	snprintf(exporting->name, sizeof exporting->name, "Atelier %s height %u", chain_spec(model_calls->chain)->name,
		exporting->height);
	model_calls->running++;
	queue_post(model_calls->queue,
		&(struct queue_job){
			.kind = QUEUE_FILE,
			.rank = QUEUE_FILE_RANKS - 1,
			.owner = model_calls,
			.run = export_run,
			.done = export_done,
			.arg = exporting,
		});
	return RPC_PENDING;
}

static const struct rpc_method model_methods[] = {
	{ "exportmodel", "Training", call_exportmodel, exportmodel_args,
		"Writes the present model's weights for the tools that people use, and with them what they were "
		"trained on: titles, licences, owners, sizes, shares, roots. Token b of its vocabulary is byte b.",
		"{\"path\": \"text\", \"format\": \"text\", \"bytes\": n, \"parameters\": n, "
		"\"height\": n, \"model_root\": \"hex\"}",
		"model.gguf gguf", 0 },
};

struct calls_model *calls_model_new(struct rpc_table *table, struct chain *chain, struct queue *queue,
	const struct settings *settings)
{
	struct calls_model *model_calls = mem_calloc(1, sizeof *model_calls);

	model_calls->chain = chain;
	model_calls->settings = settings;
	model_calls->queue = queue;
	rpc_table_add(table, model_methods, sizeof model_methods / sizeof *model_methods, model_calls);
	return model_calls;
}

void calls_model_close(struct calls_model *model_calls)
{
	atomic_store(&model_calls->cancel, true);
	queue_leave(model_calls->queue, model_calls);
}

void calls_model_free(struct calls_model *model_calls)
{
	free(model_calls);
}
