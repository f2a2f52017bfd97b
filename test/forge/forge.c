/* forge: miners who state what a step gives without doing the work, against the node's own step.
 *
 * For each chain, way to train a model (setting.h), kind of data and adversary: how often the stated digest is the
 * right one, and what share of a step the adversary left out at most. Then what an exact miner saves who remembers
 * (savings.h). A right digest is a hit where at least a tenth of the step was left out; with less it counts among what
 * is saved.
 *
 * The last line is "N adversaries, H hits, at most S % saved": hits with all models; S on the sizes of test and main,
 * with models that a chain may come to. (Of regtest's toy model a quarter is the head, and a quarter of the positions
 * are not counted: a fifth of its step can be left out whatever the data are.) The status is 1 if there is a hit or S
 * is 10 or more. */
#include "config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adversary.h"
#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "savings.h"
#include "util/mem.h"
#include "util/options.h"
#include "util/team.h"

static const struct option_spec options_table[] = {
	{ "help", NULL, "Prints this and ends.", "Options", NULL, OPTION_COMMAND_LINE },
	{ "short", NULL, "Few steps: of regtest's size, and two of test's.", "Options", NULL, 0 },
	{ "spec", "<name>", "One chain alone: regtest, slow (regtest with the least learning rate), test or main.",
		"Options", NULL, 0 },
	{ "data", "<kind>", "One kind of data alone: zeros, byte, two, sixteen, heart, page, counter, noise or corpus.",
		"Options", NULL, 0 },
	{ "tries", "<n>", "Seeds for each chain and kind of data.", "Options", NULL, 0 },
	{ "training", "<n>", "Minibatches that models are trained for.", "Options", NULL, 0 },
	{ "threads", "<n>", "Kinds of data that are worked on at a time.", "Options", "1", 0 },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static const double tenth = 0.1;

/* How much is done on a chain: whole, or short. */
struct plan {
	const char *chain;
	bool counts; /* what is saved */
	struct {
		uint32_t tries, training, kinds; /* kinds: a bit each */
	} whole, brief;
};

enum { ALL = (1 << KINDS) - 1, FEW = 1 << KIND_ZEROS | 1 << KIND_HEART | 1 << KIND_CORPUS, ONE = 1 << KIND_ZEROS };

static const struct plan plans[] = {
	{ "regtest", false, { 25, 2000, ALL }, { 4, 500, ALL } },
	{ "slow", false, { 10, 2000, FEW }, { 2, 500, ONE } },
	{ "test", true, { 2, 300, ALL }, { 1, 40, ONE } },
	{ "main", true, { 1, 40, ONE }, { 1, 10, ONE } },
};

/* What was found with one kind of data. */
struct finding {
	const char *chain;
	enum setting_kind kind;
	enum setting_model model;
	uint32_t tries, training;
	bool ran;
	float loss, sure;
	uint32_t right[ADVERSARIES], hits[ADVERSARIES];
	double left_out[ADVERSARIES]; /* of a step, in the mean */
	double gain[ADVERSARIES];     /* the same, of statements that are right but no hits */
	struct savings savings;
};

static struct finding findings[KINDS];

/* ---- One kind of data ---- */

static bool node_digest(struct backend *backend, const struct setting *setting, const uint8_t seed[32],
	uint8_t digest[32])
{
	size_t size = step_delta_size(&spec_course(&setting->spec)->train);
	uint8_t *windows = mem_alloc(step_windows_size(&spec_course(&setting->spec)->train)), *delta = mem_alloc(size);
	struct step_job job = { .state = setting->state, .seed = seed, .windows = windows };

	setting_gather(setting, seed, windows);
	bool ok = backend_execute(backend, &job, delta) == STEP_OK;

	if (ok)
		sha256(digest, delta, size);
	free(windows);
	free(delta);
	return ok;
}

/* A step whose result this program does not know says nothing. */
static bool check_shadow(struct adversary_memory *memory, const uint8_t seed[32], const uint8_t digest[32])
{
	uint8_t own[32];

	return adversary_honest(memory, seed, own) && memcmp(own, digest, 32) == 0;
}

static bool try_seeds(struct finding *f, const struct setting *setting, struct backend *backend,
	struct adversary_memory *memory)
{
	for (uint32_t i = 0; i < f->tries; i++) {
		uint8_t seed[32], digest[32], stated[32];

		setting_seed(setting, i, seed);
		if (!node_digest(backend, setting, seed, digest) || (i == 0 && !check_shadow(memory, seed, digest)))
			return false;
		for (size_t a = 0; a < ADVERSARIES; a++) {
			double saved;
			bool right = adversary_state(memory, a, seed, stated, &saved) &&
				memcmp(stated, digest, 32) == 0;

			f->left_out[a] += saved / f->tries;
			f->right[a] += right;
			f->hits[a] += right && saved >= tenth;
			f->gain[a] += right && saved < tenth ? saved / f->tries : 0;
		}
	}
	return true;
}

static void work_on(void *arg, size_t task, unsigned member)
{
	struct finding *f = (struct finding *)arg + task;
	struct setting setting;

	(void)member;
	if (f->tries == 0)
		return;
	setting_init(&setting, f->chain, f->kind, f->model, f->training);
	f->loss = setting.loss;
	f->sure = setting.sure;
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &spec_course(&setting.spec)->train, 1);
	struct adversary_memory *memory = adversary_memory_new(&setting);

	f->ran = try_seeds(f, &setting, backend, memory) &&
		savings_measure(&setting, f->tries < 4 ? f->tries : 4, &f->savings);
	adversary_memory_free(memory);
	backend_free(backend);
	setting_clear(&setting);
}

