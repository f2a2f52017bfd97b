/* Tables of time: what becomes of launches, and what miners gain who do otherwise. In Markdown, as doc/economics.md has
 * them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "economy.h"

enum { SEEDS = 3, FIRST_BLOCKS = 100 };

/* The first miner's, in all tables where he does otherwise. */
static const double shares[] = { 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45 };

enum { SHARES = sizeof shares / sizeof shares[0] };

static uint32_t usual_blocks(const struct bench *b)
{
	return b->brief ? 4000 : 40000;
}

static struct bench_case *add_usual(struct bench *b, const struct rules *rules, double share,
	const struct attack *attack)
{
	struct setting s = bench_setting(b, share, usual_blocks(b));
	struct bench_case *c;

	s.attack = *attack;
	c = bench_add(b, rules, &s);
	c->from = FIRST_BLOCKS;
	return c;
}

/* ---- Launch ---- */

/* Of the expected power, and of a launch from the easiest target, where nothing but three machines would do. */
static const double scales[] = { 0.1, 1, 10, 100, 1000 }, old_scales[] = { 0.03, 1 };

enum { SCALES = sizeof scales / sizeof scales[0], OLD_SCALES = sizeof old_scales / sizeof old_scales[0] };

static struct rules without_least_time(const struct bench *b)
{
	struct rules r = bench_rules(b);

	r.least_time = false;
	return r;
}

static struct rules without_ties(const struct bench *b)
{
	struct rules r = bench_rules(b);

	r.ties = false;
	return r;
}

static struct rules without_proofs_by_time(const struct bench *b)
{
	struct rules r = bench_rules(b);

	r.by_time = false;
	return r;
}

static struct rules with_four_back(const struct bench *b)
{
	struct rules r = bench_rules(b);

	r.back = 4;
	r.span = 1;
	return r;
}

static struct rules with_future(const struct bench *b, double spacings)
{
	struct rules r = bench_rules(b);

	r.future = 60 + (int64_t)(spacings * b->spec.spacing);
	return r;
}

static struct rules with_one_ahead(const struct bench *b)
{
	return with_future(b, 1);
}

static struct rules with_two_ahead(const struct bench *b)
{
	return with_future(b, 2);
}

static const struct {
	const char *name;
	struct rules (*rules)(const struct bench *b);
	bool is_required;
} launches[] = {
	{ "all", bench_rules, true },
	{ "future limit 60 + spacing", with_one_ahead, false },
	{ "future limit 60 + 2 spacings", with_two_ahead, false },
	{ "4 blocks back, 1 spacing", with_four_back, false },
	{ "no proofs by time", without_proofs_by_time, false },
	{ "no ties", without_ties, false },
	{ "no least time", without_least_time, false },
};

enum { LAUNCHES = sizeof launches / sizeof launches[0] };

static void add_launch(struct bench *b, const struct rules *rules, double scale, uint32_t blocks_most)
{
	for (int seed = 0; seed < SEEDS; seed++) {
		struct setting s = bench_setting(b, 0, 288);

		s.power *= scale;
		s.blocks_most = blocks_most;
		bench_add(b, rules, &s);
	}
}

static void take_worst(uint32_t *worst, uint32_t found)
{
	*worst = found > *worst ? found : *worst;
}

/* The worst of the seeds; of coins, stale blocks and revenue the mean. */
static struct account sum_up(const struct bench_case *cases)
{
	struct account sum = { 0 };

	for (int seed = 0; seed < SEEDS; seed++) {
		const struct account *a = &cases[seed].account;

		sum.coins += a->coins / SEEDS;
		sum.stale += a->stale / SEEDS;
		sum.revenue[0] += a->revenue[0] / a->power[0] / SEEDS;
		take_worst(&sum.deepest, a->deepest);
		take_worst(&sum.tips, a->tips);
		take_worst(&sum.split, a->split);
		take_worst(&sum.dated[0], a->dated[0]);
		take_worst(&sum.dated[1], a->dated[1]);
	}
	return sum;
}

static struct account print_launch(const struct bench *b, const char *name, double scale, size_t at)
{
	struct account a = sum_up(&b->cases[at * SEEDS]);
	double schedule = 288 * (double)spec_subsidy(&b->spec, 1) / 1e8;

	printf("| %s | %g | %.0f | %.2f | %u | %u | %.0f %% | %u | %u | %.2f |\n", name, scale, a.coins,
		a.coins / schedule, a.dated[0], a.dated[1], 100 * a.stale, a.deepest, a.split, a.revenue[0]);
	return a;
}

