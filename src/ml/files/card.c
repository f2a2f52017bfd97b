/* The model card: front matter, sizes, and a table of the data. */
#include "ml/files/card.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void card_print(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void card_print(struct buf *out, const char *format, ...)
{
	char card_text[512];
	va_list card_values;

	va_start(card_values, format);
	vsnprintf(card_text, sizeof card_text, format, card_values);
	va_end(card_values);
	buf_put_text(out, card_text);
}

/* CommonMark takes a backslash before any ASCII punctuation for the character itself: so no title makes a link, a
 * picture, HTML or another column of the table. */
static void card_put_words(struct buf *out, const char *words)
{
	for (; *words != 0; words++) {
		if (strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", *words) != NULL)
			buf_put_u8(out, '\\');
		buf_put_u8(out, (uint8_t)*words);
	}
}

/* A share in hundredths of a percent, without floats: 12.50 %. */
static void card_put_row(struct buf *out, const struct tensorfile_dataset *dataset, uint64_t slots_total)
{
	uint64_t share = slots_total > 0 ? dataset->slots * 10000 / slots_total : 0;

	buf_put_text(out, "| ");
	card_put_words(out, dataset->title);
	buf_put_text(out, " | ");
	card_put_words(out, dataset->licence);
	card_print(out, " | %s | %" PRIu64 " | %" PRIu64 ".%02" PRIu64 " %% | `%s` |\n", dataset->owner, dataset->bytes,
		share / 100, share % 100, dataset->root);
}

static void card_put_data(struct buf *out, const struct tensorfile_source *source)
{
	uint64_t slots_total = 0;

	for (size_t i = 0; i < source->dataset_count; i++)
		slots_total += source->datasets[i].slots;
	card_print(out,
		"\n## Data\n\nEvery step of its training is on the chain, and so is what it was trained on: %zu "
		"datasets, in %" PRIu64
		" slots of blocks. The share is that of these slots, with those whose steps were measured and left out "
		"of the update. A root is the Merkle root of the bytes, by which any node gives them (`getblob`).\n\n"
		"| title | licence | owner | bytes | share | root |\n|---|---|---|---|---|---|\n",
		source->dataset_count, slots_total);
	for (size_t i = 0; i < source->dataset_count; i++)
		card_put_row(out, &source->datasets[i], slots_total);
}

void card_write(const struct tensorfile_source *source, struct buf *out)
{
	const struct model_config *config = source->config;

	buf_put_text(out,
		"---\nlibrary_name: transformers\npipeline_tag: text-generation\n"
		"tags:\n- llama\n- byte-level\n---\n\n# ");
	card_put_words(out, source->name);
	card_print(out,
		"\n\nA Llama over bytes (token b is byte b), trained by a chain whose proof of work is training: "
		"%zu parameters, %u layers of width %u, %u heads, context %u. The state that these weights are of "
		"has the model\\_root `%s`.\n",
		model_count(config), config->layers, config->d, config->heads, config->ctx, source->root);
	if (source->dataset_count > 0)
		card_put_data(out, source);
}
