/* Rounds: seats, what is said of their runs, when it may be said, and bytes.
 *
 * Heights say which block does what, and they follow from base and count alone: next[i] is the block at base + 1 + i,
 * and seat i of an open round that at base - size + 1 + i. */
#include "consensus/branch/rounds.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/branch/pieces.h"
#include "crypto/schnorr.h"
#include "ml/kernel/noise.h"
#include "util/mem.h"

/* --- looking --- */

static void rounds_view_seats(const struct rounds_seat *seats, uint32_t size, struct round_view *view)
{
	view->base = seats[size - 1].height;
	view->seats = size;
	view->seat = seats;
	view->id = seats[size - 1].id;
	view->ticket = seats[size - 1].ticket;
	view->beacon = NULL;
}

/* The open round. The block with the beacon is one of `next`: round_work blocks lie between the base and it. */
static void rounds_view_open(const struct rounds *rounds, const struct spec *spec, struct round_view *view)
{
	rounds_view_seats(rounds->seats, rounds->size, view);
	view->run = rounds->runs;
	if (rounds->count > spec->round_work)
		view->beacon = rounds->next[spec->round_work].ticket;
}

bool rounds_look(const struct rounds *rounds, const struct spec *spec, struct round_view *view)
{
	if (rounds->size == 0)
		return false;
	if (rounds->count == rounds->size) {
		rounds_view_seats(rounds->next, rounds->size, view);
		view->run = NULL;
		return true;
	}
	if (rounds->base == 0)
		return false;
	rounds_view_open(rounds, spec, view);
	return true;
}

bool rounds_look_merged(const struct rounds *rounds, const struct spec *spec, struct round_view *view)
{
	if (rounds->base == 0 || rounds->count < rounds->size)
		return false;
	rounds_view_open(rounds, spec, view);
	return true;
}

uint32_t round_audited(const struct round_view *view, uint32_t seat)
{
	return (uint32_t)noise_uniform(view->beacon, NOISE_AUDIT, seat, view->run[seat].length);
}

/* --- rules --- */

static uint32_t rounds_next_height(const struct rounds *rounds)
{
	return rounds->base + rounds->count + 1;
}

/* Number of the seat in the round; the number of seats: it has none there. */
static uint32_t rounds_seat_of(const struct round_view *view, const struct round_tx *round_tx)
{
	const uint32_t first_height = view->base - view->seats + 1;

	return round_tx->height >= first_height && round_tx->height <= view->base ? round_tx->height - first_height :
										    view->seats;
}

/* What is wrong with a seat's transaction in the block at this height. `before`: the run as earlier blocks left it;
 * `run`: with what the block's earlier transactions said. Nobody can disclose before it is too late to commit: what is
 * shown is drawn by a block between the two windows. */
static enum reason rounds_find_fault(const struct round_view *view, const struct spec *spec, uint32_t height,
	const struct round_tx *round_tx, const struct rounds_run *before, const struct rounds_run *run)
{
	const uint32_t work_end = view->base + spec->round_work, beacon_height = work_end + 1;
	bool is_placed = false, is_said = false;

	switch (round_tx->kind) {
	case ROUND_COMMIT:
		is_placed = height <= work_end && round_tx->length <= spec_most_segments(spec, view->base);
		is_said = run->committed;
		break;
	case ROUND_DISCLOSURE:
		is_placed = height > beacon_height && height <= beacon_height + spec->round_reveal && run->committed &&
			round_tx->length == run->length;
		is_said = run->disclosed;
		break;
	case ROUND_CHALLENGE:
		is_placed = height < view->base + view->seats && before->disclosed &&
			round_tx->segment < before->length;
		is_said = run->challenged;
		break;
	}
	if (!is_placed)
		return REASON_BAD_ROUND_SEAT;
	return is_said ? REASON_BAD_ROUND_DUPLICATE : REASON_NONE;
}

