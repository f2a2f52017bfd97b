/* Killed at any moment, the node comes back to a consistent tip, and loses no block it said was connected. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "chain/chain_helper.h"
#include "util/random.h"

enum { ROUNDS = 12, STEPS = 12, LONGEST_MS = 20 };

/* In the child: mines without end, two steps forward, now and then one back, and tells each height it has reached. */
static void mine_until_killed(struct helper *h, uint32_t key, int told)
{
	helper_key(h, key);
	helper_open(h);
	for (uint32_t i = 0;; i++) {
		uint32_t height;

		helper_mine_loose(h);
		helper_mine(h, 1);
		height = chain_tip(h->chain)->height;
		if (write(told, &height, sizeof height) != sizeof height)
			_exit(1);
		if (i % 7 != 6)
			continue;
		/* The block before the tip goes, another comes in its place: a switch of branches. */
		helper_key(h, key + i);
		if (!chain_invalidate(h->chain, chain_at(h->chain, height), NULL))
			_exit(1);
		height = chain_tip(h->chain)->height;
		if (write(told, &height, sizeof height) != sizeof height)
			_exit(1);
	}
}

/* Everything that can be checked against everything else. */
static void check_whole(struct helper *h, uint32_t told)
{
	uint32_t height = chain_tip(h->chain)->height;
	struct state *state = chain_state(h->chain);
	struct helper fresh;

	assert_true(height + 1 >= told);
	assert_memory_equal(state_root(state), chain_tip(h->chain)->model_root_after, 32);
	state_unref(state);
	assert_int_equal(registry_height(chain_registry(h->chain)), height);
	helper_start(&fresh);
	helper_feed(&fresh, h, 1, height);
	helper_settle(&fresh);
	assert_memory_equal(chain_tip(fresh.chain)->id, chain_tip(h->chain)->id, 32);
	assert_memory_equal(chain_tip(fresh.chain)->model_root_after, chain_tip(h->chain)->model_root_after, 32);

	struct coin_stats x, y;
	chain_coin_stats(fresh.chain, &x);
	chain_coin_stats(h->chain, &y);
	assert_int_equal(x.coins, y.coins);
	assert_int_equal(x.amount, y.amount);
	helper_stop(&fresh);
}

static void test_killed(void **unused)
{
	struct helper h = { .spec = helper_spec() };

	(void)unused;
	h.folder = scratch_new();
	for (int round = 0; round < ROUNDS; round++) {
		struct timespec pause = { .tv_nsec = (long)random_below(LONGEST_MS) * 1000000 };
		uint32_t told = 0, height;
		int told_pipe[2], status;
		pid_t child;

		assert_int_equal(pipe(told_pipe), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(told_pipe[0]);
			mine_until_killed(&h, (uint32_t)(round + 1) << 16, told_pipe[1]);
		}
		close(told_pipe[1]);
		/* After so many blocks, at some moment of the next: on a slow machine too. */
		for (uint64_t steps = random_below(STEPS); steps > 0; steps--)
			if (read(told_pipe[0], &height, sizeof height) == sizeof height)
				told = height;
		nanosleep(&pause, NULL);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		while (read(told_pipe[0], &height, sizeof height) == sizeof height)
			told = height;
		close(told_pipe[0]);
		helper_open(&h);
		helper_settle(&h);
		check_whole(&h, told);
		helper_close(&h);
		/* Now and then without snapshots, so that the next start replays the model. */
		if (round % 4 == 3)
			helper_remove(&h, "model/*");
	}
	scratch_remove(h.folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
