/* Transactions: building and sealing, bytes, and the rules that need no context. */
#include "consensus/tx.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/payload/payload.h"
#include "crypto/hash.h"
#include "util/mem.h"

enum {
	TX_INPUT_MIN = 41, /* outpoint, empty script, sequence */
	TX_OUTPUT_MIN = 9, /* amount, empty script */
	TX_WITNESS_FLAG = 1,
};

#define TX_LOCKTIME_THRESHOLD 500000000u /* below it is a height, from it on a time */
#define TX_SEQUENCE_FINAL 0xffffffffu

static const uint8_t tx_zeros[32];

/* --- building --- */

struct tx *tx_new(void)
{
	struct tx *tx = mem_calloc(1, sizeof *tx);

	tx->version = 2;
	atomic_init(&tx->seal.references, 1);
	return tx;
}

/* Ids were handed out: whoever holds one of them may rely on what it names. */
static void tx_must_be_open(const struct tx *tx)
{
	if (tx->seal.done)
		abort();
}

static void tx_clear_witness(struct tx_input *input)
{
	for (size_t i = 0; i < input->witness_count; i++)
		free(input->witness[i].data);
	free(input->witness);
	input->witness = NULL;
	input->witness_count = 0;
}

/* Nothing is held for no bytes: a witness of many empty elements costs no more than its array. */
static struct bytes tx_bytes_copy(const uint8_t *data, size_t size)
{
	return (struct bytes){ size ? mem_dup(data, size) : NULL, size };
}

struct tx_input *tx_add_input(struct tx *tx, const struct outpoint *prev, uint32_t sequence)
{
	struct tx_input *input;

	tx_must_be_open(tx);
	tx->inputs = mem_realloc(tx->inputs, (tx->input_count + 1) * sizeof *tx->inputs);
	input = &tx->inputs[tx->input_count++];
	*input = (struct tx_input){ .prev = *prev, .sequence = sequence };
	return input;
}

struct tx_output *tx_add_output(struct tx *tx, int64_t amount, const uint8_t *script, size_t size)
{
	struct tx_output *output;

	tx_must_be_open(tx);
	tx->outputs = mem_realloc(tx->outputs, (tx->output_count + 1) * sizeof *tx->outputs);
	output = &tx->outputs[tx->output_count++];
	*output = (struct tx_output){ amount, tx_bytes_copy(script, size) };
	return output;
}

void tx_set_witness(struct tx *tx, size_t input, const uint8_t *item, size_t size)
{
	struct tx_input *witness_input = &tx->inputs[input];

	tx_must_be_open(tx);
	tx_clear_witness(witness_input);
	witness_input->witness = mem_alloc(sizeof *witness_input->witness);
	witness_input->witness[0] = tx_bytes_copy(item, size);
	witness_input->witness_count = 1;
}

struct tx *tx_copy(const struct tx *tx)
{
	struct tx *copy = tx_new();

	copy->version = tx->version;
	copy->locktime = tx->locktime;
	for (size_t i = 0; i < tx->input_count; i++) {
		const struct tx_input *input = &tx->inputs[i];
		struct tx_input *twin = tx_add_input(copy, &input->prev, input->sequence);

		twin->script = tx_bytes_copy(input->script.data, input->script.size);
		twin->witness = input->witness_count ? mem_alloc(input->witness_count * sizeof *twin->witness) : NULL;
		twin->witness_count = input->witness_count;
		for (size_t j = 0; j < input->witness_count; j++)
			twin->witness[j] = tx_bytes_copy(input->witness[j].data, input->witness[j].size);
	}
	for (size_t i = 0; i < tx->output_count; i++)
		tx_add_output(copy, tx->outputs[i].amount, tx->outputs[i].script.data, tx->outputs[i].script.size);
	return copy;
}

/* --- sealing and holding --- */

/* Written out once more rather than hashed as read: so an id is always that of the one form there is. */
static void tx_hash(const struct tx *tx, bool with_witness, uint8_t hash[32])
{
	struct buf raw_tx;

	buf_init(&raw_tx);
	buf_reserve(&raw_tx, tx_size(tx, with_witness));
	tx_write(&raw_tx, tx, with_witness);
	sha256d(hash, raw_tx.data, raw_tx.size);
	buf_clear(&raw_tx);
}

