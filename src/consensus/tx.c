/* Transactions: building and sealing, bytes, and the rules that need no context. */
#include "consensus/tx.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/payload/payload.h"
#include "crypto/hash.h"
#include "util/mem.h"

enum {
	INPUT_MIN = 41, /* outpoint, empty script, sequence */
	OUTPUT_MIN = 9, /* amount, empty script */
	WITNESS_FLAG = 1,
};

#define LOCKTIME_THRESHOLD 500000000u /* below it is a height, from it on a time */
#define SEQUENCE_FINAL 0xffffffffu

static const uint8_t zeros[32];

/* --- building --- */

struct tx *tx_new(void)
{
	struct tx *tx = mem_calloc(1, sizeof *tx);

	tx->version = 2;
	atomic_init(&tx->seal.references, 1);
	return tx;
}

/* Ids were handed out: whoever holds one of them may rely on what it names. */
static void must_be_open(const struct tx *tx)
{
	if (tx->seal.done)
		abort();
}

static void clear_witness(struct tx_input *input)
{
	for (size_t i = 0; i < input->witness_count; i++)
		free(input->witness[i].data);
	free(input->witness);
	input->witness = NULL;
	input->witness_count = 0;
}

/* Nothing is held for no bytes: a witness of many empty elements costs no more than its array. */
static struct bytes bytes_copy(const uint8_t *data, size_t size)
{
	return (struct bytes){ size ? mem_dup(data, size) : NULL, size };
}

struct tx_input *tx_add_input(struct tx *tx, const struct outpoint *prev, uint32_t sequence)
{
	struct tx_input *input;

	must_be_open(tx);
	tx->inputs = mem_realloc(tx->inputs, (tx->input_count + 1) * sizeof *tx->inputs);
	input = &tx->inputs[tx->input_count++];
	*input = (struct tx_input){ .prev = *prev, .sequence = sequence };
	return input;
}

struct tx_output *tx_add_output(struct tx *tx, int64_t amount, const uint8_t *script, size_t size)
{
	struct tx_output *output;

	must_be_open(tx);
	tx->outputs = mem_realloc(tx->outputs, (tx->output_count + 1) * sizeof *tx->outputs);
	output = &tx->outputs[tx->output_count++];
	*output = (struct tx_output){ amount, bytes_copy(script, size) };
	return output;
}

void tx_set_witness(struct tx *tx, size_t input, const uint8_t *item, size_t size)
{
	struct tx_input *at = &tx->inputs[input];

	must_be_open(tx);
	clear_witness(at);
	at->witness = mem_alloc(sizeof *at->witness);
	at->witness[0] = bytes_copy(item, size);
	at->witness_count = 1;
}

struct tx *tx_copy(const struct tx *tx)
{
	struct tx *copy = tx_new();

	copy->version = tx->version;
	copy->locktime = tx->locktime;
	for (size_t i = 0; i < tx->input_count; i++) {
		const struct tx_input *from = &tx->inputs[i];
		struct tx_input *to = tx_add_input(copy, &from->prev, from->sequence);

		to->script = bytes_copy(from->script.data, from->script.size);
		to->witness = from->witness_count ? mem_alloc(from->witness_count * sizeof *to->witness) : NULL;
		to->witness_count = from->witness_count;
		for (size_t j = 0; j < from->witness_count; j++)
			to->witness[j] = bytes_copy(from->witness[j].data, from->witness[j].size);
	}
	for (size_t i = 0; i < tx->output_count; i++)
		tx_add_output(copy, tx->outputs[i].amount, tx->outputs[i].script.data, tx->outputs[i].script.size);
	return copy;
}

/* --- sealing and holding --- */

/* Written out once more rather than hashed as read: so an id is always that of the one form there is. */
static void hash_tx(const struct tx *tx, bool with_witness, uint8_t hash[32])
{
	struct buf raw;

	buf_init(&raw);
	buf_reserve(&raw, tx_size(tx, with_witness));
	tx_write(&raw, tx, with_witness);
	sha256d(hash, raw.data, raw.size);
	buf_clear(&raw);
}

