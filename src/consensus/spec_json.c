/* A private chain's spec from JSON: the names are those of the table of fields. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/spec_fields.h"
#include "util/bytes.h"
#include "util/mem.h"

static const struct spec_field *find_field(const char *name)
{
	for (const struct spec_field *field = spec_fields; field->name; field++)
		/* A derived one is unknown here: it follows from the corpus, and stating it could only contradict. */
		if (!field->is_derived && strcmp(field->name, name) == 0)
			return field;
	return NULL;
}

static bool take_number(struct spec *spec, const struct spec_field *field, const json_t *value, struct errmsg *err)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value))
		return errmsg_set(err, "%s must be an integer", field->name);
	if (number < 0)
		return errmsg_set(err, "%s is negative", field->name);
	if (!spec_field_check(field, (uint64_t)number, err))
		return false;
	spec_field_set(spec, field, (uint64_t)number);
	return true;
}

static bool take_corpus(const char *text, char **corpus_path, struct errmsg *err)
{
	if (*text == 0)
		return errmsg_set(err, "corpus must be \"embedded\" or the name of a file");
	if (strcmp(text, "embedded") != 0)
		*corpus_path = mem_strdup(text);
	return true;
}

static bool take_initial_state(struct spec *spec, const char *text, struct errmsg *err)
{
	if (*text == 0)
		return errmsg_set(err, "initial_state must be the name of a file");
	spec->initial_state_path = mem_strdup(text);
	return true;
}

static bool take_initial_root(struct spec *spec, const char *text, struct errmsg *err)
{
	spec->has_initial_root = hex_decode_reversed(spec->initial_root, 32, text);
	return spec->has_initial_root || errmsg_set(err, "initial_root must be a model_root: 64 hexadecimal digits");
}

static bool take_name(struct spec *spec, const char *text, struct errmsg *err)
{
	if (!spec_name_check(text, err))
		return false;
	if (strcmp(text, "main") == 0 || strcmp(text, "test") == 0)
		return errmsg_set(err, "name \"%s\" belongs to a built-in chain", text);
	strcpy(spec->name, text);
	return true;
}

static bool take_text(struct spec *spec, const char *name, const json_t *value, char **corpus_path, struct errmsg *err)
{
	const char *text = json_string_value(value);

	if (strcmp(name, "name") != 0 && strcmp(name, "hrp") != 0 && strcmp(name, "corpus") != 0 &&
		strcmp(name, "initial_state") != 0 && strcmp(name, "initial_root") != 0)
		return errmsg_set(err, "unknown field \"%s\"", name);
	if (text == NULL)
		return errmsg_set(err, "%s must be a string", name);
	if (strcmp(name, "corpus") == 0)
		return take_corpus(text, corpus_path, err);
	if (strcmp(name, "initial_state") == 0)
		return take_initial_state(spec, text, err);
	if (strcmp(name, "initial_root") == 0)
		return take_initial_root(spec, text, err);
	if (strcmp(name, "name") == 0)
		return take_name(spec, text, err);
	if (!spec_hrp_check(text, err))
		return false;
	strcpy(spec->hrp, text);
	return true;
}

static bool take_all(struct spec *spec, json_t *root, char **corpus_path, struct errmsg *err)
{
	const char *name;
	json_t *value;

	if (!json_is_object(root))
		return errmsg_set(err, "a spec must be a JSON object");
	json_object_foreach(root, name, value) {
		const struct spec_field *field = find_field(name);

		if (!(field != NULL ? take_number(spec, field, value, err) :
				      take_text(spec, name, value, corpus_path, err)))
			return false;
	}
	return true;
}

bool spec_parse(struct spec *spec, const char *json, size_t size, char **corpus_path, struct errmsg *err)
{
	json_error_t where;
	json_t *root;
	bool ok;

	spec_defaults(spec);
	*corpus_path = NULL;
	if (size > SPEC_TEXT_MAX)
		return errmsg_set(err, "a spec must have %d bytes at most", SPEC_TEXT_MAX);
	/* Of a field given twice, two readers could take different values, and be on two chains. */
	root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &where);
	if (root == NULL)
		return errmsg_set(err, "line %d: %s", where.line, where.text);
	ok = take_all(spec, root, corpus_path, err);
	json_decref(root);
	/* The caller has nothing to release; what the spec itself holds by now goes with spec_clear. */
	if (!ok) {
		free(*corpus_path);
		*corpus_path = NULL;
	}
	return ok;
}
