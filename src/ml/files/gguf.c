/* Weights as GGUF: the header's keys, the tensors, and the order of rows that its rotary embedding wants. */
#include "ml/files/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ml/kernel/float.h"
#include "util/bytes.h"
#include "util/mem.h"

enum {
	GGUF_MAGIC = 0x46554747,
	GGUF_FORMAT = 3,
	GGUF_ALIGNMENT = 32,
	GGUF_BLOCK = TENSORFILE_BLOCK,
	GGUF_BLOCK_BYTES = TENSORFILE_BLOCK_BYTES,
	GGUF_DIMENSIONS_MAX = 4
};

#define GGUF_EPSILON 1e-5f
#define GGUF_ROTARY_BASE 10000.0f

enum gguf_value_type {
	GGUF_VALUE_U8,
	GGUF_VALUE_I8,
	GGUF_VALUE_U16,
	GGUF_VALUE_I16,
	GGUF_VALUE_U32,
	GGUF_VALUE_I32,
	GGUF_VALUE_F32,
	GGUF_VALUE_BOOL,
	GGUF_VALUE_STRING,
	GGUF_VALUE_ARRAY,
	GGUF_VALUE_U64,
	GGUF_VALUE_I64,
	GGUF_VALUE_F64,
	GGUF_VALUE_TYPES,
};

static const char *const gguf_parts[] = {
	"attn_norm",
	"attn_q",
	"attn_k",
	"attn_v",
	"attn_output",
	"ffn_norm",
	"ffn_gate",
	"ffn_up",
	"ffn_down",
	"token_embd",
	"output_norm",
	"output",
};

static enum tensorfile_part gguf_tensor_name(const struct model_config *config, size_t index,
	char out[TENSORFILE_NAME_MAX])
{
	size_t layer;
	enum tensorfile_part part = tensorfile_part(config, index, &layer);

	if (part < TENSORFILE_LAYER_PARTS)
		snprintf(out, TENSORFILE_NAME_MAX, "blk.%zu.%s.weight", layer, gguf_parts[part]);
	else
		snprintf(out, TENSORFILE_NAME_MAX, "%s.weight", gguf_parts[part]);
	return part;
}

/* Which row of ours is row `row` of the file's tensor. Who reads GGUF rotates neighbours, rows 2j and 2j + 1 of a head;
 * here the pair is j and j + head / 2 (section 16). Only queries and keys are rotated. */
static size_t gguf_our_row(const struct model_config *config, enum tensorfile_part part, size_t row)
{
	size_t head = config->d / config->heads, within = row % head;

	if (part != TENSORFILE_WQ && part != TENSORFILE_WK)
		return row;
	return row - within + within % 2 * (head / 2) + within / 2;
}

static size_t gguf_align(size_t size, size_t alignment)
{
	return (size + alignment - 1) / alignment * alignment;
}

/* Norms stay as they are, being small, and so does what cannot be cut into whole blocks. */
static enum gguf_type gguf_type_of(const struct model_tensor *tensor, enum gguf_type wanted)
{
	return tensor->kind == MODEL_NORM || tensor->cols % GGUF_BLOCK != 0 ? GGUF_F32 : wanted;
}

static size_t gguf_row_bytes(const struct model_tensor *tensor, enum gguf_type type)
{
	switch (type) {
	case GGUF_Q8_0:
		return tensor->cols / GGUF_BLOCK * GGUF_BLOCK_BYTES;
	case GGUF_F32:
		break;
	}
	return 4 * tensor->cols;
}

/* ---- Writing: the header ---- */

static void gguf_put_string(struct buf *gguf, const char *text)
{
	buf_put_le64(gguf, strlen(text));
	buf_put_text(gguf, text);
}

static void gguf_put_key(struct buf *gguf, const char *key, enum gguf_value_type type)
{
	gguf_put_string(gguf, key);
	buf_put_le32(gguf, type);
}

static void gguf_put_number(struct buf *gguf, const char *key, uint32_t value)
{
	gguf_put_key(gguf, key, GGUF_VALUE_U32);
	buf_put_le32(gguf, value);
}

static void gguf_put_float(struct buf *gguf, const char *key, float value)
{
	gguf_put_key(gguf, key, GGUF_VALUE_F32);
	buf_put_le32(gguf, float_bits(value));
}