/* ---- Telling ---- */

static void print_adversaries(const struct finding *f)
{
	printf("%-33s %8s", "right statements", "left out");
	for (int kind = 0; kind < KINDS; kind++)
		if (f[kind].tries > 0)
			printf(" %8s", setting_kind_name(kind));
	putchar('\n');
	for (size_t a = 0; a < ADVERSARIES; a++) {
		double most = 0;

		for (int kind = 0; kind < KINDS; kind++)
			most = f[kind].left_out[a] > most ? f[kind].left_out[a] : most;
		printf("%-33s %6.1f %%", adversary_name(a), 100 * most);
		for (int kind = 0; kind < KINDS; kind++)
			if (f[kind].tries > 0)
				printf(" %4u/%-3u", f[kind].right[a], f[kind].tries);
		putchar('\n');
	}
}

static void print_savings(const struct finding *f)
{
	printf("\n%-10s %8s %6s   %s\n", "data", "loss", "sure",
		"distinct rows: forward, back, gradient; saved by remembering");
	for (int kind = 0; kind < KINDS; kind++) {
		const struct savings *s = &f[kind].savings;

		if (f[kind].tries > 0)
			printf("%-10s %8.5f %4.0f %%   %15.1f %% %5.1f %% %5.1f %%   %6.1f %%\n",
				setting_kind_name(kind), (double)f[kind].loss, 100 * (double)f[kind].sure,
				100 * s->distinct[SHADOW_FORWARD], 100 * s->distinct[SHADOW_BACK],
				100 * s->distinct[SHADOW_GRADIENT], 100 * s->saved);
	}
	putchar('\n');
	fflush(stdout);
}

/* ---- A chain ---- */

struct total {
	unsigned hits;
	double saved[MODELS];
};

static void add_up(const struct finding *f, const struct plan *plan, struct total *total)
{
	double *most = &total->saved[f->model];

	for (size_t a = 0; a < ADVERSARIES; a++) {
		total->hits += f->hits[a];
		if (plan->counts && f->gain[a] > *most)
			*most = f->gain[a];
	}
	if (plan->counts && f->savings.saved > *most)
		*most = f->savings.saved;
}

struct extent {
	int64_t tries, training;
	uint32_t kinds;
};

static bool read_kinds(const char *only, uint32_t *kinds, struct errmsg *err)
{
	if (only == NULL)
		return true;
	for (int kind = 0; kind < KINDS; kind++) {
		if (strcmp(only, setting_kind_name(kind)) == 0) {
			*kinds = UINT32_C(1) << kind;
			return true;
		}
	}
	return errmsg_set(err, "-data is no kind of data: %s", only);
}