/* Whether one that has no place in the next block may have it in a later one: of the next round, or of this one. */
static bool rounds_is_early(const struct rounds *rounds, const struct spec *spec, const struct round_view *view,
	const struct round_tx *round_tx)
{
	const uint32_t height = rounds_next_height(rounds);
	const uint32_t base = view != NULL ? view->base : 0, beacon_height = base + spec->round_work + 1;

	if (round_tx->height > base)
		return round_tx->height - base <= rounds->size;
	if (view == NULL || rounds_seat_of(view, round_tx) == view->seats)
		return false;
	if (round_tx->kind == ROUND_DISCLOSURE)
		return height <= beacon_height;
	return round_tx->kind == ROUND_CHALLENGE && round_tx->segment < spec->segments &&
		height <= beacon_height + spec->round_reveal;
}

static bool rounds_is_signed(const struct round_view *view, uint32_t seat, const struct round_tx *round_tx)
{
	uint8_t hash[32];

	if (round_tx->kind != ROUND_COMMIT)
		return true;
	round_commit_hash(view->id, view->seat[seat].id, round_tx->length, round_tx->root, hash);
	return schnorr_verify(round_tx->signature, hash, view->seat[seat].key);
}

static bool rounds_refuse(const struct round_tx *round_tx, enum reject_code code, enum reason fault,
	struct reject *reject)
{
	return reject_as(reject, code, fault, "a round transaction of kind %d for the seat of height %u",
		(int)round_tx->kind, (unsigned)round_tx->height);
}

bool rounds_check_tx(const struct rounds *rounds, const struct spec *spec, const struct round_tx *round_tx,
	bool with_signature, struct reject *reject)
{
	static const struct rounds_run run_unsaid;
	struct round_view view;
	const bool is_there = rounds_look(rounds, spec, &view);
	const uint32_t seat = is_there ? rounds_seat_of(&view, round_tx) : 0;
	const struct rounds_run *run;
	enum reason fault;

	if (!is_there || seat == view.seats)
		return rounds_refuse(round_tx,
			rounds_is_early(rounds, spec, is_there ? &view : NULL, round_tx) ? REJECT_NOT_YET :
											   REJECT_POLICY,
			REASON_BAD_ROUND_SEAT, reject);
	run = view.run != NULL ? &view.run[seat] : &run_unsaid;
	fault = rounds_find_fault(&view, spec, rounds_next_height(rounds), round_tx, run, run);
	if (fault == REASON_BAD_ROUND_SEAT && rounds_is_early(rounds, spec, &view, round_tx))
		return rounds_refuse(round_tx, REJECT_NOT_YET, fault, reject);
	if (fault == REASON_NONE && with_signature && !rounds_is_signed(&view, seat, round_tx))
		fault = REASON_BAD_ROUND_SIGNATURE;
	return fault == REASON_NONE || rounds_refuse(round_tx, REJECT_POLICY, fault, reject);
}

static void rounds_say(struct rounds_run *run, const struct round_tx *round_tx)
{
	switch (round_tx->kind) {
	case ROUND_COMMIT:
		run->committed = true;
		run->length = round_tx->length;
		memcpy(run->trace_root, round_tx->root, sizeof run->trace_root);
		return;
	case ROUND_DISCLOSURE:
		run->disclosed = true;
		memcpy(run->blob, round_tx->root, sizeof run->blob);
		return;
	case ROUND_CHALLENGE:
		run->challenged = true;
		return;
	}
}

/* A block's round transactions as they are held to the rules, one after the other. */
struct rounds_block {
	const struct rounds *rounds;
	const struct spec *spec;
	struct round_view view;
	bool is_there;          /* a round for them to be of */
	struct rounds_run *run; /* [size] with what those before said; owned */
	uint32_t disclosures, challenges;
};

