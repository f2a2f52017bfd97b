/* Runs held against their traces, and the merge of a round: true ones, and what liars may do: forge a segment, go on
 * from what is no state of a run, disclose nothing, challenge what is right. What a disclosure's bytes show by
 * themselves: test/unit/consensus/blob. */
#include "consensus/payload/round_tx.h"
#include "consensus/verify_fixture.h"

enum { SEGMENTS = 3, SEATS = 4 };

static struct spec spec;
static const struct train_config *train;
static uint8_t dataset[400];
static struct state *base;
static size_t code_size;

/* A run as its owner has it: Q_0 .. Q_SEGMENTS, and their digests; and what he discloses. */
struct run {
	uint8_t seed[32];
	uint32_t length; /* segments that he commits to: the first */
	uint8_t *codes[SEGMENTS + 1];
	uint8_t digests[SEGMENTS][32], root[32];
};

static struct run runs[SEATS];

static void gather(const struct run *run, struct verify_segment *segment, uint32_t number)
{
	const struct course_data data = course_data_in_memory(dataset, sizeof dataset);

	*segment = (struct verify_segment){ .base = state_ref(base), .number = number };
	run_segment_seed(run->seed, number, segment->seed);
	segment->windows = mem_alloc(run_windows_size(train));
	assert_true(run_gather(spec_course(&spec), segment->seed, &data, segment->windows));
}

static void train_on(struct run *run, uint32_t number)
{
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), train, 1);
	struct verify_segment segment;

	gather(run, &segment, number);
	assert_int_equal(run_execute(backend,
				 &(struct run_segment){ .base = base,
					 .segment_seed = segment.seed,
					 .start = run->codes[number],
					 .windows = segment.windows },
				 run->codes[number + 1]),
		STEP_OK);
	verify_segment_clear(&segment);
	backend_free(backend);
}

static void commit(struct run *run)
{
	for (int i = 0; i < SEGMENTS; i++)
		sha256(run->digests[i], run->codes[i + 1], code_size);
	sha256(run->root, run->digests, (size_t)32 * run->length);
}

/* Honest from segment `from` on. */
static void run_on(struct run *run, uint32_t from)
{
	for (uint32_t i = from; i < SEGMENTS; i++)
		train_on(run, i);
	commit(run);
}

/* What segment `number` gives is made up: where it goes is the forger's choice. */
static void forge(struct run *run, uint32_t number)
{
	for (size_t at = 0; at < code_size; at += DELTA_BLOCK_SIZE)
		run->codes[number + 1][at + 1] ^= 3;
	run_on(run, number + 1);
}

static uint8_t *disclose(const struct run *run, uint32_t drawn)
{
	uint8_t *blob = mem_alloc(round_blob_size(&spec, ROUND_DISCLOSURE, run->length));
	const size_t list_size = (size_t)32 * run->length;

	memcpy(blob, run->digests, list_size);
	memcpy(blob + list_size, run->codes[drawn], code_size);
	memcpy(blob + list_size + code_size, run->codes[run->length], code_size);
	return blob;
}

