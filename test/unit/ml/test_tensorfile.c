/* Files of weights: what is written is read again bit for bit, and a file that does not fit says which tensor
 * and why. */
#define _GNU_SOURCE /* memmem */
#include <math.h>

#include "ml/files/card.h"
#include "ml/files/gguf.h"
#include "ml/files/huggingface.h"
#include "ml/files/safetensors.h"
#include "ml/files/weights.h"
#include "ml/kernel/float.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

static const struct model_config config = { .d = 64, .layers = 2, .heads = 2, .ff = 48, .ctx = 32 };

static bool put(void *context, const void *data, size_t size, struct errmsg *err)
{
	(void)err;
	buf_put(context, data, size);
	return true;
}

/* Every value another one, of both signs and many sizes. */
static float *make_theta(const struct model_config *c)
{
	size_t count = model_count(c);
	float *theta = mem_align(count * sizeof(float));

	for (size_t i = 0; i < count; i++)
		theta[i] = (i % 2 ? -1.0f : 1.0f) * (float)(i + 1) * (i % 3 ? 0x1p-20f : 0x1p-140f);
	return theta;
}

enum kind { SAFE, GGUF, GGUF8 };

static void write_file(const struct model_config *c, const float *theta, enum kind kind, struct buf *out)
{
	struct tensorfile_source source = { .config = c, .theta = theta, .name = "a model", .root = "00ff" };
	struct tensorfile_sink sink = { put, out };
	enum gguf_type type = kind == GGUF8 ? GGUF_Q8_0 : GGUF_F32;

	buf_init(out);
	if (kind == SAFE) {
		assert_true(safetensors_write(&source, &sink, NULL));
		assert_int_equal(out->size, safetensors_size(&source));
	} else {
		assert_true(gguf_write(&source, type, &sink, NULL));
		assert_int_equal(out->size, gguf_size(&source, type));
	}
	assert_true(out->size <= weights_size_max(c));
}

