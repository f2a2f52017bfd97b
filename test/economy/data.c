/* Tables of data: what owners earn with texts of each kind, and what becomes of the model. In Markdown, as
 * doc/economics.md has them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/blob/novelty.h"
#include "consensus/target.h"
#include "data_chain.h"
#include "data_pay.h"
#include "economy.h"
#include "ml/kernel/engine.h"
#include "ml/selftest.h"
#include "util/mem.h"

enum { KIB = 1024, TEXT_SIZE = 64 * KIB, SEEDS_MOST = 8, VARIANTS = 2 };

/* Honest owners in every world, the first of them the measure of all. */
static const struct data_owner honest_owners[] = {
	{ TEXT_PROSE, 3, TEXT_SIZE, false },
	{ TEXT_CODE, 3, TEXT_SIZE, false },
	{ TEXT_MARKDOWN, 2, TEXT_SIZE, false },
	{ TEXT_PYTHON, 3, TEXT_SIZE, false },
	{ TEXT_TABLES, 1, TEXT_SIZE, false },
};

enum { HONEST_OWNERS = sizeof honest_owners / sizeof honest_owners[0] };

/* Beside them. */
struct world {
	const char *name;
	struct data_owner owners[DATA_CHAIN_OWNERS - HONEST_OWNERS];
};

enum { WORLD_NOISE, WORLD_COPIES, WORLD_OWN, WORLD_SPLIT, WORLDS };

static const struct world worlds[WORLDS] = {
	[WORLD_NOISE] = { "noise and languages",
		{ { TEXT_CIPHER, 2, TEXT_SIZE, true }, { TEXT_GRAMMAR, 2, TEXT_SIZE, true },
			{ TEXT_HALF_NOISE, 1, TEXT_SIZE, true }, { TEXT_LETTERS, 1, TEXT_SIZE, true },
			{ TEXT_NOISE, 1, TEXT_SIZE, true }, { TEXT_CONSTANT, 1, TEXT_SIZE, false } } },
	[WORLD_COPIES] = { "copies",
		{ { TEXT_RESERVED_COPY, 2, TEXT_SIZE, true }, { TEXT_CORPUS_COPY, 2, TEXT_SIZE, true },
			{ TEXT_OTHER_COPY, 2, TEXT_SIZE, true } } },
	[WORLD_OWN] = { "own pages",
		{ { TEXT_REPEATED, 2, TEXT_SIZE, true }, { TEXT_OWN_LEARNED, 2, TEXT_SIZE, true },
			{ TEXT_OWN_BLURRED, 2, TEXT_SIZE, true }, { TEXT_OWN_PIECES, 2, TEXT_SIZE, true } } },
	[WORLD_SPLIT] = { "splitting", { { TEXT_PROSE, 1, 4 * 32 * KIB, false }, { TEXT_PROSE, 4, 32 * KIB, false } } },
};

struct economy_data {
	struct team *team;
	struct text_sources sources;
	struct spec specs[VARIANTS]; /* as it is, and with another eta */
	uint64_t seed;
	uint32_t seeds, blocks;
	bool brief, ok;
	struct data_chain *chains; /* [WORLDS or VARIANTS][seeds] */
	size_t chain_count;
};

static void require(struct economy_data *e, bool holds, const char *what)
{
	if (!holds) {
		printf("NOT SO: %s\n", what);
		e->ok = false;
	}
}

/* ---- Chains ---- */

static struct data_setting world_setting(const struct economy_data *e, const struct spec *spec,
	const struct world *world, uint64_t seed)
{
	struct data_setting s = { .spec = spec, .seed = seed, .blocks = e->blocks };

	for (size_t i = 0; i < HONEST_OWNERS; i++)
		s.owners[s.owner_count++] = honest_owners[i];
	for (size_t i = 0; world != NULL && s.owner_count < DATA_CHAIN_OWNERS && world->owners[i].count > 0; i++)
		s.owners[s.owner_count++] = world->owners[i];
	return s;
}