static int setup(void **state)
{
	static const char json[] =
		"{\"name\":\"tiny\",\"d\":16,\"heads\":1,\"layers\":1,\"ff\":16,\"batch\":2,\"bench_rows\":2,"
		"\"bench_bytes\":1000,\"round_blocks\":5,\"round_work\":1,\"round_reveal\":1,\"segments\":3,"
		"\"segment\":2,\"maturity\":11,\"gate_ppm\":2000000}";
	uint8_t key[32];
	size_t size;
	char *path;

	(void)state;
	if (!spec_parse(&spec, json, strlen(json), &path, NULL) || !spec_finish(&spec, NULL))
		return -1;
	/* Who learns the reserved text itself makes nothing worse. */
	memcpy(dataset, course_benchmark(spec_course(&spec), &size), sizeof dataset);
	for (size_t i = 0; i < sizeof dataset; i += 16)
		dataset[i] = 0; /* whose embedding is the first of a code */
	train = &spec_course(&spec)->train;
	code_size = run_code_size(train);
	spec_init_key(&spec, key);
	base = state_new_initial(&train->model, key);
	backend_select(backend_cpu(ENGINE_OPENBLAS));
	for (int i = 0; i < SEATS; i++) {
		runs[i].seed[0] = (uint8_t)i;
		runs[i].length = SEGMENTS;
		for (int j = 0; j <= SEGMENTS; j++)
			runs[i].codes[j] = mem_alloc(code_size);
		run_start(train, runs[i].codes[0]);
		run_on(&runs[i], 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < SEATS; i++)
		for (int j = 0; j <= SEGMENTS; j++)
			free(runs[i].codes[j]);
	state_unref(base);
	spec_clear(&spec);
	return 0;
}

/* A forged run is made honest again. */
static void mend(struct run *run)
{
	reset();
	run_on(run, 0);
	reset();
}

/* --- segments --- */

static void segment_of(const struct run *run, uint32_t number, struct verify_segment *segment)
{
	gather(run, segment, number);
	segment->start = mem_dup(run->codes[number], code_size);
	memcpy(segment->digest, run->digests[number], 32);
}

static bool is_right(const struct run *run, uint32_t number, uint8_t found[32])
{
	struct verify_segment segment;
	bool right;

	segment_of(run, number, &segment);
	assert_true(verify_segment(&spec, &segment, 1, NULL, &right, found));
	verify_segment_clear(&segment);
	return right;
}

static void test_segments(void **state)
{
	uint8_t found[32];

	(void)state;
	reset();
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		assert_true(is_right(&runs[0], i, found));
		assert_memory_equal(found, runs[0].digests[i], 32);
	}
	assert_int_equal(segments_executed, SEGMENTS);
	forge(&runs[0], 1);
	reset();
	assert_true(is_right(&runs[0], 0, found));
	assert_int_equal(segments_executed, 1);
	/* Doubted before it is called false. */
	assert_false(is_right(&runs[0], 1, found));
	assert_memory_not_equal(found, runs[0].digests[1], 32);
	assert_int_equal(segments_executed, 3);
	assert_int_equal(segments_checked, 1);
	assert_int_equal(selftests, 1);
	assert_trust(BACKEND_TRUSTED, NULL);
	assert_true(is_right(&runs[0], 2, found)); /* from what was forged on he is honest */
	mend(&runs[0]);
}

/* What no segment may start from is false without being executed: it is no state of a run. */
static void test_start_out_of_bounds(void **state)
{
	static const uint8_t none[32];
	struct run *run = &runs[1];
	uint8_t found[32], *start;

	(void)state;
	reset();
	start = run->codes[1];
	start[0] = (uint8_t)(run_exponent_max(train) + 1);
	assert_false(is_right(run, 1, found));
	start[0] = (uint8_t)(int8_t)(DELTA_EXPONENT_MIN - 1);
	assert_false(is_right(run, 1, found));
	assert_int_equal(segments_executed, 0);
	assert_memory_equal(found, none, 32);
	start[0] = (uint8_t)run_exponent_max(train);
	assert_false(is_right(run, 1, found));
	assert_int_equal(segments_executed, 2);
	mend(run);
}

/* Nobody is struck for what this machine computed wrongly. */
static void test_broken_engine(void **state)
{
	uint8_t found[32];

	(void)state;
	reset();
	engine_fault(FAULT_LARGE, 0, SIZE_MAX);
	assert_true(is_right(&runs[0], 0, found));
	assert_trust(BACKEND_REPLACED, "a product is wrong");
	assert_int_equal(reference_engines, 1);
	reset();
	fails_selftest = true;
	forge(&runs[0], 0);
	assert_false(is_right(&runs[0], 0, found));
	assert_trust(BACKEND_REPLACED, "a played fault");
	reset();
	engine_fault(FAULT_LARGE, 0, SIZE_MAX);
	reference_fails_selftest = true;
	{
		struct verify_segment segment;
		atomic_bool cancel;
		bool right;

		atomic_init(&cancel, false);
		segment_of(&runs[0], 0, &segment);
		assert_false(verify_segment(&spec, &segment, 1, &cancel, &right, NULL));
		assert_true(atomic_load(&cancel));
		verify_segment_clear(&segment);
	}
	assert_trust(BACKEND_NONE, "nothing can be verified");
	mend(&runs[0]);
}

/* --- disclosures --- */

static void assert_disclosure(const struct run *run, uint32_t drawn, const uint8_t *blob, size_t size,
	const char *words)
{
	struct reject reject;
	bool good = round_blob_check_disclosure(&spec, run->length, blob, size, run->root, drawn, &reject);

	assert_int_equal(good, words == NULL);
	if (!good) {
		assert_string_equal(reject.reason, "bad-round-disclosure");
		assert_int_equal(reject.code, REJECT_INVALID);
		if (strstr(reject.detail, words) == NULL)
			fail_msg("no '%s' in: %s", words, reject.detail);
	}
}

