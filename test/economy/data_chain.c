/* Block after block: what is registered, drawn, trained, and what came of it. */
#include "data_chain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/payload/contribution.h"
#include "consensus/verify.h"
#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/mem.h"

/* All owners' key, which must be one: the x coordinate of the curve's generator. */
static const char owner_key[] = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/* A chain while it runs. */
struct course_of_blocks {
	struct data_chain *chain;
	const struct course *course;
	struct registry *registry;
	struct backend *backend; /* for steps */
	struct state *state;
	struct block *next; /* gathers registrations */
	const struct block_outcome *parent;
};

const struct data_owner *data_chain_owner(const struct data_chain *chain, size_t text)
{
	return text == 0 ? NULL : &chain->setting.owners[chain->texts[text].owner];
}

static void draw_key(const struct data_chain *chain, const char *what, uint64_t number, uint8_t key[32])
{
	char label[96];
	int length = snprintf(label, sizeof label, "economy %s %llu %llu", what,
		(unsigned long long)chain->setting.seed, (unsigned long long)number);

	sha256(key, (const uint8_t *)label, (size_t)length);
}

/* ---- Registering ---- */

static void begin_block(struct course_of_blocks *c)
{
	c->next = block_new();
	c->next->txs = mem_alloc(sizeof *c->next->txs);
	c->next->txs[c->next->tx_count++] = tx_seal(tx_new());
}

