/* The model itself: weights as files, and what it makes of a text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "ml/files/gguf.h"
#include "ml/files/huggingface.h"
#include "ml/files/safetensors.h"
#include "ml/generate.h"
#include "store/out_file.h"
#include "store/progress.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "work/exports.h"

/* Each call that waits holds on to a state, and so to all of its memory, however far the chain moves on meanwhile. */
enum { RUNNING_MAX = 16 };

struct calls_model {
	struct chain *chain;
	const struct settings *settings;
	struct queue *queue;
	atomic_bool cancel;
	size_t running;
};

/* Both calls have room for one more job, or the answer is this. */
static bool has_room(const struct calls_model *calls, struct rpc_request *r)
{
	if (calls->running < RUNNING_MAX)
		return true;
	rpc_fail(r, RPC_MISC_ERROR, "%d calls that read the model are waiting already", RUNNING_MAX);
	return false;
}

/* --- exportmodel --- */

enum format { SAFETENSORS, GGUF, GGUF_8_BITS, FORMATS };
static const char *const format_names[FORMATS] = { "safetensors", "gguf", "gguf-q8_0" };

/* The files of a safetensors folder; the last one holds the weights. A GGUF is one file. */
enum { FILES_MAX = 4 };
static const char *const file_names[FILES_MAX] = {
	"config.json",
	"tokenizer.json",
	"tokenizer_config.json",
	"model.safetensors",
};

struct export
{
	struct calls_model *calls;
	struct rpc_request *request;
	struct state *state;
	uint32_t height;
	enum format format;
	char *path;
	bool overwrite;
	char name[64];
	/* Worker: */
	struct out_file files[FILES_MAX];
	size_t file_count;
	struct progress progress; /* of the weights' file */
	bool ok;
	struct errmsg err;
};

static bool put_weights(void *context, const void *data, size_t size, struct errmsg *err)
{
	struct export *e = context;

	/* calls_model_close waits for this worker: an export that takes minutes ends with the piece it is at. */
	if (atomic_load(&e->calls->cancel))
		return errmsg_set(err, "The node is shutting down");
	if (!out_file_put(&e->files[e->file_count - 1], data, size, err))
		return false;
	progress_add(&e->progress, size);
	return true;
}

/* A file of the export: `name` in the folder, or the path itself. */
static char *file_path(const struct export *e, const char *name)
{
	return name == NULL ? mem_strdup(e->path) : path_join(e->path, name);
}

static bool may_write(const struct export *e, const char *name, struct errmsg *err)
{
	char *path = file_path(e, name);
	bool ok = exports_check(e->calls->settings, path, err);

	free(path);
	return ok;
}

static bool open_next(struct export *e, const char *name, struct errmsg *err)
{
	char *path = file_path(e, name);
	/* Counted whether it opens or not: export_run clears all that are counted. */
	bool ok = out_file_open(&e->files[e->file_count++], path, e->overwrite, err);

	free(path);
	return ok;
}

static bool write_json_files(struct export *e, struct errmsg *err)
{
	const struct model_config *config = state_config(e->state);
	bool ok = true;

	for (size_t i = 0; i < FILES_MAX - 1 && ok; i++) {
		struct buf text;

		buf_init(&text);
		if (i == 0)
			huggingface_config(config, &text);
		else if (i == 1)
			huggingface_tokenizer(&text);
		else
			huggingface_tokenizer_config(config, &text);
		ok = open_next(e, file_names[i], err) && out_file_put(&e->files[i], text.data, text.size, err);
		buf_clear(&text);
	}
	return ok;
}

static bool write_weights(struct export *e, struct errmsg *err)
{
	char root[65];
	struct tensorfile_source source = { state_config(e->state), state_theta(e->state), e->name, root };
	struct tensorfile_sink sink = { put_weights, e };

	hex_encode_reversed(root, state_root(e->state), 32);
	switch (e->format) {
	case SAFETENSORS:
		progress_init(&e->progress, "Exporting the model to", e->path, safetensors_size(&source));
		return safetensors_write(&source, &sink, err);
	case GGUF:
		progress_init(&e->progress, "Exporting the model to", e->path, gguf_size(&source, GGUF_F32));
		return gguf_write(&source, GGUF_F32, &sink, err);
	case GGUF_8_BITS:
		progress_init(&e->progress, "Exporting the model to", e->path, gguf_size(&source, GGUF_Q8_0));
		return gguf_write(&source, GGUF_Q8_0, &sink, err);
	case FORMATS:
		break;
	}
	return false;
}