static void test_disclosure(void **state)
{
	const size_t size = round_blob_size(&spec, ROUND_DISCLOSURE, SEGMENTS), list_size = sizeof runs[0].digests;

	(void)state;
	reset();
	for (uint32_t drawn = 0; drawn < SEGMENTS; drawn++) {
		uint8_t *blob = disclose(&runs[0], drawn);

		assert_disclosure(&runs[0], drawn, blob, size, NULL);
		assert_disclosure(&runs[1], drawn, blob, size, "not the one committed to");
		assert_disclosure(&runs[0], (drawn + 1) % SEGMENTS, blob, size, "starts from has not its digest");
		assert_disclosure(&runs[0], drawn, blob, size - 1, "bytes");
		assert_disclosure(&runs[0], drawn, blob, list_size, "bytes");
		for (size_t at = 0; at < size; at += 61) {
			blob[at] ^= 1;
			assert_disclosure(&runs[0], drawn, blob, size,
				at < list_size                     ? "not the one committed to" :
					at < list_size + code_size ? "starts from has not its digest" :
								     "its result");
			blob[at] ^= 1;
		}
		free(blob);
	}
	assert_int_equal(segments_executed, 0);
}

/* The bytes of a run of another length are not its own, though they begin alike. */
static void test_disclosure_of_part(void **state)
{
	struct run *run = &runs[0];

	(void)state;
	for (run->length = 1; run->length < SEGMENTS; run->length++) {
		const size_t size = round_blob_size(&spec, ROUND_DISCLOSURE, run->length);

		commit(run);
		for (uint32_t drawn = 0; drawn < run->length; drawn++) {
			uint8_t *blob = disclose(run, drawn);

			assert_disclosure(run, drawn, blob, size, NULL);
			run->length++;
			assert_disclosure(run, drawn, blob, size, "bytes");
			run->length--;
			memcpy(blob + size - code_size, run->codes[SEGMENTS], code_size);
			assert_disclosure(run, drawn, blob, size, "its result has not the last digest");
			free(blob);
		}
	}
	commit(run);
}

/* Who commits to an end that no code within bounds has cannot disclose it: it would be merged. */
static void test_end_out_of_bounds(void **state)
{
	struct run *run = &runs[2];
	uint8_t *blob;

	(void)state;
	run->codes[SEGMENTS][0] = (uint8_t)(run_exponent_max(train) + 1);
	commit(run);
	blob = disclose(run, 1);
	assert_disclosure(run, 1, blob, round_blob_size(&spec, ROUND_DISCLOSURE, SEGMENTS), "no code within bounds");
	free(blob);
	mend(run);
}

/* --- challenges --- */

static struct verify_challenge *challenge_of(const struct run *run, uint32_t number)
{
	struct verify_challenge *challenge = mem_calloc(1, sizeof *challenge);

	segment_of(run, number, &challenge->segment);
	challenge->digests = mem_dup(run->digests, sizeof run->digests);
	return challenge;
}

static void assert_challenge(struct verify_challenge *challenge, const char *words)
{
	struct reject reject;
	struct verify_runner verify_runner = { .spec = &spec, .threads = 1 };
	const bool good = verify_run_challenge(&verify_runner, challenge, &reject) == VERIFY_RIGHT;

	assert_int_equal(good, words == NULL);
	if (!good) {
		assert_string_equal(reject.reason, "bad-round-challenge");
		if (strstr(reject.detail, words) == NULL)
			fail_msg("no '%s' in: %s", words, reject.detail);
	}
	verify_runner_clear(&verify_runner);
	verify_challenge_clear(challenge);
	free(challenge);
}

