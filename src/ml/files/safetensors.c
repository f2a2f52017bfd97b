/* Weights as safetensors: a header of JSON, then theta. */
#include "ml/files/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "ml/kernel/float.h"
#include "util/bytes.h"
#include "util/mem.h"

/* A header is a tree in memory before anything of it is known, so its size is bounded first. */
enum { SAFETENSORS_HEADER_MAX = 1 << 20 };

static const char *const safetensors_parts[] = {
	"input_layernorm",
	"self_attn.q_proj",
	"self_attn.k_proj",
	"self_attn.v_proj",
	"self_attn.o_proj",
	"post_attention_layernorm",
	"mlp.gate_proj",
	"mlp.up_proj",
	"mlp.down_proj",
	"model.embed_tokens",
	"model.norm",
	"lm_head",
};

static void safetensors_name(const struct model_config *config, size_t index, char out[TENSORFILE_NAME_MAX])
{
	size_t layer;
	enum tensorfile_part part = tensorfile_part(config, index, &layer);

	if (part < TENSORFILE_LAYER_PARTS)
		snprintf(out, TENSORFILE_NAME_MAX, "model.layers.%zu.%s.weight", layer, safetensors_parts[part]);
	else
		snprintf(out, TENSORFILE_NAME_MAX, "%s.weight", safetensors_parts[part]);
}

/* ---- Writing ---- */

static void safetensors_put_tensor(struct buf *safetensors, const struct model_config *config, size_t index)
{
	struct model_tensor tensor;
	char name[TENSORFILE_NAME_MAX], text[256], shape[48];

	model_tensor(config, index, &tensor);
	safetensors_name(config, index, name);
	if (tensor.kind == MODEL_NORM)
		snprintf(shape, sizeof shape, "%zu", tensor.cols);
	else
		snprintf(shape, sizeof shape, "%zu,%zu", tensor.rows, tensor.cols);
	snprintf(text, sizeof text, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", name,
		shape, 4 * tensor.offset, 4 * (tensor.offset + tensor.rows * tensor.cols));
	buf_put_text(safetensors, text);
}

/* Length and header; blanks bring the tensors to a multiple of 8 bytes. */
static void safetensors_put_header(struct buf *safetensors, const struct tensorfile_source *source)
{
	buf_put_le64(safetensors, 0);
	buf_put_text(safetensors, "{\"__metadata__\":{\"format\":\"pt\",\"name\":\"");
	buf_put_text(safetensors, source->name);
	buf_put_text(safetensors, "\",\"model_root\":\"");
	buf_put_text(safetensors, source->root);
	buf_put_text(safetensors, "\"}");
	for (size_t i = 0; i < model_tensors(source->config); i++)
		safetensors_put_tensor(safetensors, source->config, i);
	buf_put_text(safetensors, "}");
	while (safetensors->size % 8 != 0)
		buf_put_u8(safetensors, ' ');
	write_le64(safetensors->data, safetensors->size - 8);
}

size_t safetensors_size(const struct tensorfile_source *source)
{
	struct buf header;

	buf_init(&header);
	safetensors_put_header(&header, source);
	size_t size = header.size + sizeof(float) * model_count(source->config);

	buf_clear(&header);
	return size;
}

bool safetensors_write(const struct tensorfile_source *source, const struct tensorfile_sink *sink, struct errmsg *err)
{
	enum { SAFETENSORS_PIECE = 16384 };
	size_t count = model_count(source->config);
	struct buf safetensors;

	buf_init(&safetensors);
	safetensors_put_header(&safetensors, source);
	bool ok = sink->put(sink->context, safetensors.data, safetensors.size, err);

	for (size_t i = 0; ok && i < count; i += SAFETENSORS_PIECE) {
		size_t floats = count - i < SAFETENSORS_PIECE ? count - i : SAFETENSORS_PIECE;

		buf_reset(&safetensors);
		tensorfile_row_write(source->theta + i, floats, buf_extend(&safetensors, 4 * floats));
		ok = sink->put(sink->context, safetensors.data, safetensors.size, err);
	}
	buf_clear(&safetensors);
	return ok;
}

/* ---- Reading ---- */

/* The tensors' bytes, after the header. */
struct safetensors_contents {
	const uint8_t *data;
	size_t size;
};

static bool safetensors_check_shape(const struct model_tensor *tensor, const json_t *shape)
{
	size_t skipped = tensor->kind == MODEL_NORM ? 1 : 0, dimensions = 2 - skipped,
	       wanted[2] = { tensor->rows, tensor->cols };

	if (!json_is_array(shape) || json_array_size(shape) != dimensions)
		return false;
	for (size_t i = 0; i < dimensions; i++) {
		const json_t *side = json_array_get(shape, i);

		if (!json_is_integer(side) || json_integer_value(side) != (json_int_t)wanted[skipped + i])
			return false;
	}
	return true;
}

static bool safetensors_find_type(const char *dtype, enum tensorfile_type *type)
{
	static const char *const dtypes[] = {
		[TENSORFILE_F32] = "F32",
		[TENSORFILE_F16] = "F16",
		[TENSORFILE_BF16] = "BF16",
	};

	for (size_t i = 0; dtype != NULL && i < sizeof dtypes / sizeof dtypes[0]; i++) {
		*type = (enum tensorfile_type)i;
		if (strcmp(dtype, dtypes[i]) == 0)
			return true;
	}
	return false;
}