/* Nothing has its name before all is written. */
static bool write_files(struct export *e, struct errmsg *err)
{
	bool is_folder = e->format == SAFETENSORS;

	/* All names first: an export that is refused leaves nothing behind. */
	for (size_t i = 0; i < (is_folder ? FILES_MAX : 1); i++)
		if (!may_write(e, is_folder ? file_names[i] : NULL, err))
			return false;
	if (is_folder && (!dir_make(e->path, err) || !write_json_files(e, err)))
		return false;
	if (!open_next(e, is_folder ? file_names[FILES_MAX - 1] : NULL, err) || !write_weights(e, err))
		return false;
	for (size_t i = 0; i < e->file_count; i++)
		if (!out_file_commit(&e->files[i], err))
			return false;
	return true;
}

/* On the worker. What has no name yet when it ends (an error, the end of the node) is removed. */
static void export_run(void *arg)
{
	struct export *e = arg;

	e->ok = write_files(e, &e->err);
	for (size_t i = 0; i < e->file_count; i++)
		out_file_clear(&e->files[i]);
}

static json_t *describe_file(const struct export *e)
{
	json_t *object = json_object();

	json_object_set_new(object, "path", json_text(e->path, strlen(e->path)));
	json_object_set_new(object, "format", json_string(format_names[e->format]));
	json_object_set_new(object, "bytes", json_integer((json_int_t)e->progress.done));
	json_object_set_new(object, "parameters", json_integer((json_int_t)model_count(state_config(e->state))));
	json_object_set_new(object, "height", json_integer(e->height));
	json_object_set_new(object, "model_root", json_hash(state_root(e->state)));
	return object;
}

static void export_done(void *arg, bool cancelled)
{
	struct export *e = arg;

	if (cancelled)
		rpc_fail(e->request, RPC_MISC_ERROR, "The node is shutting down");
	else if (!e->ok)
		rpc_fail(e->request, RPC_MISC_ERROR, "%s", e->err.text);
	else {
		log_info("Exported the model of height %u to %s", e->height, e->path);
		rpc_reply(e->request, describe_file(e));
	}
	e->calls->running--;
	state_unref(e->state);
	free(e->path);
	free(e);
}