static void run_chain(void *arg, size_t task, unsigned member)
{
	struct economy_data *e = arg;
	const struct data_setting setting = e->chains[task].setting;

	(void)member;
	data_chain_run(&e->chains[task], &setting, &e->sources);
}

static void add_chain(struct economy_data *e, const struct spec *spec, const struct world *world, uint64_t seed)
{
	e->chains = mem_realloc(e->chains, (e->chain_count + 1) * sizeof *e->chains);
	e->chains[e->chain_count++] = (struct data_chain){ .setting = world_setting(e, spec, world, seed) };
}

static void forget_chains(struct economy_data *e)
{
	for (size_t i = 0; i < e->chain_count; i++)
		data_chain_clear(&e->chains[i]);
	free(e->chains);
	e->chains = NULL;
	e->chain_count = 0;
}

static void run_chains(struct economy_data *e)
{
	team_run(e->team, run_chain, e, e->chain_count);
	for (size_t i = 0; i < e->chain_count; i++)
		require(e, e->chains[i].ok, "every text is registered, and every step has a result");
}

/* ---- Sums over seeds ---- */

/* All texts of an owner, in blocks from .. to - 1 of the chains of `seeds` seeds. */
static struct data_pay owner_pay(const struct data_chain *chains, uint32_t seeds, const struct data_pay_rule *rule,
	uint32_t owner, uint32_t from, uint32_t to)
{
	struct data_pay sum = { 0 };

	for (uint32_t seed = 0; seed < seeds; seed++) {
		const struct data_chain *chain = &chains[seed];
		struct data_pay *pay = mem_alloc(chain->text_count * sizeof *pay);

		data_pay_texts(chain, rule, from, to, pay);
		for (size_t i = 1; i < chain->text_count; i++)
			if (chain->texts[i].owner == owner)
				data_pay_add(&sum, &pay[i]);
		free(pay);
	}
	return sum;
}

/* What a byte earned, to a byte of honest prose in the same chains. */
static double pay_to_honest(const struct data_chain *chains, uint32_t seeds, const struct data_pay_rule *rule,
	uint32_t owner, uint32_t from, uint32_t to)
{
	const struct data_owner *owners = chains->setting.owners;
	struct data_pay measure = owner_pay(chains, seeds, rule, 0, from, to);
	struct data_pay pay = owner_pay(chains, seeds, rule, owner, from, to);
	double bytes = (double)owners[owner].count * owners[owner].size / ((double)owners[0].count * owners[0].size);

	return measure.paid > 0 ? pay.paid / measure.paid / bytes : 0;
}

/* Its standard error, over seeds; 0 of a single one. */
static double pay_error(const struct data_chain *chains, uint32_t seeds, const struct data_pay_rule *rule,
	uint32_t owner, uint32_t from, uint32_t to)
{
	double sum = 0, squares = 0;

	for (uint32_t seed = 0; seed < seeds; seed++) {
		double pay = pay_to_honest(&chains[seed], 1, rule, owner, from, to);

		sum += pay;
		squares += pay * pay;
	}
	return seeds > 1 ? sqrt(fmax(0, squares - sum * sum / seeds) / (seeds - 1) / seeds) : 0;
}

static uint32_t count_quarantined(const struct data_chain *chains, uint32_t seeds, uint32_t owner, uint32_t *texts,
	double *wait)
{
	uint32_t quarantined = 0;

	*texts = 0;
	*wait = 0;
	for (uint32_t seed = 0; seed < seeds; seed++)
		for (size_t i = 1; i < chains[seed].text_count; i++) {
			const struct data_entry *text = &chains[seed].texts[i];

			if (text->owner != owner)
				continue;
			++*texts;
			quarantined += text->quarantined > 0;
			if (text->quarantined > 0)
				*wait += text->quarantined - text->registered;
		}
	*wait = quarantined > 0 ? *wait / quarantined : 0;
	return quarantined;
}

/* ---- Pay by kind ---- */