static void test_challenge(void **state)
{
	struct verify_challenge *challenge;

	(void)state;
	for (uint32_t i = 0; i < SEGMENTS; i++)
		assert_challenge(challenge_of(&runs[0], i), "is what the run says");
	forge(&runs[0], 1);
	reset();
	assert_challenge(challenge_of(&runs[0], 1), NULL);
	assert_challenge(challenge_of(&runs[0], 2), "is what the run says");
	challenge = challenge_of(&runs[0], 1);
	challenge->segment.start[1] ^= 1; /* what gives another code, but is not what he went on from */
	segments_executed = 0;
	assert_challenge(challenge, "has not the digest of what segment 1 starts from");
	assert_int_equal(segments_executed, 0);
	runs[0].codes[1][0] = (uint8_t)(run_exponent_max(train) + 1);
	commit(&runs[0]);
	assert_challenge(challenge_of(&runs[0], 1), NULL);
	assert_int_equal(segments_executed, 0);
	/* A machine that computes wrongly does not make a challenge right. */
	mend(&runs[0]);
	engine_fault(FAULT_LARGE, 0, SIZE_MAX);
	assert_challenge(challenge_of(&runs[0], 0), "is what the run says");
	assert_trust(BACKEND_REPLACED, NULL);
	reset();
}

/* --- blocks --- */

/* A block whose own proof is right and known, so that what follows from rounds is all that is executed. */
static void job_init(struct verify_job *job, uint8_t parent_byte)
{
	const struct course_data data = course_data_in_memory(dataset, sizeof dataset);
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), train, 1);
	struct verify_proof *proof;
	struct step_job step_job;
	uint8_t key[32] = { parent_byte };

	*job = (struct verify_job){ .spec = &spec, .proof_count = 1, .body_count = 1, .v_ref = spec.v_0 };
	job->parent = state_new_initial(&train->model, key);
	job->benchmark = mem_alloc(course_merge_size(spec_course(&spec)));
	course_gather_merge(spec_course(&spec), job->ticket, job->benchmark);
	job->proofs = proof = mem_calloc(1, sizeof *job->proofs);
	header_seed(&proof->header, proof->seed);
	proof->windows = mem_alloc(step_windows_size(train));
	assert_true(course_gather_step(spec_course(&spec), job->ticket, proof->seed, 0, &data, proof->windows));
	proof->delta = mem_alloc(step_delta_size(train));
	step_job = (struct step_job){ .state = job->parent, .seed = proof->seed, .windows = proof->windows };
	assert_int_equal(backend_execute(backend, &step_job, proof->delta), STEP_OK);
	sha256(proof->header.digest, proof->delta, step_delta_size(train));
	backend_free(backend);
	reset();
}

static void seats_init(struct verify_job *job)
{
	job->round.seat_count = SEATS;
	job->round.seats = mem_calloc(SEATS, sizeof *job->round.seats);
}

static void seat_disclosed(struct verify_job *job, uint32_t seat, uint32_t drawn)
{
	job->round.seats[seat].standing = VERIFY_SEAT_DISCLOSED;
	job->round.seats[seat].length = runs[seat].length;
	job->round.seats[seat].change = mem_dup(runs[seat].codes[runs[seat].length], code_size);
	segment_of(&runs[seat], drawn, &job->round.seats[seat].segment);
}

/* Codes of seats that lie elsewhere: what a seat has in memory moves there. */
struct elsewhere {
	uint8_t *change, *start;
	size_t *left; /* so many can be read */
};

static bool read_elsewhere(const struct elsewhere *elsewhere, const uint8_t *from, uint8_t *code)
{
	if (*elsewhere->left == 0)
		return false;
	--*elsewhere->left;
	memcpy(code, from, code_size);
	return true;
}

static bool read_change(void *source, uint8_t *code)
{
	return read_elsewhere(source, ((struct elsewhere *)source)->change, code);
}

static bool read_start(void *source, uint8_t *code)
{
	return read_elsewhere(source, ((struct elsewhere *)source)->start, code);
}

static void put_elsewhere(struct verify_seat *seat, size_t *left)
{
	const struct elsewhere there = { .change = seat->change, .start = seat->segment.start, .left = left };

	seat->source = mem_dup(&there, sizeof there);
	seat->read_change = read_change;
	seat->read_start = read_start;
	seat->change = seat->segment.start = NULL;
}

static void bring_back(struct verify_seat *seat)
{
	const struct elsewhere *there = seat->source;

	seat->change = there->change;
	seat->segment.start = there->start;
}

static void assert_statement(const struct verdict *verdict, uint8_t first, uint8_t second, uint8_t third,
	uint8_t fourth)
{
	const uint8_t wanted[SEATS] = { first, second, third, fourth };

	if (!verdict->valid)
		fail_msg("%s: %s", verdict->reject.reason, verdict->reject.detail);
	assert_int_equal(verdict->merge.seats, SEATS);
	assert_false(verdict->merge.is_void);
	assert_memory_equal(verdict->merge.seat, wanted, SEATS);
}

