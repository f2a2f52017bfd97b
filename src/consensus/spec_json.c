/* A private chain's spec from JSON: the names are those of the table of fields. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/spec_fields.h"
#include "util/bytes.h"
#include "util/mem.h"

static const struct spec_field *spec_json_find_field(const char *field_name)
{
	for (const struct spec_field *field = spec_fields; field->name; field++)
		/* A derived one is unknown here: it follows from the corpus, and stating it could only contradict. */
		if (!field->is_derived && strcmp(field->name, field_name) == 0)
			return field;
	return NULL;
}

static bool spec_json_take_number(struct spec *spec, const struct spec_field *field, const json_t *field_value,
	struct errmsg *err)
{
	json_int_t field_number = json_integer_value(field_value);

	if (!json_is_integer(field_value))
		return errmsg_set(err, "%s must be an integer", field->name);
	if (field_number < 0)
		return errmsg_set(err, "%s is negative", field->name);
	if (!spec_field_check(field, (uint64_t)field_number, err))
		return false;
	spec_field_set(spec, field, (uint64_t)field_number);
	return true;
}

static bool spec_json_take_corpus(const char *field_text, char **corpus_path, struct errmsg *err)
{
	if (*field_text == 0)
		return errmsg_set(err, "corpus must be \"embedded\" or the name of a file");
	if (strcmp(field_text, "embedded") != 0)
		*corpus_path = mem_strdup(field_text);
	return true;
}

static bool spec_json_take_initial_state(struct spec *spec, const char *field_text, struct errmsg *err)
{
	if (*field_text == 0)
		return errmsg_set(err, "initial_state must be the name of a file");
	spec->initial_state_path = mem_strdup(field_text);
	return true;
}

static bool spec_json_take_initial_root(struct spec *spec, const char *field_text, struct errmsg *err)
{
	spec->has_initial_root = hex_decode_reversed(spec->initial_root, 32, field_text);
	return spec->has_initial_root || errmsg_set(err, "initial_root must be a model_root: 64 hexadecimal digits");
}

static bool spec_json_take_name(struct spec *spec, const char *field_text, struct errmsg *err)
{
	if (!spec_name_check(field_text, err))
		return false;
	if (strcmp(field_text, "main") == 0 || strcmp(field_text, "test") == 0)
		return errmsg_set(err, "name \"%s\" belongs to a built-in chain", field_text);
	strcpy(spec->name, field_text);
	return true;
}

static bool spec_json_take_text(struct spec *spec, const char *field_name, const json_t *field_value,
	char **corpus_path, struct errmsg *err)
{
	const char *field_text = json_string_value(field_value);

	if (strcmp(field_name, "name") != 0 && strcmp(field_name, "hrp") != 0 && strcmp(field_name, "corpus") != 0 &&
		strcmp(field_name, "initial_state") != 0 && strcmp(field_name, "initial_root") != 0)
		return errmsg_set(err, "unknown field \"%s\"", field_name);
	if (field_text == NULL)
		return errmsg_set(err, "%s must be a string", field_name);
	if (strcmp(field_name, "corpus") == 0)
		return spec_json_take_corpus(field_text, corpus_path, err);
	if (strcmp(field_name, "initial_state") == 0)
		return spec_json_take_initial_state(spec, field_text, err);
	if (strcmp(field_name, "initial_root") == 0)
		return spec_json_take_initial_root(spec, field_text, err);
	if (strcmp(field_name, "name") == 0)
		return spec_json_take_name(spec, field_text, err);
	if (!spec_hrp_check(field_text, err))
		return false;
	strcpy(spec->hrp, field_text);
	return true;
}

static bool spec_json_take_licences(struct spec *spec, const json_t *field_value, struct errmsg *err)
{
	if (!json_is_array(field_value) || json_array_size(field_value) > SPEC_LICENCES)
		return errmsg_set(err, "licences must be a list of at most %d", (int)SPEC_LICENCES);
	for (size_t i = 0; i < json_array_size(field_value); i++) {
		const char *field_text = json_string_value(json_array_get(field_value, i));

		if (field_text == NULL || !licence_is_single(field_text))
			return errmsg_set(err, "licences must hold SPDX ids such as \"CC0-1.0\", without AND and OR");
		strcpy(spec->licences[i], field_text);
	}
	spec->licence_count = (uint32_t)json_array_size(field_value);
	return true;
}

static bool spec_json_take_field(struct spec *spec, const char *field_name, const json_t *field_value,
	char **corpus_path, struct errmsg *err)
{
	const struct spec_field *field = spec_json_find_field(field_name);

	if (field != NULL)
		return spec_json_take_number(spec, field, field_value, err);
	if (strcmp(field_name, "licences") == 0)
		return spec_json_take_licences(spec, field_value, err);
	return spec_json_take_text(spec, field_name, field_value, corpus_path, err);
}

static bool spec_json_take_all(struct spec *spec, json_t *spec_object, char **corpus_path, struct errmsg *err)
{
	const char *field_name;
	json_t *field_value;

	if (!json_is_object(spec_object))
		return errmsg_set(err, "a spec must be a JSON object");
	json_object_foreach(spec_object, field_name, field_value)
		if (!spec_json_take_field(spec, field_name, field_value, corpus_path, err))
			return false;
	return true;
}

bool spec_parse(struct spec *spec, const char *json, size_t size, char **corpus_path, struct errmsg *err)
{
	json_error_t json_error;
	json_t *spec_object;
	bool taken;

	spec_defaults(spec);
	*corpus_path = NULL;
	if (size > SPEC_TEXT_MAX)
		return errmsg_set(err, "a spec must have %d bytes at most", SPEC_TEXT_MAX);
	/* Of a field given twice, two readers could take different values, and be on two chains. */
	spec_object = json_loadb(json, size, JSON_REJECT_DUPLICATES, &json_error);
	if (spec_object == NULL)
		return errmsg_set(err, "line %d: %s", json_error.line, json_error.text);
	taken = spec_json_take_all(spec, spec_object, corpus_path, err);
	json_decref(spec_object);
	/* The caller has nothing to release; what the spec itself holds by now goes with spec_clear. */
	if (!taken) {
		free(*corpus_path);
		*corpus_path = NULL;
	}
	return taken;
}