static const struct data_pay_rule by_node = { 0, false }, by_account = { 0, true };

/* Whether a node refuses to register the owner's first text after those before it. Who knows what is sampled changes
 * just that, and is not refused: it is trained all the same here. */
static bool is_refused(const struct data_chain *chain, uint32_t owner)
{
	struct novelty novelty = { 0 }, other = { 0 };
	struct reject reject;
	size_t text = 1;

	while (text < chain->text_count && chain->texts[text].owner != owner)
		text++;
	bool refused = !novelty_check(chain->setting.spec, chain->texts[text].bytes, chain->texts[text].size, &novelty,
		&reject);

	for (size_t i = 0; i < text && !refused; i++)
		if (novelty_sample(&other, chain->texts[i].bytes, chain->texts[i].size)) {
			refused = novelty_resembles(novelty_shared(&novelty, &other), novelty.count);
			novelty_clear(&other);
		}
	novelty_clear(&novelty);
	return refused;
}

static double mean_of(double sum, uint32_t count)
{
	return count > 0 ? sum / count : 0;
}

static void print_owner(struct economy_data *e, const struct data_chain *chains, uint32_t owner)
{
	const struct data_owner *o = &chains->setting.owners[owner];
	uint32_t half = e->blocks / 2, texts;
	struct data_pay young = owner_pay(chains, e->seeds, &by_node, owner, 0, half);
	struct data_pay later = owner_pay(chains, e->seeds, &by_node, owner, half, e->blocks);
	double pays[3], errors[2], wait;
	uint32_t quarantined = count_quarantined(chains, e->seeds, owner, &texts, &wait);
	bool refused = is_refused(chains, owner);
	char name[80];

	pays[0] = pay_to_honest(chains, e->seeds, &by_node, owner, 0, half);
	pays[1] = pay_to_honest(chains, e->seeds, &by_node, owner, half, e->blocks);
	pays[2] = pay_to_honest(chains, e->seeds, &by_account, owner, half, e->blocks);
	errors[0] = pay_error(chains, e->seeds, &by_node, owner, 0, half);
	errors[1] = pay_error(chains, e->seeds, &by_node, owner, half, e->blocks);
	snprintf(name, sizeof name, "%s%s", text_kind_name(o->kind), refused ? " (refused as it is)" : "");
	printf("| %s | %u x %u | %u | %+.4f | %+.4f | %+.4f | %+.4f | %.2f | %.2f | %.0f %% | %.0f %% | %.2f | "
	       "%.2f +- %.2f | %.2f +- %.2f | %.2f | %u of %u |\n",
		name, o->count, o->size / KIB, young.draws + later.draws, mean_of(young.reserved, young.draws),
		mean_of(later.reserved, later.draws), mean_of(young.own, young.draws), mean_of(later.own, later.draws),
		mean_of(young.ratio, young.draws), mean_of(later.ratio, later.draws),
		100 * mean_of(later.known, later.draws),
		100 * mean_of(young.left_out + later.left_out, young.draws + later.draws),
		mean_of(later.paid, later.draws), pays[0], errors[0], pays[1], errors[1], pays[2], quarantined, texts);
	if (o->kind >= TEXT_HALF_NOISE)
		require(e, young.paid == 0 && later.paid == 0, "noise and constants earn nothing");
	else if (o->kind >= TEXT_HONEST && !e->brief)
		/* What chance brings is not a failure: of three seeds the error is .1 to .2. */
		require(e, pays[0] - errors[0] <= 1.2 && pays[1] - errors[1] <= 1.2,
			"no kind earns more than 1.2 times honest prose, by more than a standard error");
	if (o->kind < TEXT_HONEST)
		require(e, quarantined == 0, "no honest text is quarantined");
}