static void table_launch(struct bench *b)
{
	struct rules old = bench_old_rules(b);
	size_t count = b->brief ? 1 : LAUNCHES, at = 0;

	for (size_t i = 0; i < count; i++) {
		struct rules rules = launches[i].rules(b);

		for (size_t k = 0; k < SCALES; k++)
			add_launch(b, &rules, scales[k], 60000);
	}
	for (size_t k = 0; k < OLD_SCALES && !b->brief; k++)
		add_launch(b, &old, old_scales[k], 5000);
	bench_run(b);
	printf("| rules | power | coins in 48 h | to schedule | in a spacing | in two | stale | deepest | split "
	       "| largest miner |\n|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < SCALES; k++) {
			struct account a = print_launch(b, launches[i].name, scales[k], at++);

			if (!launches[i].is_required)
				continue;
			bench_require(b, a.deepest <= 10, "no reorganisation is deeper than 10");
			bench_require(b, a.split <= 1, "one tip, or two blocks on one, at the end");
			bench_require(b, a.dated[1] <= 8, "no more than 8 blocks are dated within two spacings");
		}
	}
	for (size_t k = 0; k < OLD_SCALES && !b->brief; k++)
		print_launch(b, "none, from the easiest target", old_scales[k], at++);
}

/* ---- A launch with one who does otherwise ---- */

enum { BURSTS = 5, BURST_SCALES = 5, BURST_SEEDS = 8 };

static const double burst_scales[BURST_SCALES] = { 1, 10, 20, 40, 100 };

static const struct {
	const char *name;
	struct attack attack;
} bursts[BURSTS] = {
	{ "as all", { .selfish = false } },
	{ "selfish, gamma .5", { .selfish = true, .gamma = 0.5, .omits_late = true } },
	{ "omits loose and late proofs", { .omits_loose = true, .omits_late = true } },
	{ "dates latest", { .dating = DATING_LATEST } },
	{ "dates earliest", { .dating = DATING_EARLIEST } },
};

static void table_burst(struct bench *b)
{
	struct rules rules = bench_rules(b);

	for (int i = 0; i < BURSTS * BURST_SCALES * BURST_SEEDS; i++) {
		struct setting s = bench_setting(b, 0.3, 288);

		s.power *= burst_scales[i / BURST_SEEDS % BURST_SCALES];
		s.attack = bursts[i / BURST_SEEDS / BURST_SCALES].attack;
		bench_add(b, &rules, &s);
	}
	bench_run(b);
	printf("| does | power | revenue | stale | deepest |\n|---|---|---|---|---|\n");
	for (int i = 0; i < BURSTS * BURST_SCALES; i++) {
		double revenue = 0, stale = 0;
		uint32_t deepest = 0;

		for (int seed = 0; seed < BURST_SEEDS; seed++) {
			const struct account *a = &b->cases[i * BURST_SEEDS + seed].account;

			revenue += a->revenue[0] / BURST_SEEDS;
			stale += a->stale / BURST_SEEDS;
			take_worst(&deepest, a->deepest);
		}
		printf("| %s | %g | %.3f | %.0f %% | %u |\n", bursts[i / BURST_SCALES].name,
			burst_scales[i % BURST_SCALES], revenue, 100 * stale, deepest);
	}
}

/* ---- A quiet network ---- */

static void table_stale(struct bench *b)
{
	static const double steps[] = { 1, 4, 16 };
	struct rules with = bench_rules(b), without = with;
	struct attack none = { 0 };

	without.late = false;
	for (size_t i = 0; i < 6; i++)
		add_usual(b, i % 2 ? &without : &with, 0, &none)->setting.step = steps[i / 2];
	bench_run(b);
	printf("| step, of a spacing | late proofs | stale | reorganisations in 1,000 blocks: depth 1 | 2 | 3 "
	       "| proofs in a block | late | paid | largest miner | smallest |\n"
	       "|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < 6; i++) {
		const struct account *a = &b->cases[i].account;
		const double *depths = a->reorganisations;

		printf("| 1/%.0f | %s | %.2f %% | %.2f | %.3f | %.3f | %.2f | %.1f %% | %.3f | %.3f | %.3f |\n",
			b->spec.spacing / steps[i / 2], i % 2 ? "no" : "yes", 100 * a->stale, 1000 * depths[0],
			1000 * depths[1], 1000 * (depths[2] + depths[3]), a->proofs, 100 * a->late, a->paid,
			a->revenue[0] / a->power[0], a->revenue[WORLD_MINERS - 1] / a->power[WORLD_MINERS - 1]);
	}
}