static void rounds_block_init(struct rounds_block *rounds_block, const struct rounds *rounds, const struct spec *spec)
{
	rounds_block->rounds = rounds;
	rounds_block->spec = spec;
	rounds_block->is_there = rounds_look(rounds, spec, &rounds_block->view);
	rounds_block->run = mem_calloc(rounds->size, sizeof *rounds_block->run);
	if (rounds_block->is_there && rounds_block->view.run != NULL)
		memcpy(rounds_block->run, rounds_block->view.run, rounds->size * sizeof *rounds_block->run);
	rounds_block->disclosures = 0;
	rounds_block->challenges = 0;
}

/* The reason for which the next one is refused. Signatures come behind what is cheap to see: however many a block has,
 * one a seat is looked at. */
static enum reason rounds_block_next(struct rounds_block *rounds_block, const struct round_tx *round_tx)
{
	static const struct rounds_run run_unsaid;
	const struct rounds *rounds = rounds_block->rounds;
	const struct spec *spec = rounds_block->spec;
	const struct round_view *view = &rounds_block->view;
	const uint32_t seat = rounds_block->is_there ? rounds_seat_of(view, round_tx) : rounds->size;
	enum reason fault;

	if (seat == rounds->size)
		return REASON_BAD_ROUND_SEAT;
	fault = rounds_find_fault(view, spec, rounds_next_height(rounds), round_tx,
		view->run != NULL ? &view->run[seat] : &run_unsaid, &rounds_block->run[seat]);
	if (fault != REASON_NONE)
		return fault;
	if (!rounds_is_signed(view, seat, round_tx))
		return REASON_BAD_ROUND_SIGNATURE;
	rounds_say(&rounds_block->run[seat], round_tx);
	rounds_block->disclosures += round_tx->kind == ROUND_DISCLOSURE;
	rounds_block->challenges += round_tx->kind == ROUND_CHALLENGE;
	return rounds_block->disclosures <= round_disclosures_most(spec) &&
			rounds_block->challenges <= round_challenges_most(spec) ?
		REASON_NONE :
		REASON_BAD_ROUND_COUNT;
}

bool rounds_check_block(const struct rounds *rounds, const struct spec *spec, const struct block *block,
	struct reject *reject)
{
	struct rounds_block rounds_block;
	enum reason fault = REASON_NONE;
	struct round_tx round_tx = { 0 };

	if (rounds->size == 0)
		return true;
	rounds_block_init(&rounds_block, rounds, spec);
	for (size_t i = 1; fault == REASON_NONE && i < block->tx_count; i++)
		if (round_tx_is(block->txs[i]) && round_tx_parse(block->txs[i], &round_tx))
			fault = rounds_block_next(&rounds_block, &round_tx);
	free(rounds_block.run);
	return fault == REASON_NONE || rounds_refuse(&round_tx, REJECT_INVALID, fault, reject);
}

/* --- blocks --- */

void rounds_init(struct rounds *rounds, const struct spec *spec)
{
	*rounds = (struct rounds){ .size = spec->round_blocks };
	if (rounds->size > 0)
		rounds->next = mem_calloc(rounds->size, sizeof *rounds->next);
}

static void *rounds_dup(const void *array, size_t count, size_t item_size)
{
	return array != NULL ? mem_dup(array, count * item_size) : NULL;
}

void rounds_copy(struct rounds *to, const struct rounds *from)
{
	*to = *from;
	to->seats = rounds_dup(from->seats, from->size, sizeof *from->seats);
	to->runs = rounds_dup(from->runs, from->size, sizeof *from->runs);
	to->next = rounds_dup(from->next, from->size, sizeof *from->next);
}

void rounds_clear(struct rounds *rounds)
{
	free(rounds->seats);
	free(rounds->runs);
	free(rounds->next);
}

