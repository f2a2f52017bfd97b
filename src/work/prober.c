/* Which runs are chosen, what of them is executed next, and what becomes of those that are false. */
#include "work/prober.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "util/warning.h"
#include "work/loop.h"
#include "work/probe.h"
#include "work/run_auditor.h"

enum { PROBER_RETRY_MS = 30000 };

/* A run of a round. What was found belongs to one disclosure: on another branch there may be another. */
struct prober_run {
	struct prober *prober;
	uint32_t seat, seat_height;
	uint8_t seat_id[32];
	struct probe probe;
	uint8_t blob[32]; /* of the disclosure; zeros: there was none yet */
	uint32_t drawn, executed;
	/* An audit is under way, up to this segment, and may have been told to end. */
	bool is_busy, is_cancelled;
	uint32_t last;
	int64_t retry_at; /* of clock_mono_ms */
	bool is_false;
	uint32_t segment; /* the first false one */
	uint8_t *start;   /* the code that it starts from; NULL: it is the drawn one, and nobody needs to be told */
	uint8_t offered_at[32]; /* the tip on which its challenge was offered last */
	bool is_challenged;
	uint8_t challenge[32];
};

struct prober_round {
	struct prober_round *next;
	uint32_t base, seats;
	uint8_t base_id[32];
	struct prober_run *runs; /* in the order in which they are looked at */
};

struct prober {
	struct chain *chain;
	const struct spec *spec;
	const struct runner *runner;
	struct run_auditor *auditor; /* NULL: there is nothing to do, ever */
	unsigned threads, busy;
	int64_t share;
	uint8_t secret[32];
	bool is_closed;
	struct event *tick;
	struct prober_round *rounds; /* the newest first */
	struct prober_round *open;   /* the one that is being looked at; NULL: none */
};

static void prober_wake(struct prober *prober)
{
	if (!prober->is_closed)
		loop_tick_wake(prober->tick);
}

/* --- rounds --- */

static struct prober_round *prober_find_round(const struct prober *prober, const uint8_t base_id[32])
{
	struct prober_round *round = prober->rounds;

	while (round != NULL && memcmp(round->base_id, base_id, 32) != 0)
		round = round->next;
	return round;
}

static struct prober_round *prober_add_round(struct prober *prober, const struct round_view *view)
{
	struct prober_round *round = mem_calloc(1, sizeof *round);
	struct probe_seat *chosen_seats = mem_calloc(view->seats, sizeof *chosen_seats);

	round->base = view->base;
	round->seats = view->seats;
	memcpy(round->base_id, view->id, 32);
	round->runs = mem_calloc(view->seats, sizeof *round->runs);
	for (uint32_t seat = 0; seat < view->seats; seat++)
		chosen_seats[seat] = (struct probe_seat){ .number = seat,
			.id = view->seat[seat].id,
			.is_own = runner_trace(prober->runner, view->id, view->seat[seat].id) != NULL };
	probe_choose(chosen_seats, view->seats, prober->secret, spec_most_segments(prober->spec, view->base),
		prober->share);
	for (uint32_t i = 0; i < view->seats; i++) {
		struct prober_run *run = &round->runs[i];

		run->prober = prober;
		run->seat = chosen_seats[i].number;
		run->seat_height = view->seat[run->seat].height;
		memcpy(run->seat_id, chosen_seats[i].id, 32);
		run->probe = (struct probe){ .most = chosen_seats[i].most,
			.is_head_first = chosen_seats[i].is_head_first };
	}
	free(chosen_seats);
	round->next = prober->rounds;
	prober->rounds = round;
	return round;
}

/* By the first disclosure this node's own runs have begun, and are known. */
static bool prober_is_disclosing(const struct round_view *view)
{
	for (uint32_t seat = 0; seat < view->seats; seat++)
		if (view->run[seat].disclosed)
			return true;
	return false;
}

static struct prober_round *prober_round_of(struct prober *prober, const struct round_view *view)
{
	struct prober_round *round = prober_find_round(prober, view->id);

	return round == NULL && prober_is_disclosing(view) ? prober_add_round(prober, view) : round;
}

static uint32_t prober_round_count(const struct prober_round *round, uint32_t *executed)
{
	uint32_t false_runs = 0;

	*executed = 0;
	for (uint32_t i = 0; i < round->seats; i++) {
		*executed += round->runs[i].executed;
		false_runs += round->runs[i].is_false;
	}
	return false_runs;
}