/* The state after the update alone: what no merge has touched. */
static struct state *updated(struct verify_job *job)
{
	struct verify_round round = job->round;
	struct verdict verdict;

	job->round = (struct verify_round){ 0 };
	verify_run(job, &verdict);
	assert_true(verdict.valid);
	assert_int_equal(verdict.merge.seats, 0);
	job->round = round;
	return verdict.state;
}

/* Two true runs, of which one is shorter and weighs less, one whose forged segment is drawn, and an empty seat: whose
 * owner lied changes nothing of the state that is the others'. */
static void test_merge(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	struct state *before, *replayed;
	struct merge_run merged[SEATS] = { { .seat = MERGE_EMPTY }, { .length = SEGMENTS, .seat = MERGE_MERGED },
		{ .seat = MERGE_STRUCK }, { .length = SEGMENTS - 1, .seat = MERGE_MERGED } };

	(void)state;
	runs[3].length = SEGMENTS - 1;
	forge(&runs[2], 0);
	job_init(&job, 7);
	before = updated(&job);
	seats_init(&job);
	seat_disclosed(&job, 1, 2);
	seat_disclosed(&job, 2, 0);
	seat_disclosed(&job, 3, 1);
	verify_run(&job, &verdict);
	assert_statement(&verdict, MERGE_EMPTY, MERGE_MERGED, MERGE_STRUCK, MERGE_MERGED);
	assert_int_equal(segments_executed, 4);
	assert_int_equal(job.round.seats[1].standing, VERIFY_SEAT_TRUE);
	assert_int_equal(job.round.seats[2].standing, VERIFY_SEAT_STRUCK);
	merged[1].code = runs[1].codes[SEGMENTS];
	merged[3].code = runs[3].codes[SEGMENTS - 1];
	merged[3].length = SEGMENTS;
	replayed = merge_replay(train, before, merged, SEATS, false, false);
	assert_memory_not_equal(state_root(verdict.state), state_root(replayed), 32);
	state_unref(replayed);
	merged[3].length = SEGMENTS - 1;
	replayed = merge_replay(train, before, merged, SEATS, false, false);
	assert_memory_equal(state_root(verdict.state), state_root(replayed), 32);
	assert_memory_not_equal(state_root(verdict.state), state_root(before), 32);
	state_unref(verdict.state);
	/* The verdicts are known now: nothing is executed again, and the state is the same. */
	verify_run(&job, &verdict);
	assert_statement(&verdict, MERGE_EMPTY, MERGE_MERGED, MERGE_STRUCK, MERGE_MERGED);
	assert_int_equal(segments_executed, 4);
	assert_memory_equal(state_root(verdict.state), state_root(replayed), 32);
	state_unref(verdict.state);
	state_unref(replayed);
	state_unref(before);
	verify_job_clear(&job);
	runs[3].length = SEGMENTS;
	mend(&runs[2]);
}

/* Where codes lie changes nothing; if one cannot be read the job is cancelled, and what was found out stays. */
static void test_codes_elsewhere(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	uint8_t root[32];
	size_t left = 0;

	(void)state;
	forge(&runs[2], 0);
	job_init(&job, 7);
	seats_init(&job);
	for (uint32_t seat = 1; seat < SEATS; seat++)
		seat_disclosed(&job, seat, 0);
	verify_run(&job, &verdict);
	assert_statement(&verdict, MERGE_EMPTY, MERGE_MERGED, MERGE_STRUCK, MERGE_MERGED);
	memcpy(root, state_root(verdict.state), 32);
	state_unref(verdict.state);
	for (uint32_t seat = 1; seat < SEATS; seat++) {
		job.round.seats[seat].standing = VERIFY_SEAT_DISCLOSED;
		put_elsewhere(&job.round.seats[seat], &left);
	}
	/* Three starts, and two codes for the judgement and for the proposal. */
	for (size_t readable = 0; readable < 3; readable++) {
		left = 1;
		verify_run(&job, &verdict);
		assert_true(verdict.cancelled && !verdict.valid && verdict.state == NULL);
		assert_int_equal(job.round.seats[1 + readable].standing != VERIFY_SEAT_DISCLOSED, true);
	}
	for (size_t readable = 0; readable < 4; readable++) {
		left = readable;
		verify_run(&job, &verdict);
		assert_true(verdict.cancelled && !verdict.valid && verdict.state == NULL);
	}
	left = 4;
	verify_run(&job, &verdict);
	assert_statement(&verdict, MERGE_EMPTY, MERGE_MERGED, MERGE_STRUCK, MERGE_MERGED);
	assert_int_equal(left, 0);
	assert_memory_equal(state_root(verdict.state), root, 32);
	state_unref(verdict.state);
	for (uint32_t seat = 1; seat < SEATS; seat++)
		bring_back(&job.round.seats[seat]);
	verify_job_clear(&job);
	mend(&runs[2]);
}