static void gguf_put_text(struct buf *gguf, const char *key, const char *value)
{
	gguf_put_key(gguf, key, GGUF_VALUE_STRING);
	gguf_put_string(gguf, value);
}

static void gguf_put_bool(struct buf *gguf, const char *key, bool value)
{
	gguf_put_key(gguf, key, GGUF_VALUE_BOOL);
	buf_put_u8(gguf, value);
}

static void gguf_put_array(struct buf *gguf, const char *key, enum gguf_value_type type, size_t count)
{
	gguf_put_key(gguf, key, GGUF_VALUE_ARRAY);
	buf_put_le32(gguf, type);
	buf_put_le64(gguf, count);
}

static void gguf_put_vocabulary(struct buf *gguf)
{
	char text[3];

	gguf_put_text(gguf, "tokenizer.ggml.model", "gpt2");
	gguf_put_text(gguf, "tokenizer.ggml.pre", "gpt-2");
	gguf_put_array(gguf, "tokenizer.ggml.tokens", GGUF_VALUE_STRING, MODEL_VOCABULARY);
	for (unsigned byte = 0; byte < MODEL_VOCABULARY; byte++) {
		tensorfile_byte_text((uint8_t)byte, text);
		gguf_put_string(gguf, text);
	}
	gguf_put_array(gguf, "tokenizer.ggml.token_type", GGUF_VALUE_I32, MODEL_VOCABULARY);
	for (unsigned byte = 0; byte < MODEL_VOCABULARY; byte++)
		buf_put_le32(gguf, 1); /* an ordinary token */
	gguf_put_array(gguf, "tokenizer.ggml.merges", GGUF_VALUE_STRING, 0);
	gguf_put_number(gguf, "tokenizer.ggml.bos_token_id", 0);
	gguf_put_number(gguf, "tokenizer.ggml.eos_token_id", 0);
	gguf_put_bool(gguf, "tokenizer.ggml.add_bos_token", false);
	gguf_put_bool(gguf, "tokenizer.ggml.add_eos_token", false);
	gguf_put_text(gguf, "tokenizer.chat_template", tensorfile_chat_template);
}

static void gguf_put_architecture(struct buf *gguf, const struct model_config *config)
{
	gguf_put_number(gguf, "llama.vocab_size", MODEL_VOCABULARY);
	gguf_put_number(gguf, "llama.context_length", config->ctx);
	gguf_put_number(gguf, "llama.embedding_length", config->d);
	gguf_put_number(gguf, "llama.block_count", config->layers);
	gguf_put_number(gguf, "llama.feed_forward_length", config->ff);
	gguf_put_number(gguf, "llama.attention.head_count", config->heads);
	gguf_put_number(gguf, "llama.attention.head_count_kv", config->heads);
	gguf_put_float(gguf, "llama.attention.layer_norm_rms_epsilon", GGUF_EPSILON);
	gguf_put_number(gguf, "llama.rope.dimension_count", config->d / config->heads);
	gguf_put_float(gguf, "llama.rope.freq_base", GGUF_ROTARY_BASE);
}

/* The standard has keys for one dataset after the other (general.dataset.N.name), but none for owner, root or licence.
 * So there are lists, in one order. */
static void gguf_put_datasets(struct buf *gguf, const struct tensorfile_source *source)
{
	const struct tensorfile_dataset *datasets = source->datasets;
	const size_t dataset_count = source->dataset_count;

	gguf_put_array(gguf, "atelier.datasets.root", GGUF_VALUE_STRING, dataset_count);
	for (size_t i = 0; i < dataset_count; i++)
		gguf_put_string(gguf, datasets[i].root);
	gguf_put_array(gguf, "atelier.datasets.title", GGUF_VALUE_STRING, dataset_count);
	for (size_t i = 0; i < dataset_count; i++)
		gguf_put_string(gguf, datasets[i].title);
	gguf_put_array(gguf, "atelier.datasets.owner", GGUF_VALUE_STRING, dataset_count);
	for (size_t i = 0; i < dataset_count; i++)
		gguf_put_string(gguf, datasets[i].owner);
	gguf_put_array(gguf, "atelier.datasets.licence", GGUF_VALUE_STRING, dataset_count);
	for (size_t i = 0; i < dataset_count; i++)
		gguf_put_string(gguf, datasets[i].licence);
	gguf_put_array(gguf, "atelier.datasets.bytes", GGUF_VALUE_U64, dataset_count);
	for (size_t i = 0; i < dataset_count; i++)
		buf_put_le64(gguf, datasets[i].bytes);
	gguf_put_array(gguf, "atelier.datasets.slots", GGUF_VALUE_U64, dataset_count);
	for (size_t i = 0; i < dataset_count; i++)
		buf_put_le64(gguf, datasets[i].slots);
}