/* The blocks since the last base have the seats now. The undo takes over what was. */
static void rounds_begin(struct rounds *rounds, const struct branch_block *block, struct rounds_undo *undo)
{
	undo->has_begun = true;
	undo->base = rounds->base;
	undo->seats = rounds->seats;
	undo->runs = rounds->runs;
	rounds->base += rounds->size;
	rounds->seats = rounds->next;
	rounds->runs = mem_calloc(rounds->size, sizeof *rounds->runs);
	for (uint32_t i = 0; i < rounds->size; i++)
		rounds->runs[i].dataset = block->seat_datasets[i];
	rounds->next = mem_calloc(rounds->size, sizeof *rounds->next);
	rounds->count = 0;
}

bool rounds_hear(const struct spec *spec, uint32_t base, uint32_t height, const struct round_tx *round_tx,
	struct rounds_run *runs)
{
	const struct round_view view = { .base = base, .seats = spec->round_blocks };
	const uint32_t seat = rounds_seat_of(&view, round_tx);

	if (seat == view.seats ||
		rounds_find_fault(&view, spec, height, round_tx, &runs[seat], &runs[seat]) != REASON_NONE)
		return false;
	rounds_say(&runs[seat], round_tx);
	return true;
}

static void rounds_take_tx(struct rounds *rounds, const struct branch_block *block, const struct round_tx *round_tx,
	struct rounds_undo *undo)
{
	const struct rounds_said said = { .kind = round_tx->kind,
		.seat = round_tx->height - (rounds->base - rounds->size + 1) };

	if (!rounds_hear(block->spec, rounds->base, block->height, round_tx, rounds->runs))
		return;
	undo->said = mem_realloc(undo->said, (undo->said_count + 1) * sizeof *undo->said);
	undo->said[undo->said_count++] = said;
}

void rounds_apply(struct rounds *rounds, const struct branch_block *block, struct rounds_undo *undo)
{
	const struct block *applied = block->block;
	struct rounds_seat *newest;
	struct round_tx round_tx;

	undo->size = rounds->size;
	if (rounds->size == 0)
		return;
	if (rounds->count == rounds->size)
		rounds_begin(rounds, block, undo);
	for (size_t i = 1; rounds->base > 0 && i < applied->tx_count; i++)
		if (round_tx_is(applied->txs[i]) && round_tx_parse(applied->txs[i], &round_tx))
			rounds_take_tx(rounds, block, &round_tx, undo);
	newest = &rounds->next[rounds->count++];
	newest->height = block->height;
	header_id(&applied->header, newest->id);
	header_ticket(&applied->header, newest->ticket);
	memcpy(newest->key, applied->header.miner, sizeof newest->key);
	memcpy(newest->coinbase, tx_txid(applied->txs[0]), sizeof newest->coinbase);
}

static bool rounds_has_said(const struct rounds *rounds, const struct rounds_said *said)
{
	const struct rounds_run *run = rounds->base > 0 && said->seat < rounds->size ? &rounds->runs[said->seat] : NULL;

	if (run == NULL)
		return false;
	switch (said->kind) {
	case ROUND_COMMIT:
		return run->committed;
	case ROUND_DISCLOSURE:
		return run->disclosed;
	case ROUND_CHALLENGE:
		return run->challenged;
	}
	return false;
}

/* A round has begun with the newest block where that is the first since the base, and with no other. */
bool rounds_undo_fits(const struct rounds *rounds, const struct rounds_undo *undo)
{
	if (undo->size != rounds->size)
		return false;
	if (rounds->size == 0)
		return true;
	if (rounds->count == 0 || undo->has_begun != (rounds->base > 0 && rounds->count == 1) ||
		(undo->has_begun && undo->base != rounds->base - rounds->size))
		return false;
	for (uint32_t i = 0; i < undo->said_count; i++)
		if (!rounds_has_said(rounds, &undo->said[i]))
			return false;
	return true;
}

