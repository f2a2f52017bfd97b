/* Going through a chain's blocks once more, with a rule of pay. */
#include "data_pay.h"

#include <math.h>
#include <stdlib.h>

#include "consensus/branch/values.h"
#include "consensus/reward.h"
#include "util/mem.h"

static const double nats = 1.0 / 4294967296.0;

/* The lower bound of what a dataset was worth in all: two standard errors below the sum. */
struct bound {
	double sum, squares, peak;
};

/* By how much the value lifts the bound above what it was at best. It counts up to v_ref, and harm likewise. */
static int64_t lift_bound(struct bound *bound, int64_t value, int64_t v_ref)
{
	double counted = (double)(value > v_ref ? v_ref : value < -v_ref ? -v_ref : value);
	double before = bound->peak, now;

	bound->sum += counted;
	bound->squares += counted * counted;
	now = bound->sum - sqrt(4 * bound->squares);
	if (now <= before)
		return 0;
	bound->peak = now;
	return (int64_t)(now - before);
}

static bool is_known(const struct data_pay_rule *rule, const struct data_block *block, uint32_t slot)
{
	return rule->known > 0 ? block->ratio[slot] < rule->known : block->outcome.outcome.slot[slot].known;
}

static void value_block(const struct data_pay_rule *rule, const struct data_block *block, struct block_outcome *valued)
{
	*valued = block->outcome;
	for (uint32_t i = 0; i < valued->outcome.slots; i++)
		valued->outcome.slot[i].value = is_known(rule, block, i) && !valued->outcome.slot[i].left_out ?
			valued->outcome.slot[i].own :
			0;
}

static double pay_slot(const struct spec *spec, const struct data_pay_rule *rule, const struct block_outcome *valued,
	uint32_t slot, struct bound *bound)
{
	struct reward_slot pay = {
		.proofs = valued->outcome.slot[slot].count,
		.value = valued->outcome.slot[slot].value,
		.v_ref = valued->v_ref,
		.weight = REWARD_FULL_WEIGHT,
	};

	if (rule->by_account)
		pay.value = lift_bound(bound, pay.value, pay.v_ref);
	return (double)reward_slot(spec, 1, &pay) / (double)(reward_data_part(spec, 1) / spec->slots);
}

static void count_slot(struct data_pay *pay, const struct data_block *block, uint32_t slot, bool known)
{
	pay->draws++;
	pay->known += known;
	pay->left_out += block->outcome.outcome.slot[slot].left_out;
	pay->reserved += (double)block->outcome.outcome.slot[slot].effect * nats;
	pay->own += (double)block->outcome.outcome.slot[slot].own * nats;
	pay->ratio += (double)block->ratio[slot];
}

void data_pay_texts(const struct data_chain *chain, const struct data_pay_rule *rule, uint32_t from, uint32_t to,
	struct data_pay *pay)
{
	const struct spec *spec = chain->setting.spec;
	struct bound *bounds = mem_calloc(chain->text_count, sizeof *bounds);
	struct values values = { 0 };
	struct values_undo undo;
	struct block_outcome valued, before;

	for (size_t i = 0; i < chain->text_count; i++)
		pay[i] = (struct data_pay){ 0 };
	for (uint32_t i = 0; i < chain->block_count; i++) {
		const struct data_block *block = &chain->blocks[i];

		value_block(rule, block, &valued);
		valued.v_ref = values_ref(&values, spec, i > 0 ? &before.outcome : NULL);
		for (uint32_t slot = 0; slot < spec->slots && !valued.outcome.is_void; slot++) {
			uint32_t text = valued.dataset[slot];

			if (valued.outcome.slot[slot].count == 0)
				continue;
			double paid = pay_slot(spec, rule, &valued, slot, &bounds[text]);

			if (i < from || i >= to)
				continue;
			pay[text].paid += paid;
			count_slot(&pay[text], block, slot, is_known(rule, block, slot));
		}
		const struct branch_block on_top = { .spec = spec, .height = i + 2, .parent = i > 0 ? &before : NULL };

		undo = (struct values_undo){ 0 };
		values_apply(&values, &on_top, &undo);
		before = valued;
	}
	values_clear(&values);
	free(bounds);
}

void data_pay_add(struct data_pay *sum, const struct data_pay *pay)
{
	sum->paid += pay->paid;
	sum->draws += pay->draws;
	sum->known += pay->known;
	sum->left_out += pay->left_out;
	sum->reserved += pay->reserved;
	sum->own += pay->own;
	sum->ratio += pay->ratio;
}