static void gguf_put_keys(struct buf *gguf, const struct tensorfile_source *source, enum gguf_type type)
{
	gguf_put_text(gguf, "general.architecture", "llama");
	gguf_put_text(gguf, "general.name", source->name);
	gguf_put_text(gguf, "atelier.model_root", source->root);
	gguf_put_number(gguf, "general.alignment", GGUF_ALIGNMENT);
	gguf_put_number(gguf, "general.quantization_version", 2);
	gguf_put_number(gguf, "general.file_type", type == GGUF_Q8_0 ? 7 : 0);
	gguf_put_datasets(gguf, source);
	gguf_put_architecture(gguf, source->config);
	gguf_put_vocabulary(gguf);
}

/* The header states the number before the keys come: gguf_put_keys' own, the data's, the architecture's, the
 * vocabulary's. */
enum { GGUF_KEYS = 6 + 6 + 10 + 10 };

/* Everything before the tensors' bytes. *size: of the whole file. */
static void gguf_put_header(struct buf *gguf, const struct tensorfile_source *source, enum gguf_type type, size_t *size)
{
	size_t tensors = model_tensors(source->config), offset = 0;

	buf_put_le32(gguf, GGUF_MAGIC);
	buf_put_le32(gguf, GGUF_FORMAT);
	buf_put_le64(gguf, tensors);
	buf_put_le64(gguf, GGUF_KEYS);
	gguf_put_keys(gguf, source, type);
	for (size_t i = 0; i < tensors; i++) {
		struct model_tensor tensor;
		char name[TENSORFILE_NAME_MAX];

		model_tensor(source->config, i, &tensor);
		gguf_tensor_name(source->config, i, name);
		gguf_put_string(gguf, name);
		buf_put_le32(gguf, tensor.kind == MODEL_NORM ? 1 : 2);
		buf_put_le64(gguf, tensor.cols);
		if (tensor.kind != MODEL_NORM)
			buf_put_le64(gguf, tensor.rows);
		buf_put_le32(gguf, gguf_type_of(&tensor, type));
		buf_put_le64(gguf, offset);
		offset += gguf_align(tensor.rows * gguf_row_bytes(&tensor, gguf_type_of(&tensor, type)),
			GGUF_ALIGNMENT);
	}
	while (gguf->size % GGUF_ALIGNMENT != 0)
		buf_put_u8(gguf, 0);
	*size = gguf->size + offset;
}

size_t gguf_size(const struct tensorfile_source *source, enum gguf_type type)
{
	struct buf header;
	size_t size;

	buf_init(&header);
	gguf_put_header(&header, source, type, &size);
	buf_clear(&header);
	return size;
}

/* ---- Writing: the tensors ---- */

/* The quotient by a power of two, to the nearest integer, ties to even. */
static uint32_t gguf_shift_rounded(uint32_t value, unsigned bits)
{
	uint32_t half = (uint32_t)1 << (bits - 1);

	return (value + half - 1 + (value >> bits & 1)) >> bits;
}

uint16_t gguf_half(float x)
{
	uint32_t bits = float_bits(x), half_sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return (uint16_t)(half_sign | 0x7e00);
	if (magnitude >= 0x477ff000) /* 65520 and above */
		return (uint16_t)(half_sign | 0x7c00);
	if (magnitude >= 0x38800000) /* 2^-14: normal; rounding may carry into the exponent, as it should */
		return (uint16_t)(half_sign | gguf_shift_rounded(magnitude - 0x38000000, 13));
	if (magnitude < 0x33000000)
		return (uint16_t)half_sign;
	return (uint16_t)(half_sign | gguf_shift_rounded((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >> 23)));
}

