/* Files of weights: any bytes give a finite model of the sizes that were asked for, which written and read again is the
 * same, or an error that says something. The sizes that bytes tell are what a writer of them meant; a config.json is
 * read or refused. */
#include <string.h>

#include "fuzz.h"
#include "ml/files/gguf.h"
#include "ml/files/huggingface.h"
#include "ml/files/safetensors.h"
#include "ml/files/weights.h"
#include "util/mem.h"

static const struct model_config config = { .d = 16, .layers = 1, .heads = 1, .ff = 16, .ctx = 32 };

static bool put(void *context, const void *data, size_t size, struct errmsg *err)
{
	(void)err;
	buf_put(context, data, size);
	return true;
}

static void write_file(const float *theta, bool gguf, struct buf *out)
{
	struct tensorfile_source source = { .config = &config, .theta = theta, .name = "fuzz", .root = "00" };
	struct tensorfile_sink sink = { put, out };
	struct errmsg err = { "" };

	FUZZ_PROMISE(gguf ? gguf_write(&source, GGUF_F32, &sink, &err) : safetensors_write(&source, &sink, &err));
}

/* Whatever the sizes are that a file tells, it can be read by them. */
static void try_sizes(const uint8_t *data, size_t size)
{
	struct model_config told;
	struct errmsg err = { "" };

	if (!weights_sizes(data, size, &told, &err)) {
		FUZZ_PROMISE(err.text[0]);
		return;
	}
	told.heads = told.heads ? told.heads : 1;
	told.ctx = told.ctx ? told.ctx : 32;
	if (model_config_check(&told) != NULL || model_count(&told) > 1 << 20)
		return;
	float *theta = mem_align(model_count(&told) * sizeof(float));

	FUZZ_PROMISE(weights_read(&told, data, size, theta, &err) || err.text[0]);
	free(theta);
}

static void try_config(const uint8_t *data, size_t size)
{
	struct model_config told = { 0 };
	struct errmsg err = { "" };

	FUZZ_PROMISE(huggingface_read((const char *)data, size, &told, &err) ? told.ctx <= MODEL_CTX_MAX : err.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bytes = model_count(&config) * sizeof(float);
	float *theta = mem_align(bytes), *again = mem_align(bytes);
	struct errmsg err = { "" };

	try_sizes(data, size);
	try_config(data, size);
	if (weights_read(&config, data, size, theta, &err)) {
		struct buf file;

		buf_init(&file);
		write_file(theta, size % 2, &file);
		FUZZ_PROMISE(weights_read(&config, file.data, file.size, again, &err));
		FUZZ_PROMISE(memcmp(theta, again, bytes) == 0);
		buf_clear(&file);
	} else {
		FUZZ_PROMISE(err.text[0]);
	}
	free(theta);
	free(again);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	if (index == 2)
		huggingface_config(&config, out);
	if (index >= 2)
		return index == 2;
	float *theta = mem_calloc(model_count(&config), sizeof *theta);

	write_file(theta, index, out);
	free(theta);
	return true;
}
