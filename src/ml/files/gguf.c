/* Weights as GGUF: the header's keys, the tensors, and the order of rows that its rotary embedding wants. */
#include "ml/files/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ml/kernel/float.h"
#include "util/bytes.h"
#include "util/mem.h"

enum {
	MAGIC = 0x46554747,
	FORMAT = 3,
	ALIGNMENT = 32,
	BLOCK = TENSORFILE_BLOCK,
	BLOCK_BYTES = TENSORFILE_BLOCK_BYTES,
	DIMENSIONS_MAX = 4
};

#define EPSILON 1e-5f
#define ROTARY_BASE 10000.0f

enum value_type {
	VALUE_U8,
	VALUE_I8,
	VALUE_U16,
	VALUE_I16,
	VALUE_U32,
	VALUE_I32,
	VALUE_F32,
	VALUE_BOOL,
	VALUE_STRING,
	VALUE_ARRAY,
	VALUE_U64,
	VALUE_I64,
	VALUE_F64,
	VALUE_TYPES,
};

static const char *const parts[] = {
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

static enum tensorfile_part tensor_name(const struct model_config *config, size_t index, char out[TENSORFILE_NAME_MAX])
{
	size_t layer;
	enum tensorfile_part part = tensorfile_part(config, index, &layer);

	if (part < TENSORFILE_LAYER_PARTS)
		snprintf(out, TENSORFILE_NAME_MAX, "blk.%zu.%s.weight", layer, parts[part]);
	else
		snprintf(out, TENSORFILE_NAME_MAX, "%s.weight", parts[part]);
	return part;
}

/* Which row of ours is row `row` of the file's tensor. Who reads GGUF rotates neighbours, rows 2j and 2j + 1 of a head;
 * here the pair is j and j + head / 2 (section 16). Only queries and keys are rotated. */
static size_t our_row(const struct model_config *config, enum tensorfile_part part, size_t row)
{
	size_t head = config->d / config->heads, within = row % head;

	if (part != TENSORFILE_WQ && part != TENSORFILE_WK)
		return row;
	return row - within + within % 2 * (head / 2) + within / 2;
}

static size_t align_size(size_t size, size_t alignment)
{
	return (size + alignment - 1) / alignment * alignment;
}

/* Norms stay as they are, being small, and so does what cannot be cut into whole blocks. */
static enum gguf_type type_of(const struct model_tensor *t, enum gguf_type wanted)
{
	return t->kind == MODEL_NORM || t->cols % BLOCK != 0 ? GGUF_F32 : wanted;
}

static size_t row_bytes(const struct model_tensor *t, enum gguf_type type)
{
	switch (type) {
	case GGUF_Q8_0:
		return t->cols / BLOCK * BLOCK_BYTES;
	case GGUF_F32:
		break;
	}
	return 4 * t->cols;
}

/* ---- Writing: the header ---- */

static void put_string(struct buf *out, const char *text)
{
	buf_put_le64(out, strlen(text));
	buf_put_text(out, text);
}

static void put_key(struct buf *out, const char *key, enum value_type type)
{
	put_string(out, key);
	buf_put_le32(out, type);
}

static void put_number(struct buf *out, const char *key, uint32_t value)
{
	put_key(out, key, VALUE_U32);
	buf_put_le32(out, value);
}

static void put_float(struct buf *out, const char *key, float value)
{
	put_key(out, key, VALUE_F32);
	buf_put_le32(out, float_bits(value));
}

static void put_text(struct buf *out, const char *key, const char *value)
{
	put_key(out, key, VALUE_STRING);
	put_string(out, value);
}

static void put_bool(struct buf *out, const char *key, bool value)
{
	put_key(out, key, VALUE_BOOL);
	buf_put_u8(out, value);
}

static void put_array(struct buf *out, const char *key, enum value_type type, size_t count)
{
	put_key(out, key, VALUE_ARRAY);
	buf_put_le32(out, type);
	buf_put_le64(out, count);
}

static void put_vocabulary(struct buf *out)
{
	char text[3];

	put_text(out, "tokenizer.ggml.model", "gpt2");
	put_text(out, "tokenizer.ggml.pre", "gpt-2");
	put_array(out, "tokenizer.ggml.tokens", VALUE_STRING, MODEL_VOCABULARY);
	for (unsigned byte = 0; byte < MODEL_VOCABULARY; byte++) {
		tensorfile_byte_text((uint8_t)byte, text);
		put_string(out, text);
	}
	put_array(out, "tokenizer.ggml.token_type", VALUE_I32, MODEL_VOCABULARY);
	for (unsigned byte = 0; byte < MODEL_VOCABULARY; byte++)
		buf_put_le32(out, 1); /* an ordinary token */
	put_array(out, "tokenizer.ggml.merges", VALUE_STRING, 0);
	put_number(out, "tokenizer.ggml.bos_token_id", 0);
	put_number(out, "tokenizer.ggml.eos_token_id", 0);
	put_bool(out, "tokenizer.ggml.add_bos_token", false);
	put_bool(out, "tokenizer.ggml.add_eos_token", false);
}

static void put_architecture(struct buf *out, const struct model_config *c)
{
	put_number(out, "llama.vocab_size", MODEL_VOCABULARY);
	put_number(out, "llama.context_length", c->ctx);
	put_number(out, "llama.embedding_length", c->d);
	put_number(out, "llama.block_count", c->layers);
	put_number(out, "llama.feed_forward_length", c->ff);
	put_number(out, "llama.attention.head_count", c->heads);
	put_number(out, "llama.attention.head_count_kv", c->heads);
	put_float(out, "llama.attention.layer_norm_rms_epsilon", EPSILON);
	put_number(out, "llama.rope.dimension_count", c->d / c->heads);
	put_float(out, "llama.rope.freq_base", ROTARY_BASE);
}

static void put_keys(struct buf *out, const struct tensorfile_source *source, enum gguf_type type)
{
	put_text(out, "general.architecture", "llama");
	put_text(out, "general.name", source->name);
	put_text(out, "atelier.model_root", source->root);
	put_number(out, "general.alignment", ALIGNMENT);
	put_number(out, "general.quantization_version", 2);
	put_number(out, "general.file_type", type == GGUF_Q8_0 ? 7 : 0);
	put_architecture(out, source->config);
	put_vocabulary(out);
}

/* The header states the number before the keys come: put_keys' own, the architecture's, the vocabulary's. */
enum { KEYS = 6 + 10 + 9 };

/* Everything before the tensors' bytes. *size: of the whole file. */
static void put_header(struct buf *out, const struct tensorfile_source *source, enum gguf_type type, size_t *size)
{
	size_t tensors = model_tensors(source->config), offset = 0;

	buf_put_le32(out, MAGIC);
	buf_put_le32(out, FORMAT);
	buf_put_le64(out, tensors);
	buf_put_le64(out, KEYS);
	put_keys(out, source, type);
	for (size_t i = 0; i < tensors; i++) {
		struct model_tensor t;
		char name[TENSORFILE_NAME_MAX];

		model_tensor(source->config, i, &t);
		tensor_name(source->config, i, name);
		put_string(out, name);
		buf_put_le32(out, t.kind == MODEL_NORM ? 1 : 2);
		buf_put_le64(out, t.cols);
		if (t.kind != MODEL_NORM)
			buf_put_le64(out, t.rows);
		buf_put_le32(out, type_of(&t, type));
		buf_put_le64(out, offset);
		offset += align_size(t.rows * row_bytes(&t, type_of(&t, type)), ALIGNMENT);
	}
	while (out->size % ALIGNMENT != 0)
		buf_put_u8(out, 0);
	*size = out->size + offset;
}

size_t gguf_size(const struct tensorfile_source *source, enum gguf_type type)
{
	struct buf header;
	size_t size;

	buf_init(&header);
	put_header(&header, source, type, &size);
	buf_clear(&header);
	return size;
}

/* ---- Writing: the tensors ---- */

/* The quotient by a power of two, to the nearest integer, ties to even. */
static uint32_t shift_rounded(uint32_t value, unsigned bits)
{
	uint32_t half = (uint32_t)1 << (bits - 1);

	return (value + half - 1 + (value >> bits & 1)) >> bits;
}

uint16_t gguf_half(float x)
{
	uint32_t bits = float_bits(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return (uint16_t)(sign | 0x7e00);
	if (magnitude >= 0x477ff000) /* 65520 and above */
		return (uint16_t)(sign | 0x7c00);
	if (magnitude >= 0x38800000) /* 2^-14: normal; rounding may carry into the exponent, as it should */
		return (uint16_t)(sign | shift_rounded(magnitude - 0x38000000, 13));
	if (magnitude < 0x33000000)
		return (uint16_t)sign;
	return (uint16_t)(sign | shift_rounded((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >> 23)));
}

/* Values are divided by the scale as it is before it becomes a half: so does who defined the format. */
static bool put_block(const float *x, uint8_t *out)
{
	float largest = 0;

	for (int i = 0; i < BLOCK; i++)
		largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
	float scale = largest / 127.0f;
	uint16_t half = gguf_half(scale);

	write_le16(out, half);
	for (int i = 0; i < BLOCK; i++)
		out[2 + i] = (uint8_t)(scale > 0 ? (int)roundf(x[i] / scale) : 0);
	/* From there on the scale would be infinite as a half. */
	return half < 0x7c00;
}

static bool put_row(const struct model_tensor *t, enum gguf_type type, const float *row, uint8_t *out)
{
	bool ok = true;

	switch (type) {
	case GGUF_F32:
		tensorfile_row_write(row, t->cols, out);
		break;
	case GGUF_Q8_0:
		for (size_t i = 0; i < t->cols / BLOCK; i++)
			ok &= put_block(row + i * BLOCK, out + i * BLOCK_BYTES);
		break;
	}
	return ok;
}

static bool write_tensor(const struct tensorfile_source *source, size_t index, enum gguf_type wanted,
	const struct tensorfile_sink *sink, struct buf *piece, struct errmsg *err)
{
	static const uint8_t zeros[ALIGNMENT];
	char name[TENSORFILE_NAME_MAX];
	enum tensorfile_part part = tensor_name(source->config, index, name);
	struct model_tensor t;

	model_tensor(source->config, index, &t);
	enum gguf_type type = type_of(&t, wanted);
	size_t bytes = row_bytes(&t, type), padding = align_size(t.rows * bytes, ALIGNMENT) - t.rows * bytes;

	for (size_t i = 0; i < t.rows; i++) {
		buf_reset(piece);
		if (!put_row(&t, type, source->theta + t.offset + our_row(source->config, part, i) * t.cols,
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
	struct buf out;
	size_t size;

	buf_init(&out);
	put_header(&out, source, type, &size);
	bool ok = sink->put(sink->context, out.data, out.size, err);

	for (size_t i = 0; ok && i < model_tensors(source->config); i++)
		ok = write_tensor(source, i, type, sink, &out, err);
	buf_clear(&out);
	return ok;
}

/* ---- Reading ---- */

bool gguf_is(const uint8_t *data, size_t size)
{
	return size >= 4 && read_le32(data) == MAGIC;
}

/* Where one of the model's tensors was found. */
struct place {
	uint64_t offset;
	enum tensorfile_type type;
	bool found;
};

struct parse {
	const struct model_config *config;
	const uint8_t *data;
	struct reader reader;
	uint32_t alignment, key_heads, vocabulary;
	float epsilon, base;
	struct model_config told; /* what the keys say; 0: nothing */
	bool is_llama;
	struct place *places; /* [model_tensors] */
};

struct string {
	const char *text; /* not terminated; NULL if the file ended */
	size_t size;
};

/* The length has 64 bits of the file's choosing: compared before it becomes a size_t. */
static struct string take_string(struct reader *reader)
{
	uint64_t size = reader_le64(reader);

	if (size > reader_left(reader))
		reader_fail(reader);
	return (struct string){ (const char *)reader_bytes(reader, (size_t)size), (size_t)size };
}

static bool string_is(struct string s, const char *text)
{
	return s.text != NULL && s.size == strlen(text) && memcmp(s.text, text, s.size) == 0;
}

/* Bytes of a value of fixed size; 0 for the others and for types there are not. */
static size_t value_size(uint32_t type)
{
	static const uint8_t sizes[VALUE_TYPES] = {
		[VALUE_U8] = 1,
		[VALUE_I8] = 1,
		[VALUE_U16] = 2,
		[VALUE_I16] = 2,
		[VALUE_U32] = 4,
		[VALUE_I32] = 4,
		[VALUE_F32] = 4,
		[VALUE_BOOL] = 1,
		[VALUE_U64] = 8,
		[VALUE_I64] = 8,
		[VALUE_F64] = 8,
	};

	return type < VALUE_TYPES ? sizes[type] : 0;
}

static void skip_array(struct reader *reader)
{
	uint32_t type = reader_le32(reader);
	uint64_t count = reader_le64(reader);
	size_t size = value_size(type);

	if (type == VALUE_STRING) {
		for (uint64_t i = 0; i < count && reader->ok; i++)
			take_string(reader);
	} else if (size == 0 || count > reader_left(reader) / size) {
		reader_fail(reader);
	} else {
		reader_bytes(reader, (size_t)count * size);
	}
}

static void skip_value(struct reader *reader, uint32_t type)
{
	if (type == VALUE_STRING)
		take_string(reader);
	else if (type == VALUE_ARRAY)
		skip_array(reader);
	else if (value_size(type) > 0)
		reader_bytes(reader, value_size(type));
	else
		reader_fail(reader);
}

/* Takes the key if it is a number that matters here. */
static bool take_number(struct parse *p, struct string key)
{
	const struct {
		const char *name;
		uint32_t *value;
	} numbers[] = {
		{ "general.alignment", &p->alignment },
		{ "llama.vocab_size", &p->vocabulary },
		{ "llama.embedding_length", &p->told.d },
		{ "llama.block_count", &p->told.layers },
		{ "llama.feed_forward_length", &p->told.ff },
		{ "llama.context_length", &p->told.ctx },
		{ "llama.attention.head_count", &p->told.heads },
		{ "llama.attention.head_count_kv", &p->key_heads },
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		if (string_is(key, numbers[i].name)) {
			*numbers[i].value = reader_le32(&p->reader);
			return true;
		}
	}
	return false;
}

static void read_key(struct parse *p)
{
	struct string key = take_string(&p->reader);
	uint32_t type = reader_le32(&p->reader);

	if (string_is(key, "general.architecture") && type == VALUE_STRING)
		p->is_llama = string_is(take_string(&p->reader), "llama");
	else if (string_is(key, "llama.attention.layer_norm_rms_epsilon") && type == VALUE_F32)
		p->epsilon = float_from_bits(reader_le32(&p->reader));
	else if (string_is(key, "llama.rope.freq_base") && type == VALUE_F32)
		p->base = float_from_bits(reader_le32(&p->reader));
	else if (type != VALUE_U32 || !take_number(p, key))
		skip_value(&p->reader, type);
}

static bool read_keys(struct parse *p, uint64_t count, struct errmsg *err)
{
	for (uint64_t i = 0; i < count && p->reader.ok; i++)
		read_key(p);
	if (!p->reader.ok)
		return errmsg_set(err, "the GGUF file's keys are broken");
	if (!p->is_llama)
		return errmsg_set(err, "the GGUF file's architecture is not llama");
	if (p->alignment < 8 || p->alignment > 65536 || p->alignment % 8 != 0)
		return errmsg_set(err, "the GGUF file's alignment is %u", p->alignment);
	return true;
}

/* Sizes show in the shapes of tensors; the number of heads shows nowhere else, and rows would be taken from the wrong
 * places. 0 of keys: not stated, as many. */
static bool check_heads(const struct parse *p, struct errmsg *err)
{
	uint32_t heads = p->told.heads, wanted = p->config->heads;

	if (heads == wanted && (p->key_heads == 0 || p->key_heads == heads))
		return true;
	return errmsg_set(err, "the GGUF file has %u heads (%u of keys), the model %u", heads, p->key_heads, wanted);
}

/* The index of a tensor of that name, or model_tensors. Each tensor against each name: some 600 at most, once a
 * file. */
static size_t find_tensor(const struct model_config *config, struct string name)
{
	char text[TENSORFILE_NAME_MAX];

	for (size_t i = 0; i < model_tensors(config); i++) {
		tensor_name(config, i, text);
		if (string_is(name, text))
			return i;
	}
	return model_tensors(config);
}

static bool check_shape(struct reader *reader, const struct model_tensor *t)
{
	uint32_t dimensions = reader_le32(reader);
	uint64_t sizes[DIMENSIONS_MAX] = { 1, 1, 1, 1 };

	if (dimensions < 1 || dimensions > DIMENSIONS_MAX)
		return false;
	for (uint32_t i = 0; i < dimensions; i++)
		sizes[i] = reader_le64(reader);
	return sizes[0] == t->cols && sizes[1] == t->rows && sizes[2] == 1 && sizes[3] == 1;
}

/* The format's numbers of types. */
static bool find_type(uint32_t number, enum tensorfile_type *type)
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

static bool read_place(struct parse *p, struct errmsg *err)
{
	struct string name = take_string(&p->reader);
	char text[TENSORFILE_NAME_MAX];
	struct model_tensor t;
	enum tensorfile_type type;

	if (name.text == NULL)
		return errmsg_set(err, "the GGUF file ends within its list of tensors");
	size_t index = find_tensor(p->config, name);

	tensorfile_printable(name.text, name.size, text);
	if (index == model_tensors(p->config))
		return errmsg_set(err, "tensor %s is not part of this model", text);
	if (p->places[index].found)
		return errmsg_set(err, "tensor %s is there twice", text);
	model_tensor(p->config, index, &t);
	if (!check_shape(&p->reader, &t))
		return errmsg_set(err, "tensor %s has another shape than %zu x %zu", text, t.rows, t.cols);
	if (!find_type(reader_le32(&p->reader), &type) || tensorfile_row_bytes(type, t.cols) == 0)
		return errmsg_set(err, "tensor %s is not F32, F16, BF16 or Q8_0", text);
	p->places[index] = (struct place){ reader_le64(&p->reader), type, true };
	if (!p->reader.ok)
		return errmsg_set(err, "the GGUF file ends within its list of tensors");
	return true;
}

static bool read_tensor(struct parse *p, size_t index, const uint8_t *data, size_t size, float *theta,
	struct errmsg *err)
{
	const struct place *place = &p->places[index];
	char name[TENSORFILE_NAME_MAX];
	enum tensorfile_part part = tensor_name(p->config, index, name);
	struct model_tensor t;
	bool finite = true;

	model_tensor(p->config, index, &t);
	size_t row = tensorfile_row_bytes(place->type, t.cols), bytes = t.rows * row;

	if (!place->found)
		return errmsg_set(err, "tensor %s is missing", name);
	/* Compared by subtraction, because offset plus bytes could wrap. */
	if (place->offset % p->alignment != 0 || bytes > size || place->offset > size - bytes)
		return errmsg_set(err, "tensor %s does not lie where its bytes could be", name);
	for (size_t i = 0; i < t.rows; i++)
		finite &= tensorfile_row_read(place->type, data + place->offset + i * row, t.cols,
			theta + t.offset + our_row(p->config, part, i) * t.cols);
	return finite || errmsg_set(err, "tensor %s has a value that is not finite", name);
}

/* Everything before the list of tensors, whose number is in *tensors. */
static bool read_head(struct parse *p, uint64_t *tensors, struct errmsg *err)
{
	uint32_t magic = reader_le32(&p->reader), version = reader_le32(&p->reader);

	*tensors = reader_le64(&p->reader);
	uint64_t keys = reader_le64(&p->reader);

	if (magic != MAGIC || (version != 2 && version != FORMAT))
		return errmsg_set(err, "this is no GGUF file of version 2 or 3");
	return read_keys(p, keys, err);
}

static bool read_all(struct parse *p, size_t size, float *theta, struct errmsg *err)
{
	uint64_t tensors;

	if (!read_head(p, &tensors, err) || !check_heads(p, err))
		return false;
	/* The number is not trusted and takes no memory: a name that is unknown or there twice ends the list, as does
	 * the end of the file. */
	for (uint64_t i = 0; i < tensors; i++)
		if (!read_place(p, err))
			return false;
	size_t start = align_size(size - reader_left(&p->reader), p->alignment);

	if (start > size)
		return errmsg_set(err, "the GGUF file ends before its tensors");
	for (size_t i = 0; i < model_tensors(p->config); i++)
		if (!read_tensor(p, i, p->data + start, size - start, theta, err))
			return false;
	return true;
}

bool gguf_read(const struct model_config *config, const uint8_t *data, size_t size, float *theta, struct errmsg *err)
{
	struct parse p = {
		.config = config,
		.data = data,
		.alignment = ALIGNMENT,
		.places = mem_calloc(model_tensors(config), sizeof *p.places),
	};

	reader_init(&p.reader, data, size);
	bool ok = read_all(&p, size, theta, err);

	free(p.places);
	return ok;
}

bool gguf_sizes(const uint8_t *data, size_t size, struct model_config *sizes, struct errmsg *err)
{
	struct parse p = {
		.alignment = ALIGNMENT,
		.vocabulary = MODEL_VOCABULARY,
		.epsilon = EPSILON,
		.base = ROTARY_BASE,
	};
	uint64_t tensors;

	reader_init(&p.reader, data, size);
	if (!read_head(&p, &tensors, err))
		return false;
	if (p.key_heads != 0 && p.key_heads != p.told.heads)
		return errmsg_set(err, "the model has %u heads and %u of keys; here they are as many", p.told.heads,
			p.key_heads);
	if (p.vocabulary != MODEL_VOCABULARY)
		return errmsg_set(err, "the model's vocabulary has %u entries; here it is the 256 bytes", p.vocabulary);
	if (float_bits(p.epsilon) != float_bits(EPSILON))
		return errmsg_set(err, "the model normalises with an epsilon of %g; here it is 0.00001",
			(double)p.epsilon);
	if (float_bits(p.base) != float_bits(ROTARY_BASE))
		return errmsg_set(err, "the base of the model's rotary embedding is %g; here it is 10000",
			(double)p.base);
	*sizes = p.told;
	return true;
}
