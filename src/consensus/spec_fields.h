/* The numbers of a spec in one table: their names, limits and order (doc/protocol.md section 16). Private to spec.c and
 * spec_json.c, so that what is parsed, what is checked and what is committed to cannot drift apart. */
#ifndef ATELIER_CONSENSUS_SPEC_FIELDS_H
#define ATELIER_CONSENSUS_SPEC_FIELDS_H

#include "consensus/spec.h"

struct spec_field {
	const char *name;
	size_t offset, size; /* of the member of struct spec: 2, 4 or 8 bytes, never negative */
	uint64_t min, max;
	/* In the commitment, in its order: always, only on chains with rounds, at its very end and only where it is not
	 * 0, or never: nodes may differ in it. */
	enum { SPEC_COMMITTED, SPEC_COMMITTED_WITH_ROUNDS, SPEC_COMMITTED_WHERE_SET, SPEC_NOT_COMMITTED } commits;
	bool is_derived; /* not in a spec file: it follows from the corpus */
};

extern const struct spec_field spec_fields[]; /* ended by a name of NULL */

uint64_t spec_field_get(const struct spec *spec, const struct spec_field *field);
void spec_field_set(struct spec *spec, const struct spec_field *field, uint64_t value); /* within its limits */
bool spec_field_check(const struct spec_field *field, uint64_t value, struct errmsg *err);

/* The two names: 1..max of the characters that section 16 allows them. */
bool spec_name_check(const char *name, struct errmsg *err);
bool spec_hrp_check(const char *hrp, struct errmsg *err);

/* Regtest's values, the embedded corpus too; nothing derived. */
void spec_defaults(struct spec *spec);

#endif
