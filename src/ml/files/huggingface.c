/* What transformers reads beside model.safetensors: the model's sizes and a tokenizer of bytes. */
#include "ml/files/huggingface.h"

#include <jansson.h>
#include <stdio.h>

#include "ml/files/tensorfile.h"
#include "ml/kernel/float.h"

void huggingface_config(const struct model_config *config, struct buf *out)
{
	char config_json[1024];

	snprintf(config_json, sizeof config_json,
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
		MODEL_VOCABULARY, config->d, config->ff, config->layers, config->heads, config->heads,
		config->d / config->heads, config->ctx);
	buf_put_text(out, config_json);
}

void huggingface_tokenizer(struct buf *out)
{
	static const char byte_level[] =
		"{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": false}";

	buf_put_text(out,
		"{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
		"  \"added_tokens\": [],\n  \"normalizer\": null,\n  \"pre_tokenizer\": ");
	buf_put_text(out, byte_level);
	buf_put_text(out, ",\n  \"post_processor\": null,\n  \"decoder\": ");
	buf_put_text(out, byte_level);
	buf_put_text(out,
		",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
		"    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
		"    \"fuse_unk\": false,\n"
		"    \"byte_fallback\": false,\n    \"vocab\": {");
	for (unsigned byte = 0; byte < MODEL_VOCABULARY; byte++) {
		char byte_text[3], vocabulary_entry[24];

		tensorfile_byte_text((uint8_t)byte, byte_text);
		snprintf(vocabulary_entry, sizeof vocabulary_entry, "%s\n      \"%s%s\": %u", byte ? "," : "",
			byte == '"' || byte == '\\' ? "\\" : "", byte_text, byte);
		buf_put_text(out, vocabulary_entry);
	}
	buf_put_text(out, "\n    },\n    \"merges\": []\n  }\n}\n");
}

void huggingface_tokenizer_config(const struct model_config *config, struct buf *out)
{
	char tokenizer_json[256];

	snprintf(tokenizer_json, sizeof tokenizer_json,
		"{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"model_max_length\": %u,\n"
		"  \"clean_up_tokenization_spaces\": false,\n  \"chat_template\": \"",
		config->ctx);
	buf_put_text(out, tokenizer_json);
	for (const char *at = tensorfile_chat_template; *at != 0; at++)
		buf_put_text(out, *at == '\\' ? "\\\\" : (char[]){ *at, 0 });
	buf_put_text(out, "\"\n}\n");
}

/* ---- Reading ---- */

static bool huggingface_check_text(const json_t *config, const char *name, const char *wanted, struct errmsg *err)
{
	const json_t *config_value = json_object_get(config, name);

	if (config_value == NULL ||
		(json_is_string(config_value) && strcmp(json_string_value(config_value), wanted) == 0))
		return true;
	return errmsg_set(err, "config.json: %s is not \"%s\"", name, wanted);
}

static bool huggingface_check_false(const json_t *config, const char *name, struct errmsg *err)
{
	const json_t *config_value = json_object_get(config, name);

	return config_value == NULL || json_is_false(config_value) || json_is_null(config_value) ||
		errmsg_set(err, "config.json: %s is set", name);
}

/* What is not there has the default that this model has too. */
static bool huggingface_check_number(const json_t *config, const char *name, double wanted, struct errmsg *err)
{
	const json_t *config_value = json_object_get(config, name);

	if (config_value == NULL || (json_is_number(config_value) && json_number_value(config_value) == wanted))
		return true;
	return errmsg_set(err, "config.json: %s is not %g", name, wanted);
}

/* A number that must be a size, if it is there. */
static bool huggingface_take_size(const json_t *config, const char *name, uint32_t *size, struct errmsg *err)
{
	const json_t *config_value = json_object_get(config, name);

	*size = 0;
	if (config_value == NULL)
		return true;
	if (!json_is_integer(config_value) || json_integer_value(config_value) < 1 ||
		json_integer_value(config_value) > INT32_MAX)
		return errmsg_set(err, "config.json: %s is no possible size", name);
	*size = (uint32_t)json_integer_value(config_value);
	return true;
}

static bool huggingface_read_config(const json_t *config, struct model_config *sizes, struct errmsg *err)
{
	static const char *const config_unset[] = { "tie_word_embeddings", "attention_bias", "mlp_bias",
		"rope_scaling" };
	uint32_t heads, key_heads, ctx;

	if (!json_is_object(config))
		return errmsg_set(err, "config.json is not a JSON object");
	for (size_t i = 0; i < sizeof config_unset / sizeof config_unset[0]; i++)
		if (!huggingface_check_false(config, config_unset[i], err))
			return false;
	if (!huggingface_check_text(config, "model_type", "llama", err) ||
		!huggingface_check_text(config, "hidden_act", "silu", err) ||
		!huggingface_check_number(config, "vocab_size", MODEL_VOCABULARY, err) ||
		!huggingface_check_number(config, "rms_norm_eps", 1e-5, err) ||
		!huggingface_check_number(config, "rope_theta", 10000, err) ||
		!huggingface_take_size(config, "num_attention_heads", &heads, err) ||
		!huggingface_take_size(config, "num_key_value_heads", &key_heads, err) ||
		!huggingface_take_size(config, "max_position_embeddings", &ctx, err))
		return false;
	if (key_heads != 0 && key_heads != heads)
		return errmsg_set(err, "config.json: the model has %u heads and %u of keys; here they are as many",
			heads, key_heads);
	sizes->heads = heads;
	sizes->ctx = ctx < MODEL_CTX_MAX ? ctx : MODEL_CTX_MAX;
	return true;
}

bool huggingface_read(const char *config_text, size_t size, struct model_config *sizes, struct errmsg *err)
{
	json_error_t config_error;
	json_t *config = json_loadb(config_text, size, JSON_REJECT_DUPLICATES, &config_error);
	bool ok = config != NULL ? huggingface_read_config(config, sizes, err) :
				   errmsg_set(err, "config.json, line %d: %s", config_error.line, config_error.text);

	json_decref(config);
	return ok;
}