static void test_round_trip(void **state)
{
	static const struct model_config sizes[] = {
		{ .d = 64, .layers = 2, .heads = 2, .ff = 48, .ctx = 32 },
		{ .d = 48, .layers = 1, .heads = 3, .ff = 16, .ctx = 64 },
		{ .d = 16, .layers = 3, .heads = 1, .ff = 32, .ctx = 32 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		size_t bytes = model_count(&sizes[i]) * sizeof(float);
		float *theta = make_theta(&sizes[i]), *again = mem_align(bytes);

		for (enum kind kind = SAFE; kind <= GGUF; kind++) {
			struct buf file;

			write_file(&sizes[i], theta, kind, &file);
			memset(again, 0xff, bytes);
			assert_true(weights_read(&sizes[i], file.data, file.size, again, NULL));
			assert_memory_equal(again, theta, bytes);
			buf_clear(&file);
		}
		free(theta);
		free(again);
	}
}

/* The first place of a text in a file; what is after it. */
static uint8_t *find(const struct buf *file, const char *text)
{
	uint8_t *at = memmem(file->data, file->size, text, strlen(text));

	assert_non_null(at);
	return at + strlen(text);
}

/* Reading must fail with a reason that holds the text. */
static void refused(const struct buf *file, size_t size, const char *why)
{
	float *theta = mem_align(model_count(&config) * sizeof(float));
	uint8_t *copy = mem_dup(file->data, size); /* its end is the end of the memory */
	struct errmsg err = { "" };

	assert_false(weights_read(&config, copy, size, theta, &err));
	if (strstr(err.text, why) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", why, err.text);
	free(copy);
	free(theta);
}

/* What is changed, by what, and what the reader must say. */
struct change {
	const char *after; /* the change comes behind the first place of this */
	size_t skip;       /* and so many bytes more */
	const char *bytes;
	size_t size;
	const char *why;
};

static void check_changes(enum kind kind, const struct change *changes, size_t count)
{
	float *theta = make_theta(&config);

	for (size_t i = 0; i < count; i++) {
		struct buf file;

		write_file(&config, theta, kind, &file);
		memcpy(find(&file, changes[i].after) + changes[i].skip, changes[i].bytes, changes[i].size);
		refused(&file, file.size, changes[i].why);
		buf_clear(&file);
	}
	free(theta);
}

#define CHANGE(after, skip, bytes, why)                    \
	{                                                  \
		after, skip, bytes, sizeof(bytes) - 1, why \
	}

static void test_safetensors_refused(void **state)
{
	static const struct change changes[] = {
		CHANGE("model.layers.1.mlp.up_pro", 0, "x", "model.layers.1.mlp.up_proj.weight is missing"),
		CHANGE("lm_head.weight\":{\"dtype\":\"F", 0, "1", "lm_head.weight is not F32, F16 or BF16"),
		CHANGE("model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[6", 0, "5",
			"model.norm.weight has another shape than 1 x 64"),
		CHANGE("self_attn.o_proj.weight\":{\"dtype\":\"F32\",\"shape\":[6", 0, "5",
			"self_attn.o_proj.weight has another shape"),
		CHANGE("data_offset", 0, "x", "embed_tokens.weight has no offsets"),
		CHANGE("\"data_offsets\":[", 0, "1", "embed_tokens.weight does not lie"),
		CHANGE("\"data_offsets\":[0,65", 0, "9", "embed_tokens.weight does not lie"),
		CHANGE("__metadat", 0, "x", "tensor __metadatx__ is not part of this model"),
		CHANGE("{\"__metadata__\":", 0, "x", "not JSON"),
		CHANGE("", 0, "\xff\xff\xff\xff\xff\xff\xff\xff", "neither a GGUF nor a safetensors file"),
		CHANGE("", 0, "\0\0\0\0", "not JSON"),
	};
	float *theta = make_theta(&config);
	struct buf file;

	(void)state;
	check_changes(SAFE, changes, sizeof changes / sizeof changes[0]);
	write_file(&config, theta, SAFE, &file);
	write_le32(file.data + file.size - 4, 0x7f800000);
	refused(&file, file.size, "lm_head.weight has a value that is not finite");
	refused(&file, file.size - 1, "lm_head.weight does not lie");
	refused(&file, 7, "neither");
	refused(&file, 8, "neither");
	buf_clear(&file);
	free(theta);
}

static void test_gguf_refused(void **state)
{
	static const struct change changes[] = {
		CHANGE("GGUF", 0, "\1", "version 2 or 3"),
		CHANGE("general.architecture", 12, "x", "architecture is not llama"),
		CHANGE("attention.head_count", 4, "\4", "4 heads (2 of keys), the model 2"),
		CHANGE("attention.head_count_kv", 4, "\1", "2 heads (1 of keys), the model 2"),
		CHANGE("general.alignment", 4, "\0", "alignment is 0"),
		CHANGE("general.alignment", 4, "\41", "alignment is 33"),
		CHANGE("general.alignment", 0, "\15", "keys are broken"),
		CHANGE("general.name", 4, "\xff\xff\xff\xff\xff\xff\xff\xff", "keys are broken"),
		CHANGE("tokenizer.ggml.tokens", 8, "\xff\xff\xff\xff\xff\xff\xff\xff", "keys are broken"),
		CHANGE("tokenizer.ggml.token_type", 8, "\xff\xff\xff\xff\xff\xff\xff\x3f", "keys are broken"),
		CHANGE("tokenizer.ggml.token_type", 4, "\11", "keys are broken"),
		CHANGE("GGUF", 12, "\xff\xff\xff\xff\xff\xff\xff\xff", "keys are broken"),
		CHANGE("GGUF", 4, "\xff\xff\xff\xff\xff\xff\xff\xff", "tensor  is not part of this model"),
		CHANGE("GGUF", 4, "\24", "tensor output.weight is missing"),
		CHANGE("blk.1.ffn_up.weigh", 0, "\1", "tensor blk.1.ffn_up.weigh? is not part of this model"),
		CHANGE("blk.1.attn_", 0, "q", "tensor blk.1.attn_qorm.weight is not part"),
		CHANGE("blk.", 0, "1", "tensor blk.1.attn_norm.weight is there twice"),
		CHANGE("output_norm.weight", 0, "\0", "output_norm.weight has another shape"),
		CHANGE("output_norm.weight", 0, "\5", "output_norm.weight has another shape"),
		CHANGE("output_norm.weight", 4, "\5", "output_norm.weight has another shape"),
		CHANGE("output_norm.weight", 12, "\2", "output_norm.weight is not F32, F16, BF16 or Q8_0"),
		CHANGE("output_norm.weight", 16, "\1", "output_norm.weight does not lie"),
		CHANGE("output_norm.weight", 16, "\xe0\xff\xff\xff\xff\xff\xff\xff", "output_norm.weight does not lie"),
	};
	float *theta = make_theta(&config);
	struct buf file;

	(void)state;
	check_changes(GGUF, changes, sizeof changes / sizeof changes[0]);
	write_file(&config, theta, GGUF, &file);
	write_le32(file.data + file.size - 4, 0xffc00000);
	refused(&file, file.size, "output.weight has a value that is not finite");
	refused(&file, file.size - 1, "output.weight does not lie");
	for (size_t size = 4; size < 12000; size += 97)
		refused(&file, size, "");
	buf_clear(&file);
	free(theta);
}

/* Values of 8 bits are read as what they stand for: exactly, or to half a step. */
static void test_read_blocks(void **state)
{
	size_t bytes = model_count(&config) * sizeof(float);
	float *theta = mem_align(bytes), *again = mem_align(bytes);
	struct buf file;

	(void)state;
	for (size_t i = 0; i < bytes / sizeof(float); i++)
		theta[i] = (float)(int)(i * 2654435761u % 255) - 127.0f; /* 127 in every block: a scale of 1 */
	for (size_t i = 0; i < bytes / sizeof(float); i += 16)
		theta[i] = 127.0f;
	write_file(&config, theta, GGUF8, &file);
	assert_true(weights_read(&config, file.data, file.size, again, NULL));
	assert_memory_equal(again, theta, bytes);
	write_le16(find(&file, "token_embd.weight") + 20, 2); /* Q4_0 */
	refused(&file, file.size, "token_embd.weight is not F32, F16, BF16 or Q8_0");
	buf_clear(&file);
	for (size_t i = 0; i < bytes / sizeof(float); i++)
		theta[i] *= 0.3f;
	write_file(&config, theta, GGUF8, &file);
	assert_true(weights_read(&config, file.data, file.size, again, NULL));
	for (size_t i = 0; i < bytes / sizeof(float); i++)
		assert_true(fabsf(again[i] - theta[i]) <= 0.6f * 0.3f);
	buf_clear(&file);
	free(theta);
	free(again);
}

/* The types of 16 bits, in one row each; a row of no whole blocks, and values that are not finite. */
static void test_types(void **state)
{
	static const uint8_t halves[] = { 0x00, 0x3c, 0x01, 0x80, 0xff, 0x03, 0xff, 0xfb },
			     upper[] = { 0x80, 0xbf, 0x49, 0x40 };
	static const uint8_t wrong[] = { 0x00, 0x7c, 0x01, 0x7e, 0x80, 0x7f };
	float row[4];

	(void)state;
	assert_true(tensorfile_row_read(TENSORFILE_F16, halves, 4, row));
	assert_true(row[0] == 1.0f && row[1] == -0x1p-24f && row[2] == 1023 * 0x1p-24f && row[3] == -65504.0f);
	assert_true(tensorfile_row_read(TENSORFILE_BF16, upper, 2, row));
	assert_true(row[0] == -1.0f && row[1] == 3.140625f);
	assert_false(tensorfile_row_read(TENSORFILE_F16, wrong, 1, row));
	assert_false(tensorfile_row_read(TENSORFILE_F16, wrong + 2, 1, row));
	assert_false(tensorfile_row_read(TENSORFILE_BF16, wrong + 4, 1, row));
	assert_int_equal(tensorfile_row_bytes(TENSORFILE_Q8_0, 48), 0);
	assert_int_equal(tensorfile_row_bytes(TENSORFILE_Q8_0, 64), 68);
	for (unsigned half = 0; half < 0x7c00; half++)
		assert_int_equal(gguf_half(tensorfile_half((uint16_t)half)), half);
}

/* A file tells the sizes of its model: GGUF all of them, safetensors those that its shapes show. */
static void test_sizes(void **state)
{
	float *theta = make_theta(&config);
	struct model_config told;
	struct errmsg err = { "" };
	struct buf file;

	(void)state;
	write_file(&config, theta, GGUF, &file);
	assert_true(weights_sizes(file.data, file.size, &told, &err));
	assert_memory_equal(&told, &config, sizeof told);
	for (size_t size = 0; size < 1500; size += 7) {
		uint8_t *copy = mem_dup(file.data, size);

		assert_false(weights_sizes(copy, size, &told, &err));
		free(copy);
	}
	buf_clear(&file);
	write_file(&config, theta, SAFE, &file);
	assert_true(weights_sizes(file.data, file.size, &told, &err));
	struct model_config shown = { .d = config.d, .layers = config.layers, .ff = config.ff };

	assert_memory_equal(&told, &shown, sizeof told);
	memcpy(find(&file, "model.layers.0.mlp.gate_pro"), "x", 1);
	assert_false(weights_sizes(file.data, file.size, &told, &err));
	assert_non_null(strstr(err.text, "gate_proj.weight is missing"));
	buf_clear(&file);
	free(theta);
}

/* What config.json says of our own models is read back. */
static void test_config(void **state)
{
	struct model_config told = { 0 };
	struct buf text;
	struct errmsg err = { "" };

	(void)state;
	buf_init(&text);
	huggingface_config(&config, &text);
	assert_true(huggingface_read((const char *)text.data, text.size, &told, &err));
	assert_int_equal(told.heads, config.heads);
	assert_int_equal(told.ctx, config.ctx);
	assert_false(huggingface_read((const char *)text.data, text.size - 2, &told, &err));
	assert_non_null(strstr(err.text, "config.json, line"));
	buf_clear(&text);
}

/* Binary16: exact values, ties, the edges of the normal and of the subnormal numbers. */
static void test_half(void **state)
{
	static const struct {
		float x;
		uint16_t half;
	} known[] = {
		{ 0.0f, 0 },
		{ -0.0f, 0x8000 },
		{ 1.0f, 0x3c00 },
		{ -2.0f, 0xc000 },
		{ 65504.0f, 0x7bff },
		{ 65519.0f, 0x7bff },
		{ 65520.0f, 0x7c00 },
		{ 0x1p-14f, 0x0400 },
		{ 0x1p-24f, 1 },
		{ 0x1p-25f, 0 },
		{ 0x1.8p-25f, 1 },
		{ 0x1.8p-24f, 2 },
		{ 0x1.4p-23f, 2 },
		{ 0x1.cp-23f, 4 },
		{ 0x1.ffcp-15f, 0x03ff + 1 },
		{ 0x1.ff8p-15f, 0x03ff },
		{ 1.0f + 0x1p-11f, 0x3c00 },
		{ 1.0f + 0x3p-11f, 0x3c02 },
		{ 0x1.ffep0f, 0x4000 },
		{ INFINITY, 0x7c00 },
		{ 0.1f, 0x2e66 },
		{ 3.14159274f, 0x4248 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (gguf_half(known[i].x) != known[i].half)
			fail_msg("%a is %04x, not %04x", (double)known[i].x, gguf_half(known[i].x), known[i].half);
}

/* A block of Q8_0: the largest becomes 127; what no binary16 holds is refused. */
static void test_blocks(void **state)
{
	float *theta = mem_calloc(model_count(&config), sizeof(float));
	struct tensorfile_source source = { .config = &config, .theta = theta, .name = "", .root = "" };
	struct buf file;
	struct tensorfile_sink sink = { put, &file };
	struct errmsg err = { "" };

	(void)state;
	for (int i = 0; i < 32; i++)
		theta[i] = (float)i - 31.0f; /* -31 .. 0: the scale is 31 / 127 */
	write_file(&config, theta, GGUF8, &file);
	uint8_t start[3] = { 0, 0, 0x81 };

	write_le16(start, gguf_half(31.0f / 127));
	const uint8_t *block = memmem(file.data, file.size, start, sizeof start);

	assert_non_null(block);
	assert_int_equal((int8_t)block[2], -127);
	assert_int_equal((int8_t)block[3], -123); /* -30 * 127 / 31 = -122.9 */
	assert_int_equal((int8_t)block[32], -4);  /* -1 * 127 / 31 = -4.1 */
	assert_int_equal(block[33], 0);
	buf_reset(&file);
	theta[0] = 127.0f * 65520.0f;
	assert_false(gguf_write(&source, GGUF_Q8_0, &sink, &err));
	assert_non_null(strstr(err.text, "token_embd.weight has values too large"));
	buf_clear(&file);
	free(theta);
}

static bool full(void *context, const void *data, size_t size, struct errmsg *err)
{
	size_t *left = context;

	(void)data;
	if (size > *left)
		return errmsg_set(err, "no room");
	*left -= size;
	return true;
}

/* A sink that fails ends the writing, wherever it does. */
static void test_sink_fails(void **state)
{
	float *theta = make_theta(&config);
	struct tensorfile_source source = { .config = &config, .theta = theta, .name = "", .root = "" };

	(void)state;
	for (size_t room = 0; room < gguf_size(&source, GGUF_Q8_0); room += 9973) {
		size_t left = room;
		struct tensorfile_sink sink = { full, &left };

		assert_false(gguf_write(&source, GGUF_Q8_0, &sink, NULL));
		left = room;
		assert_false(safetensors_write(&source, &sink, NULL));
	}
	free(theta);
}

/* The card's table, with a title that is Markdown, and a share cut off at hundredths of a percent. */
static void test_card(void **state)
{
	static const struct tensorfile_dataset datasets[] = {
		{ .root = "00", .title = "genesis corpus", .bytes = 5, .slots = 2 },
		{ .root = "ab",
			.title = "a|[b](c)\\<d>",
			.owner = "atl1q",
			.licence = "MIT OR (A+)",
			.bytes = 70000,
			.slots = 1 },
	};
	struct tensorfile_source source = { .config = &config, .name = "Atelier main height 1", .root = "f00f" };
	struct buf out;
	char *text;

	(void)state;
	buf_init(&out);
	card_write(&source, &out);
	text = buf_take_text(&out);
	assert_non_null(strstr(text, "---\n\n# Atelier main height 1\n"));
	assert_non_null(strstr(text, "`f00f`"));
	assert_null(strstr(text, "## Data"));
	free(text);
	source.datasets = datasets;
	source.dataset_count = 2;
	buf_init(&out);
	card_write(&source, &out);
	text = buf_take_text(&out);
	assert_non_null(strstr(text, "2 datasets, in 3 slots"));
	assert_non_null(strstr(text, "| genesis corpus |  |  | 5 | 66.66 % | `00` |\n"));
	assert_non_null(strstr(text,
		"| a\\|\\[b\\]\\(c\\)\\\\\\<d\\> | MIT OR \\(A\\+\\) | atl1q | 70000 | 33.33 % | `ab` |\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_card),
		cmocka_unit_test(test_safetensors_refused),
		cmocka_unit_test(test_gguf_refused),
		cmocka_unit_test(test_half),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_read_blocks),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("ml_tensorfile", tests, NULL, NULL);
}