static bool safetensors_read_tensor(const struct model_tensor *tensor, const char *name, const json_t *tensor_json,
	const struct safetensors_contents *contents, float *theta, struct errmsg *err)
{
	enum tensorfile_type type;
	const json_t *offsets = json_object_get(tensor_json, "data_offsets");
	const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
	size_t count = tensor->rows * tensor->cols;

	if (tensor_json == NULL)
		return errmsg_set(err, "tensor %s is missing", name);
	if (!safetensors_find_type(json_string_value(json_object_get(tensor_json, "dtype")), &type))
		return errmsg_set(err, "tensor %s is not F32, F16 or BF16", name);
	if (!safetensors_check_shape(tensor, json_object_get(tensor_json, "shape")))
		return errmsg_set(err, "tensor %s has another shape than %zu x %zu", name, tensor->rows, tensor->cols);
	if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
		return errmsg_set(err, "tensor %s has no offsets", name);
	json_int_t begin = json_integer_value(first), end = json_integer_value(last);

	/* Tensors may overlap in a file that somebody made so: they are only read, each within the contents. */
	if (begin < 0 || end < begin || (uint64_t)end > contents->size ||
		(uint64_t)(end - begin) != tensorfile_row_bytes(type, count))
		return errmsg_set(err, "tensor %s does not lie where its bytes could be", name);
	if (!tensorfile_row_read(type, contents->data + begin, count, theta + tensor->offset))
		return errmsg_set(err, "tensor %s has a value that is not finite", name);
	return true;
}

static bool safetensors_is_known(const struct model_config *config, const char *key)
{
	char name[TENSORFILE_NAME_MAX];

	for (size_t i = 0; i < model_tensors(config); i++) {
		safetensors_name(config, i, name);
		if (strcmp(key, name) == 0)
			return true;
	}
	return strcmp(key, "__metadata__") == 0;
}

/* Called when all of the model's tensors are there: what is more is too much. A model with more to it than this one
 * computes something else, and would be loaded as if it did not. */
static bool safetensors_check_others(const struct model_config *config, json_t *header, struct errmsg *err)
{
	size_t wanted = model_tensors(config) + (json_object_get(header, "__metadata__") != NULL);
	const char *key;
	json_t *value;
	char name[TENSORFILE_NAME_MAX];

	if (json_object_size(header) == wanted)
		return true;
	json_object_foreach(header, key, value) {
		if (safetensors_is_known(config, key))
			continue;
		tensorfile_printable(key, strlen(key), name);
		return errmsg_set(err, "tensor %s is not part of this model", name);
	}
	return true;
}

static bool safetensors_read_all(const struct model_config *config, json_t *header,
	const struct safetensors_contents *contents, float *theta, struct errmsg *err)
{
	if (!json_is_object(header))
		return errmsg_set(err, "the header of the safetensors file is not a JSON object");
	for (size_t i = 0; i < model_tensors(config); i++) {
		struct model_tensor tensor;
		char name[TENSORFILE_NAME_MAX];

		model_tensor(config, i, &tensor);
		safetensors_name(config, i, name);
		if (!safetensors_read_tensor(&tensor, name, json_object_get(header, name), contents, theta, err))
			return false;
	}
	return safetensors_check_others(config, header, err);
}

/* The header, a new value, and where the tensors' bytes are; NULL if there is none. */
static json_t *safetensors_open(const uint8_t *data, size_t size, struct safetensors_contents *contents,
	struct errmsg *err)
{
	json_error_t where;
	uint64_t length = size < 8 ? UINT64_MAX : read_le64(data);

	if (size < 8 || length > SAFETENSORS_HEADER_MAX || length > size - 8) {
		errmsg_set(err, "this is neither a GGUF nor a safetensors file (with a header of 1 MiB at most)");
		return NULL;
	}
	*contents = (struct safetensors_contents){ data + 8 + length, size - 8 - (size_t)length };
	json_t *header = json_loadb((const char *)data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &where);

	if (header == NULL)
		errmsg_set(err, "the header of the safetensors file is not JSON (byte %d of it)", where.position);
	return header;
}

bool safetensors_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta,
	struct errmsg *err)
{
	struct safetensors_contents contents;
	json_t *header = safetensors_open(data, size, &contents, err);
	bool ok = header != NULL && safetensors_read_all(config, header, &contents, theta, err);

	json_decref(header);
	return ok;
}

/* ---- Sizes ---- */

/* Number `index` of the shape of a tensor that has two. */
static bool safetensors_take_size(const json_t *header, const char *name, size_t index, uint32_t *size,
	struct errmsg *err)
{
	const json_t *tensor_json = json_object_get(header, name), *shape = json_object_get(tensor_json, "shape");
	const json_t *side = json_array_get(shape, index);

	if (tensor_json == NULL)
		return errmsg_set(err, "tensor %s is missing", name);
	if (json_array_size(shape) != 2 || !json_is_integer(side) || json_integer_value(side) < 1 ||
		json_integer_value(side) > UINT16_MAX)
		return errmsg_set(err, "tensor %s is no matrix of a possible shape", name);
	*size = (uint32_t)json_integer_value(side);
	return true;
}

/* Ends at the first gap; a tensor behind it is found later to be none of the model's. */
static uint32_t safetensors_count_layers(const json_t *header)
{
	char name[TENSORFILE_NAME_MAX];
	uint32_t layers = 0;

	do
		snprintf(name, sizeof name, "model.layers.%u.input_layernorm.weight", layers++);
	while (json_object_get(header, name) != NULL);
	return layers - 1;
}

bool safetensors_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err)
{
	struct safetensors_contents contents;
	json_t *header = safetensors_open(data, size, &contents, err);
	bool ok = header != NULL && safetensors_take_size(header, "model.embed_tokens.weight", 1, &sizes->d, err) &&
		safetensors_take_size(header, "model.layers.0.mlp.gate_proj.weight", 0, &sizes->ff, err);

	if (ok)
		sizes->layers = safetensors_count_layers(header);
	json_decref(header);
	return ok;
}