static bool read_extent(const struct options *o, const struct plan *plan, struct extent *e, struct errmsg *err)
{
	bool brief = options_bool(o, "short");

	*e = brief ? (struct extent){ plan->brief.tries, plan->brief.training, plan->brief.kinds } :
		     (struct extent){ plan->whole.tries, plan->whole.training, plan->whole.kinds };
	return read_kinds(options_string(o, "data"), &e->kinds, err) &&
		(!options_is_set(o, "tries") || options_int(o, "tries", 1, 100000, &e->tries, err)) &&
		(!options_is_set(o, "training") || options_int(o, "training", 0, 1000000, &e->training, err));
}

/* Models of one way to train them. */
static bool run_models(const struct plan *plan, const struct extent *e, enum setting_model model, struct team *team,
	struct total *total)
{
	memset(findings, 0, sizeof findings);
	for (int kind = 0; kind < KINDS; kind++)
		if (e->kinds >> kind & 1)
			findings[kind] = (struct finding){
				.chain = plan->chain,
				.kind = kind,
				.model = model,
				.tries = (uint32_t)e->tries,
				.training = (uint32_t)e->training,
			};
	team_run(team, work_on, findings, KINDS);
	printf("%s: %lld seeds, models trained on %s for %lld minibatches\n", plan->chain, (long long)e->tries,
		model == MODEL_ALONE ? "the data alone" : "the data and the corpus", (long long)e->training);
	print_adversaries(findings);
	print_savings(findings);
	for (int kind = 0; kind < KINDS; kind++) {
		if (findings[kind].tries == 0)
			continue;
		if (!findings[kind].ran) {
			fprintf(stderr,
				"error: on %s with %s a step has no result, or is not what forge takes it for\n",
				plan->chain, setting_kind_name(kind));
			return false;
		}
		add_up(&findings[kind], plan, total);
	}
	return true;
}

static bool run_chain(const struct plan *plan, const struct options *o, struct team *team, struct total *total)
{
	struct errmsg err;
	struct extent e;

	if (!read_extent(o, plan, &e, &err)) {
		fprintf(stderr, "error: %s\n", err.text);
		return false;
	}
	return run_models(plan, &e, MODEL_ALONE, team, total) && run_models(plan, &e, MODEL_MIXED, team, total);
}

static int run(const struct options *o)
{
	const char *only = options_string(o, "spec");
	struct total total = { 0 };
	int64_t threads;
	struct errmsg err;
	bool ok = true, any = false;

	if (!options_int(o, "threads", 1, 64, &threads, &err)) {
		fprintf(stderr, "error: %s\n", err.text);
		return EXIT_FAILURE;
	}
	engine_init(1);
	struct team *team = team_new((unsigned)threads);

	for (size_t i = 0; ok && i < sizeof plans / sizeof plans[0]; i++) {
		const char *chain = plans[i].chain;
		bool wanted = only != NULL ? strcmp(only, chain) == 0 :
					     !options_bool(o, "short") || strcmp(chain, "main") != 0;

		any = any || wanted;
		if (wanted)
			ok = run_chain(&plans[i], o, team, &total);
	}
	team_free(team);
	if (!any)
		fprintf(stderr, "error: -spec is regtest, slow, test or main\n");
	if (!ok || !any)
		return EXIT_FAILURE;
	if (total.saved[MODEL_ALONE] > 0)
		printf("with models trained on such data alone, which no chain comes to: at most %.1f %% saved\n",
			100 * total.saved[MODEL_ALONE]);
	printf("%d adversaries, %u hits, at most %.1f %% saved\n", ADVERSARIES, total.hits,
		100 * total.saved[MODEL_MIXED]);
	return total.hits == 0 && total.saved[MODEL_MIXED] < tenth ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct options *o = options_new(options_table);
	struct errmsg err;
	int status = EXIT_FAILURE;

	if (!options_parse_args(o, argc, argv, NULL, &err)) {
		fprintf(stderr, "error: %s\n", err.text);
	} else if (options_bool(o, "help")) {
		char *help = options_help(o);

		printf("Usage: contrib/forge [options]\n\n%s", help);
		free(help);
		status = EXIT_SUCCESS;
	} else {
		status = run(o);
	}
	options_free(o);
	return status;
}