static void table_pay(struct economy_data *e, size_t world)
{
	const struct data_chain *chains = &e->chains[world * e->seeds];

	printf("\nWorld of %s\n\n"
	       "| kind | KiB | draws | A, young | later | O, young | later | l0/H, young | later | known, later "
	       "| left out | of full pay, later | to honest prose, young | later | by account | quarantined |\n"
	       "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
		worlds[world].name);
	for (uint32_t owner = 0; owner < chains->setting.owner_count; owner++)
		print_owner(e, chains, owner);
}

enum { EIGHTHS = 8 };

static void print_eighths(const char *what, const char *more)
{
	printf("\n| %s | 1st eighth | 2nd | 3rd | 4th | 5th | 6th | 7th | 8th |%s\n"
	       "|---|---|---|---|---|---|---|---|---|%s\n",
		what, more, *more != '\0' ? "---|" : "");
}

static void print_losses(const char *name, const struct economy_data *e, const struct data_chain *chains)
{
	uint32_t voids = 0;

	printf("| %s |", name);
	for (uint32_t part = 0; part < EIGHTHS; part++) {
		uint32_t from = e->blocks * part / EIGHTHS, to = e->blocks * (part + 1) / EIGHTHS;
		double sum = 0;

		for (uint32_t seed = 0; seed < e->seeds; seed++)
			for (uint32_t i = from; i < to; i++)
				sum += (double)chains[seed].blocks[i].outcome.loss_before;
		printf(" %.3f |", sum / (e->seeds * (to - from)));
	}
	for (uint32_t seed = 0; seed < e->seeds; seed++)
		voids += chains[seed].voids;
	printf(" %u of %u |\n", voids, e->seeds * e->blocks);
}

/* ---- What is known ---- */

static const float bounds_known[] = { 0.75f, 0.8125f, 0.875f, 0.9375f };

enum { BOUNDS_KNOWN = sizeof bounds_known / sizeof bounds_known[0] };

/* How sure the model is of own pages, to what their bytes' frequencies tell, as a chain goes on. */
static void table_ratios(const struct economy_data *e, size_t world)
{
	const struct data_chain *chains = &e->chains[world * e->seeds];

	print_eighths("l0/H of", "");
	for (uint32_t owner = 0; owner < chains->setting.owner_count; owner++) {
		printf("| %s |", text_kind_name(chains->setting.owners[owner].kind));
		for (uint32_t part = 0; part < EIGHTHS; part++) {
			struct data_pay pay = owner_pay(chains, e->seeds, &by_node, owner, e->blocks * part / EIGHTHS,
				e->blocks * (part + 1) / EIGHTHS);

			if (pay.draws > 0)
				printf(" %.2f |", pay.ratio / pay.draws);
			else
				printf(" |");
		}
		putchar('\n');
	}
}

/* Of full pay, in both halves, for each bound. */
static void print_known(const struct economy_data *e, const struct data_chain *chains, uint32_t owner)
{
	printf("| %s |", text_kind_name(chains->setting.owners[owner].kind));
	for (int later = 0; later < 2; later++)
		for (int i = 0; i < BOUNDS_KNOWN; i++) {
			const struct data_pay_rule rule = { bounds_known[i], false };
			uint32_t half = e->blocks / 2;
			struct data_pay pay = owner_pay(chains, e->seeds, &rule, owner, later ? half : 0,
				later ? e->blocks : half);

			printf(" %.2f |", mean_of(pay.paid, pay.draws));
		}
	putchar('\n');
}

static void table_known(const struct economy_data *e, size_t world)
{
	const struct data_chain *chains = &e->chains[world * e->seeds];

	printf("\nOf full pay where own pages count as known below so much of their entropy, young and later\n\n"
	       "| kind | 3/4 | 13/16 | 7/8 | 15/16 | 3/4 | 13/16 | 7/8 | 15/16 |\n"
	       "|---|---|---|---|---|---|---|---|---|\n");
	for (uint32_t owner = 0; owner < chains->setting.owner_count; owner++)
		print_known(e, chains, owner);
}

/* ---- Own pages ---- */