static const struct rpc_arg exportmodel_args[] = {
	{ .name = "path",
		.type = RPC_TEXT,
		.max = 4000,
		.help = "Where to: a folder for safetensors, else a file. A relative one lies in the folder exports of "
			"the chain's data folder; the rest of the data directory is the node's own." },
	{ .name = "format",
		.type = RPC_TEXT,
		.fallback = "\"safetensors\"",
		.help = "safetensors: 32-bit weights with configuration and tokenizer, for Hugging Face's "
			"transformers. gguf, gguf-q8_0: one file for llama.cpp, with 32-bit or with 8-bit weights." },
	{ .name = "overwrite",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Replace files that have the names already." },
	{ 0 },
};

static enum rpc_outcome call_exportmodel(struct rpc_request *r, void *context)
{
	struct calls_model *calls = context;
	enum format format = SAFETENSORS;
	struct export *e;

	while (format < FORMATS && strcmp(rpc_text(r, "format"), format_names[format]) != 0)
		format++;
	if (format == FORMATS)
		return rpc_fail(r, RPC_INVALID_PARAMETER, "format must be safetensors, gguf or gguf-q8_0");
	if (rpc_text(r, "path")[0] == '\0')
		return rpc_fail(r, RPC_INVALID_PARAMETER, "path is empty");
	if (!has_room(calls, r))
		return RPC_DONE;
	e = mem_calloc(1, sizeof *e);
	e->calls = calls;
	e->request = r;
	/* State and height of one tip: the loop takes both before any other block can come. */
	e->state = chain_state(calls->chain);
	e->height = chain_tip(calls->chain)->height;
	e->format = format;
	e->path = exports_path(calls->settings, rpc_text(r, "path"));
	e->overwrite = rpc_bool(r, "overwrite");
	snprintf(e->name, sizeof e->name, "Atelier %s height %u", chain_spec(calls->chain)->name, e->height);
	calls->running++;
	queue_post(calls->queue,
		&(struct queue_job){
			.kind = QUEUE_FILE,
			.owner = calls,
			.run = export_run,
			.done = export_done,
			.arg = e,
		});
	return RPC_PENDING;
}

/* --- getlogits --- */

struct question {
	struct calls_model *calls;
	struct rpc_request *request;
	struct state *state;
	uint32_t height;
	struct buf text;
	struct logits logits;
};

/* On the worker, as export_run. */
static void question_run(void *arg)
{
	struct question *q = arg;

	generate_logits(q->state, q->text.data, q->text.size, &q->logits);
}

static void question_done(void *arg, bool cancelled)
{
	struct question *q = arg;

	if (cancelled) {
		rpc_fail(q->request, RPC_MISC_ERROR, "The node is shutting down");
	} else {
		json_t *object = json_object();

		json_object_set_new(object, "logits", show_logits(&q->logits));
		json_object_set_new(object, "height", json_integer(q->height));
		json_object_set_new(object, "model_root", json_hash(state_root(q->state)));
		rpc_reply(q->request, object);
	}
	q->calls->running--;
	state_unref(q->state);
	buf_clear(&q->text);
	free(q);
}

static const struct rpc_arg getlogits_args[] = {
	{ .name = "text",
		.type = RPC_HEX,
		/* The largest of any chain; this chain's is not known to a table, and is looked at in the call. */
		.max = MODEL_CTX_MAX,
		.help = "1 byte at least, as many as the context at most." },
	{ 0 },
};

static enum rpc_outcome call_getlogits(struct rpc_request *r, void *context)
{
	struct calls_model *calls = context;
	uint32_t most = spec_course(chain_spec(calls->chain))->train.model.ctx;
	struct question *q;

	if (!has_room(calls, r))
		return RPC_DONE;
	q = mem_calloc(1, sizeof *q);
	buf_init(&q->text);
	rpc_hex(r, "text", &q->text);
	if (q->text.size < 1 || q->text.size > most) {
		enum rpc_outcome outcome = rpc_fail(r, RPC_INVALID_PARAMETER,
			"text has %zu bytes, and must have 1 to %u", q->text.size, most);

		buf_clear(&q->text);
		free(q);
		return outcome;
	}
	q->calls = calls;
	q->request = r;
	q->state = chain_state(calls->chain);
	q->height = chain_tip(calls->chain)->height;
	calls->running++;
	queue_post(calls->queue,
		&(struct queue_job){
			.kind = QUEUE_GENERATE,
			.owner = calls,
			.run = question_run,
			.done = question_done,
			.arg = q,
		});
	return RPC_PENDING;
}

static const struct rpc_method methods[] = {
	{ "exportmodel", "Training", call_exportmodel, exportmodel_args,
		"Writes the present model's weights for the tools that people use. "
		"Token b of its vocabulary is byte b.",
		"{\"path\": \"text\", \"format\": \"text\", \"bytes\": n, \"parameters\": n, "
		"\"height\": n, \"model_root\": \"hex\"}",
		"model.gguf gguf", 0 },
	{ "getlogits", "Training", call_getlogits, getlogits_args,
		"What the present model makes of a text: a number for each byte that may follow, "
		"the likeliest has the largest.",
		"{\"logits\": [n, ...], \"height\": n, \"model_root\": \"hex\"}  (256 numbers)", "546865", 0 },
};

struct calls_model *calls_model_new(struct rpc_table *table, struct chain *chain, struct queue *queue,
	const struct settings *settings)
{
	struct calls_model *calls = mem_calloc(1, sizeof *calls);

	calls->chain = chain;
	calls->settings = settings;
	calls->queue = queue;
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, calls);
	return calls;
}

void calls_model_close(struct calls_model *calls)
{
	atomic_store(&calls->cancel, true);
	queue_leave(calls->queue, calls);
}

void calls_model_free(struct calls_model *calls)
{
	free(calls);
}