/* A forged segment that is not drawn is not seen, and what was forged is merged: what is bounded is its weight. */
static void test_forged_not_drawn(void **state)
{
	struct verify_job job;
	struct verdict verdict;

	(void)state;
	forge(&runs[1], 0);
	job_init(&job, 7);
	seats_init(&job);
	seat_disclosed(&job, 1, 1);
	verify_run(&job, &verdict);
	assert_statement(&verdict, MERGE_EMPTY, MERGE_MERGED, MERGE_EMPTY, MERGE_EMPTY);
	state_unref(verdict.state);
	verify_job_clear(&job);
	mend(&runs[1]);
}

/* Who says nothing, or was challenged, is struck without anything being executed; if nobody is left the merge is void.
 */
static void test_silence(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	struct state *before;

	(void)state;
	job_init(&job, 7);
	before = updated(&job);
	seats_init(&job);
	job.round.seats[0].standing = VERIFY_SEAT_STRUCK;
	verify_run(&job, &verdict);
	assert_true(verdict.valid && verdict.merge.is_void);
	assert_int_equal(verdict.merge.seat[0], MERGE_STRUCK);
	assert_int_equal(verdict.merge.seat[1], MERGE_EMPTY);
	assert_int_equal(segments_executed, 0);
	assert_memory_equal(state_theta(verdict.state), state_theta(before), model_count(&train->model) * 4);
	state_unref(verdict.state);
	state_unref(before);
	verify_job_clear(&job);
}

/* A wrong product in the merge, whichever it is, costs nobody anything and changes no bit. */
static void test_merge_wrong_once(void **state)
{
	struct verify_job job;
	struct verdict sound, found;
	size_t at = 0, harmful = 0;

	(void)state;
	job_init(&job, 7);
	seats_init(&job);
	seat_disclosed(&job, 1, 2);
	seat_disclosed(&job, 3, 1);
	verify_run(&job, &sound);
	assert_statement(&sound, MERGE_EMPTY, MERGE_MERGED, MERGE_EMPTY, MERGE_MERGED);
	do {
		reset();
		engine_fault(FAULT_LARGE, at, at + 1);
		verify_run(&job, &found);
		assert_statement(&found, MERGE_EMPTY, MERGE_MERGED, MERGE_EMPTY, MERGE_MERGED);
		assert_memory_equal(state_root(found.state), state_root(sound.state), 32);
		assert_trust(faulty.spoiled > 0 ? BACKEND_REPLACED : BACKEND_TRUSTED, NULL);
		harmful += faulty.spoiled;
		state_unref(found.state);
	} while (faulty.products > at++);
	assert_true(harmful > 20);
	state_unref(sound.state);
	verify_job_clear(&job);
	reset();
}

/* What finds out that an engine is wrong comes before what is measured: nothing of that is computed with it. */
static void test_replaced_first(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	size_t doubting;
	uint8_t found[32];

	(void)state;
	forge(&runs[1], 2);
	job_init(&job, 7);
	fails_selftest = true;
	assert_false(is_right(&runs[1], 2, found));
	doubting = faulty.products;
	assert_true(doubting > 0);
	seats_init(&job);
	seat_disclosed(&job, 1, 2);
	seat_disclosed(&job, 3, 1);
	reset();
	fails_selftest = true;
	verify_run(&job, &verdict);
	assert_statement(&verdict, MERGE_EMPTY, MERGE_STRUCK, MERGE_EMPTY, MERGE_MERGED);
	assert_trust(BACKEND_REPLACED, "a played fault");
	assert_int_equal(faulty.products, doubting);
	state_unref(verdict.state);
	verify_job_clear(&job);
	mend(&runs[1]);
}