const struct tx *tx_seal(struct tx *tx)
{
	tx_must_be_open(tx);
	tx->seal.size = tx_size(tx, true);
	tx->seal.size_bare = tx_size(tx, false);
	tx_hash(tx, false, tx->seal.txid);
	if (tx->seal.size == tx->seal.size_bare) /* no witness: the same bytes */
		memcpy(tx->seal.wtxid, tx->seal.txid, 32);
	else
		tx_hash(tx, true, tx->seal.wtxid);
	tx->seal.done = true;
	return tx;
}

const uint8_t *tx_txid(const struct tx *tx)
{
	if (!tx->seal.done)
		abort();
	return tx->seal.txid;
}

const uint8_t *tx_wtxid(const struct tx *tx)
{
	if (!tx->seal.done)
		abort();
	return tx->seal.wtxid;
}

/* The count is no part of what is const: it belongs to the holders together. */
static atomic_size_t *tx_references(const struct tx *tx)
{
	return (atomic_size_t *)&tx->seal.references;
}

const struct tx *tx_ref(const struct tx *tx)
{
	if (!tx->seal.done)
		abort();
	atomic_fetch_add_explicit(tx_references(tx), 1, memory_order_relaxed);
	return tx;
}

/* A reference may be taken in any order, as its taker has another that keeps the transaction alive. Giving one back is
 * ordered: whatever the other holders read, they have read before the last one frees it. */