/* Values are divided by the scale as it is before it becomes a half: so does who defined the format. */
static bool gguf_put_block(const float *x, uint8_t *stored)
{
	float largest = 0;

	for (int i = 0; i < GGUF_BLOCK; i++)
		largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
	float scale = largest / 127.0f;
	uint16_t half = gguf_half(scale);

	write_le16(stored, half);
	for (int i = 0; i < GGUF_BLOCK; i++)
		stored[2 + i] = (uint8_t)(scale > 0 ? (int)roundf(x[i] / scale) : 0);
	/* From there on the scale would be infinite as a half. */
	return half < 0x7c00;
}

static bool gguf_put_row(const struct model_tensor *tensor, enum gguf_type type, const float *row, uint8_t *stored)
{
	bool ok = true;

	switch (type) {
	case GGUF_F32:
		tensorfile_row_write(row, tensor->cols, stored);
		break;
	case GGUF_Q8_0:
		for (size_t i = 0; i < tensor->cols / GGUF_BLOCK; i++)
			ok &= gguf_put_block(row + i * GGUF_BLOCK, stored + i * GGUF_BLOCK_BYTES);
		break;
	}
	return ok;
}

static bool gguf_write_tensor(const struct tensorfile_source *source, size_t index, enum gguf_type wanted,
	const struct tensorfile_sink *sink, struct buf *piece, struct errmsg *err)
{
	static const uint8_t zeros[GGUF_ALIGNMENT];
	char name[TENSORFILE_NAME_MAX];
	enum tensorfile_part part = gguf_tensor_name(source->config, index, name);
	struct model_tensor tensor;

	model_tensor(source->config, index, &tensor);
	enum gguf_type type = gguf_type_of(&tensor, wanted);
	size_t bytes = gguf_row_bytes(&tensor, type),
	       padding = gguf_align(tensor.rows * bytes, GGUF_ALIGNMENT) - tensor.rows * bytes;

	for (size_t i = 0; i < tensor.rows; i++) {
		buf_reset(piece);
		if (!gguf_put_row(&tensor, type,
			    source->theta + tensor.offset + gguf_our_row(source->config, part, i) * tensor.cols,
			    buf_extend(piece, bytes)))
			return errmsg_set(err, "tensor %s has values too large for Q8_0", name);
		if (!sink->put(sink->context, piece->data, piece->size, err))
			return false;
	}
	return padding == 0 || sink->put(sink->context, zeros, padding, err);
}

bool gguf_write(const struct tensorfile_source *source, enum gguf_type type, const struct tensorfile_sink *sink,
	struct errmsg *err)
{
	struct buf gguf;
	size_t size;

	buf_init(&gguf);
	gguf_put_header(&gguf, source, type, &size);
	bool ok = sink->put(sink->context, gguf.data, gguf.size, err);

	for (size_t i = 0; ok && i < model_tensors(source->config); i++)
		ok = gguf_write_tensor(source, i, type, sink, &gguf, err);
	buf_clear(&gguf);
	return ok;
}

/* ---- Reading ---- */

bool gguf_is(const uint8_t *data, size_t size)
{
	return size >= 4 && read_le32(data) == GGUF_MAGIC;
}

/* Where one of the model's tensors was found. */
struct gguf_place {
	uint64_t offset;
	enum tensorfile_type type;
	bool found;
};

struct gguf_parse {
	const struct model_config *config;
	const uint8_t *data;
	struct reader reader;
	uint32_t alignment, key_heads, vocabulary;
	float epsilon, base;
	struct model_config told; /* what the keys say; 0: nothing */
	bool is_llama;
	struct gguf_place *places; /* [model_tensors] */
};

struct gguf_string {
	const char *text; /* not terminated; NULL if the file ended */
	size_t size;
};

/* The length has 64 bits of the file's choosing: compared before it becomes a size_t. */
static struct gguf_string gguf_take_string(struct reader *gguf_reader)
{
	uint64_t size = reader_le64(gguf_reader);

	if (size > reader_left(gguf_reader))
		reader_fail(gguf_reader);
	return (struct gguf_string){ (const char *)reader_bytes(gguf_reader, (size_t)size), (size_t)size };
}