static void test_cancel(void **state)
{
	struct verify_job job;
	struct verdict verdict;

	(void)state;
	job_init(&job, 7);
	seats_init(&job);
	seat_disclosed(&job, 1, 2);
	atomic_store(&job.cancel, true);
	verify_run(&job, &verdict);
	assert_true(verdict.cancelled && !verdict.valid);
	assert_null(verdict.state);
	assert_int_equal(job.round.seats[1].standing, VERIFY_SEAT_DISCLOSED);
	verify_job_clear(&job);
}

static void add_disclosure(struct verify_job *job, const struct run *run, uint32_t drawn, uint8_t *blob)
{
	struct verify_round *round = &job->round;
	struct verify_disclosure *disclosure;

	round->disclosures = mem_realloc(round->disclosures,
		(round->disclosure_count + 1) * sizeof *round->disclosures);
	disclosure = &round->disclosures[round->disclosure_count++];
	*disclosure = (struct verify_disclosure){ .length = run->length,
		.segment = drawn,
		.blob = blob,
		.size = round_blob_size(&spec, ROUND_DISCLOSURE, run->length) };
	memcpy(disclosure->trace_root, run->root, 32);
}

static void assert_refused(struct verify_job *job, const char *reason)
{
	struct verdict verdict;

	verify_run(job, &verdict);
	assert_false(verdict.valid || verdict.cancelled);
	assert_null(verdict.state);
	assert_true(verdict.false_proof == SIZE_MAX);
	assert_string_equal(verdict.reject.reason, reason);
}

/* Of a job with one challenge, of which is known what it doubts: that is not executed again, and what it is believed to
 * be. Another's segment is executed, and what is found out is told. */
static void assert_found_once(struct verify_job *job)
{
	struct verify_round *round = &job->round;
	struct verify_challenge *other = challenge_of(&runs[1], 0);
	struct verdict verdict;

	assert_int_equal(round->challenges[0].found, VERIFY_SEGMENT_TRUE);
	round->challenges[0].found = VERIFY_SEGMENT_FALSE;
	reset();
	verify_run(job, &verdict);
	assert_true(verdict.valid);
	assert_int_equal(segments_executed, 0);
	state_unref(verdict.state);
	round->challenges = mem_realloc(round->challenges, 2 * sizeof *round->challenges);
	round->challenges[1] = *other;
	round->challenges[1].after = 2;
	round->challenge_count = 2;
	free(other);
	assert_refused(job, "bad-round-challenge");
	assert_int_equal(segments_executed, 1);
	assert_int_equal(round->challenges[1].found, VERIFY_SEGMENT_TRUE);
}

/* Of a block with several the first that is wrong names the reason. */
static void test_shown_by_a_block(void **state)
{
	struct verify_job job;
	struct verdict verdict;

	(void)state;
	job_init(&job, 7);
	add_disclosure(&job, &runs[0], 1, disclose(&runs[0], 1));
	add_disclosure(&job, &runs[1], 0, disclose(&runs[1], 0));
	verify_run(&job, &verdict);
	assert_true(verdict.valid);
	assert_int_equal(segments_executed, 0); /* at inclusion nothing is */
	state_unref(verdict.state);
	job.round.disclosures[1].blob[3] ^= 1;
	assert_refused(&job, "bad-round-disclosure");
	job.round.challenges = challenge_of(&runs[2], 1);
	job.round.challenge_count = 1;
	job.round.challenges[0].after = 1;
	assert_refused(&job, "bad-round-challenge");
	job.round.challenges[0].after = 2;
	assert_refused(&job, "bad-round-disclosure");
	job.round.disclosures[1].blob[3] ^= 1;
	assert_refused(&job, "bad-round-challenge");
	assert_found_once(&job);
	job.proofs[0].header.digest[0] ^= 1; /* before all of that come the proofs */
	verify_run(&job, &verdict);
	assert_int_equal(verdict.false_proof, 0);
	verify_job_clear(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_start_out_of_bounds),
		cmocka_unit_test(test_broken_engine),
		cmocka_unit_test(test_disclosure),
		cmocka_unit_test(test_disclosure_of_part),
		cmocka_unit_test(test_end_out_of_bounds),
		cmocka_unit_test(test_challenge),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_codes_elsewhere),
		cmocka_unit_test(test_forged_not_drawn),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_merge_wrong_once),
		cmocka_unit_test(test_replaced_first),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_shown_by_a_block),
	};

	return cmocka_run_group_tests_name("runs", tests, setup, teardown);
}