static void prober_round_free(struct prober_round *round)
{
	for (uint32_t i = 0; i < round->seats; i++)
		free(round->runs[i].start);
	free(round->runs);
	free(round);
}

/* --- runs --- */

static void prober_reset(struct prober_run *run, const struct round_view *view)
{
	free(run->start);
	*run = (struct prober_run){ .prober = run->prober,
		.seat = run->seat,
		.seat_height = run->seat_height,
		.probe = { .most = run->probe.most, .is_head_first = run->probe.is_head_first },
		.drawn = round_audited(view, run->seat) };
	memcpy(run->seat_id, view->seat[run->seat].id, 32);
	memcpy(run->blob, view->run[run->seat].blob, 32);
}

static void prober_take_report(struct prober_run *run, const struct run_audit_report *report)
{
	run->executed += (uint32_t)report->count;
	if (report->is_valid) {
		probe_pass(&run->probe, run->drawn, run->last);
		return;
	}
	run->is_false = true;
	run->segment = report->segments[report->count - 1].number;
	if (run->segment != run->drawn && report->start != NULL)
		run->start = mem_dup(report->start, round_code_size(run->prober->spec));
}

/* Where the disclosure was another one by the time it was read, nothing was found of this one. */
static void prober_on_audit(void *context, const struct run_audit_report *report)
{
	struct prober_run *run = context;

	run->is_busy = false;
	run->prober->busy--;
	if (report->error[0] != '\0') {
		if (!run->is_cancelled) {
			run->retry_at = clock_mono_ms() + PROBER_RETRY_MS;
			log_debug(LOG_MINER, "the run of block %u is not rechecked now: %s", (unsigned)run->seat_height,
				report->error);
		}
	} else if (memcmp(report->blob, run->blob, 32) == 0) {
		prober_take_report(run, report);
	}
	run->is_cancelled = false;
	prober_wake(run->prober);
}

static void prober_ask(struct prober_run *run)
{
	run->is_busy = true;
	run->prober->busy++;
	run_auditor_ask(run->prober->auditor,
		&(struct run_audit_order){ .seat_height = run->seat_height, .segment = run->last }, prober_on_audit,
		run);
}

/* Once on each tip: a block may have gone, and the mempool have dropped what no block had. */
static void prober_challenge(struct prober_run *run)
{
	const uint8_t *tip_id = chain_tip(run->prober->chain)->id;

	if (run->start == NULL || memcmp(run->offered_at, tip_id, 32) == 0)
		return;
	memcpy(run->offered_at, tip_id, 32);
	run->is_challenged = run_auditor_challenge(run->prober->chain, run->seat_height, run->segment, run->start,
		run->challenge);
}

static void prober_cancel(struct prober_run *run)
{
	if (!run->is_busy || run->is_cancelled)
		return;
	run->is_cancelled = true;
	run_auditor_cancel(run->prober->auditor, run);
}

static void prober_tend(struct prober_run *run, const struct round_view *view)
{
	struct prober *prober = run->prober;
	const struct rounds_run *said = &view->run[run->seat];
	const bool is_disclosed = said->disclosed && view->beacon != NULL,
		   is_same = memcmp(run->blob, said->blob, 32) == 0;

	if (!is_disclosed || said->challenged || !is_same) {
		prober_cancel(run);
		/* A challenge that is due on the same tip once more: that has been left and come back to. */
		memset(run->offered_at, 0, sizeof run->offered_at);
	}
	if (run->is_busy || !is_disclosed)
		return;
	if (!is_same)
		prober_reset(run, view);
	if (said->challenged)
		return;
	if (run->is_false)
		prober_challenge(run);
	else if (prober->busy < prober->threads && clock_mono_ms() >= run->retry_at &&
		probe_next(&run->probe, run->drawn, said->length, &run->last))
		prober_ask(run);
}

/* --- every second, and with every tip --- */

/* A round is over, or its branch is not the active one any more: what is in work for it ends. */
static void prober_leave_round(struct prober *prober)
{
	struct prober_round *round = prober->open;
	uint32_t executed, false_runs;

	if (round == NULL)
		return;
	for (uint32_t i = 0; i < round->seats; i++)
		prober_cancel(&round->runs[i]);
	false_runs = prober_round_count(round, &executed);
	if (executed > 0)
		log_info("The round from block %u on: segments of others rechecked: %u, runs found false: %u",
			(unsigned)round->base, (unsigned)executed, (unsigned)false_runs);
	prober->open = NULL;
}