const struct tx *tx_seal(struct tx *tx)
{
	must_be_open(tx);
	tx->seal.size = tx_size(tx, true);
	tx->seal.size_bare = tx_size(tx, false);
	hash_tx(tx, false, tx->seal.txid);
	if (tx->seal.size == tx->seal.size_bare) /* no witness: the same bytes */
		memcpy(tx->seal.wtxid, tx->seal.txid, 32);
	else
		hash_tx(tx, true, tx->seal.wtxid);
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
static atomic_size_t *references_of(const struct tx *tx)
{
	return (atomic_size_t *)&tx->seal.references;
}

const struct tx *tx_ref(const struct tx *tx)
{
	if (!tx->seal.done)
		abort();
	atomic_fetch_add_explicit(references_of(tx), 1, memory_order_relaxed);
	return tx;
}

/* A reference may be taken in any order, as its taker has another that keeps the transaction alive. Giving one back is
 * ordered: whatever the other holders read, they have read before the last one frees it. */
void tx_unref(const struct tx *tx)
{
	if (tx == NULL || atomic_fetch_sub_explicit(references_of(tx), 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < tx->input_count; i++) {
		clear_witness(&tx->inputs[i]);
		free(tx->inputs[i].script.data);
	}
	for (size_t i = 0; i < tx->output_count; i++)
		free(tx->outputs[i].script.data);
	free(tx->inputs);
	free(tx->outputs);
	free((struct tx *)tx);
}

/* --- bytes --- */

static struct bytes read_bytes(struct reader *reader)
{
	size_t size = reader_compact(reader);
	const uint8_t *data = reader_bytes(reader, size);

	return data != NULL ? bytes_copy(data, size) : (struct bytes){ NULL, 0 };
}

/* A count of items that take item_min bytes each at least; fails if they cannot all be there. So the memory taken is a
 * small multiple of the bytes received: the worst, empty elements of a witness, take 16 bytes for each one. */
static size_t read_count(struct reader *reader, size_t item_min)
{
	size_t count = reader_compact(reader);

	if (count > reader_left(reader) / item_min) {
		reader_fail(reader);
		return 0;
	}
	return count;
}

static void read_inputs(struct reader *reader, struct tx *tx, size_t count)
{
	tx->inputs = mem_calloc(count, sizeof *tx->inputs);
	/* Before they are read: where the bytes end early, tx_unref finds zeroed ones and frees nothing that is not
	 * there. */
	tx->input_count = count;
	for (size_t i = 0; i < count && reader->ok; i++) {
		struct tx_input *input = &tx->inputs[i];

		reader_copy(reader, input->prev.txid, 32);
		input->prev.index = reader_le32(reader);
		input->script = read_bytes(reader);
		input->sequence = reader_le32(reader);
	}
}

static void read_outputs(struct reader *reader, struct tx *tx)
{
	size_t count = read_count(reader, OUTPUT_MIN);

	tx->outputs = mem_calloc(count, sizeof *tx->outputs);
	tx->output_count = count;
	for (size_t i = 0; i < count && reader->ok; i++) {
		tx->outputs[i].amount = (int64_t)reader_le64(reader);
		tx->outputs[i].script = read_bytes(reader);
	}
}

static bool has_witness(const struct tx *tx)
{
	for (size_t i = 0; i < tx->input_count; i++)
		if (tx->inputs[i].witness_count)
			return true;
	return false;
}

static void read_witnesses(struct reader *reader, struct tx *tx)
{
	for (size_t i = 0; i < tx->input_count && reader->ok; i++) {
		struct tx_input *input = &tx->inputs[i];

		input->witness_count = read_count(reader, 1);
		if (input->witness_count)
			input->witness = mem_calloc(input->witness_count, sizeof *input->witness);
		for (size_t j = 0; j < input->witness_count && reader->ok; j++)
			input->witness[j] = read_bytes(reader);
	}
	if (!has_witness(tx)) /* then the short form is the only one */
		reader_fail(reader);
}

const struct tx *tx_read(struct reader *reader)
{
	struct tx *tx = tx_new();
	bool witness;
	size_t count;

	tx->version = reader_le32(reader);
	count = read_count(reader, INPUT_MIN);
	/* BIP144: no inputs would be invalid anyway, so where their count is 0 it is the marker of the other form. */
	witness = count == 0;
	if (witness) {
		if (reader_u8(reader) != WITNESS_FLAG)
			reader_fail(reader);
		count = read_count(reader, INPUT_MIN);
	}
	read_inputs(reader, tx, count);
	read_outputs(reader, tx);
	if (witness)
		read_witnesses(reader, tx);
	tx->locktime = reader_le32(reader);
	if (reader->ok)
		return tx_seal(tx);
	tx_unref(tx);
	return NULL;
}

static void write_bytes(struct buf *out, const struct bytes *bytes)
{
	buf_put_compact(out, bytes->size);
	buf_put(out, bytes->data, bytes->size);
}

void tx_write(struct buf *out, const struct tx *tx, bool with_witness)
{
	with_witness = with_witness && has_witness(tx);
	buf_put_le32(out, tx->version);
	if (with_witness) {
		buf_put_u8(out, 0);
		buf_put_u8(out, WITNESS_FLAG);
	}
	buf_put_compact(out, tx->input_count);
	for (size_t i = 0; i < tx->input_count; i++) {
		buf_put(out, tx->inputs[i].prev.txid, 32);
		buf_put_le32(out, tx->inputs[i].prev.index);
		write_bytes(out, &tx->inputs[i].script);
		buf_put_le32(out, tx->inputs[i].sequence);
	}
	buf_put_compact(out, tx->output_count);
	for (size_t i = 0; i < tx->output_count; i++) {
		buf_put_le64(out, (uint64_t)tx->outputs[i].amount);
		write_bytes(out, &tx->outputs[i].script);
	}
	for (size_t i = 0; with_witness && i < tx->input_count; i++) {
		buf_put_compact(out, tx->inputs[i].witness_count);
		for (size_t j = 0; j < tx->inputs[i].witness_count; j++)
			write_bytes(out, &tx->inputs[i].witness[j]);
	}
	buf_put_le32(out, tx->locktime);
}

static size_t bytes_size(const struct bytes *bytes)
{
	return buf_compact_size(bytes->size) + bytes->size;
}

size_t tx_size(const struct tx *tx, bool with_witness)
{
	size_t size = 8 + buf_compact_size(tx->input_count) + buf_compact_size(tx->output_count);

	if (tx->seal.done)
		return with_witness ? tx->seal.size : tx->seal.size_bare;
	for (size_t i = 0; i < tx->input_count; i++)
		size += INPUT_MIN - 1 + bytes_size(&tx->inputs[i].script);
	for (size_t i = 0; i < tx->output_count; i++)
		size += OUTPUT_MIN - 1 + bytes_size(&tx->outputs[i].script);
	if (!with_witness || !has_witness(tx))
		return size;
	size += 2;
	for (size_t i = 0; i < tx->input_count; i++) {
		size += buf_compact_size(tx->inputs[i].witness_count);
		for (size_t j = 0; j < tx->inputs[i].witness_count; j++)
			size += bytes_size(&tx->inputs[i].witness[j]);
	}
	return size;
}

/* BIP141: four for each byte outside witnesses, one for each byte of them. */
size_t tx_weight(const struct tx *tx)
{
	return 3 * tx_size(tx, false) + tx_size(tx, true);
}

/* --- rules --- */

static bool outpoint_is_null(const struct outpoint *outpoint)
{
	return outpoint->index == UINT32_MAX && memcmp(outpoint->txid, zeros, 32) == 0;
}

bool tx_is_coinbase(const struct tx *tx)
{
	return tx->input_count == 1 && outpoint_is_null(&tx->inputs[0].prev);
}

bool tx_amount_valid(int64_t amount)
{
	return amount >= 0 && amount <= MAX_MONEY;
}

static int compare_outpoints(const void *a, const void *b)
{
	const struct outpoint *x = a, *y = b;
	int order = memcmp(x->txid, y->txid, 32);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Sorted, and not each compared with each: a block of the default weight has room for some 24,000 inputs, whose pairs
 * would keep every node busy for who sends it. */
static bool check_duplicates(const struct tx *tx, struct reject *reject)
{
	struct outpoint *prevs = mem_alloc(tx->input_count * sizeof *prevs);
	bool ok = true;

	for (size_t i = 0; i < tx->input_count; i++)
		prevs[i] = tx->inputs[i].prev;
	qsort(prevs, tx->input_count, sizeof *prevs, compare_outpoints);
	for (size_t i = 1; i < tx->input_count && ok; i++)
		ok = compare_outpoints(&prevs[i - 1], &prevs[i]) != 0;
	free(prevs);
	return ok || reject_set(reject, REASON_BAD_TXNS_INPUTS_DUPLICATE, "two inputs spend the same output");
}

static bool check_inputs(const struct tx *tx, struct reject *reject)
{
	if (tx->input_count == 0)
		return reject_set(reject, REASON_BAD_TXNS_VIN_EMPTY, "no inputs");
	/* Its script pushes the height; coinbase_check compares the whole of it. */
	if (tx_is_coinbase(tx))
		return true;
	for (size_t i = 0; i < tx->input_count; i++) {
		if (outpoint_is_null(&tx->inputs[i].prev))
			return reject_set(reject, REASON_BAD_TXNS_PREVOUT_NULL, "input %zu spends nothing", i);
		if (tx->inputs[i].script.size)
			return reject_set(reject, REASON_BAD_TXNS_SCRIPTSIG, "input %zu has a scriptSig", i);
	}
	return check_duplicates(tx, reject);
}

/* What cannot be spent by the rules of this version cannot be made either, but for what says at once that nobody ever
 * will. */
static bool script_is_allowed(const struct bytes *script)
{
	return script_p2tr_key(script) != NULL || (script_is_op_return(script) && script->size <= OP_RETURN_MAX);
}

static bool check_outputs(const struct tx *tx, struct reject *reject)
{
	int64_t sum = 0;

	if (tx->output_count == 0)
		return reject_set(reject, REASON_BAD_TXNS_VOUT_EMPTY, "no outputs");
	for (size_t i = 0; i < tx->output_count; i++) {
		const struct tx_output *output = &tx->outputs[i];

		if (output->amount < 0)
			return reject_set(reject, REASON_BAD_TXNS_VOUT_NEGATIVE, "output %zu is negative", i);
		if (output->amount > MAX_MONEY)
			return reject_set(reject, REASON_BAD_TXNS_VOUT_TOOLARGE, "output %zu exceeds all money", i);
		/* Neither of the two is above MAX_MONEY here, so this does not overflow. */
		sum += output->amount;
		if (sum > MAX_MONEY)
			return reject_set(reject, REASON_BAD_TXNS_TXOUTTOTAL_TOOLARGE, "outputs exceed all money");
		if (!script_is_allowed(&output->script))
			return reject_set(reject, REASON_BAD_TXNS_SCRIPT,
				"output %zu is neither P2TR nor an OP_RETURN of at most %d bytes", i, OP_RETURN_MAX);
		if (!payload_check(&output->script, i, tx_is_coinbase(tx), reject))
			return false;
	}
	return true;
}

bool tx_check(const struct tx *tx, struct reject *reject)
{
	return check_inputs(tx, reject) && check_outputs(tx, reject);
}

/* A time is compared with the parent's median (BIP113), not with the block's own, which its miner could set ahead to
 * take fees of what is still locked. */
bool tx_is_final(const struct tx *tx, uint32_t height, uint32_t median_time)
{
	if (tx->locktime == 0 || tx->locktime < (tx->locktime < LOCKTIME_THRESHOLD ? height : median_time))
		return true;
	for (size_t i = 0; i < tx->input_count; i++)
		if (tx->inputs[i].sequence != SEQUENCE_FINAL)
			return false;
	return true;
}