static void rounds_unsay(struct rounds_run *run, enum round_kind kind)
{
	switch (kind) {
	case ROUND_COMMIT:
		run->committed = false;
		run->length = 0;
		memset(run->trace_root, 0, sizeof run->trace_root);
		return;
	case ROUND_DISCLOSURE:
		run->disclosed = false;
		memset(run->blob, 0, sizeof run->blob);
		return;
	case ROUND_CHALLENGE:
		run->challenged = false;
		return;
	}
}

/* A place that no block has is all zeros, as it was: bytes tell no difference, and neither does memory. */
void rounds_undo(struct rounds *rounds, const struct rounds_undo *undo)
{
	if (rounds->size == 0)
		return;
	rounds->next[--rounds->count] = (struct rounds_seat){ 0 };
	for (uint32_t i = 0; i < undo->said_count; i++)
		rounds_unsay(&rounds->runs[undo->said[i].seat], undo->said[i].kind);
	if (!undo->has_begun)
		return;
	free(rounds->next);
	free(rounds->runs);
	rounds->next = rounds->seats;
	rounds->count = rounds->size;
	rounds->base = undo->base;
	rounds->seats = rounds_dup(undo->seats, rounds->size, sizeof *undo->seats);
	rounds->runs = rounds_dup(undo->runs, rounds->size, sizeof *undo->runs);
}

void rounds_undo_clear(struct rounds_undo *undo)
{
	free(undo->seats);
	free(undo->runs);
	free(undo->said);
}

/* --- bytes: heights follow from the base --- */

static void rounds_put_seats(struct buf *out, const struct rounds_seat *seats, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		buf_put(out, seats[i].id, 32);
		buf_put(out, seats[i].ticket, 32);
		buf_put(out, seats[i].key, 32);
		buf_put(out, seats[i].coinbase, 32);
	}
}

static void rounds_take_seats(struct reader *rounds_reader, struct rounds_seat *seats, uint32_t count,
	uint32_t first_height)
{
	for (uint32_t i = 0; i < count; i++) {
		seats[i].height = first_height + i;
		reader_copy(rounds_reader, seats[i].id, 32);
		reader_copy(rounds_reader, seats[i].ticket, 32);
		reader_copy(rounds_reader, seats[i].key, 32);
		reader_copy(rounds_reader, seats[i].coinbase, 32);
	}
}

/* How far a run is stands for the three flags: each is only there with the one before. */
static void rounds_put_runs(struct buf *out, const struct rounds_run *runs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		buf_put_le32(out, runs[i].dataset);
		buf_put_u8(out, (uint8_t)(runs[i].committed + runs[i].disclosed + runs[i].challenged));
		if (runs[i].committed) {
			buf_put_le32(out, runs[i].length);
			buf_put(out, runs[i].trace_root, 32);
		}
		if (runs[i].disclosed)
			buf_put(out, runs[i].blob, 32);
	}
}

static void rounds_take_runs(struct reader *rounds_reader, struct rounds_run *runs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t flags_set;

		runs[i].dataset = reader_le32(rounds_reader);
		flags_set = reader_u8(rounds_reader);
		if (flags_set > 3)
			reader_fail(rounds_reader);
		runs[i].committed = flags_set > 0;
		runs[i].disclosed = flags_set > 1;
		runs[i].challenged = flags_set > 2;
		if (runs[i].committed) {
			runs[i].length = reader_le32(rounds_reader);
			reader_copy(rounds_reader, runs[i].trace_root, 32);
			if (runs[i].length == 0)
				reader_fail(rounds_reader);
		}
		if (runs[i].disclosed)
			reader_copy(rounds_reader, runs[i].blob, 32);
	}
}

void rounds_write(struct buf *out, const struct rounds *rounds)
{
	if (rounds->size == 0)
		return;
	buf_put_le32(out, rounds->base);
	buf_put_le32(out, rounds->count);
	if (rounds->base > 0) {
		rounds_put_seats(out, rounds->seats, rounds->size);
		rounds_put_runs(out, rounds->runs, rounds->size);
	}
	rounds_put_seats(out, rounds->next, rounds->count);
}

