#include "ml/float.h"

#include <stdio.h>

#include "ml/huggingface.h"
#include "ml/tensorfile.h"

void huggingface_config(const struct model_config *c, struct buf *out)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\n"
		 "  \"architectures\": [\"LlamaForCausalLM\"],\n"
		 "  \"model_type\": \"llama\",\n"
		 "  \"vocab_size\": %d,\n"
		 "  \"hidden_size\": %u,\n"
		 "  \"intermediate_size\": %u,\n"
		 "  \"num_hidden_layers\": %u,\n"
		 "  \"num_attention_heads\": %u,\n"
		 "  \"num_key_value_heads\": %u,\n"
		 "  \"head_dim\": %u,\n"
		 "  \"hidden_act\": \"silu\",\n"
		 "  \"max_position_embeddings\": %u,\n"
		 "  \"rms_norm_eps\": 1e-05,\n"
		 "  \"rope_theta\": 10000.0,\n"
		 "  \"rope_scaling\": null,\n"
		 "  \"attention_bias\": false,\n"
		 "  \"mlp_bias\": false,\n"
		 "  \"tie_word_embeddings\": false,\n"
		 "  \"bos_token_id\": null,\n"
		 "  \"eos_token_id\": null,\n"
		 "  \"torch_dtype\": \"float32\"\n"
		 "}\n",
		 MODEL_VOCABULARY, c->d, c->ff, c->layers, c->heads, c->heads, c->d / c->heads, c->ctx);
	buf_put_text(out, text);
}

void huggingface_tokenizer(struct buf *out)
{
	static const char byte_level[] =
		"{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": false}";

	buf_put_text(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
		"  \"added_tokens\": [],\n  \"normalizer\": null,\n  \"pre_tokenizer\": ");
	buf_put_text(out, byte_level);
	buf_put_text(out, ",\n  \"post_processor\": null,\n  \"decoder\": ");
	buf_put_text(out, byte_level);
	buf_put_text(out, ",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
		"    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
		"    \"byte_fallback\": false,\n    \"vocab\": {");
	for (unsigned byte = 0; byte < MODEL_VOCABULARY; byte++) {
		char name[3], text[24];

		tensorfile_byte_text((uint8_t)byte, name);
		snprintf(text, sizeof(text), "%s\n      \"%s%s\": %u", byte ? "," : "",
			 byte == '"' || byte == '\\' ? "\\" : "", name, byte);
		buf_put_text(out, text);
	}
	buf_put_text(out, "\n    },\n    \"merges\": []\n  }\n}\n");
}

void huggingface_tokenizer_config(const struct model_config *config, struct buf *out)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"model_max_length\": %u,\n"
		 "  \"clean_up_tokenization_spaces\": false\n}\n", config->ctx);
	buf_put_text(out, text);
}