static void add_contribution(struct block *block, const struct contribution *contribution)
{
	struct tx *tx = tx_new();
	struct buf script;

	buf_init(&script);
	contribution_script(&script, contribution);
	tx_add_output(tx, 0, script.data, script.size);
	buf_clear(&script);
	block->txs = mem_realloc(block->txs, (block->tx_count + 1) * sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(tx);
}

static void register_text(struct course_of_blocks *c, uint32_t owner)
{
	struct data_chain *chain = c->chain;
	const struct data_owner *of = &chain->setting.owners[owner];
	struct data_entry text = { .owner = owner, .registered = registry_height(c->registry) + 1, .size = of->size };
	struct contribution contribution = { .size = of->size, .licence = "CC0-1.0" };

	hex_decode(contribution.owner, 32, owner_key);
	text.bytes = text_make(&chain->sources, of->kind, chain->setting.seed * 4096 + chain->text_count, of->size);
	contribution_root(text.bytes, text.size, contribution.root);
	add_contribution(c->next, &contribution);
	chain->texts = mem_realloc(chain->texts, (chain->text_count + 1) * sizeof *chain->texts);
	chain->texts[chain->text_count++] = text;
}

static void end_block(struct course_of_blocks *c)
{
	registry_undo_free(registry_apply(c->registry, c->next, c->parent));
	c->chain->ok = c->chain->ok && registry_count(c->registry) == c->chain->text_count;
	block_unref(c->next);
	begin_block(c);
}

/* Who has just been quarantined is noted, and may come again. */
static void look_for_quarantines(struct course_of_blocks *c)
{
	struct data_chain *chain = c->chain;
	size_t count = registry_count(c->registry);

	for (size_t i = 1; i < count; i++) {
		if (chain->texts[i].quarantined != 0 || registry_get(c->registry, i)->quarantined_until == 0)
			continue;
		chain->texts[i].quarantined = registry_height(c->registry);
		if (data_chain_owner(chain, i)->returns)
			register_text(c, chain->texts[i].owner);
	}
}

/* ---- Training ---- */

static struct course_data data_of(const struct data_chain *chain, size_t text)
{
	return course_data_in_memory(chain->texts[text].bytes, chain->texts[text].size);
}

/* Its header is nothing but a digest: all that execution looks at. */
static bool mine_proof(struct course_of_blocks *c, uint64_t number, const uint8_t ticket[32], const uint32_t *drawn,
	struct verify_proof *proof)
{
	const struct train_config *train = &c->course->train;
	struct step_job job = { .state = c->state, .seed = proof->seed };

	draw_key(c->chain, "seed", number, proof->seed);
	proof->slot = spec_slot(c->chain->setting.spec, proof->seed);
	proof->windows = mem_alloc(step_windows_size(train));
	proof->delta = mem_alloc(step_delta_size(train));
	job.windows = proof->windows;
	const struct course_data data = data_of(c->chain, drawn[proof->slot]);

	if (!course_gather_step(c->course, ticket, proof->seed, proof->slot, &data, proof->windows) ||
		backend_execute(c->backend, &job, proof->delta) != STEP_OK)
		return false;
	sha256(proof->header.digest, proof->delta, step_delta_size(train));
	return true;
}

/* The windows of a slot's own pages, and how the model does on them. */
static void gather_own(struct course_of_blocks *c, const uint8_t ticket[32], uint32_t slot, size_t text,
	struct course_own *own, float *ratio)
{
	const struct course_data data = data_of(c->chain, text);
	float loss;

	if (own->windows != NULL || !course_gather_own(c->course, ticket, slot, &data, own) || own->windows == NULL)
		return;
	const struct backend_batch batch = { .state = c->state,
		.windows = own->windows,
		.rows = course_own_rows(&c->course->train) };

	if (backend_loss(c->backend, &batch, &loss))
		*ratio = loss / own->entropy;
}

/* k + 1 proofs, as a block has on average; false if one has no result. */
static bool mine_block(struct course_of_blocks *c, const uint32_t *drawn, struct verify_job *job, float *ratio)
{
	const struct spec *spec = c->chain->setting.spec;

	job->proof_count = job->body_count = spec->k + 1;
	job->proofs = mem_calloc(job->proof_count, sizeof *job->proofs);
	for (size_t i = 0; i < job->proof_count; i++) {
		struct verify_proof *proof = &job->proofs[i];

		if (!mine_proof(c, (uint64_t)registry_height(c->registry) * 1000 + i, job->ticket, drawn, proof))
			return false;
		gather_own(c, job->ticket, proof->slot, drawn[proof->slot], &job->own[proof->slot],
			&ratio[proof->slot]);
	}
	return true;
}

static void note_block(struct course_of_blocks *c, const struct verify_job *job, const struct verdict *verdict,
	struct data_block *block)
{
	block->outcome.outcome = verdict->outcome;
	block->outcome.v_ref = job->v_ref;
	block->outcome.loss_before = verdict->loss_before;
	block->outcome.loss_after = verdict->loss_after;
	c->chain->voids += verdict->outcome.is_void;
}

static bool run_block(struct course_of_blocks *c)
{
	struct data_chain *chain = c->chain;
	const struct spec *spec = chain->setting.spec;
	struct data_block *block = &chain->blocks[chain->block_count];
	struct verify_job job = { .spec = spec, .parent = state_ref(c->state) };
	struct verdict verdict;

	for (int i = 0; i < OUTCOME_MAX_SLOTS; i++)
		block->ratio[i] = INFINITY;
	draw_key(chain, "ticket", registry_height(c->registry), job.ticket);
	block->outcome.weight = (uint32_t)registry_draw(c->registry, job.ticket, spec->slots, block->outcome.dataset);
	job.v_ref = registry_v_ref(c->registry, c->parent != NULL ? &c->parent->outcome : NULL);
	job.benchmark = mem_alloc(course_benchmark_size(c->course));
	course_gather_benchmark(c->course, job.ticket, job.benchmark);
	bool ok = mine_block(c, block->outcome.dataset, &job, block->ratio);

	if (ok) {
		verify_run(&job, &verdict);
		ok = verdict.valid;
	}
	if (ok) {
		note_block(c, &job, &verdict, block);
		state_unref(c->state);
		c->state = verdict.state;
		end_block(c);
		c->parent = &block->outcome;
		look_for_quarantines(c);
		chain->block_count++;
	}
	verify_job_clear(&job);
	return ok;
}

static void add_corpus(struct data_chain *chain)
{
	size_t size;
	const uint8_t *bytes = course_training(spec_course(chain->setting.spec), &size);

	chain->texts = mem_alloc(sizeof *chain->texts);
	chain->texts[chain->text_count++] = (struct data_entry){ .bytes = mem_dup(bytes, size), .size = size };
}

void data_chain_run(struct data_chain *chain, const struct data_setting *setting, const struct text_sources *sources)
{
	const struct spec *spec = setting->spec;
	struct course_of_blocks c = { .chain = chain, .course = spec_course(spec) };
	uint8_t key[32];

	*chain = (struct data_chain){ .setting = *setting, .sources = *sources, .ok = true };
	chain->blocks = mem_calloc(setting->blocks, sizeof *chain->blocks);
	text_sources_begin(&chain->sources, setting->seed);
	add_corpus(chain);
	c.registry = registry_new(spec);
	c.backend = backend_new(backend_selected(), &c.course->train, 1);
	draw_key(chain, "state", 0, key);
	c.state = state_new_initial(&c.course->train.model, key);
	begin_block(&c);
	for (uint32_t i = 0; i < setting->owner_count; i++)
		for (uint32_t j = 0; j < setting->owners[i].count; j++)
			register_text(&c, i);
	end_block(&c);
	while (chain->ok && chain->block_count < setting->blocks)
		chain->ok = run_block(&c);
	block_unref(c.next);
	state_unref(c.state);
	backend_free(c.backend);
	registry_free(c.registry);
}

void data_chain_clear(struct data_chain *chain)
{
	for (size_t i = 0; i < chain->text_count; i++)
		free(chain->texts[i].bytes);
	free(chain->texts);
	free(chain->blocks);
}