/* ---- Selfish miners ---- */

/* Where the first column of `gain` above 0 is, between the shares that were tried; 0 if nowhere. */
static double pays_from(const double gain[SHARES])
{
	for (int i = SHARES; i-- > 0;)
		if (gain[i] <= 0)
			return i == SHARES - 1 ?
				0 :
				shares[i] - gain[i] * (shares[i + 1] - shares[i]) / (gain[i + 1] - gain[i]);
	return shares[0];
}

static void print_pays(const char *what, const double gain[SHARES])
{
	double from = pays_from(gain);

	if (from == 0)
		printf("%s: never pays here.\n", what);
	else if (gain[0] > 0 && from <= shares[0])
		printf("%s: pays from %.2f or less.\n", what, shares[0]);
	else
		printf("%s: pays from %.2f.\n", what, from);
}

enum { GAMMAS = 3, SELFISH_RULES = 4 };

static const double gammas[GAMMAS] = { 0, 0.5, 1 };
static const struct {
	const char *name;
	bool late_rule, omits_late, omits_loose;
} selfish[SELFISH_RULES] = {
	{ "all", true, true, false },
	{ "all; he lists others' late proofs", true, false, false },
	{ "all; he omits others' loose ones too", true, true, true },
	{ "no late proofs", false, false, false },
};

static void add_selfish(struct bench *b, int which, double share, double gamma)
{
	struct rules rules = bench_rules(b);
	struct attack attack = {
		.selfish = true,
		.gamma = gamma,
		.omits_late = selfish[which].omits_late,
		.omits_loose = selfish[which].omits_loose,
	};

	rules.late = selfish[which].late_rule;
	add_usual(b, &rules, share, &attack);
}

static void table_selfish(struct bench *b)
{
	int kinds = b->brief ? 1 : SELFISH_RULES;
	double gain[SELFISH_RULES][GAMMAS][SHARES];
	char name[80];

	for (int which = 0; which < kinds; which++)
		for (int i = 0; i < SHARES; i++)
			for (int g = 0; g < GAMMAS; g++)
				add_selfish(b, which, shares[i], gammas[g]);
	bench_run(b);
	printf("| rules | power | gamma 0 | .5 | 1 | stale |\n|---|---|---|---|---|---|\n");
	for (int which = 0; which < kinds; which++) {
		for (int i = 0; i < SHARES; i++) {
			const struct bench_case *c = &b->cases[(which * SHARES + i) * GAMMAS];

			for (int g = 0; g < GAMMAS; g++)
				gain[which][g][i] = c[g].account.revenue[0] - c[g].account.power[0];
			printf("| %s | %.2f | %.3f | %.3f | %.3f | %.0f %% |\n", selfish[which].name, shares[i],
				c[0].account.revenue[0], c[1].account.revenue[0], c[2].account.revenue[0],
				100 * c[1].account.stale);
			if (which == 0 && shares[i] == 0.3)
				bench_require(b, c[1].account.revenue[0] <= 0.34,
					"selfish mining earns .34 at most at .3");
		}
	}
	putchar('\n');
	for (int which = 0; which < kinds; which++) {
		for (int g = 0; g < GAMMAS; g++) {
			snprintf(name, sizeof name, "%s, gamma %g", selfish[which].name, gammas[g]);
			print_pays(name, gain[which][g]);
		}
	}
}

/* ---- Selfish miners as in the literature ---- */

/* Revenue of a selfish miner where blocks are all there is and nothing takes time (Eyal and Sirer, equation 8). */
static double known_revenue(double a, double gamma)
{
	return (a * (1 - a) * (1 - a) * (4 * a + gamma * (1 - 2 * a)) - a * a * a) / (1 - a * (1 + (2 - a) * a));
}

/* Whether this simulation finds the known figures: it would not if anything in it were wrong that blocks have to do
 * with. */
static void table_check(struct bench *b)
{
	static const double tried[] = { 0.2, 0.3, 0.4 };
	struct rules rules = bench_old_rules(b);
	uint32_t k = b->spec.k;

	b->spec.k = 1;
	rules.start_bits = bench_rules(b).start_bits;
	for (int i = 0; i < 9; i++) {
		struct attack attack = { .selfish = true, .gamma = gammas[i % 3] };
		struct bench_case *c = add_usual(b, &rules, tried[i / 3], &attack);

		c->setting.duration = 20000.0 * b->spec.spacing;
		c->setting.step = c->setting.net = 0.001;
	}
	bench_run(b);
	b->spec.k = k;
	printf("| power | gamma | found | known |\n|---|---|---|---|\n");
	for (int i = 0; i < 9; i++) {
		double found = b->cases[i].account.first_share, known = known_revenue(tried[i / 3], gammas[i % 3]);

		printf("| %.2f | %.1f | %.3f | %.3f |\n", tried[i / 3], gammas[i % 3], found, known);
		bench_require(b, fabs(found - known) < 0.02, "blocks of a selfish miner are as many as is known");
	}
}