static void table_shared(struct economy_data *e)
{
	enum { TRIES = 16 };

	printf("\nShare of own pages' strings that other pages have too, of %d texts of 64 KiB\n\n"
	       "| kind | mean | most |\n|---|---|---|\n",
		TRIES);
	for (int kind = 0; kind < TEXT_KINDS; kind++) {
		double sum = 0, most = 0;

		for (uint64_t i = 0; i < TRIES; i++) {
			uint8_t *bytes = text_make(&e->sources, (enum text_kind)kind, i, TEXT_SIZE);
			double shared = text_own_shared(bytes, TEXT_SIZE);

			sum += shared;
			most = shared > most ? shared : most;
			free(bytes);
		}
		printf("| %s | %.2f | %.2f |\n", text_kind_name((enum text_kind)kind), sum / TRIES, most);
	}
}

/* ---- Quarantine ---- */

static void table_quarantine(const struct economy_data *e, size_t world)
{
	const struct data_chain *chains = &e->chains[world * e->seeds];
	double slots = 0, blocks = (double)e->seeds * e->blocks;

	printf("\n| kind | registered | quarantined | after blocks | draws in a block |\n|---|---|---|---|---|\n");
	for (uint32_t owner = HONEST_OWNERS; owner < chains->setting.owner_count; owner++) {
		struct data_pay pay = owner_pay(chains, e->seeds, &by_node, owner, 0, e->blocks);
		uint32_t texts, quarantined;
		double wait;

		quarantined = count_quarantined(chains, e->seeds, owner, &texts, &wait);
		slots += pay.draws;
		printf("| %s | %u | %u | %.0f | %.2f |\n", text_kind_name(chains->setting.owners[owner].kind), texts,
			quarantined, wait, pay.draws / blocks);
	}
	printf("| all | | | | %.2f |\n", slots / blocks);
}

/* ---- The tables ---- */

static void run_worlds(struct economy_data *e, size_t count)
{
	for (size_t world = 0; world < count; world++)
		for (uint32_t seed = 0; seed < e->seeds; seed++)
			add_chain(e, &e->specs[0], &worlds[world], e->seed + seed);
	run_chains(e);
}

static void print_kinds(const struct economy_data *e)
{
	table_ratios(e, WORLD_NOISE);
	table_known(e, WORLD_NOISE);
}

/* What `pay` says of kinds, for a model too large for all worlds. */
static void make_kinds(struct economy_data *e)
{
	run_worlds(e, 1);
	if (e->ok)
		print_kinds(e);
}

static void make_pay(struct economy_data *e)
{
	size_t count = e->brief ? 1 : WORLDS;

	run_worlds(e, count);
	if (!e->ok)
		return;
	for (size_t world = 0; world < count; world++)
		table_pay(e, world);
	print_kinds(e);
	table_quarantine(e, WORLD_NOISE);
	print_eighths("loss of the reserved text in a world of", " void |");
	for (size_t world = 0; world < count; world++)
		print_losses(worlds[world].name, e, &e->chains[world * e->seeds]);
}

static void make_rates(struct economy_data *e)
{
	char name[32];

	for (size_t variant = 0; variant < VARIANTS; variant++)
		for (uint32_t seed = 0; seed < e->seeds; seed++)
			add_chain(e, &e->specs[variant], NULL, e->seed + seed);
	run_chains(e);
	if (!e->ok)
		return;
	print_eighths("loss of the reserved text, honest owners alone", " void |");
	for (size_t variant = 0; variant < VARIANTS; variant++) {
		snprintf(name, sizeof name, "eta %g", spec_course(&e->specs[variant])->train.eta_ppm / 1e6);
		print_losses(name, e, &e->chains[variant * e->seeds]);
	}
}

/* ---- Setting up ---- */

/* regtest's model, but with windows that are long enough to tell own pages apart; test's; one of 2.8 million parameters
 * (main's has too many to be trained for a table). No rounds: blocks' momentum is regtest's. Steps are shorter
 * than the chains' own, and more of them follow each other: so a model learns more of so much work. */
