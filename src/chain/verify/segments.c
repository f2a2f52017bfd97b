/* Gathering one segment. */
#include "chain/verify/segments.h"

#include <stdlib.h>

#include "chain/internal.h"
#include "chain/verify/step_inputs.h"
#include "util/mem.h"

void segments_seed(const struct round_view *view, uint32_t seat, uint32_t number, uint8_t segment_seed[32])
{
	uint8_t seat_seed[32];

	run_seed(view->ticket, view->seat[seat].id, seat_seed);
	run_segment_seed(seat_seed, number, segment_seed);
}

struct segments_gathering {
	const struct course *course;
	const uint8_t *segment_seed;
	uint8_t *windows;
};

static bool segments_gather_windows(void *context, const struct course_data *data)
{
	const struct segments_gathering *gathering = context;

	return run_gather(gathering->course, gathering->segment_seed, data, gathering->windows);
}

uint8_t *segments_windows(struct chain *chain, const struct registry *registry, uint32_t dataset,
	const uint8_t segment_seed[32], struct blob_want *missing, struct errmsg *err)
{
	const struct course *course = spec_course(chain->spec);
	struct segments_gathering gathering = {
		.course = course,
		.segment_seed = segment_seed,
		.windows = mem_alloc(run_windows_size(&course->train)),
	};

	if (step_inputs_gather(chain->spec, chain->blobs, registry, dataset, segments_gather_windows, &gathering,
		    missing, err))
		return gathering.windows;
	free(gathering.windows);
	return NULL;
}

bool segments_gather(struct chain *chain, const struct registry *registry, const struct round_view *view, uint32_t seat,
	uint32_t number, struct verify_segment *segment, struct blob_want *missing, struct errmsg *err)
{
	const struct full_entry *base = index_find(&chain->index, view->id);

	segment->base = base != NULL ? states_get(chain->states, base) : NULL;
	segment->number = number;
	segments_seed(view, seat, number, segment->seed);
	segment->windows = segments_windows(chain, registry, view->run[seat].dataset, segment->seed, missing, err);
	return segment->windows != NULL;
}

void segments_disclosed(const struct spec *spec, const struct round_disclosed *disclosed,
	struct verify_segment *segment)
{
	segment->start = mem_dup(disclosed->audited, run_code_size(&spec_course(spec)->train));
	round_blob_digest(spec, disclosed->digests, segment->number + 1, segment->digest);
}
