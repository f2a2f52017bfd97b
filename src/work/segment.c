/* One segment of training from one code to the next. */
#include "work/segment.h"

#include <stdlib.h>
#include <string.h>

#include "ml/run.h"
#include "util/mem.h"

void segment_init(struct segment *segment, const struct spec *spec)
{
	memset(segment, 0, sizeof *segment);
	segment->spec = spec;
}

void segment_reset(struct segment *segment)
{
	state_unref(segment->base);
	free(segment->start);
	free(segment->windows);
	segment->trace = NULL;
	segment->base = NULL;
	segment->start = NULL;
	segment->windows = NULL;
	segment->is_written = false;
	atomic_store(&segment->cancel, false);
	atomic_store(&segment->iterations_done, 0);
}

void segment_clear(struct segment *segment)
{
	segment_reset(segment);
	backend_free(segment->backend);
	segment->backend = NULL;
}

/* As of an attempt: made on the worker that fills it, and another one where its kind proved wrong since. */
static void segment_take_backend(struct segment *segment)
{
	const struct backend_kind *segment_kind = backend_selected();

	if (segment->backend != NULL && segment->backend->kind == segment_kind)
		return;
	backend_free(segment->backend);
	segment->backend = backend_new(segment_kind, &spec_course(segment->spec)->train, 1);
}

void segment_run(struct segment *segment)
{
	const struct run_segment segment_job = {
		.base = segment->base,
		.segment_seed = segment->seed,
		.start = segment->start,
		.windows = segment->windows,
		.checked = true,
		.cancel = &segment->cancel,
		.iterations_done = &segment->iterations_done,
	};
	uint8_t *code = mem_alloc(segment->trace->shape.code_size);

	segment_take_backend(segment);
	segment->result = run_execute(segment->backend, &segment_job, code);
	if (segment->result == STEP_MISCALCULATED)
		backend_distrust(segment->backend->kind, "a product is wrong");
	segment->is_written = segment->result == STEP_OK &&
		trace_write(segment->trace, segment->number, code, segment->digest, &segment->err);
	free(code);
}
