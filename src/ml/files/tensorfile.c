/* What the formats have in common: parts of the model, stored values, bytes as text. */
#include "ml/files/tensorfile.h"

#include "ml/kernel/float.h"
#include "util/bytes.h"

enum tensorfile_part tensorfile_part(const struct model_config *config, size_t index, size_t *layer)
{
	size_t norm = 1 + (size_t)config->layers * TENSORFILE_LAYER_PARTS;

	*layer = 0;
	if (index == 0)
		return TENSORFILE_EMBEDDING;
	if (index >= norm)
		return index == norm ? TENSORFILE_NORM : TENSORFILE_HEAD;
	*layer = (index - 1) / TENSORFILE_LAYER_PARTS;
	return (enum tensorfile_part)((index - 1) % TENSORFILE_LAYER_PARTS);
}

void tensorfile_row_write(const float *row, size_t count, uint8_t *stored)
{
	for (size_t i = 0; i < count; i++)
		write_le32(stored + 4 * i, float_bits(row[i]));
}

/* Every half is a float exactly: a normal one by moving the exponent's bias from 15 to 127, a subnormal one as a
 * multiple of 2^-24. */
float tensorfile_half(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;

	if (magnitude >= 0x7c00) /* infinite or no number */
		return float_from_bits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
	if (magnitude >= 0x400)
		return float_from_bits(sign | ((magnitude << 13) + 0x38000000));
	float value = (float)magnitude * 0x1p-24f;

	return sign ? -value : value;
}

size_t tensorfile_row_bytes(enum tensorfile_type type, size_t count)
{
	switch (type) {
	case TENSORFILE_F32:
		return 4 * count;
	case TENSORFILE_F16:
	case TENSORFILE_BF16:
		return 2 * count;
	case TENSORFILE_Q8_0:
		break;
	}
	return count % TENSORFILE_BLOCK == 0 ? count / TENSORFILE_BLOCK * TENSORFILE_BLOCK_BYTES : 0;
}

/* A half has 11 bits and the factor 8: the product is exact. */
static float tensorfile_block_value(const uint8_t *stored, size_t index)
{
	const uint8_t *block = stored + index / TENSORFILE_BLOCK * TENSORFILE_BLOCK_BYTES;

	return tensorfile_half(read_le16(block)) * (float)(int8_t)block[2 + index % TENSORFILE_BLOCK];
}

bool tensorfile_row_read(enum tensorfile_type type, const uint8_t *stored, size_t count, float *row)
{
	bool finite = true;

	for (size_t i = 0; i < count; i++) {
		switch (type) {
		case TENSORFILE_F32:
			row[i] = float_from_bits(read_le32(stored + 4 * i));
			break;
		case TENSORFILE_F16:
			row[i] = tensorfile_half(read_le16(stored + 2 * i));
			break;
		case TENSORFILE_BF16:
			row[i] = float_from_bits((uint32_t)read_le16(stored + 2 * i) << 16);
			break;
		case TENSORFILE_Q8_0:
			row[i] = tensorfile_block_value(stored, i);
			break;
		}
		finite &= float_is_finite(row[i]);
	}
	return finite;
}

/* The name is a stranger's, and goes into a log or onto a terminal. */
void tensorfile_printable(const void *text, size_t size, char out[TENSORFILE_NAME_MAX])
{
	const uint8_t *name = text;
	size_t printable_size = size < TENSORFILE_NAME_MAX - 1 ? size : TENSORFILE_NAME_MAX - 1;

	for (size_t i = 0; i < printable_size; i++)
		out[i] = name[i] > ' ' && name[i] < 0x7f ? (char)name[i] : '?';
	out[printable_size] = 0;
}

static bool tensorfile_stands_for_itself(unsigned byte)
{
	return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* The alphabet that GPT-2's tokenizer spells bytes with: printable ones as themselves, the others from U+0100 on in
 * their order. So every byte is one token and no merge is needed. */
void tensorfile_byte_text(uint8_t byte, char out[3])
{
	unsigned code_point = byte;

	if (!tensorfile_stands_for_itself(byte)) {
		code_point = 256;
		for (unsigned before = 0; before < byte; before++)
			code_point += !tensorfile_stands_for_itself(before);
	}
	if (code_point < 0x80) {
		out[0] = (char)code_point;
		out[1] = 0;
		return;
	}
	out[0] = (char)(0xc0 | code_point >> 6);
	out[1] = (char)(0x80 | (code_point & 0x3f));
	out[2] = 0;
}

const char tensorfile_chat_template[] =
	"{% for message in messages %}"
	"{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}"
	"{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + '\\n' }}"
	"{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}"
	"{% endfor %}"
	"{% if add_generation_prompt %}Assistant:{% endif %}";