void tx_unref(const struct tx *tx)
{
	if (tx == NULL || atomic_fetch_sub_explicit(tx_references(tx), 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < tx->input_count; i++) {
		tx_clear_witness(&tx->inputs[i]);
		free(tx->inputs[i].script.data);
	}
	for (size_t i = 0; i < tx->output_count; i++)
		free(tx->outputs[i].script.data);
	free(tx->inputs);
	free(tx->outputs);
	free((struct tx *)tx);
}

/* --- bytes --- */

static struct bytes tx_read_bytes(struct reader *tx_reader)
{
	size_t size = reader_compact(tx_reader);
	const uint8_t *data = reader_bytes(tx_reader, size);

	return data != NULL ? tx_bytes_copy(data, size) : (struct bytes){ NULL, 0 };
}

/* A count of items that take item_min bytes each at least; fails if they cannot all be there. So the memory taken is a
 * small multiple of the bytes received: the worst, empty elements of a witness, take 16 bytes for each one. */
static size_t tx_read_count(struct reader *tx_reader, size_t item_min)
{
	size_t item_count = reader_compact(tx_reader);

	if (item_count > reader_left(tx_reader) / item_min) {
		reader_fail(tx_reader);
		return 0;
	}
	return item_count;
}

static void tx_read_inputs(struct reader *tx_reader, struct tx *tx, size_t input_count)
{
	tx->inputs = mem_calloc(input_count, sizeof *tx->inputs);
	/* Before they are read: where the bytes end early, tx_unref finds zeroed ones and frees nothing that is not
	 * there. */
	tx->input_count = input_count;
	for (size_t i = 0; i < input_count && tx_reader->ok; i++) {
		struct tx_input *input = &tx->inputs[i];

		reader_copy(tx_reader, input->prev.txid, 32);
		input->prev.index = reader_le32(tx_reader);
		input->script = tx_read_bytes(tx_reader);
		input->sequence = reader_le32(tx_reader);
	}
}

static void tx_read_outputs(struct reader *tx_reader, struct tx *tx)
{
	size_t output_count = tx_read_count(tx_reader, TX_OUTPUT_MIN);

	tx->outputs = mem_calloc(output_count, sizeof *tx->outputs);
	tx->output_count = output_count;
	for (size_t i = 0; i < output_count && tx_reader->ok; i++) {
		tx->outputs[i].amount = (int64_t)reader_le64(tx_reader);
		tx->outputs[i].script = tx_read_bytes(tx_reader);
	}
}

static bool tx_has_witness(const struct tx *tx)
{
	for (size_t i = 0; i < tx->input_count; i++)
		if (tx->inputs[i].witness_count)
			return true;
	return false;
}

static void tx_read_witnesses(struct reader *tx_reader, struct tx *tx)
{
	for (size_t i = 0; i < tx->input_count && tx_reader->ok; i++) {
		struct tx_input *input = &tx->inputs[i];

		input->witness_count = tx_read_count(tx_reader, 1);
		if (input->witness_count)
			input->witness = mem_calloc(input->witness_count, sizeof *input->witness);
		for (size_t j = 0; j < input->witness_count && tx_reader->ok; j++)
			input->witness[j] = tx_read_bytes(tx_reader);
	}
	if (!tx_has_witness(tx)) /* then the short form is the only one */
		reader_fail(tx_reader);
}

const struct tx *tx_read(struct reader *tx_reader)
{
	struct tx *tx = tx_new();
	bool with_witness;
	size_t input_count;

	tx->version = reader_le32(tx_reader);
	input_count = tx_read_count(tx_reader, TX_INPUT_MIN);
	/* BIP144: no inputs would be invalid anyway, so where their count is 0 it is the marker of the other form. */
	with_witness = input_count == 0;
	if (with_witness) {
		if (reader_u8(tx_reader) != TX_WITNESS_FLAG)
			reader_fail(tx_reader);
		input_count = tx_read_count(tx_reader, TX_INPUT_MIN);
	}
	tx_read_inputs(tx_reader, tx, input_count);
	tx_read_outputs(tx_reader, tx);
	if (with_witness)
		tx_read_witnesses(tx_reader, tx);
	tx->locktime = reader_le32(tx_reader);
	if (tx_reader->ok)
		return tx_seal(tx);
	tx_unref(tx);
	return NULL;
}

static void tx_write_bytes(struct buf *raw_tx, const struct bytes *bytes)
{
	buf_put_compact(raw_tx, bytes->size);
	buf_put(raw_tx, bytes->data, bytes->size);
}

void tx_write(struct buf *raw_tx, const struct tx *tx, bool with_witness)
{
	with_witness = with_witness && tx_has_witness(tx);
	buf_put_le32(raw_tx, tx->version);
	if (with_witness) {
		buf_put_u8(raw_tx, 0);
		buf_put_u8(raw_tx, TX_WITNESS_FLAG);
	}
	buf_put_compact(raw_tx, tx->input_count);
	for (size_t i = 0; i < tx->input_count; i++) {
		buf_put(raw_tx, tx->inputs[i].prev.txid, 32);
		buf_put_le32(raw_tx, tx->inputs[i].prev.index);
		tx_write_bytes(raw_tx, &tx->inputs[i].script);
		buf_put_le32(raw_tx, tx->inputs[i].sequence);
	}
	buf_put_compact(raw_tx, tx->output_count);
	for (size_t i = 0; i < tx->output_count; i++) {
		buf_put_le64(raw_tx, (uint64_t)tx->outputs[i].amount);
		tx_write_bytes(raw_tx, &tx->outputs[i].script);
	}
	for (size_t i = 0; with_witness && i < tx->input_count; i++) {
		buf_put_compact(raw_tx, tx->inputs[i].witness_count);
		for (size_t j = 0; j < tx->inputs[i].witness_count; j++)
			tx_write_bytes(raw_tx, &tx->inputs[i].witness[j]);
	}
	buf_put_le32(raw_tx, tx->locktime);
}

static size_t tx_bytes_size(const struct bytes *bytes)
{
	return buf_compact_size(bytes->size) + bytes->size;
}

size_t tx_size(const struct tx *tx, bool with_witness)
{
	size_t tx_bytes = 8 + buf_compact_size(tx->input_count) + buf_compact_size(tx->output_count);

	if (tx->seal.done)
		return with_witness ? tx->seal.size : tx->seal.size_bare;
	for (size_t i = 0; i < tx->input_count; i++)
		tx_bytes += TX_INPUT_MIN - 1 + tx_bytes_size(&tx->inputs[i].script);
	for (size_t i = 0; i < tx->output_count; i++)
		tx_bytes += TX_OUTPUT_MIN - 1 + tx_bytes_size(&tx->outputs[i].script);
	if (!with_witness || !tx_has_witness(tx))
		return tx_bytes;
	tx_bytes += 2;
	for (size_t i = 0; i < tx->input_count; i++) {
		tx_bytes += buf_compact_size(tx->inputs[i].witness_count);
		for (size_t j = 0; j < tx->inputs[i].witness_count; j++)
			tx_bytes += tx_bytes_size(&tx->inputs[i].witness[j]);
	}
	return tx_bytes;
}

/* BIP141: four for each byte outside witnesses, one for each byte of them. */
size_t tx_weight(const struct tx *tx)
{
	return 3 * tx_size(tx, false) + tx_size(tx, true);
}

/* --- rules --- */

static bool tx_outpoint_is_null(const struct outpoint *outpoint)
{
	return outpoint->index == UINT32_MAX && memcmp(outpoint->txid, tx_zeros, 32) == 0;
}

bool tx_is_coinbase(const struct tx *tx)
{
	return tx->input_count == 1 && tx_outpoint_is_null(&tx->inputs[0].prev);
}

bool tx_amount_valid(int64_t amount)
{
	return amount >= 0 && amount <= MAX_MONEY;
}

static int tx_compare_outpoints(const void *a, const void *b)
{
	const struct outpoint *left = a, *right = b;
	int order = memcmp(left->txid, right->txid, 32);

	return order ? order : (left->index > right->index) - (left->index < right->index);
}

/* Sorted, and not each compared with each: a block of the default weight has room for some 24,000 inputs, whose pairs
 * would keep every node busy for who sends it. */
static bool tx_check_duplicates(const struct tx *tx, struct reject *reject)
{
	struct outpoint *prevouts = mem_alloc(tx->input_count * sizeof *prevouts);
	bool distinct = true;

	for (size_t i = 0; i < tx->input_count; i++)
		prevouts[i] = tx->inputs[i].prev;
	qsort(prevouts, tx->input_count, sizeof *prevouts, tx_compare_outpoints);
	for (size_t i = 1; i < tx->input_count && distinct; i++)
		distinct = tx_compare_outpoints(&prevouts[i - 1], &prevouts[i]) != 0;
	free(prevouts);
	return distinct || reject_set(reject, REASON_BAD_TXNS_INPUTS_DUPLICATE, "two inputs spend the same output");
}

static bool tx_check_inputs(const struct tx *tx, struct reject *reject)
{
	if (tx->input_count == 0)
		return reject_set(reject, REASON_BAD_TXNS_VIN_EMPTY, "no inputs");
	/* Its script pushes the height; coinbase_check compares the whole of it. */
	if (tx_is_coinbase(tx))
		return true;
	for (size_t i = 0; i < tx->input_count; i++) {
		if (tx_outpoint_is_null(&tx->inputs[i].prev))
			return reject_set(reject, REASON_BAD_TXNS_PREVOUT_NULL, "input %zu spends nothing", i);
		if (tx->inputs[i].script.size)
			return reject_set(reject, REASON_BAD_TXNS_SCRIPTSIG, "input %zu has a scriptSig", i);
	}
	return tx_check_duplicates(tx, reject);
}

/* What cannot be spent by the rules of this version cannot be made either, but for what says at once that nobody ever
 * will. */
static bool tx_script_is_allowed(const struct bytes *script)
{
	return script_p2tr_key(script) != NULL || (script_is_op_return(script) && script->size <= OP_RETURN_MAX);
}

static bool tx_check_outputs(const struct tx *tx, struct reject *reject)
{
	int64_t output_sum = 0;

	if (tx->output_count == 0)
		return reject_set(reject, REASON_BAD_TXNS_VOUT_EMPTY, "no outputs");
	for (size_t i = 0; i < tx->output_count; i++) {
		const struct tx_output *output = &tx->outputs[i];

		if (output->amount < 0)
			return reject_set(reject, REASON_BAD_TXNS_VOUT_NEGATIVE, "output %zu is negative", i);
		if (output->amount > MAX_MONEY)
			return reject_set(reject, REASON_BAD_TXNS_VOUT_TOOLARGE, "output %zu exceeds all money", i);
		/* Neither of the two is above MAX_MONEY here, so this does not overflow. */
		output_sum += output->amount;
		if (output_sum > MAX_MONEY)
			return reject_set(reject, REASON_BAD_TXNS_TXOUTTOTAL_TOOLARGE, "outputs exceed all money");
		if (!tx_script_is_allowed(&output->script))
			return reject_set(reject, REASON_BAD_TXNS_SCRIPT,
				"output %zu is neither P2TR nor an OP_RETURN of at most %d bytes", i, OP_RETURN_MAX);
		if (!payload_check(&output->script, i, tx_is_coinbase(tx), reject))
			return false;
	}
	return true;
}

bool tx_check(const struct tx *tx, struct reject *reject)
{
	return tx_check_inputs(tx, reject) && tx_check_outputs(tx, reject);
}

/* A time is compared with the parent's median (BIP113), not with the block's own, which its miner could set ahead to
 * take fees of what is still locked. */
bool tx_is_final(const struct tx *tx, uint32_t height, uint32_t median_time)
{
	if (tx->locktime == 0 || tx->locktime < (tx->locktime < TX_LOCKTIME_THRESHOLD ? height : median_time))
		return true;
	for (size_t i = 0; i < tx->input_count; i++)
		if (tx->inputs[i].sequence != TX_SEQUENCE_FINAL)
			return false;
	return true;
}
