/* The statement of a merge: one form only, so that two coinbases that mean the same are the same. */
#include "consensus/payload/merge_statement.h"

#include <string.h>

#include "consensus/payload/payload.h"

/* What came of it, in the first byte. */
enum { STATEMENT_FIRST = 0, STATEMENT_VOID = 1, STATEMENT_SECOND = 2 };

/* Of a seat's byte: the values of enum merge_seat (ml/merge.h). */
enum { STATEMENT_MERGED = 1, STATEMENT_LEFT_OUT = 2, STATEMENT_STRUCK = 3 };

/* A run that was left out did what it should: nobody chose his dataset, and so it is paid. */
bool merge_statement_is_true(const struct merge_statement *statement, uint32_t seat)
{
	return seat < statement->seats &&
		(statement->seat[seat] == STATEMENT_MERGED || statement->seat[seat] == STATEMENT_LEFT_OUT);
}

bool merge_statement_is_futile(const struct merge_statement *statement)
{
	for (uint32_t i = 0; i < statement->seats; i++)
		if (merge_statement_is_true(statement, i))
			return statement->is_void;
	return false;
}

bool merge_statement_is_struck(const struct merge_statement *statement, uint32_t seat)
{
	return seat < statement->seats && statement->seat[seat] == STATEMENT_STRUCK;
}

static void merge_statement_put(struct buf *statement_bytes, const struct merge_statement *statement)
{
	buf_put_u8(statement_bytes,
		statement->is_void           ? STATEMENT_VOID :
			statement->is_second ? STATEMENT_SECOND :
					       STATEMENT_FIRST);
	buf_put(statement_bytes, statement->seat, statement->seats);
}

static void merge_statement_take(struct reader *statement_reader, uint32_t seats, struct merge_statement *statement)
{
	uint8_t came = reader_u8(statement_reader);

	memset(statement, 0, sizeof *statement);
	statement->seats = seats;
	statement->is_void = came == STATEMENT_VOID;
	statement->is_second = came == STATEMENT_SECOND;
	reader_copy(statement_reader, statement->seat, seats);
	if (came > STATEMENT_SECOND)
		reader_fail(statement_reader);
	for (uint32_t i = 0; i < seats; i++)
		if (statement->seat[i] > STATEMENT_STRUCK)
			reader_fail(statement_reader);
}

/* --- in a coinbase --- */

void merge_statement_script(struct buf *out, const struct merge_statement *statement)
{
	struct buf payload;

	script_begin_payload(&payload, PAYLOAD_BYTE_MERGE);
	merge_statement_put(&payload, statement);
	script_end_payload(&payload, out);
}

bool merge_statement_parse(const struct bytes *script, uint32_t seats, struct merge_statement *statement)
{
	struct reader payload;

	if (seats > ROUND_SEATS_MAX || !script_read_payload(script, &payload) ||
		reader_u8(&payload) != PAYLOAD_BYTE_MERGE)
		return false;
	merge_statement_take(&payload, seats, statement);
	return reader_done(&payload);
}

/* --- in the index --- */

void merge_statement_write(struct buf *out, const struct merge_statement *statement)
{
	buf_put_u8(out, (uint8_t)statement->seats);
	merge_statement_put(out, statement);
}

/* Of no seats there is none: a block without a merge has no byte of it. */
void merge_statement_read(struct reader *statement_reader, struct merge_statement *statement)
{
	uint8_t seats = reader_u8(statement_reader);

	if (seats == 0 || seats > ROUND_SEATS_MAX)
		reader_fail(statement_reader);
	merge_statement_take(statement_reader, statement_reader->ok ? seats : 0, statement);
}