static bool gguf_string_is(struct gguf_string string, const char *text)
{
	return string.text != NULL && string.size == strlen(text) && memcmp(string.text, text, string.size) == 0;
}

/* Bytes of a value of fixed size; 0 for the others and for types there are not. */
static size_t gguf_value_size(uint32_t type)
{
	static const uint8_t sizes[GGUF_VALUE_TYPES] = {
		[GGUF_VALUE_U8] = 1,
		[GGUF_VALUE_I8] = 1,
		[GGUF_VALUE_U16] = 2,
		[GGUF_VALUE_I16] = 2,
		[GGUF_VALUE_U32] = 4,
		[GGUF_VALUE_I32] = 4,
		[GGUF_VALUE_F32] = 4,
		[GGUF_VALUE_BOOL] = 1,
		[GGUF_VALUE_U64] = 8,
		[GGUF_VALUE_I64] = 8,
		[GGUF_VALUE_F64] = 8,
	};

	return type < GGUF_VALUE_TYPES ? sizes[type] : 0;
}

static void gguf_skip_array(struct reader *gguf_reader)
{
	uint32_t type = reader_le32(gguf_reader);
	uint64_t value_count = reader_le64(gguf_reader);
	size_t value_size = gguf_value_size(type);

	if (type == GGUF_VALUE_STRING) {
		for (uint64_t i = 0; i < value_count && gguf_reader->ok; i++)
			gguf_take_string(gguf_reader);
	} else if (value_size == 0 || value_count > reader_left(gguf_reader) / value_size) {
		reader_fail(gguf_reader);
	} else {
		reader_bytes(gguf_reader, (size_t)value_count * value_size);
	}
}

static void gguf_skip_value(struct reader *gguf_reader, uint32_t type)
{
	if (type == GGUF_VALUE_STRING)
		gguf_take_string(gguf_reader);
	else if (type == GGUF_VALUE_ARRAY)
		gguf_skip_array(gguf_reader);
	else if (gguf_value_size(type) > 0)
		reader_bytes(gguf_reader, gguf_value_size(type));
	else
		reader_fail(gguf_reader);
}

/* Takes the key if it is a number that matters here. */
static bool gguf_take_number(struct gguf_parse *gguf, struct gguf_string key)
{
	const struct {
		const char *name;
		uint32_t *value;
	} numbers[] = {
		{ "general.alignment", &gguf->alignment },
		{ "llama.vocab_size", &gguf->vocabulary },
		{ "llama.embedding_length", &gguf->told.d },
		{ "llama.block_count", &gguf->told.layers },
		{ "llama.feed_forward_length", &gguf->told.ff },
		{ "llama.context_length", &gguf->told.ctx },
		{ "llama.attention.head_count", &gguf->told.heads },
		{ "llama.attention.head_count_kv", &gguf->key_heads },
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		if (gguf_string_is(key, numbers[i].name)) {
			*numbers[i].value = reader_le32(&gguf->reader);
			return true;
		}
	}
	return false;
}

static void gguf_read_key(struct gguf_parse *gguf)
{
	struct gguf_string key = gguf_take_string(&gguf->reader);
	uint32_t type = reader_le32(&gguf->reader);

	if (gguf_string_is(key, "general.architecture") && type == GGUF_VALUE_STRING)
		gguf->is_llama = gguf_string_is(gguf_take_string(&gguf->reader), "llama");
	else if (gguf_string_is(key, "llama.attention.layer_norm_rms_epsilon") && type == GGUF_VALUE_F32)
		gguf->epsilon = float_from_bits(reader_le32(&gguf->reader));
	else if (gguf_string_is(key, "llama.rope.freq_base") && type == GGUF_VALUE_F32)
		gguf->base = float_from_bits(reader_le32(&gguf->reader));
	else if (type != GGUF_VALUE_U32 || !gguf_take_number(gguf, key))
		gguf_skip_value(&gguf->reader, type);
}

static bool gguf_read_keys(struct gguf_parse *gguf, uint64_t count, struct errmsg *err)
{
	for (uint64_t i = 0; i < count && gguf->reader.ok; i++)
		gguf_read_key(gguf);
	if (!gguf->reader.ok)
		return errmsg_set(err, "the GGUF file's keys are broken");
	if (!gguf->is_llama)
		return errmsg_set(err, "the GGUF file's architecture is not llama");
	if (gguf->alignment < 8 || gguf->alignment > 65536 || gguf->alignment % 8 != 0)
		return errmsg_set(err, "the GGUF file's alignment is %u", gguf->alignment);
	return true;
}