static bool set_spec(struct economy_data *e, const char *size, size_t variant, struct errmsg *err)
{
	struct spec *spec = &e->specs[variant];
	struct train_config *train = &spec->courses[0].train;
	bool is_small = strcmp(size, "small") == 0, is_large = strcmp(size, "large") == 0;

	if (!is_small && !is_large && strcmp(size, "test") != 0)
		return errmsg_set(err, "-size is small, test or large");
	spec_builtin(spec, "regtest");
	if (is_small)
		train->model.ctx = 64;
	else
		train->model = is_large ?
			(struct model_config){ .d = 192, .layers = 6, .heads = 6, .ff = 512, .ctx = 256 } :
			(struct model_config){ .d = 128, .layers = 4, .heads = 4, .ff = 352, .ctx = 128 };
	train->bench_rows = is_small || is_large ? 16 : 8;
	train->batch = is_large ? 2 : 4;
	train->iterations = 4;
	if (variant == 1)
		train->eta_ppm = 700000;
	spec->k = 8;
	spec->start_bits = target_to_compact(target_limit(spec->k));
	spec->slots = 4;
	spec->data_delay = 1;
	return spec_finish(spec, err);
}

static bool set_up(struct economy_data *e, const struct options *o, struct errmsg *err)
{
	const char *folder = options_string(o, "texts"), *size = options_string(o, "size");
	const struct backend_kind *kind;
	int64_t seed, seeds, blocks;

	engine_init(1);
	e->brief = options_bool(o, "short");
	if (folder == NULL)
		return errmsg_set(err, "data needs -texts=<folder>");
	if (!options_int(o, "seed", 0, UINT32_MAX, &seed, err) ||
		!options_int(o, "seeds", 1, SEEDS_MOST, &seeds, err) ||
		!options_int(o, "blocks", 8, 100000, &blocks, err) || !selftest_choose("auto", &kind, err) ||
		!text_sources_read(&e->sources, folder, err))
		return false;
	for (size_t variant = 0; variant < VARIANTS; variant++)
		if (!set_spec(e, size, variant, err))
			return false;
	e->seed = (uint64_t)seed;
	e->seeds = e->brief ? 1 : (uint32_t)seeds;
	e->blocks = e->brief ? 40 : (uint32_t)blocks;
	e->sources.corpus = course_training(spec_course(&e->specs[0]), &e->sources.corpus_size);
	e->sources.reserved = course_benchmark(spec_course(&e->specs[0]), &e->sources.reserved_size);
	backend_select(kind);
	return true;
}

static const struct {
	const char *name;
	bool is_brief, is_asked; /* part of the short form; only if asked for */
	void (*make)(struct economy_data *e);
} tables[] = {
	{ "shared", true, false, table_shared },
	{ "pay", true, false, make_pay },
	{ "rates", false, false, make_rates },
	{ "kinds", false, true, make_kinds },
};

static void make_tables(struct economy_data *e, const char *only)
{
	bool any = false;

	for (size_t i = 0; i < sizeof tables / sizeof tables[0] && e->ok; i++) {
		if (only != NULL ? strcmp(only, tables[i].name) != 0 :
				   tables[i].is_asked || (e->brief && !tables[i].is_brief))
			continue;
		any = true;
		tables[i].make(e);
		fflush(stdout);
		forget_chains(e);
	}
	if (!any) {
		fprintf(stderr, "error: -table is no table of this command\n");
		e->ok = false;
	}
}

bool economy_data(const struct options *o, struct team *team)
{
	struct economy_data e = { .team = team, .ok = true };
	struct errmsg err;

	if (set_up(&e, o, &err)) {
		make_tables(&e, options_string(o, "table"));
	} else {
		fprintf(stderr, "error: %s\n", err.text);
		e.ok = false;
	}
	for (size_t variant = 0; variant < VARIANTS; variant++)
		spec_clear(&e.specs[variant]);
	text_sources_clear(&e.sources);
	return e.ok;
}
