/* Disclosures and challenges against the digests that were committed to. */
#include "consensus/blob/round_blob.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "ml/run.h"
#include "util/mem.h"

bool round_blob_split(const struct spec *spec, uint32_t length, const uint8_t *blob, size_t size,
	struct round_disclosed *disclosed)
{
	const size_t list_size = 32 * (size_t)length, code_size = run_code_size(&spec_course(spec)->train);

	if (size != list_size + 2 * code_size)
		return false;
	disclosed->digests = blob;
	disclosed->audited = blob + list_size;
	disclosed->result = disclosed->audited + code_size;
	return true;
}

void round_blob_digest(const struct spec *spec, const uint8_t *digests, uint32_t segment, uint8_t digest[32])
{
	const struct train_config *config = &spec_course(spec)->train;
	uint8_t *first_code;

	if (segment > 0) {
		memcpy(digest, digests + 32 * (size_t)(segment - 1), 32);
		return;
	}
	first_code = mem_alloc(run_code_size(config));
	run_start(config, first_code);
	sha256(digest, first_code, run_code_size(config));
	free(first_code);
}

static bool round_blob_code_is(const struct spec *spec, const uint8_t *code, const uint8_t *digests, uint32_t segment)
{
	uint8_t digest[32], found_digest[32];

	round_blob_digest(spec, digests, segment, digest);
	sha256(found_digest, code, run_code_size(&spec_course(spec)->train));
	return memcmp(found_digest, digest, 32) == 0;
}

bool round_blob_shows(const struct spec *spec, const struct round_disclosed *disclosed, uint32_t segment)
{
	return round_blob_code_is(spec, disclosed->audited, disclosed->digests, segment);
}

bool round_blob_begins(uint32_t length, const uint8_t *bytes, size_t count, const uint8_t trace_root[32])
{
	const size_t list_size = 32 * (size_t)length;
	uint8_t found_root[32];

	if (count < list_size)
		return false;
	sha256(found_root, bytes, list_size);
	return memcmp(found_root, trace_root, 32) == 0;
}

/* The list first: without it no code would be anybody's. So a seat that has committed has one right blob at most. */
bool round_blob_check_disclosure(const struct spec *spec, uint32_t length, const uint8_t *blob, size_t size,
	const uint8_t trace_root[32], uint32_t audited, struct reject *reject)
{
	const struct train_config *config = &spec_course(spec)->train;
	struct round_disclosed disclosed;

	if (!round_blob_split(spec, length, blob, size, &disclosed))
		return reject_set(reject, REASON_BAD_ROUND_DISCLOSURE, "%zu bytes", size);
	if (!round_blob_begins(length, blob, size, trace_root))
		return reject_set(reject, REASON_BAD_ROUND_DISCLOSURE,
			"its list of digests is not the one committed to");
	if (!round_blob_shows(spec, &disclosed, audited))
		return reject_set(reject, REASON_BAD_ROUND_DISCLOSURE,
			"what segment %" PRIu32 " starts from has not its digest", audited);
	if (!run_code_check(config, disclosed.result, run_code_size(config)))
		return reject_set(reject, REASON_BAD_ROUND_DISCLOSURE, "its result is no code within bounds");
	return round_blob_code_is(spec, disclosed.result, disclosed.digests, length) ||
		reject_set(reject, REASON_BAD_ROUND_DISCLOSURE, "its result has not the last digest");
}

bool round_blob_is_elsewhere(const struct spec *spec, uint32_t length, const uint8_t *blob, size_t size)
{
	struct round_disclosed disclosed;
	uint8_t own_root[32], found_digest[32], digest[32];
	struct reject ignored;

	if (!round_blob_split(spec, length, blob, size, &disclosed))
		return false;
	sha256(own_root, blob, 32 * (size_t)length);
	sha256(found_digest, disclosed.audited, run_code_size(&spec_course(spec)->train));
	for (uint32_t drawn = 0; drawn < length; drawn++) {
		round_blob_digest(spec, disclosed.digests, drawn, digest);
		if (memcmp(found_digest, digest, 32) == 0)
			return round_blob_check_disclosure(spec, length, blob, size, own_root, drawn, &ignored);
	}
	return false;
}

bool round_blob_check_challenge(const struct spec *spec, const uint8_t *blob, size_t size, const uint8_t *digests,
	uint32_t segment, struct reject *reject)
{
	if (size != run_code_size(&spec_course(spec)->train))
		return reject_set(reject, REASON_BAD_ROUND_CHALLENGE, "%zu bytes", size);
	return round_blob_code_is(spec, blob, digests, segment) ||
		reject_set(reject, REASON_BAD_ROUND_CHALLENGE,
			"it has not the digest of what segment %" PRIu32 " starts from", segment);
}