/* ---- Omission ---- */

enum { OMISSIONS = 5 };

static const struct {
	const char *name;
	bool late_rule, loose, late;
} omissions[OMISSIONS] = {
	{ "nobody omits anything", true, false, false },
	{ "loose", true, true, false },
	{ "late", true, false, true },
	{ "loose and late", true, true, true },
	{ "loose, without the rule of late proofs", false, true, false },
};

static void table_omission(struct bench *b)
{
	double gain[OMISSIONS][SHARES];

	for (int which = 0; which < OMISSIONS; which++) {
		for (int i = 0; i < SHARES; i++) {
			struct rules rules = bench_rules(b);
			struct attack attack = { .omits_loose = omissions[which].loose,
				.omits_late = omissions[which].late };

			rules.late = omissions[which].late_rule;
			add_usual(b, &rules, shares[i], &attack);
		}
	}
	bench_run(b);
	printf("| omitted | power | revenue | share's gain | coins' gain |\n|---|---|---|---|---|\n");
	for (int which = 0; which < OMISSIONS; which++) {
		for (int i = 0; i < SHARES; i++) {
			const struct account *a = &b->cases[which * SHARES + i].account, *honest = &b->cases[i].account;
			double coins = a->revenue[0] * a->paid / (honest->revenue[0] * honest->paid) - 1;

			gain[which][i] = a->revenue[0] / a->power[0] - 1;
			printf("| %s | %.2f | %.3f | %+.1f %% | %+.1f %% |\n", omissions[which].name, shares[i],
				a->revenue[0], 100 * gain[which][i], 100 * coins);
			if (omissions[which].late_rule && shares[i] <= 0.3)
				bench_require(b, gain[which][i] < (b->brief ? 0.05 : 0.02),
					"omission gains less than 2 % up to .3");
		}
	}
}

/* ---- Holding back ---- */

/* One's own loose proofs, until another block has come: then they are late ones, which one may list oneself. */
static void table_holding(struct bench *b)
{
	static const struct attack kinds[] = { { .holds = false }, { .holds = true }, { .all_hold = true } };
	static const char *const names[] = { "nobody", "the first", "all" };

	for (int i = 0; i < 3 * SHARES; i++) {
		struct rules rules = bench_rules(b);

		add_usual(b, &rules, shares[i % SHARES], &kinds[i / SHARES]);
	}
	bench_run(b);
	printf("| who holds | power | revenue | share's gain | coins' gain | proofs in a block | late |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (int i = 0; i < 3 * SHARES; i++) {
		const struct account *a = &b->cases[i].account, *honest = &b->cases[i % SHARES].account;

		printf("| %s | %.2f | %.3f | %+.1f %% | %+.1f %% | %.2f | %.1f %% |\n", names[i / SHARES],
			shares[i % SHARES], a->revenue[0], 100 * (a->revenue[0] / honest->revenue[0] - 1),
			100 * (a->revenue[0] * a->paid / (honest->revenue[0] * honest->paid) - 1), a->proofs,
			100 * a->late);
		bench_require(b, i / SHARES != 1 || a->revenue[0] / honest->revenue[0] < 1.03,
			"holding back gains less than 3 %");
	}
}

/* ---- Power that comes and goes ---- */

static void table_rented(struct bench *b)
{
	static const double times[] = { 3, 10, 100 };
	static const uint32_t half_lives[] = { 72, 288 };
	const double day = 86400;

	for (int i = 0; i < 6; i++) {
		struct rules rules = bench_rules(b);
		struct setting s = bench_setting(b, 0, 144 * 30);
		struct bench_case *c;

		rules.half_life = half_lives[i / 3];
		s.changes[0] = (struct power_change){ 2 * day, times[i % 3], true };
		s.changes[1] = (struct power_change){ 4 * day, 1, true };
		s.change_count = 2;
		c = bench_add(b, &rules, &s);
		c->marks[0] = 2 * day;
		c->marks[1] = 4 * day;
		c->marks[2] = 6 * day;
		c->marks[3] = 11 * day;
	}
	bench_run(b);
	printf("| half-life | power | blocks in its two days | in the two after | in the next five | longest wait "
	       "| deepest |\n|---|---|---|---|---|---|---|\n");
	for (int i = 0; i < 6; i++) {
		const struct bench_case *c = &b->cases[i];

		printf("| %u | %g | %u | %u | %u | %.1f h | %u |\n", half_lives[i / 3], times[i % 3], c->counts[0],
			c->counts[1], c->counts[2], c->account.longest / 3600, c->account.deepest);
	}
}

