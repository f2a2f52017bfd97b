/* Which blobs of the open round's runs are missing, and telling of them. */
#include "chain/model/run_blobs.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/tip.h"
#include "consensus/blob/round_blob.h"
#include "util/mem.h"

/* The run of that seat, if it is disclosed; NULL: it is not. */
static const struct rounds_run *run_blobs_disclosed(const struct round_view *view, uint32_t seat)
{
	return view->run != NULL && view->run[seat].disclosed ? &view->run[seat] : NULL;
}

static void run_blobs_want(const struct chain *chain, const struct rounds_run *run, struct blob_want *want)
{
	want->size = round_blob_size(chain->spec, ROUND_DISCLOSURE, run->length);
	memcpy(want->root, run->blob, 32);
}

bool run_blobs_need(const struct chain *chain, const uint8_t root[32], uint64_t size)
{
	struct round_view view;
	struct blob_want want;

	if (!rounds_look(registry_rounds(chain->registry), chain->spec, &view))
		return false;
	for (uint32_t seat = 0; seat < view.seats; seat++) {
		const struct rounds_run *run = run_blobs_disclosed(&view, seat);

		if (run == NULL || memcmp(run->blob, root, 32) != 0)
			continue;
		run_blobs_want(chain, run, &want);
		if (size == 0 || size == want.size)
			return true;
	}
	return false;
}

/* Into room for as many as a round has seats. Returns how many, and where they are needed, the height of the merge. */
static uint32_t run_blobs_missing(const struct chain *chain, struct blob_want *missing, uint32_t *height)
{
	uint32_t missing_count = 0;
	struct round_view view;

	if (!rounds_look(registry_rounds(chain->registry), chain->spec, &view))
		return 0;
	*height = view.base + view.seats;
	for (uint32_t seat = 0; seat < view.seats; seat++) {
		const struct rounds_run *run = run_blobs_disclosed(&view, seat);

		/* A challenged one is struck, whatever its bytes say. */
		if (run == NULL || run->challenged)
			continue;
		run_blobs_want(chain, run, &missing[missing_count]);
		if (!wants_here(chain->blobs, &missing[missing_count]))
			missing_count++;
	}
	return missing_count;
}

void run_blobs_tell(const struct chain *chain, const struct chain_events *events)
{
	struct blob_want missing[ROUND_SEATS_MAX];
	uint32_t height;
	const uint32_t missing_count = run_blobs_missing(chain, missing, &height);

	for (uint32_t i = 0; events->blob_wanted != NULL && i < missing_count; i++)
		events->blob_wanted(events->context, missing[i].root, missing[i].size, 0);
}

void run_blobs_ask(struct chain *chain)
{
	struct blob_want missing[ROUND_SEATS_MAX];
	uint32_t height;
	const uint32_t missing_count = run_blobs_missing(chain, missing, &height);

	for (uint32_t i = 0; i < missing_count; i++)
		NOTIFY(&chain->notices, blob_wanted, missing[i].root, missing[i].size, 0);
}

bool chain_missing_run(const struct chain *chain, uint8_t root[32], uint32_t *height)
{
	struct blob_want missing[ROUND_SEATS_MAX];

	if (run_blobs_missing(chain, missing, height) == 0)
		return false;
	memcpy(root, missing[0].root, 32);
	return true;
}
