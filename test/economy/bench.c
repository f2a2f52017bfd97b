/* The usual network, and its simulation case by case. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "util/mem.h"

static const double step_seconds = 4, machines = 100;

void bench_init(struct bench *b, struct team *team, uint64_t seed, bool brief)
{
	*b = (struct bench){ .team = team, .seed = seed, .brief = brief, .ok = true };
	spec_builtin(&b->spec, "main");
	b->spec.round_blocks = b->spec.run_ppm = 0; /* what runs earn beside blocks is not for these tables */
	b->spec.start_bits = world_bits(bench_power() * b->spec.spacing);
	b->cases = mem_alloc(BENCH_CASES * sizeof *b->cases);
}

void bench_clear(struct bench *b)
{
	free(b->cases);
	spec_clear(&b->spec);
}

double bench_power(void)
{
	return machines / step_seconds;
}

struct rules bench_rules(const struct bench *b)
{
	return (struct rules){
		.start_bits = b->spec.start_bits,
		.half_life = HALF_LIFE,
		.future = spec_future_limit(&b->spec),
		.least_time = true,
		.ties = true,
		.by_time = true,
		.late = true,
		.back = 8,
		.span = 2,
	};
}

struct rules bench_old_rules(const struct bench *b)
{
	return (struct rules){
		.start_bits = target_to_compact(target_limit(b->spec.k)),
		.half_life = 288,
		.future = 7200,
		.back = 8,
		.span = 2,
	};
}

struct setting bench_setting(const struct bench *b, double share, uint32_t spacings)
{
	struct setting s = {
		.step = step_seconds,
		.net = 0.5,
		.power = bench_power(),
		.skew = 1,
		.duration = (double)spacings * b->spec.spacing,
		.blocks_most = UINT32_MAX,
	};
	uint32_t first = share > 0 ? 1 : 0;
	double sum = 0;

	for (uint32_t i = first; i < WORLD_MINERS; i++)
		sum += 1.0 / (i - first + 1);
	for (uint32_t i = first; i < WORLD_MINERS; i++)
		s.shares[i] = (1 - share) / (i - first + 1) / sum;
	if (first > 0)
		s.shares[0] = share;
	return s;
}

struct bench_case *bench_add(struct bench *b, const struct rules *rules, const struct setting *setting)
{
	struct bench_case *c = &b->cases[b->count++];

	*c = (struct bench_case){ .rules = *rules, .setting = *setting, .seed = b->seed * 1000003 + b->count };
	return c;
}

static void simulate(void *arg, size_t task, unsigned member)
{
	struct bench *b = arg;
	struct bench_case *c = &b->cases[task];
	struct network *n = mem_alloc(sizeof *n);

	(void)member;
	network_run(n, &b->spec, &c->rules, &c->setting, c->seed);
	account_make(&c->account, n, c->from);
	for (int i = 0; i + 1 < BENCH_MARKS; i++)
		c->counts[i] = account_count(n, c->marks[i], c->marks[i + 1]);
	network_clear(n);
	free(n);
}

void bench_run(struct bench *b)
{
	team_run(b->team, simulate, b, b->count);
}

void bench_forget(struct bench *b)
{
	b->count = 0;
}

void bench_require(struct bench *b, bool holds, const char *what)
{
	if (!holds) {
		printf("NOT SO: %s\n", what);
		b->ok = false;
	}
}