static void prober_warn(const struct prober *prober)
{
	uint32_t executed, false_runs = prober->open != NULL ? prober_round_count(prober->open, &executed) : 0;

	if (false_runs == 0)
		warning_clear(WARNING_RECHECK);
	else
		warning_set(WARNING_RECHECK,
			"%u of the runs that began with block %u were found false by executing them again, and are to "
			"be struck",
			(unsigned)false_runs, (unsigned)prober->open->base);
}

static bool prober_round_is_busy(const struct prober_round *round)
{
	for (uint32_t i = 0; i < round->seats; i++)
		if (round->runs[i].is_busy)
			return true;
	return false;
}

static void prober_drop_old(struct prober *prober)
{
	const uint32_t tip_height = chain_tip(prober->chain)->height;
	struct prober_round **round_link = &prober->rounds;

	while (*round_link != NULL) {
		struct prober_round *round = *round_link;

		if (round == prober->open || prober_round_is_busy(round) ||
			tip_height < round->base + prober->spec->round_blocks + PROBER_KEEP) {
			round_link = &round->next;
			continue;
		}
		*round_link = round->next;
		prober_round_free(round);
	}
}

static void prober_work(struct prober *prober)
{
	struct round_view view;
	const uint32_t next_height = chain_tip(prober->chain)->height + 1;
	/* In the last block of a round nobody can be challenged any more. */
	const bool is_there = runner_may_train(prober->runner) &&
		registry_round_view(chain_registry(prober->chain), &view) &&
		next_height < view.base + prober->spec->round_blocks;
	struct prober_round *round = is_there ? prober_round_of(prober, &view) : NULL;

	if (prober->open != round)
		prober_leave_round(prober);
	prober->open = round;
	for (uint32_t i = 0; round != NULL && i < round->seats; i++)
		prober_tend(&round->runs[i], &view);
	prober_warn(prober);
	prober_drop_old(prober);
}

static void prober_on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	prober_work(arg);
}

/* A callback of the chain is no place to begin new things in. */
static void prober_on_tip(void *context, const struct index_entry *tip)
{
	(void)tip;
	prober_wake(context);
}

/* --- beginning, end, and what can be asked --- */

struct prober *prober_new(const struct prober_options *options)
{
	struct prober *prober = mem_calloc(1, sizeof *prober);

	prober->chain = options->chain;
	prober->spec = chain_spec(options->chain);
	prober->runner = options->runner;
	prober->threads = options->threads;
	prober->share = options->share;
	if (prober->spec->round_blocks == 0 || prober->share == 0)
		return prober;
	random_bytes(prober->secret, sizeof prober->secret);
	prober->auditor = run_auditor_new(options->chain, options->queue, options->base, options->runner, QUEUE_SPARE);
	prober->tick = loop_tick_new(options->base, prober_on_tick, prober);
	chain_subscribe(prober->chain, &(struct chain_events){ .context = prober, .tip = prober_on_tip });
	return prober;
}

void prober_close(struct prober *prober)
{
	prober->is_closed = true;
	if (prober->auditor == NULL)
		return;
	run_auditor_close(prober->auditor);
	event_free(prober->tick);
}

void prober_free(struct prober *prober)
{
	/* It answers what is left, to runs that are there. */
	if (prober->auditor != NULL)
		run_auditor_free(prober->auditor);
	while (prober->rounds != NULL) {
		struct prober_round *round = prober->rounds;

		prober->rounds = round->next;
		prober_round_free(round);
	}
	free(prober);
}

bool prober_look(const struct prober *prober, const uint8_t base_id[32], const uint8_t seat_id[32],
	struct prober_info *info)
{
	const struct prober_round *round = prober_find_round(prober, base_id);

	for (uint32_t i = 0; round != NULL && i < round->seats; i++) {
		const struct prober_run *run = &round->runs[i];

		if (run->executed == 0 || memcmp(run->seat_id, seat_id, 32) != 0)
			continue;
		*info = (struct prober_info){ .executed = run->executed,
			.is_false = run->is_false,
			.segment = run->segment,
			.is_challenged = run->is_challenged };
		memcpy(info->challenge, run->challenge, 32);
		return true;
	}
	return false;
}

bool prober_count(const struct prober *prober, const uint8_t base_id[32], uint32_t *executed, uint32_t *false_runs)
{
	const struct prober_round *round = prober_find_round(prober, base_id);

	if (round == NULL)
		return false;
	*false_runs = prober_round_count(round, executed);
	return true;
}