/* Sizes show in the shapes of tensors; the number of heads shows nowhere else, and rows would be taken from the wrong
 * places. 0 of keys: not stated, as many. */
static bool gguf_check_heads(const struct gguf_parse *gguf, struct errmsg *err)
{
	uint32_t heads = gguf->told.heads, wanted = gguf->config->heads;

	if (heads == wanted && (gguf->key_heads == 0 || gguf->key_heads == heads))
		return true;
	return errmsg_set(err, "the GGUF file has %u heads (%u of keys), the model %u", heads, gguf->key_heads, wanted);
}

/* The index of a tensor of that name, or model_tensors. Each tensor against each name: some 600 at most, once a
 * file. */
static size_t gguf_find_tensor(const struct model_config *config, struct gguf_string name)
{
	char text[TENSORFILE_NAME_MAX];

	for (size_t i = 0; i < model_tensors(config); i++) {
		gguf_tensor_name(config, i, text);
		if (gguf_string_is(name, text))
			return i;
	}
	return model_tensors(config);
}

static bool gguf_check_shape(struct reader *gguf_reader, const struct model_tensor *tensor)
{
	uint32_t dimensions = reader_le32(gguf_reader);
	uint64_t dimension_sizes[GGUF_DIMENSIONS_MAX] = { 1, 1, 1, 1 };

	if (dimensions < 1 || dimensions > GGUF_DIMENSIONS_MAX)
		return false;
	for (uint32_t i = 0; i < dimensions; i++)
		dimension_sizes[i] = reader_le64(gguf_reader);
	return dimension_sizes[0] == tensor->cols && dimension_sizes[1] == tensor->rows && dimension_sizes[2] == 1 &&
		dimension_sizes[3] == 1;
}

/* The format's numbers of types. */
static bool gguf_find_type(uint32_t number, enum tensorfile_type *type)
{
	static const uint8_t numbers[] = {
		[TENSORFILE_F32] = GGUF_F32,
		[TENSORFILE_F16] = 1,
		[TENSORFILE_BF16] = 30,
		[TENSORFILE_Q8_0] = GGUF_Q8_0,
	};

	for (size_t i = 0; i < sizeof numbers; i++) {
		*type = (enum tensorfile_type)i;
		if (number == numbers[i])
			return true;
	}
	return false;
}

static bool gguf_read_place(struct gguf_parse *gguf, struct errmsg *err)
{
	struct gguf_string name = gguf_take_string(&gguf->reader);
	char printable[TENSORFILE_NAME_MAX];
	struct model_tensor tensor;
	enum tensorfile_type type;

	if (name.text == NULL)
		return errmsg_set(err, "the GGUF file ends within its list of tensors");
	size_t index = gguf_find_tensor(gguf->config, name);

	tensorfile_printable(name.text, name.size, printable);
	if (index == model_tensors(gguf->config))
		return errmsg_set(err, "tensor %s is not part of this model", printable);
	if (gguf->places[index].found)
		return errmsg_set(err, "tensor %s is there twice", printable);
	model_tensor(gguf->config, index, &tensor);
	if (!gguf_check_shape(&gguf->reader, &tensor))
		return errmsg_set(err, "tensor %s has another shape than %zu x %zu", printable, tensor.rows,
			tensor.cols);
	if (!gguf_find_type(reader_le32(&gguf->reader), &type) || tensorfile_row_bytes(type, tensor.cols) == 0)
		return errmsg_set(err, "tensor %s is not F32, F16, BF16 or Q8_0", printable);
	gguf->places[index] = (struct gguf_place){ reader_le64(&gguf->reader), type, true };
	if (!gguf->reader.ok)
		return errmsg_set(err, "the GGUF file ends within its list of tensors");
	return true;
}

static bool gguf_read_tensor(struct gguf_parse *gguf, size_t index, const uint8_t *data, size_t size, float *theta,
	struct errmsg *err)
{
	const struct gguf_place *place = &gguf->places[index];
	char name[TENSORFILE_NAME_MAX];
	enum tensorfile_part part = gguf_tensor_name(gguf->config, index, name);
	struct model_tensor tensor;
	bool finite = true;