/* One who has half of the power and mines only while that is cheap. */
static void table_hopping(struct bench *b)
{
	static const double hops[] = { 1, 1.25, 1.5, 1.75 };
	static const uint32_t half_lives[] = { 72, 288 };

	for (int i = 0; i < 8; i++) {
		struct rules rules = bench_rules(b);
		struct attack attack = { .hop = hops[i % 4] };

		rules.half_life = half_lives[i / 4];
		add_usual(b, &rules, 0.5, &attack);
	}
	bench_run(b);
	printf("| half-life | mines from | of the time | revenue of his step to others' | stale |\n"
	       "|---|---|---|---|---|\n");
	for (int i = 0; i < 8; i++) {
		const struct bench_case *c = &b->cases[i];
		const struct account *a = &c->account;
		double power = a->power[0], revenue = a->revenue[0];

		printf("| %u | %.2f | %.0f %% | %.3f | %.2f %% |\n", half_lives[i / 4], hops[i % 4],
			100 * power / (1 - power), revenue / power / ((1 - revenue) / (1 - power)), 100 * a->stale);
	}
}

/* ---- Dating ---- */

static void table_dating(struct bench *b)
{
	static const char *const names[] = { "by the clock", "latest", "earliest", "at the edge", "by turns" };
	static const double tried[] = { 0.1, 0.3, 0.45 };
	static const double limits[] = { 0.5, 2 };

	for (int i = 0; i < 30; i++) {
		struct rules rules = with_future(b, limits[i / 15]);
		struct attack attack = { .dating = (enum dating)(i / 3 % 5) };

		add_usual(b, &rules, tried[i % 3], &attack);
	}
	bench_run(b);
	printf("| future limit, spacings | dates | power | revenue | gain | interval | stale | deepest |\n"
	       "|---|---|---|---|---|---|---|---|\n");
	for (int i = 0; i < 30; i++) {
		const struct account *a = &b->cases[i].account;

		printf("| 60 s + %g | %s | %.2f | %.3f | %+.1f %% | %.3f | %.2f %% | %u |\n", limits[i / 15],
			names[i / 3 % 5], tried[i % 3], a->revenue[0], 100 * (a->revenue[0] / a->power[0] - 1),
			a->interval / b->spec.spacing, 100 * a->stale, a->deepest);
	}
}

/* ---- The tables ---- */

static const struct {
	const char *name, *title;
	bool is_brief; /* part of the short form */
	void (*make)(struct bench *b);
} tables[] = {
	{ "check", "The simulation against known figures: k 1, nothing takes time", true, table_check },
	{ "launch", "Launch", true, table_launch },
	{ "burst", "The same, where one has .3 of the power and does otherwise", false, table_burst },
	{ "stale", "A quiet network", true, table_stale },
	{ "selfish", "Selfish mining", true, table_selfish },
	{ "omission", "Omission", true, table_omission },
	{ "holding", "Holding proofs back", false, table_holding },
	{ "rented", "Power of all that comes for two days", true, table_rented },
	{ "hopping", "Mining only while the target is easy", false, table_hopping },
	{ "dating", "Games with times", false, table_dating },
};

bool economy_time(const struct options *o, struct team *team)
{
	const char *only = options_string(o, "table");
	struct bench b;
	struct errmsg err;
	int64_t seed;
	bool any = false;

	if (!options_int(o, "seed", 0, INT64_MAX / 1000003 - 1, &seed, &err)) {
		fprintf(stderr, "error: %s\n", err.text);
		return false;
	}
	bench_init(&b, team, (uint64_t)seed, options_bool(o, "short"));
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
		if (only != NULL ? strcmp(only, tables[i].name) != 0 : b.brief && !tables[i].is_brief)
			continue;
		any = true;
		printf("\n%s\n\n", tables[i].title);
		bench_forget(&b);
		tables[i].make(&b);
		fflush(stdout);
	}
	if (!any)
		fprintf(stderr, "error: -table is no table of this command\n");
	bench_clear(&b);
	return b.ok && any;
}