/* Into one that is new. A base has a round before it, and a block since it. */
bool rounds_read(struct rounds *rounds, struct reader *rounds_reader)
{
	if (rounds->size == 0)
		return rounds_reader->ok;
	rounds->base = reader_le32(rounds_reader);
	rounds->count = pieces_count(rounds_reader, rounds->size);
	if (rounds->base % rounds->size != 0 || (rounds->base > 0 && rounds->count == 0))
		reader_fail(rounds_reader);
	if (!rounds_reader->ok)
		rounds->base = rounds->count = 0;
	if (rounds->base > 0) {
		rounds->seats = mem_calloc(rounds->size, sizeof *rounds->seats);
		rounds->runs = mem_calloc(rounds->size, sizeof *rounds->runs);
		rounds_take_seats(rounds_reader, rounds->seats, rounds->size, rounds->base - rounds->size + 1);
		rounds_take_runs(rounds_reader, rounds->runs, rounds->size);
	}
	rounds_take_seats(rounds_reader, rounds->next, rounds->count, rounds->base + 1);
	return rounds_reader->ok;
}

bool rounds_whole(const struct rounds *rounds, uint32_t height, size_t datasets)
{
	if (rounds->size == 0)
		return true;
	for (uint32_t i = 0; rounds->base > 0 && i < rounds->size; i++)
		if (rounds->runs[i].dataset >= datasets)
			return false;
	return (uint64_t)rounds->base + rounds->count == height;
}

void rounds_undo_write(struct buf *out, const struct rounds_undo *undo)
{
	if (undo->size == 0)
		return;
	buf_put_le32(out, undo->size);
	buf_put_u8(out, undo->has_begun);
	if (undo->has_begun)
		buf_put_le32(out, undo->base);
	if (undo->has_begun && undo->base > 0) {
		rounds_put_seats(out, undo->seats, undo->size);
		rounds_put_runs(out, undo->runs, undo->size);
	}
	buf_put_le32(out, undo->said_count);
	for (uint32_t i = 0; i < undo->said_count; i++) {
		buf_put_le32(out, undo->said[i].seat);
		buf_put_u8(out, (uint8_t)undo->said[i].kind);
	}
}

static void rounds_undo_take_said(struct rounds_undo *undo, struct reader *rounds_reader)
{
	undo->said_count = pieces_count(rounds_reader, 3 * undo->size);
	undo->said = mem_calloc(undo->said_count, sizeof *undo->said);
	for (uint32_t i = 0; i < undo->said_count; i++) {
		uint8_t kind_byte;

		undo->said[i].seat = reader_le32(rounds_reader);
		kind_byte = reader_u8(rounds_reader);
		if (kind_byte < ROUND_COMMIT || kind_byte > ROUND_CHALLENGE)
			reader_fail(rounds_reader);
		undo->said[i].kind = (enum round_kind)kind_byte;
	}
}

/* Of a chain with rounds: where there are none nothing was written, and this must not be asked. */
bool rounds_undo_read(struct rounds_undo *undo, struct reader *rounds_reader)
{
	undo->size = pieces_count(rounds_reader, ROUND_SEATS_MAX);
	undo->has_begun = pieces_bool(rounds_reader);
	if (undo->has_begun)
		undo->base = reader_le32(rounds_reader);
	if (undo->size == 0)
		reader_fail(rounds_reader);
	if (rounds_reader->ok && undo->base > 0) {
		undo->seats = mem_calloc(undo->size, sizeof *undo->seats);
		undo->runs = mem_calloc(undo->size, sizeof *undo->runs);
		rounds_take_seats(rounds_reader, undo->seats, undo->size, undo->base - undo->size + 1);
		rounds_take_runs(rounds_reader, undo->runs, undo->size);
	}
	rounds_undo_take_said(undo, rounds_reader);
	return rounds_reader->ok;
}