	model_tensor(gguf->config, index, &tensor);
	size_t row = tensorfile_row_bytes(place->type, tensor.cols), bytes = tensor.rows * row;

	if (!place->found)
		return errmsg_set(err, "tensor %s is missing", name);
	/* Compared by subtraction, because offset plus bytes could wrap. */
	if (place->offset % gguf->alignment != 0 || bytes > size || place->offset > size - bytes)
		return errmsg_set(err, "tensor %s does not lie where its bytes could be", name);
	for (size_t i = 0; i < tensor.rows; i++)
		finite &= tensorfile_row_read(place->type, data + place->offset + i * row, tensor.cols,
			theta + tensor.offset + gguf_our_row(gguf->config, part, i) * tensor.cols);
	return finite || errmsg_set(err, "tensor %s has a value that is not finite", name);
}

/* Everything before the list of tensors, whose number is in *tensors. */
static bool gguf_read_head(struct gguf_parse *gguf, uint64_t *tensors, struct errmsg *err)
{
	uint32_t magic = reader_le32(&gguf->reader), version = reader_le32(&gguf->reader);

	*tensors = reader_le64(&gguf->reader);
	uint64_t keys = reader_le64(&gguf->reader);

	if (magic != GGUF_MAGIC || (version != 2 && version != GGUF_FORMAT))
		return errmsg_set(err, "this is no GGUF file of version 2 or 3");
	return gguf_read_keys(gguf, keys, err);
}

static bool gguf_read_all(struct gguf_parse *gguf, size_t size, float *theta, struct errmsg *err)
{
	uint64_t tensors;

	if (!gguf_read_head(gguf, &tensors, err) || !gguf_check_heads(gguf, err))
		return false;
	/* The number is not trusted and takes no memory: a name that is unknown or there twice ends the list, as does
	 * the end of the file. */
	for (uint64_t i = 0; i < tensors; i++)
		if (!gguf_read_place(gguf, err))
			return false;
	size_t start = gguf_align(size - reader_left(&gguf->reader), gguf->alignment);

	if (start > size)
		return errmsg_set(err, "the GGUF file ends before its tensors");
	for (size_t i = 0; i < model_tensors(gguf->config); i++)
		if (!gguf_read_tensor(gguf, i, gguf->data + start, size - start, theta, err))
			return false;
	return true;
}

bool gguf_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta, struct errmsg *err)
{
	struct gguf_parse gguf = {
		.config = config,
		.data = data,
		.alignment = GGUF_ALIGNMENT,
		.places = mem_calloc(model_tensors(config), sizeof *gguf.places),
	};

	reader_init(&gguf.reader, data, size);
	bool ok = gguf_read_all(&gguf, size, theta, err);

	free(gguf.places);
	return ok;
}

bool gguf_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err)
{
	struct gguf_parse gguf = {
		.alignment = GGUF_ALIGNMENT,
		.vocabulary = MODEL_VOCABULARY,
		.epsilon = GGUF_EPSILON,
		.base = GGUF_ROTARY_BASE,
	};
	uint64_t tensors;

	reader_init(&gguf.reader, data, size);
	if (!gguf_read_head(&gguf, &tensors, err))
		return false;
	if (gguf.key_heads != 0 && gguf.key_heads != gguf.told.heads)
		return errmsg_set(err, "the model has %u heads and %u of keys; here they are as many", gguf.told.heads,
			gguf.key_heads);
	if (gguf.vocabulary != MODEL_VOCABULARY)
		return errmsg_set(err, "the model's vocabulary has %u entries; here it is the 256 bytes",
			gguf.vocabulary);
	if (float_bits(gguf.epsilon) != float_bits(GGUF_EPSILON))
		return errmsg_set(err, "the model normalises with an epsilon of %g; here it is 0.00001",
			(double)gguf.epsilon);
	if (float_bits(gguf.base) != float_bits(GGUF_ROTARY_BASE))
		return errmsg_set(err, "the base of the model's rotary embedding is %g; here it is 10000",
			(double)gguf.base);
	*sizes = gguf.told;
	return true;
}
