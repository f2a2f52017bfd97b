/* Reading and judging what is offered. */
#include "calls/wallet/offer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "calls/show.h"
#include "consensus/blob/pages.h"
#include "consensus/branch/registry.h"
#include "consensus/payload/commitment.h"
#include "consensus/spec.h"
#include "rpc/convert.h"
#include "util/file.h"
#include "util/mem.h"
#include "util/size.h"

void offer_init(struct offer *offer)
{
	buf_init(&offer->bytes);
	offer->left_out = NULL;
}

void offer_clear(struct offer *offer)
{
	buf_clear(&offer->bytes);
	json_decref(offer->left_out);
}

static bool offer_read_file(const char *file_name, size_t max_size, struct buf *offered_bytes, struct errmsg *err)
{
	char *file_path = path_expand(file_name);
	bool is_read = file_read(file_path, max_size, offered_bytes, err);

	free(file_path);
	return is_read;
}

static bool offer_read_bytes(struct rpc_request *offer_request, const struct spec *spec, struct buf *offered_bytes)
{
	const char *file_name = rpc_text(offer_request, "file");
	struct errmsg err;

	if (rpc_has(offer_request, "hexdata")) {
		if (*file_name != 0) {
			rpc_fail(offer_request, RPC_INVALID_PARAMETER, "Give either a file or hexdata, not both");
			return false;
		}
		rpc_hex(offer_request, "hexdata", offered_bytes);
	} else if (!offer_read_file(file_name, spec->blob_max, offered_bytes, &err)) {
		/* Who types a name as in a shell does not know that the node is in another folder. */
		rpc_fail(offer_request, RPC_INVALID_PARAMETER, "%s%s", err.text,
			*file_name == '/' || *file_name == '~' ?
				"" :
				"; a relative path is looked for where the node was started: give the whole path");
		return false;
	}
	return true;
}

/* Whole pages go, so those that stay lie as they lay, and are judged as they were. */
static void offer_leave_out(const struct spec *spec, struct offer *offer)
{
	size_t page_count = pages_count(offer->bytes.size), size_kept = 0;
	enum pages_verdict *verdicts = mem_calloc(page_count, sizeof *verdicts);

	pages_judge(&spec->pages, offer->bytes.data, offer->bytes.size, verdicts);
	offer->left_out = json_array();
	for (size_t i = 0; i < page_count; i++) {
		size_t page_size = size_min(PAGES_SIZE, offer->bytes.size - i * PAGES_SIZE);

		if (verdicts[i] != PAGES_GOOD) {
			json_array_append_new(offer->left_out, json_integer((json_int_t)i));
			continue;
		}
		memmove(offer->bytes.data + size_kept, offer->bytes.data + i * PAGES_SIZE, page_size);
		size_kept += page_size;
	}
	offer->bytes.size = size_kept;
	free(verdicts);
}

bool offer_read(struct rpc_request *offer_request, const struct spec *spec, struct offer *offer)
{
	if (!offer_read_bytes(offer_request, spec, &offer->bytes))
		return false;
	if (rpc_bool(offer_request, "leave_out_pages"))
		offer_leave_out(spec, offer);
	if (offer->bytes.size >= spec->blob_min && offer->bytes.size <= spec->blob_max)
		return true;
	rpc_fail(offer_request, RPC_INVALID_PARAMETER,
		"The data have %zu bytes%s; on this chain a contribution has %" PRIu32 " to %" PRIu32,
		offer->bytes.size, json_array_size(offer->left_out) > 0 ? " without the pages left out" : "",
		spec->blob_min, spec->blob_max);
	return false;
}

bool offer_judge_soon(struct chain *chain, const struct offer *offer, void (*told)(void *context), void *context)
{
	uint8_t offer_root[32];

	contribution_root(offer->bytes.data, offer->bytes.size, offer_root);
	return registry_find(chain_registry(chain), offer_root, NULL) == NULL &&
		chain_judge_blob_soon(chain, offer_root, offer->bytes.data, offer->bytes.size, told, context);
}

bool offer_judge(struct rpc_request *offer_request, struct chain *chain, const struct offer *offer)
{
	struct reject offer_reject = { .reason = "", .detail = "" };
	uint8_t offer_root[32];

	contribution_root(offer->bytes.data, offer->bytes.size, offer_root);
	if (registry_find(chain_registry(chain), offer_root, NULL) != NULL)
		return true;
	if (chain_judge_blob(chain, offer_root, offer->bytes.data, offer->bytes.size, &offer_reject))
		return true;
	rpc_fail(offer_request, RPC_VERIFY_REJECTED, "The data are not taken: %s (%s)%s", offer_reject.reason,
		offer_reject.detail,
		offer_reject.why == REASON_BAD_CONTRIB_PAGES ?
			"; with leave_out_pages they are contributed without such pages" :
			"");
	return false;
}

json_t *offer_show(const struct offer *offer, json_t *answer)
{
	if (offer->left_out != NULL)
		json_object_set(answer, "left_out", offer->left_out);
	return answer;
}
